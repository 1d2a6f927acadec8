"""`tcalloc.fit`: the command line's work in Python, its report, and what it refuses."""

import dataclasses
import json
import re

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="policies need scikit-learn")

from policy_cli import main, write_log

import tcalloc
from tcalloc.evaluate.fit import Fitting
from tcalloc.evaluate.fit_report import RoutingReport, StoppingReport
from tcalloc.learn.registry import REFERENCE


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run folder with texts and kinds of questions."""
    folder = tmp_path_factory.mktemp("fit")
    write_log(folder / "log.jsonl", questions=60, tasks=True)
    assert main(["import", folder / "log.jsonl", "--out", folder / "run"]) == 0
    return folder


@pytest.fixture(scope="module")
def samples(home):
    return tcalloc.Samples.load(home / "run")


@pytest.fixture(scope="module")
def texts(home, samples):
    rows = [json.loads(line) for line in (home / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    known = {row["id"]: row["question"] for row in rows}
    return [known[name] for name in samples.ids]


def printed(capsys, *argv):
    capsys.readouterr()
    assert main(argv) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["kNN", "margin + cap"])
def test_the_command_line_prints_what_python_returns(home, texts, samples, name, capsys):
    out = home / "policy"
    argv = ["fit", home / "run", "--budget", 3, "--policy", name, "--folds", 2, "--seed", 3, "--out", out]
    report = tcalloc.fit(samples, 3.0, name, X=texts, folds=2, random_state=3)
    assert printed(capsys, *argv) == report.text(run=str(home / "run"), out=str(out)) + "\n"
    document = json.loads(printed(capsys, *argv, "--json"))
    assert document == {"run": str(home / "run"), "out": str(out)} | json.loads(json.dumps(report.to_dict()))
    assert str(report).startswith("60 questions")
    report.save(home / "mine")
    files = sorted(file.name for file in out.iterdir())
    assert files == sorted(file.name for file in (home / "mine").iterdir())
    assert all((out / file).read_bytes() == (home / "mine" / file).read_bytes() for file in files)


def test_a_run_folder_brings_its_texts(home, texts, samples):
    from_folder = tcalloc.fit(home / "run", 2.0, "prompt length", folds=2)
    assert from_folder.to_dict() == tcalloc.fit(samples, 2.0, "prompt length", X=texts, folds=2).to_dict()


def test_without_x_the_mixture_is_fitted(samples):
    report = tcalloc.fit(samples, 0.5, folds=2)
    assert isinstance(report, RoutingReport)
    assert report.name == REFERENCE
    assert 20 <= report.unanswered <= 40
    assert report.note() in " ".join(str(report).split())
    assert "without an answer, because the compute brings more on others." in report.note()
    kept = tcalloc.fit(samples, 1.5, answer_all=True, folds=2)
    assert (kept.unanswered, kept.note()) == (0, "")


def test_a_table_of_stopping_begins_at_one_sample():
    """Less than one sample leaves questions without an answer: that is listed only where it was asked for."""
    rng = np.random.default_rng(0)
    samples = tcalloc.Samples(np.where(rng.random((24, 4)) < rng.random((24, 1)), 0, 1), cost=0.25)
    fitted = tcalloc.fit(samples, 0.5, "sequential", folds=2)
    assert fitted.one_sample == 0.25
    assert fitted.frontier.spend[0] < 0.125  # which is known all the same
    for budget, first in ((0.5, 0.25), (0.125, 0.125)):
        report = dataclasses.replace(fitted, budget=budget)
        rows = re.split(r"spend +accuracy.*", str(report))[1].strip().splitlines()
        assert float(rows[0].split()[0]) == first
        assert ("left without an answer" in str(report)) == (first < 0.25)


def test_frames_are_taken_apart_as_lists_are(samples, texts):
    pandas = pytest.importorskip("pandas")
    kinds = ["proofs" if text.startswith("Prove") else "sums" for text in texts]
    rows = [{"text": text, "task": kind} for text, kind in zip(texts, kinds, strict=True)]
    one = tcalloc.fit(samples, 3.0, "difficulty label", X=rows, folds=2)
    other = tcalloc.fit(samples, 3.0, "difficulty label", X=pandas.DataFrame(rows), folds=2)
    assert one.categories == ("task",)
    assert one.to_dict() == other.to_dict()


def test_a_quarter_sets_the_price(samples):
    report = tcalloc.fit(samples, 4.0, "margin + cap", confidence=0.9)
    assert isinstance(report, StoppingReport)
    assert (report.questions, report.learned_from) == (60, 45)
    assert report.policy.guarantee_.confidence == 0.9
    assert report.note().startswith("a budget of 4 does not bind") == (report.frontier.spend[-1] < 4.0)


def test_questions_that_a_model_was_not_asked_are_left_out():
    rng = np.random.default_rng(0)
    hard = np.arange(50) % 3 == 0
    wrong = rng.integers(1, 5, (2, 50, 8)) * (hard[:, None] & (rng.random((2, 50, 8)) < 0.4))
    arms = {"small": wrong[0], "large": np.where(np.arange(50)[:, None] < 10, -2, wrong[1])}  # -2: not drawn
    texts = ["why? " * (9 if one else 1) for one in hard]
    arms = {name: tcalloc.Samples(codes) for name, codes in arms.items()}
    report = tcalloc.fit(tcalloc.Samples(arms=arms), 2.0, "prompt length", X=texts, folds=2)
    assert report.questions == 40
    asked = {name: arm.take(np.arange(10, 50)) for name, arm in arms.items()}
    same = tcalloc.fit(tcalloc.Samples(arms=asked), 2.0, "prompt length", X=texts[10:], folds=2)
    assert report.to_dict() == same.to_dict()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"policy": "nope"}, "policy is 'nope'; allowed are 'fixed k'"),
        ({"policy": "hindsight bound"}, "policy is 'hindsight bound', a bound, which cannot be fitted; allowed are"),
        ({"policy": "priced"}, "my run: the policy 'priced' cannot be fitted"),
        ({"policy": "difficulty label", "X": ["a"] * 60}, "my run: the policy 'difficulty label' cannot be fitted"),
        ({"policy": "prompt length", "X": np.ones((60, 2))}, "my run: the policy 'prompt length' cannot be fitted"),
        ({"X": ["a"] * 61}, "X has 61 rows, but there are 60 questions"),
        ({"folds": 1}, "folds is 1; expected a whole number, at least 2"),
        ({"folds": 31}, "my run: 60 questions; at least 62 are needed"),
        ({"random_state": -1}, "random_state is -1; expected a whole number, at least 0"),
        ({"random_state": 1.5}, "random_state is 1.5; expected a whole number, at least 0"),
        ({"verifier": "yes"}, "verifier is 'yes'; allowed are True and False"),
        ({"answer_all": 1}, "answer_all is 1; allowed are True and False"),
        ({"low": 1.0}, "low and high belong to confidence, which is None"),
        ({"confidence": 95}, "confidence"),
        ({"budget": -1.0}, "budget is -1"),
        ({"budget": "much"}, "budget is 'much'"),
    ],
)
def test_refusals(samples, more, words):
    with pytest.raises(tcalloc.InputError) as error:
        Fitting.of(samples, **({"budget": 2.0, "place": "my run"} | more)).report()
    assert words in str(error.value)


def test_other_data_are_refused():
    with pytest.raises(tcalloc.InputError, match="samples is list; expected Samples, or the path of a run folder"):
        tcalloc.fit(["What is 1 + 1?"], 2.0)


@pytest.mark.parametrize(("policy", "measured_by"), [(REFERENCE, "certify"), ("margin + cap", "_fixed_numbers")])
def test_a_fit_is_stored_before_it_is_measured(samples, policy, measured_by, tmp_path, monkeypatch):
    def interrupted(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr(f"tcalloc.evaluate.fit.{measured_by}", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tcalloc.fit(samples, 3.0, policy, folds=2, out=tmp_path / "policy")
    assert tcalloc.load_policy(tmp_path / "policy").budget == 3.0


def test_a_folder_of_the_users_is_refused_before_the_work(samples, tmp_path, monkeypatch):
    monkeypatch.setattr("tcalloc.evaluate.recipe.Recipe.fit", None)  # no work may begin
    (tmp_path / "mine.txt").write_text("mine")
    for out, words in ((tmp_path, "holds other files"), (tmp_path / "mine.txt", "not a folder")):
        with pytest.raises(tcalloc.InputError, match=words):
            tcalloc.fit(samples, 3.0, REFERENCE, folds=2, out=out)
    assert (tmp_path / "mine.txt").read_text() == "mine"
