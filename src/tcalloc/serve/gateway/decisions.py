"""What is spent on a request: the policy's decision, within the budget that is kept."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tcalloc.errors import InputError
from tcalloc.learn.columns import are_counts
from tcalloc.learn.protocol import Always, DecidedRun, Draw, Policy, Result, Run, models_of
from tcalloc.learn.saving.policy_folder import origin_of
from tcalloc.measure.actions import Action, Vote
from tcalloc.serve.clients import decides_quickly
from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
from tcalloc.serve.keeper.grant import Grant
from tcalloc.serve.keeper.menus import decides_while_sampling
from tcalloc.serve.live_costs import LiveCosts, ladder_of, refuse_unverified
from tcalloc.serve.wave import shared_by

__all__ = ["Begun", "Decision", "NoMoney", "ServedPolicy", "decide", "decide_plain", "grant_one"]

# The action's name for one plain sample.
PLAIN = "one"
# Samples of an explored request: the number if the policy does not say how many it may draw, and the smallest number.
# One half of the samples judges the other, so fewer say little.
EXPLORED, FEWEST_EXPLORED = 16, 8


class NoMoney(Exception):
    """The budget has nothing left for a request."""


class ServedPolicy:
    """A policy as the gateway serves it.

    Parameters
    ----------
    policy : Policy
        The policy. One that looks at features is refused: a request has a text alone. Counts of the text
        (`tcalloc.learn.features.lexical.COLUMNS`) are made of it.
    kept : bool
        Whether a budget keeper decides with it, so that it needs no budget of its own.
    explore : int, optional
        Samples of each model on an explored request. Default: the most that the policy may draw, and at least 8.

    Attributes
    ----------
    models : tuple of str
        The models that it chooses between, the cheapest first; empty if the request's own model is asked.
    kept : bool
        Whether a budget keeper decides with it.
    """

    def __init__(self, policy: Policy, kept: bool = False, explore: int | None = None):
        refuse_unverified(policy, None)
        names = [str(name) for name in getattr(policy, "feature_names_in_", ()) if name != "text"]
        self._counts: Callable[[list[str]], list[dict[str, float]]] | None = None
        if are_counts(names):
            from tcalloc.learn.features import lexical_rows

            self._counts = lexical_rows
        elif names:
            raise InputError(
                f"the policy looks at the categories {', '.join(names)}, which requests do not have. Fit one on the "
                "questions' texts alone."
            )
        self.policy, self.origin = policy, origin_of(policy)
        ladder = ladder_of(policy, None)
        models = [action.model for action in ladder if action.model]
        models += sorted(models_of(policy) - set(models))
        self.models = tuple(dict.fromkeys(models)) if len(set(models)) > 1 else ()
        self.costs = LiveCosts.trained(policy, models).by_model
        self.shared = shared_by(policy)
        most = [action.samples for action in getattr(policy, "actions_", None) or () if action is not None]
        own = getattr(policy, "action", None)
        drawn = max([*most, getattr(own, "samples", 0)]) or EXPLORED
        self.explored_samples = max(drawn, FEWEST_EXPLORED) if explore is None else explore
        self.kept = kept and self.priceable
        if not self.kept:  # what cannot decide by a text is refused before anything is served
            policy.start(self.row("1 + 1 = ?")).next()

    def cost(self, model: str) -> float:
        """Return what a sample of a model costs in the policy's unit, for a server without prices of tokens."""
        return self.costs.get(model, next(iter(self.costs.values()), 1.0))

    def quick(self, text: str) -> bool:
        """Return whether it decides on a question in less time than it takes to wake a thread."""
        return decides_quickly(self.policy, text)

    def row(self, text: str) -> Any:
        """Return what the policy looks at: the text, or the counts of it that it was fitted on."""
        return text if self._counts is None else self._counts([text])[0]

    def asks(self, action: Action) -> str | None:
        """Return the model that an action asks; None: the request's own."""
        return action.model if self.models else None

    @property
    def name(self) -> str:
        """What it is called: an action's name, or its class's."""
        return self.policy.action.name if isinstance(self.policy, Always) else type(self.policy).__name__

    @property
    def settable(self) -> bool:
        """Whether it decides while sampling, at one of many budgets."""
        return decides_while_sampling(self.policy)

    @property
    def priceable(self) -> bool:
        """Whether a budget keeper can decide with it."""
        return self.settable or (hasattr(self.policy, "mean_acc_") and hasattr(self.policy, "cost_"))


class Begun:
    """A run whose first draw is known. It ends after a draw of finished samples without any answer."""

    def __init__(self, run: Run):
        self._run, self._first, self._fruitless = run, run.next(), False
        self.first = self._first

    def next(self) -> Draw | None:
        """Return what to draw next; None: the run has ended."""
        first, self._first = self._first, None
        if first is not None:
            return first
        return None if self._fruitless else self._run.next()

    def add(self, results: Sequence[Result]) -> None:
        """Take the results of the last draw."""
        self._fruitless = all(one.answer is None and not one.truncated for one in results)
        self._run.add(results)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    @property
    def single(self) -> bool:
        """Whether it draws one sample and nothing else, whatever the sample says."""
        return isinstance(self._run, DecidedRun) and (self.first is None or self.first.n == 1)


