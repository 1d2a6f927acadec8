"""Sampling against the chaos server: every fault has a clear outcome, loses nothing, hangs nowhere, costs once."""

import json
import re
import time
from collections import Counter
from dataclasses import asdict

import pytest
from chaos import Chaos, answer_text, completion, tokens_of

from tcalloc import Rates
from tcalloc.errors import InputError
from tcalloc.llm.client import ChatClient, Parameters
from tcalloc.llm.graders import Grade
from tcalloc.llm.http.retry import Backoff
from tcalloc.llm.http.transport import Timeouts
from tcalloc.llm.questions import Question
from tcalloc.llm.sampler import sample
from tcalloc.runs.store import read_run

FAST = Backoff(retries=8, base=0.01, cap=0.05, longest=0.3)
RATES = Rates.per_million(1.0, 2.0)
HANG = 300.0  # seconds; nothing here takes more than a few, but a machine may stand still for two minutes


class Numbers:
    name = "numbers"

    def __call__(self, question, text):
        found = re.findall(r"\d+", text)
        answer = found[-1] if found else None
        return Grade(answer, None if question.gold is None else answer == question.gold)


def questions(count=6):
    return [
        Question(str(i), ({"role": "user", "content": f"{i} + {i}"},), f"{i} + {i}", str(2 * i)) for i in range(count)
    ]


def client_of(server, **options):
    options = {"rates": RATES, "backoff": FAST, "timeouts": Timeouts(2.0, 2.0, 5.0)} | options
    parameters = options.pop("parameters", Parameters(temperature=0.8, max_tokens=50))
    return ChatClient(server.url, "tiny", parameters, **options)


def draw(server, out, count=6, n=3, **options):
    chosen = {
        key: options.pop(key) for key in list(options) if key in ("parameters", "timeouts", "backoff", "key", "rates")
    }
    with client_of(server, **chosen) as client:
        started = time.monotonic()
        outcome = sample(questions(count), client, Numbers(), n, out=str(out), **({"concurrency": 4} | options))
        assert time.monotonic() - started < HANG
        return outcome


def check(out, outcome, count=6, n=3):
    """Everything is there once, right, and paid once."""
    run = read_run(out)
    assert run.notes == []
    keys = Counter((r["id"], r["sample"]) for r in run.records)
    assert keys == Counter((str(i), j) for i in range(count) for j in range(n))
    assert outcome.complete
    assert outcome.spent == pytest.approx(sum(r["cost"] for r in run.records))
    for record in run.records:
        question = f"{record['id']} + {record['id']}"
        assert record["text"] == answer_text(question, record["seed"], record["choice"])
        if not record["estimated"] and record["choices"] == 1:
            assert record["output_tokens"] == tokens_of(record["text"])
            assert record["cost"] == pytest.approx((20 / record["choices"] + 2 * record["output_tokens"]) / 1e6)
        assert record["output_tokens"] > 0
        assert record["input_tokens"] > 0
    return run


RETRIED = [
    ["429"] * 3,
    ["429:0.1"],
    ["429:Wed, 21 Oct 2015 07:28:00 GMT"],
    ["ok"] + ["429"] * 12,
    ["status:500", "status:502", "status:503"],
    ["loading"] * 4,
    ["reset"] * 3,
    ["close"] * 3,
    ["cut"] * 2,
    ["cut_chunked"] * 2,
    ["chunked"] * 5,
    ["slow:0.5"],
    ["truncated_json", "ok", "truncated_json"],
    ["ok", "html"],
    ["ok", "huge", "huge:chunked"],
    ["ok", "error_200", "error_200:503"],
    ["no_choices"],
    ["twice"] * 6,
    ["twice:0.02"] * 6,
    ["repeated_choices"] * 6,
    ["ok"] * 3 + ["previous", "ok", "ok", "previous"],
    ["ok", "429", "reset", "cut", "error_200:500", "html", "429:0.05", "truncated_json", "close"],
]


