"""The figures of ``docs/what-to-use-when.md`` are those of ``bench/RESULTS.md``, cell by cell; its links lead there.

Whoever runs the arena anew is told here which figures of the page have changed.
"""

import re

import pytest
from places import CHECKOUT

from tcalloc.learn.registry import names

PAGE = CHECKOUT / "docs" / "what-to-use-when.md"
RESULTS = CHECKOUT / "bench" / "RESULTS.md"

# The columns of the page's tables that say which cell of RESULTS.md a figure is, and the figures.
PLACE = ("table", "spend", "policy")
NUMBER = re.compile(r"(?<![\w.])[+−]?\d*\.\d+(?!\w)")


def cells(line):
    return [cell.strip().replace("*", "") for cell in line.strip().strip("|").split("|")]


def tables(text):
    """Return each Markdown table as a list of rows, the head first."""
    blocks = re.findall(r"(?:^\|.*\n)+", text + "\n", re.M)
    return [[cells(line) for line in block.splitlines() if not re.match(r"\|[ -]+\|", line)] for block in blocks]


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def results():
    return RESULTS.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def figures(results):
    """By (what, table, spend, policy), what RESULTS.md says."""
    found = {}
    for section in results.split("\n## ")[1:]:
        name = section.partition("\n")[0].strip()
        for head, *rows in tables(section):
            what = {"policy": "accuracy", "gain, points": "gain"}.get(head[0])
            if what is None or not all(re.fullmatch(r"[\d.e+]+", spend) for spend in head[1:]):
                continue
            for row in rows:
                for spend, cell in zip(head[1:], row[1:], strict=True):
                    found[what, name, spend, row[0].removesuffix(" (bound)")] = cell
    return found


def test_figures_are_those_of_the_results(page, figures):
    compared = 0
    wrong = []
    for head, *rows in tables(page):
        if tuple(head[:3]) != PLACE:
            continue
        assert set(head[3:]) <= {"accuracy", "gain"}
        for row in rows:
            for what, said in zip(head[3:], row[3:], strict=True):
                there = figures.get((what, *row[:3]), "not there")
                compared += 1
                if said not in (there, there.partition(" [")[0]):
                    wrong.append(f"{', '.join(row[:3])}: the page says {what} {said}, RESULTS.md {there}")
    assert compared > 0
    assert not wrong, "\n".join(wrong)


def test_other_numbers_stand_in_the_results(page, results):
    known = set(NUMBER.findall(results.replace("*", "")))
    prose = re.sub(r"`[^`]*`|arXiv [\d.]+|^    .*$|^\|.*$", "", page, flags=re.M)
    missing = [number for number in NUMBER.findall(prose) if number not in known]
    assert not missing


def interval(cell):
    """Return the ends of an interval in points."""
    low, high = re.search(r"\[([^,]+), ([^\]]+)\]", cell).groups()
    return float(low.replace("−", "-")), float(high.replace("−", "-"))


@pytest.mark.parametrize(
    ("heading", "holds"),
    [
        ("What loses", lambda low, high: high < 0),
        ("What gains nothing", lambda low, high: low <= 0 <= high),
    ],
)
def test_the_words_fit_the_figures(heading, holds, page):
    section = page.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [row for _, *rows in tables(section) for row in rows]
    assert rows
    for row in rows:
        assert "oracle" in row[2] or holds(*interval(row[-1])), row


def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page):
        assert (PAGE.parent / target).exists(), target


def test_the_policies_are_those_of_the_registry(page):
    named = {row[table[0].index("policy")] for table in tables(page) if "policy" in table[0] for row in table[1:]}
    assert len(named) >= 8
    assert named <= set(names())
