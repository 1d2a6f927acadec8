"""``tcalloc fit`` and ``tcalloc decide``: what they print and write, what they refuse."""

import csv
import json
import os
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="policies need scikit-learn")

from chaos import Chaos
from policy_cli import main, write_log

import tcalloc
from tcalloc.evaluate.statistics import half_width
from tcalloc.learn.holdout.certify import certify
from tcalloc.learn.saving.policy_folder import load_policy
from tcalloc.learn.sequential import Sequential

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A run folder of 60 questions whose difficulty shows in their text, and a policy of it."""
    folder = tmp_path_factory.mktemp("home")
    before = os.getcwd()
    os.chdir(folder)
    try:
        write_log(folder / "log.jsonl", questions=60, tasks=True)
        assert main(["import", "log.jsonl", "--out", "run"]) == 0
        assert main(["fit", "run", "--budget", 3, "--out", "policy", "--folds", 2]) == 0
        yield folder
    finally:
        os.chdir(before)


def texts_of(path):
    return [json.loads(line)["question"] for line in Path(path).read_text(encoding="utf-8").splitlines()]


def test_fit_says_what_the_policy_holds_and_loses(run):
    code, out, err = run("fit", "run", "--budget", 3, "--out", "other", "--folds", 2)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    names = load_policy("other").action_names_
    assert lines[0] == f"run: 60 questions, {len(names)} actions"
    assert lines[2] == "other: PricedPolicy (priced)"
    assert lines[3].startswith("fitted on 60 questions; actions: nothing, vote1, vote3, vote5, vote9, ")
    assert "gate: " in out
    assert "Held out, in 2-fold cross-validation" in out
    for words in ("60 questions", "95% interval", "budget 3", "fidelity, %", "of always vote", "regret at price",
                  "of two half-sample oracles", "gain over the best fixed mixture"):  # fmt: skip
        assert words in out
    # What compare judges: its menu is priced, and the mixture has what the best fixed mixture needs besides.
    assert load_policy("other").predicted_ == 5
    assert set(names[5:]) <= {f"vote{k}" for k in range(1, 13)}


def test_the_certificate_is_held_out(run, home):
    # Texts that say nothing: a classifier knows them by heart, and nothing of others.
    (home / "noise").mkdir()
    write_log(home / "noise" / "log.jsonl", questions=60, signal=False)
    assert run("import", "noise/log.jsonl", "--out", "nothing")[0] == 0
    argv = ["--budget", 3, "--out", "heart", "--folds", 2, "--policy", "imitator", "--json"]
    certificate = json.loads(run("fit", "nothing", *argv)[1])["certificate"]
    policy = load_policy("heart")
    samples = tcalloc.Samples.load("nothing")
    chosen = policy.decide(texts_of("noise/questions.jsonl"))
    seen = certify(chosen, samples, policy.oracle_price_, budget=3.0, actions=list(policy.actions_))
    assert seen.fidelity.value > 0.9
    assert certificate["fidelity"]["value"] < 0.75
    assert certificate["price"] == policy.oracle_price_


def test_fit_json(run):
    code, out, _ = run("fit", "run", "--budget", 3, "--out", "other", "--folds", 2, "--json")
    assert code == 0
    found = json.loads(out)
    assert (found["policy"], found["questions"], found["budget"], found["folds"]) == ("PricedPolicy", 60, 3.0, 2)
    policy = load_policy("other")
    assert found["price"] == policy.price_
    assert found["certificate"]["n"] == 60
    assert found["certificate"]["shortfall"] <= found["certificate"]["bound"]["value"] + 1e-9


def test_decide_summary_file_and_json(run, home):
    code, out, err = run("decide", "policy", "questions.jsonl", "--out", "actions.csv")
    assert code == 0
    assert err == "tcalloc: wrote actions.csv: 60 rows of id, action, cost.\n"
    assert out.startswith("questions.jsonl: 60 questions, decided by policy at the policy's budget of 3\n")
    assert re.search(r"^vote1 +\d+ +\d+\.\d % +1$", out, re.M)
    assert re.search(r"^Expected spend: [0-9.]+ per question\.$", out, re.M)
    with open("actions.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    document = json.loads(run("decide", "policy", "questions.jsonl", "--json")[1])
    names = document["action_names"]
    assert [row["action"] for row in rows] == [names[a] for a in document["actions"]]
    assert [row["id"] for row in rows] == document["ids"] == [f"q{q}" for q in range(60)]
    assert document["spend"] == pytest.approx(np.mean([float(row["cost"]) for row in rows]))
    assert sum(document["counts"]) == 60
    # The same as from Python.
    texts = texts_of("questions.jsonl")
    assert document["actions"] == load_policy("policy").decide(texts).tolist()
    code, out, err = run("decide", "policy", "questions.jsonl", "--out", "-")
    assert code == 0
    assert out.startswith("id,action,cost\n")
    assert "Expected spend" in err


def test_decide_at_other_budgets_and_prices(run):
    spends = [
        json.loads(run("decide", "policy", "questions.jsonl", "--json", "--budget", b)[1])["spend"] for b in (2, 5)
    ]
    assert spends[0] <= 2.4
    assert spends[0] < spends[1]
    dear = json.loads(run("decide", "policy", "questions.jsonl", "--json", "--price", "inf")[1])
    assert dear["spend"] == 0.0  # nothing is worth so much
    assert dear["asked"] == {"price": None}
    assert "at budget 2" in run("decide", "policy", "questions.jsonl", "--budget", 2)[1]


def test_categories_confidence_and_the_imitator(run):
    argv = ["--out", "kinds", "--folds", 2, "--questions", "questions.jsonl", "--category", "task"]
    code, out, err = run("fit", "run", "--budget", 4, "--confidence", 0.9, *argv)
    assert (code, err) == (0, "")
    assert "fitted on 45 questions" in out
    assert "expected spend at most 4 with confidence 0.9, if (1) the held-out" in " ".join(out.split())
    policy = load_policy("kinds")
    assert policy.guarantee_.n == 15
    assert policy.feature_names_in_.tolist() == ["text", "task"]
    code, out, _ = run("decide", "kinds", "questions.jsonl")
    assert code == 0
    assert "at the policy's budget of 4, guaranteed" in out
    with open("bare.jsonl", "w", encoding="utf-8") as file:
        file.write('{"id": "a", "question": "How many apples?"}\n')
    code, out, err = run("decide", "kinds", "bare.jsonl")
    assert (code, out) == (1, "")
    assert err.startswith("tcalloc: error: bare.jsonl: the question 'a' has no category 'task'; expected a text")
    code, out, _ = run("fit", "run", "--budget", 3, "--policy", "imitator", "--out", "imitator", "--folds", 2)
    assert code == 0
    assert "imitator: Imitator" in out
    assert "the oracle's actions at budget 3" in out


def test_a_run_without_texts_gets_the_best_fixed_mixture(run, home):
    (home / "bare").mkdir()
    write_log(home / "bare" / "log.jsonl", questions=40, texts=False)
    assert run("import", "bare/log.jsonl", "--out", "textless")[0] == 0
    code, out, err = run("fit", "textless", "--budget", 2, "--out", "p4", "--folds", 2)
    assert code == 0
    assert err == (
        "tcalloc: note: textless: does not hold the texts of its questions, so the policy is the best fixed mixture, "
        "which does not need them. For one that looks at the texts, give the file that was sampled: --questions FILE.\n"
    )
    assert "p4: Mixture (best fixed mixture)" in out
    assert "50% vote1, 50% vote3" in out
    policy = load_policy("p4")
    assert {policy.start(f"new question {i}").next().n for i in range(20)} == {1, 3}
    assert run("decide", "p4", "questions.jsonl")[0] == 0
    # What was asked for by name must be there.
    code, out, err = run("fit", "textless", "--budget", 3, "--out", "p6", "--policy", "priced")
    assert (code, out) == (1, "")
    assert err == (
        "tcalloc: error: textless: holds no text of its questions, but a policy learns from texts. Give the file that "
        "was sampled: --questions FILE.\n"
    )
    assert not os.path.exists("p6")
    argv = ["--budget", 3, "--out", "p4", "--folds", 2, "--questions", "bare/questions.jsonl"]
    code, out, err = run("fit", "textless", *argv)
    assert (code, err) == (0, "")
    assert "p4: PricedPolicy (priced)" in out
    with open("few.jsonl", "w", encoding="utf-8") as file:
        file.write('{"id": "q0", "question": "How many apples?"}\n')
    err = run("fit", "textless", "--budget", 3, "--out", "p5", "--questions", "few.jsonl")[2]
    assert "few.jsonl: holds no text of the question 'q1' and 38 others" in err


def test_questions_left_without_an_answer_are_said(run):
    code, out, err = run("fit", "run", "--budget", 0.5, "--out", "half", "--folds", 2, "--policy", "best fixed mixture")
    assert code == 0
    assert "50% nothing, 50% vote1" in out
    assert re.fullmatch(
        r"tcalloc: note: half: leaves (2|3)\d of 60 questions without an answer, because the compute brings more on "
        r"others\. --answer-all prevents that\.\n",
        err,
    )
    argv = ["fit", "run", "--budget", 3, "--out", "all", "--folds", 2, "--answer-all", "--json"]
    assert "nothing" not in json.loads(run(*argv)[1])["action_names"]


@pytest.mark.parametrize("name", ["margin + cap", "PRICED, probe 2", "fixed k, success stop"])
def test_policies_that_decide_while_sampling(run, name):
    budget = 1.2 if "success" in name else 2.5
    argv = ["fit", "run", "--budget", budget, "--out", "rule", "--folds", 2, "--policy", name]
    code, out, err = run(*argv, *(["--verifier"] if "success" in name else []))
    assert code == 0
    assert ("relies on a verifier" in err) == ("success" in name)
    assert re.search(r"^spend +accuracy +± +fixed number +rounds +rules *$", out, re.M)
    assert re.search(rf"^{budget} +0\.\d{{4}} ", out, re.M) or "probe" in name  # which spends what it spends held out
    policy = load_policy("rule")
    draw = policy.start("How many apples are 3 and 4?").next()
    assert draw.n >= 1
    assert draw.action.combine == ("best" if "success" in name else "vote")
    document = json.loads(run(*argv, "--json", *(["--verifier"] if "success" in name else []))[1])
    assert document["name"] == name.lower()
    assert document["frontier"][0]["rounds"] is None
    assert "Use it with tcalloc answer" in run("decide", "rule", "questions.jsonl")[2]


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        ("fit run --out p", 2, "the following arguments are required: --budget"),
        ("fit run --budget 3", 2, "the following arguments are required: --out"),
        ("fit run --budget x --out p", 2, "argument --budget: 'x' is not a number"),
        ("fit run --budget 3 --out p --confidence 95", 2, "argument --confidence: '95' is not between 0 and 1"),
        ("fit run --budget 3 --out p --folds 1", 2, "argument --folds: '1' is not a whole number of at least 2"),
        ("fit run --budget 3 --out p --policy best", 2, "argument --policy: policy is 'best'; allowed are 'fixed k', "),
        ("fit run --budget 3 --out p --policy hindsight", 2, "'fixed k, success stop'"),
        ("fit no --budget 3 --out p", 1, "no: no such folder; expected a run folder"),
        ("fit log.jsonl --budget 3 --out p", 1, "log.jsonl: not a folder; expected a run folder"),
        ("fit policy --budget 3 --out p", 1, "policy: not a run folder, since it has no run.json"),
        ("fit run --budget 3 --out log.jsonl", 1, "log.jsonl: not a folder; a policy is a folder"),
        ("fit run --budget 3 --out run", 1, "run: it holds other files (lock, ...) and no policy"),
        ("fit run --budget 3 --out no/p", 1, "no/p: the folder "),
        ("fit run --budget 3 --out p --folds 31", 1, "run: 60 questions; at least 62 are needed"),
        ("fit run --budget 0.5 --out p --answer-all", 1, "budget is 0.5, but the cheapest action costs 1.0"),
        (
            "fit run --budget 3 --out p --policy ESC --verifier",
            1,
            "run: the policy 'ESC' cannot be fitted: it votes, and",
        ),
        ("fit run --budget 0.5 --out p --policy esc", 1, "budget is 0.5, but the cheapest setting of 'ESC' spends 1"),
        ("fit run --budget 3 --out p --policy SPRT --budget -1", 1, "budget is -1"),
        ("fit run --budget 3 --out p --category color", 1, "run: the question 'q0' has no category 'color'"),
        ("fit run --budget 3 --out p --questions no.jsonl", 1, "no.jsonl: "),
        (
            "fit run --budget 1.01 --out p --confidence 0.99 --answer-all",
            1,
            "budget is 1.01, but 15 held-out questions",
        ),
        ("fit run --budget 3 --out p --policy fixed_k", 2, "policy is 'fixed_k'; allowed are 'fixed k', "),
        (
            "fit run --budget 3 --out p --policy difficulty",
            2,
            "argument --policy: policy is 'difficulty'; allowed are",
        ),
        ("decide policy", 2, "the following arguments are required: QUESTIONS"),
        ("decide policy questions.jsonl --budget 3 --price 1", 2, "argument --price: not allowed with argument"),
        ("decide policy questions.jsonl --price nan", 2, "argument --price: 'nan' is not a number"),
        ("decide policy questions.jsonl --price=-1", 1, "price is -1.0; expected at least 0"),
        ("decide policy questions.jsonl --budget=-1", 1, "budget is -1.0, but the cheapest"),
        ("decide policy questions.jsonl --out x.txt", 2, "argument --out: x.txt: unknown suffix '.txt'"),
        ("decide policy questions.jsonl --out - --json", 2, "--out - and --json both write"),
        ("decide policy no.jsonl", 1, "no.jsonl: "),
        ("decide no questions.jsonl", 1, "no: no such folder"),
        ("decide run questions.jsonl", 1, "run"),
    ],
)
def test_refusals(argv, code, words, run):
    before = sorted(os.listdir())
    found, out, err = run(*argv.split())
    assert (found, out) == (code, "")
    assert err.startswith("tcalloc: error: ")
    assert words in err
    assert err.count("\n") == 1
    assert sorted(os.listdir()) == before


def test_help_has_examples(run):
    for command in ("fit", "decide"):
        code, out, _ = run(command, "--help")
        assert code == 0
        assert "examples:" in out
        assert "exit codes:" in out
        assert max(map(len, out.splitlines())) <= 80


def check_figures(document, samples):
    """The JSON frontier holds what the table does, and no point twice."""
    points = document["frontier"]
    assert set(points[0]) == {"spend", "accuracy", "half_width", "fixed_number", "rounds", "rules"}
    figures = [[point[name] for name in ("spend", "accuracy", "rounds")] for point in points]
    for one, next in pairwise(figures):
        assert next != pytest.approx(one, rel=1e-12, abs=1e-12)
    fixed = document["fixed_numbers"]
    table = samples.table([tcalloc.Vote(point["samples"]) for point in fixed], shrink=False)
    assert [point["accuracy"] for point in fixed] == pytest.approx(table.acc.mean(axis=0))
    assert [point["spend"] for point in fixed] == [point["samples"] for point in fixed]
    for point in points:
        if point["spend"] < 1 - 1e-9:
            assert point["fixed_number"] is None
        elif point["spend"] <= fixed[-1]["spend"]:
            below = [one["accuracy"] for one in fixed if one["spend"] <= point["spend"] + 1e-9]
            above = [one["accuracy"] for one in fixed if one["spend"] >= point["spend"] - 1e-9]
            assert sorted((below[-1], above[0]))[0] - 1e-9 <= point["fixed_number"]
            assert point["fixed_number"] <= sorted((below[-1], above[0]))[1] + 1e-9


def test_the_interval_of_stopping_covers():
    # Of the same mean nothing spreads wider than questions that are wholly right or wholly wrong.
    rng = np.random.default_rng(0)
    for n, p in ((20, 0.5), (20, 0.7), (50, 0.9), (50, 0.02)):
        means = rng.binomial(n, p, 4000) / n
        covered = np.mean([abs(mean - p) <= half_width(mean, n) for mean in means])
        assert covered >= 0.94
    assert half_width(1.0, 20) > 0.1  # 20 of 20 is not certainty
    assert half_width(0.7, 20) == pytest.approx(2.093 * np.sqrt(2 / 3 * 1 / 3 / 19), rel=1e-3)  # p = 16/24
    assert half_width(0.5, 2000) == pytest.approx(1.96 * 0.5 / np.sqrt(2000), rel=1e-2)


def test_stopping_needs_no_texts(tmp_path, capsys):
    write_log(tmp_path / "log.jsonl", questions=40, texts=False)
    assert main(["import", tmp_path / "log.jsonl", "--out", tmp_path / "run"]) == 0
    capsys.readouterr()
    argv = ["fit", tmp_path / "run", "--budget", 2, "--policy", "sequential", "--out", tmp_path / "policy"]
    assert main(argv) == 0
    err = capsys.readouterr().err
    assert err.startswith(f"tcalloc: note: {tmp_path / 'run'}: does not hold the texts of its questions, so the policy")
    assert "decides by samples alone" in err
    assert err.count("\n") == 1
    policy = load_policy(tmp_path / "policy")
    assert policy.start("any").next().n >= 1
    alone = Sequential(2.0).fit(None, tcalloc.Samples.load(tmp_path / "run"))
    assert policy.frontier().accuracy == pytest.approx(alone.frontier().accuracy, rel=1e-6)
    assert main([*argv, "--confidence", 0.5]) == 0
    found = capsys.readouterr()
    assert "over 30 questions, at most:" in found.out  # those that set the price have no part in the figures
    # What is asked for by name must be there.
    assert main([*argv, "--category", "task"]) == 1
    assert "holds no text of its questions" in capsys.readouterr().err
    assert main([*argv, "--questions", tmp_path / "questions.jsonl"]) == 0
    assert "does not hold the texts" not in capsys.readouterr().err


@pytest.mark.parametrize("policy", ["priced", "imitator", "sequential"])
def test_right_and_wrong_alone_train_one_sample(policy, tmp_path, capsys):
    log = write_log(tmp_path / "log.jsonl", questions=40).with_name("log.jsonl")
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    marks = [{key: row[key] for key in ("id", "question", "correct")} for row in rows]
    log.write_text("".join(json.dumps(row) + "\n" for row in marks), encoding="utf-8")
    assert main(["import", log, "--out", tmp_path / "run"]) == 0
    assert "that of a vote cannot" in capsys.readouterr().err
    argv = ["fit", tmp_path / "run", "--budget", 2, "--policy", policy, "--out", tmp_path / "policy", "--folds", 2]
    code = main(argv)
    found = capsys.readouterr()
    assert "480 samples are marked right or wrong but have no answer: the accuracy of one sample" in found.err
    if policy == "sequential":
        assert code == 1
        assert "it compares answers, and only right and wrong were recorded" in found.err
        return
    assert code == 0
    assert "vote" not in found.out
    made = load_policy(tmp_path / "policy")
    assert made.start(rows[0]["question"]).next().action == tcalloc.One()


@pytest.mark.parametrize("policy", ["priced", "imitator", "sequential"])
def test_right_and_wrong_alone_with_a_verifier(policy, tmp_path, capsys):
    log = write_log(tmp_path / "log.jsonl", questions=40).with_name("log.jsonl")
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    marks = [{key: row[key] for key in ("id", "question", "correct")} for row in rows]
    log.write_text("".join(json.dumps(row) + "\n" for row in marks), encoding="utf-8")
    assert main(["import", log, "--out", tmp_path / "run"]) == 0
    capsys.readouterr()
    argv = ["fit", tmp_path / "run", "--budget", 2, "--policy", policy, "--out", tmp_path / "policy", "--folds", 2]
    assert main([*argv, "--verifier"]) == 0
    found = capsys.readouterr()
    assert "the policy relies on a verifier that recognises right answers live" in found.err
    assert "vote" not in found.out
    made = load_policy(tmp_path / "policy")
    draws = [run.next() for run in map(made.start, (row["question"] for row in rows[::12]))]
    assert {(draw.action.combine, draw.action.by) for draw in draws if draw is not None} == {("best", "verifier")}
    if policy == "sequential":
        assert main([*argv, "--json", "--verifier"]) == 0
        document = json.loads(capsys.readouterr().out)
        right = tcalloc.Samples.load(tmp_path / "run").correct.mean()
        assert document["fixed_numbers"][0]["accuracy"] == pytest.approx(right)
        # A verifier is never assumed.
        assert main(argv) == 1
        assert "it compares answers, and only right and wrong were recorded" in capsys.readouterr().err


def test_samples_that_a_policy_selected_are_told(tmp_path, capsys):
    pytest.importorskip("aiohttp")
    asked = [{"id": f"q{i}", "question": f"{i} + {i}", "answer": str(2 * i)} for i in range(24)]
    questions = tmp_path / "sums.jsonl"
    questions.write_text("".join(json.dumps(row) + "\n" for row in asked))
    write_log(tmp_path / "log.jsonl", questions=60, texts=False)
    assert main(["import", tmp_path / "log.jsonl", "--out", tmp_path / "run"]) == 0
    learn = ["--policy", "sequential", "--budget", 2.5, "--out", tmp_path / "stop"]
    assert main(["fit", tmp_path / "run", *learn]) == 0
    assert "biased" not in capsys.readouterr().err
    live = tmp_path / "live"
    with Chaos() as server:
        at = ["--base-url", server.url, "--model", "tiny", "--out", live]
        assert main(["answer", questions, "--policy", tmp_path / "stop", *at]) == 0
        os.remove(live / "answers.jsonl")  # which only the command line leaves
        assert len(set(tcalloc.Samples.load(live).sizes.tolist())) > 1
        capsys.readouterr()
        assert main(["fit", live, *learn]) == 0
        err = capsys.readouterr().err
        assert f"note: {live}: tcalloc answer drew these samples, and a policy decided how many" in err
        assert "Draw the same number for every question with tcalloc sample." in err
        # What the remedy says, into the same folder: what is missing is added, and nothing is selected any more.
        assert main(["sample", questions, "--samples", 12, *at]) == 0
        capsys.readouterr()
        assert main(["fit", live, *learn]) == 0
        assert "biased" not in capsys.readouterr().err
    assert tcalloc.Samples.load(live).sizes.tolist() == [12] * 24


def test_stopping(tmp_path, capsys):
    write_log(tmp_path / "log.jsonl", questions=60, samples=10)
    assert main(["import", tmp_path / "log.jsonl", "--out", tmp_path / "run"]) == 0
    capsys.readouterr()
    argv = ["fit", tmp_path / "run", "--budget", 2.5, "--policy", "sequential", "--out", tmp_path / "policy"]
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert "Sequential(budget=2.5), fitted on 60 questions" in out
    assert re.search(r"^spend +accuracy +± +fixed number +rounds +rules$", out, re.M)
    assert "± is half of the 95 % interval over 60 questions, at most:" in out
    assert re.search(r"^2\.5 +0\.\d{4} +0\.\d{3} +0\.\d{4} +\d\.\d\d +\w.*$", out, re.M)
    assert main([*argv, "--json"]) == 0
    document, told = json.loads((caught := capsys.readouterr()).out), caught.err
    assert "does not bind" not in told
    assert main([word if word != 2.5 else 50 for word in argv]) == 0
    assert "a budget of 50 does not bind: no rule finds a use for more than" in capsys.readouterr().err
    spends = [point["spend"] for point in document["frontier"]]
    assert spends == sorted(spends)
    check_figures(document, tcalloc.Samples.load(tmp_path / "run"))
    policy = load_policy(tmp_path / "policy")
    assert policy.start("What is 3 + 4?").next() is not None
    (tmp_path / "new.jsonl").write_text('{"question": "What is 3 + 4?"}\n')
    assert main(["decide", tmp_path / "policy", tmp_path / "new.jsonl"]) == 1
    assert "Use it with tcalloc answer" in capsys.readouterr().err
