"""Early stopping in the real inspect_ai: budgets under faults, spends that agree, and evaluations without it."""

import gc
import inspect
import random
import re

import pytest
from inspect_tasks import evaluate, model, need, task, tokens
from upstreams import Upstream, document, refusal

need("inspect_ai", "openai")

from aiohttp import web  # noqa: E402
from inspect_ai.util import EarlyStopping  # noqa: E402

from tcalloc import BudgetKeeper  # noqa: E402
from tcalloc.learn.rivals import MarginCap  # noqa: E402
from tcalloc.serve.inspect_ai import TESTED, StopEpochs, stop_epochs, vote  # noqa: E402

# Inspect leaves streams to the garbage collector, and uses what its own dependencies have deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

QUESTIONS = [(f"What is {i} plus 40?", str(i + 40)) for i in range(18)]
PROMPT = re.compile(r"What is (\d+) plus")


class Answering:
    """A model that is right with a chance that falls from question to question; some requests fail."""

    def __init__(self, seed=0, failing=0.0, pause=0.0):
        self.random, self.failing, self.pause = random.Random(seed), failing, pause
        self.tokens = 0

    async def __call__(self, request, body):
        if self.random.random() < self.failing:
            return await refusal(400, "a fault")(request, body)
        asked = int(PROMPT.search(body["messages"][-1]["content"])[1])
        right = self.random.random() < 1 - asked / 27
        answer = asked + 40 if right else self.random.randrange(1000, 1003)
        reply = document(body, f"The answer is {answer}", tokens=self.random.randrange(5, 40))
        self.tokens += reply["usage"]["total_tokens"]
        return web.json_response(reply)


@pytest.fixture
def serving():
    def start(**how):
        answering = Answering(**how)
        server = Upstream(default=answering)
        server.__enter__()
        started.append(server)
        return answering, server

    started = []
    yield start
    for server in started:
        server.__exit__()
    gc.collect()  # while what Inspect left open may be warned of


def parameters(method):
    return [(name, kind.kind) for name, kind in inspect.signature(method).parameters.items()]


@pytest.mark.parametrize("name", ["start_task", "schedule_sample", "complete_sample", "complete_task"])
def test_signatures_are_those_of_the_protocol(name):
    assert parameters(getattr(StopEpochs, name)) == parameters(getattr(EarlyStopping, name))


def test_the_protocol_has_no_other_methods():
    methods = {name for name, it in vars(EarlyStopping).items() if inspect.isfunction(it) and not name.startswith("_")}
    assert methods == {"start_task", "schedule_sample", "complete_sample", "complete_task"}


def test_the_installed_version_is_not_older_than_the_tested_one():
    import inspect_ai

    installed, tested = ([int(part) for part in text.split(".")[:3]] for text in (inspect_ai.__version__, TESTED))
    assert installed >= tested


def test_epochs_stop_and_the_spend_is_that_of_inspect(serving, tmp_path, monkeypatch):
    answering, server = serving()
    log = evaluate(
        task(QUESTIONS, 6, vote(), early_stopping=stop_epochs(MarginCap(2, 6))), server.url, tmp_path, monkeypatch
    )
    assert log.status == "success", log.error
    stopping = log.results.early_stopping
    found = stopping.metadata
    assert stopping.manager.startswith("tcalloc ")
    assert found["epochs_stopped"] == len(stopping.early_stops) > 30
    assert found["epochs_run"] + found["epochs_stopped"] == found["epochs_planned"] == 108
    assert found["spent"] == tokens(log) == answering.tokens
    saved = found["saved"]
    assert saved["low"] < saved["value"] < saved["high"]
    assert saved["value"] == pytest.approx(found["epochs_stopped"] * found["spent"] / found["epochs_run"], rel=0.1)
    (score,) = log.results.scores
    assert score.metrics["accuracy"].value == pytest.approx(found["accuracy_of_the_vote"]["value"])


def test_no_epoch_runs_that_is_not_needed(serving, tmp_path, monkeypatch):
    """With margin 2, a question whose first two answers agree has two epochs, however many could run at once."""
    _, server = serving()
    log = evaluate(
        task(QUESTIONS[:4], 8, vote(), early_stopping=stop_epochs(MarginCap(2, 8))), server.url, tmp_path, monkeypatch
    )
    answers = {}
    for sample in log.samples:
        answers.setdefault(sample.id, []).append(sample.scores["match"].answer)
    for given in answers.values():
        if given[0] == given[1]:
            assert len(given) == 2
    assert any(len(given) == 2 for given in answers.values())


def test_a_budget_is_kept_under_faults(serving, tmp_path, monkeypatch):
    answering, server = serving(failing=0.15)
    keeper = BudgetKeeper(total=1800, unit="tokens")
    stopping = stop_epochs(MarginCap(3, 6), keeper=keeper, maximum=60)
    log = evaluate(
        task(QUESTIONS, 6, vote(), early_stopping=stopping), server.url, tmp_path, monkeypatch, retry_on_error=1
    )
    assert log.status == "success", log.error
    found = log.results.early_stopping.metadata
    spent = keeper.status().spent
    assert spent == pytest.approx(tokens(log)) == answering.tokens == found["spent"]
    assert 1500 < spent <= 1800  # it is used, and never exceeded
    assert keeper.status().reserved == 0
    assert found["epochs_without_money"] > 0
    assert len(server.bodies) > len(log.samples)  # some were tried again


