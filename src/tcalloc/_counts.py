"""Counts in messages: each with its noun, and with the words that agree with it."""

__all__ = ["agreeing", "counted"]


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, whose plural must end in s, like question, or in ies, like category.

    Examples
    --------
    >>> from tcalloc._counts import counted
    >>> counted(1, "sample"), counted(1318, "question"), counted(0, "category")
    ('1 sample', '1,318 questions', '0 categories')
    """
    if count == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2:-1] not in "aeiou" else f"{noun}s"
    return f"{count:,} {plural}"


def agreeing(count: int, one: str, many: str) -> str:
    """Return the word that agrees with a number: that for 1, or that for any other number.

    Examples
    --------
    >>> from tcalloc._counts import agreeing
    >>> agreeing(1, "has", "have"), agreeing(2, "has", "have")
    ('has', 'have')
    """
    return one if count == 1 else many
