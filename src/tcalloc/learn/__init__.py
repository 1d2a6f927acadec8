"""Policies: what decides on a new question, from cheap features or while its samples come in (extra ``learn``).

What to use when
----------------
`PricedPolicy`
    Decide beforehand, by a question's text, category or numbers; with ``probe=m`` after m paid samples. The default.
`Sequential`
    Decide after each sample whether another is worth its cost. Needs nothing but samples.
`Imitator`
    What the paper does: a classifier of the oracle's actions. To compare with.
`ByCategory`
    Decide by a category that is known beforehand, such as a difficulty label.
`TunedRule`
    A rule of stopping from the papers, tuned on recorded samples: Adaptive-Consistency, ESC, SPRT, margin + cap.
`Fixed`, `FixedChoice`, `Mixture`, `Random`, `LengthHeuristic`, `Oracle`
    What a policy has to beat, and what it cannot reach.
`tcalloc.learn.registry`
    All policies by the names that `compare` prints and ``tcalloc fit --policy`` takes.
`tcalloc.learn.rivals`
    The single rules of the papers.
`load_policy`
    Read what ``policy.save(folder)`` wrote.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tcalloc.learn.features import Features as Features
    from tcalloc.learn.rivals import TunedRule as TunedRule
    from tcalloc.learn.routing.baselines import Fixed as Fixed
    from tcalloc.learn.routing.baselines import LengthHeuristic as LengthHeuristic
    from tcalloc.learn.routing.baselines import Mixture as Mixture
    from tcalloc.learn.routing.baselines import Oracle as Oracle
    from tcalloc.learn.routing.baselines import Random as Random
    from tcalloc.learn.routing.by_category import ByCategory as ByCategory
    from tcalloc.learn.routing.fixed_choice import FixedChoice as FixedChoice
    from tcalloc.learn.routing.imitator import Imitator as Imitator
    from tcalloc.learn.routing.priced import PricedPolicy as PricedPolicy
    from tcalloc.learn.saving.policy_folder import load_policy as load_policy
    from tcalloc.learn.sequential import Sequential as Sequential

# Imported when they are asked for: the protocol and the stopping rules need no scikit-learn.
_LAZY = {
    "ByCategory": "routing.by_category",
    "Features": "features",
    "Fixed": "routing.baselines",
    "FixedChoice": "routing.fixed_choice",
    "Imitator": "routing.imitator",
    "LengthHeuristic": "routing.baselines",
    "Mixture": "routing.baselines",
    "Oracle": "routing.baselines",
    "PricedPolicy": "routing.priced",
    "Random": "routing.baselines",
    "Sequential": "sequential",
    "TunedRule": "rivals",
    "load_policy": "saving.policy_folder",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'tcalloc.learn' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"tcalloc.learn.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_LAZY]
