"""From samples to tables: unbiased estimates of what an action would have reached, and the tables' files."""

from typing import TYPE_CHECKING

from tcalloc._lazy import lazily

if TYPE_CHECKING:
    from tcalloc._rates import Rates
    from tcalloc.measure.actions import Action, Best, One, Vote
    from tcalloc.measure.claims import Claim
    from tcalloc.measure.samples import Samples
    from tcalloc.measure.table import Table
    from tcalloc.measure.table_files.load_and_save import load_table, save_table
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

# Imported when they are first used: whoever needs an action needs neither samples nor tables.
_LAZY = {
    "Action": "tcalloc.measure.actions",
    "Best": "tcalloc.measure.actions",
    "Claim": "tcalloc.measure.claims",
    "One": "tcalloc.measure.actions",
    "Rates": "tcalloc._rates",
    "Samples": "tcalloc.measure.samples",
    "Table": "tcalloc.measure.table",
    "Vote": "tcalloc.measure.actions",
    "load_table": "tcalloc.measure.table_files.load_and_save",
    "save_table": "tcalloc.measure.table_files.load_and_save",
    "vote_accuracy": "tcalloc.measure.votes",
}

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazily(__name__, _LAZY)
