"""Whether answers were recorded, or right and wrong alone: whether votes can be counted.

A wrong sample without an answer is one of two things. A grader leaves it where the model gave no answer: it abstains
from a vote. A log of right and wrong leaves it everywhere: the answer is not known, and what a vote would say is not
either. Which of the two it is shows in the other samples of the same model.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tcalloc._counts import agreeing, counted
from tcalloc.runs.records import SampleRecord

__all__ = ["Voices", "notes_for", "notes_of"]

# Ends a note that does not concern those who have a verifier.
VERIFIER = "If a verifier recognises right answers live, say verifier=True (--verifier)."

# This share of the right samples may lack an answer (one of signs alone, that cannot be normalized) without any doubt
# about the others; what is hidden then moves no figure.
RARE = 0.01


@dataclass(slots=True)
class Voices:
    """How many samples of one model have an answer."""

    answered: int = 0
    """With one."""
    agreeing: int = 0
    """With one, and right."""
    right: int = 0
    """Right, without one."""
    wrong: int = 0
    """Wrong, without one; not those whose grading failed."""
    graded: bool = False
    """Whether a grader looked for answers in the texts: where it says nothing, there is none."""

    @classmethod
    def of(cls, records: Iterable[SampleRecord], graded: bool) -> "Voices":
        """Count the samples of a run folder."""
        found = cls(graded=graded)
        for record in records:
            found.count(record.get("answer"), record.get("correct"), record.get("error"))
        return found

    def count(self, answer: Any, correct: Any, error: Any = None) -> None:
        """Count one sample more."""
        if answer is not None:
            self.answered += 1
            self.agreeing += bool(correct)
        elif correct:
            self.right += 1
        elif correct is not None and error is None:
            self.wrong += 1

    @property
    def votes(self) -> bool:
        """Whether a vote can be counted: no sample that is wrong hides which answer it gave.

        Right samples need no answer, since they agree with the gold answer. That some have none shows that answers
        were not recorded, and so does a run without any answers that no grader looked for.
        """
        some = self.right > RARE * (self.right + self.agreeing)
        hidden = some or (not self.answered and not self.graded)
        return not hidden or (self.wrong == 0 and self.answered > 0)

    def note(self, model: str = "") -> str | None:
        """Return a sentence where it has to be said what samples without an answer are taken for; else None."""
        of = f"{model}: " if model else ""
        if not self.votes:
            n = self.right + self.wrong
            rest = (
                f", and the answers of {counted(self.answered, 'other sample')} are not used" if self.answered else ""
            )
            return (
                f"{of}{counted(n, 'sample')} {agreeing(n, 'is', 'are')} marked right or wrong but "
                f"{agreeing(n, 'has', 'have')} no answer{rest}: the accuracy of one sample can be estimated, that of "
                f"a vote cannot. For votes, record the answers too. {VERIFIER}"
            )
        if self.graded or not self.wrong:
            return None
        return (
            f"{of}{counted(self.wrong, 'wrong sample')} {agreeing(self.wrong, 'has', 'have')} no answer, while right "
            "samples have answers. A sample without an answer does not vote."
        )


def notes_for(notes: Iterable[str], verifier: bool) -> tuple[str, ...]:
    """Return the notes that still hold: with a verifier, the advice to name one is left out."""
    return tuple(note for note in notes if not (verifier and note.endswith(VERIFIER)))


def notes_of(voices: Mapping[str, Voices], of: Container[str] | None = None) -> list[str]:
    """Return what has to be said of several models (or of some): one note for all that recorded no answers."""
    heard = {model: some for model, some in voices.items() if of is None or model in of}
    silent = {model: some for model, some in heard.items() if not some.votes}
    found = []
    if silent:
        together = Voices(*(sum(getattr(some, name) for some in silent.values())
                            for name in ("answered", "agreeing", "right", "wrong")))  # fmt: skip
        note = together.note(", ".join(silent) if len(voices) > 1 else "")
        found += [] if note is None else [note]
    for model, some in heard.items():
        if model not in silent and (note := some.note(model if len(voices) > 1 else "")) is not None:
            found.append(note)
    return found
