"""The demonstration: honest figures, plain words, one plot."""

import dataclasses
import io
import json
import math
import re
import shlex
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import tcalloc
from tcalloc import cli, demo
from tcalloc.datasets import load_recorded
from tcalloc.demo import curves, drawing, experiment
from tcalloc.demo import words as said
from tcalloc.demo.learned import learned
from tcalloc.demo.progress import Progress
from tcalloc.demo.stopping import stopping
from tcalloc.errors import BudgetError, InputError, MissingExtraError
from tcalloc.measure import vote_accuracy


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """What `demo.run` computed, printed, drew and returned. All tests share it, since learning takes long."""
    out, err, kept = io.StringIO(), io.StringIO(), []
    path = tmp_path_factory.mktemp("demo") / "demo.png"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            demo, "figures", lambda *args, **options: kept.append(experiment.figures(*args, **options)) or kept[0]
        )
        fields = demo.run(path, splits=6, out=out, err=err)
    return SimpleNamespace(figures=kept[0], out=out.getvalue(), err=err.getvalue(), path=path, fields=fields)


@pytest.fixture(scope="module")
def result(shown):
    return shown.figures


def few(recorded, count):
    """Return the first questions alone."""
    arrays = {
        name: {model: values[:count] for model, values in getattr(recorded, name).items()}
        for name in ("answers", "correct", "tokens", "logprobs")
    }
    rows = {name: getattr(recorded, name)[:count] for name in ("ids", "families", "difficulty", "questions")}
    return dataclasses.replace(recorded, **arrays, **rows)


def table(recorded):
    acc = np.column_stack([vote_accuracy(recorded.answers[m], k) for m in recorded.models for k in experiment.VOTES])
    cost = np.array([recorded.relative_cost[m] * k for m in recorded.models for k in experiment.VOTES])
    return acc, cost


def test_in_sample_and_fixed_figures_are_the_solvers(result):
    acc, cost = table(load_recorded())
    fixed = tcalloc.frontier(acc.mean(axis=0)[None, :], cost)
    assert [a.accuracy for a in result.actions] == acc.mean(axis=0).tolist()
    assert [a.cost for a in result.actions] == cost.tolist()
    for line in result.lines:
        assert line.in_sample == pytest.approx(tcalloc.solve(acc, cost, line.budget).accuracy, abs=1e-12)
        # Halves average to the whole table, but for their own hull and the fresh split.
        assert line.mixture == pytest.approx(fixed.accuracy_at(line.spend), abs=0.005)
        assert line.spend <= line.budget
        if line.needed is not None:
            assert fixed.accuracy_at(line.needed) == pytest.approx(line.held_out, abs=1e-12)
            assert line.needed_low <= line.needed
            shares = {a.name: (a.cost, a.accuracy) for a in result.actions}
            mean = sum(s * np.array(shares[name]) for name, s in line.needed_mixture.items())
            np.testing.assert_allclose(mean, [line.needed, line.held_out], atol=1e-9)
        else:
            assert line.held_out > result.best_action.accuracy
    assert sum(result.spending.actions.values()) == pytest.approx(1)


def test_held_out_lies_between_and_its_lead_is_paired(result):
    for line in result.lines:
        assert line.mixture < line.held_out < line.in_sample
        assert line.lead == pytest.approx(line.held_out - line.mixture)
        assert line.lead_low < line.lead < line.lead_high
        assert line.lead_low > 0
    # Cruder actions on the same table give the same picture: a lead of 12 points at a budget of 2.
    assert result.lines[2].lead == pytest.approx(0.12, abs=0.01)


