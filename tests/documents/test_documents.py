"""Every command and every block of code in README.md and docs/ runs as pasted; what does not is listed here."""

import shutil

import pytest
from documents import Reader, blocks_of
from places import CHECKOUT

PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
# What is not run, or with fewer policies, is said in the documents' source with its reason.
SHORTENED = {
    ("README.md", "add", "tcalloc compare outcomes.csv"),
    ("README.md", "add", "tcalloc compare run/"),
    ("comparing.md", "add", "tcalloc compare outcomes.csv"),
    ("comparing.md", "skip", "tcalloc compare --demo"),
}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks_of(page)], ids=lambda page: page.name)
def test_a_page_runs_as_pasted(page, tmp_path, capsys):
    pytest.importorskip("aiohttp")
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    if "curl " in page.read_text(encoding="utf-8") and not (shutil.which("bash") and shutil.which("curl")):
        pytest.skip("needs bash and curl")
    if "import openai" in page.read_text(encoding="utf-8"):
        pytest.importorskip("openai", reason="openai is not installed; .ci/run runs this page where it is")
    from chaos import Chaos

    with Chaos() as server:
        Reader(tmp_path, server.url).read(page)


def test_what_is_not_run_as_it_stands():
    found = set()
    for page in PAGES:
        for block in blocks_of(page):
            if block.remark and block.option("file") is None:
                assert ";" in block.remark, f"{block.place}: a reason is missing"
                name = block.remark.partition(" ")[0].rstrip(";")
                command = next(line for line in block.code.splitlines() if line.startswith("tcalloc compare"))
                found.add((page.name, name, " ".join(command.split()[:3])))
    assert found == SHORTENED


PAGE = """\
# A page

```python
value = 6 * 7
print(value)  # {value}
```

    tcalloc {command}

```text
{line}
```
"""


def read(tmp_path, value="42", command="--version", line="tcalloc ..."):
    page = tmp_path / "page.md"
    page.write_text(PAGE.format(value=value, command=command, line=line), encoding="utf-8")
    Reader(tmp_path, "http://127.0.0.1:1/v1").read(page)


def test_a_page_that_is_true(tmp_path):
    read(tmp_path)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"value": "41"}, "print"),
        ({"command": "solve nothing.csv --budget 2"}, "exit code 1 of: tcalloc solve"),
        ({"command": "slove"}, "exit code 2"),
        ({"line": "tcalloc is something else"}, "not in the output"),
    ],
)
def test_a_page_that_is_not_true_is_found(wrong, said, tmp_path):
    with pytest.raises(AssertionError, match=said) as caught:
        read(tmp_path, **wrong)
    assert "page.md, line" in caught.value.__notes__[0]


def test_a_language_that_nobody_runs(tmp_path):
    (tmp_path / "page.md").write_text("```\ntcalloc --version\n```\n")
    with pytest.raises(AssertionError, match="expected sh, python"):
        Reader(tmp_path, "").read(tmp_path / "page.md")