def test_a_budget_in_dollars_is_that_of_inspects_prices(serving, tmp_path, monkeypatch):
    from inspect_ai.model import ModelCost, ModelInfo, set_model_info

    prices = ModelCost(input=1, output=4, input_cache_write=1, input_cache_read=0.1)
    set_model_info("openai-api/loopback/priced", ModelInfo(cost=prices))
    _, server = serving()
    keeper = BudgetKeeper(total=0.01, unit="usd")
    stopping = stop_epochs(MarginCap(2, 4), keeper=keeper, maximum=0.0005)
    asked = task(QUESTIONS[:8], 4, vote(), early_stopping=stopping)
    log = evaluate(asked, server.url, tmp_path, monkeypatch, name="priced")
    found = log.results.early_stopping.metadata
    cost = sum(usage.total_cost for usage in log.stats.model_usage.values())
    assert cost > 0
    assert found["unit"] == "usd"
    assert found["spent"] == pytest.approx(cost, rel=1e-9) == pytest.approx(keeper.status().spent, rel=1e-9)


def test_faults_without_a_budget(serving, tmp_path, monkeypatch):
    answering, server = serving(failing=0.3)
    log = evaluate(task(QUESTIONS[:8], 4, vote(), early_stopping=stop_epochs()), server.url, tmp_path, monkeypatch)
    found = log.results.early_stopping.metadata
    assert found["spent"] == tokens(log) == answering.tokens
    assert found["epochs_failed"] == sum(sample.error is not None for sample in log.samples)
    assert found["epochs_run"] + found["epochs_stopped"] + found["epochs_failed"] == found["epochs_planned"]


def test_one_place_and_a_retry_do_not_wait_for_each_other(serving, tmp_path, monkeypatch):
    """A failed epoch waits for a place in which the next one would wait for it."""
    answering, server = serving()
    server.texts = [refusal(400, "a fault")]
    stopping = stop_epochs(MarginCap(2, 4), patience=3600)
    log = evaluate(
        task(QUESTIONS[:1], 4, vote(), early_stopping=stopping), server.url, tmp_path, monkeypatch, max_samples=1,
        retry_on_error=2,
    )  # fmt: skip
    assert log.status == "success"
    assert log.results.early_stopping.metadata["spent"] == tokens(log) == answering.tokens


def test_without_the_line_all_epochs_run(serving, tmp_path, monkeypatch):
    """Also after another evaluation of the process had it: the hook is then not enabled, and requests are as before."""
    _, server = serving()
    sent = []
    for how in ({}, {"early_stopping": stop_epochs()}, {}):
        server.bodies.clear()
        log = evaluate(task(QUESTIONS[:3], 4, **how), server.url, tmp_path, monkeypatch)
        sent.append(sorted(server.bodies, key=str))
    assert sent[0] == sent[2]
    assert len(sent[2]) == len(log.samples) == 12
    assert log.results.early_stopping is None


def test_a_policy_that_fails_stops_nothing(serving, tmp_path, monkeypatch, caplog):
    class Failing:
        def start(self, x):
            return self

        def next(self):
            raise RuntimeError("secret")

        add = answer = spend = vote_share = None

    _, server = serving()
    log = evaluate(task(QUESTIONS[:3], 4, early_stopping=stop_epochs(Failing())), server.url, tmp_path, monkeypatch)
    assert log.status == "success"
    assert len(log.samples) == 12
    assert sum("RuntimeError" in record.message for record in caplog.records) == 1
    assert "secret" not in caplog.text


def test_a_fault_in_the_midst_stops_nothing_more(serving, tmp_path, monkeypatch, caplog):
    def reading(score):
        raise ValueError("of the user")

    _, server = serving()
    log = evaluate(
        task(QUESTIONS[:3], 4, early_stopping=stop_epochs(answer=reading)), server.url, tmp_path, monkeypatch
    )
    assert len(log.samples) == 12
    assert "ValueError" in log.results.early_stopping.metadata["notes"][0]
    assert sum("ValueError" in record.message for record in caplog.records) == 1


def test_the_mean_is_warned_of(serving, tmp_path, monkeypatch, caplog):
    _, server = serving()
    evaluate(task(QUESTIONS[:2], 3, early_stopping=stop_epochs()), server.url, tmp_path, monkeypatch)
    assert sum("the reducer mean is biased" in record.message for record in caplog.records) == 1
    caplog.clear()
    evaluate(task(QUESTIONS[:2], 3, vote(), early_stopping=stop_epochs()), server.url, tmp_path, monkeypatch)
    assert "biased" not in caplog.text


def test_two_tasks_share_it(serving, tmp_path):
    """The same ids, at the same time: each evaluation has its own epochs."""
    from inspect_ai import eval as evaluation

    _, server = serving()
    stopping = stop_epochs(MarginCap(2, 6))
    tasks = [
        task(QUESTIONS[:10], 6, vote(), early_stopping=stopping, name="one"),
        task(QUESTIONS[8:], 6, vote(), early_stopping=stopping, name="two"),
    ]
    logs = evaluation(tasks, model=model(server.url), log_dir=str(tmp_path), display="none", max_tasks=2)
    for log in logs:
        found = log.results.early_stopping.metadata
        assert found["questions"] == 10
        assert found["epochs_run"] == len(log.samples)
        assert found["spent"] == tokens(log)
