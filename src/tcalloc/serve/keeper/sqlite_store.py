"""A book in a SQLite file, for several processes of one host.

The file is in WAL mode. What a transaction wrote survives `kill -9` of any process; after a power cut the last
transactions may be missing, but never half of one. The rules are those of `Book`: this module only loads the rows that
an operation needs, and writes them back in the same transaction.
"""

import json
import math
import os
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tcalloc.errors import InputError
from tcalloc.serve.keeper.account import Account
from tcalloc.serve.keeper.book import WHOLE, Book, Held, Settled
from tcalloc.serve.keeper.clock import LedgerClock
from tcalloc.serve.keeper.rows import account_row, book_of, rest_of, settings_of, take_rest
from tcalloc.serve.keeper.store import LostState

__all__ = ["SQLiteStore"]

# The number that says that a SQLite file is a state of tcalloc, and the version of its tables.
APPLICATION = 0x7463_616C
VERSION = 2
# Seconds to wait while another process writes.
PATIENCE = 30.0
# Keepers whose reports are kept: the latest.
REPLICAS = 64

TABLES = """
CREATE TABLE settings (config TEXT NOT NULL, book TEXT NOT NULL);
CREATE TABLE head (
    time REAL, start REAL, count INTEGER, due REAL, due_count REAL, bucket INTEGER, difference REAL,
    cap INTEGER, settled INTEGER, reserved INTEGER, likely INTEGER, fresh INTEGER, requests INTEGER
);
CREATE TABLE accounts (
    name TEXT PRIMARY KEY, settled INTEGER, reserved INTEGER, likely INTEGER, fresh INTEGER, requests INTEGER
) WITHOUT ROWID;
CREATE TABLE grants (
    name TEXT PRIMARY KEY, tenant TEXT, most INTEGER, likely INTEGER, expires REAL, began INTEGER
) WITHOUT ROWID;
CREATE TABLE rest (text TEXT NOT NULL);
CREATE TABLE news (replica TEXT PRIMARY KEY, time REAL, text TEXT NOT NULL) WITHOUT ROWID;
"""
HEAD = "time, start, count, due, due_count, bucket, cap, settled, reserved, likely, fresh, requests"
READ_HEAD = f"SELECT {HEAD} FROM head"
WRITE_HEAD = f"UPDATE head SET ({HEAD}) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
WRITE_ACCOUNT = "INSERT OR REPLACE INTO accounts VALUES (?, ?, ?, ?, ?, ?)"
READ_GRANT = "SELECT tenant, most, likely, expires, began FROM grants WHERE name = ?"
WRITE_GRANT = "INSERT INTO grants VALUES (?, ?, ?, ?, ?, ?)"


