"""Samples are brought to the disk in the background: no writer waits for it, and no error of it is lost."""

import errno
import os
import threading

import pytest

from tcalloc.runs import syncing
from tcalloc.runs.store import Store, read_run


def record(number):
    return {"id": "a", "sample": number, "params": "p", "answer": "2", "correct": True}


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(syncing, "_SECONDS", 0.0)  # each line is due
    with Store.create(tmp_path / "run", {"arms": []}, [{"id": "a", "question": "1 + 1"}]) as made:
        yield made


def test_a_slow_disk_holds_up_no_writer(store, monkeypatch):
    go_on, calls, sync = threading.Event(), [], os.fsync

    def slow(file):
        calls.append(threading.current_thread())
        assert go_on.wait(20)
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", slow)
        for number in range(50):
            store.append(record(number))
        assert len(read_run(store.path).records) == 50
        assert len(calls) == 1  # the next begins when this one has ended
        assert calls[0] is not threading.current_thread()
        threading.Timer(0.1, go_on.set).start()
        store.close()  # waits for it
    assert not calls[0].is_alive()


def test_an_error_of_the_disk_is_raised_by_the_next_append(store, monkeypatch):
    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        store.append(record(0))
        store._syncing.finish()
        with pytest.raises(OSError, match="No space left") as raised:
            store.append(record(1))
    assert raised.value.filename.endswith("samples.jsonl")
    store.append(record(1))  # what could not be synced is written all the same
    assert len(read_run(store.path).records) == 2


def test_without_threads_the_writer_syncs_itself(store, monkeypatch):
    def none(self):
        raise RuntimeError("can't start new thread")

    calls = []
    monkeypatch.setattr(threading.Thread, "start", none)
    monkeypatch.setattr(os, "fsync", lambda file: calls.append(threading.current_thread()))
    store.append(record(0))
    store.append(record(1))
    assert calls == [threading.current_thread()] * 2
