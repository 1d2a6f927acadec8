"""Answers that exist already, as a run folder: JSON lines, data frames, lm-evaluation-harness, OpenAI batch output.

Everything is read several times: to learn what the fields hold and which files share questions, to check it and to
learn the questions, and to grade and write it. The run is written beside its place and moved there when it is complete,
so that there is all of it or nothing. The report says what was taken for what.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from tcalloc._checks import did_you_mean, one_of
from tcalloc.errors import InputError
from tcalloc.importing.batch import AnthropicReader, BatchReader
from tcalloc.importing.documents import rows_of
from tcalloc.importing.fields import ALIASES
from tcalloc.importing.generic import GenericReader
from tcalloc.importing.harness import HarnessReader
from tcalloc.importing.job import Job, Source
from tcalloc.importing.report import ImportReport
from tcalloc.importing.rows import EXAMPLES, Options, Reader, guess_format
from tcalloc.importing.writing import Writer
from tcalloc.llm.graders import check_golds, make_grader
from tcalloc.llm.questions import as_questions, gold_words
from tcalloc.runs.recorded_answers import notes_of

__all__ = ["FORMATS", "TASK", "ImportReport", "import_frame", "import_logs"]

READERS: dict[str, type[Reader]] = {
    "jsonl": GenericReader,
    "lm-eval": HarnessReader,
    "openai-batch": BatchReader,
    "anthropic-batch": AnthropicReader,
}
FORMATS = ("auto", *READERS)
# How lm-evaluation-harness names the log of a task.
TASK = re.compile(r"samples_(?P<task>.+?)(?:_(?P<date>\d{4}-\d\d-\d\dT.*))?\.jsonl(?:\.gz)?")


def import_logs(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    format: str = "auto",
    **options: Any,
) -> ImportReport:
    """Make a run folder of logs.

    Parameters
    ----------
    paths : path or iterable of path
        The logs; several become one run, so that models can be compared.
    out : path
        The run folder; must not exist yet, or be empty.
    format : {"auto", "jsonl", "lm-eval", "openai-batch", "anthropic-batch"}
        What the logs are; "auto" decides by their first row. Rows of any format may be JSON lines, a JSON document or a
        table with separators (CSV).
    options
        See `import_frame`; and for logs of lm-evaluation-harness: ``filter`` (which of its filters counts: a name,
        ``"TASK=NAME"`` for one task, or a list of these) and ``metric`` (which of its metrics says right or wrong).

    Returns
    -------
    ImportReport
        What was imported, what was taken for what, and what looks wrong.

    Raises
    ------
    InputError
        With file, line and remedy; nothing is then written.

    Notes
    -----
    Several logs that answer the same questions are several models, named by a field of the rows or else by their files;
    with ``model`` they are one.
    """
    one_of("format", format, FORMATS)
    names = [os.fspath(paths)] if isinstance(paths, str | os.PathLike) else [os.fspath(path) for path in paths]
    if not names:
        raise InputError("no log is given. Name at least one file.")
    return _import(lambda read_as: [_file(name, format, read_as) for name in names], os.fspath(out), **options)


def import_frame(
    frame: Any,
    out: str | os.PathLike[str],
    *,
    questions: Any = None,
    grader: Any = None,
    model: str | None = None,
    fields: Mapping[str, str] | None = None,
    split_id: str | None = None,
    skip_bad: bool = False,
    keep_text: bool = True,
) -> ImportReport:
    r"""Make a run folder of a pandas or polars DataFrame, one sample per row (or lists of samples).

    Parameters
    ----------
    frame : DataFrame
        With the columns ``id`` and ``answer``, ``text`` or ``correct``, and optionally ``gold``, ``model``, ``cost``,
        ``input_tokens``, ``output_tokens``, ``logprob``, ``score``, ``sample``, ... Usual names of others are found too
        (``prediction``, ``target``, ``is_correct``, ...), and what a column holds decides where a name is not clear.
    out : path
        The run folder; must not exist yet, or be empty.
    questions : path, or iterable of str, mapping or Question, optional
        The questions, by their ids; their gold answers then count.
    grader : str, Grader or callable, optional
        Grades the texts (see `tcalloc.llm.graders.make_grader`). Without it, what the log says of right or wrong
        counts, else answers are compared with the gold answers as numbers or normalized text.
    model : str, optional
        Whose samples they are, where the log does not say.
    fields : mapping, optional
        Our name of a field to the log's, like ``{"answer": "pred"}``. ``"choices.0.text"`` reaches into objects and
        lists; ``""`` is a field that is not to be read.
    split_id : str, optional
        A regular expression with the groups ``id`` and ``sample`` for ids that hold both, like
        ``(?P<id>.+)-(?P<sample>\d+)``.
    skip_bad : bool
        Leave out rows that cannot be read, and report them, instead of refusing the log.
    keep_text : bool
        Whether the completions are stored.

    Returns
    -------
    ImportReport
        What was imported, what was taken for what, and what looks wrong.

    Raises
    ------
    InputError
        With row and remedy; nothing is then written.
    """
    if hasattr(frame, "iter_rows"):  # polars

        def records() -> Iterator[dict[str, Any]]:
            yield from frame.iter_rows(named=True)

    elif hasattr(frame, "columns") and hasattr(frame, "itertuples"):  # pandas
        columns = [str(column) for column in frame.columns]

        def records() -> Iterator[dict[str, Any]]:
            for values in frame.itertuples(index=False, name=None):
                yield dict(zip(columns, values, strict=True))

    else:
        raise InputError(f"frame is a {type(frame).__name__}; expected a DataFrame of pandas or polars.")

    def read(on_bad: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for i, record in enumerate(records()):
            yield f"frame, row {i}", {key: _plain(value) for key, value in record.items()}

    return _import(
        lambda read_as: [Source("frame", "jsonl", read, GenericReader(read_as))],
        os.fspath(out),
        questions=questions,
        grader=grader,
        model=model,
        fields=fields,
        split_id=split_id,
        skip_bad=skip_bad,
        keep_text=keep_text,
    )


def _plain(value: Any) -> Any:
    """Return a cell as JSON would hold it; what is missing as None."""
    if hasattr(value, "tolist"):  # NumPy
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    missing = type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    return None if missing else value


def _file(name: str, format: str, options: Options) -> Source:
    if format == "auto":
        first = next(rows_of(name, EXAMPLES["jsonl"], lambda _: None), None)
        if first is None:
            next(rows_of(name, EXAMPLES["jsonl"]), None)  # says what is wrong with the first line
            raise InputError(f"{name}: only empty lines; expected one JSON object a line.")
        format = guess_format(first[1])

    def read(on_bad: Callable[[InputError], None] | None) -> Iterator[tuple[str, Mapping[str, Any]]]:
        yield from rows_of(name, EXAMPLES[format], on_bad)

    named = TASK.fullmatch(os.path.basename(name)) if format == "lm-eval" else None
    # lm-evaluation-harness writes into a folder of the model's name, and dates the file.
    folder = os.path.basename(os.path.dirname(os.path.abspath(name)))
    source = Source(name, format, read, READERS[format](options))
    if named:
        source.task, source.date = named["task"], named["date"]
        source.model = folder if named["date"] else None
    return source


# ---------------------------------------------------------------------------------------------- the import


def _import(
    sources: Callable[[Options], list[Source]],
    out: str,
    *,
    questions: Any = None,
    grader: Any = None,
    model: str | None = None,
    fields: Mapping[str, str] | None = None,
    filter: str | Iterable[str] | None = None,
    metric: str | None = None,
    split_id: str | None = None,
    skip_bad: bool = False,
    keep_text: bool = True,
) -> ImportReport:
    unknown = [name for name in fields or {} if name not in ALIASES]
    if unknown:
        meant = did_you_mean(unknown[0], ALIASES)
        raise InputError(f"fields: {unknown[0]!r} is not a field here; allowed are {', '.join(ALIASES)}.{meant}")
    if os.path.lexists(out) and not (os.path.isdir(out) and not os.listdir(out)):
        raise InputError(f"{out}: exists already. Import into a new folder; several logs can be given at once.")
    given = golds = None
    if questions is not None:
        listed = as_questions(questions)
        given = {question.id: question for question in listed}
        golds = {question.id: question.gold for question in listed if question.gold is not None}
    judge = None if grader is None else make_grader(grader)
    filters = () if filter is None else (filter,) if isinstance(filter, str) else tuple(filter)
    options = Options(dict(fields or {}), judge is not None, filters, metric, model, _compiled(split_id), golds)
    try:
        job = Job(sources(options), options, given, skip_bad)
        report = ImportReport(out, formats=sorted({source.format for source in job.sources}))
        job.prepare(report)
        for _ in job.walk(report):
            report.samples += 1
        if not report.samples:
            job.refuse_nothing(report)
        known = list(job.questions.values())
        if judge is not None:
            check_golds(judge, known)
        report.questions, report.models = len(known), sorted({arm for _, arm in job.counts})
        report.per_question = (min(job.counts.values()), max(job.counts.values()))
        job.describe(report)
        writer = Writer(job, judge)
        writer.write(out, report, keep_text)
        # A log that says right or wrong needs no gold answers.
        words = gold_words(known) if writer.unmarked else None
        report.notes += [words] if words else []
    finally:
        if judge is not None and isinstance(grader, str) and hasattr(judge, "close"):
            judge.close()
    if report.marked:
        voices = dict(sorted(writer.voices.items()))
        # That empty answers abstain was said already.
        distinct = {arm for arm, some in voices.items() if not (some.votes and job.silent)}
        report.notes += notes_of(voices, distinct)
    report.warnings += writer.warnings()
    return report


def _compiled(pattern: str | None) -> "re.Pattern[str] | None":
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise InputError(f"split_id: {pattern!r} is not a regular expression ({error}).") from None
    if "id" not in compiled.groupindex:
        raise InputError(f"split_id: {pattern!r} has no group 'id'; expected one like (?P<id>.+)-(?P<sample>\\d+).")
    return compiled
