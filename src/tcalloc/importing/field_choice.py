"""Which column of a log is taken for which field, and why the others are not.

A name alone says little: ``answer`` is the model's answer in one log and the gold answer in the next. What a column
holds decides: a gold answer never varies between the samples of a question, and whole texts never equal each other.
"""

from dataclasses import dataclass, field

from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.importing import values
from tcalloc.importing.columns import BY_KEY, RESULTS, Column
from tcalloc.importing.evidence import Evidence, first_entry, grader_hint
from tcalloc.importing.fields import ALIASES, CLEAR_ANSWERS, LIKELY_MODELS, MISSING, NUMBERS, lookup
from tcalloc.importing.values import Unusable
from tcalloc.runs.jsonl import snippet

__all__ = ["Plan", "choose"]

# Fields that hold the right solution as often as the model's: not taken for a text where there is a gold answer.
DOUBTFUL = ("solution", "code", "content")
# Fields that may say right or wrong, or what a reward model or a server thinks; they have to agree with gold answers.
WEAK_MARKS = ("score", "success", "status", "outcome", "result")


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
    notes: list[str] = field(default_factory=list)
    listed_golds: bool = True
    """Whether a gold answer that is a list, written as text, holds several right answers."""


def choose(evidence: Evidence, graded: bool, model: str | None) -> Plan:
    """Decide what is what.

    `graded` says whether a grader marks the texts, `model` whose samples they are, where the log does not say.
    `Unusable` is raised if the log holds no id, or nothing that can be a result.
    """
    return _Chooser(evidence, graded, model).plan


