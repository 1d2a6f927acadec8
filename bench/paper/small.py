"""Two small question files of our own, in the formats of GSM8K and of MATH, for models that cannot do the real ones.

SmolLM2-135M answers next to nothing of GSM8K, so that nothing could be seen there. These questions have the same
fields (``answer`` ends in ``#### 42``; ``problem``, ``solution`` with a box, ``level``), one or two steps of small
numbers, and examples to follow (``few_shot``), after which the model writes one line. SmolLM2-135M answers about .39 of
the first file and .24 of the second, from nearly always down to never by level.
"""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

__all__ = ["gsm8k_like", "math_like", "write"]

Row = dict[str, Any]
Make = Callable[[Random, int], tuple[str, str, int]]
"""A question, its step and its answer; of five kinds, later ones are harder."""

NAMES = ("Tom", "Ann", "Ben", "Eva", "Leo", "Mia", "Sam", "Zoe")
THINGS = ("apples", "pens", "books", "cards", "eggs", "stamps", "coins", "shells")
KINDS, EXAMPLES = 5, 8


def _story(rng: Random, kind: int) -> tuple[str, str, int]:
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    a, b, c = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 5)
    if kind == 1:
        a += b
        return f"{name} has {a} {thing} and loses {b}. How many {thing} are left?", f"{a} - {b}", a - b
    if kind == 2:
        return f"There are {c} boxes with {a} {thing} each. How many {thing} are there?", f"{c} * {a}", c * a
    if kind == 4:
        text = f"{name} has {c} bags of {a} {thing} and finds {b} more. How many {thing} does {name} have?"
        return text, f"{c} * {a} + {b}", c * a + b
    if kind == 3:
        a, b = 10 * c + a, 10 + b
    return f"{name} has {a} {thing} and buys {b} more. How many {thing} does {name} have?", f"{a} + {b}", a + b


def _sum(rng: Random, kind: int) -> tuple[str, str, int]:
    a, b, c = rng.randint(2, 9), rng.randint(2, 9), rng.randint(2, 9)
    step, answer = [
        (f"{a} + {b}", a + b),
        (f"{a + b} - {b}", a),
        (f"{a} \\cdot {b}", a * b),
        (f"{10 * c + a} + {10 + b}", 10 * c + a + 10 + b),
        (f"{a} \\cdot {b} + {c}", a * b + c),
    ][kind]
    return f"What is ${step}$?", step, answer


def _rows(make: Make, count: int, seed: int) -> list[tuple[str, str, int, str]]:
    """Return `count` different questions, the kinds in turn: text, step, answer and level."""
    rng = Random(seed)
    seen: set[str] = set()
    found: list[tuple[str, str, int, str]] = []
    while len(found) < count:
        kind = len(found) % KINDS
        text, step, answer = make(rng, kind)
        if text not in seen:
            seen.add(text)
            found.append((text, step, answer, f"Level {kind + 1}"))
    return found


def _examples(make: Make, form: str) -> list[list[str]]:
    rng = Random(2604)
    made = [make(rng, i % KINDS) for i in range(EXAMPLES)]
    return [[text, form.format(step=step, answer=answer)] for text, step, answer in made]


def gsm8k_like(count: int, seed: int = 0) -> list[Row]:
    """Return `count` questions with the fields of GSM8K."""
    examples = _examples(_story, "{step} = {answer}")
    return [
        {"question": text, "answer": f"{step} = {answer}\n#### {answer}", "few_shot": examples, "level": level}
        for text, step, answer, level in _rows(_story, count, seed)
    ]


def math_like(count: int, seed: int = 0) -> list[Row]:
    """Return `count` questions with the fields of MATH."""
    form = "${step} = \\boxed{{{answer}}}$"
    examples = _examples(_sum, "{answer}")  # a step and a box are too much for the smallest models
    return [
        {"problem": text, "solution": form.format(step=step, answer=answer), "few_shot": examples, "level": level}
        for text, step, answer, level in _rows(_sum, count, seed)
    ]


def write(path: Path, rows: list[Row]) -> Path:
    """Write a file of JSON lines; one that says the same is left alone."""
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path
