"""The whole way on a real model, here and now: ``tcalloc demo --live``.

Sample a small model's answers, grade them, estimate what more samples buy for each question, split a budget, answer.
What was chosen by the fresh samples is scored on the recorded ones, which had no part in the choice.
"""

import json
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO, cast

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import whole
from tcalloc._frontier import frontier
from tcalloc.datasets import Recorded, load_recorded
from tcalloc.demo.words import fill, percent
from tcalloc.errors import TcallocError
from tcalloc.llm.client import ChatClient
from tcalloc.llm.graders import make_grader
from tcalloc.llm.local import PARAMETERS, serve
from tcalloc.llm.questions import question_from
from tcalloc.llm.sampler import Outcome, sample
from tcalloc.measure import vote_accuracy
from tcalloc.measure.actions import Vote
from tcalloc.measure.kinds import leading
from tcalloc.measure.samples import Samples
from tcalloc.runs.store import read_run

__all__ = ["Live", "Option", "Row", "picked", "run", "show"]

MODEL = "smollm2_135m"
VOTES = (1, 3, 5, 9)
SLOTS = 8
SHOWN = 8


@dataclass(frozen=True, slots=True)
class Option:
    """A number of samples, the same for all questions."""

    name: str
    cost: int
    now: float
    """Accuracy by the fresh samples,"""
    error: float
    """its standard error for these questions,"""
    recorded: float
    """and by the recorded ones."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question: what was said, what it gets, what it answers."""

    question: str
    gold: str
    said: dict[str, int]
    """How often each answer came, the most frequent first."""
    right: float
    """Share of right samples."""
    samples: int
    """What the solver gave it."""
    answer: str | None
    """The vote of so many of its samples."""
    correct: bool


@dataclass(frozen=True, slots=True)
class Live:
    """What was measured."""

    questions: int
    samples: int
    seconds: float
    tokens: int
    options: list[Option]
    budget: float
    spend: float
    claimed: float
    """Accuracy of the choice, estimated from the samples that chose,"""
    scored: float
    """on the recorded ones, which did not,"""
    mixture: float
    """and there that of the best fixed mixture at the same spend."""
    rows: list[Row]


def picked(recorded: Recorded, questions: int) -> NDArray[np.intp]:
    """Return so many rows of the recorded questions, spread over all families and difficulties."""
    whole("questions", questions, 2, len(recorded.ids))
    # From the middle of equal parts; the ends of the list are the easiest addition and the hardest date.
    return ((np.arange(questions) + 0.5) * len(recorded.ids) / questions).astype(np.intp)


def measured(
    recorded: Recorded, rows: NDArray[np.intp], samples: Samples, said: list[list[str | None]], budget: float
) -> tuple[list[Option], dict[str, Any]]:
    """Return the options and the choice: estimated from fresh samples, scored on the recorded ones.

    `rows` says which of the recorded questions were asked. `said` are, per question, the normalized answers in the
    order of the samples; None: no answer.
    """
    table = samples.table([Vote(k) for k in VOTES])
    plan = table.solve(budget=budget)
    unbiased = samples.table([Vote(k) for k in VOTES], shrink=False)
    before = np.column_stack([vote_accuracy(recorded.answers[MODEL][rows], k) for k in VOTES])
    # Of these questions: what other samples of them would give. Other questions would differ more.
    errors = np.sqrt((np.asarray(unbiased.se) ** 2).sum(axis=0)) / len(rows)
    options = [
        Option(f"vote of {k}" if k > 1 else "1 sample", k, float(acc), float(error), float(past))
        for k, acc, error, past in zip(VOTES, unbiased.acc.mean(axis=0), errors, before.mean(axis=0), strict=True)
    ]
    mixtures = frontier(before.mean(axis=0)[None, :], np.array(VOTES, float))
    shown = []
    for i, row in enumerate(rows):
        asked, k = recorded.questions[row], VOTES[plan.actions[i]]
        answer = vote(said[i][:k])
        right = samples.answers[i] == 0
        shown.append(
            Row(
                asked["question"],
                asked["gold"],
                dict(Counter(a for a in said[i] if a is not None).most_common()),
                float(right.mean()),
                k,
                answer,
                any(a == answer and ok for a, ok in zip(said[i], right, strict=True)),
            )
        )
    return options, {
        "budget": budget,
        "spend": float(plan.spend),
        "claimed": float(plan.accuracy),
        "scored": float(before[np.arange(len(rows)), plan.actions].mean()),
        "mixture": float(mixtures.accuracy_at(plan.spend)),
        "rows": shown,
    }


def vote(answers: list[str | None]) -> str | None:
    """Return the most frequent answer; of several the one that came first."""
    return leading(Counter(answer for answer in answers if answer is not None))


