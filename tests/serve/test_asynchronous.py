"""Answering on an event loop: side by side, cancelled, without holding up the loop; and what limits one process."""

import asyncio
import contextlib
import gc
import os
import resource
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from answering_cases import QUESTIONS, client_of
from chaos import Chaos
from places import ENVIRONMENT

from tcalloc.errors import InputError
from tcalloc.learn.protocol import Always
from tcalloc.llm.client import ChatClient, Parameters
from tcalloc.llm.concurrency import event_loop, limits
from tcalloc.llm.concurrency.crew import Crew
from tcalloc.llm.failures import Stopped
from tcalloc.llm.http.retry import Backoff
from tcalloc.measure import Vote
from tcalloc.runs.store import Store, read_run
from tcalloc.serve.answer import answer, answer_async

pytest.importorskip("aiohttp")

ASK = [{"role": "user", "content": "1 + 1"}]
MANY = [f"{i} + 1" for i in range(200)]


async def until(condition, seconds=30):
    """Wait until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("asked", [0, 1, 12])
def test_cancelled(asked, tmp_path):
    """After so many requests: no new one goes out, what is under way is stored, and the same call goes on."""
    out = str(tmp_path / "run")

    async def main(server, client):
        task = asyncio.create_task(answer_async(MANY, Always(Vote(2)), client, out=out, concurrency=8))
        if asked:
            await until(lambda: len(server.requests) >= asked)
        else:
            await asyncio.sleep(0)
        task.cancel()
        sent = len(server.requests)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert len(server.requests) <= sent + 16  # those that were on their way when it was cancelled
        ended = len(server.requests)
        if Path(out, "run.json").exists():
            assert len(read_run(out).records) == ended
            Store.open(out).close()  # nobody holds the lock
        await asyncio.sleep(0.3)
        assert len(server.requests) == ended
        answers = await answer_async(MANY, Always(Vote(2)), client, out=out, concurrency=32)
        assert answers.complete
        assert answers.stopped is None
        assert len(server.requests) == 400 == len(read_run(out).records)

    with Chaos(default="ok:0.05") as server, client_of(server) as client:
        asyncio.run(main(server, client))


def test_samples_that_wait_for_their_turn_are_no_tasks():
    """Of 8 questions with votes over 8 samples each, 64 samples are wanted, and 8 requests are under way."""

    async def main(server, client):
        task = asyncio.create_task(answer_async(MANY, Always(Vote(8)), client, concurrency=8))
        await until(lambda: len(server.requests) >= 8)
        await asyncio.sleep(0.1)
        under_way = [one.get_coro().__qualname__ for one in asyncio.all_tasks(event_loop._loop())]
        assert sum("Job._work" in name for name in under_way) == 8
        assert sum("Wave._request" in name for name in under_way) == 8
        assert len(under_way) <= 20
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with Chaos(default="slow:1") as server, client_of(server) as client:
        asyncio.run(main(server, client))


@pytest.mark.parametrize("asked", [0, 2])
def test_a_vote_that_is_dropped_while_it_waits_frees_everything(asked):
    async def main(server, client):
        task = asyncio.create_task(answer_async(MANY, Always(Vote(8)), client, concurrency=2))
        await until(lambda: len(server.requests) >= asked)
        task.cancel()
        await asyncio.sleep(0.05)
        task.cancel()  # drops what is under way
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 20)
        loop = event_loop._loop()
        await until(lambda: not [one for one in asyncio.all_tasks(loop) if "Job" in one.get_coro().__qualname__])
        server.script.clear()
        assert client.complete(ASK).text

    with Chaos(script=["slow:100"] * 2, default="ok") as server, client_of(server) as client:
        asyncio.run(main(server, client))


def test_one_of_two_on_one_client(tmp_path):
    async def main(server, client):
        outs = [str(tmp_path / name) for name in "ab"]
        tasks = [
            asyncio.create_task(answer_async(QUESTIONS, Always(Vote(3)), client, out=out, concurrency=4))
            for out in outs
        ]
        await until(lambda: len(server.requests) >= 10)
        tasks[0].cancel()
        answers = await tasks[1]
        assert answers.complete
        assert answers.stopped is None
        assert all(one.samples == 3 for one in answers)
        with pytest.raises(asyncio.CancelledError):
            await tasks[0]
        assert client.complete(ASK).text  # it can still be used, also by a thread

    with Chaos(default="ok:0.02") as server, client_of(server) as client:
        asyncio.run(main(server, client))


def test_a_second_cancellation_drops_what_is_under_way(tmp_path):
    async def main(server, client):
        task = asyncio.create_task(answer_async(QUESTIONS, Always(Vote(1)), client, out=str(tmp_path / "run")))
        await until(lambda: len(server.requests) >= 1)
        task.cancel()
        await asyncio.sleep(0.1)
        assert not task.done()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 20)
        Store.open(str(tmp_path / "run")).close()

    with Chaos(default="slow:100") as server, client_of(server) as client:
        asyncio.run(main(server, client))


def test_a_time_limit_and_a_grace(tmp_path):
    async def main(server, client):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await answer_async(QUESTIONS, Always(Vote(1)), client, out=str(tmp_path / "run"), grace=0.2)
        Store.open(str(tmp_path / "run")).close()

    with Chaos(default="slow:100") as server, client_of(server) as client:
        started = time.monotonic()
        asyncio.run(main(server, client))
        assert time.monotonic() - started < 60


def test_twenty_at_once():
    """None waits for another's thread: all have a request under way at the same time."""

    async def main(server, client):
        tasks = [
            asyncio.create_task(answer_async([question], Always(Vote(1)), client, concurrency=1))
            for question in QUESTIONS
        ]
        await until(lambda: len(server.requests) == 20)
        assert not any(task.done() for task in tasks)
        server.release.set()
        assert all(one.complete for one in await asyncio.gather(*tasks))

    with Chaos(default="slow:60") as server, client_of(server) as client:
        asyncio.run(main(server, client))


