"""Answering with the costs that a policy knows from its training, and what happens when the budget is short."""

import numpy as np
import pytest
from answering_cases import QUESTIONS, client_of
from chaos import Chaos

from tcalloc import Rates
from tcalloc.errors import InputError
from tcalloc.learn import Fixed, Mixture, PricedPolicy
from tcalloc.learn.protocol import Always
from tcalloc.learn.rivals import TunedRule
from tcalloc.learn.saving.policy_folder import load_policy
from tcalloc.learn.sequential import Sequential
from tcalloc.learn.training import NOTHING
from tcalloc.measure import Best, One, Samples, Table, Vote
from tcalloc.serve.answer import answer
from tcalloc.serve.live_costs import LiveCosts, ladder_of, refuse_unverified

pytest.importorskip("aiohttp")

SMALL, LARGE = 4e-5, 4e-4
TEXTS = [f"{i} + {i}" for i in range(60)]


def log(n=60):
    """The commonest log: right or wrong, in dollars, one call per model."""
    rng = np.random.default_rng(0)
    return Samples(
        arms={
            "small": Samples(correct=rng.random((n, 1)) < 0.5, cost=SMALL),
            "large": Samples(correct=rng.random((n, 1)) < 0.9, cost=LARGE),
        }
    )


@pytest.fixture
def clients():
    with Chaos() as server, client_of(server, "a") as small, client_of(server, "b") as large:
        yield server, {"small": small, "large": large}


@pytest.mark.parametrize("kind", [Mixture, PricedPolicy])
def test_one_plain_call_of_a_model_is_served_in_dollars(kind, clients, tmp_path):
    budget = 1.5e-4
    kind(budget=budget).fit(TEXTS, log()).save(tmp_path / "policy")
    policy = load_policy(tmp_path / "policy")
    assert policy.actions_ == (One("small"), One("large"))
    certificate = policy.certify(TEXTS, log())
    assert certificate.spend.value > 0
    server, given = clients
    answers = answer(QUESTIONS, policy, given, budget=budget, concurrency=1)
    assert {one.samples for one in answers} == {1}
    assert {one.spend for one in answers} <= set(policy.cost_.tolist())
    assert answers.spend <= budget * (1 + 1e-9)
    assert {request["body"]["model"] for request in server.requests} == {"a", "b"}
    assert " of 0.00015 per question." in str(answers)
    with pytest.raises(ValueError, match="smallest feasible budget"):
        answer(QUESTIONS, policy, given, budget=SMALL / 2)


def test_what_a_sample_cost_in_training():
    table = Table([[0.5, 0.6]] * 4, [1.0, 3.0], action_names=("vote1", "vote5"))  # one prompt for all five samples
    policy = Fixed("vote5").fit(TEXTS[:4], table)
    costs = LiveCosts.trained(policy, ["tiny"])
    assert costs == LiveCosts({"tiny": 1.0}, {"vote1": 1.0, "vote5": pytest.approx(0.6)})
    assert (costs.key(Vote(5), "tiny"), costs.key(Vote(9), "tiny")) == ("vote5", "tiny")
    assert ladder_of(policy, None) == [Vote(1), Vote(5)]
    stopping = Sequential(budget=2.0).fit(None, Samples(np.zeros((9, 3), int), cost=0.25))
    assert LiveCosts.trained(stopping, ["tiny"]) == LiveCosts({"tiny": 0.25}, {})
    assert ladder_of(stopping, None) == [One()]
    assert ladder_of(Fixed(0).fit(TEXTS, log()), ["large"]) == [One("large")]
    assert ladder_of(Fixed(0).fit(TEXTS, log()), ["small", "large", "huge"]) == [One("small"), One("large")]
    assert LiveCosts.trained(Always(Vote(3)), ["tiny"]) == LiveCosts({})
    assert ladder_of(Always(Vote(3)), None) == []
    worse = Table([[0.6, 0.5, 0.7]] * 4, [1.0, 2.0, 3.0], action_names=("one a", "one b", "one c"))
    assert ladder_of(Mixture().fit(TEXTS[:4], worse), ["a", "b", "c"]) == [One("a"), One("c")]
    with Chaos() as server, client_of(server) as client:
        assert answer(QUESTIONS, policy, client).spend == pytest.approx(3.0)
        assert answer(QUESTIONS, policy, client, costs={"tiny": 2.0}).spend == 10.0
    with Chaos() as server, client_of(server, rates=Rates.per_million(1e5, 2e5)) as client:
        assert answer(QUESTIONS[:2], policy, client).spend == pytest.approx(15.0)  # 2 for the prompt, 1 for the tokens


