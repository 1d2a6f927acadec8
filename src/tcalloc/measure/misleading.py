"""Whether agreement may mislead: what the samples show of it without gold answers.

What to use when
----------------
`signs_of`
    Signs of a set of labelled samples, and the warning that follows from them.

What can be seen, and what cannot
---------------------------------
Two halves of a question's samples each have a most frequent answer. Given the question, the two are independent. If the
most frequent answer of a half is right with the chance p of the question, both are right, and so agree, with p². So the
share of questions on which the halves agree is at least the mean of p², which is at least the square of the mean of p:
the most frequent answer is right on at most the root of that share. Where the bound is low, agreement cannot stand in
for gold answers.

Its own samples do not show the opposite. A model that gives the same wrong answer every time looks like one that is
always right. In simulations where wrong answers win the votes of some questions, agreement cost up to 1.4 points. There
the halves agreed on 72 to 95 % of the questions, as they do where agreement costs nothing. How steeply agreement rises
with the number of samples, and the share of the second answer, tell the two cases apart no better.

A stronger model tells more. Where its most frequent answer differs from the reference, at least one of the two is
wrong. If it is right at least as often as the reference, the reference is right on at most 1 - d/2 of the questions,
where they differ on d. Where d is much larger than the share on which halves of the reference's own samples differ,
errors are the same every time. On bbh_date and mcqa100, halves of gpt-3.5's samples differ on 5 and 12 % of the
questions, its most frequent answer is wrong on 28 and 36 %, and that of gpt-4 differs from it on 22 and 28 %.

The most expensive model is not always the best one. Where it gives the reference, it looks as if it were right whenever
it agrees with itself, and what is learned spends too much on it. With three models and more, the others can be asked:
how often does a model agree with the most frequent answer of all but itself? On mcqa100 gpt-4 does so with 81 % of its
samples, and Gemini 1.5 Pro, at 0.6 of its cost, with 78 %. In truth Gemini is right more often (80 and 77 %), and what
was learned from gpt-4's answers is up to 8 points worse at the same spend than what was learned from gold answers.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.measure.labels import leading_codes
from tcalloc.measure.referee import judged, mean_cost
from tcalloc.measure.sample_arrays import SampleArrays

__all__ = ["UNSURE", "Signs", "signs_of"]

# Where two halves give the same answer on fewer questions than this, their answer is hardly a reference. In simulations
# of wrong answers that win many votes, agreement cost 0.2 to 1 point where the halves agreed on 38 %.
UNSURE = 0.5
# A stronger model differs from the reference on so many more questions than halves of its samples differ on: 0.16 to
# 0.22 where the reference is wrong on 28 to 42 %, 0.10 to 0.17 where it is wrong on 16 to 23 % (bbh_date, mcqa100 and
# the shipped table).
CONSISTENT = 0.15
# A cheaper model that agrees with the other models less often than the referee by at most this may be as good. It is so
# by 0.03 on mcqa100, and by -0.01 on zeroeval_mathl5, where the two are right on 59 and 60 %. The sign is weak: it is
# 0.03 on the shipped table too, where the referee is right on 70 % and the other model on 53 %.
LEVEL = 0.05
# Splits that the signs are averaged over.
SPLITS = 4


@dataclass(frozen=True, slots=True)
class Signs:
    """What labelled samples show of their reference. All are means over the questions; NaN: not known.

    Attributes
    ----------
    halves_agree : float
        How often the most frequent answers of two halves are the same.
    single : float
        How often one sample agrees with the most frequent answer of the other half.
    rise : float
        How much more often half of all samples agree with the other half than one sample does.
    second : float
        Share of the samples that give the second most frequent answer.
    other_differs : float
        Share of the questions on which the most frequent answer of a stronger model differs from the reference: of the
        most expensive one. NaN where the reference is of that model, or costs are not known.
    other : str
        That model.
    apart : float
        How much more often a sample of the referee agrees with the most frequent answer of all other models than a
        sample of `rival` does. NaN where there are fewer than three models, or costs are not known.
    rival : str
        The cheaper model that agrees with the other ones most often.
    """

    halves_agree: float
    single: float
    rise: float
    second: float
    other_differs: float = math.nan
    other: str = ""
    apart: float = math.nan
    rival: str = ""

    @property
    def most_right(self) -> float:
        """On how many questions the most frequent answer of half of the samples can be right, at most."""
        return math.sqrt(self.halves_agree)

    def warning(self) -> str:
        """Return a sentence where agreement may mislead; "" where nothing shows that."""
        if self.other_differs - (1 - self.halves_agree) > CONSISTENT:
            return (
                f"{self.other} gives another answer than the reference on {100 * self.other_differs:.0f} % of the "
                f"questions, and two halves of the reference's samples differ on {100 * (1 - self.halves_agree):.0f} "
                f"%: some errors are the same every time. If {self.other} is right at least as often, the reference "
                f"is true on at most {100 * (1 - self.other_differs / 2):.0f} %. Give gold answers on some questions, "
                f"or, if {self.other} is the better one, take its answers: labels='agreement:{self.other}'."
            )
        if self.apart <= LEVEL:
            return (
                f"the model that gives the reference may not be the best one: {self.rival} costs less, and agrees with "
                "the other models about as often. Nothing here shows which of the two is right where they differ, and "
                "what is learned may spend too much on the expensive one. Give gold answers on some questions, or name "
                f"the model that you trust: labels='agreement:{self.rival}'."
            )
        if not self.halves_agree < UNSURE:
            return ""
        return (
            "the reference is unsure: two halves of the samples give the same answer on "
            f"{100 * self.halves_agree:.0f} % of "
            f"the questions, so that it is true on at most {100 * self.most_right:.0f} %. What is learned from it may "
            "mislead. Draw more samples, take a stronger model's answers (labels='teacher:MODEL'), or give gold "
            "answers."
        )


def signs_of(samples: SampleArrays) -> Signs:
    """Return the signs of samples that `Samples.labelled` returned."""
    name = samples.labels.model
    parts = judged(samples, SPLITS)
    if name not in samples.by_model:
        return Signs(math.nan, math.nan, math.nan, math.nan)
    apart, rival = _rival(samples)
    if len(parts) == 1:
        return Signs(math.nan, math.nan, math.nan, math.nan, apart=apart, rival=rival)
    alike, single = [], []
    for part in parts:
        codes = part.by_model[name].answers
        alike.append(float((leading_codes(codes) == 0).mean()))
        single.append(float(((codes == 0).sum(axis=1) / np.maximum((codes > -2).sum(axis=1), 1)).mean()))
    codes = samples.by_model[name].answers
    rest = leading_codes(np.where(codes == 0, -1, codes))
    second = (codes == rest[:, None]) & (rest[:, None] >= 0)
    share: Any = second.sum(axis=1) / np.maximum((codes > -2).sum(axis=1), 1)
    agree, one = float(np.mean(alike)), float(np.mean(single))
    return Signs(agree, one, agree - one, float(share.mean()), *_stronger(samples), apart, rival)


def _stronger(samples: SampleArrays) -> tuple[float, str]:
    """Return how often the most expensive model's most frequent answer differs from the reference, and its name."""
    means = {name: mean_cost(arm) for name, arm in samples.by_model.items()}
    own = means[samples.labels.model]
    known = {name: mean for name, mean in means.items() if mean is not None}
    other = max(known, key=lambda name: known[name], default="")
    if own is None or not known.get(other, own) > own:
        return math.nan, ""
    leading = leading_codes(samples.by_model[other].answers)
    there = leading >= 0
    return (float((leading[there] != 0).mean()), other) if there.any() else (math.nan, "")


