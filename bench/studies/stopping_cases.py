"""The recorded tables with several samples a question, as cases for `stopping.py`."""

import gzip
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tcalloc.datasets import load_recorded
from tcalloc.measure import Samples

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SPENDS = (1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
# Orders times questions of a case, about: more orders where there are fewer questions.
WALKS = 60_000


@dataclass(frozen=True)
class Case:
    """A table, what counts as right, and the spends at which policies are compared."""

    name: str
    samples: Samples
    """Spends count samples unless there are costs."""
    texts: list[str] | None = None
    """What a policy may know about each question."""
    verifier: bool = False
    spends: tuple[float, ...] = SPENDS
    extras: Samples | None = None
    """The same samples with lengths and log-probabilities: what a policy may read once it has paid."""

    @property
    def with_extras(self) -> Samples:
        """What a policy is trained on and replayed with."""
        return self.samples if self.extras is None else self.extras

    def orders(self, share: float = 1.0) -> int:
        """Return how many orders are replayed."""
        size = max(arm.drawn.shape[1] for arm in self.samples.by_model.values())
        # Whole turns of the record: then every sample comes first equally often.
        return size * max(1, round(share * min(200, WALKS // len(self.samples)) / size))


def texts_of(stem: str, *fields: str) -> list[str]:
    """Return what the model was asked: never the field that holds the gold answer."""
    with gzip.open(DATA / f"{stem}.questions.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return ["\n".join(str(row[field]) for field in fields) for row in rows]


def load(stem: str) -> dict[str, Any]:
    with np.load(DATA / f"{stem}.npz", allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def cases() -> list[Case]:
    """Return all cases; only the shipped table's where ../shared/data is not there."""
    found = []
    if DATA.is_dir():
        for stem in ("gsm8k_gpt4omini_n40", "gsm8k_qwen25_1p5b_n30"):
            table = load(stem)
            codes, length = table["answer"].astype(int), table["cost"].astype(float)
            found.append(
                Case(
                    stem[: stem.rindex("_")],
                    Samples(codes),
                    texts_of(stem, "question"),
                    extras=Samples(codes, tokens=length),
                )
            )
        crux = load("cruxeval_codellama7b_n10")
        stem = "cruxeval_codellama7b_n10"
        codes, length = crux["answer_output"].astype(int), crux["cost_output"].astype(float)
        found.append(
            Case(
                "cruxeval output",
                Samples(codes),
                texts_of(stem, "question", "input"),
                extras=Samples(codes, tokens=length),
            )
        )
        right, length = crux["correct_input"], crux["cost_input"].astype(float)
        found.append(
            Case("cruxeval input, verifier", Samples(correct=right), texts_of(stem, "question", "output"), True,
                 extras=Samples(correct=right, tokens=length))
        )  # fmt: skip
    else:
        print(f"{DATA}: not there; only the shipped table.", file=sys.stderr)
    found += _shipped()
    if DATA.is_dir():
        aime = load("aime24_o3mini_effort3_n40")
        arms = {}
        for e, effort in enumerate(aime["effort"].tolist()):
            codes, tokens = aime["answer"][:, e].astype(int), aime["cost"][:, e].astype(float)
            found.append(Case(f"aime24 {effort}", Samples(codes), extras=Samples(codes, tokens=tokens)))
            arms[effort] = Samples(codes, cost=tokens, tokens=tokens)
        found.append(Case("aime24, efforts by tokens", Samples(arms=arms), spends=(2e3, 4e3, 8e3, 16e3, 32e3)))
    return found


def _shipped() -> list[Case]:
    recorded = load_recorded()
    texts = [row["question"] for row in recorded.questions]
    found, arms = [], {}
    for model in recorded.models:
        codes = recorded.answers[model].astype(int)
        more = {"tokens": recorded.tokens[model].astype(float), "logprobs": recorded.logprobs[model].astype(float)}
        found.append(Case(f"recorded {model}", Samples(codes), texts, extras=Samples(codes, **more)))
        found.append(Case(f"recorded {model}, verifier", Samples(codes), texts, True, extras=Samples(codes, **more)))
        arms[model] = Samples(codes, cost=recorded.relative_cost[model], **more)
    cascade = {name: arms[name] for name in ("smollm2_135m", "qwen25_0p5b")}
    found.append(Case("recorded, smollm2 then qwen", Samples(arms=cascade), texts, spends=(1.0, 1.5, 2.0, 2.6, 3.0)))
    return found
