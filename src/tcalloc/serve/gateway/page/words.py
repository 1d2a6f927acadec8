"""The page's sentences and its numbers, in the package's own form."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from tcalloc._amounts import amount, digits, in_unit
from tcalloc._counts import agreeing, counted
from tcalloc._printing import page_line
from tcalloc._templates import Markup
from tcalloc.evaluate.phrases import percent

__all__ = ["Tile", "Verdict", "drift", "duration", "money", "one_unit", "share", "tiles", "unlearned", "verdict"]

_LONGER = ((120.0, "s", 1.0), (7200.0, "min", 60.0), (172800.0, "h", 3600.0), (math.inf, "d", 86400.0))
# As many of the last requests say whether the budget is spent, or the server fails.
RECENT = 10


class Tile(NamedTuple):
    """One figure of the first row."""

    label: str
    figure: str
    words: str | Markup
    filled: float | None = None
    """A bar below it, as a share."""


class Verdict(NamedTuple):
    """What the page says first."""

    kind: str
    """calm, warn or bad."""
    sentences: list[str]


def duration(seconds: float, significant: int = 2) -> str:
    """Return a time as people say it, with some significant digits: 430 ms, 12 s, 3.5 min, 7.2 h, 30 d."""
    if 0 < seconds < 1:
        return f"{digits(1000 * seconds, significant)} ms"
    _, unit, size = next(one for one in _LONGER if seconds < one[0])
    return f"{digits(seconds / size, significant)} {unit}"


def share(value: float | None, places: int = 0) -> str:
    """Return a share as percent; a dash if there is none."""
    return "-" if value is None else percent(value, places)


def money(value: float | None, unit: str | None) -> str:
    """Return an amount with its unit; a dash if it is not known, or was infinite."""
    return "-" if value is None else amount(value, unit or "cost")


def one_unit(unit: str | None) -> str:
    """Return one unit of cost: $1, 1 token, 1 unit of cost."""
    return in_unit("1", unit or "cost")


def verdict(status: Mapping[str, Any]) -> Verdict:
    """Return what is said first: what is spent of the budget, or what is wrong."""
    budget, last = status["budget"], status["last"][:RECENT]
    if status["budget_failed"]:
        return Verdict(
            "bad",
            [
                "The budget cannot be read: its state does not answer.",
                "Requests get one plain sample without a grant, so the cap does not hold for them.",
            ],
        )
    refused = sum(one["reason"] == "no money" for one in last)
    if refused:
        of = f"{refused} of the last {counted(len(last), 'request')} {agreeing(refused, 'was', 'were')} refused"
        sentences = [f"The budget has nothing left for some requests: {of}."]
        if budget is not None and budget["elapsed"] is not None:
            sentences.append("The next period brings new money.")
        return Verdict("bad", sentences)
    failed = sum(one["outcome"] == "failed" or one["outcome"] == "refused" for one in last)
    if last and 2 * failed > len(last):
        text = f"{failed} of the last {counted(len(last), 'request')} got no answer"
        return Verdict("bad", [f"{text}: look at the server behind the gateway."])
    if not sum(count for name, count in status["requests"].items() if name != "open"):
        return Verdict("calm", ["No request has ended yet.", "Clients use this address with /v1 behind it."])
    return _course(status)


def drift(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return each kind of drift with what became of it: steady, risen or fallen, and its figures."""
    return [(str(kind), _drifted(str(kind), one, status)) for kind, one in (status["drift"] or {}).items()]


def _drifted(kind: str, one: Mapping[str, float | None], status: Mapping[str, Any]) -> str:
    """Return what became of one kind; any of its figures may be missing."""
    figures = (one.get("usual"), one.get("recent"))
    usual, recent = (money(value, status["unit"]) if kind == "price" else share(value) for value in figures)
    if not one.get("alarm"):
        return f"steady: {recent}, usually {usual}"
    since = one.get("since")
    when = "" if since is None else f" {duration(max(status['now'] - since, 0.0))} ago"
    return f"{'risen' if (one.get('direction') or 0) > 0 else 'fallen'}{when}: {recent}, usually {usual}"


