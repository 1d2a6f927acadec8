"""Fixed k: the same number of samples for every question; and the same with a stop at the first success."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.replay.all_orders import States
from tcalloc.learn.rivals.counting import BEST, VOTE, Counting, check_common
from tcalloc.measure.actions import Action

__all__ = ["FixedK", "SuccessStop"]


@dataclass(frozen=True, slots=True)
class FixedK(Counting):
    """Draw k samples, all at once (Wang et al. 2023, self-consistency, if they vote).

    Parameters
    ----------
    cap : int
        k; 0 leaves every question without an answer.
    action : Action
        The model to sample from.

    Examples
    --------
    >>> from tcalloc.learn.rivals import FixedK
    >>> FixedK(3).start("Which?").next().n
    3
    """

    cap: int = 1
    action: Action = VOTE

    def __post_init__(self) -> None:
        check_common(self, least=0)

    def measure(self, states: States) -> NDArray[np.float64]:
        """Return 0 everywhere: only the cap stops it.

        Parameters
        ----------
        states : States
            Counts of the votes of M runs.
        """
        return np.zeros(len(states))

    def batch(self, states: States) -> NDArray[np.int64]:
        """Return the number of samples left of k.

        Parameters
        ----------
        states : States
            Counts of the votes of M runs.
        """
        return self.cap - states.n


@dataclass(frozen=True, slots=True)
class SuccessStop(Counting):
    """Draw up to k samples, one after the other, and stop at the first that the verifier accepts.

    For one model with exchangeable samples and nothing known about the question, no rule spends less for the same
    success rate: a failure says the same about every question with as many failures.

    Parameters
    ----------
    cap : int
        k; 0 leaves every question without an answer.
    action : Action
        The model to sample from.
    """

    cap: int = 1
    action: Action = BEST

    def __post_init__(self) -> None:
        check_common(self, least=0)

    def measure(self, states: States) -> NDArray[np.float64]:
        """Return 1 if an accepted sample was found.

        Parameters
        ----------
        states : States
            Counts of the votes of M runs.
        """
        return states.success.astype(np.float64)
