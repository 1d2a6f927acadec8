"""The kernels in use: the compiled ones, or their readable NumPy twins if TCALLOC_KERNEL=reference."""

import os
from types import ModuleType

from tcalloc.errors import InputError

__all__ = ["kernel", "stopping_kernel", "votes_kernel"]


def _choose(name: str) -> tuple[ModuleType, ModuleType, ModuleType]:
    if name == "reference":
        from tcalloc import _reference, _reference_stopping, _reference_votes

        return _reference, _reference_votes, _reference_stopping
    if name in ("", "compiled"):
        try:
            import tcalloc._oracle as compiled
            import tcalloc._stopping as stopping
            import tcalloc._votes as votes
        except ImportError as error:
            raise ImportError(
                f"The compiled kernels of tcalloc cannot be imported: {error}. Reinstall tcalloc, or set "
                "TCALLOC_KERNEL=reference to run their slow NumPy twins."
            ) from error

        return compiled, votes, stopping
    raise InputError(f"TCALLOC_KERNEL is {name!r}: allowed are 'compiled' (the default) and 'reference'")


kernel, votes_kernel, stopping_kernel = _choose(os.environ.get("TCALLOC_KERNEL", ""))
