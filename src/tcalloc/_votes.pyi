"""Types of the compiled kernel of votes; `_reference_votes.py` has the same functions in NumPy."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

OK: Final[int]
NO_MEMORY: Final[int]

def hypergeometric(
    gold: NDArray[np.int32],
    silent: NDArray[np.int32],
    rivals: NDArray[np.int32],
    ks: NDArray[np.int32],
    choose: NDArray[np.float64],
    start: int,
    stop: int,
    out: NDArray[np.float64],
) -> int: ...
def multinomial(
    gold: NDArray[np.float64],
    silent: NDArray[np.float64],
    rivals: NDArray[np.float64],
    ks: NDArray[np.int32],
    start: int,
    stop: int,
    out: NDArray[np.float64],
) -> int: ...
