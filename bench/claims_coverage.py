"""Whether claims come true and how often their intervals hold, over worlds, samples and questions.

    python bench/claims_coverage.py                          everything, 20 draws a cell: about an hour on one core
    python bench/claims_coverage.py --draws 5 --questions 300 --samples 8
    python bench/claims_coverage.py --world specialists      (the worlds whose name holds that)

Each world says how often each model is right on each question. Samples are drawn from it, and `Samples.table` makes the
table of one sample of each model, and of the votes over 3 and 8 samples or of pass@2 and pass@4. The table is solved at
budgets of 1, 2 and 4 times the cheapest sample. Each plan's claim is compared with the true accuracy of its actions.

The worlds were written before the last changes to the estimates. "specialists", "specialists, generalist", "identical",
"anti-correlated", "independent" and "one ability" were looked at with other seeds while claims of several models were
changed; nothing was changed after this seed was first used. Whoever changes an estimate after looking has to write new
worlds.

"claimed - true" is in points, the mean over draws of questions and samples, for each budget. The actions' means err by
chance and in no direction. As in `shrink_holdout.py` that part is taken off: sum over actions of the share of questions
they serve times (mean exact expectation - true mean). "+-" is the largest standard error of what remains. "these": how
often the 95 % interval for these questions holds the true accuracy of the chosen actions; "like these": how often the
wider one holds its mean over draws. Both are judged with all errors in. "none": how many claims have no interval, with
the reason given by `Claim.why`.
"""

import argparse
import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tcalloc.measure import Action, Best, Samples, Vote
from tcalloc.measure.votes import independent_votes

Floats = NDArray[np.float64]
Generator = np.random.Generator
BUDGETS = (1.0, 2.0, 4.0)
WRONG = 9
SEED = 55017


def logistic(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-x)))


def _specialists(rng: Generator, n: int) -> Floats:
    field = rng.choice(5, n, p=[0.35, 0.25, 0.2, 0.12, 0.08])
    return np.where(field[:, None] == np.arange(5), 0.95, 0.2)


def _generalist(rng: Generator, n: int) -> Floats:
    field = rng.integers(0, 3, n)
    return np.column_stack([np.where(field[:, None] == np.arange(3), 0.85, 0.4), np.full(n, 0.6)])


def _opposites(rng: Generator, n: int) -> Floats:
    p = rng.beta(1.5, 1.5, n)
    return np.column_stack([p, 1 - p, np.full(n, 0.45)])


def _identical(rng: Generator, n: int) -> Floats:
    return np.repeat(rng.beta(0.6, 0.5, n)[:, None], 4, axis=1)


def _equal(rng: Generator, n: int) -> Floats:
    return np.full((n, 6), 0.7)


def _independent(rng: Generator, n: int) -> Floats:
    return rng.beta(1.2, 0.8, (n, 4))


def _polarized(rng: Generator, n: int) -> Floats:
    return rng.beta(0.2, 0.15, (n, 2))


def _family(rng: Generator, n: int) -> Floats:
    ability = np.array([-1.5, -0.5, 0.0, 0.1, 1.0])
    return logistic(1.8 * rng.standard_normal((n, 1)) + ability + 0.4 * rng.standard_normal((n, 5)))


def _two_families(rng: Generator, n: int) -> Floats:
    trait = rng.multivariate_normal([0.3, 0.3], [[2.0, 0.4], [0.4, 2.0]], n)
    return logistic(trait[:, [0, 0, 1, 1]] + np.array([-0.4, 0.4, -0.4, 0.4]))


def _alone(shape: Callable[[Generator, int], Floats]) -> Callable[[Generator, int], Floats]:
    return lambda rng, n: shape(rng, n)[:, None]


WORLDS: dict[str, Callable[[Generator, int], Floats]] = {
    "specialists": _specialists,
    "specialists, generalist": _generalist,
    "anti-correlated": _opposites,
    "identical": _identical,
    "six times 0.7": _equal,
    "independent": _independent,
    "polarized": _polarized,
    "one ability": _family,
    "two families": _two_families,
    "one model, spread": _alone(lambda rng, n: rng.beta(1.1, 0.9, n)),
    "one model, easy": _alone(lambda rng, n: rng.beta(6.0, 0.6, n)),
    "one model, hard": _alone(lambda rng, n: rng.beta(0.5, 3.5, n)),
    "one model, two humps": _alone(
        lambda rng, n: np.where(rng.random(n) < 0.45, rng.beta(2, 9, n), rng.beta(12, 2, n))
    ),
}


