"""What actions cost: expected, from the samples that were drawn.

A sample that is not yet drawn has no token count, so a question's own counts are not known when a policy decides. The
default is therefore one cost per action, the mean over questions (each question counts alike, however many samples it
has). Where hard questions have long answers, a choice that gives them more samples then spends more than planned: the
note says how far a question's costs are from the mean. ``cost_per="question"`` plans with each question's own mean,
shrunk towards the common mean by its reliability, since a cheap question may just have been lucky.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tcalloc._rates import Rates
from tcalloc.errors import InputError
from tcalloc.measure.actions import Action
from tcalloc.measure.round_costs import RoundCosts
from tcalloc.measure.sample_arrays import SampleArrays

__all__ = ["answer_costs", "cost_columns", "lacking_tokens"]

Floats = NDArray[np.float64]


def cost_columns(
    samples: SampleArrays, actions: tuple[Action, ...], arms: list[str], cost_per: str
) -> tuple[Floats, list[str]]:
    """Return the actions' costs, (K,) if `cost_per` is "action" and (N, K) if it is "question", and what to say."""
    columns, spread = [], 0.0
    for a, (action, name) in enumerate(zip(actions, arms, strict=True)):
        arm = samples.by_model[name]
        if action.rates is not None:
            once, each = _by_rates(arm, action, f"actions[{a}] ({action.name})")
        else:
            once, each = RoundCosts.of(arm).first, _recorded(arm)
        own = once + action.samples * each
        known = np.isfinite(own)
        mean = float(own[known].mean())
        if known.any() and mean > 0:
            spread = max(spread, float(own[known].std()) / mean)
        columns.append(np.full(len(arm), mean) if cost_per == "action" else np.where(known, own, mean))
    table = np.column_stack(columns)
    notes = []
    units = {_unit(samples.by_model[arm], action) for arm, action in zip(arms, actions, strict=True)}
    if len(units) > 1:
        raise InputError(
            f"costs are in different units: {', '.join(sorted(units))}. Give every model a cost, or every action rates."
        )
    if cost_per == "action":
        table = table[0]
        if spread > 0.05:
            notes.append(
                f"costs are means over questions, what is known beforehand; questions differ by {spread:.0%} (standard "
                "deviation). cost_per='question' plans with each question's own."
            )
    return np.ascontiguousarray(table), notes


def _unit(arm: SampleArrays, action: Action) -> str:
    if action.rates is not None:
        return "rates"
    return "samples" if arm.cost is None else "recorded cost"


def _recorded(arm: SampleArrays) -> Floats:
    """Return each question's expected cost of a sample; NaN where none is known."""
    if arm.cost is None:
        return np.ones(len(arm))
    if arm.cost.ndim < 2:
        return np.broadcast_to(arm.cost, (len(arm),)).astype(np.float64)
    return _shrunk_mean(np.where(arm.drawn, arm.cost, np.nan))


def _by_rates(arm: SampleArrays, action: Action, where: str) -> tuple[Floats, Floats]:
    """Return what is paid once per question, and what per sample."""
    rates, tokens = action.rates, arm.tokens
    assert rates is not None
    lacking = lacking_tokens(rates, tokens)
    if tokens is None or lacking:
        raise InputError(
            f"{where} has rates, but its tokens were not all recorded. Give tokens={{'input': …, 'output': …}}."
        )
    answer = _shrunk_mean(np.where(arm.drawn, answer_costs(rates, tokens, arm.drawn), np.nan))
    rounds = RoundCosts.by_rates(rates, tokens, arm.drawn)
    # A sample of its own request pays the first price or a later one.
    return (rounds.first, answer) if rates.prompt_once else (rounds.first - rounds.later, rounds.later + answer)


def lacking_tokens(rates: Rates, tokens: Mapping[str, Floats] | None) -> list[str]:
    """Return the kinds of tokens that have a price and were not recorded."""
    needed = {"input": rates.most_per_input_token, "output": rates.most_per_output_token}
    return [kind for kind, rate in needed.items() if rate > 0 and (tokens is None or kind not in tokens)]


def answer_costs(rates: Rates, tokens: Mapping[str, Floats], drawn: NDArray[np.bool_]) -> Floats:
    """Return what each recorded answer costs at some rates, its request aside, (N, S)."""
    nothing = np.zeros(drawn.shape)
    return rates.answer_cost(tokens.get("output", nothing), np.nan_to_num(tokens.get("reasoning", nothing)))


def _means(values: Floats) -> Floats:
    there = np.isfinite(values)
    size = there.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(size > 0, np.where(there, values, 0.0).sum(axis=1) / size, np.nan))


def _shrunk_mean(values: Floats) -> Floats:
    """Return each row's mean, drawn towards all rows' by its reliability (analysis of variance); NaN rows stay."""
    there = np.isfinite(values)
    size = there.sum(axis=1)
    mean = _means(values)
    known = size > 0
    if not known.any():
        raise InputError("no cost (or token count) is known of any sample.")
    centre = float(mean[known].mean())
    several = size > 1
    if several.any():
        around = np.where(there, values - mean[:, None], 0.0)
        within = float(((around**2).sum(axis=1)[several] / (size[several] - 1)).mean())
        noise = within / np.maximum(size, 1)
        between = max(float(((mean[known] - centre) ** 2).mean()) - float(noise[known].mean()), 0.0)
        with np.errstate(invalid="ignore"):
            weight = np.where(between + noise > 0, between / np.where(between + noise > 0, between + noise, 1.0), 1.0)
    else:
        weight = np.full(len(mean), 0.5)
    return np.asarray(centre + weight * (mean - centre))
