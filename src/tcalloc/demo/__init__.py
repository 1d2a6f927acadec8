"""The demonstration on a recorded table, ``tcalloc demo``.

`figures` computes, `introduction`, `show` and `details` put it in words, `draw` plots.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from tcalloc.datasets import load_recorded
from tcalloc.demo.drawing import draw, write
from tcalloc.demo.experiment import SPLITS, Figures, figures
from tcalloc.demo.progress import Progress
from tcalloc.demo.words import details, introduction, show

__all__ = ["Figures", "details", "draw", "figures", "introduction", "run", "show"]


def run(
    plot_path: "str | Path | None" = "tcalloc-demo.png",
    splits: int = SPLITS,
    as_json: bool = False,
    learn: bool = True,
    in_detail: bool = False,
    progress: bool | None = None,
    out: TextIO | None = None,
    err: TextIO | None = None,
) -> dict[str, Any]:
    """Compute, print and plot: what ``tcalloc demo`` does.

    Parameters
    ----------
    plot_path : str or Path, optional
        Where the plot goes; None for no plot. What can be printed is printed before the plot is tried.
    splits : int
        Random splits of the samples into halves, from a fixed seed.
    as_json : bool
        Print JSON instead of text.
    learn : bool
        Whether to learn policies too, which takes most of the time.
    in_detail : bool
        Whether to print all figures, not only those that matter most.
    progress : bool
        Whether to show on standard error how far it is; if not given, where `err` is not given.
    out, err : text streams, optional
        Standard output (the figures) and standard error (where the plot went), if not given.

    Returns
    -------
    dict
        What JSON prints: the fields of `Figures`.

    Raises
    ------
    MissingExtraError
        If a plot is asked for and Matplotlib is not installed.
    InputError
        If `splits` is not a positive whole number, or the plot cannot be written.
    """
    shown = err is None if progress is None else progress
    out, err = out or sys.stdout, err or sys.stderr
    recorded = load_recorded()
    if not as_json:
        print(introduction(recorded), end="\n\n", file=out, flush=True)
    result = figures(recorded, splits=splits, learn=learn, progress=Progress(err if shown else None))
    fields = asdict(result)
    if as_json:
        text = json.dumps(fields, indent=2, allow_nan=False)
    else:
        text = "\n\n".join([details(result), show(result)] if in_detail else [show(result)])
    print(text, file=out, flush=True)
    if plot_path is not None:
        write(result, plot_path)
        print(f"plot written to {plot_path}", file=err)
    return fields
