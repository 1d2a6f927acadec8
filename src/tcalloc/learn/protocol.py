"""The one protocol of all policies: what a policy asks for, what it gets back, and the run in between.

    run = policy.start(x)              # x: one row of X, a text or a vector of features
    while (draw := run.next()) is not None:
        run.add(pay_for(draw))         # draw.n results of draw.action, each with its cost
    run.answer, run.spend, run.vote_share

A policy that decides before sampling draws once. A policy that stops while sampling draws until the next sample is not
worth its cost. The code that drives a run (replay of recorded samples, a live client, a gateway) handles all policies
alike, and a policy sees nothing but what was paid for.

A run may also have ``settled(results, missing)``: whether the results of its draw that came so far are enough, so that
the others need not be waited for.

A policy with ``quick = True`` promises to decide by computing alone, in about a millisecond. Live, it is then asked
where the requests run, because waking a thread would take longer.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tcalloc.errors import InputError
from tcalloc.measure.actions import Action
from tcalloc.measure.kinds import Result

__all__ = [
    "Always",
    "DecidedRun",
    "Draw",
    "Policy",
    "Result",
    "Run",
    "checked",
    "models_of",
    "uniform",
]


@dataclass(frozen=True, slots=True)
class Draw:
    """The samples to pay for next.

    Parameters
    ----------
    action : Action
        The model and settings to sample from. Its `samples` and `combine` concern only the policy.
    n : int
        How many samples to draw.
    """

    action: Action
    n: int


@runtime_checkable
class Run(Protocol):
    """One question that is being answered."""

    def next(self) -> Draw | None:
        """Return what to draw next; None: the run has ended."""

    def add(self, results: Sequence[Result]) -> None:
        """Take the results of the last draw. Fewer than asked for is allowed; none at all ends the run.

        Parameters
        ----------
        results : sequence of Result
            At most as many as `next` asked for.
        """

    @property
    def answer(self) -> Hashable | None:
        """The answer so far; None: there is none."""

    @property
    def spend(self) -> float:
        """What was paid so far."""

    @property
    def vote_share(self) -> float:
        """The share of the samples that gave the answer, in [0, 1]; with a verifier 1 or 0.

        It is not a probability of being right.
        """


@runtime_checkable
class Policy(Protocol):
    """Anything that starts runs."""

    def start(self, x: Any) -> Run:
        """Begin with one question.

        Parameters
        ----------
        x : str, vector or mapping
            One row of X.
        """


def checked(results: Any) -> list[Result]:
    """Return the results that a run was given, as a list.

    Raises
    ------
    InputError
        If they are not a sequence of `Result`.
    """
    found = list(results) if isinstance(results, Iterable) else [results]
    for result in found:
        if not isinstance(result, Result):
            raise InputError(
                f"add: {result!r} is no Result; expected a list such as [tcalloc.Result(answer='42', cost=1.0)]."
            )
    return found


class DecidedRun:
    """The run of a policy that has decided: one draw.

    Parameters
    ----------
    action : Action or None
        What to do; None: leave the question without an answer.
    """

    __slots__ = ("_action", "_asked", "_results")

    def __init__(self, action: Action | None):
        self._action = action
        self._asked = action is None
        self._results: list[Result] = []

    def next(self) -> Draw | None:
        """Return the one draw, then None."""
        if self._asked or self._action is None:
            return None
        self._asked = True
        return Draw(self._action, self._action.samples)

    def add(self, results: Sequence[Result]) -> None:
        """Take what came back."""
        if not self._asked:
            raise InputError("add: nothing was drawn yet. Call next() first.")
        self._results.extend(checked(results))

    def settled(self, results: Sequence[Result], missing: int) -> bool:
        """Return whether these results decide the answer, whatever the missing ones are.

        Parameters
        ----------
        results : sequence of Result
            Those of the draw that came so far.
        missing : int
            How many have not come yet.
        """
        return self._action is not None and self._action.kind.decided(results, missing)

    @property
    def answer(self) -> Hashable | None:
        """The answer as of now."""
        return None if self._action is None else self._action.kind.answer(self._results)[0]

    @property
    def spend(self) -> float:
        """What was paid so far."""
        return sum(result.cost for result in self._results)

    @property
    def vote_share(self) -> float:
        """The answer's share of the samples."""
        return 0.0 if self._action is None else self._action.kind.answer(self._results)[1]


@dataclass(frozen=True, slots=True)
class Always:
    """The policy that does the same for every question."""

    action: Action
    """What it does."""

    @property
    def quick(self) -> bool:
        """Whether it decides in about a millisecond, by computing alone."""
        return True

    def start(self, x: Any) -> DecidedRun:
        """Begin with one question; the question is not looked at."""
        return DecidedRun(self.action)


def models_of(policy: Any) -> set[str]:
    """Return the models that a policy is known to choose between."""
    actions = getattr(policy, "actions_", None) or ()
    named = [action.model for action in actions if action is not None]
    return {name for name in (*named, *getattr(policy, "arms_", ())) if name}


def uniform(seed: int, x: Any) -> float:
    """Return a random number in [0, 1) that depends on the seed and the question alone.

    Parameters
    ----------
    seed : int
        The policy's random seed.
    x : str or array_like
        The question's text, or its features.
    """
    data = x.encode("utf-8", "surrogatepass") if isinstance(x, str) else _bytes(x)
    return int.from_bytes(sha256(b"%d\0" % seed + data).digest()[:7], "big") / (1 << 56)


def _bytes(x: Any) -> bytes:
    row = np.atleast_1d(np.asarray(x))
    if row.dtype.kind in "bifu":
        return row.astype("<f8").tobytes()
    return "\0".join(str(value) for value in row.ravel()).encode("utf-8", "surrogatepass")