def test_held_out_figures_by_hand():
    """One split, one budget, straight from the definition."""
    recorded = load_recorded()
    random = np.random.default_rng(5)
    halves = [[], []]
    for m in recorded.models:
        shuffled = random.permuted(recorded.answers[m], axis=1)
        for i, part in enumerate(np.split(shuffled, 2, axis=1)):
            halves[i] += [vote_accuracy(part, k) for k in experiment.VOTES]
    halves = [np.column_stack(half) for half in halves]
    _, cost = table(recorded)
    spends, accuracies, mixtures, differences = [], [], [], []
    for choosing, scoring in (halves, halves[::-1]):
        plan = tcalloc.solve(choosing, cost, 1.5)
        reached = scoring[np.arange(293), plan.actions]
        best = tcalloc.solve(scoring.mean(axis=0)[None, :], cost, plan.spend)
        _, low, high, fraction = best.split
        mixed = (1 - fraction) * scoring[:, low] + fraction * scoring[:, high]
        assert mixed.mean() == pytest.approx(best.upper_bound)
        spends.append(plan.spend)
        accuracies.append(reached.mean())
        mixtures.append(mixed.mean())
        differences.append(reached - mixed)
    (line,) = demo.figures(budgets=[1.5], splits=1, seed=5, learn=False).lines
    assert line.spend == pytest.approx(np.mean(spends))
    assert line.held_out == pytest.approx(np.mean(accuracies))
    assert line.mixture == pytest.approx(np.mean(mixtures))
    width = 1.96 * np.mean(differences, axis=0).std(ddof=1) / math.sqrt(293)
    assert line.lead_high - line.lead == pytest.approx(width)


def test_no_lead_is_found_where_there_is_none():
    """All questions alike: the oracle in sample still claims points, held out it must not."""
    recorded = load_recorded()
    random = np.random.default_rng(1)
    answers = {}
    for m, right in zip(recorded.models, (0.55, 0.45, 0.7), strict=True):
        shape = recorded.answers[m].shape
        answers[m] = np.where(random.random(shape) < right, 0, random.integers(1, 4, shape)).astype(np.int16)
    alike = dataclasses.replace(recorded, answers=answers)
    found = demo.figures(alike, splits=4, learn=False)
    for line in found.lines:
        assert line.in_sample > line.mixture + 0.05
        assert line.lead_low < 0.01
        assert line.lead < 0.02
    text = demo.details(found)
    assert "The saving: none at these budgets" in text


def test_same_seed_same_figures_and_seed_matters(result):
    again = demo.figures(splits=6, learn=False)
    assert dataclasses.replace(again, learned=result.learned, stopping=result.stopping) == result
    assert demo.figures(splits=6, seed=1, learn=False).lines != result.lines


@pytest.mark.parametrize("splits", [0, -1, 1.5, True])
def test_bad_splits(splits):
    with pytest.raises(InputError, match=r"splits is .*; expected a whole number, at least 1"):
        demo.figures(splits=splits, learn=False)


def test_bad_budget():
    with pytest.raises(BudgetError, match="smallest feasible budget"):
        demo.figures(budgets=[0.5], splits=1, learn=False)


def test_words(result):
    for text, most in (
        ("\n\n".join([demo.introduction(load_recorded()), demo.show(result)]), 22),  # and 3 on standard error
        (demo.details(result), 45),
    ):
        assert text.isascii()  # no terminal or redirected file may choke on the first thing that a newcomer runs
        assert max(map(len, text.splitlines())) <= 100
        assert len(text.splitlines()) <= most
        assert "none" not in text
    text = demo.details(result)
    for line in result.lines:
        assert f"{100 * line.held_out:.1f} %" in text
        assert f"{100 * line.in_sample:.1f} %" in text
    line = result.lines[0]
    assert f"{100 * (1 - line.spend / line.needed):.0f} % less compute" in " ".join(text.split())
    for words in ("best fixed mixture", "held out", "flatters itself", "What can be deployed"):
        assert words in text


