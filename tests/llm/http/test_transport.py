"""The exchange itself: over TLS, through a proxy, compressed; each as a whole request of the client."""

import gzip
import json
import shutil
import ssl
import subprocess
import threading
import time

import pytest
from chaos import Chaos, completion

from tcalloc.errors import InputError
from tcalloc.llm.client import ChatClient, Parameters
from tcalloc.llm.failures import LlmError
from tcalloc.llm.http._proxies import proxy_for
from tcalloc.llm.http.retry import Backoff
from tcalloc.llm.http.transport import Timeouts

pytest.importorskip("aiohttp")

ASK = [{"role": "user", "content": "1 + 1"}]


def client_of(url, **options):
    return ChatClient(
        url, "tiny", Parameters(seed=None), key=None, backoff=Backoff(retries=0, bad_replies=0), **options
    )


@pytest.fixture
def certificate(tmp_path):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not here to make a certificate")
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True)
    return key, cert


@pytest.fixture
def secure(certificate):
    key, cert = certificate
    with Chaos() as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        server._server.socket = context.wrap_socket(server._server.socket, server_side=True)
        server.url = server.url.replace("http://", "https://")
        yield server


def test_https(secure, certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[1]))
    with client_of(secure.url) as client:
        assert all(client.complete(ASK).text.startswith("The answer is") for _ in range(3))
        assert len(secure.requests) == 3


