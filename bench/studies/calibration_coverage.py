"""How often a calibrated budget is kept, and how much of it stays unused.

    python bench/studies/calibration_coverage.py             everything: 15 to 30 minutes on one core
    python bench/studies/calibration_coverage.py --quick     200 draws instead of 1,000: 5 to 10 minutes
    python bench/studies/calibration_coverage.py --stopping  the second part alone

Five populations of 100,000 questions, each with what it costs at each of 60 prices, so that the expected spend of every
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

    high seen    the same with the highest cost seen as the highest possible: no guarantee

The two-point population has few questions that cost 50 instead of 1 (one in 163 at the budget), which deceives the
plain mean and the t-interval where no sample holds one. In the rare population one question in 400 costs 400 times as
much as the others, as a runaway chain of reasoning does.

The second part is `Sequential`, which bounds each rule by the most that it can draw: how much of a budget of 2 stays
unspent with 150 held-out questions, in several worlds, beside what one bound of 40 samples for all rules would leave.
"""

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tcalloc import Samples, Sequential
from tcalloc.errors import BudgetError
from tcalloc.learn.holdout.calibrate import calibrate_price
from tcalloc.learn.holdout.cost_range import sample_costs
from tcalloc.learn.sequential.reach import highest_costs, room
from tcalloc.learn.sequential.replay import replayed

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
    """Nearly all cost 1; the expensive ones are chosen only at low prices."""
    rank = rng.random(n)
    return np.where(rank[:, None] < 0.012 * (1 - prices / prices.max()), 50.0, 1.0)


def rare(rng: np.random.Generator, prices: Floats, n: int) -> Floats:
    """One question in 400 costs 400 times as much."""
    length = np.where(rng.random(n) < 1 / 400, 400.0, 1.0)
    return np.where(rng.random(n)[:, None] > prices, 4.0, 1.0) * length[:, None]


def priced(acc: Floats, cost: Floats, prices: Floats) -> Floats:
    """Return the cost of the best action at each price."""
    return np.column_stack([cost[np.argmax(acc - price * cost, axis=1)] for price in prices])


def grid_of(make: Make) -> Floats:
    """Return prices at which 20,000 other questions spend evenly spaced amounts, as training questions would tell."""
    fine = np.geomspace(1.0, 1e-4, 600)
    spend = make(np.random.default_rng(2), fine, 20_000).mean(axis=0)
    wanted = np.linspace(spend[0], spend[-1], PRICES)
    return np.asarray(fine[np.unique(np.minimum(np.searchsorted(spend, wanted), len(fine) - 1))])