def test_it_ends_with_what_matters_and_three_commands_that_exist(result):
    *_, last, commands = demo.show(result).split("\n\n")
    best = said.headline(result.learned)
    assert f"{said.saved(best, best.needed)} less compute" in " ".join(last.split())
    named = re.findall(r"^(?:Next:|     ) (tcalloc .*?)  ", commands, re.M)
    assert len(named) == len(commands.splitlines()) == 3
    for command in named:
        words = shlex.split(command)[1:]
        cli._parser(words).parse_args(words)
    nothing = [dataclasses.replace(one, lead_low=-1.0) for one in result.learned]
    assert "saves nothing" in demo.show(dataclasses.replace(result, learned=nothing))


def test_the_first_words_come_before_anything_is_computed(monkeypatch):
    out = io.StringIO()

    def figures(*args, **options):
        assert out.getvalue().startswith("Which questions deserve more compute?")
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "figures", figures)
    with pytest.raises(KeyboardInterrupt):
        demo.run(None, out=out, err=io.StringIO())


def test_only_what_the_interval_shows_is_called_out_of_reach(result):
    unreached = [line.budget for line in result.lines if line.needed_low is None]
    maybe = [line.budget for line in result.lines if line.needed is None]
    assert min(maybe) < min(unreached)
    text = " ".join(demo.details(result).split())
    assert f"From {min(unreached):g} on, no fixed mixture can buy its accuracy" in text


def test_the_interval_of_what_a_mixture_needs():
    random = np.random.default_rng(0)
    acc = random.random((200, 2)) * [0.5, 1.0]
    fixed = curves.Mixture(acc, np.array([1.0, 5.0]))
    chosen = np.clip(acc.mean(axis=1) + random.normal(0.0, 0.2, 200), 0, 1)
    needed, low, high = curves.needed(chosen, fixed)
    assert 1 < low < needed < high < 5

    def standard_errors(spend):
        lag = chosen - fixed.per_question(spend)
        return lag.mean() / (lag.std(ddof=1) / math.sqrt(200))

    assert standard_errors(needed) == pytest.approx(0, abs=1e-9)
    assert standard_errors(low) == pytest.approx(1.96, abs=0.02)
    assert standard_errors(high) == pytest.approx(-1.96, abs=0.02)
    assert curves.needed(np.ones(200), fixed) == (None, None, None)


def test_what_can_be_deployed_comes_first(result):
    assert "oracle" not in demo.show(result).split("\n\n")[0]
    text = " ".join(demo.details(result).split())
    deployed, stops, bound = (
        text.index(words) for words in ("What can be deployed", "stops while samples", "The bound")
    )
    assert deployed < stops < bound
    assert "oracle" not in text[:bound]
    best = said.headline(result.learned)
    assert best.lead_low > 0
    assert f"{100 * (1 - best.spend / best.needed):.0f} % less compute" in text[deployed:stops]
    # Of all lines whose saving is shown, none saves more for sure.
    for one in result.learned:
        if one.lead_low > 0 and one.needed_high is not None:
            assert 1 - one.spend / one.needed_low <= 1 - best.spend / best.needed_low
    assert drawing.title(result).endswith(f"the same accuracy for {said.saved(best, best.needed)} less")
    nothing = dataclasses.replace(result, learned=None)
    assert "Stopping" in drawing.title(nothing)
    assert drawing.title(dataclasses.replace(nothing, stopping=None)) == "Knowing where compute pays"


def test_what_a_mixture_needs_has_no_end_that_is_none(result):
    line = result.lines[0]
    for needed, low, high, words in (
        (2.33, 2.14, 2.56, "2.33 (2.14 to 2.56)"),
        (9.5, 3.39, None, "9.5 (3.39 or more)"),
        (None, 11.8, None, "out of reach (11.8 or more)"),
        (None, None, None, "out of reach"),
    ):
        change = {"needed": needed, "needed_low": low, "needed_high": high}
        for one in (line, result.learned[0]):
            assert said._needs(dataclasses.replace(one, **change)) == words


