"""One evaluation of Inspect: which epochs run, what they cost, and what is said of it at the end."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from tcalloc._counts import agreeing, counted
from tcalloc.learn.protocol import Policy, Result
from tcalloc.serve.inspect_ai.epoch_bills import Attempt, EpochBills
from tcalloc.serve.inspect_ai.question_epochs import Epoch, QuestionEpochs
from tcalloc.serve.inspect_ai.summary import summary_of
from tcalloc.serve.inspect_ai.votes import AnswerReader
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper

__all__ = ["Evaluation", "Settings"]

_log = logging.getLogger("tcalloc.inspect_ai")

NOT_WORTH = "another epoch is not worth its price"
NO_MONEY = "the budget has no money for another epoch"


@dataclass(frozen=True, slots=True)
class Settings:
    """What `stop_epochs` was given, checked."""

    policy: Policy
    answer: AnswerReader
    scorer: str | None
    keeper: BudgetKeeper | None
    maximum: float | None
    tenant: str | None
    patience: float


class Evaluation:
    """One evaluation of one task.

    Parameters
    ----------
    settings : Settings
        What was given.
    texts : mapping of str or int to str
        The text of each sample of the task, by its id.
    epochs : int
        How many epochs each sample may have.
    number : callable
        From the value of a score to a number.
    """

    def __init__(self, settings: Settings, texts: Mapping[str | int, str], epochs: int, number: Callable[[Any], float]):
        self.settings, self.texts, self.epochs, self.number = settings, dict(texts), epochs, number
        self.bills = EpochBills(settings.keeper, settings.maximum, settings.tenant)
        self.questions = {id: QuestionEpochs(settings.policy.start(text)) for id, text in self.texts.items()}
        self.scorer = settings.scorer
        self.fault = ""
        """Why epochs are not stopped any more; "": they are."""
        self._news: Any = None
        self._till: Any = None

    # ------------------------------------------------------------------------------------------ epochs

    async def admit(self, id: str | int, epoch: int) -> Attempt | str:
        """Return the attempt that may run now, or why the epoch is left out.

        An epoch waits while those under way may decide whether it is wanted, and while money may return. It never
        waits longer than `Settings.patience`: an epoch that is tried again needs the place in which another waits.
        """
        question = self.questions.get(id)
        with self._patience() as patience:
            while question is not None and epoch not in question.seen and not self.fault:
                wish = question.wish()
                if wish == "stop":
                    question.stopped.add(epoch)
                    return NOT_WORTH
                if wish == "run":
                    break
                await self._any_news()
        if patience.cancelled_caught:
            _log.info("sample %r, epoch %d: epochs under way take longer than %g s, so it runs beside them",
                      id, epoch, self.settings.patience)  # fmt: skip
        if question is not None:
            question.begin(epoch)
        attempt = await self._paid(id, epoch)
        if attempt is None:
            if question is not None:
                question.leave(epoch, paid=False)
            self._tell()
            return NO_MONEY
        return attempt

    async def _paid(self, id: str | int, epoch: int) -> Attempt | None:
        """Return an attempt that is paid, after the money of others returned if it must be; None: there is no money."""
        import anyio

        self._till = self._till or anyio.Lock()  # one asks at a time, so that the budget counts few requests
        with self._patience():
            async with self._till:
                while (attempt := self.bills.begin(id, epoch)) is None and self.bills.waiting:
                    await self._any_news()
                return attempt
        return None

    def _patience(self) -> Any:
        import anyio

        return anyio.move_on_after(self.settings.patience)

    async def _any_news(self) -> None:
        """Wait until some epoch ends."""
        import anyio

        if self._news is None:
            self._news = anyio.Event()
        await self._news.wait()

    def _tell(self) -> None:
        """Wake all that wait for news."""
        if self._news is not None:
            self._news.set()
            self._news = None

    def ended(self, attempt: Attempt, usage: Mapping[str, Any] | None, failed: bool) -> None:
        """Settle an attempt by Inspect's final figures, if there are any; a failed one brings no score."""
        self.bills.close(attempt, usage)
        question = self.questions.get(attempt.id)
        if failed and question is not None:
            question.leave(attempt.epoch)
        self._tell()

    def complete(self, id: str | int, epoch: int, scores: Mapping[str, Any], attempt: Attempt | None) -> None:
        """Take the scores of an epoch, by the names of the scorers; one from an earlier log has no attempt."""
        if attempt is not None:
            self.bills.close(attempt)
        question = self.questions.get(id)
        if question is not None and scores:
            question.finish(epoch, self._epoch(scores, attempt))
        elif question is not None:
            question.leave(epoch)
        self._tell()

    def _epoch(self, scores: Mapping[str, Any], attempt: Attempt | None) -> Epoch:
        if self.scorer is None:
            self.scorer = next(iter(scores))
        found = scores.get(self.scorer)
        score = None if found is None else found.score
        answer = None if score is None else self.settings.answer(score)
        cost = 0.0 if attempt is None else attempt.usd if attempt.usd is not None else float(attempt.tokens)
        value = None if score is None or isinstance(score.value, dict | list) else self.number(score.value)
        return Epoch(Result(answer, cost), value if value == value else None, attempt is not None)

    def give_up(self, error: Exception) -> None:
        """Stop no more epochs, because of a fault of ours; the evaluation goes on as it would without us.

        The text of the error is not logged: it may hold what a user's function was given.
        """
        if not self.fault:
            self.fault = f"no epoch was stopped after a fault ({type(error).__name__})"
            _log.warning("no epoch is stopped any more: %s. The evaluation goes on as without tcalloc",
                         type(error).__name__, exc_info=_log.isEnabledFor(logging.DEBUG))  # fmt: skip
        self._tell()

    # ------------------------------------------------------------------------------------------ the end

    def summary(self) -> dict[str, Any]:
        """Return what the log says of the evaluation, as JSON; it takes seconds where many questions have rivals."""
        self.bills.close_all()
        starts = [partial(self.settings.policy.start, self.texts[id]) for id in self.questions]
        found = summary_of(list(self.questions.values()), starts, self.epochs, self.bills)
        found = {"policy": type(self.settings.policy).__name__, "scorer": self.scorer, **found}
        if self.fault:
            found["notes"].append(self.fault)
        silent = [q for q in self.questions.values() if q.done and not any(a is not None for a in q.answers)]
        if silent and len(silent) == sum(bool(q.done) for q in self.questions.values()):
            found["notes"].append(
                f"no score of {self.scorer!r} has an answer, so nothing could be voted on. Name another by scorer=, or "
                "say by answer= how to read one."
            )
        unpaid = sum(not q.done and bool(q.unpaid) for q in self.questions.values())
        if unpaid:
            found["notes"].append(
                f"{counted(unpaid, 'question')} {agreeing(unpaid, 'has', 'have')} no epoch, because there was no "
                "money. The accuracies are those of the others."
            )
        return found
