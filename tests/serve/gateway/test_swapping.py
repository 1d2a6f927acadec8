"""The policy is changed while requests are under way: by an endpoint, a hundred times, without a lost request."""

import asyncio
import itertools

import aiohttp
import pytest
from gateway_client import send
from upstreams import Upstream

from tcalloc.errors import InputError
from tcalloc.learn.protocol import Always
from tcalloc.learn.routing.baselines import Fixed
from tcalloc.learn.saving.policy_folder import load_policy, save_policy
from tcalloc.measure.actions import One, Vote
from tcalloc.serve.gateway.server import Gateway

CLIENTS, SWAPS = 50, 100


def post(gateway, headers=None):
    return send(gateway.url, "POST", "/admin/policy", {}, headers)


def gate(server, policy, **options):
    return Gateway(server.url, policy, port=0, **options)


def fixed(votes):
    return Fixed(f"vote{votes}").fit(None, [[0.5, 0.6], [0.2, 0.9]], cost=[1, 3], actions=[Vote(1), Vote(3)])


def test_a_hundred_swaps_under_load(tmp_path):
    """Each answer is that of one policy, whole: one sample, or three."""
    for votes in (1, 3):
        save_policy(fixed(votes), tmp_path / str(votes))
    turns = itertools.cycle("31")

    def read():
        return load_policy(tmp_path / next(turns))

    got, swapped = [], []

    async def run(url):
        done = asyncio.Event()
        body = {"model": "tiny", "messages": [{"role": "user", "content": "6 * 7?"}]}

        async def client(session):
            while not done.is_set():
                async with session.post(f"{url}/chat/completions", json=body) as reply:
                    document = await reply.json()
                    got.append((reply.status, reply.headers.get("x-tcalloc-action"), document))

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            clients = [asyncio.ensure_future(client(session)) for _ in range(CLIENTS)]
            for _ in range(SWAPS):
                async with session.post(f"{url.removesuffix('/v1')}/admin/policy", json={}) as reply:
                    swapped.append(reply.status)
            done.set()
            await asyncio.gather(*clients)

    with Upstream(pause=0.2) as server, gate(server, Always(One()), reload=read) as gateway:
        asyncio.run(run(gateway.url))
    assert swapped == [200] * SWAPS
    assert len(got) >= CLIENTS
    assert {status for status, _, _ in got} == {200}
    tokens = {"one": 7, "vote1": 7, "vote3": 21}
    assert {action for _, action, _ in got} >= {"vote3"}
    for _, action, document in got:
        assert document["choices"][0]["message"]["content"] == "The answer is 42."
        assert document["usage"]["completion_tokens"] == tokens[action]


def test_a_policy_that_cannot_be_read_changes_nothing(ask, caplog):
    def broken():
        raise InputError("/secret/place/policy.json: damaged.")

    with Upstream() as server, gate(server, Always(Vote(3)), reload=broken) as gateway:
        refused = post(gateway)
        assert ask(gateway).headers["x-tcalloc-action"] == "vote3"
    assert refused.status == 409
    assert "secret" not in refused.data.decode()
    assert "/secret/place/policy.json: damaged." in caplog.text
    with Upstream() as server, gate(server, Always(Vote(3))) as gateway:
        assert post(gateway).status == 409
        with pytest.raises(InputError, match="reload="):
            gateway.reload()


def test_who_may_swap(caplog):
    def read():
        return Always(Vote(5))

    json = {"Content-Type": "application/json"}
    with Upstream() as server, gate(server, Always(One()), reload=read, client_keys=["client-key-1"]) as gateway:
        assert post(gateway).status == 401
        assert post(gateway, {"Authorization": "Bearer client-key-1"}).status == 200
    with Upstream() as server, gate(server, Always(One()), reload=read) as gateway:
        assert post(gateway, {"Content-Type": "text/plain"}).status == 415
        assert post(gateway, json | {"Host": "evil.example"}).status == 403
        assert send(gateway.url, "GET", "/admin/policy").status == 405
        assert post(gateway).json == {"status": "the policy is read again"}
