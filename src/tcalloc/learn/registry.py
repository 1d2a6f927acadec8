"""All policies by name: the names that `compare` prints and ``tcalloc fit --policy`` takes, and how each is made.

What to use when
----------------
`entry_of`
    One policy, by its name, in upper or lower case.
`entry_for`
    The one that made a policy.
`POLICIES`
    All of them, in the order in which they are shown: baselines first, bounds last.
`names`
    Their names, or only those of the policies that can be fitted.
`PREFERENCE`
    The order in which equally good policies are recommended.

A new policy needs an entry here. Then `compare` tries it, `tcalloc fit` makes it, and sentences can name it.
"""

from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from tcalloc._checks import did_you_mean
from tcalloc.errors import InputError

__all__ = [
    "AC_BETA",
    "AC_DIRICHLET",
    "CASCADE",
    "DIFFICULTY_LABEL",
    "EARLY_STOPPING",
    "FIXED_K",
    "HINDSIGHT",
    "MARGIN_CAP",
    "ORACLE",
    "POLICIES",
    "PREFERENCE",
    "PRICED",
    "PROBED",
    "RANDOM",
    "REFERENCE",
    "SEQUENTIAL",
    "SEQUENTIAL_TEST",
    "SUCCESS_STOP",
    "Entry",
    "entry_for",
    "entry_of",
    "names",
]

# ---------------------------------------------------------------------------------------------- the names

REFERENCE = "best fixed mixture"
"""The name of the policy that all gains are measured against."""
FIXED_K, RANDOM, DIFFICULTY_LABEL = "fixed k", "random", "difficulty label"
KNN, IMITATOR, IMITATOR_COSTS = "kNN", "imitator", "imitator, cost-sensitive"
PRICED, PROBED = "priced", "priced, probe 2"
SEQUENTIAL, CASCADE = "Sequential", "cascade"
AC_BETA, AC_DIRICHLET, EARLY_STOPPING, SEQUENTIAL_TEST = "AC Beta", "AC Dirichlet", "ESC", "SPRT"
MARGIN_CAP, SUCCESS_STOP = "margin + cap", "fixed k, success stop"
ORACLE, HINDSIGHT = "oracle, held out", "hindsight bound"

GATED = "serves the best fixed mixture if the training questions show no gain over it"


@dataclass(frozen=True, slots=True)
class Entry:
    """One policy: its name, its needs, and how it is made."""

    name: str
    """The name that `compare` prints, and that ``tcalloc fit --policy`` takes."""
    phrase: str
    """What the policy does, as a phrase that can begin a sentence."""
    family: str
    """The kind of contestant that runs it in a comparison: "fixed", "mixture", "random", "length", "category",
    "priced", "probed", "imitator", "sequential", "rule" or "bound"."""
    kind: str = "policy"
    """"policy", "baseline" or "bound" (which cannot be fitted: it knows what no policy knows)."""
    needs: tuple[str, ...] = ()
    """What the data must have: "x" (anything known about the questions), "text", "label" (a category of each question),
    "samples" (not just a table), "answers" (a vote or a verifier can use them), "votes", "verifier", "probe" or
    "halves"."""
    made_by: str = ""
    """The class, as "module:name"; empty for bounds."""
    options: tuple[tuple[str, Any], ...] = ()
    """The arguments of its class, beside budget and random seed."""
    marks: tuple[str, ...] = field(default=())
    """Remarks that a comparison prints about it."""

    @property
    def deployable(self) -> bool:
        """Whether it can be fitted and used."""
        return bool(self.made_by)

    def policy(self, **more: Any) -> Any:
        """Return the policy before fit.

        Parameters
        ----------
        **more
            Further arguments of its class, such as ``budget=2.0`` and ``random_state=0``.

        Raises
        ------
        InputError
            If it is a bound, which cannot be fitted.
        MissingExtraError
            If its class needs an extra that is not installed.
        """
        if not self.deployable:
            raise InputError(f"{self.name!r} is a bound: it knows what no policy can know, so it cannot be fitted.")
        module, name = self.made_by.split(":")
        return getattr(import_module(module), name)(**dict(self.options), **more)


def _rule(name: str, phrase: str, *needs: str) -> Entry:
    made_by = "tcalloc.learn.rivals.tuned:TunedRule"
    return Entry(name, phrase, "rule", "policy", ("samples", "answers", *needs), made_by, (("family", name),))


_BASELINES = "tcalloc.learn.routing.baselines"
_PRICED = "tcalloc.learn.routing.priced:PricedPolicy"
_IMITATOR = "tcalloc.learn.routing.imitator:Imitator"
_SEQUENTIAL = "tcalloc.learn.sequential.policy:Sequential"

