"""The base class of the rivals: they look only at counts of votes, and stop when a number reaches a threshold."""

from collections.abc import Hashable, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import whole
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Draw, Result, checked
from tcalloc.learn.replay.all_orders import TOP, States
from tcalloc.measure.actions import Action, Best
from tcalloc.measure.kinds import leading, unbeatable

__all__ = ["BEST", "VOTE", "Counting", "CountingRun", "check_common"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# The samples of one model, combined by vote or by verifier.
VOTE, BEST = Action(), Best(1)


class Counting:
    """A policy that stops when a measure of the counts reaches a threshold, or at its cap.

    One definition serves both ways of running it. Live or metered, it sees one sample after the other (`start`); in a
    replay, it sees all prefixes of many orders at once (`tcalloc.learn.replay.all_orders.Paths`). Subclasses are frozen
    dataclasses with the fields `cap` and `action`.
    """

    cap: int
    action: Action

    @property
    def quick(self) -> bool:
        """Whether it decides in about a millisecond, by computing alone."""
        return True

    @property
    def threshold(self) -> float:
        """The rule stops when the measure is at least this."""
        return 1.0

    @property
    def key(self) -> Hashable:
        """The settings that `measure` reads besides the state. It is computed once for each value of them."""
        return None

    def measure(self, states: States) -> Floats:
        """Return the number that is compared with the threshold, (M,).

        Parameters
        ----------
        states : States
            Counts of the votes of M runs.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define its measure.")

    def batch(self, states: States) -> Ints:
        """Return how many samples to draw at once, (M,): one, unless the rule cannot stop before more are drawn.

        Parameters
        ----------
        states : States
            Counts of the votes of M runs.
        """
        return np.ones(len(states), np.int64)

    def vote_share(self, states: States) -> float:
        """Return the leader's share of the samples in one state; with a verifier 1 or 0.

        Parameters
        ----------
        states : States
            Counts of the votes of M runs.
        """
        if states.success[0]:
            return 1.0
        return float(states.counts[0, 0] / states.n[0]) if states.n[0] and not self._verified else 0.0

    @property
    def _verified(self) -> bool:
        return "verifier" in self.action.kind.needs

    def start(self, x: Any) -> "CountingRun":
        """Begin with one question, whatever it is: a rule of counts knows nothing before sampling.

        Parameters
        ----------
        x : any
            The question, which is not looked at.
        """
        return CountingRun(self)


class CountingRun:
    """The run of one question by a rule of counts.

    Parameters
    ----------
    policy : Counting
        The rule.
    """

    __slots__ = ("_asked", "_ended", "_first", "_last", "_n", "_policy", "_streak", "_verified", "_votes", "spend")

    def __init__(self, policy: Counting):
        self._policy = policy
        self._votes: dict[Hashable, int] = {}
        self._n = self._streak = 0
        self._first: Hashable | None = None
        self._last: Hashable | None = None
        self._verified: Hashable | None = None
        self._asked = self._ended = False
        self.spend = 0.0
        """What was paid so far."""

    def next(self) -> Draw | None:
        """Return what to draw next; None: the run has ended."""
        left = self._policy.cap - self._n
        if self._ended or self._asked or left <= 0:
            return None
        state = self._state()
        if self._n and self._policy.measure(state)[0] >= self._policy.threshold:
            return None
        self._asked = True
        return Draw(self._policy.action, min(max(int(self._policy.batch(state)[0]), 1), left))

    def add(self, results: Sequence[Result]) -> None:
        """Take the results of the last draw; an empty list ends the run.

        Parameters
        ----------
        results : sequence of Result
            At most as many as `next` asked for.
        """
        if not self._asked:
            raise InputError("add: nothing was asked for. Call next() first.")
        results = checked(results)
        self._asked = False
        self._ended = not results
        for result in results:
            self._n += 1
            self.spend += result.cost
            if result.answer is None:
                self._streak, self._last = 0, None
                continue
            self._streak = self._streak + 1 if self._streak and result.answer == self._last else 1
            self._last = result.answer
            if self._first is None:
                self._first = result.answer
            if result.correct and self._verified is None:
                self._verified = result.answer
            self._votes[result.answer] = self._votes.get(result.answer, 0) + 1

    def settled(self, results: Sequence[Result], missing: int) -> bool:
        """Return whether these results of the draw end the run, or decide its answer whatever the missing ones are.

        Parameters
        ----------
        results : sequence of Result
            Those that came so far.
        missing : int
            How many have not come yet.
        """
        trial = copy(self)
        trial._votes = dict(self._votes)
        trial.add(results)
        if trial.next() is None:
            return True
        last = trial._n + missing >= self._policy.cap and "answers" in self._policy.action.kind.needs
        return last and trial._verified is None and unbeatable(list(trial._votes.values()), missing)

    @property
    def answer(self) -> Hashable | None:
        """The verified answer if there is one; otherwise the answer with the most votes (on a tie, the earliest)."""
        if self._verified is not None:
            return self._verified
        if self._policy._verified:
            return self._first
        return leading(self._votes)

    @property
    def vote_share(self) -> float:
        """The answer's share of the samples; with a verifier 1 or 0."""
        return self._policy.vote_share(self._state())

    def _state(self) -> States:
        top = sorted(self._votes.values(), reverse=True)[:TOP]
        values = [self._n, sum(self._votes.values()), len(self._votes), self._streak]
        n, voted, distinct, streak = (np.array([value], np.int64) for value in values)
        counts = np.array([top + [0] * (TOP - len(top))], np.int64)
        return States(n, voted, counts, distinct, streak, np.array([self._verified is not None]))


def check_common(policy: Any, least: int = 1) -> None:
    """Check the fields that all rivals have."""
    object.__setattr__(policy, "cap", whole("cap", policy.cap, least))
    if not isinstance(policy.action, Action):
        raise InputError(f"action is {policy.action!r}; expected an action, such as Vote(1, model='small').")
    if policy.action.kind.shown_as is None:
        raise InputError(
            f"action is {policy.action!r}, whose answer does not follow from counts; expected a vote, such as Vote(1), "
            "or a verifier's choice, such as Best(1)."
        )