class _Chooser:
    def __init__(self, evidence: Evidence, graded: bool, model: str | None):
        columns = evidence.columns
        self.evidence, self.columns, self.graded, self.golds = evidence, columns, graded, evidence.golds
        self.plan = Plan()
        for name, path in columns.named.items():
            if path and not columns.found[name, path].present:
                raise Unusable(
                    f"no field {snippet(path)}, which --field {name}= names, or no value in it. The fields are "
                    f"{columns.fields()}"
                )
        if not columns.id_path:
            raise Unusable(
                f"no field 'id'; say which one it is, e.g. --field id=NAME. The fields are {columns.fields()}"
            )
        self._take("id", [columns.found["id", columns.id_path]])
        evidence.gold = None if self.golds is not None else self._gold()
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
        if "model" not in self.plan.paths and model is None and columns.named.get("model") != "":
            self._find_models()
        self._explain()

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
        marks = [c for c in marks if c.path not in WEAK_MARKS or _is_verdict(c)]
        clear = [c for c in answers if c.path in CLEAR_ANSWERS or "answer" in self.columns.named]
        known = self.evidence.known
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
        whole = [c for c in answers if c not in fitting and self.evidence.is_whole(c)]
        written = [c for c in texts if self._text_reason(c, listed) is None] or whole
        self._take_gold(fitting, written)
        if self.graded:
            fitting = [c for c in fitting if c is not self.evidence.gold]
            self._take("text", written or fitting)
            if "text" not in self.plan.paths:
                raise Unusable(
                    "no field holds a text that could be graded; name it, e.g. --field text=NAME. The fields are "
                    f"{self.columns.fields()}"
                )
            return
        self._take("text", written)
        self._take("answer", [c for c in fitting if c is not self.evidence.gold])
        self._take("correct", self._marks(marks, listed))
        if not {"answer", "correct"} & self.plan.paths.keys():
            self._refuse(whole)

    def _take_gold(self, fitting: list[Column], written: list[Column]) -> None:
        """Take the gold answer; without a column of that name, "answer" where it is not the model's."""
        if self.golds is not None or self.columns.named.get("gold") == "":
            return
        if self.evidence.gold is None:
            for column in self.answers:
                if column.path in CLEAR_ANSWERS or "answer" in self.columns.named or column in written:
                    continue
                gold = column not in fitting or (self.graded and bool(written))
                if gold and self.evidence.constant(column) and not self.evidence.is_whole(column):
                    self.evidence.gold = column
                    break
        if self.evidence.gold is not None:
            self._take("gold", [self.evidence.gold])

    def _marks(self, marks: list[Column], listed: bool) -> list[Column]:
        for column in marks:
            if listed and not column.listed:
                self.plan.reasons[column.path] = "one mark for a list of samples"
        marks = [column for column in marks if not listed or column.listed]
        answer = self.plan.columns.get("answer")
        weak = [c for c in self.columns.of("correct") if c not in self.marks and not c.misfits and c.listed == listed]
        marks = marks or [column for column in weak if self.evidence.is_mark(column, answer)][:1]
        differing = [c.path for c in marks[1:] if self.evidence.differ(marks[0], c)]
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
            return "one value for a list of samples, as a gold answer would be"
        if self.columns.named.get("answer") != column.path and column.path in self.columns.named.values():
            return "named for another field"
        ambiguous = column not in clear
        if ambiguous and column.listed and not listed:
            return "a list beside one sample, as right answers would be"
        for other in self.answers:
            if column.never_varies and other is not column and other.varying:
                return f"the same for all samples of a question while {other.path!r} varies, as a gold answer would be"
        vary = next((c for c in self.texts if c.varying), None)
        if column.never_varies and vary and any(mark.varying > 1 for mark in self.marks):
            return f"the same for all samples of a question while {vary.path!r} varies, as a gold answer would be"
        only = column.never_varies and not self.marks
        if ambiguous and vary and only and (not self.evidence.known or self.evidence.equals_gold(column)):
            return f"the same for all samples of a question while {vary.path!r} varies, as a gold answer would be"
        better = next((c for c in clear if c is not column and not self.evidence.is_whole(c)), None)
        if ambiguous and better is not None:
            return f"{better.path!r} beside it is the model's answer"
        if self.evidence.known and self.evidence.equals_gold(column):
            others = self.answers if ambiguous else clear
            differ = any(c is not column and not self.evidence.equals_gold(c) for c in others)
            if differ or (not column.repeated and self.evidence.wrong_marks(self.marks) > 1):
                return "it equals the gold answer on every row"
        foreign = ambiguous and not listed and (not self.evidence.known or not self.marks)
        if foreign and self.evidence.is_foreign(column, self.texts, self.marks):
            return "texts that are wrong do not contain it, as they would contain the answer that they give"
        if self.evidence.is_whole(column):
            return "it holds whole texts that hardly ever equal each other or a gold answer"
        return None

    def _text_reason(self, column: Column, listed: bool) -> str | None:
        if "text" in self.columns.named:
            return None
        reason = None
        others = [c for c in (*self.texts, *self.answers, *self.marks) if c is not column and c.varying]
        doubtful = column.path in DOUBTFUL
        if listed != column.listed:
            reason = "one value for a list of samples" if listed else "a list beside one sample"
        elif column.never_varies and any(doubtful or c.field == "text" for c in others):
            reason = "the same for all samples of a question while others vary"
        elif doubtful and not listed and (self.evidence.gold is not None or self.golds is not None):
            reason = "it may be the right solution; to grade it, use --field text=" + column.path
        if reason is not None:
            self.plan.reasons.setdefault(column.path, reason)
        return reason

    # ------------------------------------------------------------------------------------------ what is said

    def _refuse(self, whole: list[Column]) -> None:
        golds = [gold for row in self.columns.head[:50] for gold in self.evidence.golds_of(row, self.columns.name(row))]
        hint = grader_hint(golds)
        reasons = "".join(f" {path!r} is not taken: {reason}." for path, reason in self.plan.reasons.items())
        if whole:
            raise Unusable(
                f"{whole[0].path!r} holds whole texts that hardly ever equal each other or a gold answer, e.g. "
                f"{snippet(first_entry(whole[0].example))}. Grade them, e.g. {hint}; or say that they are answers: "
                f"--field answer={whole[0].path}"
            )
        if "text" in self.plan.paths:
            raise Unusable(
                f"there is a text, but neither an answer nor whether it is right; say how to grade "
                f"{self.plan.paths['text'][0]!r}, e.g. {hint}.{reasons}"
            )
        odd = ""
        for column in self.columns.found.values():
            if column.field in RESULTS and column.misfits and not odd:
                try:
                    check = values.right if column.field == "correct" else values.text
                    check(first_entry(column.misfit), column.path)
                except InputError as error:
                    odd = f"{error}; "
        none = "no other field is 'text', 'answer' or 'correct'" if odd else "none of 'text', 'answer', 'correct'"
        raise Unusable(
            f"{odd}{none}; name them, e.g. --field answer=NAME. The fields are {self.columns.fields()}.{reasons}"
        )

    def _explain(self) -> None:
        plan, columns = self.plan, self.columns
        taken = {path for paths in plan.paths.values() for path in paths}
        gold = plan.paths.get("gold", ("",))[0]
        if gold in plan.reasons:
            plan.notes.append(f"{gold!r} is taken for the gold answer: {plan.reasons[gold]}.")
        plan.reasons = {path: reason for path, reason in plan.reasons.items() if path not in taken}
        for column in columns.found.values():
            if column.misfits and not column.usable and column.path not in taken:
                reason = f"{snippet(column.misfit)} does not fit the field {column.field!r}"
                plan.reasons.setdefault(column.path, reason)
        used = self._used()
        plan.unread = [key for key, count in columns.keys.items() if count and key not in used]
        if columns.id_note:
            plan.warnings.append(columns.id_note)
        shown = plan.columns.get("answer") or plan.columns.get("text")
        plan.listed_golds = shown is None or not self.evidence.answers_are_lists(shown)

    def _used(self) -> set[str]:
        taken = {path for paths in self.plan.paths.values() for path in paths}
        return {key_of(path) for path in taken} | ({"base_status"} if "plus_status" in taken else set())

    def _find_models(self) -> None:
        """Find a column whose few values each stand on most questions, as models would.

        Where its name says so (system, agent, ...) it names the models; any other is warned of.
        """
        asked, used = len(self.columns.ids), self._used()
        if self.columns.rows < 1.5 * asked:
            return
        for key, seen in self.columns.strings.items():
            if key in used or not seen or len(seen) < 2 or (key in BY_KEY and key not in LIKELY_MODELS):
                continue
            if not all(2 * len(names) >= asked for names in seen.values()):
                continue
            if key in LIKELY_MODELS:
                column = Column("model", key, example=next(iter(seen)))
                self._take("model", [column])
            else:
                some = ", ".join(snippet(value, 20) for value in list(seen)[:3])
                self.plan.warnings.append(
                    f"all samples are taken as one model's, but {key!r} has {counted(len(seen), 'value')} ({some}) "
                    f"on the same questions. If these are models, use --field model={key}."
                )
            return


def key_of(path: str) -> str:
    """Return the field of a row in which a path begins."""
    return path.partition(".")[0].partition("[")[0]


def _is_verdict(column: Column) -> bool:
    """Say whether a score is true or false, or a word for it, rather than a number."""
    example = first_entry(column.example)
    return column.path == "score" and (isinstance(example, bool) or (isinstance(example, str) and example.isalpha()))
