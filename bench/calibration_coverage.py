"""How often a calibrated budget is kept, and how much of it stays unused.

    python bench/calibration_coverage.py             everything: 10 to 20 minutes on one core
    python bench/calibration_coverage.py --quick     200 draws instead of 1,000: 3 minutes

Four populations of 100,000 questions, each with what it costs at each of 60 prices, so that the expected spend of every
price is known. Each draw takes n questions (with replacement) to calibrate on. "kept" is the share of draws whose price
has an expected spend within the budget; a guarantee at 95 % must show at least .95 less the noise of 1,000 draws
(.014). "unused" is how far the expected spend stays below the budget on average, in per cent of the budget (a price
that breaks the budget counts as negative); "none" the share of draws that are refused, since no price passed: nothing
is spent there and no promise is broken, so they count as kept but not in "unused".

    plain        the held-out mean alone
    t            a one-sided t-interval at every price: no guarantee, and not kept where costs are skewed
    HB           Hoeffding-Bentkus (arXiv 2110.01052), fixed sequence
    WSR          bets as in arXiv 2010.09686 and 2101.02703, fixed sequence
    tcalloc      bets that hedge a digital option, fixed sequence: what `calibrate(confidence=...)` does
    best         a z-test that knows the standard deviation of every price: as sharp as the Gaussian limit allows

The two-point population has few questions that cost 50 instead of 1 (one in 163 at the budget), which deceives the
plain mean and the t-interval where no sample holds one.
"""

import argparse
import math
import time
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tcalloc.errors import BudgetError
from tcalloc.learn.calibrate import calibrate_price

Floats = NDArray[np.float64]
CONFIDENCE = 0.95
DELTA = 1 - CONFIDENCE
QUESTIONS, PRICES = 100_000, 60
Make = Callable[[np.random.Generator, Floats, int], Floats]


def votes(rng: np.random.Generator, prices: Floats, n: int) -> Floats:
    """Votes over 1, 2, 4, 8, 16 samples; what more samples gain rises and falls with the difficulty."""
    hard = rng.beta(1.0, 1.6, n)
    gains = 1 - np.exp(-np.array([0, 1, 3, 7, 15])[None, :] / 4)
    acc = 1 - hard[:, None] + (0.5 * hard * (1 - hard))[:, None] * gains + rng.normal(0, 0.02, (n, 5))
    return priced(acc, np.array([1.0, 2, 4, 8, 16]), prices)


def routing(rng: np.random.Generator, prices: Floats, n: int) -> Floats:
    """Choose between a small and a large model."""
    gain = rng.normal(0.1, 0.2, n)
    return priced(np.column_stack([np.zeros(n), gain]), np.array([1.0, 2.6]), prices)


def tokens(rng: np.random.Generator, prices: Floats, n: int) -> Floats:
    """Costs that differ from question to question: log-normal lengths, cut off at 4,000 tokens."""
    gain = rng.normal(0.05, 0.1, n)
    length = np.minimum(rng.lognormal(5.5, 0.9, n), 4000) / 1000
    return np.where(gain[:, None] > 0.4 * prices, 1.0, 0.1) * length[:, None]


def two_points(rng: np.random.Generator, prices: Floats, n: int) -> Floats:
    """Nearly all cost 1; the dear ones come in at low prices."""
    rank = rng.random(n)
    return np.where(rank[:, None] < 0.012 * (1 - prices / prices.max()), 50.0, 1.0)


def priced(acc: Floats, cost: Floats, prices: Floats) -> Floats:
    """Return the cost of the best action at each price."""
    return np.column_stack([cost[np.argmax(acc - price * cost, axis=1)] for price in prices])


def grid_of(make: Make) -> Floats:
    """Return prices at which 20,000 other questions spend evenly spaced amounts, as training questions would tell."""
    fine = np.geomspace(1.0, 1e-4, 600)
    spend = make(np.random.default_rng(2), fine, 20_000).mean(axis=0)
    wanted = np.linspace(spend[0], spend[-1], PRICES)
    return fine[np.unique(np.minimum(np.searchsorted(spend, wanted), len(fine) - 1))]


POPULATIONS: dict[str, tuple[Make, float, float, float]] = {
    # how, low, high, budget
    "votes 1-16": (votes, 1.0, 16.0, 4.0),
    "two models": (routing, 1.0, 2.6, 1.8),
    "tokens": (tokens, 0.0, 4.0, 0.25),
    "two points": (two_points, 1.0, 50.0, 1.3),
}


# ---------------------------------------------------------------------------------------------- rivals: what is kept


