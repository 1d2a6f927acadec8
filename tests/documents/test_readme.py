"""The README's Python runs as it stands, and its comments say what comes out."""

import doctest
import importlib
import re

import pytest
from places import CHECKOUT

import tcalloc

README = CHECKOUT / "README.md"


@pytest.fixture(scope="module")
def names():
    """What the README's blocks of Python leave behind."""
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S)
    found = []
    for code in blocks:
        found.append({})
        exec(compile(code, "README.md", "exec"), found[-1])
    yield found
    matplotlib.pyplot.close("all")


def test_the_comments_are_true(names):
    plan, curve = names[0]["plan"], names[0]["curve"]
    assert plan.actions.tolist() == [0, 1, 0]
    assert (f"{plan.accuracy:.3f}", plan.spend, plan.gap) == ("0.733", 2.0, 0.0)
    assert f"{plan.price:.3f}" == "0.033"
    assert curve.budget_for(0.75) == pytest.approx(2.5)
    assert curve.allocate(2.0).actions.tolist() == plan.actions.tolist()
    assert curve.allocate(accuracy=0.7).accuracy >= 0.7
    assert tcalloc.decide([0.3, 0.8], [1, 4], price=0.1) == 1


def test_what_is_measured_can_be_solved_and_claimed(names):
    table, plan = names[1]["table"], names[1]["plan"]
    assert table.acc.shape == (3, 3)
    claim = table.claim(plan)
    assert claim.population_low <= claim.accuracy <= claim.population_high


def test_the_table_of_the_readme_can_be_solved(tmp_path):
    table = re.search(r"    (id,acc:.*?)\n\n", README.read_text(encoding="utf-8"), re.S)[1]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(line.strip() for line in table.splitlines()) + "\n", encoding="utf-8")
    assert tcalloc.read_table(path).solve(budget=2).counts.tolist() == [2, 1]


@pytest.mark.parametrize(
    "module",
    [
        "tcalloc._solve",
        "tcalloc._frontier",
        "tcalloc.evaluate.fit",
        "tcalloc.measure.recorded",
        "tcalloc.measure.summaries",
        "tcalloc.measure.table",
        "tcalloc.measure.votes",
    ],
)
def test_the_examples_of_the_docstrings_are_true(module):
    found = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0


def test_what_is_learned(names):
    policy, new, stop = names[2]["policy"], names[2]["new"], names[2]["stop"]
    assert policy.guarantee_.confidence == 0.95
    assert set(policy.decide(names[2]["X"][2::3]).tolist()) <= {0, 1, 2}
    assert policy.certify(names[2]["X"][2::3], new).spend.value <= 2.4
    assert stop.start("What is 6 times 7?").next().n >= 1


def test_what_is_compared(names):
    result = names[3]["result"]
    assert result["ESC"].spend == pytest.approx([1.5, 2, 3])
    assert (result["margin + cap"].gain > 0).all()
    assert "best fixed mixture" in str(result)
    assert str(result.recommend())
