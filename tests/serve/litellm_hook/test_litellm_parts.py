"""The parts of the hook for LiteLLM that need no LiteLLM."""

import asyncio
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

pytest.importorskip("aiohttp")

from places import ENVIRONMENT

from tcalloc.errors import InputError
from tcalloc.learn.protocol import Always, Draw
from tcalloc.llm.graders import make_grader
from tcalloc.llm.questions import Question
from tcalloc.measure.actions import One, Vote
from tcalloc.serve.gateway.asked import asked_of
from tcalloc.serve.gateway.decisions import Begun, Decision
from tcalloc.serve.litellm.prices import most_cost, most_rates
from tcalloc.serve.litellm.requests import Request
from tcalloc.serve.litellm.serving import Serving
from tcalloc.serve.litellm.settings import Settings, keeper_of, settings_of
from tcalloc.serve.litellm.votes import Reply, Votes

# ---------------------------------------------------------------------------------------------- settings


def test_settings_of_the_config_and_of_the_environment():
    told = settings_of(
        {"total": 3, "period": "30d", "max_tokens": 9}, {"TCALLOC_POLICY": "vote3", "TCALLOC_TOTAL": "7"}
    )
    assert told == Settings("vote3", total=3.0, period="30d", max_tokens=9)
    assert settings_of(None, {"TCALLOC_POLICY": "p", "TCALLOC_N_PER_REQUEST": "4", "TCALLOC_EXTRACT": ""}) == Settings(
        "p", n_per_request=4
    )
    assert settings_of({"policy": "p", "period": "500"}, {}).period == 500
    keeper = keeper_of(settings_of({"policy": "p", "total": 3, "max_tokens": 9, "period": 100}, {}))
    assert (keeper.total, keeper.unit, keeper.period.words) == (3.0, "usd", "100 requests")


@pytest.mark.parametrize(
    ("section", "environment", "said"),
    [
        (None, {}, "no policy is named. Set TCALLOC_POLICY"),
        ("vote3", {}, "tcalloc is a str; expected keys such as policy"),
        ({"polcy": "vote3"}, {}, "'polcy'"),
        ({"policy": "vote3", "total": "much"}, {}, "total is 'much'; expected a number"),
        ({"policy": "vote3"}, {"TCALLOC_TOTAL": "-1", "TCALLOC_MAX_TOKENS": "9"}, "TCALLOC_TOTAL is -1.0"),
        ({"policy": "vote3", "n_per_request": 0}, {}, "n_per_request is 0"),
        ({"policy": "vote3", "total": 3}, {}, re.escape("a total needs max_tokens (TCALLOC_MAX_TOKENS)")),
    ],
)
def test_settings_that_are_wrong(section, environment, said):
    with pytest.raises(InputError, match=said):
        settings_of(section, environment)


def told(caplog):
    return [record.getMessage() for record in caplog.records if record.name == "tcalloc.litellm"]


def serving_of(settings):
    serving = Serving(lambda: settings)

    async def several():
        return await asyncio.gather(*(serving.setup() for _ in range(5)))

    found = asyncio.run(several())
    assert all(one is found[0] for one in found)
    return found[0]


def test_a_policy_that_is_missing_still_keeps_the_budget(caplog, tmp_path):
    setup = serving_of(Settings(str(tmp_path / "missing\x1b"), total=1.0, max_tokens=9))
    assert (setup.served.policy, setup.keeper.total) == (Always(One()), 1.0)
    (line,) = told(caplog)
    assert line.startswith("each request gets one plain sample: TCALLOC_POLICY ")
    assert "\x1b" not in line


def test_a_budget_that_cannot_be_opened_leaves_plain_calls(caplog, tmp_path):
    (tmp_path / "state").write_text("no database" * 100)
    assert serving_of(Settings("vote3", total=1.0, max_tokens=9, state=str(tmp_path / "state"))) is None
    (line,) = told(caplog)
    assert line.startswith("all requests go out as they are: ")


def test_a_policy_that_stops_needs_a_cap(caplog, tmp_path):
    from tcalloc import Samples, Sequential

    Sequential().fit(None, Samples([[0, 0, 1, 0]] * 40)).save(tmp_path / "policy")
    setup = serving_of(Settings(str(tmp_path / "policy"), total=1.0, max_tokens=9))
    assert setup.served is setup.plain
    assert "TCALLOC_CAP_PER_QUESTION" in told(caplog)[0]
    caplog.clear()
    setup = serving_of(Settings(str(tmp_path / "policy"), total=1.0, max_tokens=9, cap_per_question=0.1))
    assert setup.served.settable
    assert told(caplog) == []


def test_fields_that_an_action_sets():
    def fields(action, body=None, **settings):
        asked = asked_of({"model": "m", "messages": [{"role": "user", "content": "6 * 7?"}]} | (body or {}))
        setup = SimpleNamespace(settings=Settings("vote3", **settings))
        decision = Decision(None, "one", None, None, "policy")
        return Request(setup, None, decision, asked, None, lambda model, n: 0.0, {}).fields(action)

    action = Vote(3, temperature=0.5, reasoning_effort="low", max_tokens=500, thinking_tokens=100)
    thinking = {"type": "enabled", "budget_tokens": 100}
    assert fields(action) == {
        "temperature": 0.5, "reasoning_effort": "low", "max_tokens": 500, "thinking": thinking,
    }  # fmt: skip
    # What the request names stays, and the most that was reserved for is not exceeded.
    assert fields(action, {"temperature": 0, "max_completion_tokens": 9, "thinking": {}}) == {"reasoning_effort": "low"}
    assert fields(action, max_tokens=50)["max_tokens"] == 50
    assert fields(None) == fields(One()) == {}


