"""What runs have seen so far, and how a rule sees it: the same code for a million replayed states and a live one.

What to use when
----------------
`Evidence`
    Votes, weights and features of what was drawn, for M runs that drew equally often from each model.
`names_of`
    The names of the columns of `Evidence.describe`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._rounding import SUMMED

__all__ = ["COMBINES", "Evidence", "heaviest", "names_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COMBINES = ("vote", "verifier", "score")
LATE = np.iinfo(np.int32).max


def names_of(arms: tuple[str, ...], features: tuple[str, ...], predictions: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the columns that `Evidence.describe` makes.

    Parameters
    ----------
    arms, features, predictions : tuple of str
        The models; the features of each sample; the predictions before any sample.
    """
    found = ["voted", "log weight", "share", "first", "second", "margin", "silent", "distinct", "score", "score gap"]
    found += [f"mean {feature} {arm}".strip() for arm in arms for feature in features]
    found += [f"leader's {feature}" for feature in features] + [f"last {feature}" for feature in features]
    return (*found, *predictions)


def heaviest(weight: Floats) -> NDArray[np.bool_]:
    """Return which answers of each row tie at the top; weights that differ by the rounding of their sums are equal."""
    return np.asarray(weight >= weight.max(axis=1, keepdims=True) * (1.0 - SUMMED))


