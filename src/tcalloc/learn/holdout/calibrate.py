"""The price that keeps a budget, from held-out questions: plain, or with a guarantee that holds for any sample size.

Plain calibration takes the smallest price at which the held-out questions cost no more than the budget on average. The
next questions then cost more than the budget about half of the time, because the price was chosen on a sample. With a
confidence, P(expected spend > budget) ≤ 1 − confidence over the draw of the held-out questions, however few they are:

(A) Fixed-sequence testing (Learn then Test: Angelopoulos, Bates, Candès, Jordan & Lei, arXiv 2110.01052). The prices
    are tried from the largest (which spends least) downwards. Each is tested against the hypothesis "expected spend >
    budget" at the full level δ = 1 − confidence. The first price that is not rejected ends the search. A price that
    exceeds the budget is returned only if the first such price was rejected wrongly. The probability of that is at
    most δ, however many prices there are.
(B) The test bets (Waudby-Smith & Ramdas, arXiv 2010.09686). L is a question's cost mapped to [0, 1], and α is the
    budget mapped likewise. Wealth starts at 1 and is multiplied by 1 − ν·(L − α) question by question. The bet ν lies
    between 0 and 1/(1 − α), and depends on earlier questions only. If the expected L is at least α, wealth is a
    nonnegative supermartingale. Then the chance that it ever reaches 1/δ is at most δ (Ville); reject if it does.
(C) Any such ν is valid; a good one makes the test sharp. The best use of wealth is to reach exactly 1/δ by the last
    question. That is a digital option, and ν hedges it. In the Gaussian limit, an option that pays 1/δ with probability
    p = δ·wealth is replicated by ν = φ(Φ⁻¹(p))/(p·σ·√(questions left)). The test then becomes the z-test, which no test
    beats; σ is estimated from earlier questions. (Voráček & Orabona, arXiv 2505.22422, recalculate bets for the same
    purpose.) The gain over Hoeffding-Bentkus and over the usual bets: `bench/studies/calibration_coverage.py`.

A guarantee rests on four assumptions, which `Calibration.assumptions` repeats:

1. The held-out questions are independent of each other: no question is a copy or a variant of another.
2. The next questions come from the same population as the held-out ones.
3. Neither the policy nor its grid of prices has seen the held-out questions.
4. The cost of any question, future ones included, lies in [low, high]. The highest cost seen is not the highest
   possible: `high` must be known from elsewhere, such as a limit on tokens. It may differ between prices.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._checks import level_of, whole
from tcalloc._inputs import scalar
from tcalloc._printing import cleaned
from tcalloc._rounding import FEASIBLE
from tcalloc.errors import BudgetError, InputError

__all__ = ["Calibration", "calibrate_price", "calibrate_rising"]

Floats = NDArray[np.float64]

ASSUMPTIONS = (
    "the held-out questions are independent of each other",
    "the next questions come from the same population",
    "neither the policy nor its grid of prices has seen the held-out questions",
    "every question costs between {low:.6g} and {high:.6g}",
)
# Bets stay below this share of the largest allowed bet, so that one expensive question cannot take all wealth.
MOST = 0.98
# Up to this number of bets there is one bet per held-out question; beyond it, one per block of questions.
BETS = 500


@dataclass(frozen=True, slots=True)
class Calibration:
    """A price, and what is known about its spend.

    Attributes
    ----------
    price : float
        λ; ``inf`` if only the cheapest actions can be paid.
    spend : float
        Mean cost of the held-out questions at that price.
    budget : float
        The budget to keep.
    bound : float or None
        The expected spend is at most this (the budget) with that confidence; None if nothing is guaranteed.
    confidence : float or None
        1 − δ; None: plain calibration.
    n : int
        Number of held-out questions.
    method : str
        "plain" or "betting".
    assumptions : tuple of str
        The conditions of the guarantee, one clause each; empty if nothing is guaranteed.
    """

    price: float
    spend: float
    budget: float
    bound: float | None
    confidence: float | None
    n: int
    method: str
    assumptions: tuple[str, ...]

    @cleaned
    def __str__(self) -> str:
        price = "inf" if math.isinf(self.price) else f"{self.price:.4g}"
        head = f"price {price}: {self.spend:.4g} of {self.budget:.4g} spent on {self.n:,} held-out questions"
        if self.confidence is None:
            return f"{head}; no guarantee for the next ones"
        promise = f"expected spend at most {self.bound:.4g} with confidence {self.confidence:.6g}"
        numbered = "; ".join(f"({i}) {clause}" for i, clause in enumerate(self.assumptions, 1))
        return f"{head}; {promise}, if {numbered}"

    def to_dict(self) -> dict[str, Any]:
        """Return it as a dictionary for JSON (a price of ``inf`` as text)."""
        found = asdict(self) | {"assumptions": list(self.assumptions)}
        return found | {"price": "inf"} if math.isinf(self.price) else found

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Calibration":
        """Return the calibration that `to_dict` wrote.

        Raises
        ------
        InputError
            If `data` is no such dictionary.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(data, Mapping) or set(data) != names:
            raise InputError(f"calibration: {data!r} is not one; expected the fields {', '.join(sorted(names))}.")
        given = dict(data)
        for name in ("price", "spend", "budget", "bound", "confidence"):
            if given[name] is not None or name in ("price", "spend", "budget"):
                given[name] = scalar(given[name], f"calibration, {name}")
        whole("n of the calibration", given["n"], 1)
        if not isinstance(given["method"], str):
            raise InputError(f"calibration, method: {given['method']!r}; expected text.")
        clauses = given["assumptions"]
        if not isinstance(clauses, (list, tuple)) or not all(isinstance(clause, str) for clause in clauses):
            raise InputError(f"calibration, assumptions: {clauses!r}; expected a list of texts.")
        given["assumptions"] = tuple(clauses)
        return cls(**given)


