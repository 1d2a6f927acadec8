"""The one protocol of all policies: what a policy asks for, what comes back, and the run in between.

    run = policy.start(x)              # x: one row of X, a text or a vector of features
    while (draw := run.next()) is not None:
        run.add(pay_for(draw))         # draw.n results of draw.action, each with its cost
    run.answer, run.spend, run.vote_share

A policy that decides beforehand draws once; one that stops while sampling draws until the next sample is not worth its
cost. Whoever drives the run (the replay of recorded samples, a live client, a gateway) knows no kinds of policies, and
a policy sees nothing but what was paid for.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from tcalloc.errors import InputError
from tcalloc.measure.actions import Action

__all__ = ["Always", "DecidedRun", "Draw", "Policy", "Result", "Run", "checked", "combine", "leading", "uniform"]

Answer = TypeVar("Answer", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Draw:
    """What to pay for next.

    Parameters
    ----------
    action : Action
        Of which model and settings; its `samples` and `combine` are the policy's business.
    n : int
        How many samples.
    """

    action: Action
    n: int


@dataclass(frozen=True, slots=True)
class Result:
    """One sample that was paid for.

    Parameters
    ----------
    answer : Hashable or None
        Equal answers are one vote; None: no answer.
    cost : float
        What it cost.
    correct : bool, optional
        What the verifier says; None where there is none. Never the gold answer: a policy must not know that.
    score : float, optional
        Of a reward model or the like.
    logprob : float, optional
        Sum of its tokens' log-probabilities.
    tokens : int, optional
        Output tokens (or characters, where that is what was recorded).
    truncated : bool
        Whether it was cut off.
    """

    answer: Hashable | None
    cost: float
    correct: bool | None = None
    score: float | None = None
    logprob: float | None = None
    tokens: int | None = None
    truncated: bool = False


@runtime_checkable
class Run(Protocol):
    """One question under way."""

    def next(self) -> Draw | None:
        """Return what to draw next; None: it has ended."""

    def add(self, results: Sequence[Result]) -> None:
        """Take what came back of the last draw; fewer than asked for is allowed, none at all ends the run.

        Parameters
        ----------
        results : sequence of Result
            At most as many as `next` asked for.
        """

    @property
    def answer(self) -> Hashable | None:
        """The answer as of now; None: none."""

    @property
    def spend(self) -> float:
        """What was paid so far."""

    @property
    def vote_share(self) -> float:
        """The answer's share of the samples, in [0, 1]; by a verifier 1 or 0. It is no probability of being right."""


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
    """Return what a run was given to add; refuse what are no results.

    Raises
    ------
    InputError
        If it is not a sequence of `Result`.
    """
    found = list(results) if isinstance(results, Iterable) else [results]
    for result in found:
        if not isinstance(result, Result):
            raise InputError(
                f"add: {result!r} is no Result; expected a list such as [tcalloc.Result(answer='42', cost=1.0)]."
            )
    return found


def leading(votes: Mapping[Answer, int]) -> Answer | None:
    """Return the answer with the most votes, of equals the one that came first; None if nothing voted.

    `votes` holds the answers in the order in which they came. As long as samples are exchangeable, ties are split
    evenly by that.
    """
    return max(votes, key=lambda answer: votes[answer], default=None)


def combine(action: Action, results: Iterable[Result]) -> tuple[Hashable | None, float]:
    """Return the answer that an action makes of its samples, and its share of the votes (or its verifier's word).

    Ties go to the answer that came first; see `leading`.
    """
    drawn = list(results)
    answered = [result for result in drawn if result.answer is not None]
    if not answered:
        return None, 0.0
    if action.combine == "best":
        if action.by == "score":
            best = max(answered, key=lambda result: -np.inf if result.score is None else result.score)
            return best.answer, sum(result.answer == best.answer for result in answered) / len(drawn)
        right = next((result for result in answered if result.correct), None)
        return (answered[0].answer, 0.0) if right is None else (right.answer, 1.0)
    if action.combine == "one":
        return answered[0].answer, 1.0 / len(drawn)
    assert action.combine == "vote", action.combine  # a new kind of action needs an answer of its own
    votes: dict[Hashable, int] = {}
    for result in answered:
        votes[result.answer] = votes.get(result.answer, 0) + 1
    most = leading(votes)
    return most, votes[most] / len(drawn)


class DecidedRun:
    """The run of a policy that has decided: one draw.

    Parameters
    ----------
    action : Action or None
        What to do; None: nothing, the question is left without an answer.
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

    @property
    def answer(self) -> Hashable | None:
        """The answer as of now."""
        return None if self._action is None else combine(self._action, self._results)[0]

    @property
    def spend(self) -> float:
        """What was paid so far."""
        return sum(result.cost for result in self._results)

    @property
    def vote_share(self) -> float:
        """The answer's share of the samples."""
        return 0.0 if self._action is None else combine(self._action, self._results)[1]


@dataclass(frozen=True, slots=True)
class Always:
    """The policy that does the same for everyone."""

    action: Action
    """What it does."""

    def start(self, x: Any) -> DecidedRun:
        """Begin with one question, whatever it is."""
        return DecidedRun(self.action)


def uniform(seed: int, x: Any) -> float:
    """Return a number in [0, 1) that seed and question determine: the same question gets the same lot.

    Parameters
    ----------
    seed : int
        The policy's.
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
