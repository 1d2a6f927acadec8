"""What a run folder may hold: the types and ranges of its manifest, questions and samples, checked on reading.

A run folder may come from a stranger. The checksum of a line finds damage; it does not make a line harmless.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Required, TypedDict, get_args, get_type_hints

from tcalloc._checks import is_number
from tcalloc.runs.held_samples import MOST_SAMPLES

__all__ = ["LARGEST", "PLAIN", "SampleRecord", "manifest_problem", "question_problem", "record_problem"]

# So that no sum or product of them leaves float64.
LARGEST = 1e100
# A number with its least value; null is "not known", never 0.
_Amount = Annotated[float | None, 0.0]
_Number = Annotated[float | None, -LARGEST]


class SampleRecord(TypedDict, total=False):
    """One sample, a line of samples.jsonl: what the sampler and the importer write, and all readers read.

    To change a field, change it here (and in `PLAIN`): mypy and `tests/runs/test_records.py` name the places that use
    it. A field that is renamed makes stored folders unreadable, so raise `tcalloc.runs.run_files.SCHEMA` with it.
    """

    id: Required[str]
    """The question's."""
    sample: Required[int]
    """Its number among the samples of this question and `params`, from 0."""
    params: Required[str]
    """A hash of what was asked: model, parameters and prompt."""
    arm: str | None
    """The model as users call it."""
    model: str | None
    """The model as the server calls it."""
    text: str | None
    """The completion. It is left out once it is graded, unless texts are kept."""
    answer: str | float | bool | None
    """What the grader took for the answer, normalized; null: none."""
    correct: bool | None
    """Null: it could not be graded."""
    error: str | None
    """Why it could not be graded."""
    finish: str | None
    """Why the model ended: "stop", "length", ..."""
    truncated: bool | None
    """Whether it ended at the most tokens allowed."""
    input_tokens: _Amount
    """Of the whole request, which may have several choices."""
    cached_tokens: _Amount
    """Of the input tokens, those that the provider read from its cache."""
    cache_write_tokens: _Amount
    """Of the input tokens, those that the provider wrote to its cache."""
    cache_write_1h_tokens: _Amount
    """Of these, those that it keeps for an hour."""
    output_tokens: _Amount
    reasoning_tokens: _Amount
    """Of the output tokens, those that are not shown."""
    estimated: bool | None
    """Whether tokens were counted here because the server did not."""
    logprob: _Number
    """Sum over its tokens."""
    confidence_mean: _Amount
    """How sure the model was, the mean over its tokens: see `tcalloc.llm.confidence`."""
    confidence_tail: _Amount
    """The same at its end."""
    confidence_lowest: _Amount
    """The same where it is lowest."""
    score: _Number
    """Of a reward model, higher is better."""
    seed: _Number
    choice: _Amount
    """Its place among the choices of its request."""
    choices: _Amount
    """How many choices its request had."""
    cost: _Amount
    """In the unit of the rates."""
    request_cost: _Amount
    """Of `cost`, what this sample pays for its request whatever the answers: the prompt, and a price per request. All
    choices of a request pay the same share."""
    seconds: _Amount
    """How long its request took."""


PLAIN = (
    "sample", "model", "finish", "truncated", "input_tokens", "cached_tokens", "cache_write_tokens",
    "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "estimated", "logprob", "choice", "choices", "cost",
    "request_cost", "seconds",
)  # fmt: skip
"""The fields that say nothing of texts: what a gateway keeps that stores none."""


def _fields(kind: Any) -> tuple[str, ...]:
    """Return the optional fields of a type."""
    hints = get_type_hints(SampleRecord, include_extras=True)
    return tuple(name for name, hint in hints.items() if hint == kind)


_TEXTS, _SWITCHES = _fields(str | None), _fields(bool | None)
_LEAST = {name: get_args(kind)[1] for kind in (_Amount, _Number) for name in _fields(kind)}


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) < 10**40 else "a number of more than 40 digits"
    return text if len(text) <= 40 else text[:37] + "..."


def _is_number(value: Any, least: float) -> bool:
    return is_number(value) and least <= value <= LARGEST


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
    for name, least in _LEAST.items():
        if (value := get(name)) is not None and not _is_number(value, least):
            allowed = "a finite number or null" if least < 0 else f"a number from 0 to {LARGEST:g}, or null"
            return f"{name} is {_shown(value)}; expected {allowed}"
    answer = get("answer")
    if answer is not None and type(answer) not in (str, bool) and not _is_number(answer, -LARGEST):
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
