"""``tcalloc budget``: a state as a table, as JSON and as a picture, while services go on."""

import json

import pytest

from tcalloc import BudgetKeeper
from tcalloc.cli import main


@pytest.fixture
def state(tmp_path):
    path = tmp_path / "budget.db"
    with BudgetKeeper(total=50, unit="usd", period=100, tenants={"a": 2, "b": 1}, state=path) as keeper:
        for i in range(60):
            keeper.choose(["small", "large"], [0.5, 0.5 + i / 200], [0.2, 1.0], tenant="ab"[i % 2]).settle(0.2)
        keeper.choose(["small"], [0.5], [0.2], tenant="b")
    return str(path)


def test_a_table(state, capsys):
    assert main(["budget", state]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "$50 for 100 requests; 61.0 % of the period has passed"
    assert lines[2].split() == ["weight", "spent", "reserved", "requests", "price", "forecast"]
    assert [line.split()[:5] for line in lines[3:5]] == [["a", "2", "6", "0", "30"], ["b", "1", "6", "0.2", "31"]]
    assert lines[5].split()[:4] == ["all", "12", "0.2", "61"]
    assert lines[7] == "$37.80 is free; 1 grant open"


def test_json_and_a_picture(state, capsys, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "period.png"
    assert main(["budget", state, "--json", "--plot", str(picture)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["total"], document["unit"], document["open_grants"]) == (50.0, "usd", 1)
    assert document["spent"] == pytest.approx(12.0)
    assert sum(spent for _, spent in document["history"]) == pytest.approx(12.0)
    assert picture.stat().st_size > 1000


def test_another_total(state, capsys):
    assert main(["budget", state, "--total", "80"]) == 0
    assert capsys.readouterr().out.startswith("$80 for 100 requests")
    assert main(["budget", state]) == 0
    assert "$67.80 is free" in capsys.readouterr().out
    assert main(["budget", state, "--total", "12.1"]) == 1
    assert "12 is spent and 0.2 is reserved in this period; expected at least 12.2" in capsys.readouterr().err
    with BudgetKeeper.open(state) as keeper:
        assert keeper.total == 80.0


def test_what_is_no_state(tmp_path, capsys):
    assert main(["budget", str(tmp_path / "none.db")]) == 1
    assert "there is no file" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
