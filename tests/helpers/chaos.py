"""An OpenAI-compatible server on the loopback that misbehaves by script; standard library alone.

    with Chaos(["429", "reset", "ok"]) as server:      # what happens to the first, second, ... request; then "ok"
        ...  # requests to server.url
    server.requests      # every request: its body, headers and fault
    server.answered      # how often each (prompt, seed) got a whole answer

Answers are a function of prompt and seed, so runs can be compared. A fault may be a callable(handler, body) too.
"""

import argparse
import itertools
import json
import socket
import struct
import threading
import time
from collections import Counter, deque
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_NUMBERS = itertools.count()
SLOTS = 4  # of "limited": more choices are refused


def answer_text(prompt, seed, choice=0):
    """What the model says: the right sum in about two of three samples."""
    draw = int(sha256(f"{prompt}|{seed}|{choice}".encode("utf-8", "surrogatepass")).hexdigest()[:8], 16)
    try:
        right = sum(int(part) for part in prompt.split("+"))
    except ValueError:
        right = 42
    return f"The answer is {right + (draw % 3 == 0) * (1 + draw % 5)}."


def tokens_of(text):
    return len(text.split()) + 1


def completion(body, n=None, *, usage="all", finish="stop"):
    """The document of a proper reply to a request."""
    prompt, seed = body["messages"][-1]["content"], body.get("seed")
    texts = [answer_text(prompt, seed, i) for i in range(body.get("n", 1) if n is None else n)]
    counts = [tokens_of(text) for text in texts]
    document = {
        "id": f"chatcmpl-{next(_NUMBERS)}",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [
            {"index": i, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
            for i, text in enumerate(texts)
        ],
    }
    if body.get("logprobs"):
        for choice, count in zip(document["choices"], counts, strict=True):
            # The likeliest tokens are less likely the later they stand: at place i, -0.5, -0.5 - i, -0.5 - 2 i, ...
            many = body.get("top_logprobs", 0)
            choice["logprobs"] = {
                "content": [
                    {
                        "token": "x",
                        "logprob": -0.5,
                        "top_logprobs": [{"token": "x", "logprob": -0.5 - i * j} for j in range(many)],
                    }
                    for i in range(count - 1)
                ]
            }
    total = {"all": sum(counts), "first": counts[0], "zero": 0}.get(usage)
    if total is not None:
        document["usage"] = {"prompt_tokens": 20, "completion_tokens": total, "total_tokens": 20 + total}
    return document


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_POST(self):
        chaos = self.server.chaos
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault = chaos.take(body, dict(self.headers), self.path)
        try:
            if callable(fault):
                fault(self, body)
            else:
                name, _, argument = fault.partition(":")
                getattr(self, "fault_" + name.replace("-", "_"))(body, argument)
        except OSError:
            self.close_connection = True

    # ---------------------------------------------------------------------------------- sending

    def reply(self, status, document, headers=(), kind="application/json"):
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def error(self, status, message, code=None, headers=()):
        self.reply(status, {"error": {"message": message, "type": code, "code": code}}, headers)

    def answer(self, body, **options):
        document = completion(body, **options)
        self.server.chaos.last = body, document
        self.reply(200, document)
        self.server.chaos.count(body)

    def hang_up(self, reset=True):
        self.close_connection = True
        if reset:  # linger 0: RST instead of FIN
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def begin(self, data, length):
        """Send the head and only `data` of a body of so many bytes."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    # ---------------------------------------------------------------------------------- faults

    def fault_ok(self, body, argument):
        if argument:
            time.sleep(float(argument))
        self.answer(body)

    def fault_429(self, body, argument):
        headers = [("Retry-After", argument)] if argument else []
        self.error(429, "Rate limit reached", "rate_limit_exceeded", headers)

    def fault_status(self, body, argument):
        self.error(int(argument), f"status {argument} by script")

    def fault_loading(self, body, argument):
        self.error(503, "Loading model")

    def fault_quota(self, body, argument):
        self.error(429, "You exceeded your current quota", "insufficient_quota")

    def fault_unknown_model(self, body, argument):
        self.error(404, f"The model `{body['model']}` does not exist", "model_not_found")

    def fault_bad_key(self, body, argument):
        # Some servers say the key again.
        self.error(401, "Incorrect API key provided: " + self.headers.get("Authorization", "none"), "invalid_api_key")

    def fault_echo(self, body, argument):
        document = completion(body)
        document["choices"][0]["message"]["content"] = "You sent " + self.headers.get("Authorization", "nothing")
        self.reply(200, document)
        self.server.chaos.count(body)

    def fault_reset(self, body, argument):
        self.hang_up()

    def fault_close(self, body, argument):
        self.hang_up(reset=False)

    def fault_cut(self, body, argument):
        """The connection ends in the middle of a body whose length was told."""
        data = json.dumps(completion(body)).encode()
        self.begin(data[: len(data) // 2], len(data))
        self.hang_up(reset=False)

    def fault_cut_chunked(self, body, argument):
        data = json.dumps(completion(body)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data) // 2, data[: len(data) // 2]))
        self.hang_up(reset=False)

    def fault_chunked(self, body, argument):
        data = json.dumps(completion(body)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(0, len(data), 50):
            piece = data[i : i + 50]
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")
        self.server.chaos.count(body)

    def fault_slow(self, body, argument):
        """A slow first byte."""
        self.server.chaos.release.wait(float(argument))
        self.answer(body)

    def fault_stall(self, body, argument):
        """Half of the body, then nothing."""
        data = json.dumps(completion(body)).encode()
        self.begin(data[: len(data) // 2], len(data))
        self.server.chaos.release.wait(float(argument))
        self.hang_up()

    def fault_drip(self, body, argument):
        """A byte now and then, each within any time-out between two."""
        data = json.dumps(completion(body)).encode()
        self.begin(b"", len(data))
        for i in range(len(data)):
            if self.server.chaos.release.wait(float(argument)):
                break
            self.wfile.write(data[i : i + 1])
            self.wfile.flush()
        self.hang_up()

    def fault_truncated_json(self, body, argument):
        self.reply(200, json.dumps(completion(body)).encode()[:-20])

    def fault_html(self, body, argument):
        self.reply(200, b"<html><body>Welcome to the hotel's network</body></html>", kind="text/html; charset=utf-8")

    def fault_huge(self, body, argument):
        """A body that says how large it is, or (huge:chunked) does not."""
        if argument != "chunked":
            self.begin(b" " * 1000, 1 << 40)
            self.hang_up()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(1 << 12):
            self.wfile.write(b"10000\r\n" + b" " * 65536 + b"\r\n")

    def fault_error_200(self, body, argument):
        self.error(200, "The upstream failed", int(argument) if argument else "upstream_error")

    def fault_no_choices(self, body, argument):
        self.reply(200, {"id": "x", "choices": []})

    def fault_twice(self, body, argument):
        """The same reply a second time, unasked, on the same connection."""
        data = json.dumps(completion(body)).encode()
        self.reply(200, data)
        self.server.chaos.count(body)
        if argument:
            time.sleep(float(argument))
        self.reply(200, data)

    def fault_previous(self, body, argument):
        """The reply to the last other question once more: what a duplicate that comes late looks like."""
        last, document = self.server.chaos.last
        if last["messages"] in (None, body["messages"]):
            self.answer(body)
        else:
            self.reply(200, document)

    def fault_repeated_choices(self, body, argument):
        document = completion(body)
        document["choices"] += document["choices"]
        self.reply(200, document)
        self.server.chaos.count(body)

    def fault_ignored_n(self, body, argument):
        self.answer(body, n=1)

    def fault_limited(self, body, argument):
        if body.get("n", 1) > SLOTS:
            self.error(400, "n_cmpl cannot be greater than the number of slots")
        else:
            self.answer(body)

    def fault_no_seed(self, body, argument):
        if "seed" in body:
            self.error(400, "Unrecognized request argument supplied: seed")
        else:
            self.answer(body)

    def fault_no_usage(self, body, argument):
        self.answer(body, usage=None)

    def fault_zero_usage(self, body, argument):
        self.answer(body, usage="zero")

    def fault_first_usage(self, body, argument):
        self.answer(body, usage="first")

    def fault_length(self, body, argument):
        self.answer(body, finish="length")

    def fault_redirect(self, body, argument):
        self.reply(307, {}, [("Location", argument or "/elsewhere?token=abc")])


class Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def handle_error(self, request, client_address):
        pass  # clients that are killed are part of the game


class Chaos:
    """The server; see the module. `default` is what happens when the script is at its end."""

    def __init__(self, script=(), default="ok", port=0):
        self.script = deque(script)
        self.default = default
        self.requests = []
        self.answered = Counter()
        self.last = ({"messages": None}, {})
        self.release = threading.Event()
        self._guard = threading.Lock()
        self._server = Server(("127.0.0.1", port), Handler)
        self._server.chaos = self
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def take(self, body, headers, path):
        with self._guard:
            fault = self.script.popleft() if self.script else self.default
            self.requests.append({"body": body, "headers": headers, "path": path, "fault": fault})
            return fault

    def count(self, body):
        with self._guard:
            self.answered[key_of(body)] += 1


def key_of(body):
    return body["messages"][-1]["content"], body.get("seed")


def main():
    """Serve well until killed, with a latency: for scripts that need the server in a process of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    args = parser.parse_args()
    with Chaos(default=f"ok:{args.latency}") as server:
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
