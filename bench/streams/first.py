"""The first requests of a keeper that knows nothing: ``python -m bench.streams.first``, as a Markdown table.

A period of 30 days with $500 and two actions for $0.001 and $0.012, at several rates of requests. The two last columns
are the share of the money that is spent in the first hour, and in the whole period.
"""

import itertools

from tcalloc.serve.keeper.account import BITS, Units
from tcalloc.serve.keeper.book import Book
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
from tcalloc.serve.keeper.clock import LedgerClock
from tcalloc.serve.keeper.period import period_of
from tcalloc.serve.keeper.store import MemoryStore

TOTAL, DAYS = 500.0, 30
NAMES, ACCURACY, COSTS = ["small", "large"], [0.71, 0.88], [0.001, 0.012]
RATES = {"10 a second": 0.1, "2 a second": 0.5, "12 a minute": 5.0, "1 a minute": 60.0, "1 an hour": 3600.0}
# At most this many requests are sent.
MOST = 45_000


def play(gap: float, requests: int) -> tuple[list[str], dict[float, float]]:
    """Return the actions of the first requests, and the share of the money that is spent at each time in seconds."""
    now = 0.0
    clock = LedgerClock(lambda: now, lambda: 0.0)
    store = MemoryStore(Book(Units(TOTAL, BITS).limit, period_of(f"{DAYS}d", False)), clock)
    keeper = BudgetKeeper(TOTAL, "usd", f"{DAYS}d", store=store)
    actions, spent, paid = [], {}, 0.0
    for i in range(requests):
        now = i * gap
        grant = keeper.choose(NAMES, ACCURACY, COSTS)
        if grant.action is not None:
            bill = COSTS[NAMES.index(grant.action)]
            grant.settle(bill)
            paid += bill
        actions.append(str(grant.action))
        spent[now] = paid / TOTAL
    return actions, spent


def main() -> None:
    """Print the table."""
    print("| requests | $ per request, if they go on | of the first 20 get the best | spent after an hour | in all |")
    print("| --- | --- | --- | --- | --- |")
    for words, gap in RATES.items():
        coming = round(DAYS * 86400 / gap)
        actions, spent = play(gap, min(coming, MOST))
        best = sum(one == "large" for one in actions[:20])
        hour = max(itertools.takewhile(lambda pair: pair[0] <= 3600.0, spent.items()))[1]
        whole = f"{100 * max(spent.values()):.1f} %" if coming <= MOST else "not played"
        print(f"| {words} | {TOTAL / coming:.2g} | {best} | {100 * hour:.1f} % | {whole} |")


if __name__ == "__main__":
    main()
