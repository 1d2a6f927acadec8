"""Conversion and checks of what users pass, for the kernel, which trusts its input.

All checks are made here, before any work. float32 and float64 arrays are used as they are, read-only and strided ones
too. Other numbers are converted; nothing is ever modified.
"""

import math
import reprlib
import sys
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._counts import counted
from tcalloc._kernel import kernel
from tcalloc.errors import InputError

__all__ = [
    "Labels",
    "Magnitudes",
    "Problem",
    "changed",
    "magnitudes",
    "prepare",
    "prepare_rows",
    "scalar",
    "scalars",
    "scale_of",
]

# Magnitudes within 2^±COMFORT (and 0) are used as they are: no product or quotient of two can leave float64, and their
# rounding errors are normal numbers. Others are scaled by a power of two, which is exact, if they span at most
# 2^SPAN.
COMFORT = 200
SPAN = 400

# Of acc, cost and weights: the smallest nonzero magnitude and the largest, in the user's units.
Magnitudes: TypeAlias = dict[str, tuple[float, float]]

# Another thread may write into an array during the call. Tables of up to this many cells are compared as a whole at
# the end of the call; of larger ones, this many rows are compared.
WATCHED_CELLS = 1 << 14
WATCHED_ROWS = 512


def changed(name: str = "acc or cost") -> InputError:
    """Return the error for an array that another thread wrote into during the call."""
    return InputError(
        f"{name} changed during the call: another thread wrote into the array. Pass a copy, or hold a lock while the "
        "array is written and while it is used."
    )


@dataclass(frozen=True, slots=True)
class Labels:
    """What is needed to report a result with the user's names and units."""

    actions: int  # K
    ids: NDArray[Any] | None = None
    names: tuple[str, ...] | None = None
    acc_exponent: int = 0  # the user's acc is acc·2^acc_exponent
    cost_exponent: int = 0
    weight_exponent: int = 0


@dataclass(slots=True)
class Problem:
    """Checked and scaled input, for `_search.py` and the kernel."""

    acc: NDArray[Any]  # (N, K) float32 or float64
    cost: NDArray[Any]  # (N, K); a shared row has a row stride of 0
    available: NDArray[np.uint8] | None  # (N, K)
    weights: NDArray[np.float64] | None  # (N,)
    acc_bound: float  # no |acc| is larger
    cost_bound: float
    labels: Labels
    watched: tuple[tuple[str, NDArray[Any], NDArray[Any]], ...] = ()  # name, some rows, their values at the start

    def refuse_changed(self) -> None:
        """Raise an InputError if acc or cost no longer hold what was checked."""
        for name, now, before in self.watched:
            if now.tobytes() != before.tobytes():
                raise changed(name)

    @property
    def shape(self) -> tuple[int, int]:
        """N and K."""
        return self.acc.shape[0], self.acc.shape[1]

    def take(self, rows: NDArray[np.intp]) -> "Problem":
        """Return the problem of these rows only."""
        shared = self.cost.strides[0] == 0
        return Problem(
            acc=_rows(self.acc, rows),
            cost=np.broadcast_to(self.cost[:1], (len(rows), self.cost.shape[1])) if shared else _rows(self.cost, rows),
            available=None if self.available is None else _rows(self.available, rows),
            weights=None if self.weights is None else self.weights[rows],
            acc_bound=self.acc_bound,
            cost_bound=self.cost_bound,
            labels=self.labels,
        )


def _rows(array: NDArray[Any], rows: NDArray[np.intp]) -> NDArray[Any]:
    """Return these rows; take is ten times faster than indexing, but would copy the whole of a strided array."""
    return np.take(array, rows, axis=0) if array.flags.c_contiguous else array[rows]


# ---------------------------------------------------------------------------------------------- containers


def _columns(value: Any) -> tuple[Any, Any, tuple[str, ...] | None]:
    """Return the values of a data frame, its ids (None if they only count the rows), and its column names."""
    kind = type(value).__module__.partition(".")[0]
    if kind == "pandas":
        index = getattr(value, "index", None)
        counts = index is None or (type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1)
        names = tuple(str(c) for c in value.columns) if hasattr(value, "columns") else None
        return value.to_numpy(), None if index is None or counts else index.to_numpy(), names
    if kind == "polars":
        names = tuple(value.columns) if hasattr(value, "columns") else None
        return value.to_numpy(), None, names
    if kind == "pyarrow" and hasattr(value, "column_names"):
        arrays = [value.column(i).to_numpy() for i in range(value.num_columns)]
        whole = np.column_stack(arrays) if arrays else np.empty((value.num_rows, 0))
        return whole, None, tuple(value.column_names)
    return value, None, None


