"""Values in logs: what a row may hold, and what is said of what it may not."""

import math
import re
from collections.abc import Sequence
from typing import Any

from tcalloc.errors import InputError
from tcalloc.measure._jsonl import snippet

__all__ = ["Failed", "Unusable", "name", "quantity", "right", "split_id", "text", "whole"]


class Failed(Exception):
    """A request that failed: no sample, and no mistake of the file."""


class Unusable(InputError):
    """What is wrong with the whole log, or with how it is to be read: no row is worth skipping for it."""


def name(value: Any, name: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int) or (isinstance(value, str) and not value.strip()):
        raise InputError(f"{name!r} is {snippet(value)}; expected text or a whole number")
    return str(value)


def text(value: Any, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    raise InputError(f"{name!r} is {snippet(value)}; expected text")


def right(value: Any, name: str) -> bool | None:
    if value is None:
        return None
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    raise InputError(f"{name!r} is {snippet(value)}; expected true, false, 1 or 0")


def whole(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or not 0 <= value < 10**6:
        raise InputError(f"{name!r} is {snippet(value)}; expected a whole number from 0")
    return int(value)


def quantity(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name!r} is {snippet(value)}; expected a number")
    if value < 0 and name not in ("logprob", "score"):
        raise InputError(f"{name!r} is {value}; expected a number of at least 0")
    if name.endswith("tokens") and value == int(value):
        return int(value)
    return value


def split_id(pattern: "re.Pattern[str]", name: str) -> tuple[str, int | None]:
    """Return question and sample number of a name that holds both."""
    match = pattern.fullmatch(name[:500])
    if match is None:
        raise InputError(f"the id {snippet(name)} does not match --split-id")
    groups: Sequence[str] = list(pattern.groupindex)
    number = match["sample"] if "sample" in groups else None
    if number is not None and not number.isdecimal():
        raise InputError(f"the id {snippet(name)}: its group 'sample' is {snippet(number)}, not a whole number")
    return match["id"], None if number is None else int(number)
