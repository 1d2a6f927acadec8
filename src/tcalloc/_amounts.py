"""Amounts of cost as people write them: with enough digits, and with their unit if it is known.

Every printed cost, price and saving comes from here, so that dollars of 0.00004 are never 0.0000.
"""

import math
from collections.abc import Sequence
from typing import Any

from tcalloc.errors import InputError

__all__ = ["CURRENCIES", "amount", "check_unit", "column", "digits", "in_unit", "per_thousand", "unit_words"]

# The sign before an amount, by the code of the currency.
CURRENCIES = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥", "cny": "CN¥", "inr": "₹", "chf": "CHF "}
LONGEST = 24
# Below the first and from the second on, powers of ten are easier to read than zeros.
TINY, HUGE = 1e-10, 1e12
# If a column would need more decimals than this, each of its numbers is written on its own.
DEEPEST = 9


def check_unit(unit: Any, name: str = "unit") -> str:
    """Return a unit of cost in the form in which it is printed; refuse one that is empty, too long, or holds digits.

    It is a currency's code or sign ("usd", "$"), or what the costs count ("samples", "tokens", "seconds").
    """
    text = unit.strip() if isinstance(unit, str) else ""
    sound = text.isprintable() and not any(letter.isdigit() for letter in text)
    if not text or not sound or len(text) > LONGEST:
        raise InputError(
            f"{name} is {unit!r}; expected a currency ({', '.join(CURRENCIES)}) or a word in the plural, such as "
            f"tokens or seconds: at most {LONGEST} letters, without digits."
        )
    signs = {sign.strip(): code for code, sign in CURRENCIES.items()}
    code = signs.get(text, text.lower())
    return code if code in CURRENCIES else text


def digits(value: float, significant: int = 3) -> str:
    """Return a number with a few significant digits: 2.43, 0.0125, 0.00004, 1,318; a dash for NaN."""
    if math.isnan(value):
        return "-"
    if math.isinf(value) or value == 0:
        return "0" if value == 0 else str(value)
    rounded = float(f"{value:.{significant - 1}e}")
    if not TINY <= abs(rounded) < HUGE:
        return f"{rounded:.{significant}g}"
    decimals = max(0, significant - 1 - math.floor(math.log10(abs(rounded))))
    text = f"{value if decimals == 0 else rounded:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def in_unit(text: str, unit: str | None) -> str:
    """Return a printed number with its unit: $2.43, 2.43 samples, 1 token; 2.43 if no unit is known."""
    if unit is None or text == "-":
        return text
    if unit in CURRENCIES:
        minus, text = ("-", text[1:]) if text.startswith("-") else ("", text)
        if len(text) > 1 and text[-2] == ".":  # $1.30, but $3 and $0.002
            text += "0"
        return f"{minus}{CURRENCIES[unit]}{text}"
    if unit == "cost":
        return f"{text} unit{'' if text == '1' else 's'} of cost"
    return f"{text} {unit[:-1] if text == '1' and unit.endswith('s') else unit}"


def amount(value: float, unit: str | None = None, significant: int = 3) -> str:
    """Return an amount in a few significant digits, with its unit: what `check_unit` returned, or "cost"."""
    return in_unit(digits(value, significant), unit)


def per_thousand(value: float, unit: str | None = None) -> str:
    """Return an amount per question as an amount per thousand: $1.30 per 1,000 questions."""
    if math.isinf(1000 * value):
        return f"{amount(value, unit)} per question"
    return f"{amount(1000 * value, unit)} per 1,000 questions"


def unit_words(unit: str | None) -> str:
    """Return the unit's name for an axis or a table's head: samples, units of cost, tokens, $."""
    if unit is None or unit == "cost":
        return "units of cost"
    return CURRENCIES.get(unit, unit).strip()


def column(values: Sequence[float], *, trim: bool = True) -> list[str]:
    """Return numbers with the same number of decimals: four digits of the largest, at least two of the smallest.

    `trim` drops zeros that all numbers end in. If this takes too many decimals, each number has its own number of them.
    """
    sizes = [abs(value) for value in values if math.isfinite(value) and value != 0]
    if not sizes:
        return [("0" if trim else "0.0000") if math.isfinite(value) else "-" for value in values]
    # 1.0 itself has as many decimals as the shares below it.
    decimals = max(0, 4 - math.ceil(math.log10(max(sizes))), min(1, -_exponent(min(sizes))) - _exponent(min(sizes)))
    if not decimals and any(abs(size - round(size)) > 0.05 * size for size in sizes):
        decimals = 1  # 1.5 beside 1001 is not 2
    if decimals > DEEPEST or max(sizes) >= HUGE:
        return [digits(value, 4) if math.isfinite(value) else "-" for value in values]
    texts = [f"{value:.{decimals}f}" if math.isfinite(value) else "-" for value in values]
    while trim and decimals and all(text == "-" or text[-1] == "0" for text in texts):
        decimals -= 1
        texts = [text if text == "-" else text[:-1].rstrip(".") for text in texts]
    return texts


def _exponent(size: float) -> int:
    return math.floor(math.log10(size))
