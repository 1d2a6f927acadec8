"""What the columns of a log hold, learned by reading it once: kinds of values, lists, and what never varies.

A column is one path (see `tcalloc.importing.fields.lookup`) as a candidate for one of our fields. What it is
taken for is decided by `tcalloc.importing.field_choice`.
"""

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tcalloc.errors import InputError
from tcalloc.importing import values
from tcalloc.importing.fields import ALIASES, MISSING, NUMBERS, lookup
from tcalloc.runs.jsonl import snippet

__all__ = ["BY_KEY", "RESULTS", "Column", "Columns", "fits", "question_text"]

# So many rows are kept, to compare columns with each other.
HEAD = 1000
RESULTS = ("text", "answer", "correct")
# Names that can only mean the question, whatever "id" is.
QUESTION_IDS = ("question_id", "qid", "problem_id", "metadata.question_id")
BY_KEY: dict[str, list[tuple[str, str]]] = {}
for _field, _paths in ALIASES.items():
    for _path in _paths:
        BY_KEY.setdefault(_path.partition(".")[0], []).append((_field, _path))


def fits(name: str, path: str, value: Any) -> bool:
    """Say whether a value can be what a field holds."""
    try:
        if name in RESULTS or name in NUMBERS or name == "finish":
            if name == "text" and path == "choices":
                return values.is_reply({"choices": value})
            if name == "text" and (values.is_reply(value) or values.message_text(value) is not None):
                return True
            if isinstance(value, list):
                return bool(value) and all(item is None or fits(name, "", item) for item in value)
        if name in ("id", "model"):
            values.name(value, name)
        elif name in ("text", "answer"):
            values.text(value, name)
        elif name == "correct":
            values.right(value, name)
        elif name in NUMBERS:
            values.quantity(value, name)
        elif name == "sample":
            values.whole(value, name)
        elif name == "question":
            return bool((question_text(value) or "").strip())
        elif name == "gold":
            return isinstance(value, str | int | float) or values.alternatives(value) is not None
        elif name in ("accept", "choices"):
            plain = isinstance(value, list) and all(isinstance(item, str | int | float) for item in value)
            return plain and (name == "accept" or 2 <= len(value) <= 26)
        elif name == "finish":
            return isinstance(value, str)
    except InputError:
        return False
    return True


def question_text(value: Any) -> str | None:
    """Return a question's text; of a conversation the last message of the user."""
    if isinstance(value, list):
        users = [item for item in value if isinstance(item, Mapping) and item.get("role") == "user"]
        return values.message_text(users[-1]) if users else None
    return values.message_text(value)


@dataclasses.dataclass(slots=True)
class Column:
    """One path as a candidate for one field."""

    field: str
    path: str
    present: int = 0
    """Rows in which it has a value."""
    misfits: int = 0
    """Rows whose value cannot be what the field holds."""
    misfit: Any = None
    example: Any = None
    lists: int = 0
    """Rows in which it is a list."""
    repeated: int = 0
    """Questions that have several values."""
    varying: int = 0
    """Questions whose values differ."""
    first: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    """By question: the first value's hash, and what was seen so far (1: one value, 2: several equal, 3: several)."""

    def add(self, value: Any, name: str) -> None:
        """Take note of one row's value."""
        if value is None or value == [] or (isinstance(value, str) and not value.strip()):
            return
        self.present += 1
        if not fits(self.field, self.path, value):
            self.misfits += 1
            self.misfit = value if self.misfit is None else self.misfit
            return
        self.example = value if self.example is None else self.example
        listed = isinstance(value, list) and values.message_text(value) is None
        listed |= values.is_reply(value) and len(value.get("choices", ())) > 1
        self.lists += listed
        if self.field in (*RESULTS, "gold"):
            for item in value if isinstance(value, list) and listed and self.field != "gold" else (value,):
                self._compare(hash(item if isinstance(item, str) else json.dumps(item, default=str)), name)

    def _compare(self, code: int, name: str) -> None:
        known = self.first.get(name)
        if known is None:
            self.first[name] = (code, 1)
            return
        first, state = known
        self.repeated += state == 1
        if state < 3 and first != code:
            self.varying += 1
            self.first[name] = (first, 3)
        elif state == 1:
            self.first[name] = (first, 2)

    @property
    def usable(self) -> bool:
        """Whether most of its values are what the field holds."""
        return self.present > 2 * self.misfits

    @property
    def listed(self) -> bool:
        """Whether most of its values are lists."""
        return 2 * self.lists > self.present

    @property
    def never_varies(self) -> bool:
        """Whether questions have several values and none of them has two different ones."""
        return self.repeated > 0 and not self.varying


