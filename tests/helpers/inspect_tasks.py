"""Evaluations with the real inspect_ai, against a server on the loopback; skipped where it is not installed.

`.ci/nightly` installs it and sets TCALLOC_TEST_STACKS, so that a missing package fails there.
"""

import importlib.util
import os

import pytest


def need(*packages):
    """Skip the calling module, or fail in the nightly tier, if a package is not installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            reason = f"{package} is not installed: .ci/nightly tests with it"
            if os.environ.get("TCALLOC_TEST_STACKS"):
                pytest.fail(reason, pytrace=False)
            pytest.skip(reason, allow_module_level=True)


def task(questions, epochs, reducer=None, **fields):
    """Return a task that asks each question and compares numbers with the target."""
    from inspect_ai import Epochs, Task
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate

    samples = [Sample(id=f"q{i}", input=text, target=target) for i, (text, target) in enumerate(questions)]
    return Task(
        samples, solver=generate(), scorer=match(numeric=True), epochs=Epochs(epochs, reducer or "mean"), **fields
    )


def evaluate(asked, url, folder, monkeypatch, name="tiny", **options):
    """Run a task with the real Inspect on a server, and return its log."""
    from inspect_ai import eval as evaluation

    # Its coloured tracebacks take a second each: only their look is left out.
    monkeypatch.setattr("inspect_ai._util.rich.rich_traceback", lambda *_, **__: "traceback")
    options = {"max_samples": 50, "max_connections": 50, "fail_on_error": False, **options}
    options |= {"log_realtime": False, "log_buffer": 1000}
    (log,) = evaluation(asked, model=model(url, name), log_dir=f"memory://{folder}", display="none", **options)
    return log


def model(url, name="tiny"):
    """Return a model of the server; Inspect would else remember that of an earlier server."""
    from inspect_ai.model import get_model

    return get_model(f"openai-api/loopback/{name}", base_url=url, api_key="none", memoize=False)


def tokens(log):
    """Return all tokens by Inspect's own figures."""
    return sum(usage.total_tokens for usage in log.stats.model_usage.values())
