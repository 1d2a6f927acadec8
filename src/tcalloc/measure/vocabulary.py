"""The words for a share of answers that have the code 0: accuracy with gold answers, agreement without.

What to use when
----------------
`Vocabulary`
    The words that all printed text takes for what is measured.
`ACCURACY`, `AGREEMENT`
    The two that there are. `tcalloc.measure.labels.Labels.words` says which one holds.
"""

from dataclasses import dataclass

__all__ = ["ACCURACY", "AGREEMENT", "Vocabulary"]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What a share of answers with the code 0 is called, in all grammatical forms that printed text needs."""

    noun: str
    """accuracy"""
    full: str
    """The noun where it stands for the first time: agreement with the reference."""
    plural: str
    """accuracies"""
    short: str
    """In a narrow column: acc."""
    right: str
    """Of an answer: "no action was ever right"."""
    is_right: str
    """Of an answer: "it is right as often as"."""
    does: str
    """The verb of `is_right` alone: "none is"."""
    are_right: str
    """Of several: "the actions are right at least 9 times in 10"."""
    answered_right: str
    """Label of an axis: "questions answered right"."""
    as_good_as: str
    """Between two things: "is as accurate as"."""
    outcome: str
    """What one answer is: right or wrong."""


ACCURACY = Vocabulary(
    noun="accuracy",
    full="accuracy",
    plural="accuracies",
    short="acc.",
    right="right",
    is_right="is right",
    does="is",
    are_right="are right",
    answered_right="questions answered right",
    as_good_as="is as accurate as",
    outcome="right or wrong",
)
AGREEMENT = Vocabulary(
    noun="agreement",
    full="agreement with the reference",
    plural="agreements",
    short="agr.",
    right="in agreement with the reference",
    is_right="agrees with the reference",
    does="does",
    are_right="agree with the reference",
    answered_right="questions answered as the reference does",
    as_good_as="agrees with the reference as often as",
    outcome="like the reference or not",
)
