"""Comparisons made by hand: `made` builds one whose figures follow from what each policy does on each question."""

from dataclasses import replace

import numpy as np

from bench.scoring import paired
from tcalloc.evaluate.comparison import Comparison
from tcalloc.evaluate.result import Standing
from tcalloc.evaluate.statistics import holm, two_sided

BUDGETS = (1.5, 2.0, 3.0, 4.0)
MIXTURE = "best fixed mixture"


def curve(spend, top=0.9, bottom=0.6, half=1.5):
    """Accuracy that rises from `bottom` at 1 towards `top`, half of the way for every `half` that is spent more."""
    return top - (top - bottom) * 0.5 ** ((np.asarray(spend, float) - 1) / half)


def doing(name, kind, rng, curves, *, budgets=BUDGETS, n=400, marks=(), claimed=None, refit=None, shared=None):
    """One policy: `curves(spend)` is its accuracy; questions differ from it by noise that `shared` adds to all."""
    spends = np.asarray(budgets, float)
    noise = 0.0 if shared is None else shared
    accuracy = curves(spends)[:, None] + noise + rng.normal(0, 0.02, (len(spends), n))
    accuracy -= (accuracy.mean(axis=1) - curves(spends))[:, None]
    grid = np.geomspace(1, 20, 32)
    half = 1.96 * accuracy.std() / np.sqrt(n)
    return {
        "name": name,
        "kind": kind,
        "marks": tuple(marks),
        "accuracy": accuracy.mean(axis=1),
        "spend": spends.copy(),
        "low": accuracy.mean(axis=1) - half,
        "high": accuracy.mean(axis=1) + half,
        "reached": np.ones(len(spends), bool),
        "claimed": np.full(len(spends), np.nan) if claimed is None else curves(spends) + claimed,
        "refit": np.full(len(spends), np.nan) if refit is None else np.full(len(spends), refit),
        "curve_spend": grid,
        "curve_accuracy": curves(grid),
        "curve_low": curves(grid) - half,
        "curve_high": curves(grid) + half,
        "question_spend": np.tile(spends[:, None], (1, n)),
        "question_accuracy": accuracy,
    }


def standing_of(parts, mixture):
    gaps = parts["question_accuracy"] - mixture["question_accuracy"]
    found = [paired(a, b) for a, b in zip(parts["question_accuracy"], mixture["question_accuracy"], strict=True)]
    gain = parts.pop("gain", np.array([one.mean for one in found]))
    ends = [one.low for one in found], [one.high for one in found]
    low, high = parts.pop("ends", ends)
    tested = parts["kind"] in ("policy", "own")
    p = parts.pop("p", two_sided(gaps) if tested else np.full(len(gaps), np.nan))
    captured = parts.pop("captured", np.full(len(gaps), np.nan))
    return Standing(gain=gain, gain_low=np.array(low), gain_high=np.array(high), p=p, captured=captured, **parts)


def made(policies=None, *, n=400, budgets=BUDGETS, names=None, seed=0, bounds=True, **changes):
    """A comparison of a stopping policy, a rival that is nearly as good, one without gain, and the baselines."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(0, 0.3, n)
    both = {"budgets": budgets, "n": n, "shared": shared}
    mixture = doing(MIXTURE, "baseline", rng, lambda s: curve(s, half=3.0), claimed=0.002, **both)
    if policies is None:
        policies = [
            ("Sequential", "policy", lambda s: curve(s, half=1.2), {"claimed": 0.004}),
            ("AC Beta", "policy", lambda s: curve(s, half=1.3), {"claimed": 0.03}),
            ("kNN", "policy", lambda s: curve(s, half=3.0) + 0.0004, {"marks": ("serves the mixture",)}),
        ]
    parts = [doing(name, kind, rng, f, **both, **more) for name, kind, f, more in policies]
    parts.append(mixture)
    if bounds:
        parts.append(doing("oracle, held out", "bound", rng, lambda s: curve(s, top=0.95, half=1.0), **both))
    standings = [standing_of(part, mixture) for part in parts]
    corrected = holm(np.concatenate([one.p for one in standings])).reshape(len(standings), -1)
    standings = [replaced(one, p=p) for one, p in zip(standings, corrected, strict=True)]
    votes = tuple(range(1, 21))
    fields = {
        "budgets": np.array(budgets, float),
        "standings": tuple(standings),
        "reference": MIXTURE,
        "skipped": {"difficulty label": "no difficulty labels were given (difficulty=…)"},
        "questions": n,
        "folds": 5,
        "repeats": 1,
        "seed": seed,
        "unit": "samples",
        "data": "samples",
        "verifier": False,
        "actions": tuple(f"vote{k}" for k in votes),
        "action_spend": np.array(votes, float),
        "action_accuracy": curve(votes, half=3.0),
        "votes": votes,
        "vote_accuracy": curve(votes, half=3.0),
        "difficulty": rng.integers(0, 3, n),
        "difficulty_names": ("easy", "medium", "hopeless"),
        "remarks": ("There are only few questions.",),
        "seconds": 12.0,
        "versions": {"Python": "3.11", "tcalloc": "0.1.0"},
    }
    return Comparison(**fields | changes)


def replaced(standing, **changes):
    """The same standing with other fields."""
    return replace(standing, **changes)


def spending(result, name, spend):
    """The same comparison, but one policy really spends so much at each budget, as if it could not reach it."""
    paid = np.asarray(spend, float)

    def change(one):
        if one.name != name:
            return one
        each = np.tile(paid[:, None], (1, one.question_spend.shape[1]))
        return replaced(one, spend=paid, reached=np.abs(paid - result.budgets) < 0.005, question_spend=each)

    return with_standings(result, change)


def with_standings(result, change):
    """The same comparison with each standing as `change(standing)` makes it."""
    return replace(result, standings=tuple(change(one) for one in result.standings))
