"""Replies that are not what they should be: each costs one sample at most, and is never a wrong number."""

import copy
import json
import time

import pytest
from chaos import Chaos, completion
from hypothesis import given
from hypothesis import strategies as st

from tcalloc import Rates
from tcalloc.llm.client import ChatClient, Parameters
from tcalloc.llm.graders import make_grader
from tcalloc.llm.graders.text import any_key, text_key
from tcalloc.llm.http.replies import BadReply, ServerError, TokenCounter, error_of, is_quota, message_of, parse_reply
from tcalloc.llm.http.retry import Backoff
from tcalloc.llm.questions import Question, question_from
from tcalloc.llm.sampler import sample
from tcalloc.runs.store import read_run

HUGE = 10**400
DEEP = json.loads("[" * 400 + "]" * 400)
ODD = [
    HUGE,
    -HUGE,
    1e308,
    float("nan"),
    float("inf"),
    -1,
    0,
    0.5,
    True,
    None,
    "12",
    "",
    [],
    {},
    [HUGE],
    {"a": HUGE},
    DEEP,
]
BODY = {"model": "m", "messages": [{"role": "user", "content": "1 + 1"}], "n": 2, "seed": 1, "logprobs": True}


def whole():
    """A reply with every field that is looked at."""
    document = completion(BODY)
    document["usage"] = {
        "prompt_tokens": 5, "completion_tokens": 12, "total_tokens": 17,
        "completion_tokens_details": {"reasoning_tokens": 2},
    }  # fmt: skip
    for choice in document["choices"]:
        choice["message"]["reasoning_content"] = "hm"
        choice["message"]["content"] = [{"type": "text", "text": choice["message"]["content"]}]
    return document


