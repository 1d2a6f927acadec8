"""What ``tcalloc fit`` and ``tcalloc decide`` share: from questions to the rows that a policy takes."""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tcalloc.errors import InputError

if TYPE_CHECKING:
    from tcalloc.llm.questions import Question

__all__ = ["TEXT", "category", "questions_of", "rows_of"]

# The column of the question's text, where there are categories beside it.
TEXT = "text"


def rows_of(texts: Sequence[str], columns: Mapping[str, Sequence[str]]) -> list[Any]:
    """Return what a policy takes as X: texts alone, or a mapping per question where there are categories."""
    if not columns:
        return list(texts)
    named = {TEXT: texts, **columns}
    return [dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True)]


def category(question: "Question", name: str, place: str) -> str:
    """Return a question's category; refuse what is none."""
    value = question.extra.get(name)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
        raise InputError(
            f"{place}: the question {question.id!r} has no category {name!r}; expected a text or a whole number. Fill "
            "the field in, or fit without it."
        )
    return str(value)


def questions_of(run: str, ids: Iterable[Any], given: str | None) -> list["Question"]:
    """Return the questions of a run folder in the order of `ids`.

    Parameters
    ----------
    run : str
        The folder.
    ids : iterable
        Of the questions that are wanted.
    given : str, optional
        A questions file whose texts count instead of the folder's.

    Raises
    ------
    InputError
        If a question is missing, or has no text.
    """
    from tcalloc.llm.questions import Question, question_from, read_questions
    from tcalloc.runs.jsonl import read_objects

    remedy = "Give the file that was sampled: --questions FILE."
    known: dict[str, Question] = {}
    if given is not None:
        known = {question.id: question for question in read_questions(given)}
        remedy = "Give the file that was sampled."
    else:
        path = os.path.join(run, "questions.jsonl")
        for number, row in read_objects(path, '{"id": "q1", "question": "6 times 7?"}'):
            text = row.get("question")
            # An import of answers without texts knows the questions by their ids alone.
            if isinstance(text, str) and text.strip() and text != row.get("id"):
                known[str(row.get("id"))] = question_from(row, f"{path}, line {number}", str(number))
    wanted = [str(name) for name in ids]
    missing = [name for name in wanted if name not in known]
    if missing:
        where = run if given is None else given
        what = "no text of its questions" if not known else f"no text of the question {missing[0]!r}"
        more = f" and {len(missing) - 1:,} others" if known and len(missing) > 1 else ""
        raise InputError(f"{where}: holds {what}{more}, and a policy learns from texts. {remedy}")
    return [known[name] for name in wanted]
