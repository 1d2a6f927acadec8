r"""Questions and their gold answers: reading a questions file, and the messages about a malformed one.

A questions file has one JSON object a line (``.jsonl``, also compressed with gzip)::

    {"question": "What is 6 times 7?", "answer": "42"}
    {"id": "q2", "question": "The capital of the Netherlands?", "answer": "Amsterdam", "accept": ["A'dam"]}
    {"id": "q3", "question": "2 + 2 = ?", "choices": ["3", "4"], "answer": "B", "few_shot": [["1 + 1 = ?", "2"]]}
    {"id": "q4", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]}

The files of GSM8K (``answer`` ends in ``#### 42``) and of MATH (``problem`` and a ``solution`` with ``\boxed{...}``)
are read as they are. A question may have no answer; then only agreement is known.
"""

import os
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias

from tcalloc._checks import is_number, is_whole
from tcalloc._counts import agreeing, counted
from tcalloc._printing import shown_shortly
from tcalloc.errors import InputError
from tcalloc.llm.final_answers import final_answer, last_boxed
from tcalloc.runs.jsonl import read_objects, snippet

__all__ = [
    "Question",
    "QuestionsLike",
    "as_questions",
    "gold_words",
    "load_questions",
    "question_from",
    "refuse_half_pairs",
]

EXAMPLE = '{"question": "What is 6 times 7?", "answer": "42"}'
# The first name is ours; published files use the others.
NAMES = {
    "id": ("id", "qid", "unique_id"),
    "question": ("question", "problem", "prompt"),
    "answer": ("answer", "gold"),
}
OTHERS = ("messages", "solution", "accept", "choices", "few_shot")
PLAIN = {"id", "question", "answer"}
ROLES = ("system", "developer", "user", "assistant", "tool")
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, repr=False)
class Question:
    """One question: the messages for a model, and the right answers.

    Attributes
    ----------
    id : str
        Its name; all questions of a file have different names.
    messages : tuple of dict
        The messages to send: those of the file, or the few-shot examples as turns and then the question.
    text : str
        The question itself (for a conversation: the last message of the user).
    gold : str or None
        The right answer; None if it is not known.
    accept : tuple of str
        Further right answers.
    choices : tuple of str
        The texts of the choices A, B, C, ...; empty if there are none.
    few_shot : tuple of (str, str)
        Examples of question and answer; they are in `messages` already.
    extra : mapping
        The other fields of the question in the file.
    """

    id: str
    messages: tuple[dict[str, str], ...]
    text: str
    gold: str | None = None
    accept: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    few_shot: tuple[tuple[str, str], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=lambda: NOTHING)

    __repr__ = shown_shortly

    @property
    def golds(self) -> tuple[str, ...]:
        """All right answers, the gold answer first; empty if none is known."""
        return self.accept if self.gold is None else (self.gold, *self.accept)


def load_questions(path: str | os.PathLike[str]) -> list[Question]:
    """Read a questions file.

    Parameters
    ----------
    path : path
        A file of JSON lines, compressed with gzip or not. A line has ``question`` (or ``problem``, ``prompt``, or
        ``messages``), and optionally ``id`` (otherwise the questions are "0", "1", ...), ``answer`` (or ``gold``, or a
        ``solution`` with a box), ``accept``, ``choices`` and ``few_shot``.

    Returns
    -------
    list of Question
        At least one.

    Raises
    ------
    InputError
        With the file, the line and the remedy.
    """
    path = os.fspath(path)
    questions: list[Question] = []
    first: dict[str, int] = {}
    for number, row in read_objects(path, EXAMPLE):
        question = question_from(row, f"{path}, line {number}", str(len(questions)))
        if (line := first.setdefault(question.id, number)) != number:
            raise InputError(
                f"{path}, line {number}: the id {snippet(question.id)} was already given to line {line}. Give "
                "every question its own id, or drop the ids."
            )
        questions.append(question)
    if not questions:
        raise InputError(f"{path}: only empty lines; expected one JSON object a line, like {EXAMPLE}.")
    return questions


# What a user may pass as questions: a file, or texts, mappings or questions in a list.
QuestionsLike: TypeAlias = str | os.PathLike[str] | Iterable[str | Mapping[str, Any] | Question]