def calibrate_price(
    prices: ArrayLike,
    spends: ArrayLike,
    budget: float,
    confidence: float | None = None,
    *,
    low: float = 0.0,
    high: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    random_state: int = 0,
) -> Calibration:
    """Return the smallest price of a grid that keeps the budget on held-out questions.

    Parameters
    ----------
    prices : array_like, (P,)
        The grid, descending; it may begin with ``inf``. With a confidence it must not depend on the held-out questions.
    spends : array_like, (n, P)
        What each held-out question costs at each price: in expectation not more at a higher price.
    budget : float
        Mean cost per question that may be spent.
    confidence : float, optional
        1 − δ, such as 0.95: P(expected spend > budget) ≤ δ. Without it the held-out mean alone decides.
    low : float
        The least that any question can cost, future ones included.
    high : float or array_like, (P,), optional
        The most that any question can cost, future ones included; one number, or one per price. Needed with a
        confidence. It must be known without the held-out questions: the highest cost seen is not the highest possible.
    weights : array_like, (n,), optional
        How often each held-out question occurs; the mean is weighted. A confidence needs equal weights.
    random_state : int
        Seed of the order in which the held-out questions are looked at, because a table may be sorted.

    Returns
    -------
    Calibration
        One line when printed.

    Raises
    ------
    InputError
        If an argument is not allowed, `high` is missing beside a confidence, or weights differ beside one.
    BudgetError
        If no price keeps the budget (with that confidence); its ``limit`` is the smallest budget that the largest price
        keeps.

    Examples
    --------
    >>> import numpy as np
    >>> from tcalloc.learn.holdout.calibrate import calibrate_price
    >>> rng = np.random.default_rng(0)
    >>> gains = rng.random(400)  # what a fourth sample gains; it is drawn if that exceeds its price
    >>> prices = np.linspace(1, 0, 101)
    >>> spends = np.where(gains[:, None] > prices, 4, 1)
    >>> calibrate_price(prices, spends, 2).price
    0.72
    >>> calibrate_price(prices, spends, 2, confidence=0.95, low=1, high=4).price
    0.75
    """
    grid, costs = _grid_of(prices, spends)
    n = len(costs)
    counts = _counts(weights, n)
    limit = scalar(budget, "budget")
    mean = costs.mean(axis=0) if counts is None else (counts[:, None] * costs).sum(axis=0) / counts.sum()
    if confidence is None:
        if high is not None:
            _range(costs, low, high)
        kept = mean <= limit * (1 + FEASIBLE)
        if not kept[0]:
            raise BudgetError(
                f"budget is {limit!r}, but even the largest price ({grid[0]:.4g}) spends {mean[0]:.6g} on the held-out "
                "questions. Raise the budget, or offer cheaper actions.",
                float(mean[0]),
            )
        last = _last(kept)
        return Calibration(float(grid[last]), float(mean[last]), limit, None, None, n, "plain", ())
    delta = 1 - level_of("confidence", confidence)
    if counts is not None:
        raise InputError(
            "weights differ, but a guarantee needs held-out questions that were drawn as often as they occur: with "
            "weights, the mean of the next questions has no bound. Draw the held-out questions in proportion to their "
            "weights and pass none, or calibrate without confidence=, which uses the weights."
        )
    if high is None:
        raise InputError(
            f"confidence is {confidence!r}, but high is missing: the most that any question can cost, future ones "
            "included. The highest cost seen is not the highest possible. Pass high=, from max_tokens and rates."
        )
    least, most = _range(costs, low, high)
    shuffled = costs[np.random.default_rng(random_state).permutation(n)]
    kept = keeps(shuffled, limit, delta, least, most)
    if not kept[0]:
        limit_there = _smallest_budget(shuffled[:, :1], delta, least, float(most[0]))
        raise BudgetError(
            f"budget is {limit!r}, but {n:,} held-out questions, which cost {mean[0]:.6g} on average at the largest "
            f"price ({grid[0]:.4g}) and may cost up to {most[0]:.6g} each, guarantee no less than {limit_there:.6g} "
            f"with confidence {float(confidence)!r}. Raise the budget, hold out more questions, limit what a question "
            "may cost, or lower the confidence.",
            limit_there,
        )
    last = _last(kept)
    assumptions = tuple(clause.format(low=least, high=most[last]) for clause in ASSUMPTIONS)
    return Calibration(float(grid[last]), float(mean[last]), limit, limit, float(confidence), n, "betting", assumptions)


