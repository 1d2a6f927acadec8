"""Embeddings: any function, and an OpenAI-compatible server over real HTTP on this machine."""

import copy
import json
import pickle
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tcalloc import InputError
from tcalloc.llm.failures import AccessError, RefusedError, UnreachableError
from tcalloc.llm.http.keys import Key
from tcalloc.llm.http.retry import Backoff

pytest.importorskip("sklearn")
pytest.importorskip("aiohttp")
from sklearn.base import clone

from tcalloc.learn.features import EmbeddingsEndpoint, Features

QUESTIONS = [f"Tom has {i} apples and gives {i // 2} to each friend." + " Why?" * (i % 3) for i in range(28)]


def toy(texts):
    return [[len(text), text.count("a"), 1.5] for text in texts]


def test_any_callable_embeds():
    features = Features(lexical=False, text=None, embed=toy).fit(QUESTIONS)
    assert features.get_feature_names_out().tolist() == ["embedding:0", "embedding:1", "embedding:2"]
    found = features.transform(QUESTIONS)
    raw = np.array(toy(QUESTIONS))
    expected = (raw - raw.mean(axis=0)) / np.where(raw.std(axis=0) > 0, raw.std(axis=0), np.inf)
    assert np.allclose(found, np.clip(expected, -4, 4))


@pytest.mark.parametrize(
    ("embed", "said"),
    [
        (lambda texts: toy(texts)[1:], "expected"),
        (lambda texts: [1.0] * len(texts), "expected"),
        (lambda texts: [[float("nan")]] * len(texts), "not finite for text 0"),
        (lambda texts: [["x"]] * len(texts), "array of numbers"),
    ],
)
def test_what_embeds_wrongly_is_refused(embed, said):
    with pytest.raises(InputError, match=said):
        Features(embed=embed).fit(QUESTIONS)


class Server:
    """An embeddings server on this machine; `script` says how it answers: statuses or bodies, then truly."""

    def __init__(self):
        self.asked, self.keys, self.script = [], [], []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path, asked))
                outer.keys.append(self.headers.get("Authorization"))
                step = outer.script.pop(0) if outer.script else None
                status, headers, body = 200, {}, None
                if step == "hang up":
                    self.close_connection = True
                    self.connection.close()
                    return
                if isinstance(step, tuple):
                    status, body = step
                elif isinstance(step, int):
                    status, body, headers = step, {"error": {"message": f"no: {step}"}}, {"Retry-After": "0.01"}
                elif step is not None:
                    body = step
                if body is None:
                    width = asked.get("dimensions", 3)
                    data = [
                        {"index": i, "embedding": (toy([text])[0] * 3)[:width]} for i, text in enumerate(asked["input"])
                    ]
                    body = {"object": "list", "data": data[::-1], "model": asked["model"]}
                raw = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Type": "application/json", "Content-Length": len(raw)}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("HOME", "/nowhere")
    with Server() as running:
        yield running


QUICK = Backoff(retries=2, base=0.01, cap=0.02)


def test_an_endpoint_embeds_in_batches_and_keeps_the_order(server):
    embed = EmbeddingsEndpoint(server.url, "tiny", batch=5, backoff=QUICK)
    assert np.array_equal(embed(QUESTIONS), toy(QUESTIONS))
    assert {path for path, _ in server.asked} == {"/v1/embeddings"}
    assert sorted(len(asked["input"]) for _, asked in server.asked) == [3, 5, 5, 5, 5, 5]
    assert server.asked[0][1]["model"] == "tiny"
    assert embed([]).shape[0] == 0
    embed.close()
    features = Features(components=3, embed=embed).fit(QUESTIONS)
    assert features.get_feature_names_out()[-1] == "embedding:2"
    assert np.array_equal(features.transform(QUESTIONS)[4], features.transform_one(QUESTIONS[4]))
    assert clone(features).embed is embed
    embed.close()


def test_an_endpoint_asks_for_dimensions_and_sends_the_key_to_its_host_alone(server):
    key = Key("secret-of-mine", "127.0.0.1")
    embed = EmbeddingsEndpoint(server.url + "/", "tiny", key=key, dimensions=2)
    assert embed(["a"]).shape == (1, 2)
    assert server.keys == ["Bearer secret-of-mine"]
    assert "secret" not in repr(embed)
    assert copy.deepcopy(embed) is embed
    with pytest.raises(TypeError):
        pickle.dumps(embed)
    embed.close()
    with pytest.raises(InputError, match="does not go to"):
        EmbeddingsEndpoint(server.url, "tiny", key=Key("secret", "api.example.com"))


def test_an_endpoint_tries_again_when_the_server_is_busy_or_gone(server):
    server.script = [503, "hang up"]
    embed = EmbeddingsEndpoint(server.url, "tiny", backoff=QUICK)
    assert embed(["abc"]).tolist() == [[3, 1, 1.5]]
    assert len(server.asked) == 3
    embed.close()


@pytest.mark.parametrize(
    ("script", "kind", "said"),
    [
        ([401], AccessError, "Check the key"),
        ([404], AccessError, "Check the URL and the model 'tiny'"),
        ([307], AccessError, "307"),
        ([400], RefusedError, "no: 400"),
        ([429] * 3, UnreachableError, "after 3 tries: status 429"),
        ([b"<html>"] * 3, UnreachableError, "not an OpenAI-compatible"),
        ([{"data": []}] * 3, UnreachableError, "0 embeddings for 2 texts"),
        ([{"data": [{"embedding": [1]}, {"embedding": [1, 2]}]}] * 3, UnreachableError, "list of embeddings"),
        ([{"data": [{"index": 0, "embedding": [1]}] * 2}] * 3, UnreachableError, "2 embeddings for 2 texts"),
        ([b'{"data": [{"embedding": [1]}, {"embedding": [NaN]}]}'] * 3, UnreachableError, "not finite"),
        (["hang up"] * 3, UnreachableError, "lost"),
    ],
)
def test_an_endpoint_says_what_is_wrong(server, script, kind, said):
    server.script = script
    embed = EmbeddingsEndpoint(server.url, "tiny", backoff=QUICK)
    with pytest.raises(kind, match=said):
        embed(["a", "b"])
    embed.close()


def test_no_server_is_said(server):
    server.__exit__()
    embed = EmbeddingsEndpoint(server.url, "tiny", backoff=QUICK)
    with pytest.raises(UnreachableError, match="refused the connection"):
        embed(["a"])
    embed.close()
    server.thread = threading.Thread(target=lambda: None)
    server.thread.start()
    server.http.shutdown = lambda: None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"base_url": "ftp://x"}, "URL"),
        ({"base_url": "http://user@x/v1"}, "user"),
        ({"model": " "}, "model"),
        ({"batch": 0}, "batch"),
        ({"dimensions": 2.0}, "dimensions"),
        ({"key": "secret"}, "Key"),
    ],
)
def test_endpoint_arguments(arguments, said):
    with pytest.raises(InputError, match=said):
        EmbeddingsEndpoint(**{"base_url": "http://127.0.0.1:9/v1", "model": "m", **arguments})
