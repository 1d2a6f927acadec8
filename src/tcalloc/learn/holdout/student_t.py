"""Student's t, which intervals of policies use too."""

from tcalloc._student import LEVEL, beyond, quantile

__all__ = ["LEVEL", "beyond", "quantile"]
