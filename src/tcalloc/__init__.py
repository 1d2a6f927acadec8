"""Adaptive test-time compute: which questions deserve more of it, and which can be answered cheaply.

``solve(acc, cost, budget)`` chooses one action per instance: the highest expected accuracy at an average budget,
exactly, with its upper bound. ``frontier`` answers for every budget at once, ``decide`` for one row at a price.

`Samples` makes tables from recorded answers. `PricedPolicy` and `Imitator` learn to decide from a question's text,
`Sequential` while its samples come in (extra ``learn``); `answer` does what a policy says, live (extra ``llm``).
"""

from typing import TYPE_CHECKING

from tcalloc import datasets
from tcalloc._frontier import Frontier, frontier
from tcalloc._lazy import lazily
from tcalloc._solve import Allocation, Split, decide, solve
from tcalloc._version import __version__
from tcalloc.errors import BudgetError, InputError, MissingExtraError, TcallocError
from tcalloc.measure import Action, Best, One, Rates, Samples, Table, Vote, load_table, save_table

if TYPE_CHECKING:
    from tcalloc.evaluate.compare import compare
    from tcalloc.evaluate.fit import fit
    from tcalloc.importing.import_logs import import_logs
    from tcalloc.learn.features import Features
    from tcalloc.learn.protocol import Draw, Policy, Result, Run
    from tcalloc.learn.routing.imitator import Imitator
    from tcalloc.learn.routing.priced import PricedPolicy
    from tcalloc.learn.saving.policy_folder import load_policy
    from tcalloc.learn.sequential import Sequential
    from tcalloc.llm.client import ChatClient
    from tcalloc.llm.parameters import Parameters
    from tcalloc.llm.regrading import grade
    from tcalloc.llm.sampler import sample
    from tcalloc.serve.answer import answer, answer_async

__all__ = [
    "Action",
    "Allocation",
    "Best",
    "BudgetError",
    "ChatClient",
    "Draw",
    "Features",
    "Frontier",
    "Imitator",
    "InputError",
    "MissingExtraError",
    "One",
    "Parameters",
    "Policy",
    "PricedPolicy",
    "Rates",
    "Result",
    "Run",
    "Samples",
    "Sequential",
    "Split",
    "Table",
    "TcallocError",
    "Vote",
    "__version__",
    "answer",
    "answer_async",
    "compare",
    "datasets",
    "decide",
    "fit",
    "frontier",
    "grade",
    "import_logs",
    "load_policy",
    "load_table",
    "sample",
    "save_table",
    "solve",
]

# Imported when they are asked for: most need an extra, and then say which one is missing.
_LAZY = {
    "ChatClient": "tcalloc.llm.client",
    "Draw": "tcalloc.learn.protocol",
    "Features": "tcalloc.learn.features",
    "Imitator": "tcalloc.learn.routing.imitator",
    "Parameters": "tcalloc.llm.parameters",
    "Policy": "tcalloc.learn.protocol",
    "PricedPolicy": "tcalloc.learn.routing.priced",
    "Result": "tcalloc.learn.protocol",
    "Run": "tcalloc.learn.protocol",
    "Sequential": "tcalloc.learn.sequential",
    "answer": "tcalloc.serve.answer",
    "answer_async": "tcalloc.serve.answer",
    "compare": "tcalloc.evaluate.compare",
    "fit": "tcalloc.evaluate.fit",
    "grade": "tcalloc.llm.regrading",
    "import_logs": "tcalloc.importing.import_logs",
    "load_policy": "tcalloc.learn.saving.policy_folder",
    "sample": "tcalloc.llm.sampler",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__, __all__, _LAZY)
