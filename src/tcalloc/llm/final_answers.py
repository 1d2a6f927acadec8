"""The place of the final answer in a solution: in the last box, or after the mark of GSM8K."""

import re

__all__ = ["final_answer", "last_boxed"]

_BOX = re.compile(r"\\(?:boxed|fbox)\s*(\{)?")
_BARE = re.compile(r"[^\s$\\{}.,;]+")
_BRACE = re.compile(r"(?<!\\)[{}]")


def last_boxed(text: str) -> str | None:
    r"""Return the contents of the last ``\boxed{...}`` (or ``\fbox``), braces matched; None if there is none."""
    # A box that is never closed is skipped; at most a few, because each is searched for up to the end.
    for box in list(_BOX.finditer(text))[:-20:-1]:
        if box[1] is None:  # \boxed 42
            if bare := _BARE.match(text, box.end()):
                return bare[0]
            continue
        depth = 1
        for brace in _BRACE.finditer(text, box.end()):
            depth += 1 if brace[0] == "{" else -1
            if not depth:
                return text[box.end() : brace.start()].strip() or None
    return None


def final_answer(text: str) -> str:
    """Return the text after the mark of GSM8K, which follows the reasoning; without the mark, the whole text."""
    return text.rpartition("####")[2].strip() if "####" in text else text
