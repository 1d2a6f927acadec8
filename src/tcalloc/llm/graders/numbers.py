"""Numbers in free text: thousands separators, currency, percent, fractions, signs, powers of ten, words.

A number is kept exactly, as a fraction; its key is decimal where that ends ("0.75"), else a fraction ("1/3"), so that
"42", "42.0", "$42" and "forty-two" are the same vote.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["DIGITS", "Number", "find_numbers", "fraction_key", "number_key", "words_to_number"]

# Longer numbers and powers are no answers but runaway text, and would cost time and memory to hold exactly.
DIGITS, POWER = 300, 300

_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_PLAIN = str.maketrans(
    "\uff10\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19\uff0e\uff0c\uff05\uff0b\uff0d\u2212\u2010\u2011\u2012\u2013\ufe63",
    "0123456789.,%+-------",
)
_POWER_OF_TEN = re.compile("10([⁻⁰¹²³⁴-⁹]+)")
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5"}
_VULGAR |= {"⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8", "\u2044": "/"}
_VULGAR_CHAR = re.compile(r"\s?([½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])")

_CURRENCY = r"(?:\\?[$€£¥₹]\s?)"
_GROUPED = r"[0-9]{1,3}(?:(?:,|\{,\}|\\,|[\u00a0\u2009\u202f'\u2019_])[0-9]{3})+(?![0-9])"
_DECIMAL = rf"(?:(?:{_GROUPED}|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)"
_NUMBER = re.compile(
    rf"""
    (?:(?<![A-Za-z0-9_)\]}}])(?P<sign>[-+])(?=[\\$€£¥₹.0-9]) | (?:(?<![A-Za-z0-9_]) | (?<=USD) | (?<=EUR) | (?<=GBP)))
    (?<![0-9]\.)
    {_CURRENCY}? (?P<inner>[-+](?=[.0-9]))?
    (?:
        (?P<whole>[0-9]{{1,4}})? \s? \\[dt]?frac \s?
            \{{ \s? (?P<up>-?[0-9.,]{{1,40}}) \s? \}} \s? \{{ \s? (?P<down>[0-9.,]{{1,40}}) \s? \}}
      | \\[dt]?frac (?P<up1>[0-9]) (?P<down1>[0-9])
      | (?P<mixed>[0-9]{{1,4}}) \s (?P<above>[0-9]{{1,3}}) / (?P<below>[0-9]{{1,3}}) (?![0-9/])
      | 10 \s? (?:\^|\*\*) \s? [{{(]? \s? (?P<ten>[-+]?[0-9]{{1,9}}) \s? [}})]?
      | (?P<number>{_DECIMAL})
        (?:
            [eE](?P<exponent>[-+]?[0-9]{{1,9}})(?![A-Za-z0-9])
          | \s? (?:\u00d7|x|\*|\\times|\\cdot|\u00b7) \s? 10 \s? (?:\^|\*\*) \s?
            [{{(]? \s? (?P<power>[-+]?[0-9]{{1,9}}) \s? [}})]?
          | \s? / \s? (?P<over>[0-9]+(?:\.[0-9]+)?) (?![0-9/]|\.[0-9])
        )?
    )
    (?: \s? (?P<percent>\\?%|percent\b|per\scent\b) | \s (?P<scale>thousand|million|billion|trillion)\b )?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_JUNK = re.compile(r"[^0-9.]")


@dataclass(frozen=True, slots=True)
class Number:
    """A number that was found in text: its value, and whether a percent sign follows."""

    value: Fraction
    percent: bool


def find_numbers(text: str, *, decimal_comma: bool = False) -> list[Number]:
    """Return the numbers in a text, in their order.

    `decimal_comma`: whether 1.234,5 is meant as in German, French, ...: the comma before the decimals.
    """
    plain = _plain(text, decimal_comma=decimal_comma)
    found = (_number(match) for match in _NUMBER.finditer(plain))
    return [number for number in found if number is not None]


