"""The policy, the budget and the graders of the hook, made when the first request comes."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tcalloc._printing import clean_line
from tcalloc.errors import TcallocError
from tcalloc.learn.protocol import Always
from tcalloc.llm.concurrency.event_loop import crew
from tcalloc.llm.graders import Grader, make_grader
from tcalloc.measure.actions import One
from tcalloc.serve.gateway.asked import EXTRACTORS
from tcalloc.serve.gateway.decisions import ServedPolicy, policy_named, served_policy
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
from tcalloc.serve.litellm.settings import PREFIX, Settings, keeper_of

__all__ = ["Serving", "Setup"]

_log = logging.getLogger("tcalloc.litellm")


@dataclass(frozen=True, slots=True)
class Setup:
    """What requests are decided by."""

    settings: Settings
    served: ServedPolicy
    plain: ServedPolicy
    """Draws one sample of the request's own model."""
    keeper: BudgetKeeper | None
    graders: Mapping[str, Grader | None]
    """What finds the answers, by the name that a request may choose; "default" is that of the others."""


class Serving:
    """Makes the setup once, in a thread, and says once why there is none.

    Parameters
    ----------
    read : callable
        Returns the settings.
    """

    def __init__(self, read: Callable[[], Settings]):
        self._read = read
        self._guard = threading.Lock()
        self._made = False
        self._setup: Setup | None = None

    async def setup(self) -> Setup | None:
        """Return the setup; None if it cannot be made, so that all requests are plain calls."""
        return self._setup if self._made else await crew().run(self._once)

    def _once(self) -> Setup | None:
        with self._guard:
            if not self._made:
                try:
                    self._setup = self._make()
                except Exception as error:
                    _say("all requests go out as they are", error)
                self._made = True
            return self._setup

    def _make(self) -> Setup:
        settings = self._read()
        keeper = keeper_of(settings)
        default = None if settings.extract == "none" else make_grader(settings.extract)
        graders = {"none": None, "default": default} | {name: make_grader(name) for name in EXTRACTORS}
        plain = served = ServedPolicy(Always(One()), keeper is not None)
        try:
            served = _served(settings, keeper)
        except Exception as error:  # the budget still holds
            _say("each request gets one plain sample", error)
        return Setup(settings, served, plain, keeper, graders)


def _served(settings: Settings, keeper: BudgetKeeper | None) -> ServedPolicy:
    policy: Any = policy_named(f"{PREFIX}POLICY", settings.policy)
    if settings.budget is not None and hasattr(policy, "at"):
        policy = policy.at(settings.budget)
    return served_policy(policy, keeper, f"{PREFIX}CAP_PER_QUESTION")


def _say(then: str, error: Exception) -> None:
    why = clean_line(str(error)) if isinstance(error, TcallocError) else type(error).__name__
    _log.error("%s: %s", then, why)
