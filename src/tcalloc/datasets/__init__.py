"""Recorded tables that ship with the package, and small example files made from them."""

from tcalloc.datasets.example import ExampleFile, write_example
from tcalloc.datasets.recorded import Recorded, load_recorded
from tcalloc.datasets.worked_steps import WorkedSteps, load_worked_steps

__all__ = ["ExampleFile", "Recorded", "WorkedSteps", "load_recorded", "load_worked_steps", "write_example"]
