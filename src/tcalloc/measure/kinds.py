"""The kinds of actions: everything that a majority vote or the best of k is, in one place.

A kind says how names write it, what it needs, how its accuracy is estimated from recorded samples, and which answer it
makes of live ones. To add a kind, such as a weighted vote, write a class here and an entry in `KINDS`. What a kind must
have is abstract; what it may have, such as errors that are quicker to compute, is inherited otherwise.

What to use when
----------------
`Kind`
    What all kinds share, and what each must say.
`KINDS`
    All of them.
`kind_of`
    The kind of an action, by its `combine` and `by`.
`Result`
    One sample that was paid for: what answers are made of.
`Graded`
    The recorded samples of one model: what estimates are made of.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from tcalloc.llm.confidence import Confidence
from tcalloc.measure.estimates import best_by_score, jackknife_errors, pass_at_k, success_errors, vote_errors
from tcalloc.measure.shrink import LINEAR, Mixture, success_mixture, vote_mixture
from tcalloc.measure.votes import Tally, expected_votes, tally

if TYPE_CHECKING:
    from tcalloc.measure.sample_arrays import SampleArrays

__all__ = ["KINDS", "ONE", "VOTE", "Graded", "Kind", "Result", "kind_of", "leading", "unbeatable"]

Answer = TypeVar("Answer", bound=Hashable)
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


# ---------------------------------------------------------------------------------------------- samples


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


class Graded(NamedTuple):
    """The recorded samples of one model, (N, S) each, as `Samples` defines them."""

    answers: Any
    """Codes: 0 is the right answer; None if they were not recorded."""
    correct: NDArray[np.bool_]
    scores: Any
    """None if there are none."""
    drawn: NDArray[np.bool_]
    """Which samples there are. The other cells hold anything."""

    @classmethod
    def of(cls, samples: "SampleArrays") -> Self:
        """Return what estimates need of a model's samples."""
        return cls(samples.answers, samples.correct, samples.scores, samples.drawn)

    def take(self, rows: Any) -> "Graded":
        """Return the samples of some questions."""
        return Graded._make(None if values is None else values[rows] for values in self)

    def columns(self, columns: NDArray[np.intp]) -> "Graded":
        """Return some of each question's samples, by column numbers (N, fewer); −1: none."""
        at = np.maximum(columns, 0)
        taken = [None if values is None else np.take_along_axis(values, at, axis=1) for values in self[:3]]
        return Graded._make([*taken, columns >= 0])

    @property
    def right(self) -> Ints:
        """(N,) number of right samples."""
        return np.asarray((self.correct & self.drawn).sum(axis=1), np.int64)

    @property
    def sizes(self) -> Ints:
        """(N,) number of samples."""
        return np.asarray(self.drawn.sum(axis=1), np.int64)


# ---------------------------------------------------------------------------------------------- votes


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


def _votes(results: Iterable[Result]) -> dict[Hashable, int]:
    """Return how often each answer came, in the order in which they came."""
    votes: dict[Hashable, int] = {}
    for result in results:
        if result.answer is not None:
            votes[result.answer] = votes.get(result.answer, 0) + 1
    return votes


# ---------------------------------------------------------------------------------------------- kinds


