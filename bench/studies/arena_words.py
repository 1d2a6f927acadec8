"""The arena's figures as a page of Markdown: gains and losses in the same type."""

from collections.abc import Iterable, Sequence
from typing import Any

# Significant after Holm's correction within a table.
LEVEL = 0.05
# A gain that is shown as 0.00 points is none, however sure it is.
NONE = 5e-5
# Deployable policies and simple rules take part in wins and losses; bounds do not.
TAKES_PART = ("policy", "baseline")

Result = dict[str, Any]
Standing = dict[str, Any]

HOW = """\
- **Held out**: every question is decided by policies that were trained without it. Spends are real: samples, probes,
  features. All policies of a table are moved to the same real spend; who cannot reach it stands with the spend it has.
- **Gain**: points of accuracy over the best fixed mixture of actions at the same real spend, paired by question, with a
  95 % interval over questions. **Bold**: differs from 0 after Holm's correction over all policies and spends of the
  table (5 %), upwards or downwards; of baselines (fixed k, random, prompt length) by the interval alone. An interval is
  of that cell alone, and of these trainings.
- **Bounds** know what no policy can know. "oracle, held out" chooses on one half of a question's samples and is scored
  on the other; the hindsight bound chooses on what it is scored on.
- gsm8k, cruxeval and the shipped table were looked at while policies of this package were made; aime24, mmlupro and
  ulab less, but not never. Take differences below .3 points as none."""


def page(results: Sequence[Result], command: str) -> str:
    """Return the whole page.

    Parameters
    ----------
    results : sequence of dict
        As `arena.contest` returns them.
    command : str
        What made them.
    """
    blocks = [
        "# Every policy, every table, every spend",
        _made(results, command),
        HOW,
        "## Won and lost",
        *_tally(results),
        "## Losses",
        _moves(results, -1),
        "## Gains",
        _moves(results, 1),
        "## Best of each table",
        _best(results),
        *[block for result in results for block in _table(result)],
    ]
    return "\n\n".join(blocks) + "\n"


def _made(results: Sequence[Result], command: str) -> str:
    seconds = sum(result["seconds"] for result in results)
    versions: dict[str, str] = {}
    for result in results:
        versions |= result["versions"]
    machines = ", ".join(dict.fromkeys(result["machine"] for result in results))
    dates = sorted({result["date"] for result in results})
    said = ", ".join(f"{name} {version}" for name, version in versions.items())
    first = results[0]
    times = f"{first['folds']} folds × {first['repeats']} repeat{'s' * (first['repeats'] != 1)}, seed {first['seed']}"
    when = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    return (
        f"Made by `{command}`; not edited by hand. {when}; {machines}; {said}; {times}; "
        f"{len(results)} table{'s' * (len(results) != 1)} in {seconds / 60:.1f} minutes."
    )


# ---------------------------------------------------------------------------------------------- figures as words


def accuracy(value: float | None) -> str:
    """Return an accuracy as .9105."""
    return "–" if value is None else f"{value:.4f}"


def points(value: float | None) -> str:
    """Return a difference in points, with its sign: +2.05, −1.20, 0.00."""
    if value is None:
        return "–"
    text = f"{100 * value:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")


def gain(standing: Standing, b: int) -> str:
    """Return a gain with its interval; bold if it differs from 0 after Holm's correction, whichever way."""
    value = standing["gain"][b]
    if value is None:
        return "–"
    low, high = points(standing["gain_low"][b]), points(standing["gain_high"][b])
    text = f"{points(value)}"
    if moved(standing, b):
        text = f"**{text}**"
    return f"{text} [{low}, {high}]"


def moved(standing: Standing, b: int) -> int:
    """Return 1 for a significant gain, -1 for a significant loss, else 0.

    Baselines are not tested, so that policies are not corrected for them: of them the interval decides.
    """
    value, p = standing["gain"][b], standing["p"][b]
    if value is None or abs(value) < NONE:
        return 0
    low, high = standing["gain_low"][b], standing["gain_high"][b]
    sure = p < LEVEL if p is not None else standing["kind"] == "baseline" and (low > 0 or high < 0)
    return 0 if not sure else 1 if value > 0 else -1


