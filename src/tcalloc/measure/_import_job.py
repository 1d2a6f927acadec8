"""One import: what is learned of the logs on the first pass, and graded and written on the second."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from tcalloc.errors import InputError
from tcalloc.measure import _import_rows as rows
from tcalloc.measure._import_values import Failed, Unusable, split_id
from tcalloc.measure._jsonl import snippet
from tcalloc.measure._voices import Voices
from tcalloc.measure.store import Store

if TYPE_CHECKING:
    from tcalloc.llm.graders import Grade, Grader
    from tcalloc.llm.questions import Question

__all__ = ["ImportReport", "Job", "Source"]

# How many messages about skipped rows are kept; the others are counted.
NAMED = 20
CHUNK, THREADS = 256, 8


@dataclass
class ImportReport:
    """What was imported.

    Attributes
    ----------
    out : str
        The run folder.
    formats : list of str
        What the logs are.
    questions, samples : int
        How many there are now.
    models : list of str
        Whose samples they are.
    marked, right : int
        How many samples could be marked right or wrong, and how many are right.
    errors : int
        How many could not be graded; they count as not right.
    per_question : (int, int)
        The fewest and the most samples of a question and model.
    skipped : int
        How many rows were left out (``skip_bad``).
    skipped_words : list of str
        The first of them, with file, line and reason.
    failed : dict
        How many requests had failed, by reason; they are no samples.
    notes : list of str
        What else should be known.
    """

    out: str
    formats: list[str] = field(default_factory=list)
    questions: int = 0
    samples: int = 0
    models: list[str] = field(default_factory=list)
    marked: int = 0
    right: int = 0
    errors: int = 0
    per_question: tuple[int, int] = (0, 0)
    skipped: int = 0
    skipped_words: list[str] = field(default_factory=list)
    failed: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Source:
    """A log: where it is, how it is read, what its name says."""

    name: str
    format: str
    read: Callable[[Callable[[InputError], None] | None], Iterator[tuple[str, Mapping[str, Any]]]]
    model: str | None = None
    task: str | None = None


class Job:
    """One import: what is learned of the logs on the first pass, and written on the second."""

    def __init__(
        self,
        sources: list[Source],
        options: rows.Options,
        given: "dict[str, Question] | None",
        grader: "Grader | None",
        model: str | None,
        split: "re.Pattern[str] | None",
        skip_bad: bool,
    ):
        self.sources, self.options, self.given, self.grader = sources, options, given, grader
        self.model, self.split, self.skip_bad = model, split, skip_bad
        self.questions: dict[str, Question] = {} if given is None else given
        self.tasks = {source.task for source in sources}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.filters: dict[str | None, int] = {}
        self.unmarked = 0
        self.voices: dict[str, Voices] = {}

    def walk(self, report: ImportReport | None) -> Iterator[tuple[str, str, int, rows.Sample]]:
        """Read all logs; on the first pass (with the report), learn the questions and say what is wrong."""
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
            reader = rows.READERS[source.format]
            for place, raw in source.read(bad):
                try:
                    row = reader(raw, self.options)
                    if not self._counts(row):
                        continue
                    name, arm, found = self._accepted(source, row, taken, place)
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

    def _counts(self, row: rows.Row) -> bool:
        """Say whether a row's filter is the one that counts."""
        if row.filter is None:
            return True
        self.filters.setdefault(row.filter, 0)
        if self.options.filter is not None:
            return row.filter == self.options.filter
        if len(self.filters) > 1 and not self.options.graded:
            names = ", ".join(repr(name) for name in self.filters)
            raise Unusable(f"the log holds the results of several filters ({names}); choose one by --filter")
        return row.filter == next(iter(self.filters))  # the responses are the same

    def _accepted(
        self, source: Source, row: rows.Row, taken: dict[tuple[str, str], int], place: str
    ) -> tuple[str, str, list[tuple[int, rows.Sample]]]:
        name, number = (row.id, None) if self.split is None else split_id(self.split, row.id)
        if len(self.tasks) > 1 and source.task is not None:
            name = f"{source.task}/{name}"
        arm = row.model or self.model or source.model or "imported"
        if self.model is not None and source.format != "jsonl":
            arm = self.model
        self._learn(name, row, place)
        for sample in row.samples:
            if self.grader is None and sample.correct is None and sample.answer is None:
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
                    f"sample {j} of question {snippet(name)} by {arm} was already given. Number them apart"
                )
            bits |= 1 << j
            found.append((j, sample))
        taken[name, arm] = bits
        return name, arm, found

    def _learn(self, name: str, row: rows.Row, place: str) -> None:
        from tcalloc.llm.questions import question_from

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

    def refuse_nothing(self, report: ImportReport) -> None:
        """Say why there is nothing to import."""
        where = self.sources[0].name
        if self.options.filter is not None and self.filters:
            names = ", ".join(repr(name) for name in self.filters)
            raise InputError(f"{where}: no results of the filter {self.options.filter!r}; there are {names}.")
        if report.failed:
            raise InputError(
                f"{where}: no samples; all {sum(report.failed.values())} requests failed ({_reasons(report)})."
            )
        if report.skipped:
            raise InputError(
                f"{where}: no samples are left after skipping {report.skipped} rows; {report.skipped_words[0]}"
            )
        raise InputError(f"{where}: holds no samples.")

    # ------------------------------------------------------------------------------------------ writing

    def write(self, out: str, report: ImportReport, keep_text: bool) -> None:
        """Grade all samples and write the run; whatever happens, there is all of it or nothing."""
        listed = [_question_record(question) for question in self.questions.values()]
        arms = {model: _short_hash("import", model, report.formats) for model in report.models}
        manifest = {
            "model": report.models[0] if len(report.models) == 1 else None,
            "host": None,
            "grader": getattr(self.grader, "name", None),
            "imported": [{"log": os.path.basename(s.name), "format": s.format} for s in self.sources],
            "questions": len(listed),
            "questions_sha256": _long_hash(listed),
            "arms": [{"arm": arm, "model": model, "imported": True} for model, arm in arms.items()],
        }
        beside = f"{os.path.abspath(out)}.{secrets.token_hex(4)}.part"
        try:
            os.makedirs(os.path.dirname(beside), exist_ok=True)
            with Store.create(beside, manifest, listed) as store:
                for (name, model, number, sample), grade in self._graded(self.walk(None)):
                    store.append(_record(name, number, model, arms[model], sample, grade, keep_text))
                    report.errors += grade.error is not None
                    voices = self.voices.setdefault(model, Voices(graded=self.grader is not None))
                    voices.count(grade.answer, grade.correct, grade.error)
                    if grade.correct is None:
                        self.unmarked += 1
                    else:
                        report.marked += 1
                        report.right += grade.correct
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(out)  # empty, as was seen
            os.rename(beside, out)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise

    def _graded(
        self, samples: Iterable[tuple[str, str, int, rows.Sample]]
    ) -> "Iterator[tuple[tuple[str, str, int, rows.Sample], Grade]]":
        def grade(item: tuple[str, str, int, rows.Sample]) -> "Grade":
            return self._grade(item[0], item[3])

        # Those that wait for a process or a server; they can be asked by several threads.
        if hasattr(self.grader, "close") or hasattr(self.grader, "calls"):
            with ThreadPoolExecutor(THREADS) as threads:
                remaining = iter(samples)
                while chunk := list(islice(remaining, CHUNK)):
                    yield from zip(chunk, threads.map(grade, chunk), strict=True)
        else:
            for item in samples:
                yield item, grade(item)

    def _grade(self, name: str, sample: rows.Sample) -> "Grade":
        from tcalloc.llm.graders import Grade, grade_safely, settle
        from tcalloc.llm.graders._text import any_key

        question = self.questions[name]
        if self.grader is not None:
            return grade_safely(self.grader, question, sample.text if sample.text is not None else sample.answer)
        key = None if sample.answer is None else any_key(sample.answer)
        if sample.correct is not None:
            return Grade(key, sample.correct)
        return settle(question, key, any_key, "a text with letters or digits")


