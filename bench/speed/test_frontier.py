"""Every budget at once: tcalloc.frontier against a sweep of prices in NumPy and the same algorithm in numba."""

from functools import partial

import numpy as np
import pytest

import tcalloc
from bench.speed import peers
from bench.speed.checks import check_plan
from bench.speed.instances import Case, Instance, between, slug, synthetic
from bench.speed.race import Board, Race, count, one_read, seconds, times_as_long

if not hasattr(tcalloc, "frontier"):
    pytest.skip("this tcalloc has no frontier", allow_module_level=True)

TITLE = "3. frontier: every budget at once"
NOTE = (
    "build: tcalloc.frontier. = solves: the number of tcalloc.solve calls that take as long. × sweep: NumPy, an argmax "
    "at each of 50 prices (50 points of the curve). × numba: hull steps compiled, sort and sums in NumPy (the curve "
    "alone, without actions). The last columns are one query each."
)
POINTS = 50


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            synthetic(kind, n, 8),
            id=f"{slug(kind)}-{count(n)}x8",
            marks=[pytest.mark.full] if n == 1_000_000 and kind != "pass@k" else [],
        )
        for kind in ("pass@k", "uncorrelated", "ties")
        for n in (1_000, 100_000, 1_000_000)
    ],
)
def test_frontier(case: Case, race: Race, board: Board, full: bool) -> None:
    instance = case.build()
    acc, cost, budget = instance.acc, instance.cost, instance.budget
    n, k = acc.shape
    first, last = (tcalloc.solve(acc, cost, between(acc, cost, share)).price for share in (0.001, 0.999))
    prices = np.geomspace(first, last, POINTS)
    rivals = {
        "solve": partial(tcalloc.solve, acc, cost, budget),
        "sweep": partial(peers.numpy_sweep, acc, cost, prices),
    }
    if why := peers.missing("numba"):
        board.absent.add(why)
    else:
        rivals["numba"] = partial(peers.numba_frontier, acc, cost)
        peers.numba_frontier(acc[:1], cost if cost.ndim == 1 else cost[:1])  # compiles
    rounds = (3 if full else 1) * (1 if n > 300_000 else 5 if n > 30_000 else 15)
    curve, results, times = race.run(partial(tcalloc.frontier, acc, cost), rivals, one_read(acc, cost), rounds)

    for share in (0.0, 0.1, 0.35, 0.99):
        at = between(acc, cost, share)
        plan, other = tcalloc.solve(acc, cost, at), curve.allocate(at)
        check_plan(other, Instance(acc, cost, at))
        np.testing.assert_array_equal(other.actions, plan.actions)
        assert curve.accuracy_at(at) == pytest.approx(plan.upper_bound, rel=1e-12, abs=0)
    spends, reached = results["sweep"]
    assert (curve.accuracy_at(spends) >= reached - 1e-12).all()
    if "numba" in results:
        asked = np.linspace(curve.budgets[0], curve.budgets[-1] * 1.1, 1000)[1:]
        np.testing.assert_allclose(np.interp(asked, *results["numba"]), curve.accuracy_at(asked), rtol=1e-9)

    queries = {"accuracy_at": partial(curve.accuracy_at, budget), "allocate": partial(curve.allocate, budget)}
    board.add(
        TITLE,
        NOTE,
        {
            "instance": case.name,
            "N": count(n),
            "K": str(k),
            "steps": f"{len(curve.prices):,}",
            "build": seconds(float(np.median(times.subject))),
            "reads": times_as_long(times.reads),
            "= solves": times_as_long(1 / times.ratio("solve")),
            **{f"× {name}": times_as_long(times.ratio(name)) for name in ("sweep", "numba") if name in times.rivals},
            **{name: seconds(_best_of(query)) for name, query in queries.items()},
        },
    )


def _best_of(query) -> float:
    """Return the time of the fastest of five calls."""
    from timeit import repeat

    return min(repeat(query, number=1, repeat=5))
