"""What stopping the epochs of an evaluation does to its figures: replays of the recorded answers of three models.

    python -m bench.studies.stopped_epochs [--orders 20]

An evaluation with 8 epochs of each of 293 questions is replayed in many orders of the recorded answers, with each rule.
The accuracy of one epoch is known: the share of right answers among all that were recorded. `Sequential` learns from
the questions of even number, and is judged on the others; so are the other rules.
"""

import argparse

import numpy as np

from tcalloc import Samples, Sequential
from tcalloc.datasets import load_recorded
from tcalloc.learn.protocol import Result
from tcalloc.learn.rivals import MarginCap
from tcalloc.serve.inspect_ai.estimates import one_epoch, saved
from tcalloc.serve.inspect_ai.full_vote import FullVote
from tcalloc.serve.inspect_ai.question_epochs import needed
from tcalloc.serve.inspect_ai.votes import voted

EPOCHS = 8
HEAD = ("model", "rule", "epochs", "mean of epochs", "one epoch", "vote", "saved in the interval")


def replay(start, codes, tokens, rng):
    """Return of one order: epochs, their mean, one epoch, the vote, the whole vote; whether the interval holds."""
    rows, costs, left, truth = [], [], [], 0.0
    for i in range(len(codes)):
        order = rng.permutation(codes.shape[1])[:EPOCHS]
        answers = [None if code < 0 else int(code) for code in codes[i, order]]
        results = [Result(answer, float(cost)) for answer, cost in zip(answers, tokens[i, order], strict=True)]
        n, _ = needed(start(i), results)
        values = [float(answer == 0) for answer in answers]
        single = one_epoch(lambda i=i: start(i), results[:n], values[:n], int(rng.integers(2**31)))
        rows.append((n, np.mean(values[:n]), single, values[voted(answers[:n])], values[voted(answers)]))
        costs.append([result.cost for result in results[:n]])
        left.append(EPOCHS - n)
        truth += sum(result.cost for result in results[n:])
    found = saved(costs, left)
    return np.mean(rows, axis=0), found.low <= truth <= found.high


def rules(codes, tokens, texts):
    """Return each rule by its name: a function from a question's number to a new run."""
    learned = Sequential(budget=3.0, most=EPOCHS).fit(None, Samples(codes[::2]))
    return {
        "no policy (the whole vote)": lambda i: FullVote(EPOCHS).start(texts[i]),
        "margin of 2": lambda i: MarginCap(2, EPOCHS).start(texts[i]),
        "Sequential, 3 samples": lambda i: learned.start(texts[i]),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--orders", type=int, default=20, help="orders of the recorded answers")
    orders = parser.parse_args().orders
    recorded = load_recorded()
    print(" | ".join(HEAD))
    for model in recorded.models:
        codes, tokens = recorded.answers[model].astype(int), recorded.tokens[model]
        texts = [question["question"] for question in recorded.questions][1::2]
        for name, start in rules(codes, tokens, texts).items():
            held, costs = codes[1::2], tokens[1::2]
            rng = np.random.default_rng(0)
            rows, covered = zip(*(replay(start, held, costs, rng) for _ in range(orders)), strict=True)
            found, truth = np.array(rows), (held == 0).mean()
            n = found[:, 0].mean()
            cells = [100 * (found[:, j] - truth) for j in (1, 2)] + [100 * (found[:, 3] - found[:, 4])]
            shown = [f"{cell.mean():+.2f} ± {1.96 * cell.std(ddof=1) / orders**0.5:.2f}" for cell in cells]
            print(" | ".join([model, name, f"{n:.2f}", *shown, f"{sum(covered)} of {orders}"]), flush=True)


if __name__ == "__main__":
    main()
