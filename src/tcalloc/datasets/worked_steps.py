"""The recorded answers with worked steps that ship: how sure a small model was at each of their tokens."""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._printing import cleaned
from tcalloc.datasets.recorded import arrays_of

__all__ = ["WorkedSteps", "load_worked_steps"]

NAME = "recorded_worked_steps.npz"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class WorkedSteps:
    """Samples of one model on N questions, S of each, with up to T tokens.

    Attributes
    ----------
    answers : NDArray[np.int16]
        (N, S) answer codes: -1 none, 0 the gold answer, 1, 2, … the others.
    tokens : NDArray[np.int16]
        (N, S) tokens of the completion, without the one that ends it.
    logprobs : NDArray[np.float16]
        (N, S, T) log-probability of each token, natural logarithm; 0 behind the last.
    confidences : NDArray[np.float16]
        (N, S, T) confidence at each token, as `tcalloc.llm.confidence.token_confidences` defines it, over the 20
        likeliest tokens; 0 behind the last.
    kinds : NDArray[np.str_]
        (N,) the kind of question: add up to 6, add up to 9, take up to 9.
    questions : NDArray[np.str_]
        (N,) the questions.
    gold : NDArray[np.int16]
        (N,) the gold answers.
    meta : dict[str, Any]
        Provenance: ``model``, ``sampling``, ``top``.
    """

    answers: NDArray[np.int16]
    tokens: NDArray[np.int16]
    logprobs: NDArray[np.float16]
    confidences: NDArray[np.float16]
    kinds: NDArray[np.str_]
    questions: NDArray[np.str_]
    gold: NDArray[np.int16]
    meta: dict[str, Any]

    @cleaned
    def __repr__(self) -> str:
        n, s = self.answers.shape
        return f"WorkedSteps({n} questions, {s} samples of {self.tokens.mean():.0f} tokens)"


def load_worked_steps() -> WorkedSteps:
    """Return 60 questions about balls in a box, each answered 7 times in about 62 tokens by SmolLM2-135M.

    Returns
    -------
    WorkedSteps
        Its arrays are read-only.

    Notes
    -----
    Recorded for this package by ``python -m bench.studies.record_worked_steps``: temperature 0.6, top_k 40, top_p 0.95,
    at most 110 tokens, four worked examples before the question, a random seed for each question and sample. Texts of
    answers are not kept.

    Examples
    --------
    >>> from tcalloc.datasets import load_worked_steps
    >>> load_worked_steps()
    WorkedSteps(60 questions, 7 samples of 62 tokens)
    """
    arrays = arrays_of(NAME)
    return WorkedSteps(
        answers=arrays["answer"],
        tokens=arrays["tokens"],
        logprobs=arrays["logprob"],
        confidences=arrays["confidence"],
        kinds=arrays["kind"],
        questions=arrays["question"],
        gold=arrays["gold"],
        meta=json.loads(str(arrays["meta"])),
    )