def test_learned_figures_say_what_a_mixture_needs(result):
    acc, cost = table(load_recorded())
    fixed = tcalloc.frontier(acc.mean(axis=0)[None, :], cost)
    for one in result.learned:
        assert fixed.accuracy_at(one.needed) == pytest.approx(one.accuracy, abs=1e-12)
        assert one.needed_low <= one.needed
    curve, cost_of_one = result.stopping.curve, result.stopping.cost
    assert cost_of_one == load_recorded().relative_cost["qwen25_0p5b"]
    assert curve.spend[0] == pytest.approx(cost_of_one, rel=1e-3)
    reached = np.interp(cost_of_one * result.stopping.needed, curve.spend, curve.accuracy)
    assert reached == pytest.approx(result.stopping.accuracy, abs=1e-3)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_in_a_file_is_one_line_for_each_part_that_takes_long():
    texts, acc, cost = [f"question {i}" for i in range(40)], np.tile([0.4, 0.6], (40, 1)), np.array([1.0, 3.0])
    err = io.StringIO()
    progress = Progress(err)
    learned(texts, acc, cost, [2.0], progress=progress)
    stopping("m", np.zeros((40, 4), np.int16), fixed=2, progress=progress)
    progress.begin("what is done at once", 3, brief=True)
    progress.end()
    assert err.getvalue() == (
        "tcalloc: a policy that decides by the text of a question (5 steps)\n"
        "tcalloc: a policy that stops while samples come in (15 steps)\n"
    )


def test_progress_while_it_works():
    err = Terminal()
    demo.run(None, splits=2, learn=False, progress=True, out=io.StringIO(), err=err)
    shown = err.getvalue().split("\r")
    assert shown[1] == "tcalloc: the oracle on halves of the recorded answers, 0 of 4"
    assert "4 of 4" in shown[-3]
    assert not shown[-2].strip()  # the line is cleared
    assert not shown[-1]


def test_run_prints_data_on_out_and_notes_on_err(shown):
    assert shown.out.startswith("Which questions deserve more compute?")
    assert shown.out.endswith(f"{demo.show(shown.figures)}\n")
    assert shown.err == f"plot written to {shown.path}\n"
    assert shown.path.read_bytes().startswith(b"\x89PNG")
    assert set(shown.fields) == {field.name for field in dataclasses.fields(demo.Figures)}


def test_run_prints_to_the_standard_streams(capsys):
    demo.run(None, splits=1, learn=False)
    captured = capsys.readouterr()
    assert captured.out
    assert not captured.err


def test_details(capsys):
    demo.run(None, splits=1, learn=False, in_detail=True)
    out = capsys.readouterr().out
    assert out.index("Which questions deserve") < out.index("The bound: an oracle") < out.index("Next: tcalloc")
    assert "The bound" not in demo.show(demo.figures(splits=1, learn=False))
    assert cli.main(["demo", "--live", "--details"]) == 2
    assert "leave --details out" in capsys.readouterr().err