def draw(world: str, n: int, s: int, votes: bool, rng: Generator) -> tuple[Samples, list[Action], Floats]:
    """Return samples, actions and the actions' true accuracies (n, actions)."""
    rates = WORLDS[world](rng, n)
    wrong = rng.dirichlet(np.full(WRONG, 0.4), n)
    ks = [k for k in ((1, 3, 8) if votes else (1, 2, 4)) if k <= s]
    arms, actions, truth = {}, [], []
    for m in range(rates.shape[1]):
        p = rates[:, m : m + 1]
        shares = np.column_stack([p, (1 - p) * wrong])
        edges = np.cumsum(shares, axis=1)
        edges[:, -1] = 1.0
        codes = (rng.random((n, s))[:, :, None] > edges[:, None]).sum(axis=2)
        name = f"m{m}" if rates.shape[1] > 1 else ""
        # The second half of the models costs twice as much.
        cost = 1.0 if 2 * m < rates.shape[1] else 2.0
        arms[name] = Samples(codes, cost=cost) if votes else Samples(correct=codes == 0, cost=cost)
        for k in ks:
            actions.append((Vote if votes else Best)(k, name or None))
            by_vote = independent_votes(p[:, 0], np.zeros(n), (1 - p) * wrong, [k])[:, 0] if votes else None
            truth.append(1 - (1 - p[:, 0]) ** k if by_vote is None else by_vote)
    return arms[""] if "" in arms else Samples(arms=arms), actions, np.column_stack(truth)


def measure(world: str, n: int, s: int, draws: int, votes: bool) -> str:
    """Return one line of the table."""
    lines, served, off = [], [], []
    for number in range(draws):
        rng = np.random.default_rng([SEED, number, n, s, list(WORLDS).index(world), votes])
        samples, actions, truth = draw(world, n, s, votes, rng)
        table = samples.table(actions)
        assert table.exact is not None
        off.append((table.exact - truth).mean(axis=0))
        for budget in BUDGETS:
            plan = table.solve(budget)
            claim = table.claim(plan)
            reached = float(truth[np.arange(n), plan.actions].mean())
            lines.append([claim.accuracy, reached, claim.low, claim.high, claim.population_low, claim.population_high])
            served.append(plan.counts / n)
    claimed, reached, low, high, wide_low, wide_high = (
        np.array(lines).reshape(draws, len(BUDGETS), 6).transpose(2, 0, 1)
    )
    share = np.array(served).reshape(draws, len(BUDGETS), -1).mean(axis=0)
    gap = 100 * (claimed - reached - np.array(off) @ share.T)
    there = np.isfinite(low)
    middle = reached.mean(axis=0)

    def held(inside: NDArray[np.bool_]) -> str:
        return f"{inside[there].mean():6.2f}" if there.any() else f"{'-':>6}"

    return (
        f"{'votes' if votes else 'pass@k':6} {world:24}{n:5}{s:3}"
        + "".join(f"{x:+7.2f}" for x in gap.mean(axis=0))
        + f"{gap.std(axis=0, ddof=1).max() / math.sqrt(draws):6.2f}"
        + "".join(f"{100 * x:7.1f}" for x in middle)
        + held((low <= reached) & (reached <= high))
        + held((wide_low <= middle) & (middle <= wide_high))
        + (f"{100 * (high - low)[there].mean() / 2:7.1f}" if there.any() else f"{'-':>7}")
        + f"{(~there).sum():4} of {there.size}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--draws", type=int, default=20, help="draws of questions and samples per cell, at least 2")
    parser.add_argument("--questions", type=int, nargs="+", default=[20, 100, 300, 1000])
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 4, 8, 16])
    parser.add_argument("--world", default="", help="worlds whose name holds this")
    parser.add_argument("--only", choices=("votes", "pass@k"))
    args = parser.parse_args()
    if args.draws < 2:
        parser.error("--draws: at least 2, else there is no noise to see")
    print(f"{args.draws} draws a cell; budgets {', '.join(f'{b:g}' for b in BUDGETS)}; points of accuracy")
    print(
        f"{'':6} {'world':24}{'N':>5}{'S':>3}{'claimed - true':^21}{'+-':>6}{'true':^21}{'these':>6}{'like':>6}"
        f"{'+- these':>9} none"
    )
    for votes in (True, False):
        if args.only not in (None, "votes" if votes else "pass@k"):
            continue
        for n in args.questions:
            for s in args.samples:
                for world in WORLDS:
                    if args.world in world:
                        print(measure(world, n, s, args.draws, votes), flush=True)


if __name__ == "__main__":
    main()
