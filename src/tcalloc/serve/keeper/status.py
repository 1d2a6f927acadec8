"""The state of a budget now: what is spent and reserved, the price, and what will be spent when the period ends."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tcalloc._amounts import amount, digits, unit_words
from tcalloc._counts import counted
from tcalloc._frames import new_axes
from tcalloc._printing import cleaned, text_table
from tcalloc.serve.keeper.account import Account, Units
from tcalloc.serve.keeper.book import WHOLE, Book
from tcalloc.serve.keeper.horizon import Horizon
from tcalloc.serve.keeper.learned import Learned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Status", "TenantStatus", "finite", "status_of"]


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """The part of one tenant."""

    weight: float
    spent: float
    reserved: float
    requests: int
    price: float | None
    """Accuracy that one more unit of cost must buy; None: not known yet."""
    forecast: float | None
    """What it will have spent at the end of the period, if requests go on as they came."""


@dataclass(frozen=True, slots=True)
class Status:
    """The state of a budget."""

    total: float
    unit: str
    period: str
    """The period in words."""
    elapsed: float | None
    """The share of the period that has passed; None: there is no period, or it is a rolling window."""
    spent: float
    """Bills of this period, with what lost grants count as."""
    reserved: float
    """The most that open grants can cost."""
    lost: float
    """The part of `spent` that is assumed, because bills never came."""
    open_grants: int
    requests: int
    price: float | None
    """Accuracy that one more unit of cost must buy; None: not known yet, or each tenant has its own."""
    forecast: float | None
    """What will be spent at the end of the period, if requests go on as they came."""
    tenants: dict[str, TenantStatus]
    exceeded: dict[str, int]
    """By action, how many bills were above their stated maximum."""
    history: list[tuple[float, float]]
    """Where each bucket of the period ends, as a share of the period, and what was spent in it."""
    prices: list[tuple[float, float]]
    """The price at these places."""

    @property
    def free(self) -> float:
        """What is neither spent nor reserved."""
        return self.total - self.spent - self.reserved

    def as_dict(self) -> dict[str, Any]:
        """Return all of it, as JSON can hold it."""
        found: dict[str, Any] = finite(asdict(self) | {"free": self.free})
        return found

    @cleaned
    def __str__(self) -> str:
        def money(value: float | None) -> str:
            return "-" if value is None else digits(value)

        unit = self.unit or None
        whole = amount(self.total, unit)
        when = "" if self.elapsed is None else f"; {100 * self.elapsed:.1f} % of the period has passed"
        lines = [f"{whole} for {self.period}{when}", ""]
        heads = ["", "spent", "reserved", "requests", "price", "forecast"]
        everything = TenantStatus(0.0, self.spent, self.reserved, self.requests, self.price, self.forecast)
        rows = [
            [name, money(one.spent), money(one.reserved), f"{one.requests:,}", money(one.price), money(one.forecast)]
            for name, one in {**self.tenants, "all": everything}.items()
        ]
        if self.tenants:
            heads.insert(1, "weight")
            for row, weight in zip(rows, [*(digits(one.weight) for one in self.tenants.values()), ""], strict=True):
                row.insert(1, weight)
        lines.append(text_table(heads, rows))
        lines += ["", f"{amount(self.free, unit)} is free; {counted(self.open_grants, 'grant')} open"]
        if self.lost:
            lines.append(f"{amount(self.lost, unit)} of the spending is assumed: bills of lost grants never came")
        lines += [f"{counted(n, 'bill')} above the stated maximum of {name!r}" for name, n in self.exceeded.items()]
        return "\n".join(lines)

    def plot(self, ax: "Axes | None" = None) -> "Axes":
        """Draw what was spent over the period, and the price.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default: a new figure.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        MissingExtraError
            If Matplotlib is not installed.
        """
        ax = new_axes() if ax is None else ax
        places, spent = [0.0], [0.0]
        for place, amount_there in self.history:
            places.append(place)
            spent.append(spent[-1] + amount_there)
        words = unit_words(self.unit or None)
        ax.plot([0.0, 1.0], [0.0, self.total], color="0.6", linestyle="--", label="even spending")
        ax.plot(places, spent, color="C0", marker="." if len(places) < 3 else None, label="spent")
        if self.forecast is not None and self.elapsed is not None:
            ax.plot([places[-1], 1.0], [spent[-1], self.forecast], color="C0", linestyle=":", label="forecast")
        ax.set_xlabel("share of the period")
        ax.set_ylabel(f"spent ({words})")
        if self.prices:
            other = ax.twinx()
            other.plot(*zip(*self.prices, strict=True), color="C1", label="price")
            other.set_ylabel(f"price (accuracy per {words})")
            other.set_ylim(bottom=0.0)
            ax.plot([], [], color="C1", label="price")
        ax.set_ylim(bottom=0.0)
        ax.legend(loc="lower right", frameon=False)
        return ax


def status_of(
    book: Book, units: Units, unit: str, weights: Mapping[str, float], learned: Learned, horizon: Horizon
) -> Status:
    """Return the state of a budget.

    Parameters
    ----------
    book : Book
        All of the book.
    units : Units
        Its unit of money.
    unit : str
        The name of the unit of amounts.
    weights : mapping of str to float
        The tenants' weights.
    learned : Learned
        The prices and the bills above their maximum.
    horizon : Horizon
        What is left of the period.
    """
    # Each bill is rounded up in the fifteenth digit of the total.
    decimals = 11 - math.floor(math.log10(units.total or 1.0))

    def amount_of(money: int) -> float:
        return round(units.amount(money), decimals)

    tenants: dict[str, TenantStatus] = {}
    forecasts: list[float | None] = []
    for name, pacer in learned.pacers.items():
        pace, found = horizon.pace(name), book.accounts.get(name, Account())
        forecast = None
        if pacer.price is not None and pace.left < math.inf:
            coming = horizon.left(name, present=False) * pacer.spend_at(pacer.price)
            forecast = amount_of(found.settled + found.likely) + min(coming, pace.money)
        forecasts.append(forecast)
        if name != WHOLE:
            spent, reserved = amount_of(found.settled), amount_of(found.reserved)
            tenants[name] = TenantStatus(weights[name], spent, reserved, found.requests, pacer.price, forecast)
    whole, known = book.accounts[WHOLE], [value for value in forecasts if value is not None]
    period, buckets = book.period, book.spent()
    elapsed = None
    places = [1.0] * len(buckets)
    if period.length < math.inf:
        begin = book.start
        if period.rolling:
            begin = max(begin, book.position - period.length)
        else:
            elapsed = min((book.position - book.start) / period.length, 1.0)
        ends = [min((number + 1) * period.width, book.position) for number, _ in buckets]
        places = [max(end - begin, 0.0) / period.length for end in ends]
    by_place = list(zip(places, buckets, strict=True))
    return Status(
        total=horizon.total,
        unit=unit,
        period=period.words,
        elapsed=elapsed,
        spent=amount_of(whole.settled),
        reserved=amount_of(whole.reserved),
        lost=amount_of(book.missing),
        open_grants=len(book.grants),
        requests=whole.requests,
        price=None if weights else learned.pacers[WHOLE].price,
        forecast=math.fsum(known) if len(known) == len(forecasts) else None,
        tenants=tenants,
        exceeded=learned.all_exceeded(),
        history=[(place, amount_of(spent)) for place, (_, spent) in by_place],
        prices=[(place, book.prices[number]) for place, (number, _) in by_place if number in book.prices],
    )


def finite(value: Any) -> Any:
    """Return the value with None in the place of infinite numbers, which JSON does not have."""
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