class Kind(ABC):
    """What an action makes of its k samples."""

    combine: str
    by: str | None = None
    """What chooses, as `Action.by`. The first kind in `KINDS` of a `combine` is its default."""
    example: str
    """The head of an action's name; its number stands for that of the samples. Without one, it draws one sample."""
    needs: frozenset[str] = frozenset()
    """What must be there: recorded "answers", "scores" (recorded; no server gives any), a "verifier" (live)."""

    @property
    def single(self) -> bool:
        """Whether it draws one sample."""
        return self.named(1) == self.named(2)

    def named(self, k: int) -> str:
        """Return the head of the name of an action with k samples."""
        return re.sub("[0-9]+", str(k), self.example)

    # Estimates from recorded samples. `read` is called once; all others get what it returned.

    def read(self, graded: Graded) -> Any:
        """Return what the estimates of this kind need of the samples."""
        return graded

    @abstractmethod
    def exact(self, read: Any, ks: Sequence[int], threads: int = 1) -> Floats:
        """Return the exact expectations over all k-subsets of the samples, (N, len(ks)); NaN where k > S."""

    def errors(self, read: Any, ks: Sequence[int], threads: int = 1) -> Floats:
        """Return the standard errors of `exact`, (N, len(ks)): by default those of the delete-one jackknife."""

        def without(kept: NDArray[np.bool_], some: Sequence[int]) -> Floats:
            return self.exact(read._replace(drawn=kept), some, threads)

        return jackknife_errors(without, read.right, read.drawn, ks)

    def mixture(self, read: Any, exact: Floats, ks: Sequence[int], threads: int = 1) -> Mixture:
        """Return the questions as a mixture of kinds of questions: (2) in `tcalloc.measure.shrink`."""
        return success_mixture(read.right, read.sizes, ks)

    def linear(self, alone: bool) -> float:
        """Return the weight of (1) in `tcalloc.measure.shrink` beside (2): by default nothing is known of mixtures.

        Parameters
        ----------
        alone : bool
            Whether the model is estimated without others.
        """
        return 1.0

    def bounded(self, errors: Floats, mixture: Mixture, ks: Sequence[int], sizes: Ints) -> Floats:
        """Return the standard errors, smaller where the mixture says so."""
        return errors

    def estimated_as(self, graded: Graded) -> "Kind":
        """Return the kind whose estimates are used, so that equal actions have equal estimates."""
        return self

    # The answer of live samples.

    def answer(self, results: Iterable[Result]) -> tuple[Hashable | None, float]:
        """Return the answer that is made of samples, and its share of the votes (with a verifier, its mark)."""
        drawn = list(results)
        answered = [result for result in drawn if result.answer is not None]
        return self.choose(answered, len(drawn)) if answered else (None, 0.0)

    @abstractmethod
    def choose(self, answered: list[Result], drawn: int) -> tuple[Hashable | None, float]:
        """Return the same of the samples that have an answer, at least one, of so many that were drawn."""

    def decided(self, results: Sequence[Result], missing: int) -> bool:
        """Return whether the answer follows from these results, whatever the missing ones are."""
        return False

    @property
    def shown_as(self) -> "Kind | None":
        """The kind that shows how its samples stand before all are drawn: a vote, or a verifier's marks.

        Policies that count (probes and rules of stopping) can draw such actions. None: counts say nothing about it.
        """
        return None


class _Success(Kind):
    """An action that succeeds if one of its samples is right."""

    def read(self, graded: Graded) -> tuple[Ints, Ints]:
        """Return the numbers of right samples and of samples."""
        return graded.right, graded.sizes

    def exact(self, read: tuple[Ints, Ints], ks: Sequence[int], threads: int = 1) -> Floats:
        """Return pass@k."""
        return pass_at_k(*read, ks)

    def errors(self, read: tuple[Ints, Ints], ks: Sequence[int], threads: int = 1) -> Floats:
        """Return them by their closed form."""
        return success_errors(*read, ks)

    def mixture(self, read: tuple[Ints, Ints], exact: Floats, ks: Sequence[int], threads: int = 1) -> Mixture:
        """Return a mixture of success rates."""
        return success_mixture(*read, ks)

    def linear(self, alone: bool) -> float:
        """Return 0: the mixture is all."""
        return 0.0


class One(_Success):
    """One sample, as it is."""

    combine = example = "one"

    def estimated_as(self, graded: Graded) -> Kind:
        """Return a vote where answers were recorded: one sample is one sample, however it would be combined."""
        return self if graded.answers is None else VOTE

    def choose(self, answered: list[Result], drawn: int) -> tuple[Hashable | None, float]:
        """Return the first."""
        return answered[0].answer, 1.0 / drawn

    @property
    def shown_as(self) -> Kind:
        """A vote."""
        return VOTE


