"""The figures of the page: the status of a gateway as sections of HTML."""

import math
from collections.abc import Mapping
from typing import Any

from tcalloc._amounts import CURRENCIES, column, digits, in_unit, unit_words
from tcalloc.serve.gateway.page.curves import Curve, Line, Tick, line, scale
from tcalloc.serve.gateway.page.document import templates
from tcalloc.serve.gateway.page.words import drift, duration, money, one_unit, share, tiles, unlearned, verdict

__all__ = ["figures"]

# Points of a curve on the page; the JSON has all.
POINTS = 60
# Actions, reasons and requests that are listed.
LISTED = 12


def figures(status: Mapping[str, Any]) -> str:
    """Return the figures of a `status_document` as HTML, a sequence of sections."""
    lower = [one for one in (_prices(status), _votes(status)) if one is not None]
    return (
        templates()
        .get_template("figures.html")
        .render(
            verdict=verdict(status),
            tiles=tiles(status),
            spending=_spending(status),
            lower=lower,
            actions=_counts(status["actions"]),
            fallbacks=_counts(status["fallbacks"]),
            drift=drift(status),
            unlearned=unlearned(status["explore"]),
            last=_last(status),
            unit=unit_words(status["unit"] or "cost"),
            about=_about(status),
        )
    )


# ---------------------------------------------------------------------------------------------- curves


def _spending(status: Mapping[str, Any]) -> Curve:
    """Return the curve of what is spent: over the budget's period if it has one, else since the start."""
    budget = status["budget"]
    if budget is not None and budget["period"] != "all time":
        return _over_the_period(budget, status["unit"])
    unit = status["unit"]
    places, ends, across = _since(status)
    # What was spent before the start, or by others.
    before = 0.0 if budget is None else max(budget["spent"] - sum(one["spend"] for one in places), 0.0)
    spent = before
    points = [(0.0, before)] if places else []
    for one, end in zip(places, ends, strict=True):
        spent += one["spend"]
        points.append((end, spent))
    if points and points[-1][0] < 1.0:
        points.append((1.0, spent))
    limit = [] if budget is None else [("limit", "budget", [(0.0, budget["total"]), (1.0, budget["total"])])]
    words = f"Spent {'since the start' if budget is None else 'of the budget'}: {money(spent, unit)}."
    return _drawn(
        "Spend" if budget is None else "Spend against budget", words, [("spent", "spent", points), *limit], across,
        unit, ("after", f"spent ({unit_words(unit or 'cost')})"), _times(status, points),
    )  # fmt: skip


def _over_the_period(budget: Mapping[str, Any], unit: str | None) -> Curve:
    total, elapsed, period = budget["total"], budget["elapsed"], budget["period"]
    spent, points = 0.0, [(0.0, 0.0)]
    for place, more in budget["history"]:
        spent += more
        points.append((place, spent))
    here = elapsed if elapsed is not None else points[-1][0]
    points.append((here, budget["spent"]))
    lines = [("limit", "budget", [(0.0, total), (1.0, total)])]
    words = f"Spent: {money(budget['spent'], unit)} of {money(total, unit)}"
    if elapsed is not None:
        lines.append(("even", "even spending", [(0.0, 0.0), (1.0, total)]))
        words += f", after {share(elapsed)} of the period"
        if budget["forecast"] is not None:
            lines.append(("forecast", "forecast", [(here, budget["spent"]), (1.0, budget["forecast"])]))
            words += f". Forecast for its end: {money(budget['forecast'], unit)}"
    lines.append(("spent", "spent", points))
    quarters = [0.0, 0.25, 0.5, 0.75, 1.0]
    if budget["period_seconds"]:
        labels = [duration(place * budget["period_seconds"], 3) for place in quarters]
    else:
        labels = [share(place) for place in quarters]
    labels[0], labels[-1] = ("start", f"end: {period}") if elapsed is not None else ("start of the window", "its end")
    across = [Tick(place, label) for place, label in zip(quarters, labels, strict=True)]
    rows = [(share(place), value) for place, value in points]
    return _drawn(
        "Spend against budget", words + ".", lines, across, unit,
        ("of the period", f"spent ({unit_words(unit or 'cost')})"), rows, now=elapsed,
    )  # fmt: skip


def _prices(status: Mapping[str, Any]) -> Curve | None:
    if status["budget"] is None:
        return None
    unit = status["unit"]
    places, ends, across = _since(status)
    # Until the price is known, each grant has the price 0.
    known = status["budget"]["price"] is not None or any(one["price"] for one in places)
    points = [(end, one["price"]) for one, end in zip(places, ends, strict=True) if known and one["price"] is not None]
    words = f"Accuracy that {one_unit(unit)} more had to buy"
    words += f"; {digits(points[-1][1])} at the last request." if points else ": not known yet."
    heads = ("after", f"accuracy for {one_unit(unit)}")
    return _drawn("Price", words, [("price", "price", points)], across, None, heads, _times(status, points))


