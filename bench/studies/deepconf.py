"""DeepConf's rules against `Sequential`, with and without the model's confidence, at the same number of tokens.

    python -m bench.studies.deepconf            five minutes on one core

On the shipped answers with worked steps (`tcalloc.datasets.load_worked_steps`). DeepConf (arXiv 2508.15260) needs no
training: offline it weights the votes of k whole answers by their confidence, of all of them or of the surest 10, 50 or
90 %. Online it draws 4 answers, takes a percentile of their lowest window as a threshold, and cuts off each further
answer as soon as a window falls below it; it ends once 95 % of the weight are with one answer. `Sequential` learns on
nine tenths of the questions and is replayed on the others. Figures are means over the same random orders of the
samples; gaps are paired by question. Nothing is chosen on the questions that are scored.
"""

import argparse
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.scoring import paired
from tcalloc._student import beyond
from tcalloc.datasets import load_worked_steps
from tcalloc.evaluate.gold_check import at_spend
from tcalloc.evaluate.statistics import holm
from tcalloc.learn.holdout.folds import split
from tcalloc.learn.sequential import Sequential
from tcalloc.llm.confidence import groups
from tcalloc.measure import Samples
from tcalloc.measure.recorded import worked_samples

Floats = NDArray[np.float64]
Curve = tuple[Floats, Floats]
"""(settings, questions) spend and accuracy."""

FOLDS, WINDOW, WARM, ENOUGH = 10, 16, 4, 0.95
SHARES = (0.1, 0.5, 0.9, 1.0)
SETTINGS = np.geomspace(1.0, 12.0, 14)


def voted(codes: NDArray[np.int64], weights: Floats) -> tuple[float, float]:
    """Return how right a weighted vote is (ties split evenly), and the share of the weight that the leader has."""
    there = codes >= 0
    if not there.any() or not weights[there].sum() > 0:
        return 0.0, 0.0
    totals = np.bincount(codes[there], weights[there])
    best = totals >= totals.max() * (1 - 1e-12)
    return float(best[0]) / float(best.sum()), float(totals.max() / totals.sum())


def offline(samples: Samples, orders: NDArray[np.intp], figure: str | None, share: float) -> Curve:
    """Return a vote over the surest share of k answers, weighted by a figure of confidence; None: unweighted."""
    n, s = samples.answers.shape
    spend, accuracy = np.zeros((2, s, n))
    for q in range(n):
        for order in orders[:, q]:
            codes, paid = samples.answers[q][order], samples.cost[q][order]
            sure = np.ones(s) if figure is None else samples.confidence[figure][q][order]
            for k in range(1, s + 1):
                kept = np.argsort(-sure[:k], kind="stable")[: max(1, math.ceil(share * k))]
                accuracy[k - 1, q] += voted(codes[kept], sure[kept])[0]
                spend[k - 1, q] += paid[:k].sum()
    return spend / len(orders), accuracy / len(orders)


def online(samples: Samples, confidences: NDArray[Any], orders: NDArray[np.intp], share: float) -> Curve:
    """Return DeepConf's online rule, for each largest number of answers."""
    n, s = samples.answers.shape
    spend, accuracy = np.zeros((2, s - WARM + 1, n))
    for q in range(n):
        tokens = samples.tokens["output"][q].astype(int)
        over = [groups(confidences[q, j, : tokens[j]].astype(float), WINDOW) for j in range(s)]
        for order in orders[:, q]:
            lowest = np.array([float(over[j].min()) for j in order])
            threshold = float(np.quantile(lowest[:WARM], 1 - share))
            codes = samples.answers[q][order].copy()
            weights = lowest.copy()
            paid = tokens[order].astype(float)
            codes[lowest < threshold] = -1  # of the first ones too: they are whole, and do not vote
            for place in range(WARM, s):
                below = np.flatnonzero(over[order[place]] < threshold)
                if len(below):
                    paid[place] = min(below[0] + WINDOW, tokens[order[place]])
            done = WARM
            for most in range(WARM, s + 1):
                while done < most and voted(codes[:done], weights[:done])[1] < ENOUGH:
                    done += 1
                accuracy[most - WARM, q] += voted(codes[:done], weights[:done])[0]
                spend[most - WARM, q] += paid[:done].sum()
    return spend / len(orders), accuracy / len(orders)


def learned(samples: Samples, orders: NDArray[np.intp]) -> Curve:
    """Return `Sequential`, held out."""
    n = len(samples)
    budgets = SETTINGS[samples.answers.shape[1] >= SETTINGS] * float(samples.cost.mean())
    spend, accuracy = np.zeros((2, len(budgets), n))
    for train, held in split(n, FOLDS, 0):
        policy = Sequential().fit(None, samples.take(train))
        done = policy.replay(None, samples.take(held), budgets, columns={"": orders[:, held]})
        spend[:, held], accuracy[:, held] = done.spend, done.accuracy
    return spend, accuracy


