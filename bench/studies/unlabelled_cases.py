"""The tables of `bench.unlabelled`: recorded samples with gold answers, which are hidden from one of two policies."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.studies import stopping_cases
from bench.studies.stopping_cases import DATA, load, texts_of
from tcalloc.measure import Samples

# Samples of one model that are used at most.
MOST = 40


@dataclass(frozen=True)
class Case:
    """A table, the policy that is trained on it, and where the reference is from."""

    name: str
    samples: Samples
    """By gold answers."""
    spends: tuple[float, ...]
    policy: str = "Sequential"
    labels: str = "agreement"
    texts: list[str] | None = None

    @property
    def size(self) -> int:
        """Samples of the model with the most."""
        return max(int(arm.drawn.sum(axis=1).max()) for arm in self.samples.by_model.values())


def cases() -> list[Case]:
    """Return all cases; only the shipped table's where ../shared/data is not there."""
    found = []
    for one in stopping_cases.cases():
        if one.verifier or len(one.samples.by_model) > 1:
            continue
        size = max(arm.drawn.shape[1] for arm in one.samples.by_model.values())
        found.append(Case(one.name, one.samples, tuple(b for b in (1.5, 2.0, 3.0, 4.0, 6.0) if b < size)))
    shipped = {one.name: one for one in stopping_cases.cases()}["recorded, smollm2 then qwen"]
    bare = {name: Samples(arm.answers, cost=arm.cost) for name, arm in shipped.samples.by_model.items()}
    spends = (1.0, 1.5, 2.0, 2.6)
    found.append(Case("recorded, routing by text", Samples(arms=bare), spends, "priced", texts=shipped.texts))
    found.append(Case("recorded, cascade", Samples(arms=bare), spends, "cascade"))
    if DATA.is_dir():
        found += [*_bbh(), _mcqa(), _zeroeval()]
    return found


def _bbh() -> list[Case]:
    table = load("bbh_date_gpt35_gpt4_llama2")
    n = len(table["qid"])
    small, large = (table[name].reshape(n, -1).astype(int) for name in ("answer_gpt35", "answer_gpt4"))
    arms = {"gpt-3.5": Samples(small[:, :60], cost=1.0), "gpt-4": Samples(large, cost=25.0)}
    return [
        Case("bbh_date, gpt-3.5", Samples(small[:, :60]), (1.5, 2.0, 3.0, 4.0, 6.0)),
        Case("bbh_date, gpt-3.5 then gpt-4", Samples(arms=arms), (2.0, 4.0, 8.0, 14.0), "cascade"),
    ]


def _mcqa() -> Case:
    table = load("mcqa100_9models_n110")
    names = table["model"].tolist()
    order = np.random.default_rng(0).permutation(110)[:MOST]  # over all temperatures
    arms = {}
    for name in ("gpt-35-turbo", "mistral-large", "gemini-1.5-pro-preview-0409", "gpt-4"):
        m = names.index(name)
        codes = table["answer"][:, m].reshape(100, -1).astype(int)[:, order]
        arms[name] = Samples(codes, cost=1000 * float(table["usd_per_sample"][m]))
    return Case("mcqa100, four models by dollars", Samples(arms=arms), (1.0, 2.0, 5.0, 10.0), "cascade")


def _zeroeval() -> Case:
    table = load("zeroeval_mathl5_41models")
    names = table["model"].tolist()
    wanted = [f"Qwen2.5-{size}B-Instruct" for size in (3, 7, 32, 72)]
    arms = {
        name: Samples(
            table["answer"][:, names.index(name)][:, None].astype(int),
            cost=float(table["active_params_b"][names.index(name)]),
        )
        for name in wanted
        if name in names
    }
    texts = texts_of("zeroeval_mathl5_41models", "question")
    return Case(
        "zeroeval_mathl5, routing by text", Samples(arms=arms), (7.0, 15.0, 30.0, 50.0), "priced",
        f"model:{wanted[-1]}", texts,
    )  # fmt: skip


def some_columns(samples: Samples, size: int, seed: int) -> Samples:
    """Return at most so many random samples of each question and model, by the gold answers."""

    def few(arm: Samples, a: int) -> Samples:
        width = arm.drawn.shape[1]
        if width <= size:
            return arm
        order: NDArray[Any] = np.random.default_rng([seed, a]).random(arm.drawn.shape).argsort(axis=1)[:, :size]
        return arm.columns(order)

    arms = {name: few(arm, a) for a, (name, arm) in enumerate(samples.by_model.items())}
    return arms[""] if samples.arms is None else Samples(arms=arms)
