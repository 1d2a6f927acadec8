"""Arguments that say which model to ask and how, and the client that is made from them."""

import argparse
import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tcalloc.cli import _shared as shared

if TYPE_CHECKING:
    from tcalloc._rates import Rates
    from tcalloc.llm.client import ChatClient
    from tcalloc.llm.graders import Grader

__all__ = [
    "PRICES",
    "add_asked",
    "add_judged",
    "add_model",
    "add_prices",
    "add_sending",
    "check",
    "check_prices",
    "client_of",
    "grader_of",
    "rates_of",
    "seconds",
]


# Options of prices: the field of `Rates` that each sets, and what it is.
PRICES = {
    "price_in": ("input", "per million input tokens"),
    "price_out": ("output", "per million output tokens"),
    "price_reasoning": ("reasoning", "per million reasoning tokens; default: as output"),
    "price_cached": ("cached_input", "per million input tokens read from the cache; default: as input"),
    "price_cache_write": ("cache_write", "per million input tokens written to the cache; default: as input"),
    "price_cache_write_1h": ("cache_write_1h", "the same, kept for an hour; default: as the others written"),
    "price_request": ("request", "per million requests; default: 0"),
}


def add_model(parser: Any) -> None:
    """Add the arguments that choose the model."""
    where = parser.add_argument_group("the model")
    where.add_argument("--base-url", metavar="URL", help="the server, up to /v1")
    where.add_argument("--model", metavar="NAME", help="the model's name there")
    where.add_argument("--local", action="store_true", help="a small model on this machine instead (extra: local)")
    where.add_argument("--api-key-env", metavar="NAME", help="the environment variable that holds the key")
    where.add_argument("--api-key-file", metavar="FILE", help="the file that holds the key")


def add_asked(asked: Any) -> None:
    """Add the arguments about the request, and how answers are graded."""
    asked.add_argument("--temperature", type=_number, metavar="T")
    asked.add_argument("--top-p", type=_number, metavar="P")
    asked.add_argument("--max-tokens", type=shared.count, metavar="N", help="cut answers off after N tokens")
    asked.add_argument(
        "--stop",
        action="append",
        default=[],
        metavar="TEXT",
        help="ends an answer; may be repeated; \\n is a line feed",
    )
    asked.add_argument("--reasoning-effort", metavar="EFFORT", help="low, medium, high, ...")
    asked.add_argument("--system", metavar="TEXT", help="a system message")
    asked.add_argument("--seed", type=int, default=0, help="random seed; those of all requests derive from it (0)")
    asked.add_argument("--logprobs", action="store_true", help="ask for log-probabilities and store their sum")
    asked.add_argument(
        "--top-logprobs",
        type=shared.count,
        metavar="N",
        help="ask for those of the N likeliest tokens, and store how sure the model was",
    )
    asked.add_argument(
        "--grader",
        default="numeric",
        metavar="NAME",
        help="numeric (the default), choice, exact, normalized, regex:PATTERN, math, python:MODULE:FUNCTION",
    )


def add_sending(how: Any) -> None:
    """Add the arguments about sending requests, and their limits."""
    how.add_argument("--concurrency", type=shared.count, default=8, metavar="C", help="requests at one time (8)")
    how.add_argument(
        "--timeout",
        type=seconds,
        default=600.0,
        metavar="S",
        help="seconds without a byte; covers a server's queue (600)",
    )
    how.add_argument("--max-requests", type=shared.count, metavar="N", help="send at most N requests")
    _add_money(how)


def _add_money(how: Any) -> None:
    how.add_argument("--max-cost", type=_amount, metavar="X", help="spend at most X; needs prices and --max-tokens")
    add_prices(how)


def add_prices(how: Any) -> None:
    """Add the arguments of prices."""
    for name, (_, what) in PRICES.items():
        how.add_argument(shared.flag(name), type=_amount, metavar="X", help=what)


def check(args: argparse.Namespace) -> None:
    """Raise an error for combinations that argparse cannot check."""
    if args.local:
        for name in shared.given(args, "base_url", "api_key_env", "api_key_file"):
            raise shared.UsageError(f"--local and {shared.flag(name)} exclude each other.")
    elif args.base_url is None or args.model is None:
        raise shared.UsageError("which model? Give --base-url and --model, or --local.")
    if args.api_key_env is not None and args.api_key_file is not None:
        raise shared.UsageError("--api-key-env and --api-key-file exclude each other.")
    check_prices(args)
    if args.max_cost is not None and args.price_in is None:
        raise shared.UsageError("--max-cost needs --price-in and --price-out: without prices the cost is not known.")
    if args.max_cost is not None and args.max_tokens is None:
        raise shared.UsageError("--max-cost needs --max-tokens: without it no request has a highest cost.")


