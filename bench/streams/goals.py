"""The goals of the study, and whether the figures meet them."""

from collections.abc import Iterator

__all__ = ["checked"]

REAL = " shuffled"
# Points that the keeper may be below the best price in hindsight, where that is not 0.25; None: reported only.
BELOW = {"Pareto": 0.5, "price doubles": 0.65, "500 requests": None}


def checked(rows: list[dict]) -> list[tuple[str, str, float, bool]]:
    """Return each goal: its stream, its words, the figure (the worst of all seeds), and whether it is met."""
    found: dict[tuple[str, str], tuple[float, bool]] = {}
    for stream, words, figure, met in _each(rows):
        worst, all_met = found.get((stream, words), (figure, True))
        take = figure if met < all_met or (met == all_met and figure < worst) else worst
        found[stream, words] = take, met and all_met
    return [(stream, words, figure, met) for (stream, words), (figure, met) in found.items()]


def _each(rows: list[dict]) -> Iterator[tuple[str, str, float, bool]]:
    keepers = {(row["stream"], row["seed"]): row for row in rows if row["rule"] == "keeper"}
    for row in rows:
        stream, rule = row["stream"], row["rule"]
        keeper = keepers.get((stream, row["seed"]))
        if rule == "keeper":
            yield from _of_keeper(row)
        elif keeper is None or not rule.startswith("keeper"):
            continue
        elif rule == "keeper without its cap":
            allowed = 0.05 if row["n"] >= 100_000 else 0.3
            cost = keeper["points"] - row["points"]
            yield stream, f"the cap costs at most {allowed} points", cost, cost >= -allowed
        elif "first price" in rule or "replicas" in rule:
            cost = row["points"] - keeper["points"]
            yield stream, f"{rule}: at most 0.05 points below", cost, cost >= -0.05


def _of_keeper(row: dict) -> Iterator[tuple[str, str, float, bool]]:
    stream, points, spend = row["stream"], row["points"], row["spend"]
    if stream.endswith("sorted"):
        return
    if stream.endswith(REAL):
        yield stream, "at least −0.1 points", points, points >= -0.1
    elif (below := BELOW.get(stream, 0.25)) is not None:
        yield stream, f"at most {below} points below hindsight", points, points >= -below
    if row["n"] >= 100_000:
        yield stream, "spends 0.998 to 1.000 of the budget", spend, 0.998 <= round(spend, 4) <= 1.0
