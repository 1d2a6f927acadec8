"""``tcalloc fit --confidence`` on runs whose samples cost different amounts."""

import json

import pytest

pytest.importorskip("sklearn", reason="policies need scikit-learn")

from policy_cli import write_log

from tcalloc import load_policy
from tcalloc.cli import main


@pytest.mark.parametrize(
    ("policy", "high", "said"),
    [("priced", "40", "every question costs between 0 and 40"), ("sequential", "4", "a sample costs at most 4")],
)
def test_the_most_that_can_be_paid_is_asked_for(policy, high, said, tmp_path, capsys):
    log = tmp_path / "log.jsonl"
    write_log(log, questions=40, samples=4)
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    log.write_text(
        "".join(json.dumps(row | {"cost": 1 + i % 3}) + "\n" for i, row in enumerate(rows)), encoding="utf-8"
    )
    assert main(["import", str(log), "--out", str(tmp_path / "run")]) == 0
    argv = ["fit", str(tmp_path / "run"), "--out", str(tmp_path / "policy"), "--policy", policy, "--budget", "9"]
    assert main([*argv, "--high", high]) == 1
    assert "--low and --high belong to --confidence" in capsys.readouterr().err
    argv += ["--confidence", "0.5", "--folds", "2"]
    assert main(argv) == 1
    assert "the highest cost seen is not the highest possible. Pass high=" in " ".join(capsys.readouterr().err.split())
    assert main([*argv, "--high", high]) == 0
    assert load_policy(tmp_path / "policy").guarantee_.assumptions[-1] == said
