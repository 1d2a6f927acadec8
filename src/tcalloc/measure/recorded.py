"""The recorded answers that ship, as samples with everything that is known of their questions.

What to use when
----------------
`recorded_samples`
    What ``tcalloc compare --demo`` compares on.
`worked_samples`
    Longer answers of one model, with how sure it was of each.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from tcalloc.datasets import load_recorded, load_worked_steps
from tcalloc.errors import InputError
from tcalloc.llm.confidence import Confidence
from tcalloc.measure.samples import Samples

__all__ = ["RecordedSamples", "recorded_samples", "worked_samples"]


class RecordedSamples(NamedTuple):
    """Recorded samples, and what is known of each question beforehand."""

    samples: Samples
    texts: list[str]
    """The questions as they were asked."""
    difficulty: list[str]
    """A label of each question, "0" (easy) to "4" (hard)."""


def recorded_samples(models: Sequence[str] = ("smollm2_135m", "qwen25_0p5b")) -> RecordedSamples:
    """Return the recorded answers of some models to the same 293 short questions.

    Parameters
    ----------
    models : sequence of str
        Names of `tcalloc.datasets.load_recorded`. Default: two models, so that there is something to route, and the
        smaller one first.

    Raises
    ------
    InputError
        If a model was not recorded.

    Examples
    --------
    >>> found = recorded_samples(["gemma3_270m"])
    >>> len(found.samples), found.texts[0]
    (293, '3 + 1')
    """
    recorded = load_recorded()
    unknown = [name for name in models if name not in recorded.models]
    if unknown or not models:
        wrong = f"holds {unknown[0]!r}" if unknown else "is empty"
        raise InputError(f"models {wrong}; expected some of {', '.join(recorded.models)}.")
    arms = {
        name: Samples(
            recorded.answers[name].astype(int),
            cost=recorded.relative_cost[name],
            tokens=recorded.tokens[name].astype(float),
            logprobs=recorded.logprobs[name].astype(float),
        )
        for name in models
    }
    texts = [str(row["question"]) for row in recorded.questions]
    return RecordedSamples(Samples(arms=arms), texts, [str(level) for level in recorded.difficulty.tolist()])


def worked_samples() -> Samples:
    """Return the recorded answers with worked steps, with their log-probabilities and confidences; costs are tokens.

    Examples
    --------
    >>> found = worked_samples()
    >>> len(found), sorted(found.confidence)
    (60, ['lowest', 'mean', 'tail'])
    """
    recorded = load_worked_steps()
    n, s = recorded.answers.shape
    sure = np.zeros((n, s, len(Confidence._fields)))
    for place in np.ndindex(n, s):
        sure[place] = Confidence.of(recorded.confidences[place][: recorded.tokens[place]].astype(float))
    tokens = recorded.tokens.astype(float)
    return Samples(
        recorded.answers.astype(int),
        cost=tokens,
        tokens=tokens,
        logprobs=recorded.logprobs.astype(float).sum(axis=2),
        confidence={name: sure[..., j] for j, name in enumerate(Confidence._fields)},
        ids=[f"q{i}" for i in range(n)],
    )