def as_questions(given: QuestionsLike) -> list[Question]:
    """Return the questions of whatever a caller has: a file, texts, or what the lines of a file hold.

    Parameters
    ----------
    given : path, or iterable of str, mapping or Question
        A path is read by `load_questions`. Questions of a list that have no id are "0", "1", ...

    Returns
    -------
    list of Question
        At least one.

    Raises
    ------
    InputError
        With the place and the remedy.
    """
    if isinstance(given, (str, os.PathLike)):
        return load_questions(given)
    if isinstance(given, (Mapping, bytes)) or not isinstance(given, Iterable):
        raise InputError(f"questions is {reprlib.repr(given)}; expected a questions file, or texts in a list.")
    found: list[Question] = []
    first: dict[str, int] = {}
    for i, one in enumerate(given):
        if not isinstance(one, (str, Mapping, Question)):
            raise InputError(
                f"questions[{i}] is {reprlib.repr(one)}; expected a text, or what a line of a questions file holds."
            )
        row = {"question": one} if isinstance(one, str) else one
        found.append(row if isinstance(row, Question) else question_from(row, f"questions[{i}]", str(i)))
        if (j := first.setdefault(found[-1].id, i)) != i:
            raise InputError(
                f"questions[{i}] has the id {snippet(found[-1].id)} like questions[{j}]. Give every question its own "
                "id, or drop the ids."
            )
    if not found:
        raise InputError("questions is empty; expected at least one.")
    return found


def question_from(row: Mapping[str, Any], place: str, default_id: str) -> Question:
    """Return the question of one line of a questions file, or of an object like it.

    `place` is for the messages; `default_id` is the id if the row has none.
    """
    text, answer, name = row.get("question"), row.get("answer"), row.get("id", default_id)
    if (
        row.keys() <= PLAIN  # most files: there is nothing to search for
        and type(text) is type(answer) is type(name) is str
        and text.strip()
        and answer.strip()
        and name.strip()
        and "####" not in answer
        and "\0" not in name
    ):
        return Question(name, ({"role": "user", "content": text},), text, answer.strip())
    used = {name: _named(row, names, place) for name, names in NAMES.items()}
    few_shot = _few_shot(row.get("few_shot"), place)
    if used["question"] is not None and row.get("messages") is not None:
        raise InputError(f"{place}: both '{used['question']}' and 'messages'. Keep one of them.")
    if used["question"] is not None:
        text = row[used["question"]]
        if not isinstance(text, str) or not text.strip():
            raise InputError(
                f"{place}, field '{used['question']}': expected text, got {_kind(text)}. Write the question."
            )
        messages = (*_turns(few_shot), {"role": "user", "content": text})
    elif row.get("messages") is not None:
        if few_shot:
            raise InputError(f"{place}: both 'messages' and 'few_shot'. Put the examples into the messages.")
        messages = _messages(row["messages"], place)
        text = next((m["content"] for m in reversed(messages) if m["role"] == "user"), messages[-1]["content"])
    else:
        fields = ", ".join(snippet(name, 20) for name in list(row)[:8]) or "none"
        raise InputError(
            f"{place}: no field 'question' (or 'messages'). Write it like {EXAMPLE}; the fields are {fields}."
        )
    taken = {name for name in used.values() if name is not None}.union(OTHERS)
    extra = {key: value for key, value in row.items() if key not in taken}
    return Question(
        id=default_id if used["id"] is None else _id(row[used["id"]], f"{place}, field '{used['id']}'"),
        messages=messages,
        text=text,
        gold=_gold(row, used["answer"], place),
        accept=_texts(row, "accept", place),
        choices=_choices(row, place),
        few_shot=few_shot,
        extra=extra or NOTHING,
    )


def refuse_half_pairs(questions: Iterable[Question]) -> None:
    r"""Raise an error for questions that cannot be sent: JSON can hold half of a surrogate pair (\ud800), UTF-8 cannot.

    The message names the question, the field and the place in it.
    """
    for i, question in enumerate(questions):
        fields = [("id", question.id)]
        fields += [("text", message["content"]) for message in question.messages]
        fields += [("answer", gold) for gold in question.golds] + [("choice", choice) for choice in question.choices]
        for name, text in fields:
            try:
                text.isascii() or text.encode()
            except UnicodeEncodeError as error:
                raise InputError(
                    f"question {i + 1:,} ({snippet(question.id)}): its {name} holds half of a surrogate pair "
                    f"(\\u{ord(text[error.start]):04x}, character {error.start + 1:,}), which is no text that can be "
                    "sent or stored. Correct it."
                ) from None


