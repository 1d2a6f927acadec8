"""Columns of numbers from outside: read from files by id, and what having them costs."""

import json

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="features need scikit-learn")
pytest.importorskip("xgboost")

import tcalloc
from tcalloc import Samples
from tcalloc.errors import BudgetError, InputError
from tcalloc.learn.looking import looking_cost, spending
from tcalloc.learn.outside_features import read_features
from tcalloc.learn.routing.imitator import Imitator
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.saving.policy_folder import load_policy
from tcalloc.learn.sequential import Sequential

N = 120


def probed(n=N, seed=0):
    """Samples of hopeless, middling and easy questions; a number from outside says of which kind each one is."""
    rng = np.random.default_rng(seed)
    easy = np.arange(n) % 3 / 2
    right = rng.random((n, 12)) < np.array([0.02, 0.55, 0.99])[(2 * easy).astype(int)][:, None]
    codes = np.where(right, 0, rng.integers(1, 9, (n, 12)))
    return Samples(codes, ids=[f"q{i}" for i in range(n)]), easy[:, None]


@pytest.fixture(scope="module")
def signal():
    return probed()


def test_columns_are_found_by_id_in_csv_and_npz(tmp_path):
    csv, npz = tmp_path / "f.csv", tmp_path / "f.npz"
    csv.write_text("reward,id,entropy\n0.5,q2,1e-3\n-1,q1,7\n9,unused,nan\n", encoding="utf-8-sig")
    assert read_features(csv, ["q1", "q2"]) == {"reward": [-1.0, 0.5], "entropy": [7.0, 1e-3]}
    np.savez(npz, id=np.array(["q2", "q1"]), reward=[0.5, -1], state=np.arange(6, dtype=np.float32).reshape(2, 3))
    found = read_features(npz, ["q1"])
    assert found == {"reward": [-1.0], "state.0": [3.0], "state.1": [4.0], "state.2": [5.0]}
    np.savez(npz, id=np.array([7, 8]), x=[1, 2])
    assert read_features(npz, ["8", "7"]) == {"x": [2.0, 1.0]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "first line is ''"),
        ("name,x\nq1,1\n", "first line is 'name,x'"),
        ("id,x,x\nq1,1,2\n", "first line"),
        ("id,x\n", "holds no rows"),
        ("id,x\nq1,1\nq1,2\n", r"id 'q1' occurs in the rows 0 and 1"),
        ("id,x\nq1,red\n", r"line 2: 'x' is 'red'; expected a number"),
        ("id,x\nq1,1,2\n", "line 2: 3 fields; expected 2"),
        ("id,x\nq1,inf\n", "'x' of the question 'q1' is inf"),
        ("id,x\nq2,1\n", "no features of the question 'q1'"),
    ],
)
def test_files_that_do_not_fit_are_refused_with_the_place(tmp_path, text, said):
    path = tmp_path / "f.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        read_features(path, ["q1"])


