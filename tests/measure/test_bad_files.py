"""What is said about every malformed table file."""

import gzip
import io
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tcalloc import InputError
from tcalloc.measure import Table, load_table, save_table

HEADER = "id,acc:a,acc:b,cost:a,cost:b\n"
EXPECTED = "expected acc:NAME and cost:NAME for each action, and optionally id and weight."
LEAVE = "leave both acc:NAME and cost:NAME empty"
ROW = "q1,1,1,1,1\n"

BAD_CSV = {
    "empty": ("", f": the file is empty; {EXPECTED}"),
    "blank": ("\n\n", f": the file is empty; {EXPECTED}"),
    "header only": (HEADER, ": a header and no rows. At least one instance is needed."),
    "no acc": ("id,x,y\nq,1,2\n", f": no acc:NAME column; {EXPECTED} The columns are 'id', 'x', 'y'."),
    "many": (
        "a,b,c,d,e,f,g,h\n",
        f": no acc:NAME column; {EXPECTED} The columns are 'a', 'b', 'c', 'd', 'e', 'f' and 2 more.",
    ),
    "semicolons": (
        "id;acc:a;cost:a\nq;1;2\n",
        f": no acc:NAME column; {EXPECTED} The header seems to be separated by semicolons; separate by commas.",
    ),
    "no cost": ("acc:a,acc:b,cost:a\n1,1,1\n", f": column 'acc:b' has no 'cost:b' beside it; {EXPECTED}"),
    "cost alone": ("acc:a,cost:a,cost:b\n1,1,1\n", f": column 'cost:b' has no 'acc:b' beside it; {EXPECTED}"),
    "no name": ("acc:,cost:\n1,1\n", f": column 1 is acc: without a name; {EXPECTED}"),
    "duplicate column": ("id,acc:a, acc: a,cost:a\n", ": columns 2 and 3 are both 'acc:a'. Rename or drop one."),
    "not a number": (
        HEADER + ROW + "q2,1,fast,1,1\n",
        f", line 3, column 'acc:b': 'fast' is not a number. Write it like 0.75, or {LEAVE} if the row does not have "
        "the action.",
    ),
    "long text": (HEADER + f"q2,1,{'y' * 50},1,1\n", f", line 2, column 'acc:b': '{'y' * 37}...' is not a number."),
    "line of a row after one that spans two": (
        'note,acc:a,cost:a\n"two\nlines",1,1\nx,1,z\n',
        ", line 4, column 'cost:a': 'z' is not a number.",
    ),
    "too few cells": (
        HEADER + ROW + "\nq2,1,1,1\n",
        ", line 4: the header has 5 columns, but this row has 4 cells. Give every row one cell per column, and quote "
        "cells that hold a comma.",
    ),
    "too many cells": (HEADER + "q1,1,1,1,1,\n", ", line 2: the header has 5 columns, but this row has 6 cells."),
    "accuracy alone": (
        HEADER + "q1,1,0.5,1,\n",
        f", line 2: 'cost:b' is empty, but 'acc:b' is 0.5. Fill in both; if the row does not have the action, {LEAVE}.",
    ),
    "cost without accuracy": (HEADER + ROW + "q2,,1,2,1\n", ", line 3: 'acc:a' is empty, but 'cost:a' is 2.0."),
    "no action": (HEADER + ROW + "q2,,,,\n", ", line 3: the row has no action. Give it one, or drop the row."),
    "nan": (HEADER + "q1,1,nan,1,3\n", ", line 2, column 'acc:b': nan is not finite. Accuracies must be finite; "),
    "nan beside empty": (HEADER + "q1,,nan,,3\n", ", line 2, column 'acc:b': nan is not finite."),
    "infinite": (HEADER + "q1,1,1,1e999,1\n", ", line 2, column 'cost:a': inf is not finite. Costs must be finite and"),
    "negative": (
        HEADER + ROW + "q2,1,1,1,-3\n",
        f", line 3, column 'cost:b': -3.0 is negative. Costs must be finite and at least 0; if the row does not have "
        f"the action, {LEAVE}.",
    ),
    "duplicate id": (
        HEADER + ROW + "q2,1,1,1,1\n" + ROW,
        ", line 4: the id 'q1' was already given to line 2. Ids must differ; if the instance occurs more than once, "
        "say so by its weight.",
    ),
    "no id": (HEADER + ",1,1,1,1\n", ", line 2: the id is empty. Fill it in, or drop all ids"),
    "NUL in id": (HEADER + "a\0,1,1,1,1\n", ", line 2: the id 'a\\x00' holds a NUL character. Remove it."),
    "no weight": (
        "acc:a,cost:a,weight\n1,1,\n",
        ", line 2, column weight: the cell is empty. Write how often the instance occurs.",
    ),
    "weight no number": (
        "acc:a,cost:a,weight\n1,1,x\n",
        ", line 2, column 'weight': 'x' is not a number. Write it like 0.75.",
    ),
    "negative weight": (
        "acc:a,cost:a,weight\n1,1,-1\n",
        ", line 2, column weight: -1.0 is negative. Weights must be finite and at least 0.",
    ),
    "no positive weight": ("acc:a,cost:a,weight\n1,1,0\n", ": weights are all 0: no instance occurs."),
    "open quote": (
        HEADER + ROW + '"q2,1,1,1,1\n',
        ", line 3: broken quoting (unexpected end of data). Quote a cell as",
    ),
    "text after quote": (HEADER + '"q2"x,1,1,1,1\n', ", line 2: broken quoting (',' expected after '\"')."),
    "cell too long": ("p,acc:a,cost:a\n" + "x" * 140_000 + ",1,1\n", ", line 2: a cell is too long. Drop its column"),
    "magnitudes": ("acc:a,cost:a\n1e-200,1\n1e200,1\n", ": acc holds magnitudes from 1e-200 to 1e+200"),
}