@pytest.mark.parametrize("script", RETRIED, ids=lambda script: "+".join(dict.fromkeys(script)))
def test_what_is_tried_again(script, tmp_path):
    with Chaos(script) as server:
        # "previous" is a duplicate only once the reply itself is there.
        outcome = draw(server, tmp_path / "run", concurrency=1 if "previous" in script else 4)
        run = check(tmp_path / "run", outcome)
    assert outcome.failed == 0
    assert outcome.requests == len(server.requests)
    # No sample was asked for again once its answer came. A second reply takes the place of one other reply: of the next
    # sample's, or, if it is late, of what is asked again.
    seconds = sum(name.startswith("twice") for name in script)
    assert sum(server.answered.values()) <= 18 + seconds
    assert max(server.answered.values()) <= (1 + seconds if script[0] == "twice:0.02" else 1 + (script[0] == "twice"))
    assert len({r["seed"] for r in run.records}) == len(run.records)


def test_a_server_with_one_id_for_all(tmp_path):
    def same(handler, body):
        handler.reply(200, completion(body) | {"id": "chatcmpl-0"})

    with Chaos(default=same) as server:
        check(tmp_path / "run", draw(server, tmp_path / "run"))
    assert 18 < len(server.requests) <= 18 + 4  # once is doubted by each thread at most


def test_a_stall_and_a_drip_end_by_the_time_limits(tmp_path):
    with Chaos(["ok", "stall:20", "drip:0.05"]) as server:
        outcome = draw(server, tmp_path / "run", timeouts=Timeouts(1.0, 0.5, 1.0))
        check(tmp_path / "run", outcome)
        assert outcome.lost > 0  # the server may have billed them


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("quota", "quota is used up"),
        ("status:402", "quota is used up"),
        ("unknown_model", "does not know the model 'tiny'"),
        ("bad_key", "wants a key"),
        ("redirect", "redirects are not followed"),
        ("status:400", "status 400"),
        ("status:418", "status 418"),
        ("html", "is the URL right"),
        ("status:500", "status 500"),
    ],
)
def test_what_stops_everything(fault, words, tmp_path):
    with Chaos(default=fault) as server:
        outcome = draw(server, tmp_path / "run", 40)
    assert words in outcome.stopped
    assert "\n" not in outcome.stopped
    assert outcome.drawn == 0
    assert len(server.requests) <= 16
    assert outcome.spent == 0
    assert read_run(tmp_path / "run").records == []
    with Chaos() as server:  # and then it goes on
        check(tmp_path / "run", draw(server, tmp_path / "run", 40), 40)


def test_quota_in_the_middle_keeps_what_is_there(tmp_path):
    with Chaos(["ok"] * 7, default="quota") as server:
        outcome = draw(server, tmp_path / "run")
        assert "quota" in outcome.stopped
        assert outcome.drawn == 7
    with Chaos() as server:
        outcome = draw(server, tmp_path / "run")
        assert (outcome.there, outcome.drawn, len(server.requests)) == (7, 11, 11)
        check(tmp_path / "run", outcome)


def test_one_refused_question_does_not_stop_the_others(tmp_path):
    def refuse(handler, body):
        if body["messages"][-1]["content"] == "3 + 3":
            handler.error(400, "This model's maximum context length is exceeded")
        else:
            handler.answer(body)

    with Chaos(default=refuse) as server:
        outcome = draw(server, tmp_path / "run")
    assert (outcome.drawn, outcome.failed, outcome.stopped) == (15, 3, None)
    assert outcome.reasons == (f"{server.url}: status 400: This model's maximum context length is exceeded.",)


def test_503_until_restart(tmp_path):
    with Chaos() as server:
        draw(server, tmp_path / "run", max_requests=5)
        port = server.port
    with Chaos(["loading"] * 5, port=port) as server:
        check(tmp_path / "run", draw(server, tmp_path / "run"))


def test_nobody_there(tmp_path):
    with Chaos() as server:
        pass
    outcome = draw(server, tmp_path / "run")
    assert (
        outcome.stopped
        == f"{server.url}: 127.0.0.1:{server.port} refused the connection. Is the server running, and is the URL right?"
    )


