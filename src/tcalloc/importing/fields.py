"""Fields of a log: the names by which they are found, and how a path like ``raw.choices.0.text`` is followed."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

__all__ = ["ALIASES", "CACHE", "CLEAR_ANSWERS", "LIKELY_MODELS", "MISSING", "NUMBERS", "lookup"]

# Where logs keep what a provider counted.
_USAGES = ("usage", "response.usage", "output.usage")
# Our name of a field, and the paths by which it is found if the user does not name one; the first that fits counts.
# A "*" stands for the only key of an object, whatever it is called.
ALIASES: dict[str, tuple[str, ...]] = {
    "id": (
        *("id", "question_id", "qid", "doc_id", "custom_id", "task_id", "idx", "index", "uid", "uuid", "unique_id"),
        *("problem_id", "example_id", "instance_id", "item_id", "sample_id", "prompt_id", "key"),
        *("metadata.question_id", "metadata.id", "request_id"),
    ),
    "question": ("question", "problem", "query", "input", "instruction", "prompt", "messages"),
    "gold": (
        *("gold", "target", "reference", "expected", "ground_truth", "groundtruth", "gt", "gt_answer", "gold_answer"),
        *("golden_answer", "golden_answers", "gold_answers", "gold_label", "answer_key", "answerkey", "answerKey"),
        *("reference_answer", "ref_answer", "ref", "expected_answer", "expected_output", "correct_answer"),
        *("expectedOutput", "expectedAnswer", "correctAnswer"),
        *("correct_option", "correct_choice", "right_answer", "true_answer", "target_answer", "ideal", "truth"),
        *("solution_answer", "label"),
    ),
    "accept": ("accept", "aliases"),
    "choices": ("choices", "options"),
    "text": (
        *("completion", "completions", "response", "responses", "generation", "generations", "generated_text"),
        *("model_output", "model_outputs", "model_response", "output", "outputs", "raw_output", "raw_response"),
        *("sampled", "text", "content", "choices", "solution", "code"),
    ),
    "answer": (
        *("prediction", "predictions", "pred", "preds", "predicted", "predicted_answer", "pred_answer"),
        *("predicted_text", "model_answer", "model_answers", "extracted", "extracted_answer", "extracted_answers"),
        *("parsed_answer", "parsed", "final_answer", "generated_answer", "llm_answer", "student_answer", "actual"),
        *("scores.*.answer", "answer", "answers"),
    ),
    "correct": (
        *("correct", "is_correct", "is_right", "right", "correctness", "exact_match", "acc", "passed", "pass"),
        *("plus_status", "base_status", "success", "solved", "resolved", "is_match", "match", "em", "accuracy"),
        *("verdict", "grade", "judgement", "judgment", "evaluation", "outcome", "result", "status", "scores.*.value"),
        "scores.*",
        "score",
    ),
    "sample": ("sample", "sample_index", "sample_idx", "repeat", "epoch", "attempt", "trial", "rollout"),
    "model": (
        *("model", "model_name", "model_id", "model_name_or_path", "model_path", "model_slug", "engine", "llm"),
        *("llm_name", "generator", "response.model", "output.model"),
    ),
    "cost": (
        *("cost", "price", "cost_usd", "usd", "total_cost", "response_cost", "spend", "usage.cost"),
        *("usage.total_cost", "cost.total", "response.usage.cost", "calculatedTotalCost", "totalCost"),
    ),
    "input_tokens": (
        *("input_tokens", "prompt_tokens", "usage.prompt_tokens", "usage.input_tokens", "tokens.input"),
        *("tokens.prompt", "response.usage.input_tokens", "output.usage.input_tokens"),
        *("usage.input", "inputTokens", "promptTokens"),
    ),
    "cached_tokens": (
        *("cached_tokens", "cached_input_tokens", "cache_read_input_tokens", "prompt_cache_hit_tokens"),
        *(f"{usage}.{name}_tokens_details.cached_tokens" for usage in _USAGES for name in ("prompt", "input")),
        *(f"{usage}.{name}" for usage in _USAGES for name in ("cache_read_input_tokens", "prompt_cache_hit_tokens")),
    ),
    "cache_write_tokens": (
        *("cache_write_tokens", "cache_creation_input_tokens"),
        *(f"{usage}.{name}_tokens_details.cache_write_tokens" for usage in _USAGES for name in ("prompt", "input")),
        *(f"{usage}.cache_creation_input_tokens" for usage in _USAGES),
    ),
    "cache_write_1h_tokens": (
        *("cache_write_1h_tokens", "ephemeral_1h_input_tokens"),
        *(f"{usage}.cache_creation.ephemeral_1h_input_tokens" for usage in _USAGES),
    ),
    "output_tokens": (
        *("output_tokens", "completion_tokens", "tokens", "usage.completion_tokens", "usage.output_tokens"),
        *("tokens.output", "tokens.completion", "response.usage.output_tokens", "output.usage.output_tokens"),
        *("usage.output", "outputTokens", "completionTokens"),
    ),
    "reasoning_tokens": (
        *("reasoning_tokens", "usage.completion_tokens_details.reasoning_tokens"),
        *("usage.output_tokens_details.reasoning_tokens", "usage.reasoning_tokens"),
    ),
    "logprob": ("logprob",),
    "score": ("score", "reward"),
    "seconds": ("seconds", "latency"),
    "finish": ("finish", "finish_reason"),
}
CACHE = ("cached_tokens", "cache_write_tokens", "cache_write_1h_tokens")
NUMBERS = ("cost", "input_tokens", *CACHE, "output_tokens", "reasoning_tokens", "logprob", "score", "seconds")
# Names that can only mean what the model said. "answer" is the gold answer where one of these stands beside it.
CLEAR_ANSWERS = frozenset(ALIASES["answer"]) - {"answer", "answers"}
# Names of columns that hold models if their values each stand on most questions.
LIKELY_MODELS = frozenset(
    ("system", "agent", "provider", "deployment", "backend", "checkpoint", "variant", "config", "method", "strategy")
)


class _Missing:
    """What a row does not have, which is not the same as null."""


MISSING: Final = _Missing()


@lru_cache(maxsize=1000)
def _parts(path: str) -> tuple[str, ...]:
    return tuple(re.sub(r"\[(\d+)\]", r".\1", path).strip(".").split("."))


def lookup(row: Mapping[str, Any], path: str) -> Any:
    """Return what a path leads to in a row, or `MISSING`: ``text``, ``choices.0.text``, ``choices[0].text``.

    A name that is asked of a list is asked of each of its entries.
    """
    if path in row:
        return row[path]
    value: Any = row
    for part in _parts(path):
        value = _step(value, part)
        if value is MISSING:
            return MISSING
    return value


def _step(value: Any, part: str) -> Any:
    if isinstance(value, Mapping):
        if part in value:
            return value[part]
        return next(iter(value.values())) if part == "*" and len(value) == 1 else MISSING
    if isinstance(value, list):
        if part.isdecimal():
            return value[int(part)] if int(part) < len(value) else MISSING
        found = [_step(item, part) for item in value]
        if found and any(item is not MISSING for item in found):
            return [None if item is MISSING else item for item in found]
    return MISSING
