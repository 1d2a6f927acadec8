"""Replay: run a policy on recorded samples as if they were drawn now, and charge for each sample.

What to use when
----------------
`replay`
    Any policy, question by question: its spend, and how often its answer is right.
`Meter`
    One question's samples in one order, for a loop of your own.
`tcalloc.learn.replay.all_orders.Paths`
    Rules of counts, hundreds of them at once.

A policy sees what it paid for and nothing else, by construction. It gets the question and `Result` objects, never the
samples, the meter or a question's number. Answers get new names, in order of appearance, because the recorded code of
the gold answer is always 0. Results say whether a sample is right only if there is a verifier. The spend is what the
meter charged, whatever the run reports: samples without an answer, truncated ones, probes, and draws that a policy
ignores all count.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import flag, whole
from tcalloc._counts import counted
from tcalloc._printing import cleaned
from tcalloc._rates import Rates
from tcalloc.errors import InputError
from tcalloc.learn.protocol import Draw, Policy, Result, Run
from tcalloc.learn.replay.all_orders import arm_costs, random_orders, round_costs
from tcalloc.llm.confidence import Confidence
from tcalloc.measure.costs import answer_costs, lacking_tokens
from tcalloc.measure.round_costs import RoundCosts
from tcalloc.measure.samples import Samples

__all__ = ["Meter", "Outcome", "drive", "replay"]

Floats = NDArray[np.float64]
# What answers and draws of a model cost at some rates, and where that is known.
Priced: TypeAlias = tuple[Floats, RoundCosts, NDArray[np.bool_]]

# A run with this many draws counts as endless.
ENDLESS = 100_000


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Spend and accuracy of a policy: one entry per question, each the mean over the orders."""

    spend: Floats
    """(n,) what was charged."""
    accuracy: Floats
    """(n,) how often the answer was right."""
    rounds: Floats
    """(n,) number of rounds: in each, the run waits for its samples."""
    drawn: Floats
    """(n,) samples that were drawn."""
    vote_share: Floats
    """(n,) the share of votes that the run reported at its end."""

    @cleaned
    def __repr__(self) -> str:
        return (
            f"Outcome({counted(len(self.spend), 'question')}, accuracy {self.accuracy.mean():.4f}, spend "
            f"{self.spend.mean():.4g}, rounds {self.rounds.mean():.3g})"
        )


