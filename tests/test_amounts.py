"""Costs as people read them: never 0.0000, with their unit, savings per 1,000 questions."""

import math
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import tcalloc
from tcalloc import InputError, Samples, _amounts
from tcalloc.evaluate import phrases
from tcalloc.learn.holdout.certify import Certificate, Estimate


@pytest.mark.parametrize(
    ("value", "text", "dollars"),
    [
        (0.0, "0", "$0"),
        (4e-5, "0.00004", "$0.00004"),
        (0.002, "0.002", "$0.002"),
        (0.01254, "0.0125", "$0.0125"),
        (0.5, "0.5", "$0.50"),
        (1.3, "1.3", "$1.30"),
        (2.426, "2.43", "$2.43"),
        (0.99999, "1", "$1"),
        (999.99, "1,000", "$1,000"),
        (13184.4, "13,184", "$13,184"),
        (-1.3, "-1.3", "-$1.30"),
        (1e-20, "1e-20", "$1e-20"),
        (1.7e308, "1.7e+308", "$1.7e+308"),
        (math.nan, "-", "-"),
        (math.inf, "inf", "$inf"),
    ],
)
def test_amounts(value, text, dollars):
    assert _amounts.digits(value) == text
    assert _amounts.amount(value) == text
    assert _amounts.amount(value, "usd") == dollars


def test_units():
    assert [_amounts.amount(x, "tokens") for x in (1, 2.5)] == ["1 token", "2.5 tokens"]
    assert [_amounts.amount(x, "cost") for x in (1, 2.5)] == ["1 unit of cost", "2.5 units of cost"]
    assert _amounts.amount(3, "eur") == "€3"
    assert _amounts.per_thousand(0.0013, "usd") == "$1.30 per 1,000 questions"
    assert [_amounts.unit_words(unit) for unit in (None, "cost", "samples", "usd")] == [
        "units of cost",
        "units of cost",
        "samples",
        "$",
    ]
    assert [phrases.spending(unit) for unit in ("samples", "cost", "usd", "tokens")] == [
        "mean samples per question",
        "mean cost per question",
        "mean cost per question in $",
        "mean tokens per question",
    ]
    assert phrases.at_spend(0.00004, "usd") == "at $0.00004 per question"
    assert phrases.saved(0.0013, "usd") == "$1.30 less per 1,000 questions"
    assert (phrases.about_price(0.00244, "usd"), phrases.about_price(2.44, "samples")) == ("$0.0024", "2.4")


def test_units_are_checked():
    for given_, kept in (("USD", "usd"), ("$", "usd"), (" eur ", "eur"), ("tokens", "tokens"), ("GPU seconds",) * 2):
        assert _amounts.check_unit(given_) == kept
    for wrong in ("", " ", "k" * 25, "a\nb", "\x1b[31m", "100s", None, 3):
        with pytest.raises(InputError, match=r"unit is .*; expected a currency \(usd, eur, .* or a word in the plural"):
            _amounts.check_unit(wrong)


@given(st.lists(st.floats(0, 1e308), min_size=1, max_size=6))
@example([1001.0, 1.0, 1.5])
def test_no_cost_of_a_column_is_rounded_to_nothing(values):
    for value, text in zip(values, _amounts.column(values), strict=True):
        shown = float(text.replace(",", ""))
        assert shown == pytest.approx(value, rel=0.06)
    for value in values:
        assert float(_amounts.digits(value).replace(",", "")) == pytest.approx(value, rel=0.006)


def test_a_certificate_prints_small_spends():
    blank = {name: Estimate(0.5, 0.4, 0.6) for name in Certificate.__dataclass_fields__}
    blank |= {
        "n": 10,
        "level": 0.95,
        "price": 1.0,
        "budget": 1e-4,
        "notes": (),
        "majority_action": "m",
        "measures": "accuracy",
        "shortfall": 0.0,
    }
    text = str(Certificate(**blank | {"spend": Estimate(4e-5, 3e-5, 5e-5)}))
    assert re.search(r"spend +0\.00004\d* +0\.00003\d* to 0\.00005", text)


def test_a_comparison_knows_its_unit():
    random = np.random.default_rng(0)
    chance = random.random((60, 1))
    answers = np.where(random.random((60, 8)) < chance, 0, random.integers(1, 5, (60, 8)))
    samples = Samples(answers, cost=4e-5)
    result = tcalloc.compare(samples, ["ESC"], [8e-5], unit="USD")
    assert result.unit == result.to_dict()["unit"] == "usd"
    assert "($ per question)" in " ".join(str(result).split())
    assert "0.00008" in str(result)
    assert "at $0.00008 per question" in " ".join(str(result.recommend()).split()).lower()
    assert tcalloc.compare(samples, ["ESC"], [8e-5]).unit == "cost"
    with pytest.raises(InputError, match="unit is 'usd', but data holds no costs: what is spent is counted in samples"):
        tcalloc.compare(Samples(answers), ["ESC"], [2], unit="usd")
    with pytest.raises(InputError, match="unit is 'samples', but data holds costs of its own"):
        tcalloc.compare(samples, ["ESC"], [8e-5], unit="samples")
    with pytest.raises(InputError, match="unit is 7; expected a currency"):
        tcalloc.compare(samples, ["ESC"], [8e-5], unit=7)
