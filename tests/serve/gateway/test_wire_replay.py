"""Recorded samples through the gateway over HTTP: answers and spends of the offline replay, a budget that holds."""

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("sklearn")

from bench.gateway.__main__ import kept_table, play, tables, unkept_table, wrong
from tcalloc.learn.protocol import Always
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.sequential import Sequential
from tcalloc.measure.actions import One, Vote


@pytest.fixture(scope="module")
def table():
    return next(iter(tables()))


def policies(table, rows):
    samples, texts = table.samples.take(rows), [table.texts[row] for row in rows]
    actions = [One(), Vote(2), Vote(4)]
    return {
        "vote4": Always(Vote(4)),
        "priced": PricedPolicy(budget=8.0, gate=False).fit(texts, samples, actions=actions),
        "Sequential": Sequential(budget=10.0, most=4).fit(None, samples),
    }


@pytest.mark.slow
def test_the_replay_through_the_wire_is_the_offline_one(table, tmp_path):
    fitted, played = table.halves(25)
    rows = list(play(table, policies(table, fitted[:40]), played, 50, tmp_path))
    assert wrong(rows) == []
    kept = [row for row in rows if "total" in row]
    assert [row["requests"] for row in kept] == [50] * 3
    assert all(0 < row["spent"] <= row["total"] for row in kept)
    assert kept[0]["refused"] > 0  # a vote of four for every request is more than the budget
    assert all(row["differ"] == 0 for row in rows)
    assert all(row["accuracy"] == row["offline"] > 0 for row in rows)
    assert len(unkept_table(rows[::2]).splitlines()) == len(kept_table(kept).splitlines()) == 5


def test_what_must_not_be_is_said():
    right = {"table": "a", "policy": "b", "questions": 9, "differ": 0, "booked": 3.0, "billed": 3.0}
    kept = right | {"total": 5, "spent": 5.0, "spent_many": 4.0, "booked_many": 4.0}
    assert wrong([right, kept]) == []
    assert "2 of 9" in wrong([right | {"differ": 2}])[0]
    assert "3.0 booked, 4.0 billed" in wrong([right | {"billed": 4.0}])[0]
    assert "6 of 5" in wrong([kept | {"spent": 6.0}])[0]
    assert len(wrong([kept | {"spent_many": 6.0}])) == 2
