"""Types of the compiled kernel of stopping; `_reference_stopping.py` has the same functions in NumPy."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

OK: Final[int]
NO_MEMORY: Final[int]

def subsets(
    gold: NDArray[np.int32],
    silent: NDArray[np.int32],
    rivals: NDArray[np.int32],
    weight: NDArray[np.float64],
    dear: NDArray[np.float64],
    choose: NDArray[np.float64],
    mass: NDArray[np.float64],
    right: NDArray[np.float64],
    alone: NDArray[np.float64],
    going: NDArray[np.float64],
    outlay: NDArray[np.float64],
) -> int: ...
def induct(
    going: NDArray[np.float64],
    stop: NDArray[np.float64],
    up: NDArray[np.float64],
    side: NDArray[np.float64],
    cost: NDArray[np.float64],
    prices: NDArray[np.float64],
    waves: NDArray[np.int32],
    round_cost: float,
    pseudo: float,
    choice: NDArray[np.uint8],
    worth: NDArray[np.float64],
) -> int: ...
def follow(
    going: NDArray[np.float64],
    stop: NDArray[np.float64],
    up: NDArray[np.float64],
    side: NDArray[np.float64],
    cost: NDArray[np.float64],
    choice: NDArray[np.uint8],
    accuracy: NDArray[np.float64],
    spend: NDArray[np.float64],
    rounds: NDArray[np.float64],
) -> int: ...
