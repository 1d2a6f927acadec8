"""Samples without gold answers: the reference, halves that judge each other, and what is kept of gold answers."""

import pickle
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcalloc.errors import InputError
from tcalloc.measure import Samples, Vote, load_table, save_table
from tcalloc.measure.kinds import leading
from tcalloc.measure.labels import GOLD, Labels, best_codes, leading_codes, parse_labels
from tcalloc.measure.misleading import signs_of
from tcalloc.measure.referee import judged

CODES = st.lists(
    st.lists(st.integers(-2, 4), min_size=6, max_size=6).filter(lambda row: any(code >= 0 for code in row)),
    min_size=1,
    max_size=8,
)


def twin(row):
    """Return the reference of one question by the rule of the policies."""
    return leading(Counter(code for code in row if code >= 0))


@settings(max_examples=60, deadline=None)
@given(CODES)
def test_the_reference_is_the_leading_answer(rows):
    assert leading_codes(np.array(rows)).tolist() == [twin(row) for row in rows]


@settings(max_examples=60, deadline=None)
@given(CODES, st.data())
def test_relabelling_keeps_which_answers_are_equal_and_which_is_gold(rows, data):
    rows = [row for row in rows if sum(code != -2 for code in row) >= 4] or [[0, 1, 1, 2, -1, 0]]
    known = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    samples = Samples(rows).labelled("agreement", gold=known)
    assert samples.labels.questions == len(samples) == len(rows)
    for row, new in zip(rows, samples.answers.tolist(), strict=True):
        assert [code == 0 for code in new] == [code == twin(row) for code in row]
        assert [code < 0 for code in new] == [code < 0 for code in row]
        pairs = set(zip(row, new, strict=True))
        assert len(pairs) == len({old for old, _ in pairs}) == len({code for _, code in pairs})
    back, kept = samples.by_gold()
    assert kept.tolist() == np.flatnonzero(known).tolist()
    if known.any():
        assert back.labels is GOLD
        assert (back.answers == 0).tolist() == (np.array(rows)[known] == 0).tolist()


def marked(seed=0, n=40, size=9):
    """Return samples whose costs tell them apart, some of them not drawn."""
    rng = np.random.default_rng(seed)
    codes = np.where(rng.random((n, size)) < 0.6, 3, rng.integers(0, 3, (n, size)))
    codes[::5, -3:] = -2
    return codes, Samples(codes, cost=1.0 + np.arange(n * size).reshape(n, size))


def test_halves_judge_each_other_and_share_no_sample():
    codes, samples = marked()
    parts = judged(samples.labelled("agreement"), splits=2)
    assert len(parts) == 4
    place = dict(zip(samples.cost.ravel().tolist(), codes.ravel().tolist(), strict=True))
    for first, second in (parts[:2], parts[2:]):
        for i in range(len(codes)):
            mine, other = (part.cost[i][part.drawn[i]].tolist() for part in (first, second))
            assert not set(mine) & set(other)
            assert len(mine) == len(other) == (codes[i] != -2).sum() // 2
            reference = twin([place[cost] for cost in other])
            assert [code == 0 for code in first.answers[i][first.drawn[i]]] == [place[c] == reference for c in mine]
        assert first.labels.held_out
        assert first.labels.samples == 4
    # The same halves every time, other ones with another seed.
    again, others = judged(samples.labelled("agreement"), splits=2), judged(samples.labelled("agreement"), 2, seed=1)
    assert np.array_equal(again[0].cost, parts[0].cost)
    assert not np.array_equal(others[0].cost, parts[0].cost)


