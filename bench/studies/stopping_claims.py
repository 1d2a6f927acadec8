"""Whether `Sequential.frontier()` claims what comes true: with texts, on few questions.

    python -m bench.studies.stopping_claims                                   three tables, 60 and 150 questions
    python -m bench.studies.stopping_claims --table cruxeval --questions 60   the tables whose name holds that
    python -m bench.studies.stopping_claims --seconds 600                     that long for each line (default: 170)

One draw trains on a random part of a table, with texts, lengths and log-probabilities where there are any. It reads the
claims of the frontier and replays the policy on other questions at the same budgets. "Bias" is claimed less true, mean
over the draws with its standard error.

Which questions fall into which part moves a claim by some 3 points. Most of that is known: how difficult the parts are
for two policies that were trained once, and how lucky the replayed orders were. These differences are zero on average
and are regressed out of the bias.

So that there can be many draws, the policies draw at most 6 samples and learn from fewer random orders and prices.
"""

import argparse
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.studies.stopping_cases import Case, cases
from tcalloc.learn.replay.all_orders import random_orders
from tcalloc.learn.rows import take_rows
from tcalloc.learn.sequential import Sequential, selection, training
from tcalloc.measure import Samples

Floats = NDArray[np.float64]

TABLES = ("gsm8k_gpt4omini", "cruxeval output", "recorded smollm2_135m")
SPENDS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)
MOST, REST, ORDERS = 6, 230, 4
# Questions that a policy of reference is trained on.
LARGE = 250


def lighten() -> None:
    """Learn from fewer runs at fewer prices."""
    training.RUNS_ONE, training.RUNS_COUNTS = 900, 1500
    training.PRICES, selection.STEPS = np.geomspace(3e-4, 1.5, 16), 14


def policy_of(case: Case, seed: int) -> Sequential:
    return Sequential(answer_by="verifier" if case.verifier else None, most=MOST, random_state=seed)


def reached(policy: Sequential, case: Case, texts: Any, rows: Any, orders: int, seed: int) -> tuple[Floats, Floats]:
    """Return accuracy and spend of some questions, (spends, questions) each."""
    found = policy.replay(
        take_rows(texts, rows), case.with_extras.take(rows), budgets=SPENDS, orders=orders, random_state=seed
    )
    return found.accuracy, found.spend


def references(case: Case) -> list[Floats]:
    """Return what each question brings and costs under two policies, with texts and without: (spends, questions)."""
    n = len(case.with_extras)
    some = np.sort(np.random.default_rng(5).permutation(n)[:LARGE])
    parts = []
    for texts in (case.texts, None):
        policy = policy_of(case, 0).fit(take_rows(texts, some), case.with_extras.take(some))
        blocks = [reached(policy, case, texts, rows, 16, 0) for rows in np.array_split(np.arange(n), -(-n // 200))]
        parts += [np.concatenate([block[i] for block in blocks], axis=1) for i in range(2)]
    return parts


def luck(samples: Samples, orders: int, seed: int) -> float:
    """Return by how much the first samples of the replayed orders are right more often than all samples."""
    right = samples.correct & samples.drawn
    first = random_orders(samples.drawn, orders, seed)[:, :, :1]
    return float(
        np.take_along_axis(right[None], first, 2).mean() - (right.sum(axis=1) / samples.drawn.sum(axis=1)).mean()
    )


def draw(case: Case, known: list[Floats], n: int, seed: int) -> tuple[Floats, Floats, Any]:
    """Return one draw's bias and its known part, and which rules read more than counts, by spend."""
    order = np.random.default_rng([seed, 55]).permutation(len(case.with_extras))
    train, rest = np.sort(order[:n]), np.sort(order[n : n + REST])
    policy = policy_of(case, seed).fit(take_rows(case.texts, train), case.with_extras.take(train))
    curve = policy.frontier()
    true, _ = reached(policy, case, case.texts, rest, ORDERS, seed)
    bias = np.interp(SPENDS, curve.spend, curve.accuracy) - true.mean(axis=1)
    parts = [part[:, train].mean(axis=1) - part[:, rest].mean(axis=1) for part in known]
    (model,) = case.with_extras.by_model.values()
    parts.append(np.full(len(SPENDS), luck(model.take(rest), ORDERS, seed)))
    names = [curve.family[int(np.abs(curve.spend - spend).argmin())] for spend in SPENDS]
    return bias, np.stack(parts), [name in ("lengths", "questions") for name in names]


def adjusted(bias: Floats, known: Floats) -> tuple[float, float]:
    """Return the mean bias and its standard error, known parts (of mean 0) regressed out; (draws,), (draws, parts)."""
    wide = np.ones((len(bias), 1))
    for part in known.T:
        rest = part - wide @ np.linalg.lstsq(wide, part, rcond=None)[0]
        if rest.std() > 1e-6 and len(bias) > 3 * (wide.shape[1] + 1):
            wide = np.column_stack([wide, part])
    beta = np.linalg.lstsq(wide, bias, rcond=None)[0]
    left = bias - wide @ beta
    variance = np.linalg.inv(wide.T @ wide)[0, 0] * (left @ left) / (len(bias) - wide.shape[1])
    return float(beta[0]), float(np.sqrt(variance))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--table", default="", help="only the tables whose name holds this")
    parser.add_argument("--questions", type=int, nargs="+", default=[60, 150])
    parser.add_argument("--seconds", type=float, default=170.0, help="for each line")
    args = parser.parse_args()
    lighten()
    print(f"{'bias in points ± standard error at spend':>58}  " + "".join(f"{spend:^15g}" for spend in SPENDS))
    for case in cases():
        if case.name not in TABLES if not args.table else args.table not in case.name:
            continue
        known = references(case)
        for n in args.questions:
            draws: list[Any] = []
            start = time.monotonic()
            while len(draws) < 4 or time.monotonic() - start < args.seconds:
                draws.append(draw(case, known, n, len(draws)))
            bias, parts = (100 * np.array([part[i] for part in draws]) for i in (0, 1))
            found = [adjusted(bias[:, b], parts[:, :, b]) for b in range(len(SPENDS))]
            said = "".join(f"{f'{mean:+.2f} ± {error:.2f}':^15}" for mean, error in found)
            print(f"{f'{case.name}, {n} questions, {len(draws)} draws':>58}  {said}")
            read = "".join(f"{share:^15.0%}" for share in np.mean([part[2] for part in draws], axis=0))
            print(f"{'draws whose rule reads more than counts':>58}  {read}", flush=True)


if __name__ == "__main__":
    main()
