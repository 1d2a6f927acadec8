"""A writer of UBJSON, which XGBoost reads ten times as fast as JSON, for checked values."""

import struct
from typing import Any

from numpy.typing import NDArray

__all__ = ["write_ubjson"]

TYPES = {
    "uint8": (b"U", ">u1"),
    "int32": (b"l", ">i4"),
    "int64": (b"L", ">i8"),
    "float32": (b"d", ">f4"),
}


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
    mark, code = TYPES[array.dtype.name]
    return b"[$" + mark + b"#L" + struct.pack(">q", len(array)) + array.astype(code).tobytes()


def _text(text: str) -> bytes:
    data = text.encode("utf-8")
    return b"L" + struct.pack(">q", len(data)) + data