def test_https_that_nobody_vouches_for(secure, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    with client_of(secure.url) as client, pytest.raises(LlmError, match="certificate is not trusted"):
        client.complete(ASK)
    assert not secure.requests


def test_https_asked_of_http():
    with Chaos() as server, client_of(server.url.replace("http:", "https:")) as client:
        refused = pytest.raises(LlmError, match="not https")
        with refused:
            client.complete(ASK)


@pytest.mark.parametrize("fault", ["ok", "chunked"])
def test_through_a_proxy(fault, monkeypatch):
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Chaos(default=fault) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1"))
        with client_of("http://models.example/v1") as client:
            for _ in range(2):
                assert client.complete(ASK).text.startswith("The answer is")
        assert [request["path"] for request in proxy.requests] == ["http://models.example/v1/chat/completions"] * 2


def compressed(handler, body):
    data = gzip.compress(json.dumps(completion(body)).encode())
    handler.reply(200, data, [("Content-Encoding", "gzip")])


def bomb(handler, body):
    handler.reply(200, gzip.compress(b" " * (1 << 22)), [("Content-Encoding", "gzip")])


def broken(handler, body):
    handler.reply(200, gzip.compress(json.dumps(completion(body)).encode())[20:], [("Content-Encoding", "gzip")])


def only_said(handler, body):
    handler.reply(200, completion(body), [("Content-Encoding", "zstd")])


def test_compressed_without_being_asked_to():
    with Chaos([compressed, "ok"]) as server, client_of(server.url) as client:
        assert client.complete(ASK).text.startswith("The answer is")
        assert client.complete(ASK).text.startswith("The answer is")
    with Chaos([bomb]) as server, client_of(server.url, max_body=1 << 20) as client:
        large = pytest.raises(LlmError, match="larger than")
        with large:
            client.complete(ASK)
    for fault in (broken, only_said):
        words = pytest.raises(LlmError, match="is not compressed as it says")
        with Chaos(default=fault) as server, client_of(server.url) as client, words:
            client.complete(ASK)


def test_a_request_is_one_piece(monkeypatch):
    """A head and a body sent apart wake the server twice."""
    import asyncio.selector_events as events

    sizes = []
    send = events._SelectorSocketTransport.write

    def write(self, data):
        sizes.append(len(data))
        return send(self, data)

    monkeypatch.setattr(events._SelectorSocketTransport, "write", write)
    monkeypatch.setattr(events._SelectorSocketTransport, "writelines", lambda self, parts: write(self, b"".join(parts)))
    with Chaos() as server, client_of(server.url) as client:
        for _ in range(3):
            client.complete(ASK)
    assert len(sizes) == 3


# ------------------------------------------------------------------------------------------ what never ends


def endless(first, piece, pause=0.05):
    """Send a beginning, and then a piece again and again: for ten seconds, twenty times what a client waits."""

    def fault(handler, body):
        handler.wfile.write(first)
        for _ in range(200):
            if handler.server.chaos.release.wait(pause):
                break
            handler.wfile.write(piece)
            handler.wfile.flush()

    return fault


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"HTTP/1.1 2", b"0"),
        (HEAD, b"X: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        (CHUNKED + b"5;", b"extension"),
        (CHUNKED, b"1\r\n \r\n"),
        (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n"),
        (HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
        (HEAD + b"\r\n", b" "),
    ],
    ids=["status", "headers", "continue", "hints", "extension", "chunks", "trailers", "body", "no length"],
)
def test_the_total_time_bounds_everything(first, piece):
    # Only the total time can end it.
    with (
        Chaos([endless(first, piece)]) as server,
        client_of(server.url, timeouts=Timeouts(60.0, 60.0, 0.5)) as client,
    ):
        longer = pytest.raises(LlmError, match=r"longer than 0\.5 s|not HTTP")
        with longer:
            client.complete(ASK)
        # The next is not spoiled; a busy machine may take longer for it.
        client._transport._timeouts = Timeouts()
        assert client.complete(ASK).text.startswith("The answer is")


def test_what_is_not_final_is_waited_for():
    def early(handler, body):
        for line in (b"100 Continue", b"103 Early Hints", b"102 Processing"):
            handler.wfile.write(b"HTTP/1.1 " + line + b"\r\nLink: </a>\r\n\r\n")
        handler.answer(body)

    with Chaos([early] * 2) as server, client_of(server.url) as client:
        assert client.complete(ASK).text.startswith("The answer is")
        assert client.complete(ASK).text.startswith("The answer is")
        assert len(server.requests) == 2


def test_what_comes_unasked_is_no_reply():
    """A second reply without an id, which no comparison of ids would notice."""

    def twice(handler, body):
        document = completion(body)
        del document["id"]
        handler.reply(200, document)
        time.sleep(0.02)
        document["choices"][0]["message"]["content"] = "a reply to nothing"
        handler.reply(200, document)

    with Chaos([twice] * 3) as server, client_of(server.url) as client:
        for _ in range(3):
            assert client.complete(ASK).text.startswith("The answer is")
            time.sleep(0.1)


# ------------------------------------------------------------------------------------------ where requests go


@pytest.mark.parametrize(
    "url",
    ["http://[::1/v1", "http://\u2100/v1", "http://::1]/v1", "http://a..b/v1", f"http://{'a' * 70}.org/v1", "http:///v1",
     "http://x:0/v1", "http://x:99999/v1", "http://x:y/v1", "http://[v1]/v1", "ftp://x/v1", "//x/v1", ""],
)  # fmt: skip
def test_urls_that_are_none(url):
    with pytest.raises(InputError, match="Write it like http://127"):
        ChatClient(url, "m", key=None)


def test_no_password_is_repeated():
    with pytest.raises(InputError) as caught:
        ChatClient("http://user:secret@[::1/v1", "m", key=None)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_missing_certificates_are_refused_at_once(variable, monkeypatch, tmp_path):
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, str(tmp_path / "none.pem"))
    with pytest.raises(InputError, match=rf"none\.pem \({variable}\) is not there"):
        ChatClient("https://localhost:1/v1", "m", key=None)
    ChatClient("http://localhost:1/v1", "m", key=None)  # needs none
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(InputError, match="Expected certificates in PEM format"):
        ChatClient("https://localhost:1/v1", "m", key=None)


def test_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    assert proxy_for("http://models.example/v1") is None
    monkeypatch.setenv("all_proxy", "proxy:3128")
    monkeypatch.setenv("no_proxy", "inside.example,10.0.0.0/8")
    assert proxy_for("http://models.example/v1") == proxy_for("https://models.example/v1") == "http://proxy:3128"
    for url in ("http://127.0.0.1:8080/v1", "http://[::1]/v1", "http://a.inside.example/v1", "http://10.1.2.3/v1"):
        assert proxy_for(url) is None
    assert proxy_for("http://127.evil.com/v1") == "http://proxy:3128"  # not this machine
    monkeypatch.setenv("all_proxy", "socks5://proxy:1080")
    with pytest.raises(InputError, match="only http and https proxies"):
        proxy_for("https://models.example/v1")