def refused(path) -> str:
    with pytest.raises(InputError) as caught:
        load_table(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.endswith(".")
    assert "\n" not in message
    return message[len(str(path)) :]


@pytest.mark.parametrize("case", BAD_CSV)
def test_malformed_csv(case, tmp_path):
    text, message = BAD_CSV[case]
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    assert refused(path).startswith(message)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "t.csv",
            (HEADER + "q\xe9,1,1,1,1\n").encode("latin1"),
            ": not UTF-8 text (line 2, byte 0xe9). Save it as UTF-8.",
        ),
        ("t.csv", HEADER.encode("utf-16"), ": not UTF-8 text (it seems to be UTF-16). Save it as UTF-8."),
        ("t.csv", gzip.compress(b"x", mtime=0), ": compressed with gzip; decompress it first."),
        ("t.csv.gz", b"", ": compressed files (.gz) are not read or written; decompress it first."),
        ("t.txt", b"", ": unknown suffix '.txt'; allowed are .csv, .parquet and .npz."),
        ("table", b"", ": a name without a suffix; allowed are .csv, .parquet and .npz."),
        ("t.parquet", b"", ": not a readable Parquet file (Parquet file size is 0 bytes). Write it again."),
        ("t.parquet", b"hello", ": not a readable Parquet file ("),
        ("t.npz", b"", ": not a readable NPZ file (No data left in file). Write it again with numpy.savez."),
        ("t.npz", b"hello", ": not a readable NPZ file (it does not begin like one)."),
        ("t.npz", b"PK\x03\x04junk", ": not a readable NPZ file (File is not a zip file)."),
    ],
)
def test_not_such_a_file(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert refused(tmp_path / name).startswith(message)


def test_no_file_at_all(tmp_path, monkeypatch):
    assert refused(tmp_path / "t.csv") == ": no such file. Check the path."
    (tmp_path / "d.csv").mkdir()
    assert refused(tmp_path / "d.csv") == ": a folder; expected a .csv, .parquet or .npz file."
    (tmp_path / "t.csv").write_text("x")

    def denied(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    assert refused(tmp_path / "t.csv") == ": cannot be read (Permission denied)."


A = np.ones((2, 2))
BAD_NPZ = {
    "no acc": (
        {"cost": A},
        ": no array acc; expected acc (N, K) and cost (N, K) or (K,), and optionally ids, actions, ",
    ),
    "no cost": ({"acc": A, "meta": "x"}, ": no array cost; expected acc (N, K) and "),
    "pickle": (
        {"acc": A, "cost": A, "ids": np.array(["a", None], dtype=object)},
        ": the array ids holds Python objects (pickle), which could run code and are not loaded. Save it as numbers or "
        "text, e.g. numpy.asarray(ids, dtype=str).",
    ),
    "rank": ({"acc": np.ones(3), "cost": A}, ": acc has shape (3,); expected (N, K)"),
    "cost shape": ({"acc": A, "cost": np.ones(3)}, ": cost has shape (3,), acc has (2, 2); expected (2, 2)"),
    "empty": ({"acc": np.ones((0, 2)), "cost": np.ones(2)}, ": acc has shape (0, 2): an empty table."),
    "text": ({"acc": np.array([["a", "b"]]), "cost": A}, ": acc has dtype <U1; allowed are float32"),
    "nan, labelled": (
        {"acc": [[1, np.nan]], "cost": [1, 1], "ids": ["x"], "actions": ["u", "v"]},
        ": acc[0, 1] (id 'x', action 'v') is nan, which is not finite.",
    ),
    "negative": ({"acc": A, "cost": [1.0, -1]}, ": cost[0, 1] is -1.0, which is negative."),
    "names": ({"acc": A, "cost": A, "actions": ["a"]}, ": actions has 1 name for 2 actions"),
    "available dtype": ({"acc": A, "cost": A, "available": [[1, 1], [0, 0]]}, ": available has dtype int64; expected"),
    "no action": (
        {"acc": A, "cost": A, "available": [[True, True], [False, False]], "ids": ["x", "y"]},
        ": available[1] (id 'y') is False everywhere",
    ),
    "ids dtype": ({"acc": A, "cost": A, "ids": [1.0, 2.0]}, ": ids has dtype float64 and shape (2,); expected one"),
    "ids bytes": ({"acc": A, "cost": A, "ids": np.array([b"\xff", b"x"])}, ": ids holds bytes that are not UTF-8."),
    "ids length": ({"acc": A, "cost": A, "ids": ["q"]}, ": ids has shape (1,); expected (2,), one per instance."),
    "duplicate id": ({"acc": A, "cost": A, "ids": ["q", "q"]}, ", ids[1]: the id 'q' was already given to ids[0]."),
    "weights": ({"acc": A, "cost": A, "weights": [1, np.inf]}, ": weights[1] is inf, which is not finite."),
}


@pytest.mark.parametrize("case", BAD_NPZ)
def test_malformed_npz(case, tmp_path):
    arrays, message = BAD_NPZ[case]
    np.savez(tmp_path / "t.npz", **arrays)
    assert refused(tmp_path / "t.npz").startswith(message)


def test_damaged_npz(tmp_path):
    path = tmp_path / "t.npz"
    np.savez(path, acc=np.arange(100.0).reshape(50, 2), cost=A[0])
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    assert refused(path).startswith(": not a readable NPZ file (")
    damaged = bytearray(whole)
    damaged[400] ^= 255
    path.write_bytes(damaged)
    assert refused(path) == ": the array acc cannot be read (Bad CRC-32 for file 'acc.npy'). Write the file again."
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**9, 10**6)})
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("acc.npy", header.getvalue())
        file.writestr("cost.npy", header.getvalue())
    assert refused(path).startswith(": the array acc does not fit into memory (Unable to allocate")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("acc", "hello")
        file.writestr("cost", "hello")
    assert refused(path).startswith(": acc is not an array. Save the file with numpy.savez")
    with open(path, "wb") as file:
        np.save(file, A)
    assert refused(path).startswith(": a single array, not an NPZ file.")


