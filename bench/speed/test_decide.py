"""Decisions at a price: np.argmax(acc − price·cost) against tcalloc.decide, one row at a time and a table at once."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

import tcalloc
from bench.speed import peers
from bench.speed.instances import synthetic
from bench.speed.race import Board, Race, count, one_read, seconds, times_as_long

ONE = "4. decide: one row"
ONE_NOTE = (
    "Per call from Python, over 2,000 different rows. NumPy: int(np.argmax(acc - price * cost)); numba: a compiled "
    "loop that checks nothing."
)
MANY = "5. decide: a table"
MANY_NOTE = "NumPy: np.argmax(acc - price * cost, axis=1); numba: a compiled loop; reads: of acc and cost."
CALLS = 2000


def _each(decide: Callable[..., int], rows: list[tuple[np.ndarray, np.ndarray]], price: float) -> list[int]:
    return [decide(acc, cost, price) for acc, cost in rows]


def _numpy(acc: np.ndarray, cost: np.ndarray, price: float) -> int:
    return int(np.argmax(acc - price * cost))


def _best(actions, acc: np.ndarray, cost: np.ndarray, price: float) -> None:
    """Assert that each action has the largest utility, and the cheapest cost of those that have it."""
    rows = np.arange(len(acc))
    utility = acc - price * cost
    top = utility == utility.max(axis=1, keepdims=True)
    assert top[rows, actions].all()
    np.testing.assert_array_equal(cost[rows, actions], np.where(top, cost, np.inf).min(axis=1))


@pytest.mark.parametrize("k", [5, 8, 16])
def test_one_row(k: int, race: Race, board: Board, full: bool) -> None:
    instance = synthetic("pass@k", CALLS, k).build()
    price = tcalloc.solve(instance.acc, instance.cost, instance.budget).price
    rows = list(zip(instance.acc, instance.cost, strict=True))
    rivals = {"NumPy": partial(_each, _numpy, rows, price)}
    if why := peers.missing("numba"):
        board.absent.add(why)
    else:
        rivals["numba"] = partial(_each, peers.numba_decide(), rows, price)
        rivals["numba"]()  # compiles
    subject = partial(_each, tcalloc.decide, rows, price)
    actions, _, times = race.run(subject, rivals, one_read(instance.acc, instance.cost), 90 if full else 30)
    _best(np.array(actions), instance.acc, instance.cost, price)
    board.add(
        ONE,
        ONE_NOTE,
        {
            "K": str(k),
            "tcalloc": seconds(float(np.median(times.subject)) / CALLS),
            **{f"× {name}": times_as_long(times.ratio(name)) for name in rivals},
        },
    )


@pytest.mark.parametrize("n", [1_000, 100_000, 1_000_000])
def test_table(n: int, race: Race, board: Board, full: bool) -> None:
    instance = synthetic("pass@k", n, 8).build()
    acc, cost = instance.acc, instance.cost
    price = tcalloc.solve(acc, cost, instance.budget).price
    rivals = {"NumPy": lambda: np.argmax(acc - price * cost, axis=1)}
    if why := peers.missing("numba"):
        board.absent.add(why)
    else:
        rivals["numba"] = partial(peers.numba_argmax, acc, cost, price)
        peers.numba_argmax(acc[:1], cost[:1], price)  # compiles
    rounds = (3 if full else 1) * (9 if n > 300_000 else 15)
    actions, _, times = race.run(partial(tcalloc.decide, acc, cost, price), rivals, one_read(acc, cost), rounds)
    _best(actions, acc, cost, price)
    board.add(
        MANY,
        MANY_NOTE,
        {
            "N": count(n),
            "K": "8",
            "tcalloc": seconds(float(np.median(times.subject))),
            "reads": times_as_long(times.reads),
            **{f"× {name}": times_as_long(times.ratio(name)) for name in rivals},
        },
    )
