"""One budget: tcalloc.solve against bisection in NumPy and in numba, and against HiGHS."""

from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest

import tcalloc
from bench.speed import peers
from bench.speed.checks import LP, check_plan, dual_value, mean_of, spend_is_kept
from bench.speed.instances import Absent, Case, Instance, slug, synthetic, tables
from bench.speed.race import Board, Race, count, one_read, seconds, times_as_long

TITLE = "1. solve: one budget"
NOTE = (
    "tcalloc: its median time. reads: that time in single reads of acc and cost (where all rows share one row of "
    "costs, as in `ties` and `cruxeval`, a read is half as much). × NAME: how many times longer NAME took "
    f"({peers.PASSES} passes of bisection in NumPy, in NumPy by blocks that stay in the cache, and in numba; HiGHS: "
    "dual simplex; ipm: HiGHS's interior point). gap: upper bound minus accuracy. bisection loses: points of accuracy "
    "(of 100) that the best of the bisections leaves at the same budget."
)
FORMS = "2. solve: forms of input"
FORMS_NOTE = (
    "The pass@k table of 1e6 × 8 in other forms, alternating with its plain form (C-ordered float64). × plain: how "
    "many times longer the form takes. reads: in reads of this form's acc and cost."
)
BISECTIONS = {"NumPy", "blocked", "numba"}
SIZES = (1_000, 10_000, 100_000, 1_000_000)

# Cells (N·K) up to which HiGHS is run: seconds; in the full grid up to a minute or two (mmlupro is the slowest).
SIMPLEX = {False: 16_000, True: 50_000}
INTERIOR = {False: 300_000, True: 320_000}


def grid() -> Iterator[object]:
    for kind in ("pass@k", "uncorrelated", "ties"):
        for n in SIZES:
            for k in (5, 8, 16):
                late = [pytest.mark.full] if n == SIZES[-1] and k != 8 else []
                case = synthetic(kind, n, k)
                yield pytest.param(case, id=f"{case.slug}-{count(n)}x{k}", marks=late)
        for share in (0.02, 0.9):
            for n in SIZES:
                case = synthetic(kind, n, 8, share)
                yield pytest.param(case, id=f"{case.slug}-{count(n)}x8", marks=pytest.mark.full)
    for case in tables():
        yield pytest.param(case, id=case.slug)


@pytest.mark.parametrize("case", list(grid()))
def test_solve(case: Case, race: Race, board: Board, full: bool) -> None:
    try:
        instance = case.build()
    except Absent as reason:
        pytest.skip(str(reason))
    acc, cost, budget = instance.acc, instance.cost, instance.budget
    n, k = acc.shape

    rivals = {
        "NumPy": partial(peers.numpy_bisection, acc, cost, budget),
        "blocked": partial(peers.blocked_bisection, acc, cost, budget),
    }
    if why := peers.missing("numba"):
        board.absent.add(why)
    else:
        rivals["numba"] = partial(peers.numba_bisection, acc, cost, budget)
        peers.numba_bisection(acc[:1], cost if cost.ndim == 1 else cost[:1], budget)  # compiles
    if why := peers.missing("scipy"):
        board.absent.add(why)
    elif acc.size <= INTERIOR[full]:
        program = peers.LinearProgram(acc, cost, budget)
        if acc.size <= SIMPLEX[full]:
            rivals["HiGHS"] = partial(program.solve, "highs")
        rivals["ipm"] = partial(program.solve, "highs-ipm")

    rounds = (3 if full else 1) * (5 if n > 300_000 else 9 if n > 30_000 else 15)
    solve = partial(tcalloc.solve, acc, cost, budget)
    plan, results, times = race.run(solve, rivals, one_read(acc, cost), rounds)

    check_plan(plan, instance)
    best = -np.inf
    for name in BISECTIONS & set(results):
        actions, price = results[name]
        assert spend_is_kept(instance, actions)
        reached = mean_of(acc, actions)
        assert plan.accuracy >= reached - 1e-15
        assert plan.upper_bound <= dual_value(instance, price) * (1 + 1e-12)
        best = max(best, reached)
    for name in {"HiGHS", "ipm"} & set(results):
        assert plan.upper_bound == pytest.approx(results[name], rel=LP, abs=0)

    board.add(
        TITLE,
        NOTE,
        {
            "instance": case.name,
            "N": count(n),
            "K": str(k),
            "tcalloc": seconds(float(np.median(times.subject))),
            "reads": times_as_long(times.reads),
            **{f"× {name}": _ratio(times.ratios, name) for name in ("NumPy", "blocked", "numba", "HiGHS", "ipm")},
            "gap": f"{plan.gap:.0e}",
            "bisection loses": f"{100 * (plan.accuracy - best):.4f}",
        },
    )


