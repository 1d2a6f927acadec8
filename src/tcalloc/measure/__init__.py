"""From samples to tables: unbiased estimates of what an action would have reached, and the tables' files."""

from tcalloc._rates import Rates
from tcalloc.measure.actions import Action, Best, One, Vote
from tcalloc.measure.claims import Claim
from tcalloc.measure.samples import Samples
from tcalloc.measure.table import Table, load_table, save_table
from tcalloc.measure.votes import vote_accuracy

__all__ = [
    "Action",
    "Best",
    "Claim",
    "One",
    "Rates",
    "Samples",
    "Table",
    "Vote",
    "load_table",
    "save_table",
    "vote_accuracy",
]
