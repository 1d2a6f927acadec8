"""ESC, early-stopping self-consistency (Li et al. 2024, arXiv 2401.10480): stop at a window of equal answers.

Samples are drawn in windows of w at once. When all answers in a window are the same (its entropy is 0), sampling
stops. Otherwise the next window is drawn, up to the cap. The answer is the majority of all samples drawn. Window and
cap are the two parameters of the paper's control scheme. A window with a sample without an answer is not unanimous.
"""

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import whole
from tcalloc.learn.replay.all_orders import States
from tcalloc.learn.rivals.counting import VOTE, Counting, check_common
from tcalloc.measure.actions import Action

__all__ = ["ESC"]


@dataclass(frozen=True, slots=True)
class ESC(Counting):
    """Sample windows until one is unanimous.

    Parameters
    ----------
    window : int
        Samples per window; the paper takes 5 (8 on MATH). 1 stops after the first answer.
    cap : int
        The largest number of samples; the last window is cut off there.
    action : Action
        The model to sample from.
    """

    window: int = 5
    cap: int = 40
    action: Action = VOTE

    def __post_init__(self) -> None:
        check_common(self)
        object.__setattr__(self, "window", whole("window", self.window, 1))

    @property
    def key(self) -> Hashable:
        """One measure per window."""
        return self.window

    def measure(self, states: States) -> NDArray[np.float64]:
        """Return 1 at the end of a window whose answers were all the same.

        Parameters
        ----------
        states : States
            Counts of the votes of M runs.
        """
        unanimous = (states.n % self.window == 0) & (states.streak >= self.window)
        return np.asarray(unanimous, np.float64)

    def batch(self, states: States) -> NDArray[np.int64]:
        """Return the number of samples left in the window.

        Parameters
        ----------
        states : States
            Counts of the votes of M runs.
        """
        return self.window - states.n % self.window
