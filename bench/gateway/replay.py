"""Recorded questions through the gateway, and the same questions offline: what each reaches and spends.

Offline, a policy's run draws the recorded samples of its question in their order, as `tcalloc.learn.replay` does.
Through the gateway, requests go over HTTP to a process of ``tcalloc serve``, which asks a `RecordedServer`. Both draw
the same samples, so that spend and answers must be equal, question by question. With a budget that is kept, the
decision on a question depends on the bills before it. So this is compared with one request at a time, and the budget
itself with many.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np
from numpy.typing import NDArray

from bench.gateway.recorded import NONE, SEED, code_of
from tcalloc import BudgetKeeper
from tcalloc.learn.protocol import DecidedRun, Policy, Run
from tcalloc.learn.replay.metered import Meter, drive
from tcalloc.measure import Samples
from tcalloc.measure.actions import One
from tcalloc.serve.gateway.decisions import Begun, NoMoney, ServedPolicy, decide

__all__ = ["REFUSED", "Played", "offline", "offline_kept", "through"]

# The code of a question for which there was no money.
REFUSED = -2


@dataclass(frozen=True)
class Played:
    """What came of some questions, one entry for each.

    Attributes
    ----------
    code : ndarray of int, (N,)
        The code of the answer; 0 is right, −1 none, −2 no money.
    spend : ndarray, (N,)
        What it cost.
    """

    code: NDArray[np.int64]
    spend: NDArray[np.float64]

    @classmethod
    def of(cls, found: list[tuple[int, float]]) -> "Played":
        """Return it from pairs of code and spend."""
        return cls(np.array([code for code, _ in found], int), np.array([spend for _, spend in found], float))

    @property
    def right(self) -> NDArray[np.float64]:
        """1 where the answer is right, (N,)."""
        return (self.code == 0).astype(float)

    def differing(self, other: "Played") -> int:
        """Return on how many questions answer or spend differ."""
        return int(((self.code != other.code) | (self.spend != other.spend)).sum())


class _Coded(Meter):
    """A meter that knows the table's codes of the answers that it handed out."""

    __slots__ = ()

    def code(self, answer: Any) -> int:
        """Return the code of an answer."""
        return next((code for code, name in self._names.items() if name == answer), NONE)


def _drawn(run: Run, samples: Samples, row: int) -> tuple[int, float]:
    """Return the code of the answer of a run on a question, and what it spends."""
    order = {name: np.arange(arm.drawn.shape[1]) for name, arm in samples.by_model.items()}
    meter = _Coded(samples, row, order)
    return meter.code(drive(run, meter).answer), meter.spend


def offline(policy: Policy, samples: Samples, texts: list[str], rows: list[int], *, as_served: bool = True) -> Played:
    """Run a policy on recorded questions, in this process.

    Parameters
    ----------
    policy : Policy
        The policy.
    samples : Samples
        The table.
    texts : list of str
        Its questions.
    rows : list of int
        Those that are played.
    as_served : bool
        Whether the rules of the gateway hold: every question gets a sample, and ends after a first draw without any
        answer.
    """
    runs = (policy.start(texts[row]) for row in rows)
    return Played.of(
        [_drawn(_as_served(run) if as_served else run, samples, row) for run, row in zip(runs, rows, strict=True)]
    )


def _as_served(run: Run) -> Run:
    begun = Begun(run)
    return DecidedRun(One()) if begun.first is None else begun


def offline_kept(
    policy: Policy, samples: Samples, texts: list[str], rows: list[int], keeper: BudgetKeeper, most: float
) -> Played:
    """Run a policy on recorded questions, one after the other, within a budget.

    Parameters
    ----------
    policy, samples, texts, rows
        As of `offline`.
    keeper : BudgetKeeper
        The budget.
    most : float
        The most that one sample can cost.
    """
    served, found = ServedPolicy(policy, kept=True), list[tuple[int, float]]()
    for row in rows:
        try:
            decision = decide(served, keeper, texts[row], lambda model, n: n * most, explore=False)
        except NoMoney:
            found.append((REFUSED, 0.0))
            continue
        run = DecidedRun(One(decision.model)) if decision.run is None else decision.run
        found.append(_drawn(run, samples, row))
        assert decision.grant is not None
        decision.grant.settle(found[-1][1])
    return Played.of(found)


def through(url: str, model: str, texts: list[str], rows: list[int], at_once: int) -> Played:
    """Send recorded questions to a gateway.

    Parameters
    ----------
    url : str
        Its URL, up to ``/v1``.
    model : str
        The model that requests name.
    texts, rows
        As of `offline`.
    at_once : int
        Requests at one time.
    """
    return Played.of(asyncio.run(_sent(url, model, [texts[row] for row in rows], at_once)))


async def _sent(url: str, model: str, texts: list[str], at_once: int) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = [(NONE, 0.0)] * len(texts)
    places = iter(range(len(texts)))

    async def work(session: aiohttp.ClientSession) -> None:
        for place in places:
            body = {"model": model, "seed": SEED, "messages": [{"role": "user", "content": texts[place]}]}
            async with session.post(f"{url}/chat/completions", json=body) as reply:
                document = await reply.json()
                if reply.status == 429:
                    found[place] = REFUSED, 0.0
                    continue
                if reply.status != 200:
                    raise RuntimeError(f"status {reply.status}: {document}")
                said = document["choices"][0]["message"]["content"]
                found[place] = code_of(said), float(reply.headers["x-tcalloc-spend"])

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=300)) as session:
        await asyncio.gather(*(work(session) for _ in range(at_once)))
    return found
