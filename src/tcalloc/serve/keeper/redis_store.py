"""A book in Redis, for several hosts.

Grants and bills are one script each, which Redis runs as a whole: one round trip, and no other client sees half of it.
What is rare (a bucket or a period ends, a grant is lost, a bill comes late) is done by `Book` here. A script writes it
back, and refuses if anything has changed in between; then it is done again.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tcalloc.errors import InputError, MissingExtraError, TcallocError
from tcalloc.serve.keeper.account import Account
from tcalloc.serve.keeper.book import WHOLE, Book, Held, Settled
from tcalloc.serve.keeper.clock import LedgerClock
from tcalloc.serve.keeper.rows import account_row, book_of, rest_of, settings_of, take_rest

__all__ = ["RedisStore"]

VERSION = 2
# Seconds to wait for the server.
PATIENCE = 5.0
# Keepers whose reports are kept: the latest.
REPLICAS = 64
# How often a rare operation is tried while others write.
TRIES = 1000

_ACCOUNT = ("settled", "reserved", "likely", "fresh", "requests")

# KEYS: head, accounts, grants. The head has the whole's account; `version` changes with every write.
_ADD = """
local function add(tenant, what, amount)
  redis.call('HINCRBY', KEYS[1], what, amount)
  if tenant ~= '' then redis.call('HINCRBY', KEYS[2], tenant .. '/' .. what, amount) end
end
local function view(place)
  return {place, redis.call('HMGET', KEYS[1], 'time', 'start', 'count', 'due', 'due_count', 'bucket',
    'limit', 'settled', 'reserved', 'likely', 'fresh', 'requests')}
end
"""
# ARGV: now, grant, tenant, lifetime, requests that came, then pairs of most and likely. Place −2: it is due.
_RESERVE = (
    _ADD
    + """
local head = redis.call('HMGET', KEYS[1], 'time', 'due', 'due_count', 'count', 'settled', 'reserved',
  'limit')
local now = math.max(tonumber(ARGV[1]), tonumber(head[1]))
if now >= tonumber(head[2]) or tonumber(head[4]) >= tonumber(head[3]) then return view(-2) end
local tenant, came = ARGV[3], ARGV[5]
local clock = string.format('%.17g', now)
redis.call('HSET', KEYS[1], 'time', clock)
redis.call('HINCRBY', KEYS[1], 'count', came)
redis.call('HINCRBY', KEYS[1], 'version', 1)
add(tenant, 'requests', came)
local free = tonumber(head[7]) - tonumber(head[5]) - tonumber(head[6])
for i = 6, #ARGV, 2 do
  local most = tonumber(ARGV[i])
  if most <= free or most == 0 then
    add(tenant, 'reserved', ARGV[i])
    add(tenant, 'likely', ARGV[i + 1])
    local expires = now + tonumber(ARGV[4])
    if expires < tonumber(head[2]) then redis.call('HSET', KEYS[1], 'due', string.format('%.17g', expires)) end
    redis.call('HSET', KEYS[3], ARGV[2], table.concat({ARGV[i], ARGV[i + 1], string.format('%.17g', expires),
      head[4], tenant}, ' '))
    return view((i - 6) / 2)
  end
end
return view(-1)
"""
)
# ARGV: now, grant, bill. Place −2: something is due; −1: there is no such open grant.
_SETTLE = (
    _ADD
    + """
local head = redis.call('HMGET', KEYS[1], 'time', 'due')
local now = math.max(tonumber(ARGV[1]), tonumber(head[1]))
if now >= tonumber(head[2]) then return view(-2) end
local held = redis.call('HGET', KEYS[3], ARGV[2])
if not held then return view(-1) end
local most, likely, tenant = string.match(held, '^(%S+) (%S+) %S+ %S+ (.*)$')
redis.call('HDEL', KEYS[3], ARGV[2])
redis.call('HSET', KEYS[1], 'time', string.format('%.17g', now))
redis.call('HINCRBY', KEYS[1], 'version', 1)
add(tenant, 'reserved', '-' .. most)
add(tenant, 'likely', '-' .. likely)
add(tenant, 'settled', ARGV[3])
add(tenant, 'fresh', ARGV[3])
local found = view(0)
found[3] = held
return found
"""
)
# KEYS: head, accounts, grants, rest. Returns all of it as it is at one moment.
_READ = """
return {redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]), redis.call('HGETALL', KEYS[3]),
  redis.call('GET', KEYS[4])}
"""
# ARGV: the version that was read ("": nothing was there), then head, accounts and grants as JSON lists, and rest.
_REPLACE = """
local version = redis.call('HGET', KEYS[1], 'version')
if (version or '') ~= ARGV[1] then return 0 end
for i = 1, 3 do
  local pairs_ = cjson.decode(ARGV[i + 1])
  redis.call('DEL', KEYS[i])
  for j = 1, #pairs_, 2 do redis.call('HSET', KEYS[i], pairs_[j], pairs_[j + 1]) end
