"""The figures of ``docs/what-to-use-when.md`` are those of ``bench/RESULTS.md``, cell by cell; its links lead there.

After a new run of the arena, a failure here says which figures of the page have changed.
The names of policies in all pages and in the help of the commands are those of the registry.
"""

import re

import pytest
from places import CHECKOUT

from tcalloc.cli import main
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


def decimals(cell):
    """Return a cell with the zero before every decimal point, which older results lack."""
    return re.sub(r"(?<!\d)\.(?=\d)", "0.", cell)


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
                there = decimals(figures.get((what, *row[:3]), "not there"))
                compared += 1
                if decimals(said) not in (there, there.partition(" [")[0]):
                    wrong.append(f"{', '.join(row[:3])}: the page says {what} {said}, RESULTS.md {there}")
    assert compared > 0
    assert not wrong, "\n".join(wrong)


def test_other_numbers_stand_in_the_results(page, results):
    known = set(NUMBER.findall(decimals(results.replace("*", ""))))
    prose = decimals(re.sub(r"`[^`]*`|arXiv [\d.]+|^    .*$|^\|.*$", "", page, flags=re.M))
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


# ---------------------------------------------------------------------------------------------- names of policies

PAGES = [CHECKOUT / "README.md", CHECKOUT / "bench" / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
# --policy NAME, --policies "NAME,NAME", policy="NAME"; the folders of policies end in a slash.
OPTION = re.compile(r"""(?:--polic(?:y|ies)[ =]|\bpolicy=)(?:"([^"]+)"|([\w+-]+(?:,[\w+-]+)*)(?![\w/]))""")


def named_in(text):
    """Return the names of policies that options and arguments in a text give."""
    given = (quoted or plain for quoted, plain in OPTION.findall(text))
    return {name for one in given if one not in ("NAME", "NAMES", "POLICY") for name in split(one)}


def split(text):
    """Return the names in a list of names, some of which hold a comma themselves."""
    known = {name.casefold(): name for name in names()}
    if text.casefold() in known:
        return [text]
    parts, found = text.split(","), []
    while parts:
        size = next((n for n in range(len(parts), 0, -1) if ",".join(parts[:n]).strip().casefold() in known), 1)
        found.append(",".join(parts[:size]).strip())
        del parts[:size]
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_pages_name_policies_of_the_registry(path):
    text = path.read_text(encoding="utf-8")
    columns = {row[table[0].index("policy")] for table in tables(text) if "policy" in table[0] for row in table[1:]}
    assert columns <= set(names())
    known = {name.casefold() for name in names()}
    actions = {"vote3", "vote5", "vote8", "one"}  # `tcalloc answer --policy` takes the name of an action, too
    assert {name for name in named_in(text) if name.casefold() not in known} <= actions


def test_the_names_are_found():
    text = """tcalloc fit --policy imitator; compare --policies "Sequential,AC Beta,imitator, cost-sensitive"
    --policy policy/ --policy stop/ tcalloc.fit("run/", policy="margin + cap") --policies random --policy vote3"""
    assert named_in(text) == {
        "imitator", "Sequential", "AC Beta", "imitator, cost-sensitive", "margin + cap", "random", "vote3"
    }  # fmt: skip
    assert named_in("--policy Dirichlet") == {"Dirichlet"}


@pytest.mark.parametrize("command", ["fit", "compare", "answer"])
def test_the_help_names_policies_of_the_registry(command, capsys):
    assert main([command, "--help"]) == 0
    text = capsys.readouterr().out
    known = {name.casefold() for name in names()}
    assert {name for name in named_in(text) if name.casefold() not in known} <= {"vote3"}


def test_fit_lists_all_policies_that_can_be_fitted(capsys):
    assert main(["fit", "--help"]) == 0
    section = capsys.readouterr().out.partition("\nthe policies:\n")[2].partition("\n\n")[0]
    listed = [line[2:].partition("  ")[0] for line in section.splitlines() if not line.startswith("   ")]
    assert listed == list(names(deployable=True))


def test_every_policy_is_on_a_page():
    text = " ".join(path.read_text(encoding="utf-8") for path in PAGES)
    assert [name for name in names(deployable=True) if name not in text] == []