def t_kept(costs: Floats, budget: float, low: float, high: float) -> NDArray[np.bool_]:
    n = len(costs)
    sd = costs.std(axis=0, ddof=1)
    return np.asarray(costs.mean(axis=0) + stats.t.ppf(CONFIDENCE, n - 1) * sd / math.sqrt(n) <= budget)


def hb_kept(costs: Floats, budget: float, low: float, high: float) -> NDArray[np.bool_]:
    n = len(costs)
    alpha = (budget - low) / (high - low)
    mean = np.clip((costs.mean(axis=0) - low) / (high - low), 0, 1)
    small = np.minimum(mean, alpha)
    with np.errstate(divide="ignore", invalid="ignore"):
        h1 = np.where(small > 0, small * np.log(small / alpha), 0.0) + (1 - small) * np.log((1 - small) / (1 - alpha))
    p = np.minimum(np.exp(-n * h1), math.e * stats.binom.cdf(np.ceil(n * mean - 1e-9), n, alpha))
    return np.asarray(p <= DELTA)


def wsr_kept(costs: Floats, budget: float, low: float, high: float) -> NDArray[np.bool_]:
    n = len(costs)
    alpha = (budget - low) / (high - low)
    loss = (costs - low) / (high - low)
    t = np.arange(1, n + 1)[:, None]
    mean = (0.5 + np.cumsum(loss, axis=0)) / (t + 1)
    variance = (0.25 + np.cumsum((loss - mean) ** 2, axis=0)) / (t + 1)
    before = np.vstack([np.full(costs.shape[1], 0.25), variance[:-1]])
    bet = np.minimum(1.0, np.sqrt(2 * math.log(1 / DELTA) / (n * before)))
    wealth = np.cumsum(np.log1p(-bet * (loss - alpha)), axis=0)
    return np.asarray(wealth.max(axis=0) >= math.log(1 / DELTA))


def last(kept: NDArray[np.bool_]) -> int:
    """Return the last price of the fixed sequence; -1: none."""
    return len(kept) - 1 if kept.all() else int(kept.argmin()) - 1


def ours(grid: Floats, costs: Floats, budget: float, low: float, high: float, confidence: float | None) -> int:
    try:
        found = calibrate_price(grid, costs, budget, confidence, low=low, high=high)
    except BudgetError:
        return -1
    return int(np.flatnonzero(grid == found.price)[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="200 draws instead of 1,000")
    args = parser.parse_args()
    draws = 200 if args.quick else 1000
    began = time.monotonic()
    z = NormalDist().inv_cdf(CONFIDENCE)
    print(f"{draws} draws, confidence {CONFIDENCE:.0%}; kept, unused (% of the budget), none (% of the draws)")
    worst = 1.0
    for name, (make, low, high, budget) in POPULATIONS.items():
        grid = grid_of(make)
        whole = make(np.random.default_rng(1), grid, QUESTIONS)
        expected, sd = whole.mean(axis=0), whole.std(axis=0)
        reach = f"expected spend {expected[0]:.3f} to {expected[-1]:.3f}"
        print(f"\n{name}: costs {low:g} to {high:g}, budget {budget:g}; {reach}")
        for n in (50, 200, 1000):
            rng = np.random.default_rng(n)
            chosen: dict[str, list[int]] = {key: [] for key in ("plain", "t", "HB", "WSR", "tcalloc", "best")}
            for _ in range(draws):
                costs = whole[rng.integers(0, QUESTIONS, n)]
                chosen["plain"].append(ours(grid, costs, budget, low, high, None))
                chosen["tcalloc"].append(ours(grid, costs, budget, low, high, CONFIDENCE))
                for key, kept in (("t", t_kept), ("HB", hb_kept), ("WSR", wsr_kept)):
                    chosen[key].append(last(kept(costs, budget, low, high)))
                chosen["best"].append(last(costs.mean(axis=0) + z * sd / math.sqrt(n) <= budget))
            for key, found in chosen.items():
                where = np.array(found)
                spent = np.where(where >= 0, expected[where], np.nan)
                kept_share = float((~(spent > budget)).mean())
                unused = 100 * (1 - np.nanmean(spent) / budget) if (where >= 0).any() else math.nan
                none = 100 * (where < 0).mean()
                print(f"  n = {n:5}  {key:8} kept {kept_share:.3f}  unused {unused:6.1f}  none {none:5.1f}", flush=True)
                if key == "tcalloc":
                    worst = min(worst, kept_share)
    print(f"\ntcalloc's lowest share kept: {worst:.3f} ({time.monotonic() - began:.0f} s)")
    noise = 3 * math.sqrt(CONFIDENCE * DELTA / draws)
    if worst < CONFIDENCE - noise:
        raise SystemExit(f"the guarantee failed: {worst:.3f} < {CONFIDENCE} - {noise:.3f}")


if __name__ == "__main__":
    main()