POLICIES: tuple[Entry, ...] = (
    Entry(FIXED_K, "a fixed number of samples", "fixed", "baseline", (),
          "tcalloc.learn.routing.fixed_choice:FixedChoice"),
    Entry(REFERENCE, "the best fixed mixture", "mixture", "baseline", (), f"{_BASELINES}:Mixture"),
    Entry(RANDOM, "choosing at random", "random", "baseline", (), f"{_BASELINES}:Random"),
    Entry(
        "prompt length", "choosing by the length of the question", "length", "baseline", ("text",),
        f"{_BASELINES}:LengthHeuristic",
    ),
    Entry(
        DIFFICULTY_LABEL, "choosing by the difficulty label", "category", "policy", ("label",),
        "tcalloc.learn.routing.by_category:ByCategory",
    ),
    Entry(
        KNN, "choosing by the most similar questions (kNN)", "priced", "policy", ("x",), _PRICED,
        (("regressor", "knn"),), (GATED,),
    ),
    Entry(IMITATOR, "imitating the oracle (imitator)", "imitator", "policy", ("x",), _IMITATOR),
    Entry(
        IMITATOR_COSTS, "imitating the oracle with costs (imitator, cost-sensitive)", "imitator", "policy",
        ("x",), _IMITATOR, (("loss", "regret"),),
    ),
    Entry(
        PRICED, "predicting each question and pricing it (priced)", "priced", "policy", ("x",), _PRICED, (), (GATED,)
    ),
    Entry(
        PROBED, "pricing each question after two samples (priced, probe 2)", "probed", "policy",
        ("samples", "answers", "probe"), _PRICED, (("probe", 2),), (GATED,),
    ),
    # The same policy has two names: one for a single model, one for several.
    Entry(SEQUENTIAL, "stopping early (Sequential)", "sequential", "policy", ("samples", "answers"),
          _SEQUENTIAL),
    Entry(CASCADE, "stopping early across the models (cascade)", "sequential", "policy", ("samples", "answers"),
          _SEQUENTIAL),
    _rule(AC_BETA, "Adaptive-Consistency (AC Beta)", "votes"),
    _rule(AC_DIRICHLET, "Adaptive-Consistency (AC Dirichlet)", "votes"),
    _rule(EARLY_STOPPING, "early-stopping self-consistency (ESC)", "votes"),
    _rule(SEQUENTIAL_TEST, "a sequential test (SPRT)", "votes"),
    _rule(MARGIN_CAP, "stopping at a lead (margin + cap)", "votes"),
    _rule(SUCCESS_STOP, "stopping at the first success (fixed k, success stop)", "verifier"),
    Entry(
        ORACLE, "the oracle, held out", "bound", "bound", ("halves",), marks=(
            "a bound, not a policy: it knows half of each question's samples and is scored on the other half; it draws "
            "no more than that half, so at large spends it could gain more",
        ),
    ),
    Entry(
        HINDSIGHT, "the hindsight bound", "bound", "bound", marks=(
            "a bound that no policy can reach: it knows what each answer is worth before it pays",
        ),
    ),
)  # fmt: skip

PREFERENCE: tuple[str, ...] = (
    SUCCESS_STOP,
    SEQUENTIAL,
    CASCADE,
    MARGIN_CAP,
    AC_BETA,
    EARLY_STOPPING,
    SEQUENTIAL_TEST,
    AC_DIRICHLET,
    PRICED,
    PROBED,
    KNN,
    DIFFICULTY_LABEL,
    IMITATOR_COSTS,
    IMITATOR,
)
"""The order of preference among equally good policies: the first one here is recommended.

The policy that needs no test stands first. Then come those that stop while sampling: first the rule that knows costs,
then those that count votes. Last come those that need the questions or a label.
"""


def names(*, deployable: bool = False) -> tuple[str, ...]:
    """Return all names, or only those of the policies that can be fitted."""
    return tuple(entry.name for entry in POLICIES if entry.deployable or not deployable)


def entry_of(name: str, *, deployable: bool = False) -> Entry:
    """Return a policy by its name.

    Parameters
    ----------
    name : str
        A name in upper or lower case.
    deployable : bool
        Whether to refuse bounds.

    Raises
    ------
    InputError
        If there is no such policy; the message lists the allowed names.

    Examples
    --------
    >>> from tcalloc.learn.registry import entry_of
    >>> entry_of("knn").policy(budget=2.0).regressor
    'knn'
    """
    wanted = " ".join(str(name).split()).casefold()
    for entry in POLICIES:
        if entry.name.casefold() == wanted and (entry.deployable or not deployable):
            return entry
    allowed = names(deployable=deployable)
    bound = ", a bound, which cannot be fitted" if wanted in map(str.casefold, names()) else ""
    listed = ", ".join(map(repr, allowed))
    raise InputError(f"policy is {name!r}{bound}; allowed are {listed}.{did_you_mean(name, allowed)}")


def entry_for(policy: Any) -> Entry | None:
    """Return the entry of a policy, by its class and arguments; None if it has none.

    Parameters
    ----------
    policy : policy
        Fitted or not.

    Examples
    --------
    >>> from tcalloc.learn.registry import entry_for, entry_of
    >>> entry_for(entry_of("margin + cap").policy(budget=2.0)).name
    'margin + cap'
    """
    kind = f"{type(policy).__module__}:{type(policy).__name__}"
    made = [entry for entry in POLICIES if entry.made_by == kind]
    fitting = [one for one in made if all(getattr(policy, name, None) == value for name, value in one.options)]
    if not fitting:
        return None
    found = max(fitting, key=lambda entry: len(entry.options))  # the first of equals
    return entry_of(CASCADE) if found.name == SEQUENTIAL and len(getattr(policy, "arms_", ())) > 1 else found
