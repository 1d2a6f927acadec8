"""The last walk of an import: grading the samples and writing the run folder."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, cast

from tcalloc.importing.fields import NUMBERS
from tcalloc.importing.job import Job
from tcalloc.importing.report import Answers, ImportReport, ModelCount, mark_warnings, token_warning
from tcalloc.importing.rows import Sample
from tcalloc.llm.graders import Grade, Grader, grade_safely, settle
from tcalloc.llm.graders.text import any_key, exact_key
from tcalloc.llm.questions import Question
from tcalloc.runs.recorded_answers import Voices
from tcalloc.runs.records import SampleRecord
from tcalloc.runs.run_files import is_left
from tcalloc.runs.store import Store
from tcalloc.runs.verdicts import Failures

__all__ = ["Writer"]

CHUNK, THREADS = 256, 8
# Answers that equal the gold answer and are marked wrong are mentioned from this share of a model's samples on.
ODD = 0.01
# What a record says of what the log does not: null is "not known", never 0.
UNKNOWN = {
    name: False if name == "estimated" else None
    for name in SampleRecord.__annotations__
    if name in {*NUMBERS, "seed", "estimated"} - {"score"}
}


class Writer:
    """Grades the samples of a job, after its first walk, and writes them."""

    def __init__(self, job: Job, grader: Grader | None):
        self.job, self.grader = job, grader
        self.unmarked = 0
        self.failures = Failures()
        self.voices: dict[str, Voices] = {}
        self.counts: dict[str, ModelCount] = {}
        self.answers: dict[str, Answers] = {}
        self.tokens: dict[str, tuple[int, int]] = {}
        self.priced = True
        self._golds: dict[str, set[str | None]] = {}

    def write(self, out: str, report: ImportReport, keep_text: bool) -> None:
        """Grade all samples and write the run; whatever happens, there is all of it or nothing."""
        listed = [_question_record(question) for question in self.job.questions.values()]
        arms = {model: _short_hash("import", model, report.formats) for model in report.models}
        manifest = {
            "model": report.models[0] if len(report.models) == 1 else None,
            "host": None,
            "grader": getattr(self.grader, "name", None),
            "imported": [{"log": os.path.basename(s.name), "format": s.format} for s in self.job.sources],
            "questions": len(listed),
            "questions_sha256": _long_hash(listed),
            "arms": [{"arm": arm, "model": model, "imported": True} for model, arm in arms.items()],
        }
        beside = f"{os.path.abspath(out)}.{secrets.token_hex(4)}.part"
        try:
            os.makedirs(os.path.dirname(beside), exist_ok=True)
            _remove_rests(os.path.abspath(out))
            with Store.create(beside, manifest, listed) as store:
                for (name, model, number, sample), grade in self._graded(self.job.walk(None)):
                    store.append(_record(name, number, model, arms[model], sample, grade, keep_text))
                    self._count(name, model, sample, grade)
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(out)  # empty, as was seen
            os.rename(beside, out)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        for _, model in self.job.counts:
            self.counts[model].questions += 1
        report.by_model = [self.counts[model] for model in report.models]
        report.marked, report.right = (sum(getattr(c, key) for c in report.by_model) for key in ("marked", "right"))
        report.errors, report.error_reasons = self.failures.count, self.failures.reasons

    def _count(self, name: str, model: str, sample: Sample, grade: Grade) -> None:
        counts = self.counts.setdefault(model, ModelCount(model))
        answers = self.answers.setdefault(model, Answers())
        self.voices.setdefault(model, Voices(graded=self.grader is not None)).count(
            grade.answer, grade.correct, grade.error
        )
        counts.samples += 1
        if grade.error is not None:
            self.failures.add(grade.error)
        elif grade.correct is None:
            self.unmarked += 1
        else:
            counts.marked += 1
            counts.right += grade.correct
        question = self.job.questions[name]
        if grade.answer is not None:
            answers.first = grade.answer if answers.first is None else answers.first
            answers.answered += 1
            answers.same += answers.first == grade.answer
            if grade.correct is False and question.gold is not None:
                answers.example = answers.example or (grade.answer, question.gold)
                answers.equal_but_wrong += sample.correct is False and grade.answer in self._gold_keys(question)
        self.priced &= sample.facts.get("cost") is not None
        if sample.facts.get("output_tokens") is not None and not sample.facts.get("estimated"):
            total, count = self.tokens.get(model, (0, 0))
            self.tokens[model] = (total + sample.facts["output_tokens"], count + 1)

    def _gold_keys(self, question: Question) -> "set[str | None]":
        if question.id not in self._golds:
            self._golds[question.id] = {any_key(gold) for gold in question.golds}
        return self._golds[question.id]

    def warnings(self) -> list[str]:
        """Say what looks wrong in what was written."""
        job = self.job
        sources = {name: job.taken.source(name) for name in ("answer", "text", "gold", "correct")}
        sources["grader"] = getattr(self.grader, "name", None)
        words = []
        for model, counts in sorted(self.counts.items()):
            answers = self.answers[model]
            if answers.equal_but_wrong < ODD * counts.samples:
                answers.equal_but_wrong = 0
            words += mark_warnings(counts, answers, sources, self._suggestion)
        tokens = token_warning(self.tokens, self.priced)
        return words + ([tokens] if tokens else [])

    def _suggestion(self) -> str | None:
        """Return a field that was not read and may hold the model's answers."""
        found = (source.reader.suggestion() for source in self.job.sources)
        return next((name for name in found if name is not None), None)

    def _graded(
        self, samples: Iterable[tuple[str, str, int, Sample]]
    ) -> "Iterator[tuple[tuple[str, str, int, Sample], Grade]]":
        # Those that wait for a process or a server; they can be asked by several threads.
        if hasattr(self.grader, "close") or hasattr(self.grader, "calls"):
            with ThreadPoolExecutor(THREADS) as threads:
                remaining = iter(samples)
                while chunk := list(islice(remaining, CHUNK)):
                    yield from zip(chunk, threads.map(self._grade, chunk), strict=True)
        else:
            for item in samples:
                yield item, self._grade(item)

    def _grade(self, item: tuple[str, str, int, Sample]) -> Grade:
        name, _, _, sample = item
        question = self.job.questions[name]
        if self.grader is not None:
            return grade_safely(self.grader, question, sample.text if sample.text is not None else sample.answer)
        key = None if sample.answer is None else any_key(sample.answer)
        if sample.correct is not None:
            if key is not None and not sample.correct and (name, key) in self.job.coarse:
                # In the log it differs from a right answer with the same normalized form.
                key = exact_key(sample.answer or "")
            return Grade(key, sample.correct)
        return settle(question, key, any_key, "a text with letters or digits")