def _warned(status: Mapping[str, Any], kind: str, sentences: list[str]) -> Verdict:
    """Return what is said first, with what has drifted."""
    changed = [page_line(name, 40) for name, one in (status["drift"] or {}).items() if one.get("alarm")]
    if not changed:
        return Verdict(kind, sentences)
    return Verdict("warn", [*sentences, f"Since the policy was loaded, this has changed: {', '.join(changed)}."])


def _course(status: Mapping[str, Any]) -> Verdict:
    budget, unit = status["budget"], status["unit"]
    if budget is None:
        spent = f"{money(status['spend'], unit)} spent in {duration(status['now'] - status['since'])}."
        return _warned(status, "calm", [spent, "No budget is kept (--total)."])
    total, period = money(budget["total"], unit), budget["period"]
    first = f"{money(budget['spent'], unit)} of {total} is spent"
    if budget["elapsed"] is not None:
        first += f", after {share(budget['elapsed'])} of {_the(period)}"
    sentences = [first + "."]
    forecast, kind = budget["forecast"], "calm"
    if forecast is not None and budget["elapsed"] is not None:
        sentences.append(f"At its end it will be about {money(forecast, unit)}, if requests go on as they came.")
        if forecast > budget["total"]:
            kind = "warn"
    if budget["exceeded"]:
        number = sum(budget["exceeded"].values())
        kind = "warn"
        sentences.append(f"{counted(number, 'bill')} {agreeing(number, 'was', 'were')} above the stated maximum.")
    return _warned(status, kind, sentences)


def tiles(status: Mapping[str, Any]) -> list[Tile]:
    """Return the figures of the first row."""
    budget, unit = status["budget"], status["unit"]
    votes, took, savings = status["vote_share"], status["latency"], status["savings"]
    found = []
    if budget is not None:
        held = f"{money(budget['reserved'], unit)} reserved, {money(max(budget['free'], 0.0), unit)} free"
        of = budget["spent"] / budget["total"] if budget["total"] else 1.0
        found.append(Tile("Spent", money(budget["spent"], unit), f"of {money(budget['total'], unit)}; {held}", of))
    else:
        found.append(Tile("Spent", money(status["spend"], unit), "since the start; no budget is kept"))
    price = None if budget is None else budget["price"]
    words = f"accuracy that {one_unit(unit)} more must buy" if budget is not None else "no budget is kept"
    figure = "-" if price is None else digits(price)
    if budget is not None and price is None:
        figure, words = ("∞", "only the cheapest is affordable") if budget["cheapest_only"] else ("-", "not known yet")
    found.append(Tile("Price", figure, words))
    found.append(_saved(savings, status["explore"]))
    ended = {name: count for name, count in status["requests"].items() if name != "open"}
    other = [f"{count:,} {name}" for name, count in sorted(ended.items()) if name != "answered" and count]
    words = ", ".join([f"{status['requests']['open']:,} open", *other])
    found.append(Tile("Requests", f"{sum(ended.values()):,}", words))
    found.append(Tile("Vote share", share(votes["mean"]), f"mean of {counted(votes['votes'], 'vote')}"))
    if took["requests"]:
        words = f"90 % within {duration(took['p90'])}, 99 % within {duration(took['p99'])}"
        words = f"median of the last {counted(took['requests'], 'answer')}; {words}"
        found.append(Tile("Latency", duration(took["p50"]), words))
    else:
        found.append(Tile("Latency", "-", "no answer yet"))
    return found


def _saved(savings: Mapping[str, Any] | None, explore: float) -> Tile:
    if savings is None or savings.get("saved_share") is None:
        return Tile("Saved", "-", unlearned(explore))
    low, high = savings.get("low"), savings.get("high")
    words = "against the fixed choice at the same agreement"
    if savings.get("requests"):
        words += f"; {counted(int(savings['requests']), 'explored request')}"
    if low is not None and high is not None:
        words = f"95 % interval {100 * low:.0f} to {100 * high:.0f} %, {words}"
    return Tile("Saved", share(savings["saved_share"]), words)


def unlearned(explore: float) -> Markup:
    """Return what stands in the place of what is not learned yet."""
    return Markup("no figure yet" if explore else "no figure yet: needs <code>--explore</code>")


def _the(period: str) -> str:
    return period if period.startswith("every ") else f"the {period}"