def _rival(samples: SampleArrays) -> tuple[float, str]:
    """Return how much more often the referee agrees with all other models than a cheaper model does, and its name."""
    means = {name: mean_cost(arm) for name, arm in samples.by_model.items()}
    own = means[samples.labels.model]
    cheaper = [name for name, mean in means.items() if own is not None and mean is not None and mean < own]
    if not cheaper or len(means) < 3:
        return math.nan, ""
    given = {name: arm.answers for name, arm in samples.by_model.items()}
    most = max(int(codes.max()) for codes in given.values()) + 1
    shares = {name: _shares(codes, most) for name, codes in given.items()}
    # Every model has one vote, however many samples it has.
    total = np.sum(list(shares.values()), axis=0)
    agrees = {name: float((share * _leaders(total - share)).sum(axis=1).mean()) for name, share in shares.items()}
    rival = max(cheaper, key=lambda name: agrees[name])
    return agrees[samples.labels.model] - agrees[rival], rival


def _shares(codes: NDArray[Any], most: int) -> NDArray[np.float64]:
    """Return the share of each answer among the samples that have one, (N, most)."""
    counts = np.stack([(codes == code).sum(axis=1) for code in range(most)], axis=1)
    found: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return found


def _leaders(votes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 for the answer with the most votes, and equal parts for equals: the first would be the referee's own."""
    leading = votes >= votes.max(axis=1, keepdims=True) - 1e-9
    found: NDArray[np.float64] = leading / leading.sum(axis=1, keepdims=True)
    return found