end
redis.call('SET', KEYS[4], ARGV[5])
redis.call('HSET', KEYS[1], 'version', (tonumber(version or '0') + 1))
return 1
"""


class RedisStore:
    """A book in Redis, at ``redis://host:port/database#name``; also ``rediss://`` and ``unix://``.

    The name tells budgets of one database apart. `config` are the arguments of the keeper, and `book` is that of a new
    state. A state that exists must have the same arguments; without them, it must exist.
    """

    def __init__(self, url: str, config: Mapping[str, Any] | None, book: Book | None, clock: LedgerClock | None = None):
        try:
            import redis
        except ImportError:
            raise MissingExtraError("a state in Redis needs redis-py: pip install 'tcalloc[serve]'") from None
        self.clock, self._error = LedgerClock() if clock is None else clock, redis.RedisError
        server, _, name = url.partition("#")
        head = f"tcalloc:{{{name or 'budget'}}}:"
        self._where = f"the budget {name or 'budget'!r} in Redis"
        self._keys = [head + part for part in ("head", "accounts", "grants", "rest")]
        self._config_key, self._news_key, self._told_key = head + "config", head + "news", head + "told"
        try:
            self._redis: Any = redis.Redis.from_url(
                server, decode_responses=True, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE
            )
            self._redis.ping()
        except (redis.RedisError, ValueError) as error:
            # The address may hold a password, and so may the error's text.
            raise InputError(
                f"Redis cannot be reached ({type(error).__name__}). Check the address of the state, and that the "
                "server runs."
            ) from None
        scripts = [self._redis.register_script(text) for text in (_RESERVE, _SETTLE, _READ, _REPLACE)]
        self._reserve, self._settle, self._read_all, self._replace = scripts
        if book is not None and config is not None:
            self._make(config, book)
        known = self._redis.get(self._config_key)
        if known is None:
            raise InputError(f"there is no {self._where}. Make it with BudgetKeeper(state=…).")
        document = json.loads(known)
        if document["version"] != VERSION:
            raise InputError(f"{self._where} has version {document['version']}; this tcalloc reads version {VERSION}.")
        self.config: Mapping[str, Any] = document["config"]
        self._settings = document["book"]
        self.book, _ = self._all()
        self.clock.join(self.book.time, float(self._redis.hget(self._told_key, "difference") or 0.0))

    def _make(self, config: Mapping[str, Any], book: Book) -> None:
        book.begin(self.clock.now())
        document = {"version": VERSION, "config": dict(config), "book": settings_of(book)}
        if self._written(book, ""):
            self._redis.hset(self._told_key, "difference", repr(self.clock.difference))
            self._redis.set(self._config_key, json.dumps(document))
        else:  # another process makes it, or has made it
            self._redis.set(self._config_key, json.dumps(document), nx=True)

    # ------------------------------------------------------------------------------------------ operations

    def reserve(
        self, grant: str, tenant: str, options: Sequence[tuple[int, int]], lifetime: float, came: int = 1
    ) -> int:
        """Reserve money for the first option that fits; see `Store`."""
        flat = [amount for option in options for amount in option]
        for _ in range(TRIES):
            words = [repr(self.clock.now()), grant, tenant, lifetime, came, *flat]
            place, view = self._run(self._reserve, self._keys[:3], words)
            self._take(view)
            if place != -2:
                return int(place)
            self._seldom(lambda book: book.advance())
        raise self._busy()

    def settle(self, grant: str, bill: int) -> Settled | None:
        """Replace what was reserved by the bill."""
        for _ in range(TRIES):
            place, view, *held = self._run(self._settle, self._keys[:3], [repr(self.clock.now()), grant, bill])
            self._take(view)
            if place == 0:
                found = _held_of(held[0])
                return Settled(found, self.book.count - found.began, False)
            if place == -1:  # it is lost, or unknown
                late: Settled | None = self._seldom(lambda book: book.settle(grant, bill, book.time))
                return late
            self._seldom(lambda book: book.advance())
        raise self._busy()

    def change_limit(self, limit: int) -> bool:
        """Allow more or less from now on; see `Book.change_limit`."""
        changed: bool = self._seldom(lambda book: book.change_limit(limit, book.time))
        if changed:
            self.book.limit = limit
        return changed

    def accounts(self) -> Mapping[str, Account]:
        """Return the accounts of the whole and of all tenants."""
        self.book.accounts |= _accounts_of(self._redis.hgetall(self._keys[1]))
        return self.book.accounts

    def read(self) -> Book:
        """Return a copy of the whole book."""
        self._seldom(lambda book: None)
        return self._all()[0]

    def tell(self, replica: str, news: str | None, price: float | None) -> Mapping[str, str]:
        """Tell other keepers what this one has learned; return what all of them have told."""
        if price is not None and math.isfinite(price):
            known = price
            self._seldom(lambda book: book.prices.__setitem__(book.bucket, known))
        self._redis.hset(self._told_key, "difference", repr(self.clock.difference))
        if news is None:
            self._redis.hdel(self._news_key, replica)
        else:
            self._redis.hset(self._news_key, replica, json.dumps([self.clock.now(), news]))
        told = {name: json.loads(text) for name, text in self._redis.hgetall(self._news_key).items()}
        for name in sorted(told, key=lambda name: -told[name][0])[REPLICAS:]:
            self._redis.hdel(self._news_key, name)
            del told[name]
        return {name: text for name, (_, text) in told.items()}

    def close(self) -> None:
        """Close the connections."""
        self._redis.close()

    # ------------------------------------------------------------------------------------------ rows

    def _run(self, script: Any, keys: list[str], words: list[Any]) -> Any:
        try:
            return script(keys, words)
        except self._error as error:
            raise TcallocError(
                f"{self._where} cannot be used now ({type(error).__name__}). Nothing may be spent without a grant; try "
                "again when the server is back."
            ) from None

    def _take(self, view: Sequence[str]) -> None:
        """Bring the book up to date with what a script has seen of its head."""
        book, whole = self.book, self.book.accounts[WHOLE]
        time, start, count, due, due_count, bucket, limit, *account = view
        book.time, book.start, book.count = float(time), float(start), int(count)
        book.due, book.due_count, book.bucket = float(due), float(due_count), int(bucket)
        book.limit = int(limit)
        whole.settled, whole.reserved, whole.likely, whole.fresh, whole.requests = map(int, account)
        self.clock.follow(book.time)

    def _all(self) -> tuple[Book, str]:
        """Return a book that has everything, and its version."""
        head, accounts, grants, rest = self._run(self._read_all, self._keys, [])
        book = book_of(self._settings)
        if not head:
            return book, ""
        values = dict(zip(head[::2], head[1::2], strict=True))
        book.time, book.start, book.count = float(values["time"]), float(values["start"]), int(values["count"])
        book.due, book.due_count = float(values["due"]), float(values["due_count"])
        book.bucket, book.limit = int(values["bucket"]), int(values["limit"])
        book.accounts = _accounts_of(dict(zip(accounts[::2], accounts[1::2], strict=True)))
        book.accounts[WHOLE] = Account(*(int(values[what]) for what in _ACCOUNT))
        found = [(name, _held_of(text)) for name, text in zip(grants[::2], grants[1::2], strict=True)]
        book.grants = dict(sorted(found, key=lambda pair: pair[1].expires))
        take_rest(book, rest)
        return book, values["version"]

    def _written(self, book: Book, version: str) -> bool:
        """Write a whole book, if it still has the version that was read."""
        whole = zip(_ACCOUNT, account_row(book.accounts[WHOLE]), strict=True)
        head = {
            "time": repr(book.time), "start": repr(book.start), "count": book.count, "due": repr(book.due),
            "due_count": repr(book.due_count), "bucket": book.bucket, "limit": book.limit, **dict(whole),
        }  # fmt: skip
        accounts = {
            f"{name}/{what}": value
            for name, account in book.accounts.items()
            if name != WHOLE
            for what, value in zip(_ACCOUNT, account_row(account), strict=True)
        }
        grants = {
            name: f"{held.most} {held.likely} {held.expires!r} {held.began} {held.tenant}"
            for name, held in book.grants.items()
        }
        lists = [json.dumps([str(word) for pair in one.items() for word in pair]) for one in (head, accounts, grants)]
        return bool(self._run(self._replace, self._keys, [version, *lists, rest_of(book)]))

    def _seldom(self, change: Any) -> Any:
        """Change the whole book."""
        for _ in range(TRIES):
            book, version = self._all()
            self.clock.follow(book.time)
            book.time = max(book.time, self.clock.now())
            if book.time >= book.due:
                book.advance()
            found = change(book)
            if self._written(book, version):
                return found
        raise self._busy()

    def _busy(self) -> InputError:
        return InputError(f"{self._where} was changed by others {TRIES} times in a row. Use fewer requests at a time.")


def _held_of(text: str) -> Held:
    most, likely, expires, began, tenant = text.split(" ", 4)
    return Held(tenant, int(most), int(likely), float(expires), int(began))


def _accounts_of(fields: Mapping[str, str]) -> dict[str, Account]:
    found: dict[str, Account] = {}
    for key, value in fields.items():
        name, _, what = key.rpartition("/")
        setattr(found.setdefault(name, Account()), what, int(value))
    return found