def _votes(status: Mapping[str, Any]) -> Curve:
    places, ends, across = _since(status)
    points = [(end, one["vote_share"]) for one, end in zip(places, ends, strict=True) if one["vote_share"] is not None]
    words = "The share of the samples that gave the answer"
    words += f"; {share(status['vote_share']['mean'])} on average." if points else ": there was no vote yet."
    rows = [(when, share(value, 1)) for when, value in _times(status, points)]
    marks = [0.0, 0.25, 0.5, 0.75, 1.0]
    return Curve(
        "Vote share", words, [line("votes", "vote share", points)] if points else [],
        [Tick(place, share(place)) for place in marks], across, ("after", "vote share"), rows, key=False,
    )  # fmt: skip


def _drawn(
    title: str, words: str, lines: list[tuple[str, str, list[tuple[float, float]]]], across: list[Tick],
    unit: str | None, heads: tuple[str, str], rows: list[tuple[str, float]], now: float | None = None,
) -> Curve:  # fmt: skip
    """Return a curve whose vertical axis begins at 0 and ends above all points."""
    marks = scale(max((y for _, _, points in lines for _, y in points), default=0.0))
    top = marks[-1]
    made: list[Line] = [
        line(kind, label, [(x, y / top) for x, y in points], filled=kind == "spent")
        for kind, label, points in lines
        if points
    ]
    texts = [in_unit(text, unit if unit in CURRENCIES else None) for text in column(marks)]
    down = [Tick(mark / top, text) for mark, text in zip(marks, texts, strict=True)]
    shown = [(when, text) for (when, _), text in zip(rows, column([value for _, value in rows]), strict=True)]
    return Curve(title, words, made, down, across, heads, shown, now, told=title == "Price", key=len(made) > 1)


def _since(status: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[float], list[Tick]]:
    """Return at most `POINTS` places, where each ends on an axis from the start to now, and the ticks of this axis."""
    course, length = status["course"], max(status["now"] - status["since"], 1e-9)
    every = course["places"]
    together = -(-(round(every[-1]["after"] / course["seconds"]) + 1) // POINTS) if every else 1
    wide = course["seconds"] * together
    places: list[dict[str, Any]] = []
    for one in every:
        number = int((one["after"] + course["seconds"] / 2) // wide)
        if not places or places[-1]["number"] != number:
            places.append({"number": number, "spend": 0.0, "votes": 0, "shares": 0.0, "price": None})
        place = places[-1]
        place["spend"] += one["spend"] or 0.0
        place["votes"] += one["votes"]
        place["shares"] += one["votes"] * (one["vote_share"] or 0.0)
        place["price"] = place["price"] if one["price"] is None else one["price"]
    for place in places:
        place["vote_share"] = place["shares"] / place["votes"] if place["votes"] else None
    ends = [min((place["number"] + 1) * wide / length, 1.0) for place in places]
    ticks = [Tick(place, f"{duration((1 - place) * length)} ago") for place in (0.0, 0.25, 0.5, 0.75)]
    return places, ends, [*ticks, Tick(1.0, "now")]


def _times(status: Mapping[str, Any], points: list[tuple[float, float]]) -> list[tuple[str, float]]:
    length = status["now"] - status["since"]
    return [(duration(place * length), value) for place, value in points]


# ---------------------------------------------------------------------------------------------- tables


def _counts(counts: Mapping[str, int]) -> list[tuple[str, str, str, float]]:
    """Return names with their counts and shares, the most frequent first; the rarest are put together."""
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    shown = ordered if len(ordered) <= LISTED else ordered[: LISTED - 1]
    if len(shown) < len(ordered):
        rest = ordered[len(shown) :]
        shown = [*shown, (f"{len(rest)} others", sum(count for _, count in rest))]
    longest = max((count for _, count in shown), default=1)
    return [(name, f"{count:,}", share(count / total, 1), count / longest) for name, count in shown]


def _last(status: Mapping[str, Any]) -> list[dict[str, str]]:
    shown = status["last"][:LISTED]
    spends = column([math.nan if one["spend"] is None else one["spend"] for one in shown])
    return [
        {
            "ago": f"{duration(max(status['now'] - one['time'], 0.0))} ago",
            "action": one["action"] or "-",
            "samples": str(one["samples"]),
            "spend": spend,
            "vote_share": share(one["vote_share"]),
            "seconds": duration(one["seconds"]),
            "outcome": one["outcome"],
            "reason": one["reason"] or "-",
        }
        for one, spend in zip(shown, spends, strict=True)
    ]


def _about(status: Mapping[str, Any]) -> str:
    explored = (
        f"{share(status['explore'], 1)} of the requests are explored." if status["explore"] else "Nothing is explored."
    )
    age = duration(status["now"] - status["since"])
    return f"Policy: {status['policy']}. Started {age} ago; samples drawn since: {status['samples']:,}. {explored}"
