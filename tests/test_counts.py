"""Counts in messages: singular and plural come from one helper, and no message makes its own."""

import re

import pytest
from places import CHECKOUT

from tcalloc._counts import agreeing, counted

SOURCES = sorted((CHECKOUT / "src" / "tcalloc").rglob("*.py"))
# A plural that is made by hand: {'s' * (n != 1)}, {'' if n == 1 else 's'}.
BY_HAND = re.compile(r"""['"]s['"] \* |['"]['"] if [^{}]{1,30} == ['"]?1['"]? else ['"]s['"]""")


@pytest.mark.parametrize(
    ("count", "noun", "words"),
    [
        (0, "question", "0 questions"),
        (1, "question", "1 question"),
        (1318, "wrong sample", "1,318 wrong samples"),
        (1, "entry", "1 entry"),
        (3, "try", "3 tries"),
        (2, "day", "2 days"),
    ],
)
def test_a_count_has_its_noun(count, noun, words):
    assert counted(count, noun) == words


def test_verbs_agree():
    assert [agreeing(n, "has", "have") for n in (0, 1, 2)] == ["have", "has", "have"]


def test_no_plural_is_made_by_hand():
    assert [
        f"{path.name}, line {number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if path.name not in ("_counts.py", "_amounts.py") and BY_HAND.search(line)
    ] == []