class Meter:
    """One question's recorded samples in one order; it charges for each.

    Parameters
    ----------
    samples : Samples
        Samples of one model or several.
    row : int
        The number of the question.
    order : mapping of str to ndarray, (S,)
        For each model (the empty name if there is one model): the columns of its samples, in the order of the draws.
    verifier : bool
        Whether results say if they are right.
    rated : bool
        Whether a draw is charged at its action's own rates, if it has rates; False: always the recorded cost.

    Examples
    --------
    >>> import numpy as np
    >>> from tcalloc.learn.protocol import Draw
    >>> from tcalloc.learn.replay.metered import Meter
    >>> from tcalloc.measure import Samples, Vote
    >>> meter = Meter(Samples([[3, 0, 3]], cost=[[1.0, 2.0, 4.0]]), 0, {"": np.array([0, 1, 2])})
    >>> [(result.answer, result.cost) for result in meter.pay(Draw(Vote(1), 2))]
    [(0, 1.0), (1, 2.0)]
    >>> meter.spend, meter.grade(0), meter.grade(1)
    (3.0, False, True)
    """

    def __init__(
        self,
        samples: Samples,
        row: int,
        order: dict[str, NDArray[np.intp]],
        *,
        verifier: bool = False,
        costs: dict[str, Floats] | None = None,
        rounds: dict[str, RoundCosts] | None = None,
        priced: dict[tuple[Rates, str], Priced] | None = None,
        rated: bool = True,
    ):
        self._arms = samples.by_model
        self._costs = arm_costs(samples) if costs is None else costs
        self._rounds = round_costs(samples) if rounds is None else rounds
        self._priced = {} if priced is None else priced
        self._asked = dict.fromkeys(self._arms, False)
        self._row, self._rated = row, rated
        self._order = {
            name: [column for column in order[name].tolist() if arm.drawn[row, column]]
            for name, arm in self._arms.items()
        }
        self._place = dict.fromkeys(self._arms, 0)
        self._names: dict[Any, int] = {}
        self._right: set[Hashable] = set()
        self._verifier = verifier
        self.spend = 0.0
        """The sum charged so far."""
        self.rounds = 0
        """Number of draws so far that brought a sample."""
        self.drawn = 0
        """Number of samples so far."""

    def pay(self, draw: Draw) -> list[Result]:
        """Return the results of a draw; fewer than asked for at the end of the record.

        Raises
        ------
        InputError
            If the draw asks for a model that was not recorded, or for less than one sample.
        """
        if not isinstance(draw, Draw):
            raise InputError(f"next() returned {draw!r}; expected tcalloc.Draw(action, n), or None to stop.")
        whole("Draw.n", draw.n, 1, of="samples", hint=". To stop, next() returns None")
        name = self._arm_of(draw.action.model)
        start = self._place[name]
        columns = self._order[name][start : start + int(draw.n)]
        self._place[name] = start + len(columns)
        costs = self._charge(draw.action.rates, name, columns)
        found = [self._result(name, column, cost) for column, cost in zip(columns, costs, strict=True)]
        self.spend += sum(result.cost for result in found)
        self.rounds += bool(found)  # at the end of the record nothing is waited for
        self.drawn += len(found)
        return found

    def grade(self, answer: Hashable | None) -> bool:
        """Return whether an answer that was handed out is right; an answer that never was is wrong."""
        return answer is not None and answer in self._right

    def _arm_of(self, model: str | None) -> str:
        if model is not None and model in self._arms:
            return model
        if len(self._arms) == 1 and (model is None or "" in self._arms):
            return next(iter(self._arms))
        raise InputError(
            f"the policy draws from the model {model!r}; recorded are {', '.join(map(repr, self._arms))}. "
            "Fit it on samples of the same models, or give the arms the same names."
        )

    def _charge(self, rates: Rates | None, name: str, columns: list[int]) -> list[float]:
        """Return what each sample of a draw costs; the first one pays for the draw."""
        each = False
        if rates is None or not self._rated:
            sampled, rounds = self._costs[name][self._row], self._rounds[name]
        else:
            if (rates, name) not in self._priced:
                self._priced[rates, name] = self._by_rates(rates, name)
            answers, rounds, known = self._priced[rates, name]
            sampled, each = np.where(known, answers, np.nan)[self._row], not rates.prompt_once
        costs = [float(sampled[column]) for column in columns]
        for j in range(len(columns) if each else min(1, len(columns))):
            costs[j] += float((rounds.later if self._asked[name] else rounds.first)[self._row])
            self._asked[name] = True
        if not np.isfinite(costs).all():
            raise InputError(
                f"tokens of {name or 'the model'} are unknown (NaN) at question {self._row}: no rate can be charged."
            )
        return costs

    def _by_rates(self, rates: Rates, name: str) -> Priced:
        """Return what answers and draws of a model cost at some rates, and where that is known."""
        arm = self._arms[name]
        lacking = lacking_tokens(rates, arm.tokens)
        if arm.tokens is None or lacking:
            raise InputError(
                f"the policy draws from {name or 'the model'} at rates, but its {' and '.join(lacking)} tokens were "
                "not recorded. Give tokens={'input': …, 'output': …}, or leave the rates out."
            )
        prompts = np.isfinite(arm.tokens.get("input", np.zeros(arm.drawn.shape)))
        return (
            answer_costs(rates, arm.tokens, arm.drawn),
            RoundCosts.by_rates(rates, arm.tokens, arm.drawn),
            prompts | (rates.most_per_input_token == 0),
        )

    def _result(self, name: str, column: int, cost: float) -> Result:
        arm, row = self._arms[name], self._row
        right = bool(arm.correct[row, column])
        if arm.answers is None:
            answer: int | None = len(self._names)  # right and wrong alone do not show which samples agree
            self._names[name, column] = len(self._names)
        else:
            code = int(arm.answers[row, column])
            answer = None if code < 0 else self._names.setdefault(code, len(self._names))
        if right:
            self._right.add(answer)
        tokens = None if arm.tokens is None else _known(arm.tokens.get("output"), row, column)
        return Result(
            answer,
            cost,
            right if self._verifier else None,
            _known(arm.scores, row, column),
            _known(arm.logprobs, row, column),
            None if tokens is None else int(tokens),
            confidence=_sure(arm.confidence, row, column),
        )


def _known(values: Floats | None, row: int, column: int) -> float | None:
    return None if values is None or np.isnan(values[row, column]) else float(values[row, column])


def _sure(values: dict[str, Floats] | None, row: int, column: int) -> Confidence | None:
    found = [_known((values or {}).get(name), row, column) for name in Confidence._fields]
    mean, tail, lowest = (np.nan if value is None else value for value in found)
    return None if all(value is None for value in found) else Confidence(mean, tail, lowest)


