"""The next policy from explored traffic: who is judged on what, when to swap, and what is refused."""

import re

import numpy as np
import pytest
from gateway_client import send
from traffic import explored
from upstreams import Upstream

import tcalloc
from tcalloc import InputError, Vote
from tcalloc.evaluate.refit_report import WORST
from tcalloc.learn.features.lexical import COLUMNS, lexical_rows
from tcalloc.learn.protocol import Always
from tcalloc.learn.registry import POLICIES, entry_for
from tcalloc.learn.rivals import TunedRule
from tcalloc.learn.saving.policy_folder import load_policy, origin_of
from tcalloc.learn.sequential import Sequential
from tcalloc.serve.gateway.server import Gateway

CHANCES = np.where(np.arange(160) % 2, 0.5, 0.95)


def samples_of(chances, seed, drawn=8):
    rng = np.random.default_rng(seed)
    wrong = rng.integers(1, 6, (len(chances), drawn))
    return tcalloc.Samples(np.where(rng.random((len(chances), drawn)) < chances[:, None], 0, wrong))


def stored(policy, folder):
    policy.save(folder)
    return load_policy(folder)


@pytest.fixture(scope="module")
def margin(tmp_path_factory):
    """A rule that was tuned on other questions, with a setting that is not the usual one."""
    made = TunedRule("margin + cap", budget=3.0, orders=16).fit(None, samples_of(CHANCES, 5))
    return stored(made, tmp_path_factory.mktemp("served") / "policy")


def test_the_next_policy_has_the_kind_and_the_settings_of_the_served_one(margin, tmp_path):
    traffic = explored(tmp_path / "seen", CHANCES, policy=origin_of(margin))
    report = tcalloc.refit(margin, traffic, out=tmp_path / "next")
    assert (report.kind, report.requests, report.compared) == ("margin + cap", 160, 160)
    assert report.policy.orders == 16
    # It spends what the served one spends, and both know nearly the same.
    assert report.spend == pytest.approx(report.served_spend, rel=0.005)
    assert abs(report.gain) < 0.01
    assert report.low < report.gain < report.high
    assert report.swap == (report.low > WORST)
    again = load_policy(tmp_path / "next")
    assert again.rules_ == report.policy.rules_
    assert str(report).startswith("160 explored requests\n\nNo gold answers are used.")
    assert ("swap: yes" in str(report)) == report.swap
    assert report.to_dict()["swap"] == report.swap


def test_fixed_votes_give_way_to_a_policy_that_stops(tmp_path):
    traffic = explored(tmp_path / "seen", CHANCES)
    report = tcalloc.refit(Always(Vote(3)), traffic, kind="margin + cap")
    assert report.served_spend == report.budget == 3.0
    assert report.spend == pytest.approx(3.0, rel=0.005)
    assert report.swap
    assert report.low > 0
    # The same of fresh samples of the same requests, by the policy itself.
    fresh = samples_of(CHANCES, 77, 64)
    done = report.policy.replay(None, fresh)
    votes = fresh.table([Vote(3)]).acc[:, 0]
    assert done.accuracy.mean() > votes.mean()


def test_a_policy_that_is_worse_is_not_recommended(tmp_path):
    traffic = explored(tmp_path / "seen", CHANCES)
    report = tcalloc.refit(Always(Vote(4)), traffic, budget=1.0, kind="fixed k")
    assert not report.same_spend
    assert report.spend == pytest.approx(1.0)
    assert report.gain < -0.02
    assert not report.swap
    assert "swap: no, because" in str(report)
    # Half of the samples judges the other half: a vote over 8 is counted as one over 4, and that is said.
    assert "at most 4 samples" in tcalloc.refit(Always(Vote(8)), traffic, kind="fixed k").notes[-1]


def test_a_policy_that_never_spends_as_much_is_said_to_spend_less(tmp_path):
    """A rule that stops early spends less than votes of 8 at any setting: the two are not at the same spend."""
    traffic = explored(tmp_path / "seen", CHANCES)
    less = tcalloc.refit(Always(Vote(8)), traffic, kind="margin + cap")
    assert less.spend < 0.95 * less.served_spend
    assert not less.same_spend
    assert "paired by request, each at its own spend" in str(less)
    assert "at the same spend" in str(tcalloc.refit(Always(Vote(3)), traffic, kind="margin + cap"))


