"""What a user writes, as ``mypy --strict`` sees it: `mypy` checks it with the package, and nothing imports it.

Each `assert_type` says what comes back; a line that is wrong on purpose carries the error that mypy must find.
"""

from typing import Any, assert_type

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import tcalloc
from tcalloc import Action, Allocation, Best, Frontier, One, Rates, Samples, Table, Vote
from tcalloc.evaluate.comparison import Comparison
from tcalloc.evaluate.fit_report import FitReport
from tcalloc.evaluate.refit_report import Refit
from tcalloc.importing.report import ImportReport
from tcalloc.learn import Imitator, Mixture, PricedPolicy, Sequential, TunedRule
from tcalloc.learn.holdout.certify import Certificate
from tcalloc.learn.outcomes import PolicyOutcomes
from tcalloc.llm.graders import make_grader
from tcalloc.llm.questions import load_questions
from tcalloc.llm.sampler import Outcome
from tcalloc.serve.answers import Answers

acc, cost = [[0.3, 0.8], [0.5, 0.6]], [1.0, 4.0]
texts = ["How much is 2 + 3?", "Name the capital of France."]

# ---------------------------------------------------------------------------------------------- tables

plan = tcalloc.solve(acc, cost, budget=2.0)
assert_type(plan, Allocation)
assert_type(plan.actions, NDArray[np.int32])
assert_type(plan.split, tcalloc.Split | None)
curve = tcalloc.frontier(np.array(acc), np.array(cost))
assert_type(curve, Frontier)
assert_type(curve.accuracy_at(2.0), float)
assert_type(curve.accuracy_at([2.0, 3.0]), NDArray[np.float64])
assert_type(curve.price_at(np.array([2.0])), NDArray[np.float64])
assert_type(curve.budget_for(0.5), float)
assert_type(curve.allocate(2.0), Allocation)
assert_type(tcalloc.decide([0.3, 0.8], [1.0, 4.0], price=0.1), int)
assert_type(tcalloc.decide(acc, cost, price=0.1), NDArray[np.int32])

table = Table(np.array(acc), np.array(cost), action_names=("small", "large"))
assert_type(table.solve(2.0), Allocation)
assert_type(table.solve(total=4.0, method="bisect", threads=2), Allocation)
assert_type(table.frontier(), Frontier)
tcalloc.save_table(table, "table.npz")
assert_type(tcalloc.load_table("table.npz"), Table)

# ---------------------------------------------------------------------------------------------- samples and actions

assert_type(Vote(3), Action)
assert_type(Vote(3, "small", temperature=0.8, rates=Rates(output=1e-6)), Action)
assert_type([One("small"), Best(4, by="score")], list[Action])
assert_type(Rates.per_million(1, 4).of(500, 100), float)
assert_type(Rates.per_million(1, 4).of(500, np.array([100.0, 200.0])), NDArray[np.float64])
samples = Samples([[0, 0, 1], [1, 0, 2]], cost=0.01)
assert_type(samples.table([Vote(1), Vote(3)], cost_per="question"), Table)
assert_type(samples.take([0]), Samples)
assert_type(Samples.load("run"), Samples)

# ---------------------------------------------------------------------------------------------- policies

priced = PricedPolicy(budget=2.0, known_costs="predicted", random_state=1)
assert_type(priced.fit(texts, samples, actions=[Vote(1), Vote(3)]), PricedPolicy)
assert_type(priced.decide(texts), NDArray[np.int32])
assert_type(priced.decide(pd.DataFrame({"question": texts, "length": [3, 5]})), NDArray[np.int32])
assert_type(priced.decide([{"question": text} for text in texts]), NDArray[np.int32])
assert_type(priced.route(texts[0]), str)
assert_type(priced.route({"question": texts[0], "length": 3}), str)
assert_type(priced.at(3.0), PricedPolicy)
assert_type(priced.start(texts[0]), tcalloc.Run)
assert_type(priced.calibrate(texts, samples, budget=2.0, confidence=0.95), PricedPolicy)
assert_type(priced.certify(texts, samples, level=0.9), Certificate)
assert_type(priced.certify(texts, samples).gain.low, float)
assert_type(priced.replay(texts, samples, [2.0]), PolicyOutcomes)
assert_type(Imitator(budget=2.0, loss="regret").fit(texts, table), Imitator)
assert_type(Mixture(budget=2.0).fit(None, samples), Mixture)

stopping = Sequential(budget=2.0, answer_by="vote").fit(None, samples)
assert_type(stopping, Sequential)
run = stopping.start(texts[0])
draw = run.next()
assert_type(draw, tcalloc.Draw | None)
run.add([tcalloc.Result("5", cost=0.01)])
assert_type(run.spend, float)
assert_type(run.vote_share, float)
assert_type(TunedRule("ESC", budget=2.0).fit(None, samples), TunedRule)


class Cheapest:
    """A policy of one's own."""

    def start(self, x: Any) -> tcalloc.Run:
        """Begin with one question."""
        return stopping.start(x)


def served(policy: tcalloc.Policy) -> tcalloc.Run:
    """Return a run of any policy."""
    return policy.start(texts[0])


served(priced)
served(stopping)
served(Cheapest())

# ---------------------------------------------------------------------------------------------- judging and serving

assert_type(tcalloc.compare(samples, ["ESC"], [2.0], random_state=1, n_jobs=2), Comparison)
assert_type(tcalloc.fit(samples, 2.0, "margin + cap"), FitReport)
assert_type(tcalloc.refit("policy", "traffic"), Refit)
client = tcalloc.ChatClient("http://127.0.0.1:8080/v1", "small", tcalloc.Parameters(temperature=0.8))
questions = load_questions("questions.jsonl")
assert_type(tcalloc.sample(questions, client, make_grader("numeric"), 4, out="run"), Outcome)
assert_type(tcalloc.answer("questions.jsonl", stopping, client, budget=2.0), Answers)
assert_type(tcalloc.import_logs("log.jsonl", "run"), ImportReport)


async def live() -> None:
    """Answer in a program that has an event loop."""
    assert_type(await tcalloc.answer_async(texts, stopping, client), Answers)


# ---------------------------------------------------------------------------------------------- wrong on purpose

tcalloc.slove(acc, cost, 2.0)  # type: ignore[attr-defined]
Vote("3")  # type: ignore[arg-type]
Vote(3, temprature=0.8)  # type: ignore[call-arg]
table.solve(budget=2.0, method=7)  # type: ignore[arg-type]
priced.fit(texts, 7.5j, actions="vote1")  # type: ignore[arg-type]
priced.decide({1, 2})  # type: ignore[arg-type]
tcalloc.answer(7, stopping, client)  # type: ignore[arg-type]
priced.route()  # type: ignore[call-arg]
served(Vote(3))  # type: ignore[arg-type]