def floats(*values):
    return pa.array(values, pa.float64())


BAD_PARQUET = {
    "no acc": ({"x": [1]}, f": no acc:NAME column; {EXPECTED} The columns are 'x'."),
    "no rows": ({"acc:a": floats(), "cost:a": floats()}, ": columns and no rows. At least one instance is needed."),
    "text": ({"acc:a": ["x"], "cost:a": [1.0]}, ", column 'acc:a': its type is string; expected numbers. Convert it."),
    "half": (
        {"id": ["q"], "acc:a": floats(1), "cost:a": floats(None)},
        ", row 0 (id 'q'): 'cost:a' is empty, but 'acc:a' is 1.0. Fill in both",
    ),
    "no action": (
        {"acc:a": floats(1, None), "cost:a": floats(1, None)},
        ", row 1 (counted from 0): the row has no action.",
    ),
    "null id": ({"id": ["a", None], "acc:a": [1, 1], "cost:a": [1, 1]}, ", row 1, column id: the id is missing."),
    "duplicate id": (
        {"id": [7, 7], "acc:a": [1, 1], "cost:a": [1, 1]},
        ", row 1: the id '7' was already given to row 0.",
    ),
    "id type": ({"id": [1.5], "acc:a": [1], "cost:a": [1]}, ", column id: its type is double; expected text or whole"),
    "negative": (
        {"id": ["q"], "acc:a": [1], "cost:a": [-1]},
        ", row 0 (id 'q'), column 'cost:a': -1.0 is negative.",
    ),
    "infinite": ({"acc:a": floats(np.inf), "cost:a": [1]}, ", row 0 (counted from 0), column 'acc:a': inf is not"),
    "weight": (
        {"acc:a": [1], "cost:a": [1], "weight": floats(None)},
        ", row 0 (counted from 0), column weight: nan is",
    ),
}


@pytest.mark.parametrize("case", BAD_PARQUET)
def test_malformed_parquet(case, tmp_path):
    columns, message = BAD_PARQUET[case]
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert refused(tmp_path / "t.parquet").startswith(message)


def test_damaged_parquet(tmp_path):
    path = tmp_path / "t.parquet"
    save_table(Table([[0.5, 1.0], [0.25, 0.75]], [1, 4]), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert refused(path).startswith(": not a readable Parquet file (")
    path.write_bytes(bytes([*whole[:4], *(b ^ 255 for b in whole[4:40]), *whole[40:]]))
    assert refused(path).startswith(": not a readable Parquet file (")
    pq.write_table(pa.Table.from_arrays([floats(1)] * 3, names=["acc:a", "acc:a", "cost:a"]), path)
    assert refused(path) == ": columns 1 and 2 are both 'acc:a'. Rename or drop one."
