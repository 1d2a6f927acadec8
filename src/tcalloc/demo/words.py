"""The demonstration in words."""

import re
import textwrap
from collections.abc import Sequence
from typing import Any, TypeVar

from tcalloc._amounts import digits
from tcalloc.datasets import Recorded
from tcalloc.demo.experiment import NAMES, VOTES, Figures, Line
from tcalloc.demo.learned import Learned
from tcalloc.demo.stopping import Stopping

__all__ = ["cost", "details", "fill", "headline", "introduction", "percent", "saved", "show"]

WIDTH = 98
Deployed = TypeVar("Deployed", Line, Learned)


def introduction(recorded: Recorded) -> str:
    """Return what the demonstration is about, in words: known before anything is computed."""
    times = _either(sorted({str(answers.shape[1]) for answers in recorded.answers.values()}))
    costs = _either([f"{recorded.relative_cost[m]:g} ({NAMES.get(m, m)})" for m in recorded.models])
    return fill(
        f"Which questions deserve more compute? {len(recorded.ids)} short questions were each answered {times} times "
        f"by {len(recorded.models)} small language models (recorded: nothing runs now). A question may get 1 sample of "
        f"one model, or the majority vote of {_either(VOTES[1:])}. A sample costs {costs}. A budget of 2 means: 2 per "
        "question on average, more where it pays."
    )


def show(result: Figures) -> str:
    """Return the figures that matter as text for people, in ASCII: at most 20 lines of at most 100 characters."""
    parts = [_short_table(result.learned), _others(result), _sentence(result), _NEXT]
    return "\n\n".join(part for part in parts if part)


def details(result: Figures) -> str:
    """Return all figures as text: first what can be deployed, then the bound."""
    deployed = [_by_text(result.learned), *([] if result.stopping is None else [_stopping(result.stopping)])]
    return "\n\n".join([*deployed, _table(result), _saving(result), _destinations(result)])


_NEXT = """\
Next: tcalloc example try/       write three small files to try every command on
      tcalloc compare --demo     compare every policy on one of these models, in about a minute
      tcalloc demo --details     show all figures, and how far an oracle would get"""


# ---------------------------------------------------------------------------------------------- in short


def _short_table(found: list[Learned] | None) -> str:
    if found is None:
        return _by_text(None)
    rows = [
        "Questions answered right, among those that were not trained on:",
        "  budget   spent   best fixed mixture   by the text   difference in points (95 % interval)",
    ]
    for one in found:
        shares = f"{percent(one.mixture, 1):>20} {percent(one.accuracy, 1):>13}"
        rows.append(f"{one.budget:8g} {cost(one.spend):>7} {shares}   {_lead(one)}")
    return "\n".join(rows)


def _others(result: Figures) -> str:
    said, stops = "The best fixed mixture ignores the question.", result.stopping
    if stops is not None and stops.needed is not None:
        said += (
            f" Stopping while samples come in reaches the accuracy of {stops.samples} samples of {stops.model} "
            f"({percent(stops.accuracy, 1)}) with {cost(stops.needed)} on average (95 % interval: {_spends(stops)})."
        )
    return fill(said)


def _sentence(result: Figures) -> str:
    """Return the one sentence that matters."""
    best = headline(result.learned or [])
    if best is not None:
        return fill(
            f"Deciding by the text of a question reaches the accuracy of the best fixed mixture at {cost(best.needed)} "
            f"for {cost(best.spend)}: {_saved_compute(best)}."
        )
    return "" if result.learned is None else "Deciding by the text of a question saves nothing that the intervals show."


# ---------------------------------------------------------------------------------------------- what can be deployed


def _by_text(found: list[Learned] | None) -> str:
    if found is None:
        return fill(
            "What can be deployed: a policy that decides by the text of a question. To see one that is learned here: "
            "pip install 'tcalloc[learn]'."
        )
    best = headline(found)
    if best is None:
        said = "it saves nothing that the intervals show."
    else:
        said = (
            f"at a budget of {best.budget:g} it has the accuracy of the best fixed mixture at {cost(best.needed)}, for "
            f"{_saved_compute(best)}."
        )
    rows = [
        fill(f"What can be deployed: a policy that decides by a question's text. On unseen questions, {said}"),
        "",
        "         really    best fixed   by the    lead, in points       a mixture needs",
        "  budget spent     mixture      text      (95 % interval)       for that accuracy",
    ]
    for one in found:
        shares = f"{percent(one.mixture, 1):>13} {percent(one.accuracy, 1):>9}"
        rows.append(f"{one.budget:7g} {cost(one.spend):>6} {shares}   {_lead(one):<21} {_needs(one)}".rstrip())
    return "\n".join(rows)


