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
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    """

    halves_agree: float
    single: float
    rise: float
    second: float
    other_differs: float = math.nan
    other: str = ""

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
                f"is true on at most {100 * (1 - self.other_differs / 2):.0f} %. Take the answers of {self.other} as "
                f"the reference (labels='agreement:{self.other}'), or give gold answers."
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
    """Return the signs of samples that are labelled by their own agreement.

    Parameters
    ----------
    samples : Samples
        As `Samples.labelled` returned them.
    """
    name = samples.labels.model
    parts = judged(samples, SPLITS)
    if len(parts) == 1 or name not in samples.by_model:
        return Signs(math.nan, math.nan, math.nan, math.nan)
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
    return Signs(agree, one, agree - one, float(share.mean()), *_stronger(samples))


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
