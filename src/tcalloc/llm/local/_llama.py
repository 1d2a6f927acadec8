"""The child process of `tcalloc.llm.local`: llama.cpp's server. Run as a file, so that it imports no tcalloc.

It lives as long as its parent: it ends when its standard input does (the parent holds the other end and never writes)
or when it is handed to another parent. A death signal (PR_SET_PDEATHSIG) would be shorter, but Linux sends that when
the parent's *thread* ends, and other systems have none.
"""

import contextlib
import faulthandler
import importlib
import json
import os
import signal
import sys
import threading
from typing import Any

# The parent looks for this line in what the child prints.
READY = "tcalloc-ready "


def main() -> None:
    """Serve until the parent is gone."""
    settings = json.loads(sys.argv[1])
    parent = os.getppid()
    # Ctrl-C reaches the whole foreground group; who started this decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # While llama.cpp loads, it holds the interpreter's lock and nothing below can run; this one thread can.
    faulthandler.dump_traceback_later(settings["timeout"], exit=True)
    server = _start(settings)
    faulthandler.cancel_dump_traceback_later()
    # One write, on a line of its own: llama.cpp's log shares this pipe and may be in the middle of a line.
    # A parent that died meanwhile closed the pipe; ending by an exception here waits for llama.cpp, sometimes forever.
    with contextlib.suppress(BrokenPipeError):
        os.write(1, f"\n{READY}{server.listening_address}\n".encode())

    gone = threading.Event()

    def watch() -> None:
        sys.stdin.buffer.read()
        gone.set()

    threading.Thread(target=watch, daemon=True).start()
    # A process forked by the parent may hold the pipe open after the parent's death; the new parent betrays it.
    while not gone.wait(0.5):
        if os.getppid() != parent:
            break
    os._exit(0)  # nothing to save, and llama.cpp's own end may take its time


def _start(settings: dict[str, Any]) -> Any:
    xllamacpp = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path = settings["path"]
    params.model_alias = {settings["model"]}
    if hasattr(params, "hostnames"):
        params.hostnames = ["127.0.0.1"]
    else:  # up to 2026.9
        params.hostname = "127.0.0.1"
    params.port = settings["port"]
    params.n_parallel = settings["slots"]
    params.n_ctx = settings["slots"] * settings["context"]  # llama.cpp divides it among the slots
    params.cpuparams.n_threads = settings["threads"]
    params.cpuparams_batch.n_threads = settings["threads"]
    # More than one per slot: requests queue inside, and /health must be answered meanwhile.
    params.n_threads_http = settings["slots"] + 4
    params.cache_ram_mib = 0  # 8 GB by default; each slot keeps its own last prompt anyway
    params.cache_idle_slots = False  # needs that memory
    params.verbosity = 2  # warnings; one level more is six lines per request
    if settings["template"] is not None:
        params.chat_template = settings["template"]
    if settings["seed"] is not None:
        params.sampling.seed = settings["seed"]
    # Nothing but completions, and no web page of any origin may ask for them.
    params.offline = True
    params.ui = False
    params.endpoint_slots = False
    params.cors_origins = "http://127.0.0.1"
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
