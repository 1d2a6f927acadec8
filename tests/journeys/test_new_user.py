"""What a new user trips over with a log of their own: gaps, edges, and whether commands run as printed."""

import json

import numpy as np
import pytest

from tcalloc import InputError, Samples, cli, compare
from tcalloc.evaluate.report import render
from tcalloc.learn.holdout.certify import certify
from tcalloc.learn.saving.policy_folder import load_policy

HINT = "If a verifier recognises right answers live"


def log_of(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def marks(count, right, models=("a", "b")):
    """One call per model; `right(i, model)` is None where the model was not asked."""
    for i in range(count):
        for model in models:
            if (correct := right(i, model)) is not None:
                yield {"id": f"q{i}", "model": model, "correct": bool(correct), "cost": 4e-5 if model == "a" else 9e-5}


def imported(folder, rows):
    run = str(folder / "run")
    assert cli.main(["import", log_of(folder / "log.jsonl", rows), "--out", run]) == 0
    return run


# ---------------------------------------------------------------------------------------------- models asked in part


def half(i, model):
    """The small model is right on a third; the large one, asked every other question, always."""
    return (None if i % 2 else True) if model == "b" else i % 3 == 0


def test_a_model_that_was_asked_half_of_the_questions_is_compared_on_those(tmp_path, capsys):
    run = imported(tmp_path, marks(80, half))
    capsys.readouterr()
    assert cli.main(["compare", run, "--policies", "random,fixed k", "--folds", "2", "--jobs", "1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["questions"] == 40
    # It was 50 %: a question that nobody asked counted as a wrong answer for nothing.
    assert dict(zip(found["actions"], found["action_accuracy"], strict=True))["one b"] == 1.0
    assert any("40 of 80 questions are left out" in remark and "a: 80, b: 40" in remark for remark in found["remarks"])


@pytest.mark.parametrize("kind", [list, np.array])
def test_what_is_known_of_a_question_stays_with_it(kind):
    asked = np.arange(60) % 3 > 0
    marked = np.where(asked, 1, -1)[:, None]
    arms = {"a": Samples(correct=np.ones((60, 1), int), cost=1.0), "b": Samples(correct=marked, cost=3.0)}
    seen = []

    def own(X, train, budget):
        seen.extend(np.asarray(X).ravel().tolist())
        return None

    X = kind([[float(i)] for i in range(60)])
    labels = ["asked" if there else "not" for there in asked]
    with pytest.raises(InputError):  # None is no policy; what it was handed is what counts
        compare(Samples(arms=arms), [], [2.0], own={"mine": own}, X=X, difficulty=labels, folds=2, n_jobs=1)
    assert seen
    assert set(seen) <= set(np.flatnonzero(asked).tolist())


def test_a_policy_is_fitted_where_every_model_was_asked(tmp_path, capsys):
    run = imported(tmp_path, marks(80, half))
    capsys.readouterr()
    assert cli.main(["fit", run, "--budget", "5e-5", "--out", str(tmp_path / "p"), "--folds", "2"]) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{run}: 40 questions")
    assert "40 of 80 questions are left out" in err


def test_models_without_a_common_question_are_refused(tmp_path, capsys):
    run = imported(tmp_path, marks(40, lambda i, model: i % 4 > 1 if (i % 2 == 0) == (model == "a") else None))
    for argv in (["compare", run], ["fit", run, "--budget", "5e-5", "--out", str(tmp_path / "p")]):
        capsys.readouterr()
        assert cli.main(argv) == 1
        assert "no question was asked of every model (a: 20, b: 20 of 40 questions)" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- all right, all wrong


@pytest.mark.parametrize("policy", ["best fixed mixture", "fixed k"])
def test_a_log_where_nothing_is_right_is_fitted(policy, tmp_path, capsys):
    run = imported(tmp_path, marks(30, lambda i, model: False))
    argv = ["fit", run, "--budget", "5e-5", "--out", str(tmp_path / "p"), "--folds", "2", "--policy", policy]
    assert cli.main(argv) == 0
    assert "because no action was ever right" in capsys.readouterr().err
    assert set(load_policy(tmp_path / "p").action_names_) == {"nothing", "one a"}


def test_the_mixture_gains_nothing_over_itself():
    rng = np.random.default_rng(0)
    cost = np.full(100, 4e-5)
    samples = Samples(correct=(rng.random((100, 1)) < 0.67).astype(int), cost=cost[:, None])
    found = certify(np.ones(100, int), samples, 16750.0, budget=4e-5, actions=[None, samples.usual_actions()[0]])
    assert found.gain.value == 0
    assert not found.gain.high - found.gain.low < 1e-6  # an interval without width says that nothing can be otherwise
    assert "-0.0" not in str(found)
    assert "; not held out" not in str(found).split("of the oracle's gain")[1].splitlines()[0]
    assert "Half of the samples is too few to choose" in found.notes[0]


def test_who_serves_the_mixture_has_no_interval_of_no_width(tmp_path):
    result = compare(Samples.load(imported(tmp_path, marks(40, half))), ["fixed k"], [9e-5], folds=2, n_jobs=1)
    assert result["fixed k"].does_the_same(0)
    words, page = str(result), render(result)
    assert "±0.0" not in words
    assert "[0.0, 0.0]" not in page
    assert "same: at that spend it does" in words
    assert "as the mixture" in page


# ---------------------------------------------------------------------------------------------- notes


def test_one_note_speaks_of_all_models_and_nobody_is_advised_to_say_what_is_said(tmp_path, capsys):
    run = imported(tmp_path, marks(30, lambda i, model: i % 2))
    err = capsys.readouterr().err
    assert err.count(HINT) == 1
    assert "a, b: 60 samples are marked right or wrong but have no answer" in err
    for argv in (
        ["compare", run, "--policies", "random", "--folds", "2", "--jobs", "1"],
        ["solve", run, "--budget", "1"],
    ):
        assert cli.main(argv) == 0
        assert HINT in capsys.readouterr().err
        assert cli.main([*argv, "--verifier"]) == 0
        assert HINT not in "".join(capsys.readouterr())


def test_decide_says_the_unit(tmp_path, capsys):
    run = imported(tmp_path, marks(30, lambda i, model: model == "b"))
    assert cli.main(["fit", run, "--budget", "5e-5", "--out", str(tmp_path / "p"), "--folds", "2"]) == 0
    new = log_of(tmp_path / "new.jsonl", [{"id": "n", "question": "6 times 7?"}])
    capsys.readouterr()
    assert cli.main(["decide", str(tmp_path / "p"), new, "--unit", "usd"]) == 0
    out = capsys.readouterr().out
    assert "at the policy's budget of $0.00005" in out
    assert "cost ($)" in out
    assert "Expected spend: $" in out
