"""The streams: what each request offers, what it will really be billed, and when its bill comes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tcalloc.datasets import load_recorded

__all__ = ["STREAMS", "Stream", "real"]

# Costs of the actions of simulated requests: samples, as in a vote. The average budget is 4 of them.
COSTS = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
BUDGET = 4.0
VOTES = (1, 2, 4, 8, 16)
# Bills of ordinary streams are up to this share more or less than expected; the stated maximum is the most.
NOISE = 0.3
# Heavy-tailed bills are cut off by max_tokens at this multiple of their usual mean.
CUT = 10.0
# Requests between a grant and its bill, unless the stream says otherwise.
LAG = 20
DAYS = 30


@dataclass(frozen=True)
class Stream:
    """A stream of N requests with K actions."""

    name: str
    acc: np.ndarray
    """(N, K) expected accuracy; rules are scored by it."""
    cost: np.ndarray
    """(N, K) expected cost, as it is known beforehand."""
    bill: np.ndarray
    """(N,) the real bill as a multiple of the expected cost."""
    most: float
    """The stated maximum as a multiple of the expected cost."""
    lag: int
    budget: float
    """Average budget per request."""
    times: np.ndarray | None = None
    """(N,) seconds at which requests come, if the period is a length of time; None: it is counted in requests."""
    calibration: tuple[np.ndarray, np.ndarray] | None = None
    """Accuracies and costs of earlier requests, from which rules get their first price."""

    def __len__(self) -> int:
        return len(self.acc)


def curves(rng: np.random.Generator, hardness: np.ndarray) -> np.ndarray:
    """Return expected accuracies of votes: hard questions start lower, and gain more from more samples."""
    n = len(hardness)
    start = np.clip(0.95 - 0.6 * hardness + 0.1 * rng.standard_normal(n), 0.05, 0.98)
    gain = (1.0 - start) * np.clip(0.2 + 0.7 * hardness * rng.random(n), 0.0, 0.95)
    pace = np.exp(rng.normal(1.2, 0.5, n))
    return start[:, None] + gain[:, None] * (1.0 - np.exp(-(COSTS[None, :] - 1.0) / pace[:, None]))


def simulated(
    name: str,
    n: int,
    seed: int,
    hardness: Callable[[np.random.Generator, np.ndarray], np.ndarray],
    *,
    bills: str = "uniform",
    lag: int = LAG,
    times: np.ndarray | None = None,
) -> Stream:
    rng = np.random.default_rng(seed)
    place = np.arange(n) / n if times is None else times / (DAYS * 86400.0)
    acc = curves(rng, np.clip(hardness(rng, place), 0.0, 1.0))
    early = np.clip(hardness(rng, np.zeros(2000) if times is None else rng.random(2000) / DAYS), 0.0, 1.0)
    factor, most = multiples(bills, rng, n)
    cost = np.broadcast_to(COSTS, acc.shape)
    known = curves(rng, early), np.broadcast_to(COSTS, (2000, len(COSTS)))
    return Stream(name, acc, cost, factor, most, lag, BUDGET, times, known)


def multiples(kind: str, rng: np.random.Generator, n: int) -> tuple[np.ndarray, float]:
    """Return bills as multiples of their expectation, and the largest possible."""
    if kind == "lognormal":
        drawn = np.exp(1.5 * rng.standard_normal(4_000_000 + n) - 1.125)
    elif kind == "pareto":
        drawn = (1.0 + rng.pareto(1.5, 4_000_000 + n)) / 3.0
    else:
        drawn = rng.uniform(1.0 - NOISE, 1.0 + NOISE, n)
        if kind == "double":
            drawn[n // 2 :] *= 2.0
        return drawn, 1.0 + NOISE
    drawn = np.minimum(drawn, CUT)
    mean = drawn[n:].mean()
    return drawn[:n] / mean, CUT / mean


def usual(rng, place):
    return rng.beta(2.0, 3.0, len(place))


def harder(rng, place):
    return rng.beta(2.0, 3.0, len(place)) + 0.2 * (place >= 0.5)


def bursts(rng, place):
    """Return the hardness of requests of which some come in bursts of hard ones, a fiftieth of the stream each."""
    return rng.beta(2.0, 3.0, len(place)) + 0.35 * ((place * 50).astype(int) % 10 == 4)


def daily(rng, place):
    return rng.beta(2.0, 3.0, len(place)) + 0.15 * np.sin(2 * np.pi * place * DAYS)


def day_times(n: int, seed: int) -> np.ndarray:
    """Return when requests come in a month whose nights are quiet."""
    rng = np.random.default_rng(seed)
    found: list[np.ndarray] = []
    while sum(map(len, found)) < n:
        at = rng.random(n) * DAYS * 86400.0
        found.append(at[rng.random(n) < 0.5 + 0.5 * np.sin(2 * np.pi * (at / 86400.0 - 0.3))])
    return np.sort(np.concatenate(found)[:n])


def real(name: str, n: int, order: str, seed: int, data: Path | None) -> Stream | None:
    """Return a stream of real questions, repeated up to n; None if the table is not there.

    Parameters
    ----------
    name : str
        "recorded", the table that ships, or that of a file in `data`.
    n : int
        The number of requests.
    order : {"shuffled", "sorted"}
        "sorted": from easy to hard.
    seed : int
        The random seed.
    data : path or None
        The folder of the tables that do not ship.
    """
    rng = np.random.default_rng(seed)
    if name == "recorded":
        answers = load_recorded().answers["smollm2_135m"]
        acc = np.stack([votes(answers, k) for k in VOTES], axis=1)
        return real_stream(f"{name} {order}", acc, np.broadcast_to(COSTS, acc.shape), n, order, rng)
    if data is None or not (data / f"{name}.npz").exists():
        return None
    return real_stream(f"{name} {order}", *read(name, data), n, order, rng)


def read(name: str, data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return what each action reaches on each question of a table, and what it costs."""
    with np.load(data / f"{name}.npz") as z:
        if name == "mmlupro_28models":
            right, size = z["correct"].astype(float), z["active_params_b"].astype(float)
            known = np.flatnonzero(np.isfinite(size))
            keep = known[np.argsort(size[known], kind="stable")][np.linspace(0, len(known) - 1, 6).astype(int)]
            return right[:, keep], np.broadcast_to(size[keep], (len(right), len(keep)))
        acc = np.stack([votes(z["answer"], k) for k in VOTES], axis=1)
    return acc, np.broadcast_to(COSTS, acc.shape)


