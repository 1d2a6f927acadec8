"""The exchange itself: over TLS, through a proxy, compressed; each as a whole request of the client."""

import gzip
import json
import shutil
import ssl
import subprocess

import pytest
from chaos import Chaos, completion

from tcalloc.llm.client import ChatClient, Parameters
from tcalloc.llm.failures import LlmError
from tcalloc.llm.retry import Backoff

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


def test_compressed_without_being_asked_to():
    with Chaos([compressed, "ok"]) as server, client_of(server.url) as client:
        assert client.complete(ASK).text.startswith("The answer is")
        assert client.complete(ASK).text.startswith("The answer is")
    with Chaos([bomb]) as server, client_of(server.url, max_body=1 << 20) as client:
        large = pytest.raises(LlmError, match="larger than")
        with large:
            client.complete(ASK)
    with Chaos([broken]) as server, client_of(server.url) as client, pytest.raises(LlmError):
        client.complete(ASK)


def test_a_request_is_one_piece():
    """A head and a body sent apart wake the server twice."""
    sizes = []
    with Chaos() as server, client_of(server.url) as client:
        client.complete(ASK)
        pool = client._transport._pool()
        conn = pool._get_conn()
        send = conn.sock.sendall

        class Socket:
            def __getattr__(self, name):
                return getattr(sock, name)

            def sendall(self, data):
                sizes.append(len(data))
                send(data)

        sock, conn.sock = conn.sock, Socket()
        pool._put_conn(conn)
        client.complete(ASK)
        conn.sock = sock
    assert len(sizes) == 1
