"""Which samples are there, of each question and way to ask."""

from tcalloc.errors import InputError

__all__ = ["MOST_SAMPLES", "HeldSamples", "refuse_count"]

# Samples of one question are numbered below this.
MOST_SAMPLES = 1_000_000
# Numbers below this are bits of one number, which takes least memory where there are many samples. Others are kept
# one by one, so that no number takes memory for those below it.
_NEAR = 1024

Key = tuple[str, str]


class HeldSamples:
    """The numbers of the samples that are there, by (question id, params)."""

    def __init__(self) -> None:
        self._near: dict[Key, int] = {}
        self._far: dict[Key, set[int]] = {}

    def add(self, key: Key, number: int) -> bool:
        """Add a sample; return whether it is new."""
        if self.has(key, number):
            return False
        if number < _NEAR:
            self._near[key] = self._near.get(key, 0) | 1 << number
        else:
            self._far.setdefault(key, set()).add(number)
        return True

    def has(self, key: Key, number: int) -> bool:
        """Return whether a sample is there."""
        return bool(self._near.get(key, 0) >> number & 1) if number < _NEAR else number in self._far.get(key, ())

    def bits(self, key: Key) -> int:
        """Return the numbers of a key's samples as the bits of one number."""
        bits = self._near.get(key, 0)
        for number in self._far.get(key, ()):
            bits |= 1 << number
        return bits


def refuse_count(n: int, argument: str) -> None:
    """Refuse more samples of one question than can be numbered.

    Raises
    ------
    InputError
        If `n` is too large.
    """
    if n > MOST_SAMPLES:
        raise InputError(
            f"{argument} is {n:,}; at most {MOST_SAMPLES:,} samples of one question can be stored. Ask for fewer."
        )
