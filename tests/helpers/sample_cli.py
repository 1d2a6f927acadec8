"""Runs ``tcalloc sample`` as a process: ``python sample_cli.py sample questions.jsonl ...``."""

import json
import signal
import subprocess
import sys
from pathlib import Path

from places import ENVIRONMENT

from tcalloc.cli import main


def start(url, questions, out, *argv, **options):
    command = [sys.executable, __file__, "sample", questions, "--base-url", url, "--model", "tiny", "--out", out, *argv]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": ENVIRONMENT, "text": True} | options
    return subprocess.Popen([str(part) for part in command], **options)


def write_questions(path, count):
    rows = [{"question": f"{i} + {i}", "answer": str(2 * i)} for i in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def kill_and_resume(server, questions, out, *argv, pauses):
    """Start the run again and again, kill it after each pause, let the last one end; nothing may be repeated.

    Returns the number of requests that were under way when a process was killed, and had to go again.
    """
    from tcalloc.runs.store import read_run

    asked = len(server.requests)
    for pause in [*pauses, None]:
        stored = set()
        if (Path(out) / "run.json").exists():
            stored = {r["seed"] for r in read_run(out).records}
        process = start(server.url, questions, out, *argv)
        try:
            _, err = process.communicate(timeout=60 if pause is None else pause)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        else:
            if process.returncode:
                raise AssertionError(err)
        requests = server.requests[asked:]
        asked += len(requests)
        repeated = [r for r in requests if r["body"]["seed"] in stored]
        if repeated:
            raise AssertionError(f"{len(repeated)} stored samples were asked for again")
    return asked - len({r["body"]["seed"] for r in server.requests})


def table_of(out):
    """What a table is made of, in an order that does not depend on the order of the replies."""
    from tcalloc.runs.store import read_run

    fields = ("id", "sample", "params", "text", "answer", "correct", "seed", "output_tokens", "cost")
    return sorted([tuple(r.get(field) for field in fields) for r in read_run(out).records], key=str)


if __name__ == "__main__":
    sys.exit(main())
