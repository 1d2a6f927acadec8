"""A book as rows of numbers and texts, as the stores outside of memory keep it."""

import json
import math
from typing import Any

from tcalloc.serve.keeper.account import Account
from tcalloc.serve.keeper.book import Book, Held, Lost, Past
from tcalloc.serve.keeper.period import Period

__all__ = ["account_row", "book_of", "held_of", "held_row", "rest_of", "settings_of", "take_rest"]


def settings_of(book: Book) -> dict[str, Any]:
    """Return what does not change: the period and what lost grants count as."""
    return {"period": book.period.as_dict(), "lost_counts": book.lost_counts}


def book_of(settings: Any) -> Book:
    """Return an empty book with these settings; its limit is kept elsewhere, as it can change."""
    period = settings["period"]
    length = math.inf if period["length"] is None else float(period["length"])
    return Book(
        0,
        Period(length, bool(period["in_requests"]), bool(period["rolling"])),
        bool(settings["lost_counts"]),
    )


def account_row(account: Account) -> tuple[int, int, int, int, int]:
    """Return an account as `Account(*row)` takes it."""
    return account.settled, account.reserved, account.likely, account.fresh, account.requests


def held_row(held: Held) -> str:
    """Return a grant as one text."""
    return json.dumps([held.tenant, str(held.most), str(held.likely), held.expires, held.began])


def held_of(row: str) -> Held:
    """Return a grant from its text."""
    tenant, most, likely, expires, began = json.loads(row)
    return Held(str(tenant), int(most), int(likely), float(expires), int(began))


def rest_of(book: Book) -> str:
    """Return what changes only when a bucket or a grant ends: lost grants, finished buckets and prices."""
    return json.dumps(
        {
            "lost": {name: [held_row(lost.held), lost.bucket] for name, lost in book.lost.items()},
            "past": [
                [number, {name: [past.settled, past.requests] for name, past in each.items()}]
                for number, each in sorted(book.past.items())
            ],
            "prices": sorted(book.prices.items()),
        }
    )


def take_rest(book: Book, text: str) -> None:
    """Put into a book what `rest_of` wrote."""
    rest = json.loads(text)
    book.lost = {name: Lost(held_of(row), int(bucket)) for name, (row, bucket) in rest["lost"].items()}
    book.past = {
        int(number): {name: Past(int(settled), int(requests)) for name, (settled, requests) in each.items()}
        for number, each in rest["past"]
    }
    book.prices = {int(bucket): float(price) for bucket, price in rest["prices"]}
