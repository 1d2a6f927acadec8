"""The next step after a comparison: the command, or the lines of Python, that fit the recommended policy.

What to use when
----------------
`Source`
    Where the data of a comparison came from; the next step then runs as pasted.
`arguments`
    The options of ``tcalloc fit`` that make a policy.
`statements`
    The lines of Python that make it, for data that are no run folder.
`obstacle`
    Why neither can make it.
"""

import re
from dataclasses import dataclass

from tcalloc._amounts import digits
from tcalloc.evaluate.result import ComparisonFigures, Standing
from tcalloc.evaluate.thresholds import FEWEST
from tcalloc.learn.registry import DIFFICULTY_LABEL

__all__ = ["Source", "arguments", "obstacle", "quoted", "statements"]

# What the lines of Python call the data if nothing is known about their source.
GIVEN = ("import tcalloc", "# data and X are the arguments of the comparison.")


@dataclass(frozen=True, slots=True)
class Source:
    """Where the data of a comparison came from.

    Parameters
    ----------
    run : str
        The run folder that the command names.
    options : tuple of str
        Options of ``tcalloc fit`` that bring the texts and categories of the comparison.
    label : str
        The field of the questions that holds the difficulty label.
    loading : tuple of str
        Lines of Python that set `data` and `X`, for data that are no run folder; empty for a run folder.
    labelled : tuple of str
        The same with the difficulty label in X.
    """

    run: str = "run/"
    options: tuple[str, ...] = ()
    label: str = "FIELD"
    loading: tuple[str, ...] = ()
    labelled: tuple[str, ...] = ()

    def command(self, policy: str, found: tuple[str, ...]) -> str:
        """Return the command that fits a policy, with the options that `arguments` returned; "" if there are none."""
        if not found or self.loading:
            return ""
        label = ("--category", self.label) if policy == DIFFICULTY_LABEL else ()
        parts = (self.run, *found, *self.options, *label, "--out", "policy/")
        return " ".join(["tcalloc fit", *map(quoted, parts)])

    def python(self, policy: str, lines: tuple[str, ...]) -> str:
        """Return the lines of Python that load the data and fit a policy; "" if there are none."""
        if not lines:
            return ""
        whole = [*((self.labelled if policy == DIFFICULTY_LABEL else self.loading) or GIVEN), *lines]
        imports = [line for line in whole if line.startswith(("import ", "from "))]
        return "\n".join([*imports, *(line for line in whole if line not in imports)])


def arguments(result: ComparisonFigures, policy: str, budget: float) -> tuple[str, ...]:
    """Return the options of ``tcalloc fit`` that make a policy of samples; none for a table."""
    if result.from_table:
        return ()
    found = ["--policy", policy, "--budget", _budget(budget)]
    if result.verifier:
        found.append("--verifier")
    if not result.labels.gold:
        found += ["--labels", result.labels.option]
    return (*found, "--unit", result.unit) if result.unit not in ("samples", "cost") else tuple(found)


def statements(result: ComparisonFigures, policy: str, budget: float) -> tuple[str, ...]:
    """Return the lines of Python that fit and save a policy, from `data` and `X`."""
    if result.from_table:
        return (
            "from tcalloc.learn.registry import entry_of",
            f"policy = entry_of({policy!r}).policy(budget={_budget(budget)}).fit(X, data)",
            "policy.save('policy/')",
        )
    verifier = ", verifier=True" if result.verifier else ""
    labels = "" if result.labels.gold else f", labels={result.labels.option!r}"
    return (f"print(tcalloc.fit(data, {_budget(budget)}, {policy!r}, X=X{verifier}{labels}, out='policy/'))",)


def obstacle(result: ComparisonFigures, overall: Standing | None) -> str:
    """Return a sentence that says why the recommended policy cannot be fitted by tcalloc; "" if it can."""
    if overall is not None and overall.kind == "own":
        return "It is a policy of your own, which tcalloc fit cannot make."
    if result.questions < FEWEST and not result.from_table:
        return f"tcalloc fit needs at least {FEWEST} questions, and there are {result.questions}."
    return ""


def quoted(part: str) -> str:
    """Return an argument as a shell takes it."""
    return part if re.fullmatch(r"[\w./:=+-]+", part) else '"' + re.sub(r'(["\\$`])', r"\\\1", part) + '"'


def _budget(value: float) -> str:
    return digits(value, 6).replace(",", "")
