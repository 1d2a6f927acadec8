"""``tcalloc answer`` as a user meets it."""

import json

import pytest
from chaos import Chaos

from tcalloc import cli
from tcalloc.runs.store import read_run

pytest.importorskip("aiohttp")


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps({"question": f"{i} + {i}", "answer": str(2 * i)}) + "\n" for i in range(12)))
    return path


def call(capsys, *argv):
    code = cli.main(["answer", *map(str, argv)])
    return code, *capsys.readouterr()


def test_the_same_for_everyone(questions, tmp_path, capsys):
    with Chaos() as server:
        argv = [questions, "--policy", "vote3", "--base-url", server.url, "--model", "tiny", "--out", tmp_path / "run"]
        code, out, _ = call(capsys, *argv)
        assert code == 0
        assert out.startswith("12 of 12 questions answered, ")
        assert "3 samples and a spend of 3 per question" in out
        assert "36 requests" in out
        code, out, _ = call(capsys, *argv, "--json")
        document = json.loads(out)
        assert document["requests"] == 0  # all of it was there
        assert document["spend"] == 3
        assert len(document["answers"]) == 12
        code, out, err = call(capsys, *argv, "--answers", "-")
        assert [json.loads(line) for line in out.splitlines()] == document["answers"]
        assert "12 of 12" in err
    rows = [json.loads(line) for line in (tmp_path / "run" / "answers.jsonl").read_text().splitlines()]
    assert rows == document["answers"]
    assert len(read_run(tmp_path / "run").records) == 36


def test_a_budget_and_several_models(questions, capsys):
    with Chaos() as server:
        argv = [questions, "--base-url", server.url, "--model", "small", "--also-model", "large"]
        code, out, _ = call(capsys, *argv, "--policy", "vote4 large", "--budget", 5, "--costs", "small=1,large=2.5")
        assert code == 0
        assert "of 5 per question" in out
        assert {r["body"]["model"] for r in server.requests} == {"large"}
        assert len(server.requests) == 24


def test_limits_and_failures(questions, tmp_path, capsys):
    with Chaos() as server:
        argv = [questions, "--policy", "vote3", "--base-url", server.url, "--model", "tiny", "--out", tmp_path / "run"]
        code, _, err = call(capsys, *argv, "--max-requests", 10)
        assert code == 1
        assert "max_requests" in err
        assert err.endswith("The same command continues.\n")
        assert call(capsys, *argv)[0] == 0
        assert len(server.requests) == 36


def test_a_policy_that_looks_at_a_category(tmp_path, capsys):
    from policy_cli import main, write_log

    listed = write_log(tmp_path / "log.jsonl", questions=60, samples=6, tasks=True)
    argv = ["fit", tmp_path / "run", "--budget", 2, "--category", "task", "--out", tmp_path / "policy"]
    assert main(["import", tmp_path / "log.jsonl", "--out", tmp_path / "run"]) == 0
    assert main([*argv, "--questions", listed]) == 0
    capsys.readouterr()
    new = tmp_path / "new.jsonl"
    new.write_text('{"question": "1 + 1", "task": "a"}\n{"question": "2 + 2", "task": "b"}\n')
    with Chaos() as server:
        given = ["--policy", tmp_path / "policy", "--base-url", server.url, "--model", "tiny"]
        code, out, err = call(capsys, new, *given)
        assert (code, out[:25]) == (0, "2 of 2 questions answered"), err
        assert call(capsys, new, *given, "--out", tmp_path / "policy")[0] == 2


def test_what_is_left_out_is_said_and_makes_the_exit_code_1(questions, tmp_path, capsys):
    with Chaos() as server:
        argv = [questions, "--policy", "one", "--base-url", server.url, "--model", "tiny", "--out", tmp_path / "run"]
        code, out, err = call(capsys, *argv, "--budget", 0.5)
        assert code == 1
        assert out.startswith("6 of 12 questions answered, ")
        assert "\n6 questions have no answer: 6 because the budget was spent.\n" in out
        assert "error: 6 of 12 questions have no answer. To accept that, add --allow-unanswered.\n" in err
        code, out, err = call(capsys, *argv, "--budget", 0.5, "--allow-unanswered", "--json")
        assert (code, err) == (0, "")
        document = json.loads(out)
        assert (document["unanswered"], document["requests"]) == (6, 0)
        assert document["shortfalls"] == ["6 questions have no answer: 6 because the budget was spent."]
        assert [one["status"] for one in document["answers"]].count("left out") == 6
        assert call(capsys, *argv)[0] == 0  # without a budget all are answered


def test_a_policy_in_dollars_needs_no_prices(questions, tmp_path, capsys):
    from tcalloc import Samples
    from tcalloc.learn import Fixed

    arms = {"small": Samples(correct=[[1], [0]], cost=4e-5), "large": Samples(correct=[[1], [1]], cost=4e-4)}
    Fixed("one large").fit(["a", "b"], Samples(arms=arms)).save(tmp_path / "policy")
    with Chaos() as server:
        argv = [questions, "--policy", tmp_path / "policy", "--base-url", server.url, "--model", "small"]
        code, out, _ = call(capsys, *argv, "--also-model", "large")
        assert (code, "; 1 sample and a spend of 0.0004 per question" in out) == (0, True)
        out = call(capsys, *argv, "--also-model", "large", "--unit", "usd")[1]
        assert "; 1 sample and a spend of $0.0004 per question" in out
        code, out, _ = call(capsys, *argv, "--also-model", "large", "--costs", "small=1,large=10")
        assert (code, "a spend of 10 per question" in out) == (0, True)
        assert call(capsys, *argv, "--also-model", "large", "--costs", "small=1")[0] == 1
        marks = Samples(correct=[[1, 0]] * 3)
        Fixed("best2").fit(list("abc"), marks, actions=marks.usual_actions(verifier=True)).save(tmp_path / "checked")
        sent = len(server.requests)
        argv[2] = tmp_path / "checked"
        code, _, err = call(capsys, *argv)
        assert (code, len(server.requests)) == (1, sent)
        assert "the policy asks for 'best2', which needs a verifier, and none was given. In Python pass one" in err


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--policy", "nowhere/"], 1, "neither a policy's folder"),
        (["--policy", "vote3", "--costs", "small"], 2, "'small' is not like small=1"),
        (["--policy", "vote3", "--budget", "-1"], 1, "budget is -1"),
        (["--policy", "vote3", "--json", "--answers", "-"], 2, "both write to standard output"),
        ([], 2, "--policy"),
    ],
)
def test_one_sentence_each(argv, code, words, questions, capsys):
    found = call(capsys, questions, "--base-url", "http://127.0.0.1:1/v1", "--model", "m", *argv)
    assert found[0] == code
    assert words in found[2]
    assert "Traceback" not in found[2]