class SQLiteStore:
    """A book in a SQLite file.

    Parameters
    ----------
    path : str
        The file; it is made if it is not there.
    config : mapping or None
        The arguments of the keeper. A file that exists must have the same ones; None: any.
    book : Book or None
        The new book of a new file.
    clock : LedgerClock, optional
        The clock of this process.
    """

    def __init__(
        self, path: str, config: Mapping[str, Any] | None, book: Book | None, clock: LedgerClock | None = None
    ):
        self.clock = LedgerClock() if clock is None else clock
        self._path, self._guard = os.fspath(path), threading.Lock()
        self._file = path if path == ":memory:" else os.path.abspath(path)
        self._paths = self._file, f"{self._file}-wal"
        self._known: list[tuple[int, int]] = []
        try:
            self._open()
            self._load(config, book)
            self._known = self._files()
        except BaseException:
            self._close()
            raise

    def _load(self, config: Mapping[str, Any] | None, book: Book | None) -> None:
        if book is not None and config is not None:
            with self:
                self._make(config, book)
        elif not self._tables():
            raise InputError(
                f"{self._path} is no state of a budget keeper. Pass the file that BudgetKeeper(state=…) made."
            )
        with self:
            config_text, book_text = self._db.execute("SELECT config, book FROM settings").fetchone()
            self.config: Mapping[str, Any] = json.loads(config_text)
            self._settings = json.loads(book_text)
            time, difference = self._db.execute("SELECT time, difference FROM head").fetchone()
            self.clock.join(time, difference)
            self.book = self._head(book_of(self._settings))

    def __del__(self) -> None:
        self._close()  # Python 3.13 warns of a connection that nobody closed

    def _close(self) -> None:
        """Close what was opened, whatever failed."""
        opened = getattr(self, "_db", None)
        if opened is not None:
            opened.close()

    def _open(self) -> None:
        self._pid = os.getpid()
        try:
            self._db = sqlite3.connect(self._file, timeout=PATIENCE, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA page_size = 1024")  # an operation writes two or three pages
            self._use_log()
        except sqlite3.Error as error:
            raise InputError(
                f"{self._path} cannot be opened as a state ({error}). Pass a new or an existing state."
            ) from None
        self._db.execute("PRAGMA synchronous = NORMAL")
        # Moving the log into the file waits for the disk; with 8 MB of log, that happens once in some thousand grants.
        self._db.execute("PRAGMA wal_autocheckpoint = 8000")

    def _use_log(self) -> None:
        """Switch to the write-ahead log. SQLite does not wait where two connections ask for that at the same time."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def _tables(self) -> bool:
        if self._db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            return False
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            raise InputError(f"{self._path} has version {version} of a state; this tcalloc reads version {VERSION}.")
        return True

    def _make(self, config: Mapping[str, Any], book: Book) -> None:
        if self._tables():
            return
        if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise InputError(f"{self._path} is a database, but no state of a budget keeper. Pass a new path.")
        for statement in TABLES.split(";"):
            if statement.strip():
                self._db.execute(statement)
        self._db.execute(f"PRAGMA application_id = {APPLICATION}")
        self._db.execute(f"PRAGMA user_version = {VERSION}")
        book.begin(self.clock.now())
        settings = json.dumps(dict(config)), json.dumps(settings_of(book))
        self._db.execute("INSERT INTO settings VALUES (?, ?)", settings)
        self._db.execute(f"INSERT INTO head VALUES ({', '.join('?' * 13)})", [0] * 13)
        self._db.execute("INSERT INTO rest VALUES (?)", (rest_of(book),))
        self._db.execute("UPDATE head SET difference = ?", (self.clock.difference,))
        self._write_head(book)

    # ------------------------------------------------------------------------------------------ operations

    def reserve(
        self, grant: str, tenant: str, options: Sequence[tuple[int, int]], lifetime: float, came: int = 1
    ) -> int:
        """Reserve money for the first option that fits; see `Store`."""
        with self:
            book, now = self._some(tenant, coming=True)
            place = book.reserve(grant, tenant, options, now, lifetime, came)
            if place >= 0:
                self._db.execute(WRITE_GRANT, (grant, *book.grants.pop(grant)))
            self._write(book, tenant)
        return place

    def settle(self, grant: str, bill: int) -> Settled | None:
        """Replace what was reserved by the bill."""
        with self:
            row = self._db.execute(READ_GRANT, (grant,)).fetchone()
            book, now = self._some(WHOLE if row is None else row[0])
            if row is not None and now < row[3]:
                held = book.grants[grant] = Held(*row)
                settled = book.settle(grant, bill, now)
                self._db.execute("DELETE FROM grants WHERE name = ?", (grant,))
                self._write(book, held.tenant)
            else:  # it is lost, or unknown
                book = self._all()
                settled = book.settle(grant, bill, now)
                self._write_all(book)
        return settled

    def change_limit(self, limit: int) -> bool:
        """Allow more or less from now on; see `Book.change_limit`."""
        with self:
            book = self._all()
            changed = book.change_limit(limit, self.clock.now())
            self._write_all(book)
        return changed

    def accounts(self) -> Mapping[str, Account]:
        """Return the accounts of the whole and of all tenants."""
        with self:
            book, _ = self._some(WHOLE)
            for name, *row in self._db.execute("SELECT * FROM accounts"):
                book.accounts[name] = Account(*row)
        return book.accounts

    def read(self) -> Book:
        """Return a copy of the whole book."""
        with self:
            book = self._all()
            book.pass_time(self.clock.now())
            self._write_all(book)
        return book

    def tell(self, replica: str, news: str | None, price: float | None) -> Mapping[str, str]:
        """Tell other keepers what this one has learned; return what all of them have told."""
        with self:
            book = self._all()
            if price is not None and math.isfinite(price):
                book.prices[book.bucket] = price
                self._db.execute("UPDATE rest SET text = ?", (rest_of(book),))
            self._db.execute("UPDATE head SET difference = ?", (self.clock.difference,))
            if news is None:
                self._db.execute("DELETE FROM news WHERE replica = ?", (replica,))
            else:
                self._db.execute("INSERT OR REPLACE INTO news VALUES (?, ?, ?)", (replica, book.time, news))
            self._db.execute(
                "DELETE FROM news WHERE replica NOT IN (SELECT replica FROM news ORDER BY time DESC LIMIT ?)",
                (REPLICAS,),
            )
            return dict(self._db.execute("SELECT replica, text FROM news").fetchall())

    def close(self) -> None:
        """Close the file."""
        with self._guard:
            self._db.close()

    # ------------------------------------------------------------------------------------------ rows

    def _files(self) -> list[tuple[int, int]]:
        """Return which files the database and its log are, as far as they are there."""
        found = []
        for path in self._paths:
            try:
                one = os.stat(path)
            except OSError:  # contextlib.suppress takes three times as long
                continue
            found.append((one.st_dev, one.st_ino))
        return found

    def _begin(self) -> None:
        if self._known and self._files() != self._known:
            raise LostState(
                f"{self._path} was deleted or replaced while this process uses it as the state of a budget. Nothing "
                "more is granted, because no other process sees what is spent here. Put the file back. Or start all "
                "services anew: they use the file that is there then, and begin the budget anew if there is none."
            )
        if self._pid != os.getpid():  # a fork: SQLite connections are not shared
            self._open()
        self._db.execute("BEGIN IMMEDIATE")

    def __enter__(self) -> None:
        """Begin a transaction that no other thread or process can see half of."""
        self._guard.acquire()
        try:
            self._begin()
        except BaseException:
            self._guard.release()
            raise

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            self._db.execute("COMMIT" if kind is None else "ROLLBACK")
        finally:
            self._guard.release()

    def _head(self, book: Book) -> Book:
        """Bring a book up to date, but for its grants and tenants."""
        row = self._db.execute(READ_HEAD).fetchone()
        book.time, book.start, book.count, book.due, book.due_count, book.bucket, book.limit = row[:7]
        whole = book.accounts[WHOLE]
        whole.settled, whole.reserved, whole.likely, whole.fresh, whole.requests = row[7:]
        self.clock.follow(book.time)
        return book

    def _some(self, tenant: str, coming: bool = False) -> tuple[Book, float]:
        """Return the book with the accounts that an operation needs, moved on if that was due; and ledger time.

        Parameters
        ----------
        tenant : str
            Whose account is needed besides the whole.
        coming : bool
            Whether it is for a request that comes. Periods in requests end with the next request, not with a bill.
        """
        book = self._head(self.book)
        now = self.clock.now()
        if now >= book.due or (coming and book.count >= book.due_count):
            every = self._all()
            every.time = max(every.time, now)
            every.advance()
            self._write_all(every)
        if tenant:
            row = self._db.execute("SELECT * FROM accounts WHERE name = ?", (tenant,)).fetchone()
            book.accounts[tenant] = Account() if row is None else Account(*row[1:])
        return book, now

    def _all(self) -> Book:
        """Return a new book with everything in it."""
        book = self._head(book_of(self._settings))
        for name, *row in self._db.execute("SELECT * FROM accounts"):
            book.accounts[name] = Account(*row)
        for name, *row in self._db.execute("SELECT * FROM grants ORDER BY expires"):
            book.grants[name] = Held(*row)
        take_rest(book, self._db.execute("SELECT text FROM rest").fetchone()[0])
        return book

    def _write(self, book: Book, tenant: str) -> None:
        """Write the accounts that an operation changed."""
        self._write_head(book)
        if tenant:
            self._db.execute(WRITE_ACCOUNT, (tenant, *account_row(book.accounts[tenant])))

    def _write_all(self, book: Book) -> None:
        self._write_head(book)
        self._db.execute("DELETE FROM grants")
        self._db.executemany(WRITE_GRANT, [(name, *held) for name, held in book.grants.items()])
        rows = [(name, *account_row(account)) for name, account in book.accounts.items() if name != WHOLE]
        self._db.executemany(WRITE_ACCOUNT, rows)
        self._db.execute("UPDATE rest SET text = ?", (rest_of(book),))
        self._head(self.book)
        self.book.accounts |= book.accounts

    def _write_head(self, book: Book) -> None:
        row = book.time, book.start, book.count, book.due, book.due_count, book.bucket, book.limit
        self._db.execute(WRITE_HEAD, (*row, *account_row(book.accounts[WHOLE])))