def test_the_loop_is_not_held_up():
    """What a verifier and a policy take is not the loop's time (bench/studies/event_loop_lag.py measures lateness)."""

    class Slow(Always):
        def start(self, x):
            time.sleep(0.3)
            return super().start(x)

    async def main(client):
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.01)
                ticks += 1

        beside = asyncio.create_task(tick())
        answers = await answer_async(
            QUESTIONS[:1], Slow(Vote(1)), client, verifier=lambda question, text: time.sleep(0.3) or True
        )
        beside.cancel()
        return answers, ticks

    with Chaos() as server, client_of(server) as client:
        answers, ticks = asyncio.run(main(client))
    assert answers.complete
    assert ticks >= 5  # of about 60; one that is held up has none or one


def test_one_request_on_any_loop():
    async def main(client):
        replies = await asyncio.gather(*(client.complete_async(ASK, seed=i) for i in range(5)))
        return [reply.text for reply in replies]

    with Chaos() as server, client_of(server) as client:
        first = asyncio.run(main(client))
        assert asyncio.run(main(client)) == first  # another loop, the same connections
        assert client.complete(ASK, seed=0).text == first[0]


def test_a_request_has_its_own_stop():
    async def main(server, client):
        stop = event_loop.Stop()
        task = asyncio.create_task(client.complete_async(ASK, stop=stop))
        await until(lambda: len(server.requests) == 1)
        stop.set()
        with pytest.raises(Stopped):
            await task
        assert (await client.complete_async(ASK)).text

    with Chaos(["429:100"]) as server:
        backoff = Backoff(retries=1, longest=0.5)
        with ChatClient(server.url, "tiny", Parameters(), key=None, backoff=backoff) as client:
            asyncio.run(main(server, client))


def test_a_blocking_request_on_the_loop_of_requests_is_refused():
    async def main(client):
        return client.complete(ASK)

    with Chaos() as server, client_of(server) as client, pytest.raises(RuntimeError, match="await it instead"):
        event_loop.run(main(client))


