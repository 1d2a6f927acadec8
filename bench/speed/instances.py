"""What is solved: seeded generators, and the real tables of ../shared/data.

Each case builds its instance when its test runs, so that collecting costs nothing and memory is given back.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Absent", "Case", "Instance", "between", "slug", "synthetic", "tables"]

# Beside the repository, not in it: some of these tables carry no licence.
DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

# Samples per question, which is what the actions stand for.
SAMPLES = {5: (1, 2, 4, 8, 16), 8: (1, 2, 3, 4, 6, 8, 12, 16), 16: tuple(range(1, 17))}

# Where the budget stands between the cheapest choice (0) and the best one (1).
MIDDLE = 0.35

Array = NDArray[Any]


class Absent(Exception):
    """A table that is not there; the message is the reason for the skip."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One problem. Arrays are C-contiguous float64 unless a benchmark is about something else."""

    acc: Array  # (N, K)
    cost: Array  # (N, K) or (K,)
    budget: float
    available: Array | None = None
    weights: Array | None = None

    @property
    def options(self) -> dict[str, Array]:
        """The optional arguments of tcalloc.solve."""
        given = {"available": self.available, "weights": self.weights}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Case:
    """A named instance; `size` is N·K where it is known before it is built (0: a table)."""

    name: str
    build: Callable[[], Instance]
    size: int = 0

    @property
    def slug(self) -> str:
        """The name as pytest's -k takes it."""
        return slug(self.name)


def slug(name: str) -> str:
    """Spell a name without what pytest's -k does not allow."""
    return re.sub(r"[^\w.-]+", "-", name.replace("@", "").replace("%", "")).strip("-")


def between(acc: Array, cost: Array, share: float) -> float:
    """Return the budget that stands at `share` of the way from the cheapest choice to the best."""
    full = np.broadcast_to(cost, acc.shape)
    low = float(full.min(axis=1).mean(dtype=np.float64))
    best = np.where(acc == acc.max(axis=1, keepdims=True), full, math.inf).min(axis=1)
    return low + share * (float(best.mean(dtype=np.float64)) - low)


def _instance(acc: Array, cost: Array, share: float = MIDDLE) -> Instance:
    acc, cost = np.ascontiguousarray(acc, dtype=np.float64), np.ascontiguousarray(cost, dtype=np.float64)
    return Instance(acc, cost, between(acc, cost, share))


# ---------------------------------------------------------------------------------------------- generators


