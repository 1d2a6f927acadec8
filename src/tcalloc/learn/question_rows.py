"""X of a policy, made from the questions of a run folder or of a questions file.

What to use when
----------------
`rows_of`
    X from texts, categories and columns of numbers.
`rows_for`
    X of new questions, with the columns that a policy was fitted with.
`questions_of_run`, `texts_of_run`
    The questions of a run folder in the order of its samples; their texts, if the folder holds them.
`questions_of_table`
    The questions of a file in the order of a table's rows.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.learn.outside_features import read_features
from tcalloc.llm.questions import Question, load_questions, question_from
from tcalloc.runs.jsonl import read_objects

__all__ = [
    "TEXT",
    "categories_of",
    "questions_of_run",
    "questions_of_table",
    "rows_for",
    "rows_of",
    "texts_of_run",
    "told_columns",
]

TEXT = "text"
"""The column that holds the question's text if there are categories too."""


def rows_of(texts: Sequence[str] | None, columns: Mapping[str, Sequence[str | float]]) -> list[Any] | None:
    """Return X as a policy takes it: texts alone, or one mapping per question if there are other columns.

    Parameters
    ----------
    texts : sequence of str or None
        One per question; None if only the other columns are known.
    columns : mapping of str to sequence
        Categories (texts) and features (numbers) by name, one value per question.

    Returns
    -------
    list or None
        None if nothing is known about the questions.

    Raises
    ------
    InputError
        If a column has the name of that of the texts.
    """
    if not columns:
        return None if texts is None else list(texts)
    if texts is not None and TEXT in columns:
        raise InputError(f"a column is called {TEXT!r}, which is the name of the questions' texts. Rename it.")
    named = dict(columns) if texts is None else {TEXT: texts, **columns}
    return [dict(zip(named, values, strict=True)) for values in zip(*named.values(), strict=True)]


def categories_of(questions: Iterable[Question], name: str, place: str) -> list[str]:
    """Return the category of each question.

    Parameters
    ----------
    questions : iterable of Question
        As `tcalloc.llm.questions.load_questions` returns them.
    name : str
        The field that holds the category.
    place : str
        Where the questions come from, for messages.

    Raises
    ------
    InputError
        If a question has no such field, or it holds neither a text nor a whole number.
    """
    found = []
    for question in questions:
        value = question.extra.get(name)
        if isinstance(value, bool) or not isinstance(value, (str, int)) or not str(value).strip():
            raise InputError(
                f"{place}: the question {question.id!r} has no category {name!r}; expected a text or a whole number. "
                "Fill in the field, or leave the category out."
            )
        found.append(str(value))
    return found


def told_columns(columns: Mapping[str, Sequence[str]], features: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return categories and features as the columns of X; no name may be used twice."""
    for name in columns.keys() & features.keys():
        raise InputError(f"{name!r} is both a category and a column of the features. Rename one.")
    return {**columns, **features}


def rows_for(policy: Any, questions: Sequence[Question], place: str, features: str | None = None) -> list[Any]:
    """Return X of new questions, with the same columns that a policy was fitted with.

    Parameters
    ----------
    policy : policy
        A fitted policy.
    questions : sequence of Question
        As `tcalloc.llm.questions.load_questions` returns them.
    place : str
        Where the questions come from, for messages.
    features : path, optional
        A file that `tcalloc.learn.outside_features.read_features` reads. It is needed if the policy was fitted with
        columns of numbers.

    Raises
    ------
    InputError
        If a question lacks a category or a feature.
    """
    schema = getattr(policy, "schema_", None)
    texts = [question.text for question in questions]
    if schema is None or schema.kind != "frame":
        if features is not None:
            raise InputError(f"{features}: the policy was fitted without columns of numbers. Leave --features out.")
        return list(texts)
    roles = dict(zip(schema.names, schema.roles, strict=True))
    wanted = [name for name, role in roles.items() if role == "number"]
    if bool(wanted) != (features is not None):
        raise InputError(
            f"the policy was fitted with the features {', '.join(wanted[:4])}{', …' if len(wanted) > 4 else ''}. "
            "Give the file that holds them: --features FILE."
            if wanted
            else f"{features}: the policy was fitted without columns of numbers. Leave --features out."
        )
    numbers = {} if features is None else read_features(features, [question.id for question in questions])
    for name in wanted:
        if name not in numbers:
            raise InputError(f"{features}: has no column {name!r}, with which the policy was fitted. Add it.")
    kinds = [name for name in roles if name not in (TEXT, *wanted)]
    found: dict[str, Any] = {name: categories_of(questions, name, place) for name in kinds}
    found |= {name: numbers[name] for name in wanted}
    return rows_of(texts if TEXT in roles else None, found) or []


def questions_of_run(run: str, ids: Iterable[Any] | None, given: str | None = None) -> list[Question]:
    """Return the questions of a run folder in the order of `ids`.

    Parameters
    ----------
    run : str
        The folder.
    ids : iterable or None
        The ids of the questions that are wanted.
    given : str, optional
        A questions file whose texts are used instead of those in the folder.

    Raises
    ------
    InputError
        If a question is missing, or has no text.
    """
    remedy = "Give the file that was sampled: --questions FILE."
    known: dict[str, Question] = {}
    if given is not None:
        known = {question.id: question for question in load_questions(given)}
        remedy = "Give the file that was sampled."
    else:
        path = os.path.join(run, "questions.jsonl")
        for number, row in read_objects(path, '{"id": "q1", "question": "6 times 7?"}'):
            text = row.get("question")
            # An import of answers without texts knows only the ids of the questions.
            if isinstance(text, str) and text.strip() and text != row.get("id"):
                known[str(row.get("id"))] = question_from(row, f"{path}, line {number}", str(number))
    wanted = [] if ids is None else [str(name) for name in ids]
    missing = [name for name in wanted if name not in known]
    if missing:
        where = run if given is None else given
        what = "no text of its questions" if not known else f"no text of the question {missing[0]!r}"
        more = f" and {counted(len(missing) - 1, 'other')}" if known and len(missing) > 1 else ""
        raise InputError(f"{where}: holds {what}{more}, but a policy learns from texts. {remedy}")
    return [known[name] for name in wanted]


def texts_of_run(run: str, ids: Iterable[Any] | None) -> list[str] | None:
    """Return the texts of a run folder's questions in the order of `ids`; None where it does not hold them all."""
    try:
        return [question.text for question in questions_of_run(run, ids)]
    except InputError:
        return None


def questions_of_table(path: str, ids: Iterable[Any] | None, n: int) -> list[Question]:
    """Return the questions of a file in the order of a table's rows.

    Parameters
    ----------
    path : str
        The questions file.
    ids : iterable or None
        The table's ids; None: the questions stand in the order of the rows.
    n : int
        How many rows the table has.

    Raises
    ------
    InputError
        If a question is missing, or if the number of questions differs and the table has no ids.
    """
    if ids is not None:
        return questions_of_run(path, ids, path)
    found = load_questions(path)
    if len(found) != n:
        raise InputError(
            f"{path}: {counted(len(found), 'question')}, but the table has {counted(n, 'row')} and no ids. "
            "Give the same questions in the same order, or a column id."
        )
    return found