def _ratio(ratios: dict[str, float], name: str) -> str:
    return times_as_long(ratios[name]) if name in ratios else ""


# ---------------------------------------------------------------------------------------------- forms of input


def _float32(plain: Instance) -> Instance:
    acc, cost = plain.acc.astype(np.float32), plain.cost.astype(np.float32)
    return Instance(acc, cost, plain.budget)


def _mixed(plain: Instance) -> Instance:
    return Instance(plain.acc.astype(np.float32), plain.cost, plain.budget)


def _fortran(plain: Instance) -> Instance:
    return Instance(np.asfortranarray(plain.acc), np.asfortranarray(plain.cost), plain.budget)


def _strided(plain: Instance) -> Instance:
    pair = np.stack([plain.acc, plain.cost], axis=2)
    return Instance(pair[:, :, 0], pair[:, :, 1], plain.budget)


def _backwards(plain: Instance) -> Instance:
    return Instance(np.ascontiguousarray(plain.acc[:, ::-1]), np.ascontiguousarray(plain.cost[:, ::-1]), plain.budget)


def _sorted(plain: Instance) -> Instance:
    order = np.lexsort((plain.cost[:, 0], plain.acc[:, 0]))
    return Instance(plain.acc[order], plain.cost[order], plain.budget)


def _masked(plain: Instance) -> Instance:
    available = np.random.default_rng(1).random(plain.acc.shape) < 0.9
    available[:, 0] = True
    return Instance(plain.acc, plain.cost, plain.budget, available=available)


def _weighted(plain: Instance) -> Instance:
    return Instance(plain.acc, plain.cost, plain.budget, weights=np.random.default_rng(2).random(len(plain.acc)) + 0.5)


def _budget(share: float, plain: Instance) -> Instance:
    low = float(plain.cost.min(axis=1).mean())
    return Instance(plain.acc, plain.cost, low + share * (float(plain.cost.max(axis=1).mean()) - low))


def _same(plain: Instance) -> Instance:
    return plain


@pytest.mark.parametrize(
    ("form", "change", "options"),
    [
        pytest.param(name, change, options, id=slug(name))
        for name, change, options in [
            ("plain", _same, {}),
            ("float32", _float32, {}),
            ("float32 acc, float64 cost", _mixed, {}),
            ("Fortran order", _fortran, {}),
            ("strided cells", _strided, {}),
            ("most expensive action first", _backwards, {}),
            ("rows sorted", _sorted, {}),
            ("a tenth unavailable", _masked, {}),
            ("weights", _weighted, {}),
            ("budget nearly the least", partial(_budget, 1e-5), {}),
            ("budget does not bind", partial(_budget, 1.0), {}),
            ("threads=2", _same, {"threads": 2}),
            ('method="bisect"', _same, {"method": "bisect"}),
        ]
    ],
)
def test_forms(form: str, change, options: dict, race: Race, board: Board, full: bool) -> None:
    if race.cpu_time and "threads" in options:
        pytest.skip("CPU time says nothing about threads")
    plain = synthetic("pass@k", 1_000_000, 8).build()
    instance = change(plain)
    options = {**instance.options, **options}
    solve = partial(tcalloc.solve, instance.acc, instance.cost, instance.budget, **options)
    rival = partial(tcalloc.solve, plain.acc, plain.cost, plain.budget)
    read = one_read(instance.acc, instance.cost)
    rounds = (5 if full else 1) * (1 if "method" in options else 3)
    plan, results, times = race.run(solve, {"plain": rival}, read, rounds)
    if options.get("method") == "bisect":
        assert spend_is_kept(instance, plan.actions)
        assert plan.accuracy <= results["plain"].accuracy
        assert plan.upper_bound >= results["plain"].upper_bound * (1 - 1e-12)
    else:
        check_plan(plan, instance)
    if instance is plain and not options.get("method"):
        np.testing.assert_array_equal(plan.actions, results["plain"].actions)
    board.add(
        FORMS,
        FORMS_NOTE,
        {
            "form": form,
            "time": seconds(float(np.median(times.subject))),
            "× plain": times_as_long(1 / times.ratio("plain")),
            "reads": times_as_long(times.reads),
        },
    )
