"""Lines of samples.jsonl: JSON objects that end in a checksum; see `tcalloc.runs.store`."""

import contextlib
import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tcalloc._counts import agreeing, counted
from tcalloc._files import lines_of, parse_json, strict_json
from tcalloc.errors import InputError
from tcalloc.runs.records import SampleRecord, record_problem

__all__ = [
    "Damage",
    "damage_words",
    "dumps",
    "read_complete",
    "read_keys",
    "read_lines",
    "read_samples",
    "refuse_foreign_lines",
    "seal",
    "unseal",
]

# A line ends in ,"crc":"0123abcd"} and a line feed.
_TAIL = len(b',"crc":"01234567"}')
# It begins with its key, so that what is there is known without parsing all of it.
_KEY = ("id", "sample", "params")
HEAD = re.compile(rb'\{"id":("(?:[^"\\]|\\.)*+"),"sample":(\d+),"params":"([^"\\]*)"[,}]')
# Lines that are parsed at one time: field names are shared within it, which halves time and memory.
_BATCH, _BATCH_BYTES = 512, 1 << 22
_MOST_DAMAGED = 100_000
_REMEDY = "The file was changed; restore it, or take it out of the folder."
_decode = json.JSONDecoder().decode


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that does not hold what was written."""

    number: int
    offset: int
    size: int
    torn: bool
    foreign: bool
    """Whether it is a whole JSON object without a checksum: somebody else's, not damaged."""


def seal(record: Mapping[str, Any]) -> bytes:
    """Return a record as one line with its checksum."""
    body = dumps({key: record[key] for key in _KEY} | dict(record))[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def unseal(line: bytes) -> bytes | None:
    """Return the object in a line without its line feed; None if the line is damaged."""
    body = line[:-_TAIL]
    whole = line[-_TAIL:] == b',"crc":"%08x"}' % zlib.crc32(body) and HEAD.match(body + b"}")
    return body + b"}" if whole else None


def read_lines(path: str, damaged: list[Damage]) -> Iterator[tuple[int, bytes]]:
    """Yield number and object of a file's whole lines; collect what is damaged."""
    if not os.path.lexists(path):
        return
    offset = 0
    for number, line in enumerate(lines_of(path), 1):
        text = line.rstrip(b"\n")
        body = unseal(text)
        if body is not None:
            yield number, body
        elif text.strip():
            if len(damaged) == _MOST_DAMAGED:
                raise InputError(f"{path}: more than {_MOST_DAMAGED:,} damaged lines. {_REMEDY}")
            damaged.append(Damage(number, offset, len(text), not line.endswith(b"\n"), _foreign(text)))
        offset += len(line)


def read_keys(path: str, damaged: list[Damage]) -> Iterator[tuple[str, int, str]]:
    """Yield id, sample and params of a file's whole lines without parsing all of them; collect what is damaged.

    Raises
    ------
    InputError
        If a line holds another key than tcalloc writes.
    """
    for number, body in read_lines(path, damaged):
        head = HEAD.match(body)
        assert head is not None  # of unseal
        key: dict[str, Any] = {"id": None, "sample": None, "params": None}
        with contextlib.suppress(ValueError):
            key = strict_json(head[0][:-1] + b"}")
        if (problem := record_problem(key)) is not None:
            raise InputError(f"{path}, line {number}: {problem}. {_REMEDY}")
        yield key["id"], key["sample"], key["params"]


def read_samples(path: str, damaged: list[Damage]) -> Iterator[SampleRecord]:
    """Yield the records of a file's whole lines; collect what is damaged.

    Raises
    ------
    InputError
        If a line holds something else than a sample, values of a wrong type included.
    """
    for _, record in _numbered(path, damaged):
        yield record


def read_complete(path: str, names: Sequence[str]) -> Iterator[SampleRecord]:
    """Yield the records of a file's whole lines, each with the fields that are needed.

    Parameters
    ----------
    path : str
        The file.
    names : sequence of str
        The fields; ``text`` may not be null.

    Raises
    ------
    InputError
        If a record lacks one, and as of `read_samples`.
    """
    for number, record in _numbered(path, []):
        for name in names:
            if name not in record or (name == "text" and record.get("text") is None):
                raise InputError(
                    f"{path}, line {number}: the sample has no {name}, which is needed here. Restore the file, or "
                    "name another folder."
                )
        yield record


def _numbered(path: str, damaged: list[Damage]) -> Iterator[tuple[int, SampleRecord]]:
    """Yield number and record of a file's whole lines; collect what is damaged."""
    size = 0
    batch: list[tuple[int, bytes]] = []
    for line in read_lines(path, damaged):
        batch.append(line)
        size += len(line[1])
        if len(batch) == _BATCH or size >= _BATCH_BYTES:
            yield from _records(path, batch)
            batch, size = [], 0
    yield from _records(path, batch)


def _records(path: str, batch: list[tuple[int, bytes]]) -> list[tuple[int, SampleRecord]]:
    """Parse some lines together, which shares their field names; one by one to find what is wrong."""
    try:
        records: list[Any] = _decode((b"[" + b",".join(body for _, body in batch) + b"]").decode())
    except (ValueError, RecursionError):
        records = []
    if len(records) != len(batch):
        records = [parse_json(body, f"{path}, line {number}") for number, body in batch]
    numbered = [(number, record) for (number, _), record in zip(batch, records, strict=True)]
    for number, record in numbered:
        if (problem := record_problem(record)) is not None:
            raise InputError(f"{path}, line {number}: {problem}. {_REMEDY}")
    return numbered


def _foreign(text: bytes) -> bool:
    try:
        value = strict_json(text)
    except ValueError:
        return False
    return isinstance(value, dict) and "crc" not in value


def refuse_foreign_lines(path: str, damaged: list[Damage]) -> None:
    """Refuse lines that are not damaged, but somebody else's.

    Raises
    ------
    InputError
        Naming the first such line.
    """
    for damage in damaged:
        if damage.foreign:
            raise InputError(
                f"{path}, line {damage.number}: a line without a checksum, which tcalloc did not write. {_REMEDY} "
                "tcalloc import reads samples of others."
            )


def damage_words(path: str, damaged: list[Damage]) -> str:
    """Return a sentence that says which lines are damaged."""
    lines = ", ".join(str(damage.number) for damage in damaged[:5]) + (", ..." if len(damaged) > 5 else "")
    n = len(damaged)
    return (
        f"{path}: {counted(n, 'damaged line')} ({lines}) left out; "
        f"{agreeing(n, 'its sample counts', 'their samples count')} as not drawn."
    )


def dumps(value: Mapping[str, Any]) -> bytes:
    """Return an object as JSON on one line."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can escape and UTF-8 cannot hold
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
