"""The hook in LiteLLM's SDK, and its hooks beside those of the version that is installed. It runs in .ci/nightly."""

import asyncio
import inspect
import logging

import pytest
from litellm_proxy import BILL, PRICES
from upstreams import Upstream, refusal

litellm = pytest.importorskip("litellm", reason="LiteLLM is not installed; .ci/nightly installs it")

from litellm.integrations.custom_logger import CustomLogger  # noqa: E402

from tcalloc import BudgetKeeper  # noqa: E402
from tcalloc.learn.protocol import Always  # noqa: E402
from tcalloc.llm.graders import make_grader  # noqa: E402
from tcalloc.measure.actions import One, Vote  # noqa: E402
from tcalloc.serve.gateway.decisions import ServedPolicy  # noqa: E402
from tcalloc.serve.litellm.callback import Hook  # noqa: E402
from tcalloc.serve.litellm.serving import Setup  # noqa: E402
from tcalloc.serve.litellm.settings import Settings  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # LiteLLM's own


class Recorder(CustomLogger):
    def __init__(self):
        super().__init__()
        self.costs = []

    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
        self.costs.append(kwargs["response_cost"])


@pytest.fixture(scope="module")
def run():
    """Run something on one event loop."""
    with asyncio.Runner() as runner:
        yield runner.run


@pytest.fixture
def call(run):
    """Answer questions at the same time; return the replies, and what LiteLLM computed each to cost."""

    def call(server, hooks, questions, router=False, then=None, **fields):
        recorder = Recorder()
        litellm.logging_callback_manager._reset_all_callbacks()  # a second one of a class would not be called
        litellm.callbacks = [*hooks, recorder]
        where = {"model": "openai/tiny", "api_base": server.url, "api_key": "sk-upstream"} | PRICES

        async def all_of_them():
            ask = litellm.acompletion
            given = where | fields
            if router:
                deployment = {"model_name": "tiny", "litellm_params": where}
                ask = litellm.Router([deployment], num_retries=2, allowed_fails=1000, retry_after=0).acompletion
                given = {"model": "tiny"} | fields
            messages = [[{"role": "user", "content": question}] for question in questions]
            got = await asyncio.gather(*(ask(messages=one, **given) for one in messages), return_exceptions=True)
            got = [one if then is None or isinstance(one, Exception) else await then(one) for one in got]
            for _ in range(200):  # it logs in the background
                if len(recorder.costs) == sum(not isinstance(one, Exception) for one in got):
                    break
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.1)
            return got

        return run(all_of_them()), recorder.costs

    yield call
    litellm.logging_callback_manager._reset_all_callbacks()


def test_a_vote_and_its_cost(call):
    with Upstream(["It is 5.", "It is 7.", "So 7."]) as server:
        (got,), costs = call(server, [Hook(Settings("vote3"))], ["6 * 7?"], temperature=0.5)
    assert got.choices[0].message.content == "It is 7."
    assert (got.usage.completion_tokens, len(got.choices)) == (21, 1)
    assert got._hidden_params["response_cost"] == pytest.approx(3 * BILL)
    assert costs == pytest.approx([3 * BILL])
    assert [body["temperature"] for body in server.bodies] == [0.5] * 3
    assert {header["Authorization"] for header in server.headers} == {"Bearer sk-upstream"}


def test_many_samples_by_one_request_and_fields_of_an_action(call):
    with Upstream() as server:
        hook = Hook(Settings("vote4 temperature=0.9 max=40", n_per_request=4))
        (got,), costs = call(server, [hook], ["6 * 7?"])
    assert [(body["n"], body["temperature"], body["max_tokens"]) for body in server.bodies] == [(4, 0.9, 40)]
    assert got.usage.completion_tokens == 28
    assert costs == pytest.approx([10e-6 + 4 * 14e-6])


def test_a_provider_that_asks_another_hook(call, monkeypatch):
    """A handler of one's own, as for all providers that LiteLLM does not ask through its common handlers."""
    texts = iter(["It is 5.", "It is 7.", "So 7."])

    class Own(litellm.CustomLLM):
        async def acompletion(self, *args, model_response, **kwargs):
            model_response.choices[0].message.content = next(texts)
            model_response.usage = litellm.Usage(prompt_tokens=10, completion_tokens=7, total_tokens=17)
            model_response.model = "tiny"
            return model_response

    monkeypatch.setattr(litellm, "custom_provider_map", [{"provider": "own", "custom_handler": Own()}])
    with Upstream() as server:
        (got,), costs = call(server, [Hook(Settings("vote3"))], ["6 * 7?"], model="own/tiny")
    assert got.choices[0].message.content == "It is 7."
    assert costs == pytest.approx([3 * BILL])


def test_what_fails_costs_no_answer(call):
    with Upstream(["It is 5.", refusal(400), "So 7.", "7"]) as server:
        (got,), costs = call(server, [Hook(Settings("vote4"))], ["6 * 7?"])
    assert got.choices[0].message.content in ("So 7.", "7")
    assert costs == pytest.approx([3 * BILL])


