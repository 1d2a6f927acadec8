"""UBJSON, as XGBoost writes it: a reader that trusts nothing, and a writer.

Only what XGBoost's files use: objects, arrays (counted, or typed numbers), strings, integers, floats, booleans, null.
No count is believed before the bytes are there, nothing nests deeper than `DEEPEST`, and nothing runs.
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError

__all__ = ["read_ubjson", "write_ubjson"]

DEEPEST = 12
INTEGERS = {b"i": ">i1", b"U": ">u1", b"I": ">i2", b"l": ">i4", b"L": ">i8"}
NUMBERS = INTEGERS | {b"d": ">f4", b"D": ">f8"}
MARKS = {"int8": b"i", "uint8": b"U", "int16": b"I", "int32": b"l", "int64": b"L", "float32": b"d", "float64": b"D"}


class _Reader:
    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if size < 0 or end > len(self.data):
            raise InputError(f"byte {self.at}: {size:,} bytes are announced, {len(self.data) - self.at:,} are left.")
        piece = self.data[self.at : end]
        self.at = end
        return piece

    def number(self, mark: bytes) -> int | float:
        code = NUMBERS[mark]
        found: int | float = np.frombuffer(self.take(int(code[2])), code)[0].item()
        return found

    def count(self) -> int:
        mark = self.take(1)
        if mark not in INTEGERS:
            raise InputError(f"byte {self.at - 1}: {mark!r} stands where a length should.")
        return int(self.number(mark))

    def text(self) -> str:
        start = self.at
        try:
            return self.take(self.count()).decode("utf-8")
        except UnicodeDecodeError:
            raise InputError(f"byte {start}: a text is not UTF-8.") from None

    def value(self, depth: int) -> Any:
        if depth > DEEPEST:
            raise InputError(f"byte {self.at}: it nests deeper than {DEEPEST} levels.")
        mark = self.take(1)
        if mark in NUMBERS:
            return self.number(mark)
        if mark == b"{":
            found: dict[str, Any] = {}
            while self.data[self.at : self.at + 1] != b"}":
                name = self.text()
                if name in found:
                    raise InputError(f"byte {self.at}: {name!r} stands there twice.")
                found[name] = self.value(depth + 1)
            self.at += 1
            return found
        if mark == b"[":
            return self.array(depth)
        if mark in (b"S", b"C"):
            return self.text() if mark == b"S" else chr(self.take(1)[0])
        if mark in (b"T", b"F", b"Z"):
            return {b"T": True, b"F": False, b"Z": None}[mark]
        raise InputError(f"byte {self.at - 1}: {mark!r} begins no value.")

    def array(self, depth: int) -> Any:
        ahead = self.data[self.at : self.at + 1]
        if ahead == b"$":
            self.at += 1
            kind = self.take(1)
            if kind not in NUMBERS or self.take(1) != b"#":
                raise InputError(f"byte {self.at}: an array of the type {kind!r}, or without a length.")
            code = NUMBERS[kind]
            raw = self.take(self.count() * int(code[2]))
            return np.frombuffer(raw, code).astype(code.replace(">", "="))
        if ahead == b"#":
            self.at += 1
            count = self.count()
            if not 0 <= count <= len(self.data) - self.at:
                raise InputError(
                    f"byte {self.at}: an array of {count:,} values, {len(self.data) - self.at:,} bytes left."
                )
            return [self.value(depth + 1) for _ in range(count)]
        values = []
        while self.data[self.at : self.at + 1] != b"]":
            values.append(self.value(depth + 1))
        self.at += 1
        return values


def read_ubjson(data: bytes) -> Any:
    """Read one value, which must be all there is.

    Parameters
    ----------
    data : bytes

    Returns
    -------
    dict, list, str, int, float, bool, None or ndarray
        Typed arrays are ndarrays.

    Raises
    ------
    InputError
        With the byte where it goes wrong.
    """
    reader = _Reader(data)
    found = reader.value(0)
    if reader.at != len(data):
        raise InputError(f"byte {reader.at}: {len(data) - reader.at:,} bytes follow the end.")
    return found


def write_ubjson(value: Any) -> bytes:
    """Write dictionaries, lists, texts, integers and one-dimensional ndarrays, as XGBoost does."""
    parts: list[bytes] = []
    _write(value, parts)
    return b"".join(parts)


def _write(value: Any, parts: list[bytes]) -> None:
    if isinstance(value, dict):
        parts.append(b"{")
        for name, inner in value.items():
            parts.append(_text(name))
            _write(inner, parts)
        parts.append(b"}")
    elif isinstance(value, list):
        parts.append(b"[#L" + struct.pack(">q", len(value)))
        for inner in value:
            _write(inner, parts)
    elif isinstance(value, str):
        parts.append(b"S" + _text(value))
    elif isinstance(value, int):
        parts.append(b"L" + struct.pack(">q", value))
    else:
        parts.append(_typed(value))


def _typed(array: NDArray[Any]) -> bytes:
    mark = MARKS[array.dtype.name]
    return b"[$" + mark + b"#L" + struct.pack(">q", len(array)) + array.astype(NUMBERS[mark]).tobytes()


def _text(text: str) -> bytes:
    data = text.encode("utf-8")
    return b"L" + struct.pack(">q", len(data)) + data
