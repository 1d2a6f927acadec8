"""One import: what is learned of the logs on the first passes, and graded and written on the last."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tcalloc._counts import agreeing, counted
from tcalloc.errors import InputError
from tcalloc.importing import values
from tcalloc.importing.fields import ALIASES
from tcalloc.importing.harness import HarnessReader, task_filters
from tcalloc.importing.report import FieldUse, ImportReport, Taken
from tcalloc.importing.rows import Options, Reader, Row, Sample
from tcalloc.importing.values import Failed, Unusable
from tcalloc.llm.graders.numbers import number_key
from tcalloc.llm.graders.text import any_key
from tcalloc.llm.questions import Question, question_from
from tcalloc.runs.jsonl import snippet

__all__ = ["Job", "Source"]

# How many messages about skipped rows are kept; the others are counted.
NAMED = 20


@dataclass(slots=True)
class Source:
    """A log: where it is, how it is read, what its name says."""

    name: str
    format: str
    read: Callable[[Callable[[InputError], None] | None], Iterator[tuple[str, Mapping[str, Any]]]]
    reader: Reader
    model: str | None = None
    task: str | None = None
    date: str | None = None

    def rows(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield place and row; what cannot be read is passed over."""
        return self.read(lambda _: None)


class Job:
    """One import: what is learned of the logs on the first passes. `given` are the questions of a file, by id."""

    def __init__(self, sources: list[Source], options: Options, given: "dict[str, Question] | None", skip_bad: bool):
        self.sources, self.options, self.given, self.skip_bad = sources, options, given, skip_bad
        self.questions: dict[str, Question] = {} if given is None else given
        self.tasks = {source.task for source in sources}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.taken = Taken()
        self.coarse: set[tuple[str, str]] = set()
        """Questions and normalized answers behind which there are right and wrong ones."""
        self._asked: dict[str, tuple[int, str, str]] = {}
        self._lines: Counter[tuple[str, str]] = Counter()
        self._marks: dict[tuple[str, str], tuple[bool, str]] = {}
        self._keys: dict[tuple[str, str], bool] = {}
        self.silent = 0

    def prepare(self, report: ImportReport) -> None:
        """Learn what the logs hold, and decide how they are read."""
        formats = {source.format for source in self.sources}
        if self.options.fields.keys() - {"question"} and "jsonl" not in formats:
            raise InputError(
                f"{self.sources[0].name}: fields cannot be named in logs of the format {self.sources[0].format}, which "
                "has its own. Leave out --field, or read the log with --format jsonl."
            )
        if (self.options.filters or self.options.metric) and "lm-eval" not in formats:
            raise InputError(
                f"{self.sources[0].name}: --filter and --metric are for logs of lm-evaluation-harness, and none is "
                "given. To name the field that says right or wrong, use --field correct=NAME."
            )
        for source in self.sources:
            source.reader.survey(source.rows)
        harness = [(s.task, s.name, s.reader) for s in self.sources if isinstance(s.reader, HarnessReader)]
        report.notes += task_filters(harness, self.options)
        self._name_models(report)

    def _name_models(self, report: ImportReport) -> None:
        """Name models by their files where nothing else names them and several files answer the same questions."""
        if self.options.model is not None or len(self.sources) < 2:
            return
        owner: dict[tuple[str | None, str], int] = {}
        named_elsewhere: dict[str, int] = {}
        found: list[int] = [0] * len(self.sources)
        shared: set[str | None] = set()
        for i, source in enumerate(self.sources):
            for _, raw in source.rows():
                try:
                    row = source.reader.read(raw)
                    name = None if row is None else self._name(source, row)[0]
                except (Failed, InputError):
                    continue
                if row is None or name is None:
                    continue
                if row.model is not None:
                    named_elsewhere.setdefault(name, i)
                    continue
                found[i] += hash((name, repr(row.samples)))
                if owner.setdefault((source.model, name), i) != i:
                    shared.add(source.model)
        shared |= {label for (label, name), i in owner.items() if named_elsewhere.get(name, i) != i}
        for label in shared:
            some = [i for i, source in enumerate(self.sources) if source.model == label and found[i]]
            named = _file_labels([self.sources[i] for i in some])
            for i, name in zip(some, named, strict=True):
                self.sources[i].model = name
            listed = ", ".join(map(repr, named[:4])) + (", …" if len(named) > 4 else "")
            report.notes.append(
                "Files that answer the same questions and name no model are taken as one model each, named by the "
                f"file: {listed}. If all are samples of one model, use --model NAME."
            )
            for i, j in ((i, j) for i in some for j in some if i < j and found[i] == found[j]):
                report.warnings.append(
                    f"{self.sources[i].name} and {self.sources[j].name} hold the same samples. If one is a copy of the "
                    "other, leave it out."
                )

    def walk(self, report: ImportReport | None) -> Iterator[tuple[str, str, int, Sample]]:
        """Read all logs; on the first walk (with the report), learn the questions and say what is wrong."""
        self.counts.clear()
        taken: dict[tuple[str, str], int] = {}

        def bad(error: InputError) -> None:
            if not self.skip_bad or isinstance(error, Unusable):
                raise error
            if report is not None:
                report.skipped += 1
                if len(report.skipped_words) < NAMED:
                    report.skipped_words.append(str(error))

        for source in self.sources:
            for place, raw in source.read(bad):
                try:
                    row = source.reader.read(raw)
                    if row is None:
                        continue
                    name, arm, found = self._accepted(source, row, taken, place, report is not None)
                except Failed as failure:
                    if report is not None:
                        report.failed[str(failure)] = report.failed.get(str(failure), 0) + 1
                    continue
                except InputError as error:
                    text = str(error).rstrip(".")
                    bad(type(error)(f"{text}." if text.startswith(place) else f"{place}: {text}."))
                    continue
                for number, sample in found:
                    self.counts[name, arm] += 1
                    yield name, arm, number, sample

    def _name(self, source: Source, row: Row) -> tuple[str, int | None]:
        name, number = (row.id, None) if self.options.split is None else values.split_id(self.options.split, row.id)
        if len(self.tasks) > 1 and source.task is not None:
            name = f"{source.task}/{name}"
        return name, number

    def _accepted(
        self, source: Source, row: Row, taken: dict[tuple[str, str], int], place: str, first: bool
    ) -> tuple[str, str, list[tuple[int, Sample]]]:
        name, number = self._name(source, row)
        arm = row.model or self.options.model or source.model or "imported"
        if self.options.model is not None and source.format != "jsonl":
            arm = self.options.model
        self._learn(name, row, place)
        for sample in row.samples:
            marked = self.options.graded or sample.correct is not None or sample.answer is not None or sample.silent
            if not marked and sample.text:
                raise Unusable(
                    "there is a text, but neither an answer nor whether it is right; say how to grade, e.g. --grader "
                    "numeric"
                )
        bits = taken.get((name, arm), 0)
        found = []
        for sample in row.samples:
            wanted = sample.number if sample.number is not None else number
            j = (~bits & (bits + 1)).bit_length() - 1 if wanted is None or len(row.samples) > 1 else wanted
            if bits >> j & 1:
                raise InputError(
                    f"sample {j} of question {snippet(name)} by {arm} was already given. Number them apart. If "
                    "the field does not number samples, use --field sample="
                )
            bits |= 1 << j
            found.append((j, sample))
        if first:
            for sample in row.samples:
                self._check_mark(source, name, sample, place)
                self.silent += sample.silent
            self._lines[name, arm] += number is None and all(sample.number is None for sample in row.samples)
            self.taken.row(row.taken, row.left)
        taken[name, arm] = bits
        return name, arm, found

    def _check_mark(self, source: Source, name: str, sample: Sample, place: str) -> None:
        """Refuse an answer that is marked right and wrong; note where one normalized answer stands for both."""
        if self.options.graded or sample.correct is None or not (sample.answer or "").strip():
            return
        answer = sample.answer or ""
        plain = answer.strip() if source.format == "lm-eval" else _plain(answer)
        right, earlier = self._marks.setdefault((name, plain), (sample.correct, place))
        if right != sample.correct:
            also = "on this line" if earlier == place else f"here and on {earlier}"
            raise Unusable(
                f"{place}: question {snippet(name)}: the answer {snippet(answer)} is marked both right and wrong, "
                f"{also}. Correct the marks; or use --field correct= to compare answers with the gold answers; or if "
                "this is not the model's answer, --field answer=NAME, or --field answer= for marks alone"
            )
        key = any_key(answer)
        if key is not None and self._keys.setdefault((name, key), sample.correct) != sample.correct:
            self.coarse.add((name, key))

    def _learn(self, name: str, row: Row, place: str) -> None:
        if row.asked is not None and self.options.fields.get("question") != "":
            text = " ".join(str(row.question.get("question") or row.asked).split())
            code, other, earlier = self._asked.setdefault(name, (hash(row.asked), snippet(text, 80), place))
            if code != hash(row.asked):
                raise Unusable(
                    f"{place}: the id {snippet(name)} stands for two questions, {snippet(text, 80)} here and {other} "
                    f"on {earlier}. Give different questions different ids, or import the files into runs of their "
                    "own; if both are prompts of one question, use --field question="
                )
        if self.given is not None:
            if name not in self.given:
                raise InputError(
                    f"the question {snippet(name)} is not in the questions file. Add it, or use --skip-bad"
                )
            return
        fields = {"id": name, "question": row.question.get("question") or name}
        fields |= {ours: row.question[ours] for ours in ("accept", "choices") if ours in row.question}
        if row.question.get("gold") is not None:
            fields["gold"] = row.question["gold"]
        known = self.questions.get(name)
        if known is None or (known.gold is None and "gold" in fields):
            self.questions[name] = question_from(fields, place, name)
        elif "gold" in fields:
            gold = question_from(fields, place, name).gold
            if gold != known.gold:
                raise InputError(
                    f"question {snippet(name)}: the gold answer is {snippet(gold or '')}, on an earlier line it was "
                    f"{snippet(known.gold or '')}. Give different questions different ids"
                )

    def describe(self, report: ImportReport) -> None:
        """Say, after the first walk, what was taken for what and what was left."""
        order = list(ALIASES)
        golds = [question.gold for question in self.given.values() if question.gold] if self.given is not None else []
        if golds:
            self.taken.uses["gold", ""] = FieldUse("gold", "the questions file", golds[0], len(golds))
        report.fields = sorted(self.taken.uses.values(), key=lambda use: order.index(use.field))
        report.notes += self.taken.notes()
        for source in self.sources:
            report.notes += [words for words in source.reader.notes if words not in report.notes]
            report.warnings += [words for words in source.reader.warnings if words not in report.warnings]
            report.unread |= {key: why for key, why in source.reader.unread.items() if not report.unread.get(key)}
        several = [(name, arm) for (name, arm), count in self._lines.items() if count > 1]
        if several:
            name, arm = max(several, key=lambda key: self._lines[key])
            of = "" if len(report.models) == 1 else f" by {arm}"
            more = counted(len(several) - 1, "other id")
            rest = f", and likewise those of {more}" if len(several) > 1 else ""
            report.notes.append(
                f"{counted(self._lines[name, arm], 'line')} of id {name}{of} are taken as "
                f"{counted(self.counts[name, arm], 'sample')}{rest}."
            )
        if self.silent:
            samples = f"{counted(self.silent, 'sample')} {agreeing(self.silent, 'has', 'have')}"
            marked = self.given is not None or any(question.golds for question in self.questions.values())
            known = marked or self.taken.source("correct") is not None
            report.notes.append(
                f"{samples} no answer (null or empty), which is {'wrong and ' if known else ''}no vote."
            )

    def refuse_nothing(self, report: ImportReport) -> None:
        """Say why there is nothing to import."""
        where = self.sources[0].name
        if report.failed:
            reasons = ", ".join(
                f"{reason} {count:,}" for reason, count in sorted(report.failed.items(), key=lambda item: -item[1])[:5]
            )
            raise InputError(f"{where}: no samples, because all requests failed ({reasons}).")
        if report.skipped:
            raise InputError(
                f"{where}: no samples are left after skipping {counted(report.skipped, 'row')}; "
                f"{report.skipped_words[0]}"
            )
        raise InputError(f"{where}: holds no samples.")


