"""Recorded tables through the real gateway, beside their offline replay: ``python -m bench.gateway``.

    python -m bench.gateway                     all tables, on half of their questions (about two minutes)
    python -m bench.gateway --quick             100 questions of each
    python -m bench.gateway --only recorded --json replayed.json

Policies are fitted on one half of the questions and played on the other half. ``tcalloc serve`` is a process of its
own; the server behind it holds the recorded samples (`recorded.py`). "Differ" counts the questions on which the answer
or the spend through the gateway is not the offline one, to the digit. In the second table all questions share a
budget: three quarters of what the policy would spend, for at least 1,000 requests, among which questions come again. It
is compared with one request at a time. With 4 at a time, decisions see other bills, so that accuracy may differ by
chance: the paired difference stands there with its 95 % interval.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.gateway.processes import gateway
from bench.gateway.recorded import RecordedServer
from bench.gateway.replay import REFUSED, Played, offline, offline_kept, through
from bench.scoring import paired
from bench.studies.stopping_cases import DATA, load, texts_of
from tcalloc import BudgetKeeper, load_policy
from tcalloc.datasets import load_recorded
from tcalloc.learn.protocol import Always
from tcalloc.learn.routing.priced import PricedPolicy
from tcalloc.learn.sequential import Sequential
from tcalloc.measure import Samples
from tcalloc.measure.actions import One, Vote

AT_ONCE = 4
# The most samples of a question; with a budget, their highest cost is reserved.
MOST = 8
# One token costs 1, so that spends are whole numbers, and equal to the digit if they are equal.
RATES = ("--price-in", "0", "--price-out", "1000000")


@dataclass(frozen=True)
class Recorded:
    """One table.

    Attributes
    ----------
    name : str
        Its name.
    samples : Samples
        Its samples; of one model they cost their tokens.
    texts : list of str
        Its questions, each once.
    """

    name: str
    samples: Samples
    texts: list[str]

    @property
    def several(self) -> bool:
        """Whether there are several models. One price per token cannot stand for all of them."""
        return len(self.samples.by_model) > 1

    @property
    def longest(self) -> int:
        """The most tokens of a sample."""
        return int(max(np.nanmax(arm.tokens["output"]) for arm in self.samples.by_model.values()))

    def halves(self, most: int | None) -> tuple[list[int], list[int]]:
        """Return the questions that policies are fitted on, and those that are played: so many of them."""
        order = np.random.default_rng(0).permutation(len(self.texts))
        return sorted(order[::2].tolist()), sorted(order[1::2].tolist())[:most]


def tables() -> Iterator[Recorded]:
    """Yield the tables with texts and lengths; only the shipped ones where ../shared/data is not there."""
    shipped = load_recorded()
    texts = [str(row["question"]) for row in shipped.questions]
    arms = {}
    for model in ("smollm2_135m", "qwen25_0p5b"):
        codes, tokens = shipped.answers[model].astype(int), shipped.tokens[model].astype(float)
        yield Recorded(f"recorded {model}", Samples(codes, cost=tokens, tokens=tokens), texts)
        arms[model] = Samples(codes, cost=shipped.relative_cost[model], tokens=tokens)
    yield Recorded("recorded, two models", Samples(arms=arms), texts)
    if not DATA.is_dir():
        print(f"{DATA} is not there: only the shipped tables are played.")
        return
    for stem in ("gsm8k_qwen25_1p5b_n30", "gsm8k_gpt4omini_n40"):
        found = load(stem)
        tokens = found["cost"].astype(float)
        texts = texts_of(stem, "question")
        yield Recorded(stem, Samples(found["answer"].astype(int), cost=tokens, tokens=tokens), texts)
    stem = "cruxeval_codellama7b_n10"
    found = load(stem)
    tokens = found["cost_output"].astype(float)
    texts = texts_of(stem, "question", "input")
    yield Recorded("cruxeval output", Samples(found["answer_output"].astype(int), cost=tokens, tokens=tokens), texts)


def policies(table: Recorded, rows: list[int]) -> dict[str, Any]:
    """Return the policies that are played, fitted on some questions."""
    samples = table.samples.take(rows)
    texts = [table.texts[row] for row in rows]
    mean = np.mean([np.nanmean(arm.cost) for arm in samples.by_model.values()])
    found: dict[str, Any] = {"Sequential": Sequential(budget=3 * mean, most=MOST).fit(texts, samples)}
    if table.several:
        return found
    actions = [One(), Vote(2), Vote(4), Vote(MOST)]
    priced = PricedPolicy(budget=2.5 * mean, gate=False).fit(texts, samples, actions=actions)
    return {"one": Always(One()), "vote4": Always(Vote(4)), "priced, by text": priced} | found


def play(
    table: Recorded, given: Mapping[str, Any], rows: list[int], stream: int, folder: Path
) -> Iterator[dict[str, Any]]:
    """Yield the figures of each policy on a table: without a budget, then with one.

    Parameters
    ----------
    table : Recorded
        The table.
    given : mapping of str to Policy
        The policies.
    rows : list of int
        The questions that are played.
    stream : int
        Requests that share a budget, about: questions come again until there are so many.
    folder : Path
        For the policies.
    """
    with RecordedServer(table.samples, table.texts) as server:
        for name, fresh in given.items():
            policy, path = fresh, name
            if not isinstance(fresh, Always):
                path = str(folder / f"{table.name}, {name}")
                fresh.save(path)
                policy = load_policy(path)  # curves are stored with less precision
            figures = {"table": table.name, "policy": name, "questions": len(rows)}
            yield figures | _unkept(table, policy, path, rows, server)
            if not table.several:
                yield figures | _kept(table, policy, path, rows, stream, server)


def _unkept(table: Recorded, policy: Any, path: str, rows: list[int], server: RecordedServer) -> dict[str, Any]:
    here = offline(policy, table.samples, table.texts, rows)
    plain = offline(policy, table.samples, table.texts, rows, as_served=False)
    options = () if table.several else (*RATES, "--max-tokens", str(table.longest))
    before = server.billed
    with gateway(server.url, path, *options) as process:
        wire = through(process.url, "recorded", table.texts, rows, AT_ONCE)
    figures = {"accuracy": wire.right.mean(), "offline": here.right.mean(), "plain": plain.right.mean()}
    spends = {"spend": wire.spend.mean(), "spend_offline": here.spend.mean(), "spend_plain": plain.spend.mean()}
    billed = None if table.several else float(server.billed - before)
    return figures | spends | {"differ": wire.differing(here), "booked": wire.spend.sum(), "billed": billed}


def _kept(
    table: Recorded, policy: Any, path: str, rows: list[int], stream: int, server: RecordedServer
) -> dict[str, Any]:
    """Return what comes of a budget of three quarters of what the policy would spend, on a stream of requests."""
    rounds = -(-stream // len(rows))
    played = rows * rounds
    alone = offline(policy, table.samples, table.texts, rows)
    total, longest = round(0.75 * rounds * alone.spend.sum()), table.longest
    cap = MOST * longest
    keeper = BudgetKeeper(float(total), "", len(played), cap_per_question=float(cap))
    here = offline_kept(policy, table.samples, table.texts, played, keeper, float(longest))
    options = (
        *RATES, "--max-tokens", str(longest), "--total", str(total), "--period", str(len(played)),
        "--cap-per-question", str(cap),
    )  # fmt: skip
    found: dict[int, Played] = {}
    spent: dict[int, float] = {}
    for at_once in (1, AT_ONCE):
        before = server.billed
        with gateway(server.url, path, *options) as process:
            found[at_once] = through(process.url, "recorded", table.texts, played, at_once)
        spent[at_once] = float(server.billed - before)
    # A question that comes several times counts once.
    difference = paired(*(one.right.reshape(rounds, -1).mean(axis=0) for one in (found[AT_ONCE], here)))
    return {
        "requests": len(played), "total": total, "accuracy": found[1].right.mean(), "offline": here.right.mean(),
        "refused": int((found[1].code == REFUSED).sum()), "differ": found[1].differing(here), "spent": spent[1],
        "spent_many": spent[AT_ONCE], "booked_many": found[AT_ONCE].spend.sum(), "accuracy_many": str(difference),
        "low": difference.low, "high": difference.high,
    }  # fmt: skip


def unkept_table(rows: list[dict[str, Any]]) -> str:
    """Return the first table as Markdown."""
    lines = [
        "| table | policy | questions | accuracy, offline | through the gateway | spend, offline | through the gateway "
        "| differ |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [row["table"], row["policy"], str(row["questions"])]
        cells += [f"{row['offline']:.4f}", f"{row['accuracy']:.4f}"]
        cells += [f"{row['spend_offline']:.4f}", f"{row['spend']:.4f}", str(row["differ"])]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def kept_table(rows: list[dict[str, Any]]) -> str:
    """Return the second table as Markdown."""
    lines = [
        f"| table | policy | requests | budget | spent, one at a time | {AT_ONCE} at a time | refused "
        f"| accuracy, offline | through the gateway | differ | points from offline, {AT_ONCE} at a time |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [
            row["table"],
            row["policy"],
            str(row["requests"]),
            f"{row['total']:,}",
            f"{row['spent']:,.0f}",
            f"{row['spent_many']:,.0f}",
        ]
        cells += [str(row["refused"]), f"{row['offline']:.4f}", f"{row['accuracy']:.4f}", str(row["differ"])]
        lines.append(f"| {' | '.join([*cells, row['accuracy_many']])} |")
    return "\n".join(lines)


def wrong(rows: list[dict[str, Any]]) -> list[str]:
    """Return what must not be, in words."""
    found = []
    for row in rows:
        where = f"{row['table']}, {row['policy']}"
        if row["differ"]:
            found.append(f"{where}: {row['differ']} of {row['questions']} questions differ from the offline replay.")
        if "total" in row and max(row["spent"], row["spent_many"]) > row["total"]:
            found.append(f"{where}: {max(row['spent'], row['spent_many']):,.0f} of {row['total']:,} were spent.")
        if "total" in row and row["booked_many"] != row["spent_many"]:
            found.append(f"{where}: {row['booked_many']} booked, {row['spent_many']} billed.")
        if "billed" in row and row["billed"] is not None and row["billed"] != row["booked"]:
            found.append(f"{where}: {row['booked']} booked, {row['billed']} billed.")
    return found


def main() -> None:
    """Run the replay."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gateway", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", help="only tables whose name contains this")
    parser.add_argument("--quick", action="store_true", help="100 questions of each table")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for table in tables():
            if args.only is None or args.only in table.name:
                fitted, played = table.halves(100 if args.quick else None)
                rows += play(table, policies(table, fitted), played, 300 if args.quick else 1000, Path(folder))
    kept = [row for row in rows if "total" in row]
    print(unkept_table([row for row in rows if "total" not in row]))
    print()
    print(kept_table(kept))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1, default=float) + "\n", encoding="utf-8")
    if problems := wrong(rows):
        raise SystemExit("\n".join(problems))


if __name__ == "__main__":
    main()