def without(samples: Samples, *fields: str) -> Samples:
    """Return the samples without some of what was recorded."""
    kept = {name: getattr(samples, name) for name in ("cost", "tokens", "logprobs", "confidence") if name not in fields}
    return Samples(samples.answers, ids=samples.ids, **kept)


def main() -> None:
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=24, help="random orders of each question's samples (24)")
    args = parser.parse_args()
    samples, recorded = worked_samples(), load_worked_steps()
    n, s = samples.answers.shape
    orders = np.random.default_rng(0).random((args.orders, n, s)).argsort(axis=2)
    mean = float(samples.cost.mean())
    whole = np.array([voted(row, np.ones(s))[0] for row in samples.answers]).mean()
    right = float((samples.answers == 0).mean())
    print(f"{n} questions x {s} samples, {mean:.1f} tokens each; {right:.3f} right, a vote over all {whole:.3f}\n")
    for name, values in samples.confidence.items():
        print(f"{name} confidence: {ranked(values, samples.answers == 0):.3f} of right and wrong pairs of a question")
    print()
    rules: dict[str, Callable[[], Curve]] = {
        "fixed k": lambda: offline(samples, orders, None, 1.0),
        "Sequential, votes": lambda: learned(without(samples, "tokens", "logprobs", "confidence"), orders),
        "Sequential, lengths and logprobs": lambda: learned(without(samples, "confidence"), orders),
        "Sequential, confidence too": lambda: learned(samples, orders),
    }
    for figure in samples.confidence:
        for share in SHARES:
            name = f"DeepConf offline, {figure}, surest {100 * share:.0f} %"
            rules[name] = lambda figure=figure, share=share: offline(samples, orders, figure, share)  # type: ignore[misc]
    for share in SHARES[:3]:
        rules[f"DeepConf online, surest {100 * share:.0f} %"] = lambda share=share: online(  # type: ignore[misc]
            samples, recorded.confidences, orders, share
        )
    curves = {name: make() for name, make in rules.items()}
    show(curves, [k for k in (2, 3, 4, 6, 8, 12) if k < s], mean)


def ranked(values: Floats, right: NDArray[np.bool_]) -> float:
    """Return how often a right answer has a higher figure than a wrong one of the same question; ties count half."""
    won = total = 0.0
    for row, good in zip(values, right, strict=True):
        gaps = row[good][:, None] - row[~good][None, :]
        won += float((gaps > 0).sum() + 0.5 * (gaps == 0).sum())
        total += gaps.size
    return won / total


def show(curves: dict[str, Curve], sizes: list[int], mean: float) -> None:
    """Print accuracy at the tokens of some numbers of samples, and the gap to `Sequential` on votes."""
    base = "Sequential, votes"
    print("| rule | " + " | ".join(f"{k} samples ({k * mean:.0f} tokens)" for k in sizes) + " |")
    print("| --- |" + " --- |" * len(sizes))
    cells: list[tuple[str, int, Any]] = []
    for name, (spend, accuracy) in curves.items():
        row = []
        for k in sizes:
            low, high = spend.mean(axis=1).min(), spend.mean(axis=1).max()
            if not low * 0.999 <= k * mean <= high * 1.001:
                row.append("-")
                continue
            one = at_spend(k * mean, spend, accuracy)
            beside = at_spend(k * mean, *curves[base])
            gap = paired(one, beside)
            if name != base:
                cells.append((name, k, one - beside))
            row.append(
                f"{100 * one.mean():.1f}" + ("" if name == base else f" ({100 * gap.mean:+.1f} ± {half(gap):.1f})")
            )
        print(f"| {name} | " + " | ".join(row) + " |")
    errors = [float(gap.std(ddof=1)) / math.sqrt(len(gap)) for _, _, gap in cells]
    p = np.array(
        [beyond(abs(g.mean()) / e, len(g) - 1) if e > 0 else 1.0 for (_, _, g), e in zip(cells, errors, strict=True)]
    )
    print(f"\nThe gaps in brackets are to {base!r}, in points, with 95 % intervals. After Holm's correction over all:")
    for (name, k, gap), corrected in zip(cells, holm(p).tolist(), strict=True):
        if corrected < 0.05:
            print(f"  {name}, {k} samples: {100 * gap.mean():+.1f} points, p = {corrected:.3g}")


def half(gap: Any) -> float:
    """Return half of an interval, in points."""
    return 50 * float(gap.high - gap.low)


if __name__ == "__main__":
    main()
