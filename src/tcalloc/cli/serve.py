"""``tcalloc serve``: a server in front of a model's, which draws as many samples as a policy decides."""

import argparse
import contextlib
import gc
import logging
import os
import queue
import signal
from typing import Any

from tcalloc.cli import _models as models
from tcalloc.cli import _shared as shared
from tcalloc.errors import InputError, TcallocError

__all__ = ["add_arguments", "run"]

DESCRIPTION = """\
Stand between clients of OpenAI or Anthropic and a model's server. For each
request the policy decides which model is asked and how many samples are drawn.
Their answers are voted on, and the client gets one ordinary reply.
"""

EPILOG = f"""\
examples:
  tcalloc serve --upstream http://127.0.0.1:8080/v1 --policy policy/
                                               clients: http://127.0.0.1:9000/v1
                                               (Anthropic's: without /v1)
  tcalloc serve --upstream ... --policy vote5 --extract choice
                                               one action for all requests
  tcalloc serve --upstream ... --policy policy/ --total 500 --unit usd \\
      --period 30d --price-in 0.15 --price-out 0.6 --max-tokens 1024
                                               a budget that holds
  tcalloc serve --upstream ... --policy policy/ --explore 0.02 --traffic seen/
                                               2 % of the requests, for
                                               `tcalloc refit`

the policy: a folder from `tcalloc fit`, or the name of an action (vote3, one).
One that chooses between models names the model; otherwise it is the request's.
kill -HUP, or POST /admin/policy with the type application/json, reads the folder
again; no request is lost.

what is voted on: texts in which --extract finds answers. Tools, images,
response_format, logprobs and n > 1 get one sample, passed on as it is. A client
sets the header x-tcalloc-extract to numeric, choice, exact, normalized or none.

the page: http://127.0.0.1:9000/ shows what is spent, at which price, and the
last decisions; /status says the same as JSON, /metrics for Prometheus.

keys: the upstream's key comes from --api-key-env, or as in `tcalloc answer`.
Clients' keys are in the variable of --client-keys-env, with commas between.
They are needed to listen on another address than this machine's.

{shared.EXIT_CODES}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments to its parser."""
    parser.add_argument("--upstream", required=True, metavar="URL", help="the server that answers, up to /v1")
    parser.add_argument("--policy", required=True, metavar="POLICY", help="a policy's folder, or an action's name")
    parser.add_argument("--extract", default="numeric", metavar="NAME",
                        help="finds the answers to vote on, like --grader (numeric); none: no votes")  # fmt: skip
    where = parser.add_argument_group("where it listens")
    where.add_argument("--host", default="127.0.0.1", metavar="HOST", help="the address (127.0.0.1)")
    where.add_argument("--port", type=_port, default=9000, metavar="PORT", help="the port; 0 is any free one (9000)")
    where.add_argument("--client-keys-env", metavar="NAME", help="the environment variable with the clients' keys")
    where.add_argument("--api-key-env", metavar="NAME", help="the environment variable with the upstream's key")
    how = parser.add_argument_group("how samples are drawn")
    how.add_argument("--budget", type=shared.budget, metavar="B", help="average cost per request; sets the policy")
    how.add_argument("--max-tokens", type=shared.count, metavar="N",
                     help="cut answers off after N tokens where a request names no limit")  # fmt: skip
    how.add_argument("--n-per-request", type=shared.count, metavar="N",
                     help="samples that one upstream request may ask for")  # fmt: skip
    how.add_argument("--cancel", action="store_true", help="cut off samples that are not needed any more")
    how.add_argument("--deadline", type=models.seconds, metavar="S", help="seconds that samples are waited for")
    how.add_argument("--timeout", type=models.seconds, default=600.0, metavar="S",
                     help="seconds without a byte from upstream (600)")  # fmt: skip
    money = parser.add_argument_group("a budget for all requests (needs prices and --max-tokens)")
    money.add_argument("--total", type=shared.budget, metavar="X", help="the most that may be spent in a period")
    money.add_argument("--period", metavar="P", help="its length: 30d, 12h, or a number of requests")
    money.add_argument("--cap-per-question", type=shared.budget, metavar="X", help="what one request may cost at most")
    money.add_argument("--state", metavar="STATE", help="where the budget is kept: a file, or redis://...")
    models.add_prices(money)
    shared.add_unit(money)
    learn = parser.add_argument_group("what is kept for `tcalloc refit`")
    learn.add_argument("--explore", type=_share, default=0.0, metavar="SHARE",
                       help="draw all samples on this share of the requests (0)")  # fmt: skip
    learn.add_argument("--explore-samples", type=shared.count, metavar="N",
                       help="samples of each model (the most that the policy draws, at least 8)")  # fmt: skip
    learn.add_argument("--traffic", metavar="RUN", help="the run folder of their samples")
    learn.add_argument("--store-texts", action="store_true", help="store their questions, completions and answers")
    learn.add_argument("--keep-texts", type=_age, metavar="TIME",
                       help="remove these after this time, such as 12h (30d)")  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    models.check_prices(args)
    if args.total is None:
        for name in shared.given(args, "period", "cap_per_question", "state"):
            raise shared.UsageError(f"{shared.flag(name)} needs --total.")
    elif args.price_in is None or args.max_tokens is None:
        raise shared.UsageError("--total needs --price-in, --price-out and --max-tokens.")
    if (args.explore > 0) != (args.traffic is not None):
        raise shared.UsageError("--explore and --traffic belong together; give both.")
    if args.store_texts and args.traffic is None:
        raise shared.UsageError("--store-texts needs --explore and --traffic.")
    if args.keep_texts is not None and not args.store_texts:
        raise shared.UsageError("--keep-texts needs --store-texts: without texts there is nothing to remove.")
    if args.explore_samples is not None and args.traffic is None:
        raise shared.UsageError("--explore-samples needs --explore and --traffic.")
    from tcalloc.llm.http.attempts import endpoint
    from tcalloc.llm.http.keys import find_key
    from tcalloc.llm.http.transport import Timeouts
    from tcalloc.serve.gateway.drawing import Sending
    from tcalloc.serve.gateway.server import Gateway
    from tcalloc.serve.keeper.budget_keeper import BudgetKeeper

    key = find_key(endpoint(args.upstream), variable=args.api_key_env)
    policy = _policy(args)
    with contextlib.ExitStack() as stack:
        keeper = None
        if args.total is not None:
            period: Any = int(args.period) if args.period is not None and args.period.isdigit() else args.period
            keeper = stack.enter_context(
                BudgetKeeper(
                    args.total, args.unit or "", period, cap_per_question=args.cap_per_question, state=args.state,
                    lifetime=3 * args.timeout,
                )
            )  # fmt: skip
        gateway = stack.enter_context(
            Gateway(
                args.upstream, policy, key=key, rates=models.rates_of(args),
                sending=Sending(args.max_tokens, args.n_per_request, args.cancel, args.deadline), keeper=keeper,
                extract=args.extract, client_keys=_client_keys(args.client_keys_env), host=args.host, port=args.port,
                explore=args.explore, explore_samples=args.explore_samples, store=args.traffic,
                store_texts=args.store_texts, keep_texts=_age("30d") if args.keep_texts is None else args.keep_texts,
                reload=lambda: _read_again(args),
                timeouts=Timeouts(min(10.0, args.timeout), args.timeout, 3 * args.timeout),
            )
        )  # fmt: skip
        logging.basicConfig(level=logging.WARNING, format="tcalloc: %(message)s")
        print(f"listening on {gateway.url}", flush=True)
        _wait(args, gateway)
    return 0


