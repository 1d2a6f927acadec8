"""What a policy is certified to lose, on questions that it has not seen.

What to use when
----------------
`certify`
    From a policy's choices and the outcomes of the same questions; ``policy.certify(X, samples)`` calls it.
`Certificate`
    The result of `certify`; printed, it is a table.

(A) Fidelity, the share of questions where the policy picks the oracle's action, means little alone. Two figures beside
    it help. The majority action's share is the fidelity of always choosing that action. The agreement of two oracles,
    each from one half of the samples, shows how far the oracle's actions are facts and not noise. If the oracle agrees
    with itself on a share p of the questions, a policy agrees with it on at most √p of them, because
    max_a P(a) ≤ √Σ_a P(a)². (Halves are noisier than the whole.)
(B) Regret at the price λ: R = mean of max_a (acc − λ·cost) less the policy's acc − λ·cost. By weak duality
        V − U ≤ R + λ·(budget − spend),
    where V is the optimum of the linear program at the budget, and U is the policy's accuracy. arXiv 2604.14853 leaves
    the second term out, which is wrong as soon as the policy spends less than the budget. The bound holds for any
    λ ≥ 0 and any policy.
(C) Gain captured: (policy − mixture)/(oracle − mixture), at the policy's spend, with the best fixed mixture.
    An oracle that chooses on the estimates that score it overstates its accuracy. Given samples, it chooses on one half
    of them and is scored on the other, both ways, over several random halvings.

All intervals are over questions: they say what the same policy would show on similar questions, at the same price. An
interval ends where a figure must end (accuracies and shares in [0, 1], regret and spend at 0). If costs differ between
questions, a few of them can decide the mean of regret or spend. Then there is no upper limit, and a note says so
(`intervals.py`).
"""

import math
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc import _amounts
from tcalloc._checks import level_of, whole
from tcalloc._counts import counted
from tcalloc._inputs import scalar
from tcalloc._printing import cleaned
from tcalloc._rounding import SUMMED
from tcalloc._solve import decide, solve
from tcalloc.errors import BudgetError, InputError
from tcalloc.learn.holdout.half_samples import Halves, gains_at
from tcalloc.learn.holdout.intervals import Estimate, Over
from tcalloc.learn.training import ActionsLike, Mix, SamplesLike, Training, as_table
from tcalloc.measure.labels import labels_of
from tcalloc.measure.referee import judged
from tcalloc.measure.samples import Samples
from tcalloc.measure.table import Table

__all__ = ["Certificate", "Estimate", "certify"]

Actions = NDArray[np.int32]

OPEN = (
    "Some figures have a limit on one side only, or none: questions of a kind that is rare or absent here may change "
    "them much. More questions help."
)