@pytest.mark.filterwarnings("error")
def test_a_client_that_nobody_closes():
    with Chaos() as server:
        client = client_of(server)
        client.complete(ASK)
        del client
        gc.collect()
        with client_of(server) as other:
            other.complete(ASK)
        gc.collect()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork():
    with Chaos() as server, client_of(server) as client:
        client.complete(ASK)
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if client.complete(ASK).text else 1)
            except BaseException:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        client.complete(ASK)


# ------------------------------------------------------------------------------------------ what others wrote


@pytest.mark.parametrize("quick", [False, True])
def test_a_grader_that_exits_ends_nothing_else(quick):
    class Exits:
        name = "exits"

        def __call__(self, question, text):
            raise SystemExit(0)

    Exits.quick = quick
    with Chaos() as server, client_of(server) as client:
        with contextlib.suppress(RuntimeError):  # an error, or a grade that failed
            answer(QUESTIONS[:2], Always(Vote(1)), client, grader=Exits())
        assert answer(QUESTIONS, Always(Vote(1)), client).complete


def test_a_policy_that_exits_is_an_error():
    class Exits(Always):
        def start(self, x):
            raise SystemExit(3)

    with Chaos() as server, client_of(server) as client:
        with pytest.raises(
            RuntimeError, match=r"policy, grader or verifier raised SystemExit\(3\), which would end the program"
        ):
            answer(QUESTIONS, Exits(Vote(1)), client)
        assert client.complete(ASK).text


def test_the_crew():
    async def main():
        crew = Crew(3)
        names = await asyncio.gather(*(crew.run(work, i) for i in range(20)))
        with pytest.raises(InputError, match="no"):
            await crew.run(fail, InputError("no"))
        with pytest.raises(RuntimeError, match="StopIteration"):
            await crew.run(fail, StopIteration(1))
        return names

    def work(i):
        time.sleep(0.01)
        return threading.get_ident()

    def fail(error):
        raise error

    assert 1 <= len(set(asyncio.run(main()))) <= 3


def test_a_crew_without_threads(monkeypatch):
    def none(self):
        raise RuntimeError("can't start new thread")

    async def main():
        return await Crew(3).run(threading.get_ident)

    monkeypatch.setattr(threading.Thread, "start", none)
    assert asyncio.run(main()) == threading.get_ident()


# ------------------------------------------------------------------------------------------ limits of the process


LIMITED = """
    import resource, sys
    from answering_cases import QUESTIONS, client_of
    import numpy
    from tcalloc.serve.answer import answer
    from tcalloc.learn.protocol import Always
    from tcalloc.measure import Vote
    resource.setrlimit(resource.{limit}, ({most}, {most}))
    class Server: url = {url!r}
    with client_of(Server) as client:
        answers = answer([f"{{i}} + 1" for i in range(600)], Always(Vote(1)), client, concurrency=5000)
    print(answers.complete, len(answers), answers.notes)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /proc")
@pytest.mark.parametrize(("limit", "most", "word"), [("RLIMIT_AS", 1 << 30, "memory"), ("RLIMIT_NOFILE", 128, "files")])
def test_more_than_the_process_may(limit, most, word):
    with Chaos(default="ok:0.01") as server:
        code = LIMITED.format(limit=limit, most=most, url=server.url)
        command = [sys.executable, "-c", textwrap.dedent(code)]
        run = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=100)
    assert run.stderr == ""
    assert run.stdout.startswith("True 600 ")
    assert f"instead of 5,000: this process's limit of {word}" in run.stdout or f"open {word}" in run.stdout


def test_what_is_affordable(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert limits.affordable(5000) == (5000, None)
    monkeypatch.setattr(
        resource, "getrlimit", lambda which: (1024, 4096) if which == resource.RLIMIT_NOFILE else (-1, -1)
    )
    assert limits.affordable(64) == (64, None)
    n, note = limits.affordable(5000)
    assert n == 960
    assert note.startswith("concurrency is 960 instead of 5,000: this process's limit of open files (ulimit -n)")
