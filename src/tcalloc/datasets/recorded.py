"""The recorded table that ships: samples of three small models on the same questions."""

import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._printing import cleaned

__all__ = ["Recorded", "arrays_of", "load_recorded"]

# CPU cost of one sample, measured while recording; SmolLM2 is the unit.
RELATIVE_COST = {"smollm2_135m": 1.0, "gemma3_270m": 1.2, "qwen25_0p5b": 2.6}


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Recorded:
    """Samples of several models on the same N questions; S, the samples per question, may differ between models.

    Attributes
    ----------
    models : tuple of str
        The models, in order of cost; the keys of the mappings below.
    relative_cost : Mapping[str, float]
        CPU cost of one sample; the cheapest model's is 1.
    answers : Mapping[str, NDArray[np.int16]]
        (N, S) answer codes: -1 none, 0 the gold answer, 1, 2, … the others, the same answer in every model.
    correct : Mapping[str, NDArray[np.bool_]]
        (N, S) whether the answer is the gold one (code 0).
    tokens : Mapping[str, NDArray[np.int16]]
        (N, S) completion tokens, the stop token counted.
    logprobs : Mapping[str, NDArray[np.float32]]
        (N, S) log-probability of the completion, natural logarithm.
    ids : NDArray[np.str_]
        (N,) the questions' ids.
    families : NDArray[np.str_]
        (N,) the kind of question: add, sub, larger, numword, capital, opposite, past, plural, color, calendar.
    difficulty : NDArray[np.int8]
        (N,) graded within the family, 0 (easy) to 4 (hard).
    questions : list[dict[str, Any]]
        (N,) per question: ``question``, ``gold``, ``accept`` (accepted answers, lower case) and ``few_shot`` (the pairs
        of question and answer that the models were shown before it).
    meta : dict[str, Any]
        Provenance: ``models``, ``cost_unit``, ``sampling``, ``answer``.
    """

    models: tuple[str, ...]
    relative_cost: Mapping[str, float]
    answers: Mapping[str, NDArray[np.int16]]
    correct: Mapping[str, NDArray[np.bool_]]
    tokens: Mapping[str, NDArray[np.int16]]
    logprobs: Mapping[str, NDArray[np.float32]]
    ids: NDArray[np.str_]
    families: NDArray[np.str_]
    difficulty: NDArray[np.int8]
    questions: list[dict[str, Any]]
    meta: dict[str, Any]

    @cleaned
    def __repr__(self) -> str:
        shapes = ", ".join(f"{m}: {self.answers[m].shape[1]} samples" for m in self.models)
        return f"Recorded(N={len(self.ids)}, {shapes})"


def load_recorded() -> Recorded:
    """Return 293 short questions, each answered 16 or 32 times by three small language models.

    Returns
    -------
    Recorded
        Its arrays are read-only.

    Notes
    -----
    Recorded for this package, on one CPU core with llama.cpp: temperature 0.8, top_k 40, top_p 0.95, at most 12 tokens,
    an own seed per question and sample, few-shot prompts as plain ``Q:``/``A:`` lines.

    ===============  =======  =============  =========================================================
    model            samples  mean accuracy  weights and their licence (none of them is shipped)
    ===============  =======  =============  =========================================================
    smollm2_135m     32       .530           SmolLM2-135M-Instruct Q4_1, Apache-2.0
    gemma3_270m      16       .389           Gemma-3-270M base Q4_K_M, Gemma terms
    qwen25_0p5b      16       .704           Qwen2.5-Coder-0.5B-Instruct Q4_K_M, as its package claims
    ===============  =======  =============  =========================================================

    (The package that carried the Qwen weights names neither a licence nor a hash.)

    The questions and the recorded numbers are this package's own, under its licence (BSD-3-Clause); generated text is
    not kept, only a code per distinct answer.

    Examples
    --------
    >>> from tcalloc.datasets import load_recorded
    >>> recorded = load_recorded()
    >>> recorded
    Recorded(N=293, smollm2_135m: 32 samples, gemma3_270m: 16 samples, qwen25_0p5b: 16 samples)
    >>> round(float(recorded.correct["qwen25_0p5b"].mean()), 3)
    0.704
    """
    arrays = arrays_of("recorded_local_llms.npz")
    questions = resources.files("tcalloc.datasets") / "recorded_local_llms.questions.jsonl.gz"
    text = gzip.decompress(questions.read_bytes()).decode("utf-8")
    kept = ("question", "gold", "accept", "few_shot")
    models = tuple(RELATIVE_COST)
    return Recorded(
        models=models,
        relative_cost=dict(RELATIVE_COST),
        answers={m: arrays[f"answer_{m}"] for m in models},
        correct={m: arrays[f"correct_{m}"] for m in models},
        tokens={m: arrays[f"tokens_{m}"] for m in models},
        logprobs={m: arrays[f"logprob_{m}"] for m in models},
        ids=arrays["qid"],
        families=arrays["family"],
        difficulty=arrays["difficulty"],
        questions=[{key: row[key] for key in kept} for row in map(json.loads, text.splitlines())],
        meta=json.loads(str(arrays["meta"])),
    )


def arrays_of(name: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file of this package, read-only."""
    raw = (resources.files("tcalloc.datasets") / name).read_bytes()
    with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    for array in arrays.values():
        array.flags.writeable = False
    return arrays
