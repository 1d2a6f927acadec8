"""How sure a model was: computed as DeepConf does, stored with samples, and read by policies, live as recorded."""

import numpy as np
import pytest

from tcalloc import Samples
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Result
from tcalloc.learn.replay.metered import replay
from tcalloc.llm.confidence import Confidence, groups, restored, stored, token_confidences, window_of
from tcalloc.measure import Best


def entries(*rows):
    return [{"logprob": row[0], "top_logprobs": [{"logprob": value} for value in row]} for row in rows]


def test_a_tokens_confidence_is_minus_the_mean_of_the_likeliest():
    found = token_confidences(entries([-0.1, -2.3, -6.0], [-1.0, -1.1, -1.2]))
    assert found.tolist() == pytest.approx([(0.1 + 2.3 + 6.0) / 3, 1.1])
    assert token_confidences(entries([-0.1, -np.inf])).tolist() == [50.05]  # a token that cannot follow counts as -100
    for wrong in ([], entries([-0.1]), [{"logprob": -1}], [None], entries([-0.1, None]), entries([-0.1, float("nan")])):
        assert token_confidences(wrong) is None


def test_windows_are_a_quarter_of_an_answer_from_8_to_2048_tokens():
    assert [window_of(n) for n in (1, 8, 31, 40, 400, 8192, 60_000)] == [1, 8, 8, 10, 100, 2048, 2048]
    values = np.array([5.0, 1.0, 2.0, 3.0])
    assert groups(values, 2).tolist() == [3.0, 1.5, 2.5]
    assert groups(values, 9).tolist() == [2.75]  # of fewer tokens than the window, their mean
    long = np.concatenate([np.full(8000, 9.0), np.full(2048, 1.0), np.full(9000, 5.0), np.full(2048, 7.0)])
    sure = Confidence.of(long)
    assert sure == (pytest.approx(long.mean()), pytest.approx(7.0), pytest.approx(1.0))
    assert restored(stored(Confidence(1.0, 2.0, 0.5))) == (1.0, 2.0, 0.5)
    assert stored(None) == {}
    assert restored({"confidence_mean": 1.0}) is None


def test_samples_keep_it_in_every_form():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (4, 5))
    sure = {name: rng.random((4, 5)) for name in Confidence._fields}
    samples = Samples(codes, confidence=sure)
    few = samples.take([2, 0]).columns(np.array([[4, 1], [0, 2]]))
    assert few.confidence["tail"].tolist() == sure["tail"][[2, 0]][[[0], [1]], [[4, 1], [0, 2]]].tolist()
    assert samples.with_round_cost(1.0).confidence["mean"] is samples.confidence["mean"]
    scored = samples.scored_by("lowest")
    best = scored.table([Best(5, by="score")], shrink=False).acc[:, 0]
    assert best.tolist() == (codes[np.arange(4), sure["lowest"].argmax(axis=1)] == 0).astype(float).tolist()
    two = Samples(arms={"a": samples, "b": samples}).scored_by("mean")
    assert two.by_model["b"].scores.tolist() == sure["mean"].tolist()
    marks = Samples(correct=codes == 0, confidence=sure).scored_by("tail")
    assert marks.correct.tolist() == (codes == 0).tolist()
    for given, said in (
        ({"mean": sure["mean"], "top": sure["mean"]}, "unknown kind 'top'"),
        (sure["mean"], "expected a mapping of mean, tail, lowest"),
        ({"mean": -sure["mean"]}, "at least 0"),
        ({"mean": sure["mean"][:2]}, r"shape \(2, 5\)"),
    ):
        with pytest.raises(InputError, match=said):
            Samples(codes, confidence=given)
    with pytest.raises(InputError, match="the tail confidence of samples was not recorded"):
        Samples(codes, confidence={"mean": sure["mean"]}).scored_by("tail")
    with pytest.raises(InputError, match="confidence is 'top'"):
        samples.scored_by("top")


