"""Adaptive test-time compute: which questions deserve more of it, and which can be answered cheaply.

``solve(acc, cost, budget)`` chooses one action per instance: the highest expected accuracy at an average budget,
exactly, with its upper bound. ``frontier`` answers for every budget at once, ``decide`` for one row at a price.
"""

from tcalloc import datasets
from tcalloc._version import __version__
from tcalloc.errors import BudgetError, InputError, MissingExtraError, TcallocError
from tcalloc.frontier import Frontier, frontier
from tcalloc.measure import Action, Best, First, Rates, Samples, Table, Vote, read_table, write_table
from tcalloc.solve import Allocation, Split, decide, solve

__all__ = [
    "Action",
    "Allocation",
    "Best",
    "BudgetError",
    "First",
    "Frontier",
    "InputError",
    "MissingExtraError",
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
