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
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError, MissingExtraError

__all__ = ["read_csv", "read_npz", "read_parquet", "shown"]

EXPECTED = "expected acc:NAME and cost:NAME for each action, and optionally id and weight"
BOTH_EMPTY = "leave acc:NAME and cost:NAME both empty if the row does not have this action"
NPZ_ARRAYS = ("acc", "cost", "ids", "actions", "available", "weights")


def shown(text: str, limit: int = 40) -> str:
    """Quote what a file holds, shortened and printable."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


# ---------------------------------------------------------------------------------------------- the columns


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column holds what; numbers are positions in the header."""

    names: tuple[str, ...]
    acc: tuple[int, ...]
    cost: tuple[int, ...]
    id: int | None
    weight: int | None
    ignored: tuple[str, ...]


def _layout(path: str, headers: Sequence[str]) -> Layout:
    """Find a table's columns by their names."""
    found: dict[str, int] = {}
    ignored = []
    for position, header in enumerate(headers):
        kind, colon, rest = header.strip().partition(":")
        name = f"{kind}:{rest.strip()}" if colon else kind
        if kind in ("acc", "cost") and colon:
            if not rest.strip():
                raise InputError(f"{path}: column {position + 1} is {kind}: without a name; {EXPECTED}.")
        elif name not in ("id", "weight"):
            ignored.append(header)
            continue
        if name in found:
            raise InputError(
                f"{path}: columns {found[name] + 1} and {position + 1} are both {shown(name)}. Rename or drop one."
            )
        found[name] = position
    names = tuple(name[4:] for name in found if name.startswith("acc:"))
    if not names:
        raise InputError(f"{path}: no acc:NAME column; {EXPECTED}. {_met(headers)}")
    for name in names:
        if f"cost:{name}" not in found:
            raise InputError(
                f"{path}: column {shown('acc:' + name)} has no {shown('cost:' + name)} beside it; {EXPECTED}."
            )
    for column in found:
        if column.startswith("cost:") and column[5:] not in names:
            raise InputError(
                f"{path}: column {shown(column)} has no {shown('acc:' + column[5:])} beside it; {EXPECTED}."
            )
    return Layout(
        names=names,
        acc=tuple(found[f"acc:{name}"] for name in names),
        cost=tuple(found[f"cost:{name}"] for name in names),
        id=found.get("id"),
        weight=found.get("weight"),
        ignored=tuple(ignored),
    )


def _met(headers: Sequence[str]) -> str:
    if len(headers) == 1:
        for mark, word in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
            if mark in headers[0]:
                return f"The header seems to be separated by {word}; separate by commas."
    more = f" and {len(headers) - 6} more" if len(headers) > 6 else ""
    return f"The columns are {', '.join(shown(h, 30) for h in headers[:6])}{more}."


# ---------------------------------------------------------------------------------------------- the values


def _refuse_values(
    table: dict[str, Any], place: Callable[[int], str], column: Callable[[str, int], str], remedy: str
) -> None:
    """Refuse the first value that is not allowed, with its place in the file."""
    acc, cost, available, weights = (table.get(key) for key in ("acc", "cost", "available", "weights"))
    if available is not None and not (some := available.any(axis=1)).all():
        raise InputError(f"{place(int(some.argmin()))}: the row has no action. Give it one, or drop the row.")
    checks = [
        ("acc", acc, available, "Accuracies must be finite"),
        ("cost", cost, available, "Costs must be finite and at least 0"),
    ]
    if weights is not None:
        checks.append(("weight", weights[:, None], None, "Weights must be finite and at least 0"))
    for field, values, mask, rule in checks:
        fine = np.isfinite(values) if field == "acc" else np.isfinite(values) & (values >= 0)
        if mask is not None:
            fine |= ~mask
        if not fine.all():
            row, k = divmod(int(fine.argmin()), values.shape[1])
            value = float(values[row, k])
            problem = "negative" if np.isfinite(value) else "not finite"
            also = "" if field == "weight" else f"; {remedy}"
            raise InputError(f"{place(row)}, {column(field, k)}: {value!r} is {problem}. {rule}{also}.")