def gold_words(questions: Iterable[Question]) -> str | None:
    """Return a sentence about questions without gold answers; None if all have one."""
    known = [bool(question.golds) for question in questions]
    without, total = known.count(False), len(known)
    if not without:
        return None
    if without == total:
        return (
            "No question has a gold answer, so that accuracy will not be known. How often answers agree will be: use "
            "--labels agreement with tcalloc fit, compare, solve and frontier."
        )
    return (
        f"{without:,} of {counted(total, 'question')} {agreeing(without, 'has', 'have')} no gold answer. --labels "
        "agreement uses all questions by how often their answers agree; without it, these are left out."
    )


# ---------------------------------------------------------------------------------------------- fields


def _kind(value: object) -> str:
    """Return a name for a value of an unexpected type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return snippet(value) if value.strip() else "empty text"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return f"the number {value}"


def _named(row: Mapping[str, Any], names: tuple[str, ...], place: str) -> str | None:
    """Return the name under which a field is present."""
    present = [name for name in names if row.get(name) is not None]
    if len(present) > 1 and row[present[0]] != row[present[1]]:
        raise InputError(f"{place}: '{present[0]}' and '{present[1]}' mean the same and differ. Keep one of them.")
    return present[0] if present else None


def _plain(value: object, place: str, what: str) -> str:
    """Return text, or a number as text."""
    if isinstance(value, str):
        return value.strip()
    if not is_number(value):
        raise InputError(f"{place}: expected {what} (text or a number), got {_kind(value)}. Write it as text.")
    if not abs(value) < 1e300:  # also NaN, which equals no answer
        raise InputError(f"{place}: expected {what}, got a number that is too large or none. Write it as text.")
    return str(value)


def _id(value: object, place: str) -> str:
    if isinstance(value, str) and value.strip() and "\0" not in value:
        return value
    if is_whole(value):
        return str(value)
    raise InputError(f"{place}: expected text or a whole number, got {_kind(value)}. Fill it in, or drop all ids.")


def _gold(row: Mapping[str, Any], name: str | None, place: str) -> str | None:
    if name is None:
        solution = row.get("solution")
        if solution is None:
            return None
        boxed = last_boxed(solution) if isinstance(solution, str) else None
        if not boxed:
            raise InputError(
                f"{place}, field 'solution': no \\boxed{{...}} in it. Write the right answer into the field 'answer'."
            )
        return boxed
    answer = final_answer(_plain(row[name], f"{place}, field '{name}'", "one answer"))
    if not answer:
        raise InputError(
            f"{place}, field '{name}': the answer is empty. Fill it in, or drop the field if it is not known."
        )
    return answer


def _texts(row: Mapping[str, Any], name: str, place: str) -> tuple[str, ...]:
    value = row.get(name)
    if value is None:
        return ()
    where = f"{place}, field '{name}'"
    if not isinstance(value, list):
        raise InputError(f'{where}: expected a list like ["a", "b"], got {_kind(value)}.')
    return tuple(_plain(item, f"{where}[{i}]", "one answer") for i, item in enumerate(value))


def _choices(row: Mapping[str, Any], place: str) -> tuple[str, ...]:
    choices = _texts(row, "choices", place)
    if choices and not 2 <= len(choices) <= 26:
        raise InputError(f"{place}, field 'choices': {len(choices)} of them; from 2 to 26 (A to Z) are allowed.")
    return choices


def _few_shot(value: object, place: str) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    pairs: list[Any] = value if isinstance(value, list) else [None]
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(text, str) for text in pair)):
            raise InputError(f"{place}, field 'few_shot': expected a list of pairs [question, answer], both text.")
    return tuple((question, answer) for question, answer in pairs)


def _turns(few_shot: tuple[tuple[str, str], ...]) -> tuple[dict[str, str], ...]:
    return tuple(
        {"role": role, "content": text}
        for pair in few_shot
        for role, text in zip(("user", "assistant"), pair, strict=True)
    )


def _messages(value: object, place: str) -> tuple[dict[str, str], ...]:
    where = f"{place}, field 'messages'"
    if not isinstance(value, list) or not value:
        raise InputError(f'{where}: expected a list like [{{"role": "user", "content": "Why?"}}], got {_kind(value)}.')
    for i, message in enumerate(value):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise InputError(f"{where}[{i}]: expected an object whose role is one of {', '.join(ROLES)}.")
        if not isinstance(message.get("content"), str):
            raise InputError(
                f"{where}[{i}]: its content is {_kind(message.get('content'))}; only text is sent. Write it as text."
            )
    return tuple(value)
