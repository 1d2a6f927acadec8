"""A lock that one process holds and the kernel drops when it dies."""

import os
import sys
from typing import BinaryIO

from tcalloc._files import open_regular

__all__ = ["lock_file"]


def lock_file(path: str) -> BinaryIO | None:
    """Open a file and lock it until it is closed; None if another holds it."""
    file = open_regular(path, os.O_RDWR | os.O_CREAT, follow=False)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
