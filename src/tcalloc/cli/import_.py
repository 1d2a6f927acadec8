"""``tcalloc import``: make a run folder from existing answers."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tcalloc._printing import clean_line
from tcalloc.cli import _shared as shared

if TYPE_CHECKING:
    from tcalloc.importing.import_logs import ImportReport

__all__ = ["add_arguments", "run"]

# At most this many fields and models are named; the others are counted, and complete in --json.
UNREAD, MODELS = 20, 20
FORMATS = ("auto", "jsonl", "lm-eval", "openai-batch", "anthropic-batch")

DESCRIPTION = """\
Make a run folder from answers that you have already, so that nothing needs to
be sampled again. The run is written completely or not at all.
"""

EPILOG = f"""\
examples:
  tcalloc import logs.jsonl --out run/         JSON lines, see below
  tcalloc import logs.jsonl --out run/ --questions q.jsonl --grader numeric
                                               grade texts with the gold answers
  tcalloc import logs.jsonl --out run/ --field answer=pred --field id=uid
                                               other names of fields
  tcalloc import samples_gsm8k_2025-01-31T10-00-00.000000.jsonl --out run/ \\
      --filter strict-match                    lm-evaluation-harness
  tcalloc import batch_output.jsonl --out run/ --questions q.jsonl \\
      --grader choice --split-id '(?P<id>.+)-(?P<sample>[0-9]+)'
                                               OpenAI batch; ids like q7-0, q7-1
  tcalloc import small.jsonl large.jsonl --out run/
                                               several models into one run
  tcalloc solve run/ --budget 4                the next step

JSON lines (also .gz): one sample per line, or lists with an entry per sample.
A JSON list and a CSV file with a head are read alike:

  {{"id": "q1", "answer": "42", "correct": true, "cost": 0.002}}
  {{"id": "q1", "text": "6 times 7 is 42.", "gold": "42", "output_tokens": 9}}
  {{"id": "q2", "answer": ["a", "b", "a"], "correct": [1, 0, 1], "cost": 0.01}}

Fields: id; at least one of answer, text, correct; and if there: gold, accept,
question, choices, sample (its number), model, cost, input_tokens,
output_tokens, reasoning_tokens, logprob, score, seconds, finish.
Common names of others are found (prediction, target, usage.prompt_tokens, ...).
A table shows which field was taken for what, and which were not read: check it.
A field that never varies within a question while another does is a gold answer.
Several files that answer the same questions are several models, named by a
model field or else by their files; --model NAME says that they are one model.

graders (--grader); without one, "correct" counts. If that is missing, answers
are compared with the gold answers as numbers or normalized text:
  numeric         numbers by value: #### 42, \\boxed{{42}}, "the answer is $42.00"
  choice          the letter of a choice, in many phrasings, or its text
  exact           the whole completion, to the letter
  normalized      text without case, punctuation, articles
  regex:PATTERN   what a regular expression finds (its first group)
  math            expressions, by math-verify: pip install 'tcalloc[math]'
  python:MODULE:FUNCTION
                  your own function(question, text)

Without gold answers it is known how often samples agree, but not how often they
are right. Failed requests of a batch are no samples; they are counted.

