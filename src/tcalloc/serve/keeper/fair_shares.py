"""Max-min fair shares of a budget: what a tenant does not need goes to those who need it, by their weights."""

from collections.abc import Sequence

__all__ = ["fair_shares"]


def fair_shares(money: float, weights: Sequence[float], spent: Sequence[float], needs: Sequence[float]) -> list[float]:
    """Return what each tenant may spend in the whole period.

    The share of a tenant is as near to ``level * weight`` as what it has spent and what it needs allow. The level is
    the same for all, and as high as the money allows.

    Parameters
    ----------
    money : float
        What all may spend.
    weights : sequence of float
        Positive.
    spent, needs : sequence of float
        What each has spent so far, and what it could still use.

    Examples
    --------
    The second tenant needs little, and the first gets what it leaves:

    >>> from tcalloc.serve.keeper.fair_shares import fair_shares
    >>> [round(share, 6) for share in fair_shares(90, [1, 1, 1], [0, 0, 0], [100, 10, 30])]
    [50.0, 10, 30]
    """
    most = [s + n for s, n in zip(spent, needs, strict=True)]
    if sum(most) <= money:
        return most
    # The shares are linear in the level between these corners.
    corners = sorted({value / w for s, m, w in zip(spent, most, weights, strict=True) for value in (s, m)})

    def at(level: float) -> list[float]:
        return [min(max(w * level, s), m) for w, s, m in zip(weights, spent, most, strict=True)]

    low = high = corners[0]
    for high in corners:
        if sum(at(high)) >= money:
            break
        low = high
    below, above = sum(at(low)), sum(at(high))
    level = high if above <= below else low + (high - low) * min(max((money - below) / (above - below), 0.0), 1.0)
    return at(level)
