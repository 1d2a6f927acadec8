"""What is computed once and used by several contestants: remembered per process, never needed to be right."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

__all__ = ["once"]

Made = TypeVar("Made")

# The last few: what one fold of one comparison needs.
ROOM = 12
_KNOWN: OrderedDict[Hashable, Any] = OrderedDict()


def once(key: Hashable, make: Callable[[], Made]) -> Made:
    """Return what `make` returned for this key, or what it returns now.

    `make` must return the same for the same key in every process: then it does not matter who asks first.
    """
    if key in _KNOWN:
        _KNOWN.move_to_end(key)
    else:
        _KNOWN[key] = make()
        while len(_KNOWN) > ROOM:
            _KNOWN.popitem(last=False)
    return cast("Made", _KNOWN[key])
