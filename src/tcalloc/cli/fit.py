"""``tcalloc fit``: learn from a run folder a policy that decides on new questions."""

import argparse
import os
import shlex
import textwrap
from typing import TYPE_CHECKING, Any

from tcalloc.cli import _shared as shared
from tcalloc.errors import InputError
from tcalloc.learn.registry import POLICIES, REFERENCE, entry_of

if TYPE_CHECKING:
    from tcalloc.measure import Samples

__all__ = ["POLICY_LIST", "add_arguments", "folds", "policy_name", "run", "seed"]

DESCRIPTION = """\
Learn from a run folder which question deserves how much, and store a policy
that decides on new questions. The output says how much the policy loses, on
questions that it has not seen (cross-validation). Every policy that tcalloc
compare recommends can be made.
"""


def _listed() -> str:
    """Return the names that --policy takes, each with what the policy does."""
    width = max(len(entry.name) for entry in POLICIES if entry.deployable) + 2
    lines = []
    for entry in POLICIES:
        if entry.deployable:
            what = entry.phrase.split(" (")[0]
            lines += textwrap.wrap(
                f"{entry.name:<{width}}{what}", 78, initial_indent="  ", subsequent_indent=" " * (width + 2)
            )
    return "\n".join(lines)


POLICY_LIST = _listed()
EPILOG = f"""\
examples:
  tcalloc fit run/ --budget 4 --out policy/    4 per question on average
  tcalloc fit run/ --budget 4 --confidence 0.95 --out policy/
                                               a quarter of the questions sets
                                               the price: the expected spend is
                                               at most 4 with 95 % confidence
  tcalloc fit run/ --budget 4 --category task --out policy/
                                               by text and by the field "task"
                                               of the questions
  tcalloc fit run/ --budget 4 --features probe.csv --feature-cost 0.1 \\
      --out policy/                            by text and by numbers, such as
                                               a reward model's scores, by id
  tcalloc fit run/ --budget 4 --policy imitator --out policy/
                                               the method of arXiv 2604.14853
  tcalloc fit run/ --budget 3 --policy sequential --out policy/
                                               draw until another sample is not
                                               worth its cost
  tcalloc fit run/ --budget 3 --policy "margin + cap" --out policy/
                                               any policy of tcalloc compare, by
                                               the name that it prints
  tcalloc fit run/ --budget 3 --labels agreement --out policy/
                                               no gold answers: learn from how
                                               often the answers agree
  tcalloc decide policy/ new_questions.jsonl   which action for which question
  tcalloc answer new_questions.jsonl --policy policy/ --local
                                               answer them live

the run folder: from tcalloc sample or tcalloc import, with graded samples, and
the same number for every question. The actions are those of tcalloc compare:
nothing, votes over 1, 3, 5, 9, 17, 33 samples of each model (up to the number
drawn), and what the best fixed mixture needs besides. If only right and wrong
is known, the actions are one plain sample of each model. With --verifier they
are the best of 1, 2, 4, ... samples, and a verifier must recognise right
answers live.

the policies:
{POLICY_LIST}

the output: fidelity is the share of questions where the policy picks the
oracle's action. It means little alone. Beside it stand the fidelity of always
picking one action, and how often two oracles agree, each from half of the
samples. The regret at the price and the unspent budget bound how far the
policy is below the optimum. If the texts say too little, the policy serves the
best fixed mixture of actions and says so: the gate is closed. For policies that
decide while sampling, the output is a table of their spend and accuracy on
held-out questions.

{shared.EXIT_CODES}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("table", metavar="RUN", help="a run folder")
    parser.add_argument(
        "--budget", metavar="B", type=shared.budget, required=True, help="mean cost per question that may be spent"
    )
    parser.add_argument(
        "--out", metavar="POLICY", required=True, help="the folder to write; a policy in it is replaced"
    )
    parser.add_argument("--questions", metavar="FILE", help="the questions file, if the run folder holds no texts")
    parser.add_argument(
        "--category",
        metavar="FIELD",
        action="append",
        default=[],
        help="a field of the questions with their kind; may be repeated. New questions must have it too",
    )
    shared.add_features(parser, cost=True)
    parser.add_argument(
        "--policy",
        metavar="NAME",
        type=policy_name,
        help="the name of a policy of tcalloc compare; see below (default: priced; without texts of the questions, the "
        "best fixed mixture)",
    )
    parser.add_argument(
        "--verifier",
        action="store_true",
        help="a verifier recognises right answers live, as unit tests do; it is never assumed",
    )
    shared.add_labels(parser)
    parser.add_argument(
        "--answer-all",
        action="store_true",
        help="leave no question without an answer, even if compute is better spent on others",
    )
    parser.add_argument(
        "--confidence", metavar="C", type=_confidence, help="guarantee the budget with this confidence, such as 0.95"
    )
    for name, what in (("--low", "least"), ("--high", "most")):
        parser.add_argument(
            name,
            metavar="C",
            type=shared.budget,
            help=f"with --confidence: the {what} that one question may cost, future ones included (for policies that "
            "decide while sampling: one sample); needed if costs were recorded one by one",
        )
    parser.add_argument("--folds", metavar="N", type=folds, default=5, help="of the cross-validation (default: 5)")
    parser.add_argument("--seed", metavar="N", type=seed, default=0, help="random seed (default: 0)")
    shared.add_per_second(parser)
    shared.add_unit(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the summary")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tcalloc.evaluate.fit import Fitting, refuse_few
    from tcalloc.learn.saving.policy_folder import refuse_out

    refuse_out(args.out)
    if args.confidence is None and (args.low is not None or args.high is not None):
        raise InputError(
            "--low and --high belong to --confidence, which is missing. Add it, such as --confidence 0.95."
        )
    samples, x = _read(args)
    refuse_few(len(samples), args.folds, args.table)
    _say_textless(args, x)
    fitting = Fitting.of(
        samples,
        args.budget,
        args.policy,
        X=x,
        feature_cost=args.feature_cost,
        verifier=args.verifier,
        answer_all=args.answer_all,
        confidence=args.confidence,
        low=args.low,
        high=args.high,
        folds=args.folds,
        random_state=args.seed,
        place=args.table,
    )
    _say_verifier(args, samples)
    report = fitting.report(args.out)
    note = report.note(args.unit)
    if note and report.unanswered:
        note = f"note: {args.out}: {note} --answer-all prevents that."
    if note:
        shared.say(note)
    if args.json:
        shared.print_json({"run": args.table, "out": args.out} | report.to_dict())
    else:
        print(report.text(run=args.table, out=args.out, unit=args.unit))
    return 0


# ---------------------------------------------------------------------------------------------- before the work


def _read(args: argparse.Namespace) -> tuple["Samples", list[Any] | None]:
    """Return the samples, and what is known about their questions before sampling; None if that is not needed."""
    from tcalloc.learn.question_rows import categories_of, questions_of_run, rows_of, told_columns
    from tcalloc.measure import Samples
    from tcalloc.runs.recorded_answers import notes_for

    if not os.path.isdir(args.table):
        what = "not a folder" if os.path.exists(args.table) else "no such folder"
        name, remedy = shlex.quote(args.table), ""
        if os.path.isfile(args.table) and args.table.lower().endswith((".jsonl", ".jsonl.gz", ".json")):
            remedy = f" A log is imported first: tcalloc import {name} --out run/"
        elif os.path.isfile(args.table) and args.table.lower().endswith((".csv", ".npz", ".parquet")):
            remedy = f" A table is fitted in Python, by the lines that this prints: tcalloc compare {name}"
        raise InputError(
            f"{args.table}: {what}; expected a run folder that tcalloc sample or tcalloc import wrote.{remedy}"
        )
    samples, _ = Samples.load(args.table, args.labels, per_second=args.per_second).of_every_model()
    for note in notes_for(samples.notes, args.verifier):
        shared.say(f"note: {args.table}: {note}")
    try:
        questions = questions_of_run(args.table, samples.ids, args.questions)
    except InputError:
        # What was asked for by name must be there; many policies need no texts.
        needs = set() if args.policy is None else set(entry_of(args.policy).needs)
        wanted = needs & {"x", "text"}
        numbers = args.features is not None and "text" not in needs
        if (wanted and not numbers) or args.questions is not None or args.category:
            raise
        return samples, rows_of(None, _features(args, samples)) if numbers else None
    columns = {name: categories_of(questions, name, args.questions or args.table) for name in args.category}
    columns = told_columns(columns, _features(args, samples))
    return samples, rows_of([question.text for question in questions], columns)


def _features(args: argparse.Namespace, samples: "Samples") -> dict[str, list[float]]:
    """Return the columns of numbers from outside; none where there is no file."""
    from tcalloc.learn.outside_features import read_features

    if args.features is None:
        return {}
    return read_features(args.features, [str(one) for one in (() if samples.ids is None else samples.ids)])


def _say_textless(args: argparse.Namespace, x: list[Any] | None) -> None:
    """Print a note about missing texts."""
    remedy = "For one that looks at the texts, give the file that was sampled: --questions FILE."
    if args.policy is None and x is None:
        shared.say(
            f"note: {args.table}: does not hold the texts of its questions, so the policy is the {REFERENCE}, which "
            f"does not need them. {remedy}"
        )
    elif x is None and entry_of(args.policy).family in ("sequential", "probed"):
        shared.say(
            f"note: {args.table}: does not hold the texts of its questions, so the policy decides by samples alone. "
            f"{remedy}"
        )


def _say_verifier(args: argparse.Namespace, samples: "Samples") -> None:
    if args.verifier:
        shared.say(
            f"note: {args.table}: the policy relies on a verifier that recognises right answers live. To answer with "
            "it, give yours: tcalloc.answer(..., verifier=...) in Python."
        )
    elif not samples.answered:
        shared.say(
            f"note: {args.table}: only right and wrong is known, so the policy draws one plain sample of a model."
        )


# ---------------------------------------------------------------------------------------------- arguments


def policy_name(text: str) -> str:
    """Return the name of a policy that can be fitted."""
    try:
        return entry_of(text, deployable=True).name
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _confidence(text: str) -> float:
    value = shared.budget(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1; such as 0.95")
    return value


def folds(text: str) -> int:
    """Return a number of folds."""
    return shared.count(text, 2)


def seed(text: str) -> int:
    """Return a random seed."""
    return shared.count(text, 0)
