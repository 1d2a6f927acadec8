"""Actions as data: what is refused, what is said, and the way to JSON and back."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcalloc.errors import InputError
from tcalloc.measure import Action, Best, One, Rates, Vote
from tcalloc.measure.actions import action_names, check_actions

rate = st.floats(0, 1e3)
some_rates = st.builds(Rates, input=rate, output=rate, reasoning=st.none() | rate, prompt_once=st.booleans())
names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=6)


@st.composite
def actions(draw):
    combine = draw(st.sampled_from(["one", "vote", "best"]))
    return Action(
        1 if combine == "one" else draw(st.integers(1, 64)),
        combine,
        draw(st.sampled_from(["verifier", "score"])) if combine == "best" else None,
        draw(st.none() | names),
        draw(st.none() | st.integers(1, 10_000)),
        draw(st.none() | st.floats(0, 5)),
        draw(st.none() | st.sampled_from(["low", "high"])),
        draw(st.none() | st.integers(0, 10_000)),
        draw(st.none() | some_rates),
    )


@given(actions())
def test_to_json_and_back(action):
    assert Action.from_dict(json.loads(json.dumps(action.to_dict()))) == action
    assert None not in action.to_dict().values()
    assert "\n" not in repr(action)
    assert eval(repr(action), {"One": One, "Vote": Vote, "Best": Best, "Rates": Rates}) == action
    assert hash(action) == hash(Action.from_dict(action.to_dict()))


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (Vote(3), "Vote(3)"),
        (Vote(1, "m"), "Vote(1, model='m')"),
        (Best(4), "Best(4)"),
        (Best(4, "m", by="score", temperature=0.7), "Best(4, by='score', model='m', temperature=0.7)"),
        (One("m", reasoning_effort="low", max_tokens=9), "One(model='m', reasoning_effort='low', max_tokens=9)"),
    ],
)
def test_one_readable_line(action, said):
    assert str(action) == repr(action) == said


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Vote(0), "k is 0; expected a whole number, at least 1."),
        (lambda: Vote(2.0), "k is 2.0; expected a whole number"),
        (lambda: Best(True), "k is True; expected a whole number"),
        (lambda: Action(3, "mean"), "combine is 'mean'; allowed are 'one', 'vote' and 'best'."),
        (lambda: Action(3, "vote", "score"), "by is 'score', but combine is 'vote'"),
        (lambda: Best(3, by="luck"), "by is 'luck'; allowed are 'verifier' and 'score'."),
        (lambda: Action(3, "one"), "samples is 3, but combine is 'one', which draws one"),
        (lambda: Vote(3, " m"), "model is ' m'; expected a name"),
        (lambda: Vote(3, model=7), "model is 7; expected a name"),
        (lambda: Vote(3, max_tokens=0), "max_tokens is 0; expected a whole number, at least 1."),
        (lambda: Vote(3, thinking_tokens=-1), "thinking_tokens is -1; expected a whole number, at least 0."),
        (lambda: Vote(3, temperature=-0.1), "temperature is -0.1; expected a number, at least 0."),
        (lambda: Vote(3, temperature=float("nan")), "temperature is nan; expected"),
        (lambda: Vote(3, reasoning_effort=""), "reasoning_effort is ''; expected a name"),
        (lambda: Vote(3, rates=1e-6), "rates is 1e-06; expected tcalloc.Rates"),
        (lambda: Rates(input=-1), "Rates.input is -1; expected a rate per token, at least 0."),
        (lambda: Rates(output=float("inf")), "Rates.output is inf; expected"),
        (lambda: Rates(prompt_once="no"), "Rates.prompt_once is 'no'; allowed are True"),
        (lambda: Action.from_dict({"sample": 3}), "an action: unknown field 'sample'; allowed are samples, combine"),
        (lambda: Action.from_dict({"rates": {"in": 3}}), "rates: unknown field 'in'"),
        (lambda: Action.from_dict([1]), "an action: [1] is not a mapping"),
        (lambda: check_actions([]), "actions is empty"),
        (lambda: check_actions(Vote(1)), "actions is Vote(1); expected a list"),
        (lambda: check_actions([Vote(1), 4]), "actions[1] is 4; expected an action"),
        (lambda: action_names((Vote(1), Vote(3), Vote(1))), "actions[2] is 'vote1' like actions[0]; leave one out."),
    ],
)
def test_bad_settings(make, message):
    with pytest.raises(InputError, match=re.escape(message)):
        make()


def test_rates():
    rates = Rates(input=1.0, output=2.0, reasoning=3.0)
    # Reasoning tokens are among the output tokens; the prompt is charged once.
    assert rates.of(10, 20, 5, samples=4) == 10 + 4 * (15 * 2 + 5 * 3)
    assert Rates(input=1.0, output=2.0, prompt_once=False).of(10, 20, 5, samples=4) == 4 * (10 + 20 * 2)
    assert rates.of(np.array([10, 0]), np.array([20, 1])).tolist() == [50, 2]


@pytest.mark.parametrize(
    "action",
    [
        Vote(5),
        One(),
        Best(4),
        Best(2, by="score"),
        One("qwen 2.5"),
        Vote(3, "smollm2", temperature=0.5, max_tokens=64),
        Best(16, "o3 mini", by="score", reasoning_effort="low", thinking_tokens=0),
    ],
)
def test_names_are_read_back(action):
    assert Action.parse(action.name) == action


@pytest.mark.parametrize(
    "name", ["", "vote", "vote0", "voter3", "first", "one2", " vote3", "vote3  x", "vote3 x max=y", None, 3]
)
def test_names_of_nothing(name):
    with pytest.raises(InputError):
        Action.parse(name)
