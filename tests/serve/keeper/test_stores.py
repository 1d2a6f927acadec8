"""The book in memory, in SQLite and in Redis: the cap, expiry, periods and windows, and clocks that jump."""

import itertools
import json
import os
import sqlite3

import pytest
from budgets import CONFIG, Hands, book, redis_server, store_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcalloc import BudgetKeeper
from tcalloc.errors import InputError, TcallocError
from tcalloc.serve.keeper.account import BITS, Units
from tcalloc.serve.keeper.book import WHOLE
from tcalloc.serve.keeper.open_state import open_state
from tcalloc.serve.keeper.rows import rest_of
from tcalloc.serve.keeper.sqlite_store import SQLiteStore

UNITS = Units(100.0, BITS)


def units(amount):
    return UNITS.of(amount)


def spent(store):
    return UNITS.amount(store.read().accounts[WHOLE].settled)


def reserved(store):
    return UNITS.amount(store.read().accounts[WHOLE].reserved)


def test_the_first_option_that_fits(kind, where):
    store = store_of(kind, where, book(), Hands().clock())
    options = [(units(70), units(30)), (units(40), units(20)), (0, 0)]
    assert [store.reserve(name, "", options, 600.0) for name in "abc"] == [0, 2, 2]
    assert reserved(store) == 70.0
    assert store.settle("a", units(25)).requests == 3
    assert (spent(store), reserved(store)) == (25.0, 0.0)
    assert store.reserve("d", "", options[:2], 600.0) == 0
    assert store.reserve("e", "", options[:2], 600.0) == -1
    assert store.settle("e", 1) is None
    assert store.settle("a", 1) is None
    store.close()


def test_another_limit(kind, where):
    """It holds at once for all that share the book, also in later periods; never below what is spent and reserved."""
    hands = Hands()
    store = store_of(kind, where, book(period="60s"), hands.clock())
    other = store if kind == "memory" else store_of(kind, where, book(period="60s"), hands.clock())
    store.reserve("a", "", [(units(70), units(30))], 600.0)
    store.reserve("b", "", [(units(20), units(20))], 600.0)
    store.settle("b", units(20))
    assert not store.change_limit(UNITS.limit_of(89.0))
    assert other.reserve("c", "", [(units(10), units(10))], 600.0) == 0
    other.settle("c", 0)
    assert store.change_limit(UNITS.limit_of(90.0))
    assert other.reserve("d", "", [(units(1), units(1))], 600.0) == -1
    assert UNITS.total_of(other.book.limit) == 90.0
    assert other.change_limit(UNITS.limit_of(9000.0))
    assert store.reserve("e", "", [(units(8910), units(1))], 600.0) == 0
    assert store.reserve("f", "", [(1, 1)], 600.0) == 0  # the tolerance of 0.1 + 0.2
    assert store.reserve("g", "", [(units(1), 1)], 600.0) == -1
    store.settle("e", units(8910))
    hands.pass_time(61.0)
    assert store.reserve("h", "", [(units(8900), 1)], 600.0) == 0
    assert store.read().limit == UNITS.limit_of(9000.0)
    for each in {store, other}:
        each.close()


def test_three_tenths_are_three_tenths(kind, where):
    store = store_of(kind, where, book(0.3), Hands().clock())
    scale = Units(0.3, BITS)
    options = [(scale.of(0.1), scale.of(0.1))]
    assert [store.reserve(name, "", options, 600.0) for name in "abcd"] == [0, 0, 0, -1]
    store.close()


@pytest.mark.parametrize(("lost_counts", "left"), [(True, 10.0), (False, 0.0)])
def test_lost_grants(kind, where, lost_counts, left):
    """A grant that expires counts as its maximum (or nothing) until its bill comes, and never stays reserved."""
    hands = Hands()
    store = store_of(kind, where, book(lost_counts=lost_counts), hands.clock())
    store.reserve("a", "t", [(units(10), units(5))], 60.0)
    hands.pass_time(59.0)
    assert (spent(store), reserved(store)) == (0.0, 10.0)
    hands.pass_time(1.5)
    assert (spent(store), reserved(store)) == (left, 0.0)
    assert store.accounts()["t"].settled == units(left)
    late = store.settle("a", units(4))
    assert (late.late, spent(store)) == (True, 4.0)
    assert store.accounts()["t"].settled == units(4)
    assert store.settle("a", units(4)) is None
    store.close()


