"""The samples of one draw, live: asked for at the same time, and cut off once they are not needed any more."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from tcalloc.learn.protocol import Result, Run
from tcalloc.llm.concurrency import event_loop
from tcalloc.llm.concurrency.cut import Cut
from tcalloc.llm.concurrency.event_loop import Stop
from tcalloc.llm.drawing import Drawer
from tcalloc.llm.questions import Question
from tcalloc.runs.records import SampleRecord
from tcalloc.serve.payments import Hold

__all__ = ["Wave", "shared_by"]


def shared_by(policy: Any) -> bool:
    """Return whether a policy was trained on samples of which several came by one request, and shared its prompt."""
    rounds = getattr(policy, "round_costs_", None) or {}
    return any(later > 0 for _, later in rounds.values())


class Wave:
    """One draw of a question, on the loop of `tcalloc.llm.concurrency.event_loop`.

    With `cancel`, what is under way is cut off as soon as the run is settled: it would end now, or the other samples
    cannot change its answer any more.

    Parameters
    ----------
    question : Question
        Whom the samples are of.
    drawer : Drawer
        Asks the model.
    run : Run
        The question's run. One without ``settled`` waits for all samples.
    result : callable
        From a record to what the run gets of it; may take long.
    missing : int
        Samples that are still to come.
    stop : Stop
        Once it is set, nothing more is sent.
    slots : asyncio.Semaphore
        Held by each request.
    seconds : float or None
        After so many seconds nothing is waited for any more.
    at_once : int
        The most samples that one request asks for.
    cancel : bool
        Whether samples that are not needed any more are cut off.

    Attributes
    ----------
    cut : Cut
        Ends the requests of the draw, and counts what they cost.
    late : bool
        Whether the time was over before the draw was.
    """

    def __init__(
        self,
        question: Question,
        drawer: Drawer,
        run: Run,
        result: Callable[[SampleRecord], Result],
        missing: int,
        stop: Stop,
        slots: asyncio.Semaphore,
        seconds: float | None,
        *,
        at_once: int,
        cancel: bool,
    ):
        self._question, self._drawer, self._result = question, drawer, result
        self._settled: Callable[[list[Result], int], bool] | None = getattr(run, "settled", None) if cancel else None
        self._at_once = at_once
        self._missing, self._results = missing, list[Result]()
        self._stop, self._slots, self._seconds = stop, slots, seconds
        self._looking: set[asyncio.Task[None]] = set()
        self._timer: Any = None
        self.cut = Cut()
        self.late = False

    def __enter__(self) -> "Wave":
        if self._seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(max(self._seconds, 0.0), self._end)
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _end(self) -> None:
        self.late = True
        self.cut.set()

    async def had(self, records: list[SampleRecord]) -> None:
        """Take samples of the draw that are there already; if they are enough, nothing is asked for."""
        if self._settled is not None and self._missing and records:
            self._missing += len(records)
            for record in records:
                await self._came(record)

    async def ask(self, params: str, numbers: list[int], holds: list[Hold]) -> list[SampleRecord | BaseException]:
        """Ask for some samples at the same time; return the records of those that came, and the errors of the others.

        A server may give fewer samples than a request asks for; the others are not returned. `params` is what the
        client says of the question. Each of `holds` pays for one sample; those of samples that are cut off are not
        settled.
        """
        size = min(self._at_once, self._drawer.client.n_limit or self._at_once)
        groups = [slice(start, start + size) for start in range(0, len(numbers), size)]
        under_way: list[asyncio.Task[list[SampleRecord]]] = []
        try:
            for group in groups:
                slot = await self._slot()  # before there is a task: what waits for its turn costs nothing
                task = asyncio.ensure_future(self._request(params, numbers[group], holds[group], slot))
                task.add_done_callback(slot)
                under_way.append(task)
        finally:  # also where the call was dropped while this waited
            if len(under_way) < len(groups):
                for task in under_way:
                    task.cancel()
            asked = await asyncio.gather(*under_way, return_exceptions=True)
        if self._looking:
            await asyncio.gather(*self._looking)
        found: list[SampleRecord | BaseException] = []
        for group, one in zip(groups, asked, strict=True):
            found += [one] * len(numbers[group]) if isinstance(one, BaseException) else one
        return found

    async def _slot(self) -> Callable[..., None]:
        """Wait until a request may be sent; return what frees its slot, once."""
        await self._slots.acquire()
        held = [self._slots.release]
        return lambda *_: held.pop()() if held else None

    async def _request(
        self, params: str, numbers: list[int], holds: list[Hold], slot: Callable[..., None]
    ) -> list[SampleRecord]:
        """Ask for some samples by one request, whose slot it frees; a server may give fewer."""
        looked: list[str] = []

        def look(text: str) -> None:
            looked.append(text)
            task = asyncio.ensure_future(self._look(text))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)

        def lost(most: float) -> None:
            payers = [hold for hold in holds if hold.n]
            for hold in payers:
                hold.lost(most / len(payers))

        def another() -> bool:
            granted = [hold for hold in holds if hold.another()]
            if len(granted) < len(holds):
                for hold in granted:
                    hold.release()
            return len(granted) == len(holds)

        cuttable = self._seconds is not None or (self._settled is not None and self._missing > 1)
        try:
            records = await self._drawer.ask(
                self._question,
                params,
                numbers,
                self._stop,
                lost,
                another,
                self.cut if cuttable else None,
                look if cuttable and len(numbers) > 1 else None,
            )
        finally:
            slot()
        for record, hold in zip(records, holds, strict=False):
            hold.paid(record)
        for record in self._unseen(records, looked):
            await self._came(record)
        return records

    @staticmethod
    def _unseen(records: list[SampleRecord], looked: list[str]) -> list[SampleRecord]:
        """Return the records of samples that were not looked at while they came."""
        left, found = list(looked), []
        for record in records:
            if (text := record.get("text") or "") in left:
                left.remove(text)
            else:
                found.append(record)
        return found[: len(records) - len(looked)]

    async def _look(self, text: str) -> None:
        """Take a sample that came to its end while others of its request are under way."""
        tokens = self._drawer.client.counter.estimate(len(text))
        grade = await event_loop.crew().run(self._drawer.answer_of, self._question, text)
        await self._came(cast("SampleRecord", {"answer": grade.answer, "text": text, "output_tokens": tokens}))

    async def _came(self, record: SampleRecord) -> None:
        """Take a sample; cut off the others if they are not needed any more."""
        self._missing -= 1
        if self._settled is None or self.cut.on:
            return
        self._results.append(await event_loop.crew().run(self._result, record))
        enough = self._missing > 0 and not self.cut.on
        if enough and await event_loop.crew().run(self._settled, list(self._results), self._missing):
            self.cut.set()
