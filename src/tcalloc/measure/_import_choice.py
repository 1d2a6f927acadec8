"""Which column of a log is taken for which field, and why the others are not.

A name alone says little: ``answer`` is the model's answer in one log and the gold answer in the next. What a column
holds decides: a gold answer never varies between the samples of a question, and whole texts never equal each other.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tcalloc.errors import InputError
from tcalloc.measure import _import_values as values
from tcalloc.measure._import_columns import RESULTS, Column, Columns
from tcalloc.measure._import_fields import ALIASES, CLEAR_ANSWERS, GOLDS, MISSING, NUMBERS, lookup
from tcalloc.measure._import_values import Unusable
from tcalloc.measure._jsonl import snippet

__all__ = ["Plan", "choose", "gold_share", "grader_hint"]

# Fields that hold the right solution as often as the model's: not taken for a text where there is a gold answer.
DOUBTFUL = ("solution", "code", "content")
COMPARED = 1000
# Answers are whole texts if at most these shares of them equal the gold answer and another sample's answer.
EQUAL, AGREEING = 0.02, 0.1
# So many words (the median) are a text; fewer are one if the gold answer stands within so many of them.
WORDS, FEW_WORDS, CONTAINING = 6, 3, 0.3


@dataclass
class Plan:
    """How the rows of one log are read."""

    paths: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Our fields to the paths of which the first that a row has counts."""
    columns: dict[str, Column] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """Paths that were not taken for what their name says, and why."""
    warnings: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


def grader_hint(golds: list[str]) -> str:
    """Return the option that grades texts with gold answers like these."""
    from tcalloc.llm.graders._numbers import number_key

    if golds and all(number_key(gold) is not None for gold in golds):
        return "--grader numeric"
    if golds and all(len(gold.strip()) == 1 and gold.strip().isalpha() for gold in golds):
        return "--grader choice"
    return "--grader math" if any("\\" in gold for gold in golds) else "--grader numeric (or choice, normalized, …)"


def choose(columns: Columns, graded: bool, golds: Mapping[str, str] | None, model: str | None) -> Plan:
    """Decide what is what.

    Parameters
    ----------
    columns : Columns
        What was learned of the log.
    graded : bool
        Whether a grader marks the texts.
    golds : mapping, optional
        Gold answers by question, where a questions file gives them.
    model : str, optional
        Whose samples they are, where the log does not say.

    Returns
    -------
    Plan
        How its rows are read.

    Raises
    ------
    Unusable
        If it holds no id, or nothing that can be a result.
    """
    return _Chooser(columns, graded, golds, model).plan


