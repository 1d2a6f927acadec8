"""What the first paid samples of a question show, and what each continuation would reach.

The first m samples of a question form a pattern: how many gave the same answer (and whether a verifier accepted one).
The curve of a pattern says what a vote over more samples reaches. It is a mean over the questions and over seeded
random orders of their samples; the vote contains those m. Rare patterns are shrunk towards those of the same margin
(votes of the most frequent answer minus the second), and margins towards all. Everything else that is known (features
of X, lengths, log-probabilities) adds a residual. It is a ridge per group of patterns, shrunk like any prediction
(`shrinkage.py`), with standard errors clustered by question.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError
from tcalloc.learn.features.probe import probe_features
from tcalloc.learn.protocol import Result
from tcalloc.learn.regression.ridge_and_neighbours import Ridge, ridge_of
from tcalloc.learn.replay.all_orders import Paths, random_orders
from tcalloc.learn.routing.shrinkage import Shrinkage
from tcalloc.learn.saving.arrays import part_of, with_prefix
from tcalloc.learn.training import Training
from tcalloc.measure.actions import Action
from tcalloc.measure.round_costs import RoundCosts
from tcalloc.measure.samples import Samples
from tcalloc.measure.tabulate import tabulate

__all__ = ["AfterProbe", "Draws", "ProbePlan", "draws_of", "plan_of", "shown_by"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# Weights, in questions, by which a pattern is shrunk towards its margin, and a margin towards all.
PSEUDO = 10.0
# A pattern with fewer draws than this many questions give has no residual model of its own.
GROUP = 60.0


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """What is drawn first, and the possible continuations."""

    arm: str
    """The name of the probe's model; empty if there is only one model."""
    action: Action
    """The probe: its `samples` are m."""
    columns: tuple[int, ...]
    """The continuations, as columns of the table; -1: draw nothing more, the probe's samples answer."""
    draws: tuple[int, ...]
    """Number of samples of the probe's own model in all, for continuations of the probe; 0: another model's action."""
    cost: tuple[float, ...]
    """Planned cost of each continuation, the probe's included."""
    reference: int
    """The column that the value of probing is measured against: the cheapest action of the probe's model."""

    @property
    def verified(self) -> bool:
        """Whether a verifier checks the samples."""
        return "verifier" in self.action.kind.needs

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as a dictionary for JSON."""
        return {
            "arm": self.arm,
            "action": self.action.to_dict(),
            "columns": list(self.columns),
            "draws": list(self.draws),
            "cost": list(self.cost),
            "reference": self.reference,
        }


def plan_of(samples: Samples, training: Training, m: int) -> ProbePlan:
    """Return the plan: probe the model of the cheapest action that draws a sample.

    Raises
    ------
    InputError
        If its samples cannot be a probe.
    """
    assert training.actions is not None
    drawing = [a for a in training.order.tolist() if training.actions[a] is not None]
    first = training.actions[drawing[0]]
    assert first is not None
    shown = first.kind.shown_as
    if shown is None:
        raise InputError(
            "probe: the cheapest action chooses by score, which a probe's pattern does not show. Use probe=0."
        )

    def as_probe(action: Action) -> Action:
        return replace(action, samples=m, combine=shown.combine, by=shown.by)

    alike = as_probe(first)
    own = {
        a: action.samples
        for a, action in enumerate(training.actions)
        if action is not None and action.kind.shown_as is shown and as_probe(action) == alike
    }
    arms = samples.by_model
    arm = next((name for name in (getattr(first, "arm", None), first.model, "") if name in arms), next(iter(arms)))
    most = max(m, *own.values())
    if int(arms[arm].drawn.sum(axis=1).min()) < most:
        raise InputError(
            f"probe: every question needs at least {most} samples{f' of {arm}' if arm else ''}, as many as its largest "
            "action; some have fewer. Leave them out, or use probe=0."
        )
    probing = float(tabulate(samples, [alike], False).cost[0])
    again = float(RoundCosts.of(arms[arm]).later.mean())  # what goes on from the probe is a second draw
    columns, draws, cost = [-1], [m], [probing]
    for a, action in enumerate(training.actions):
        price = float(training.mean_cost[a])
        if action is None:
            continue
        if a not in own:
            columns, draws, cost = [*columns, a], [*draws, 0], [*cost, probing + price]
        elif own[a] > m:
            columns, draws, cost = [*columns, a], [*draws, own[a]], [*cost, price + again]
    reference = min(own, key=lambda a: own[a])
    return ProbePlan(arm, alike, tuple(columns), tuple(draws), tuple(cost), reference)


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """The first m samples of each question in R orders, and what each continuation reaches and costs."""

    key: Ints
    """(R, n) patterns."""
    extra: Floats
    """(R, n, e) what else the samples show."""
    acc: Floats
    """(R, n, C) accuracy reached."""
    paid: Floats
    """(R, n, C) cost, the probe's included."""


