"""Files of rows that are not JSON lines: a JSON document, or a table with separators (CSV)."""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tcalloc._counts import counted
from tcalloc._files import MOST_LINE, read_at_most
from tcalloc.errors import InputError
from tcalloc.runs.jsonl import opened, read_objects, refuse_constant, snippet

__all__ = ["rows_of"]

# What the kind of a file is recognised by, and the largest JSON document that is read; JSON lines have no limit.
HEAD, MOST_DOCUMENT = 1 << 16, 1 << 26
SEPARATORS = ",;\t|"
_TABLES, _NAME = (".csv", ".tsv"), re.compile(r"[\w .()/-]{1,60}")
_PANDAS = "Read it with pandas and give the frame to tcalloc.importing.import_frame"
_OTHERS = {
    b"PK\x03\x04": f"an archive or an Excel file. {_PANDAS}; a log of Inspect becomes JSON by: inspect log dump FILE",
    b"\xd0\xcf\x11\xe0": f"an Excel file. {_PANDAS}",
    b"PAR1": f"a Parquet file. {_PANDAS}",
    b"SQLite format 3": "a database. Write what it holds as CSV or JSON lines",
}
OnBad = Callable[[InputError], None] | None
Rows = Iterator[tuple[str, dict[str, Any]]]


def rows_of(path: str, example: str, on_bad: OnBad = None) -> Rows:
    """Yield the place, such as "log.jsonl, line 3", and the row, for each row of a file, gzip or not.

    In a JSON document, rows are the entries of its list, or of the only list of objects that it holds by name. In a
    table, the first line names the fields, and an empty cell is null. `example` is what a JSON line looks like, for the
    messages. `on_bad` takes the error of a row that cannot be read, and reading goes on; without it, the error is
    raised.
    """
    head = _head(path)
    for begins, what in _OTHERS.items():
        if head.startswith(begins):
            raise InputError(f"{path}: {what}.")
    encoding = "utf-16" if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
    text = head.decode(encoding, "replace").lstrip()
    if text[:1] in ("[", "{"):
        if encoding != "utf-8-sig" or not _is_line(text):
            return _entries(path, encoding, example, on_bad)
    elif text and _is_table(path, text):
        return _cells(path, encoding, text, on_bad)
    bad = None if on_bad is None else lambda number, error: on_bad(error)
    return ((f"{path}, line {number}", row) for number, row in read_objects(path, example, bad))


def _head(path: str) -> bytes:
    with opened(path) as file:
        try:
            return file.read(HEAD)
        except (EOFError, OSError):  # damaged gzip: reading it says so
            return b""


def _is_line(text: str) -> bool:
    """Say whether a text begins with lines that hold an object each, rather than with a document over many lines."""
    first, more, _ = text.partition("\n")
    if first.startswith("["):  # a list, or the time or level at which a line of text was written
        return text[1:].lstrip()[:1] not in ("{", "[", "]", '"', "")
    if not first.removeprefix("{").strip():
        return False
    if more:
        return True
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return True  # a long line, or one that reading it finds fault with
    return not ("samples" in value and "eval" in value)  # a log of Inspect on one line


# ---------------------------------------------------------------------------------------------- JSON documents


def _entries(path: str, encoding: str, example: str, on_bad: OnBad) -> Rows:
    """Yield the rows of a JSON document, or of several that stand one after the other."""
    with opened(path) as file:
        text = read_at_most(file, path, MOST_DOCUMENT, "Write its rows as JSON lines: jq -c '.[]'").decode(
            encoding, "replace"
        )
    found = list(_values(path, text))
    rows = found if len(found) > 1 else _listed(path, found[0])
    for i, row in enumerate(rows):
        if isinstance(row, dict):
            yield f"{path}, entry {i}", row
            continue
        error = InputError(f"{path}, entry {i}: {snippet(row)}, not an object; expected entries like {example}.")
        if on_bad is None:
            raise error
        on_bad(error)