def _refuse_ids(ids: Iterable[str], place: Callable[[int], str]) -> None:
    """Refuse ids that are empty or repeat."""
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if not name.strip():
            raise InputError(
                f"{place(row)}: the id is empty. Fill it in, or drop the id column (rows are then counted)."
            )
        if "\0" in name:
            raise InputError(f"{place(row)}: the id {shown(name)} holds a NUL character. Remove it.")
        if first.setdefault(name, row) != row:
            raise InputError(
                f"{place(row)}: the id {shown(name)} stands at {place(first[name]).rpartition(', ')[2]} already. "
                "Ids must differ; for how often an instance occurs there is the column weight."
            )


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
    columns = _layout(path, headers)
    weighted = columns.weight is not None
    pick = itemgetter(*columns.acc, *columns.cost, *([columns.weight] if weighted else []))
    numbers, lines, partial = array("d"), array("q"), array("q")
    ids: list[str] = []
    for row in reader:
        if len(row) == len(headers):
            try:
                values = list(map(float, pick(row)))
            except ValueError:
                values = _csv_row(path, line[0], row, columns)
                partial.append(len(lines))
            numbers.fromlist(values)
            lines.append(line[0])
            if columns.id is not None:
                ids.append(row[columns.id])
        elif row:  # an empty line is no row
            raise InputError(
                f"{path}, line {line[0]}: {len(row)} cells, but the header has {len(headers)} columns. "
                "Give every row one cell per column, and quote cells that hold a comma."
            )
        line[0] = reader.line_num + 1
    if not lines:
        raise InputError(f"{path}: a header and no rows. At least one instance is needed.")

    def place(row: int) -> str:
        return f"{path}, line {lines[row]}"

    k = len(columns.names)
    matrix = np.frombuffer(numbers).reshape(len(lines), -1)
    table: dict[str, Any] = {
        "acc": np.ascontiguousarray(matrix[:, :k]),
        "cost": np.ascontiguousarray(matrix[:, k : 2 * k]),
        "action_names": columns.names,
        "weights": np.ascontiguousarray(matrix[:, 2 * k]) if weighted else None,
        "ignored": columns.ignored,
    }
    if partial:
        # In these rows NaN stands for an empty cell; elsewhere somebody wrote "nan", which is refused below.
        table["available"] = np.ones((len(lines), k), np.bool_)
        table["available"][partial] = ~np.isnan(table["acc"][partial])
    if columns.id is not None:
        _refuse_ids(ids, place)
        table["ids"] = np.array(ids, dtype=object)
    _refuse_values(table, place, lambda field, at: _column(field, columns.names[at]), BOTH_EMPTY)
    return table


def _column(field: str, name: str) -> str:
    return "column weight" if field == "weight" else f"column {shown(f'{field}:{name}')}"