def _plain(answer: str) -> str:
    """Return an answer without what never changes its meaning; a number by its value."""
    kept = re.sub(r"""[\s.,;:!?"'`*_$]+""", " ", f" {answer.casefold()} ")
    return number_key(answer) or " ".join(re.sub(r"\b(?:a|an|the)\b(?= \S)", "", kept).split())


def _file_labels(sources: list[Source]) -> list[str]:
    """Return names that tell files apart: the file's own, with its folder where that is needed."""
    dated = [f"{source.model} {source.date}" for source in sources if source.model and source.date]
    if len(set(dated)) == len(sources):
        return dated
    parts = [os.path.abspath(source.name).split(os.sep) for source in sources]
    for names in parts:
        names[-1] = re.sub(r"(?:\.(?:jsonl?|ndjson|gz))+$", "", names[-1]) or names[-1]
    depth = 1
    while depth < max(map(len, parts)) and len({tuple(names[-depth:]) for names in parts}) < len(parts):
        depth += 1
    # What all have in common at the end ("small/results", "large/results") says nothing.
    same = 0
    while same < depth - 1 and len({names[-1 - same] for names in parts}) == 1:
        same += 1
    labels = ["/".join(names[-depth : len(names) - same]) for names in parts]
    return labels if len(set(labels)) == len(labels) else [f"{label} ({i})" for i, label in enumerate(labels, 1)]
