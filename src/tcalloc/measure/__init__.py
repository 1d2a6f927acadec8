"""From samples to tables: unbiased estimates of what an action would have reached, and the tables' files."""

from tcalloc.measure.table import Table, read_table, write_table
from tcalloc.measure.votes import vote_accuracy

__all__ = ["Table", "read_table", "vote_accuracy", "write_table"]