def calibrate_rising(
    spends: Floats, budget: float, confidence: float | None, costs: str | None, **limits: Any
) -> tuple[int, Calibration]:
    """Return the last of some settings of rising spend that keeps the budget, and its calibration.

    Parameters
    ----------
    spends : ndarray, (J, n)
        What each held-out question costs in each setting.
    budget, confidence, **limits
        As in `calibrate_price`.
    costs : str, optional
        The assumption on costs in words, if they say more than `calibrate_price` knows.
    """
    dial = np.arange(len(spends), 0, -1, dtype=np.float64)  # in place of prices, which fall as spends rise
    found = calibrate_price(dial, spends.T, budget, confidence, **limits)
    if costs is not None:
        found = replace(found, assumptions=(*found.assumptions[:-1], costs))
    return int(np.flatnonzero(dial == found.price)[0]), found


def _grid_of(prices: Any, spends: Any) -> tuple[Floats, Floats]:
    """Return the grid of prices and the spends as arrays, checked."""
    grid = np.asarray(prices, np.float64)
    costs = np.asarray(spends, np.float64)
    if grid.ndim != 1 or not grid.size or np.isnan(grid).any() or (grid < 0).any() or (np.diff(grid) > 0).any():
        raise InputError("prices: expected a list of numbers, at least 0, from the largest down.")
    if costs.ndim != 2 or costs.shape[1] != len(grid) or not len(costs):
        raise InputError(
            f"spends has shape {costs.shape}; expected (n, {len(grid)}): a row per held-out question, at least one, a "
            "column per price."
        )
    bad = ~(np.isfinite(costs) & (costs >= 0))
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        raise InputError(
            f"spends[{row}, {column}] is {float(costs[row, column])!r}; expected a finite cost, at least 0."
        )
    return grid, costs


def _counts(weights: Any, n: int) -> Floats | None:
    """Return how often each question occurs; None: all equally often."""
    if weights is None:
        return None
    found = np.asarray(weights, np.float64)
    if found.shape != (n,) or not np.isfinite(found).all() or (found < 0).any() or not found.any():
        raise InputError(f"weights: expected {n} finite numbers, at least 0 and not all 0: one per held-out question.")
    return None if np.ptp(found) <= 1e-9 * found.max() else found


