"""Stopping while sampling: draw until another sample is no longer worth its price.

What to use when
----------------
`Sequential`
    The policy: fit it on recorded samples, then ``start(question)`` for each live one.
`Chances`
    The course of a vote, and the rules that backward induction makes of it: for study, or where the truth is known.
"""

from tcalloc.learn.sequential.policy import Sequential, StoppingFrontier
from tcalloc.learn.sequential.rules.exact_votes import Chances, Rules

__all__ = ["Chances", "Rules", "Sequential", "StoppingFrontier"]
