"""The spends and accuracies that a `Sequential` policy offers.

What to use when
----------------
`StoppingFrontier`
    The figures of a fitted policy; `tcalloc.learn.sequential.crossfit` computes them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tcalloc._counts import counted
from tcalloc._printing import cleaned

__all__ = ["StoppingFrontier"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StoppingFrontier:
    """Accuracy at each spend; every figure is from questions that chose neither rule nor mixture."""

    spend: Floats
    """(B,) mean cost of a question."""
    accuracy: Floats
    """(B,) held-out accuracy. It need not rise, because it is measured on questions that did not choose."""
    rounds: Floats
    """(B,) mean number of rounds; a round draws one or more samples at once."""
    family: tuple[str, ...]
    """(B,) the rules that the policy uses."""

    def __len__(self) -> int:
        return len(self.spend)

    @cleaned
    def __repr__(self) -> str:
        picked = np.unique(np.linspace(0, len(self) - 1, 9).round().astype(int))
        lines = [
            f"StoppingFrontier({counted(len(self), 'budget')}, held out)",
            f"{'spend':>10} {'accuracy':>9} {'rounds':>7}  rules",
        ]
        lines += [
            f"{self.spend[b]:10.4g} {self.accuracy[b]:9.4f} {self.rounds[b]:7.2f}  {self.family[b]}" for b in picked
        ]
        return "\n".join(lines)