@dataclass(frozen=True, slots=True, repr=False)
class Certificate:
    """What a policy is certified to lose; all figures are in the units of the table.

    Attributes
    ----------
    n : int
        Number of questions.
    price : float
        The price λ at which regret and the oracle's actions are computed.
    budget : float
        The mean cost per question that could have been spent.
    level : float
        Confidence level of the intervals.
    accuracy : Estimate
        Mean accuracy of the policy's actions.
    spend : Estimate
        Their mean cost.
    fidelity : Estimate
        Share of questions where the policy picks the oracle's action.
    majority : Estimate
        The fidelity of always picking the oracle's most frequent action.
    majority_action : str
        The name of that action.
    agreement : Estimate or None
        Share of questions where two oracles, each from one half of the samples, agree; None: not known.
    regret : Estimate
        R at the price.
    bound : Estimate
        R + λ·(budget − spend): the policy is at most this below the optimum at the budget.
    shortfall : float or None
        The optimum at the budget less the policy's accuracy, on this table; never above `bound`. The optimum of noisy
        estimates is overstated; `captured` says what can be attained.
    gain : Estimate
        The policy's accuracy less that of the best fixed mixture at the same spend.
    captured : Estimate or None
        Share of the oracle's gain over the mixture, at the same spend; None if there is nothing to gain.
    held_out : bool
        Whether the oracle of `captured` chose on other samples than those that score it.
    notes : tuple of str
        Remarks on these figures; each is a sentence.
    measures : str
        What `accuracy` is a share of: "accuracy" or, without gold answers, "agreement with the reference".
    """

    n: int
    price: float
    budget: float
    level: float
    accuracy: Estimate
    spend: Estimate
    fidelity: Estimate
    majority: Estimate
    majority_action: str
    agreement: Estimate | None
    regret: Estimate
    bound: Estimate
    shortfall: float | None
    gain: Estimate
    captured: Estimate | None
    held_out: bool
    notes: tuple[str, ...] = ()
    measures: str = "accuracy"

    @cleaned
    def __repr__(self) -> str:
        return (
            f"Certificate({self.n:,} questions, accuracy={self.accuracy.value:.4g}, spend={self.spend.value:.4g} of "
            f"{self.budget:.4g}, regret={self.regret.value:.4g}, bound={self.bound.value:.4g})"
        )

    @cleaned
    def __str__(self) -> str:
        def line(name: str, found: Estimate | None, unit: float = 1.0, end: str = "") -> tuple[str, str, str]:
            if found is None:
                return name, "-", ""
            form = "{:z.1f}" if unit == 100 else "{:z.4f}" if abs(found.value) < 10 else "{:.6g}"
            value, low, high = (form.format(unit * x) for x in found)
            if name == "spend":  # dollars need more decimals than shares
                value, low, high = _amounts.column([*found], trim=False)
            if math.isinf(found.low) and math.isinf(found.high):
                return name, value, f"no limit{end}"
            if math.isinf(found.high):
                return name, value, f"at least {low}{end}"
            return name, value, f"at most {high}{end}" if math.isinf(found.low) else f"{low} to {high}{end}"

        shortfall = "" if self.shortfall is None else f"; on these {self.shortfall:z.4f}"
        rows = [
            ("", "", f"{self.level:.0%} interval"),
            line(self.measures, self.accuracy),
            line("spend", self.spend, end=f"; budget {_amounts.digits(self.budget, 6)}"),
            line("fidelity, %", self.fidelity, 100),
            line(f"  of always {self.majority_action}", self.majority, 100),
            line("  of two half-sample oracles", self.agreement, 100),
            line(f"regret at price {self.price:.4g}", self.regret),
            line("below the optimum, at most", self.bound, end=shortfall),
            line("gain over the best fixed mixture", self.gain),
            line("  of the oracle's gain, %", self.captured, 100, "" if self.held_out else "; not held out"),
        ]
        left, middle = (max(len(row[i]) for row in rows) for i in (0, 1))
        lines = [f"{a:<{left}}  {b:>{middle}}  {c}".rstrip() for a, b, c in rows]
        head = counted(self.n, "question")
        return "\n".join([f"{head}{lines[0][len(head) :]}", *lines[1:], *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Return it as a dictionary for JSON; a number that is not finite becomes None."""

        def plain(value: Any) -> Any:
            if isinstance(value, Estimate):
                return {key: plain(x) for key, x in value._asdict().items()}
            if isinstance(value, float):
                return value if math.isfinite(value) else None
            return list(value) if isinstance(value, tuple) else value

        return {field.name: plain(getattr(self, field.name)) for field in fields(self)}


def certify(
    chosen: ArrayLike,
    table: SamplesLike,
    price: float | None = None,
    *,
    budget: float | None = None,
    samples: Samples | None = None,
    actions: ActionsLike | None = None,
    cost: ArrayLike | None = None,
    splits: int = 4,
    level: float = 0.95,
    random_state: int = 0,
) -> Certificate:
    """Return how much a policy loses on held-out questions, as a certificate.

    Parameters
    ----------
    chosen : array_like of int, (N,)
        The columns that the policy picked.
    table : Table, Samples or array_like (N, K)
        The outcomes of the same questions. An array of accuracies needs `cost`. From Samples the exact expectation is
        taken, and they also serve as `samples`. Of samples without gold answers, a random half is judged by the other.
    price : float, optional
        The price λ of the policy. None, or ``inf``: the price that is optimal for the budget on this table.
    budget : float, optional
        Mean cost per question that could have been spent; default: the spend, so that the bound is the regret.
    samples : Samples, optional
        The samples that the table was made from: for the agreement of half-sample oracles, and for an oracle that is
        held out. Actions may need at most half of a question's samples.
    actions : list of Action, optional
        What the columns of the table mean, if neither the table nor their names say it.
    cost : array_like, (K,) or (N, K), optional
        Costs to use instead of the table's.
    splits : int
        Number of random halvings of the samples.
    level : float
        Confidence level of the intervals.
    random_state : int
        Seed of the halvings.

    Returns
    -------
    Certificate

    Raises
    ------
    InputError
        If an argument is not allowed, or a question does not have the action that was picked.

    Examples
    --------
    One question has the actions (cost, accuracy) = (1, 0) and (3, 1), and the policy plays the first. Without the
    second term the bound at budget 3 would be 0:

    >>> from tcalloc.learn.holdout.certify import certify
    >>> found = certify([0], [[0, 1]], price=1.0, budget=3.0, cost=[1, 3])
    >>> found.regret.value, found.bound.value, found.shortfall
    (0.0, 2.0, 1.0)
    """
    if isinstance(table, Samples):
        # Without gold answers, one random half of the samples is judged by the reference of the other.
        table = judged(table, 1, random_state)[0]
        samples = table if samples is None else samples
    picked = _whole(chosen)
    if isinstance(table, Table) and table.available is not None and not table.available.any(axis=0).all():
        table, picked, actions, cost = _without_absent(table, picked, actions, cost)
    found = as_table(table, len(picked), actions, cost, argument="table")
    _check(picked, found)
    level = level_of("level", level)
    whole("splits", splits, 1)
    n, k = found.acc.shape
    over = Over(found.weights / found.weights.sum(), float(level))
    every = np.arange(n)
    acc = np.where(np.isfinite(found.acc), found.acc, 0.0)
    own, paid = acc[every, picked], found.cost[every, picked]
    spend = float(over.weights @ paid)
    limit = spend if budget is None else scalar(budget, "budget")
    notes: list[str] = []

    optimum, natural = None, 0.0
    try:
        plan = solve(acc, found.cost, limit, available=found.available, weights=found.weights)
        optimum, natural = plan.upper_bound, plan.price
    except BudgetError as error:
        notes.append(f"The budget is below the cheapest choice here, which costs {error.limit:.6g}: no optimum.")
    if price is None or price == math.inf:
        rate = natural if math.isfinite(natural) else 0.0
        notes.append("The price is the one that is optimal for the budget on these questions.")
    else:
        rate = scalar(price, "price")
        if rate < 0:
            raise InputError(f"price is {rate!r}; expected at least 0 (accuracy per unit of cost).")

    oracle = np.asarray(decide(acc, found.cost, rate, available=found.available), np.int32)
    utility = acc - rate * found.cost
    regret = utility[every, oracle] - utility[every, picked]
    same = (oracle == picked).astype(float)
    shares = np.bincount(oracle, over.weights, k)
    most = int(shares.argmax())

    halves = None if samples is None else Halves.of(samples, found, int(splits), random_state)
    agreement = None if halves is None else over.of_some(halves.agreement(rate))
    held_out = halves is not None and halves.whole
    if halves is not None and not held_out:
        first = (
            "Half of the samples is too few to choose between the actions, so the agreement of two oracles is not known"
            if agreement is None
            else "Half of the samples is too few for some actions, so the two oracles choose only among the others"
        )
        notes.append(f"{first}, and the oracle of the gain chose on the samples that score it.")
    gain, possible = (
        halves.gains(picked, spend) if halves is not None and held_out else gains_at(acc, acc, picked, found, spend)
    )
    # Where policy and mixture do the same there is no gain; rounding would make one.
    gain = np.where(np.abs(gain) <= SUMMED, 0.0, gain)
    ends = _Ends.of(found, rate, limit, Mix.of(found.mean_acc, found.mean_cost).price(spend))
    figures = {
        "accuracy": over.mean(own, *ends.accuracy),
        "spend": over.mean(paid, *ends.spend),
        "regret": over.mean(regret, *ends.regret),
        "bound": over.mean(regret + (rate * (limit - paid) if rate else 0.0), *ends.bound),  # 0 is 0, also times inf
        "gain": over.mean(gain, *ends.gain),
    }
    captured = over.ratio(gain, possible)
    if math.isfinite(limit) and any(math.isinf(end) for each in (*figures.values(), captured or ()) for end in each):
        notes.append(OPEN)
    return Certificate(
        n=n,
        price=rate,
        budget=limit,
        level=float(level),
        fidelity=over.share(same),
        majority=over.share((oracle == most).astype(float)),
        majority_action=found.names[most],
        agreement=agreement,
        shortfall=None if optimum is None else optimum - float(over.weights @ own),
        captured=captured,
        held_out=held_out,
        notes=tuple(notes),
        measures=labels_of(table).words.full,
        **figures,
    )


class _Ends(NamedTuple):
    """The limits of each figure for one question, as far as they are known."""

    accuracy: tuple[float, float]
    spend: tuple[float, float]
    regret: tuple[float, float]
    bound: tuple[float, float]
    gain: tuple[float, float]

    @classmethod
    def of(cls, found: Training, rate: float, limit: float, slope: float) -> "_Ends":
        """Return the limits for regret at a price, and for a gain over a mixture whose cost has a price (`slope`)."""
        known = found.acc[np.isfinite(found.acc)]
        least, most = (0.0, 1.0) if known.min() >= 0 and known.max() <= 1 else (-math.inf, math.inf)
        # Known if all questions pay the same for an action.
        cheapest, highest = found.cost_range if found.shared else (0.0, math.inf)
        apart = most - least

        def charged(price: float) -> float:
            return apart + (price * (highest - cheapest) if price else 0.0)

        bound = (rate * (limit - highest), charged(rate) + rate * (limit - cheapest)) if rate else (0.0, apart)
        gain = charged(slope)
        return cls((least, most), (cheapest, highest), (0.0, charged(rate)), bound, (-gain, gain))


def _whole(chosen: Any) -> Actions:
    picked = np.asarray(chosen)
    if picked.ndim != 1 or picked.dtype.kind not in "iu" or not len(picked):
        raise InputError(
            f"chosen has dtype {picked.dtype} and shape {picked.shape}; expected whole numbers (N,): the column picked "
            "for each question, as decide returns."
        )
    return picked.astype(np.int32)


def _without_absent(table: Table, picked: Actions, actions: Any, cost: Any) -> tuple[Table, Actions, Any, Any]:
    """Drop the actions that none of these questions has, and renumber the picked columns."""
    there = np.asarray(table.available)
    kept: NDArray[np.bool_] = np.asarray(there.any(axis=0))
    k = len(kept)
    for row, column in enumerate(picked.tolist()):
        if 0 <= column < k and not kept[column]:
            raise InputError(f"chosen[{row}] is {column}, an action that no question of the table has.")
    number = np.where(kept, np.cumsum(kept) - 1, k)
    outside = (picked < 0) | (picked >= k)
    names = table.action_names or tuple(map(str, range(k)))
    few = Table(
        table.acc[:, kept],
        table.cost[..., kept],
        ids=table.ids,
        action_names=tuple(name for name, some in zip(names, kept, strict=True) if some),
        available=there[:, kept],
        weights=table.weights,
    )
    actions = getattr(table, "actions", None) if actions is None else actions
    if actions is not None and len(actions) == k:
        actions = [action for action, some in zip(actions, kept, strict=True) if some]
    cost = None if cost is None else np.asarray(cost)[..., kept]
    return few, np.where(outside, k, number[np.where(outside, 0, picked)]).astype(np.int32), actions, cost


def _check(picked: Actions, found: Training) -> None:
    k = found.acc.shape[1]
    wrong = (picked < 0) | (picked >= k)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"chosen[{row}] is {picked[row]}; the table has the columns 0 to {k - 1}.")
    if found.available is not None:
        lacking = ~found.available[np.arange(len(picked)), picked]
        if lacking.any():
            row = int(lacking.argmax())
            raise InputError(
                f"chosen[{row}] is {picked[row]} ({found.names[picked[row]]}), an action that the question does not "
                "have. Decide with available=, or leave the question out."
            )
