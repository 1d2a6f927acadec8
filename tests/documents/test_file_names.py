"""Files that comments, docstrings and documents name are there."""

import re

import pytest
from places import CHECKOUT

NAMED = re.compile(r"`((?:[a-z_]+/)*[a-z_]+\.(?:py|pyx|pyi))`")
# The folders that a path may begin in, and its own file's folder.
ROOTS = ("", "src/tcalloc", "src/tcalloc/learn", "bench")
KINDS = (".py", ".pyx", ".pyi", ".md")
# The one table whose rows name the folder once and its files after it.
IN_ROWS = "CONTRIBUTING.md"


def documents():
    yield from (CHECKOUT / "src" / "tcalloc").rglob("*.py*")
    for folder in ("bench", "docs", "tests"):
        yield from (CHECKOUT / folder).rglob("*.py")
        yield from (CHECKOUT / folder).rglob("*.md")
    yield from CHECKOUT.glob("*.md")


def missing(document):
    for line in document.read_text(encoding="utf-8").splitlines():
        roots = [CHECKOUT / root for root in ROOTS] + [document.parent]
        if document.name == IN_ROWS:
            roots += [CHECKOUT / "src" / "tcalloc" / room for room in re.findall(r"`([a-z_/]+)/`", line)]
        yield from (name for name in NAMED.findall(line) if not any((root / name).is_file() for root in roots))


@pytest.mark.skipif(not (CHECKOUT / "src" / "tcalloc").is_dir(), reason="not a checkout")
def test_the_house_has_every_room():
    package = CHECKOUT / "src" / "tcalloc"
    rooms = {f"{path.parent.relative_to(package)}/" for path in package.glob("*/**/__init__.py")}
    files = {path.name for ending in ("py", "pyx", "h") for path in package.glob(f"_[a-z]*.{ending}")}
    named = set(re.findall(r"`([^`]+)`", (CHECKOUT / IN_ROWS).read_text(encoding="utf-8")))
    assert len(rooms) > 20
    assert (rooms | files) - {"_version.py"} - named == set()


@pytest.mark.skipif(not (CHECKOUT / "src" / "tcalloc").is_dir(), reason="not a checkout")
def test_files_that_are_named_exist():
    texts = [path for path in documents() if path.suffix in KINDS and path.name != "CHANGELOG.md"]
    assert len(texts) > 300
    assert {f"{path.name}: {name}" for path in texts for name in missing(path)} == set()