def test_a_period_of_time_begins_anew(kind, where):
    hands = Hands()
    store = store_of(kind, where, book(period="60s"), hands.clock())
    store.reserve("a", "", [(units(60), units(60))], 600.0)
    store.settle("a", units(60))
    hands.pass_time(30.0)
    store.reserve("b", "", [(units(40), units(40))], 600.0)
    assert store.reserve("c", "", [(units(1), units(1))], 600.0) == -1
    hands.pass_time(31.0)
    assert (spent(store), reserved(store)) == (0.0, 40.0)  # what is open stays reserved
    assert store.reserve("d", "", [(units(61), units(1))], 600.0) == -1
    assert store.reserve("e", "", [(units(60), units(1))], 600.0) == 0
    store.settle("b", units(40))
    assert (spent(store), store.read().accounts[WHOLE].requests) == (40.0, 2)
    store.close()


def test_a_period_of_requests(kind, where):
    store = store_of(kind, where, book(period=3), Hands().clock())
    for name in "abcdefg":
        assert store.reserve(name, "", [(units(30), units(30))], 600.0) == 0
        store.settle(name, units(30))
    assert (spent(store), store.book.count) == (30.0, 7)
    store.close()


def test_a_rolling_window_never_holds_more(kind, where):
    """In any 60 seconds, no more than the total is spent."""
    hands = Hands()
    store = store_of(kind, where, book(period="60s", rolling=True), hands.clock())
    paid = []
    for i in range(200 if kind == "memory" else 60):
        hands.pass_time(1.7)
        if store.reserve(str(i), "", [(units(9), units(5))], 600.0) == 0:
            store.settle(str(i), units(9))
            paid.append((hands.monotonic, 9.0))
        for end, _ in paid:
            assert sum(cost for at, cost in paid if end - 60.0 < at <= end) <= 100.0
    assert len(paid) > len(range(200 if kind == "memory" else 60)) * 1.7 / 60 * 9
    store.close()


def test_a_lost_grant_leaves_the_window_with_its_correction(kind, where):
    hands = Hands()
    store = store_of(kind, where, book(period="60s", rolling=True), hands.clock())
    store.reserve("a", "", [(units(50), units(5))], 2.0)
    hands.pass_time(3.0)
    assert spent(store) == 50.0
    hands.pass_time(40.0)
    store.settle("a", units(20))
    assert spent(store) == 20.0
    hands.pass_time(30.0)
    assert spent(store) == 0.0  # not −30
    store.close()


def test_clocks_that_jump(kind, where):
    """Neither a wall clock that jumps nor one that goes back ends a period or loses a grant."""
    hands = Hands()
    store = store_of(kind, where, book(period="1h"), hands.clock())
    store.reserve("a", "", [(units(60), units(60))], 600.0)
    hands.wall += 10 * 86400.0
    assert reserved(store) == 60.0
    hands.wall -= 30 * 86400.0
    assert store.reserve("b", "", [(units(50), units(1))], 600.0) == -1
    hands.pass_time(601.0)
    assert (spent(store), reserved(store)) == (60.0, 0.0)
    store.close()


def test_a_process_that_joins_after_a_jump(kind, where):
    """Processes that run tell later ones how far the wall clock is off."""
    if kind == "memory":
        pytest.skip("memory is not shared by processes")
    hands = Hands()
    first = store_of(kind, where, book(period="1h"), hands.clock())
    first.reserve("a", "", [(units(60), units(60))], 600.0)
    hands.wall += 86400.0
    first.tell("one", "{}", None)
    second = store_of(kind, where, book(period="1h"), hands.clock())
    assert (reserved(second), second.settle("a", units(3)) is not None) == (60.0, True)
    first.close()
    second.close()
    hands.pass_time(1800.0)  # nobody is there, but time goes on
    third = store_of(kind, where, book(period="1h"), hands.clock())
    assert spent(third) == 3.0
    third.close()
    hands.pass_time(1801.0)
    fourth = store_of(kind, where, book(period="1h"), hands.clock())
    assert spent(fourth) == 0.0
    fourth.close()


OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.sampled_from(["", "s", "t"]), st.lists(st.integers(0, 60), max_size=3)),
        st.tuples(st.just("settle"), st.integers(0, 12), st.integers(0, 70)),
        st.tuples(st.just("wait"), st.integers(0, 40), st.none()),
        st.tuples(st.just("join"), st.none(), st.none()),
    ),
    max_size=30,
)
_names = itertools.count()


@pytest.mark.parametrize("shared", ["sqlite", "redis"])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    operations=OPERATIONS,
    period=st.sampled_from([(None, False), ("60s", False), ("60s", True), (5, False), (5, True)]),
    lost_counts=st.booleans(),
)
def test_all_stores_keep_the_same_book(shared, request, tmp_path, operations, period, lost_counts):
    """Whatever is done in whatever order, SQLite and Redis end with the book that memory has."""
    hands = Hands()
    place = tmp_path / str(next(_names))
    place.mkdir()
    address = f"{request.getfixturevalue('redis_address')}#{place}" if shared == "redis" else str(place)

    def made(kind):
        return store_of(kind, address, book(100, period[0], rolling=period[1], lost_counts=lost_counts), hands.clock())

    known, other = made("memory"), made(shared)
    for number, (what, first, second) in enumerate(operations):
        if what == "reserve":
            options = [(units(most), units(most / 2)) for most in second]
            found = [store.reserve(str(number), first, options, 50.0) for store in (known, other)]
            assert found[0] == found[1]
        elif what == "settle":
            found = [store.settle(str(first), units(second)) for store in (known, other)]
            assert found[0] == found[1]
        elif what == "wait":
            hands.pass_time(first)
        else:
            other.close()
            other = made(shared)
        whole = known.book.accounts[WHOLE]
        assert whole.reserved >= 0
        if whole.reserved:
            assert whole.settled + whole.reserved <= known.book.limit or what == "settle"
    one, two = known.read(), other.read()
    assert (one.grants, one.count, one.bucket, one.start) == (two.grants, two.count, two.bucket, two.start)
    assert json.loads(rest_of(one)) == json.loads(rest_of(two))
    rows = [{name: repr_of(account) for name, account in each.accounts.items()} for each in (one, two)]
    assert rows[0] == rows[1]
    other.close()


def test_a_redis_server_that_is_started_again(tmp_path):
    """While it is away, nothing is granted, and one sentence says so; with its append-only file it knows all again."""
    with redis_server(tmp_path, durable=True) as address:
        keeper = BudgetKeeper(total=100.0, state=f"{address}#team")
        grant = keeper.choose(["a"], [0.5], [10.0])
        keeper.choose(["a"], [0.5], [20.0]).settle(15.0)
    with pytest.raises(TcallocError, match="the budget 'team' in Redis cannot be used now"):
        keeper.choose(["a"], [0.5], [10.0])
    with pytest.raises(TcallocError, match="cannot be used now"):
        grant.settle(5.0)
    assert grant.open
    with redis_server(tmp_path, durable=True) as address, BudgetKeeper.open(f"{address}#team") as again:
        again.settle(grant.id, 5.0)
        status = again.status()
    assert (status.spent, status.reserved) == (20.0, 0.0)