def _passk(n: int, k: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """pass@k curves 1 − (1 − p)^k; as in real tables many questions are never or always right. Costs in tokens."""
    p = rng.beta(0.6, 0.8, n)
    p[rng.random(n) < 0.2] = 1.0
    p[rng.random(n) < 0.1] = 0.0
    samples = np.array(SAMPLES[k], dtype=np.float64)
    tokens = np.round(rng.lognormal(5.0, 0.6, n) * 40) / 40  # the mean of 40 samples' token counts
    return 1.0 - (1.0 - p[:, None]) ** samples, tokens[:, None] * samples


def _uncorrelated(n: int, k: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Nothing to exploit: neither is sorted, and most actions are dominated."""
    return rng.random((n, k)), rng.random((n, k)) * 100.0


def _ties(n: int, k: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """0/1 accuracies and integer costs that all rows share: K − 1 prices at most, so nearly every row ties."""
    acc = (rng.random((n, k)) < rng.beta(0.8, 0.8, (n, 1))).astype(np.float64)
    return acc, np.array(SAMPLES[k], dtype=np.float64)


KINDS = {"pass@k": _passk, "uncorrelated": _uncorrelated, "ties": _ties}


def synthetic(kind: str, n: int, k: int, share: float = MIDDLE) -> Case:
    """Return the case of this kind and shape; the seed depends on both."""

    def build() -> Instance:
        seed = [list(KINDS).index(kind), n, k]
        return _instance(*KINDS[kind](n, k, np.random.default_rng(seed)), share)

    name = kind if share == MIDDLE else f"{kind}, budget {share:.0%}"
    return Case(name, build, n * k)


# ---------------------------------------------------------------------------------------------- real tables


def _load(name: str) -> dict[str, Any]:
    path = DATA / f"{name}.npz"
    if not path.is_file():
        raise Absent(f"no table {path.name} in ../shared/data beside this checkout")
    with np.load(path) as file:
        table = {key: file[key] for key in file.files}
    table["meta"] = json.loads(str(table["meta"]))
    return table


def _votes(answers: Array, samples: tuple[int, ...]) -> Array:
    """vote@k, one column per k: the exact expectation."""
    from tcalloc.measure.votes import vote_accuracy

    return np.column_stack([vote_accuracy(answers, k) for k in samples])


def _passes(correct: Array, samples: tuple[int, ...]) -> Array:
    """pass@k = 1 − C(S − c, k) / C(S, k), one column per k."""
    total = correct.shape[1]
    closed = np.array(
        [[1.0 - math.comb(total - c, k) / math.comb(total, k) for k in samples] for c in range(total + 1)]
    )
    return closed[correct.sum(axis=1)]


def _gsm8k_gpt4omini() -> Instance:
    table, samples = _load("gsm8k_gpt4omini_n40"), (1, 2, 4, 8, 16, 32)
    tokens = table["cost"].mean(axis=1, keepdims=True)
    return _instance(_votes(table["answer"], samples), tokens * np.array(samples))


def _gsm8k_qwen() -> Instance:
    table, samples = _load("gsm8k_qwen25_1p5b_n30"), (1, 2, 4, 8, 16)
    characters = table["cost"].mean(axis=1, keepdims=True)
    return _instance(_votes(table["answer"], samples), characters * np.array(samples))


def _cruxeval_input() -> Instance:
    table, samples = _load("cruxeval_codellama7b_n10"), (1, 2, 3, 5, 10)
    return _instance(_passes(table["correct_input"], samples), np.array(samples))


def _cruxeval_output() -> Instance:
    table, samples = _load("cruxeval_codellama7b_n10"), (1, 2, 3, 5, 10)
    return _instance(_votes(table["answer_output"], samples), np.array(samples))


def _aime() -> Instance:
    table, samples = _load("aime24_o3mini_effort3_n40"), (1, 4, 8, 16)
    efforts = range(table["answer"].shape[1])
    acc = np.column_stack([_votes(table["answer"][:, e], samples) for e in efforts])
    cost = np.column_stack([table["cost"][:, e].mean(axis=1, keepdims=True) * np.array(samples) for e in efforts])
    return _instance(acc, cost)


def _recorded() -> Instance:
    table, samples = _load("recorded_local_llms"), (1, 2, 4, 8)
    relative = {"smollm2_135m": 1.0, "gemma3_270m": 1.2, "qwen25_0p5b": 2.6}  # CPU time of one sample
    acc = np.column_stack([_votes(table[f"answer_{model}"], samples) for model in relative])
    return _instance(acc, np.outer(list(relative.values()), samples).ravel())


def _mmlupro() -> Instance:
    table = _load("mmlupro_28models")
    known = np.isfinite(table["active_params_b"])  # undisclosed sizes have no cost
    params = table["active_params_b"][known].astype(np.float64)
    return _instance(table["correct"][:, known], params * np.minimum(table["out_chars"][:, known], 4000) / 4000)


def _ulab() -> Instance:
    table = _load("ulab_mixed_9models")
    tokens = table["prompt_chars"][:, None] / 4 + 200
    return _instance(table["score"], table["price"].astype(np.float64) * tokens / 1000)


def tables() -> Iterator[Case]:
    """Yield a case for every real table; building one raises `Absent` where the table is not there."""
    yield Case("gsm8k_gpt4omini vote@k", _gsm8k_gpt4omini)
    yield Case("gsm8k_qwen25_1p5b vote@k", _gsm8k_qwen)
    yield Case("cruxeval input pass@k", _cruxeval_input)
    yield Case("cruxeval output vote@k", _cruxeval_output)
    yield Case("aime24_o3mini effort×k", _aime)
    yield Case("recorded_local_llms model×k", _recorded)
    yield Case("mmlupro_28models", _mmlupro)
    yield Case("ulab_mixed_9models", _ulab)