def _csv_row(path: str, line: int, row: list[str], columns: Layout) -> list[float]:
    """Convert a row with cells that are empty or not numbers, cell by cell."""

    def number(text: str, column: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise InputError(
                f"{path}, line {line}, {column}: {shown(text)} is not a number. Write it like 0.75; {BOTH_EMPTY}."
            ) from None
        if value != value:
            raise InputError(f"{path}, line {line}, {column}: {shown(text)} is not finite; {BOTH_EMPTY}.")
        return value

    acc, cost = [], []
    for name, a, c in zip(columns.names, columns.acc, columns.cost, strict=True):
        empty = [not row[a].strip(), not row[c].strip()]
        if any(empty) and not all(empty):
            raise InputError(_half(f"{path}, line {line}", name, *empty, row[a] + row[c]))
        acc.append(np.nan if empty[0] else number(row[a], _column("acc", name)))
        cost.append(np.nan if empty[1] else number(row[c], _column("cost", name)))
    if columns.weight is None:
        return acc + cost
    if not row[columns.weight].strip():
        raise InputError(f"{path}, line {line}, column weight: the cell is empty. Write how often the instance occurs.")
    return [*acc, *cost, number(row[columns.weight], "column weight")]


def _half(place: str, name: str, no_acc: bool, no_cost: bool, other: str) -> str:
    empty, full = ("acc", "cost") if no_acc else ("cost", "acc")
    return (
        f"{place}: {shown(f'{empty}:{name}')} is empty, but {shown(f'{full}:{name}')} is {shown(other.strip())}. "
        "Fill in both, or leave both empty if the row does not have this action."
    )


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
            columns = _layout(path, headers)
            wanted = [*columns.acc, *columns.cost, columns.weight, columns.id]
            data = file.read(columns=[headers[i] for i in wanted if i is not None])
    except (pa.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0].strip().rstrip(".")
        raise InputError(f"{path}: not a readable Parquet file ({reason}). Write it again.") from None
    n, k = data.num_rows, len(columns.names)
    if n == 0:
        raise InputError(f"{path}: columns and no rows. At least one instance is needed.")
    ids = None if columns.id is None else _parquet_ids(pa, path, data.column(headers[columns.id]))

    def place(row: int) -> str:
        return f"{path}, row {row}" + (" (the first is row 0)" if ids is None else f" (id {shown(str(ids[row]))})")

    def matrix(positions: tuple[int, ...]) -> NDArray[Any]:
        parts = [data.column(headers[i]) for i in positions]
        single = all(part.type == pa.float32() for part in parts)
        values = np.empty((n, len(parts)), np.float32 if single else np.float64)
        for at, part in enumerate(parts):
            values[:, at] = _parquet_floats(pa, path, headers[positions[at]], part)
        return values

    acc, cost = matrix(columns.acc), matrix(columns.cost)
    no_acc, no_cost = np.isnan(acc), np.isnan(cost)
    if (halves := no_acc != no_cost).any():
        row, at = divmod(int(halves.argmax()), k)
        other = f"{float(np.nansum([acc[row, at], cost[row, at]])):g}"
        raise InputError(_half(place(row), columns.names[at], no_acc[row, at], no_cost[row, at], other))
    table: dict[str, Any] = {"acc": acc, "cost": cost, "action_names": columns.names, "ids": ids}
    table["available"] = ~no_acc if no_acc.any() else None
    table["weights"] = matrix((columns.weight,))[:, 0] if columns.weight is not None else None
    table["ignored"] = columns.ignored
    if ids is not None:
        _refuse_ids(ids, lambda row: f"{path}, row {row}")
    _refuse_values(table, place, lambda field, at: _column(field, columns.names[at]), BOTH_EMPTY)
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
    if not (pa.types.is_integer(kind) or kind in (pa.string(), pa.large_string(), pa.string_view())):
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
        with np.load(path, allow_pickle=False) as file:
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise InputError(
                    f"{path}: a single array, not an NPZ file. Save it with numpy.savez(path, acc=..., cost=...)."
                )
            present = file.files
            for name in ("acc", "cost"):
                if name not in present:
                    arrays = ", ".join(shown(f, 30)[1:-1] for f in present[:8]) or "none"
                    raise InputError(
                        f"{path}: no array {name}; expected acc (N, K) and cost (N, K) or (K,), and optionally ids, "
                        f"actions, available, weights. The arrays are: {arrays}{', ...' if len(present) > 8 else ''}."
                    )
            found = {name: _npz_array(path, file, name) for name in NPZ_ARRAYS if name in present}
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
        _refuse_ids(table["ids"].tolist(), lambda row: f"{path}, ids[{row}]")
    return table


def _npz_array(path: str, file: Any, name: str) -> NDArray[Any]:
    try:
        value = file[name]
    except (ValueError, zipfile.BadZipFile, zlib.error, EOFError, OSError, MemoryError) as error:
        if "allow_pickle" in str(error):
            raise InputError(
                f"{path}: the array {name} holds Python objects (pickle), which are not loaded since they can run code. "
                "Save it as numbers or text, e.g. numpy.asarray(ids, dtype=str)."
            ) from None
        raise InputError(f"{path}: the array {name} cannot be read ({_reason(error)}). Write the file again.") from None
    if not isinstance(value, np.ndarray):
        raise InputError(f"{path}: {name} is not an array. Save the file with numpy.savez(path, acc=..., cost=...).")
    return value


def _npz_text(path: str, name: str, values: NDArray[Any]) -> NDArray[Any]:
    if values.ndim != 1 or values.dtype.kind not in "USiu":
        raise InputError(
            f"{path}: {name} has dtype {values.dtype} and shape {values.shape}; expected one row of text or whole numbers."
        )
    if values.dtype.kind == "S":
        try:
            return np.char.decode(values, "utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{path}: {name} holds bytes that are not UTF-8. Save it as text.") from None
    return values if values.dtype.kind == "U" else np.array([str(value) for value in values.tolist()], dtype=object)


def _reason(error: BaseException) -> str:
    return str(error).partition("\n")[0].strip().rstrip(".") or type(error).__name__