@pytest.mark.parametrize("concurrency", [1, 8])
def test_who_waits_gets_a_cheaper_action_instead_of_none(concurrency, clients, tmp_path):
    """The policy asks for the expensive model everywhere; the budget pays for it a few times."""
    server, given = clients
    policy = Fixed("one large").fit(TEXTS, log())
    out, budget = str(tmp_path / "run"), 1e-4
    options = {"budget": None, "out": out, "concurrency": concurrency}
    policy.at = lambda budget: policy  # what it decides does not depend on the budget
    answers = answer(QUESTIONS, policy, given, **options | {"budget": budget})
    assert answers.spend <= budget * (1 + 1e-9)
    assert answers.unanswered == 0
    asked = [one.status for one in answers]
    # 20 questions, 50 small samples' worth: each large one takes 10.
    assert (asked.count("as decided"), asked.count("cheaper than decided")) == (3, 17)
    assert all((one.spend > SMALL * 1.1) == (one.status == "as decided") for one in answers)
    assert answers.shortfalls == (
        "17 questions got fewer samples or a cheaper action than the policy decided, because the budget did not allow "
        "more.",
    )
    sent = len(server.requests)
    again = answer(QUESTIONS, policy, given, **options | {"budget": budget})
    assert (list(again), len(server.requests)) == (list(answers), sent)


def test_who_gets_nothing_is_counted_with_the_reason(clients):
    _, given = clients
    policy = Fixed("one large").fit(TEXTS, log())
    policy.at = lambda budget: policy
    answers = answer(QUESTIONS, policy, given, budget=SMALL / 2, concurrency=1)
    assert [one.status for one in answers].count("left out") == 10
    assert answers.shortfalls[-1] == "10 questions have no answer: 10 because the budget was spent."
    assert answers.unanswered == 10


def test_fewer_samples_are_told():
    table = Table([[0.5, 0.6]] * 4, [1.0, 5.0], action_names=("vote1", "vote5"))
    policy = Fixed("vote5").fit(TEXTS[:4], table)
    policy.at = lambda budget: policy
    with Chaos() as server, client_of(server) as client:
        answers = answer(QUESTIONS, policy, client, budget=2.0, concurrency=1)
    assert answers.spend == 2.0
    assert all((one.samples < 5) == (one.status == "cheaper than decided") for one in answers)
    assert min(one.samples for one in answers) >= 1


def test_an_expensive_minority_gets_what_was_decided(clients):
    """A policy that leaves most questions without an answer is not held to an answer for all of them."""
    server, given = clients
    policy = Mixture().fit(TEXTS, log(), actions=[None, One("small"), One("large")])
    assert policy.action_names_ == (NOTHING, "one small", "one large")

    class Few:
        actions_, cost_ = policy.actions_, policy.cost_

        def start(self, x):
            return Always(One("large")).start(x) if int(x.split()[0]) % 10 == 3 else Nobody()

    class Nobody:
        answer, spend, vote_share = None, 0.0, 0.0

        def next(self):
            return None

    questions = [f"{i} + 1" for i in range(100)]
    answers = answer(questions, Few(), given, budget=1.05 * LARGE / 10, concurrency=1)
    assert [one.status for one in answers] == ["as decided"] * 100
    assert len(server.requests) == 10
    assert answers.spend == pytest.approx(LARGE / 10)


