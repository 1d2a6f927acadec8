"""What a user holds after `compare`: figures that print, draw and report themselves, and recommend a policy."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tcalloc._printing import cleaned
from tcalloc.evaluate.conclusions.next_step import Source
from tcalloc.evaluate.conclusions.recommend import Recommendation, recommend
from tcalloc.evaluate.plots import plot
from tcalloc.evaluate.printed_table import table
from tcalloc.evaluate.result import ComparisonFigures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Comparison"]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Comparison(ComparisonFigures):
    """Policies side by side on the same questions, held out, at the same spends."""

    @cleaned
    def __str__(self) -> str:
        return table(self)

    @cleaned
    def __repr__(self) -> str:
        took = [standing.kind != "bound" for standing in self.standings].count(True)
        spends = ", ".join(f"{budget:.4g}" for budget in self.budgets[:6]) + (", ..." if len(self.budgets) > 6 else "")
        return f"Comparison({self.questions:,} questions, {took} policies at spends {spends}; print it for the table)"

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw accuracy over spend with bands; needs the extra ``plot``.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, optional
            Where to draw; a new figure if not given.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        MissingExtraError
            If Matplotlib is not installed.
        """
        return plot(self, ax)

    def report(self, path: str | Path, source: Source | str = "run/") -> None:
        """Write one HTML page that needs nothing else; needs the extra ``plot``.

        Parameters
        ----------
        path : path
            Where; an existing file is replaced.
        source : Source or str
            Where the data came from, such as the name of the run folder; for the command that fits the policy.

        Raises
        ------
        MissingExtraError
            If Matplotlib or Jinja2 is not installed.
        """
        from tcalloc.evaluate.report import write_report  # needs the extra ``plot``

        write_report(self, path, source)

    def recommend(self) -> "Recommendation":
        """Return which policy to use, how sure that is, and what would settle it.

        Returns
        -------
        Recommendation
        """
        return recommend(self)
