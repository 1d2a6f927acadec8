"""Every request that a run folder paid for, also those whose replies were lost: ``requests.jsonl``.

A request is noted before it is sent. It is crossed out when its samples are stored, or when the server refused it
without a bill. What is not crossed out may have been paid: the reply was lost, or the process was killed. The next call
on the folder counts that.
"""

import errno
import json
import math
import os
import threading
from dataclasses import dataclass
from typing import Any

from tcalloc._files import lines_of, naming, open_regular, replacing, strict_json

__all__ = ["JUDGE", "NAME", "Journal", "Lost"]

NAME = "requests.jsonl"
# What the arm of a judge begins with: its verdicts have a budget of their own.
JUDGE = "judge:"


@dataclass(frozen=True, slots=True)
class Lost:
    """A request that may have been paid and brought nothing."""

    arm: str
    """Whom it went to."""
    n: int
    """Samples that it asked for."""
    most: float
    """The most that it can have cost by the client's rates; 0 without rates."""
    cut: bool = False
    """Whether its samples were cut off since they were not needed any more; `most` is then what was billed of them."""


class Journal:
    """The requests of a run folder; only the process that holds the folder's lock may have one. Threads share it.

    Parameters
    ----------
    folder : str
        The run folder. What an earlier process left is read, and rewritten without what is crossed out.

    Attributes
    ----------
    lost : list of Lost
        What earlier processes may have paid for nothing.
    """

    def __init__(self, folder: str):
        self._path = os.path.join(folder, NAME)
        self._guard = threading.Lock()
        self._next = 0
        self.lost: list[Lost] = []
        if os.path.lexists(self._path):
            self.lost = list(_open_ones(self._path).values())
            with replacing(self._path) as file:
                for one in self.lost:
                    file.write(self._line(one))
        with open_regular(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, follow=False) as opened:
            self._file = os.dup(opened.fileno())

    def lost_cost(self, *, judges: bool = False) -> float:
        """Return what lost replies of earlier processes may have cost at most: of judges, or of all other models."""
        return math.fsum(one.most for one in self.lost if one.arm.startswith(JUDGE) == judges and not one.cut)

    def cut_cost(self) -> float:
        """Return what was billed of samples that earlier processes cut off."""
        return math.fsum(one.most for one in self.lost if one.cut)

    def sent(self, request: Lost) -> int:
        """Note a request before it is sent; return its number."""
        with self._guard:
            number = self._next
            self._write(self._line(request))
            return number

    def ended(self, number: int) -> None:
        """Cross a request out: its samples are stored, or nothing was billed."""
        with self._guard:
            if self._file >= 0:  # a call that was given up may end after its folder was closed
                self._write(b'{"ended": %d}\n' % number)

    def close(self) -> None:
        """Let go of the file; more than once does no harm."""
        with self._guard:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _write(self, line: bytes) -> None:
        with naming(self._path):
            if os.write(self._file, line) < len(line):
                raise OSError(errno.ENOSPC, "only half of a line could be written")

    def _line(self, request: Lost) -> bytes:
        row: dict[str, Any] = {"request": self._next, "arm": request.arm, "n": request.n, "most": request.most}
        if request.cut:
            row["cut"] = True
        self._next += 1
        return json.dumps(row).encode() + b"\n"


def _open_ones(path: str) -> dict[int, Lost]:
    """Return the requests that were not crossed out; lines that are damaged are passed over."""
    found: dict[int, Lost] = {}
    for line in lines_of(path):
        try:
            row: Any = strict_json(line)
            if "ended" in row:
                found.pop(int(row["ended"]), None)
            else:
                one = Lost(str(row["arm"]), int(row["n"]), float(row["most"]), row.get("cut") is True)
                if one.most >= 0 and 0 < one.n <= 1 << 20:
                    found[int(row["request"])] = one
        except (ValueError, TypeError, KeyError, OverflowError):
            continue
    return found
