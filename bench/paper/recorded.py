"""Recorded answers, for replays: those of ../shared/data and the table that ships with the package."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.paper.data import Data
from tcalloc.datasets import load_recorded
from tcalloc.errors import InputError
from tcalloc.measure import Samples

__all__ = ["DATA", "REPLAYS", "replay"]

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def _gsm8k(stem: str, model: str, note: str) -> Data:
    path = DATA / f"{stem}.npz"
    if not path.is_file():
        raise InputError(f"{path} is not there. Put the recorded tables beside the checkout, or replay recorded_…")
    with np.load(path, allow_pickle=False) as found:
        codes, length = found["answer"].astype(int), found["cost"].astype(float)
    with gzip.open(DATA / f"{stem}.questions.jsonl.gz", "rt", encoding="utf-8") as lines:
        texts = [str(json.loads(line)["question"]) for line in lines]
    return Data("GSM8K", model, texts, Samples(codes, tokens={"output": length}), None, (note,))


def _shipped(model: str, name: str) -> Data:
    recorded = load_recorded()
    samples = Samples(
        recorded.answers[model].astype(int),
        tokens={"output": recorded.tokens[model].astype(float)},
        logprobs=recorded.logprobs[model].astype(float),
    )
    texts = [str(row["question"]) for row in recorded.questions]
    levels = [f"level {d}" for d in recorded.difficulty.tolist()]
    return Data("short questions", name, texts, samples, levels, ("These are neither GSM8K nor MATH.",))


REPLAYS: dict[str, Callable[[], Data]] = {
    "gsm8k_gpt4omini": lambda: _gsm8k(
        "gsm8k_gpt4omini_n40", "gpt-4o-mini", "40 responses are recorded, not 48; their lengths are output tokens."
    ),
    "gsm8k_qwen25_1p5b": lambda: _gsm8k(
        "gsm8k_qwen25_1p5b_n30",
        "Qwen2.5-1.5B",
        "191 questions, 30 responses at three temperatures; Qwen2.5-7B was not recorded. Lengths are characters.",
    ),
    "recorded_smollm2_135m": lambda: _shipped("smollm2_135m", "SmolLM2-135M"),
    "recorded_gemma3_270m": lambda: _shipped("gemma3_270m", "Gemma-3-270M"),
    "recorded_qwen25_0p5b": lambda: _shipped("qwen25_0p5b", "Qwen2.5-Coder-0.5B"),
}
"""What can be replayed, by name. MATH was not recorded."""


def replay(name: str) -> Data:
    """Return recorded answers by name.

    Raises
    ------
    InputError
        If there are none of that name, or the file is missing.
    """
    if name not in REPLAYS:
        raise InputError(f"--replay {name}: not recorded; expected one of {', '.join(REPLAYS)}.")
    return REPLAYS[name]()
