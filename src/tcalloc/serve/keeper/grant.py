"""A grant: the right to spend on one question, with the most that this can cost."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from tcalloc._printing import cleaned
from tcalloc.errors import InputError

if TYPE_CHECKING:
    from tcalloc.learn.protocol import Run
    from tcalloc.serve.keeper.granting import Granting

__all__ = ["Grant"]


class Grant:
    """The right to spend on one question.

    Leaving a ``with`` block without `settle` counts the maximum: whatever happened, the request may have been billed.

    Attributes
    ----------
    id : str
        Its name; any process that shares the state can settle it: ``keeper.settle(grant.id, cost)``.
    action : str or None
        What to do, by the action's name; None: there is no money, and nothing may be spent.
    maximum : float
        The most that it can cost. This much is reserved.
    expected : float
        What it will probably cost.
    model : str
        The model whose bills correct what it costs, or the action's name; "" without an action.
    price : float
        Accuracy that one more unit of cost had to buy.
    tenant : str
        Whose budget it counts for; "": there are no tenants.
    short : bool
        Whether there was too little money for what the price allowed, so that this is something cheaper.
    run : Run or None
        Carries the action out, if the policy's actions mean something to tcalloc; see `tcalloc.learn.protocol`.
    """

    __slots__ = (
        "_keeper",
        "_open",
        "_stated",
        "action",
        "expected",
        "id",
        "maximum",
        "model",
        "price",
        "run",
        "short",
        "tenant",
    )

    def __init__(
        self,
        keeper: "Granting",
        id: str,
        action: str | None,
        model: str,
        maximum: float,
        expected: float,
        price: float,
        tenant: str,
        short: bool,
        run: "Run | None",
        stated: tuple[float, float] = (0.0, 0.0),
    ):
        self._keeper, self.id, self.action, self.model = keeper, id, action, model
        self.maximum, self.expected, self.price = maximum, expected, price
        self.tenant, self.short, self.run = tenant, short, run
        self._open, self._stated = action is not None, stated

    @property
    def open(self) -> bool:
        """Whether it is not settled yet."""
        return self._open

    def settle(self, cost: float) -> None:
        """Replace what is reserved by the bill; what was not spent returns.

        Parameters
        ----------
        cost : float
            The bill. It counts as it is, even if it is above the maximum; `BudgetKeeper.status` then names the action.

        Raises
        ------
        InputError
            If it was settled before, there was nothing to spend, or the cost is not a number of at least 0.
        """
        if self.action is None:
            raise InputError(
                "this grant has no action, so there is nothing to settle. Spend nothing without an action."
            )
        if not self._open:
            raise InputError("this grant is settled already. Settle every grant once, with its whole bill.")
        self._keeper._settle(self, cost, self._stated)
        self._open = False

    def release(self) -> None:
        """Give back all that is reserved: nothing was billed."""
        self.settle(0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            self.settle(self.maximum)

    @cleaned
    def __repr__(self) -> str:
        state = "open" if self._open else "settled" if self.action is not None else "nothing"
        return f"Grant({self.action!r}, maximum={self.maximum:.6g}, {state})"