def test_arrays_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "f.npz"
    for arrays, said in (
        ({"x": [1.0]}, "holds x; expected"),
        ({"id": ["q1"]}, "holds id; expected"),
        ({"id": ["q1"], "x": [[[1.0]]]}, r"'x' has shape \(1, 1, 1\)"),
        ({"id": ["q1"], "x": [1.0, 2.0]}, r"'x' has shape \(2,\)"),
        ({"id": ["q1"], "x": ["a"]}, "dtype <U1"),
        ({"id": ["q1"], "x": [[1.0]], "x.0": [1.0]}, "two columns are called 'x.0'"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(InputError, match=said):
            read_features(path, ["q1"])
    np.savez(path, id=np.array(["q1"]), x=np.array([print], object))
    with pytest.raises(InputError, match="plain arrays"):  # nothing is unpickled
        read_features(path, ["q1"])
    for name, said in (("f.txt", "neither .csv nor .npz"), ("none.csv", "cannot be read"), ("f.npz", "no .npz")):
        (tmp_path / "f.npz").write_text("no zip")
        with pytest.raises(InputError, match=said):
            read_features(tmp_path / name, ["q1"])


def test_sequential_pays_for_features_only_where_its_rules_read_them(signal):
    samples, x = signal
    free = Sequential(2.0).fit(x, samples)
    assert free.looking_cost_ == 0.0  # they cost nothing
    cheap, dear = (Sequential(2.0, feature_cost=cost).fit(x, samples) for cost in (0.05, 1.9))
    reading = [c.name for c in cheap._trained.choices.candidates if c.family.predicts]
    assert reading == ["questions"]
    for one, paid in zip(cheap._trained.choices.candidates, free._trained.choices.candidates, strict=True):
        more = 0.05 if one.family.predicts else 0.0
        assert np.allclose(one.claimed.spend, paid.claimed.spend + more)
        assert np.array_equal(one.claimed.accuracy, paid.claimed.accuracy)
    assert cheap.looking_cost_ == 0.05
    assert dear.looking_cost_ == 0.0  # 1.9 of 2 for one number is not worth it
    # What a replay spends is the samples and the features; the frontier and the budget include both.
    spent = cheap.replay(x, samples, [2.0]).spend
    assert (spent >= 0.05 - 1e-12).all()
    assert spent.mean() == pytest.approx(2.0, rel=0.1)
    within = Sequential(2.0, cap=4.0, feature_cost=0.05).fit(x, samples)
    assert within.replay(x, samples, [2.0]).spend.max() <= 4.0 + 1e-9
    run = within.start(x[0])
    assert run.next().n == 1


def test_sequential_keeps_its_feature_cost_in_files_and_guarantees(signal, tmp_path):
    samples, x = signal
    half = np.arange(N) < N // 2
    policy = Sequential(2.0, feature_cost=0.05).fit(x[half], samples.take(half))
    policy.calibrate(x[~half], samples.take(~half), budget=4.0, confidence=0.9)
    if policy.looking_cost_:
        assert policy.replay(x, samples).spend.mean() <= 4.0
    policy.save(tmp_path / "policy")
    same = load_policy(tmp_path / "policy")
    assert same.feature_cost == 0.05
    assert same.looking_cost_ == policy.looking_cost_
    assert np.array_equal(same.replay(x, samples).spend, policy.replay(x, samples).spend)


def test_budgets_of_fit_include_the_features(signal):
    samples, x = signal
    for name, budget in (("priced", 3.0), ("imitator", 3.0), ("Sequential", 3.0), ("priced, probe 2", 4.0)):
        report = tcalloc.fit(samples, budget, name, X=x, feature_cost=0.2)
        looks = looking_cost(report.policy)
        spend = report.policy.replay(x, samples).spend.mean()
        assert report.looks == looks
        assert spend == pytest.approx(budget, rel=0.15) or spend < budget, name
        if looks:
            assert looks == 0.2
            assert "the features of a question cost 0.2" in " ".join(str(report).split())
            assert report.to_dict()["looks"] == 0.2
    with pytest.raises(InputError, match="feature_cost is 3, which leaves nothing of the budget, 3"):
        tcalloc.fit(samples, 3.0, "priced", X=x, feature_cost=3)
    for wrong in (-1, np.inf, np.nan, "dear"):
        with pytest.raises(InputError, match="feature_cost is"):
            tcalloc.fit(samples, 3.0, X=x, feature_cost=wrong)
        for policy in (Sequential(2.0, feature_cost=wrong), PricedPolicy(feature_cost=wrong)):
            with pytest.raises(InputError, match="feature_cost is"):
                policy.fit(x, samples)


def test_a_policy_that_does_not_read_the_features_gets_the_whole_budget(signal):
    samples, x = signal
    actions = [tcalloc.Vote(k) for k in (1, 3, 9)]
    noise = np.random.default_rng(1).random((N, 1))
    closed = PricedPolicy(budget=3.0, feature_cost=0.5).fit(noise, samples, actions=actions)
    assert closed.looking_cost_ == 0.0
    assert spending(closed, 3.0).budget_ == 3.0
    opened = PricedPolicy(budget=3.0, feature_cost=0.5, gate=False).fit(x, samples, actions=actions)
    assert opened.looking_cost_ == 0.5
    assert spending(opened, 3.0).budget_ == 2.5
    with pytest.raises(BudgetError, match=r"having X costs 0.5 of it") as caught:
        spending(opened, 1.2)
    assert caught.value.limit == pytest.approx(1.5)
    assert spending(Imitator(2.0, feature_cost=0.5).fit(x, samples, actions=actions), 2.5).looking_cost_ == 0.5
    assert spending(object(), 2.0) is not None  # what has no budgets stays as it is


def test_live_answers_pay_for_the_features(signal):
    pytest.importorskip("aiohttp")
    from chaos import Chaos

    from tcalloc.llm.client import ChatClient

    samples, x = signal
    policy = Sequential(2.0, feature_cost=0.25).fit(x, samples)
    assert policy.looking_cost_ == 0.25
    questions = [{"id": f"q{i}", "question": f"{i} + {i}"} for i in range(20)]
    with Chaos() as server, ChatClient(server.url, "tiny", key=None) as client:
        answers = tcalloc.answer(questions, policy, client, X=x[:20], budget=2.0, concurrency=2)
    assert [one.spend for one in answers] == [one.samples + 0.25 for one in answers]
    assert answers.spend <= 2.0 + 1e-9


def test_the_command_line_fits_and_answers_with_features(tmp_path, capsys):
    pytest.importorskip("aiohttp")
    from chaos import Chaos

    from tcalloc import cli

    def call(*argv, code=0):
        assert cli.main([str(part) for part in argv]) == code
        return capsys.readouterr()

    samples, x = probed(60)
    rows = [
        {"id": f"q{i}", "question": f"{i} + {i}", "answer": str(c), "gold": "0"}
        for i, codes in enumerate(samples.answers.tolist())
        for c in codes
    ]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    file = tmp_path / "probe.csv"
    file.write_text("id,probe\n" + "".join(f"q{i},{v}\n" for i, v in enumerate(x[:, 0])))
    run, policy = tmp_path / "run", tmp_path / "policy"
    call("import", tmp_path / "log.jsonl", "--out", run)
    what = ["--features", file, "--feature-cost", 0.05]
    for name in ("priced", "Sequential"):
        out, _ = call("fit", run, "--budget", 3, "--policy", name, "--out", policy, "--folds", 2, *what, "--json")
        assert json.loads(out)["looks"] in (0, 0.05)
        kept = load_policy(policy)
        assert kept.feature_cost == 0.05
        assert kept.schema_.names == ("text", "probe")
    out, _ = call("compare", run, "--policies", "Sequential,best fixed mixture", "--budgets", 3, "--jobs", 1, *what)
    assert "Sequential" in out
    if "tcalloc fit" in out:
        assert "--feature-cost 0.05" in out
    new = tmp_path / "new.jsonl"
    new.write_text("".join(json.dumps({"id": f"q{i}", "question": f"{i} + {i}"}) + "\n" for i in range(8)))
    with Chaos() as server:
        where = ["--base-url", server.url, "--model", "tiny"]
        out, _ = call("answer", new, "--policy", policy, *where, "--features", file)
        assert "8 of 8 questions answered" in out
        _, err = call("answer", new, "--policy", policy, *where, code=1)
        assert "fitted with the features probe" in err.replace("\n", " ")
