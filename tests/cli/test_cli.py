"""The command line: what it prints and writes. (Refusals: test_cli_refusals.py; signals: test_cli_process.py.)"""

import io
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import tcalloc
from tcalloc.cli import _shared, main
from tcalloc.demo import figures
from tcalloc.measure import Table, load_table, save_table, summaries

# ---------------------------------------------------------------------------------------------- solve


def test_solve_summary(table, run):
    code, out, err = run("solve", table, "--budget", 2)
    assert (code, err) == (0, "")
    assert (
        out
        == """\
t.csv: 3 instances, 2 actions

accuracy  0.7333   upper bound 0.7333, gap 0
spend     2        of 2 per instance
price     0.03333  one more unit of cost must buy 0.03333 accuracy

action  instances   share  mean cost  mean accuracy
vote1           2  66.7 %          1         0.7000
vote4           1  33.3 %          4         0.8000

Best fixed mixture at the same spend: accuracy 0.6333 (66.7 % vote1, 33.3 % vote4); choosing per
instance: +0.1.

Caution: accuracies estimated on the same samples that now choose are too high (by 1 to 9 points
in real tables). Score the chosen actions on samples that did not choose.
"""
    )


def test_numbers_that_are_not_finite_are_null(table, run):
    document = json.loads(run("solve", table, "--budget", "inf", "--json")[1])
    assert document["asked"] == {"budget": None}
    assert document["budget"] is None
    assert document["spend"] == 3


def test_solve_summary_of_other_requests(table, run):
    _, out, _ = run("solve", table, "--total", 7)
    assert "of 2.333 per instance (7 in all)" in out
    _, out, _ = run("solve", table, "--budget", "inf")
    assert "spend     3       per instance; no limit was given" in out
    assert "spending more would gain nothing" in out
    _, out, _ = run("solve", table, "--accuracy", 0.7)
    assert "accuracy  0.7333   asked for 0.7" in out
    assert "spend     2        per instance; no choice that reaches it costs less than 1.8\n" in out
    _, out, _ = run("solve", table, "--budget", 1)
    assert "vote4           0    0.0 %          -              -" in out
    assert "(100.0 % vote1); choosing per instance: +0." in out


def test_costs_have_digits_and_a_unit(table, run, tmp_path):
    text = Path(table).read_text().replace(",1,4", ",0.00004,0.0016")
    (tmp_path / "usd.csv").write_text(text)
    _, out, _ = run("solve", "usd.csv", "--budget", 0.0006, "--unit", "usd")
    flat = " ".join(out.split())
    for words in (
        "spend $0.00056 of $0.0006 per instance",
        "mean cost ($)",
        "vote1 2 66.7 % 0.00004 0.7000",
        "vote4 1 33.3 % 0.00160 0.8000",
        "$1 more must buy 64.1 accuracy",
        "it needs $0.00134: the plan saves $0.78 per 1,000 questions.",
    ):
        assert words in flat
    assert "0.0000 " not in out
    assert json.loads(run("solve", "usd.csv", "--budget", 0.0006, "--unit", "$", "--json")[1])["unit"] == "usd"
    _, out, _ = run("solve", "usd.csv", "--total", 0.0018, "--unit", "EUR")
    assert "(€0.0018 in all)" in out
    _, out, _ = run("solve", table, "--accuracy", 0.7, "--unit", "tokens")
    assert "spend     2 tokens  per instance; no choice that reaches it costs less than 1.8 tokens" in out
    assert "1 token more must buy" in out
    _, out, _ = run("frontier", "usd.csv", "--unit", "usd")
    assert out.split("\n\n")[1].startswith("budget ($)  accuracy")
    assert "0.00004" in out
    for wrong in ("", "12", "a" * 30, "two\nlines"):
        code, _, err = run("solve", table, "--budget", 2, "--unit", wrong)
        assert code == 2
        assert "expected a currency (usd, eur," in err


