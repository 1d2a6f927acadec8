"""``tcalloc answer``: answer questions live with a policy, within a budget."""

import argparse
import contextlib
import json
import os
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from tcalloc._files import replacing
from tcalloc.cli import _models as models
from tcalloc.cli import _shared as shared
from tcalloc.runs.run_files import refuse_out, write_into

if TYPE_CHECKING:
    from tcalloc.serve.answers import Answers

__all__ = ["add_arguments", "run"]

ANSWERS = "answers.jsonl"

DESCRIPTION = """\
Answer questions with a policy. For each question it decides what is worth its
cost, within an average budget. With a run folder (--out), the same command
continues after ctrl-C, a crash or a limit.
"""

EPILOG = f"""\
examples:
  tcalloc answer questions.jsonl --policy policy/ --budget 3 --out run/ \\
      --base-url http://127.0.0.1:8080/v1 --model smollm2
  tcalloc answer questions.jsonl --policy policy/ --budget 3 --local
                                               a small model here, no key
  tcalloc answer questions.jsonl --policy vote3 --local --answers -
                                               one action for all questions; the
                                               answers on standard output
  tcalloc answer questions.jsonl --policy policy/ --base-url ... \\
      --model small --also-model large --costs small=1,large=2.6

the policy: a folder from `tcalloc fit`, or the name of an action (vote3, one).

costs: prices or --costs say what one sample costs. Without both it is the cost
in the log that the policy was trained on, in its unit (dollars, tokens,
samples). With an action's name alone, costs are numbers of samples.

the budget is the average cost per question in that unit, and it is kept. Every
question gets a first sample before any gets a second one. If the budget does
not allow what the policy decided, a question gets fewer samples or the policy's
cheapest action. It gets none only when the budget is spent. The end of the
output says what was left out, and why.

gold answers in the questions file are only for scoring; neither the policy nor
the vote sees them. The command has no verifier, so it refuses a policy that
needs one. Use that in Python: tcalloc.answer(..., verifier=function).

{shared.EXIT_CODES}
A question without an answer makes the exit code 1, unless --allow-unanswered.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("questions", metavar="QUESTIONS", help="the questions: .jsonl or .jsonl.gz")
    parser.add_argument("--policy", required=True, metavar="POLICY", help="a policy's folder, or an action's name")
    parser.add_argument("--budget", type=shared.budget, metavar="B", help="average cost per question")
    parser.add_argument("--out", metavar="RUN", help="the run folder of the samples: new, or one to continue")
    parser.add_argument("--answers", metavar="FILE", help="write the answers as JSON lines; - for standard output")
    shared.add_features(parser, cost=False)
    models.add_model(parser)
    asked = parser.add_argument_group("what is asked")
    asked.add_argument(
        "--also-model", action="append", default=[], metavar="NAME", help="a further model there; may be repeated"
    )
    models.add_asked(asked)
    how = parser.add_argument_group("how it is sent")
    how.add_argument(
        "--n-per-request", type=shared.count, metavar="N", help="samples of a draw that one request may ask for"
    )
    how.add_argument("--cancel", action="store_true", help="cut off samples that are not needed any more")
    how.add_argument(
        "--deadline", type=models.seconds, metavar="S", help="seconds that a question's samples are waited for"
    )
    how.add_argument(
        "--per-second",
        type=shared.charge,
        default=0.0,
        metavar="C",
        help="cost of a second of waiting for a draw",
    )
    how.add_argument("--costs", type=_costs, metavar="M=X,...", help="what one sample of each model costs")
    models.add_sending(how)
    parser.add_argument(
        "--allow-unanswered", action="store_true", help="exit with 0 even if some questions have no answer"
    )
    shared.add_unit(how)
    shared.add_force(parser)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the summary")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    models.check(args)
    if args.json and args.answers == "-":
        raise shared.UsageError("--json and --answers - both write to standard output; choose one.")
    if args.also_model and args.local:
        raise shared.UsageError("--local has one model; --also-model needs --base-url.")
    from tcalloc.learn.question_rows import rows_for
    from tcalloc.llm.questions import load_questions
    from tcalloc.measure.labels import labels_of
    from tcalloc.serve.answer import answer
    from tcalloc.serve.answers import Answered
    from tcalloc.serve.gateway.live_policy import policy_named

    if args.out is not None:
        if os.path.exists(os.path.join(args.out, "policy.json")):
            raise shared.UsageError(f"--out {args.out}: holds a policy; the samples need a folder of their own.")
        refuse_out(args.out, ANSWERS)
    if args.answers not in (None, "-"):
        names = [one.name for one in fields(Answered)]
        shared.check_output(args.answers, args.questions, names, force=args.force, what="questions file")
    questions = load_questions(args.questions)
    policy = policy_named("--policy", args.policy)
    trained_on = labels_of(policy)
    if not trained_on.gold:
        shared.say(
            f"note: {args.policy}: learned without gold answers, from agreement with {trained_on.reference}. How often "
            "its answers are true is not known."
        )
    x = rows_for(policy, questions, args.questions, args.features)
    with contextlib.ExitStack() as stack:
        grader = stack.enter_context(models.grader_of(args))
        client: Any = stack.enter_context(models.client_of(args))
        if args.also_model:
            others = {name: stack.enter_context(models.client_of(args, name)) for name in args.also_model}
            client = {args.model: client} | others
        answers = answer(
            questions,
            policy,
            client,
            budget=args.budget,
            X=x,
            grader=grader,
            costs=args.costs,
            out=args.out,
            max_cost=args.max_cost,
            max_requests=args.max_requests,
            concurrency=args.concurrency,
            n_per_request=args.n_per_request,
            cancel=args.cancel,
            deadline=args.deadline,
            per_second=args.per_second,
            progress=True,
            say=shared.say,
        )
    return _report(args, answers)


def _costs(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, value = part.rpartition("=")
        cost = shared.real(value)
        if not equals or not name.strip() or not 0 <= cost < float("inf"):
            raise argparse.ArgumentTypeError(f"{part!r} is not like small=1: a model and what one sample of it costs")
        found[name.strip()] = cost
    return found


def _report(args: argparse.Namespace, answers: "Answers") -> int:
    for note in answers.notes:
        shared.say(f"note: {note}")
    lines = [json.dumps(asdict(one), ensure_ascii=False) for one in answers]
    data = "".join(line + "\n" for line in lines).encode("utf-8", "backslashreplace")
    if args.answers == "-":
        print("\n".join(lines))
    elif args.answers is not None:
        with replacing(args.answers) as file:
            file.write(data)
    if args.out is not None:
        write_into(args.out, ANSWERS, data)
    if args.json:
        whole = {key: getattr(answers, key) for key in ("wanted", "complete", "spend", "samples", "accuracy", "budget")}
        whole |= {key: getattr(answers, key) for key in ("requests", "spent", "seconds", "stopped", "interrupted")}
        whole |= {"unanswered": answers.unanswered, "shortfalls": answers.shortfalls}
        whole |= {"ungraded": answers.failures.count}
        whole |= {key: getattr(answers, key) for key in ("latency", "latency_high", "cut", "cut_cost")}
        shared.print_json(whole | {"answers": [asdict(one) for one in answers]})
    elif answers.answered:
        sent = f"{shared.counted(answers.requests, 'request')} in {answers.seconds:.1f} s"
        paid = "" if answers.spent is None else f", {shared.cost(answers.spent, args.unit)} spent in all"
        summary = f"{answers.summary(args.unit)}\n{sent}{paid}."
        if args.answers == "-":
            shared.say(summary)
        else:
            print(summary)
    remedy = "" if args.out is None else " The same command continues."
    if answers.failures.count:
        shared.say(f"error: {answers.failures.words(args.out)}")
    if answers.interrupted:
        return shared.say(f"interrupted.{remedy}", 130)
    if answers.stopped is not None:
        return shared.say(f"error: {answers.stopped}{remedy}", 1)
    if answers.reasons:
        shared.say(f"note: some requests failed: {answers.reasons[0]}")
    if answers.unanswered and not args.allow_unanswered:
        return shared.say(
            f"error: {answers.unanswered:,} of {shared.counted(answers.wanted, 'question')} "
            f"{shared.agreeing(answers.unanswered, 'has', 'have')} no answer. To accept that, add "
            f"--allow-unanswered.{remedy if answers.reasons else ''}",
            1,
        )
    return 1 if answers.failures.count else 0
