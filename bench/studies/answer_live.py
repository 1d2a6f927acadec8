"""Answering fresh questions live, on the small local model, by a policy that was trained on recorded ones.

    python bench/studies/answer_live.py --budget 3       needs pip install 'tcalloc[local,learn]'; 3 minutes, one core

`Sequential` is fitted on the recorded samples of two thirds of the shipped questions and answers the others live;
beside it the vote over a fixed number of samples, also live. Then the same run again: nothing is asked twice.
"""

import argparse
import math
import tempfile
from dataclasses import replace

import numpy as np

import tcalloc
from tcalloc.datasets import load_recorded
from tcalloc.learn.protocol import Always
from tcalloc.llm.client import ChatClient
from tcalloc.llm.graders import make_grader
from tcalloc.llm.local import PARAMETERS, serve
from tcalloc.llm.questions import question_from

MODEL = "smollm2_135m"


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--budget", type=int, default=3, help="samples per question (3)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    recorded = load_recorded()
    order = np.random.default_rng(args.seed).permutation(len(recorded.ids))
    train, fresh = np.sort(order[: 2 * len(order) // 3]), np.sort(order[2 * len(order) // 3 :])
    texts = [str(row["question"]) for row in recorded.questions]
    seen = tcalloc.Samples(recorded.answers[MODEL][train])
    policy = tcalloc.Sequential(random_state=args.seed).fit([texts[i] for i in train], seen)
    questions = [question_from({"id": str(recorded.ids[i])} | recorded.questions[i], "", "") for i in fresh]
    grader = make_grader("normalized")
    with serve() as server, tempfile.TemporaryDirectory() as folder:
        parameters = replace(PARAMETERS, logprobs=False)
        with ChatClient(server.base_url, server.model, parameters, key=None, label="local") as client:
            given = {"grader": grader, "concurrency": 8}
            stopped = tcalloc.answer(questions, policy, client, budget=args.budget, out=f"{folder}/run", **given)
            again = tcalloc.answer(questions, policy, client, budget=args.budget, out=f"{folder}/run", **given)
            fixed = tcalloc.answer(questions, Always(tcalloc.Vote(args.budget)), client, **given)
    assert again.requests == 0
    assert list(again) == list(stopped)
    ahead = np.array([float(a.correct) - float(b.correct) for a, b in zip(stopped, fixed, strict=True)])
    half = 1.96 * ahead.std(ddof=1) / math.sqrt(len(ahead))
    print(f"stopping at a price: {stopped}")
    print(f"vote of {args.budget} for everyone: {fixed}")
    low, high = 100 * (ahead.mean() - half), 100 * (ahead.mean() + half)
    print(f"ahead by {100 * ahead.mean():+.1f} points [{low:+.1f}, {high:+.1f}]")
    print("the same run again: 0 requests, the same answers")


if __name__ == "__main__":
    main()
