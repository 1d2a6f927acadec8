"""The arrays of the tables that ship."""

import io
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["arrays_of"]


def arrays_of(name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file of this package, read-only."""
    raw = (resources.files("tcalloc.datasets") / name).read_bytes()
    with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays
