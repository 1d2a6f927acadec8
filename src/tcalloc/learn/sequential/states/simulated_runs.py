"""Many random orders of recorded samples, as the states that runs on them would pass through.

What to use when
----------------
`SimulatedRuns.walk`
    Returns the states for all numbers of samples from each model up to a cap, with the score and the cost there.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.replay.all_orders import arm_costs, random_orders
from tcalloc.learn.sequential.states.sample_features import Reading
from tcalloc.learn.sequential.states.state import Evidence
from tcalloc.measure.round_costs import RoundCosts
from tcalloc.measure.samples import Samples

__all__ = ["Drawn", "Node", "SimulatedRuns"]

Floats = NDArray[np.float64]
Drawn = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """The states after given numbers of samples of each model."""

    x: NDArray[np.float32] | None
    """(M, columns) the features that a rule sees (`Evidence.describe`); None if only counts were asked for."""
    score: NDArray[np.float32]
    """(M,) the accuracy of stopping here."""
    first: NDArray[np.uint16]
    """(M,) votes of the leading answer."""
    second: NDArray[np.uint16]
    """(M,) votes of the second answer."""
    done: NDArray[np.bool_]
    """(M,) whether the verifier accepted an answer, so that nothing is left to gain."""


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedRuns:
    """M = orders × N runs; the models are in the order of the draws."""

    nodes: dict[Drawn, Node]
    """The nodes by numbers of samples of each model, ascending, so that later nodes come later."""
    paid: list[Floats]
    """Per model, (cap + 1, M): the cost of its first samples."""
    rounds: tuple[RoundCosts, ...]
    """Per model, of the runs: what draws cost besides their samples."""
    size: NDArray[np.int64]
    """(arms, M) number of recorded samples."""
    caps: Drawn
    """The most samples of each model."""
    questions: int
    """N."""
    orders: int
    """Per question; run r·N + i is order r of question i."""

    def runs_of(self, questions: Any = None) -> NDArray[np.intp]:
        """Return the numbers of the runs of some questions, order by order; None: of all."""
        every = np.arange(self.questions)
        some = every if questions is None else every[questions]
        return (np.arange(self.orders)[:, None] * self.questions + some).ravel()

    @property
    def rounds_cost(self) -> bool:
        """Whether a draw costs anything besides its samples."""
        return any(rounds.any for rounds in self.rounds)

    def round_cost(self, at: Drawn, arm: int) -> Floats:
        """Return what a draw from a model costs besides its samples, after so many samples of each model, (M,)."""
        return self.rounds[arm].later if at[arm] else self.rounds[arm].first

    def cost(self, drawn: Drawn) -> Floats:
        """Return what the runs paid for so many samples, without what draws cost besides, (M,)."""
        return np.asarray(sum(paid[n] for paid, n in zip(self.paid, drawn, strict=True)))

    def there(self, drawn: Drawn) -> NDArray[np.bool_]:
        """Return which runs have `drawn` samples, (M,)."""
        return np.asarray((np.array(drawn)[:, None] <= self.size).all(axis=0))

    def with_predictions(self, predictions: Floats) -> "SimulatedRuns":
        """Return the same runs with other predictions of the questions, (N, T): the last columns of what is seen."""
        telling = np.tile(predictions, (self.orders, 1)).astype(np.float32)

        def seen(x: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
            return None if x is None else np.concatenate([x[:, : -telling.shape[1]], telling], axis=1)

        return replace(self, nodes={at: replace(node, x=seen(node.x)) for at, node in self.nodes.items()})

    @classmethod
    def walk(
        cls,
        samples: Samples,
        reading: Reading,
        predictions: Floats | None,
        caps: Drawn,
        *,
        combine: str = "vote",
        weighted: bool = False,
        orders: int = 8,
        seed: int = 0,
        counts_only: bool = False,
        columns: dict[str, NDArray[np.intp]] | None = None,
    ) -> "SimulatedRuns":
        """Return the states along random orders of each question's samples.

        Parameters
        ----------
        samples : Samples
            Recorded.
        reading : Reading
            The features of a sample, and the weight of its vote.
        predictions : ndarray, (N, T), optional
            The predictions for each question.
        caps : tuple of int
            The most samples of each model of `reading.arms`.
        combine : {"vote", "verifier", "score"}
            What determines the answer.
        weighted : bool
            Whether votes are weighted by `reading`.
        orders, seed : int
            As in `tcalloc.learn.replay.all_orders.random_orders`.
        counts_only : bool
            Whether to leave out the features.
        columns : mapping of str to ndarray, (orders, N, S), optional
            The orders themselves, per model, in place of `orders` and `seed`.
        """
        models = [samples.by_model[arm] for arm in reading.arms]
        costs = arm_costs(samples)
        if columns is not None:
            orders = len(next(iter(columns.values())))
        runs = len(samples) * orders
        drawn, paid, sizes, rounds = [], [], [], []
        for a, (arm, model, cap) in enumerate(zip(reading.arms, models, caps, strict=True)):
            order = (random_orders(model.drawn, orders, seed) if columns is None else columns[arm])[:, :, :cap]

            def along(values: NDArray[Any], order: NDArray[np.intp] = order) -> NDArray[Any]:
                taken = np.take_along_axis(values[None], order, axis=2)
                return np.moveaxis(taken, 2, 0).reshape(order.shape[2], runs)

            features = reading.of_samples(model, a)
            spread = np.zeros((order.shape[2], runs, len(reading.features)))
            for j in range(len(reading.features)):
                spread[..., j] = along(features[..., j])
            right = along(model.correct & model.drawn)
            names = along(model.answers).astype(np.int64) if model.answers is not None else np.where(right, 0, 1)
            scores = None if model.scores is None else along(np.asarray(model.scores, np.float64))
            drawn.append((reading.codes(names), spread, reading.weights(spread, a, weighted), right, scores, names))
            steps = np.zeros((cap + 1, runs))
            steps[1 : order.shape[2] + 1] = along(costs[arm])
            paid.append(np.cumsum(steps, axis=0))
            rounds.append(RoundCosts.of(model).take(np.tile(np.arange(len(samples)), orders)))
            sizes.append(np.tile(model.drawn.sum(axis=1), orders))
        telling = None if predictions is None else np.tile(predictions, (orders, 1))
        width = 1 + max(int(part[0].max(initial=0)) for part in drawn)
        start = Evidence(runs, len(models), len(reading.features), width, telling)
        reach = tuple(min(cap, len(part[0])) for cap, part in zip(caps, drawn, strict=True))
        found = {}
        for at, evidence in _visit(start, drawn, reach, combine):
            first, second = evidence.top_two()
            found[at] = Node(
                None if counts_only else evidence.describe().astype(np.float32),
                evidence.gold(combine).astype(np.float32),
                first.astype(np.uint16),
                second.astype(np.uint16),
                evidence.success.copy(),
            )
        nodes = {at: found[at] for at in product(*(range(cap + 1) for cap in reach))}
        return cls(nodes, paid, tuple(rounds), np.stack(sizes), reach, len(samples), orders)


def _visit(
    evidence: Evidence, drawn: list[Any], caps: Drawn, combine: str, arm: int = 0
) -> Iterator[tuple[Drawn, Evidence]]:
    """Go through all states, drawing from the models one after another: i samples of the first, and so on."""
    for n in range(caps[arm] + 1):
        if n:
            codes, features, weights, right, scores, names = drawn[arm]
            verdict = right[n - 1] if combine == "verifier" else None
            rated = scores[n - 1] if combine == "score" else None
            evidence.add(arm, codes[n - 1], features[n - 1], weights[n - 1], verdict, rated, names[n - 1])
        if arm + 1 < len(caps):
            yield from _visit(evidence.copy(), drawn, caps, combine, arm + 1)
        else:
            yield tuple(int(k) for k in evidence.n), evidence
