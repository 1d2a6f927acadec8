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

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from tcalloc.errors import InputError
from tcalloc.llm.confidence import Confidence
from tcalloc.measure.actions import Action

__all__ = [
    "Always",
    "DecidedRun",
    "Draw",
    "Policy",
    "Result",
    "Run",
    "checked",
    "combine",
    "decided_by",
    "leading",
    "models_of",
    "unbeatable",
    "uniform",
]

Answer = TypeVar("Answer", bound=Hashable)


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


@dataclass(frozen=True, slots=True)
class Result:
    """One sample that was paid for.

    Parameters
    ----------
    answer : Hashable or None
        Equal answers count as votes for the same answer; None: no answer.
    cost : float
        What the sample cost.
    correct : bool, optional
        The verifier's mark; None if there is no verifier. Never the gold answer: a policy must not know that.
    score : float, optional
        The score of a reward model or a similar scorer.
    logprob : float, optional
        Sum of the log-probabilities of its tokens.
    tokens : int, optional
        Output tokens (or characters, if that is what was recorded).
    truncated : bool
        Whether it was cut off.
    confidence : Confidence, optional
        How sure the model was: `tcalloc.llm.confidence`.
    """

    answer: Hashable | None
    cost: float
    correct: bool | None = None
    score: float | None = None
    logprob: float | None = None
    tokens: int | None = None
    truncated: bool = False
    confidence: Confidence | None = None


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


def leading(votes: Mapping[Answer, int]) -> Answer | None:
    """Return the answer with the most votes; None if nothing voted.

    Ties go to the answer that came first: `votes` holds the answers in the order in which they came. As long as samples
    are exchangeable, this splits ties evenly.
    """
    return max(votes, key=lambda answer: votes[answer], default=None)


def unbeatable(votes: Sequence[int], missing: int) -> bool:
    """Return whether the leading answer keeps its lead whatever the missing samples say."""
    first, second = (*sorted(votes, reverse=True), 0, 0)[:2]
    return first - second > missing


def combine(action: Action, results: Iterable[Result]) -> tuple[Hashable | None, float]:
    """Return the answer that an action makes of its samples, and its share of the votes (with a verifier, its mark).

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
    votes = _votes(drawn)
    most = leading(votes)
    return most, 0.0 if most is None else votes[most] / len(drawn)


def _votes(results: Iterable[Result]) -> dict[Hashable, int]:
    """Return how often each answer came, in the order in which they came."""
    votes: dict[Hashable, int] = {}
    for result in results:
        if result.answer is not None:
            votes[result.answer] = votes.get(result.answer, 0) + 1
    return votes


def decided_by(action: Action, results: Sequence[Result], missing: int) -> bool:
    """Return whether an action's answer follows from these results, whatever the missing ones are.

    Parameters
    ----------
    action : Action
        What makes the answer of all of its samples.
    results : sequence of Result
        Those that came.
    missing : int
        How many have not come yet.
    """
    if action.by == "score":
        return False
    if action.combine == "best":
        return any(result.correct for result in results)
    return action.combine == "vote" and unbeatable(list(_votes(results).values()), missing)


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
        return self._action is not None and decided_by(self._action, results, missing)

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
