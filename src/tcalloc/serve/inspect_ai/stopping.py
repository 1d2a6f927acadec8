"""`stop_epochs`: what a task of Inspect is given as its `early_stopping`."""

import logging
import os
from collections.abc import Hashable
from typing import Any

from tcalloc._checks import number
from tcalloc._version import __version__
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.learn.protocol import Policy, models_of
from tcalloc.learn.saving.policy_folder import load_policy
from tcalloc.serve.inspect_ai.evaluation import Evaluation, Settings
from tcalloc.serve.inspect_ai.full_vote import FullVote
from tcalloc.serve.inspect_ai.usage_hook import ATTEMPT, EVALUATION, register
from tcalloc.serve.inspect_ai.votes import AnswerReader, answer_reader
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
from tcalloc.serve.live_costs import refuse_unverified

__all__ = ["TESTED", "StopEpochs", "stop_epochs"]

TESTED = "0.3.285"
"""The version of inspect_ai that the tests ran with."""

_log = logging.getLogger("tcalloc.inspect_ai")

UNITS = ("tokens", "usd")


def stop_epochs(
    policy: Policy | str | os.PathLike[str] | None = None,
    *,
    answer: str | AnswerReader | None = None,
    scorer: str | None = None,
    keeper: BudgetKeeper | None = None,
    maximum: float | None = None,
    tenant: str | None = None,
    patience: float = 600.0,
) -> "StopEpochs":
    """Return what stops the epochs of an evaluation with Inspect: ``Task(…, early_stopping=stop_epochs(policy))``.

    The epochs of a sample are votes for its answer. No more are run than the policy asks for.

    Parameters
    ----------
    policy : Policy or path, optional
        A fitted policy, or its folder, such as a `Sequential`: it stops where another epoch is not worth its price.
        Default: epochs are left out only if they cannot change the majority answer any more.
    answer : str or callable, optional
        How the answer is read off a score of Inspect: a grader such as "numeric" or "choice", which reads
        `Score.answer`, or a function of the score. Default: the number or the normalized text in `Score.answer`.
    scorer : str, optional
        Which scorer counts, by its name in the log. Default: the first one.
    keeper : BudgetKeeper, optional
        A budget in "tokens" or "usd" that the evaluation must not exceed. It is settled by Inspect's usage figures.
    maximum : float, optional
        The most that one epoch can cost, in the keeper's unit; needed with `keeper`.
    tenant : str, optional
        Whose budget it is, if the keeper has tenants.
    patience : float
        Seconds that an epoch may wait for others of its sample, or for money. After that it runs beside them.

    Returns
    -------
    StopEpochs
        For one task or for several, one after the other or at the same time.

    Raises
    ------
    InputError
        If an argument is not allowed, or the policy draws from several models or needs a verifier.
    MissingExtraError
        If inspect_ai is not installed.

    Notes
    -----
    Stopping by answers biases the mean of the epochs that ran. Take ``Epochs(n, vote())`` for the accuracy of the
    majority answer. The log's metadata holds it too, beside an unbiased accuracy of one epoch.
    """
    _need_inspect()
    if isinstance(policy, str | os.PathLike):
        policy = load_policy(policy)
    if policy is not None:
        if not isinstance(policy, Policy):
            raise InputError(
                f"policy is {policy!r}; expected a fitted policy, the path of its folder, or None. For a budget per "
                "question, pass tcalloc.load_policy(…).at(budget)."
            )
        refuse_unverified(policy, None)
        models = sorted(models_of(policy))
        if len(models) > 1:
            raise InputError(
                f"policy chooses between the models {', '.join(models)}, but the epochs of a task are of one model. "
                "Fit a policy on the samples of one."
            )
    if keeper is not None:
        if not isinstance(keeper, BudgetKeeper):
            raise InputError(f"keeper is a {type(keeper).__name__}; expected a tcalloc.BudgetKeeper.")
        if keeper.unit not in UNITS:
            raise InputError(
                f"keeper has the unit {keeper.unit!r}; expected 'tokens' or 'usd', which Inspect counts. Give it to "
                "BudgetKeeper(unit=…)."
            )
        if maximum is None:
            raise InputError(f"maximum is missing: the most that one epoch can cost, in {keeper.unit}. Pass maximum=….")
        keeper.check_tenant(tenant)
        maximum = number("maximum", maximum)
    elif maximum is not None or tenant is not None:
        raise InputError("maximum and tenant belong to a keeper, and there is none. Pass keeper=…, or leave them out.")
    if scorer is not None and not isinstance(scorer, str):
        raise InputError(f"scorer is {scorer!r}; expected the name of a scorer, or None.")
    waits = number("patience", patience, of="seconds")
    return StopEpochs(policy, answer_reader(answer), scorer, keeper, maximum, tenant, waits)