def test_json(tmp_path):
    out, err = io.StringIO(), io.StringIO()
    fields = demo.run(None, splits=2, as_json=True, learn=False, out=out, err=err)
    read = json.loads(out.getvalue(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert read["lines"] == fields["lines"]
    assert read["questions"] == 293
    assert [line["budget"] for line in read["lines"]] == list(experiment.BUDGETS)
    assert read["lines"][-1]["needed"] is None
    assert not err.getvalue()


def test_plot_where_it_cannot_go(tmp_path):
    out = io.StringIO()
    with pytest.raises(InputError, match=r"the plot cannot be written to .*nowhere.*Give a path in a folder"):
        demo.run(tmp_path / "nowhere" / "demo.png", splits=1, learn=False, out=out)
    assert out.getvalue()  # what could be printed was
    with pytest.raises(InputError, match=r"the plot cannot be written to .*demo\.docx"):
        demo.run(tmp_path / "demo.docx", splits=1, learn=False, out=out)


def test_without_matplotlib_the_figures_are_printed_and_the_remedy_named(monkeypatch, tmp_path):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)
    out = io.StringIO()
    with pytest.raises(MissingExtraError, match=r"Matplotlib: pip install 'tcalloc\[demo\]'"):
        demo.run(tmp_path / "demo.png", splits=1, learn=False, out=out)
    assert "best fixed mixture" in out.getvalue()
    demo.run(None, splits=1, learn=False, out=out)


def test_labels_of_the_plot_do_not_overlap(result):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.5, 5.6), layout="constrained")
    ax = figure.add_subplot()
    demo.draw(result, ax)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for text in ax.texts if text.get_text()]
    boxes = [text.get_window_extent() for text in texts]
    for i, box in enumerate(boxes):
        for j in range(i):
            assert not box.overlaps(boxes[j]), (texts[i].get_text(), texts[j].get_text())
        assert figure.bbox.x0 <= box.x0
        assert box.x1 <= figure.bbox.x1
    assert "cost per question" in ax.get_xlabel()
    assert "right" in ax.get_ylabel()


def test_the_mixture_is_drawn_straight_in_cost_although_the_axis_is_logarithmic(result):
    from matplotlib.figure import Figure

    ax = Figure().add_subplot()
    demo.draw(result, ax)
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(y, np.interp(x, result.mixture.spend, result.mixture.accuracy))
    assert len(x) > 100


def test_what_is_learned_from_the_text(result):
    assert [one.budget for one in result.learned] == list(experiment.BUDGETS)
    at = {one.budget: one for one in result.learned}
    assert at[1.5].lead_low > 0
    assert at[2.0].lead_low > 0
    for one in result.learned:
        assert one.lead == pytest.approx(one.accuracy - one.mixture)
        assert one.spend == pytest.approx(one.budget, rel=0.1)
        assert f"{100 * one.accuracy:.1f} %" in demo.show(result)


def test_texts_that_say_nothing_gain_nothing():
    acc, cost = table(load_recorded())
    random = np.random.default_rng(3)
    texts = ["".join(random.choice(list("abcdefgh "), 40)) for _ in range(293)]
    for one in learned(texts, acc, cost, [1.5, 3.0]):
        # A mixture is drawn by lots, so it is lucky or not by a point or two.
        assert abs(one.lead) < 0.05
        assert one.lead_low < 0.02


def test_without_the_extra_the_rest_is_shown(monkeypatch):
    # Its modules are imported once more, and must not stay where other tests find them.
    monkeypatch.setattr(tcalloc, "learn", tcalloc.learn)
    for name in [name for name in sys.modules if name.startswith(("sklearn", "tcalloc.learn"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.base", None)
    found = demo.figures(few(load_recorded(), 24), splits=1)
    assert found.learned is None
    assert found.stopping is not None
    assert "pip install 'tcalloc[learn]'" in demo.show(found)


def test_stopping_saves_samples(result):
    found = result.stopping
    assert found.model == "Qwen2.5"
    assert found.accuracy == pytest.approx(vote_accuracy(load_recorded().answers["qwen25_0p5b"], 8).mean())
    assert 2 < found.needed_low < found.needed < 7
    text = " ".join(demo.details(result).split())
    assert f"({100 * found.accuracy:.1f} %) for {found.needed:.3g} on average, held out" in text
    assert "to none" not in text
    assert f"({100 * found.accuracy:.1f} %) with {found.needed:.3g} on average" in " ".join(demo.show(result).split())


def test_stopping_that_gains_nothing():
    answers = np.zeros((40, 16), np.int16)
    answers[20:] = 1  # one sample says it all
    found = stopping("m", answers)
    assert found.needed == found.needed_low == found.needed_high == 1
    never = dataclasses.replace(found, needed=None, needed_low=None, needed_high=None)
    assert "does not reach the accuracy" in " ".join(said._stopping(never).split())
