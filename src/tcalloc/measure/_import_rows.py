"""Rows of logs, as samples: what a line of each format says.

Each reader takes one JSON object and returns a `Row`: a question's name, what the log knows of the question, and the
samples in it (a line may hold many). What is wrong with a row is raised as InputError without the place, which
the caller adds.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from tcalloc.errors import InputError
from tcalloc.measure import _import_values as values
from tcalloc.measure._import_values import Failed, Unusable
from tcalloc.measure._jsonl import snippet

__all__ = ["ALIASES", "EXAMPLES", "READERS", "Options", "Row", "Sample", "guess_format"]

# Our name of a field, and the names by which it is found if the user does not say otherwise.
ALIASES: dict[str, tuple[str, ...]] = {
    "id": ("id", "question_id", "qid", "doc_id", "custom_id", "task_id"),
    "question": ("question", "prompt", "problem"),
    "gold": ("gold", "target", "reference", "expected"),
    "accept": ("accept",),
    "choices": ("choices",),
    "text": ("text", "completion", "response", "output", "generation"),
    "answer": ("answer", "prediction", "pred", "extracted"),
    "correct": ("correct", "is_correct", "exact_match", "acc", "passed"),
    "sample": ("sample", "sample_index", "repeat"),
    "model": ("model", "model_name"),
    "cost": ("cost", "price"),
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens", "tokens"),
    "reasoning_tokens": ("reasoning_tokens",),
    "logprob": ("logprob",),
    "score": ("score", "reward"),
    "seconds": ("seconds", "latency"),
    "finish": ("finish", "finish_reason"),
}
QUESTION = ("question", "gold", "accept", "choices")
NUMBERS = ("cost", "input_tokens", "output_tokens", "reasoning_tokens", "logprob", "score", "seconds")
EXAMPLES = {
    "jsonl": '{"id": "q1", "answer": "42", "correct": true, "cost": 0.002}',
    "lm-eval": '{"doc_id": 0, "target": "42", "resps": [["... 42"]], "filtered_resps": ["42"], "exact_match": 1.0}',
    "openai-batch": '{"custom_id": "q1", "response": {"status_code": 200, "body": {"choices": [...]}}, "error": null}',
}
# Metrics of lm-evaluation-harness that say right or wrong; the first that is there counts.
METRICS = ("exact_match", "acc", "pass@1", "pass_at_1", "em", "math_verify", "correct")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
INVALID = ("[invalid]", "")


@dataclass(slots=True)
class Sample:
    """One sample of a log."""

    text: str | None = None
    answer: str | None = None
    correct: bool | None = None
    number: int | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Row:
    """One line of a log."""

    id: str
    samples: list[Sample]
    model: str | None = None
    question: dict[str, Any] = field(default_factory=dict)
    filter: str | None = None


@dataclass(frozen=True, slots=True)
class Options:
    """How rows are to be read."""

    fields: Mapping[str, str] = field(default_factory=dict)
    graded: bool = False
    filter: str | None = None
    metric: str | None = None


def guess_format(row: Mapping[str, Any]) -> str:
    """Return the format that a first row is of."""
    if "custom_id" in row and ("response" in row or "error" in row):
        return "openai-batch"
    if "doc_id" in row and ("resps" in row or "filtered_resps" in row):
        return "lm-eval"
    return "jsonl"


# ---------------------------------------------------------------------------------------------- JSON lines, data frames


def _read_generic(row: Mapping[str, Any], options: Options) -> Row:
    given = {name: _value(row, name, options.fields) for name in ALIASES}
    if given["id"] is None:
        fields = ", ".join(snippet(str(name), 20) for name in list(row)[:10])
        raise Unusable(f"no field 'id'; say which one it is, e.g. --field id=NAME. The fields are {fields}")
    results = {name: given[name] for name in ("text", "answer", "correct")}
    # A list holds one entry per sample.
    width = next((len(v) for v in results.values() if isinstance(v, list)), None)
    columns = {}
    for name in (*results, *NUMBERS, "finish"):
        value = given[name]
        if isinstance(value, list):
            if len(value) != width:
                raise InputError(
                    f"{name!r} has {len(value)} entries, others {width}; a list holds one entry per sample"
                )
            columns[name] = value
        else:
            columns[name] = [value] * (1 if width is None else width)
    number = None if given["sample"] is None else values.whole(given["sample"], "sample")
    if number is not None and width is not None:
        raise InputError("'sample' numbers one sample, but the row holds a list of them; drop it")
    samples = []
    for j in range(1 if width is None else width):
        entry = {name: column[j] for name, column in columns.items()}
        if all(entry[name] is None for name in results):
            fields = ", ".join(snippet(str(name), 20) for name in list(row)[:10])
            raise InputError(
                f"none of 'text', 'answer', 'correct'; name them, e.g. --field answer=NAME. The fields are {fields}"
            )
        facts: dict[str, Any] = {
            name: values.quantity(entry[name], name) for name in NUMBERS if entry[name] is not None
        }
        if entry["finish"] is not None:
            facts["finish"] = str(entry["finish"])
        samples.append(
            Sample(
                values.text(entry["text"], "text"),
                values.text(entry["answer"], "answer"),
                values.right(entry["correct"], "correct"),
                number,
                facts,
            )
        )
    question = {name: given[name] for name in QUESTION if given[name] is not None}
    model = given["model"]
    return Row(
        values.name(given["id"], "id"), samples, None if model is None else values.name(model, "model"), question
    )


def _value(row: Mapping[str, Any], name: str, fields: Mapping[str, str]) -> Any:
    if name not in fields:
        return next((row[alias] for alias in ALIASES[name] if row.get(alias) is not None), None)
    value: Any = row
    for part in [fields[name]] if fields[name] in row else fields[name].split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise InputError(f"no field {snippet(fields[name])}, which --field {name}= names")
        value = value[part]
    return value


# ---------------------------------------------------------------------------------------------- lm-evaluation-harness


def _read_lm_eval(row: Mapping[str, Any], options: Options) -> Row:
    if row.get("doc_id") is None:
        raise InputError("no field 'doc_id'; expected a line of samples_*.jsonl of lm-evaluation-harness")
    responses, filtered = row.get("resps"), row.get("filtered_resps")
    if not isinstance(filtered, list) or (responses is not None and not isinstance(responses, list)):
        raise InputError("'resps' and 'filtered_resps' must be lists, as lm-evaluation-harness writes them")
    document: dict[str, Any] = row["doc"] if isinstance(row.get("doc"), dict) else {}
    question = {"gold": row.get("target"), "question": _prompt(row.get("arguments")) or document.get("question")}
    scored = _scored(filtered)
    if scored is None:
        samples = _generated(row, responses, filtered, options)
        choices = document.get("choices")
        if isinstance(choices, list) and all(isinstance(choice, str) for choice in choices):
            question["choices"] = choices
    else:
        metric, right = _metric(row, options)
        gold = _letter(row.get("target"), len(scored))
        question["gold"] = gold
        # What acc_norm chose is not in the file; whether it was right is.
        chosen = (
            LETTERS[scored.index(max(scored))] if metric == "acc" and len(scored) <= 26 else gold if right else None
        )
        samples = [Sample(None, chosen, right)]
    known = {name: value for name, value in question.items() if value is not None}
    return Row(values.name(row["doc_id"], "doc_id"), samples, None, known, row.get("filter"))


def _generated(row: Mapping[str, Any], responses: Any, filtered: list[Any], options: Options) -> list[Sample]:
    texts = _leaves(responses or [])
    answers = _leaves(filtered)
    if not texts:
        texts = [None] * len(answers)
    if options.graded:
        return [
            Sample(text if text is not None else answer) for text, answer in zip_longest(texts, answers[: len(texts)])
        ]
    if len(texts) == 1:
        answer = answers[0] if len(answers) == 1 and answers[0] not in INVALID else None
        return [Sample(texts[0], answer, _metric(row, options)[1])]
    if len(answers) != len(texts):
        raise Unusable(
            f"{len(texts)} responses, but one score for all of them; grade each by --grader, e.g. --grader numeric"
        )
    # One answer each, and a score of something else (the first, or the majority): compared with the target.
    return [Sample(text, None if a in INVALID else a) for text, a in zip(texts, answers, strict=True)]


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value if isinstance(value, str) else json.dumps(value)]


def _scored(filtered: list[Any]) -> list[float] | None:
    """Return the log-likelihoods of the choices; None if text was generated."""
    pairs = [
        pair for pair in filtered if isinstance(pair, list) and len(pair) == 2 and str(pair[1]) in ("True", "False")
    ]
    if len(pairs) < 2 or len(pairs) != len(filtered):
        return None
    try:
        return [float(pair[0]) for pair in pairs]
    except (TypeError, ValueError):
        return None


def _metric(row: Mapping[str, Any], options: Options) -> tuple[str, bool]:
    listed: list[Any] = row["metrics"] if isinstance(row.get("metrics"), list) else []
    names = [options.metric] if options.metric else [*METRICS, *(listed if len(listed) == 1 else [])]
    for name in names:
        value = row.get(name)
        if isinstance(value, bool | int | float):
            if value not in (0, 1):
                raise Unusable(f"{name!r} is {value}; expected 0 or 1. Name another by --metric, or grade by --grader")
            return name, bool(value)
    known = ", ".join(
        repr(key) for key, value in row.items() if isinstance(value, bool | int | float) and key != "doc_id"
    )
    which = f"no metric {options.metric!r}" if options.metric else "no metric that is known to say right or wrong"
    raise Unusable(f"{which}; name one by --metric (there is {known or 'none'}), or grade by --grader")


def _prompt(arguments: Any) -> str | None:
    """Return the prompt of the first request, in either layout of the field."""
    for key in ("gen_args_0", "arg_0"):
        if isinstance(arguments, dict):
            arguments = arguments.get(key)
    while isinstance(arguments, list) and arguments:
        arguments = arguments[0]
    return arguments if isinstance(arguments, str) else None


def _letter(target: Any, choices: int) -> str | None:
    text = str(target).strip()
    if text.isdecimal() and len(text) < 3 and int(text) < min(choices, 26):
        return LETTERS[int(text)]
    return text or None


# ---------------------------------------------------------------------------------------------- OpenAI batch output


def _read_batch(row: Mapping[str, Any], options: Options) -> Row:
    from tcalloc.llm.replies import BadReply, ServerError, TokenCounter, parse_reply

    if row.get("custom_id") is None:
        raise InputError("no field 'custom_id'; expected a line of an OpenAI batch's output")
    response, error = row.get("response"), row.get("error")
    if not isinstance(response, dict):
        raise Failed(_reason(error))
    status, body = response.get("status_code", 200), response.get("body")
    if status != 200 or not isinstance(body, dict):
        raise Failed(_reason(body.get("error") if isinstance(body, dict) else error, status))
    body = _as_chat(body)
    listed = body.get("choices")
    n = len(listed) if isinstance(listed, list) else 1
    try:
        reply = parse_reply(json.dumps(body).encode(), n, 0, TokenCounter())
    except ServerError as failure:
        raise Failed(_reason(failure.body.get("error"))) from None
    except BadReply as failure:
        raise InputError(f"response.body: {failure}; expected a chat completion") from None
    samples = []
    for choice in reply.choices:
        facts: dict[str, Any] = {
            "output_tokens": choice.output_tokens,
            "reasoning_tokens": choice.reasoning_tokens,
            "estimated": choice.estimated,
            "finish": choice.finish,
        }
        if not reply.input_estimated:
            facts["input_tokens"] = reply.input_tokens
        if choice.logprob is not None:
            facts["logprob"] = choice.logprob
        samples.append(Sample(choice.text, facts=facts))
    return Row(values.name(row["custom_id"], "custom_id"), samples, reply.model or None)


def _as_chat(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body of /v1/completions or /v1/responses as one of /v1/chat/completions."""
    if isinstance(body.get("output"), list):  # /v1/responses
        parts = [
            part.get("text") or ""
            for item in body["output"]
            if isinstance(item, dict) and item.get("type") == "message"
            for part in item.get("content") or []
            if isinstance(part, dict) and part.get("type") == "output_text"
        ]
        usage: dict[str, Any] = body["usage"] if isinstance(body.get("usage"), dict) else {}
        finish = "length" if body.get("status") == "incomplete" else "stop"
        return {
            "model": body.get("model"),
            "choices": [{"index": 0, "message": {"content": "".join(parts)}, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": usage.get("input_tokens"),
                "completion_tokens": usage.get("output_tokens"),
                "completion_tokens_details": usage.get("output_tokens_details"),
            },
        }
    choices = body.get("choices")
    if isinstance(choices, list) and any(isinstance(c, dict) and "message" not in c and "text" in c for c in choices):
        choices = [
            {**c, "message": {"content": c.get("text")}, "logprobs": None} for c in choices if isinstance(c, dict)
        ]
        return body | {"choices": choices}
    return body


def _reason(error: Any, status: Any = None) -> str:
    if isinstance(error, dict):
        return str(error.get("code") or error.get("type") or error.get("message") or "unknown")[:60]
    return f"status {status}" if status is not None else "no response"


READERS: dict[str, Callable[[Mapping[str, Any], Options], Row]] = {
    "jsonl": _read_generic,
    "lm-eval": _read_lm_eval,
    "openai-batch": _read_batch,
}
