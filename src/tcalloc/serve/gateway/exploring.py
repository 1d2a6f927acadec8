"""Explored requests, with all their samples, as a run folder from which policies are fitted."""

import math
import os
import secrets
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast

from tcalloc._checks import is_number
from tcalloc.errors import InputError, MissingExtraError
from tcalloc.llm.client import ChatClient
from tcalloc.llm.run_folder import arm_of
from tcalloc.runs.records import PLAIN, SampleRecord
from tcalloc.runs.run_files import is_run
from tcalloc.runs.store import Store

__all__ = ["Explored"]


class Explored:
    """The run folder of explored requests. Threads may share it; close it.

    Parameters
    ----------
    path : path
        The folder: new, or one to continue.
    texts : bool
        Whether questions, completions and answers are stored. Otherwise an answer is stored as a number that is equal
        for equal answers to one question, and of the question the 16 counts of `tcalloc.learn.features.lexical`.
    keep : float
        Seconds after which the texts of a request are removed. Its samples stay, with such numbers.
    """

    def __init__(self, path: str | os.PathLike[str], texts: bool, keep: float = math.inf):
        path = os.fspath(path)
        manifest = {"explored": True, "texts": texts}
        self._store = Store.open(path) if is_run(path) else Store.create(path, manifest, [])
        if {name: self._store.manifest.get(name) for name in manifest} != manifest:
            self._store.close()
            kind = "with texts" if texts else "without texts"
            raise InputError(f"{path}: no run folder of explored requests {kind}. Give another folder.")
        self._texts, self._keep = texts, keep
        self._guard = threading.Lock()
        try:
            self.forget(unfinished=True)
        except BaseException:
            self._store.close()
            raise

    def add(
        self, text: str, records: Sequence[SampleRecord], clients: Sequence[ChatClient], grader: str, policy: str
    ) -> None:
        """Store one request; may block.

        Parameters
        ----------
        text : str
            The question.
        records : sequence of SampleRecord
            Its samples.
        clients : sequence of ChatClient
            One for each model, with the settings that all requests share.
        grader : str
            The grader's name.
        policy : str
            The origin of the policy that was served: `tcalloc.learn.saving.policy_folder.origin_of`.
        """
        name = secrets.token_hex(8)
        arms = {client.model: client for client in clients}
        codes = _Codes()
        with self._guard:
            for client in clients:
                self._store.add_arm(arm_of(client, grader) | {"grader": grader, "parameters": {}})
            at = round(time.time(), 3)
            told = {"question": text} if self._texts else {"question": None, "counts": _counts(text)}
            self._store.add_question({"id": name, "at": at, "policy": policy} | told)
            for record in records:
                whole = cast("SampleRecord", {**record, "id": name, "arm": arms[str(record["model"])].arm})
                whole["correct"] = None
                self._store.append(whole if self._texts else codes.plain(whole))

    def forget(self, *, unfinished: bool = False) -> None:
        """Remove the texts that are older than they may be, from all files; may block.

        Parameters
        ----------
        unfinished : bool
            Whether to look at the samples even if no question has a text that is too old. A process that died may have
            removed the texts of the questions alone.
        """
        if not self._texts or self._keep == math.inf:
            return
        before = time.time() - self._keep
        damaged = os.path.join(self._store.path, "samples.damaged")
        with self._guard:
            if os.path.exists(damaged) and os.path.getmtime(damaged) < before:
                os.unlink(damaged)
            old = {one["id"]: one.get("question") for one in self._store.questions() if _age(one) < before}
            if not any(text is not None for text in old.values()) and not (unfinished and old):
                return
            codes: dict[str, _Codes] = defaultdict(_Codes)
            self._store.rewrite(
                lambda one: _without_text(one) if one["id"] in old else one,
                lambda record: codes[record["id"]].plain(record) if record["id"] in old else record,
            )

    def close(self) -> None:
        """Write everything to the disk."""
        self._store.close()


class _Codes:
    """The answers to one question as numbers: equal numbers for equal answers."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}

    def plain(self, record: SampleRecord) -> SampleRecord:
        """Return a sample without its text."""
        kept: dict[str, Any] = {key: record[key] for key in PLAIN if key in record}  # type: ignore[literal-required]
        answer = record.get("answer")
        if answer is not None:
            answer = self._known.setdefault(str(answer), f"answer {len(self._known) + 1}")
        # The hash of what was asked would let a guessed text be confirmed.
        kept |= {"id": record["id"], "arm": record["arm"], "params": record["arm"], "answer": answer, "correct": None}
        return cast("SampleRecord", kept)


def _age(question: Mapping[str, Any]) -> float:
    """Return when a question was stored, in seconds since 1970; where that is not known, long ago."""
    at = question.get("at")
    return float(at) if is_number(at) else -math.inf


def _counts(text: str) -> dict[str, float] | None:
    """Return the counts of a text; None where the extra `learn` is missing, without which no policy looks at them."""
    try:
        from tcalloc.learn.features import lexical_rows
    except MissingExtraError:
        return None
    return lexical_rows([text])[0]


def _without_text(question: Mapping[str, Any]) -> dict[str, Any]:
    text = question.get("question")
    counts = question.get("counts") if text is None else _counts(text)
    return {**question, "question": None, "counts": counts}
