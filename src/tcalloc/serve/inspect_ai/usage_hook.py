"""A hook of Inspect that says which epoch a call belongs to, what it used, and which epochs failed."""

from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tcalloc.serve.inspect_ai.epoch_bills import Attempt
    from tcalloc.serve.inspect_ai.evaluation import Evaluation

__all__ = ["ATTEMPT", "EVALUATION", "register"]

# Inspect runs each task, and each epoch within it, in a context of its own: what is set there is theirs alone.
EVALUATION: ContextVar["Evaluation | None"] = ContextVar("tcalloc_evaluation", default=None)
ATTEMPT: ContextVar["Attempt | None"] = ContextVar("tcalloc_attempt", default=None)


@cache
def register() -> None:
    """Register the hook, once in the process. Where no evaluation of ours runs, it is not enabled."""
    from inspect_ai.hooks import Hooks, hooks

    class UsageHook(Hooks):  # type: ignore[misc,unused-ignore]
        def enabled(self) -> bool:
            return EVALUATION.get() is not None

        async def on_model_usage(self, data: Any) -> None:
            if (attempt := ATTEMPT.get()) is not None:
                attempt.note(data.model_name, data.usage)

        async def on_sample_attempt_end(self, data: Any) -> None:
            if data.will_retry:
                _ended(None, True)

        async def on_sample_end(self, data: Any) -> None:
            _ended(data.sample.model_usage, data.sample.error is not None)

    hooks(name="tcalloc_usage", description="What epochs cost, for tcalloc's early stopping.")(UsageHook)


def _ended(usage: Any, failed: bool) -> None:
    evaluation, attempt = EVALUATION.get(), ATTEMPT.get()
    if evaluation is not None and attempt is not None:
        evaluation.ended(attempt, usage, failed)
