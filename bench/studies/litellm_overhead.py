"""What the hook adds to a request of LiteLLM's proxy, beside the proxy without it. Needs `litellm[proxy]`.

    python bench/studies/litellm_overhead.py                 200 rounds, a server that answers at once
    python bench/studies/litellm_overhead.py --latency 0.5   what a vote adds where a sample takes half a second

Two proxies run at the same time: one without tcalloc, and one whose hook keeps a budget. Each round asks the first, the
second for one sample, and the second for a vote of five, one after the other. So whatever else the machine does falls
on all three alike. Milliseconds are medians.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from importlib.metadata import version
from pathlib import Path

KEY = "sk-a-key-of-the-proxy-0123456789abcdef"
HOOK = {
    "callbacks": "tcalloc.serve.litellm.hook",
    "tcalloc": {"policy": "vote5", "total": 1e6, "max_tokens": 64, "period": "30d"},
}
KINDS = {"without the hook": (0, {}), "one sample": (1, {"x-tcalloc-extract": "none"}), "vote of 5": (1, {})}


def config(port, settings):
    """Return the config of a proxy in front of a server on this machine."""
    params = {
        "model": "openai/fake", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": "none",
        "input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6,
    }  # fmt: skip
    listed = [{"model_name": "fake", "litellm_params": params}]
    return {"model_list": listed, "litellm_settings": settings, "general_settings": {"master_key": KEY}}


@contextlib.contextmanager
def proxy(folder, port, upstream, settings):
    """Run a proxy on a port."""
    file = Path(folder) / f"{port}.yaml"
    file.write_text(json.dumps(config(upstream, settings)))
    command = [Path(sys.executable).with_name("litellm"), "--config", file, "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
    with (Path(folder) / f"{port}.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait(30)


def ask(port, headers):
    """Send one request; return how long it took, in seconds."""
    body = {"model": "fake", "messages": [{"role": "user", "content": "What is 17 + 25?"}]}
    head = {"Content-Type": "application/json", "Authorization": f"Bearer {KEY}"} | headers
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", json.dumps(body).encode(), head)
    started = time.perf_counter()
    urllib.request.urlopen(request, timeout=60).read()
    return time.perf_counter() - started


def wait(port):
    """Wait until a proxy answers."""
    for _ in range(600):
        try:
            return ask(port, {})
        except OSError:
            time.sleep(0.5)
    raise TimeoutError(port)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds that the server takes for a sample")
    parser.add_argument("--port", type=int, default=4600, help="of the first proxy; the second one has the next")
    args = parser.parse_args()
    fake = str(Path(__file__).with_name("sampling_throughput.py"))
    command = [sys.executable, fake, "--serve", "--latency", str(args.latency)]
    with (
        tempfile.TemporaryDirectory() as folder,
        # LiteLLM also asks for what this server does not know, which it says.
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server,
        contextlib.ExitStack() as stack,
    ):
        stack.callback(server.kill)
        upstream = int(server.stdout.readline())
        for place, settings in enumerate(({}, HOOK)):
            stack.enter_context(proxy(folder, args.port + place, upstream, settings))
        for place in (0, 1):
            wait(args.port + place)
        found = {kind: [] for kind in KINDS}
        for i in range(args.rounds + 10):
            for kind, (place, headers) in KINDS.items():
                seconds = ask(args.port + place, headers)
                if i >= 10:  # connections are there, and code is warm
                    found[kind].append(seconds)
    print(f"| LiteLLM {version('litellm')}, ms | {' | '.join(KINDS)} |\n| --- | --- | --- | --- |")
    cells = [f"{1e3 * statistics.median(times):.1f}" for times in found.values()]
    print(f"| {args.rounds} rounds, a server of {1e3 * args.latency:g} ms | {' | '.join(cells)} |")
    print(f"(Load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores.)")


if __name__ == "__main__":
    main()