# ------------------------------------------------------------------------------------------ replies in other clothes


def stream(*events, kind="text/event-stream", end=b"data: [DONE]\n\n"):
    def fault(handler, body):
        text = completion(body)["choices"][0]["message"]["content"]
        parts = [{"id": "s1", "choices": [{"index": 0, "delta": {"role": "assistant"}}]}]
        parts += [{"id": "s1", "choices": [{"index": 0, "delta": {"content": c}}]} for c in text]
        parts += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
        parts += [{"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 5}}]
        data = b": ping\n\n" + b"".join(b"data: " + json.dumps(part).encode() + b"\n\n" for part in parts)
        handler.reply(200, data + end, kind=kind)

    return fault


def in_a_string(handler, body):
    handler.reply(200, json.dumps(completion(body)))


@pytest.mark.parametrize("fault", [stream(), stream(kind="application/json"), stream(end=b""), in_a_string])
def test_streams_and_strings_are_read(fault):
    with Chaos([fault]) as server, client_of(server.url) as client:
        reply = client.complete(ASK)
    assert reply.text.startswith("The answer is")
    assert (reply.choices[0].finish, reply.output_tokens, reply.input_tokens) == ("stop", 5, 20)


@pytest.mark.parametrize("body", [b"200", b'"200"', b"OK", b"data: 200\n\n", b"data: {", b'"{"', b"[]", b"null", b""])
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/event-stream"])
def test_what_is_no_answer_is_one_clear_error(body, kind):
    def fault(handler, asked):
        handler.reply(200, body, kind=kind)

    unclear = pytest.raises(LlmError, match="status 200, but the reply is no answer: it")
    with Chaos([fault]) as server, client_of(server.url) as client, unclear:
        client.complete(ASK)


def test_a_stream_that_is_cut_off_is_no_answer():
    def cut(handler, body):
        handler.reply(200, b'data: {"choices": [{"index": 0, "delta": {"content": "The"}}]}\n\n')

    with Chaos([cut]) as server, client_of(server.url) as client, pytest.raises(LlmError, match="no answer"):
        client.complete(ASK)


# ------------------------------------------------------------------------------------------ when to try again


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 503, 529])
def test_busy_servers_are_asked_again(status):
    with Chaos([f"status:{status}"]) as server:
        client = ChatClient(server.url, "tiny", key=None, backoff=Backoff(retries=1, base=0.01))
        assert client.complete(ASK).text.startswith("The answer is")
        client.close()
        assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 403, 404, 410, 501])
def test_refusals_are_final(status):
    with Chaos(default=f"status:{status}") as server:
        client = ChatClient(server.url, "tiny", key=None, backoff=Backoff(retries=5, base=0.01))
        with client, pytest.raises(LlmError):
            client.complete(ASK)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ([("Retry-After", "0")], 0.1, 5),
        ([("Retry-After", "-7")], 0.1, 5),
        ([("Retry-After", "1e-9")], 0.1, 5),
        ([("Retry-After", "Wed, 21 Oct 2015 07:28:10 GMT")], 0.1, 5),
        ([("Retry-After", "1e99")], 0.5, 5),
        ([("Retry-After", "60"), ("retry-after-ms", "300")], 0.3, 5),
    ],
)
def test_what_a_server_asks_for(headers, least, most):
    def busy(handler, body):
        handler.error(429, "Rate limit reached", "rate_limit_exceeded", headers)

    with Chaos([busy]) as server:
        client = ChatClient(server.url, "tiny", key=None, backoff=Backoff(retries=1, base=0.2, longest=0.5))
        with client:
            started = time.monotonic()
            client.complete(ASK)
            assert least <= time.monotonic() - started < most + 30  # the machine may stand still


def test_a_pause_holds_for_all_requests_to_the_server():
    with Chaos(["429:0.5"]) as server, ChatClient(server.url, "tiny", key=None) as client:
        one, other = (client.variant(client.parameters, client.transport) for _ in range(2))
        asking = threading.Thread(target=one.complete, args=(ASK,))
        asking.start()
        while asking.is_alive() and not client._known.not_before:
            time.sleep(0.001)
        other.complete(ASK)
        assert time.monotonic() >= client._known.not_before
        asking.join()
        assert len(server.requests) == 3
