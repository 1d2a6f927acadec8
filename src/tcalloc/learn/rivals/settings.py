"""Every rival at all settings worth trying: the candidates that a comparison tunes in fold."""

import numpy as np

from tcalloc._checks import whole
from tcalloc.learn.registry import (
    AC_BETA,
    AC_DIRICHLET,
    EARLY_STOPPING,
    FIXED_K,
    MARGIN_CAP,
    SEQUENTIAL_TEST,
    SUCCESS_STOP,
)
from tcalloc.learn.rivals.adaptive_consistency import AdaptiveConsistency, beta_criterion
from tcalloc.learn.rivals.counting import Counting
from tcalloc.learn.rivals.esc import ESC
from tcalloc.learn.rivals.fixed import FixedK, SuccessStop
from tcalloc.learn.rivals.margin import MarginCap
from tcalloc.learn.rivals.sprt import SPRT
from tcalloc.measure.actions import Action, Best

__all__ = ["families"]

# The leader's shares under H₁, and the errors, for SPRT.
SHARES = (0.5001, 0.55, 0.6, 0.7, 0.8, 0.9)
ACCEPT = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
REJECT = (1.0, 2.0, 4.0, 30.0)


def families(size: int, *, verifier: bool = False, model: str | None = None) -> dict[str, list[Counting]]:
    """Return the rivals by name, each at all settings worth trying.

    Parameters
    ----------
    size : int
        Samples per question, which is the largest cap.
    verifier : bool
        Whether a verifier marks right samples. Then there is only fixed k, with and without a stop at the first
        success, because votes add nothing.
    model : str, optional
        The model to sample from.

    Returns
    -------
    dict of str to list of policies
    """
    size = whole("size", size, 1)
    vote, best = Action(model=model), Best(1, model)
    fixed: list[Counting] = [FixedK(k, best if verifier else vote) for k in range(size + 1)]
    if verifier:
        return {FIXED_K: fixed, SUCCESS_STOP: [SuccessStop(k, best) for k in range(size + 1)]}
    return {
        FIXED_K: fixed,
        AC_BETA: _adaptive(size, "beta", vote),
        AC_DIRICHLET: _adaptive(size, "dirichlet", vote),
        EARLY_STOPPING: _windows(size, vote),
        SEQUENTIAL_TEST: _tests(size, vote),
        MARGIN_CAP: [MarginCap(m, cap, vote) for m in range(1, min(size, 16) + 1) for cap in range(m, size + 1)],
    }


def _adaptive(size: int, criterion: str, action: Action) -> list[Counting]:
    """All confidences at which the Beta criterion changes early on, and a fine grid up to 1; two caps.

    The paper has one cap (40) and tunes the confidence. With every cap to choose from, the criterion would equal
    margin + cap within 0.1 points on real tables; that rival is compared separately.
    """
    counts = np.arange(min(size, 12) + 1)
    first, second = (grid.ravel() for grid in np.meshgrid(counts, counts))
    reached = beta_criterion(first[first > second], second[first > second])
    grid = 1 / (1 + np.exp(-np.linspace(0.0, 14.0, 57)))
    confident = np.unique(np.round(np.concatenate([reached - 1e-9, grid, [0.5, 1.0]]), 9))
    return [AdaptiveConsistency(float(c), cap, criterion, action) for c in confident if c >= 0.5 for cap in _caps(size)]


def _caps(size: int) -> list[int]:
    """Return two caps: all recorded samples, and half of them."""
    return sorted({max(1, size // 2), size})


def _windows(size: int, action: Action) -> list[Counting]:
    """All windows up to 10, with all caps that are a whole number of windows, and with all recorded samples."""
    found: list[Counting] = []
    for window in range(1, min(size, 10) + 1):
        caps = sorted({*range(window, size + 1, window), size})
        found += [ESC(window, cap, action) for cap in caps]
    return found


def _tests(size: int, action: Action) -> list[Counting]:
    """Bounds in multiples of the leader's step under H₁, so that they mean the same at every share."""
    found: list[Counting] = []
    for share in SHARES:
        up = np.log(2 * share)
        for accept in ACCEPT:
            for reject in REJECT:
                # A = accept·up and B = −reject·up, solved for the two errors.
                a, b = np.exp(accept * up), np.exp(-reject * up)
                alpha = (1 - b) / (a - b)
                found += [SPRT(share, float(alpha), float(b * (1 - alpha)), cap, action) for cap in _caps(size)]
    return found