def rows_of(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def takes_part(standing: Standing, result: Result) -> bool:
    """Whether its gains are counted: the mixture's own is 0, and bounds are no policies."""
    return standing["kind"] in TAKES_PART and standing["name"] != result["reference"]


# ---------------------------------------------------------------------------------------------- over all tables


def _tally(results: Sequence[Result]) -> list[str]:
    """Return for each policy in how many cells it is above, level with and below the mixture."""
    found: dict[str, list[tuple[int, float]]] = {}
    unreached: dict[str, int] = {}
    for result in results:
        for one in result["standings"]:
            if not takes_part(one, result):
                continue
            for b, reached in enumerate(one["reached"]):
                unreached[one["name"]] = unreached.get(one["name"], 0) + (not reached)
                if one["gain"][b] is not None:
                    found.setdefault(one["name"], []).append((moved(one, b), one["gain"][b]))
    rows = []
    for name, cells in sorted(found.items(), key=lambda item: -sum(g for _, g in item[1]) / len(item[1])):
        gains = [g for _, g in cells]
        signs = [sum(sign == s for sign, _ in cells) for s in (1, 0, -1)]
        mean = points(sum(gains) / len(gains))
        rows.append([name, *map(str, signs), mean, points(min(gains)), points(max(gains)), str(unreached[name])])
    heads = ["policy", "above", "level", "below", "mean gain", "worst", "best", "spends not reached"]
    told = (
        "Cells are tables × spends. Above and below: significantly, as in bold. The mean is over the cells of the "
        "tables in which a policy takes part: means of policies that take part in different tables do not compare."
    )
    return [told, rows_of(heads, rows)]


def _moves(results: Sequence[Result], way: int) -> str:
    """Return all significant losses (-1) or gains (1), by table."""
    lines = []
    for result in results:
        parts = []
        for one in result["standings"]:
            if takes_part(one, result):
                cells = [
                    f"{gain(one, b).replace('*', '')} at {budget:g}"
                    for b, budget in enumerate(result["budgets"])
                    if moved(one, b) == way
                ]
                parts += [f"{one['name']} {', '.join(cells)}"] if cells else []
        lines += [f"- **{result['name']}**: {'; '.join(parts)}."] if parts else []
    word = "below" if way < 0 else "above"
    return "\n".join(lines) or f"No policy is significantly {word} the best fixed mixture at any spend of any table."


def _best(results: Sequence[Result]) -> str:
    """Return who is best in each cell, and by how much; chosen on the questions it is scored on."""
    rows = []
    for result in results:
        for b, budget in enumerate(result["budgets"]):
            able = [
                one
                for one in result["standings"]
                if one["kind"] in TAKES_PART and one["reached"][b] and one["accuracy"][b] is not None
            ]
            if not able:
                continue
            first, *others = sorted(able, key=lambda one: -one["accuracy"][b])
            lead = f"{others[0]['name']} {accuracy(others[0]['accuracy'][b])}" if others else "–"
            rows.append(
                [result["name"], f"{budget:g}", first["name"], accuracy(first["accuracy"][b]), gain(first, b), lead]
            )
    caution = "The best policy of a cell is chosen on the questions that score it, which overstates it slightly."
    return caution + "\n\n" + rows_of(["table", "spend", "best", "accuracy", "gain", "second"], rows)


# ---------------------------------------------------------------------------------------------- one table


def _table(result: Result) -> list[str]:
    budgets = [f"{budget:g}" for budget in result["budgets"]]
    everyone = range(len(budgets))
    standings = result["standings"]
    head = f"## {result['name']}"
    about = (
        f"{result['about'][0].upper()}{result['about'][1:]}. {result['questions']:,} questions; "
        f"{result['seconds']:.0f} s. Accuracy with its 95 % interval:"
    )
    accuracies = rows_of(["policy", *budgets], [[_named(one), *(_cell(one, b) for b in everyone)] for one in standings])
    gains = rows_of(
        ["gain, points", *budgets],
        [[_named(one), *(gain(one, b) for b in everyone)] for one in standings if one["name"] != result["reference"]],
    )
    blocks = [head, about, accuracies, f"Over the {result['reference']}, at the same spend:", gains]
    blocks += _further(standings, budgets)
    notes = [f"- {names}: {mark}" for mark, names in _together((one["name"], one["marks"]) for one in standings)]
    left_out = _together((name, [why]) for name, why in result["skipped"].items())
    notes += [f"- {names}: no part: {why}" for why, names in left_out]
    notes += [f"- {remark}" for remark in result["remarks"]]
    return [*blocks, *(["\n".join(notes)] if notes else [])]


def _together(said: Iterable[tuple[str, Sequence[str]]]) -> list[tuple[str, str]]:
    """Return each sentence with the names of whom it is said."""
    found: dict[str, list[str]] = {}
    for name, sentences in said:
        for sentence in sentences:
            found.setdefault(sentence, []).append(name)
    return [(sentence, "; ".join(names)) for sentence, names in found.items()]


def _named(standing: Standing) -> str:
    return f"*{standing['name']}* (bound)" if standing["kind"] == "bound" else str(standing["name"])


def _cell(standing: Standing, b: int) -> str:
    value = standing["accuracy"][b]
    if value is None:
        return "–"
    text = f"{accuracy(value)} [{accuracy(standing['low'][b])}, {accuracy(standing['high'][b])}]"
    return text if standing["reached"][b] else f"{text} at {standing['spend'][b]:.3g}"


def _further(standings: Sequence[Standing], budgets: Sequence[str]) -> list[str]:
    """Return what is captured of the oracle's gain, how far claims were off, and the noise of training if measured."""
    found = []
    for head, words in (
        ("captured of the held-out oracle's gain, %", _captured),
        ("claimed − reached accuracy, points", _off),
        ("accuracy of other trainings, standard deviation, points", _noise),
    ):
        rows = [[_named(one), *words(one)] for one in standings if one["kind"] != "bound"]
        rows = [row for row in rows if any(cell != "–" for cell in row[1:])]
        found += [rows_of([head, *budgets], rows)] if rows else []
    return found


def _captured(standing: Standing) -> list[str]:
    return ["–" if share is None else f"{round(100 * share)}".replace("-", "−") for share in standing["captured"]]


def _off(standing: Standing) -> list[str]:
    pairs = zip(standing["claimed"], standing["accuracy"], strict=True)
    return [points(None if claim is None or real is None else claim - real) for claim, real in pairs]


def _noise(standing: Standing) -> list[str]:
    return [points(value).removeprefix("+") for value in standing["refit"]]
