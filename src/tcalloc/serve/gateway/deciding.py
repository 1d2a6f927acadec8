"""The decision for a live request, whatever fails; the settling of its bill; and the headers that tell of both.

What to use when
----------------
`decided`
    Let the policy and the budget's keeper decide. If one of them fails, the request still gets a plain sample.
`settled`
    Settle a grant.
`to_the_end`
    Do something even if the request is cancelled meanwhile.
`headers_of`
    The headers of a reply.
"""

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tcalloc.llm.concurrency.crew import call_guarded
from tcalloc.llm.concurrency.event_loop import crew
from tcalloc.serve.gateway.asked import Asked
from tcalloc.serve.gateway.decisions import Decision, NoMoney, ServedPolicy, decide, decide_plain, grant_one
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
from tcalloc.serve.keeper.grant import Grant
from tcalloc.serve.keeper.store import MemoryStore

__all__ = ["decided", "headers_of", "settled", "to_the_end"]

T = TypeVar("T")

_log = logging.getLogger("tcalloc.gateway")


def _is_local(keeper: BudgetKeeper | None) -> bool:
    """Return whether the budget, if one is kept, is in the memory of this process."""
    return keeper is None or isinstance(keeper.store, MemoryStore)


async def decided(
    served: ServedPolicy, keeper: BudgetKeeper | None, asked: Asked, why: str | None,
    most: Callable[[str | None, int], float], explore: bool, fallback: Callable[[str], object],
) -> Decision:  # fmt: skip
    """Return the decision for a request; the event loop is not blocked.

    `why` says why there is no vote (None: there may be one), and `most` returns the most that a number of samples of a
    model can cost. To `explore` is to draw all samples, if there is money. If the policy or the keeper fails,
    `fallback` is called with the reason. `NoMoney` is raised if the budget has nothing left.
    """

    async def aside(do: Callable[..., Decision], *args: Any) -> Decision:
        """Decide, in a thread if it may take long."""
        if _is_local(keeper) and served.quick(asked.text):
            return call_guarded(do, served, keeper, asked.text, *args)
        return await _granted(do, served, keeper, asked.text, *args)

    try:
        if why is None:
            return await aside(decide, most, explore)
        return await aside(decide_plain, most, why, asked.n)
    except NoMoney:
        raise
    except Exception as error:
        _log.warning("the policy or the keeper failed (%s); one plain sample is drawn", type(error).__name__)
        fallback("policy failed")
    try:
        grant = await _granted(grant_one, keeper, most(None, asked.n))
    except NoMoney:
        raise
    except Exception as error:
        _log.warning("the keeper failed (%s); a request is sent without its grant", type(error).__name__)
        fallback("keeper failed")
        grant = None
    return Decision(None, "one", None, grant, "policy failed")


async def _granted(do: Callable[..., T], *args: Any) -> T:
    """Decide or ask for a grant in a thread; if the client leaves meanwhile, its money is given back."""
    deciding = asyncio.ensure_future(crew().run(do, *args))
    try:
        return await asyncio.shield(deciding)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            found = await deciding
            grant = found.grant if isinstance(found, Decision) else found
            if isinstance(grant, Grant):
                await to_the_end(crew().run(_settle, grant, 0.0))
        raise


async def to_the_end(work: Coroutine[Any, Any, Any]) -> None:
    """Finish some work, even if the request is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        with contextlib.suppress(Exception):
            await task
        raise


async def settled(grant: Grant, bill: float, keeper: BudgetKeeper | None) -> None:
    """Settle an open grant; the event loop is not blocked. The maximum counts if the bill is not finite."""
    if _is_local(keeper):
        _settle(grant, bill)
    else:
        await crew().run(_settle, grant, bill)


def _settle(grant: Grant, bill: float) -> None:
    try:
        grant.settle(bill if math.isfinite(bill) else grant.maximum)
    except Exception as error:  # the state is gone; the grant counts as lost there
        _log.warning("a bill could not be settled (%s)", type(error).__name__)


def headers_of(
    action: str, reason: str, samples: int | None = None, spend: float = 0.0, vote_share: float | None = None
) -> dict[str, str]:
    """Return the headers of a reply: what was decided, and why.

    `samples` and their `spend` are left out where they are not known yet, the vote share where there was no vote.
    """
    headers = {"x-tcalloc-action": _ascii(action), "x-tcalloc-reason": reason}
    if samples is not None:
        headers |= {"x-tcalloc-samples": str(samples), "x-tcalloc-spend": f"{spend:.9g}"}
        if vote_share is not None:
            headers["x-tcalloc-vote-share"] = f"{vote_share:.4g}"
    return headers


def _ascii(name: str) -> str:
    return name.encode("ascii", "replace").decode()[:200].replace("\r", " ").replace("\n", " ")