POPULATIONS: dict[str, tuple[Make, float, float, float]] = {
    # how, low, high, budget
    "votes 1-16": (votes, 1.0, 16.0, 4.0),
    "two models": (routing, 1.0, 2.6, 1.8),
    "tokens": (tokens, 0.0, 4.0, 0.25),
    "two points": (two_points, 1.0, 50.0, 1.3),
    "rare": (rare, 1.0, 1600.0, 6.0),
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
    parser.add_argument("--stopping", action="store_true", help="only what Sequential leaves unspent")
    args = parser.parse_args()
    if not args.stopping:
        beforehand(200 if args.quick else 1000)
    stopping(60 if args.quick else 250)


def beforehand(draws: int) -> None:
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
            chosen: dict[str, list[int]] = {
                key: [] for key in ("plain", "t", "HB", "WSR", "tcalloc", "high seen", "best")
            }
            for _ in range(draws):
                costs = whole[rng.integers(0, QUESTIONS, n)]
                chosen["plain"].append(ours(grid, costs, budget, low, high, None))
                chosen["tcalloc"].append(ours(grid, costs, budget, low, high, CONFIDENCE))
                chosen["high seen"].append(ours(grid, costs, budget, low, float(costs.max()), CONFIDENCE))
                for key, kept in (("t", t_kept), ("HB", hb_kept), ("WSR", wsr_kept)):
                    chosen[key].append(last(kept(costs, budget, low, high)))
                chosen["best"].append(last(costs.mean(axis=0) + z * sd / math.sqrt(n) <= budget))
            for key, found in chosen.items():
                where = np.array(found)
                spent = np.where(where >= 0, expected[where], np.nan)
                kept_share = float((~(spent > budget)).mean())
                unused = 100 * (1 - np.nanmean(spent) / budget) if (where >= 0).any() else math.nan
                none = 100 * (where < 0).mean()
                print(f"  n = {n:5}  {key:9} kept {kept_share:.3f}  unused {unused:6.1f}  none {none:5.1f}", flush=True)
                if key == "tcalloc":
                    worst = min(worst, kept_share)
    print(f"\ntcalloc's lowest share kept: {worst:.3f} ({time.monotonic() - began:.0f} s)")
    noise = 3 * math.sqrt(CONFIDENCE * DELTA / draws)
    if worst < CONFIDENCE - noise:
        raise SystemExit(f"the guarantee failed: {worst:.3f} < {CONFIDENCE} - {noise:.3f}")


# ---------------------------------------------------------------------------------------------- while sampling


def voted(
    rng: np.random.Generator, n: int, a: float = 1.0, b: float = 1.0, wrong: int = 3, cost: Floats | None = None
) -> Samples:
    right = rng.random((n, 40)) < rng.beta(a, b, (n, 1))
    return Samples(np.where(right, 0, rng.integers(1, 1 + wrong, (n, 40))), cost=cost)


def verified(rng: np.random.Generator, n: int) -> Samples:
    return Samples(correct=rng.random((n, 40)) < rng.beta(0.3, 1.0, (n, 1)))


def cascade(rng: np.random.Generator, n: int) -> Samples:
    p = rng.beta(1, 1, (n, 1))
    small, large = (np.where(rng.random((n, k)) < q, 0, rng.integers(1, 4, (n, k)))
                    for k, q in ((16, p), (8, 0.5 + 0.5 * p)))  # fmt: skip
    return Samples(arms={"small": Samples(small, cost=1.0), "large": Samples(large, cost=2.6)})


def lengths(rng: np.random.Generator, n: int) -> Samples:
    """Draw samples that cost about 1, and 4 at most."""
    return voted(rng, n, cost=np.minimum(rng.lognormal(-0.4, 0.8, (n, 1)) * rng.lognormal(0, 0.3, (n, 40)), 4.0))


WORLDS: dict[str, tuple[Callable[[np.random.Generator, int], Samples], str, float | None]] = {
    # how, what makes the answer, the most that a sample may cost
    "votes, uniform": (voted, "vote", None),
    "votes, easy": (lambda rng, n: voted(rng, n, 3.0), "vote", None),
    "votes, 20 wrong answers": (lambda rng, n: voted(rng, n, 1.5, 1.0, 20), "vote", None),
    "verifier": (verified, "verifier", None),
    "two models": (cascade, "vote", None),
    "lengths": (lengths, "vote", 4.0),
}
FITS, BUDGET, HELD = 4, 2.0, 150


def stopping(draws: int) -> None:
    """Say what `Sequential` leaves unspent; a draw takes held-out questions from the population, with replacement."""
    print(f"\nSequential, budget {BUDGET:g}, {HELD} held-out questions, {FITS} fits of {draws // FITS} draws each")
    for name, (make, combine, high) in WORLDS.items():
        spent: dict[str, list[float]] = {"own": [], "40": []}
        for fit in range(FITS):
            rng = np.random.default_rng([17, fit])
            policy = Sequential(answer_by=combine).fit(None, make(rng, 300))
            population = make(rng, 1500)
            trained = policy._trained
            assert trained is not None
            settings = trained.settings
            most = sample_costs(settings.arms, settings.highest_draw_costs, population, {}, high)
            limit = room(settings, most, BUDGET, CONFIDENCE, HELD)
            for key in spent:
                mixtures = [
                    replace(m, limit=limit if key == "own" else None)
                    for m in trained.choices.mixtures(trained.choices.budgets())
                ]
                highs = highest_costs(trained, mixtures, most) if key == "own" else 40.0 * most.max()
                spends = replayed(trained, mixtures, population, None, 8, 3).spend.T
                dial = np.arange(len(mixtures), 0.0, -1.0)
                for _ in range(draws // FITS):
                    rows = rng.integers(0, len(spends), HELD)
                    try:
                        found = calibrate_price(dial, spends[rows], BUDGET, CONFIDENCE, high=highs)
                    except BudgetError:
                        spent[key].append(math.nan)
                        continue
                    spent[key].append(float(spends[:, int(np.flatnonzero(dial == found.price)[0])].mean()))
        words = []
        for key, values in spent.items():
            real = np.array(values)
            unused = 100 * (1 - np.nanmean(real) / BUDGET) if np.isfinite(real).any() else math.nan
            words.append(f"{key}: unused {unused:4.1f} broken {100 * (real > BUDGET).mean():3.1f} none "
                         f"{100 * np.isnan(real).mean():3.1f}")  # fmt: skip
        print(f"  {name:24} {'; '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
