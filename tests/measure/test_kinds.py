"""Kinds of actions: a weighted vote, added as a contributor would add it, works wherever actions do."""

import itertools

import numpy as np
import pytest

from tcalloc import compare
from tcalloc.errors import InputError
from tcalloc.evaluate import phrases
from tcalloc.learn.protocol import Always, Result
from tcalloc.learn.replay.metered import replay
from tcalloc.measure import Action, Samples, Vote, kinds
from tcalloc.measure.table_files.load_and_save import load_table, save_table


class WeightedVote(kinds.Kind):
    """The answer with the largest sum of scores. Ties go to the answer with the lowest code."""

    combine, by, example = "vote", "score", "vote5 by score"
    needs = frozenset({"answers", "scores"})

    def exact(self, read, ks, threads=1):
        found = np.full((len(read.drawn), len(ks)), np.nan)
        for i, (row, worth, drawn) in enumerate(zip(read.answers, read.scores, read.drawn, strict=True)):
            samples = list(zip(row[drawn].tolist(), worth[drawn].tolist(), strict=True))
            for q, k in enumerate(ks):
                votes = [self.leader(some) == 0 for some in itertools.combinations(samples, k)]
                found[i, q] = np.mean(votes) if votes else np.nan
        return found

    def choose(self, answered, drawn):
        most = self.leader([(one.answer, one.score) for one in answered])
        return most, sum(one.answer == most for one in answered) / drawn

    @staticmethod
    def leader(samples):
        weights = {}
        for answer, weight in sorted(samples):
            weights[answer] = weights.get(answer, 0.0) + weight
        return max(weights, key=weights.get)


@pytest.fixture
def weighted(monkeypatch):
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, WeightedVote()))


def scored(n, s, seed=0):
    """Right answers have higher scores, so that weights help."""
    rng = np.random.default_rng(seed)
    answers = np.where(rng.random((n, s)) < rng.beta(1, 1, n)[:, None], 0, rng.integers(1, 4, (n, s)))
    return Samples(answers, scores=rng.random((n, s)) + (answers == 0))


def test_a_kind_that_lacks_a_part_cannot_be_made():
    class Half(kinds.Kind):
        combine, example = "half", "half2"

        def exact(self, read, ks, threads=1):
            return np.zeros((len(read.drawn), len(ks)))

    with pytest.raises(TypeError, match="choose"):
        Half()


def test_a_new_kind_has_names(weighted):
    action = Action(3, "vote", "score", "qwen", temperature=0.5)
    assert action.name == "vote3 by score qwen temperature=0.5"
    assert repr(action) == "Vote(3, by='score', model='qwen', temperature=0.5)"
    assert Action.parse(action.name) == action == Action.from_dict(action.to_dict())
    assert Action(3, "vote") == Vote(3) == Action.parse("vote3")
    with pytest.raises(InputError, match="only 'best' or 'vote' chooses by something"):
        Action(1, "one", "score")
    with pytest.raises(InputError, match="expected 'one', 'vote5', 'best4', 'best4 by score' or 'vote5 by score'"):
        Action.parse("weighted")
    assert phrases.action("vote3 by score") == "vote3 by score"  # not three samples of a model "by score"


@pytest.mark.parametrize("several", [False, True])
def test_a_new_kind_has_estimates(weighted, several):
    samples = scored(80, 6)
    actions = [Vote(1), Vote(3), Action(3, "vote", "score"), Action(6, "vote", "score")]
    models = [None]
    if several:
        samples = Samples(arms={"small": samples, "large": scored(80, 6, seed=1)})
        models = ["small", "large"]
    asked = [Action(one.samples, one.combine, one.by, model) for model in models for one in actions]
    exact = samples.table(asked, shrink=False)
    naive = WeightedVote().exact(kinds.Graded.of(samples.by_model[models[0] or ""]), [3, 6])
    np.testing.assert_array_equal(exact.acc[:, 2:4], naive)
    assert exact.acc[:, 2].mean() > exact.acc[:, 1].mean()
    assert (exact.se > 0).all()
    shrunk = samples.table(asked)
    assert ((shrunk.acc >= 0) & (shrunk.acc <= 1)).all()
    assert shrunk.acc.mean(axis=0) == pytest.approx(exact.acc.mean(axis=0), abs=0.06)
    assert np.abs(shrunk.acc[:, 2] - exact.acc[:, 2]).max() > 0.01  # it is shrunk
    assert len(samples.table([asked[0], asked[2]], cross_fit=2).trials) == 4
    assert np.isfinite(samples.table(asked, "window").acc).all()


def test_a_new_kind_needs_what_it_says(weighted):
    with pytest.raises(InputError, match="vote2 by score, but no scores were recorded"):
        Samples([[0, 1], [1, 0]]).table([Action(2, "vote", "score")])
    with pytest.raises(InputError, match="vote2 by score, but only right and wrong were recorded"):
        Samples(correct=[[0, 1]], scores=[[0.5, 0.2]]).table([Action(2, "vote", "score")])


def test_a_new_kind_is_solved_stored_and_compared(weighted, tmp_path):
    samples = scored(60, 4)
    actions = [Vote(1), Vote(3), Action(3, "vote", "score")]
    table = samples.table(actions)
    plan = table.solve(2.0)
    assert plan.counts[2] > plan.counts[1]  # it reaches more at the same cost
    assert table.frontier().accuracy_at(3.0) > 0.5
    save_table(table, tmp_path / "t.csv")
    assert load_table(tmp_path / "t.csv").action_names == ("vote1", "vote3", "vote3 by score")
    pytest.importorskip("sklearn")
    pytest.importorskip("xgboost")
    own = {"weighted": Always(actions[2])}
    result = compare(samples, ["best fixed mixture", "priced, probe 2"], [3.0], actions=actions, folds=2, own=own)
    assert "vote3 by score" in result.actions
    reached = {standing.name: standing.accuracy for standing in result.standings}
    assert reached["weighted"] == pytest.approx(samples.table(actions, False).acc[:, 2].mean(), abs=0.01)
    assert "a probe's pattern does not show scores" in result.skipped["priced, probe 2"]


def test_a_new_kind_answers(weighted):
    action = Action(3, "vote", "score")
    drawn = [Result("a", 1.0, score=0.2), Result("b", 1.0, score=0.9), Result("a", 1.0, score=0.3)]
    assert action.kind.answer(drawn) == ("b", pytest.approx(1 / 3))
    assert action.kind.answer([]) == (None, 0.0)
    samples = scored(60, 4)
    found = replay(Always(action), samples, orders=24)
    assert found.accuracy == pytest.approx(samples.table([action], False).acc[:, 0], abs=0.25)
    assert found.accuracy.mean() == pytest.approx(samples.table([action], False).acc.mean(), abs=0.02)


def test_a_new_kind_is_drawn_live_or_refused(weighted, monkeypatch):
    pytest.importorskip("aiohttp")
    from answering_cases import client_of
    from chaos import Chaos

    from tcalloc import answer

    class First(WeightedVote):
        combine, example, needs = "first", "first5", frozenset()

        def choose(self, answered, drawn):
            return answered[0].answer, 1 / drawn

    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, First()))
    with Chaos() as server, client_of(server) as client:
        with pytest.raises(InputError, match="asks for 'vote3 by score', which needs scores, and no server gives any"):
            answer(["1+1"], Always(Action(3, "vote", "score")), client)
        assert not server.requests
        found = answer(["1+1"], Always(Action(3, "first")), client)
    assert found[0].vote_share == pytest.approx(1 / 3)
