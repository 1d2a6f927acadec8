"""What the tests of ``tcalloc fit`` and ``tcalloc decide`` share: the command line with both, and run folders."""

import json

import numpy as np

from tcalloc import cli


def main(argv):
    """`cli.main`, of arguments that need not be text."""
    return cli.main([str(part) for part in argv])


def write_log(path, *, questions=120, samples=12, texts=True, tasks=False, signal=True, seed=0):
    """Write answers to questions whose difficulty shows in their text; return the questions file beside it."""
    rng = np.random.default_rng(seed)
    listed = []
    with open(path, "w", encoding="utf-8") as log:
        for q in range(questions):
            hard = q % 2 == 1
            long = hard if signal else rng.random() < 0.5
            words = " ".join(rng.choice(["apples", "pears", "trains", "coins"], 30 if long else 5))
            text = f"{'Prove that ' if long else ''}{words}, {rng.integers(1000)}?"
            shares = [0.6, 0.2, 0.2] if hard else [0.97, 0.02, 0.01]
            answers = rng.choice(["right", "wrong", "other"], samples, p=shares)
            row = {"id": f"q{q}", "question": text} if texts else {"id": f"q{q}"}
            for answer in answers:
                print(json.dumps(row | {"answer": str(answer), "correct": bool(answer == "right")}), file=log)
            extra = {"task": "proofs" if hard else "sums"} if tasks else {}
            listed.append({"id": f"q{q}", "question": text, **extra})
    file = path.with_name("questions.jsonl")
    file.write_text("".join(json.dumps(row) + "\n" for row in listed), encoding="utf-8")
    return file
