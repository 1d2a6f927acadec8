"""A real vLLM server on CPUs with the small real model, for tests; `.ci/nightly` installs what it needs."""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from urllib.request import urlopen

from gateway_client import send

# Two tokens that the model never writes become the marks of its reasoning, which begins with each answer.
MARKS = {"<repo_name>": "<think>", "<reponame>": "</think>"}
MODEL = "smollm2"


def converted(gguf, folder):
    """Write the model of a GGUF file as vLLM reads it."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    quantized = LlamaForCausalLM.from_pretrained(**where, dtype=torch.float32)
    settings = quantized.config.to_dict()
    settings.pop("quantization_config", None)
    model = LlamaForCausalLM(LlamaConfig(**settings)).to(torch.bfloat16)
    model.load_state_dict(quantized.state_dict())
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**where).save_pretrained(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    for token in tokenizer["added_tokens"]:
        if token["content"] in MARKS:
            vocabulary[MARKS[token["content"]]] = vocabulary.pop(token["content"])
            token.update(content=MARKS[token["content"]], special=False)  # a special token is left out of the text
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    path = folder / "chat_template.jinja"
    template = path.read_text(encoding="utf-8")
    begin = "'<|im_start|>assistant\n'"
    assert begin in template
    path.write_text(template.replace(begin, "'<|im_start|>assistant\n<think>'"), encoding="utf-8")
    return folder


class Running:
    """A running server: what it answers, and what it has counted."""

    def __init__(self, url):
        self.url = url

    def ask(self, content, **fields):
        body = {"model": MODEL, "messages": [{"role": "user", "content": content}], "max_tokens": 4} | fields
        return send(self.url, "POST", "/v1/chat/completions", body, timeout=300)

    def counted(self):
        """Return its own counts since it started: requests (one for each choice) and tokens."""
        with urlopen(self.url.removesuffix("/v1") + "/metrics", timeout=60) as reply:
            text = reply.read().decode()

        def total(name, label=""):
            found = re.findall(rf"^vllm:{name}_total{{[^}}]*{label}[^}}]*}} (\S+)$", text, re.MULTILINE)
            assert found, name
            return int(sum(map(float, found)))

        computed, cached = (
            total("prompt_tokens_by_source", f'source="{one}"') for one in ("local_compute", "local_cache_hit")
        )
        return {
            "choices": total("request_success"), "prompt": total("prompt_tokens"), "computed": computed,
            "cached": cached, "output": total("generation_tokens"),
        }  # fmt: skip

    @contextmanager
    def counting(self):
        """Yield a dictionary that holds, after the block, what was counted in it."""
        before, during = self.counted(), {}
        yield during
        after = self.counted()
        during.update({name: after[name] - before[name] for name in after})


@contextmanager
def vllm_server(gguf, folder, *options):
    """Run vLLM on a free port until the block ends."""
    model = converted(gguf, folder / "model")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # The program `vllm` asks for the version of a package `vllm`, which the build for CPUs is not called.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", MODEL, "--host", "127.0.0.1", "--port", str(port), "--max-model-len", "2048"]
    command += ["--enforce-eager", *options]
    quiet = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "HF_HUB_OFFLINE": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    quiet |= {"VLLM_CACHE_ROOT": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    log = folder / "vllm.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, env=os.environ | quiet, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        until = time.monotonic() + 480
        while not _healthy(port):
            assert process.poll() is None, log.read_text(errors="replace")[-4000:]
            assert time.monotonic() < until, log.read_text(errors="replace")[-4000:]
            time.sleep(0.5)
        yield Running(f"http://127.0.0.1:{port}/v1")
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(30)
        with suppress(ProcessLookupError):  # its workers too
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        shutil.rmtree(model)


def _healthy(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