def test_a_vote_over_all_samples_does_not_agree_with_itself():
    """What is claimed is the agreement of fresh samples with a fresh reference."""
    rng = np.random.default_rng(3)
    chances = np.column_stack([rng.beta(2, 1, 400)] * 1)
    cells = np.where(rng.random((400, 8)) < chances, 0, rng.integers(1, 4, (400, 8)))
    table = Samples(cells).labelled("agreement").table([Vote(1), Vote(4)], shrink=False)
    full = Samples(cells).labelled("agreement")
    inflated = (full.answers == 0).mean()
    truth = np.zeros(2)
    for _ in range(200):
        fresh = np.where(rng.random((400, 8)) < chances, 0, rng.integers(1, 4, (400, 8)))
        reference = leading_codes(fresh[:, 4:])
        truth += (fresh[:, 0] == reference).mean(), (leading_codes(fresh[:, :4]) == reference).mean()
    truth /= 200
    assert np.abs(table.acc.mean(axis=0) - truth).max() < 0.015
    assert inflated - truth[0] > 0.03
    assert table.labels.held_out
    assert table.labels.samples == 4


def test_the_referee_is_the_most_expensive_model_or_the_one_that_is_named():
    small, large = [[1, 1, 1, 1], [2, 2, 1, 2]], [[2, 2, 2, 2], [2, 2, 2, 1]]
    arms = {"small": Samples(small, cost=1.0), "large": Samples(large, cost=5.0)}
    both = Samples(arms=arms)
    assert both.labelled("agreement").labels.model == "large"
    assert both.labelled("agreement").arms["small"].answers.tolist() == [[1, 1, 1, 1], [0, 0, 1, 0]]
    named = both.labelled("agreement:small")
    assert named.labels.model == "small"
    assert named.labels.unanimous == 1
    alone = both.labelled("teacher:large")
    assert list(alone.by_model) == ["small"]
    assert len(judged(alone)) == 1
    # Only the referee's samples are halved.
    part = judged(both.labelled("agreement"))[0]
    assert [arm.drawn.sum(axis=1).tolist() for arm in part.by_model.values()] == [[4, 4], [2, 2]]
    with pytest.raises(InputError, match=r"no such model; there are small, large. Did you mean 'large'"):
        both.labelled("model:larg")
    costless = Samples(arms={name: Samples(arm.answers) for name, arm in arms.items()})
    with pytest.raises(InputError, match="no costs that say which is the most expensive"):
        costless.labelled("agreement")
    assert costless.labelled("model:large").labels.model == "large"


def test_one_answer_of_the_referee_agrees_with_itself_and_that_is_said():
    both = Samples(arms={"small": Samples([[1, 2], [2, 2]]), "large": Samples([[1], [1]])}).labelled("model:large")
    assert both.arms["small"].answers.tolist() == [[0, 2], [2, 2]]
    assert judged(both) == (both,)
    assert "agrees with itself by construction" in both.labels.sentence()


def test_scores_choose_the_reference():
    codes, scores = [[3, 1, 1, 2], [1, 2, -1, 1]], [[0.1, 0.9, 0.2, np.nan], [np.nan, np.nan, 5.0, np.nan]]
    assert best_codes(np.array(codes), np.array(scores)).tolist() == [1, 1]
    samples = Samples(codes, scores=scores).labelled("score")
    assert samples.answers.tolist() == [[3, 0, 0, 2], [0, 2, -1, 0]]
    with pytest.raises(InputError, match="no scores were recorded"):
        Samples(codes).labelled("score")


def test_what_is_too_little_for_a_reference_is_refused_or_counted():
    with pytest.raises(InputError, match=r"no question has 4 samples.*the most is 3.*so 4 are needed"):
        Samples([[1, 1, 2]]).labelled("agreement")
    with pytest.raises(InputError, match="only right and wrong were recorded"):
        Samples(correct=[[1, 0, 1, 1]]).labelled("agreement")
    with pytest.raises(InputError, match="labelled already"):
        Samples([[1, 1, 2, 1]]).labelled("agreement").labelled("agreement")
    with pytest.raises(InputError, match="no other model that could be chosen"):
        Samples(arms={"m": Samples([[1, 1, 2, 1]])}).labelled("teacher:m")
    rows = [[1, 1, 2, 1], [1, 2, -2, -2], [-1, -1, -1, -1], [4, 3, 2, 1]]
    samples = Samples(rows, ids=["a", "b", "c", "d"]).labelled("agreement")
    assert samples.ids.tolist() == ["a", "d"]
    assert samples.labels == Labels("agreement", samples=4, questions=2, left_out=2, unanimous=0, divided=1)
    assert samples.notes[0].startswith("2 of 4 questions have no reference and were left out")
    assert samples.notes[1] == "in 1 of 2 questions all answers differ, so that the first one is the reference."


