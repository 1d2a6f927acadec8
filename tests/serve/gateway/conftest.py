"""What the tests of the gateway share: requests to it."""

import pytest
from gateway_client import send

pytest.importorskip("aiohttp")


@pytest.fixture
def ask():
    def ask(gateway, question="6 * 7?", headers=None, **fields):
        messages = fields.pop("messages", [{"role": "user", "content": question}])
        body = {"model": "tiny", "messages": messages} | fields
        return send(gateway.url, "POST", "/v1/chat/completions", body, headers)

    return ask


@pytest.fixture
def get():
    return lambda gateway, path, headers=None: send(gateway.url, "GET", path, None, headers)
