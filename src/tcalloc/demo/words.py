"""The demonstration in words."""

import textwrap
from collections.abc import Sequence
from typing import Any

from tcalloc.demo.experiment import NAMES, Figures, Line
from tcalloc.demo.stopping import Stopping

__all__ = ["cost", "headline", "percent", "saved", "show"]

WIDTH = 98


def show(result: Figures) -> str:
    """Return the figures as text for people, in ASCII, at most 100 columns wide."""
    return "\n\n".join(
        [
            _intro(result),
            _table(result),
            _saving(result),
            _destinations(result),
            _learned(result),
            *([] if result.stopping is None else [_stopping(result.stopping)]),
            _NEXT,
        ]
    )


_NEXT = """\
Next, your own table: a row per question, columns acc:NAME and cost:NAME for every action you have.
    tcalloc solve table.csv --budget 4
"""


def _learned(result: Figures) -> str:
    mind = (
        "Mind: the oracle, held out, knows each question from other answers to that same question. It is a target, not "
        "a policy that you can deploy."
    )
    if result.learned is None:
        return _fill(mind + " To see one that is learned from the questions' texts: pip install 'tcalloc[learn]'.")
    said = (
        " What can be deployed: a policy that predicts from a question's text what each action would reach on it, and "
        "takes the one that is worth its price. Here it decides questions that it never saw (five folds):"
    )
    rows = [
        _fill(mind + said),
        "",
        "         really    best fixed   from the   lead, in points",
        "  budget spent     mixture      text       (95 % interval)",
    ]
    for one in result.learned:
        lead = f"{100 * one.lead:+.1f} ({100 * one.lead_low:.1f} to {100 * one.lead_high:.1f})".replace("-0.0", "0.0")
        shares = f"{percent(one.mixture, 1):>13} {percent(one.accuracy, 1):>10}"
        rows.append(f"{one.budget:7g} {cost(one.spend):>6} {shares}   {lead}")
    return "\n".join(rows)


def _intro(result: Figures) -> str:
    models = [action for action in result.actions if action.samples == 1]
    costs = _either([f"{a.cost:g} ({NAMES.get(a.model, a.model)})" for a in models])
    times = _either(sorted(set(result.samples.values())))
    votes = _either(sorted({action.samples for action in result.actions} - {1}))
    return "Which questions deserve more compute?\n\n" + _fill(
        f"{result.questions} short questions, each answered {times} times by {len(models)} small language models "
        "(recorded: nothing runs now). A question may get 1 sample of one model, or the majority vote of "
        f"{votes}. A sample costs {costs}. A budget of 2 means: 2 per question on average, more where it pays "
        "and less where it does not."
    )


def _table(result: Figures) -> str:
    rows = [
        "         best fixed   oracle     lead, in points        a mixture needs       oracle in sample",
        "  budget mixture      held out   (95 % interval)        for that accuracy     (flatters itself)",
    ]
    for line in result.lines:
        lead = f"{100 * line.lead:+.1f} ({100 * line.lead_low:.1f} to {100 * line.lead_high:.1f})"
        needs = cost(line.needed)
        if line.needed_low is not None:
            needs += f" ({cost(line.needed_low)} to {cost(line.needed_high)})"
        rows.append(
            f"{line.budget:7g} {percent(line.mixture, 1):>9} {percent(line.held_out, 1):>12}   {lead:<22} "
            f"{needs:<24} {percent(line.in_sample, 1):>10}"
        )
    return "\n".join([*rows, "", _LEGEND])


_LEGEND = """\
  best fixed mixture  blind to the question: the best one or two actions, at random, same spend
  oracle              picks an action per question, knowing how often each is right on it:
    held out          picks by one half of the recorded answers, is scored on the other half
    in sample         is scored on the answers that it picked by
  none                no fixed mixture is that accurate, at any cost"""


def headline(result: Figures) -> Line | None:
    """Return the line whose saving is told: the largest budget at which both ends of its interval are known."""
    sure = [line for line in result.lines if line.needed_high is not None and line.lead_low > 0]
    return max(sure, key=lambda line: line.budget, default=None)


def saved(line: Line, needed: float | None) -> str:
    """Return the share of the compute that is saved against a mixture that needs so much."""
    return percent(1.0 if needed is None else 1.0 - line.spend / needed)


def _saving(result: Figures) -> str:
    line, best = headline(result), result.best_action
    if line is None:
        said = "The saving: none at these budgets that the intervals leave standing."
    else:
        parts = [f"{name} on {percent(share)}" for name, share in line.needed_mixture.items()]
        said = (
            f"The saving: at a budget of {line.budget:g} the oracle held out has the accuracy of the best fixed "
            f"mixture at {cost(line.needed)} ({_either(parts, 'and')} of the questions) for "
            f"{saved(line, line.needed)} less compute (95 % interval: {saved(line, line.needed_low)} to "
            f"{saved(line, line.needed_high)})."
        )
    beyond = [line.budget for line in result.lines if line.needed_low is None]
    if beyond:
        said += (
            f" From {min(beyond):g} on, no fixed mixture can buy its accuracy: the best, {best.name} on every "
            f"question, has {percent(best.accuracy, 1)} for {best.cost:g}."
        )
    return _fill(said)


def _destinations(result: Figures) -> str:
    spending = result.spending
    families = list(spending.families.items())
    (first, a), (second, b) = list(spending.actions.items())[:2]
    return f"""\
Where a budget of {spending.budget:g} goes (oracle held out):
    {percent(a)} of the questions get {first}, {percent(b)} {second}, the others another action
    most per question:  {_per_group(families[:3])}
    least per question: {_per_group(families[:-4:-1])}"""


def _per_group(families: list[tuple[str, float]]) -> str:
    return ", ".join(f"{name} {spend:.1f}" for name, spend in families)


def _stopping(found: Stopping) -> str:
    head = "And while samples come in, one can stop where another is not worth its price."
    if found.needed is None:
        return _fill(
            f"{head} Here it does not reach the accuracy of {found.samples} samples of {found.model}, held out."
        )
    between = f"95 % interval: {cost(found.needed_low)} to {cost(found.needed_high)}".replace("to none", "or more")
    return _fill(
        f"{head} Stopping at a price gives the accuracy of {found.samples} samples of {found.model} for every question "
        f"({percent(found.accuracy, 1)}) for {cost(found.needed)} on average, held out ({between})."
    )


def percent(share: float, digits: int = 0) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.{digits}f} %"


def cost(spend: float | None) -> str:
    """Return a spend with three digits, or "none"."""
    return "none" if spend is None else f"{spend:.3g}"


def _either(values: Sequence[Any], last: str = "or") -> str:
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _fill(text: str) -> str:
    """Break lines, but never between a number and its percent sign."""
    return textwrap.fill(text.replace(" %", "~%"), WIDTH, break_on_hyphens=False).replace("~%", " %")
