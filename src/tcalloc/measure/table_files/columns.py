"""What the columns of a table file are called, and what is said about names and values that are not allowed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.errors import InputError

__all__ = ["EMPTY", "EXPECTED", "Layout", "layout", "refuse_halves", "refuse_ids", "refuse_values", "shown"]

EXPECTED = "expected acc:NAME and cost:NAME for each action, and optionally id and weight"
RULES = {
    "acc": "Accuracies must be finite",
    "cost": "Costs must be finite and at least 0",
    "weight": "Weights must be finite and at least 0",
}
EMPTY = "both acc:NAME and cost:NAME empty"


def shown(text: str, limit: int = 40) -> str:
    """Quote what a file holds, shortened and printable."""
    return repr(text if len(text) <= limit else text[: limit - 3] + "...")


# ---------------------------------------------------------------------------------------------- the columns


@dataclass(frozen=True, slots=True)
class Layout:
    """Which column holds what; numbers are positions in the header."""

    names: tuple[str, ...]
    acc: tuple[int, ...]
    cost: tuple[int, ...]
    id: int | None
    weight: int | None
    ignored: tuple[str, ...]


def layout(path: str, headers: Sequence[str]) -> Layout:
    """Find a table's columns by their names."""
    found: dict[str, int] = {}
    ignored = []
    for position, header in enumerate(headers):
        kind, colon, rest = header.strip().partition(":")
        name = f"{kind}:{rest.strip()}" if colon else kind
        if kind in ("acc", "cost") and colon:
            if not rest.strip():
                raise InputError(f"{path}: column {position + 1} is {kind}: without a name; {EXPECTED}.")
        elif name not in ("id", "weight"):
            ignored.append(header)
            continue
        if name in found:
            raise InputError(
                f"{path}: columns {found[name] + 1} and {position + 1} are both {shown(name)}. Rename or drop one."
            )
        found[name] = position
    names = tuple(name[4:] for name in found if name.startswith("acc:"))
    if not names:
        raise InputError(f"{path}: no acc:NAME column; {EXPECTED}. {_met(headers)}")
    for name in names:
        if f"cost:{name}" not in found:
            if _separated(headers):
                raise InputError(f"{path}: {_met(headers)}")
            raise InputError(
                f"{path}: column {shown('acc:' + name)} has no {shown('cost:' + name)} beside it; {EXPECTED}."
            )
    for column in found:
        if column.startswith("cost:") and f"acc:{column[5:]}" not in found:
            raise InputError(
                f"{path}: column {shown(column)} has no {shown('acc:' + column[5:])} beside it; {EXPECTED}."
            )
    return Layout(
        names=names,
        acc=tuple(found[f"acc:{name}"] for name in names),
        cost=tuple(found[f"cost:{name}"] for name in names),
        id=found.get("id"),
        weight=found.get("weight"),
        ignored=tuple(ignored),
    )


def _separated(headers: Sequence[str]) -> str:
    """Return what seems to separate the columns of a header that was read as one column; "" if nothing."""
    marks = {";": "semicolons", "\t": "tabs", "|": "bars"} if len(headers) == 1 else {}
    return next((word for mark, word in marks.items() if mark in headers[0]), "")


def _met(headers: Sequence[str]) -> str:
    if word := _separated(headers):
        return f"The header seems to be separated by {word}; separate by commas."
    more = f" and {len(headers) - 6} more" if len(headers) > 6 else ""
    return f"The columns are {', '.join(shown(h, 30) for h in headers[:6])}{more}."


# ---------------------------------------------------------------------------------------------- the values


def refuse_values(table: dict[str, Any], place: Callable[[int], str], names: tuple[str, ...]) -> None:
    """Refuse the first value that is not allowed, with its place in the file."""
    available, weights = table.get("available"), table.get("weights")
    if available is not None and not (some := available.any(axis=1)).all():
        raise InputError(f"{place(int(some.argmin()))}: the row has no action. Give it one, or drop the row.")
    parts = [("acc", table["acc"], available), ("cost", table["cost"], available)]
    if weights is not None:
        parts.append(("weight", weights[:, None], None))
    for kind, values, mask in parts:
        fine = np.isfinite(values) if kind == "acc" else np.isfinite(values) & (values >= 0)
        if mask is not None:
            fine |= ~mask
        if not fine.all():
            row, k = divmod(int(fine.argmin()), values.shape[1])
            value = float(values[row, k])
            problem = "negative" if np.isfinite(value) else "not finite"
            column = "weight" if kind == "weight" else shown(f"{kind}:{names[k]}")
            remedy = "" if kind == "weight" else f"; if the row does not have the action, leave {EMPTY}"
            raise InputError(f"{place(row)}, column {column}: {value!r} is {problem}. {RULES[kind]}{remedy}.")


def refuse_halves(
    place: Callable[[int], str],
    names: tuple[str, ...],
    acc: NDArray[Any],
    cost: NDArray[Any],
    no_acc: NDArray[np.bool_],
    no_cost: NDArray[np.bool_],
) -> None:
    """Refuse an action of which a row has the accuracy or the cost only."""
    halves = no_acc != no_cost
    if halves.any():
        row, k = divmod(int(halves.argmax()), len(names))
        empty, full, value = ("acc", "cost", cost) if no_acc[row, k] else ("cost", "acc", acc)
        raise InputError(
            f"{place(row)}: {shown(f'{empty}:{names[k]}')} is empty, but {shown(f'{full}:{names[k]}')} is "
            f"{float(value[row, k])!r}. Fill in both; if the row does not have the action, leave {EMPTY}."
        )


def refuse_ids(ids: list[str], place: Callable[[int], str]) -> None:
    """Refuse ids that are empty or repeat."""
    if len(set(ids)) == len(ids) and all(map(str.strip, ids)) and not any("\0" in name for name in ids):
        return
    first: dict[str, int] = {}
    for row, name in enumerate(ids):
        if not name.strip():
            raise InputError(
                f"{place(row)}: the id is empty. Fill it in, or drop all ids (rows are then counted from 0)."
            )
        if "\0" in name:
            raise InputError(f"{place(row)}: the id {shown(name)} holds a NUL character. Remove it.")
        if first.setdefault(name, row) != row:
            before = place(first[name]).rpartition(", ")[2]
            raise InputError(
                f"{place(row)}: the id {shown(name)} was already given to {before}. Ids must differ; if the instance "
                "occurs more than once, say so by its weight."
            )
