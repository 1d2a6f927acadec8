"""The recorded answers that ship, as samples with everything that is known of their questions.

What to use when
----------------
`recorded_samples`
    What ``tcalloc compare --demo`` compares on.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tcalloc.datasets import load_recorded
from tcalloc.errors import InputError
from tcalloc.measure.samples import Samples

__all__ = ["RecordedSamples", "recorded_samples"]


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
