"""What is compared: samples or a table, checked, with what a policy may know of each question beforehand.

Words: the *menu* is what policies choose from that decide beforehand; the *fixed actions* are what the best fixed
mixture is made of: the menu and, of samples, every number of samples of every model, none at all included. What an
action reaches is the exact expectation over a question's samples, what it costs is what its samples really cost there
on average: neither is known to a policy before it has paid.
"""

import os
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import flag, whole
from tcalloc._counts import counted
from tcalloc._inputs import scalar
from tcalloc._printing import cleaned
from tcalloc.errors import InputError
from tcalloc.evaluate.menu import filled, of_samples, of_table
from tcalloc.evaluate.thresholds import HALVES
from tcalloc.learn.rows import Rows, as_rows, take_rows
from tcalloc.learn.training import Training
from tcalloc.measure.labels import GOLD, Labels, refuse_verifier
from tcalloc.measure.referee import judged, stacked
from tcalloc.measure.samples import Samples
from tcalloc.measure.table import Table
from tcalloc.measure.table_files.load_and_save import load_table

__all__ = ["Problem", "checked_rows", "labelled_rows"]

Floats = NDArray[np.float64]

# Random orders of each question's samples: about this many runs, at most this many orders, and no more prefixes of runs
# than fit into some hundred megabytes.
RUNS, MOST, PREFIXES = 50_000, 200, 10_000_000
# A numeric difficulty with more values than this is cut into fifths.
VALUES, PARTS = 20, 5


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """Checked data of a comparison; can be pickled where X can."""

    samples: Samples | None
    """What policies that stop while sampling are replayed on; None of a table."""
    menu: Training
    """Actions, accuracies (N, K) (NaN: not available) and real costs (N, K) of the policies that decide beforehand."""
    fixed_names: tuple[str, ...]
    """(F,) the fixed actions."""
    fixed_accuracy: Floats
    """(N, F) what each reaches; where a question lacks it, what the next cheaper one reaches."""
    fixed_cost: Floats
    """(N, F) what it costs there."""
    votes: tuple[int, ...]
    """1, 2, … of a single model's samples; empty otherwise."""
    vote_accuracy: Floats
    """(len(votes),) what a vote (or, with a verifier, the best) of that many reaches: the mean over all questions."""
    given: Any
    """X as the user gave it, or None."""
    rows: Rows | None
    """X, checked."""
    labels: NDArray[np.intp] | None
    """(N,) the difficulty label of each question, as codes; None: none."""
    single: Floats
    """(N,) mean accuracy of a single sample of whichever model is best on that question, by what was recorded of it (of
    a table: the mean over its actions)."""
    unit: str
    """"samples" or "cost"."""
    data: str
    """"samples", "table" (one expectation per cell) or "single answers" (all cells are 0 or 1)."""
    verifier: bool
    """Whether a verifier recognises right answers live; never assumed, only given."""
    feature_cost: float
    """What looking at X costs per question, in the unit of the costs."""
    costs_known: bool
    """Whether each question's own costs are known before deciding."""
    orders: int
    """Random orders in which each question's samples are replayed."""
    seed: int
    """Random seed of orders and halves. Folds have their own."""
    usual: bool = True
    """Whether the menu is the usual one: the user listed no actions."""
    notes: tuple[str, ...] = ()
    """What was noticed; each is a sentence."""
    token: str = field(default_factory=lambda: uuid4().hex)
    """Tells it from others where things are remembered, in every process."""
    reference: Labels = GOLD
    """What accuracies are shares of: answers that equal the gold answer, or a reference that others' samples give."""
    copies: int = 1
    """How often each question stands among the rows, N = copies * questions: without gold answers once for each half
    of its samples that is judged by the other half. Row q + c * questions is question q. The first copy trains, and all
    are held out together."""
    unjudged: tuple[Samples, Any] | None = None
    """Without gold answers: the samples with the reference of all of them, and X of their questions, before halves of
    them judge each other."""

    def __len__(self) -> int:
        return len(self.menu.acc)

    @property
    def questions(self) -> int:
        """The number of questions."""
        return len(self) // self.copies

    def per_question(self, values: Floats) -> Floats:
        """Return the mean over the copies of what is known by row, (N, ...)."""
        return np.asarray(values.reshape(self.copies, self.questions, *values.shape[1:]).mean(axis=0))

    @cleaned
    def __repr__(self) -> str:
        size = f"{counted(len(self), 'question')}, {self.data}, {counted(len(self.menu.names), 'action')}"
        return f"Problem({size}, unit: {self.unit})"

    @classmethod
    def of(
        cls,
        data: Any,
        *,
        X: Any = None,
        difficulty: Any = None,
        actions: Any = None,
        verifier: bool = False,
        feature_cost: float = 0.0,
        costs_known: bool = False,
        orders: int | None = None,
        seed: int = 0,
        labels: str = "gold",
    ) -> "Problem":
        """Check what the user passed to `tcalloc.compare`."""
        if isinstance(data, (str, os.PathLike)):
            data = Samples.load(data, labels) if os.path.isdir(data) else load_table(data)
        if not isinstance(data, (Samples, Table)):
            raise InputError(
                f"data is {type(data).__name__}; expected Samples, a Table, or the path of a run folder or a table."
            )
        if isinstance(data, Samples):
            asked = len(data)
            data, kept = labelled_rows(data, labels)
            if len(kept) < asked:
                X = take_rows(X, kept)
                difficulty = None if difficulty is None else np.asarray(difficulty)[kept]
        elif labels != "gold":
            raise InputError(
                f"labels is {labels!r}, but data is a table, which holds no answers. Compare a run folder."
            )
        charged = scalar(feature_cost, "feature_cost")
        if not np.isfinite(charged):
            raise InputError(f"feature_cost is {charged:g}; expected a finite number, in the unit of the costs.")
        if charged < 0:
            raise InputError(f"feature_cost is {charged:g}; expected at least 0, in the unit of the costs.")
        flag("costs_known", costs_known)
        flag("verifier", verifier)
        whole("seed", seed)
        if orders is not None:
            whole("orders", orders, 1, hint=", or None")
        n = len(data) if isinstance(data, Samples) else len(data.acc)
        rows = checked_rows(X, n)
        codes = _labels(difficulty, n)
        checked = bool(verifier)
        if isinstance(data, Samples) and data.sizes.all():
            data, kept = data.of_every_model()
            if len(kept) < n:
                n, X, codes = len(kept), take_rows(X, kept), None if codes is None else codes[kept]
                rows = checked_rows(X, n)
        refuse_verifier(data, checked)
        copies, unjudged = 1, None
        if isinstance(data, Samples) and not data.labels.gold:
            unjudged = data, X
        if isinstance(data, Samples) and len(parts := judged(data, HALVES, int(seed))) > 1:
            data, copies = stacked(parts), len(parts)
            again = np.tile(np.arange(n), copies)
            n, X, codes = len(data), take_rows(X, again), None if codes is None else codes[again]
            rows = None if rows is None else rows.take(again)
        made = of_samples(data, actions, checked) if isinstance(data, Samples) else of_table(data, actions, checked)
        if not (made["fixed_cost"] > 0).any():
            raise InputError("every cost is 0, so there is nothing to allocate. Leave costs out to count samples.")
        if orders is None and isinstance(data, Samples):
            orders = _orders(n, max(arm.drawn.shape[1] for arm in data.by_model.values()))
        return cls(
            given=X, rows=rows, labels=codes, feature_cost=charged, usual=actions is None,
            costs_known=bool(costs_known), orders=int(orders or 1), seed=int(seed), reference=data.labels,
            copies=copies, unjudged=unjudged, **made,
        )  # fmt: skip

    # ------------------------------------------------------------------------------------------ for contestants

    @property
    def texts(self) -> list[str] | None:
        """(N,) all texts of each question as one; None where X holds none."""
        if self.rows is None or not self.rows.texts:
            return None
        return ["\n".join(parts) for parts in zip(*self.rows.texts.values(), strict=True)]

    @property
    def models(self) -> tuple[str, ...]:
        """The models' names; of a single model, or a table, ("",)."""
        return ("",) if self.samples is None else tuple(self.samples.by_model)

    @property
    def menu_filled(self) -> tuple[Floats, Floats]:
        """(N, K) accuracies and costs of the menu; where a question lacks an action, those of the next cheaper one."""
        return filled(self.menu)

    def said(self, rows: Any) -> Any:
        """Return X of some questions, as the user gave it; None where there is none."""
        return take_rows(self.given, rows)

    def table(self, rows: Any) -> Table:
        """Return the menu's table of some questions: what a policy may be trained on."""
        menu = self.menu.take(rows)
        actions = None if menu.actions is None else tuple(action for action in menu.actions if action is not None)
        return Table(
            np.nan_to_num(menu.acc),
            menu.cost,
            action_names=menu.names,
            available=menu.available,
            actions=None if actions != menu.actions else actions,
        )


