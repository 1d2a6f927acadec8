"""README.md is short, and leads to what exists; the examples of the docstrings are true."""

import doctest
import importlib
import re
import tomllib

import pytest
from documents import blocks_of, commands_of
from places import CHECKOUT

README = CHECKOUT / "README.md"
PAGES = [README, *sorted((CHECKOUT / "docs").glob("*.md"))]


def slug(heading):
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_the_readme_is_a_first_page():
    text = README.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    for block in blocks_of(README):
        if block.language == "sh":
            assert len(commands_of(block.code)) <= 5


def test_ci_finds_its_two_lines():
    """`.ci/run` takes the first two lines that are indented by four blanks and begin with pip install."""
    first, second = re.findall(r"^    (pip install .*)$", README.read_text(encoding="utf-8"), re.M)[:2]
    assert first == "pip install '.[demo]' && tcalloc demo"
    assert second == "pip install '.[test]' && pytest"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        path = page.parent / target if target else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
            assert anchor in map(slug, headings), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_extras_and_scripts_exist(page):
    text = page.read_text(encoding="utf-8")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for names in re.findall(r"pip install '(?:\.|tcalloc)\[(.*?)\]'", text):
        assert set(names.split(",")) <= set(project["optional-dependencies"])
    for script in re.findall(r"python (bench/[\w/]+\.py)", text):
        assert (CHECKOUT / script).exists(), script
    for module in re.findall(r"python -m (bench[\w.]*)", text):
        path = CHECKOUT / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").exists(), module


def test_the_picture_is_the_demos():
    """`tcalloc demo --plot docs/demo.png` made it."""
    assert b"Made by tcalloc" in (CHECKOUT / "docs" / "demo.png").read_bytes()
    assert "](docs/demo.png)" in README.read_text(encoding="utf-8")


def test_the_readme_names_every_page():
    text = README.read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert f"(docs/{page.name})" in text


SOURCE = CHECKOUT / "src"
EXAMPLES = [
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in sorted(SOURCE.rglob("*.py"))
    if re.search(r"^ *>>> ", path.read_text(encoding="utf-8"), re.M)
]


@pytest.mark.parametrize("module", EXAMPLES)
def test_the_examples_of_the_docstrings_are_true(module):
    if module.split(".")[1] in ("learn", "evaluate", "llm"):
        for extra in ("sklearn", "xgboost", "aiohttp"):
            pytest.importorskip(extra)
    found = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted > 0
    assert found.failed == 0