class FullRun:
    """Draws all samples of an explored request, one model after the other.

    Parameters
    ----------
    actions : sequence of Action
        A vote of each model; the last one gives the answer.
    """

    def __init__(self, actions: Sequence[Action]):
        self._left, self._last = list(actions), actions[-1]
        self._results: list[Result] = []
        self._spend = 0.0

    def next(self) -> Draw | None:
        """Return the samples of the next model."""
        return Draw(self._left[0], self._left[0].samples) if self._left else None

    def add(self, results: Sequence[Result]) -> None:
        """Take the samples of a model."""
        if self._left:
            self._left.pop(0)
        self._results = list(results)
        self._spend += sum(one.cost for one in results)

    @property
    def answer(self) -> Hashable | None:
        """The vote of the last model."""
        return self._last.kind.answer(self._results)[0]

    @property
    def spend(self) -> float:
        """What was paid so far."""
        return self._spend

    @property
    def vote_share(self) -> float:
        """The answer's share of that model's samples."""
        return self._last.kind.answer(self._results)[1]


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done with a request."""

    run: Begun | None
    """Draws the samples; None: one plain sample."""
    action: str
    """Its name."""
    model: str | None
    """The model that is asked first; None: the request's own."""
    grant: Grant | None
    """The money for it; None: no budget is kept."""
    reason: str
    """Why this is done: "policy", "budget", "explored", or why there is no vote."""
    explored: bool = False
    """Whether all samples are drawn, to be stored."""


def decide(
    served: ServedPolicy,
    keeper: BudgetKeeper | None,
    text: str,
    most: Callable[[str | None, int], float],
    explore: bool,
) -> Decision:
    """Return the decision for a request that can be voted on; may take long.

    Parameters
    ----------
    served : ServedPolicy
        The policy.
    keeper : BudgetKeeper or None
        The budget.
    text : str
        The question.
    most : callable
        Returns the most that a number of samples of a model can cost.
    explore : bool
        Whether to draw all samples, if there is money.

    Raises
    ------
    NoMoney
        If the budget has nothing left.
    """
    if explore and (found := _explored(served, keeper, most)) is not None:
        return found
    if keeper is None or not served.priceable:
        begun = Begun(served.policy.start(served.row(text)))
        if begun.first is None:
            return Decision(None, PLAIN, None, grant_one(keeper, most(None, 1)), "policy draws nothing")
        action, grant = begun.first.action, None
        if keeper is not None:
            highest = most(action.model, begun.first.n)
            grant = keeper.choose([action.name], [1.0], [highest], [highest])
            if grant.action is None:
                raise NoMoney
        return Decision(None if begun.single else begun, action.name, served.asks(action), grant, "policy")
    actions = {} if served.settable else _actions(served.policy)
    maximum: Any = keeper.cap_per_question
    if not served.settable:
        maximum = lambda name: most(actions[name].model, actions[name].samples) if name in actions else 0.0  # noqa: E731
    grant = keeper.grant(served.policy, served.row(text), maximum=maximum)
    if grant.action is None or grant.run is None:
        raise NoMoney
    try:
        begun = Begun(grant.run)
    except BaseException:
        grant.release()
        raise
    if begun.first is None:
        one = most(None, 1)
        # With another grant, a period of so many requests would count this request twice.
        if grant.maximum >= one:
            return Decision(None, PLAIN, None, grant, "policy draws nothing")
        grant.release()
        return Decision(None, PLAIN, None, grant_one(keeper, one), "policy draws nothing")
    reason = "budget" if grant.short else "policy"
    return Decision(None if begun.single else begun, grant.action, served.asks(begun.first.action), grant, reason)


def decide_plain(
    served: ServedPolicy, keeper: BudgetKeeper | None, text: str, most: Callable[[str | None, int], float], why: str,
    n: int = 1,
) -> Decision:  # fmt: skip
    """Return the decision for a request without a vote: one sample of the model that the policy chooses.

    Parameters
    ----------
    served, keeper, text, most
        The policy, the budget, the question, and what returns the most that samples of a model can cost.
    why : str
        Why there is no vote.
    n : int
        How many choices the request asks for.

    Raises
    ------
    NoMoney
        If the budget has nothing left.
    """
    if not served.models:
        return Decision(None, PLAIN, None, grant_one(keeper, most(None, n)), why)
    if keeper is None or not served.priceable:
        draw = served.policy.start(served.row(text)).next()
        model = served.models[0] if draw is None else served.asks(draw.action)
        return Decision(None, PLAIN, model, grant_one(keeper, most(model, n)), why)
    highest = max(most(model, n) for model in served.models)
    grant = keeper.grant(served.policy, served.row(text), maximum=highest)
    if grant.action is None or grant.run is None:
        raise NoMoney
    draw = grant.run.next()
    return Decision(None, PLAIN, served.models[0] if draw is None else served.asks(draw.action), grant, why)


def grant_one(keeper: BudgetKeeper | None, most: float) -> Grant | None:
    """Return the money for one plain sample; None if no budget is kept.

    Raises
    ------
    NoMoney
        If there is not enough.
    """
    if keeper is None:
        return None
    grant = keeper.choose([PLAIN], [0.0], [most], [most])
    if grant.action is None:
        raise NoMoney
    return grant


def _actions(policy: Any) -> Mapping[str, Action]:
    known = zip(policy.action_names_, policy.actions_ or (), strict=False)
    return {name: action for name, action in known if action is not None}


def _explored(
    served: ServedPolicy, keeper: BudgetKeeper | None, most: Callable[[str | None, int], float]
) -> Decision | None:
    """Return the decision to draw everything; None if the budget does not allow it."""
    actions = [Vote(served.explored_samples, model=model) for model in served.models or (None,)]
    grant = None
    if keeper is not None:
        highest = sum(most(action.model, action.samples) for action in actions)
        grant = keeper.choose(["explore"], [1.0], [highest], [highest])
        if grant.action is None:
            return None
    return Decision(Begun(FullRun(actions)), "explore", actions[0].model, grant, "explored", explored=True)
