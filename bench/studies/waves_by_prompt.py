"""How many samples to draw at once, by the length of the prompt: where several at once become better than one in turn.

    python -m bench.studies.waves_by_prompt                                      the table of docs/costs.md, 15 minutes
    python -m bench.studies.waves_by_prompt --plot docs/waves.png                and its picture
    python -m bench.studies.waves_by_prompt --prompts 30 3000 --questions 150    less of it

Each draw is one request, which pays its prompt once for all of its samples. A question's later requests read the prompt
from the provider's cache: at the full price, at half of it, or at a tenth. Output tokens cost four times as much as
input tokens, and an answer has 100. The budget is always the price of one request with four answers.

Policies are trained on some questions of recorded answers and replayed on the others: `in turn` draws single samples,
`four` always four at once, and `chosen` is what Sequential does by default. `per draw` is what it draws on average.
"""

import argparse
from pathlib import Path

import numpy as np

from bench.studies.stopping_cases import load
from tcalloc import Rates
from tcalloc.learn.sequential import Sequential
from tcalloc.measure import Samples

PROMPTS = (10, 30, 100, 300, 1000, 3000, 10_000)
# Shares of the input price that cached tokens cost.
CACHED = (1.0, 0.5, 0.1)
ANSWER, AT_ONCE, COLUMNS = 100, 4, 16
WAVES = {"in turn": (1,), "four": (4,), "chosen": None}


def study(stem: str, prompts: list[int], questions: int, seed: int) -> list[dict[str, float]]:
    """Return a row per prompt length and price of cached tokens."""
    codes = load(stem)["answer"].astype(int)[:, :COLUMNS]
    order = np.random.default_rng(seed).permutation(len(codes))
    train, held = codes[order[:questions]], codes[order[questions : 3 * questions]]
    found = []
    for cached in CACHED:
        rates = Rates.per_million(1.0, 4.0, cached_input=cached)
        for prompt in prompts:
            first, later = rates.request_cost(prompt), rates.request_cost(prompt, cached_tokens=prompt)
            known, other = (
                Samples(some, cost=rates.answer_cost(ANSWER), round_cost=first, later_round_cost=later)
                for some in (train, held)
            )
            budget = rates.of(prompt, ANSWER, samples=AT_ONCE)
            row: dict[str, float] = {"cached": cached, "prompt": prompt}
            for name, waves in WAVES.items():
                policy = Sequential(budget=budget, waves=waves).fit(None, known)
                done = policy.replay(None, other)
                row[name], row[f"{name} spend"] = float(done.accuracy.mean()), float(done.spend.mean()) / budget
            drawn = (done.spend.mean() - first - later * (done.rounds.mean() - 1)) / rates.answer_cost(ANSWER)
            row["per draw"] = float(drawn / done.rounds.mean())
            found.append(row)
            print(line(row), flush=True)
    return found


HEAD = "cached at  prompt  in turn     four   chosen  per draw   spend of each, in budgets"


def line(row: dict[str, float]) -> str:
    """Return one row of the table."""
    reached = " ".join(f"{100 * row[name]:7.1f}%" for name in WAVES)
    spent = " ".join(f"{row[f'{name} spend']:.2f}" for name in WAVES)
    return f"{row['cached']:9.0%} {row['prompt']:7,.0f} {reached} {row['per draw']:9.2f}   {spent}"


def plot(rows: list[dict[str, float]], path: str, stem: str) -> None:
    """Draw accuracy and samples per draw over the length of the prompt."""
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), constrained_layout=True)
    full = [row for row in rows if row["cached"] == 1.0]
    prompts = [row["prompt"] for row in full]
    for name, style in (("in turn", ":"), ("four", "--"), ("chosen", "-")):
        label = {"in turn": "one after another", "four": "four at once", "chosen": "as Sequential chooses"}[name]
        left.plot(prompts, [100 * row[name] for row in full], style, marker="o", markersize=3, label=label)
    left.set(xscale="log", xlabel="tokens of the prompt", ylabel="accuracy, %", title="no cache, equal budgets")
    left.legend(frameon=False, loc="lower left")
    for cached in CACHED:
        some = [row for row in rows if row["cached"] == cached]
        label = "no cache" if cached == 1.0 else f"cached tokens at {cached:.0%} of the price"
        right.plot(prompts, [row["per draw"] for row in some], marker="o", markersize=3, label=label)
    right.set(xscale="log", xlabel="tokens of the prompt", ylabel="samples per draw", title="as Sequential chooses")
    right.legend(frameon=False, loc="upper left", fontsize=8)
    figure.suptitle(f"{stem}: answers of {ANSWER} tokens, at four times the price of input tokens", fontsize=10)
    figure.savefig(path, dpi=130, metadata={"Software": "python -m bench.studies.waves_by_prompt"})


def main() -> None:
    """Read the command line, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", default="gsm8k_qwen25_1p5b_n30", help="a table of ../shared/data with answers")
    parser.add_argument("--prompts", type=int, nargs="+", default=list(PROMPTS), metavar="TOKENS")
    parser.add_argument("--questions", type=int, default=90, help="to train on; twice as many are held out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plot", metavar="FILE", help="draw it, too")
    args = parser.parse_args()
    print(HEAD)
    rows = study(args.table, args.prompts, args.questions, args.seed)
    if args.plot is not None:
        plot(rows, args.plot, Path(args.table).name)


if __name__ == "__main__":
    main()