def _values(path: str, text: str) -> Iterator[Any]:
    decoder, at = json.JSONDecoder(parse_constant=refuse_constant), 0
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise InputError(
                f"{path}, line {error.lineno}: not JSON ({error.msg}, character {error.colno}). Correct the document."
            ) from None
        except (ValueError, RecursionError) as error:
            reason = "nested too deeply" if isinstance(error, RecursionError) else str(error).partition(";")[0]
            raise InputError(f"{path}: not usable JSON ({reason}). Write numbers and text plainly.") from None
        yield value
        while at < len(text) and text[at] in " \t\r\n":
            at += 1


def _listed(path: str, document: Any) -> list[Any]:
    """Return the list of rows that a document is or holds."""
    if isinstance(document, list):
        if not document:
            raise InputError(f"{path}: an empty list; expected one object per sample.")
        return document
    lists = [
        key
        for key, value in document.items()
        if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value)
    ]
    if "samples" in lists:  # of Inspect; what else it lists are no samples
        lists = ["samples"]
    if len(lists) == 1:
        return list(document[lists[0]])
    if not lists:
        return [document]  # one row over many lines
    named = ", ".join(map(snippet, lists[:5]))
    raise InputError(
        f"{path}: one JSON document with several lists of objects ({named}). Write the rows as lines, such as: jq -c "
        f"'.{lists[0]}[]' FILE > rows.jsonl."
    )


# ---------------------------------------------------------------------------------------------- tables


def _is_table(path: str, text: str) -> bool:
    """Say whether a text is a table: by the file's name, or as its first two lines have as many cells."""
    lines = text.splitlines()[:2]
    separator = _separator(lines[0])
    if separator not in lines[0]:
        return False
    if path.lower().removesuffix(".gz").endswith(_TABLES):
        return True
    names, *others = csv.reader(lines, delimiter=separator)
    return all(_NAME.fullmatch(name.strip()) for name in names) and [len(names)] == [len(cells) for cells in others]


def _separator(line: str) -> str:
    """Return what separates most cells."""
    return max(SEPARATORS, key=lambda one: len(next(csv.reader([line], delimiter=one), [])))


def _cells(path: str, encoding: str, text: str, on_bad: OnBad) -> Rows:
    """Yield the rows of a table with separators; the first line names the fields."""
    separator = _separator(text.partition("\n")[0])
    with opened(path) as file, io.TextIOWrapper(file, encoding, newline="") as stream:
        reader = csv.reader(stream, delimiter=separator)
        names = [name.strip() for name in next(_read(path, reader))]
        twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
        if twice is not None:
            raise InputError(f"{path}, line 1: two columns are called {snippet(twice)}. Rename one of them.")
        for cells in _read(path, reader):
            if not any(cells):
                continue  # an empty line
            place = f"{path}, line {reader.line_num}"
            if len(cells) == len(names):
                yield place, {name: cell or None for name, cell in zip(names, cells, strict=True) if name}
                continue
            error = InputError(
                f"{place}: {counted(len(cells), 'cell')}, but the first line names {len(names)}. Quote cells that hold "
                f"{separator!r}."
            )
            if on_bad is None:
                raise error
            on_bad(error)


def _read(path: str, reader: Any) -> Iterator[list[str]]:
    """Yield lists of cells; what is wrong with the file is one sentence."""
    while True:
        # The limit is one for the whole process, and other readers keep theirs.
        before = csv.field_size_limit()
        csv.field_size_limit(max(before, MOST_LINE))
        try:
            cells = next(reader)
        except StopIteration:
            return
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}, after line {reader.line_num}: not UTF-8 text (byte 0x{error.object[error.start]:02x}). Save "
                "the file as UTF-8."
            ) from None
        except csv.Error as error:
            raise InputError(f"{path}, line {reader.line_num}: no table ({error}). Correct the line.") from None
        except (EOFError, OSError) as error:
            raise InputError(f"{path}: damaged data after line {reader.line_num} ({error}). Copy it again.") from None
        finally:
            csv.field_size_limit(before)
        yield cells
