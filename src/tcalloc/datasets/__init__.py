"""Recorded tables that ship with the package, and small example files made from them."""

from tcalloc.datasets.example import ExampleFile, write_example
from tcalloc.datasets.recorded import Recorded, load_recorded

__all__ = ["ExampleFile", "Recorded", "load_recorded", "write_example"]
