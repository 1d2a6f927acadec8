"""The data that ``tcalloc compare`` uses: samples or a table, and what is known about each question before sampling."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tcalloc._checks import did_you_mean
from tcalloc.cli import _shared as shared
from tcalloc.cli import _tables as tables
from tcalloc.errors import InputError
from tcalloc.evaluate.conclusions.next_step import Source
from tcalloc.learn.outside_features import read_features
from tcalloc.learn.question_rows import categories_of, questions_of_run, questions_of_table, rows_of, told_columns
from tcalloc.measure import Action, Samples, Table, load_table
from tcalloc.measure.table_files.further_columns import read_column
from tcalloc.runs.recorded_answers import notes_for

__all__ = ["Given", "read"]


@dataclass(frozen=True, slots=True)
class Given:
    """The data for the comparison."""

    name: str
    """The name of the data in messages."""
    data: Samples | Table
    x: list[Any] | None
    """One entry per question: its text, or a mapping with its categories; None: nothing is known before sampling."""
    difficulty: list[str] | None
    actions: list[Action | None] | None
    """The actions of policies that decide before sampling (None among them: no answer, free); None: the usual ones."""
    source: Source
    """Where the data came from, for the next step."""


def read(args: argparse.Namespace) -> Given:
    """Return the data that the command line names."""
    if args.demo:
        return _demo(args)
    if args.table is None:
        raise shared.UsageError("the following arguments are required: TABLE, or --demo for the recorded table.")
    return _run(args) if os.path.isdir(args.table) else _table(args)


# ---------------------------------------------------------------------------------------------- the three inputs


def _demo(args: argparse.Namespace) -> Given:
    from tcalloc.measure.recorded import recorded_samples

    for name in ("table", "questions", "text", "difficulty", "category", "features"):
        if getattr(args, name):
            option = "TABLE" if name == "table" else shared.flag(name)
            raise shared.UsageError(f"--demo compares on the recorded table, which has its own; leave {option} out.")
    samples, texts, difficulty = recorded_samples()
    if args.labels != "gold":
        samples = samples.labelled(args.labels, gold=np.ones(len(samples), bool))
    imports = ("import tcalloc", "from tcalloc.measure.recorded import recorded_samples")
    data = ("", "data, X, difficulty = recorded_samples()")
    rows = ("from tcalloc.learn.question_rows import rows_of", *data, "X = rows_of(X, {'difficulty': difficulty})")
    source = Source(loading=(*imports, *data), labelled=(*imports, *rows))
    return Given("the recorded table", samples, texts, difficulty, _actions(args), source)


def _run(args: argparse.Namespace) -> Given:
    if args.text is not None:
        raise shared.UsageError("--text names a column of a table; a run folder holds the texts of its questions.")
    samples = Samples.load(args.table, args.labels, per_second=args.per_second)
    for note in notes_for(samples.notes, args.verifier):
        shared.say(f"note: {args.table}: {note}")
    try:
        questions = questions_of_run(args.table, samples.ids, args.questions)
    except InputError:
        # What was asked for by name must be there. The texts alone are used if they are there, but not needed.
        if args.questions is not None or args.category or args.difficulty is not None:
            raise
        if args.features is not None:
            x = rows_of(None, read_features(args.features, _ids(samples.ids, args.features)))
            source = Source(args.table, tuple(_feature_options(args)))
            return Given(args.table, samples, x, None, _actions(args), source)
        shared.say(
            f"note: {args.table}: holds no texts of its questions, so policies that decide by them take no part. "
            "To add the texts, give the file that was sampled: --questions FILE."
        )
        return Given(args.table, samples, None, None, _actions(args), Source(args.table))
    where = args.questions or args.table
    columns = {name: categories_of(questions, name, where) for name in args.category}
    if args.features is not None:
        columns = told_columns(columns, read_features(args.features, _ids(samples.ids, args.features)))
    x = rows_of([question.text for question in questions], columns)
    difficulty = None if args.difficulty is None else categories_of(questions, args.difficulty, where)
    options = [] if args.questions is None else ["--questions", args.questions]
    for name in args.category:
        options += ["--category", name]
    options += _feature_options(args)
    source = Source(args.table, tuple(options), args.difficulty or "FIELD")
    return Given(args.table, samples, x, difficulty, _actions(args), source)


def _table(args: argparse.Namespace) -> Given:
    tables.refuse_run_options(args)
    if args.labels != "gold":
        raise shared.UsageError(f"--labels is for run folders: {args.table} holds no answers. Leave it out.")
    if args.text is not None and args.questions is not None:
        raise shared.UsageError("--text and --questions both give the texts of the questions; choose one.")
    table = load_table(args.table)
    n = len(table.acc)
    questions = None if args.questions is None else questions_of_table(args.questions, table.ids, n)

    def named(column: str) -> list[str]:
        if column in table.ignored:  # columns of the file that are no part of the table
            return read_column(args.table, column, n)
        if questions is not None:
            return categories_of(questions, column, args.questions)
        there = ", ".join(table.ignored) or "none besides the table's own"
        meant = did_you_mean(column, table.ignored)
        raise InputError(f"{args.table}: has no column {column!r}; there are: {there}.{meant}")

    texts = None if args.text is None else named(args.text)
    if questions is not None:
        texts = [question.text for question in questions]
    columns: dict[str, Any] = {name: named(name) for name in args.category}
    if args.features is not None:
        columns = told_columns(columns, read_features(args.features, _ids(table.ids, args.features)))
    difficulty = None if args.difficulty is None else named(args.difficulty)
    loading = _lines(args, table, args.category)
    labelled = loading if args.difficulty is None else _lines(args, table, [*args.category, args.difficulty])
    source = Source(loading=loading, labelled=labelled)
    return Given(args.table, table, rows_of(texts, columns), difficulty, None, source)


def _lines(args: argparse.Namespace, table: Table, columns: Sequence[str]) -> tuple[str, ...]:
    """Return lines of Python that load a table and its questions as the command line names them."""
    path, given = repr(args.table), repr(args.questions)
    imports, lines = ["import tcalloc"], ["", f"data = tcalloc.load_table({path})"]

    def column(name: str) -> str:
        if name in table.ignored:
            imports.append("from tcalloc.measure.table_files.further_columns import read_column")
            return f"read_column({path}, {name!r}, len(data.acc))"
        imports.append("from tcalloc.learn.question_rows import categories_of")
        return f"categories_of(questions, {name!r}, {given})"

    texts = "None" if args.text is None else column(args.text)
    if args.questions is not None:
        imports.append("from tcalloc.learn.question_rows import questions_of_table")
        lines.append(f"questions = questions_of_table({given}, data.ids, len(data.acc))")
        texts = "[question.text for question in questions]"
    if columns or args.features is not None:
        imports.append("from tcalloc.learn.question_rows import rows_of")
        told = f"{{{', '.join(f'{name!r}: {column(name)}' for name in columns)}}}"
        if args.features is not None:
            imports.append("from tcalloc.learn.outside_features import read_features")
            told = f"{told} | read_features({args.features!r}, [str(one) for one in data.ids])"
        texts = f"rows_of({texts}, {told})"
    return (*dict.fromkeys(imports), *lines, f"X = {texts}")


# ---------------------------------------------------------------------------------------------- columns


def _ids(ids: Any, features: str) -> list[str]:
    """Return the ids by which features are found."""
    if ids is None:
        raise InputError(f"{features}: features are found by the questions' ids. Add a column id to the table.")
    return [str(one) for one in ids]


def _feature_options(args: argparse.Namespace) -> list[str]:
    """Return the options of ``tcalloc fit`` that bring the same features."""
    if args.features is None:
        return []
    return ["--features", args.features, *(["--feature-cost", f"{args.feature_cost:g}"] if args.feature_cost else [])]


def _actions(args: argparse.Namespace) -> list[Action | None] | None:
    if args.actions is None:
        return None
    names = [name.strip() for name in args.actions.split(",")]
    return [None if name == "nothing" else Action.parse(name) for name in names]
