"""What the first paid samples of a question show: how much they agree, how long they are, how sure the model was.

Nothing here knows which answer is right; answers are only compared with each other. Only with a verifier is it known
whether a sample was accepted.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc.errors import InputError
from tcalloc.learn.protocol import Result

__all__ = ["PROBE", "probe_features", "probe_names"]

PROBE = {
    "agreement": "share of the samples that gave the most frequent answer",
    "entropy": "entropy of the answers' shares, in nats",
    "distinct": "different answers per sample",
    "no_answer": "share of the samples without an answer",
    "length_mean": "mean of log(1 + length)",
    "length_sd": "standard deviation of log(1 + length)",
    "length_min": "least log(1 + length)",
    "length_max": "greatest log(1 + length)",
    "logprob": "mean log-probability of a sample",
    "successes": "share of the samples that the verifier accepted",
}
"""The names of the features, in order, with their meaning. Those after ``no_answer`` need more than answers."""


def probe_names(*, lengths: bool = False, logprobs: bool = False, verified: bool = False) -> tuple[str, ...]:
    """Return the names of the columns of `probe_features`, each with the prefix ``probe:``."""
    there = list(PROBE)[:4]
    there += list(PROBE)[4:8] if lengths else []
    there += (["logprob"] if logprobs else []) + (["successes"] if verified else [])
    return tuple(f"probe:{name}" for name in there)


def probe_features(
    samples: Any,
    *,
    lengths: ArrayLike | None = None,
    logprobs: ArrayLike | None = None,
    verified: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Return features of the first m samples of each question.

    Parameters
    ----------
    samples : array_like of int, (n, m), or sequence of sequences of Result
        Codes of the answers: equal codes are equal answers, -1 is no answer, -2 is not drawn. It does not matter which
        number stands for which answer. Or the results of the draws. Then lengths, log-probabilities and the verifier's
        marks are taken from them, each if all results have it.
    lengths : array_like, (n, m), optional
        Tokens or characters of each sample, at least 0.
    logprobs : array_like, (n, m), optional
        Log-probability of each sample.
    verified : array_like of bool, (n, m), optional
        Whether the verifier accepted the sample. Never whether it equals the gold answer, which a policy cannot know.

    Returns
    -------
    ndarray of shape (n, d)
        The columns are those of `probe_names`. A question without samples has zeros.

    Raises
    ------
    InputError
        If shapes differ, or the value of a drawn sample is not finite.

    Examples
    --------
    >>> probe_features([[5, 5, 7], [3, 3, 3]])[:, 0].round(2).tolist()
    [0.67, 1.0]
    """
    if _results(samples):
        if lengths is not None or logprobs is not None or verified is not None:
            raise InputError("lengths, logprobs and verified are taken from the results. Do not pass them too.")
        codes, lengths, logprobs, verified = _unpacked(samples)
    else:
        codes = np.asarray(samples)
    if codes.ndim != 2 or (codes.size and codes.dtype.kind not in "iu"):
        raise InputError(
            f"samples has shape {codes.shape} and dtype {codes.dtype}; expected codes of answers, whole numbers "
            "(n, m), or a sequence of Results for each question."
        )
    codes = codes.astype(np.int64)
    drawn = codes != -2
    answered = drawn & (codes >= 0)
    many, answers = np.maximum(drawn.sum(axis=1), 1), np.maximum(answered.sum(axis=1), 1)
    # How many samples gave the same answer as sample j, itself included; shares, entropy and distinct answers follow.
    alike = np.zeros(codes.shape)
    for j in range(codes.shape[1]):
        alike[:, j] = ((codes == codes[:, j, None]) & answered).sum(axis=1)
    alike = np.where(answered, alike, 0)
    share = np.where(answered, alike, 1) / answers[:, None]
    columns = [
        alike.max(axis=1, initial=0) / many,
        -(np.where(answered, np.log(np.where(answered, share, 1.0)), 0.0)).sum(axis=1) / answers + 0.0,
        (answered / np.where(answered, alike, 1)).sum(axis=1) / many,
        (drawn & ~answered).sum(axis=1) / many,
    ]
    if lengths is not None:
        long = np.log1p(_values("lengths", lengths, drawn, least=0.0))
        mean = np.where(drawn, long, 0).sum(axis=1) / many
        spread = np.where(drawn, long - mean[:, None], 0)
        some = drawn.any(axis=1)
        columns += [mean, np.sqrt((spread**2).sum(axis=1) / many)]
        columns += [np.where(some, np.where(drawn, long, np.inf).min(axis=1, initial=np.inf), 0)]
        columns += [np.where(some, np.where(drawn, long, -np.inf).max(axis=1, initial=-np.inf), 0)]
    if logprobs is not None:
        columns.append(np.where(drawn, _values("logprobs", logprobs, drawn), 0).sum(axis=1) / many)
    if verified is not None:
        accepted = np.asarray(verified)
        if accepted.dtype != np.bool_ or accepted.shape != codes.shape:
            raise InputError(
                f"verified has dtype {accepted.dtype} and shape {accepted.shape}; expected booleans {codes.shape}."
            )
        columns.append((accepted & drawn).sum(axis=1) / many)
    return np.column_stack(columns)


def _values(name: str, values: ArrayLike, drawn: NDArray[np.bool_], least: float = -np.inf) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    if array.shape != drawn.shape:
        raise InputError(f"{name} has shape {array.shape}; expected {drawn.shape} like samples.")
    bad = drawn & ~(np.isfinite(array) & (array >= least))
    if bad.any():
        row, column = np.argwhere(bad)[0].tolist()
        allowed = "a finite number" if least == -np.inf else f"a finite number, at least {least:g}"
        raise InputError(f"{name}[{row}, {column}] is {array[row, column]}; expected {allowed}.")
    return np.where(drawn, array, 0.0)


def _results(samples: Any) -> bool:
    if not isinstance(samples, Sequence):
        return False
    first = next((row[0] for row in samples if isinstance(row, Sequence) and len(row)), None)
    return isinstance(first, Result) or (len(samples) > 0 and all(isinstance(row, list) and not row for row in samples))


def _unpacked(samples: Sequence[Sequence[Result]]) -> tuple[NDArray[np.int64], Any, Any, Any]:
    """Return codes, lengths, log-probabilities and verifier's marks of results; None for what not all of them have."""
    n, m = len(samples), max(map(len, samples), default=0)
    codes = np.full((n, m), -2)
    found: dict[str, Any] = {"tokens": np.zeros((n, m)), "logprob": np.zeros((n, m)), "correct": np.zeros((n, m), bool)}
    for i, row in enumerate(samples):
        seen: dict[Any, int] = {}
        for j, result in enumerate(row):
            codes[i, j] = -1 if result.answer is None else seen.setdefault(result.answer, len(seen))
            for name, values in found.items():
                value = getattr(result, name)
                if value is None:
                    found[name] = None
                elif values is not None:
                    values[i, j] = value
        found = {name: values for name, values in found.items() if values is not None}
    return codes, found.get("tokens"), found.get("logprob"), found.get("correct")
