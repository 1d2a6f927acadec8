"""Plots of the study: spending over the stream, for the keeper and the rules beside it."""

from pathlib import Path

from matplotlib.figure import Figure

__all__ = ["draw"]

SHOWN = {"keeper": "#1257a8", "re-solve alone": "#2a9d5c", "dual steps 0.001": "#e6961e", "PI": "#8a3fd1",
         "ParetoBandit": "#d0243c", "frozen price": "#888888"}  # fmt: skip


def draw(rows: list[dict], picture: Path) -> None:
    """Draw spending minus even spending over each stream, in percent of the budget."""
    streams = list(dict.fromkeys(row["stream"] for row in rows))
    columns = 3
    lines = -(-len(streams) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.6 * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False)
    for ax in axes.ravel()[len(streams) :]:
        ax.set_visible(False)
    for ax, stream in zip(axes.ravel(), streams, strict=False):
        for rule, color in SHOWN.items():
            row = next((row for row in rows if row["stream"] == stream and row["rule"] == rule), None)
            if row is not None:
                places = [i / len(row["path"]) for i in range(len(row["path"]))]
                ahead = [100 * (spent - place) for place, spent in zip(places, row["path"], strict=True)]
                ax.plot([*places, 1.0], [*ahead, 100 * (row["spend"] - 1.0)], color=color, label=rule,
                        lw=2.0 if rule == "keeper" else 1.0)  # fmt: skip
        ax.set_title(stream, loc="left", fontsize=9)
        ax.axhline(0.0, color="0.8", lw=0.8, zorder=0)
        ax.set_ylim(-12, 12)
    axes[0, 0].legend(frameon=False, fontsize=7, ncols=2)
    figure.supxlabel("share of the stream")
    figure.supylabel("spent ahead of even spending, percent of the budget")
    figure.savefig(picture, dpi=80)
