"""``tcalloc sample``: draw, grade and store samples from a model behind an OpenAI-compatible server."""

import argparse
import shlex
from dataclasses import asdict
from typing import TYPE_CHECKING

from tcalloc.cli import _models as models
from tcalloc.cli import _shared as shared
from tcalloc.measure.labels import FEWEST

if TYPE_CHECKING:
    from tcalloc.llm.client import ChatClient
    from tcalloc.llm.sampler import Outcome

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Ask a model every question several times, grade each answer and store it at
once. The same command continues after ctrl-C, a crash or a limit: what is
stored is not asked for again.
"""

EPILOG = f"""\
examples:
  tcalloc sample questions.jsonl --base-url http://127.0.0.1:8080/v1 \\
      --model smollm2 --samples 16 --out run/
  tcalloc sample ... --dry-run                 time and cost, estimated from 5
                                               paid calls, which are kept
  tcalloc sample ... --max-tokens 512 --price-in 0.15 --price-out 0.6 \\
      --max-cost 2
  tcalloc sample questions.jsonl --local --samples 16 --out run/
                                               a small model here, no key

the questions: one JSON object per line, such as
  {{"question": "6 times 7?", "answer": "42"}}
answer may be missing (then --labels agreement); also id, accept,
choices, few_shot, messages; .jsonl or .jsonl.gz.

the key: --api-key-env or --api-key-file; else the variable of a known host
(OPENAI_API_KEY for api.openai.com, ...); else ~/.config/tcalloc/keys.json
({{"host": "key"}}, chmod 600). It goes to its host alone and is written nowhere.

an answer that the grader cannot grade (it crashes, times out, a judge is down)
is stored as neither right nor wrong, and the exit code is 1. `tcalloc grade
RUN` grades stored answers again, with any grader.

limits: --max-cost limits what the run folder costs in all, --max-requests what
this call sends, retries included. Both hold for any --concurrency. A request
is sent only if the most it can cost still fits.

{shared.EXIT_CODES}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("questions", metavar="QUESTIONS", help="the questions: .jsonl or .jsonl.gz")
    parser.add_argument("--out", required=True, metavar="RUN", help="the run folder: new, or one to continue")
    models.add_model(parser)
    asked = parser.add_argument_group("what is asked")
    models.add_asked(asked)
    asked.add_argument("--samples", type=shared.count, default=16, metavar="S", help="per question (16)")
    asked.add_argument("--no-text", action="store_true", help="store answers without the completions they are from")
    how = parser.add_argument_group("how it is sent")
    models.add_sending(how)
    how.add_argument(
        "--n-per-request",
        type=shared.count,
        default=1,
        metavar="N",
        help="choices per request; their prompt is paid once (1)",
    )
    how.add_argument("--dry-run", action="store_true", help="only a few paid calls, and an estimate of the whole")
    how.add_argument("--pilot", type=shared.count, default=5, metavar="N", help="calls of --dry-run (5)")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of the summary")


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    models.check(args)
    from tcalloc.llm.graders import check_golds
    from tcalloc.llm.questions import gold_words, load_questions
    from tcalloc.llm.sampler import sample
    from tcalloc.runs.held_samples import refuse_count
    from tcalloc.runs.run_files import refuse_out

    refuse_out(args.out)
    refuse_count(args.samples, "--samples")
    questions = load_questions(args.questions)
    with models.grader_of(args) as grader:
        check_golds(grader, questions)
        words = gold_words(questions)
        if words is not None:
            shared.say(f"note: {words}")
        with models.client_of(args) as client:
            outcome = sample(
                questions,
                client,
                grader,
                args.samples,
                out=args.out,
                max_cost=args.max_cost,
                max_requests=args.max_requests,
                concurrency=args.concurrency,
                n_per_request=args.n_per_request,
                text=not args.no_text,
                progress=True,
                pilot=args.pilot if args.dry_run else None,
                say=shared.say,
            )
            for note in outcome.notes:
                shared.say(f"note: {note}")
            if args.dry_run:
                return _report_plan(args, len(questions), client, outcome)
            return _report(args, outcome, some_gold=any(question.golds for question in questions))


# ---------------------------------------------------------------------------------------------- reports


