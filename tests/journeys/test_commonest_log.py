"""The commonest company log from end to end: model, right or wrong, dollars; one call per model, without answers."""

import json

import numpy as np
import pytest
from chaos import Chaos

from tcalloc import Samples, cli, compare
from tcalloc.learn import Mixture
from tcalloc.learn.saving.policy_folder import load_policy
from tcalloc.learn.sequential import Sequential
from tcalloc.learn.training import NOTHING

pytest.importorskip("aiohttp")

MODELS = {"small": (0.5, 4e-5), "mid": (0.7, 1.2e-4), "large": (0.9, 6e-4)}
BUDGET = 3e-4


def rows(texts, answers=False):
    rng = np.random.default_rng(0)
    for q in range(60):
        for model, (chance, cost) in MODELS.items():
            right = bool(rng.random() < chance)
            row = {"id": f"q{q}", "model": model, "cost": cost * rng.uniform(0.8, 1.2)}
            row |= {"answer": "a" if right else "b", "gold": "a"} if answers else {"correct": right}
            yield row | ({"question": f"What is {q} + {q}?"} if texts else {})


def imported(tmp_path, name="run", **options):
    log = tmp_path / f"{name}.jsonl"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows(**options)), encoding="utf-8")
    assert cli.main(["import", str(log), "--out", str(tmp_path / name)]) == 0
    return tmp_path / name


@pytest.mark.parametrize("texts", [True, False])
def test_import_compare_fit_answer(texts, tmp_path, capsys):
    run, policy, new = imported(tmp_path, texts=texts), tmp_path / "policy", tmp_path / "new.jsonl"
    capsys.readouterr()
    argv = ["compare", str(run), "--policies", "priced,cascade,ESC", "--folds", "2", "--jobs", "1", "--json"]
    assert cli.main(argv) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["verifier"] is False
    assert found["actions"] == ["one small", "one mid", "one large", "nothing"]
    assert ("priced" in found["skipped"]) is not texts
    for name in ("cascade", "ESC"):
        assert "If a verifier recognises right answers live, say verifier=True (--verifier)" in found["skipped"][name]
    assert cli.main(["solve", str(run), "--budget", str(BUDGET), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["action_names"] == ["one small", "one mid", "one large"]
    if texts:
        assert cli.main(["fit", str(run), "--budget", str(BUDGET), "--out", str(policy), "--folds", "2"]) == 0
    else:
        samples = Samples.load(run)
        Mixture(BUDGET).fit([str(name) for name in samples.ids], samples).save(policy)
    names = set(load_policy(policy).action_names_)
    assert names - {NOTHING} == {"one small", "one mid", "one large"}
    new.write_text(
        "".join(json.dumps({"id": f"n{i}", "question": f"{i} + {i}", "answer": str(2 * i)}) + "\n" for i in range(30)),
        encoding="utf-8",
    )
    assert cli.main(["decide", str(policy), str(new), "--json"]) == 0
    capsys.readouterr()
    argv = ["answer", str(new), "--policy", str(policy), "--budget", str(BUDGET), "--model", "small", "--json"]
    with Chaos() as server:
        code = cli.main([*argv, "--also-model", "mid", "--also-model", "large", "--base-url", server.url])
        asked = {request["body"]["model"] for request in server.requests}
    out, err = capsys.readouterr()
    assert code == 0, err
    answers = json.loads(out)
    assert "verifier" not in err
    assert answers["samples"] == 1.0  # one plain call each
    assert asked <= set(MODELS)
    assert 0.5 * BUDGET < answers["spend"] <= BUDGET * (1 + 1e-9)
    assert (answers["unanswered"], len(answers["answers"])) == (0, 30)


def test_the_same_facts_with_and_without_answers_recommend_the_same(tmp_path):
    found = []
    for answers in (False, True):
        run = imported(tmp_path, f"run{answers}", texts=False, answers=answers)
        found.append(compare(str(run), folds=3, orders=2))
    marks, told = found
    assert marks.recommend().policy == told.recommend().policy == "best fixed mixture"
    np.testing.assert_allclose(marks["best fixed mixture"].accuracy, told["best fixed mixture"].accuracy)
    np.testing.assert_allclose(marks["best fixed mixture"].spend, told["best fixed mixture"].spend)


def test_a_verifier_counts_only_where_the_user_says_that_there_is_one(tmp_path):
    run = imported(tmp_path, texts=False)
    result = compare(str(run), ["cascade", "fixed k, success stop"], [2e-4], folds=2, orders=2, verifier=True)
    assert result.verifier
    assert {"cascade", "fixed k, success stop"} <= {standing.name for standing in result.standings}
    with pytest.raises(ValueError, match=r"own\['mine'\] stops at what a verifier accepts"):
        compare(str(run), ["random"], [2e-4], own={"mine": Sequential(answer_by="verifier")})
