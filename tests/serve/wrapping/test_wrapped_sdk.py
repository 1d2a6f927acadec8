"""What `tcalloc.wrap` relies on in OpenAI's SDK: a version that changes it fails here, not where a user has it."""

import inspect
import logging

import openai
import pytest
from upstreams import Upstream
from wrapped_clients import HTTP, KEY, asked

from tcalloc import BudgetKeeper, Rates, wrap
from tcalloc.errors import InputError
from tcalloc.serve.wrapping.http_clients import library_of


@pytest.mark.parametrize("sdk", [openai.OpenAI, openai.AsyncOpenAI])
def test_a_copy_of_a_client_takes_another_http_client(sdk):
    client = sdk(base_url="http://127.0.0.1:9/v1", api_key=KEY, max_retries=7, timeout=3.0)
    assert library_of(client._client) is HTTP
    other = (HTTP.AsyncClient if sdk is openai.AsyncOpenAI else HTTP.Client)()
    copied = client.with_options(http_client=other)
    assert copied._client is other
    assert (copied.base_url, copied.api_key, copied.max_retries, copied.timeout) == (
        client.base_url, client.api_key, 7, 3.0,
    )  # fmt: skip


@pytest.mark.parametrize("client", [HTTP.Client, HTTP.AsyncClient])
def test_the_http_library_has_what_is_overridden(client):
    send = inspect.signature(client.send).parameters
    assert list(send)[:2] == ["self", "request"]
    assert {name for name, one in send.items() if one.kind is one.KEYWORD_ONLY} >= {
        "stream",
        "auth",
        "follow_redirects",
    }
    for name in ("build_request", "aclose" if client is HTTP.AsyncClient else "close", "is_closed", "timeout"):
        assert hasattr(client, name)
    made = inspect.signature(HTTP.Request).parameters
    assert {"method", "url", "headers", "content", "extensions"} <= set(made)
    assert {"status_code", "headers", "content", "stream", "request"} <= set(
        inspect.signature(HTTP.Response).parameters
    )


def test_chat_completions_go_through_the_http_clients_send():
    """The path, a JSON body that is there at once, and fields that the SDK does not know."""
    seen = []

    class Watching(HTTP.Client):
        def send(self, request, **options):
            seen.append((request.method, request.url.path, bytes(request.content)[:1], sorted(options)))
            return super().send(request, **options)

    with Upstream() as server, openai.OpenAI(base_url=server.url, api_key=KEY, http_client=Watching()) as client:
        client.chat.completions.create(**asked("3 + 4", {}))
    assert seen[0][:3] == ("POST", "/v1/chat/completions", b"{")
    assert set(seen[0][3]) <= {"stream", "auth", "follow_redirects"}
    known = openai.types.chat.ChatCompletion.model_validate(
        {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [], "tcalloc": {"samples": 3}}
    )
    assert known.tcalloc == {"samples": 3}


def test_a_client_of_another_shape_stays_plain_and_is_said_once(caplog):
    with Upstream() as server, openai.OpenAI(base_url=server.url, api_key=KEY) as client:
        http = client.__dict__.pop("_client")
        assert wrap(client, "vote3") is client
        assert [one.levelno for one in caplog.records] == [logging.WARNING]
        assert "the client is returned as it is" in caplog.text
        keeper = BudgetKeeper(1.0)  # its cap would not hold
        with pytest.raises(InputError, match="tcalloc serve"):
            wrap(client, "vote3", keeper, rates=Rates.per_million(1, 1), max_tokens=9)
        client._client = http