def test_requests_of_other_policies_teach_but_do_not_judge(margin, tmp_path):
    whose = [origin_of(margin) if i % 4 == 0 else "0123456789abcdef" for i in range(160)]
    traffic = explored(tmp_path / "seen", CHANCES, policy=whose)
    report = tcalloc.refit(margin, traffic)
    assert (report.requests, report.compared) == (160, 40)
    assert "compared on the 40 " in str(report)
    few = explored(tmp_path / "few", CHANCES[:60], policy=whose[:60])
    with pytest.raises(InputError, match="60 explored requests, 15 of them while this policy was served; at least 20"):
        tcalloc.refit(margin, few)


def test_a_folder_that_does_not_say_who_was_served(margin, tmp_path):
    report = tcalloc.refit(margin, explored(tmp_path / "seen", CHANCES[:60]))
    assert report.compared == 60
    assert "does not say which policy was served" in report.notes[0]


def test_a_refitted_policy_is_not_judged_on_what_it_learned_from(margin, tmp_path):
    traffic = explored(tmp_path / "seen", CHANCES, policy=origin_of(margin))
    tcalloc.refit(margin, traffic, out=tmp_path / "next")
    with pytest.raises(InputError, match="160 explored requests, 0 of them while"):
        tcalloc.refit(tmp_path / "next", traffic)


def test_a_text_policy_needs_texts(tmp_path):
    texts = [f"What is {i} plus {'something that is long and hard' if i % 2 else i}?" for i in range(160)]
    policy = tcalloc.PricedPolicy(budget=3.0).fit(texts, samples_of(CHANCES, 3).table([Vote(1), Vote(3), Vote(7)]))
    policy = stored(policy, tmp_path / "served")
    origin = origin_of(policy)
    report = tcalloc.refit(policy, explored(tmp_path / "seen", CHANCES, policy=origin, texts=texts))
    assert (report.kind, report.compared) == ("priced", 160)
    assert report.policy.route(texts[0])
    with pytest.raises(InputError, match="--store-texts"):
        tcalloc.refit(policy, explored(tmp_path / "bare", CHANCES, policy=origin))


def test_several_models(tmp_path):
    arms = {name: samples_of(CHANCES * share, 4) for name, share in (("small", 0.8), ("large", 1.0))}
    arms = {
        name: tcalloc.Samples(arm.answers, cost=np.full((160, 8), cost))
        for (name, arm), cost in zip(arms.items(), (1.0, 4.0), strict=True)
    }
    policy = stored(Sequential(budget=6.0).fit(None, tcalloc.Samples(arms=arms)), tmp_path / "served")
    assert entry_for(policy).name == "cascade"
    seen = explored(tmp_path / "seen", CHANCES, policy=origin_of(policy), model="small", cost=1.0)
    with pytest.raises(InputError, match="no samples of large"):
        tcalloc.refit(policy, seen)


def test_requests_to_several_models_by_one_policy(margin, tmp_path):
    from tcalloc.runs.store import Store

    seen = explored(tmp_path / "seen", CHANCES[:60], policy=origin_of(margin))
    with Store.open(seen) as store:
        store.add_arm({"arm": "other-arm", "model": "other", "grader": "numeric", "parameters": {}})
        for i in range(30):
            store.add_question({"id": f"other{i}", "question": None, "policy": origin_of(margin)})
            for j in range(8):
                record = {"id": f"other{i}", "sample": j, "arm": "other-arm", "params": "other-arm", "model": "other"}
                store.append(record | {"answer": "answer 1", "correct": None})
    report = tcalloc.refit(margin, seen)
    assert report.requests == 60
    assert "only the 60 requests to tiny are used" in report.notes[0]