def votes(answers: np.ndarray, k: int) -> np.ndarray:
    """Return the accuracy of a vote over k samples, over disjoint windows of k."""
    found = np.zeros(len(answers))
    starts = range(0, answers.shape[1] - k + 1, k)
    for start in starts:
        for i, row in enumerate(answers[:, start : start + k]):
            counts = np.bincount(row[row >= 0], minlength=1)
            best = counts.max(initial=0)
            found[i] += (counts[0] == best) / max((counts == best).sum(), 1) if best else 0.0
    return found / len(starts)


def real_stream(name, acc, cost, n, order, rng) -> Stream:
    repeats = -(-n // len(acc))
    rows = np.concatenate([rng.permutation(len(acc)) for _ in range(repeats)])[:n]
    if order == "sorted":  # from easy to hard
        rows = rows[np.argsort(-acc.mean(axis=1)[rows], kind="stable")]
    # What a policy predicts: half of what really helps, and noise. Rules are scored by what they see.
    seen = np.clip(0.5 * acc.mean(axis=0) + 0.5 * acc + 0.05 * rng.standard_normal(acc.shape), 0.0, 1.0)
    budget = float(np.sqrt(cost[0].min() * cost[0].max()))
    first = rng.choice(len(acc), min(2000, len(acc)), replace=False)
    bill = rng.uniform(1.0 - NOISE, 1.0 + NOISE, n)
    known = seen[first], cost[first]
    return Stream(name, seen[rows], cost[rows], bill, 1.0 + NOISE, LAG, budget, calibration=known)


N = 100_000
STREAMS: dict[str, Callable[[int], Stream]] = {
    "harder half": lambda seed: simulated("harder half", N, seed, harder, lag=200),
    "bursts": lambda seed: simulated("bursts", N, seed, bursts),
    "daily": lambda seed: simulated("daily", N, seed, daily, times=day_times(N, seed)),
    "lognormal": lambda seed: simulated("lognormal", N, seed, usual, bills="lognormal"),
    "Pareto": lambda seed: simulated("Pareto", N, seed, usual, bills="pareto"),
    "price doubles": lambda seed: simulated("price doubles", N, seed, usual, bills="double"),
    "lag 2,000": lambda seed: simulated("lag 2,000", N, seed, harder, lag=2000),
    "5,000 requests": lambda seed: simulated("5,000 requests", 5000, seed, harder),
    "500 requests": lambda seed: simulated("500 requests", 500, seed, harder),
}
