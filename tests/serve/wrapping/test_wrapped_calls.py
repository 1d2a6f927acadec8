"""What a wrapped OpenAI client returns: the SDK's own objects, of as many samples as the policy decides."""

import time

import numpy as np
import openai
import pytest
from answering_cases import Agree
from openai.types.chat import ChatCompletion
from upstreams import Upstream, document
from wrapped_clients import HTTP

import tcalloc
from tcalloc.learn.protocol import Always
from tcalloc.learn.routing.fixed_choice import FixedChoice
from tcalloc.measure.actions import One, Vote


def text_of(completion):
    return completion.choices[0].message.content


def test_the_winner_of_a_vote_is_the_sdks_own_completion(wrapped):
    with Upstream(["It is 5.", "It is 7.", "So 7."]) as server, wrapped(server.url, "vote3") as calls:
        got = calls.ask(temperature=0.3, seed=9, extra_body={"top_k": 5}, extra_headers={"x-team": "blue"})
    assert type(got) is ChatCompletion
    assert text_of(got) in ("It is 7.", "So 7.")
    assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens) == (30, 21, 51)
    assert got.usage.prompt_tokens_details.cached_tokens == 6
    assert got.tcalloc == {"action": "vote3", "reason": "policy", "samples": 3, "spend": 3.0, "vote_share": 0.6667}
    assert len({body["seed"] for body in server.bodies}) == 3  # one seed for all would be one sample
    assert all((body["top_k"], body["temperature"]) == (5, 0.3) for body in server.bodies)
    assert {headers["x-team"] for headers in server.headers} == {"blue"}
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer sk-planted-0123456789abcdef"}


def test_headers_say_what_was_decided_and_the_servers_come_through(wrapped):
    from aiohttp import web

    async def named(request, body):
        return web.json_response(document(body, "7"), headers={"x-request-id": "req-1", "x-ratelimit-remaining": "9"})

    with Upstream([named] * 2) as server, wrapped(server.url, "vote2") as calls:
        got = calls.raw()
    assert got.headers["x-tcalloc-samples"] == "2"
    assert got.headers["x-ratelimit-remaining"] == "9"
    assert got.parse()._request_id == "req-1"
    assert 0 < got.elapsed.total_seconds() < 60


def test_a_policy_that_stops_while_sampling(wrapped):
    with Upstream(["5", "7", "9", "7", "8"]) as server, wrapped(server.url, Agree()) as calls:
        got = calls.ask()
    assert text_of(got) == "7"
    assert got.tcalloc["samples"] == 4 == len(server.bodies)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"n": 2}, "n"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"extra_headers": {"x-tcalloc-extract": "none"}}, "not voted on"),
        ({"extra_headers": {"Idempotency-Key": "a"}}, "idempotency key"),
        ({"messages": [{"role": "system", "content": "Be brief."}]}, "no text"),
    ],
)
def test_what_cannot_be_voted_on_is_one_sample(wrapped, fields, reason):
    with Upstream() as server, wrapped(server.url, "vote3") as calls:
        got = calls.ask(**fields)
    assert len(server.bodies) == 1
    assert {name: server.bodies[0].get(name) for name in fields if name != "extra_headers"} == {
        name: value for name, value in fields.items() if name != "extra_headers"
    }
    assert got.tcalloc["reason"] == reason
    assert "x-tcalloc-extract" not in server.headers[0]
    assert len(got.choices) == fields.get("n", 1) == got.tcalloc["samples"]


def test_a_request_chooses_what_finds_its_answers(wrapped):
    with Upstream(["(A)", "(B)", "(B)"]) as server, wrapped(server.url, "vote3") as calls:
        got = calls.ask(extra_headers={"x-tcalloc-extract": "choice"})
        with pytest.raises(openai.BadRequestError, match="numeric"):
            calls.ask(extra_headers={"x-tcalloc-extract": "nunsense"})
    assert text_of(got) == "(B)"
    assert got.tcalloc["vote_share"] == pytest.approx(0.6667)


def test_one_sample_streams_as_it_comes_and_a_vote_after_the_decision(wrapped):
    with Upstream(["5", "7", "7"], pause=0.1) as server, wrapped(server.url, "vote3") as calls:
        headers, chunks = calls.streamed(stream_options={"include_usage": True})
        plain, pieces = calls.streamed(n=2)
    assert "".join(one.choices[0].delta.content or "" for one in chunks if one.choices) == "7"
    assert chunks[-1].usage.total_tokens == 51
    assert headers["x-tcalloc-samples"] == "3"
    assert [one.choices[0].delta.content for one in pieces] == ["The ", "answer ", "is ", "42. ", None]
    assert plain["x-tcalloc-reason"] == "n"
    assert "x-tcalloc-samples" not in plain  # it began before its cost was known
    assert "aiohttp" in plain["server"]  # the server's own headers are there from the first chunk on


