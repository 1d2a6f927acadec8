"""Lines of samples.jsonl: JSON objects that end in a checksum; see `tcalloc.measure.store`."""

import json
import os
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

__all__ = ["HEAD", "Damage", "damage_words", "dumps", "read_lines", "read_samples", "seal", "unseal"]

# A line ends in ,"crc":"0123abcd"} and a line feed.
_TAIL = len(b',"crc":"01234567"}')
# It begins with its key, so that what is there is known without parsing all of it.
_KEY = ("id", "sample", "params")
HEAD = re.compile(rb'\{"id":("(?:[^"\\]|\\.)*+"),"sample":(\d+),"params":"([^"\\]*)"[,}]')
# Lines that are parsed at one time: field names are shared within it, which halves time and memory.
_BATCH = 512


@dataclass(frozen=True, slots=True)
class Damage:
    """A line that does not hold what was written."""

    number: int
    offset: int
    text: bytes
    torn: bool


def seal(record: Mapping[str, Any]) -> bytes:
    """Return a record as one line with its checksum."""
    body = dumps({key: record[key] for key in _KEY} | dict(record))[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, zlib.crc32(body))


def unseal(line: bytes) -> bytes | None:
    """Return the object in a line without its line feed; None if the line is damaged."""
    body = line[:-_TAIL]
    whole = line[-_TAIL:] == b',"crc":"%08x"}' % zlib.crc32(body) and HEAD.match(body + b"}")
    return body + b"}" if whole else None


def read_lines(path: str, damaged: list[Damage]) -> Iterator[bytes]:
    """Yield the objects of a file's whole lines; collect what is damaged."""
    if not os.path.exists(path):
        return
    offset = 0
    with open(path, "rb", buffering=1 << 20) as file:
        for number, line in enumerate(file, 1):
            text = line.rstrip(b"\n")
            body = unseal(text)
            if body is not None:
                yield body
            elif text.strip():
                damaged.append(Damage(number, offset, text, torn=not line.endswith(b"\n")))
            offset += len(line)


def read_samples(path: str, damaged: list[Damage]) -> Iterator[dict[str, Any]]:
    """Yield the records of a file's whole lines; collect what is damaged."""
    lines = read_lines(path, damaged)
    while batch := list(islice(lines, _BATCH)):
        yield from json.loads(b"[" + b",".join(batch) + b"]")


def damage_words(path: str, damaged: list[Damage]) -> str:
    """Say what is damaged."""
    lines = ", ".join(str(damage.number) for damage in damaged[:5]) + (", ..." if len(damaged) > 5 else "")
    many = len(damaged) > 1
    return (
        f"{path}: {len(damaged)} damaged line{'s' * many} ({lines}) left out; "
        f"{'their samples count' if many else 'its sample counts'} as not drawn."
    )


def dumps(value: Mapping[str, Any]) -> bytes:
    """Return an object as JSON on one line."""
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can escape and UTF-8 cannot hold
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