def test_what_is_asked_is_stored_and_loaded(tmp_path):
    pytest.importorskip("aiohttp")
    from chaos import Chaos, tokens_of

    from tcalloc.llm.client import ChatClient, Parameters
    from tcalloc.llm.graders import make_grader
    from tcalloc.llm.questions import as_questions
    from tcalloc.llm.sampler import sample
    from tcalloc.runs.store import read_run

    questions = as_questions([{"question": f"{i} + {i}", "answer": str(2 * i)} for i in range(3)])
    with Chaos() as server, ChatClient(server.url, "tiny", Parameters(top_logprobs=4), key=None) as client:
        sample(questions, client, make_grader("numeric"), 4, out=str(tmp_path / "run"), concurrency=2)
    assert all(request["body"]["top_logprobs"] == 4 for request in server.requests)
    records = read_run(tmp_path / "run").records
    assert len(records) == 12
    for record in records:
        places = np.arange(tokens_of(record["text"]) - 1)
        expected = Confidence.of(0.5 + 1.5 * places)  # the mean of 0, i, 2 i and 3 i
        assert restored(record) == pytest.approx(expected, abs=1e-4)
    loaded = Samples.load(tmp_path / "run")
    assert sorted(loaded.confidence) == ["lowest", "mean", "tail"]
    assert np.isfinite(loaded.confidence["mean"]).all()


def test_a_server_that_gives_fewer_of_them_still_gives_logprobs(tmp_path):
    pytest.importorskip("aiohttp")
    from chaos import Chaos

    from tcalloc.llm.client import ChatClient, Parameters

    def picky(handler, body):
        if body.get("top_logprobs", 0) > 5:
            handler.error(400, "Invalid value: top_logprobs must be at most 5")
        else:
            handler.answer(body)

    with (
        Chaos(default=picky) as server,
        ChatClient(server.url, "tiny", Parameters(top_logprobs=20), key=None) as client,
    ):
        reply = client.complete([{"role": "user", "content": "1 + 1"}])
    assert reply.choices[0].logprob is not None
    assert reply.choices[0].confidence is None
    assert [request["body"]["top_logprobs"] for request in server.requests] == [20, 1]
    assert any("does not take top_logprobs = 20; left out" in note for note in client.notes)
    for wrong in (0, -1, 2.5, "many"):
        with pytest.raises(InputError, match="top_logprobs"):
            Parameters(top_logprobs=wrong)


def test_sequential_weights_votes_by_confidence_and_reads_it_live_as_recorded():
    pytest.importorskip("sklearn")
    from tcalloc.learn.sequential import Sequential
    from tcalloc.learn.sequential.states.sample_features import Reading

    rng = np.random.default_rng(1)
    right = rng.random((90, 8)) < rng.uniform(0.2, 0.8, (90, 1))
    codes = np.where(right, 0, rng.integers(1, 4, (90, 8)))
    tail = np.where(right, 8.0, 5.0) + rng.normal(0, 1.0, right.shape)
    told = Samples(codes, confidence={"tail": tail})
    reading = Reading.fit(told, ("",))
    assert reading.features == ("tail confidence",)
    assert reading.tilt[0, 0] > 0.3  # surer answers weigh more
    one = Result(answer="7", cost=1.0, confidence=Confidence(np.nan, float(tail[3, 2]), np.nan))
    assert reading.of_result(one, 0) == pytest.approx(reading.of_samples(told, 0)[3, 2])
    budget = 3.0
    blind, sure = (Sequential(budget).fit(None, some) for some in (Samples(codes), told))
    assert sure.replay(None, told).accuracy.mean() > blind.replay(None, Samples(codes)).accuracy.mean() + 0.03
    # Drawn one by one, it does what all runs at once do.
    slow = replay(sure, told, orders=2)
    assert slow.accuracy.mean() == pytest.approx(sure.replay(None, told, orders=2).accuracy.mean(), abs=0.06)
    run = sure.start("q")
    run.next()
    with pytest.raises(InputError, match=r"confidence\.tail"):
        run.add([Result(answer="7", cost=1.0, confidence=Confidence(1.0, np.inf, 1.0))])
