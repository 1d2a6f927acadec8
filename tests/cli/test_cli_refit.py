"""``tcalloc refit``: the table, the recommendation, its exit code, and what is refused."""

import json

import numpy as np
import pytest
from traffic import explored

from tcalloc.cli import main
from tcalloc.learn.saving.policy_folder import load_policy

CHANCES = np.where(np.arange(60) % 2, 0.5, 0.95)


@pytest.fixture
def seen(tmp_path):
    return explored(tmp_path / "seen", CHANCES, cost=0.001)


def test_the_first_policy_of_a_gateway_with_fixed_votes(seen, tmp_path, capsys):
    out = tmp_path / "policy"
    given = ["refit", "vote3", "--from", str(seen), "--out", str(out), "--policy", "margin + cap", "--unit", "usd"]
    code = main(given)
    said = capsys.readouterr().out
    assert code == 0
    assert f"{seen}: 60 explored requests" in said
    assert "margin + cap, for $0.003" in said
    assert "swap: yes, because the gain is at least" in said
    served = load_policy(out)
    assert served.start(None).next().n <= 2
    assert main(given) == 1
    assert "not overwritten" in capsys.readouterr().err


def test_no_swap_has_an_exit_code_of_its_own(seen, tmp_path, capsys):
    out = tmp_path / "policy"
    given = ["refit", "vote4", "--from", str(seen), "--out", str(out), "--policy", "fixed k", "--budget", "0.0015"]
    assert main([*given, "--json"]) == 3
    said = json.loads(capsys.readouterr().out)
    assert said["swap"] is False
    assert said["low"] < -0.005
    assert (out / "policy.json").exists()


def test_the_served_folder_is_the_one_to_replace(seen, tmp_path, capsys):
    policy, out = tmp_path / "policy", tmp_path / "policy2"
    assert main(["refit", "vote3", "--from", str(seen), "--out", str(policy), "--policy", "margin + cap"]) == 0
    for line in (seen / "questions.jsonl").read_text().splitlines():
        assert json.loads(line)["policy"] == ""
    capsys.readouterr()
    code = main(["refit", str(policy), "--from", str(seen), "--out", str(out), "--seed", "1"])
    said, notes = capsys.readouterr()
    # Served at another budget, it is compared at that one.
    options = ["--out", f"{out}4", "--served-budget", "0.002", "--json"]
    assert main(["refit", str(policy), "--from", str(seen), *options]) in (0, 3)
    assert json.loads(capsys.readouterr().out)["served_spend"] < 0.0023
    assert "does not say which policy was served" in notes
    assert (f"mv {policy} {policy}.old && mv {out} {policy}" in said) == (code == 0)


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (["nothing"], 1, "neither a policy's folder"),
        (["vote3", "--policy", "oracle, held out"], 2, "cannot be fitted"),
        (["vote3", "--folds", "1"], 2, "--folds"),
        (["vote3", "--labels", "nothing"], 2, "--labels"),
        (["vote3", "--served-budget", "2"], 2, "is one action, which has no budget"),
        (["vote3", "--budget", "0.0001", "--policy", "fixed k"], 1, "smallest"),
    ],
)
def test_what_is_refused(given, code, said, seen, tmp_path, capsys):
    assert main(["refit", *given, "--from", str(seen), "--out", str(tmp_path / "out")]) == code
    assert said in capsys.readouterr().err