def test_parsed_completions_and_the_stream_helper():
    pydantic = pytest.importorskip("pydantic")

    class Sum(pydantic.BaseModel):
        total: int

    with Upstream(['{"total": 7}', "7", "7"]) as server:
        client = tcalloc.wrap(openai.OpenAI(base_url=server.url, api_key="none"), "vote2")
        messages = [{"role": "user", "content": "3 + 4"}]
        with client:
            parsed = client.chat.completions.parse(model="tiny", messages=messages, response_format=Sum)
            with client.chat.completions.stream(model="tiny", messages=messages) as stream:
                text = stream.get_final_completion().choices[0].message.content
    assert parsed.choices[0].message.parsed == Sum(total=7)
    assert parsed.tcalloc["reason"] == "response_format"
    assert text == "7"
    assert len(server.bodies) == 3


def test_all_else_of_the_client_is_passed_on(wrapped):
    with Upstream(["7"] * 3) as server, wrapped(server.url, "vote3") as calls:
        other = calls.client.with_options(timeout=5.0, max_retries=1)
        assert type(calls.client) is type(calls.plain) is type(other)
        assert other._client is calls.client._client
        models = calls.client.models.list()
        if wrapped.__name__ == "Awaiting":
            models = calls.loop.run(_first_page(models))
        assert [one.id for one in models] == ["tiny"]
        assert calls.client.chat.completions is not calls.plain.chat.completions
    assert not server.bodies
    assert calls.plain.is_closed()


async def _first_page(models):
    return [one async for one in models]


def test_the_plain_client_stays_plain(wrapped):
    with Upstream() as server, wrapped(server.url, "vote3") as calls:
        calls.client = calls.plain
        got = calls.ask()
    assert len(server.bodies) == 1
    assert not hasattr(got, "tcalloc")


def test_the_users_http_client_sends(wrapped):
    """Its headers, hooks and transports are used for every sample."""
    seen = []
    transports = {"Blocking": HTTP.HTTPTransport, "Awaiting": HTTP.AsyncHTTPTransport}

    def note(request):
        seen.append(request.headers["x-own"])

    async def note_later(request):
        note(request)

    awaiting = wrapped.__name__ == "Awaiting"
    library = HTTP.AsyncClient if awaiting else HTTP.Client
    http = library(
        headers={"x-own": "1"}, event_hooks={"request": [note_later if awaiting else note]},
        transport=transports[wrapped.__name__](),
    )  # fmt: skip
    sdk = openai.AsyncOpenAI if awaiting else openai.OpenAI
    with Upstream(["7"] * 3) as server:
        client = sdk(base_url=server.url, api_key="none", http_client=http)
        with wrapped(server.url, "vote3", client=client) as calls:
            assert calls.ask().tcalloc["samples"] == 3
    assert seen == ["1"] * 3
    assert all(headers["x-own"] == "1" for headers in server.headers)


def test_a_policy_chooses_the_model_and_azure_has_it_in_the_path(wrapped):
    paths = []

    def answer(request):
        paths.append(request.url.path)
        return HTTP.Response(200, json=document({"model": "m"}, "7"))

    async def answer_later(request):
        return answer(request)

    class Both:
        """Knows two models, and draws of the large one."""

        def __init__(self):
            self.sample_costs_ = {"small": 1.0, "large": 3.0}

        def start(self, x):
            return Always(Vote(2, model="large")).start(x)

    awaiting = wrapped.__name__ == "Awaiting"
    transport = HTTP.MockTransport(answer_later if awaiting else answer)
    http = (HTTP.AsyncClient if awaiting else HTTP.Client)(transport=transport)
    sdk = openai.AsyncAzureOpenAI if awaiting else openai.AzureOpenAI
    client = sdk(azure_endpoint="https://x.example", api_key="k" * 20, api_version="2024-10-21", http_client=http)
    with wrapped(None, Both(), client=client) as calls:
        got = calls.ask()
    assert text_of(got) == "7"
    assert paths == ["/openai/deployments/large/chat/completions"] * 2


def test_a_folder_of_a_policy(tmp_path, wrapped):
    samples = tcalloc.Samples(np.zeros((20, 4), int))
    FixedChoice(budget=3).fit(None, samples.table([One(), Vote(3)])).save(tmp_path / "policy")
    with Upstream(["7"] * 3) as server, wrapped(server.url, tmp_path / "policy") as calls:
        assert calls.ask().tcalloc["samples"] in (1, 3)


def test_several_samples_by_one_request_and_a_limit_of_tokens(wrapped):
    with Upstream() as server, wrapped(server.url, "vote4", n_per_request=4, max_tokens=50) as calls:
        got = calls.ask()
        calls.ask(max_completion_tokens=9)
    assert [(body["n"], body["max_tokens"]) for body in server.bodies] == [(4, 50), (4, 9)]
    assert got.tcalloc["samples"] == 4
    assert len(got.choices) == 1


def test_samples_that_are_not_needed_are_cut_off(wrapped):
    async def slow(request, body):
        return await server.stream(request, body, "one two three four five 5")

    with Upstream(["7", "7", slow], pause=0.3) as server, wrapped(server.url, "vote3", cancel=True) as calls:
        got = calls.ask()
        until = time.monotonic() + 5
        while not server.cut and time.monotonic() < until:
            time.sleep(0.01)
        assert server.cut == 1
    assert text_of(got).strip() == "7"
    assert got.tcalloc["samples"] == 2
