"""What the first rows of a log say about its columns: which holds gold answers, whole texts, right and wrong."""

from collections.abc import Iterator, Mapping
from statistics import median
from typing import Any

from tcalloc.errors import InputError
from tcalloc.importing import values
from tcalloc.importing.columns import Column, Columns
from tcalloc.importing.fields import MISSING, lookup
from tcalloc.llm.final_answers import final_answer
from tcalloc.llm.graders.numbers import number_key
from tcalloc.llm.graders.text import any_key, text_key

__all__ = ["Evidence", "first_entry", "grader_hint"]

COMPARED = 1000
# Answers are whole texts if at most these shares of them equal the gold answer and another sample's answer.
EQUAL, AGREEING = 0.02, 0.1
# Values with this many words (the median) are texts. With fewer they are, if the gold answer stands in this share.
WORDS, FEW_WORDS, CONTAINING = 6, 3, 0.3
# A column is not the extracted answer if fewer texts than these shares contain it: those marked wrong, and all.
FOREIGN_WRONG, FOREIGN = 0.5, 0.9


class Evidence:
    """Compares columns with each other on the first rows; `golds` are those of a questions file, by question."""

    def __init__(self, columns: Columns, golds: Mapping[str, str] | None):
        self.columns, self.golds = columns, golds
        self.gold: Column | None = None

    def pairs(self, column: Column) -> Iterator[tuple[str, str, list[str]]]:
        """Yield question, value and gold answers of the first rows."""
        count = 0
        for row in self.columns.head:
            name = self.columns.name(row)
            golds = self.golds_of(row, name)
            for item in entries(lookup(row, column.path)):
                if isinstance(item, str | int | float) and count < COMPARED:
                    count += 1
                    yield name, str(item), golds

    def golds_of(self, row: Mapping[str, Any], name: str) -> list[str]:
        """Return the gold answers of a row."""
        if self.golds is not None:
            return [self.golds[name]] if name in self.golds else []
        value = None if self.gold is None else lookup(row, self.gold.path)
        if value is None or value is MISSING:
            return []
        return values.alternatives(value) or [final_answer(str(value))]

    @property
    def known(self) -> bool:
        """Whether gold answers are known."""
        return self.gold is not None or self.golds is not None

    def equals_gold(self, column: Column) -> bool:
        """Say whether a column is the gold answer to the letter on every row."""
        some = [value.strip() in golds for _, value, golds in self.pairs(column) if golds]
        return len(some) > 1 and all(some)

    def wrong_marks(self, marks: list[Column]) -> int:
        """Return on how many rows the first column of marks says wrong."""
        return sum(mark_of(lookup(row, c.path)) is False for c in marks[:1] for row in self.columns.head)

    def is_foreign(self, column: Column, texts: list[Column], marks: list[Column]) -> bool:
        """Say whether texts do not contain a column's value, as they contain the answer that was extracted from them.

        Only texts that are marked wrong can show it, since a right one contains the gold answer too; without marks all
        texts, if the column is the gold answer on every row.
        """
        text = next((c for c in texts if not c.listed), None)
        marked = bool(marks) and not marks[0].listed
        if text is None or not (marked or self.equals_gold(column)):
            return False
        found = []
        for row in self.columns.head[:COMPARED]:
            value, written = lookup(row, column.path), lookup(row, text.path)
            written = None if written is MISSING else values.message_text(written)
            right = mark_of(lookup(row, marks[0].path)) if marked else False
            if right is False and written and value not in (None, MISSING):
                found.append(f" {text_key(str(value))} " in f" {text_key(written[-5000:])} ")
        return len(found) > 0 and sum(found) < (FOREIGN_WRONG if marked else FOREIGN) * len(found)

    def is_whole(self, column: Column) -> bool:
        """Say whether a column holds whole texts, which hardly ever equal a gold answer or each other."""
        words, equal, containing, known = [], 0, 0, 0
        by_question: dict[str, list[str | None]] = {}
        for name, value, golds in self.pairs(column):
            key = any_key(value)
            words.append(len(value.split()))
            by_question.setdefault(name, []).append(key)
            if golds:
                known += 1
                equal += key in [any_key(gold) for gold in golds]
                inside = f" {text_key(value)} "
                containing += any(f" {text_key(gold)} " in inside for gold in golds)
        if not words or median(words) < FEW_WORDS or equal > EQUAL * known:
            return False
        again = sum(len(keys) - 1 for keys in by_question.values())
        same = sum(len(keys) - len(set(keys)) for keys in by_question.values())
        if again and same > AGREEING * again:
            return False
        return median(words) >= WORDS or (known > 0 and containing >= CONTAINING * known)

    def is_mark(self, score: Column, answer: Column | None) -> bool:
        """Say whether a score of 0 and 1 says right or wrong: it does where it agrees with the gold answers."""
        if answer is None or not self.known:
            return True
        marks = [mark_of(item) for row in self.columns.head for item in entries(lookup(row, score.path))]
        pairs = list(self.pairs(answer))
        if len(marks) < len(pairs) or not {True, False} <= set(marks):
            return False
        same = [
            mark for mark, (_, value, golds) in zip(marks, pairs, strict=False) if any_key(value) in map(any_key, golds)
        ]
        return sum(mark is True for mark in same) >= 0.95 * len(same)

    def differ(self, one: Column, other: Column) -> bool:
        """Say whether two columns of marks say different things."""

        def marks(row: Mapping[str, Any], column: Column) -> list[bool | None]:
            return [mark_of(item) for item in entries(lookup(row, column.path))]

        return any(marks(row, one) != marks(row, other) for row in self.columns.head)

    def gold_share(self, path: str) -> float | None:
        """Return the share of a column's values that equal the gold answer; None if that cannot be said."""
        equal, count = 0, 0
        for row in self.columns.head[:COMPARED]:
            known = {any_key(gold) for gold in self.golds_of(row, self.columns.name(row))}
            for value in entries(lookup(row, path)) if known else []:
                if isinstance(value, str | int | float) and not isinstance(value, bool):
                    count += 1
                    equal += any_key(str(value)) in known
        return equal / count if count else None

    def constant(self, column: Column) -> bool:
        """Say whether a column has one value for each question."""
        found: dict[str, str] = {}
        rows = ((self.columns.name(row), lookup(row, column.path)) for row in self.columns.head)
        return all(
            found.setdefault(name, str(value)) == str(value) for name, value in rows if value not in (None, MISSING)
        )

    def answers_are_lists(self, column: Column) -> bool:
        """Say whether answers are written as lists, so that a gold answer like "['a', 'b']" is one answer."""
        return any(value.strip()[:1] + value.strip()[-1:] == "[]" for _, value, _ in self.pairs(column))


def grader_hint(golds: list[str]) -> str:
    """Return the option that grades texts with gold answers like these."""
    if golds and all(number_key(gold) is not None for gold in golds):
        return "--grader numeric"
    if golds and all(len(gold.strip()) == 1 and gold.strip().isalpha() for gold in golds):
        return "--grader choice"
    return "--grader math" if any("\\" in gold for gold in golds) else "--grader numeric (or choice, normalized, …)"


def entries(value: Any) -> list[Any]:
    """Return a list, or a value as a list of one."""
    return value if isinstance(value, list) else [value]


def first_entry(value: Any) -> Any:
    """Return a value, or the first of a list."""
    if isinstance(value, list):
        return next((item for item in value if item is not None), None)
    return value


def mark_of(value: Any) -> bool | None:
    """Return a mark of right or wrong; None if it is none."""
    try:
        return values.right(None if value is MISSING else value, "correct")
    except InputError:
        return None