def _numbers(value: Any, name: str, rank: tuple[int, ...], shape_words: str) -> NDArray[Any]:
    """Convert to a float32 or float64 array of an allowed rank, without a copy where that is possible."""
    # Whoever holds a masked array has loaded its module, which takes as long as all that a plan needs of tcalloc.
    masked: Any = getattr(sys.modules.get("numpy.ma"), "MaskedArray", ())
    if isinstance(value, masked):
        if np.any(value.mask):
            raise InputError(
                f"{name} is a masked array with masked values, which NumPy would fill in. Pass {name}.filled(0), "
                f"and say which actions exist with available=~{name}.mask."
            )
        value = value.data
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{name} cannot be converted to an array of shape {shape_words}: {error}") from error
    if array.ndim not in rank:
        raise InputError(f"{name} has shape {array.shape}; expected {shape_words}.")
    if array.dtype.kind not in "fiub":
        raise InputError(
            f"{name} has dtype {array.dtype}; allowed are float32, float64 and what converts to them (other floats, "
            f"integers, booleans). Convert it first, e.g. numpy.asarray({name}, dtype=float)."
        )
    if array.dtype not in (np.float32, np.float64) or not array.dtype.isnative:
        array = array.astype(np.float32 if array.dtype == np.dtype(">f4") else np.float64)
    return array if array.flags.aligned else array.copy()


def scalar(value: Any, name: str) -> float:
    """Convert to a float; NaN and −∞ are errors."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise InputError(f"{name} is {reprlib.repr(value)}; expected a number.") from None
    if math.isnan(number) or number == -math.inf:
        raise InputError(f"{name} is {number}; expected a number (inf means: no limit).")
    return number


def scalars(value: ArrayLike, name: str) -> NDArray[np.float64]:
    """Convert one number or many to an array; NaN and −∞ are errors."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{name} is {value!r}; expected a number or an array of numbers.") from None
    bad = np.isnan(array) | (array == -math.inf)
    if bad.any():
        raise InputError(f"{name} is {float(array[bad].flat[0])}; expected a number (inf means: no limit).")
    return array


# ---------------------------------------------------------------------------------------------- values

_REMEDY = {
    "acc": "Accuracies must be finite. If the row does not have this action, pass available=numpy.isfinite(acc).",
    "cost": "Costs must be finite and at least 0. If the row does not have this action, pass available=.",
    "weights": "Weights say how often an instance occurs: finite and at least 0.",
}


