"""A run folder as it is read: its manifest, its questions and its samples."""

import gc
import os
from dataclasses import dataclass, field
from typing import Any

from tcalloc._counts import counted
from tcalloc._files import lines_of, parse_json
from tcalloc._frames import frame_of
from tcalloc._printing import cleaned, whole_characters
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.runs.held_samples import HeldSamples
from tcalloc.runs.lines import Damage, damage_words, read_samples, refuse_foreign_lines
from tcalloc.runs.records import SampleRecord, question_problem
from tcalloc.runs.run_files import questions_of, read_manifest, samples_of

__all__ = ["Run", "read_questions", "read_run"]


@dataclass(frozen=True, repr=False)
class Run:
    """A run folder as it was read.

    Attributes
    ----------
    manifest : dict
        What run.json says.
    questions : list of dict
        The questions, in their order.
    records : list of SampleRecord
        The samples, in the order they were finished; no key (id, sample, params) twice.
    notes : list of str
        What was damaged and is left out.
    """

    manifest: dict[str, Any]
    questions: list[dict[str, Any]] = field(repr=False)
    records: list[SampleRecord] = field(repr=False)
    notes: list[str] = field(default_factory=list)

    @cleaned
    def __repr__(self) -> str:
        models = sorted({str(record.get("model")) for record in self.records})
        of = f" of {', '.join(models)}" if 0 < len(models) <= 3 else f" of {len(models)} models" if models else ""
        return f"Run({counted(len(self.questions), 'question')}, {counted(len(self.records), 'sample')}{of})"

    def to_frame(self) -> Any:
        r"""Return the samples as a pandas DataFrame, one row each.

        Half of a surrogate pair, which no UTF-8 holds, is written as an escape such as ``\ud800``.
        """
        return frame_of(self._rows())

    def to_arrow(self) -> Any:
        """Return the samples as a pyarrow Table, one row each; half of a surrogate pair as in `to_frame`."""
        try:
            import pyarrow as pa
        except ImportError:
            raise MissingExtraError("to_arrow: needs pyarrow: pip install 'tcalloc[parquet]'") from None
        return pa.Table.from_pylist(self._rows())

    def _rows(self) -> list[dict[str, Any]]:
        """Return the samples with texts that any library takes."""
        fields = list(dict.fromkeys(key for record in self.records for key in record))  # some records lack some
        return [{key: whole_characters(record.get(key)) for key in fields} for record in self.records]


def read_run(path: str | os.PathLike[str]) -> Run:
    """Read a run folder, also one that is being written to.

    Parameters
    ----------
    path : path
        The folder.

    Returns
    -------
    Run
        The manifest, the questions and the samples.
    """
    path = os.fspath(path)
    manifest = read_manifest(path)
    damaged: list[Damage] = []
    held = HeldSamples()
    records = []
    # The collector would look again and again at what can hold no cycle: that is most of the time for 1e6 lines.
    collecting = gc.isenabled()
    gc.disable()
    try:
        questions = read_questions(questions_of(path))
        for record in read_samples(samples_of(path), damaged):
            if held.add((record["id"], record["params"]), record["sample"]):
                records.append(record)
    finally:
        if collecting:
            gc.enable()
    # A torn end may be a line that is being written just now: not damage, but not there yet.
    damaged = [damage for damage in damaged if not damage.torn]
    refuse_foreign_lines(samples_of(path), damaged)
    return Run(manifest, questions, records, [damage_words(samples_of(path), damaged)] if damaged else [])


def read_questions(path: str) -> list[dict[str, Any]]:
    """Return the questions of a file, in their order, checked."""
    questions = []
    first: dict[str, int] = {}
    for number, line in enumerate(lines_of(path), 1):
        question = parse_json(line, f"{path}, line {number}")
        if (problem := question_problem(question)) is not None:
            raise InputError(f"{path}, line {number}: {problem}. The file was changed; restore it.")
        if first.setdefault(question["id"], number) != number:
            raise InputError(
                f"{path}, line {number}: the id {question['id'][:40]!r} stands on line {first[question['id']]} too. "
                "The file was changed; restore it."
            )
        questions.append(question)
    return questions
