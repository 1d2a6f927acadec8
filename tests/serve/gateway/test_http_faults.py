"""What is no request that the gateway knows: it is refused in the gateway's words, and the log quotes none of it."""

import gzip
import json
import logging
import socket
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from gateway_client import send
from gateway_forms import FORMS
from upstreams import Upstream

from tcalloc.learn.protocol import Always
from tcalloc.measure.actions import Vote
from tcalloc.serve.gateway.server import Gateway

SECRET = "sk-planted-0123456789abcdef"
HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
BODY = {"model": "tiny", "messages": [{"role": "user", "content": "6 * 7?"}]}
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def gateway():
    with Upstream() as server, Gateway(server.url, Always(Vote(3)), port=0) as gateway:
        yield gateway


def raw(gateway, data):
    where = urlsplit(gateway.url)
    with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"Authorization: Bearer %s\x00\r\n\r\n",
        HEAD + b"Authorization Bearer %s\r\n\r\n",
        HEAD + b"Authorization: Bearer %s" + b"x" * 20_000 + b"\r\n\r\n",
        b"GET /metrics?key=%s HTTP/9.9\r\n\r\n",
        b"%s is no method\r\n\r\n",
        b"GET http://[::%s/metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"GET /%s HTTP/1.1\r\nHost: [%s\r\nConnection: close\r\n\r\n",
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 27\r\nConnection: close\r\n\r\n%s",
        HEAD + b"Content-Encoding: %s\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    ],
)
def test_the_log_quotes_nothing_of_what_is_no_request(gateway, data, caplog, capfd):
    with caplog.at_level(logging.DEBUG):
        reply = raw(gateway, data.replace(b"%s", SECRET.encode()))
    # The oldest aiohttp that is allowed closes the connection where an address in a request's first line is none.
    assert reply.split()[1] in (b"400", b"404") if reply else data.startswith(b"GET http://[")
    said = "".join(logging.Formatter().format(record) for record in caplog.records)
    assert "planted" not in said + "".join(capfd.readouterr())
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING and one.name.startswith("tcalloc")]


def test_a_failure_of_the_server_is_one_line_without_its_words(caplog):
    log = logging.getLogger("tcalloc.gateway.http")
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        log.exception("Unhandled exception %s", SECRET, exc_info=error)
    assert [record.getMessage() for record in caplog.records] == ["a request failed (KeyError)"]
    assert caplog.records[0].exc_info is None


@pytest.mark.parametrize("host", ["[", "[::1", "::1::", "a b"])
def test_a_host_that_is_none_is_refused(gateway, host):
    for path in ("/metrics", "/status", "/v1/models"):
        got = send(gateway.url, "GET", path, None, {"Host": host})
        assert (got.status, got.json["error"]["code"]) == (403, "forbidden")


def test_what_is_not_there(gateway):
    for path in ("/v1/embeddings", "/favicon.ico", "/v1/chat/completions/", "/..%2fetc/passwd", "//metrics"):
        got = send(gateway.url, "GET", path)
        assert (got.status, got.json["error"]["code"]) == (404, "not_found")
        assert path not in got.json["error"]["message"].split(", ")
    got = send(gateway.url, "GET", CHAT)
    assert (got.status, got.json["error"]["code"], got.headers["allow"]) == (405, "method_not_allowed", "POST")


def test_bodies_that_are_compressed(gateway):
    body = json.dumps(BODY).encode()
    got = send(gateway.url, "POST", CHAT, gzip.compress(body), {"Content-Encoding": "gzip"})
    assert (got.status, got.text) == (200, "The answer is 42.")
    got = send(gateway.url, "POST", CHAT, body, {"Content-Encoding": "gzip"})
    assert (got.status, got.json["error"]["code"]) == (400, "invalid_request")
    large = gzip.compress(b" " * (65 << 20))
    assert send(gateway.url, "POST", CHAT, large, {"Content-Encoding": "gzip"}, timeout=60).status == 413


def test_a_stream_that_never_ends_an_event(ask):
    sizes = []

    async def endless(request, body):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        sizes.append(0)
        while True:
            await response.write(b"x" * 65536)
            sizes[-1] += 65536

    with Upstream(default=endless) as server, Gateway(server.url, Always(Vote(1)), port=0) as gateway:
        got = ask(gateway, stream=True)
        assert (got.status, got.json["error"]["code"]) == (502, "upstream_reply_too_large")
        assert max(sizes) < 128 << 20  # what is under way is more than what is read


@pytest.mark.parametrize("form", FORMS, ids=repr)
@pytest.mark.parametrize("stated", [True, False])
def test_a_reply_that_is_too_large(form, stated):
    """It is said that it came, and how large it may be; also where a part of the stream was passed on already."""

    async def large(request, body):
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        if stated:
            response.content_length = 40 << 20
        await response.prepare(request)
        for _ in range(40):
            await response.write(b" " * (1 << 20))
        return response

    async def long(request, body):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        piece = b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n' % (b"x" * 100_000)
        while True:
            await response.write(piece)

    said = "the server answered, but its reply is larger than 33,554,432 bytes."
    with Upstream(default=large) as server, Gateway(server.url, Always(Vote(2)), port=0) as gateway:
        got = form.ask(gateway)
        assert (got.status, form.error(got)["message"]) == (502, said)
        got = form.ask(gateway, headers={"x-tcalloc-extract": "none"})
        assert (got.status, form.error(got)["message"]) == (502, said)
    with Upstream(default=long) as server, Gateway(server.url, Always(Vote(1)), port=0) as gateway:
        got = form.ask(gateway, stream=True)
        assert got.status == 200
        assert said.encode() in got.data[-1000:]


def test_a_failure_within_is_said_without_its_words(gateway, monkeypatch, caplog):
    def fail(*args):
        raise LookupError(SECRET)

    monkeypatch.setattr(gateway.metrics, "text", fail)
    got = send(gateway.url, "GET", "/metrics")
    assert (got.status, got.json["error"]["code"]) == (500, "gateway_error")
    assert [record.getMessage() for record in caplog.records] == ["a request failed (LookupError)"]
    assert caplog.records[0].exc_info is None