def places(value, path=()):
    """Every place in a document."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*path, key))


def changed(path, value):
    document = whole()
    at = document
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize("path", [p for p in places(whole()) if p and 1 not in p], ids=lambda p: ".".join(map(str, p)))
def test_any_value_anywhere_is_a_reply_or_a_clear_error(path):
    for value in ODD:
        try:
            reply = parse_reply(changed(path, value), 2, 10, TokenCounter())
        except (BadReply, ServerError) as error:
            said = message_of(error.body["error"]) if isinstance(error, ServerError) else str(error)
            assert len(said) < 250
            continue
        assert 1 <= len(reply.choices) <= 2
        assert 0 < reply.input_tokens < 1e9
        for choice in reply.choices:
            assert isinstance(choice.text, str)
            assert isinstance(choice.finish, str)
            assert 0 <= choice.reasoning_tokens <= choice.output_tokens < 2e9
            assert choice.logprob is None or abs(choice.logprob) < 1e15
        json.dumps(copy.copy(reply.choices[0].logprob), allow_nan=False)


def test_logprobs_whose_sum_overflows():
    entries = [{"logprob": -1e308}] * 3
    path = ("choices", 0, "logprobs", "content")
    assert parse_reply(changed(path, entries), 2, 10, TokenCounter()).choices[0].logprob is None
    entries = [{"logprob": -9999.0}, {"logprob": -0.5}]
    assert parse_reply(changed(path, entries), 2, 10, TokenCounter()).choices[0].logprob == -9999.5


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": 3}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "output_text", "text": "a"}, {"type": "text"}, {"type": "text", "text": None}], "a"),
        ([], ""),
        (None, ""),
        ([{"type": "text", "text": 3}], None),
        ([{"type": "text", "text": {"value": "a"}}], None),
        (["a"], None),
        ([None], None),
        (3, None),
        ({"text": "a"}, None),
    ],
)
def test_content_in_parts(content, text):
    body = changed(("choices", 0, "message", "content"), content)
    if text is None:
        with pytest.raises(BadReply, match="not text"):
            parse_reply(body, 1, 10, TokenCounter())
    else:
        assert parse_reply(body, 1, 10, TokenCounter()).text == text


def test_a_wrong_count_does_not_spoil_estimates():
    counter = TokenCounter()
    parse_reply(changed(("usage", "completion_tokens"), 10**8), 1, 10, counter)
    assert counter.estimate(100) < 200


def test_errors_of_any_kind_are_words():
    for value in ODD:
        for body in ({"error": value}, {"error": {"message": value, "code": value, "type": value}}, {"detail": value}):
            error = error_of(json.dumps(body).encode())
            assert len(message_of(error)) <= 200
            assert is_quota(error) is False


def faulty(change):
    """A fault of the server: a proper reply with one change."""

    def fault(handler, body):
        document = completion(body)
        change(document)
        handler.reply(200, document)

    return fault


def test_one_bad_reply_costs_one_sample_and_never_the_run(tmp_path):
    def usage(document):
        document["usage"] = {"prompt_tokens": HUGE, "completion_tokens": HUGE, "total_tokens": -HUGE}

    def logprob(document):
        document["choices"][0]["logprobs"] = {"content": [{"token": "x", "logprob": HUGE}]}

    def parts(document):
        document["choices"][0]["message"]["content"] = [{"type": "text", "text": 5}]

    def tail(document):
        document["choices"][0] |= {"finish_reason": HUGE, "index": "0"}
        document |= {"id": HUGE, "model": DEEP}

    questions = [question_from({"question": f"{i} + {i}", "answer": str(2 * i)}, "q", str(i)) for i in range(6)]
    script = ["ok", *map(faulty, (usage, logprob, parts, tail))]
    with Chaos(script) as server:
        client = ChatClient(
            server.url,
            "m",
            Parameters(max_tokens=50),
            key=None,
            rates=Rates.per_million(1, 1),
            backoff=Backoff(bad_replies=0, base=0.01),
        )
        with client:
            outcome = sample(questions, client, make_grader("numeric"), 1, out=str(tmp_path / "run"), concurrency=1)
    assert (outcome.drawn, outcome.failed, outcome.stopped) == (5, 1, None)
    records = read_run(tmp_path / "run").records
    assert sum(record["estimated"] for record in records) == 1
    assert all(0 < record["cost"] < 1e-3 for record in records)


@given(st.text(alphabet="a\u0301\u0327\u0315\u0300\u0344\u0f71\u0f73\u0f81 b", max_size=40))
def test_normal_texts_are_normalized_as_before(text):
    import unicodedata

    from tcalloc.llm.graders.text import MARKS, _stream_safe

    safe = _stream_safe(text)
    assert safe.replace("\u034f", "") == text
    if len(text) <= MARKS // 2:
        assert safe == text
    run = longest = 0
    for c in unicodedata.normalize("NFKD", safe):
        run = run + 1 if unicodedata.combining(c) else 0
        longest = max(longest, run)
    assert longest <= MARKS


@pytest.mark.parametrize(
    "unit", ["\u0315\u0300", "\u0f73", "\u0344\u0315", "a\u0301\u0327", "\u1100\u1161", "((", "1,", "a "]
)
def test_no_text_makes_a_grader_slow(unit):
    text = "x" + unit * (80_000 // len(unit))
    started = time.process_time()
    key = text_key(text)
    text_key(text, accents=False)
    any_key(text)
    assert time.process_time() - started < 6  # 21 s before, for one of the three
    assert key is None or len(key) <= 200
    assert text_key(text + "y") != key or key is None


@pytest.mark.parametrize("grader", ["choice", "numeric", "normalized", "exact"])
@pytest.mark.parametrize("unit", ["choice ", "letter is\n", "A is the most ", "\\boxed{", "$1 ", "#### 1"])
def test_no_text_makes_a_whole_grader_slow(grader, unit):
    """A pattern that repeats is tried from each place: "choice choice choice ..." took the square of its length."""
    question = Question(id="q", messages=(), text="Which?")
    started = time.process_time()
    make_grader(grader)(question, unit * (80_000 // len(unit)))
    assert time.process_time() - started < 4  # 0.1 s; it was 9 s


def test_a_text_of_many_megabytes_has_a_key_at_once():
    started = time.process_time()
    keys = {text_key("The Answer " * 1_000_000 + end) for end in ("", "a", "b")}
    assert time.process_time() - started < 2
    assert len(keys) == 3
    assert all(key.startswith("answer answer") for key in keys)
