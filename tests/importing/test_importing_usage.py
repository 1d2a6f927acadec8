"""Logs that hold what a provider counted: the whole prompt, and what its cache had a part in, per provider."""

import pytest

from tests.helpers.import_cases import imported, told

KEYS = ("input_tokens", "cached_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens")
ANTHROPIC = {
    "input_tokens": 2048,
    "cache_read_input_tokens": 1800,
    "cache_creation_input_tokens": 248,
    "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
    "output_tokens": 503,
}
OPENAI = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "prompt_tokens_details": {"cached_tokens": 1920},
}
DEEPSEEK = {
    "prompt_tokens": 100,
    "completion_tokens": 7,
    "prompt_cache_hit_tokens": 64,
    "prompt_cache_miss_tokens": 36,
}


@pytest.mark.parametrize(
    ("columns", "read"),
    [
        ({"usage": ANTHROPIC}, (4096, 1800, 248, 100, 503)),
        ({"response": {"usage": ANTHROPIC}}, (4096, 1800, 248, 100, 503)),
        ({k: v for k, v in ANTHROPIC.items() if k != "cache_creation"}, (4096, 1800, 248, None, 503)),
        ({"usage": OPENAI}, (2006, 1920, None, None, 300)),
        ({"usage": OPENAI | {"prompt_tokens_details": None}}, (2006, None, None, None, 300)),
        ({"usage": DEEPSEEK}, (100, 64, None, None, 7)),
        ({"prompt_tokens": 50, "cached_tokens": 20, "completion_tokens": 3}, (50, 20, None, None, 3)),
    ],
)
def test_usage_in_columns(columns, read, tmp_path):
    rows = [{"id": f"q{i}", "target": "4", "prediction": "4", **columns} for i in range(3)]
    _, run = imported(tmp_path, rows)
    assert told(run, *KEYS) == [read] * 3


@pytest.mark.parametrize(
    ("usage", "read"),
    [(OPENAI, (2006, 1920, 0, 0, 300)), (DEEPSEEK, (100, 64, 0, 0, 7)), (ANTHROPIC, (4096, 1800, 248, 100, 503))],
)
def test_usage_in_replies(usage, read, tmp_path):
    body = {"choices": [{"index": 0, "message": {"content": "so it is 4"}, "finish_reason": "stop"}], "usage": usage}
    rows = [{"id": f"q{i}", "target": "4", "response": body} for i in range(3)]
    _, run = imported(tmp_path, rows, grader="numeric")
    assert told(run, *KEYS) == [read] * 3


def test_the_responses_api(tmp_path):
    usage = {
        "input_tokens": 2006,
        "input_tokens_details": {"cached_tokens": 1920},
        "output_tokens": 300,
        "output_tokens_details": {"reasoning_tokens": 200},
    }
    content = [{"type": "output_text", "text": "so it is 4"}]
    body = {"output": [{"type": "message", "content": content}], "usage": usage, "status": "completed"}
    rows = [{"custom_id": f"q{i}", "response": {"status_code": 200, "body": body}} for i in range(3)]
    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join(f'{{"id": "q{i}", "question": "2 + 2", "answer": "4"}}\n' for i in range(3)))
    _, run = imported(tmp_path, rows, questions=questions, grader="numeric")
    assert told(run, *KEYS, "reasoning_tokens") == [(2006, 1920, 0, 0, 300, 200)] * 3