def number_key(text: str) -> str | None:
    """Return the key of the number that a text is, but for marks around it (``**$42.00**.``); None if it is none.

    The percent sign does not matter.
    """
    text = _plain(text, decimal_comma=False).strip().strip("*_`\"'").rstrip(".").strip()
    for opening, closing in (("$", "$"), ("\\(", "\\)")):
        if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
            text = text[len(opening) : -len(closing)].strip()
    match = _NUMBER.fullmatch(text.removesuffix("$").rstrip() if text.count("$") == 1 and text[0] != "$" else text)
    number = None if match is None else _number(match)
    return None if number is None else fraction_key(number.value)


def fraction_key(value: Fraction) -> str:
    """Return a number as text: equal numbers, equal texts."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest != 1:
        return f"{value.numerator}/{value.denominator}"
    places = max(twos, fives)
    if not places:
        return str(value.numerator)
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    return f"{'-' * (value < 0)}{digits[:-places]}.{digits[-places:]}"


def _plain(text: str, *, decimal_comma: bool) -> str:
    if not text.isascii():
        text = _POWER_OF_TEN.sub(lambda m: "10^" + m[1].translate(_SUPERSCRIPT), text)
        text = _VULGAR_CHAR.sub(lambda m: " " + _VULGAR[m[1]], text).replace("\u2044", "/").translate(_PLAIN)
    if decimal_comma:
        text = re.sub(r"(?<=[0-9])\.(?=[0-9]{3}(?![0-9]))", "", text)
        text = re.sub(r"(?<=[0-9]),(?=[0-9])", ".", text)
    return text


def _fraction(digits: str) -> Fraction | None:
    digits = _JUNK.sub("", digits).rstrip(".")
    return None if not digits or len(digits) > DIGITS or digits.count(".") > 1 else Fraction(digits)


def _number(match: re.Match[str]) -> Number | None:
    part = match.groupdict()
    above, below = part["up"] or part["up1"] or part["above"], part["down"] or part["down1"] or part["below"]
    if above is not None:
        up, down = _fraction(above.lstrip("-")), _fraction(below)
        if up is None or not down:
            return None
        value = int(part["whole"] or part["mixed"] or 0) + up / down
        if above[0] == "-":
            value = -value
    else:
        whole = _fraction(part["number"] or "1")
        power = int(part["exponent"] or part["power"] or part["ten"] or 0)
        if whole is None or abs(power) > POWER:
            return None
        value = whole * Fraction(10) ** power if power else whole
        if part["over"] is not None:
            over = _fraction(part["over"])
            if not over:
                return None
            value /= over
    if part["scale"] is not None:
        value *= _SCALES[part["scale"].lower()]
    negative = (part["sign"] == "-") != (part["inner"] == "-")
    return Number(-value if negative else value, part["percent"] is not None)


# ---------------------------------------------------------------------------------------------- words

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: i for i, word in enumerate(_SMALL.split())} | {w: 10 * i for i, w in enumerate(_TENS.split(), 2)}
_WORD = re.compile(r"[a-z]+|[^a-z\s-]", re.IGNORECASE)


def words_to_number(text: str) -> Fraction | None:
    """Return the last number that is written in words, like "minus one hundred and five"."""
    best: Fraction | None = None
    total = group = 0
    inside = negative = False
    minus_before = False
    for word in [*_WORD.findall(text.lower()), "."]:
        if word in _WORDS:
            if not inside:
                total, group, inside, negative = 0, 0, True, minus_before
            group += _WORDS[word]
        elif inside and word == "hundred":
            group = max(group, 1) * 100
        elif inside and word in _SCALES:
            total, group = total + max(group, 1) * _SCALES[word], 0
        elif not (inside and word == "and"):
            if inside:
                best = Fraction(-(total + group) if negative else total + group)
            inside = False
        minus_before = word in ("minus", "negative")
    return best