def _record(
    name: str, number: int, model: str, arm: str, sample: Sample, grade: Grade, keep_text: bool
) -> SampleRecord:
    finish = sample.facts.get("finish") or ""
    record: SampleRecord = {"id": name, "sample": number, "params": arm, "arm": arm, "model": model}
    if (keep_text or grade.error is not None) and sample.text is not None:  # to be graded again, it is needed
        record["text"] = sample.text
    record |= {
        "answer": grade.answer,
        "correct": grade.correct,
        "error": grade.error,
        "finish": finish,
        "truncated": finish == "length",
    }
    facts = {key: value for key, value in sample.facts.items() if key != "finish"}
    return record | cast("SampleRecord", UNKNOWN | facts)


def _question_record(question: Question) -> dict[str, Any]:
    record = {"id": question.id, "question": question.text, "gold": question.gold, "accept": list(question.accept)}
    return dict(question.extra) | record | ({"choices": list(question.choices)} if question.choices else {})


def _short_hash(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def _long_hash(listed: list[dict[str, Any]]) -> str:
    digest = hashlib.sha256()
    for record in listed:
        digest.update(json.dumps(record, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def _remove_rests(out: str) -> None:
    """Remove what imports into the same folder left beside it when they were killed."""
    folder, name = os.path.split(out)
    for other in os.listdir(folder):
        path = os.path.join(folder, other)
        if re.fullmatch(re.escape(name) + r"\.[0-9a-f]{8}\.part", other) and is_left(path):
            shutil.rmtree(path, ignore_errors=True)
