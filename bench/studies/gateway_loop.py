"""The whole loop of the gateway on the small local model: serve, explore, refit without gold answers, swap, serve on.

    python -m bench.studies.gateway_loop                       needs pip install 'tcalloc[local,learn]'
    python -m bench.studies.gateway_loop --requests 60 --explore 0.5

The gateway begins with a vote of 3 for each request. It draws 10 samples on a share of them. From these,
`tcalloc.refit` fits a policy that stops while sampling, for as many samples per request, or for --budget. If the
comparison recommends it, or with --swap, it is put in its place while the gateway runs. As many requests follow.
Questions are the 293 of the shipped table; their gold answers are only used at the end, to say how many replies of each
half were right.
"""

import argparse
import json
import os
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

import tcalloc
from tcalloc.datasets import load_recorded
from tcalloc.evaluate.refit_report import Refit
from tcalloc.learn.protocol import Always
from tcalloc.llm.graders import make_grader
from tcalloc.llm.local import REQUEST, serve
from tcalloc.llm.questions import Question, question_from
from tcalloc.serve.gateway.drawing import Sending
from tcalloc.serve.gateway.server import Gateway

FIRST, EXPLORED = 3, 10


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of one request."""

    text: str
    samples: int
    explored: bool


@dataclass(frozen=True, slots=True)
class Loop:
    """What came of the loop."""

    before: list[Reply]
    after: list[Reply]
    report: Refit
    swapped: bool
    savings: dict[str, float] | None
    """Of the policy that was served last."""
    metrics: str
    """The page at its end."""


def asked(url: str, body: dict[str, Any], path: str = "/v1/chat/completions") -> tuple[dict[str, Any], Any]:
    """Return the document and the headers of a reply."""
    where = url.removesuffix("/v1") + path
    request = urllib.request.Request(where, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as reply:
        return json.load(reply), reply.headers


def ask_all(url: str, model: str, questions: Sequence[Question], fields: dict[str, Any], clients: int) -> list[Reply]:
    """Return the replies to questions that several clients ask."""

    def ask(question: Question) -> Reply:
        document, headers = asked(url, fields | {"model": model, "messages": list(question.messages)})
        text = document["choices"][0]["message"]["content"]
        explored = headers["x-tcalloc-reason"] == "explored"
        return Reply(text, int(headers["x-tcalloc-samples"]), explored)

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(ask, questions))


def loop(
    upstream: str, model: str, first: Sequence[Question], second: Sequence[Question], folder: str, *,
    extract: str, explore: float, kind: str = "Sequential", budget: float | None = None,
    fields: dict[str, Any] | None = None, clients: int = 4, always: bool = False,
) -> Loop:  # fmt: skip
    """Serve, explore, refit, swap, and serve on.

    Parameters
    ----------
    upstream, model : str
        Who answers.
    first, second : sequence of Question
        The requests before and after the swap.
    folder : str
        Where the traffic and the policy are stored.
    extract : str
        What finds the answers.
    explore : float
        The share of the requests that are explored.
    kind : str
        The kind of the next policy.
    budget : float, optional
        Its samples per request. Default: as many as before.
    fields : dict, optional
        Further fields of each request.
    clients : int
        How many ask at a time.
    always : bool
        Whether to swap against the recommendation, too.
    """
    traffic, place = os.path.join(folder, "traffic"), os.path.join(folder, "policy")
    start = Always(tcalloc.Vote(FIRST))
    gateway = Gateway(
        upstream, start, port=0, extract=extract, explore=explore, explore_samples=EXPLORED, store=traffic,
        reload=lambda: tcalloc.load_policy(place), sending=Sending(n_per_request=EXPLORED),
    )  # fmt: skip
    with gateway:
        before = ask_all(gateway.url, model, first, fields or {}, clients)
        report = tcalloc.refit(start, traffic, budget, kind, out=place)
        swapped = report.swap or always
        if swapped:
            asked(gateway.url, {}, "/admin/policy")
        after = ask_all(gateway.url, model, second, fields or {}, clients)
        gateway.review()
        with urllib.request.urlopen(gateway.url.removesuffix("/v1") + "/metrics", timeout=60) as page:
            metrics = page.read().decode()
        savings = None if gateway.savings is None else dict(gateway.savings)
    return Loop(before, after, report, swapped, savings, metrics)


def right(replies: Sequence[Reply], questions: Sequence[Question], grader: Any) -> float:
    """Return the share of replies that are right by the gold answer."""
    marks = [bool(grader(question, reply.text).correct) for reply, question in zip(replies, questions, strict=True)]
    return float(np.mean(marks))


def usual(replies: Sequence[Reply]) -> float:
    """Return the mean samples of requests that were not explored."""
    return float(np.mean([reply.samples for reply in replies if not reply.explored]))


def main() -> None:
    """Run the loop, and print what it saved."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=200, help="before the swap, and after it (200)")
    parser.add_argument("--explore", type=float, default=0.3, help="share of them (0.3)")
    parser.add_argument("--budget", type=float, help="samples per request of the next policy (as before)")
    parser.add_argument("--kind", default="Sequential", help="its kind (Sequential)")
    parser.add_argument("--swap", action="store_true", help="swap whatever is recommended")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    recorded = load_recorded()
    order = np.random.default_rng(args.seed).permutation(len(recorded.ids))
    questions = [question_from({"id": str(recorded.ids[i])} | recorded.questions[i], "", "") for i in order]
    first = questions[: args.requests]
    second = [questions[-1 - i % len(questions)] for i in range(args.requests)]
    began, cpu = time.perf_counter(), time.process_time()
    with serve(slots=8) as server, tempfile.TemporaryDirectory() as folder:
        found = loop(
            server.base_url, server.model, first, second, folder, extract="normalized", explore=args.explore,
            kind=args.kind, budget=args.budget, fields=dict(REQUEST), always=args.swap,
        )  # fmt: skip
    seconds = time.perf_counter() - began
    print(f"{found.report}\n")
    grader = make_grader("normalized")
    for name, replies, of in (("before", found.before, first), ("after", found.after, second)):
        explored = sum(reply.explored for reply in replies)
        print(
            f"{name}: {len(replies)} requests, {explored} explored; the others had {usual(replies):.2f} samples each; "
            f"{100 * right(replies, of, grader):.1f} % of all replies are right"
        )
    if found.savings is None:
        print(f"swapped: {found.swapped}; too few explored requests say what is saved")
    else:
        saved = found.savings
        print(
            f"swapped: {found.swapped}; saved {100 * saved['saved_share']:.0f} % of the samples that a fixed number "
            f"would need for the same agreement (95 % interval {100 * saved['low']:.0f} to "
            f"{100 * saved['high']:.0f} %, {saved['requests']:.0f} requests)"
        )
    samples = sum(reply.samples for reply in (*found.before, *found.after))
    own = time.process_time() - cpu
    print(f"all of it: {samples:,} samples in {seconds:.0f} s; {own:.0f} s of CPU time beside the model")


if __name__ == "__main__":
    main()
