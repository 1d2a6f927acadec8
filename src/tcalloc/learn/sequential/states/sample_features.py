"""Features of a sample (length, log-probability, score, confidence), and the weight of its vote.

What to use when
----------------
`Reading.fit`
    Learns means and spreads per model, and the weights, from recorded samples.
`Reading.of_samples`, `Reading.of_result`
    The features and weights of recorded samples, and of one live result: the same numbers.
`without_score`
    Returns the samples that have an answer but no score.
`Reading.codes`
    The answers as a rule may see them: answers that never differed in training are not distinguished later either.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcalloc.learn.protocol import Result
from tcalloc.learn.replay.all_orders import random_orders
from tcalloc.learn.sequential.states.state import heaviest
from tcalloc.llm.confidence import Confidence
from tcalloc.measure.samples import Samples

__all__ = ["FEATURES", "TELLS", "Reading", "without_score"]

Floats = NDArray[np.float64]

FEATURES = ("length", "logprob", "logprob per token", "score", "confidence", "tail confidence", "lowest confidence")
# What recorded answers show: which one it is, only whether there is one, or nothing.
TELLS = ("which", "whether", "nothing")
CLIP = 4.0
# A vote weighs at most this many times the usual weight.
HEAVIEST = 20.0
# Votes do not multiply as odds do, so the log weights are scaled: the best factor for votes of up to this many samples.
TEMPERS = (0.25, 0.5, 0.75, 1.0)
MOST_VOTES, ORDERS = 6, 8
# Weights are used if their gain over equal weights is at least this many standard errors.
GATE = 1.0
# Weight, in questions, of the assumption that all votes weigh the same.
PENALTY = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How to compute features and weights of samples."""

    arms: tuple[str, ...]
    """The models, in the order of the columns."""
    features: tuple[str, ...]
    """Which of `FEATURES` were recorded."""
    centre: Floats
    """(arms, features)."""
    scale: Floats
    """(arms, features) 1/spread; 0 where nothing varies."""
    tilt: Floats
    """(arms, features + 1) of a vote's log weight: per feature, and the model's own."""
    tells: str = "which"
    """One of `TELLS`."""
    unscored: bool = False
    """Whether an answer may lack a score if scores decide, because some recorded answers did."""

    @classmethod
    def fit(cls, samples: Samples, arms: tuple[str, ...], *, combine: str = "vote") -> "Reading":
        """Learn from recorded samples.

        A vote's log weight is linear in the features of a sample. The coefficients compare the samples of one question
        with each other, because long answers may come from hard questions and still be the right ones there. They
        are from a logistic regression of being right on the features less their question's mean, offset by the
        question's own rate.
        """
        models = samples.by_model
        raw = [_raw(models[arm]) for arm in arms]
        kept = tuple(name for j, name in enumerate(FEATURES) if any(np.isfinite(part[..., j]).any() for part in raw))
        columns = [FEATURES.index(name) for name in kept]
        centre, scale = np.zeros((len(arms), len(kept))), np.zeros((len(arms), len(kept)))
        for a, part in enumerate(raw):
            for j, column in enumerate(columns):
                values = part[..., column][models[arms[a]].drawn]
                values = values[np.isfinite(values)]
                if len(values):
                    spread = float(values.std())
                    centre[a, j] = values.mean()
                    scale[a, j] = 1.0 / spread if spread > 1e-9 * max(1.0, abs(float(centre[a, j]))) else 0.0
        recorded = [models[arm] for arm in arms]
        unscored = combine == "score" and any(without_score(model).any() for model in recorded)
        tilt = np.zeros((len(arms), len(kept) + 1))
        made = cls(arms, kept, centre, scale, tilt, _tells(recorded, combine), unscored)
        if all(models[arm].answers is not None for arm in arms):
            read = [made._scaled(part[..., columns], a) for a, part in enumerate(raw)]
            tilt = _tilt(read, recorded)
            made.tilt[:] = tilt * _temper(read, recorded, tilt)
        return made

    def _scaled(self, raw: Floats, arm: int) -> Floats:
        values: Floats = (raw - self.centre[arm]) * self.scale[arm]
        return np.asarray(np.clip(np.where(np.isfinite(values), values, 0.0), -CLIP, CLIP))

    def of_samples(self, samples: Samples, arm: int) -> Floats:
        """Return the features of one model's samples, (N, S, features); 0 (the mean) if nothing was recorded."""
        columns = [FEATURES.index(name) for name in self.features]
        return self._scaled(_raw(samples)[..., columns], arm)

    def of_result(self, result: Result, arm: int) -> Floats:
        """Return the features of one result, (features,)."""
        length = np.nan if result.tokens is None else float(result.tokens)
        logprob = np.nan if result.logprob is None else float(result.logprob)
        score = np.nan if result.score is None else float(result.score)
        sure = (np.nan,) * 3 if result.confidence is None else result.confidence
        raw = _stack(*(np.array([value], np.float64) for value in (length, logprob, score, *sure)))[0]
        return self._scaled(raw[[FEATURES.index(name) for name in self.features]], arm)

    def weights(self, features: Floats, arm: int, weighted: bool = True) -> Floats:
        """Return the weights of votes, from features (…, features); 1 if all votes count alike."""
        if not weighted:
            return np.ones(features.shape[:-1])
        return np.asarray(np.exp(_log_weights(features, self.tilt[arm])))

    def codes(self, answers: NDArray[Any]) -> NDArray[np.int64]:
        """Return answers as rules distinguish them: answers that never differed in training are one."""
        if self.tells == "which":
            return np.asarray(answers, np.int64)
        return np.where(answers < 0, -1, 0) if self.tells == "whether" else np.zeros(answers.shape, np.int64)