def _range(costs: Floats, low: Any, high: Any) -> tuple[float, Floats]:
    """Return the least cost, and the highest cost at each price; raise an error for a spend outside."""
    least = scalar(low, "low")
    most = np.asarray(high, np.float64)
    if most.ndim and most.shape != costs.shape[1:]:
        raise InputError(f"high has shape {most.shape}; expected one number, or {costs.shape[1]}: one per price.")
    if not (0 <= least < math.inf and np.isfinite(most).all() and (most >= least).all()):
        raise InputError(f"low is {least!r} and high is {most.tolist()!r}; expected 0 ≤ low ≤ high, both finite.")
    most = np.broadcast_to(most, costs.shape[1:])
    # Sums of costs may round differently.
    slack = 1e-9 * np.maximum(most, 1e-300)
    bad = (costs < least - slack) | (costs > most + slack)
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        raise InputError(
            f"spends[{row}, {column}] is {float(costs[row, column])!r}, not between low = {least!r} and high = "
            f"{float(most[column])!r}. Both must hold for every question, future ones included."
        )
    return least, most


def _last(kept: NDArray[np.bool_]) -> int:
    """Return the position of the last leading True."""
    return len(kept) - 1 if kept.all() else int(kept.argmin()) - 1


# ---------------------------------------------------------------------------------------------- the test


def _hedges() -> tuple[Floats, Floats]:
    """Return log p and φ(Φ⁻¹(p))/p on a grid. Interpolation makes the bets slightly inexact, but they stay valid."""
    normal = NormalDist()
    logs = np.concatenate([np.linspace(-40, -1, 1024), np.linspace(-1, -1e-9, 1024)[1:]])
    return logs, np.array([normal.pdf(normal.inv_cdf(math.exp(x))) / math.exp(x) for x in logs])


HEDGES = _hedges()


def keeps(costs: Floats, budget: float | Floats, delta: float, low: float, high: float | Floats) -> NDArray[np.bool_]:
    """Return for each column whether "expected cost > budget" is rejected at level delta; rows are in random order.

    Parameters
    ----------
    costs : ndarray, (n, P)
        Costs in [low, high], in random order.
    budget : float or ndarray, (P,)
    delta, low, high
        As in `calibrate_price`; `high` may differ between columns.

    Returns
    -------
    ndarray of bool, (P,)
        True: rejected, so the budget is kept.
    """
    n, columns = costs.shape
    limit, top = (np.broadcast_to(np.asarray(value, np.float64), (columns,)) for value in (budget, high))
    # No sample excludes an expectation just above `low`, and no expectation can be above `high`.
    inside = (limit > low) & (limit < top)
    if not inside.any():
        return np.asarray(limit >= top)
    span = np.where(top > low, top - low, 1.0)
    alpha = np.where(inside, (np.where(inside, limit, low) - low) / span, 0.5)
    cap = MOST / (1 - alpha)
    goal = -math.log(delta)
    wealth = np.zeros(columns)  # its logarithm
    total, squares = np.zeros((2, columns))
    step = -(-n // BETS)
    for t in range(0, n, step):
        # One pseudo-question with the largest variance that costs of mean α can have.
        mean = (alpha + total) / (t + 1)
        sigma = np.sqrt(np.maximum((alpha + squares) / (t + 1) - mean**2, 1e-6))
        chance = np.minimum(wealth - goal, -1e-9)
        bet = np.interp(chance, *HEDGES) / (sigma * math.sqrt(n - t))
        bet = np.where(wealth >= goal, 0.0, np.minimum(bet, cap))  # wealth that has reached the goal stays there
        block = (costs[t : t + step] - low) / span
        wealth += np.log1p(-bet * (block - alpha)).sum(axis=0)
        total += block.sum(axis=0)
        squares += (block**2).sum(axis=0)
    return np.where(inside, wealth >= goal, limit >= top)


def _smallest_budget(costs: Floats, delta: float, low: float, high: float) -> float:
    """Return (nearly) the smallest budget that the one column keeps; it also keeps all larger ones that were tried."""
    below, above = low, high
    for _ in range(6):
        tried = np.linspace(below, above, 33)
        kept = keeps(np.broadcast_to(costs, (len(costs), len(tried))), tried, delta, low, high)
        kept[-1] = True
        first = len(kept) - int(kept[::-1].argmin()) if not kept.all() else 1
        below, above = float(tried[first - 1]), float(tried[first])
    return above