@pytest.mark.parametrize("text", ["agree", "gold:x", "model", "teacher:", "model: ", 3, None, ""])
def test_labels_that_are_none_are_refused(text):
    with pytest.raises(InputError, match="labels is"):
        parse_labels(text)


def test_labels_travel():
    codes, samples = marked()
    found = samples.labelled("agreement", gold=np.arange(len(codes)) < 10)
    for other in (found.take([0, 1, 2]), pickle.loads(pickle.dumps(found)), replace(found, notes=())):
        assert other.labels == found.labels
        assert len(other.gold) == len(other)
    arms = Samples(arms={"a": samples, "b": samples}).labelled("agreement:b")
    arms.arms["b"].drawn[0] = False
    kept, _ = arms.of_every_model()
    assert len(kept) == len(arms) - 1
    assert kept.labels == arms.labels
    assert Labels.from_dict(found.labels.to_dict()) == found.labels
    with pytest.raises(InputError, match="labels: samples is -1"):
        Labels.from_dict(found.labels.to_dict() | {"samples": -1})
    with pytest.raises(InputError, match="allowed are gold, agreement"):
        Labels.from_dict(found.labels.to_dict() | {"kind": "truth"})


def test_an_unsure_reference_is_warned_of():
    """Where halves hardly agree, the reference is bounded; where they do, nothing is said."""
    rng = np.random.default_rng(0)
    unsure = Samples(rng.integers(0, 5, (200, 8))).labelled("agreement")
    assert len([note for note in unsure.notes if note.startswith("the reference is unsure")]) == 1
    sure = Samples(np.where(rng.random((200, 8)) < 0.8, 0, rng.integers(1, 5, (200, 8)))).labelled("agreement")
    assert not any("unsure" in note for note in sure.notes)
    # The bound holds: the most frequent answer of half of the samples is right no more often.
    for chance in (0.3, 0.5, 0.8):
        codes = np.where(rng.random((400, 8)) < chance, 0, rng.integers(1, 5, (400, 8)))
        bound = signs_of(Samples(codes).labelled("agreement")).most_right
        assert (leading_codes(codes[:, :4]) == 0).mean() <= bound + 0.03


def test_a_stronger_models_disagreement_is_warned_of():
    """A model that is always wrong in the same way looks sure; a more expensive one shows that, and only that one."""
    rng = np.random.default_rng(0)
    sure_but_wrong = np.where(np.arange(200) % 3 == 0, 5, 0)[:, None] * np.ones((1, 8), int)
    noisy = np.where(rng.random((200, 8)) < 0.95, sure_but_wrong, rng.integers(1, 4, (200, 8)))
    strong = Samples(np.zeros((200, 4), int), cost=9.0)
    both = Samples(arms={"small": Samples(noisy, cost=1.0), "large": strong})
    signs = signs_of(both.labelled("agreement:small"))
    assert signs.halves_agree > 0.95  # its own samples show nothing
    assert (signs.other, signs.other_differs) == ("large", pytest.approx(67 / 200))
    (note,) = [note for note in both.labelled("agreement:small").notes if note.startswith("large gives another")]
    assert "on 34 % of the questions" in note
    assert "true on at most 83 %" in note
    assert "labels='agreement:large'" in note
    for labels, samples in (
        ("agreement:large", both),  # the reference is the stronger model's
        ("agreement:small", Samples(arms={"small": Samples(noisy, cost=9.0), "large": replace(strong, cost=1.0)})),
        ("agreement:small", Samples(arms={"small": Samples(noisy, cost=1.0), "large": replace(strong, cost=1.0)})),
        ("agreement:small", Samples(arms={"small": Samples(noisy), "large": Samples(noisy)})),
        ("agreement", Samples(noisy)),
    ):
        found = samples.labelled(labels)
        assert np.isnan(signs_of(found).other_differs)
        assert not any("another answer" in note for note in found.notes)
    # Two models that differ no more than the samples of one do hide nothing.
    alike = Samples(arms={"small": Samples(noisy, cost=1.0), "large": Samples(noisy[:, :4], cost=9.0)})
    assert not any("another answer" in note for note in alike.labelled("agreement:small").notes)


