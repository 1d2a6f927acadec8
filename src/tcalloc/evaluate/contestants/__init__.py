"""Who is compared: every policy as a family of settings that is trained without the questions it is scored on.

What to use when
----------------
`contestants_of`
    All that take part in a problem, and why others do not.
`Contestant`
    One of them: a name, what must be said about it, and a `tcalloc.learn.folds.Fit`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tcalloc.errors import InputError
from tcalloc.evaluate.contestants.base import WORTH, Contestant, FixedAction, FixedMixture
from tcalloc.evaluate.contestants.beforehand import ByLabel, ByLength, ByLot
from tcalloc.evaluate.contestants.bounds import Halved, Hindsight
from tcalloc.evaluate.contestants.counting import counting
from tcalloc.evaluate.contestants.learned import MOST, Imitating, Pricing
from tcalloc.evaluate.contestants.probing import Probing
from tcalloc.evaluate.contestants.skipping import Skipped
from tcalloc.evaluate.contestants.stopping import Stopping
from tcalloc.evaluate.problem import Problem

__all__ = ["NAMES", "REFERENCE", "Contestant", "contestants_of"]

REFERENCE = "best fixed mixture"
"""What every gain is over."""

NAMES = (
    "fixed k",
    REFERENCE,
    "random",
    "prompt length",
    "difficulty label",
    "kNN",
    "imitator",
    "imitator, cost-sensitive",
    "priced",
    "priced, probe 2",
    "Sequential",
    "cascade",
    "AC Beta",
    "AC Dirichlet",
    "ESC",
    "SPRT",
    "margin + cap",
    "fixed k, success stop",
    "oracle, held out",
    "hindsight bound",
)
"""All names that ``policies`` may list."""

SUCCESS = "fixed k, success stop"
COUNTING = ("AC Beta", "AC Dirichlet", "ESC", "SPRT", "margin + cap", SUCCESS)
FIXED = (
    f"the most accurate single action that the budget affords, a dearer one only for {100 * WORTH:.1f} points more; it "
    "mixes nothing, so it spends less",
)
GATED = ("serves the best fixed mixture where no gain over it is seen among the training questions",)
HALVED = (
    "no policy: it knows half of the samples of the very questions, and is scored on the other half; it draws no more "
    "than that half, so that beyond a few samples per question it is held back",
)
HINDSIGHT = ("no policy can reach it: it sees what would be right before it pays",)

# Whoever is asked for, these are there: the reference, and what tells how much there is to gain.
ALWAYS = (REFERENCE, "oracle, held out", "hindsight bound")


def contestants_of(
    problem: Problem, budgets: Iterable[float], asked: Any = "all", own: Mapping[str, Any] | None = None
) -> tuple[list[Contestant], dict[str, str]]:
    """Return who takes part.

    Parameters
    ----------
    problem : Problem
        In what.
    budgets : iterable of float
        The spends that will be compared: imitators are trained for each of them.
    asked : "all" or list of str
        Whose names (`NAMES`) were asked for. The reference and the bounds always take part where they can.
    own : mapping of str to policy, optional
        The user's own: an estimator with fit and decide, a callable, or a policy with start.

    Returns
    -------
    contestants : list of Contestant
        Baselines first, bounds last.
    skipped : dict of str to str
        Who was asked for and cannot take part, and why.

    Raises
    ------
    InputError
        If a name is unknown or taken, or an own policy is none.
    """
    wanted = _wanted(asked)
    spends = tuple(sorted({float(budget) for budget in budgets}))
    out = Skipped(problem)
    found = [
        Contestant("fixed k", "baseline", FixedAction(problem), FIXED, matched=False),
        Contestant(REFERENCE, "baseline", FixedMixture(problem)),
        Contestant("random", "baseline", ByLot(problem), ("its expectation, no lots are drawn",)),
    ]
    if out.allows("prompt length", text=True):
        found.append(Contestant("prompt length", "baseline", ByLength(problem), beforehand=True))
    if out.allows("difficulty label", label=True):
        found.append(Contestant("difficulty label", "policy", ByLabel(problem), beforehand=True))
    if out.allows("kNN", x=True):
        found.append(Contestant("kNN", "policy", Pricing(problem, "knn", spends), GATED, group="text", beforehand=True))
    for name, weights in (("imitator", "plain"), ("imitator, cost-sensitive", "regret")):
        if out.allows(name, x=True):
            marks = imitating(problem)
            found.append(
                Contestant(name, "policy", Imitating(problem, weights, spends), marks, group="text", beforehand=True)
            )
    if out.allows("priced", x=True):
        found.append(
            Contestant("priced", "policy", Pricing(problem, "ridge", spends), GATED, group="text", beforehand=True)
        )
    if out.allows("priced, probe 2", probe=True):
        found.append(Contestant("priced, probe 2", "policy", Probing(problem, spends), GATED, group="text"))
    # One policy under two names, by how many models there are.
    stopping, other = ("cascade", "Sequential") if len(problem.models) > 1 else ("Sequential", "cascade")
    if out.allows(stopping, samples=True):
        found.append(Contestant(stopping, "policy", Stopping(problem), group="stopping"))
    if other in wanted:
        wanted.add(stopping)
        if not isinstance(asked, str):  # who asked for it by name looks for it by that name
            count = "several models" if stopping == "cascade" else "one model"
            out.why[other] = out.why.get(stopping, f"of {count} it is called {stopping!r}: look there")
    rivals = counting(problem) if problem.samples is not None else []
    found += [rival for rival in rivals if out.allows(rival.name, samples=True)]
    for name in COUNTING:
        if name not in {rival.name for rival in rivals}:
            out.allows(name, samples=True, verifier=name == SUCCESS, votes=name != SUCCESS)
    if out.allows("oracle, held out", halves=True):
        found.append(Contestant("oracle, held out", "bound", Halved(problem), HALVED))
    found.append(Contestant("hindsight bound", "bound", Hindsight(problem), HINDSIGHT))
    taking = [contestant for contestant in found if contestant.name in wanted]
    if own is not None:
        from tcalloc.evaluate.contestants.own import owned

        taking = [*owned(problem, spends, own, NAMES), *taking]
    return taking, {name: why for name, why in out.why.items() if name in wanted}


def imitating(problem: Problem) -> tuple[str, ...]:
    """Return what must be said of imitators."""
    many = len(problem.menu.names)
    return () if many <= MOST else (f"tells {MOST} of the {many} actions apart",)


def _wanted(asked: Any) -> set[str]:
    if isinstance(asked, str):
        if asked != "all":
            raise InputError(f"policies is {asked!r}; expected 'all' or a list of names: {', '.join(NAMES)}.")
        return set(NAMES)
    if not isinstance(asked, Iterable):
        raise InputError(f"policies is {asked!r}; expected 'all' or a list of names: {', '.join(NAMES)}.")
    found = set(ALWAYS)
    for name in asked:
        if name not in NAMES:
            raise InputError(f"policies: there is no {name!r}; there are {', '.join(NAMES)}.")
        found.add(name)
    return found
