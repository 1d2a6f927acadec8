"""What a run folder may hold: the types and ranges of its manifest, questions and samples, checked on reading.

A run folder may come from a stranger. The checksum of a line finds damage; it does not make a line harmless.
"""

from collections.abc import Mapping
from typing import Any

from tcalloc._checks import is_number
from tcalloc.runs.held_samples import MOST_SAMPLES

__all__ = ["manifest_problem", "question_problem", "record_problem"]

# So that no sum or product of them leaves float64.
_LARGEST = 1e100
_TEXTS = ("arm", "model", "text", "finish", "error")
_SWITCHES = ("correct", "truncated", "estimated")
_AMOUNTS = ("cost", "seconds", "input_tokens", "output_tokens", "reasoning_tokens", "choice", "choices")
_NUMBERS = ("logprob", "score", "seed")


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a number of more than 40 digits"
    return text if len(text) <= 40 else text[:37] + "..."


def _is_number(value: Any, least: float) -> bool:
    return is_number(value) and least <= value <= _LARGEST


def record_problem(record: Any) -> str | None:
    """Return what is wrong with a sample; None if nothing is."""
    if not isinstance(record, dict):
        return "not an object"
    for name in ("id", "params"):
        if not isinstance(record.get(name), str):
            return f"{name} is {_shown(record.get(name))}; expected a text"
    number = record.get("sample")
    if type(number) is not int or not 0 <= number < MOST_SAMPLES:
        return f"sample is {_shown(number)}; allowed are whole numbers from 0 to {MOST_SAMPLES - 1:,}"
    get = record.get
    for name in _TEXTS:
        if (value := get(name)) is not None and type(value) is not str:
            return f"{name} is {_shown(value)}; expected a text or null"
    for name in _SWITCHES:
        if (value := get(name)) is not None and type(value) is not bool:
            return f"{name} is {_shown(value)}; expected true, false or null"
    for name in _AMOUNTS:
        if (value := get(name)) is not None and not _is_number(value, 0):
            return f"{name} is {_shown(value)}; expected a number from 0 to {_LARGEST:g}, or null"
    for name in _NUMBERS:
        if (value := get(name)) is not None and not _is_number(value, -_LARGEST):
            return f"{name} is {_shown(value)}; expected a finite number or null"
    answer = get("answer")
    if answer is not None and type(answer) not in (str, bool) and not _is_number(answer, -_LARGEST):
        return f"answer is {_shown(answer)}; expected a text, a number or null"
    return None


def question_problem(question: Any) -> str | None:
    """Return what is wrong with a line of questions.jsonl; None if nothing is."""
    if not isinstance(question, dict):
        return "not an object"
    if not isinstance(question.get("id"), str):
        return f"id is {_shown(question.get('id'))}; expected a text"
    if not isinstance(question.get("question"), str | None):
        return f"question is {_shown(question['question'])}; expected a text or null"
    if isinstance(question.get("gold"), list | dict):
        return f"gold is {_shown(question['gold'])}; expected a text, a number or null"
    for name in ("accept", "choices"):
        value = question.get(name)
        if value is not None and (not isinstance(value, list) or any(isinstance(one, list | dict) for one in value)):
            return f"{name} is {_shown(value)}; expected a list of texts"
    return None


def manifest_problem(manifest: Mapping[str, Any]) -> str | None:
    """Return what is wrong with run.json beside its versions; None if nothing is."""
    files = manifest.get("files", [])
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        return f"files is {_shown(files)}; expected a list of names"
    arms = manifest.get("arms")
    if not isinstance(arms, list):
        return f"arms is {_shown(arms)}; expected a list"
    for i, arm in enumerate(arms):
        if not isinstance(arm, dict):
            return f"arms[{i}] is {_shown(arm)}; expected an object"
        if not isinstance(arm.get("arm"), str):
            return f"arms[{i}].arm is {_shown(arm.get('arm'))}; expected a text"
        for name, kind, said in (("model", str, "a text"), ("grader", str, "a text"), ("parameters", dict, "an object"),
                                 ("rates", dict, "an object")):  # fmt: skip
            if not isinstance(arm.get(name), kind | None):
                return f"arms[{i}].{name} is {_shown(arm[name])}; expected {said} or null"
    return None
