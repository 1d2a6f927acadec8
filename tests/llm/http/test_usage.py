"""What providers count: their own examples, read to the token and priced to the last digit; and counts that are none.

The examples are those of the providers' documentation, looked up on 2026-11-29:

OpenAI
    https://developers.openai.com/api/docs/guides/prompt-caching (Chat Completions and Responses API)
Anthropic
    https://platform.claude.com/docs/en/build-with-claude/prompt-caching (tracking cache performance, 1-hour cache)
vLLM
    https://github.com/vllm-project/vllm/issues/16162 (``--enable-prompt-tokens-details``; null without it)
DeepSeek
    https://api-docs.deepseek.com/guides/kv_cache, and the reply of its API reference with these fields
"""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcalloc import Rates
from tcalloc.llm.http.replies import TokenCounter, parse_reply
from tcalloc.llm.http.usage import Usage, read_usage

OPENAI = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
RESPONSES = {
    "input_tokens": 2006,
    "input_tokens_details": {"cached_tokens": 1920},
    "output_tokens": 300,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 2306,
}
ANTHROPIC = {
    "input_tokens": 2048,
    "cache_read_input_tokens": 1800,
    "cache_creation_input_tokens": 248,
    "output_tokens": 503,
    "cache_creation": {"ephemeral_5m_input_tokens": 148, "ephemeral_1h_input_tokens": 100},
}
VLLM = {
    "prompt_tokens": 24,
    "completion_tokens": 73,
    "total_tokens": 97,
    "prompt_tokens_details": {"cached_tokens": 16},
}
VLLM_WITHOUT = VLLM | {"prompt_tokens_details": None}
DEEPSEEK = {
    "prompt_tokens": 10,
    "completion_tokens": 48,
    "total_tokens": 58,
    "prompt_tokens_details": {"cached_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 38},
    "prompt_cache_hit_tokens": 0,
    "prompt_cache_miss_tokens": 10,
}


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (OPENAI, Usage(2006, 1920, 0, 0, 300, 0)),
        (RESPONSES, Usage(2006, 1920, 0, 0, 300, 0)),
        (ANTHROPIC, Usage(2048 + 1800 + 248, 1800, 248, 100, 503, 0)),
        (VLLM, Usage(24, 16, 0, 0, 73, 0)),
        (VLLM_WITHOUT, Usage(24, 0, 0, 0, 73, 0)),
        (DEEPSEEK, Usage(10, 0, 0, 0, 48, 38)),
        # Its cache alone, as older versions of its API count it.
        ({"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36, "completion_tokens": 5},
         Usage(100, 64, 0, 0, 5)),
        # OpenAI's count of what was written; LiteLLM's of an Anthropic model, whose prompt_tokens are the whole.
        (OPENAI | {"prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 1920}},
         Usage(2006, 0, 1920, 0, 300, 0)),
        (OPENAI | {"cache_creation_input_tokens": 80}, Usage(2006, 1920, 80, 0, 300, 0)),
    ],
)  # fmt: skip
def test_examples_of_the_documentation(usage, read):
    assert read_usage(usage) == read
    body = {"choices": [{"index": 0, "message": {"content": "x" * 40}, "finish_reason": "stop"}], "usage": usage}
    reply = parse_reply(json.dumps(body).encode(), 1, 40, TokenCounter())
    assert reply.prompt == (read.input_tokens, read.cached_tokens, read.cache_write_tokens, read.cache_write_1h_tokens)
    assert (reply.output_tokens, reply.choices[0].reasoning_tokens) == (read.output_tokens, read.reasoning_tokens)
    assert not reply.input_estimated
    assert not reply.choices[0].estimated


# What the providers' price lists make of their examples, in dollars per million tokens: gpt-4o, Claude Sonnet 4
# (reads 0.1, writes 1.25 and 2 times the input price), deepseek-chat; a vLLM of one's own has one price per token.
@pytest.mark.parametrize(
    ("usage", "rates", "millionths"),
    [
        (OPENAI, Rates.per_million(2.5, 10, cached_input=1.25), 86 * 2.5 + 1920 * 1.25 + 300 * 10),
        (RESPONSES, Rates.per_million(2.5, 10, cached_input=1.25), 86 * 2.5 + 1920 * 1.25 + 300 * 10),
        (
            ANTHROPIC,
            Rates.per_million(3, 15, cached_input=0.3, cache_write=3.75, cache_write_1h=6),
            2048 * 3 + 1800 * 0.3 + 148 * 3.75 + 100 * 6 + 503 * 15,
        ),
        (VLLM, Rates.per_million(0.2, 0.2), 97 * 0.2),
        (DEEPSEEK, Rates.per_million(0.28, 0.42, cached_input=0.028), 10 * 0.28 + 48 * 0.42),
        (DEEPSEEK, Rates.per_million(1, 2, 3, request=5), 5 + 10 * 1 + 10 * 2 + 38 * 3),
    ],
)
def test_examples_cost_what_the_price_list_says(usage, rates, millionths):
    read = read_usage(usage)
    cost = rates.of(
        read.input_tokens,
        read.output_tokens,
        read.reasoning_tokens,
        cached_tokens=read.cached_tokens,
        cache_write_tokens=read.cache_write_tokens,
        cache_write_1h_tokens=read.cache_write_1h_tokens,
    )
    assert math.isclose(cost * 1e6, millionths, rel_tol=1e-12)


BROKEN = [-1, -(10**30), 10**12, 1e300, math.inf, math.nan, 12.5, "12", "", [12], {"n": 12}, True, None]


@pytest.mark.parametrize("value", BROKEN, ids=repr)
@pytest.mark.parametrize("field", ["prompt_tokens", "completion_tokens"])
def test_what_is_no_count_is_estimated(field, value):
    body = {
        "choices": [{"index": 0, "message": {"content": "so it is " * 20}, "finish_reason": "stop"}],
        "usage": OPENAI | {"prompt_tokens_details": None, field: value},
    }
    reply = parse_reply(json.dumps(body).encode(), 1, 400, TokenCounter())
    if field == "prompt_tokens":
        assert reply.input_estimated
        assert reply.input_tokens == 100
        assert reply.output_tokens == 300
    else:
        assert reply.choices[0].estimated
        assert 40 <= reply.output_tokens <= 60
        assert reply.input_tokens == 2006


def test_a_missing_usage_is_neither_nothing_nor_one():
    for usage in (None, [], "none", {}, {"prompt_tokens": 0, "completion_tokens": 0}):
        body = {"choices": [{"message": {"content": "so it is " * 20}}], "usage": usage}
        reply = parse_reply(json.dumps(body).encode(), 1, 400, TokenCounter())
        assert reply.input_estimated
        assert reply.choices[0].estimated
        assert reply.input_tokens == 100
        assert reply.output_tokens >= 40
        # However short it is, a text has a token and its end.
        short = {"choices": [{"message": {"content": "4"}}], "usage": usage}
        reply = parse_reply(json.dumps(short).encode(), 1, 3, TokenCounter())
        assert (reply.input_tokens, reply.output_tokens) == (2, 2)


@pytest.mark.parametrize("value", [value for value in BROKEN if value is not None], ids=repr)
@pytest.mark.parametrize("usage", [OPENAI, ANTHROPIC, DEEPSEEK], ids=["openai", "anthropic", "deepseek"])
def test_broken_counts_of_the_cache_are_marked_and_cost_the_full_price(usage, value):
    broken = dict(usage)
    if "prompt_tokens_details" in broken:
        broken["prompt_tokens_details"] = {"cached_tokens": value}
    for name in ("cache_read_input_tokens", "prompt_cache_hit_tokens"):
        if name in broken:
            broken[name] = value
    read = read_usage(broken)
    assert read.doubtful
    assert read.cached_tokens == 0


def test_contradictions_are_the_most_that_they_can_mean():
    # A part that is larger than the whole stands beside it.
    assert read_usage(OPENAI | {"prompt_tokens": 86}) == Usage(2006, 1920, 0, 0, 300, 0, doubtful=True)
    # The documentation of Anthropic once showed an example whose parts do not add up.
    kept = {"ephemeral_5m_input_tokens": 456, "ephemeral_1h_input_tokens": 100}
    read = read_usage(ANTHROPIC | {"cache_creation": kept})
    assert read == Usage(2048 + 1800 + 556, 1800, 556, 100, 503, 0, doubtful=True)


VALUES = st.one_of(
    st.none(), st.integers(-5, 3000), st.integers(), st.floats(), st.text(max_size=3), st.just({}), st.booleans()
)
NAMES = [
    *("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "cached_tokens"),
    *("cache_read_input_tokens", "cache_creation_input_tokens", "prompt_cache_hit_tokens", "prompt_cache_miss_tokens"),
]
DETAILS = st.one_of(VALUES, st.dictionaries(st.sampled_from(["cached_tokens", "cache_write_tokens"]), VALUES))
KEPT = st.dictionaries(st.sampled_from(["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"]), VALUES)


@given(
    st.dictionaries(st.sampled_from(NAMES), VALUES),
    DETAILS,
    KEPT,
    st.dictionaries(st.just("reasoning_tokens"), VALUES),
)
def test_whatever_is_sent_parts_are_no_larger_than_the_whole(usage, details, kept, reasoning):
    usage |= {
        "prompt_tokens_details": details,
        "cache_creation": kept,
        "completion_tokens_details": reasoning,
    }
    read = read_usage(usage)
    assert read.input_tokens is None or 0 < read.input_tokens < 1e10
    assert read.output_tokens is None or 0 < read.output_tokens < 1e10
    assert 0 <= read.cache_write_1h_tokens <= read.cache_write_tokens
    if read.input_tokens is not None:
        assert read.cached_tokens + read.cache_write_tokens <= read.input_tokens
    if read.output_tokens is not None:
        assert 0 <= read.reasoning_tokens <= read.output_tokens
