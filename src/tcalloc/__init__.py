"""Adaptive test-time compute: which questions deserve more of it, and which can be answered cheaply.

``solve(acc, cost, budget)`` chooses one action per instance: the highest expected accuracy at an average budget,
exactly, with its upper bound. ``frontier`` answers for every budget at once, ``decide`` for one row at a price.

`Samples` makes tables from recorded answers. `PricedPolicy` and `Imitator` learn to decide from a question's text, and
`Sequential` while samples come in (extra ``learn``). `answer` carries out a policy's decisions live (extra ``llm``).
"""

from typing import TYPE_CHECKING

from tcalloc._lazy import lazily
from tcalloc._version import __version__

if TYPE_CHECKING:
    from tcalloc import datasets, errors, learn, measure
    from tcalloc._frontier import Frontier, frontier
    from tcalloc._rates import Rates
    from tcalloc._solve import Allocation, Split, decide, solve
    from tcalloc.errors import BudgetError, InputError, MissingExtraError, TcallocError
    from tcalloc.evaluate.compare import compare
    from tcalloc.evaluate.fit import fit
    from tcalloc.evaluate.refit import refit
    from tcalloc.importing.import_logs import import_logs
    from tcalloc.importing.lm_eval import from_lm_eval
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
    from tcalloc.measure.actions import Action, Best, One, Vote
    from tcalloc.measure.samples import Samples
    from tcalloc.measure.table import Table
    from tcalloc.measure.table_files.load_and_save import load_table, save_table
    from tcalloc.serve.answer import answer, answer_async
    from tcalloc.serve.keeper.budget_keeper import BudgetKeeper
    from tcalloc.serve.wrapping.wrap import wrap

__all__ = [
    "Action",
    "Allocation",
    "Best",
    "BudgetError",
    "BudgetKeeper",
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
    "errors",
    "fit",
    "from_lm_eval",
    "frontier",
    "grade",
    "import_logs",
    "learn",
    "load_policy",
    "load_table",
    "measure",
    "refit",
    "sample",
    "save_table",
    "solve",
    "wrap",
]

# Imported when they are first used: `import tcalloc` is quick, and a name whose extra is missing says so.
_LAZY = {
    "Action": "tcalloc.measure.actions",
    "Allocation": "tcalloc._solve",
    "Best": "tcalloc.measure.actions",
    "BudgetError": "tcalloc.errors",
    "BudgetKeeper": "tcalloc.serve.keeper.budget_keeper",
    "ChatClient": "tcalloc.llm.client",
    "Draw": "tcalloc.learn.protocol",
    "Features": "tcalloc.learn.features",
    "Frontier": "tcalloc._frontier",
    "Imitator": "tcalloc.learn.routing.imitator",
    "InputError": "tcalloc.errors",
    "MissingExtraError": "tcalloc.errors",
    "One": "tcalloc.measure.actions",
    "Parameters": "tcalloc.llm.parameters",
    "Policy": "tcalloc.learn.protocol",
    "PricedPolicy": "tcalloc.learn.routing.priced",
    "Rates": "tcalloc._rates",
    "Result": "tcalloc.learn.protocol",
    "Run": "tcalloc.learn.protocol",
    "Samples": "tcalloc.measure.samples",
    "Sequential": "tcalloc.learn.sequential",
    "Split": "tcalloc._solve",
    "Table": "tcalloc.measure.table",
    "TcallocError": "tcalloc.errors",
    "Vote": "tcalloc.measure.actions",
    "answer": "tcalloc.serve.answer",
    "answer_async": "tcalloc.serve.answer",
    "compare": "tcalloc.evaluate.compare",
    "datasets": "tcalloc.datasets",
    "decide": "tcalloc._solve",
    "errors": "tcalloc.errors",
    "fit": "tcalloc.evaluate.fit",
    "from_lm_eval": "tcalloc.importing.lm_eval",
    "frontier": "tcalloc._frontier",
    "grade": "tcalloc.llm.regrading",
    "import_logs": "tcalloc.importing.import_logs",
    "learn": "tcalloc.learn",
    "load_policy": "tcalloc.learn.saving.policy_folder",
    "load_table": "tcalloc.measure.table_files.load_and_save",
    "measure": "tcalloc.measure",
    "refit": "tcalloc.evaluate.refit",
    "sample": "tcalloc.llm.sampler",
    "save_table": "tcalloc.measure.table_files.load_and_save",
    "solve": "tcalloc._solve",
    "wrap": "tcalloc.serve.wrapping.wrap",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__, _LAZY)