def _check_values(array: NDArray[Any], name: str, available: NDArray[np.uint8] | None) -> tuple[float, float]:
    """Raise an error for the first value that is not allowed; return the smallest nonzero magnitude and the largest."""
    signed = name == "acc"
    flat = _flat(array)
    if flat is not None and flat.size:
        # A guess from a sample, then confirmed at the speed of memory, is enough for nearly every table.
        integer = np.int32 if array.dtype == np.float32 else np.int64
        peek = np.abs(flat[:: max(1, flat.size // 1024)])
        guess = min(float(peek.max()) * 4096.0, float(np.finfo(array.dtype).max))
        smallest = max(2.0**-COMFORT, float(np.finfo(array.dtype).tiny))
        if 0 < guess < 2.0**COMFORT:
            tiny, huge = (int(np.array(x, dtype=array.dtype).view(integer)) for x in (smallest, guess))
            if kernel.within(flat.view(integer), tiny, huge, signed):
                return smallest, guess
    values = array.reshape(-1, 1) if array.ndim == 1 else array
    code, row, column, largest, least = kernel.survey(values, available, signed)
    if code != kernel.OK:
        place = f"[{row}, {column}]" if array.ndim == 2 else f"[{row}]"
        problem = "negative" if code == kernel.NEGATIVE else "not finite"
        raise InputError(f"{name}{place} is {float(values[row, column])!r}, which is {problem}. {_REMEDY[name]}")
    return least, largest


def _flat(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return the array's memory as one row, in any order, if this needs no copy."""
    if array.ndim == 2 and array.strides[0] == 0:
        array = array[0]
    if array.flags.c_contiguous:
        return array.reshape(-1)
    return array.T.reshape(-1) if array.flags.f_contiguous else None


def scale_of(name: str, least: float, largest: float) -> int:
    """Return the power of two that brings magnitudes (the smallest nonzero one too) into the comfortable range."""
    if largest == 0 or (largest <= 2.0**COMFORT and least >= 2.0**-COMFORT):
        return 0
    exponent = math.frexp(largest)[1]
    if math.frexp(least)[1] - exponent < -SPAN:
        raise InputError(
            f"{name} holds magnitudes from {least:g} to {largest:g}; at most a factor of 1e{int(SPAN * math.log10(2))} "
            f"may lie between the smallest nonzero and the largest. Round the smallest to 0, or drop those rows."
        )
    return exponent


def _watch(name: str, array: NDArray[Any]) -> tuple[str, NDArray[Any], NDArray[Any]]:
    """Keep a copy of the array or of some rows, to see at the end whether another thread wrote into the array."""
    rows = array if array.size <= WATCHED_CELLS else array[:: -(-len(array) // WATCHED_ROWS)]
    return name, rows, rows.copy()


def _scale(array: NDArray[Any], name: str, least: float, largest: float) -> tuple[NDArray[Any], int, float]:
    """Bring magnitudes into the comfortable range by a power of two; return (array, exponent, bound)."""
    exponent = scale_of(name, least, largest)
    return (np.ldexp(array.astype(np.float64), -exponent), exponent, 1.0) if exponent else (array, 0, largest)


def magnitudes(problem: Problem) -> Magnitudes:
    """Return the smallest nonzero and the largest magnitude of acc, cost and weights, in the user's units."""
    labels = problem.labels
    found: dict[str, Any] = {"weights": (1.0, 1.0)}
    columns = None if problem.weights is None else problem.weights[:, None]
    for name, values, mask, exponent in (
        ("acc", problem.acc, problem.available, labels.acc_exponent),
        ("cost", problem.cost, problem.available, labels.cost_exponent),
        ("weights", columns, None, labels.weight_exponent),
    ):
        if values is not None:
            code, _, _, largest, least = kernel.survey(values, mask, True)
            if code != kernel.OK:
                raise changed(name)
            least = math.inf if math.isinf(least) else math.ldexp(least, exponent)
            found[name] = (least, math.ldexp(largest, exponent))
    return found


# ---------------------------------------------------------------------------------------------- the table


def prepare(
    acc: Any, cost: Any, available: Any = None, weights: Any = None, ids: Any = None, names: Any = None
) -> Problem:
    """Check and convert everything that describes the instances."""
    acc, acc_ids, acc_names = _columns(acc)
    cost, cost_ids, cost_names = _columns(cost)
    a = _numbers(acc, "acc", (2,), "(N, K): one row per instance, one column per action")
    n, k = a.shape
    if n == 0 or k == 0:
        raise InputError(f"acc has shape {a.shape}: an empty table. At least one instance and one action are needed.")
    c = _numbers(cost, "cost", (1, 2), f"({n}, {k}) like acc, or ({k},) shared by all instances")
    if c.shape not in ((n, k), (k,)):
        raise InputError(
            f"cost has shape {c.shape}, acc has {a.shape}; expected ({n}, {k}), or ({k},) shared by all instances."
        )
    if c.ndim == 1:
        if cost_ids is not None:  # the index of a pandas Series names the actions
            cost_names, cost_ids = tuple(str(name) for name in np.asarray(cost_ids)), None
        c = np.broadcast_to(c.copy(), (n, k))
    watched = (_watch("acc", a), _watch("cost", c if c.strides[0] else c[:1]))
    if acc_names is not None and cost_names is not None and acc_names != cost_names:
        raise InputError(
            f"acc and cost name their columns differently ({', '.join(acc_names)} against {', '.join(cost_names)}). "
            "Give both the same columns in the same order."
        )
    if acc_ids is not None and cost_ids is not None and not np.array_equal(acc_ids, cost_ids):
        raise InputError("acc and cost have different indexes. Give both the same rows in the same order.")
    for name, given in (("available", available), ("weights", weights)):
        _, their_ids, their_names = _columns(given)
        if acc_ids is not None and their_ids is not None and not np.array_equal(acc_ids, their_ids):
            raise InputError(f"acc and {name} have different indexes. Give both the same rows in the same order.")
        if acc_names is not None and acc_names != (their_names or acc_names) and {*acc_names} & {*(their_names or ())}:
            raise InputError(
                f"acc and {name} name their columns differently ({', '.join(acc_names)} against "
                f"{', '.join(their_names or ())}). Give both the same columns in the same order."
            )

    mask = _available(available, n, k)
    w, w_exponent = _weights(weights, n)
    a, a_exponent, a_bound = _scale(a, "acc", *_check_values(a, "acc", mask))
    c, c_exponent, c_bound = _scale(c, "cost", *_check_values(c, "cost", mask))
    return Problem(
        acc=a,
        cost=c,
        available=mask,
        weights=w,
        acc_bound=a_bound,
        cost_bound=c_bound,
        watched=watched,
        labels=Labels(
            actions=k,
            ids=_ids(acc_ids if ids is None else ids, n),
            names=_names(acc_names or cost_names if names is None else names, k),
            acc_exponent=a_exponent,
            cost_exponent=c_exponent,
            weight_exponent=w_exponent,
        ),
    )


def _available(available: Any, n: int, k: int) -> NDArray[np.uint8] | None:
    if available is None:
        return None
    mask = np.asarray(_columns(available)[0])
    if mask.dtype != np.bool_:
        raise InputError(
            f"available has dtype {mask.dtype}; expected booleans, True where a row has the action "
            f"(from zeros and ones: numpy.asarray(available, dtype=bool))."
        )
    if mask.shape != (n, k):
        raise InputError(f"available has shape {mask.shape}; expected ({n}, {k}) like acc.")
    mask = mask.copy()  # an action must not vanish during the call
    some = mask.any(axis=1)
    if not some.all():
        row = int(some.argmin())
        raise InputError(
            f"available[{row}] is False everywhere: row {row} has no action. Give it one, or drop the row."
        )
    return mask.view(np.uint8)


def _weights(weights: Any, n: int) -> tuple[NDArray[np.float64] | None, int]:
    if weights is None:
        return None, 0
    w = _numbers(_columns(weights)[0], "weights", (1,), f"({n},)")
    if w.shape != (n,):
        raise InputError(f"weights has shape {w.shape}; expected ({n},), one per instance.")
    w = w.copy()  # the limit is computed from the sum of the weights, which must not change
    least, largest = _check_values(w, "weights", None)
    if largest == 0 or not w.any():
        raise InputError("weights are all 0: no instance occurs. At least one weight must be positive.")
    w, exponent, _ = _scale(w, "weights", least, largest)
    return w.astype(np.float64, copy=False), exponent


def _ids(ids: Any, n: int) -> NDArray[Any] | None:
    if ids is None:
        return None
    array = np.asarray(ids)
    if array.shape != (n,):
        raise InputError(f"ids has shape {array.shape}; expected ({n},), one per instance.")
    return array


def _names(names: Any, k: int) -> tuple[str, ...] | None:
    if names is None:
        return None
    known = tuple(str(name) for name in names)
    if len(known) != k:
        raise InputError(
            f"action_names has {counted(len(known), 'name')} for {counted(k, 'action')}; expected one for each "
            "column of acc."
        )
    if len(set(known)) != k:
        raise InputError(f"action_names repeats a name ({', '.join(known)}); each action needs its own.")
    return known


def prepare_rows(acc: ArrayLike, cost: ArrayLike, available: Any = None) -> tuple[Problem, bool]:
    """Like `prepare`, for one row (K,) or many (N, K); also return whether it was one."""
    a = _numbers(_columns(acc)[0], "acc", (1, 2), "(K,) for one row or (N, K) for many")
    if a.ndim == 2:
        return prepare(acc, cost, available), False
    c = _numbers(_columns(cost)[0], "cost", (0, 1, 2), f"({a.size},) like acc")
    if c.ndim == 2:
        raise InputError(
            f"cost has shape {c.shape} but acc is one row of {counted(a.size, 'action')}; expected ({a.size},)."
        )
    if available is not None:
        available = np.atleast_2d(np.asarray(available))
    return prepare(a[None, :], c, available), True
