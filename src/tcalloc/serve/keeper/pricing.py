"""When prices are set anew, and when keepers tell each other what they have learned."""

import json
import math
import os
import random
from collections.abc import Mapping

from tcalloc.serve.keeper.horizon import Horizon
from tcalloc.serve.keeper.learned import Learned
from tcalloc.serve.keeper.store import Store

__all__ = ["Pricing"]

# The price is set anew after this many requests, and after each one until as many have come.
EVERY = 20
# Keepers tell each other what they have learned at every new bucket, and after this many seconds.
TELLS = 60.0
# The name under which keepers that were closed leave what they had learned.
ENDED = "ended"


class Pricing:
    """The prices of one of the keepers that share a state.

    Parameters
    ----------
    store : Store
        The state.
    learned : Learned
        What this keeper has learned; it has the prices.
    horizon : Horizon
        What is left of the period.
    first_price : float or None
        The price until 20 requests have come.
    """

    def __init__(self, store: Store, learned: Learned, horizon: Horizon, first_price: float | None):
        self._store, self._learned, self._horizon, self._first_price = store, learned, horizon, first_price
        self.replica = f"{os.getpid()}-{random.SystemRandom().getrandbits(32):08x}"
        self._until = dict.fromkeys(learned.pacers, 0)
        self._told_bucket, self._told_time = store.book.bucket, store.clock.now()
        self._hear(store.tell(self.replica, None, None))

    def request(self, account: str) -> None:
        """Set the price of an account anew for a request that came, if it is time to."""
        self._until[account] -= 1
        if self._until[account] > 0:
            return
        self._horizon.plan()
        self._set(account)
        self._until[account] = EVERY if self._learned.pacers[account].demand.seen >= EVERY else 1
        bucket, now = self._store.book.bucket, self._store.clock.now()
        if bucket != self._told_bucket or now - self._told_time > TELLS:
            self._told_bucket, self._told_time = bucket, now
            self._tell()

    def now(self) -> None:
        """Set all prices anew, with what other keepers know."""
        self._tell()
        self._horizon.plan()
        for account in self._learned.pacers:
            self._set(account)

    def leave(self) -> None:
        """Leave what was learned to the keepers that go on."""
        told = self._store.tell(self.replica, None, None)
        if self._learned.has_seen:
            if ENDED in told:
                self._learned.absorb(json.loads(told[ENDED]), self._store.book.position, self._store.book.count)
            self._store.tell(ENDED, json.dumps(self._learned.news()), None)

    def _set(self, account: str) -> None:
        pacer = self._learned.pacers[account]
        if pacer.demand.seen < EVERY and self._first_price is not None:
            pacer.price = self._first_price
            return
        pacer.level = self._learned.level
        pace = self._horizon.pace(account)
        if pace.money < math.inf and (pace.left < math.inf or self._store.book.period.rolling):
            pacer.set_price(pace)

    def _tell(self) -> None:
        news = price = None
        if self._learned.has_seen:
            news = json.dumps(self._learned.news())
            price = max(pacer.price or 0.0 for pacer in self._learned.pacers.values())
        self._hear(self._store.tell(self.replica, news, price))

    def _hear(self, told: Mapping[str, str]) -> None:
        others = [json.loads(text) for name, text in told.items() if name != self.replica]
        if others:
            self._learned.join(others, self._store.book.position, self._store.book.count)
