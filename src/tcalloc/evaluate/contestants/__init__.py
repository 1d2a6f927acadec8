"""Who is compared: every policy as a family of settings that is trained without the questions it is scored on."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tcalloc._checks import did_you_mean
from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.evaluate.contestants.base import Contestant, FixedAction, FixedMixture
from tcalloc.evaluate.contestants.beforehand import AtRandom, ByLabel, ByLength
from tcalloc.evaluate.contestants.bounds import Halved, Hindsight
from tcalloc.evaluate.contestants.counting import CountingFamily
from tcalloc.evaluate.contestants.eligibility import Skipped
from tcalloc.evaluate.contestants.learned import Imitating, Pricing
from tcalloc.evaluate.contestants.own import owned
from tcalloc.evaluate.contestants.probing import Probing
from tcalloc.evaluate.contestants.stopping import Stopping
from tcalloc.evaluate.problem import Problem
from tcalloc.learn.holdout.folds import Fit
from tcalloc.learn.registry import CASCADE, POLICIES, REFERENCE, SEQUENTIAL, Entry, names
from tcalloc.learn.training import LEAST_STEP, MOST_IMITATED

__all__ = ["COUNTING", "NAMES", "Contestant", "contestants_of"]

NAMES = names()
"""All names that ``policies`` may list."""

COUNTING = tuple(entry.name for entry in POLICIES if entry.family == "rule")
FIXED = (
    f"the best single action within the budget (a more expensive one must gain {100 * LEAST_STEP:.1f} "
    "points); it does not mix actions, so it can spend less than the budget",
)
MEAN = ("its exact expectation, without random draws",)

# These always take part: the reference, and the bounds that show how much there is to gain.
ALWAYS = (REFERENCE, *(entry.name for entry in POLICIES if entry.kind == "bound"))

Spends = tuple[float, ...]
# How each family is run: a `Fit` of the problem, the policy and the spends.
FITS: dict[str, Callable[[Problem, Entry, Spends], Fit]] = {
    "fixed": lambda problem, entry, spends: FixedAction(problem),
    "mixture": lambda problem, entry, spends: FixedMixture(problem),
    "random": AtRandom,
    "length": ByLength,
    "category": ByLabel,
    "priced": Pricing,
    "probed": Probing,
    "imitator": Imitating,
    "sequential": lambda problem, entry, spends: Stopping(problem),
    "rule": CountingFamily,
    "bound": lambda problem, entry, spends: (Halved if entry.needs else Hindsight)(problem),
}
# What contestants share that is computed of a fold; and which decide before any sample is drawn.
GROUPS = {"priced": "text", "imitator": "text", "probed": "text", "sequential": "stopping", "rule": "counting"}
BEFOREHAND = ("length", "category", "priced", "imitator")


def contestants_of(
    problem: Problem, budgets: Iterable[float], asked: Any = "all", own: Mapping[str, Any] | None = None
) -> tuple[list[Contestant], dict[str, str]]:
    """Return who takes part, baselines first and bounds last, and why others that were asked for do not.

    Imitators are trained for each of the budgets. The reference and the bounds take part whatever names are asked for.
    What `own` may hold is said in `tcalloc.evaluate.contestants.own`.
    """
    wanted = _wanted(asked)
    spends = tuple(sorted({float(budget) for budget in budgets}))
    out = Skipped(problem)
    # One policy under two names, by how many models there are.
    stopping, other = (CASCADE, SEQUENTIAL) if len(problem.models) > 1 else (SEQUENTIAL, CASCADE)
    found = [_contestant(problem, entry, spends) for entry in POLICIES if entry.name != other and out.allows(entry)]
    if other in wanted:
        wanted.add(stopping)
        if not isinstance(asked, str):  # who asked for it by name looks for it by that name
            count = "several models" if stopping == CASCADE else "one model"
            out.why[other] = out.why.get(stopping, f"with {count} it is called {stopping!r}")
    taking = [contestant for contestant in found if contestant.name in wanted]
    if own is not None:
        taking = [*owned(problem, spends, own, NAMES), *taking]
    return taking, {name: why for name, why in out.why.items() if name in wanted}


def _contestant(problem: Problem, entry: Entry, spends: Spends) -> Contestant:
    """Return a policy of the registry as a contestant."""
    if entry.family not in FITS:
        raise LookupError(
            f"the policy {entry.name!r} is of the family {entry.family!r}, which no contestant runs. Add it to "
            "tcalloc.evaluate.contestants.FITS."
        )
    return Contestant(
        entry.name,
        entry.kind,
        FITS[entry.family](problem, entry, spends),
        (*entry.marks, *_said(problem, entry)),
        group=GROUPS.get(entry.family, ""),
        beforehand=entry.family in BEFOREHAND,
        matched=entry.family != "fixed",
    )


def _said(problem: Problem, entry: Entry) -> tuple[str, ...]:
    """Return what must be said of a policy in this problem."""
    if entry.family == "fixed":
        return FIXED
    if entry.family == "random":
        return MEAN
    if entry.family == "imitator":
        many = len(problem.menu.names)
        return () if many <= MOST_IMITATED else (f"distinguishes {MOST_IMITATED} of the {many} actions",)
    if entry.family == "rule" and len(problem.models) > 1:
        return (f"uses only one of the {counted(len(problem.models), 'model')}, the one that does best in training",)
    return ()


def _wanted(asked: Any) -> set[str]:
    if isinstance(asked, str) and asked == "all":
        return set(NAMES)
    if isinstance(asked, str) or not isinstance(asked, Iterable):
        raise InputError(f"policies is {asked!r}; expected 'all' or a list of names: {', '.join(NAMES)}.")
    found = set(ALWAYS)
    for name in asked:
        if name not in NAMES:
            meant = did_you_mean(name, NAMES)
            raise InputError(f"policies: there is no {name!r}; there are {', '.join(NAMES)}.{meant}")
        found.add(name)
    return found