@pytest.mark.parametrize(
    "fault", ["ok", "ignored_n", "limited", "first_usage", "no_usage", "zero_usage", "repeated_choices"]
)
@pytest.mark.parametrize("logprobs", [False, True])
def test_several_choices_per_request(fault, logprobs, tmp_path):
    with Chaos(default=fault) as server:
        parameters = Parameters(max_tokens=50, logprobs=logprobs)
        outcome = draw(server, tmp_path / "run", 4, 8, n_per_request=8, parameters=parameters)
        run = check(tmp_path / "run", outcome, 4, 8)
    limited = any("choices per request" in note for note in outcome.notes)
    assert limited == (fault in ("ignored_n", "limited"))
    estimated = sum(r["estimated"] for r in run.records)
    true = sum(tokens_of(r["text"]) for r in run.records)
    assert sum(r["output_tokens"] for r in run.records) == pytest.approx(true, rel=0.5 if estimated else 0)
    usage = [note for note in outcome.notes if "estimated" in note]
    assert len(usage) == (estimated > 0)
    if fault == "no_usage":
        assert estimated
    elif fault in ("first_usage", "zero_usage"):
        assert bool(estimated) != logprobs
    else:
        assert not estimated
    if fault == "ok":
        assert len(server.requests) == 3 + 4  # three alone, then all the rest of each question at once


def test_a_field_that_the_server_does_not_take(tmp_path):
    with Chaos(default="no_seed") as server:
        outcome = draw(server, tmp_path / "run")
    assert outcome.complete
    assert any("does not take seed" in note for note in outcome.notes)
    assert sum("seed" in request["body"] for request in server.requests) <= 4


def test_truncated_answers_are_marked(tmp_path):
    with Chaos(default="length") as server:
        run = check(tmp_path / "run", draw(server, tmp_path / "run"))
    assert all(r["truncated"] and r["finish"] == "length" for r in run.records)


@pytest.mark.parametrize("fault", ["ok:0.005", "429", "reset"])
@pytest.mark.parametrize("limit", [1, 7, 17])
def test_max_requests_holds(fault, limit, tmp_path):
    with Chaos([fault] * 5, default="ok:0.005") as server:
        outcome = draw(server, tmp_path / "run", n=8, concurrency=16, max_requests=limit)
    assert len(server.requests) == outcome.requests == limit
    assert "max_requests" in outcome.stopped
    assert outcome.drawn == sum(server.answered.values())


@pytest.mark.parametrize("limit", [0.0004, 0.001, 0.002])
def test_max_cost_holds(limit, tmp_path):
    """Also over several calls, and whatever was lost."""
    for script in ([], ["reset"] * 3, []):
        with Chaos(script, default="ok:0.005") as server:
            outcome = draw(server, tmp_path / "run", 20, 16, concurrency=16, max_cost=limit, n_per_request=2)
        run = read_run(tmp_path / "run")
        assert outcome.spent == pytest.approx(sum(r["cost"] for r in run.records))
        assert outcome.spent + outcome.lost <= limit
        assert "max_cost" in outcome.stopped
    assert outcome.spent + outcome.lost > 0.6 * limit  # what an earlier call lost still counts


def test_max_cost_needs_prices_and_max_tokens(tmp_path):
    with Chaos() as server:
        with pytest.raises(InputError, match="needs prices"):
            draw(server, tmp_path / "run", rates=None, max_cost=1.0)
        with pytest.raises(InputError, match="needs max_tokens"):
            draw(server, tmp_path / "run", parameters=Parameters(), max_cost=1.0)


def test_a_crashing_grader_marks_the_answer(tmp_path):
    def crash(question, text):
        raise RuntimeError("no\nwords")

    with Chaos() as server, client_of(server) as client:
        outcome = sample(questions(), client, crash, 2, out=str(tmp_path / "run"))
    assert outcome.complete
    assert {r["error"] for r in read_run(tmp_path / "run").records} == {"RuntimeError: no words"}