class Columns:
    """All columns of one log: `named` maps our fields to the user's paths, `split` tells the question in an id."""

    def __init__(self, named: Mapping[str, str], split: "re.Pattern[str] | None"):
        self.named, self.split = named, split
        self.found: dict[tuple[str, str], Column] = {}
        self.head: list[Mapping[str, Any]] = []
        self.first_place = ""
        self.rows = 0
        self.ids: Counter[str] = Counter()
        self.keys: Counter[str] = Counter()
        self.strings: dict[str, dict[str, set[str]] | None] = {}
        self.id_path: str | None = None
        self.id_note: str | None = None
        for name, path in named.items():
            if path:
                self.found[name, path] = Column(name, path)

    def survey(self, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Read all rows once."""
        for place, row in rows:
            self.first_place = self.first_place or place
            if len(self.head) < HEAD:
                self.head.append(row)
                if len(self.head) == HEAD:
                    self._start()
            else:
                self._add(row)
        if self.id_path is None:
            self._start()

    def of(self, name: str) -> list[Column]:
        """Return the usable candidates of a field, the first choice first; the user's alone if there is one."""
        if name in self.named:
            return [self.found[name, self.named[name]]] if self.named[name] else []
        return [column for path in ALIASES[name] if (column := self.found.get((name, path))) and column.usable]

    def _start(self) -> None:
        for row in self.head:
            self._know(row)
        self.id_path = self._id() or ""
        for row in self.head:
            self._add(row)

    def _know(self, row: Mapping[str, Any]) -> None:
        for key in row:
            if key in self.keys:
                continue
            self.keys[key] = 0
            for name, path in BY_KEY.get(key, ()):
                if name not in self.named:
                    self.found.setdefault((name, path), Column(name, path))

    def _add(self, row: Mapping[str, Any]) -> None:
        self.rows += 1
        self._know(row)
        name = self.name(row)
        self.ids[name] += 1
        for key, value in row.items():
            if value is not None:
                self.keys[key] += 1
                self._categories(key, value, name)
        for column in self.found.values():
            value = lookup(row, column.path)
            if value is not MISSING:
                column.add(value, name)

    def _categories(self, key: str, value: Any, name: str) -> None:
        """Note which questions have which of a few texts: where all have all of them, they may be models."""
        seen = self.strings.setdefault(key, {})
        if seen is None:
            return
        if not isinstance(value, str) or len(value) > 100 or (value not in seen and len(seen) >= 20):
            self.strings[key] = None
        else:
            seen.setdefault(value, set()).add(name)

    def name(self, row: Mapping[str, Any]) -> str:
        """Return the question that a row is about; empty if that is not known."""
        value = lookup(row, self.id_path) if self.id_path else MISSING
        try:
            name = values.name(value, "id")
            return name if self.split is None else values.split_id(self.split, name)[0]
        except InputError:
            return ""

    def _id(self) -> str | None:
        """Choose the column that names the question."""
        if "id" in self.named:
            return self.named["id"]
        found: dict[str, list[str]] = {}
        for path in ALIASES["id"]:
            if ("id", path) in self.found:
                some = [lookup(row, path) for row in self.head]
                if sum(fits("id", path, value) for value in some) * 2 > len(some):
                    found[path] = [str(value) for value in some]
        if not found:
            return None
        first, *others = found
        # A log of requests gives every line an id of its own; the question is then named by another column.
        if self.split is None and len(set(found[first])) == len(self.head) > 1:
            asked = self._questions()
            for path in others:
                distinct = len(set(found[path]))
                if not 1 < distinct < len(self.head):
                    continue
                if asked is None and path in QUESTION_IDS:
                    return path
                if asked is not None and len(set(zip(found[path], asked, strict=True))) == distinct == len(set(asked)):
                    return path
                if path not in ("idx", "index", "key", "sample_id", "request_id") and self.id_note is None:
                    self.id_note = (
                        f"{first!r} names the question and differs on every line, while {path!r} repeats: if {path!r} "
                        f"names the question, use --field id={path}."
                    )
        return first

    def _questions(self) -> list[str] | None:
        for path in [self.named["question"]] if "question" in self.named else ALIASES["question"]:
            asked = [question_text(lookup(row, path)) if path else None for row in self.head]
            if all(asked):
                return [str(text) for text in asked]
        return None

    def fields(self) -> str:
        """Return the names of the fields, for messages."""
        return ", ".join(snippet(key, 20) for key in list(self.keys)[:10])
