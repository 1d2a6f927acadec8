"""Stopping rules from other papers: what a policy of this package has to beat.

What to use when
----------------
`FixedK`, `SuccessStop`
    The same number of samples for every question; the same with a stop at the first sample that a verifier accepts.
`AdaptiveConsistency`
    Aggarwal et al. 2023: the majority is stable (Beta or Dirichlet criterion).
`ESC`
    Li et al. 2024: a window of equal answers.
`SPRT`
    Lee et al. 2025 (ConSol): a sequential test between the two leading answers.
`MarginCap`
    The leader is m votes ahead, or the cap is reached.
`TunedRule`
    Any of these rules as a policy for a budget: tuned on recorded samples, with two settings mixed.
`families`
    All rules at all settings worth trying, so that none is judged at a badly chosen setting.

All are policies of the one protocol (`start`). All are also rules of vote counts, which
`tcalloc.learn.replay.all_orders.Paths` replays all at once.
"""

from tcalloc.learn.rivals.adaptive_consistency import AdaptiveConsistency
from tcalloc.learn.rivals.counting import Counting, CountingRun
from tcalloc.learn.rivals.esc import ESC
from tcalloc.learn.rivals.fixed import FixedK, SuccessStop
from tcalloc.learn.rivals.margin import MarginCap
from tcalloc.learn.rivals.settings import families
from tcalloc.learn.rivals.sprt import SPRT
from tcalloc.learn.rivals.tuned import TunedRule

__all__ = [
    "ESC",
    "SPRT",
    "AdaptiveConsistency",
    "Counting",
    "CountingRun",
    "FixedK",
    "MarginCap",
    "SuccessStop",
    "TunedRule",
    "families",
]