def test_sums_beyond_float_are_no_gaps_in_the_summary(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    acc = np.array([[0.0, 1.0], [0.0, 0.5], [0.5, 0.5]]) * 1.6e308
    save_table(Table(acc, np.array([1.6e308, 1.7e308])), "t.npz")
    code, out, _ = run("solve", "t.npz", "--budget", 1.67e308, "--unit", "usd")
    assert code == 0
    flat = " ".join(out.split())
    assert "0 1 33.3 % 1.6e+308 8e+307 1 2 66.7 % 1.7e+308 1.2e+308" in flat
    assert "accuracy 8e+307 (33.3 % 0, 66.7 % 1)" in flat
    assert "inf" not in out


def test_solve_where_actions_or_names_are_missing(table, run, tmp_path):
    save_table(
        Table([[0.5, 0.9], [0.5, 9]], [1, 2], available=np.array([[True, True], [True, False]]), weights=[1, 3]),
        "u.npz",
    )
    _, out, _ = run("solve", "u.npz", "--budget", 5)
    assert out.startswith("u.npz: 2 instances, weighted, 2 actions\n")
    assert "0               1  75.0 %          1         0.5000\n" in out
    assert "Best fixed mixture at the same spend: not computed; some instances do not have every action." in out
    save_table(Table([[0.5, 0.9], [0.5, 0.9]], [[1, 2], [2, 1]]), "v.npz")
    _, out, _ = run("solve", "v.npz", "--budget", 1)
    assert "none is this cheap; giving all instances the cheapest action costs 1.5." in " ".join(out.split())
    save_table(Table(np.ones((2, 30)), np.arange(30.0)), "w.npz")
    _, out, _ = run("solve", "w.npz", "--budget", 1)
    assert "\n(29 more actions are not used)\n" in out


def test_best_fixed_mixture_is_that_of_the_weighted_means(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    acc, cost, weights = rng.random((50, 4)).astype(np.float32), rng.random((50, 4)), rng.random(50)
    save_table(Table(acc, cost, weights=weights), "t.npz")
    _, out, _ = run("solve", "t.npz", "--budget", 0.6, "--json")
    found = json.loads(out)
    means = [np.average(values, axis=0, weights=weights)[None, :] for values in (acc, cost)]
    assert found["best_fixed_mixture"]["accuracy"] == pytest.approx(
        tcalloc.frontier(*means).accuracy_at(found["spend"])
    )
    assert sum(part["share"] for part in found["best_fixed_mixture"]["parts"]) == pytest.approx(1)
    used = found["by_action"]
    assert sum(a["share"] * a["mean_cost"] for a in used if a["instances"]) == pytest.approx(found["spend"])
    assert sum(a["share"] * a["mean_accuracy"] for a in used if a["instances"]) == pytest.approx(found["accuracy"])


def test_rounding_of_sums_does_not_make_a_mixture_too_dear():
    mixture = tcalloc.frontier([[0.5, 0.6]], [0.1, 0.3])
    assert summaries._affordable(0.1 * (1 - 1e-15), mixture) == 0.1
    assert summaries._affordable(0.09, mixture) == 0.09
    assert summaries._affordable(0.2, mixture) == 0.2


def test_solve_json(table, run):
    code, out, err = run("solve", table, "--budget", 2.5, "--json")
    found = json.loads(out)
    plan = tcalloc.solve([[0.9, 0.9], [0.3, 0.8], [0.5, 0.6]], [1, 4], 2.5)
    assert (code, err) == (0, "")
    for key in ("price", "accuracy", "spend", "budget", "upper_bound", "gap"):
        assert found[key] == getattr(plan, key), key
    assert found["actions"] == plan.actions.tolist()
    assert found["counts"] == plan.counts.tolist()
    assert found["split"] == plan.split._asdict()
    assert found["ids"] == ["q1", "q2", "q3"]
    assert found["action_names"] == ["vote1", "vote4"]
    _, out, _ = run("solve", table, "--budget", "inf", "--json")
    assert json.loads(out, parse_constant=lambda name: pytest.fail(name))["budget"] is None
    _, out, _ = run("solve", table, "--budget", "1", "--json")
    assert json.loads(out, parse_constant=lambda name: pytest.fail(name))["by_action"][1]["mean_cost"] is None
    _, out, _ = run("solve", table, "--accuracy", "0.7", "--json")
    assert json.loads(out)["least_spend"] == pytest.approx(1.8)


CHOSEN = "id,action,accuracy,cost\nq1,vote1,0.9,1.0\nq2,vote4,0.8,4.0\nq3,vote1,0.5,1.0\n"


def test_solve_writes_the_choice(table, run):
    code, out, err = run("solve", table, "--budget", 2, "--out", "a.csv")
    assert code == 0
    assert out.startswith("t.csv: 3 instances")
    assert err == "tcalloc: wrote a.csv: 3 rows of id, action, accuracy, cost.\n"
    assert Path("a.csv").read_text() == CHOSEN
    run("solve", table, "--budget", 2, "--out", "a.npz", "--json")
    with np.load("a.npz") as file:
        assert file["id"].tolist() == ["q1", "q2", "q3"]
        assert file["action"].tolist() == ["vote1", "vote4", "vote1"]
    pd = pytest.importorskip("pandas")
    run("solve", table, "--budget", 2, "--out", "a.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet("a.parquet"), pd.read_csv(io.StringIO(CHOSEN)), check_dtype=False)
    code, out, err = run("solve", table, "--budget", 2, "--out", "-")
    assert (code, out) == (0, CHOSEN)
    assert err.startswith("t.csv: 3 instances")
    assert sorted(os.listdir()) == ["a.csv", "a.npz", "a.parquet", "t.csv"]


def test_solve_without_ids_and_names_and_with_costs_per_row(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_table(Table([[0.5, 0.9], [0.5, 0.9]], [[1, 2], [1, 9]]), "t.npz")
    assert (
        run("solve", "t.npz", "--budget", 1.5, "--out", "-")[1] == "id,action,accuracy,cost\n0,1,0.9,2.0\n1,0,0.5,1.0\n"
    )


def test_ignored_columns_are_said_once(run, tmp_path):
    (tmp_path / "t.csv").write_text("note,acc:a,cost:a\nx,1,1\n")
    _, _, err = run("solve", tmp_path / "t.csv", "--budget", 1)
    assert err == f"tcalloc: note: {tmp_path}/t.csv: ignored the columns 'note', which are no part of a table.\n"


def test_bisect_and_threads(table, run):
    found = json.loads(run("solve", table, "--budget", 2.5, "--method", "bisect", "--threads", 2, "--json")[1])
    assert found["method"] == "bisect"
    assert found["spend"] == 2.0


# ---------------------------------------------------------------------------------------------- frontier


def test_frontier_table(table, run):
    code, out, err = run("frontier", table, "--points", 4)
    assert (code, err) == (0, "")
    assert (
        out
        == """\
t.csv: 3 instances, 2 actions, a curve of 2 steps

budget  accuracy   price  best fixed mixture
     1    0.5667   0.167              0.5667
   1.5    0.6500   0.167              0.6000
     2    0.7333  0.0333              0.6333
     3    0.7667       0              0.7000

If the accuracies are estimated on few samples, the curve is too high: it chooses on what it reports.
"""
    )


def test_frontier_points(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    table = Table(np.sort(rng.random((200, 5)), axis=1), [0, 1, 10, 100, 1000])
    save_table(table, "t.npz")
    found = json.loads(run("frontier", "t.npz", "--points", 20, "--json")[1])
    curve = table.frontier()
    budgets = [point["budget"] for point in found["points"]]
    assert len(budgets) == 20
    assert (budgets[0], budgets[-1]) == (curve.budgets[0], curve.budgets[-1])
    for point in found["points"]:
        assert point["accuracy"] == curve.accuracy_at(point["budget"])
        assert point["price"] == curve.price_at(point["budget"])
        assert point["best_fixed_mixture"] <= point["accuracy"] + 1e-12
    # No gap of the curve is left out: neither in budget nor in accuracy is a step much more than its share.
    assert max(np.diff(budgets)) < 0.15 * budgets[-1]
    assert max(np.diff([point["accuracy"] for point in found["points"]])) < 0.15 * np.ptp(curve.accuracies)


@pytest.mark.parametrize("cost", [[1.0], [0.0], [1.0, 1.0]])
def test_frontier_of_a_single_point(cost, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_table(Table(np.full((3, len(cost)), 0.5), cost), "t.npz")
    code, out, _ = run("frontier", "t.npz", "--plot", "p.png")
    assert code == 0
    assert "a curve of 0 steps" in out
    assert json.loads(run("frontier", "t.npz", "--json")[1])["points"][0]["budget"] == cost[0]


def test_frontier_where_the_mixture_has_no_value(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_table(Table([[0.5, 0.9], [0.5, 0.9]], [[1, 2], [2, 1]]), "v.npz")
    _, out, _ = run("frontier", "v.npz", "--points", 2)
    assert "-: no fixed mixture is this cheap; instances differ in which action is the cheapest." in out
    (tmp_path / "u.csv").write_text("acc:a,cost:a,acc:b,cost:b\n1,1,2,2\n1,1,,\n")
    _, out, _ = run("frontier", "u.csv", "--points", 3)
    assert "Best fixed mixture: not computed; some instances do not have every action." in out
    assert json.loads(run("frontier", "u.csv", "--json")[1])["points"][0]["best_fixed_mixture"] is None


def test_frontier_writes_curve_and_plot(table, run):
    code, out, err = run("frontier", table, "--out", "c.csv", "--plot", "p.svg")
    assert code == 0
    assert err == "tcalloc: wrote c.csv: 3 rows of budget, accuracy, price.\ntcalloc: wrote p.svg.\n"
    curve = load_table(table).frontier()
    rows = np.loadtxt("c.csv", delimiter=",", skiprows=1)
    assert rows[:, 0].tolist() == curve.budgets.tolist()
    assert rows[:, 1].tolist() == curve.accuracies.tolist()
    assert rows[:, 2].tolist() == [*curve.prices.tolist(), 0.0]
    picture = Path("p.svg").read_text()
    for text in ("t.csv: 3 instances, 2 actions", "best fixed mixture", "budget (mean cost per instance)"):
        assert f"<!-- {text} -->" in picture
    code, out, err = run("frontier", table, "--out", "-")
    assert out == Path("c.csv").read_text()
    assert err.startswith("t.csv: 3 instances")


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_plot_formats_and_a_name_that_looks_like_mathematics(suffix, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "$x_$表.csv").write_text("acc:a,cost:a,acc:b,cost:b\n0.5,1,0.9,100\n")
    assert run("frontier", "$x_$表.csv", "--plot", f"p.{suffix}")[0] == 0
    assert (tmp_path / f"p.{suffix}").stat().st_size > 1000


def test_plot_without_matplotlib(table, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, out, err = run("frontier", table, "--plot", "p.png")
    assert (code, out) == (1, "")
    assert err == "tcalloc: error: --plot needs Matplotlib: pip install 'tcalloc[plot]'\n"


# ---------------------------------------------------------------------------------------------- demo, help, version


def test_demo(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # What policies learn is computed in tests/cli/test_demo.py.
    monkeypatch.setattr("tcalloc.demo.figures", lambda recorded, **options: figures(recorded, splits=1, learn=False))
    code, out, _ = run("demo", "--no-plot", "--json")
    assert code == 0
    assert json.loads(out)["questions"] == 293
    assert os.listdir(tmp_path) == []
    calls = []
    monkeypatch.setattr("tcalloc.demo.run", lambda **options: calls.append(options))
    assert run("demo")[0] == run("demo", "--plot", "x.svg")[0] == 0
    usual = {"as_json": False, "in_detail": False}
    assert calls == [{"plot_path": "tcalloc-demo.png", **usual}, {"plot_path": "x.svg", **usual}]


def test_version_and_help(run):
    assert run("--version") == (0, f"tcalloc {tcalloc.__version__}\n", "")
    code, out, err = run()
    assert (code, out) == (2, "")
    assert err.startswith("usage: tcalloc")
    for command in ([], ["demo"], ["solve"], ["frontier"], ["sample"], ["import"], ["fit"], ["decide"], ["answer"]):
        code, out, err = run(*command, "--help")
        assert (code, err) == (0, "")
        assert out.isascii()
        assert max(map(len, out.splitlines())) <= 80
        assert "exit codes: 0 done; 1 the work failed" in out
        assert f"  tcalloc {(command or ['demo'])[0]} " in out


@pytest.mark.parametrize("command", ["solve", "frontier"])
def test_the_examples_of_the_help_run(command, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = run(command, "--help")[1]
    sample = re.search(r"(?:^  (?:id|q\d),.*\n)+", out, re.MULTILINE).group(0)
    (tmp_path / "table.csv").write_text("".join(line[2:] + "\n" for line in sample.splitlines()))
    save_table(load_table("table.csv"), "table.npz")
    lines = re.findall(rf"^  tcalloc ({command} .*?)(?:  .*| \| head)?$", out, re.MULTILINE)
    assert len(lines) >= 5
    for line in lines:
        # The sample's two questions reach 0.875 at most, and need 1 each.
        argv = line.replace("--accuracy 0.92", "--accuracy 0.8").split()
        if "run/" in argv:  # has its own test
            continue
        assert run(*argv)[0] == 0, line


# ---------------------------------------------------------------------------------------------- small parts


def test_standard_output_that_is_closed_or_no_file(table, run, monkeypatch):
    with monkeypatch.context() as patch:
        text = io.StringIO()
        patch.setattr("sys.stdout", text)
        assert main(["solve", table, "--budget", "2", "--out", "-"]) == 0
        assert text.getvalue() == CHOSEN
        patch.setattr("sys.stdout", None)
        assert main(["solve", table, "--budget", "2"]) == 0
        assert main(["solve", table, "--budget", "2", "--out", "-"]) == 1
    assert run()[2].splitlines()[-1] != ""


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1.0, 4, 16], ["1", "4", "16"]),
        ([1.25, 16], ["1.25", "16.00"]),
        ([0.92345, 1.0], ["0.9234", "1.0000"]),
        ([0.0, 0.0], ["0", "0"]),
        ([123456.7, 1], ["123457", "1"]),
        ([1001.0, 1.5], ["1001.0", "1.5"]),
        ([1e12, 1], ["1e+12", "1"]),
        ([3e-7], ["0.0000003"]),
        ([4e-5, 1.2], ["0.00004", "1.20000"]),
        ([4.2e-5, 3e-3], ["0.000042", "0.003000"]),
        ([4e-20, 1.2], ["4e-20", "1.2"]),
        ([0.004, 123.0], ["0.004", "123.000"]),
        ([float("nan"), 2.5, float("inf")], ["-", "2.5", "-"]),
        ([-1200.0, 3], ["-1200", "3"]),
        ([100.0], ["100"]),
        ([], []),
    ],
)
def test_columns_of_numbers(values, texts):
    assert _shared.columns_of(values) == texts


@pytest.mark.parametrize("singles", [1, 8])
def test_solve_prints_what_the_claim_of_several_models_says(run, tmp_path, monkeypatch, singles):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    with open("logs.jsonl", "w", encoding="utf-8") as logs:
        for q in range(40):
            for model, count, p in (("small", singles, 0.9 - 0.6 * (q % 2)), ("large", 8, 0.3 + 0.55 * (q % 2))):
                for _ in range(count):
                    line = {"id": f"q{q}", "model": model, "correct": bool(rng.random() < p), "cost": 1}
                    print(json.dumps(line), file=logs)
    assert run("import", "logs.jsonl", "--out", "run")[0] == 0
    asked = ("solve", "run/", "--budget", 1, "--actions", "one small, one large")
    text = " ".join(run(*asked)[1].split())
    claim = json.loads(run(*asked, "--json")[1])["claim"]
    assert "nan" not in text
    if singles == 1:
        assert f"The accuracy of {claim['accuracy']:.4f} has no interval: the plan chooses between models by" in text
        assert claim["low"] is None
    else:
        assert f"choosing on them: accuracy {claim['accuracy']:.4f} (95% interval: {claim['low']:.4f} to" in text
        assert f"moved it by {100 * claim['correction']:+.2f} points from the plan's own" in text


def test_a_run_folder_is_solved_with_its_interval(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    with open("logs.jsonl", "w", encoding="utf-8") as logs:
        for q in range(40):
            for answer in rng.choice(
                ["right", "wrong", "other"], 12, p=[0.1 + 0.02 * q, 0.6 - 0.015 * q, 0.3 - 0.005 * q]
            ):
                print(json.dumps({"id": f"q{q}", "answer": answer, "correct": bool(answer == "right")}), file=logs)
    assert run("import", "logs.jsonl", "--out", "run")[0] == 0
    code, out, _ = run("solve", "run/", "--budget", 3, "--out", "actions.csv")
    assert code == 0
    assert out.startswith("run/: 40 instances, 4 actions\n")
    assert "95% interval" in " ".join(out.split())
    assert "Caution" not in out
    assert len((tmp_path / "actions.csv").read_text(encoding="utf-8").splitlines()) == 41
    claim = json.loads(run("solve", "run/", "--budget", 3, "--json")[1])["claim"]
    assert claim["low"] < claim["accuracy"] < claim["high"]
    assert claim["cross_fitted"] is False
    assert run("frontier", "run/")[0] == 0
    code, out, err = run("solve", "run/", "--budget", 3, "--actions", "vote1, best4")
    assert code == 0
    assert "best4" in out
    assert "costs are numbers of samples" in err
    code, _, err = run("solve", "run/", "--budget", 3, "--actions", "vote1,plurality4")
    assert code == 1
    assert "'plurality4' is not the name of an action; expected 'one', 'vote5'" in err
    assert run("solve", "actions.csv", "--budget", 3, "--actions", "vote1")[0] == 2


def test_a_run_folder_of_right_and_wrong_alone_has_one_sample_or_a_verifier(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    with open("logs.jsonl", "w", encoding="utf-8") as logs:
        for q in range(30):
            for right in rng.random(8) < 0.2 + 0.02 * q:
                print(json.dumps({"id": f"q{q}", "correct": bool(right)}), file=logs)
    assert run("import", "logs.jsonl", "--out", "run")[0] == 0
    code, out, err = run("solve", "run/", "--budget", 3, "--json")
    assert code == 0
    assert json.loads(out)["action_names"] == ["one"]
    assert "note: run/: 240 samples are marked right or wrong but have no answer: the accuracy of one sample" in err
    assert "need a verifier" not in err
    for command in (["solve", "run/", "--budget", 3, "--json"], ["frontier", "run/", "--json"]):
        code, out, err = run(*command, "--verifier")
        assert code == 0
        if command[0] == "solve":
            assert json.loads(out)["action_names"] == ["best1", "best2", "best4", "best8"]
        assert "note: run/: best1, best2, best4, best8: these actions need a verifier" in err
    code, out, err = run("solve", "run/", "--budget", 3, "--actions", "best1,vote3")
    assert (code, out) == (1, "")
    assert "actions[1] is vote3, but only right and wrong were recorded: how the wrong answers split" in err
    assert "use One(), called 'one'" in err
    code, _, err = run("frontier", "run/", "--actions", "best1,best3")
    assert (code, "best1, best3: these actions need a verifier" in err) == (0, True)
    (tmp_path / "t.csv").write_text("acc:a,cost:a\n1,1\n")
    code, _, err = run("solve", "t.csv", "--budget", 3, "--verifier")
    assert (code, "--verifier is for run folders" in err) == (2, True)


def test_import_knows_the_formats_that_are_read() -> None:
    from tcalloc.cli import import_
    from tcalloc.importing import import_logs

    # The command line names them before it imports what reads them.
    assert import_.FORMATS == import_logs.FORMATS
