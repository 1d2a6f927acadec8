"""What it will cost, said before anything is spent; and the question whether to go on."""

import math
import sys
from dataclasses import dataclass

from tcalloc.llm.forecast import Forecast
from tcalloc.llm.progress import clock

__all__ = ["Refused", "Unasked", "agree", "before", "table", "words"]

# A run stops at so many times what was forecast from lengths alone, unless a limit was given: such a forecast may well
# be wrong by half.
ROOM = 2.0


class Refused(Exception):
    """The answer was no, or nobody answered."""


@dataclass(frozen=True, slots=True)
class Unasked:
    """A forecast before any call.

    Attributes
    ----------
    name : str
        Data set and model.
    there, samples, requests : int
        Responses that are stored, those to draw, and the requests that takes.
    input_tokens, output_tokens : float
        Guessed: four characters a token, answers as long as usual.
    cost, stop : float or None
        Dollars expected, and where the run stops; None without prices.
    """

    name: str
    there: int
    samples: int
    requests: int
    input_tokens: float
    output_tokens: float
    cost: float | None
    stop: float | None


def before(
    name: str,
    prompt_characters: list[int],
    missing: list[int],
    there: int,
    per_request: int,
    usual_tokens: int,
    prices: tuple[float, float] | None,
    limit: float | None,
) -> Unasked:
    """Forecast from lengths alone.

    Parameters
    ----------
    name : str
        Data set and model.
    prompt_characters, missing : list of int
        By question: its prompt's length, and responses to draw.
    there : int
        Responses that are stored.
    per_request, usual_tokens : int
        Responses per request; tokens of a usual answer.
    prices : (float, float), optional
        Dollars per million tokens of prompts and answers.
    limit : float, optional
        What may be spent; otherwise `ROOM` times what is expected.
    """
    requests = [math.ceil(m / per_request) for m in missing]
    inputs = sum(r * (c / 4 + 8) for r, c in zip(requests, prompt_characters, strict=True))
    outputs = float(sum(missing) * usual_tokens)
    cost = None if prices is None else (inputs * prices[0] + outputs * prices[1]) / 1e6
    stop = limit if limit is not None or cost is None else ROOM * cost or None
    return Unasked(name, there, sum(missing), sum(requests), inputs, outputs, cost, stop)


def table(plans: list[Unasked]) -> str:
    """Return forecasts as text."""
    rows = [("", "responses", "stored", "requests", "tokens in", "tokens out", "cost", "stops at")]
    for plan in plans:
        rows.append(
            (
                plan.name,
                f"{plan.samples:,}",
                f"{plan.there:,}",
                f"{plan.requests:,}",
                f"{plan.input_tokens:,.0f}",
                f"{plan.output_tokens:,.0f}",
                "unknown" if plan.cost is None else _dollars(plan.cost),
                "-" if plan.stop is None else _dollars(plan.stop),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(c.ljust(w) if not i else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True)))
        for r in rows
    ]
    known = [plan.cost for plan in plans if plan.cost is not None]
    if known and not any(known) and len(known) == len(plans):
        lines.append("Nothing has to be paid.")
    else:
        total = f"In all {_dollars(sum(known))}" if known else "What it costs is not known"
        more = ", and what has no price" if known and len(known) < len(plans) else ""
        lines.append(f"{total}{more}; guessed from lengths alone, a few paid calls will tell better.")
    return "\n".join(lines)


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.3g}"


def words(name: str, plan: Forecast) -> str:
    """Return what a few paid calls foretell, in one line."""
    cost = (
        "" if plan.cost is None or plan.cost_high is None else f", ${plan.cost:,.4g} (perhaps ${plan.cost_high:,.4g})"
    )
    cut = f"; {plan.truncated:.0%} were cut off by max_tokens" if plan.truncated else ""
    return (
        f"{name}: from {plan.seen} stored responses: {plan.samples:,} more, {plan.requests:,} requests, "
        f"{plan.input_tokens:,.0f} tokens in, {plan.output_tokens:,.0f} out{cost}, about {clock(plan.seconds)}{cut}."
    )


def agree(question: str, yes: bool) -> None:
    """Ask on the terminal.

    Raises
    ------
    Refused
        If the answer is not yes.
    """
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if yes:
        print("yes (--yes)", file=sys.stderr)
        return
    try:
        answer = input()
    except EOFError:
        print(file=sys.stderr)
        raise Refused("nobody answered, so nothing was spent. Answer on a terminal, or give --yes.") from None
    if answer.strip().lower() not in ("y", "yes"):
        raise Refused("nothing more was spent.")