def run(
    questions: int = 20,
    samples: int = 16,
    budget: float = 3.0,
    seed: int | None = None,
    as_json: bool = False,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> dict[str, Any]:
    """Sample, grade, estimate, solve, answer: what ``tcalloc demo --live`` does; return what JSON prints.

    Some of the recorded questions get `samples` each, at least the largest vote, 9. The budget is samples per question
    on average, to be split. The samples' seeds derive from `seed`, by default a new one each time.
    """
    out, err = out or sys.stdout, err or sys.stderr
    whole("samples", samples, max(VOTES))
    recorded = load_recorded()
    rows = picked(recorded, questions)
    seed = secrets.randbelow(1 << 31) if seed is None else seed
    with tempfile.TemporaryDirectory(prefix="tcalloc-demo-") as folder:
        outcome = _drawn(recorded, rows, samples, seed, str(Path(folder) / "run"), lambda line: _say(line, err))
        found, tokens, said = _loaded(str(Path(folder) / "run"), recorded.ids[rows])
    _say("estimating, solving ...", err)
    options, chosen = measured(recorded, rows, found, said, budget)
    result = Live(questions, questions * samples, outcome.seconds, tokens, options, **chosen)
    fields = asdict(result)
    print(json.dumps(fields, indent=2, allow_nan=False) if as_json else show(result), file=out, flush=True)
    return fields


def _drawn(
    recorded: Recorded, rows: NDArray[np.intp], samples: int, seed: int, folder: str, say: Callable[[str], None]
) -> Outcome:
    """Sample the questions from the local model into a run folder."""
    asked = [question_from({"id": str(recorded.ids[i])} | recorded.questions[i], f"question {i}", "") for i in rows]
    # With log-probabilities the server's tokens are counted, not estimated.
    parameters = replace(PARAMETERS, logprobs=True, seed=seed)
    say("starting SmolLM2-135M on this machine: llama.cpp, 1 thread ...")
    with (
        serve(slots=SLOTS, say=say) as server,
        ChatClient(server.base_url, server.model, parameters, key=None, label="local") as client,
    ):
        say(f"it answers at {server.base_url}; asking {len(rows)} questions, {samples} samples each ...")
        outcome = sample(
            asked,
            client,
            make_grader("normalized"),
            samples,
            out=folder,
            concurrency=2,  # one waits when the other is done
            n_per_request=SLOTS,
            progress=True,
            say=say,
        )
    if outcome.interrupted:
        raise KeyboardInterrupt
    if not outcome.complete:
        raise TcallocError(f"the local model did not answer: {outcome.stopped or '; '.join(outcome.reasons)}")
    return outcome


def _loaded(folder: str, ids: NDArray[np.str_]) -> tuple[Samples, int, list[list[str | None]]]:
    """Return what was drawn: as arrays, the number of tokens, and the answers in words."""
    said: dict[str, list[str | None]] = {str(name): [] for name in ids}
    tokens = 0
    for record in sorted(read_run(folder).records, key=lambda record: int(record["sample"])):
        said[record["id"]].append(cast("str | None", record["answer"]))
        tokens += int(record["output_tokens"] or 0)
    return Samples.load(folder), tokens, list(said.values())


def _say(line: str, err: TextIO | None) -> None:
    if err is not None:
        print("tcalloc:", line, file=err, flush=True)


# ---------------------------------------------------------------------------------------------- words


def show(result: Live) -> str:
    """Return what was measured as text for people, in ASCII, at most 100 columns wide."""
    return "\n\n".join([_intro(result), _options(result), _choice(result), _examples(result), _mind(result)])


def _intro(result: Live) -> str:
    each = result.samples // result.questions
    return fill(
        f"Measured here and now: {result.questions} short questions, {each} samples each: {result.samples} answers of "
        f"SmolLM2-135M, {result.tokens} tokens in {result.seconds:.0f} s."
    )


def _options(result: Live) -> str:
    lines = ["  everyone gets   cost   right, measured now   right, recorded earlier"]
    lines += [
        f"  {o.name:<13} {o.cost:6d} {percent(o.now, 1):>15} {percent(o.recorded, 1):>21}" for o in result.options
    ]
    # The largest: an error that is itself estimated from few samples is sometimes far too small.
    error = 196 * max(option.error for option in result.options)
    return "\n".join([*lines, f"  (other samples of the same questions: some {error:.0f} points higher or lower)"])


def _choice(result: Live) -> str:
    return f"""\
A budget of {result.budget:g} samples per question on average, split by tcalloc (spent: {result.spend:.2f}):
  {percent(result.claimed, 1):>7}  claimed by the samples that chose
  {percent(result.scored, 1):>7}  on the recorded samples, which had no part in the choice
  {percent(result.mixture, 1):>7}  there, the best fixed mixture at the same spend"""


def _examples(result: Live) -> str:
    # Those that get most, and as many that get least: where samples disagree, and where they do not or never help.
    order = sorted(result.rows, key=lambda row: (-row.samples, abs(row.right - 0.6)))
    chosen = order if len(order) <= SHOWN else order[: SHOWN // 2] + order[-(SHOWN // 2) :]
    lines = [f"  {'question':<34} {'samples said':<26} gets  answers"]
    for row in chosen:
        said = ", ".join(f"{_cut(answer, 10)} {times}" for answer, times in list(row.said.items())[:3])
        verdict = "right" if row.correct else f"wrong: {_cut(row.gold, 10)}"
        answer = _cut(row.answer or "-", 10)
        lines.append(f"  {_cut(row.question, 34):<34} {_cut(said, 26):<26} {row.samples:4d}  {answer}, {verdict}")
    return "\n".join(lines)


def _mind(result: Live) -> str:
    half = 98 / result.questions**0.5
    return (
        fill(
            f"Mind: {result.questions} questions are few. On others all of these figures may be some {half:.0f} "
            "points higher or lower, and the choice knows each question from samples of that same question. What this "
            "shows is that the way works, from the first request to the answer; tcalloc demo shows on 293 questions "
            "what it is worth."
        )
        + "\n\nNext, your own questions on the same model, or on any server with --base-url:\n"
        "    tcalloc sample questions.jsonl --local --samples 16 --out run/\n"
        "    tcalloc solve run/ --budget 3\n"
    )


def _cut(text: str, width: int) -> str:
    """Return the text in ASCII, no longer than that: a model may say anything."""
    plain = " ".join(text.encode("ascii", "backslashreplace").decode().split())
    return plain if len(plain) <= width else plain[: width - 3] + "..."