def repr_of(account):
    return account.settled, account.reserved, account.likely, account.fresh, account.requests


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: open_state(folder / "none.db"), "there is no file"),
        (lambda folder: open_state(folder / "text.db"), "cannot be opened as a state"),
        (lambda folder: open_state(folder / "other.db"), "is no state of a budget keeper"),
        (lambda folder: open_state(folder / "other.db", CONFIG, book()), "is a database, but no state"),
        (lambda folder: open_state(folder / "new.db"), "version 9 of a state"),
        (lambda folder: open_state("redis://127.0.0.1:1/0", CONFIG, book()), "Redis cannot be reached"),
        (lambda folder: open_state("redis://:secret@127.0.0.1:1/0", CONFIG, book()), r"\(ConnectionError\)"),
    ],
)
def test_what_is_no_state(make, words, tmp_path):
    import sqlite3

    pytest.importorskip("redis")
    (tmp_path / "text.db").write_text("this is no database at all, but a text that is long enough" * 20)
    for name, statement in (("other.db", "CREATE TABLE t (x)"), ("new.db", "PRAGMA user_version = 9")):
        with sqlite3.connect(tmp_path / name) as db:
            db.execute("PRAGMA application_id = 1" if name == "other.db" else "PRAGMA application_id = 1952670060")
            db.execute(statement)
        db.close()
    with pytest.raises(InputError, match=words) as caught:
        make(tmp_path)
    assert "secret" not in repr(caught.value)


def test_a_state_of_other_arguments(tmp_path):
    SQLiteStore(str(tmp_path / "budget.db"), CONFIG, book()).close()
    with pytest.raises(InputError, match=r"total is 200.0, but the state was made with 100.0"):
        open_state(tmp_path / "budget.db", {"total": 200.0}, book(200.0))


@pytest.mark.parametrize("fault", ["deleted", "replaced", "log deleted"])
def test_a_state_that_is_lost_while_it_is_used(fault, tmp_path, monkeypatch, caplog):
    """Nothing more is granted, and it is said once; when the file is back, all goes on."""
    monkeypatch.chdir(tmp_path)
    keeper = BudgetKeeper(10.0, state="budget.db")
    monkeypatch.chdir("/")  # the file stays where it was
    keeper.choose(["a"], [1.0], [1.0]).settle(1.0)
    under_way = keeper.choose(["a"], [1.0], [1.0])
    state, aside = tmp_path / "budget.db", tmp_path / "aside"
    if fault == "log deleted":
        state = tmp_path / "budget.db-wal"
    state.rename(aside)
    if fault == "replaced":
        with BudgetKeeper(10.0, state=state) as other:
            assert other.choose(["a"], [1.0], [10.0]).action == "a"
    for _ in range(3):
        refused = keeper.choose(["a"], [1.0], [1.0])
        assert (refused.action, refused.maximum) == (None, 0.0)
    for act in (under_way.release, keeper.status, lambda: keeper.change_total(20.0)):
        with pytest.raises(InputError, match=r"budget\.db was deleted or replaced .* Put the file back"):
            act()
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "budget.db was deleted or replaced" in caplog.text
    if fault != "replaced":
        aside.rename(state)
        under_way.release()
        assert keeper.status().spent == 1.0
        assert keeper.choose(["a"], [1.0], [1.0]).action == "a"
    keeper.close()


def test_a_fork_has_a_connection_of_its_own(tmp_path):
    store = store_of("sqlite", str(tmp_path), book())
    store.reserve("a", "", [(units(1), units(1))], 600.0)
    keeper = BudgetKeeper(total=100.0, store=store)
    keeper.choose(["a"], [0.5], [1.0])
    child = os.fork()
    if not child:
        code = 1
        try:
            code = int(store.settle("a", units(1)) is None or keeper.choose(["a"], [0.5], [2.0]).action != "a")
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert keeper.choose(["a"], [0.5], [4.0]).action == "a"
    assert (spent(store), reserved(store)) == (1.0, 7.0)
    keeper.close()


def test_a_new_state_that_another_process_makes_is_waited_for(tmp_path, monkeypatch):
    """SQLite refuses the write-ahead log at once while another connection is about to write; it is asked for again."""
    path, waits = tmp_path / "new.db", []
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    def wait(seconds):
        waits.append(seconds)
        other.execute("ROLLBACK" if len(waits) == 3 else "SELECT 1")

    monkeypatch.setattr("tcalloc.serve.keeper.sqlite_store.time.sleep", wait)
    with BudgetKeeper(total=10.0, state=path) as keeper:
        assert keeper.status().spent == 0.0
    assert len(waits) == 3
    other.close()