{shared.EXIT_CODES}"""


class _Fields(argparse.Action):
    """Collect OURS=THEIRS; without THEIRS the field is not read."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        ours, equals, theirs = str(values).partition("=")
        if not (ours and equals):
            parser.error(f"argument --field: {values!r} is not of the form OURS=THEIRS, e.g. answer=pred")
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest) or {}), ours: theirs})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument(
        "logs", metavar="LOG", nargs="+", help="a file of JSON lines, JSON or CSV (also .gz); several become one run"
    )
    parser.add_argument("--out", metavar="RUN", required=True, help="the run folder to make")
    parser.add_argument(
        "--format",
        metavar="NAME",
        choices=FORMATS,
        default="auto",
        help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]} (default: auto, by the first line)",
    )
    parser.add_argument("--questions", metavar="FILE", help="the questions file; its gold answers then count")
    parser.add_argument("--grader", metavar="GRADER", help="grade the texts (below)")
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="the model of the samples, if the log does not name it; several files are then one model's",
    )
    parser.add_argument(
        "--field",
        metavar="OURS=THEIRS",
        action=_Fields,
        dest="fields",
        help="which field of a JSON line is which, e.g. answer=pred or text=choices.0.message.content; NAME= for a "
        "field that must not be read; may be repeated",
    )
    parser.add_argument(
        "--filter",
        metavar="NAME",
        action="append",
        help="lm-evaluation-harness: which filter's results count; TASK=NAME for one task; may be repeated",
    )
    parser.add_argument("--metric", metavar="NAME", help="lm-evaluation-harness: which metric says right or wrong")
    parser.add_argument(
        "--split-id", metavar="REGEX", help="ids that hold question and sample number: groups id and sample"
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave out lines that cannot be read, and name them")
    parser.add_argument("--no-text", action="store_true", help="do not store the completions")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the summary")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tcalloc.importing.import_logs import import_logs

    report = import_logs(
        args.logs,
        args.out,
        format=args.format,
        questions=args.questions,
        grader=args.grader,
        model=args.model,
        fields=args.fields,
        filter=args.filter,
        metric=args.metric,
        split_id=args.split_id,
        skip_bad=args.skip_bad,
        keep_text=not args.no_text,
    )
    for words in report.skipped_words:
        shared.say(f"skipped: {words}")
    if report.skipped > len(report.skipped_words):
        shared.say(f"skipped: {report.skipped - len(report.skipped_words):,} more.")
    _say_table(report)
    if report.failed:
        reasons = ", ".join(f"{reason}: {count:,}" for reason, count in report.failed.items())
        failed = shared.counted(sum(report.failed.values()), "request")
        shared.say(f"note: {failed} had failed and brought no sample ({reasons}).")
    for note in report.notes:
        shared.say(f"note: {note}")
    for warning in report.warnings:
        shared.say(f"warning: {warning}")
    if report.errors:
        from tcalloc.runs.verdicts import Failures

        shared.say(f"error: {Failures(report.errors, report.error_reasons).words(report.out)}")
    if args.json:
        shared.print_json(asdict(report))
        return 1 if report.errors else 0
    least, most = report.per_question
    drawn = f"{least}" if least == most else f"{least} to {most}"
    models = ", ".join(report.models[:5]) + (f" and {len(report.models) - 5} more" if len(report.models) > 5 else "")
    facts = [
        ("questions", f"{report.questions:,}", ""),
        ("samples", f"{report.samples:,}", f"{drawn} of each question that has any, of {models}"),
    ]
    for count in report.by_model[:MODELS]:
        if count.marked:
            of = f"of {count.marked:,} that could be marked" + (f", {count.model}" if len(report.by_model) > 1 else "")
            facts.append(("right", shared.share(count.right / count.marked), of))
    if report.errors:
        facts.append(("errors", f"{report.errors:,}", "samples that could not be graded; they are left out"))
    if report.skipped:
        facts.append(("skipped", f"{report.skipped:,}", "lines"))
    print(shared.text_table(["wrote", report.out, ""], facts, left=1))
    return 1 if report.errors else 0


def _say_table(report: "ImportReport") -> None:
    """Print which field was taken for what, what was not read, and the accuracy of each model."""
    uses = [(use.field, _shown(use.source), use.example, f"{use.rows:,}") for use in report.fields]
    shared.say_block(shared.text_table(["field", "taken from", "example", "rows"], uses, left=3))
    plain = [_shown(key) for key, reason in report.unread.items() if not reason]
    if plain:
        more = f" and {len(plain) - UNREAD:,} more" if len(plain) > UNREAD else ""
        shared.say_block(f"not read: {', '.join(plain[:UNREAD])}{more}")
    for key, reason in report.unread.items():
        if reason:
            shared.say_block(f"not read: {_shown(key)} ({reason})")
    models = []
    for count in report.by_model[:MODELS]:
        right = shared.share(count.right / count.marked) if count.marked else "not known"
        models.append((_shown(count.model), f"{count.questions:,}", f"{count.samples:,}", right))
    shared.say_block("")
    shared.say_block(shared.text_table(["model", "questions", "samples", "right"], models))
    if len(report.by_model) > MODELS:
        shared.say_block(f"and {len(report.by_model) - MODELS:,} more models")
    shared.say_block("")


def _shown(name: str) -> str:
    """Return a name of the log as one short line."""
    plain = clean_line(name)
    return plain if len(plain) <= 60 else plain[:57] + "..."