def draws_of(samples: Samples, plan: ProbePlan, acc: Floats, cost: Floats, orders: int, seed: int) -> Draws:
    """Draw the probes of recorded samples in random orders.

    Parameters
    ----------
    samples : Samples
    plan : ProbePlan
    acc, cost : ndarray, (n, K)
        What the actions reach and cost where they do not continue the probe.
    orders, seed : int
        R, and the random seed.
    """
    arm = samples.by_model[plan.arm]
    m = plan.action.samples
    paths = Paths(arm, orders, seed, verifier=plan.verified)
    order = random_orders(arm.drawn, orders, seed)[:, :, :m]
    n = len(samples)

    def taken(values: Any) -> Any:
        if values is None:
            return None
        return np.take_along_axis(np.broadcast_to(values, arm.drawn.shape)[None], order, axis=2).reshape(orders * n, m)

    right = taken(arm.correct) if plan.verified else None
    codes = np.tile(np.arange(m), (orders * n, 1)) if plan.verified else taken(arm.answers)
    output = None if arm.tokens is None else arm.tokens.get("output")
    key, extra = shown(codes, right, taken(output), taken(arm.logprobs))
    reached = np.empty((orders, n, len(plan.columns)))
    paid = np.empty(reached.shape)
    for c, (column, k) in enumerate(zip(plan.columns, plan.draws, strict=True)):
        if k:
            drawing = paths.rounds_cost.of_rounds(2 if k > m else 1)
            reached[:, :, c], paid[:, :, c] = paths.even[:, :, k - 1], paths.paid[:, :, k - 1] + drawing
        else:
            probing = paths.paid[:, :, m - 1] + paths.rounds_cost.first
            reached[:, :, c], paid[:, :, c] = acc[:, column], probing + cost[:, column]
    return Draws(key.reshape(orders, n), extra.reshape(orders, n, -1), reached, paid)


def shown(codes: NDArray[Any], right: Any, lengths: Any, logprobs: Any) -> tuple[Ints, Floats]:
    """Return the patterns (M,) of samples (M, m), and what else the samples show (M, e)."""
    m = codes.shape[1]
    answered = codes >= 0
    alike = np.zeros(codes.shape, np.int64)
    for j in range(m):
        alike[:, j] = ((codes == codes[:, j, None]) & answered).sum(axis=1)
    alike = -np.sort(-np.where(answered, alike, 0), axis=1)
    key = np.zeros(len(codes), np.int64)
    for j in range(m):
        key = key * (m + 1) + alike[:, j]
    if right is not None:
        key += right.any(axis=1) * (m + 1) ** m
    if lengths is None and logprobs is None:
        return key, np.empty((len(codes), 0))
    fixed = np.where(answered, codes, -1).astype(np.int64)
    lengths = None if lengths is None or not np.isfinite(lengths).all() else lengths
    logprobs = None if logprobs is None or not np.isfinite(logprobs).all() else logprobs
    return key, probe_features(fixed, lengths=lengths, logprobs=logprobs)[:, 4:]


def shown_by(results: list[Result], plan: ProbePlan, width: int) -> tuple[int, Floats]:
    """Return the same for the results of a live probe: the pattern, and what else it shows, (e,)."""
    m = plan.action.samples
    names: dict[Any, int] = {}
    if plan.verified:  # the verifier's mark says more than which answers are equal
        codes = list(range(m))
    else:
        codes = [-1 if r.answer is None else names.setdefault(r.answer, len(names)) for r in results]
        codes += [-1] * (m - len(codes))
    lengths = logprobs = None
    if width in (4, 5):
        lengths = np.array([[float(r.tokens) if r.tokens is not None else np.nan for r in results]])
    if width in (1, 5):
        logprobs = np.array([[r.logprob if r.logprob is not None else np.nan for r in results]], float)
    right = np.array([[any(r.correct for r in results)]]) if plan.verified else None
    key = int(shown(np.array([codes]), right, None, None)[0][0])
    whole = all(x is None or (x.size and np.isfinite(x).all()) for x in (lengths, logprobs))
    if not width or not whole or not results:
        return key, np.full(width, np.nan)
    return key, shown(np.array([codes[: len(results)]]), None, lengths, logprobs)[1][0]


