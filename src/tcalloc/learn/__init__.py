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

from tcalloc._lazy import lazily

if TYPE_CHECKING:
    from tcalloc.learn.features import Features
    from tcalloc.learn.rivals import TunedRule
    from tcalloc.learn.routing.baselines import Fixed, LengthHeuristic, Mixture, Oracle, Random
    from tcalloc.learn.routing.by_category import ByCategory
    from tcalloc.learn.routing.fixed_choice import FixedChoice
    from tcalloc.learn.routing.imitator import Imitator
    from tcalloc.learn.routing.priced import PricedPolicy
    from tcalloc.learn.saving.policy_folder import load_policy
    from tcalloc.learn.sequential import Sequential

__all__ = [
    "ByCategory",
    "Features",
    "Fixed",
    "FixedChoice",
    "Imitator",
    "LengthHeuristic",
    "Mixture",
    "Oracle",
    "PricedPolicy",
    "Random",
    "Sequential",
    "TunedRule",
    "load_policy",
]

# Imported when they are first used: the protocol and the stopping rules need no scikit-learn.
_LAZY = {
    "ByCategory": "tcalloc.learn.routing.by_category",
    "Features": "tcalloc.learn.features",
    "Fixed": "tcalloc.learn.routing.baselines",
    "FixedChoice": "tcalloc.learn.routing.fixed_choice",
    "Imitator": "tcalloc.learn.routing.imitator",
    "LengthHeuristic": "tcalloc.learn.routing.baselines",
    "Mixture": "tcalloc.learn.routing.baselines",
    "Oracle": "tcalloc.learn.routing.baselines",
    "PricedPolicy": "tcalloc.learn.routing.priced",
    "Random": "tcalloc.learn.routing.baselines",
    "Sequential": "tcalloc.learn.sequential",
    "TunedRule": "tcalloc.learn.rivals",
    "load_policy": "tcalloc.learn.saving.policy_folder",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__, _LAZY)
