"""What epochs cost: Inspect's own usage figures, and the grants of a budget keeper that they settle."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
from tcalloc.serve.keeper.grant import Grant

__all__ = ["Attempt", "EpochBills"]

_log = logging.getLogger("tcalloc.inspect_ai")


@dataclass(slots=True, eq=False)
class Attempt:
    """One try of one epoch."""

    id: str | int
    epoch: int
    grant: Grant | None = None
    usage: dict[str, list[Any]] = field(default_factory=dict)
    """What each model was used for so far, as Inspect counts it."""
    open: bool = True

    def note(self, model: str, usage: Any) -> None:
        """Take the usage of one call, as Inspect counts it."""
        self.usage.setdefault(model, []).append(usage)

    @property
    def tokens(self) -> int:
        """All tokens of its calls."""
        return sum(one.total_tokens for calls in self.usage.values() for one in calls)

    @property
    def usd(self) -> float | None:
        """What its calls cost by Inspect's prices; None if one of them has no price."""
        costs = [one.total_cost for calls in self.usage.values() for one in calls]
        return None if None in costs else float(sum(costs))


class EpochBills:
    """The bills of one evaluation.

    `keeper` is the budget that pays, that of `tenant`; `maximum` is the most that one epoch can cost.
    """

    def __init__(self, keeper: BudgetKeeper | None, maximum: float | None, tenant: str | None):
        self._keeper, self._maximum, self._tenant = keeper, maximum, tenant
        self._open: dict[tuple[str | int, int], Attempt] = {}
        self.tokens = 0
        """Tokens of all attempts that ended."""
        self.usd: float | None = 0.0
        """Their cost by Inspect's prices; None if there are none for some call."""
        self._most = 0.0
        self._failing = False

    @property
    def waiting(self) -> bool:
        """Whether some attempt is open, so that money may still return."""
        return bool(self._open)

    def begin(self, id: str | int, epoch: int) -> Attempt | None:
        """Reserve the most that an attempt can cost; None: there is no money."""
        if (earlier := self._open.get((id, epoch))) is not None:  # its end was not reported
            self.close(earlier)
        grant = None
        if self._keeper is not None and self._maximum is not None:
            try:
                expected = min(self._most or self._maximum, self._maximum)
                grant = self._keeper.choose(["epoch"], [1.0], [expected], [self._maximum], tenant=self._tenant)
            except Exception as error:
                self._say(f"the budget's keeper failed ({type(error).__name__}); epochs go on without it")
            if grant is not None and grant.action is None:
                return None
        attempt = self._open[id, epoch] = Attempt(id, epoch, grant)
        return attempt

    def close(self, attempt: Attempt, usage: Mapping[str, Any] | None = None) -> None:
        """Settle an attempt: by Inspect's final figures, else by those of the calls that were seen."""
        if not attempt.open:
            return
        attempt.open = False
        self._open.pop((attempt.id, attempt.epoch), None)
        if usage is not None:
            attempt.usage = {model: [one] for model, one in usage.items()}
        tokens, usd = attempt.tokens, attempt.usd
        self.tokens += tokens
        self.usd = None if usd is None or self.usd is None else self.usd + usd
        if attempt.grant is None or self._keeper is None:
            return
        cost = usd if self._keeper.unit == "usd" else float(tokens)
        if cost is None:
            self._say(
                "Inspect has no price for a model, so its epochs count as their maximum; give it one by set_model_cost "
                "or set_model_info of inspect_ai.model, or keep a budget in tokens"
            )
            cost = attempt.grant.maximum
        self._most = max(self._most, cost)
        try:
            attempt.grant.settle(cost)
        except Exception as error:
            self._say(f"the budget's keeper failed ({type(error).__name__}); a bill was not settled")

    def close_all(self) -> None:
        """Settle what is open at the end: its end was not reported."""
        for attempt in list(self._open.values()):
            self.close(attempt)

    def _say(self, words: str) -> None:
        """Log a fault of the budget once."""
        if not self._failing:
            self._failing = True
            _log.warning("%s", words)
