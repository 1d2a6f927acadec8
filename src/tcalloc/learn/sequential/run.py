"""The run of one question, live or metered."""

import time
from collections.abc import Callable, Hashable, Sequence
from copy import copy
from reprlib import Repr
from typing import Any

import numpy as np

from tcalloc._counts import agreeing, counted
from tcalloc._printing import cleaned
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Draw, Result, checked
from tcalloc.learn.sequential.live_results import accepted
from tcalloc.learn.sequential.rules.families import Family, affordable
from tcalloc.learn.sequential.settings import Settings
from tcalloc.learn.sequential.states.sample_features import Reading
from tcalloc.learn.sequential.states.state import Evidence
from tcalloc.measure.actions import Action

__all__ = ["SequentialRun"]

SHORT = Repr()
SHORT.maxstring = SHORT.maxother = 60


class SequentialRun:
    """The run of a `Sequential` policy on one question.

    Parameters
    ----------
    settings : Settings
        Those of the policy: what determines the answer, the most samples of each model, and what they cost at most.
    reading : Reading
        How to read the features of results.
    family, setting : Family, int
        The rule.
    actions : tuple of Action
        The action of a draw from each model.
    predictions : ndarray, (1, T), or None
        The predictions for the question.
    limit : float
        The most that the question may cost; nothing is drawn that could exceed it.
    deadline : float or None
        Seconds from now after which nothing more is drawn.
    believing : callable or None
        Maps the samples of each model and the two highest counts to the probability that the answer is right.
    """

    def __init__(
        self,
        settings: Settings,
        reading: Reading,
        family: Family,
        setting: int,
        actions: tuple[Action, ...],
        predictions: Any,
        limit: float,
        deadline: float | None,
        believing: Callable[[Any, Any, Any], float] | None,
    ):
        self._settings, self._combine = settings, settings.combine
        self._reading, self._actions = reading, actions
        self._family, self._setting = family, np.array([setting])
        self._limit, self._believing = limit, believing
        self._until = None if deadline is None else time.monotonic() + deadline
        self._evidence = Evidence(1, len(actions), len(reading.features), predictions=predictions)
        self._codes: dict[Hashable, int] = {}
        self._labels: list[Hashable] = []
        self._tally: list[float] = []  # the weight of each label's votes
        self._asked: tuple[int, int] | None = None
        self._ended = False
        self._spend = 0.0
        self._rounds = 0
        self._voted = 0

    def next(self) -> Draw | None:
        """Return what to draw next; None: another sample is not worth its cost, cannot be paid, or comes too late."""
        if self._ended or self._asked is not None:
            return self._again()
        seen = self._evidence
        late = self._until is not None and time.monotonic() >= self._until
        if late or (self._combine == "verifier" and seen.success[0]):
            self._ended = True
            return None
        at = tuple(int(n) for n in seen.n)
        first, second = seen.top_two()
        # In the precision of the recorded states on which the rule was learned and judged.
        x = None if self._family.blind else seen.describe().astype(np.float32)
        choice = int(self._family.choose(at, x, first, second, self._setting)[0, 0])
        if choice:
            move = self._family.moves[choice - 1]
            settings = self._settings
            n = min(move.samples, settings.caps[move.arm] - at[move.arm])
            if self._limit < np.inf:
                most = float(settings.highest_cost[move.arm]), float(settings.highest_round_cost[move.arm])
                n = min(n, int(affordable(self._limit - self._spend, *most)))
            if n > 0:
                self._asked = (move.arm, n)
                return self._again()
        self._ended = True
        return None

    def _again(self) -> Draw | None:
        """Return the open draw; asking twice changes nothing."""
        return None if self._asked is None else Draw(self._actions[self._asked[0]], self._asked[1])

    def add(self, results: Sequence[Result]) -> None:
        """Take the results of the last draw.

        Raises
        ------
        InputError
            If nothing was asked for, there are more results than asked for, or a result is not allowed. It may have a
            cost that is not finite, an answer that cannot be hashed, or no verifier's mark or score where these decide.
            The run is then unchanged, and correct results can be added.
        """
        results = checked(results)
        if self._asked is None:
            raise InputError("add: nothing was drawn. Call next() first; None means that the run has ended.")
        arm, n = self._asked
        if len(results) > n:
            raise InputError(
                f"add: {counted(len(results), 'result')} came back, but {n} {agreeing(n, 'was', 'were')} drawn."
            )
        came = accepted(results, self._combine, self._reading.unscored)
        self._asked = None
        if not came:
            self._ended = True
            return
        self._rounds += 1
        for result in came:
            code = -1
            if result.answer is not None:
                code = self._codes.setdefault(result.answer, len(self._labels))
                if code == len(self._labels):
                    self._labels.append(result.answer)
                    self._tally.append(0.0)
            features = self._reading.of_result(result, arm)
            weight = self._reading.weights(features, arm, self._family.weighted)
            name = np.array([code])
            self._evidence.add(
                arm,
                self._reading.codes(name),
                features[None],
                np.atleast_1d(weight),
                np.array([bool(result.correct)]) if self._combine == "verifier" else None,
                np.array([np.nan if result.score is None else result.score]) if self._combine == "score" else None,
                name,
            )
            if code >= 0:
                self._tally[code] += float(weight)
                self._voted += 1
            self._spend += result.cost

    def settled(self, results: Sequence[Result], missing: int) -> bool:
        """Return whether the rule would end with these results, or ends with the same answer whatever the others are.

        Parameters
        ----------
        results : sequence of Result
            Those of the draw under way that came so far.
        missing : int
            How many have not come yet.
        """
        trial = copy(self)
        trial._evidence, trial._codes = self._evidence.copy(), dict(self._codes)
        trial._labels, trial._tally = list(self._labels), list(self._tally)
        trial.add(results)
        return trial.next() is None or trial._decided(missing)

    def _decided(self, missing: int) -> bool:
        """Return whether `missing` more samples of the last model end the run without changing the answer."""
        first, second = (int(count[0]) for count in self._evidence.top_two())
        several = len(self._settings.caps) > 1
        if several or not self._family.blind or self._combine != "vote" or first - second <= missing:
            return False
        # Each of them votes for the first answer, for one of the others, or for none.
        ways = [(i, j) for i in range(missing + 1) for j in range(missing + 1 - i)]
        leading, behind = (np.array([count + way[k] for way in ways]) for k, count in enumerate((first, second)))
        at = (int(self._evidence.n[0]) + missing,)
        return not self._family.choose(at, None, leading, behind, self._setting).any()

    @property
    def answer(self) -> Hashable | None:
        """The answer so far; None: there is none."""
        code = int(self._evidence.chosen(self._combine)[0])
        return None if code < 0 else self._labels[code]

    @property
    def spend(self) -> float:
        """What was paid so far."""
        return self._spend

    @property
    def rounds(self) -> int:
        """Number of draws so far that brought a sample."""
        return self._rounds

    @property
    def vote_share(self) -> float:
        """The answer's share of the samples, by weight if votes are weighted; with a verifier 1 or 0."""
        seen = self._evidence
        if self._combine == "verifier":
            return float(seen.success[0])
        code = int(seen.chosen(self._combine)[0])
        if code < 0:
            return 0.0
        return self._tally[code] / sum(self._tally) * self._voted / int(seen.n.sum())

    @property
    def probability(self) -> float | None:
        """The probability that the answer is right, as its votes show it; 0 without an answer, None if unknown.

        With a verifier it is 1 or 0. Otherwise it is the share of right answers among recorded runs in the same state,
        adjusted to the accuracy that the rule reached on held-out questions. If it is 0.8 for many ended runs, about
        80 % of them are right, provided that the questions are like the training questions.
        """
        seen = self._evidence
        if self._combine == "verifier":
            return float(seen.success[0])
        if self._believing is None:
            return None
        if int(seen.chosen(self._combine)[0]) < 0:
            return 0.0
        return self._believing(tuple(int(n) for n in seen.n), *seen.top_two())

    @cleaned
    def __repr__(self) -> str:
        drawn = [f"{int(n)}{f' of {action.model}' if action.model else ''}"
                 for n, action in zip(self._evidence.n, self._actions, strict=True)]  # fmt: skip
        state = "ended" if self._ended else "between draws"
        if self._asked is not None:
            arm, n = self._asked
            model = self._actions[arm].model
            state = f"waits for {n}{f' of {model}' if model else ''}"
        return (
            f"SequentialRun({' and '.join(drawn)} drawn in {counted(self._rounds, 'round')}, spend "
            f"{self._spend:g}, answer {SHORT.repr(self.answer)}, vote share {self.vote_share:.3g}; {state})"
        )
