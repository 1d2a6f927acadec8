"""What a notebook shows of an object whose name is typed: a few lines, nothing secret; and frames of any text."""

import json

import numpy as np
import pytest

import tcalloc
from tcalloc import Samples, Vote
from tcalloc.importing.import_logs import import_logs
from tcalloc.llm.http.replies import Choice, Reply
from tcalloc.llm.questions import as_questions
from tcalloc.llm.regrading import Grading
from tcalloc.llm.sampler import Outcome
from tcalloc.runs.store import Run, Store, read_run
from tcalloc.serve.answers import Answered, Answers

LONG = "a long text " * 5000
MANY = tuple(f"{i}: {LONG}" for i in range(500))
HALF = "q\ud800"


def answered(**more):
    given = {"id": "q", "answer": "42", "text": "six times seven", "spend": 1.0, "samples": 1, "rounds": 1}
    return Answered(**given | {"vote_share": 1.0, "correct": True} | more)


def shown():
    log = [{"id": i, "model": m, "answer": "1", "gold": "1", "comment": LONG} for i in range(3) for m in ("a", "b")]
    yield "question", as_questions([{"question": LONG, "choices": ["a", "b"], "few_shot": [[LONG, LONG]]}])[0]
    yield "answered", answered(text=LONG, error=LONG)
    yield "answers", Answers(tuple(answered(id=str(i), text=LONG) for i in range(500)), 500, None, 1, None, 1.0)
    yield "outcome", Outcome(
        out="run", arm="a", wanted=9, there=0, drawn=9, failed=0, requests=9, spent=None, lost=0.0, seconds=1.0,
        reasons=MANY, notes=MANY, ungraded_words=LONG,
    )  # fmt: skip
    yield "grading", Grading("run", "numeric", 2, 2, 0, 2, 1, notes=MANY)
    yield "choice", Choice(LONG, "stop")
    yield "run", Run({"arms": [{"parameters": {"system": LONG}}] * 500}, [{"id": "q"}] * 9, [{"model": "m"}] * 9)
    yield "import", log


@pytest.mark.parametrize(("name", "it"), list(shown()), ids=lambda it: it if isinstance(it, str) else "")
def test_it_is_short(name, it, tmp_path):
    if name == "import":
        log = tmp_path / "log.jsonl"
        log.write_text("\n".join(map(json.dumps, it)))
        it = import_logs(log, tmp_path / "run")
        it.notes += MANY
        assert repr(it).startswith("ImportReport(")
        assert "3 questions, 6 samples, 2 models, 100.0 % right" in repr(it)
    assert len(repr(it)) < 800
    assert repr(it).count("\n") <= 4


def test_comparisons_and_certificates(monkeypatch):
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    samples = Samples(np.where(rng.random((60, 6)) < 0.6, 0, rng.integers(1, 4, (60, 6))))
    result = tcalloc.compare(samples, policies=["ESC"], budgets=[2.0])
    assert repr(result) == "Comparison(60 questions, 2 policies at spends 2; print it for the table)"
    assert len(str(result).splitlines()) > 10
    report = tcalloc.fit(samples, budget=2.0, X=["a question"] * 60)
    assert repr(report.certificate).startswith("Certificate(60 questions, accuracy=")
    assert len(repr(report.certificate)) < 200
    assert len(repr(result.recommend())) < 1200


def test_nothing_in_it_steers_a_terminal():
    evil = "\x1b]0;title\x07\x9b2J\u202e"
    for it in (answered(id=evil, text=evil, answer=evil), as_questions([evil])[0]):
        for text in (str(it), repr(it), f"{it}"):
            assert not set(evil) & set("\x1b\x07\x9b\u202e") & set(text)


def test_a_reply_does_not_show_all_of_it():
    reply = Reply((Choice(LONG, "stop"),) * 50, 1, False, LONG, LONG)
    assert len(repr(reply)) < 2000


# ---------------------------------------------------------------------------------------------- texts no UTF-8 holds


def test_half_of_a_surrogate_pair_in_frames(tmp_path):
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    log = tmp_path / "log.jsonl"
    rows = [{"id": f"{HALF}{i}", "answer": str(j), "gold": "1", "text": "a\udc00", "model": "m"}
            for i in range(3) for j in range(2)]  # fmt: skip
    log.write_text("\n".join(map(json.dumps, rows)))
    import_logs(log, tmp_path / "run")
    run = read_run(tmp_path / "run")
    assert run.to_frame()["id"].tolist()[::2] == ["q\\ud8000", "q\\ud8001", "q\\ud8002"]
    assert run.to_arrow().column("text").to_pylist() == ["a\\udc00"] * 6
    plan = Samples.load(tmp_path / "run").table([Vote(1), Vote(2)]).solve(1.5)
    assert plan.to_frame()["id"].tolist() == ["q\\ud8000", "q\\ud8001", "q\\ud8002"]
    named = tcalloc.solve([[0.1, 0.9]], [1.0, 2.0], 2.0, action_names=[HALF, "b"], ids=np.array([HALF]))
    assert named.to_frame()[["id", "name"]].values.tolist() == [["q\\ud800", "b"]]
    answers = Answers((answered(id=HALF, text=HALF),), 1, None, 1, None, 1.0)
    assert answers.to_frame()["text"].tolist() == ["q\\ud800"]


def test_arrow_has_the_fields_of_all_samples(tmp_path):
    """The first one may lack some: its text was not kept."""
    pytest.importorskip("pyarrow")
    with Store.create(tmp_path / "run", {"arms": []}, [{"id": "a", "gold": "1", "accept": []}]) as store:
        store.append({"id": "a", "sample": 0, "params": "p"})
        store.append({"id": "a", "sample": 1, "params": "p", "text": "kept", "cost": 0.5})
    table = read_run(tmp_path / "run").to_arrow()
    assert table.column("text").to_pylist() == [None, "kept"]
    assert table.column("cost").to_pylist() == [None, 0.5]
