"""``python -m bench.paper``: arguments in, tables out; `bench.paper` says what is done."""

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import bench.paper
from bench.paper import consent
from bench.paper.data import Data, budgets_of
from bench.paper.figures import Figures, compare
from bench.paper.methods import METHODS, Work
from bench.paper.presets import HERE, PRESETS, Preset, find
from bench.paper.recorded import REPLAYS, replay
from bench.paper.sampling import Asking, Incomplete, Job
from bench.paper.tasks import Task, local_tasks, read_task
from bench.paper.words import claims, document, legend, show
from tcalloc.errors import InputError, TcallocError

LOCAL = "SmolLM2-135M"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.paper",
        description=bench.paper.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = parser.add_argument_group("what is compared")
    what.add_argument("--replay", action="append", default=[], metavar="NAME", help=f"recorded: {', '.join(REPLAYS)}")
    what.add_argument("--gsm8k", metavar="FILE", help="questions in the format of GSM8K")
    what.add_argument("--math", metavar="FILE", help="questions in the format of MATH")
    what.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="NAME",
        help=f"the models that answer them: {', '.join(PRESETS)}, or any with --base-url; may be repeated",
    )
    what.add_argument(
        "--local", action="store_true", help=f"{LOCAL} on this machine; without files, small ones of ours"
    )
    what.add_argument("--limit", type=_count, metavar="N", help="at most N questions of each, spread evenly")
    what.add_argument("--responses", type=_count, metavar="S", help="per question (48; 16 with --local)")
    asked = parser.add_argument_group("how models are asked")
    asked.add_argument("--out", default="paper-runs", metavar="DIR", help="where responses are kept (paper-runs)")
    asked.add_argument("--base-url", metavar="URL", help="another server, up to /v1")
    asked.add_argument("--model-id", metavar="ID", help="the model's name there")
    asked.add_argument("--api-key-env", metavar="NAME", help="the variable that holds the key, if not the host's usual")
    asked.add_argument("--price-in", type=_amount, metavar="X", help="dollars per million tokens of prompts")
    asked.add_argument("--price-out", type=_amount, metavar="X", help="and of answers")
    asked.add_argument("--temperature", type=_amount, default=0.7, metavar="T", help="(0.7; small local questions 0.8)")
    asked.add_argument("--max-tokens", type=_count, metavar="N", help="of an answer (GSM8K 1024, MATH 2048)")
    asked.add_argument("--grader", metavar="NAME", help="instead of numeric (GSM8K) and math (MATH)")
    asked.add_argument("--concurrency", type=_count, default=8, metavar="C", help="requests at one time (8)")
    asked.add_argument("--n-per-request", type=_count, metavar="N", help="responses per request")
    asked.add_argument("--max-cost", type=_amount, metavar="X", help="dollars for each data set and model, at most")
    asked.add_argument("--seed", type=int, default=0, help="what all seeds derive from (0)")
    asked.add_argument("--yes", action="store_true", help="do not ask before money is spent")
    asked.add_argument("--forecast", action="store_true", help="say what it would cost, and end")
    asked.add_argument("--partial", action="store_true", help="leave out questions whose responses are not complete")
    how = parser.add_argument_group("how they are compared")
    how.add_argument("--budgets", type=_budgets, metavar="B,B,…", help="mean responses per question (1.5,2,3,4,8,16)")
    how.add_argument(
        "--method", action="append", default=[], metavar="NAME", help=f"only some of: {'; '.join(METHODS)}"
    )
    how.add_argument("--folds", type=_count, default=5, help="over questions (5)")
    how.add_argument("--repeats", type=_count, default=1, help="times that all is done with other folds (1)")
    how.add_argument("--json", metavar="FILE", help="write all figures there, too")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; return the exit code: 0, 1 (the work failed), 2 (wrong command line, or not agreed), 130."""
    parser = _parser()
    args = parser.parse_args(argv)
    names = args.method or list(METHODS)
    unknown = [name for name in names if name not in METHODS]
    if unknown:
        parser.error(f"--method: {unknown[0]!r} is not one of: {'; '.join(METHODS)}")
    if not args.replay and not args.local and not args.model:
        parser.error("what is compared? Give --replay NAME, --local, or --model NAME with --gsm8k or --math FILE")
    if args.model and not (args.gsm8k or args.math):
        parser.error("--model needs questions: --gsm8k FILE or --math FILE")
    if len(args.model) > 1 and (args.base_url or args.model_id or args.price_in is not None):
        parser.error("--base-url, --model-id and prices are for one --model; run the others on their own")
    try:
        figures = _all(args, names)
        if args.forecast:
            return 0
        print(legend(names), end="\n\n")
        print(claims(figures))
        if args.json:
            text = json.dumps(document(figures), indent=1, allow_nan=False)
            Path(args.json).write_text(text + "\n", encoding="utf-8")
    except consent.Refused as refused:
        return _say(str(refused), 2)
    except Incomplete as incomplete:
        return _say(str(incomplete), 130 if incomplete.interrupted else 1)
    except (TcallocError, OSError) as error:
        return _say(f"error: {error}", 1)
    except KeyboardInterrupt:
        return _say("interrupted. What came back is stored; the same command goes on.", 130)
    return 0


def _all(args: argparse.Namespace, names: list[str]) -> list[Figures]:
    """Print one table after the other, as they are done."""
    recorded = [replay(name).take(args.limit) for name in args.replay]  # bad names before any work
    with contextlib.ExitStack() as stack:
        jobs = list(_jobs(args, stack))
        _agreed(jobs, args)
        if args.forecast:
            return []
        found = [_compared(data, args, names) for data in recorded]
        for job in jobs:
            job.draw()
            found.append(_compared(job.data(), args, names))
    return found


def _compared(data: Data, args: argparse.Namespace, names: list[str]) -> Figures:
    work = Work(data, budgets_of(args.budgets, data.most), args.folds, tuple(range(args.repeats)))
    figures = compare(work, names, _say)
    print(show(figures), end="\n\n", flush=True)
    return figures


# ---------------------------------------------------------------------------------------------- the models


def _jobs(args: argparse.Namespace, stack: contextlib.ExitStack) -> Iterator[Job]:
    asking = Asking(
        args.responses or (16 if args.local and not args.model else 48),
        Path(args.out),
        args.concurrency,
        args.n_per_request,
        args.temperature,
        args.max_tokens,
        args.seed,
        args.max_cost,
        args.partial,
        args.yes,
        args.api_key_env,
    )
    if asking.responses < 2:
        raise InputError("--responses: votes need at least 2 responses per question.")
    files = [(kind, path) for kind, path in (("gsm8k", args.gsm8k), ("math", args.math)) if path]
    tasks = [read_task(kind, path, args.limit, args.grader) for kind, path in files]
    presets = [find(name, args.base_url, args.model_id, args.price_in, args.price_out) for name in args.model]
    for task in tasks:
        for preset in presets:
            yield Job(task, preset, asking)
    if args.local:
        servers: dict[bool, Any] = {}
        for task in tasks or local_tasks(Path(args.out), args.limit):
            yield _local_job(task, asking, args, stack, servers)


def _local_job(
    task: Task, asking: Asking, args: argparse.Namespace, stack: contextlib.ExitStack, servers: dict[bool, Any]
) -> Job:
    """Start the model as it fits: small questions come with examples of one line."""
    from tcalloc.llm import local

    if task.shown not in servers:
        how: dict[str, Any] = {} if task.shown else {"template": None, "context": 1024, "slots": 4}
        servers[task.shown] = stack.enter_context(local.serve(say=lambda line: print(line, file=sys.stderr), **how))
    server = servers[task.shown]
    parameters = None
    if task.shown:
        parameters = replace(local.PARAMETERS, max_tokens=task.max_tokens, logprobs=True, seed=args.seed)
    else:
        task = replace(task, max_tokens=min(task.max_tokens, 400))
    preset = Preset(LOCAL, server.base_url, server.model, None, None, HERE, choices=server.slots)
    # Two requests under way, so that one waits when the other is done.
    return Job(task, preset, replace(asking, concurrency=2), parameters, "local")


def _agreed(jobs: list[Job], args: argparse.Namespace) -> None:
    """Say what all jobs together will cost, and ask."""
    if not jobs:
        return
    for job in jobs:
        job.check()
    plans = [job.plan() for job in jobs]
    for words in dict.fromkeys(job.preset.words for job in jobs if not job.free):
        _say(f"{words}.")
    print(consent.table(plans), file=sys.stderr, flush=True)
    paid = [plan for job, plan in zip(jobs, plans, strict=True) if plan.samples and not job.free]
    if args.forecast or not paid:
        return
    known = [plan.stop for plan in paid if plan.stop is not None]
    what = f"Spend up to ${sum(known):,.4g}" if len(known) == len(paid) else "Spend what is not known"
    consent.agree(f"{what}?", args.yes)


# ---------------------------------------------------------------------------------------------- arguments


def _say(message: str, code: int = 0) -> int:
    print("bench.paper:", message, file=sys.stderr, flush=True)
    return code


def _count(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return value


def _amount(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def _budgets(text: str) -> tuple[float, ...]:
    return tuple(_amount(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
