"""The examples for evaluation tools run as they stand: the light part here, the tools themselves in .ci/nightly."""

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from places import ENVIRONMENT
from upstreams import Upstream, document

EXAMPLES = Path(__file__).parents[2] / "examples"
RECORDED = Path(__file__).parents[1] / "importing" / "recorded_lm_eval"


def run(arguments, folder, **variables):
    """Run a program, and return what it prints."""
    done = subprocess.run(
        list(map(str, arguments)), env=ENVIRONMENT | {"HOME": str(folder), "OPENAI_API_KEY": "none"} | variables,
        cwd=folder, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def skip_without(package):
    if find_spec(package) is None:
        if os.environ.get("TCALLOC_TEST_STACKS"):
            pytest.fail(f"{package} is not installed")
        pytest.skip(f"{package} is not installed; .ci/nightly runs it")


@pytest.mark.parametrize("name", ["inspect_epochs.py", "lm_eval_repeats.py", "lm_eval_repeats.yaml"])
def test_an_example_is_short(name):
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) < 40


def test_repeats_of_the_harness_become_a_policy(tmp_path):
    said = run([sys.executable, EXAMPLES / "lm_eval_repeats.py", RECORDED], tmp_path)
    assert "accuracy of 1 and of 4 samples: [0." in said
    assert (tmp_path / "stop" / "policy.json").exists()


def test_stopped_epochs_of_inspect(tmp_path):
    skip_without("inspect_ai")
    with Upstream() as server:
        said = run([sys.executable, EXAMPLES / "inspect_epochs.py"], tmp_path, OPENAI_BASE_URL=server.url)
        assert len(server.bodies) == 40
    assert "40 epochs of 64 for 680 tokens" in said  # 5 of 8 agree: the other 3 cannot change the vote
    assert "about 408 tokens less (95 % interval 408 to 408)" in said
    assert "accuracy of the vote 1.000" in said


def test_the_task_of_the_harness_draws_repeats(tmp_path):
    """With a server that heeds the seed: without "seed: null" all repeats would be alike."""
    skip_without("lm_eval")
    numbers = iter(range(1000))

    async def heeding(request, body):
        from aiohttp import web

        return web.json_response(document(body, "7" if body.get("seed") is not None else str(next(numbers))))

    lines = [json.dumps({"question": f"{i} + 1", "answer": str(i + 1)}) for i in range(3)]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    shutil.copy(EXAMPLES / "lm_eval_repeats.yaml", tmp_path)
    blocked = tmp_path / "blocked"  # the harness runs as before: nothing of tcalloc is there
    blocked.mkdir()
    (blocked / "tcalloc.py").write_text("raise ImportError", encoding="utf-8")
    with Upstream(default=heeding) as server:
        run(
            [Path(sys.executable).with_name("lm_eval"), "run", "--model", "local-chat-completions", "--model_args",
             f"model=tiny,base_url={server.url}/chat/completions", "--include_path", ".", "--tasks", "lm_eval_repeats",
             "--apply_chat_template", "--log_samples", "--output_path", "results"], tmp_path,
            HF_DATASETS_OFFLINE="1", PYTHONPATH=str(blocked),
        )  # fmt: skip
        assert len(server.bodies) == 12
    from tcalloc import from_lm_eval

    before = {path: path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file()}
    samples = from_lm_eval(tmp_path / "results", grader="numeric")
    assert before == {path: path.read_bytes() for path in (tmp_path / "results").rglob("*") if path.is_file()}
    assert samples.answers.shape == (3, 4)
    assert not any("same text" in note for note in samples.notes)
