"""LiteLLM's real proxy in a process of its own, on the loopback, with the package under test.

with Proxy(tmp_path, models={"tiny": server.url}, settings={"callbacks": ["tcalloc.serve.litellm.hook"]}) as proxy:
    proxy.ask("6 * 7?", stream=True)
proxy.log, proxy.costs            # its output, and what it computed requests to cost
"""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from gateway_client import send
from places import ENVIRONMENT

KEY = "sk-a-key-of-the-proxy-0123456789abcdef"
# 10 tokens of the prompt and 7 of the answer, as `upstreams` counts them: 24 millionths.
PRICES = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
BILL = 24e-6


def program():
    """Where LiteLLM's proxy is; None if it is not installed beside this Python."""
    return shutil.which("litellm", path=str(Path(sys.executable).parent))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Proxy:
    def __init__(self, folder, models=(), settings=(), environment=(), config=None):
        self.folder, self.port = Path(folder), free_port()
        if config is None:
            base = {"model": "openai/tiny", "api_key": "sk-upstream"} | PRICES
            config = {
                "model_list": [{"model_name": name, "litellm_params": base | models[name]} for name in models],
                "litellm_settings": dict(settings), "general_settings": {"master_key": KEY},
                "router_settings": {"num_retries": 2, "allowed_fails": 1000, "retry_after": 0},
            }  # fmt: skip
            config = json.dumps(config)  # JSON is YAML
        (self.folder / "config.yaml").write_text(config)
        self._record, self._log = self.folder / "record.jsonl", self.folder / "proxy.log"
        self._environment = ENVIRONMENT | {
            "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_RECORD": str(self._record), "DO_NOT_TRACK": "1",
            "AIOHTTP_TRUST_ENV": "False",
        } | dict(environment)  # fmt: skip

    def __enter__(self):
        command = [program(), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(self.port)]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=log, stderr=log)
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"{self.url}/health/liveliness", timeout=5).read()
                return self
            except OSError:
                assert self._process.poll() is None, self.log
                time.sleep(0.25)
        raise AssertionError(self.log)

    def __exit__(self, *_):
        self._process.terminate()
        self._process.wait(30)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self):
        return self._log.read_text()

    def ask(self, question="6 * 7?", headers=(), **fields):
        body = {"model": "tiny", "messages": [{"role": "user", "content": question}]} | fields
        headers = {"Authorization": f"Bearer {KEY}"} | dict(headers)
        return send(self.url, "POST", "/v1/chat/completions", body, headers, timeout=600)

    def costs(self, expected):
        """What it computed requests to cost, once it has logged so many of them."""
        for _ in range(400):
            lines = self._record.read_text().splitlines() if self._record.exists() else []
            if len(lines) >= expected:
                break
            time.sleep(0.05)
        return [json.loads(line)["cost"] for line in lines]


def plain(got):
    """A reply without what differs from one to the next."""
    return got.status, re.sub(r"chatcmpl-\d+", "", got.text), got.json["usage"]
