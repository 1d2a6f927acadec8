"""How figures are written for a reader: shares as percent, gains as points, policies by what they do."""

import math
import re

from tcalloc._amounts import CURRENCIES, digits, in_unit, unit_words
from tcalloc._counts import counted
from tcalloc._printing import page_line as clean
from tcalloc.learn.registry import POLICIES

__all__ = [
    "PHRASES",
    "about",
    "about_price",
    "action",
    "at_spend",
    "chance",
    "clean",
    "counted",
    "interval",
    "listed",
    "number",
    "of_answer",
    "percent",
    "phrase",
    "points",
    "price",
    "rounded",
    "saved",
    "spending",
    "with_verifier",
]

# What a policy does, so that a sentence can begin with it.
PHRASES = {entry.name: entry.phrase for entry in POLICIES}
LONGEST = 60


def phrase(name: str) -> str:
    """Return what a policy does, in words; a policy of the user's own is its name in quotes."""
    return PHRASES.get(name, f'"{clean(name, LONGEST)}"')


def percent(value: float, digits: int = 1) -> str:
    """Return a share as percent: 70.4 %; a dash for NaN."""
    return f"{100 * value:.{digits}f} %" if math.isfinite(value) else "-"


def points(value: float) -> str:
    """Return a difference of shares in points: +2.1; a dash for NaN."""
    if not math.isfinite(value):
        return "-"
    found = round(100 * value, 1) + 0.0  # no −0.0
    return f"{found:+.1f}" if found else "0.0"


def interval(low: float, high: float) -> str:
    """Return an interval of a difference in points: [+1.0, +3.2]."""
    return f"[{points(low)}, {points(high)}]"


def chance(p: float) -> str:
    """Return a p-value: p = 0.012."""
    if not math.isfinite(p):
        return "not tested"
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.3f}" if p < 0.9995 else "p = 1"


def number(value: float) -> str:
    """Return a spend with three digits: 2.43, 0.0125, 0.00004, 1,318."""
    return digits(value) if math.isfinite(value) else "-"


def about(value: float) -> str:
    """Return a spend with two digits, for a sentence: 2.4."""
    return number(value) if abs(value) >= 100 else digits(value, 2)


def rounded(value: float) -> int:
    """Return a count, rounded up to two digits: 1,318 → 1,400."""
    if value <= 10:
        return max(1, math.ceil(value))
    step: int = 10 ** (math.floor(math.log10(value)) - 1)
    return math.ceil(value / step) * step


def price(value: float, unit: str) -> str:
    """Return a mean spend with its unit: 2.4 samples, $0.002, 3.1 units of cost."""
    return in_unit(number(value), unit)


def about_price(value: float, unit: str) -> str:
    """Return a mean spend with two digits and its unit where that is a currency: 2.4, $0.0024."""
    return in_unit(about(value), unit if unit in CURRENCIES else None)


def at_spend(value: float, unit: str) -> str:
    """Return a place on the axis of spends: at 2.4 samples per question."""
    return f"at {price(value, unit)} per question"


def saved(difference: float, unit: str) -> str:
    """Return a saving per question, scaled to 1,000 questions: $1.30 less per 1,000 questions."""
    return f"{price(1000 * difference, unit)} less per 1,000 questions"


def spending(unit: str) -> str:
    """Return the label of the axis of spends: mean samples per question, mean cost per question in $."""
    if unit == "cost" or unit in CURRENCIES:
        return f"mean cost per question{'' if unit == 'cost' else f' in {unit_words(unit)}'}"
    return f"mean {unit} per question"


def with_verifier(given: bool) -> str:
    """Return the condition that holds for all figures if a verifier was given; "" without one."""
    return ", with a verifier that recognises right answers" if given else ""


def action(name: str) -> str:
    """Return a fixed action in words: "vote4 small" is 4 samples of small."""
    votes = re.fullmatch(r"vote(\d{1,6})(?: (?!by )(.+))?", name)
    if votes is None:
        return clean(name, LONGEST)
    model = "" if votes[2] is None else f" of {clean(votes[2], LONGEST)}"
    return f"{of_answer(int(votes[1]))}{model}"


def of_answer(count: int) -> str:
    """Return a number of samples in words: a single sample, 8 samples."""
    return "a single sample" if count == 1 else f"{count} samples"


def listed(parts: list[str]) -> str:
    """Return words joined: a, b and c."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
