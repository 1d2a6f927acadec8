"""What all graders share: the grade, the protocol, and a call that a grader's crash does not end."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol

from tcalloc.errors import InputError
from tcalloc.llm.failures import LimitReached
from tcalloc.llm.questions import Question
from tcalloc.runs.jsonl import snippet

__all__ = ["Grade", "Grader", "check_golds", "gold_keys", "grade_safely", "mark", "reason_of", "settle", "visible"]


LONGEST_REASON = 300


@dataclass(frozen=True, slots=True)
class Grade:
    """What a grader says of one completion.

    Attributes
    ----------
    answer : str or None
        The answer that was found, normalized: equal strings are the same vote. A right answer always carries the gold
        answer's own string. None if the completion holds no answer.
    correct : bool or None
        Whether it is right; None if that is not known: the question has no gold answer, or grading failed.
    error : str or None
        Why grading failed. The answer is then neither right nor wrong, and can be graded again (`tcalloc.grade`).
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
    """Grade one completion; whatever the grader does, it costs this one grade and never the run.

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
        Where the grader raised (also `SystemExit`) or returned what is no grade: no answer, `correct` None, and the
        `error`. Only ctrl-C in the main thread is passed on, and `LimitReached`.
    """
    if text is None:
        return Grade(None, False if question.golds else None)
    try:
        return _checked(grader(question, text))
    except LimitReached:  # of a judge whose requests have a limit: what it stops is more than one grade
        raise
    except KeyboardInterrupt as error:
        if threading.current_thread() is threading.main_thread():
            raise
        return Grade(None, None, error=reason_of(error))
    except BaseException as error:
        return Grade(None, None, error=reason_of(error))


def _checked(grade: Any) -> Grade:
    """Return a grade with plain values; refuse what is none."""
    if not isinstance(grade, Grade):
        raise TypeError(f"the grader returned {type(grade).__name__}, not a Grade")
    if not isinstance(grade.answer, str | None):
        raise TypeError(f"the grade's answer is of type {type(grade.answer).__name__}; expected text or None")
    correct = None if grade.correct is None else mark(grade.correct)
    answer = None if grade.answer is None else str.__str__(grade.answer)
    tokens = grade.tokens if isinstance(grade.tokens, int) and grade.tokens > 0 else 0
    if grade.error is None:
        return Grade(answer, correct, tokens=tokens)
    return Grade(answer, None, error=f"{grade.error}"[:LONGEST_REASON] or "no reason was given", tokens=tokens)


def mark(value: Any) -> bool:
    """Return whether an answer is marked right; refuse what is neither right nor wrong, such as NaN."""
    if isinstance(value, bool):
        return value
    # NumPy's booleans, and the numbers 0 and 1 of any library.
    if type(value).__name__ in ("bool", "bool_") or (isinstance(value, Real) and value in (0, 1)):
        return bool(value)
    shown = f" {value!r}" if isinstance(value, Real) else ""
    raise TypeError(f"the grader's mark is of type {type(value).__name__}{shown}; expected True, False or None")


def reason_of(error: BaseException) -> str:
    """Return what an error says, on one line, even if its own words raise."""
    name = type(error).__name__
    try:
        words = " ".join(str(error).split())
    except BaseException:
        words = ""
    return f"{name}: {words}"[:LONGEST_REASON] if words else name


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
                "choose another grader, such as normalized (for texts)."
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
        With the first question whose gold answer is not text, or not of the grader's kind.
    """
    check = getattr(grader, "check", None)
    for question in questions:
        for gold in question.golds:
            if not isinstance(gold, str) or not gold.strip():
                what = "is empty" if isinstance(gold, str) else f"is of type {type(gold).__name__}"
                raise InputError(
                    f"question {snippet(question.id)}: the gold answer {what}; expected text. Write it as text, or "
                    "leave it out if it is not known."
                )
        if check is not None:
            try:
                check(question)
            except InputError:
                raise
            except Exception as error:  # of a grader of the user's own
                raise InputError(
                    f"question {snippet(question.id)}: the grader's check of its gold answer failed "
                    f"({reason_of(error)}). Correct the grader."
                ) from None


def visible(text: str) -> str:
    """Return a completion without the thinking before it: what stands in it is not the answer yet."""
    end = text.rfind("</think>")
    if end >= 0:
        return text[end + len("</think>") :]
    return "" if text.lstrip().startswith("<think>") else text
