"""What `tcalloc.refit` reports: the new policy beside the one that is served, and whether to swap them."""

import os
import textwrap
from dataclasses import dataclass, field, fields
from typing import Any

from tcalloc import _amounts
from tcalloc._counts import counted
from tcalloc._printing import cleaned, text_table
from tcalloc.evaluate.phrases import interval, percent, points
from tcalloc.evaluate.result import plain
from tcalloc.measure.labels import Labels

__all__ = ["WORST", "Refit"]

# A policy may replace another if its gain is above this with 95 % confidence: it loses less than half a point.
WORST = -0.005
WIDTH = 98


@dataclass(frozen=True, slots=True, eq=False, repr=False, kw_only=True)
class Refit:
    """A new policy, and what it gains over the one that is served.

    Attributes
    ----------
    policy : policy
        Fitted on all explored requests.
    kind : str
        Its name in `tcalloc.learn.registry`.
    requests, compared : int
        Explored requests that it learned from, and those on which both policies are compared.
    budget : float
        Mean cost per request that the new policy may spend.
    same_spend : bool
        Whether both are compared at the same spend; otherwise each at its own, as with a budget, or where the new one
        never spends as much.
    spend, agreement : float
        What the new policy does, held out: mean cost per request, and how often it gives the answer of the reference.
    served_spend, served_agreement : float
        The same for the policy that is served.
    gain, low, high : float
        The difference in agreement with its 95 % interval, paired by request.
    needed : int or None
        About how many requests would show that the gain is above -0.5 points, if it is what it seems to be; None: this
        cannot be shown, or not with 100 times as many requests.
    labels : Labels
        What agreement is measured with.
    notes : tuple of str
        What was left out, and what the figures do not show.
    """

    policy: Any
    kind: str
    requests: int
    compared: int
    budget: float
    same_spend: bool
    spend: float
    agreement: float
    served_spend: float
    served_agreement: float
    gain: float
    low: float
    high: float
    needed: int | None
    labels: Labels
    notes: tuple[str, ...] = field(default=())

    @property
    def swap(self) -> bool:
        """Whether the new policy should be served: its gain is above -0.5 points with 95 % confidence."""
        return self.low > WORST

    @property
    def because(self) -> str:
        """Why, as one sentence."""
        low = f"the gain is at least {points(self.low)} points with 95 % confidence"
        if self.swap:
            return f"{low}, above {points(WORST)}."
        said = f"{low}; it must be above {points(WORST)}."
        if self.needed is None:
            return said
        return f"{said} About {self.needed:,} explored requests would show it, if the gain is {points(self.gain)}."

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Store the new policy in a folder, which `tcalloc.load_policy` reads.

        Parameters
        ----------
        folder : path
            A policy that is there is replaced.
        """
        self.policy.save(folder)

    @cleaned
    def text(self, *, traffic: str = "", out: str = "", unit: str | None = None) -> str:
        """Return the report as ``tcalloc refit`` prints it.

        Parameters
        ----------
        traffic, out : str
            The folder of the samples and that of the policy, if the text should name them.
        unit : str, optional
            What costs are counted in, such as "usd".
        """
        rows = [
            (name, _amounts.amount(spend, unit, 4), percent(agreement))
            for name, spend, agreement in (
                ("served", self.served_spend, self.served_agreement),
                ("new", self.spend, self.agreement),
            )
        ]
        head = f"{traffic}: " if traffic else ""
        compared = ""
        if self.compared != self.requests:
            compared = f", compared on the {self.compared:,} that the served one has not seen"
        how = "at the same spend" if self.same_spend else "each at its own spend"
        gain = f"gain: {points(self.gain)} points {interval(self.low, self.high)}"
        new = f"{out}: " if out else ""
        swap = f"swap: {'yes' if self.swap else 'no'}, because {self.because}"
        return "\n\n".join(
            [
                f"{head}{counted(self.requests, 'explored request')}{compared}",
                textwrap.fill(self.labels.sentence(), WIDTH),
                f"{new}{self.kind}, for {_amounts.amount(self.budget, unit, 4)} per request",
                text_table(("held out", "spend", "agreement"), rows),
                f"{gain} (95 % interval, paired by request, {how})\n{textwrap.fill(swap, WIDTH)}",
            ]
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all figures as a dictionary for JSON; what is not finite is None."""
        names = [one.name for one in fields(self) if one.name not in ("policy", "labels", "notes")]
        return {name: plain(getattr(self, name)) for name in names} | {
            "swap": self.swap,
            "because": self.because,
            "labels": self.labels.to_dict(),
            "notes": list(self.notes),
        }

    @cleaned
    def __str__(self) -> str:
        return "\n\n".join([self.text(), *(textwrap.fill(f"note: {note}", WIDTH) for note in self.notes)])

    @cleaned
    def __repr__(self) -> str:
        said = "swap" if self.swap else "no swap"
        return f"Refit({self.kind!r}, {counted(self.requests, 'request')}, gain {points(self.gain)} points, {said})"
