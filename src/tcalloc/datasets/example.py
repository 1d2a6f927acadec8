"""Small files to try every command on: a table of outcomes, a log of answers, and new questions."""

import csv
import io
import json
import os
import shlex
from dataclasses import dataclass
from typing import Any

from tcalloc._files import read_bounded, replacing, target_of
from tcalloc.datasets.recorded import Recorded, load_recorded
from tcalloc.errors import InputError

__all__ = ["ExampleFile", "write_example"]

# The models of the log, and the names that all files use. The table of outcomes has all three.
NAMES = {"smollm2_135m": "smollm2", "gemma3_270m": "gemma3", "qwen25_0p5b": "qwen"}
LOGGED = ("smollm2_135m", "qwen25_0p5b")
SAMPLES = 8
# One sample of the cheapest model costs this; the others cost more by their measured CPU time.
DOLLARS = 0.0001
# Every sixth question is a new one: it is in no other file.
NEW = 6


@dataclass(frozen=True, slots=True)
class ExampleFile:
    """One file that `write_example` wrote.

    Parameters
    ----------
    path : str
        Where it is.
    what : str
        What it holds, as part of a sentence.
    command : str
        The command that people run on it next.
    """

    path: str
    what: str
    command: str


def write_example(folder: str = ".", *, force: bool = False) -> list[ExampleFile]:
    """Write ``outcomes.csv``, ``answers.jsonl`` and ``questions.jsonl``, made from the recorded table that ships.

    Parameters
    ----------
    folder : str
        Where they go. It is made if it does not exist.
    force : bool
        Whether files of these names may be replaced, whatever they hold.

    Returns
    -------
    list of ExampleFile
        The three files, each with the next command.

    Raises
    ------
    InputError
        If a file of that name exists and holds anything else. Nothing is written then.

    Examples
    --------
    >>> import tempfile
    >>> from tcalloc.datasets import write_example
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [file.what for file in write_example(folder)]  # doctest: +NORMALIZE_WHITESPACE
    ['244 questions, right (1) or wrong (0) by each of 3 models, with prices in dollars',
     '8 graded answers of each of 2 models to the same questions',
     '48 questions with gold answers that are in neither file']
    """
    recorded = load_recorded()
    rows = range(len(recorded.ids))
    # Where an answer is missing, every command prints a note: such a question is left out.
    whole = [all((recorded.answers[model][i, :SAMPLES] >= 0).all() for model in LOGGED) for i in rows]
    known, new = [i for i in rows if i % NEW != NEW - 1 and whole[i]], [i for i in rows if i % NEW == NEW - 1]
    made = {
        "outcomes.csv": (
            _outcomes(recorded, known),
            f"{len(known)} questions, right (1) or wrong (0) by each of {len(recorded.models)} models, with prices in "
            "dollars",
            "tcalloc compare {} --text question --unit usd",
        ),
        "answers.jsonl": (
            _answers(recorded, known),
            f"{SAMPLES} graded answers of each of {len(LOGGED)} models to the same questions",
            "tcalloc import {} --out run/",
        ),
        "questions.jsonl": (
            _questions(recorded, new),
            f"{len(new)} questions with gold answers that are in neither file",
            "tcalloc sample {} --local --grader normalized --samples 4 --out sampled/",
        ),
    }
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise InputError(f"{folder}: not a folder. Name a folder, or one that does not exist yet.")
    contents = {os.path.normpath(os.path.join(folder, name)): text.encode() for name, (text, _, _) in made.items()}
    if os.path.isdir(folder) and not force:
        for path, data in contents.items():
            _refuse_other(path, data)
    os.makedirs(folder, exist_ok=True)
    for path, data in contents.items():
        with replacing(path) as file:
            file.write(data)
    return [
        ExampleFile(path, what, command.format(shlex.quote(path)))
        for path, (_, what, command) in zip(contents, made.values(), strict=True)
    ]


def _refuse_other(path: str, data: bytes) -> None:
    """Refuse a file that exists and holds anything but what would be written."""
    target = target_of(path)
    if not os.path.lexists(target):
        return
    if os.path.isfile(target) and os.path.getsize(target) == len(data) and read_bounded(target, len(data)) == data:
        return
    raise InputError(
        f"{path}: exists already, and is not the file that this command writes. Name another folder, or say --force "
        "(force=True) to replace it."
    )


def _outcomes(recorded: Recorded, rows: list[int]) -> str:
    """Return a CSV with the first answer of every model: right or wrong, and what it cost."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = [NAMES[model] for model in recorded.models]
    writer.writerow(["id", "question", *(f"acc:{name}" for name in names), *(f"cost:{name}" for name in names)])
    prices = [_price(recorded, model) for model in recorded.models]
    for i in rows:
        right = [int(recorded.correct[model][i, 0]) for model in recorded.models]
        writer.writerow([recorded.ids[i], recorded.questions[i]["question"], *right, *prices])
    return text.getvalue()


def _answers(recorded: Recorded, rows: list[int]) -> str:
    """Return JSON lines: per question and model a list of answers, which of them are right, and their costs."""
    lines = []
    for i in rows:
        question = recorded.questions[i]
        for model in LOGGED:
            codes = recorded.answers[model][i, :SAMPLES].tolist()
            lines.append(
                {
                    "id": str(recorded.ids[i]),
                    "question": question["question"],
                    "model": NAMES[model],
                    "answer": [_answer(code, question["gold"]) for code in codes],
                    "correct": [code == 0 for code in codes],
                    "cost": [_price(recorded, model)] * SAMPLES,
                }
            )
    return _json_lines(lines)


def _answer(code: int, gold: str) -> str:
    """Return the gold answer, or a placeholder: the recorded table keeps a code per answer, not its text."""
    return gold if code == 0 else f"other answer {code}"


def _questions(recorded: Recorded, rows: list[int]) -> str:
    """Return JSON lines: questions, gold answers, and the examples that small models need to be shown first."""
    lines = []
    for i in rows:
        question = recorded.questions[i]
        others = [text for text in question["accept"] if text != question["gold"]]
        line: dict[str, Any] = {
            "id": str(recorded.ids[i]),
            "question": question["question"],
            "answer": question["gold"],
            "few_shot": question["few_shot"],
        }
        lines.append(line | {"accept": others} if others else line)
    return _json_lines(lines)


def _price(recorded: Recorded, model: str) -> float:
    return round(recorded.relative_cost[model] * DOLLARS, 6)


def _json_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