class Vote(Kind):
    """The most frequent answer. In estimates ties are split evenly; live, the first that came wins."""

    combine, example = "vote", "vote5"
    needs = frozenset({"answers"})

    def read(self, graded: Graded) -> Tally:
        """Return the counts of the answers."""
        return tally(np.where(graded.drawn, graded.answers, -2))

    def exact(self, read: Tally, ks: Sequence[int], threads: int = 1) -> Floats:
        """Return the expected score of the vote."""
        return expected_votes(read, ks, threads)

    def errors(self, read: Tally, ks: Sequence[int], threads: int = 1) -> Floats:
        """Return the jackknife, which is quicker for counts."""
        return vote_errors(read, ks, threads)

    def mixture(self, read: Tally, exact: Floats, ks: Sequence[int], threads: int = 1) -> Mixture:
        """Return latent classes with shares of answers."""
        return vote_mixture(read, exact, ks, threads)

    def linear(self, alone: bool) -> float:
        """Return a tenth, but nothing for several models: it understates what specialists reach together."""
        return LINEAR if alone else 0.0

    def bounded(self, errors: Floats, mixture: Mixture, ks: Sequence[int], sizes: Ints) -> Floats:
        """Keep Hoeffding's bound where k is above S/2: k/S of V(1 − V), averaged over the mixture."""
        doubtful = replace(mixture, reached=mixture.reached * (1 - mixture.reached)).means()
        k = np.asarray(ks)
        bound = np.sqrt(k / np.maximum(sizes, 1)[:, None] * doubtful)
        return np.where((2 * k > sizes[:, None]) & (k > 1), np.fmin(errors, bound), errors)

    def choose(self, answered: list[Result], drawn: int) -> tuple[Hashable | None, float]:
        """Return the leading answer."""
        votes = _votes(answered)
        most = leading(votes)
        assert most is not None
        return most, votes[most] / drawn

    def decided(self, results: Sequence[Result], missing: int) -> bool:
        """Return whether the leader cannot be caught."""
        return unbeatable(list(_votes(results).values()), missing)

    @property
    def shown_as(self) -> Kind:
        """Itself."""
        return self


class BestByVerifier(_Success):
    """The first sample that a verifier accepts (pass@k)."""

    combine, by, example = "best", "verifier", "best4"
    needs = frozenset({"verifier"})

    def choose(self, answered: list[Result], drawn: int) -> tuple[Hashable | None, float]:
        """Return the first that was accepted; if there is none, the first."""
        right = next((result for result in answered if result.correct), None)
        return (answered[0].answer, 0.0) if right is None else (right.answer, 1.0)

    def decided(self, results: Sequence[Result], missing: int) -> bool:
        """Return whether one was accepted."""
        return any(result.correct for result in results)

    @property
    def shown_as(self) -> Kind:
        """Itself."""
        return self


class BestByScore(Kind):
    """The sample with the highest score."""

    combine, by, example = "best", "score", "best4 by score"
    needs = frozenset({"scores"})

    def exact(self, read: Graded, ks: Sequence[int], threads: int = 1) -> Floats:
        """Return how often the highest score is that of a right sample."""
        return best_by_score(read.correct, read.scores, read.drawn, ks)

    def choose(self, answered: list[Result], drawn: int) -> tuple[Hashable | None, float]:
        """Return the answer of the highest score; a sample without a score ranks last."""
        best = max(answered, key=lambda result: -np.inf if result.score is None else result.score)
        return best.answer, sum(result.answer == best.answer for result in answered) / drawn


ONE, VOTE = One(), Vote()
KINDS: tuple[Kind, ...] = (ONE, VOTE, BestByVerifier(), BestByScore())


def kind_of(combine: str, by: str | None) -> Kind:
    """Return the kind of actions with this `combine` and `by`."""
    return next(kind for kind in KINDS if (kind.combine, kind.by) == (combine, by))
