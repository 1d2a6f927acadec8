"""Types of the compiled kernel; `_reference.py` has the same functions in NumPy."""

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

BLOCK: Final[int]
OK: Final[int]
NOT_FINITE: Final[int]
NEGATIVE: Final[int]
NO_MEMORY: Final[int]
CHANGED: Final[int]
USES_AVX2: Final[bool]

# float32 or float64
_Real: TypeAlias = NDArray[np.floating[Any]]
_Mask: TypeAlias = NDArray[np.uint8] | None
_Weights: TypeAlias = NDArray[np.float64] | None

def within(bits: NDArray[np.signedinteger[Any]], tiny: int, huge: int, signed: bool) -> bool: ...
def survey(values: _Real, available: _Mask, signed: bool) -> tuple[int, int, int, float, float]: ...
def decide_row(acc: NDArray[np.float64], cost: NDArray[np.float64], price: float) -> int: ...
def best_at(
    acc: _Real,
    cost: _Real,
    available: _Mask,
    weights: _Weights,
    price: float,
    start: int,
    stop: int,
    actions: NDArray[np.int32],
    sums: NDArray[np.float64] | None,
) -> int: ...
def scan(
    acc: _Real,
    cost: _Real,
    available: _Mask,
    weights: _Weights,
    lo: float,
    hi: float,
    slack_lo: float,
    slack_hi: float,
    start: int,
    stop: int,
    actions: NDArray[np.int32],
    sums: NDArray[np.float64],
    efficiency: NDArray[np.float64],
    row: NDArray[np.int64],
    hop: NDArray[np.int32],
    delta: NDArray[np.float64],
) -> int: ...
def walk(
    row: NDArray[np.int64],
    hop: NDArray[np.int32],
    delta: NDArray[np.float64],
    state: NDArray[np.float64],
    limit_hi: float,
    limit_lo: float,
    fill: int,
    actions: NDArray[np.int32],
) -> int: ...
def running(delta: NDArray[np.float64], path: NDArray[np.float64]) -> None: ...
