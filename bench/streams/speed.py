"""The ledger's own share of a grant, in one thread, without a policy: ``python -m bench.streams.speed``.

Each figure is the fastest of many short rounds, because other programs may use the machine at the same time.
"""

import argparse
import itertools
import shutil
import tempfile
import timeit
from pathlib import Path

from tcalloc.serve.keeper.account import BITS, Units
from tcalloc.serve.keeper.book import Book
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
from tcalloc.serve.keeper.period import period_of
from tcalloc.serve.keeper.redis_store import RedisStore
from tcalloc.serve.keeper.sqlite_store import SQLiteStore
from tcalloc.serve.keeper.store import MemoryStore, Store

ROUNDS = 200


def microseconds(work, times: int) -> float:
    """Return how long a call takes in the fastest round."""
    return min(timeit.repeat(work, number=times, repeat=ROUNDS)) / times * 1e6


def grant_and_bill(store: Store, units: Units) -> tuple[float, float]:
    """Return the microseconds of reserving, and of reserving and settling."""
    numbers = itertools.count()
    options = ((units.of(1e-3), units.of(1e-4)),)
    bill = units.of(1e-9)

    def both() -> None:
        name = f"grant{next(numbers)}"
        store.reserve(name, "", options, 600.0)
        store.settle(name, bill)

    def reserve() -> None:
        store.reserve(f"grant{next(numbers)}", "", ((0, 0),), 600.0)

    times = 200 if isinstance(store, MemoryStore) else 50
    pair = microseconds(both, times)
    return microseconds(reserve, times), pair


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.streams.speed", description=__doc__)
    parser.add_argument("--redis", help="the address of a Redis server whose budget 'speed' may be used")
    args = parser.parse_args()
    units = Units(500.0, BITS)
    folder = Path(tempfile.mkdtemp())

    def book() -> Book:
        return Book(units.limit, period_of("30d", False))

    try:
        stores: dict[str, Store] = {"memory": MemoryStore(book())}
        stores["SQLite"] = SQLiteStore(str(folder / "budget.db"), {}, book())
        if args.redis:
            stores["Redis"] = RedisStore(f"{args.redis}#speed", {}, book())
        print(f"{'':8} {'reserve':>10} {'and settle':>10}   microseconds, fastest of {ROUNDS} rounds")
        for name, store in stores.items():
            alone, pair = grant_and_bill(store, units)
            print(f"{name:8} {alone:10.2f} {pair:10.2f}")
        keeper = BudgetKeeper(total=1e9, period=10**9)
        names, acc, costs = list("abcde"), [0.5, 0.6, 0.7, 0.75, 0.77], [1.0, 2.0, 4.0, 8.0, 16.0]
        whole = microseconds(lambda: keeper.choose(names, acc, costs).settle(1.0), 50)
        print(f"\nkeeper.choose(5 actions) and settle, in memory, with the price: {whole:.0f} microseconds")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
