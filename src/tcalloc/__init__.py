"""Adaptive test-time compute: which questions deserve more of it, and which can be answered cheaply.

``solve(acc, cost, budget)`` chooses one action per instance: the highest expected accuracy at an average budget,
exactly, with its upper bound. ``frontier`` answers for every budget at once, ``decide`` for one row at a price.

`Samples` makes tables from recorded answers. `PricedPolicy` and `Imitator` learn to decide from a question's text,
`Sequential` while its samples come in (extra ``learn``); `answer` does what a policy says, live (extra ``llm``).
"""

from typing import TYPE_CHECKING

from tcalloc import datasets
from tcalloc._frontier import Frontier, frontier
from tcalloc._solve import Allocation, Split, decide, solve
from tcalloc._version import __version__
from tcalloc.errors import BudgetError, InputError, MissingExtraError, TcallocError
from tcalloc.measure import Action, Best, One, Rates, Samples, Table, Vote, read_table, write_table

if TYPE_CHECKING:
    from tcalloc.evaluate.compare import compare as compare
    from tcalloc.evaluate.fit import fit as fit
    from tcalloc.learn.features import Features as Features
    from tcalloc.learn.protocol import Draw as Draw
    from tcalloc.learn.protocol import Result as Result
    from tcalloc.learn.routing.imitator import Imitator as Imitator
    from tcalloc.learn.routing.priced import PricedPolicy as PricedPolicy
    from tcalloc.learn.saving.policy_folder import load_policy as load_policy
    from tcalloc.learn.sequential import Sequential as Sequential
    from tcalloc.serve.answer import answer as answer
    from tcalloc.serve.answer import answer_async as answer_async

__all__ = [
    "Action",
    "Allocation",
    "Best",
    "BudgetError",
    "Frontier",
    "InputError",
    "MissingExtraError",
    "One",
    "Rates",
    "Samples",
    "Split",
    "Table",
    "TcallocError",
    "Vote",
    "__version__",
    "datasets",
    "decide",
    "frontier",
    "read_table",
    "solve",
    "write_table",
]

# Where the names are that need an extra: they are imported when they are asked for, and then say what is missing.
_LAZY = {
    "Draw": "tcalloc.learn.protocol",
    "Features": "tcalloc.learn.features",
    "Imitator": "tcalloc.learn.routing.imitator",
    "PricedPolicy": "tcalloc.learn.routing.priced",
    "Result": "tcalloc.learn.protocol",
    "Sequential": "tcalloc.learn.sequential",
    "answer": "tcalloc.serve.answer",
    "answer_async": "tcalloc.serve.answer",
    "grade": "tcalloc.llm.regrading",
    "compare": "tcalloc.evaluate.compare",
    "fit": "tcalloc.evaluate.fit",
    "load_policy": "tcalloc.learn.saving.policy_folder",
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'tcalloc' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return [*__all__, *_LAZY]