class Evidence:
    """What M runs have seen; all have drawn the same number of samples of each model.

    Parameters
    ----------
    runs : int
        M, the number of runs.
    arms : int
        Number of models.
    width : int
        Number of features of a sample.
    answers : int
        Number of different answers that there is room for; it grows.
    predictions : ndarray, (M, T), optional
        The predictions for each question before any sample.
    """

    def __init__(self, runs: int, arms: int, width: int, answers: int = 4, predictions: Floats | None = None):
        self.n = np.zeros(arms, np.int64)
        """Samples drawn, per model."""
        self.predictions = np.zeros((runs, 0)) if predictions is None else predictions
        self.votes = np.zeros((runs, answers))
        self.weight = np.zeros((runs, answers))
        self.first = np.full((runs, answers), LATE, np.int64)
        """When an answer came first; ties go to the earliest."""
        self.sums = np.zeros((arms, runs, width))
        self.by_answer = np.zeros((runs, answers, width))
        self.last = np.zeros((runs, width))
        self.success = np.zeros(runs, bool)
        self.winner = np.full(runs, -1, np.int64)
        """The answer that the verifier accepted, or that has the highest score; -1: none."""
        self.opening = np.full(runs, -1, np.int64)
        """The first answer that came, if a verifier or scores decide; -1: none."""
        self.best = np.full(runs, -np.inf)
        self.runner_up = np.full(runs, -np.inf)

    def copy(self) -> "Evidence":
        """Return an independent copy."""
        made = object.__new__(Evidence)
        for name, value in vars(self).items():
            setattr(made, name, value if name == "predictions" else value.copy())
        return made

    def add(
        self,
        arm: int,
        codes: Ints,
        features: Floats,
        weights: Floats,
        right: NDArray[np.bool_] | None = None,
        scores: Floats | None = None,
        names: Ints | None = None,
    ) -> None:
        """Add one sample of a model to each run.

        Parameters
        ----------
        arm : int
            The number of the model.
        codes : ndarray of int, (M,)
            The answer, as far as rules may distinguish answers; negative: none.
        features : ndarray, (M, width)
            The features of the sample.
        weights : ndarray, (M,)
            The weight of its vote.
        right : ndarray of bool, (M,), optional
            The verifier's mark.
        scores : ndarray, (M,), optional
            The score of a reward model; NaN ranks last.
        names : ndarray of int, (M,), optional
            The answer, for `chosen` and `gold`, if rules do not distinguish answers; default: `codes`.
        """
        names = codes if names is None else names
        self._make_room(int(codes.max(initial=0)) + 1)
        time = int(self.n.sum())
        self.n[arm] += 1
        voting = np.flatnonzero(codes >= 0)
        answer = codes[voting]
        self.votes[voting, answer] += 1.0
        self.weight[voting, answer] += weights[voting]
        self.by_answer[voting, answer] += features[voting]
        self.first[voting, answer] = np.minimum(self.first[voting, answer], time)
        self.sums[arm] += features
        self.last = features
        if right is not None or scores is not None:
            self.opening = np.where(self.opening < 0, names, self.opening)
        if right is not None:
            fresh = right & ~self.success
            self.winner[fresh] = names[fresh]
            self.success |= right
        if scores is not None:
            value = np.where(names >= 0, np.nan_to_num(scores, nan=-1e300), -np.inf)
            better = value > self.best
            self.runner_up = np.where(better, self.best, np.maximum(self.runner_up, value))
            self.winner = np.where(better, names, self.winner)
            self.best = np.where(better, value, self.best)

    def _make_room(self, answers: int) -> None:
        more = answers - self.votes.shape[1]
        if more > 0:
            more = max(more, 4)
            self.votes = np.pad(self.votes, ((0, 0), (0, more)))
            self.weight = np.pad(self.weight, ((0, 0), (0, more)))
            self.first = np.pad(self.first, ((0, 0), (0, more)), constant_values=LATE)
            self.by_answer = np.pad(self.by_answer, ((0, 0), (0, more), (0, 0)))

    def tied(self) -> NDArray[np.bool_]:
        """Return which answers have the highest weight, (M, A); none if nothing voted."""
        return heaviest(self.weight) & (self.votes > 0)

    def leader(self) -> Ints:
        """Return the leading answer; on a tie, the one that came first; -1: none."""
        when = np.where(self.tied(), self.first, LATE)
        lead = when.argmin(axis=1)
        return np.where(when[np.arange(len(lead)), lead] < LATE, lead, -1)

    def chosen(self, combine: str) -> Ints:
        """Return the answer that would be given now; -1: none.

        Parameters
        ----------
        combine : {"vote", "verifier", "score"}
            If the verifier accepted nothing, the answer is that of the first sample that gave one. An accepted sample
            without an answer has none.
        """
        if combine == "vote":
            return self.leader()
        return np.where((self.winner >= 0) | self.success, self.winner, self.opening)

    def gold(self, combine: str) -> Floats:
        """Return the score of the current answer if answer 0 is the right one; ties of votes are split evenly."""
        if combine == "verifier":
            return np.asarray(self.success, np.float64)
        if combine == "score":
            return np.asarray(self.winner == 0, np.float64)
        tied = self.tied()
        return np.where(tied[:, 0], 1.0 / np.maximum(tied.sum(axis=1), 1), 0.0)

    def top_two(self) -> tuple[Ints, Ints]:
        """Return the two highest counts of votes, without their weights."""
        if self.votes.shape[1] == 1:
            return self.votes[:, 0].astype(np.int64), np.zeros(len(self.votes), np.int64)
        two = np.partition(self.votes, self.votes.shape[1] - 2, axis=1)[:, -2:]
        return two[:, 1].astype(np.int64), two[:, 0].astype(np.int64)

    def describe(self) -> Floats:
        """Return the features that a rule sees, (M, columns); see `names_of`."""
        runs = np.arange(len(self.votes))
        lead = np.maximum(self.leader(), 0)
        votes, weight = self.votes[runs, lead], self.weight[runs, lead]
        others = self.votes.copy()
        others[runs, lead] = 0.0
        second = others.max(axis=1)
        total, drawn = self.weight.sum(axis=1), max(int(self.n.sum()), 1)
        voted = self.votes.sum(axis=1)
        known = np.isfinite(self.best) & (self.best > -1e299)
        gap = known & np.isfinite(self.runner_up) & (self.runner_up > -1e299)
        columns: list[Any] = [
            voted > 0,
            np.log(weight + 0.1),
            weight / np.maximum(total, 1e-9),
            votes,
            second,
            votes - second,
            (int(self.n.sum()) - voted) / drawn,
            (self.votes > 0).sum(axis=1),
            np.where(known, self.best, 0.0),
            np.subtract(self.best, self.runner_up, out=np.zeros(len(runs)), where=gap),
        ]
        blocks = [np.stack(columns, axis=1).astype(np.float64)]
        blocks += [sums / max(int(n), 1) for sums, n in zip(self.sums, self.n, strict=True)]
        own = self.by_answer[runs, lead]
        rest = self.sums.sum(axis=0) - own
        contrast = own / np.maximum(votes, 1.0)[:, None] - rest / np.maximum(drawn - votes, 1.0)[:, None]
        blocks.append(np.where(((votes > 0) & (votes < drawn))[:, None], contrast, 0.0))
        blocks += [self.last, self.predictions]
        return np.concatenate(blocks, axis=1)
