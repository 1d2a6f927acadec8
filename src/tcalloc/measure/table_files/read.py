"""Table files, in: CSV, Parquet and NPZ, and what is said about a malformed one.

Each reader returns the arguments of a `Table`. Every refusal names the file, the place, what is allowed and the remedy;
nothing is guessed.
"""

import csv
import io
import os
import zipfile
import zlib
from array import array
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._counts import counted
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.measure.table_files.columns import EMPTY, EXPECTED, layout, refuse_halves, refuse_ids, refuse_values, shown
from tcalloc.measure.table_files.write import plain_text

__all__ = ["read_csv", "read_npz", "read_parquet"]

# What an empty cell becomes until all rows are read: a NaN that differs from that of a cell that says "nan".
BLANK_BITS = 0x7FF8_0000_0B1A_4B1A
BLANK = float(np.int64(BLANK_BITS).view(np.float64))

NPZ_ARRAYS = ("acc", "cost", "ids", "actions", "available", "weights")


# ---------------------------------------------------------------------------------------------- CSV


def read_csv(path: str) -> dict[str, Any]:
    """Read a CSV file: UTF-8, commas, one header line."""
    line = [1]
    with open(path, "rb") as binary:
        if binary.peek(2)[:2] == b"\x1f\x8b":
            raise InputError(f"{path}: compressed with gzip; decompress it first.")
        text = io.TextIOWrapper(binary, encoding="utf-8-sig", newline="")
        try:
            return _csv_table(path, csv.reader(text, strict=True), line)
        except csv.Error as error:
            if "field limit" in str(error):
                what = "a cell is too long. Drop its column; only id, weight, acc: and cost: are read"
            else:
                what = f'broken quoting ({error}). Quote a cell as "..." and double each quote inside it'
            raise InputError(f"{path}, line {line[0]}: {what}.") from None
        except UnicodeDecodeError:
            raise InputError(_not_utf8(path)) from None


def _csv_table(path: str, reader: Any, line: list[int]) -> dict[str, Any]:
    """Read header and rows; ``line[0]`` is where the row that is being read begins (cells may span lines)."""
    headers: list[str] = []
    for headers in reader:
        line[0] = reader.line_num + 1
        if headers:
            break
    if not headers:
        raise InputError(f"{path}: the file is empty; {EXPECTED}.")
    columns = layout(path, headers)
    weighted = columns.weight is not None
    pick = itemgetter(*columns.acc, *columns.cost, *([columns.weight] if weighted else []))
    numbers, lines = array("d"), array("q")
    ids: list[str] = []
    for row in reader:
        if len(row) == len(headers):
            try:
                values = [float(cell) if cell else BLANK for cell in pick(row)]
            except ValueError:
                values = [_csv_number(f"{path}, line {line[0]}", headers[i], row[i]) for i in pick(range(len(row)))]
            numbers.fromlist(values)
            lines.append(line[0])
            if columns.id is not None:
                ids.append(plain_text(row[columns.id]))
        elif row:  # an empty line is no row
            raise InputError(
                f"{path}, line {line[0]}: the header has {counted(len(headers), 'column')}, but this row has "
                f"{counted(len(row), 'cell')}. Give every row one cell per column, and quote cells that hold a comma."
            )
        line[0] = reader.line_num + 1
    if not lines:
        raise InputError(f"{path}: a header and no rows. At least one instance is needed.")

    def place(row: int) -> str:
        return f"{path}, line {lines[row]}"

    k = len(columns.names)
    matrix = np.frombuffer(numbers).reshape(len(lines), -1)
    acc, cost = np.ascontiguousarray(matrix[:, :k]), np.ascontiguousarray(matrix[:, k : 2 * k])
    table: dict[str, Any] = {"acc": acc, "cost": cost, "action_names": columns.names, "ignored": columns.ignored}
    blank = matrix.view(np.int64) == BLANK_BITS
    if blank[:, : 2 * k].any():
        refuse_halves(place, columns.names, acc, cost, blank[:, :k], blank[:, k : 2 * k])
        table["available"] = ~blank[:, :k]
    if weighted:
        table["weights"] = np.ascontiguousarray(matrix[:, -1])
        if blank[:, -1].any():
            row = int(blank[:, -1].argmax())
            raise InputError(f"{place(row)}, column weight: the cell is empty. Write how often the instance occurs.")
    if columns.id is not None:
        refuse_ids(ids, place)
        table["ids"] = np.array(ids, dtype=object)
    refuse_values(table, place, columns.names)
    return table