def margin_of(key: Ints, m: int) -> Ints:
    """Return a pattern's margin: votes of the most frequent answer minus the second; −1 if one was accepted."""
    rest = key % (m + 1) ** m
    digits = np.stack([(rest // (m + 1) ** (m - 1 - j)) % (m + 1) for j in range(m)], axis=1)
    first = digits[:, 0]
    second = np.where(first < m, np.take_along_axis(digits, np.minimum(first, m - 1)[:, None], 1)[:, 0], 0)
    return np.asarray(np.where(key >= (m + 1) ** m, -1, np.where(first > 0, first - second, m + 1)))


class AfterProbe:
    """Predicts what each continuation reaches, from the pattern and the features.

    Attributes
    ----------
    keys, curves : ndarray, (P,), (P, C)
        Patterns, rising, and their curves; `margins`, `by_margin` and `overall` are for patterns that were never seen.
    """

    def __init__(self, plan: ProbePlan, width: int, extra: int):
        self.plan, self.width, self.extra = plan, width, extra
        self.models: list[tuple[Ridge, Shrinkage] | None] = []

    def fit(self, draws: Draws, x: Floats, weights: Floats, folds: NDArray[np.intp], *, shrink: bool) -> Floats:
        """Fit; return out-of-fold predictions, (R, n, C)."""
        r, n, c = draws.acc.shape
        base = np.empty(draws.acc.shape)
        for fold in np.unique(folds):
            held = folds == fold
            self._curves(draws, weights * ~held)
            base[:, held] = self._curve(draws.key[:, held].reshape(-1)).reshape(r, -1, c)
        self._curves(draws, weights)
        flat = draws.extra.reshape(r * n, self.extra)
        self.centre = flat.mean(axis=0)
        spread = flat.std(axis=0)
        self.scale = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0.0)
        z = np.concatenate([np.tile(x, (r, 1)), self._standard(flat)], axis=1)
        residual = (draws.acc - base).reshape(r * n, c)
        group = self._group(draws.key.reshape(-1))
        found = np.zeros((r * n, c))
        self.models = []
        question = np.tile(np.arange(n), r)
        order = np.argsort(self.plan.cost, kind="stable")
        for g in range(self.groups):
            some = group == g
            if not z.shape[1] or not some.any() or len(np.unique(folds[question[some]])) < 2:
                self.models.append(None)
                continue
            ridge, rows, w = Ridge(), z[some], weights[question[some]] / r
            predicted = ridge.out_of_fold(rows, residual[some], w, folds[question[some]])
            ridge.fit(rows, residual[some], w)
            shrinkage = Shrinkage.fit(predicted, residual[some], order, w, shrink=shrink, clusters=question[some])
            found[some] = shrinkage.apply(predicted)
            self.models.append((ridge, shrinkage))
        return base + found.reshape(r, n, c)

    def _curves(self, draws: Draws, weights: Floats) -> None:
        r, _, c = draws.acc.shape
        key = draws.key.reshape(-1)
        w = np.tile(weights, r) / r
        values = draws.acc.reshape(-1, c)
        self.overall = np.asarray(w @ values / w.sum())
        self.keys, which = np.unique(key, return_inverse=True)
        mass, total = _sums(which, w, values, len(self.keys))
        margin = margin_of(self.keys, self.plan.action.samples)
        self.margins, of = np.unique(margin, return_inverse=True)
        _, sums = _sums(of, np.ones(len(of)), np.column_stack([mass, total]), len(self.margins))
        self.by_margin = (sums[:, 1:] + PSEUDO * self.overall) / (sums[:, :1] + PSEUDO)
        self.curves = (total + PSEUDO * self.by_margin[of]) / (mass + PSEUDO)[:, None]
        # Groups of patterns that have a model of their own, and one group for all others.
        large = np.flatnonzero(mass >= GROUP)
        self.group_of = np.full(len(self.keys), len(large), np.int64)
        self.group_of[large] = np.arange(len(large))
        self.groups = len(large) + 1

    def _place(self, key: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        at = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
        return at, self.keys[at] == key

    def _curve(self, key: Ints) -> Floats:
        at, known = self._place(key)
        found = self.curves[at]
        if not known.all():
            margin = margin_of(key[~known], self.plan.action.samples)
            m = np.minimum(np.searchsorted(self.margins, margin), len(self.margins) - 1)
            found[~known] = np.where((self.margins[m] == margin)[:, None], self.by_margin[m], self.overall)
        return np.asarray(found)

    def _group(self, key: Ints) -> Ints:
        at, known = self._place(key)
        return np.asarray(np.where(known, self.group_of[at], self.groups - 1))

    def _standard(self, extra: Floats) -> Floats:
        # If a value is missing (NaN), the average is taken.
        return np.asarray(np.clip(np.nan_to_num((extra - self.centre) * self.scale), -4.0, 4.0))

    def predict(self, key: Ints, x: Floats, extra: Floats) -> Floats:
        """Return predictions, (M, C), for patterns (M,), features (M, d) and what else the samples showed (M, e)."""
        found = self._curve(key)
        z = np.concatenate([x, self._standard(extra)], axis=1)
        group = self._group(key)
        for g, model in enumerate(self.models):
            some = group == g
            if model is not None and some.any():
                found[some] += model[1].apply(model[0].predict(z[some]))
        return found

    # ------------------------------------------------------------------------------------------ files

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """Return what a file needs."""
        names = ("keys", "curves", "margins", "by_margin", "overall", "group_of", "centre", "scale")
        arrays: dict[str, NDArray[Any]] = {name: getattr(self, name) for name in names}
        alphas: list[float | None] = []
        for g, model in enumerate(self.models):
            alphas.append(None if model is None else model[0].alpha)
            if model is not None:
                arrays |= with_prefix(f"{g}/", model[0].state()[1])
                arrays |= with_prefix(f"{g}/shrinkage/", model[1].to_arrays())
        return {"alphas": alphas, "width": self.width, "extra": self.extra}, arrays

    @classmethod
    def from_state(cls, meta: Any, arrays: dict[str, NDArray[Any]], plan: ProbePlan) -> "AfterProbe":
        """Return the object that `state` described, checked."""
        made = cls(plan, int(meta["width"]), int(meta["extra"]))
        c, p, q = len(plan.columns), len(arrays["keys"]), len(arrays["margins"])
        shapes = {
            "curves": (p, c),
            "by_margin": (q, c),
            "overall": (c,),
            "centre": (made.extra,),
            "scale": (made.extra,),
        }
        for name, shape in shapes.items():
            values = np.asarray(arrays[name], np.float64)
            if values.shape != shape or not np.isfinite(values).all():
                raise InputError(f"{name}: expected finite numbers of shape {shape}.")
            setattr(made, name, values)
        alphas = meta["alphas"]
        made.groups = len(alphas)
        for name, size in (("keys", p), ("margins", q), ("group_of", p)):
            whole = np.asarray(arrays[name], np.int64)
            if whole.shape != (size,) or size == 0 or (name != "group_of" and (np.diff(whole) <= 0).any()):
                raise InputError(f"{name}: expected rising whole numbers.")
            setattr(made, name, whole)
        if (made.group_of < 0).any() or (made.group_of >= made.groups).any():
            raise InputError("group_of: expected numbers of groups.")
        made.models = []
        for g, alpha in enumerate(alphas):
            if alpha is None:
                made.models.append(None)
                continue
            mine = part_of(f"{g}/", arrays)
            ridge = ridge_of(alpha, mine, made.width + made.extra, c)
            made.models.append((ridge, Shrinkage.from_arrays(part_of("shrinkage/", mine), c)))
        return made


def _sums(which: Ints, weights: Floats, values: Floats, count: int) -> tuple[Floats, Floats]:
    mass = np.bincount(which, weights=weights, minlength=count).astype(np.float64)
    total = np.column_stack([np.bincount(which, weights=weights * column, minlength=count) for column in values.T])
    return mass, np.asarray(total, np.float64)