@pytest.mark.parametrize("router", [False, True])
def test_fifty_calls_at_a_time_keep_the_budget(call, tmp_path, router):
    state = tmp_path / "budget.db"
    total = 0.01
    hook = Hook(Settings("vote5", total=total, max_tokens=50, state=str(state)))
    texts = [refusal(500) if i % 5 == 4 else "no number" if i % 5 == 3 else f"It is {i % 2}." for i in range(400)]
    with Upstream(texts) as server:
        first, costs = call(server, [hook], [f"{i} * 7?" for i in range(50)], router)
        more, again = call(server, [hook], [f"{i} * 8?" for i in range(50)], router)
    answered = [one for one in first + more if not isinstance(one, Exception)]
    refused = [one for one in first + more if isinstance(one, litellm.BudgetExceededError)]
    assert refused
    assert len(answered) == len(costs + again)
    status = BudgetKeeper.open(state).status()
    assert status.spent == pytest.approx(sum(costs + again), rel=1e-9)
    assert sum(one._hidden_params["response_cost"] for one in answered) == pytest.approx(status.spent, rel=1e-9)
    assert (status.open_grants, status.spent <= total) == (0, True)


def test_models_that_a_router_cannot_be_asked_for(call, caplog):
    class Either:
        arms_ = ("openai/small", "openai/large")

        def start(self, x):
            return Always(Vote(3, model="openai/large")).start(x)

    hook = Hook(Settings("vote3"))
    served = ServedPolicy(Either())
    plain = ServedPolicy(Always(One()))
    hook._serving._setup = Setup(Settings("vote3"), served, plain, None, {"default": make_grader("numeric")})
    hook._serving._made = True
    with caplog.at_level(logging.WARNING, "tcalloc"), Upstream() as server:
        call(server, [hook], ["6 * 7?"] * 2, router=True)
        assert len(server.bodies) == 2
    said = [record.getMessage() for record in caplog.records if record.name.startswith("tcalloc")]
    assert len(said) == 1
    assert "(openai/large, openai/small)" in said[0]
    with Upstream() as server:  # a call of the SDK can name any model
        call(server, [hook], ["6 * 7?"])
        assert [body["model"] for body in server.bodies] == ["large"] * 3


def test_a_stream(call):
    async def read(stream):
        return "".join([one.choices[0].delta.content or "" async for one in stream])

    with Upstream(["It is 5.", "It is 7.", "So 7."]) as server:
        (got,), costs = call(server, [Hook(Settings("vote3"))], ["6 * 7?"], stream=True, then=read)
        assert got == "It is 7."
        assert costs == pytest.approx([3 * BILL])
        (plain,), costs = call(server, [Hook(Settings("vote3", extract="none"))], ["6 * 7?"], stream=True, then=read)
    assert plain.strip() == "The answer is 42."
    assert len(costs) == 1


def test_without_a_policy_calls_are_plain_and_one_line_says_so(call, caplog, monkeypatch):
    monkeypatch.delenv("TCALLOC_POLICY", raising=False)
    with caplog.at_level(logging.WARNING, "tcalloc"), Upstream() as server:
        got, costs = call(server, [Hook()], ["6 * 7?"] * 3)
        without, same = call(server, [], ["6 * 7?"] * 3)
    assert [one.choices[0].message.content for one in got] == ["The answer is 42."] * 3
    assert server.bodies[:3] == server.bodies[3:]
    assert costs == same == pytest.approx([BILL] * 3)
    assert len(without) == 3
    assert [record.getMessage() for record in caplog.records if record.name.startswith("tcalloc")] == [
        "all requests go out as they are: no policy is named. Set TCALLOC_POLICY to a policy's folder (tcalloc fit "
        "makes one) or to an action such as vote3."
    ]


def test_a_hook_that_breaks_costs_no_answer(call, caplog, monkeypatch):
    def fails(*args, **kwargs):
        raise ValueError("a secret")

    monkeypatch.setattr("tcalloc.serve.litellm.callback.decided", fails)
    with caplog.at_level(logging.WARNING, "tcalloc"), Upstream() as server:
        (got,), _costs = call(server, [Hook(Settings("vote3"))], ["6 * 7?"])
    assert got.choices[0].message.content == "The answer is 42."
    said = [record.getMessage() for record in caplog.records if record.name.startswith("tcalloc")]
    assert said == ["async_pre_call_deployment_hook failed (ValueError); LiteLLM goes on without it"]


@pytest.mark.parametrize("name", sorted(name for name in vars(Hook) if name.startswith("async_")))
def test_hooks_are_those_of_the_installed_version(name):
    """A newer LiteLLM that changes a hook fails here, and not in a user's request."""
    theirs = inspect.signature(getattr(CustomLogger, name)).parameters
    ours = inspect.signature(getattr(Hook, name)).parameters
    assert list(ours) == list(theirs)
    assert all(
        theirs[name].default is inspect.Parameter.empty for name in ours if ours[name].default is ours[name].empty
    )


def test_the_hook_is_found_by_its_name():
    import tcalloc.serve.litellm as module

    assert isinstance(module.hook, Hook)
    assert module.hook is module.hook
    with pytest.raises(AttributeError):
        module.missing  # noqa: B018