def without_score(samples: Samples) -> NDArray[np.bool_]:
    """Return which samples of one model have an answer but no finite score, (N, S)."""
    answered = samples.drawn if samples.answers is None else samples.drawn & (samples.answers >= 0)
    return answered if samples.scores is None else answered & ~np.isfinite(samples.scores)


def _tells(models: list[Samples], combine: str) -> str:
    """Return what answers show in the states in which a rule has to decide.

    With a verifier these are the states without a success, so only wrong answers count.
    """
    if combine == "vote":
        return "which"
    if any(model.answers is None for model in models):
        return "nothing"
    codes = np.concatenate([model.answers for model in models], axis=1)
    seen = np.concatenate([model.drawn for model in models], axis=1) & ((codes != 0) | (combine == "score"))
    answered = seen & (codes >= 0)
    most = np.where(answered, codes, -1).max(axis=1)
    least = np.where(answered, codes, most[:, None]).min(axis=1)
    if (least < most).any():
        return "which"
    return "whether" if answered.any() and (seen & (codes < 0)).any() else "nothing"


def _raw(samples: Samples) -> Floats:
    """Return (N, S, len(FEATURES)) as recorded; NaN if a value was not recorded."""
    nothing = np.full(samples.drawn.shape, np.nan)
    tokens: Mapping[str, Any] = samples.tokens or {}
    scores = nothing if samples.scores is None else np.asarray(samples.scores, np.float64)
    logprobs = nothing if samples.logprobs is None else np.asarray(samples.logprobs, np.float64)
    sure = [np.asarray((samples.confidence or {}).get(name, nothing), np.float64) for name in Confidence._fields]
    return _stack(np.asarray(tokens.get("output", nothing), np.float64), logprobs, scores, *sure)


def _stack(length: Floats, logprob: Floats, score: Floats, *confidence: Floats) -> Floats:
    longer = np.maximum(np.floor(length), 1.0)  # whole tokens, which is what a live result has
    return np.stack([np.log(longer), logprob, logprob / longer, score, *confidence], axis=-1)


def _log_weights(features: Floats, tilt: Floats) -> Floats:
    """Return the log weights of votes by the features of their samples and a model's coefficients."""
    bound = np.log(HEAVIEST)
    return np.asarray(np.clip(features @ tilt[:-1] + tilt[-1], -bound, bound))