def test_other_questions_and_graders_are_refused(tmp_path):
    with Chaos() as server, client_of(server) as client:
        sample(questions(3), client, Numbers(), 1, out=str(tmp_path / "run"))
        with pytest.raises(InputError, match="other questions"):
            sample(questions(4), client, Numbers(), 1, out=str(tmp_path / "run"))
        with pytest.raises(InputError, match="graded by 'numbers'"):
            sample(questions(3), client, lambda q, t: Grade(None, None), 1, out=str(tmp_path / "run"))


def test_two_models_in_one_folder(tmp_path):
    with Chaos() as server:
        for model in ("small", "large", "small"):
            with ChatClient(server.url, model) as client:
                outcome = sample(questions(3), client, Numbers(), 2, out=str(tmp_path / "run"))
    assert outcome.there == 6
    run = read_run(tmp_path / "run")
    assert [arm["model"] for arm in run.manifest["arms"]] == ["small", "large"]
    assert Counter(r["model"] for r in run.records) == {"small": 6, "large": 6}
    assert len({r["params"] for r in run.records}) == 6


def test_a_pilot_is_part_of_the_run(tmp_path):
    with Chaos() as server:
        outcome = draw(server, tmp_path / "run", 40, 4, pilot=5)
        assert (outcome.wanted, outcome.drawn, outcome.complete) == (5, 5, True)
        assert {r["id"] for r in read_run(tmp_path / "run").records} == {"4", "12", "20", "28", "36"}
        assert draw(server, tmp_path / "run", 40, 4, pilot=5).requests == 0
        check(tmp_path / "run", draw(server, tmp_path / "run", 40, 4), 40, 4)
        assert len(server.requests) == 160


def test_without_texts(tmp_path):
    with Chaos() as server:
        draw(server, tmp_path / "run", text=False)
    assert "answer is" not in (tmp_path / "run" / "samples.jsonl").read_text()


def test_nothing_of_the_key_is_written_anywhere(tmp_path, monkeypatch, capsys, caplog):
    secret = "sk-" + "a1b2c3d4" * 5
    monkeypatch.setenv("MY_KEY", secret)
    from tcalloc.llm.http.keys import find_key

    caplog.set_level(0)
    seen = []
    for i, script in enumerate(
        (["echo"] * 3, ["bad_key"] * 99, ["reset", "429", "truncated_json", "html", "cut", "echo"])
    ):
        with Chaos(script) as server:
            key = find_key(server.url, variable="MY_KEY")
            with client_of(server, key=key) as client:
                outcome = sample(questions(3), client, Numbers(), 3, out=str(tmp_path / f"run{i}"), progress=True)
                seen += [
                    repr(key),
                    repr(client),
                    repr(vars(client)),
                    repr(outcome),
                    repr(asdict(outcome)),
                    json.dumps(outcome.notes),
                ]
            assert server.requests[0]["headers"]["Authorization"] == f"Bearer {secret}"
    assert "does not accept the key" in "".join(seen)
    seen += [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    seen += [caplog.text, *capsys.readouterr()]
    assert "[key]" in "".join(seen)
    assert secret not in "".join(seen)
    assert secret[3:20] not in "".join(seen)


def test_questions_as_answer_takes_them(tmp_path):
    """A path, texts, or what lines hold; and a grader by its name."""
    rows = [{"id": str(i), "question": f"{i} + {i}", "answer": str(2 * i)} for i in range(3)]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with Chaos() as server, client_of(server) as client:
        for k, given in enumerate((path, rows, [row["question"] for row in rows])):
            out = str(tmp_path / f"run{k}")
            assert sample(given, client, "numeric", 1, out=out).complete
            records = read_run(out).records
            assert sorted(record["id"] for record in records) == ["0", "1", "2"]
            assert {record["correct"] is None for record in records} == {k == 2}  # texts have no gold answer
        sent = len(server.requests)
        for given, grader, words in (
            (rows, "guess", "unknown"),
            ([{"question": "1", "answer": "red"}], "numeric", "red"),
            ([*rows, rows[0]], "numeric", "like questions"),
        ):
            with pytest.raises(InputError, match=words):
                sample(given, client, grader, 1, out=str(tmp_path / "other"))
        assert len(server.requests) == sent
        assert not (tmp_path / "other").exists()
