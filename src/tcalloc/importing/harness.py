"""lm-evaluation-harness: the lines of its samples_*.jsonl."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from statistics import median
from typing import Any

from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.importing import values
from tcalloc.importing.rows import Options, Reader, Row, Rows, Sample
from tcalloc.importing.values import Unusable
from tcalloc.llm.final_answers import final_answer
from tcalloc.llm.graders.text import any_key

__all__ = ["HarnessReader", "task_filters"]

# Metrics that say right or wrong; the first that is there counts.
METRICS = ("exact_match", "acc", "pass@1", "pass_at_1", "em", "math_verify", "correct")
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
INVALID = ("[invalid]", "")
# Metrics whose value is the share of a question's responses that are right, and those that say whether any of k is.
_MEAN = re.compile(r"(?:pass|acc|exact_match|avg|mean)(?:@|_at_|_)1|(?:avg|mean)\b.*")
_ANY = re.compile(r"(?:pass|maj|cons|best|any)\w*?(?:@|_at_)(\d+)")


@dataclass(slots=True)
class _Kept:
    """What the responses of one filter are."""

    responses: int = 0
    unchanged: int = 0
    equal: int = 0
    words: list[int] = field(default_factory=list)
    compared: int = 0
    """Questions with several extracted answers and a metric that the user named."""
    agreeing: int = 0
    """Those of them where as many answers equal the target as the metric says."""

    @property
    def texts(self) -> bool:
        """Whether the filter keeps whole texts: what it leaves is what was generated, and never a target."""
        return (
            self.responses > 0
            and self.unchanged >= 0.9 * self.responses
            and self.equal <= 0.02 * self.responses
            and median(self.words) >= 3
        )


class HarnessReader(Reader):
    """Reads the samples of one task of lm-evaluation-harness."""

    def __init__(self, options: Options):
        super().__init__(options)
        self.kept: dict[str | None, _Kept] = {}
        self.filter: str | None = None
        """The filter whose results count; None before one was chosen."""
        self.fractional: set[str] = set()
        """Metrics that are a share of several responses on some row."""
        self.counted: str | None = None
        self.repeated = self.alike = 0
        """Questions with several texts, and those of them whose texts are all the same."""
        self.lists = False
        """Whether answers are written as lists, so that a target like "['a', 'b']" is one answer."""

    def survey(self, rows: Rows) -> None:
        """Learn the filters, and whether they keep answers or texts."""
        for _, row in rows():
            kept = self.kept.setdefault(_filter(row), _Kept())
            texts, answers = _leaves(row.get("resps") or []), _leaves(row.get("filtered_resps") or [])
            if _scored(row.get("filtered_resps")) is not None or not answers:
                continue
            self.lists |= any(a.strip()[:1] + a.strip()[-1:] == "[]" for a in answers if a not in INVALID)
            golds = {any_key(final_answer(str(gold))) for gold in self._golds(row.get("target"))}
            kept.responses += len(answers)
            kept.unchanged += sum(text == answer for text, answer in zip(texts, answers, strict=False))
            equal = sum(any_key(answer) in golds for answer in answers)
            kept.equal += equal
            kept.words += [len(answer.split()) for answer in answers]
            if len(texts) > 1:
                self.repeated += 1
                self.alike += len(set(texts)) == 1
                self.fractional |= {key for key, v in row.items() if isinstance(v, float) and 0 < v < 1}
                share = row.get(self.options.metric or "")
                if isinstance(share, int | float) and len(answers) == len(texts):
                    kept.compared += 1
                    kept.agreeing += abs(share * len(texts) - equal) < 1e-6

        if self.repeated >= 3 and self.alike == self.repeated:
            self.warnings.append(
                f"the repeats of all {self.repeated:,} questions are the same text: the harness sends one random seed "
                "with each request, or the temperature is 0. They say no more than one sample. Add seed: null and a "
                "temperature to the task's generation_kwargs, and run it again."
            )

    def read(self, row: Mapping[str, Any]) -> Row | None:
        """Return what one row holds; None if another filter counts."""
        if row.get("doc_id") is None:
            raise InputError("no field 'doc_id'; expected a line of samples_*.jsonl of lm-evaluation-harness")
        if self.filter is not None and _filter(row) is not None and _filter(row) != self.filter:
            return None
        responses, filtered = row.get("resps"), row.get("filtered_resps")
        if not isinstance(filtered, list) or (responses is not None and not isinstance(responses, list)):
            raise InputError("'resps' and 'filtered_resps' must be lists, as lm-evaluation-harness writes them")
        document: dict[str, Any] = row["doc"] if isinstance(row.get("doc"), dict) else {}
        prompt = _prompt(row.get("arguments"))
        question = {"question": prompt or document.get("question")}
        taken: list[tuple[str, str, Any]] = [("id", "doc_id", row["doc_id"])]
        scored = _scored(filtered)
        if scored is None:
            golds = self._golds(row.get("target"))
            if golds:
                question["gold"] = golds[0]
                question["accept"] = golds[1:]
            samples = self._generated(row, responses, filtered, taken)
            choices = document.get("choices")
            if isinstance(choices, list) and all(isinstance(choice, str) for choice in choices):
                question["choices"] = choices
        else:
            metric, right = self._metric(row)
            gold = _letter(row.get("target"), len(scored))
            question["gold"] = gold
            # What acc_norm chose is not in the file; whether it was right is.
            chosen = (
                LETTERS[scored.index(max(scored))] if metric == "acc" and len(scored) <= 26 else gold if right else None
            )
            samples = [Sample(None, chosen, right)]
            taken += [("answer", "filtered_resps (the likeliest choice)", chosen), ("correct", metric, row[metric])]
        known = {name: value for name, value in question.items() if value is not None and value != []}
        for name, path in (("question", "arguments" if prompt else "doc.question"), ("gold", "target")):
            if name in known:
                taken.append((name, path, row["target"] if name == "gold" else known[name]))
        asked = json.dumps(document, sort_keys=True) if document else prompt
        return Row(values.name(row["doc_id"], "doc_id"), samples, None, known, asked, _filter(row), taken)

    def _generated(
        self, row: Mapping[str, Any], responses: Any, filtered: list[Any], taken: list[tuple[str, str, Any]]
    ) -> list[Sample]:
        texts: Sequence[str | None] = _leaves(responses or [])
        answers = _leaves(filtered)
        if texts:
            taken.append(("text", "resps", texts[0]))
        else:
            texts = [None] * len(answers)
        kept = self.kept.get(_filter(row), _Kept())
        if self.options.graded:
            return [
                Sample(text if text is not None else answer)
                for text, answer in zip_longest(texts, answers[: len(texts)])
            ]
        if len(texts) == 1:
            answer = answers[0] if len(answers) == 1 and answers[0] not in INVALID and not kept.texts else None
            metric, right = self._metric(row)
            taken.append(("correct", metric, row[metric]))
            if answer is not None:
                taken.append(("answer", _where(row), answer))
            return [Sample(texts[0], answer, right)]
        contradicted = kept.compared > 0 and kept.agreeing < 0.9 * kept.compared
        if kept.texts or contradicted or len(answers) != len(texts):
            return self._counts(row, len(texts), kept, taken)
        # One answer each, and a score of something else (the first, or the majority): compared with the target.
        taken.append(("answer", _where(row), answers[0]))
        return [
            Sample(text, None if a in INVALID else a, silent=a in INVALID)
            for text, a in zip(texts, answers, strict=True)
        ]

    def _counts(self, row: Mapping[str, Any], n: int, kept: _Kept, taken: list[tuple[str, str, Any]]) -> list[Sample]:
        """Return as many right samples as a metric says there are: which ones they are is not known."""
        named = self.options.metric
        name = named or next((m for m in METRICS if m in row and (_MEAN.fullmatch(m) or m in self.fractional)), None)
        value = None if name is None else row.get(name)
        if name is None or not isinstance(value, bool | int | float):
            what = f"the filter {row.get('filter')!r} keeps whole texts" if kept.texts else "one score for all of them"
            raise Unusable(f"{counted(n, 'response')}, but {what}; grade each by --grader, e.g. --grader numeric")
        any_of = _ANY.fullmatch(name)
        if any_of is not None and int(any_of[1]) > 1:
            raise Unusable(
                f"{name!r} says whether any of {any_of[1]} responses is right, not how many are. Name the metric that "
                "is the share of right ones (pass@1), or grade each by --grader, e.g. --grader numeric"
            )
        right = round(value * n)
        if abs(value * n - right) > 1e-6 * n or (not _MEAN.fullmatch(name) and name not in self.fractional):
            instead = "" if kept.texts else "leave out --metric to compare each answer with the target, or "
            raise Unusable(
                f"{counted(n, 'response')}, but one score for all of them: {name!r} is {value}, which is no share of "
                f"them; {instead}grade each by --grader, e.g. --grader numeric"
            )
        if self.counted is None:
            self.counted = name
            self.warnings.append(
                f"the metric {name!r} says how many of a question's responses are right, not which: they are taken as "
                "right and wrong without their texts. For answers and votes, grade the texts, e.g. --grader numeric."
            )
        taken[:] = [entry for entry in taken if entry[0] != "text"]
        taken.append(("correct", f"{name} (share of {n})", value))
        return [Sample(None, None, j < right) for j in range(n)]

    def _golds(self, target: Any) -> list[Any]:
        """Return the right answers: a target may be a list of them, also one that was written as text."""
        listed = None if self.lists and isinstance(target, str) else values.alternatives(target)
        return listed if listed else [] if target is None or isinstance(target, list) else [target]

    def _metric(self, row: Mapping[str, Any]) -> tuple[str, bool]:
        listed: list[Any] = row["metrics"] if isinstance(row.get("metrics"), list) else []
        named = self.options.metric
        for name in [named] if named else [*METRICS, *(listed if len(listed) == 1 else [])]:
            value = row.get(name)
            if isinstance(value, bool | int | float):
                if value not in (0, 1):
                    raise Unusable(
                        f"{name!r} is {value}; expected 0 or 1. Name another by --metric, or grade by --grader"
                    )
                return name, bool(value)
        known = ", ".join(
            repr(key) for key, value in row.items() if isinstance(value, bool | int | float) and key != "doc_id"
        )
        which = f"no metric {named!r}" if named else "no metric that is known to say right or wrong"
        raise Unusable(f"{which}; name one by --metric (there is {known or 'none'}), or grade by --grader")


def task_filters(files: Iterable[tuple[str | None, str, HarnessReader]], options: Options) -> list[str]:
    """Choose for every file (its task, name and reader, after the survey) the filter whose results count.

    A user names filters as ``NAME`` for all tasks, or ``TASK=NAME``. Returned is what should be said of files that do
    not have the one that was named. It is an error if a file has several and none was chosen, or no file has the one
    that was.
    """
    files = list(files)
    tasks = {task for task, _, _ in files}
    split = [given.partition("=") for given in options.filters]
    of_task = {task: name for task, equals, name in split if equals and task in tasks}
    general = [given for given, (task, equals, _) in zip(options.filters, split, strict=True) if task not in of_task]
    everything = list(dict.fromkeys(name for _, _, reader in files for name in reader.kept if name is not None))
    for name in (*general, *of_task.values()):
        if files and name not in everything:
            found = ", ".join(map(repr, everything)) or "none"
            raise InputError(f"{files[0][1]}: no results of the filter {name!r}; there are {found}.")
    notes = []
    for task, where, reader in files:
        names = [name for name in reader.kept if name is not None]
        asked = [of_task[task]] if task in of_task else general
        fitting = [name for name in asked if name in names]
        if not names:
            continue
        if not fitting and len(names) > 1 and not options.graded:
            listed = ", ".join(map(repr, names))
            each = f"{task}=NAME" if len(tasks) > 1 else "NAME"
            raise Unusable(
                f"{where}: the log holds the results of several filters ({listed}); choose one by --filter {each}."
            )
        # A grader reads the responses, which are the same under every filter.
        reader.filter = (fitting or names)[0]
        if not options.graded:
            reader.unread |= {
                f"filter {name}": f"{reader.filter!r} was chosen" for name in names if name != reader.filter
            }
        if asked and not fitting and not options.graded:
            notes.append(f"{where} has no filter {asked[0]!r}; its only filter {names[0]!r} is taken there.")
    return notes


def _filter(row: Mapping[str, Any]) -> str | None:
    value = row.get("filter")
    return value if isinstance(value, str) else None


def _where(row: Mapping[str, Any]) -> str:
    name = _filter(row)
    return "filtered_resps" if name is None else f"filtered_resps ({name})"


def _leaves(value: Any) -> list[str]:
    if isinstance(value, list):
        return [leaf for item in value for leaf in _leaves(item)]
    return [value if isinstance(value, str) else json.dumps(value)]


def _scored(filtered: Any) -> list[float] | None:
    """Return the log-likelihoods of the choices; None if text was generated."""
    if not isinstance(filtered, list):
        return None
    pairs = [
        pair for pair in filtered if isinstance(pair, list) and len(pair) == 2 and str(pair[1]) in ("True", "False")
    ]
    if len(pairs) < 2 or len(pairs) != len(filtered):
        return None
    try:
        return [float(pair[0]) for pair in pairs]
    except (TypeError, ValueError):
        return None


def _prompt(arguments: Any) -> str | None:
    """Return the prompt of the first request, in either layout of the field."""
    for key in ("gen_args_0", "arg_0"):
        if isinstance(arguments, dict):
            arguments = arguments.get(key)
    while isinstance(arguments, list) and arguments:
        arguments = arguments[0]
    return arguments if isinstance(arguments, str) else None


def _letter(target: Any, choices: int) -> str | None:
    text = str(target).strip()
    if text.isdecimal() and len(text) < 3 and int(text) < min(choices, 26):
        return LETTERS[int(text)]
    return text or None