def _tilt(features: list[Floats], models: list[Samples]) -> Floats:
    """Return the coefficients of a vote's log weight, (arms, features + 1)."""
    arms, width = len(models), features[0].shape[-1]
    blocks, rights, drawns = [], [], []
    for a, (part, model) in enumerate(zip(features, models, strict=True)):
        block = np.zeros((*part.shape[:2], arms, width + 1))
        block[:, :, a, :width] = part
        block[:, :, a, width] = 1.0
        blocks.append(block.reshape(*part.shape[:2], -1))
        rights.append(model.correct & model.drawn)
        drawns.append(model.drawn)
    x, right, drawn = np.concatenate(blocks, 1), np.concatenate(rights, 1), np.concatenate(drawns, 1)
    count = np.maximum(drawn.sum(axis=1), 1)
    rate = right.sum(axis=1) / count
    mixed = (rate > 0) & (rate < 1)
    if not mixed.any():
        return np.zeros((arms, width + 1))
    x = (x - (x * drawn[:, :, None]).sum(axis=1, keepdims=True) / count[:, None, None])[mixed][drawn[mixed]]
    y = right[mixed][drawn[mixed]].astype(np.float64)
    offset = np.broadcast_to(np.log(rate[mixed] / (1 - rate[mixed]))[:, None], drawn[mixed].shape)[drawn[mixed]]
    # All samples of a question repeat it, so each question has the same weight in all.
    weight = np.broadcast_to((1.0 / count[mixed])[:, None], drawn[mixed].shape)[drawn[mixed]] * 4.0
    beta = np.zeros(x.shape[1])
    for _ in range(30):
        chance = 1.0 / (1.0 + np.exp(-np.clip(x @ beta + offset, -30, 30)))
        slope = x.T @ (weight * (y - chance)) - PENALTY * beta
        curve = (x * (weight * chance * (1 - chance))[:, None]).T @ x + PENALTY * np.eye(len(beta))
        step = np.linalg.solve(curve, slope)
        beta += step
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(beta.reshape(arms, width + 1))


def _temper(features: list[Floats], models: list[Samples], tilt: Floats) -> float:
    """Return the factor of the log weights under which votes are right most often; 0 if none helps."""
    log_weight = np.concatenate([_log_weights(part, tilt[a]) for a, part in enumerate(features)], axis=1)
    if not log_weight.any():
        return 0.0
    codes = np.concatenate([np.where(model.drawn, model.answers, -1) for model in models], axis=1).astype(np.int64)
    drawn = np.concatenate([model.drawn for model in models], axis=1)
    scores = np.zeros((1 + len(TEMPERS), len(codes)))
    most = min(MOST_VOTES, codes.shape[1])
    for order in random_orders(drawn, ORDERS, 0)[:, :, :most]:
        seq, logs = np.take_along_axis(codes, order, 1), np.take_along_axis(log_weight, order, 1)
        same = (seq[:, :, None] == seq[:, None, :]) & (seq >= 0)[:, :, None]
        for t, temper in enumerate((0.0, *TEMPERS)):
            weight = np.exp(temper * logs)
            for n in range(2, most + 1):
                # The weight of each sample's answer; the vote is right if the heaviest is, ties split evenly.
                total = (same[:, :n, :n] * weight[:, None, :n]).sum(axis=2)
                # One answer, counted once.
                share = (heaviest(total) & (seq[:, :n] >= 0)) / np.maximum(same[:, :n, :n].sum(axis=2), 1)
                scores[t] += (share * (seq[:, :n] == 0)).sum(axis=1) / np.maximum(share.sum(axis=1), 1e-9)
    gain = (scores[1:] - scores[0]) / (ORDERS * max(most - 1, 1))
    best = int(gain.mean(axis=1).argmax())
    error = float(gain[best].std(ddof=1)) / np.sqrt(len(codes)) if len(codes) > 1 else np.inf
    return TEMPERS[best] if gain[best].mean() > GATE * error else 0.0