# ---------------------------------------------------------------------------------------------- checks


def labelled_rows(samples: Samples, labels: str) -> tuple[Samples, NDArray[np.intp]]:
    """Return samples with the labels that are asked for, and which questions have a reference.

    Samples that are labelled already stay as they are, where nothing else is asked for.
    """
    n = np.arange(len(samples))
    if labels in ("gold", samples.labels.option):
        return samples, n
    numbered = replace(samples, ids=n)
    found = numbered.labelled(labels)
    kept = np.asarray(found.ids, np.intp)
    return replace(found, ids=None if samples.ids is None else samples.ids[kept]), kept


def _orders(n: int, size: int) -> int:
    """Return how many orders: if they fit whole turns, in which every sample comes first equally often."""
    whole = size * max(1, min(MOST, RUNS // n) // size)
    return whole if n * size * whole <= PREFIXES else max(1, PREFIXES // (n * size))


def checked_rows(X: Any, n: int) -> Rows | None:
    """Return X, checked to have one row for each of the n questions; None where there is none."""
    if X is None:
        return None
    rows = as_rows(X)
    if rows.n != n:
        raise InputError(
            f"X has {counted(rows.n, 'row')}, but there are {counted(n, 'question')}; expected the same questions in "
            "the same order."
        )
    return rows


def _labels(difficulty: Any, n: int) -> NDArray[np.intp] | None:
    if difficulty is None:
        return None
    values = np.asarray(difficulty)
    if values.shape != (n,):
        raise InputError(f"difficulty has shape {values.shape}; expected ({n},), one label per question.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        place = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(f"difficulty[{place}] is {values[place]}; expected a label or a finite number for each.")
    if values.dtype.kind in "iuf" and len(np.unique(values)) > VALUES:
        edges = np.unique(np.quantile(values, np.arange(1, PARTS) / PARTS))
        return np.asarray(np.searchsorted(edges, values, side="right"), np.intp)
    # As they were given: NumPy makes the text "nan" of a NaN among texts.
    cells = list(difficulty) if isinstance(difficulty, (list, tuple)) else values.tolist()
    for place, value in enumerate(cells):
        if _absent(value):
            raise InputError(
                f"difficulty[{place}] is {value!r}; expected a label or a finite number for each. Give such questions "
                "a label of their own, 'unknown', or leave them out."
            )
    texts = np.array([str(value) for value in cells], object)
    return np.asarray(np.unique(texts, return_inverse=True)[1], np.intp)


def _absent(value: Any) -> bool:
    """Return whether a label is none: None, NaN, NaT, pandas' NA, or a number that is not finite."""
    if value is None:
        return True
    if isinstance(value, (float, np.floating)):
        return not np.isfinite(value)
    try:
        return bool(value != value)
    except (TypeError, ValueError):  # pandas' NA says neither
        return True