def _csv_number(place: str, header: str, cell: str) -> float:
    """Convert one cell of a row in which something is not a number."""
    if not cell.strip():
        return BLANK
    try:
        return float(cell)
    except ValueError:
        remedy = f", or leave {EMPTY} if the row does not have the action" if ":" in header else ""
        where = f"{place}, column {shown(header.strip())}"
        raise InputError(f"{where}: {shown(cell.strip())} is not a number. Write it like 0.75{remedy}.") from None


def _not_utf8(path: str) -> str:
    place, data = "", b""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            data = file.read()
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        place = " (it seems to be UTF-16)"
    else:
        try:
            data.decode()
        except UnicodeDecodeError as error:
            place = f" (line {data.count(10, 0, error.start) + 1}, byte 0x{data[error.start]:02x})"
    return f"{path}: not UTF-8 text{place}. Save it as UTF-8."


# ---------------------------------------------------------------------------------------------- Parquet


def read_parquet(path: str) -> dict[str, Any]:
    """Read a Parquet file: the columns of the CSV layout; null and NaN are the empty cells."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtraError(f"{path}: reading Parquet needs pyarrow: pip install 'tcalloc[parquet]'") from None
    try:
        with pq.ParquetFile(path) as file:
            headers = file.schema_arrow.names
            columns = layout(path, headers)
            wanted = [*columns.acc, *columns.cost, columns.weight, columns.id]
            data = file.read(columns=[headers[i] for i in wanted if i is not None])
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0].strip().rstrip(".")
        raise InputError(f"{path}: not a readable Parquet file ({reason}). Write it again.") from None
    n = data.num_rows
    if n == 0:
        raise InputError(f"{path}: columns and no rows. At least one instance is needed.")
    ids = None if columns.id is None else _parquet_ids(pa, path, data.column(headers[columns.id]))

    def place(row: int) -> str:
        return f"{path}, row {row}" + (" (counted from 0)" if ids is None else f" (id {shown(str(ids[row]))})")

    def matrix(positions: tuple[int, ...]) -> NDArray[Any]:
        parts = [data.column(headers[i]) for i in positions]
        single = all(part.type == pa.float32() for part in parts)
        values = np.empty((n, len(parts)), np.float32 if single else np.float64)
        for at, part in enumerate(parts):
            values[:, at] = _parquet_floats(pa, path, headers[positions[at]], part)
        return values

    acc, cost = matrix(columns.acc), matrix(columns.cost)
    no_acc, no_cost = np.isnan(acc), np.isnan(cost)
    refuse_halves(place, columns.names, acc, cost, no_acc, no_cost)
    table: dict[str, Any] = {"acc": acc, "cost": cost, "action_names": columns.names, "ignored": columns.ignored}
    if no_acc.any():
        table["available"] = ~no_acc
    if columns.weight is not None:
        table["weights"] = matrix((columns.weight,))[:, 0]
    if ids is not None:
        refuse_ids(ids.tolist(), lambda row: f"{path}, row {row}")
        table["ids"] = ids
    refuse_values(table, place, columns.names)
    return table


def _parquet_floats(pa: Any, path: str, header: str, column: Any) -> NDArray[Any]:
    kind, types = column.type, pa.types
    if not any(
        is_kind(kind)
        for is_kind in (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal, types.is_null)
    ):
        raise InputError(f"{path}, column {shown(header)}: its type is {kind}; expected numbers. Convert it.")
    values: NDArray[Any] = column.cast(kind if kind == pa.float32() else pa.float64(), safe=False).to_numpy()
    return values


def _parquet_ids(pa: Any, path: str, column: Any) -> NDArray[Any]:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_integer(kind) or str(kind) in ("string", "large_string", "string_view")):
        raise InputError(f"{path}, column id: its type is {kind}; expected text or whole numbers. Convert it.")
    if column.null_count:
        row = column.is_null().to_numpy().argmax()
        raise InputError(f"{path}, row {row}, column id: the id is missing. Fill it in, or drop the id column.")
    ids: NDArray[Any] = column.cast(pa.string()).to_numpy()
    return ids


# ---------------------------------------------------------------------------------------------- NPZ


def read_npz(path: str) -> dict[str, Any]:
    """Read an NPZ file: acc, cost and optionally ids, actions, available, weights."""
    try:
        with open(path, "rb") as opened:  # NumPy would leave it open where it fails
            loaded = np.load(opened, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise InputError(
                    f"{path}: a single array, not an NPZ file. Save it with numpy.savez(path, acc=..., cost=...)."
                )
            present = loaded.files
            for name in ("acc", "cost"):
                if name not in present:
                    arrays = ", ".join(shown(f, 30)[1:-1] for f in present[:8]) or "none"
                    raise InputError(
                        f"{path}: no array {name}; expected acc (N, K) and cost (N, K) or (K,), and optionally ids, "
                        f"actions, available, weights. The arrays are: {arrays}{', ...' if len(present) > 8 else ''}."
                    )
            found = {name: _npz_array(path, loaded, name) for name in NPZ_ARRAYS if name in present}
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, EOFError, NotImplementedError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path}: not a readable NPZ file ({_reason(error)}). Write it again with numpy.savez."
        ) from None
    table: dict[str, Any] = {key: found.get(key) for key in ("acc", "cost", "available", "weights")}
    table["ignored"] = tuple(name for name in present if name not in NPZ_ARRAYS)
    if "actions" in found:
        table["action_names"] = tuple(_npz_text(path, "actions", found["actions"]).tolist())
    if "ids" in found:
        table["ids"] = _npz_text(path, "ids", found["ids"])
        refuse_ids(table["ids"].tolist(), lambda row: f"{path}, ids[{row}]")
    return table


def _npz_array(path: str, file: Any, name: str) -> NDArray[Any]:
    try:
        value = file[name]
    except MemoryError as error:
        raise InputError(f"{path}: the array {name} does not fit into memory ({_reason(error)}).") from None
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        if "allow_pickle" in str(error):
            raise InputError(
                f"{path}: the array {name} holds Python objects (pickle), which could run code and are not loaded. "
                f"Save it as numbers or text, e.g. numpy.asarray({name}, dtype=str)."
            ) from None
        raise InputError(f"{path}: the array {name} cannot be read ({_reason(error)}). Write the file again.") from None
    if not isinstance(value, np.ndarray):
        raise InputError(f"{path}: {name} is not an array. Save the file with numpy.savez(path, acc=..., cost=...).")
    return value


def _npz_text(path: str, name: str, values: NDArray[Any]) -> NDArray[Any]:
    if values.ndim != 1 or values.dtype.kind not in "USiu":
        raise InputError(
            f"{path}: {name} has dtype {values.dtype} and shape {values.shape}; expected one dimension of text or "
            "whole numbers."
        )
    if values.dtype.kind == "S":
        try:
            return np.char.decode(values, "utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path}: {name} holds bytes that are not UTF-8. Save it as text.") from None
    return values if values.dtype.kind == "U" else np.array([str(value) for value in values.tolist()], dtype=object)


def _reason(error: BaseException) -> str:
    if "pickle" in str(error):  # NumPy takes whatever is no NPZ file for one
        return "it does not begin like one"
    return str(error).partition("\n")[0].strip().rstrip(".") or type(error).__name__