def _report(args: argparse.Namespace, outcome: "Outcome", *, some_gold: bool) -> int:
    if args.json:
        shared.print_json(asdict(outcome) | {"complete": outcome.complete})
    elif outcome.drawn or outcome.there:
        spent = "" if outcome.spent is None else f", {shared.number(outcome.spent)} spent in all"
        lost = f" (and up to {shared.number(outcome.lost)} on replies that were lost)" if outcome.lost else ""
        more = "" if some_gold else f"\n{_without_gold(outcome.out, args.samples)}"
        print(
            f"{outcome.out}: {outcome.there + outcome.drawn:,} of {shared.counted(outcome.wanted, 'sample')}, "
            f"{outcome.drawn:,} new; {shared.counted(outcome.requests, 'request')}{spent}{lost}.{more}"
        )
    return _end(outcome, "The same command continues.")


def _without_gold(run: str, samples: int) -> str:
    """Return the command that goes on with a run folder without gold answers."""
    if samples < FEWEST:
        return f"Without gold answers, a policy needs {FEWEST} samples per question: --samples {FEWEST}."
    return (
        "Without gold answers, policies learn from how often the samples agree:\n"
        f"  tcalloc fit {shlex.quote(run)} --budget 3 --out policy/ --labels agreement"
    )


def _end(outcome: "Outcome", remedy: str) -> int:
    """Print why the run is not complete; return the exit code."""
    if outcome.ungraded_words is not None:
        shared.say(f"error: {outcome.ungraded_words}")
    if outcome.interrupted:
        return shared.say(f"interrupted. What came back is stored. {remedy}", 130)
    if outcome.stopped is not None:
        kept = f" {remedy}" if outcome.drawn or outcome.there else ""
        return shared.say(f"error: {outcome.stopped}{kept}", 1)
    if not outcome.complete:
        reason = outcome.reasons[0] if outcome.reasons else "no reason is known."
        return shared.say(f"error: {shared.counted(outcome.failed, 'sample')} failed: {reason} {remedy}", 1)
    return 1 if outcome.ungraded else 0


def _report_plan(args: argparse.Namespace, questions: int, client: "ChatClient", outcome: "Outcome") -> int:
    from tcalloc.llm.forecast import forecast
    from tcalloc.llm.progress import clock
    from tcalloc.runs.store import read_run

    plan = forecast(
        read_run(args.out).records,
        client.arm,
        questions,
        args.samples,
        n_per_request=args.n_per_request,
        n_limit=client.n_limit,
        prompt_once=client.rates is None or client.rates.prompt_once,
        concurrency=args.concurrency,
    )
    if plan is None:
        return _end(outcome, "The same command tries again.")
    if args.json:
        shared.print_json({"out": args.out, "pilot": asdict(outcome), "plan": asdict(plan)})
        return _end(outcome, "The same command continues.")
    there = questions * args.samples - plan.samples
    rows = [
        (
            "samples",
            f"{plan.samples:,}",
            f"to draw: {shared.counted(questions, 'question')}, {args.samples} each, {there:,} are there",
        ),
        ("requests", f"{plan.requests:,}", "and more if some fail"),
        (
            "tokens",
            f"{plan.input_tokens + plan.output_tokens:,.0f}",
            f"{plan.input_tokens:,.0f} in, {plan.output_tokens:,.0f} out",
        ),
        ("time", clock(plan.seconds), f"if {args.concurrency} at a time are as fast as the pilot's"),
    ]
    if plan.cost is not None and plan.cost_high is not None:
        rows.insert(3, ("cost", shared.number(plan.cost), f"perhaps {shared.number(plan.cost_high)}"))
    lines = [
        f"{args.out}: from {shared.counted(plan.seen, 'sample')}, which are stored",
        shared.text_table(("", "", ""), rows, left=1).lstrip("\n"),
        f"The run would give the mean accuracy to ± {100 * plan.mean_interval:.1f} points (95 %, at most), one\n"
        f"question's to ± {100 * plan.question_interval:.0f} points, and votes of up to {plan.largest_vote} samples.",
    ]
    if plan.truncated:
        lines.append(f"{shared.share(plan.truncated)} of the samples were cut off by max_tokens.")
    print("\n\n".join(lines))
    return _end(outcome, "The same command continues.")
