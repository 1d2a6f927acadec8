"""Figures of a long benchmark, kept piece by piece: one that was interrupted goes on where it ended."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["kept"]


def kept(folder: Path | None, name: str, make: Callable[[], Any]) -> Any:
    """Return a piece's figures, from the folder if they are there; otherwise make and store them.

    Parameters
    ----------
    folder : Path or None
        Where figures are kept, a file for each piece; None: they are not.
    name : str
        What the piece is called: other settings, another name.
    make : callable
        Returns what JSON can hold.
    """
    if folder is None:
        return make()
    path = folder / ("".join(c if c.isalnum() else "_" for c in name) + ".json")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(make(), indent=1), encoding="utf-8")
        part.replace(path)
    return json.loads(path.read_text(encoding="utf-8"))
