"""Which kernel runs: the compiled one, or its readable NumPy twin if TCALLOC_KERNEL=reference."""

import os
from types import ModuleType

from tcalloc.errors import InputError

__all__ = ["kernel"]


def _choose(name: str) -> ModuleType:
    if name == "reference":
        from tcalloc import _reference

        return _reference
    if name in ("", "compiled"):
        import tcalloc._oracle as compiled

        return compiled
    raise InputError(f"TCALLOC_KERNEL is {name!r}: allowed are 'compiled' (the default) and 'reference'")


kernel = _choose(os.environ.get("TCALLOC_KERNEL", ""))
