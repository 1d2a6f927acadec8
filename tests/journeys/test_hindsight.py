"""A table of single outcomes gives a bound, not a plan: everything that prints it says so first."""

import json

import numpy as np
import pytest

import tcalloc
from tcalloc import Samples, Vote
from tcalloc._frontier import Frontier
from tcalloc.cli import main
from tcalloc.measure import Best, Table


def outcomes(n=200, k=3, seed=0):
    return (np.random.default_rng(seed).random((n, k)) < [0.4, 0.55, 0.7][:k]).astype(float)


def write(path, acc, cost=(1, 3, 9)):
    names = [f"m{a}" for a in range(acc.shape[1])]
    lines = [",".join(["id", *(f"acc:{name}" for name in names), *(f"cost:{name}" for name in names)])]
    lines += [
        ",".join([f"q{i}", *("" if np.isnan(x) else f"{x:g}" for x in row)])
        + "".join("," + ("" if np.isnan(x) else f"{c:g}") for x, c in zip(row, cost, strict=False))
        for i, row in enumerate(acc)
    ]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def test_a_table_knows_that_it_holds_outcomes():
    acc = outcomes()
    assert Table(acc, [1, 3, 9]).single_outcomes is True
    assert Table(acc.astype(np.float32), [1, 3, 9]).single_outcomes
    assert Table(acc > 0, [1, 3, 9]).single_outcomes
    hidden = acc.copy()
    hidden[0, 2], there = 0.5, np.ones(acc.shape, bool)
    assert not Table(hidden, [1, 3, 9]).single_outcomes
    there[0, 2] = False
    assert Table(hidden, [1, 3, 9], available=there).single_outcomes
    late = np.tile(acc, (50, 1))
    late[-1, 0] = 0.25
    assert not Table(late, [1, 3, 9]).single_outcomes
    # Nothing is chosen by an outcome where there is no choice, or the same gain everywhere.
    assert not Table(acc[:, :1], [1]).single_outcomes
    assert not Table([[0.0, 1.0], [0.0, 1.0]], [1, 2]).single_outcomes
    assert not Table([[0.0, 1.0]], [1, 2]).single_outcomes


def test_plans_and_curves_of_outcomes_say_so():
    table = Table(outcomes(), [1, 3, 9])
    plan, curve = table.solve(3), table.frontier()
    assert plan.hindsight
    assert "in hindsight" in repr(plan)
    assert curve.hindsight
    for other in (curve.allocate(3), curve.allocate(accuracy=0.6), Frontier.merge([curve, curve]).allocate(3)):
        assert other.hindsight
    expected = Table(np.full((2, 2), 0.5), [1, 2])
    assert not expected.solve(2).hindsight
    assert not expected.frontier().allocate(2).hindsight
    assert "hindsight" not in repr(expected.solve(2))


def test_samples_with_one_answer_each_are_outcomes():
    acc = outcomes(k=2)
    arms = {f"m{a}": Samples(correct=acc[:, [a]] > 0) for a in range(2)}
    single = Samples(arms=arms).table([Best(1, "m0"), Best(1, "m1")], shrink=False)
    assert single.single_outcomes
    answered = {name: Samples(np.where(arm.correct, 0, 1)) for name, arm in arms.items()}
    assert Samples(arms=answered).table([Vote(1, "m0"), Vote(1, "m1")], shrink=False).single_outcomes
    twice = {name: Samples(correct=np.column_stack([arm.correct, arm.correct[::-1]])) for name, arm in arms.items()}
    assert not Samples(arms=twice).table([Best(1, "m0"), Best(2, "m1")]).single_outcomes


@pytest.mark.parametrize("command", [["solve", "--budget", "3"], ["frontier"], ["solve", "--accuracy", "0.6"]])
def test_the_first_line_says_that_the_plan_knows_the_outcomes(command, tmp_path, capsys):
    acc = outcomes()
    acc[3, 2] = np.nan
    path = write(tmp_path / "my table.csv", acc)
    assert main([command[0], path, *command[1:]]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Hindsight: this ")
    assert "knows the outcomes, and no policy can attain" in lines[0]
    assert lines[2] == f"For an accuracy that can be attained, run: tcalloc compare '{path}'"
    assert main([command[0], path, *command[1:], "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["single_outcomes"] is True
    assert document["attainable"] == f"tcalloc compare '{path}'"

    path = write(tmp_path / "expected.csv", 0.25 + acc / 2)
    assert main([command[0], path, *command[1:], "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["single_outcomes"], document["attainable"]) == (False, None)
    assert main([command[0], path, *command[1:]]) == 0
    assert "indsight" not in capsys.readouterr().out


def test_the_command_that_is_named_gives_an_attainable_figure(tmp_path, capsys):
    """The plan claims far more than any policy reaches; `compare` on the same file does not."""
    acc = outcomes(n=120)
    path = write(tmp_path / "t.csv", acc)
    plan = tcalloc.measure.load_table(path).solve(3)
    assert plan.accuracy > acc.mean(axis=0).max()
    assert main(["compare", path, "--budgets", "3", "--policies", "random", "--jobs", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    reference = next(one for one in document["standings"] if one["name"] == document["reference"])
    assert reference["accuracy"][0] < plan.accuracy - 0.1