def _record(
    name: str, number: int, model: str, arm: str, sample: rows.Sample, grade: "Grade", keep_text: bool
) -> dict[str, Any]:
    finish = sample.facts.get("finish") or ""
    record: dict[str, Any] = {"id": name, "sample": number, "params": arm, "arm": arm, "model": model}
    if keep_text and sample.text is not None:
        record["text"] = sample.text
    record |= {
        "answer": grade.answer,
        "correct": grade.correct,
        "error": grade.error,
        "finish": finish,
        "truncated": finish == "length",
        # Null is "not known", never 0.
        "input_tokens": None,
        "output_tokens": None,
        "reasoning_tokens": None,
        "estimated": False,
        "logprob": None,
        "seed": None,
        "cost": None,
        "seconds": None,
    }
    return record | {key: value for key, value in sample.facts.items() if key != "finish"}


def _question_record(question: "Question") -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": question.id,
        "question": question.text,
        "gold": question.gold,
        "accept": list(question.accept),
    }
    return dict(question.extra) | record | ({"choices": list(question.choices)} if question.choices else {})


def _short_hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _long_hash(listed: list[dict[str, Any]]) -> str:
    digest = hashlib.sha256()
    for record in listed:
        digest.update(json.dumps(record, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _reasons(report: ImportReport) -> str:
    return ", ".join(
        f"{reason} {count:,}" for reason, count in sorted(report.failed.items(), key=lambda item: -item[1])[:5]
    )
