"""The plugin of optillm, found by optillm's own loader and called by its server's own code. It runs in .ci/nightly."""

import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
from places import CHECKOUT, ENVIRONMENT

pytestmark = pytest.mark.skipif(
    find_spec("optillm") is None or find_spec("openai") is None,
    reason="optillm and openai are not installed; .ci/nightly installs them",
)
CODE = """
import sys
import openai
from optillm import server

server.load_plugins()
client = openai.OpenAI(base_url=sys.argv[1], api_key="none")
approach = server.execute_single_approach
print(approach("tcalloc", "Add.", "User: 17 + 25", client, "tiny", {"temperature": 0.5, "n": 3}))
"""


def test_the_plugin_is_loaded_and_votes(tmp_path):
    from chaos import Chaos

    folder = tmp_path / "optillm" / "plugins"
    folder.mkdir(parents=True)
    shutil.copy(CHECKOUT / "examples" / "optillm_plugin.py", folder / "tcalloc_plugin.py")
    # Without a folder of its own on the path: `optillm` here must be the package.
    with Chaos() as server:
        done = subprocess.run(
            [sys.executable, "-P", "-c", CODE, server.url], env=ENVIRONMENT, cwd=tmp_path, capture_output=True,
            text=True, timeout=300,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer, tokens = done.stdout.strip().splitlines()[-1].strip("()").rsplit(", ", 1)
    assert "The answer is 42." in answer
    assert int(tokens) >= 5 * 5
    assert len(server.requests) == 5
    assert [one["body"]["messages"][0] for one in server.requests] == [{"role": "system", "content": "Add."}] * 5
    assert {one["body"]["temperature"] for one in server.requests} == {0.5}
