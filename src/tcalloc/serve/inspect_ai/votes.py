"""The majority answer of a question's epochs: which answers are the same, and the reducer that scores the vote."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import cache
from typing import Any

from tcalloc.errors import MissingExtraError
from tcalloc.llm.final_answers import final_answer, last_boxed
from tcalloc.llm.graders import make_grader
from tcalloc.llm.graders.text import any_key
from tcalloc.llm.questions import Question
from tcalloc.measure.kinds import leading

__all__ = ["AnswerReader", "answer_reader", "vote", "voted"]

AnswerReader = Callable[[Any], Hashable | None]


def answer_reader(answer: str | AnswerReader | None) -> AnswerReader:
    """Return a function from a score of Inspect to the answer that it votes for.

    Parameters
    ----------
    answer : str, callable or None
        A grader's name, which reads the answer off `Score.answer`; a function of the score; None: the number or the
        normalized text in `Score.answer`.

    Raises
    ------
    InputError
        If there is no such grader.
    """
    if callable(answer):
        return answer
    if answer is None:
        return _plain
    grader = make_grader(answer)

    def graded(score: Any) -> Hashable | None:
        return None if score.answer is None else grader(Question("", (), ""), score.answer).answer

    return graded


def _plain(score: Any) -> str | None:
    text = score.answer
    return None if not isinstance(text, str) else any_key(last_boxed(text) or final_answer(text))


def voted(answers: Sequence[Hashable | None]) -> int:
    """Return the place of the first answer that agrees with the most; 0 if nothing voted.

    Answers stand in the order in which they came; of tied ones, the first wins. None is no vote.
    """
    first = leading(Counter(answer for answer in answers if answer is not None))
    return 0 if first is None else answers.index(first)


def vote(answer: str | AnswerReader | None = None) -> Any:
    """Return the reducer of Inspect that takes the score of the majority answer: ``Epochs(8, vote())``.

    Inspect's own reducers combine scores, not answers. Their mean is biased where epochs are stopped by their answers.

    Parameters
    ----------
    answer : str or callable, optional
        Which answers are the same; as in `stop_epochs`, and the same as there.

    Returns
    -------
    ScoreReducer
        It returns the first score that has the majority's answer.

    Raises
    ------
    MissingExtraError
        If inspect_ai is not installed.
    """
    return _registered()(answer)


@cache
def _registered() -> Any:
    try:
        from inspect_ai.scorer import score_reducer
    except ImportError as error:
        raise MissingExtraError("vote needs Inspect: pip install inspect_ai") from error

    def tcalloc_vote(answer: str | AnswerReader | None = None) -> Any:
        read = answer_reader(answer)

        def reduce(scores: list[Any]) -> Any:
            return scores[voted([read(score) for score in scores])]

        return reduce

    return score_reducer(name="tcalloc_vote")(tcalloc_vote)
