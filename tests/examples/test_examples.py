"""Every file in examples/ runs as it stands, against a server on this machine."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from chaos import Chaos
from places import ENVIRONMENT

EXAMPLES = Path(__file__).parents[2] / "examples"
# The packages of each; an example whose packages are not installed is skipped, and runs in .ci/nightly.
NEEDS = {
    "openai_client": ["openai"],
    "pydantic_ai_agent": ["pydantic_ai", "openai"],
    "langchain_agent": ["langchain", "langchain_openai"],
    "dspy_program": ["dspy", "openai"],
    "litellm_sdk": ["litellm"],
}


@pytest.mark.parametrize("name", NEEDS)
def test_an_example_runs_as_it_stands(name, tmp_path):
    missing = [one for one in ("aiohttp", *NEEDS[name]) if find_spec(one) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed; .ci/nightly runs it")
    with Chaos() as server:
        done = subprocess.run(
            [sys.executable, EXAMPLES / f"{name}.py"],
            env=ENVIRONMENT | {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "none", "HOME": str(tmp_path)},
            cwd=tmp_path, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "The answer is 42." in done.stdout
    assert "$5 for 30 days" in done.stdout  # the budget of all of it
    assert len(server.requests) % 5 == 0  # votes of five


def test_every_example_is_short_and_tested():
    found = {path.stem: path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.py")}
    assert set(NEEDS) <= set(found)
    assert all(len(text.splitlines()) < 40 for text in found.values())
