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
    """Compute, print and plot: what ``tcalloc demo`` does; return what JSON prints, the fields of `Figures`.

    What can be printed is printed before the plot is tried. `splits` and `learn` are those of `figures`; `in_detail`
    says whether all figures are printed. Progress is shown on standard error unless another stream is given for it.
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
