"""What an import says of itself: what was taken for what, how much is right, and what looks wrong."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tcalloc._counts import agreeing, counted
from tcalloc._printing import cleaned
from tcalloc.importing.columns import question_text
from tcalloc.runs.jsonl import snippet

__all__ = ["Answers", "FieldUse", "ImportReport", "ModelCount", "Taken", "mark_warnings", "token_warning"]


@dataclass(slots=True)
class FieldUse:
    """One line of the table of what was taken for what.

    Attributes
    ----------
    field : str
        The name that tcalloc gives it.
    source : str
        Where it stands in the log.
    example : str
        One of its values, shortened.
    rows : int
        How many rows have it.
    """

    field: str
    source: str
    example: str
    rows: int = 0


@dataclass(slots=True)
class ModelCount:
    """What was imported of one model.

    Attributes
    ----------
    model : str
        Its name.
    questions, samples : int
        How many there are.
    marked, right : int
        How many samples could be marked, and how many are right.
    """

    model: str
    questions: int = 0
    samples: int = 0
    marked: int = 0
    right: int = 0


@dataclass(repr=False)
class ImportReport:
    """What was imported.

    Attributes
    ----------
    out : str
        The run folder.
    formats : list of str
        What the logs are.
    questions, samples : int
        How many there are now.
    models : list of str
        Whose samples they are.
    marked, right : int
        How many samples could be marked right or wrong, and how many are right.
    errors : int
        How many could not be graded; they count as neither right nor wrong.
    error_reasons : dict
        How many of them for each reason.
    per_question : (int, int)
        The fewest and the most samples of a question and model.
    skipped : int
        How many rows were left out (``skip_bad``).
    skipped_words : list of str
        The first of them, with file, line and reason.
    failed : dict
        How many requests had failed, by reason; they are no samples.
    fields : list of FieldUse
        What was taken for what, with an example and the number of rows.
    unread : dict
        The fields that nothing was taken from, and why if their name or their values had suggested one of ours.
    by_model : list of ModelCount
        Questions, samples and right samples of each model.
    notes : list of str
        What else should be known.
    warnings : list of str
        What looks wrong, with the option that would mend it.
    """

    out: str
    formats: list[str] = field(default_factory=list)
    questions: int = 0
    samples: int = 0
    models: list[str] = field(default_factory=list)
    marked: int = 0
    right: int = 0
    errors: int = 0
    error_reasons: dict[str, int] = field(default_factory=dict)
    per_question: tuple[int, int] = (0, 0)
    skipped: int = 0
    skipped_words: list[str] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)
    fields: list[FieldUse] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    by_model: list[ModelCount] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @cleaned
    def __repr__(self) -> str:
        parts = [counted(self.questions, "question"), counted(self.samples, "sample")]
        parts.append(repr(self.models[0]) if len(self.models) == 1 else counted(len(self.models), "model"))
        parts += [f"{100 * self.right / self.marked:.1f} % right"] if self.marked else []
        left = (self.errors, "not graded"), (self.skipped, "skipped"), (sum(self.failed.values()), "failed")
        parts += [f"{count:,} {what}" for count, what in left if count]
        said = ((self.notes, "note"), (self.warnings, "warning"))
        parts += [counted(len(words), what) for words, what in said if words]
        return f"ImportReport({self.out!r}: {', '.join(parts)})"


class Taken:
    """Counts what was taken from where while the rows are read for the first time."""

    def __init__(self) -> None:
        self.uses: dict[tuple[str, str], FieldUse] = {}
        self.left: Counter[tuple[str, str]] = Counter()
        self.odd: dict[tuple[str, str], Any] = {}

    def row(self, taken: list[tuple[str, str, Any]], left: list[tuple[str, str, Any]]) -> None:
        """Take note of one row."""
        for name, path, value in taken:
            use = self.uses.get((name, path))
            if use is None:
                use = self.uses[name, path] = FieldUse(name, path, _example(value))
            use.rows += 1
        for name, path, value in left:
            self.left[name, path] += 1
            self.odd.setdefault((name, path), value)

    def source(self, name: str) -> str | None:
        """Return where a field was found."""
        return next((path for field, path in self.uses if field == name), None)

    def notes(self) -> list[str]:
        """Say which values did not fit."""
        return [
            f"{count:,} {agreeing(count, 'value was', 'values were')} left out of {path!r}, since "
            f"{snippet(self.odd[name, path])} does not fit the field {name!r}. To read another field use "
            f"--field {name}=NAME, or --field {name}= for none."
            for (name, path), count in self.left.items()
        ]


def _example(value: Any) -> str:
    """Return a value as the table shows it: on one line, shortened; of a list its first entry."""
    if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
        named = value.get("name") if isinstance(value, dict) else None
        value = question_text(value) or named or value
    if isinstance(value, list) and value and not isinstance(value[0], dict):
        return f"{_example(value[0])} (first of {len(value)})"
    text = " ".join(snippet(value, 200)[1:-1].split()).replace("\\n", " ").replace("\\\\", "\\")
    return text if len(text) <= 30 else text[:27] + "..."


@dataclass(slots=True)
class Answers:
    """What the samples of one model answered, to see whether it looks wrong."""

    first: str | None = None
    answered: int = 0
    same: int = 0
    equal_but_wrong: int = 0
    example: tuple[str, str] | None = None
    """An answer that is not right, and the gold answer."""


def mark_warnings(
    counts: ModelCount, answers: Answers, sources: Mapping[str, str | None], likely: Callable[[], str | None]
) -> list[str]:
    """Say in whole sentences what looks wrong in the marks and answers of one model.

    `sources` says where answer, text, gold and correct were found; "grader" is the grader's name. `likely` returns a
    field that was not read and may hold the model's answers, or None.
    """
    found = []
    who = counts.model
    answer, text, gold, correct = (sources.get(name) for name in ("answer", "text", "gold", "correct"))
    grader = sources.get("grader")
    if counts.marked > 1 and counts.right in (0, counts.marked):
        said = f"{who}: all {counted(counts.marked, 'sample')} are {'right' if counts.right else 'wrong'}."
        if grader is not None:
            said += f" The grader is {grader!r}, and the text was taken from {text or answer!r}"
            said += f" (gold answer: {gold or 'the questions file'!r}). If that is wrong, use --field text=NAME or "
            said += "another --grader."
        elif correct is not None:
            said += f" Right and wrong were taken from {correct!r}. If another field says so, use --field correct=NAME."
        else:
            eg = ", e.g. " + " against ".join(map(snippet, answers.example)) if answers.example else ""
            said += f" The answer was taken from {answer!r}, the gold answer from {gold or 'the questions file'!r}{eg}."
            other = likely() or "NAME"
            said += f" If the model's answer is in another field, use --field answer={other}"
            if text is not None:
                said += f", or grade the text {text!r}, e.g. --grader numeric"
            whole = not counts.right and text is None
            said += "; if these are whole texts, grade them, e.g. --grader numeric." if whole else "."
        found.append(said)
    if answers.answered > 2 and answers.same == answers.answered and counts.questions > 1:
        found.append(
            f"{who}: all {counted(answers.answered, 'answer')} to {counted(counts.questions, 'question')} are "
            f"{snippet(answers.first)}. "
            + (f"They were taken from {answer!r}: if" if answer else "If")
            + f" that is not the model's answer, use --field answer={likely() or 'NAME'}."
        )
    if wrong := answers.equal_but_wrong:
        found.append(
            f"{who}: {counted(wrong, 'answer')} {agreeing(wrong, 'equals', 'equal')} the gold answer but "
            f"{agreeing(wrong, 'is', 'are')} marked wrong. Check the fields: right and wrong were taken from "
            f"{correct!r}, the answer from {answer!r}, the gold answer from {gold!r}."
        )
    return found


def token_warning(tokens: Mapping[str, tuple[int, int]], priced: bool) -> str | None:
    """Warn if models differ in tokens (`tokens`: their sum, and the samples that have them) and no cost is known."""
    means = {model: total / count for model, (total, count) in tokens.items() if count and total}
    if priced or len(means) < 2:
        return None
    low, high = (pick(means, key=lambda model: means[model]) for pick in (min, max))
    ratio = means[high] / means[low]
    if ratio < 1.2:
        return None
    return (
        f"a sample of {high} has {ratio:.1f} times as many output tokens as one of {low} ({means[high]:,.0f} and "
        f"{means[low]:,.0f}), but no cost is recorded: every sample counts as 1. Give each row a cost, e.g. --field "
        "cost=NAME."
    )
