"""Arrays to bytes and back (NPZ, without compression and pickle). Sizes are checked before memory is taken."""

import ast
import io
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError

__all__ = ["finite", "part_of", "read_arrays", "with_prefix", "write_arrays"]

Value = TypeVar("Value")

KINDS = re.compile(r"[<|]([fiub][1248]|U[0-9]{1,6})")
_NAME = re.compile(r"[A-Za-z0-9_.\-/]{1,200}")


def write_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return arrays of finite numbers and of texts as the bytes of an NPZ file.

    Raises
    ------
    InputError
        If an array holds anything else.
    """
    ready: dict[str, Any] = {}
    for name, value in arrays.items():
        array = np.asarray(value)
        if array.dtype.kind in "OT" and array.size and all(isinstance(cell, str) for cell in array.ravel().tolist()):
            array = array.astype(np.str_)
        array = array.astype(array.dtype.newbyteorder("<"))
        if not KINDS.fullmatch(array.dtype.str) or not _NAME.fullmatch(name):
            raise InputError(
                f"the array {name!r} of type {array.dtype} cannot be saved without pickle; numbers, booleans and texts "
                "can."
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise InputError(f"the array {name!r} holds a value that is not finite.")
        ready[name] = np.ascontiguousarray(array) if array.ndim else array
    file = io.BytesIO()
    np.savez(file, **ready)  # no allow_pickle: before NumPy 2.1 that would be one more array
    return file.getvalue()


def read_arrays(data: bytes, file: str) -> dict[str, NDArray[Any]]:
    """Read what `write_arrays` wrote.

    Parameters
    ----------
    data : bytes
    file : str
        The name of the file in messages.

    Returns
    -------
    dict of str to ndarray
        Arrays of finite values.

    Raises
    ------
    InputError
        If the file is damaged; the message names the file and the problem.
    """
    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                name = member.filename.removesuffix(".npy")
                if name in found or not _NAME.fullmatch(name) or not member.filename.endswith(".npy"):
                    raise InputError(
                        f"the member {member.filename[:80]!r} has a name that is not allowed, or occurs twice."
                    )
                # Without compression no member is larger than the file, so a small file cannot expand into a huge one.
                if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                    raise InputError(f"the array {name!r} is compressed.")
                found[name] = _array(archive.read(member), name)
    except InputError as error:
        raise InputError(f"{file}: {error}") from None
    except (zipfile.BadZipFile, zlib.error, struct.error, ValueError, OSError, EOFError, NotImplementedError,
            RuntimeError, KeyError, MemoryError, OverflowError) as error:  # fmt: skip
        raise InputError(f"{file}: not an NPZ file that can be read: {error}") from None
    return found


def _array(data: bytes, name: str) -> NDArray[Any]:
    """Read one NPY file of version 1 or 2: no objects, and exactly as many bytes as its header says."""
    if data[:6] != b"\x93NUMPY" or data[6:8] not in (b"\x01\x00", b"\x02\x00"):
        raise InputError(f"the array {name!r} is not in NPY format.")
    wide = 2 if data[6] == 1 else 4
    start = 8 + wide
    end = start + int.from_bytes(data[8:start], "little")
    if end - start > 10_000:
        raise InputError(f"the array {name!r} has a header of {end - start:,} bytes.")
    try:
        header = ast.literal_eval(data[start:end].decode("latin-1").strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        header = None
    if not isinstance(header, dict) or set(header) != {"descr", "fortran_order", "shape"}:
        raise InputError(f"the array {name!r} has a header that cannot be read.")
    code, shape = header["descr"], header["shape"]
    if not isinstance(code, str) or not KINDS.fullmatch(code) or code in ("<f1", "|f1"):
        raise InputError(
            f"the array {name!r} is of the type {str(code)[:40]}; allowed are numbers, booleans and texts."
        )
    dtype = np.dtype(code)
    fine = isinstance(shape, tuple) and len(shape) <= 4 and all(type(n) is int and n >= 0 for n in shape)
    if not fine or math.prod(shape) * dtype.itemsize != len(data) - end or (dtype.itemsize == 0 and math.prod(shape)):
        raise InputError(f"the array {name!r} has the shape {str(shape)[:40]}, which its bytes do not fill.")
    raw = np.frombuffer(data, np.uint8 if dtype.kind == "b" else dtype, offset=end)
    if dtype.kind == "b":
        if (raw > 1).any():
            raise InputError(f"the array {name!r} holds a truth value that is neither 0 nor 1.")
        raw = raw.astype(np.bool_)
    if dtype.kind == "U" and (np.frombuffer(data, "<u4", offset=end) > 0x10FFFF).any():
        raise InputError(f"the array {name!r} holds an invalid character.")
    if dtype.kind == "f" and not np.isfinite(raw).all():
        raise InputError(f"the array {name!r} holds a number that is not finite.")
    made = raw.reshape(shape, order="F" if header["fortran_order"] is True else "C")
    return made.astype(dtype.newbyteorder("="), order="K") if not made.flags.writeable else made


# ---------------------------------------------------------------------------------------------- parts


def with_prefix(prefix: str, found: Mapping[str, Value]) -> dict[str, Value]:
    """Return what a part of a policy saves, by names that begin with that of the part."""
    return {prefix + name: value for name, value in found.items()}


def part_of(prefix: str, found: Mapping[str, Value]) -> dict[str, Value]:
    """Return what `with_prefix` put among other parts, by its own names."""
    return {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}


def finite(arrays: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return an array that was read.

    Raises
    ------
    InputError
        If it does not hold finite numbers of that shape.
    """
    array = np.asarray(arrays[name], np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise InputError(f"{name}: expected finite numbers of shape {shape}, found shape {array.shape}.")
    return array
