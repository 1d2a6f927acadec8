"""What all graders share: the grade, the protocol, and a call that a grader's crash does not end."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from tcalloc.errors import InputError
from tcalloc.llm.questions import Question
from tcalloc.measure._jsonl import snippet

__all__ = ["Grade", "Grader", "check_golds", "grade_safely", "settle", "visible"]


@dataclass(frozen=True, slots=True)
class Grade:
    """What a grader says of one completion.

    Attributes
    ----------
    answer : str or None
        The answer that was found, normalized: equal strings are the same vote. A right answer always carries the gold
        answer's own string. None if the completion holds no answer.
    correct : bool or None
        Whether it is right; None if the question has no gold answer, so that only agreement can be told.
    error : str or None
        What went wrong in grading it; the answer then does not count as right.
    tokens : int
        Tokens that grading it took (a judge model); 0 for all other graders.
    """

    answer: str | None
    correct: bool | None
    error: str | None = None
    tokens: int = 0


class Grader(Protocol):
    """Anything with a `name` that can be called with a question and a completion. Threads may share it.

    One with ``quick = True`` promises to need no more than the thread it runs in, for well under a millisecond.
    """

    @property
    def name(self) -> str:
        """How the grader is called in a run's manifest."""

    def __call__(self, question: Question, text: str) -> Grade:
        """Grade one completion."""


def grade_safely(grader: Grader, question: Question, text: str | None) -> Grade:
    """Grade one completion; if the grader crashes, mark the answer and go on.

    Parameters
    ----------
    grader : Grader
        See `make_grader`.
    question : Question
        The question.
    text : str or None
        The completion; None is one without an answer.

    Returns
    -------
    Grade
        After a crash: no answer, not correct (None without a gold answer), and the `error`.
    """
    wrong = False if question.golds else None
    if text is None:
        return Grade(None, wrong)
    try:
        grade = grader(question, text)
    except Exception as error:
        reason = " ".join(str(error).split())
        return Grade(None, wrong, error=f"{type(error).__name__}: {reason}"[:300] if reason else type(error).__name__)
    if not isinstance(grade, Grade):
        return Grade(None, wrong, error=f"the grader returned {type(grade).__name__}, not a Grade")
    return grade


def settle(question: Question, answer: str | None, key: Callable[[str], str | None], what: str) -> Grade:
    """Compare a normalized answer with the gold answers.

    Parameters
    ----------
    question : Question
        The question.
    answer : str or None
        The completion's answer, normalized.
    key : callable
        Normalizes a gold answer; None if it is not of the grader's kind.
    what : str
        What the gold answer should be, for the message.

    Returns
    -------
    Grade
        The grade.
    """
    if not question.golds:
        return Grade(answer, None)
    keys = gold_keys(question, key, what)
    if answer is None:
        return Grade(None, False)
    return Grade(keys[0], True) if answer in keys else Grade(answer, False)


def gold_keys(question: Question, key: Callable[[str], str | None], what: str) -> list[str]:
    """Return the gold answers, normalized; refuse one that is not of the grader's kind."""
    keys = []
    for gold in question.golds:
        normal = key(gold)
        if normal is None:
            raise InputError(
                f"question {snippet(question.id)}: the gold answer {snippet(gold)} is not {what}. Correct it, or "
                "choose another grader."
            )
        keys.append(normal)
    return keys


def check_golds(grader: Grader, questions: Iterable[Question]) -> None:
    """Refuse gold answers that a grader can never find, before money is spent.

    Parameters
    ----------
    grader : Grader
        One of `make_grader`; a grader without a method ``check(question)`` accepts all.
    questions : iterable of Question
        The questions.

    Raises
    ------
    InputError
        With the first question whose gold answer is not of the grader's kind.
    """
    check = getattr(grader, "check", None)
    if check is not None:
        for question in questions:
            check(question)


def visible(text: str) -> str:
    """Return a completion without the thinking before it: what stands in it is not the answer yet."""
    end = text.rfind("</think>")
    if end >= 0:
        return text[end + len("</think>") :]
    return "" if text.lstrip().startswith("<think>") else text
