"""What ``tcalloc compare`` compares on: samples or a table, and what is known of each question beforehand."""

import argparse
import csv
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tcalloc.cli import _shared as shared
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.learn.question_rows import categories_of, questions_of_run, rows_of

if TYPE_CHECKING:
    from tcalloc.llm.questions import Question
    from tcalloc.measure import Action, Samples, Table

__all__ = ["Given", "read"]

# What --demo compares: two of the recorded models, so that there is something to route, and the smaller first.
DEMO = ("smollm2_135m", "qwen25_0p5b")


@dataclass(frozen=True, slots=True)
class Given:
    """What is handed to the comparison."""

    name: str
    """What messages call it."""
    data: "Samples | Table"
    x: list[Any] | None
    """Per question: its text, or a mapping with its categories; None: nothing is known beforehand."""
    difficulty: list[str] | None
    actions: list["Action | None"] | None
    """What policies choose from that decide beforehand (None among them: no answer, for nothing); None: the usual."""


def read(args: argparse.Namespace) -> Given:
    """Return what the command line names.

    Raises
    ------
    InputError
        If a file cannot be read, or lacks a column or a question.
    UsageError
        If options do not fit the input.
    """
    if args.demo:
        return _demo(args)
    if args.table is None:
        raise shared.UsageError("the following arguments are required: TABLE, or --demo for the recorded table.")
    return _run(args) if os.path.isdir(args.table) else _table(args)


# ---------------------------------------------------------------------------------------------- the three inputs


def _demo(args: argparse.Namespace) -> Given:
    from tcalloc.datasets import load_recorded
    from tcalloc.measure import Samples

    for option, value in (
        ("TABLE", args.table),
        ("--questions", args.questions),
        ("--text", args.text),
        ("--difficulty", args.difficulty),
        ("--category", args.category),
    ):
        if value:
            raise shared.UsageError(f"--demo compares on the recorded table, which has its own; leave {option} out.")
    recorded = load_recorded()
    arms = {
        name: Samples(
            recorded.answers[name].astype(int),
            cost=recorded.relative_cost[name],
            tokens=recorded.tokens[name].astype(float),
            logprobs=recorded.logprobs[name].astype(float),
        )
        for name in DEMO
    }
    texts = [str(row["question"]) for row in recorded.questions]
    difficulty = [str(level) for level in recorded.difficulty.tolist()]
    return Given("the recorded table", Samples(arms=arms), texts, difficulty, _actions(args))


def _run(args: argparse.Namespace) -> Given:
    from tcalloc.measure import Samples
    from tcalloc.runs.recorded_answers import notes_for

    if args.text is not None:
        raise shared.UsageError("--text names a column of a table; a run folder holds the texts of its questions.")
    samples = Samples.load(args.table)
    for note in notes_for(samples.notes, args.verifier):
        shared.say(f"note: {args.table}: {note}")
    try:
        questions = questions_of_run(args.table, samples.ids, args.questions)
    except InputError:
        # What was asked for by name must be there; the texts alone are welcome, but not needed.
        if args.questions is not None or args.category or args.difficulty is not None:
            raise
        shared.say(
            f"note: {args.table}: holds no texts of its questions, so policies that decide by them take no part. "
            "To add the texts, give the file that was sampled: --questions FILE."
        )
        return Given(args.table, samples, None, None, _actions(args))
    where = args.questions or args.table
    columns = {name: categories_of(questions, name, where) for name in args.category}
    x = rows_of([question.text for question in questions], columns)
    difficulty = None if args.difficulty is None else categories_of(questions, args.difficulty, where)
    return Given(args.table, samples, x, difficulty, _actions(args))


def _table(args: argparse.Namespace) -> Given:
    from tcalloc.measure import read_table

    if args.actions is not None:
        raise shared.UsageError(f"--actions is for run folders; the actions of {args.table} are its columns.")
    if args.verifier:
        shared.refuse_verifier(args.table)
    if args.text is not None and args.questions is not None:
        raise shared.UsageError("--text and --questions both say what was asked; choose one.")
    table = read_table(args.table)
    n = len(table.acc)
    questions = None if args.questions is None else _questions(args.questions, table)

    def named(column: str) -> list[str]:
        if column in table.ignored:  # what a table's file holds besides the table itself
            return _column(args.table, column, n)
        if questions is not None:
            return categories_of(questions, column, args.questions)
        there = ", ".join(table.ignored) or "none besides the table's own"
        raise InputError(f"{args.table}: has no column {column!r}; there are: {there}.")

    texts = None if args.text is None else named(args.text)
    if questions is not None:
        texts = [question.text for question in questions]
    columns = {name: named(name) for name in args.category}
    difficulty = None if args.difficulty is None else named(args.difficulty)
    return Given(args.table, table, rows_of(texts, columns), difficulty, None)


# ---------------------------------------------------------------------------------------------- columns


def _actions(args: argparse.Namespace) -> list["Action | None"] | None:
    from tcalloc.measure import Action

    if args.actions is None:
        return None
    names = [name.strip() for name in args.actions.split(",")]
    return [None if name == "nothing" else Action.parse(name) for name in names]


def _questions(path: str, table: "Table") -> list["Question"]:
    """Return the questions of a table's rows: by id, or in their order where the table has no ids."""
    from tcalloc.llm.questions import read_questions

    found = read_questions(path)
    if table.ids is not None:
        return questions_of_run(path, table.ids, path)
    if len(found) != len(table.acc):
        raise InputError(
            f"{path}: {shared.counted(len(found), 'question')}, but the table has {len(table.acc):,} rows and no ids. "
            "Give the same questions in the same order, or a column id."
        )
    return found


def _column(path: str, name: str, n: int) -> list[str]:
    """Return one further column of a table's file as text; the table itself has been read, so the file is sound."""
    if path.lower().endswith(".npz"):
        with np.load(path, allow_pickle=False) as archive:
            try:
                values: list[Any] = archive[name].tolist()
            except ValueError:
                raise InputError(f"{path}: the array {name} holds Python objects. Save it as text.") from None
    elif path.lower().endswith(".parquet"):
        try:
            import pyarrow.parquet as pq
        except ImportError:
            raise MissingExtraError(f"{path}: reading Parquet needs pyarrow: pip install 'tcalloc[parquet]'") from None
        values = pq.read_table(path, columns=[name]).column(0).to_pylist()
    else:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file, strict=True) if row]
        at = rows[0].index(name)
        values = [row[at] for row in rows[1:]]
    if not isinstance(values, list) or len(values) != n:
        raise InputError(f"{path}: {name} does not hold one value per instance ({n:,}).")
    for row, value in enumerate(values):
        if isinstance(value, (list, dict)) or value is None or not str(value).strip():
            raise InputError(f"{path}, instance {row}: {name} is empty or no text. Fill it in, or compare without it.")
    return [str(value) for value in values]
