"""Data sets to be asked: their questions, how a model is asked to answer them, and how answers are graded."""

from dataclasses import dataclass
from pathlib import Path

from bench.paper import small
from bench.paper.data import LEAST
from tcalloc.errors import InputError
from tcalloc.llm.questions import Question, load_questions

__all__ = ["Task", "local_tasks", "read_task"]

# A data set's name, how it is asked for, its grader, where answers are cut off, and how long they usually are (tokens).
KINDS = {
    "gsm8k": (
        "GSM8K",
        "Solve the problem step by step. Write the final answer alone on the last line, after '#### '.",
        "numeric",
        1024,
        220,
    ),
    "math": ("MATH", "Solve the problem step by step. Put the final answer into \\boxed{}.", "math", 2048, 550),
}

# Where answers are cut off that follow examples of one line.
SHORT = 24


@dataclass(frozen=True, slots=True)
class Task:
    """One data set.

    Attributes
    ----------
    dataset : str
        What the tables call it.
    key : str
        What its run folders are called.
    questions : list of Question
        With gold answers.
    system : str or None
        How the model is asked to answer; None if examples show it.
    grader : str
        See `tcalloc.llm.graders`.
    max_tokens, usual_tokens : int
        Where an answer is cut off, and how long one usually is: what the first forecast goes by.
    levels : list of str or None
        As in the file.
    """

    dataset: str
    key: str
    questions: list[Question]
    system: str | None
    grader: str
    max_tokens: int
    usual_tokens: int
    levels: list[str] | None

    @property
    def shown(self) -> bool:
        """Whether every question brings examples to follow."""
        return all(question.few_shot for question in self.questions)


def read_task(kind: str, path: str, limit: int | None, grader: str | None = None, dataset: str | None = None) -> Task:
    """Read a file in the format of GSM8K or MATH.

    Parameters
    ----------
    kind : {"gsm8k", "math"}
        How it is asked and graded.
    path : str
        The file.
    limit : int, optional
        So many of its questions, spread evenly over the file.
    grader, dataset : str, optional
        Other than usual.

    Raises
    ------
    InputError
        If a question has no gold answer, or there are too few.
    """
    name, system, usual_grader, most, usual = KINDS[kind]
    questions = load_questions(path)
    for question in questions:
        if not question.golds:
            raise InputError(
                f"{path}: question {question.id!r} has no gold answer, so that nothing can be scored. Write it into "
                "'answer' (after '#### '), or into 'solution' (in \\boxed{})."
            )
    if limit is not None and limit < len(questions):
        n = len(questions)
        questions = [questions[(2 * i + 1) * n // (2 * limit)] for i in range(limit)]
    if len(questions) < LEAST:
        raise InputError(f"{path}: {len(questions)} questions; at least {LEAST} are needed. Give a larger --limit.")
    levels = [str(question.extra.get("level", "")) for question in questions]
    shown = all(question.few_shot for question in questions)
    return Task(
        dataset or name,
        f"{kind}-{len(questions)}" if dataset is None else f"{kind}-small-{len(questions)}",
        questions,
        None if shown else system,
        grader or usual_grader,
        SHORT if shown else most,
        SHORT // 2 if shown else usual,
        levels if all(levels) else None,
    )


def local_tasks(folder: Path, limit: int | None) -> list[Task]:
    """Write two small question files, in both formats, and read them."""
    count = 60 if limit is None else limit
    files = {
        "gsm8k": ("small GSM8K", small.write(folder / f"small-gsm8k-{count}.jsonl", small.gsm8k_like(count))),
        "math": ("small MATH", small.write(folder / f"small-math-{count}.jsonl", small.math_like(count))),
    }
    # All answers are whole numbers, for which math-verify is not needed.
    return [read_task(kind, str(path), None, "numeric", name) for kind, (name, path) in files.items()]