def drive(run: Run, meter: Meter) -> Run:
    """Let a run draw from a meter until the run ends.

    Raises
    ------
    InputError
        If the run never ends, although no samples are left.
    """
    for _ in range(ENDLESS):
        draw = run.next()
        if draw is None:
            return run
        run.add(meter.pay(draw))
    raise InputError(
        f"the policy asked {ENDLESS} times without ending. Its next() must return None once add() got nothing."
    )


def replay(
    policy: Policy,
    samples: Samples,
    X: Any = None,
    *,
    rows: Any = None,
    orders: int = 1,
    random_state: int = 0,
    verifier: bool = False,
    rated: bool = True,
) -> Outcome:
    """Run a policy on recorded samples, in random orders, and charge for each sample it draws.

    Parameters
    ----------
    policy : Policy
        Anything with ``start(x)``.
    samples : Samples
        Samples of one model or several, for the same questions as X.
    X : sequence, array or frame, optional
        What the policy sees of each question; None: the question's id (or number) as a text.
    rows : array_like, optional
        Only these questions (indices or a mask).
    orders : int
        Number of random orders of each question's samples; the outcome is the mean over them.
    random_state : int
        Seed of the orders. A question's orders depend neither on `rows` nor on the policy, so comparisons are paired.
    verifier : bool
        Whether results say if they are right, as with a verifier that recognises right answers live. If only right and
        wrong were recorded, each sample is an answer of its own, because it is not known which samples agree.
    rated : bool
        Whether draws are charged at their actions' own rates, if they have rates; False: always the recorded cost,
        whatever the policy says.

    Returns
    -------
    Outcome

    Raises
    ------
    InputError
        If an argument is not allowed, X and samples differ in length, or the policy asks for a sample that was not
        recorded.

    Examples
    --------
    >>> from tcalloc.learn.replay.metered import replay
    >>> from tcalloc.learn.rivals import FixedK
    >>> from tcalloc.measure import Samples
    >>> replay(FixedK(3), Samples([[0, 0, 1], [1, 0, 1]]))
    Outcome(2 questions, accuracy 0.5000, spend 3, rounds 1)
    """
    if not callable(getattr(policy, "start", None)):
        raise InputError(f"policy is {type(policy).__name__}; expected a policy, which has start(x).")
    if not isinstance(samples, Samples):
        raise InputError(f"samples is {type(samples).__name__}; expected Samples (see tcalloc.measure).")
    for name, value, least in (("orders", orders, 1), ("random_state", random_state, 0)):
        whole(name, value, least)
    flag("verifier", verifier)
    row_of = _row_getter(samples, X)
    arms = samples.by_model
    picked = _picked(rows, len(samples))
    ordered = {name: random_orders(arm.drawn, int(orders), random_state) for name, arm in arms.items()}
    costs, rounds = arm_costs(samples), round_costs(samples)
    priced: dict[tuple[Rates, str], Priced] = {}
    found = np.zeros((5, len(picked)))
    for p, row in enumerate(picked.tolist()):
        for r in range(int(orders)):
            meter = Meter(
                samples,
                row,
                {name: order[r, row] for name, order in ordered.items()},
                verifier=verifier,
                costs=costs,
                rounds=rounds,
                priced=priced,
                rated=rated,
            )
            run = drive(policy.start(row_of(row)), meter)
            found[:, p] += meter.spend, meter.grade(run.answer), meter.rounds, meter.drawn, run.vote_share
    return Outcome(*(found / orders))


def _picked(rows: Any, n: int) -> NDArray[np.intp]:
    try:
        found = np.atleast_1d(np.arange(n)[slice(None) if rows is None else rows])
    except IndexError:
        found = np.zeros((0, 0), np.intp)
    if found.ndim != 1:
        raise InputError(
            f"rows is {repr(rows)[:60]}; expected numbers of questions, up to {n - 1}, or a mask of {n} truth values."
        )
    return np.asarray(found, np.intp)


def _row_getter(samples: Samples, X: Any) -> Any:
    """Return a function from a question's number to what the policy sees of it."""
    n = len(samples)
    if X is None:
        names = [str(i) for i in range(n)] if samples.ids is None else [str(i) for i in samples.ids]
        return names.__getitem__
    if isinstance(X, (str, bytes)) or not hasattr(X, "__len__"):
        raise InputError(f"X is {repr(X)[:60]}; expected a sequence, an array or a frame with one row per question.")
    if len(X) != n:
        raise InputError(
            f"X has {counted(len(X), 'row')}, but samples has {counted(n, 'question')}; expected the same questions "
            "in one order."
        )
    if hasattr(X, "iloc"):
        return lambda row: X.iloc[row]
    return lambda row: X[row]