# ---------------------------------------------------------------------------------------------- prices


def test_the_most_that_a_request_can_cost():
    prices = [
        {"input_cost_per_token": 1e-6, "input_cost_per_token_above_128k_tokens": 2e-6, "output_cost_per_token": 3e-6},
        {"input_cost_per_token": 1.5e-6, "output_cost_per_reasoning_token": 5e-6, "mode": "chat"},
        {"output_cost_per_token": None, "api_key": "sk-a", "input_cost_per_request": 0.01},
        None,
    ]
    rates = most_rates(prices)
    assert (rates.input, rates.output, rates.request) == (2e-6, 5e-6, 0.01)
    body = {"model": "m", "messages": [{"role": "user", "content": "é"}], "user": "x" * 1000}
    size = len('{"messages": [{"role": "user", "content": "é"}]}'.encode())
    assert most_cost(body, rates, 100) == pytest.approx(size * 2e-6 + 100 * 5e-6 + 0.01)
    assert most_cost(body, most_rates([]), 100) == 0.0


# ---------------------------------------------------------------------------------------------- votes


def reply(*texts, cost=1.0, finish="stop"):
    choices = [SimpleNamespace(message=SimpleNamespace(content=text), finish_reason=finish) for text in texts]
    usage = SimpleNamespace(model_dump=lambda exclude_none: {"completion_tokens": 7 * len(texts)})
    return Reply(SimpleNamespace(choices=choices, usage=usage), cost)


def drawn(policy, *texts, maximum=float("inf"), each=0.0, at_once=1, first="It is 5."):
    """Draw, from a model that gives these texts; an exception is raised."""
    left, asked = list(texts), []

    async def ask(action, n, place):
        asked.append((action.model, n, place))
        text = left.pop(0)
        if isinstance(text, Exception):
            raise text
        return reply(*text) if isinstance(text, tuple) else reply(text)

    votes = Votes(
        Begun(policy.start("6 * 7?")), Question("0", ({"role": "user", "content": "6 * 7?"},), "6 * 7?"),
        make_grader("numeric"), ask, lambda model, n: n * each, maximum, lambda model, cost: cost, at_once,
    )  # fmt: skip
    asyncio.run(votes.draw(reply(first)))
    found = votes.winner()
    return votes, asked, None if found is None else found[0].message.content


def test_a_vote():
    votes, asked, text = drawn(Always(Vote(5)), "7", "It is 7.", "It is 7.", "5")
    assert text == "7"  # the first that gives the answer
    assert (votes.samples, votes.spend, votes.run.vote_share) == (5, 5.0, 0.6)
    assert asked == [(None, 1, place) for place in (1, 2, 3, 4)]


def test_a_sample_that_fails_does_not_vote():
    votes, _asked, text = drawn(Always(Vote(4)), ValueError(), "7", "7")
    assert (votes.samples, text) == (3, "7")


def test_nothing_more_is_drawn_where_money_ends():
    votes, asked, _text = drawn(Always(Vote(5)), "7", "7", maximum=3.0, each=1.0)
    assert (votes.samples, len(asked)) == (3, 2)


def test_many_samples_by_one_request_and_fewer_than_asked_for():
    votes, asked, text = drawn(Always(Vote(6)), ("7", "7", "7"), ("7",), at_once=3)
    assert [(n, place) for _, n, place in asked] == [(3, 1), (2, 4)]
    assert (votes.samples, text, votes.spend) == (5, "7", 3.0)


def test_no_answer_is_found():
    votes, asked, text = drawn(Always(Vote(3)), "b", "c", first="a")
    assert (votes.samples, text, votes.broken, len(asked)) == (3, None, False, 2)


def test_a_policy_that_goes_on_and_one_that_fails(caplog):
    class Steps:
        def __init__(self, last):
            self.last, self.results, self.answer, self.vote_share = last, [], None, 0.0

        def start(self, x):
            return self

        def next(self):
            if len(self.results) < 3:
                return Draw(One("large") if self.results else One("small"), 1)
            return self.last()

        def add(self, results):
            self.results += results
            self.answer = results[-1].answer

    votes, asked, text = drawn(Steps(lambda: None), "6", "It is 7.")
    assert (text, [model for model, _, _ in asked]) == ("It is 7.", ["large", "large"])
    assert [one.tokens for one in votes.run.results] == [7, 7, 7]
    assert told(caplog) == []
    votes, _asked, text = drawn(Steps(lambda: 1 / 0), "6", "It is 7.")
    assert (votes.broken, text, votes.samples) == (True, None, 3)
    assert told(caplog) == ["the policy failed (ZeroDivisionError); the first sample is returned"]


# ---------------------------------------------------------------------------------------------- LiteLLM that is missing


def test_the_hook_says_what_it_needs():
    code = "import sys; sys.modules['litellm'] = None\nfrom tcalloc.serve.litellm import hook"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT)
    assert "MissingExtraError: tcalloc.serve.litellm.hook needs LiteLLM" in done.stderr
    assert "pip install 'litellm[proxy]'" in done.stderr