def check_prices(args: argparse.Namespace) -> None:
    """Raise an error for prices that miss another one."""
    if (args.price_in is None) != (args.price_out is None):
        raise shared.UsageError("--price-in and --price-out belong together; give both.")
    others = [name for name in shared.given(args, *PRICES) if name not in ("price_in", "price_out")]
    if others and args.price_out is None:
        raise shared.UsageError(f"{shared.flag(others[0])} needs --price-in and --price-out.")


def rates_of(args: argparse.Namespace) -> "Rates | None":
    """Return the prices in the arguments; None if there are none."""
    from tcalloc._rates import Rates

    if args.price_in is None:
        return None
    return Rates.per_million(**{PRICES[name][0]: price for name, price in shared.given(args, *PRICES).items()})


def add_judged(parser: Any) -> None:
    """Add the arguments of a judge; the others that `client_of` reads have fixed values that suit a judge."""
    parser.add_argument("--max-tokens", type=shared.count, default=1024, metavar="N", help="of a judge's reply (1024)")
    parser.add_argument("--timeout", type=seconds, default=600.0, metavar="S", help="seconds without a byte (600)")
    _add_money(parser)
    parser.set_defaults(
        temperature=0.0,
        top_p=None,
        stop=[],
        reasoning_effort=None,
        system=None,
        logprobs=False,
        top_logprobs=None,
        seed=0,
    )


@contextlib.contextmanager
def client_of(args: argparse.Namespace, model: str | None = None) -> "Iterator[ChatClient]":
    """Yield the client for the arguments; for another model on the same server if one is named."""
    from tcalloc.llm.client import ChatClient, Parameters
    from tcalloc.llm.http.attempts import endpoint
    from tcalloc.llm.http.keys import find_key
    from tcalloc.llm.http.transport import Timeouts

    given = {
        "temperature": args.temperature,
        "top_p": args.top_p,
        "max_tokens": args.max_tokens,
        "stop": tuple(text.replace("\\n", "\n") for text in args.stop) or None,
        "reasoning_effort": args.reasoning_effort,
        "system": args.system,
        "logprobs": args.logprobs or None,
        "top_logprobs": args.top_logprobs,
        "seed": args.seed,
    }
    given = {key: value for key, value in given.items() if value is not None}
    timeouts = Timeouts(min(10.0, args.timeout), args.timeout, 3 * args.timeout)
    with contextlib.ExitStack() as stack:
        label, extra = None, {}
        if args.local:
            from tcalloc.llm import local

            server = stack.enter_context(local.serve())
            url, model, key, label = server.base_url, model or args.model or server.model, None, "local"
            known = {name: value for name, value in local.REQUEST.items() if name in Parameters.__dataclass_fields__}
            extra = {name: value for name, value in local.REQUEST.items() if name not in known}
            # The best settings for this model (its template needs the stop); the command line takes precedence.
            given = known | {"stop": tuple(known.get("stop", ()))} | given
        else:
            url, model = args.base_url, model or args.model
            key = find_key(endpoint(url), variable=args.api_key_env, file=args.api_key_file)
        parameters = Parameters(**given, extra=tuple(extra.items()))
        yield stack.enter_context(
            ChatClient(url, model, parameters, key=key, rates=rates_of(args), timeouts=timeouts, label=label)
        )


@contextlib.contextmanager
def grader_of(args: argparse.Namespace) -> "Iterator[Grader]":
    """Yield the grader for the arguments, and end its worker processes."""
    from tcalloc.llm.graders import make_grader

    grader = make_grader(args.grader)
    try:
        yield grader
    finally:
        if (close := getattr(grader, "close", None)) is not None:
            close()


# ---------------------------------------------------------------------------------------------- arguments


def _number(text: str) -> float:
    value = shared.real(text)
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def _amount(text: str) -> float:
    value = _number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is negative")
    return value


def seconds(text: str) -> float:
    """Return a number of seconds above 0."""
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not more than 0 seconds")
    return value
