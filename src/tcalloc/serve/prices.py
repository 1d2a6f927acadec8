"""The cost of samples of each model: as given, else as seen so far."""

import math
from collections.abc import Mapping
from typing import Any

from tcalloc.errors import InputError

__all__ = ["FEW", "MARGIN", "Prices"]

# Standard errors of what first samples of unknown price may cost more than those before them.
MARGIN = 3.0
# Tries after which the highest cost and the share of lost replies are fair guesses.
FEW = 16


class Prices:
    """The cost of a sample of each model: as given, or as seen so far.

    Parameters
    ----------
    known : mapping of str to float
        Costs by model or action, which hold whatever a reply says.
    usual : float or None
        The cost of a sample of any other model before one was seen; None: not known.
    trained : mapping of str to float
        The cost of samples in training; only the ratios count, for models that were not seen yet.
    """

    def __init__(self, known: Mapping[str, float], usual: float | None, trained: Mapping[str, float]):
        for model, cost in known.items():
            if not (isinstance(cost, (int, float)) and math.isfinite(cost) and cost >= 0):
                raise InputError(f"costs[{model!r}] is {cost!r}; expected what one sample costs, at least 0.")
        self._known, self._usual, self._trained = dict(known), usual, dict(trained)
        self._seen: dict[str, tuple[float, float, int, float]] = {}  # sum, sum of squares, number, highest
        self._further: dict[str, tuple[float, float]] = {}  # sum and highest cost of further samples of a request

    @property
    def least(self) -> float:
        """The least that a sample is known to cost."""
        return min(self._known.values(), default=self._usual or 0.0)

    @property
    def means(self) -> dict[str, float]:
        """The mean cost of a sample of each model so far."""
        return {model: total / n for model, (total, _, n, _) in self._seen.items()}

    def cost(self, model: str, record: Mapping[str, Any]) -> float:
        """Return the cost of a sample, in the policy's unit."""
        if model in self._known:
            return float(self._known[model])
        cost = record.get("cost")
        return 1.0 if cost is None else float(cost)

    def learn(self, model: str, cost: float, further: float | None = None) -> None:
        """Record the cost of a sample.

        Parameters
        ----------
        model : str
            Its model.
        cost : float
            Its cost, in a request of its own.
        further : float, optional
            Its cost in a request that brings another sample, too; default: the same.
        """
        added, most = self._further.get(model, (0.0, 0.0))
        extra = cost if further is None else further
        self._further[model] = added + extra, max(most, extra)
        total, squares, n, highest = self._seen.get(model, (0.0, 0.0, 0, 0.0))
        self._seen[model] = total + cost, squares + cost * cost, n + 1, max(highest, cost)

    def unit(self, model: str) -> tuple[float, float] | None:
        """Return the mean cost of a sample, and the highest cost seen so far; None if nothing is known."""
        if model in self._known:
            return self._known[model], self._known[model]
        if model in self._seen:
            total, _, n, highest = self._seen[model]
            return min(total / n, highest), highest
        return None if self._usual is None else (self._usual, self._usual)

    def draw(self, model: str, n: int, requests: int = 1) -> tuple[float, float] | None:
        """Return the mean cost of n samples by so many requests, and the highest so far; None if nothing is known."""
        unit = self.unit(model)
        if unit is None or model in self._known or model not in self._seen:
            return None if unit is None else (n * unit[0], n * unit[1])
        added, most = self._further[model]
        mean = min(added / self._seen[model][2], most)
        return requests * unit[0] + (n - requests) * mean, requests * unit[1] + (n - requests) * most

    def fixed(self, model: str) -> bool:
        """Return whether all samples of a model cost the same, whatever their replies say."""
        return model in self._known

    def few(self, model: str) -> bool:
        """Return whether costs vary, as far as is known, and too few samples were seen to say how much."""
        return model not in self._known and model in self._seen and self._seen[model][2] < FEW

    def kept(self, model: str, waiting: int) -> float:
        """Return the amount to keep for each of `waiting` samples of a model; 0 if nothing is known."""
        unit = self.unit(model)
        if unit is None:
            ratios = [
                mean * (self._trained[model] / self._trained[seen] if self._both(model, seen) else 1.0)
                for seen, mean in self.means.items()
            ]
            return min(ratios, default=0.0)
        if model in self._known or model not in self._seen:
            return unit[0]
        total, squares, n, _ = self._seen[model]
        spread = math.sqrt(max(squares / n - (total / n) ** 2, 0.0))
        return min(unit[1], unit[0] + MARGIN * spread / math.sqrt(max(waiting, 1)))

    def lost(self, model: str, most: float, n: int = 1) -> float:
        """Return the cost of a lost reply of n samples: the highest so far, else the highest possible bill."""
        draw = self.draw(model, n)
        return most if draw is None else draw[1]

    def _both(self, model: str, seen: str) -> bool:
        return self._trained.get(model, 0.0) > 0 and self._trained.get(seen, 0.0) > 0