class _Chooser:
    def __init__(self, columns: Columns, graded: bool, golds: Mapping[str, str] | None, model: str | None):
        self.columns, self.graded, self.golds = columns, graded, golds
        self.plan = Plan()
        for name, path in columns.named.items():
            if path and not columns.found[name, path].present:
                raise Unusable(
                    f"no field {snippet(path)} with a value, which --field {name}= names. The fields are "
                    f"{columns.fields()}"
                )
        if not columns.id_path:
            raise Unusable(
                f"no field 'id'; say which one it is, e.g. --field id=NAME. The fields are {columns.fields()}"
            )
        self._take("id", [columns.found["id", columns.id_path]])
        self.gold = None if golds is not None else self._gold()
        self._results()
        taken = {path for paths in self.plan.paths.values() for path in paths}
        listed = any(self.plan.columns[name].listed for name in RESULTS if name in self.plan.columns)
        for name in ALIASES:
            if name not in (*RESULTS, "id", "gold"):
                fitting = [column for column in columns.of(name) if column.path not in taken]
                if not listed and (name in NUMBERS or name == "finish"):
                    for column in fitting:
                        if column.lists:
                            self.plan.reasons[column.path] = "a list beside one sample"
                    fitting = [column for column in fitting if not column.lists or name in columns.named]
                self._take(name, fitting)
        self._explain(model)

    # ------------------------------------------------------------------------------------------ taking

    def _take(self, name: str, fitting: list[Column]) -> None:
        """Take the first; and for the rows that do not have it, those that never stand beside it."""
        if not fitting:
            return
        taken = [fitting[0]]
        for column in fitting[1:]:
            beside = any(
                lookup(row, column.path) is not MISSING and any(lookup(row, c.path) is not MISSING for c in taken)
                for row in self.columns.head
            )
            if not beside and column.listed == taken[0].listed:
                taken.append(column)
        self.plan.paths[name] = tuple(column.path for column in taken)
        self.plan.columns[name] = taken[0]

    def _gold(self) -> Column | None:
        listed = self.columns.of("gold")
        return next((column for column in listed if not column.varying), listed[0] if listed else None)

    def _results(self) -> None:
        texts, answers, marks = (self.columns.of(name) for name in RESULTS)
        marks = [c for c in marks if c.path != "score" or isinstance(_one(c.example), bool)]
        clear = [c for c in answers if c.path in CLEAR_ANSWERS or "answer" in self.columns.named]
        known = self.gold is not None or self.golds is not None
        listed = any(c.listed for c in (*texts, *marks, *clear)) or (
            not clear and any(c.listed for c in answers) and (known or not texts or not (marks or self.graded))
        )
        self.texts, self.answers, self.marks = texts, answers, marks
        fitting = []
        for column in answers:
            reason = self._no_answer(column, listed, clear)
            if reason is None:
                fitting.append(column)
            elif "answer" in self.columns.named:
                self.plan.warnings.append(f"{column.path!r} was named as the model's answer, but {reason}.")
                fitting.append(column)
            else:
                self.plan.reasons[column.path] = reason
        whole = [c for c in answers if c not in fitting and self._is_whole(c)]
        written = [c for c in texts if self._text_reason(c, listed) is None] or whole
        self._take_gold(fitting, written)
        if self.graded:
            fitting = [c for c in fitting if c is not self.gold]
            self._take("text", written or fitting)
            return
        self._take("text", written)
        self._take("answer", [c for c in fitting if c is not self.gold])
        self._take("correct", self._marks(marks, listed))
        if not {"answer", "correct"} & self.plan.paths.keys():
            self._refuse(whole)

    def _take_gold(self, fitting: list[Column], written: list[Column]) -> None:
        """Take the gold answer; without a column of that name, "answer" where it is not the model's."""
        if self.golds is not None or self.columns.named.get("gold") == "":
            return
        if self.gold is None:
            for column in self.answers:
                if column.path in CLEAR_ANSWERS or "answer" in self.columns.named or column.varying:
                    continue
                if column not in fitting or (self.graded and written):
                    self.gold = column
                    break
        if self.gold is not None:
            self._take("gold", [self.gold])

    def _marks(self, marks: list[Column], listed: bool) -> list[Column]:
        for column in marks:
            if listed and not column.listed:
                self.plan.reasons[column.path] = "one mark for a list of samples"
        marks = [column for column in marks if not listed or column.listed]
        score = next((c for c in self.columns.of("correct") if c.path == "score" and c not in marks), None)
        if not marks and score is not None and not score.misfits and score.listed == listed and self._is_mark(score):
            marks = [score]
        differing = [c.path for c in marks[1:] if self._differ(marks[0], c)]
        # EvalPlus counts a solution if it passes the tests of both kinds.
        if differing and (marks[0].path, differing[0]) != ("plus_status", "base_status"):
            self.plan.warnings.append(
                f"right and wrong are taken from {marks[0].path!r}; {differing[0]!r} says something else on some rows. "
                f"To take that one, use --field correct={differing[0]}."
            )
        return marks

    # ------------------------------------------------------------------------------------------ evidence

    def _no_answer(self, column: Column, listed: bool, clear: list[Column]) -> str | None:
        """Say why a column is not the model's answer; None if it may be."""
        if listed and not column.listed:
            return "one value for a list of samples, so it may be the gold answer"
        if self.columns.named.get("answer") != column.path and column.path in self.columns.named.values():
            return "named for another field"
        ambiguous = column not in clear
        if ambiguous and column.listed and not listed:
            return "a list beside one sample, so it may list right answers"
        for other in self.answers:
            if column.never_varies and other is not column and other.varying:
                return f"the same for all samples of a question while {other.path!r} varies, so it is a gold answer"
        vary = next((c for c in self.texts if c.varying), None)
        if column.never_varies and vary and any(mark.varying > 1 for mark in self.marks):
            return f"the same for all samples of a question while {vary.path!r} varies, so it is a gold answer"
        if ambiguous and vary and column.never_varies and (self.gold is None or self._equals_gold(column)):
            return f"the same for all samples of a question while {vary.path!r} varies, so it is a gold answer"
        better = next((c for c in clear if c is not column and not self._is_whole(c)), None)
        if ambiguous and better is not None:
            return f"{better.path!r} beside it is the model's answer, so it is a gold answer"
        if self.gold is not None and self._equals_gold(column):
            others = [c for c in self.answers if c is not column and not self._equals_gold(c)]
            if others or (not column.repeated and self._wrong_marks() > 1):
                return "it equals the gold answer on every row"
        if ambiguous and self.gold is None and self.golds is None and not listed and self._foreign(column):
            return "texts that are marked wrong do not contain it, so it is a gold answer"
        if self._is_whole(column):
            return "it holds whole texts that hardly ever equal each other or a gold answer"
        return None

    def _text_reason(self, column: Column, listed: bool) -> str | None:
        reason = None
        others = [c for c in (*self.texts, *self.answers, *self.marks) if c is not column and c.varying]
        if "text" in self.columns.named:
            return None
        if listed != column.listed:
            reason = "one value for a list of samples" if listed else "a list beside one sample"
        elif column.never_varies and any(c.field == "text" for c in others):
            reason = "the same for all samples of a question while others vary"
        elif column.path in DOUBTFUL and not listed and (self.gold is not None or self.golds is not None):
            reason = "it may be the right solution; to grade it, use --field text=" + column.path
        if reason is not None:
            self.plan.reasons.setdefault(column.path, reason)
        return reason

    def _pairs(self, column: Column) -> Iterator[tuple[str, str, list[str]]]:
        """Yield question, value and gold answers of the first rows."""
        count = 0
        for row in self.columns.head:
            value = lookup(row, column.path)
            name = self.columns.name(row)
            golds = self._golds(row, name)
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, str | int | float) and count < COMPARED:
                    count += 1
                    yield name, str(item), golds

    def _golds(self, row: Mapping[str, Any], name: str) -> list[str]:
        if self.golds is not None:
            return [self.golds[name]] if name in self.golds else []
        value = None if self.gold is None else lookup(row, self.gold.path)
        if value is None or value is MISSING:
            return []
        return values.alternatives(value) or [str(value)]

    def _equals_gold(self, column: Column) -> bool:
        some = [value.strip() in golds for _, value, golds in self._pairs(column) if golds]
        return len(some) > 1 and all(some)

    def _wrong_marks(self) -> int:
        marks = self.marks[:1]
        return sum(
            values.right(_one(lookup(row, c.path)), "correct") is False
            for c in marks
            for row in self.columns.head
            if lookup(row, c.path) is not MISSING and not c.misfits and not c.listed
        )

    def _foreign(self, column: Column) -> bool:
        """Say whether texts that are marked wrong do not contain a column's value, as an extracted answer would be."""
        from tcalloc.llm.graders._text import text_key

        text = next((c for c in self.texts if not c.listed), None)
        if text is None or not self.marks or self.marks[0].misfits or self.marks[0].listed:
            return False
        found = []
        for row in self.columns.head[:COMPARED]:
            mark, value = lookup(row, self.marks[0].path), lookup(row, column.path)
            written = values.message_text(lookup(row, text.path))
            if mark is MISSING or values.right(mark, "correct") is not False or not written or value is MISSING:
                continue
            found.append(f" {text_key(str(value))} " in f" {text_key(written[-5000:])} ")
        return len(found) > 0 and sum(found) < 0.5 * len(found)

    def _is_whole(self, column: Column) -> bool:
        from tcalloc.llm.graders._text import any_key, text_key

        words, equal, containing, known = [], 0, 0, 0
        by_question: dict[str, list[str | None]] = {}
        for name, value, golds in self._pairs(column):
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

    def _is_mark(self, score: Column) -> bool:
        """Say whether a score of 0 and 1 says right or wrong: it does where it agrees with the gold answers."""
        from tcalloc.llm.graders._text import any_key

        answer = self.plan.columns.get("answer")
        if answer is None or (self.gold is None and self.golds is None):
            return True
        marks = [_one(item) for row in self.columns.head for item in _listed(lookup(row, score.path))]
        pairs = list(self._pairs(answer))
        if len(marks) < len(pairs) or len({float(mark) for mark in marks if mark is not None}) < 2:
            return False
        same = [
            mark for mark, (_, value, golds) in zip(marks, pairs, strict=False) if any_key(value) in map(any_key, golds)
        ]
        return sum(mark in (1, "1") for mark in same) >= 0.95 * len(same)

    def _differ(self, one: Column, other: Column) -> bool:
        for row in self.columns.head:
            pair = [_listed(lookup(row, column.path)) for column in (one, other)]
            if [_mark(item) for item in pair[0]] != [_mark(item) for item in pair[1]]:
                return True
        return False

    # ------------------------------------------------------------------------------------------ what is said

    def _refuse(self, whole: list[Column]) -> None:
        golds = [gold for row in self.columns.head[:50] for gold in self._golds(row, self.columns.name(row))]
        hint = grader_hint(golds)
        if whole:
            raise Unusable(
                f"{whole[0].path!r} holds whole texts that hardly ever equal each other or a gold answer, e.g. "
                f"{snippet(_one(whole[0].example))}. Grade them, e.g. {hint}; or say that they are answers: --field "
                f"answer={whole[0].path}"
            )
        if "text" in self.plan.paths:
            raise Unusable(
                f"there is a text ({self.plan.paths['text'][0]!r}), but neither an answer nor whether it is right; "
                f"say how to grade, e.g. {hint}"
            )
        odd = ""
        for column in self.columns.found.values():
            if column.field in RESULTS and column.misfits and not odd:
                try:
                    check = values.right if column.field == "correct" else values.text
                    check(_one(column.misfit), column.path)
                except InputError as error:
                    odd = f" ({error})"
        reasons = "".join(f" {path!r} is not taken: {reason}." for path, reason in self.plan.reasons.items())
        raise Unusable(
            f"none of 'text', 'answer', 'correct'{odd}; name them, e.g. --field answer=NAME. The fields are "
            f"{self.columns.fields()}.{reasons}"
        )

    def _explain(self, model: str | None) -> None:
        plan, columns = self.plan, self.columns
        taken = {path for paths in plan.paths.values() for path in paths}
        for column in columns.found.values():
            if column.misfits and not column.usable and column.path not in taken and column.field not in RESULTS:
                plan.reasons.setdefault(
                    column.path, f"{snippet(column.misfit)} does not fit the field {column.field!r}"
                )
        used = {path.partition(".")[0].partition("[")[0] for path in taken}
        used |= {"base_status"} if "plus_status" in taken else set()
        for key in columns.keys:
            if key not in used and columns.keys[key]:
                plan.unread.append(key)
        if columns.id_note:
            plan.warnings.append(columns.id_note)
        if "model" not in plan.paths and model is None and columns.named.get("model") != "":
            self._suspect_models(used)

    def _suspect_models(self, used: set[str]) -> None:
        """Warn of an unread column whose few values each stand on most questions, as models would."""
        asked = len(self.columns.ids)
        if self.columns.rows < 1.5 * asked:
            return
        for key, seen in self.columns.strings.items():
            if key in used or not seen or len(seen) < 2 or key in GOLDS:
                continue
            if all(2 * len(names) >= asked for names in seen.values()):
                some = ", ".join(snippet(value, 20) for value in list(seen)[:3])
                self.plan.warnings.append(
                    f"all samples are taken as one model's, but {key!r} has {len(seen)} values ({some}) on the same "
                    f"questions. If these are models, use --field model={key}."
                )
                return


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _one(value: Any) -> Any:
    """Return a value, or the first of a list."""
    if isinstance(value, list):
        return next((item for item in value if item is not None), None)
    return value


def _mark(value: Any) -> bool | None:
    try:
        return values.right(None if value is MISSING else value, "correct")
    except InputError:
        return None


def gold_share(
    columns: Columns, path: str, gold: tuple[str, ...] | None, golds: Mapping[str, str] | None
) -> float | None:
    """Return the share of a column's values that equal the gold answer; None if that cannot be said."""
    from tcalloc.llm.graders._text import any_key

    equal, count = 0, 0
    for row in columns.head[:COMPARED]:
        right = golds.get(columns.name(row)) if golds is not None else lookup(row, gold[0]) if gold else None
        known = {
            any_key(str(one)) for one in values.alternatives(right) or [right] if isinstance(one, str | int | float)
        }
        for value in _listed(lookup(row, path)) if known else []:
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                count += 1
                equal += any_key(str(value)) in known
    return equal / count if count else None
