"""What the tests of wrapped clients share: both kinds of clients."""

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("openai")

from wrapped_clients import Awaiting, Blocking


@pytest.fixture(params=[Blocking, Awaiting], ids=["blocking", "awaiting"])
def wrapped(request):
    return request.param
