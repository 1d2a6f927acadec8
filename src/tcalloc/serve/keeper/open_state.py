"""A state by its name: a SQLite file, or a budget in Redis."""

import os
from collections.abc import Mapping
from typing import Any

from tcalloc.errors import InputError
from tcalloc.serve.keeper.account import BITS, Units
from tcalloc.serve.keeper.book import Book
from tcalloc.serve.keeper.clock import LedgerClock
from tcalloc.serve.keeper.redis_store import RedisStore
from tcalloc.serve.keeper.sqlite_store import SQLiteStore

__all__ = ["open_state"]

_SERVERS = ("redis://", "rediss://", "unix://")


def open_state(
    state: str | os.PathLike[str],
    config: Mapping[str, Any] | None = None,
    book: Book | None = None,
    clock: LedgerClock | None = None,
) -> SQLiteStore | RedisStore:
    """Open a state by its name, or make it with a new book and the arguments of the keeper.

    Without these, it must exist. With others than it was made with, it is refused.
    """
    name = os.fspath(state)
    if name.startswith(_SERVERS):
        store: SQLiteStore | RedisStore = RedisStore(name, config, book, clock)
    elif book is None and not os.path.exists(name):
        raise InputError(f"there is no file {name}. Pass the file that BudgetKeeper(state=…) made.")
    else:
        store = SQLiteStore(name, config, book, clock)
    for key, value in (config or {}).items():
        allowed = [store.config.get(key)]
        if key == "total":  # what `change_total` has set; the state decides
            allowed.append(Units(store.config[key], BITS).total_of(store.book.limit))
        if value not in allowed:
            store.close()
            raise InputError(
                f"{key} is {value!r}, but the state was made with {allowed[0]!r}. Pass the same, or another state."
            )
    return store
