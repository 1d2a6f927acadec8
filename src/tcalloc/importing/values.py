"""Values in logs: what a row may hold, and what is said of what it may not."""

import ast
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tcalloc._checks import is_number
from tcalloc.errors import InputError
from tcalloc.runs.jsonl import snippet

__all__ = [
    "Failed",
    "Unusable",
    "alternatives",
    "is_reply",
    "message_text",
    "name",
    "quantity",
    "right",
    "split_id",
    "text",
    "whole",
]

# C, I and N (no answer) are Inspect's, pass, fail and timeout EvalPlus's.
MARKS: dict[str, bool] = {
    **dict.fromkeys(("true", "yes", "y", "1", "1.0", "pass", "passed", "c", "correct", "right"), True),
    **dict.fromkeys(("resolved", "solved"), True),
    **dict.fromkeys(("false", "no", "n", "0", "0.0", "fail", "failed", "i", "incorrect", "wrong"), False),
    **dict.fromkeys(("unresolved", "unsolved", "timeout", "timed out"), False),
}
_PARTS = ("text", "output_text")
# A sign or code of a currency before or after an amount.
_CURRENCY = re.compile(r"\s*(?:[$€£¥₹]|usd|eur|gbp)\s*(?=[\d.])|(?<=\d)\s*(?:[$€£¥₹]|usd|eur|gbp)\s*$", re.IGNORECASE)


class Failed(Exception):
    """A request that failed: no sample, and no mistake of the file."""


class Unusable(InputError):
    """What is wrong with the whole log, or with how it is to be read: no row is worth skipping for it."""


def name(value: Any, name: str) -> str:
    """Return the name of a question or model; an object's own name where it has one."""
    if isinstance(value, Mapping):
        value = next((value[key] for key in ("name", "id", "model") if isinstance(value.get(key), str)), value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int) or (isinstance(value, str) and not value.strip()):
        raise InputError(f"{name!r} is {snippet(value)}; expected text or a whole number")
    return str(value)


def text(value: Any, name: str) -> str | None:
    """Return an answer or a completion; None if there is none."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return str(value)
    found = message_text(value)
    if found is None:
        raise InputError(f"{name!r} is {snippet(value)}; expected text")
    return found


def message_text(value: Any) -> str | None:
    """Return the text in a message, in the parts of one, or of the first choice of a reply; None if it is none."""
    if isinstance(value, str):
        return value
    if is_reply(value):
        listed = value.get("choices") or [item for item in value["output"] if item.get("type") == "message"]
        return message_text(listed[0].get("message", listed[0])) if listed else None
    if isinstance(value, list) and value and all(isinstance(part, Mapping) and "type" in part for part in value):
        found = [part["text"] for part in value if part["type"] in _PARTS and isinstance(part.get("text"), str)]
        return "".join(found) if found else None
    if isinstance(value, Mapping):
        for key in ("content", "text", "message", "completion", "stem", "question"):
            if value.get(key) is not None:
                return message_text(value[key])
    return None


def is_reply(value: Any) -> bool:
    """Say whether an object is the body of a reply of an OpenAI-compatible server."""
    if not isinstance(value, Mapping):
        return False
    listed = value.get("choices", value.get("output"))
    return isinstance(listed, list) and bool(listed) and all(isinstance(item, Mapping) for item in listed)


def alternatives(value: Any) -> list[str] | None:
    """Return all right answers of a field that lists them, also where the list was written as text; else None.

    An object with a value and its aliases lists them too.
    """
    if isinstance(value, Mapping) and isinstance(value.get("value"), str):
        aliases = value.get("aliases")
        value = [value["value"], *(aliases if isinstance(aliases, list) else [])]
    if isinstance(value, str) and value.lstrip()[:1] == "[" and value.rstrip()[-1:] == "]":
        try:
            value = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
        if not all(isinstance(item, str) for item in value):
            return None  # one answer that is a list of numbers
    if not isinstance(value, list):
        return None
    kept = (str(item).strip() for item in value if isinstance(item, str | int | float) and str(item).strip())
    return list(dict.fromkeys(kept))


def right(value: Any, name: str) -> bool | None:
    """Return a mark; None if there is none."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool | int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.strip().casefold() in MARKS:
        return MARKS[value.strip().casefold()]
    share = isinstance(value, int | float) and 0 < value < 1
    hint = ". A share of right answers is no mark; give every sample its own" if share else ""
    raise InputError(
        f"{name!r} is {snippet(value)}; expected true or false, 1 or 0, pass or fail, C or I, also in quotes{hint}"
    )


def whole(value: Any, name: str) -> int:
    """Return a whole number from 0."""
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if not is_number(value) or value != int(value) or not 0 <= value < 10**6:
        raise InputError(f"{name!r} is {snippet(value)}; expected a whole number from 0")
    return int(value)


def quantity(value: Any, name: str) -> float | None:
    """Return a number, also one in quotes; None if there is none."""
    given = value
    if isinstance(value, str):
        if not value.strip():
            return None
        if name == "cost":
            value = _CURRENCY.sub("", value, count=1)
        try:
            value = float(value) if "_" not in value else None
        except ValueError:
            value = None
    if not is_number(value) or not math.isfinite(value):
        raise InputError(f"{name!r} is {snippet(given)}; expected a number")
    if value < 0 and name not in ("logprob", "score"):
        raise InputError(f"{name!r} is {given}; expected a number of at least 0")
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
