"""JSON lines and data frames: rows whose fields have any names."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from tcalloc._counts import counted
from tcalloc.errors import InputError
from tcalloc.importing import values
from tcalloc.importing.batch import reply_samples
from tcalloc.importing.columns import RESULTS, Columns, question_text
from tcalloc.importing.evidence import Evidence
from tcalloc.importing.field_choice import Plan, choose
from tcalloc.importing.fields import CACHE, MISSING, NUMBERS, lookup
from tcalloc.importing.rows import Options, Reader, Row, Rows, Sample
from tcalloc.importing.values import Failed
from tcalloc.llm.http.usage import BESIDE
from tcalloc.runs.jsonl import snippet

__all__ = ["GenericReader"]

# Path and value of each field that a row has.
Found: TypeAlias = dict[str, tuple[str, Any]]


class GenericReader(Reader):
    """Reads rows by the names of their fields, and by what the columns hold."""

    def __init__(self, options: Options):
        super().__init__(options)
        self.columns = Columns(options.fields, options.split)
        self.evidence = Evidence(self.columns, options.golds)
        self.plan = Plan()

    def survey(self, rows: Rows) -> None:
        """Learn what the log holds, and decide what is taken for what."""
        self.columns.survey(rows())
        if not self.columns.rows:
            return  # the lines themselves are at fault, which reading them says
        options = self.options
        try:
            self.plan = choose(self.evidence, options.graded, options.model)
        except values.Unusable as error:
            raise values.Unusable(f"{self.columns.first_place}: {str(error).rstrip('.')}.") from None
        self.notes += self.plan.notes
        self.warnings += self.plan.warnings
        self.unread = {**dict.fromkeys(self.plan.unread, ""), **self.plan.reasons}

    def suggestion(self) -> str | None:
        """Return a field that was not read and equals the gold answer on some rows but not all; None if none does."""
        shares = {path: self.evidence.gold_share(path) for path in self.unread}
        found = [path for path, share in shares.items() if share is not None and 0 < share < 1]
        return max(found, key=lambda path: shares[path] or 0.0, default=None)

    def read(self, row: Mapping[str, Any]) -> Row | None:
        """Return what one row holds."""
        found = self._found(row)
        if "id" not in found:
            raise InputError(f"no field {self.plan.paths['id'][0]!r}, which names the question")
        made = Row("")
        self._add_samples(made, row, found)
        made.question = self._question(found)
        for name, (path, value) in found.items():
            if name in ("id", "accept", "choices") or name in made.question:
                made.taken.append((name, path, value))
        if "model" in found:
            made.model = values.name(found["model"][1], "model")
            made.retake("model", *found["model"])
        if "question" in made.question:
            made.asked = " ".join(made.question["question"].split())
        made.id = values.name(found["id"][1], "id")
        return made

    def _found(self, row: Mapping[str, Any]) -> Found:
        found = {}
        for name, paths in self.plan.paths.items():
            for path in paths:
                value = lookup(row, path)
                if value is not MISSING:
                    blank = isinstance(value, str) and not value.strip() and name != "text"
                    if value is not None and value != [] and not blank:
                        found[name] = (path, value)
                    break
        return found

    def _add_samples(self, made: Row, row: Mapping[str, Any], found: Found) -> None:
        path, text = found.get("text", ("", None))
        replies = [row] if path == "choices" else text if isinstance(text, list) else [text]
        if all(values.is_reply(reply) for reply in replies) and replies:
            for reply in replies:
                made.model, some, of_reply = reply_samples(reply, "" if path == "choices" else path)
                made.samples += some
                made.taken += of_reply if reply is replies[0] else []
            self._complete(made, row, found)
            return
        if isinstance(text, Mapping) and text.get("error"):
            raise Failed(snippet(text["error"], 60).strip("'"))
        columns = {name: self._listed(name, *found[name]) for name in RESULTS if name in found}
        width = next((len(value) for value in columns.values() if isinstance(value, list)), None)
        for name, column in columns.items():
            if isinstance(column, list) and len(column) != width:
                raise InputError(
                    f"{name!r} has {counted(len(column), 'entry')}, others {width}; a list holds one entry per sample"
                )
            if width is not None and not isinstance(column, list) and name not in self.options.fields:
                raise InputError(f"{name!r} is one value beside a list of {width}; write one entry per sample")
            made.taken.append((name, *found[name]))
        numbers = {}
        for name in (*NUMBERS, "finish"):
            if name in found:
                value = found[name][1]
                if isinstance(value, list) and len(value) != width:
                    self._misfit(made, name, found[name], f"has {counted(len(value), 'entry')}, others {width}")
                else:
                    numbers[name] = value
        number = self._number(made, found, width)
        for j in range(1 if width is None else width):
            entry = {name: value[j] if isinstance(value, list) else value for name, value in columns.items()}
            sample = Sample(
                values.text(entry.get("text"), "text"),
                values.text(entry.get("answer"), "answer"),
                values.right(entry.get("correct"), "correct"),
                number,
            )
            for name, value in numbers.items():
                self._add_fact(made, sample, name, found[name][0], value[j] if isinstance(value, list) else value)
            _whole_prompt(sample, found)
            self._judge(sample, row)
            made.samples.append(sample)
        made.taken += [(name, *found[name]) for name in numbers if any(name in one.facts for one in made.samples)]

    def _listed(self, name: str, path: str, value: Any) -> Any:
        """Return the entries of a result, one per sample; parts of one message are one text."""
        listed = name == "text" or self.plan.columns[name].listed or name in self.options.fields
        if not listed and isinstance(value, list) and values.message_text(value) is None:
            raise InputError(f"{path!r} is a list, but one value on other rows; write one entry per sample or none")
        return value

    def _judge(self, sample: Sample, row: Mapping[str, Any]) -> None:
        """Mark a sample without an answer as wrong; refuse one that nothing is known of."""
        paths = self.plan.paths
        expected = sample.answer if "answer" in paths else sample.text
        sample.silent = (
            sample.correct is None and not (expected or "").strip() and bool({"answer", "text"} & paths.keys())
        )
        if self.options.graded:
            return
        if "correct" in paths and sample.correct is None:
            if sample.silent:
                sample.correct = False
            elif "answer" not in paths:
                raise InputError(
                    f"{paths['correct'][0]!r} is empty, so whether the sample is right is not known. Fill it in, or "
                    "leave the line out"
                )
        # EvalPlus runs the tests of both kinds.
        if paths.get("correct", ("",))[0] == "plus_status" and sample.correct and "base_status" in row:
            sample.correct = values.right(row["base_status"], "base_status") is not False

    def _complete(self, made: Row, row: Mapping[str, Any], found: Found) -> None:
        """Add to the samples of a reply what stands beside it: one value, or a list with an entry per choice."""
        samples, n = made.samples, len(made.samples)
        for name in ("answer", "correct", *NUMBERS, "finish"):
            # In the reply's own usage.
            known = name in ("input_tokens", *CACHE) and "input_tokens" in samples[0].facts
            if name not in found or (known and name not in self.options.fields):
                continue
            path, value = found[name]
            entries = value if isinstance(value, list) else [value]
            words = f"has {counted(len(entries), 'entry')} for {counted(n, 'choice')}"
            if len(entries) != n and name in RESULTS:
                raise InputError(f"{name!r} {words}; write one entry per choice")
            if len(entries) != n and name != "cost":
                self._misfit(made, name, found[name], words)
                continue
            for j, sample in enumerate(samples):
                if name == "answer":
                    sample.answer = values.text(entries[j], name)
                elif name == "correct":
                    sample.correct = values.right(entries[j], name)
                else:
                    self._add_fact(made, sample, name, path, entries[min(j, len(entries) - 1)])
                    if len(entries) < n and name in sample.facts:
                        sample.facts[name] /= n  # the cost of one request
            made.retake(name, path, value)
        number = self._number(made, found, n if n > 1 else None)
        for sample in samples:
            sample.number = number
            self._judge(sample, row)

    def _number(self, made: Row, found: Found, width: int | None) -> int | None:
        if "sample" not in found:
            return None
        use = found["sample"]
        if width is not None:
            self._misfit(made, "sample", use, "numbers one sample, but the row holds a list of them; drop it")
            return None
        try:
            number = values.whole(use[1], "sample")
        except InputError as error:
            self._misfit(made, "sample", use, str(error))
            return None
        made.taken.append(("sample", *use))
        return number

    def _add_fact(self, made: Row, sample: Sample, name: str, path: str, value: Any) -> None:
        if value is None:
            return
        try:
            known = str(value) if name == "finish" else values.quantity(value, name)
        except InputError as error:
            self._misfit(made, name, (path, value), str(error))
            return
        if known is not None:
            sample.facts[name] = known

    def _misfit(self, made: Row, name: str, use: tuple[str, Any], words: str) -> None:
        """Leave out a value that does not fit; refuse it where the user named the field."""
        if name in self.options.fields:
            raise InputError(words if words.startswith("'") else f"{name!r} {words}")
        made.left.append((name, *use))

    def _question(self, found: Found) -> dict[str, Any]:
        known: dict[str, Any] = {}
        if "question" in found:
            text = question_text(found["question"][1])
            if text is not None and text.strip():
                known["question"] = text
            elif "question" in self.options.fields:
                raise InputError(f"'question' is {snippet(found['question'][1])}; expected text")
        for name in ("accept", "choices"):
            if name in found:
                known[name] = found[name][1]
        if "gold" in found:
            value = found["gold"][1]
            listed = values.alternatives(value) if self.plan.listed_golds or isinstance(value, list) else None
            if listed:
                known["gold"], *others = listed
                others = [*known.get("accept", ()), *others]
                known |= {"accept": others} if others else {}
            elif listed is None:
                known["gold"] = str(value) if isinstance(value, bool | int | float) else value
        return known


def _whole_prompt(sample: Sample, found: Found) -> None:
    """Add to the input tokens what the cache had a part in, where the log counts it beside them."""
    named = {found[name][0].rpartition(".")[2] for name in ("input_tokens", *CACHE) if name in found}
    if "input_tokens" in sample.facts and "input_tokens" in named and named.intersection(BESIDE):
        sample.facts["input_tokens"] += sum(sample.facts.get(name, 0) for name in CACHE[:2])
