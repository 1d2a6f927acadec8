"""Misspelt names are answered with the name that they resemble, wherever a name is asked for."""

import numpy as np
import pytest

from tcalloc import Action, InputError, Samples, Vote, solve
from tcalloc._checks import did_you_mean, one_of
from tcalloc.cli import main


def test_did_you_mean():
    known = ["solve", "frontier", "Policy", 3]
    assert did_you_mean("slove", known) == " Did you mean 'solve'?"
    assert did_you_mean("POLCY", known) == " Did you mean 'Policy'?"
    assert did_you_mean("quite another", known) == ""
    assert did_you_mean("solve", []) == ""
    assert did_you_mean(7, known) == ""
    assert did_you_mean(None, known) == ""
    assert did_you_mean("x" * 10**6, ["x" * 150]) != ""  # a text of any length is compared in no time


def test_one_of():
    assert one_of("kind", "b", "abc") == "b"
    with pytest.raises(InputError, match=r"^kind is 'B'; allowed are 'a', 'b', 'c' and None\. Did you mean 'b'\?$"):
        one_of("kind", "B", "abc", "None")
    with pytest.raises(InputError, match=r"^kind is \['a'\]; allowed are 'a' and 'b'\.$"):
        one_of("kind", ["a"], "ab")
    with pytest.raises(InputError, match=r"^kind is 1; allowed are 'a'\.$"):
        one_of("kind", 1, "a")


def learned(act):
    """Return a case of the policies, which need scikit-learn."""

    def case():
        pytest.importorskip("sklearn")
        pytest.importorskip("xgboost")
        act()

    return case


def samples():
    return Samples(arms={"small": Samples(np.arange(40).reshape(20, 2) % 3), "large": Samples(np.zeros((20, 2), int))})


def fixed():
    from tcalloc.learn import Fixed

    Fixed("vote1 smal").fit(None, samples(), actions=[Vote(1, model="small"), Vote(2, model="large")])


def category():
    from tcalloc.learn import ByCategory

    ByCategory(2.0, column="knd").fit([{"kind": "a"}, {"kind": "b"}] * 10, np.eye(20)[:, :2] * 0.5, cost=[1, 2])


def cap():
    from tcalloc.learn import Sequential

    Sequential(2.0, most={"smal": 2}).fit(None, samples())


def family():
    from tcalloc.learn import TunedRule

    TunedRule("ESD").fit(None, samples())


def policy():
    from tcalloc.learn.registry import entry_of

    entry_of("imitater")


def regressor():
    from tcalloc.learn import PricedPolicy

    PricedPolicy("rigde").fit([[0.0], [1.0]] * 5, np.eye(10)[:, :2], cost=[1, 2])


@pytest.mark.parametrize(
    ("case", "meant"),
    [
        (lambda: solve([[0.1, 0.2]], [1, 2], 1, method="exat"), "exact"),
        (lambda: samples().table([Vote(1, model="larg")]), "large"),
        (lambda: Action.from_dict({"samples": 1, "modle": "small"}), "model"),
        (learned(fixed), "vote1 small"),
        (learned(category), "kind"),
        (learned(cap), "small"),
        (learned(family), "ESC"),
        (learned(policy), "imitator"),
        (learned(regressor), "ridge"),
    ],
)
def test_messages_suggest_the_name_that_was_meant(case, meant):
    with pytest.raises(InputError, match=rf"Did you mean '{meant}'\?$"):
        case()


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("slove table.csv --budget 2", "solve"),
        ("solve table.csv --budgt 2", "--budget"),
        ("solve table.csv --bugdet=2", "--budget"),
        ("solve table.csv --budget 2 --method exat", "exact"),
        ("import log.jsonl --out run --format jsnol", "jsonl"),
    ],
)
def test_the_command_line_suggests_what_was_meant(line, meant, capsys):
    assert main(line.split()) == 2
    said = capsys.readouterr().err
    assert f"Did you mean '{meant}'?" in said
    if not line.startswith("slove"):
        assert f"tcalloc {line.split()[0]} --help" in said


def test_the_command_line_suggests_nothing_where_nothing_is_alike(capsys):
    assert main(["solve", "table.csv", "--budget", "2", "--quite-another"]) == 2
    assert "unrecognized arguments: --quite-another (see: tcalloc solve --help)" in capsys.readouterr().err
