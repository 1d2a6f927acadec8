"""Texts of explored requests are removed after a time: from the disk, with the samples kept, whatever kills it."""

import json
import os
import time

import pytest
from upstreams import Simulated

from tcalloc import Samples
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Always
from tcalloc.measure.actions import Vote
from tcalloc.runs import store as stores
from tcalloc.runs.store import Store, read_run
from tcalloc.serve.gateway.exploring import Explored
from tcalloc.serve.gateway.server import Gateway

OLD, NEW, COUNT = "an old secret", "a new secret", 6


def gate(server, folder, **options):
    options = {"store_texts": True, "keep_texts": 3600.0, "explore_samples": 4} | options
    return Gateway(server.url, Always(Vote(3)), port=0, explore=1.0, store=folder, **options)


def stored(folder):
    return "".join(path.read_text() for path in sorted(folder.iterdir()))


def aged(folder, hours=2):
    """Let all requests in the folder be older."""
    path = folder / "questions.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(row | {"at": row["at"] - 3600 * hours}) + "\n" for row in rows))


@pytest.fixture
def seen(ask, tmp_path):
    folder = tmp_path / "seen"
    with Simulated() as server, gate(server, folder) as gateway:
        for i in range(COUNT):
            ask(gateway, f"{i}: {OLD}")
    assert stored(folder).count(OLD) == COUNT
    assert "It is" in stored(folder)
    aged(folder)
    return folder


def test_old_texts_are_removed_at_the_start_and_the_rest_can_be_used(seen, ask):
    before = Samples.load(seen, "agreement")
    with Simulated(seed=1) as server, gate(server, seen) as gateway:
        assert OLD not in stored(seen)
        assert "It is" not in stored(seen)
        for i in range(COUNT):
            ask(gateway, f"{i}: {NEW}")
        gateway.review()
    assert stored(seen).count(NEW) == COUNT
    run = read_run(seen)
    assert len(run.records) == 4 * 2 * COUNT
    old = {one["id"] for one in run.questions if one["question"] is None}
    assert len(old) == COUNT
    for record in run.records:
        if record["id"] in old:
            assert record["answer"].startswith("answer ")
            assert record["params"] == record["arm"]
            assert "text" not in record
    after = Samples.load(seen, "agreement")
    rows = [i for i, name in enumerate(after.ids) if name in old]
    assert (after.take(rows).answers == before.answers).all()


def test_an_hour_later_it_does_so_while_it_runs(ask, tmp_path, monkeypatch):
    seen = tmp_path / "seen"
    with Simulated() as server, gate(server, seen) as gateway:
        ask(gateway, f"1: {OLD}")
        later = time.time() + 3601
        monkeypatch.setattr(time, "time", lambda: later)
        ask(gateway, f"2: {NEW}")
        gateway.review()
        assert OLD not in stored(seen)
        assert NEW in stored(seen)
        ask(gateway, f"3: {NEW}")  # it is appended to the new file
    assert len(read_run(seen).records) == 12
    assert stored(seen).count(NEW) == 2


def test_without_a_time_or_without_texts_nothing_is_written_anew(seen, monkeypatch):
    before = stored(seen)
    monkeypatch.setattr(Store, "rewrite", None)
    Explored(seen, True).close()
    assert stored(seen) == before


@pytest.mark.parametrize("file", ["questions.jsonl", "samples.jsonl"])
def test_killed_in_the_midst_of_it(seen, monkeypatch, file):
    """Nothing that was paid is lost, and the next start removes the rest."""
    replacing = stores.replacing

    class Killed(BaseException):
        pass

    def killed(path):
        if os.path.basename(path) == file:
            raise Killed
        return replacing(path)

    monkeypatch.setattr(stores, "replacing", killed)
    with pytest.raises(Killed):
        Explored(seen, True, 3600.0)
    monkeypatch.undo()
    assert len(read_run(seen).records) == 4 * COUNT
    assert "It is" in stored(seen)
    Explored(seen, True, 3600.0).close()
    assert "It is" not in stored(seen)
    assert OLD not in stored(seen)
    assert len(read_run(seen).records) == 4 * COUNT


def test_damaged_lines_that_were_set_aside_go_too(seen):
    path = seen / "samples.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0].replace("It is", "It as"), *lines[1:]]))
    Explored(seen, True).close()
    assert "It as" in (seen / "samples.damaged").read_text()
    os.utime(seen / "samples.damaged", (1, 1))
    Explored(seen, True, 3600.0).close()
    assert not (seen / "samples.damaged").exists()
    assert "It as" not in stored(seen)


def test_nothing_is_written_anew_once_the_folder_is_let_go(seen):
    explored = Explored(seen, True)
    explored.close()
    explored._keep = 3600.0
    before = stored(seen)
    with pytest.raises(InputError, match="the run is closed"):
        explored.forget()
    assert stored(seen) == before
