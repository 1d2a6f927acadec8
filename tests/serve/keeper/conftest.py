"""A redis-server for all tests of this folder, if there is one on this machine."""

import itertools

import pytest
from budgets import redis_server


@pytest.fixture(scope="session")
def redis_address(tmp_path_factory):
    with redis_server(tmp_path_factory.mktemp("redis")) as address:
        yield address


@pytest.fixture(params=["memory", "sqlite", "redis"])
def kind(request):
    return request.param


_numbers = itertools.count()


@pytest.fixture
def where(kind, request, tmp_path):
    """Return where a store of the kind is kept; each test has a place of its own."""
    if kind != "redis":
        return str(tmp_path)
    return f"{request.getfixturevalue('redis_address')}#test{next(_numbers)}"