def _wait(args: argparse.Namespace, gateway: Any) -> None:
    """Serve until ctrl-C or SIGTERM; SIGHUP reads the policy again."""
    came: queue.SimpleQueue[int] = queue.SimpleQueue()  # a handler of signals may put into it at any moment
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda number, frame: came.put(number)) for number in numbers}
    _freeze()
    try:
        while _next(came) == getattr(signal, "SIGHUP", None):
            try:
                gateway.reload()
                shared.say(f"{args.policy} is read again; new requests are served by it.")
            except (TcallocError, OSError) as error:
                shared.say(f"error: {error} The old policy stays.")
    finally:
        gc.unfreeze()
        for number, handler in before.items():
            signal.signal(number, handler)


def _next(came: "queue.SimpleQueue[int]") -> int:
    """Wait for the next signal."""
    while True:
        # The system may give a signal to another thread, which does not wake this one, where handlers run.
        with contextlib.suppress(queue.Empty):
            return came.get(timeout=0.5)


def _freeze() -> None:
    """Take what is loaded now out of Python's garbage collector, whose full runs would visit it while requests wait."""
    gc.unfreeze()  # so that the policy before the one that is still served is not kept
    gc.collect()
    gc.freeze()


def _read_again(args: argparse.Namespace) -> Any:
    """Return the policy anew, for SIGHUP and for POST /admin/policy."""
    policy = _policy(args)
    _freeze()
    return policy


def _policy(args: argparse.Namespace) -> Any:
    from tcalloc.serve.gateway.live_policy import policy_named

    policy = policy_named("--policy", args.policy)
    return policy.at(args.budget) if args.budget is not None and hasattr(policy, "at") else policy


def _client_keys(name: str | None) -> list[str]:
    """Return the keys of clients in an environment variable."""
    if name is None:
        return []
    keys = [one.strip() for one in os.environ.get(name, "").split(",") if one.strip()]
    if not keys or any(len(one) < 8 for one in keys):
        raise shared.UsageError(
            "--client-keys-env: the variable holds no keys. Give the name of one that holds keys of at least 8 "
            "characters, with commas between."
        )
    return keys


def _port(text: str) -> int:
    value = shared.count(text, 0)
    if value > 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port; allowed are 0 to 65535")
    return value


def _age(text: str) -> float:
    """Return a length of time in seconds."""
    from tcalloc.serve.keeper.period import period_of

    try:
        return period_of(text, False).length
    except InputError:
        raise argparse.ArgumentTypeError(f"{text!r} is no length of time; such as 30d, 12h or 90min") from None


def _share(text: str) -> float:
    value = shared.real(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share from 0 to 1")
    return value
