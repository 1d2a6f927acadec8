"""Checks of single arguments: the call declares what is allowed, and the check makes the message.

What to use when
----------------
`whole`
    A whole number: counts, seeds, folds, sizes.
`number`
    A finite number in an interval: shares, levels, seconds.
`level_of`
    The level of an interval or a bound.
`flag`
    True or False.
`one_of`
    One of several names.
`did_you_mean`
    The end of a message about an unknown name: the known name that it resembles.

Truth values and texts are no numbers here. `tcalloc._inputs.scalar` is for budgets and costs, which may come from
arrays and frames and may be infinite.
"""

import difflib
import math
from collections.abc import Iterable
from typing import Any, TypeGuard

import numpy as np

from tcalloc.errors import InputError

__all__ = ["did_you_mean", "flag", "is_number", "is_whole", "level_of", "number", "one_of", "whole"]

# How similar two names must be, from 0 to 1, to suggest one for the other. Only this many characters are compared.
ALIKE = 0.6
LONGEST = 200


def is_whole(value: Any) -> TypeGuard[int]:
    """Return whether a value is a whole number, Python's or NumPy's."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value is a real number, Python's or NumPy's; it may be infinite or NaN."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def whole(name: str, value: Any, least: int = 0, most: int | None = None, *, of: str = "", hint: str = "") -> int:
    """Return a whole number in a range as an int.

    `of` is what it counts, and `hint` what else is allowed, or what to do, for the message.

    Examples
    --------
    >>> from tcalloc._checks import whole
    >>> whole("folds", 5, 2)
    5
    >>> whole("folds", 1, 2)
    Traceback (most recent call last):
    tcalloc.errors.InputError: folds is 1; expected a whole number, at least 2.
    """
    if not is_whole(value) or value < least or (most is not None and value > most):
        span = f", at least {least}" if most is None else f" from {least} to {most}"
        raise InputError(f"{name} is {value!r}; expected a whole number{of and f' of {of}'}{span}{hint}.")
    return int(value)


def number(
    name: str, value: Any, low: float = 0.0, high: float = math.inf, *, ends: bool = False, of: str = "", hint: str = ""
) -> float:
    """Return a finite number in an interval as a float; `ends` says whether the ends are allowed too.

    `of` is what it is, and `hint` what else is allowed, or what to do, for the message.

    Examples
    --------
    >>> from tcalloc._checks import number
    >>> number("level", 95, 0, 1, hint=", such as 0.95")
    Traceback (most recent call last):
    tcalloc.errors.InputError: level is 95; expected a number between 0 and 1, such as 0.95.
    """
    if not is_number(value) or not math.isfinite(value) or not (low <= value <= high if ends else low < value < high):
        if high == math.inf:
            span = f", at least {low:g}" if ends else f" above {low:g}"
        else:
            span = f" from {low:g} to {high:g}" if ends else f" between {low:g} and {high:g}"
        raise InputError(f"{name} is {value!r}; expected {of or 'a number'}{span}{hint}.")
    return float(value)


def level_of(name: str, value: Any) -> float:
    """Return the level of an interval or a bound: a number between 0 and 1."""
    return number(name, value, 0, 1, hint=", such as 0.95")


def flag(name: str, value: Any) -> bool:
    """Return a truth value of Python or NumPy as a bool.

    Examples
    --------
    >>> from tcalloc._checks import flag
    >>> flag("gate", "no")
    Traceback (most recent call last):
    tcalloc.errors.InputError: gate is 'no'; allowed are True and False.
    """
    if not isinstance(value, (bool, np.bool_)):
        raise InputError(f"{name} is {value!r}; allowed are True and False.")
    return bool(value)


def one_of(name: str, value: Any, known: Iterable[str], hint: str = "") -> str:
    """Return a name that must be one of several; `hint` is what else is allowed, for the end of the message's list.

    Examples
    --------
    >>> from tcalloc._checks import one_of
    >>> one_of("regressor", "rigde", ["ridge", "xgboost"])
    Traceback (most recent call last):
    tcalloc.errors.InputError: regressor is 'rigde'; allowed are 'ridge' and 'xgboost'. Did you mean 'ridge'?
    """
    names = list(known)
    if isinstance(value, str) and value in names:
        return value
    *most, last = [*map(repr, names), *([hint] if hint else [])]
    listed = f"{', '.join(most)} and {last}" if most else last
    raise InputError(f"{name} is {value!r}; allowed are {listed}.{did_you_mean(value, names)}")


def did_you_mean(word: Any, known: Iterable[Any]) -> str:
    """Return a question that suggests a similar name, for the end of a message; "" if nothing resembles the word.

    Upper and lower case count as equal. Known names that are not texts are ignored.

    Examples
    --------
    >>> from tcalloc._checks import did_you_mean
    >>> did_you_mean("slove", ["frontier", "solve"])
    " Did you mean 'solve'?"
    >>> did_you_mean("answer", ["frontier", "solve"])
    ''
    """
    names = {name.casefold(): name for name in known if isinstance(name, str)}
    found = difflib.get_close_matches(str(word)[:LONGEST].casefold(), names, n=1, cutoff=ALIKE)
    return f" Did you mean {names[found[0]]!r}?" if found else ""