def test_a_verifier_is_asked_for_before_anything_is_paid():
    marks = log().arms["small"]
    many = Samples(correct=np.random.default_rng(0).random((60, 4)) < 0.5)
    policies = [
        Fixed("best2").fit(TEXTS, many, actions=many.usual_actions(verifier=True)),
        Sequential(budget=1.0, answer_by="verifier").fit(None, many),
        Always(Best(2)),
        TunedRule("fixed k, success stop", budget=1.0, verifier=True).fit(None, many),
    ]
    for policy in policies:
        with pytest.raises(InputError, match="needs a verifier"):
            refuse_unverified(policy, None)
    with Chaos() as server, client_of(server) as client:
        for policy in policies:
            with pytest.raises(InputError, match=r"needs a verifier, and none was given.*verifier=function"):
                answer(QUESTIONS, policy, client)
        # One that may ask for it only later is refused as well; one that never does is not.
        mixed = [Vote(1), Best(4)]
        answered = Samples(np.random.default_rng(0).integers(0, 2, (60, 4)))
        with pytest.raises(InputError, match="asks for 'best4', which needs a verifier"):
            answer(QUESTIONS, Mixture(1.5).fit(TEXTS, answered, actions=mixed), client, concurrency=1)
        assert not server.requests
        assert answer(QUESTIONS, Fixed("vote1").fit(TEXTS, answered, actions=mixed), client).unanswered == 0
        server.requests.clear()
        recognised = answer(QUESTIONS[:4], policies[0], client, verifier=lambda question, text: "4" in text)
        assert len(server.requests) == 8
        assert [one.vote_share for one in recognised][2] == 1.0
    with pytest.raises(InputError, match="nothing shows when to stop"):
        Sequential(budget=1.0).fit(None, marks)


def test_the_most_that_the_budget_allows_is_given_instead():
    """Of three models the budget pays for the middle one: nobody is sent to the cheapest."""
    table = Table([[0.4, 0.6, 0.9]] * 4, [1.0, 2.0, 20.0], action_names=("one a", "one b", "one c"))
    policy = Fixed("one c").fit(TEXTS[:4], table)
    policy.at = lambda budget: policy
    with Chaos() as server:
        clients = {name: client_of(server, name) for name in "abc"}
        answers = answer(QUESTIONS, policy, clients, budget=2.0, concurrency=1)
        for client in clients.values():
            client.close()
    spends = [one.spend for one in answers]
    assert spends[0] == 20.0
    # 20 of the 40 are left for 19 questions, and one sample of the cheapest is kept for each that waits.
    assert sorted(set(spends[1:])) == [1.0, 2.0]
    assert sum(spends) == 40.0


def test_a_fixed_action_takes_a_budget():
    policy = Fixed("vote5").fit(TEXTS[:4], Table([[0.5, 0.6]] * 4, [1.0, 5.0], action_names=("vote1", "vote5")))
    assert policy.at(6.0).decide(["c"]).tolist() == [1]
    with pytest.raises(ValueError, match="smallest feasible budget"):
        policy.at(4.0)


def test_a_model_of_unknown_cost_is_not_tried_when_the_money_is_spent():
    policy = Fixed("one large").fit(TEXTS, log())
    policy.at = lambda budget: policy
    rates = Rates.per_million(1e5, 2e5)  # 3 for each sample, which nobody knows beforehand
    with Chaos() as server, client_of(server, "a", rates=rates) as small, client_of(server, "b", rates=rates) as large:
        answers = answer(QUESTIONS, policy, {"small": small, "large": large}, budget=0.15, concurrency=1)
    assert answers.spend == pytest.approx(0.15)
    assert [one.status for one in answers] == ["as decided"] + ["left out"] * 19