def test_requests_that_lost_samples_are_left_out(margin, tmp_path):
    seen = explored(tmp_path / "seen", CHANCES[:60], policy=origin_of(margin))
    lines = (seen / "samples.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not re.search(r'"id":"q[01]","sample":[4-7]', line)]
    assert len(kept) == len(lines) - 8
    (seen / "samples.jsonl").write_text("".join(kept))
    report = tcalloc.refit(margin, seen)
    assert report.requests == 58
    assert "2 requests with fewer samples than usual" in report.notes[0]


def test_nothing_is_overwritten(margin, tmp_path):
    traffic = explored(tmp_path / "seen", CHANCES[:40], policy=origin_of(margin))
    margin.save(tmp_path / "there")
    before = (tmp_path / "there" / "policy.json").read_bytes()
    with pytest.raises(InputError, match="not overwritten"):
        tcalloc.refit(margin, traffic, out=tmp_path / "there")
    assert (tmp_path / "there" / "policy.json").read_bytes() == before


def test_what_cannot_be_fitted_is_refused(tmp_path):
    class Mine:
        def start(self, x):
            raise NotImplementedError

    seen = explored(tmp_path / "seen", CHANCES[:40])
    with pytest.raises(InputError, match="policy is a Mine"):
        tcalloc.refit(Mine(), seen)
    with pytest.raises(InputError, match=r"folds is 1"):
        tcalloc.refit(Always(Vote(3)), seen, folds=1)
    with pytest.raises(InputError, match="12 explored requests; at least 20 are needed"):
        tcalloc.refit(Always(Vote(3)), explored(tmp_path / "few", CHANCES[:12]), kind="fixed k")


def test_every_entry_is_found_by_its_policy():
    for entry in POLICIES:
        if entry.deployable and entry.name != "cascade":
            assert entry_for(entry.policy(budget=2.0)) is entry
    assert entry_for(Always(Vote(3))) is None


def test_the_interval_holds_the_gain(tmp_path):
    """The gain on very many samples of the same requests lies in the interval about as often as it says."""
    held = 0
    fresh = samples_of(CHANCES, 99, 48)
    for seed in range(10):
        report = tcalloc.refit(
            Always(Vote(3)), explored(tmp_path / str(seed), CHANCES, seed=seed), budget=3.0, kind="margin + cap"
        )
        part = fresh.columns(np.tile(np.arange(4), (160, 1)))
        true = report.policy.replay(None, part).accuracy.mean() - part.table([Vote(3)]).acc[:, 0].mean()
        held += report.low - 0.02 <= true <= report.high + 0.02
    assert held >= 9


def test_counts_of_texts_are_enough_for_a_policy_that_looks_at_questions(tmp_path):
    """Without texts: it decides by the counts as one that was fitted on the texts does by the same counts."""
    texts = [f"What is {i}?" if i % 2 == 0 else f"Find x, if {i} (x + 2) = 3 x, or say why not" for i in range(160)]
    counts = lexical_rows(texts)
    bare = explored(tmp_path / "bare", CHANCES, extra=[{"counts": one} for one in counts])
    report = tcalloc.refit(Always(Vote(3)), bare, kind="priced", budget=2.0)
    assert report.policy.feature_names_in_.tolist() == list(COLUMNS)
    samples = tcalloc.Samples.load(bare, "agreement")
    like = tcalloc.PricedPolicy(budget=2.0, features=tcalloc.Features(text=None))
    like = like.fit(texts, samples, actions=list(report.policy.actions_), predicted=report.policy.predicted_)
    for budget in (2.0, 2.5, 3.0):
        assert (report.policy.decide(counts, budget=budget) == like.decide(texts, budget=budget)).all()
    assert len(set(report.policy.decide(counts, budget=2.5).tolist())) > 1
    with Upstream() as server, Gateway(server.url, report.policy, port=0) as gateway:
        body = {"model": "tiny", "messages": [{"role": "user", "content": texts[0]}]}
        got = send(gateway.url, "POST", "/v1/chat/completions", body)
    assert got.headers["x-tcalloc-action"] == report.policy.route(counts[0])
    # And the next one is judged by counts, too, also where texts are stored.
    served = stored(report.policy, tmp_path / "served")
    again = explored(tmp_path / "again", CHANCES, policy=origin_of(served), texts=texts)
    assert tcalloc.refit(served, again).policy.feature_names_in_.tolist() == list(COLUMNS)