def _need_inspect() -> None:
    try:
        from inspect_ai.util import EarlyStopping  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"stop_epochs needs Inspect with early stopping: pip install 'inspect_ai>={TESTED}'"
        ) from error


class StopEpochs:
    """Early stopping of Inspect by a policy of tcalloc; `stop_epochs` makes it.

    It never raises while an evaluation runs: after a fault of tcalloc all epochs run, and one line of the log says so.

    Parameters
    ----------
    policy : Policy or None
        What asks for epochs; None: a vote that cannot change any more.
    answer, scorer, keeper, maximum, tenant, patience
        As in `stop_epochs`.
    """

    def __init__(
        self,
        policy: Policy | None,
        answer: AnswerReader,
        scorer: str | None,
        keeper: BudgetKeeper | None,
        maximum: float | None,
        tenant: str | None,
        patience: float,
    ):
        self._policy = policy
        self._others = (answer, scorer, keeper, maximum, tenant, patience)

    async def start_task(self, task: Any, samples: list[Any], epochs: int) -> str:
        """Begin an evaluation.

        Parameters
        ----------
        task : EvalSpec
            The task.
        samples : list of Sample
            All samples of the task.
        epochs : int
            How many epochs each may have.
        """
        EVALUATION.set(None)
        try:
            register()
            policy = self._policy or FullVote(epochs)
            texts = {sample.id: text_of(sample.input) for sample in samples}
            EVALUATION.set(Evaluation(Settings(policy, *self._others), texts, epochs, number_of))
            self._warn_of_reducers(getattr(task.config, "epochs_reducer", None) or ["mean"], epochs)
        except Exception as error:
            _log.warning("no epoch is stopped: %s at the start of the evaluation, which runs as without tcalloc",
                         type(error).__name__, exc_info=_log.isEnabledFor(logging.DEBUG))  # fmt: skip
        return f"tcalloc {__version__}"

    @staticmethod
    def _warn_of_reducers(reducers: list[str], epochs: int) -> None:
        wrong = [name for name in reducers if name != "tcalloc_vote"]
        if wrong and epochs > 1:
            _log.warning(
                "the reducer %s is biased where epochs are stopped by their answers. Use Epochs(%d, vote()) of "
                "tcalloc.serve.inspect_ai, or read accuracy_of_one_epoch in the log's metadata",
                ", ".join(wrong),
                epochs,
            )

    async def schedule_sample(self, id: str | int, epoch: int) -> Any:
        """Return None if the epoch should run, or Inspect's `EarlyStop`.

        Parameters
        ----------
        id, epoch : str or int, int
            Which epoch of which sample.
        """
        evaluation = EVALUATION.get()
        ATTEMPT.set(None)
        if evaluation is None:
            return None
        try:
            found = await evaluation.admit(id, epoch)
        except Exception as error:
            evaluation.give_up(error)
            return None
        if not isinstance(found, str):
            ATTEMPT.set(found)
            return None
        from inspect_ai.util import EarlyStop

        return EarlyStop(id=id, epoch=epoch, reason=found)

    async def complete_sample(self, id: str | int, epoch: int, scores: dict[str, Any]) -> None:
        """Take the scores of an epoch.

        Parameters
        ----------
        id, epoch : str or int, int
            Which epoch of which sample.
        scores : dict of str to SampleScore
            By the name of the scorer.
        """
        evaluation = EVALUATION.get()
        if evaluation is None:
            return
        try:
            evaluation.complete(id, epoch, scores, ATTEMPT.get())
        except Exception as error:
            evaluation.give_up(error)

    async def complete_task(self) -> dict[str, Any]:
        """Return what the log says of the stopped epochs, as JSON."""
        evaluation = EVALUATION.get()
        if evaluation is None:
            return {"notes": ["no epoch was stopped: there was a fault at the start"]}
        try:
            import anyio

            found: dict[str, Any] = await anyio.to_thread.run_sync(evaluation.summary)
        except Exception as error:
            evaluation.give_up(error)
            return {"notes": [evaluation.fault]}
        saved = found["saved"]
        _log.info("%d of %d epochs were not run; they would have cost about %.6g %s", found["epochs_stopped"],
                  found["epochs_planned"], saved["value"], found["unit"])  # fmt: skip
        return found


def text_of(given: Any) -> str:
    """Return the text of a sample: its input, or what the user says in it."""
    if isinstance(given, str):
        return given
    return "\n".join(message.text for message in given if message.role == "user")


def number_of(value: Hashable) -> float:
    """Return the value of a score, such as "C" or 0.5, as a number, as Inspect's own metrics do."""
    from inspect_ai.scorer import value_to_float

    return float(value_to_float()(value))