def test_plans_of_agreement_are_called_so():
    samples = marked()[1].labelled("agreement")
    table, gold = samples.table([Vote(1), Vote(3)]), Samples(marked()[0]).table([Vote(1), Vote(3)])
    plan, curve = table.solve(1e6), table.frontier()
    assert repr(plan).startswith("Allocation(agreement=")
    assert plan.measures == curve.measures == curve.allocate(1e6).measures == "agreement"
    assert ", agreement " in repr(curve)
    assert "accuracy" not in repr(plan) + repr(curve)
    assert repr(gold.solve(1e6)).startswith("Allocation(accuracy=")
    assert (curve + curve).measures == "agreement"
    with pytest.raises(InputError, match="frontiers hold agreement and accuracy"):
        curve + gold.frontier()


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
def test_a_tables_file_keeps_its_labels(tmp_path, suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    table = marked()[1].labelled("agreement").table([Vote(1), Vote(3)])
    path = tmp_path / f"table.{suffix}"
    save_table(table, path)
    read = load_table(path)
    assert read.labels == table.labels
    assert read.ignored == ()
    assert np.array_equal(read.acc, table.acc)
    assert str(read.claim(read.solve(1e6))).startswith("agreement with the reference")
    gold = Samples(marked()[0]).table([Vote(1)])
    save_table(gold, tmp_path / f"gold.{suffix}")
    assert load_table(tmp_path / f"gold.{suffix}").labels is GOLD
    if suffix == "csv":
        path.write_text(path.read_text().replace("agreement", "something", 1))
        with pytest.raises(InputError, match="tcalloc_labels is not what tcalloc writes"):
            load_table(path)


def test_an_expensive_referee_that_others_do_not_support_is_warned_of():
    """Only other models can show that the most expensive one is not the best; there must be two of them at least."""
    rng = np.random.default_rng(1)
    n = 300

    def model(chance: float, cost: float, samples: int = 8) -> Samples:
        """Always the same answer to a question, right with a chance; wrong answers differ between models."""
        right = rng.random(n) < chance
        codes = np.where(right, 0, rng.integers(1, 40, n))[:, None] * np.ones((1, samples), int)
        return Samples(codes, cost=cost)

    small, middle, large = model(0.6, 1.0), model(0.8, 3.0), model(0.7, 9.0)
    signs = signs_of(Samples(arms={"small": small, "middle": middle, "large": large}).labelled("agreement"))
    assert signs.rival == "middle"
    # Where the two others differ, each of their answers counts half.
    given = {"small": small.answers[:, 0], "middle": middle.answers[:, 0], "large": large.answers[:, 0]}
    rates = {
        name: np.mean([(given[name] == given[other]).mean() for other in given if other != name]) for name in given
    }
    assert signs.apart == pytest.approx(rates["large"] - rates["middle"])
    assert signs.apart < 0
    warned = "the model that gives the reference may not be the best one: middle costs less"
    labelled = Samples(arms={"small": small, "middle": middle, "large": large})
    (note,) = [note for note in labelled.labelled("agreement").notes if note.startswith(warned)]
    assert "labels='agreement:middle'" in note
    for samples in (
        Samples(arms={"small": small, "middle": middle, "large": model(1.0, 9.0)}),  # the best one
        Samples(arms={"middle": middle, "large": large}),  # nobody else
        Samples(arms={"small": small, "middle": middle, "large": replace(large, cost=0.5)}),  # the others cost more
    ):
        labels = "agreement" if samples.arms["large"].cost > 1 else "agreement:large"
        assert not any(note.startswith(warned) for note in samples.labelled(labels).notes)
    # One sample of each is enough.
    single = Samples(arms={"small": small, "middle": middle, "large": Samples(large.answers[:, :1], cost=9.0)})
    assert any(note.startswith(warned) for note in single.labelled("model:large").notes)