def _stopping(found: Stopping) -> str:
    head = "Or one that stops while samples come in, where another is not worth its price."
    if found.needed is None:
        return fill(
            f"{head} Here it does not reach the accuracy of {found.samples} samples of {found.model}, held out."
        )
    return fill(
        f"{head} It gives the accuracy of {found.samples} samples of {found.model} for every question "
        f"({percent(found.accuracy, 1)}) for {cost(found.needed)} on average, held out (95 % interval: "
        f"{_spends(found)})."
    )


# ---------------------------------------------------------------------------------------------- the bound


def _table(result: Figures) -> str:
    rows = [
        fill(
            "The bound: an oracle that has seen other answers to the same question. It is a target, not a policy that "
            "you can deploy."
        ),
        "",
        "         best fixed   oracle     lead, in points        a mixture needs            in sample",
        "  budget mixture      held out   (95 % interval)        for that accuracy          (too high)",
    ]
    for line in result.lines:
        rows.append(
            f"{line.budget:7g} {percent(line.mixture, 1):>9} {percent(line.held_out, 1):>12}   {_lead(line):<22} "
            f"{_needs(line):<27} {percent(line.in_sample, 1):>10}"
        )
    return "\n".join([*rows, "", _LEGEND])


_LEGEND = """\
  best fixed mixture  ignores the question: the best one or two actions, at random, same spend
  oracle held out     picks by one half of the recorded answers, is scored on the other half
  oracle in sample    is scored on the answers that it picked by, which flatters itself
  out of reach        no fixed mixture is that accurate, at any cost"""


def _lead(line: Line | Learned) -> str:
    """Return the lead over the mixture in points, with its interval."""
    lead = f"{100 * line.lead:+.1f} ({100 * line.lead_low:.1f} to {100 * line.lead_high:.1f})"
    return re.sub(r"-0\.0\b", "0.0", lead)


def _needs(line: Line | Learned) -> str:
    """Return what a mixture needs, with its interval."""
    if line.needed_low is None:
        return "out of reach"
    return f"{'out of reach' if line.needed is None else cost(line.needed)} ({_spends(line)})"


def _spends(found: Line | Learned | Stopping) -> str:
    """Return the interval of a spend; without an upper end where none is known."""
    return f"{cost(found.needed_low)} {'or more' if found.needed_high is None else f'to {cost(found.needed_high)}'}"


def headline(lines: Sequence[Deployed]) -> Deployed | None:
    """Return the line whose saving is said: the one that saves most at the low end of its interval.

    Both ends must be known, and the lead over the mixture must be shown.
    """
    sure = [line for line in lines if line.needed_high is not None and line.lead_low > 0]
    return max(sure, key=lambda line: 1 - line.spend / (line.needed_low or line.spend), default=None)


def saved(line: Line | Learned, needed: float | None) -> str:
    """Return the share of the compute that is saved against a mixture that needs so much."""
    return percent(1.0 if needed is None else 1.0 - line.spend / needed)


def _saved_compute(line: Line | Learned) -> str:
    """Return what is saved against the mixture, with its interval."""
    low, high = saved(line, line.needed_low), saved(line, line.needed_high)
    return f"{saved(line, line.needed)} less compute (95 % interval: {low} to {high})"


def _saving(result: Figures) -> str:
    line, best = headline(result.lines), result.best_action
    if line is None:
        said = "The saving: none at these budgets that the intervals leave standing."
    else:
        parts = [f"{name} on {percent(share)}" for name, share in line.needed_mixture.items()]
        said = (
            f"The saving: at a budget of {line.budget:g} the oracle held out has the accuracy of the best fixed "
            f"mixture at {cost(line.needed)} ({_either(parts, 'and')} of the questions) for {_saved_compute(line)}."
        )
    beyond = [line.budget for line in result.lines if line.needed_low is None]
    if beyond:
        said += (
            f" From {min(beyond):g} on, no fixed mixture can buy its accuracy: the best, {best.name} on every "
            f"question, has {percent(best.accuracy, 1)} for {best.cost:g}."
        )
    return fill(said)


def _destinations(result: Figures) -> str:
    spending = result.spending
    families = [f"{name} {spend:.1f}" for name, spend in spending.families.items()]
    (first, a), (second, b) = list(spending.actions.items())[:2]
    return f"""\
Where a budget of {spending.budget:g} goes (oracle held out):
    {percent(a)} of the questions get {first}, {percent(b)} {second}, the others another action
    most per question:  {", ".join(families[:3])}
    least per question: {", ".join(families[:-4:-1])}"""


def percent(share: float, digits: int = 0) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.{digits}f} %"


def cost(spend: float | None) -> str:
    """Return a spend with three digits, or "out of reach"."""
    return "out of reach" if spend is None else digits(spend)


def _either(values: Sequence[Any], last: str = "or") -> str:
    words = [str(value) for value in values]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def fill(text: str) -> str:
    """Break lines, but never between a number and its percent sign."""
    return textwrap.fill(text.replace(" %", "~%"), WIDTH, break_on_hyphens=False).replace("~%", " %")
