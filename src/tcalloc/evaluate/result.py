"""What a comparison found, as figures: `ComparisonFigures`, and one `Standing` for each policy.

All figures are held out: every question was scored by policies that were trained without it. Arrays of length B stand
in the order of `ComparisonFigures.budgets`; accuracies are shares (0 to 1), spends are means per question in
`ComparisonFigures.unit`. NaN: cannot be had at all; what is printed and what `to_dict` returns holds no NaN.
"""

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import did_you_mean
from tcalloc._frames import frame_of
from tcalloc._printing import cleaned, whole_characters
from tcalloc.errors import InputError
from tcalloc.evaluate.thresholds import WORTH
from tcalloc.measure.labels import GOLD, Labels
from tcalloc.measure.vocabulary import Vocabulary

if TYPE_CHECKING:
    import pandas


__all__ = ["KINDS", "ComparisonFigures", "Standing", "plain"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# The values of `Standing.kind`, and the words for them.
KINDS = {"policy": "policy", "own": "your own", "baseline": "baseline", "bound": "bound"}
# The fields of a standing that stand in the order of the budgets, as `to_frame` names them.
PER_BUDGET = (
    *("accuracy", "low", "high", "spend", "reached", "gain", "gain_low", "gain_high", "p", "captured", "claimed"),
    "refit",
)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Standing:
    """How one policy stands; all figures are held out."""

    name: str
    """As it is printed."""
    kind: str
    """"policy" (can be deployed), "baseline" (fixed k, a mixture, chance, length), "bound" (an oracle, hindsight) or
    "own" (the user's)."""
    marks: tuple[str, ...]
    """Warnings in plain words."""
    accuracy: Floats
    """(B,) at each budget."""
    spend: Floats
    """(B,) what was really spent; the budget, wherever that could be reached."""
    low: Floats
    """(B,) lower end of the accuracy's 95 % interval, over questions, of the policies as they were trained."""
    high: Floats
    """(B,) its upper end."""
    reached: Bools
    """(B,) False: it cannot spend so little, or finds nothing to spend so much on; its figures are then at `spend`."""
    gain: Floats
    """(B,) accuracy minus that of the best fixed mixture at the same real spend, paired by question."""
    gain_low: Floats
    """(B,) lower end of its 95 % interval; of policies that learn a little wider, since folds share questions."""
    gain_high: Floats
    """(B,) upper end."""
    p: Floats
    """(B,) of the gain: two-sided, Holm's correction over all policies that can be deployed, and all budgets."""
    captured: Floats
    """(B,) gain as a share of the held-out oracle's; NaN without such an oracle, where that gains nothing, or where it
    is short of samples: it draws at most half of a question's."""
    claimed: Floats
    """(B,) the accuracy it promised from training questions alone; NaN: it promised none."""
    refit: Floats
    """(B,) standard deviation of the accuracy over the repeats (other folds, other trainings); NaN with one repeat."""
    curve_spend: Floats
    """(G,) rising spends that it reaches, for plots."""
    curve_accuracy: Floats
    """(G,) accuracy there."""
    curve_low: Floats
    """(G,) lower end of the 95 % interval."""
    curve_high: Floats
    """(G,) upper end."""
    question_spend: Floats
    """(B, N) of each question while it was held out, mean over the repeats."""
    question_accuracy: Floats
    """(B, N) the same for accuracy."""
    saved: Floats = field(default_factory=lambda: np.zeros(0))
    """(F,) share of each fixed action's cost that it saves at the same accuracy; NaN: it does not reach that, or is no
    policy."""
    saved_low: Floats = field(default_factory=lambda: np.zeros(0))
    """(F,) lower end of its 95 % interval, over questions; NaN: the policy may not reach that accuracy at all."""
    saved_high: Floats = field(default_factory=lambda: np.zeros(0))
    """(F,) upper end."""

    @cleaned
    def __repr__(self) -> str:
        found = ", ".join(
            "-" if np.isnan(a) else f"{a:.4f} at {s:.4g}" for a, s in zip(self.accuracy, self.spend, strict=True)
        )
        return f"Standing({self.name!r}, {self.kind}: {found})"

    def does_the_same(self, b: int) -> bool:
        """Return whether it does what the mixture does at a budget, as far as can be printed."""
        ends = (self.gain[b], self.gain_low[b], self.gain_high[b])
        return bool(self.kind != "bound" and max(abs(end) for end in ends) < WORTH)

    def to_dict(self, *, questions: bool = False) -> dict[str, Any]:
        """Return all of it as what JSON can hold; see `ComparisonFigures.to_dict`."""
        left_out = () if questions else ("question_spend", "question_accuracy")
        return {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name not in left_out}


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class ComparisonFigures:
    """All figures of a comparison: what its table, its pictures and its conclusions are made from."""

    budgets: Floats
    """(B,) the mean spends per question that were asked for, rising."""
    standings: tuple[Standing, ...]
    """Best first, by mean accuracy over the budgets; bounds apart, last."""
    reference: str
    """The name of what gains are counted from: the best fixed mixture."""
    skipped: dict[str, str]
    """Policy -> why it takes no part, in plain words."""
    questions: int
    """N."""
    folds: int
    """Over questions."""
    repeats: int
    """Times everything was done, each with other folds."""
    seed: int
    """Random seed of folds, trainings and the bootstrap."""
    unit: str
    """What is spent: "samples", "cost" (in a unit that is not known), or what `compare` was given, such as "usd"."""
    data: str
    """"samples", "table" (one expectation per cell) or "single answers" (all cells are 0 or 1)."""
    verifier: bool
    """Whether the user said that right answers are recognised live: all figures then rest on that."""
    actions: tuple[str, ...]
    """(K,) the fixed actions."""
    action_spend: Floats
    """(K,) mean over all questions."""
    action_accuracy: Floats
    """(K,) mean over all questions."""
    votes: tuple[int, ...]
    """Sizes of votes, 1 to the cap, if there are samples of a single model. Otherwise empty."""
    vote_accuracy: Floats
    """(len(votes),) exact accuracy of a vote of that many, over all questions."""
    difficulty: NDArray[np.intp]
    """(N,) codes into `difficulty_names`."""
    difficulty_names: tuple[str, ...]
    """Such as easy, medium, hopeless: by the accuracy of a single sample of the question's best model (of a table: the
    mean over its actions), and of its best action."""
    remarks: tuple[str, ...]
    """What limits the figures, in sentences."""
    seconds: float
    """That it took."""
    versions: dict[str, str]
    """Versions of Python, tcalloc, NumPy and whatever else was used."""
    from_table: bool = False
    """Whether a table was compared, which has no samples that a policy could be fitted on."""
    labels: Labels = GOLD
    """What accuracies are shares of: answers that equal the gold answer, or a reference."""
    gold: Any = None
    """Without gold answers: how often the recommended policy is right where gold answers are known after all, a
    `tcalloc.evaluate.gold_check.GoldCheck`; None: nothing is known."""

    @property
    def words(self) -> Vocabulary:
        """What the accuracies are called: agreement, where no gold answers were used."""
        return self.labels.words

    def __getitem__(self, name: str) -> Standing:
        """Return one policy's standing.

        Raises
        ------
        InputError
            If no policy of that name took part.
        """
        for standing in self.standings:
            if standing.name == name:
                return standing
        if name in self.skipped:
            raise InputError(f"{name!r} took no part: {self.skipped[name]}")
        there = [standing.name for standing in self.standings]
        listed = ", ".join(map(repr, there))
        raise InputError(f"there is no {name!r}; there are: {listed}.{did_you_mean(name, there)}")

    def __len__(self) -> int:
        return len(self.standings)

    def to_frame(self) -> "pandas.DataFrame":
        """Return a pandas DataFrame with one row per policy and budget.

        Returns
        -------
        pandas.DataFrame
            Columns policy, kind, budget, accuracy, low, high, spend, reached, gain, gain_low, gain_high, p, captured,
            claimed, refit and marks (joined by "; "); the best policy first.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        count = len(self.budgets)
        columns: dict[str, list[Any]] = {name: [] for name in ("policy", "kind", "budget", *PER_BUDGET, "marks")}
        for standing in self.standings:
            columns["policy"] += [whole_characters(standing.name)] * count
            columns["kind"] += [standing.kind] * count
            columns["budget"] += self.budgets.tolist()
            for name in PER_BUDGET:
                columns[name] += getattr(standing, name).tolist()
            columns["marks"] += ["; ".join(standing.marks)] * count
        return frame_of(columns)

    def to_dict(self, *, questions: bool = False) -> dict[str, Any]:
        """Return all figures as what JSON can hold: lists, numbers, words; null (None) where there is no number.

        Parameters
        ----------
        questions : bool
            Whether each policy's spend and accuracy on each question are wanted too; they are much.

        Returns
        -------
        dict
            By the names of the fields; ``standings`` is a list, best first.
        """
        found = {f.name: plain(getattr(self, f.name)) for f in fields(self) if f.name not in ("standings", "gold")}
        found["gold"] = None if self.gold is None else self.gold.to_dict()
        found["standings"] = [standing.to_dict(questions=questions) for standing in self.standings]
        if not questions:
            del found["difficulty"]
        return found


def plain(value: Any) -> Any:
    """Return a field's value as what JSON can hold: NaN and infinities become None, arrays and tuples lists."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Labels):
        return value.to_dict()
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {str(key): plain(part) for key, part in value.items()}
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value
