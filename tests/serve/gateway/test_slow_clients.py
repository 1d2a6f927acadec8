"""Clients that send slowly or not at all, or do not read: they are cut off, and others do not wait."""

import contextlib
import socket
import threading
import time
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from gateway_client import send
from gateway_forms import FORMS
from upstreams import Upstream

from tcalloc.errors import InputError
from tcalloc.learn.protocol import Always
from tcalloc.llm.concurrency import event_loop
from tcalloc.measure.actions import Vote
from tcalloc.serve.gateway.bodies import MOST_VALUES, asked_in
from tcalloc.serve.gateway.forms.form import CHAT, Form
from tcalloc.serve.gateway.server import Gateway

HEAD = b"POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 500\r\n"
ASKED = b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PATIENCE = 0.4


@pytest.fixture(scope="module")
def gateway():
    with Upstream() as server, Gateway(server.url, Always(Vote(3)), port=0, client_timeout=PATIENCE) as gateway:
        yield gateway


def connected(gateway):
    where = urlsplit(gateway.url)
    return socket.create_connection((where.hostname, where.port), timeout=20)


def test_a_header_that_does_not_come(gateway):
    """Nothing, half a header, or a byte now and then: the connection is closed."""
    silent, half, slow = connected(gateway), connected(gateway), connected(gateway)
    half.sendall(HEAD % b"/v1/chat/completions")
    with silent, half, slow:
        with contextlib.suppress(ConnectionError):
            for byte in HEAD % b"/v1/chat/completions":
                slow.sendall(bytes([byte]))
                time.sleep(PATIENCE / 20)
        for one in (silent, half):
            assert one.recv(100) == b""
        with contextlib.suppress(ConnectionError):
            assert slow.recv(100) == b""


def test_a_connection_that_has_asked_is_kept(gateway):
    with connected(gateway) as one:
        for _ in range(3):
            one.sendall(ASKED)
            assert one.recv(1000).startswith(b"HTTP/1.1 200")
            time.sleep(2.5 * PATIENCE)


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_a_body_that_does_not_come(gateway, form):
    with connected(gateway) as one:
        one.sendall(HEAD % form.path.encode() + b'\r\n{"model":')
        reply = one.recv(10_000)
        while b"\r\n\r\n" not in reply or not reply.endswith(b"}"):
            reply += one.recv(10_000)
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not come within 0.4 seconds." in reply
    assert form.ask(gateway).status == 200


def test_a_client_that_does_not_read_its_stream(gateway):
    """32 MB wait for it, and no end: the request ends when the client takes nothing more."""

    async def endless(request, body):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(
                    b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n' % (b"x" * 9999)
                )
        return response

    with Upstream([endless]) as server, Gateway(server.url, Always(Vote(1)), port=0, client_timeout=PATIENCE) as other:
        body = b'{"model": "tiny", "stream": true, "messages": [{"role": "user", "content": "1 + 1"}]}'
        head = HEAD.replace(b"500", str(len(body)).encode()) % b"/v1/chat/completions"
        with connected(other) as one:
            one.sendall(head + b"\r\n" + body)
            assert one.recv(100).startswith(b"HTTP/1.1 200")
            until = time.monotonic() + 20
            while other.metrics.open and time.monotonic() < until:
                time.sleep(0.05)
            assert other.metrics.open == 0


def test_a_patience_that_is_none():
    for value in (0, -1, float("nan")):
        with pytest.raises(InputError, match="client_timeout is "):
            Gateway("http://127.0.0.1:1/v1", Always(Vote(3)), client_timeout=value)


def test_large_bodies_are_read_in_a_thread():
    read_in = []

    def chat(body):
        read_in.append(threading.current_thread().name)
        return body

    async def read(data):
        async def whole():
            return data

        return await asked_in(SimpleNamespace(read=whole), Form("x", chat, None, CHAT.error), 5.0)

    async def where():
        return threading.current_thread().name

    small = b'{"model": "tiny", "messages": [{"role": "user", "content": "1 + 1"}]}'
    large = small.replace(b"1 + 1", b"1 + 1" * 50_000)
    assert event_loop.run(read(small))[1].text == "1 + 1"
    assert event_loop.run(read(large))[1].text == "1 + 1" * 50_000
    assert read_in[0] == event_loop.run(where())
    assert read_in[1] != read_in[0]


@pytest.mark.parametrize("form", FORMS, ids=repr)
def test_bodies_that_hold_too_much(gateway, form):
    """100,000 messages, as many parts of one, and twenty million lists, which alone would take 1.6 GB."""
    many = form.body("1+1")
    name = "input" if "input" in many else "messages"
    many[name] = [{"role": "user", "content": f"{i}"} for i in range(100_000)]
    parts = form.body([{"type": "text", "text": "x"}] * 60_000)
    assert form.error(send(gateway.url, "POST", form.path, many))["message"].startswith(
        "the body holds more than 100,000 "
    )
    assert form.error(send(gateway.url, "POST", form.path, parts))["message"].startswith(
        "the body holds more than 100,000 "
    )
    got = send(gateway.url, "POST", form.path, b"[" + b"[]," * 20_000_000 + b"[]]")
    assert (got.status, form.error(got)["message"]) == (400, "the body has more than 2,000,000 commas and brackets.")
    many[name] = many[name][: MOST_VALUES // 4]
    assert send(gateway.url, "POST", form.path, many).status == 200
