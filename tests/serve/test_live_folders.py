"""What live calls find in a run folder, or are given, and cannot take: one sentence, before anything is paid."""

import json

import pytest
from answering_cases import QUESTIONS, client_of
from chaos import Chaos

from tcalloc.errors import TcallocError
from tcalloc.learn.protocol import Always
from tcalloc.llm.graders import make_grader
from tcalloc.llm.questions import question_from
from tcalloc.llm.sampler import sample
from tcalloc.measure import Best, Vote
from tcalloc.runs.lines import seal
from tcalloc.serve.answer import answer

pytest.importorskip("aiohttp")

HALF = "\ud800"


def rewrite(folder, change):
    """Change the third sample of a run folder, and seal it again."""
    path = folder / "samples.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    record = json.loads(lines[2])
    del record["crc"]
    change(record)
    lines[2] = seal(record)
    path.write_bytes(b"".join(lines))


@pytest.mark.parametrize("verified", [False, True])
@pytest.mark.parametrize("field", ["answer", "correct", "text"])
def test_sealed_samples_that_lack_a_field(field, verified, tmp_path):
    policy = Always(Best(2)) if verified else Always(Vote(2))
    verifier = (lambda question, text: True) if verified else None
    out = tmp_path / "run"
    with Chaos() as server, client_of(server) as client:
        before = answer(QUESTIONS[:4], policy, client, verifier=verifier, out=str(out))
        rewrite(out, lambda record: record.pop(field))
        if field == "text" and not verified:  # as `tcalloc sample --no-text` stores it
            again = answer(QUESTIONS[:4], policy, client, out=str(out))
            assert [one.answer for one in again] == [one.answer for one in before]
        else:
            with pytest.raises(TcallocError, match=rf"samples\.jsonl, line 3: the sample has no {field}, which .*\.$"):
                answer(QUESTIONS[:4], policy, client, verifier=verifier, out=str(out))
        assert len(server.requests) == 8


def test_a_text_that_is_null_is_none(tmp_path):
    out = tmp_path / "run"
    with Chaos() as server, client_of(server) as client:
        given = {"verifier": lambda question, text: len(text) > 0, "out": str(out)}
        answer(QUESTIONS[:2], Always(Best(2)), client, **given)
        rewrite(out, lambda record: record.update(text=None))
        with pytest.raises(TcallocError, match="line 3: the sample has no text"):
            answer(QUESTIONS[:2], Always(Best(2)), client, **given)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"id": "a" + HALF},
            r"question 2 \('a\\ud800'\): its id holds half of a surrogate pair \(\\ud800, character 2\)",
        ),
        ({"question": HALF + "1 + 1"}, r"question 2 \('q1'\): its text holds half .*character 1"),
        ({"few_shot": [["1 + 1", HALF]]}, r"question 2 \('q1'\): its text holds half"),
        ({"answer": "2" + HALF}, r"question 2 \('q1'\): its answer holds half"),
        ({"accept": ["3", "x" + HALF]}, r"question 2 \('q1'\): its answer holds half"),
        ({"choices": ["1", HALF]}, r"question 2 \('q1'\): its choice holds half"),
    ],
)
def test_half_of_a_surrogate_pair_is_refused(change, words, tmp_path):
    rows = [QUESTIONS[0], QUESTIONS[1] | change]
    asked = [question_from(row, "here", "") for row in rows]
    with Chaos() as server, client_of(server) as client:
        with pytest.raises(TcallocError, match=words) as raised:
            answer(rows, Always(Vote(1)), client, grader="normalized")
        str(raised.value).encode()
        with pytest.raises(TcallocError, match=words):
            answer(asked, Always(Vote(1)), client, grader="normalized", out=str(tmp_path / "run"))
        with pytest.raises(TcallocError, match=words):
            sample(asked, client, make_grader("normalized"), 1, out=str(tmp_path / "run"))
        assert not server.requests
    assert not (tmp_path / "run").exists()


def test_half_of_a_pair_in_the_name_of_a_model(tmp_path):
    """It is asked for, stored and printed."""
    name, out = "m" + HALF, str(tmp_path / "run")
    with Chaos() as server, client_of(server, name) as client, client_of(server, "b") as other:
        given = QUESTIONS[:3], Always(Vote(2, model=name)), {name: client, "b": other}
        answers = answer(*given, out=out, budget=2.0)
        assert answers.complete
        str(answers).encode()
        repr(client).encode()
        assert answer(*given, out=out, budget=2.0).requests == 0
        with pytest.raises(TcallocError, match=r"m\\ud800") as raised:
            answer(QUESTIONS[:3], Always(Vote(2, model="c")), {name: client, "b": other})
        str(raised.value).encode()
        assert {request["body"]["model"] for request in server.requests} == {name}
