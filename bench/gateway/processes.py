"""Processes that stand between a client and a fake server, and the CPU time that each takes."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["Process", "bare", "fake", "gateway", "litellm"]

HERE = Path(__file__).resolve().parent
FAKE = HERE.parent / "studies" / "sampling_throughput.py"


class Process:
    """A server on the loopback, in a process of its own.

    Parameters
    ----------
    running : Popen
        The process.
    port : int
        Where it listens.
    """

    def __init__(self, running: "subprocess.Popen[str]", port: int):
        self.running, self.port = running, port
        self.url = f"http://127.0.0.1:{port}/v1"

    def cpu(self) -> float:
        """Return the milliseconds of CPU time that all its threads have taken (Linux)."""
        total = 0
        for task in Path(f"/proc/{self.running.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # a thread that has just ended
                total += int((task / "schedstat").read_text().split()[0])
        return total / 1e6

    def resident(self) -> float:
        """Return its memory in megabytes (Linux)."""
        pages = int(Path(f"/proc/{self.running.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextlib.contextmanager
def _started(command: list[str], **environment: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | environment) as running:
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(15)
            except subprocess.TimeoutExpired:
                running.kill()


@contextlib.contextmanager
def _printing(command: list[str], **environment: str) -> Iterator[Process]:
    """Start a server that prints its port, or its URL, as its first line."""
    with _started(command, **environment) as running:
        assert running.stdout is not None
        line = running.stdout.readline().strip()
        if not line:
            raise SystemExit(f"{' '.join(command)} did not start.")
        yield Process(running, int(line) if line.isdigit() else urlsplit(line.split()[-1]).port or 0)


def fake(latency: float = 0.0) -> contextlib.AbstractContextManager[Process]:
    """Start a server that answers all questions alike.

    Parameters
    ----------
    latency : float
        Seconds until it answers.
    """
    return _printing([sys.executable, str(FAKE), "--serve", "--latency", str(latency)])


def bare(kind: str, upstream: str, python: str = sys.executable) -> contextlib.AbstractContextManager[Process]:
    """Start a bare pass-through (`bench/gateway/bare.py`).

    Parameters
    ----------
    kind : {"aiohttp", "starlette"}
        The library that it is written with.
    upstream : str
        The server behind it.
    python : str
        An interpreter that has this library.
    """
    return _printing([python, str(HERE / "bare.py"), kind, upstream])


def gateway(
    upstream: str, policy: str, *options: str, source: str | None = None
) -> contextlib.AbstractContextManager[Process]:
    """Start ``tcalloc serve``.

    Parameters
    ----------
    upstream : str
        The server behind it.
    policy : str
        The folder of a policy, or the name of an action.
    *options : str
        More of its options.
    source : str, optional
        The folder ``src`` of another checkout, to compare with.
    """
    command = [sys.executable, "-m", "tcalloc", "serve", "--upstream", upstream, "--policy", policy, "--port", "0"]
    return _printing([*command, *options], **({} if source is None else {"PYTHONPATH": source}))


@contextlib.contextmanager
def litellm(upstream: str, program: str, folder: Path, seconds: float = 120.0) -> Iterator[Process]:
    """Start the proxy of LiteLLM with one model.

    Parameters
    ----------
    upstream : str
        The server behind it.
    program : str
        The path of its command ``litellm``.
    folder : Path
        For its settings.
    seconds : float
        How long it may take to start.
    """
    settings = folder / "litellm.yaml"
    model = f"{{model: openai/fake, api_base: {upstream}, api_key: none}}"
    settings.write_text(f"model_list:\n  - model_name: fake\n    litellm_params: {model}\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "--config", str(settings), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    # Like ours, it asks for no key.
    permitted = {"LITELLM_LOG": "ERROR", "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true"}
    with _started(command, **permitted) as running:
        until = time.monotonic() + seconds
        while not _answers(port):
            if running.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"{program} did not start.")
            time.sleep(0.5)
        yield Process(running, port)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health/liveliness")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
