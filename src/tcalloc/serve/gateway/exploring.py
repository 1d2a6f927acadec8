"""Requests of which all samples were drawn, stored as a run folder from which policies are fitted."""

import os
import secrets
import threading
import time
from collections.abc import Sequence
from typing import cast

from tcalloc.errors import InputError
from tcalloc.llm.client import ChatClient
from tcalloc.llm.run_folder import arm_of
from tcalloc.runs.records import SampleRecord
from tcalloc.runs.run_files import is_run
from tcalloc.runs.store import Store

__all__ = ["Explored"]

# What a record keeps of a sample if texts are not stored.
_PLAIN = (
    "sample", "model", "finish", "truncated", "input_tokens", "cached_tokens", "cache_write_tokens",
    "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "estimated", "logprob", "choice", "choices", "cost",
    "request_cost", "seconds",
)  # fmt: skip


class Explored:
    """The run folder of explored requests. Threads may share it; close it.

    Parameters
    ----------
    path : path
        The folder: new, or one to continue.
    texts : bool
        Whether questions, completions and answers are stored. Otherwise an answer is stored as a number that is equal
        for equal answers to one question, and nothing else of a text.
    """

    def __init__(self, path: str | os.PathLike[str], texts: bool):
        path = os.fspath(path)
        manifest = {"explored": True, "texts": texts}
        self._store = Store.open(path) if is_run(path) else Store.create(path, manifest, [])
        if {name: self._store.manifest.get(name) for name in manifest} != manifest:
            self._store.close()
            kind = "with texts" if texts else "without texts"
            raise InputError(f"{path}: no run folder of explored requests {kind}. Give another folder.")
        self._texts = texts
        self._guard = threading.Lock()

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
            The name of what finds the answers.
        policy : str
            The origin of the policy that was served: `tcalloc.learn.saving.policy_folder.origin_of`.
        """
        name = secrets.token_hex(8)
        arms = {client.model: client for client in clients}
        codes: dict[str, str] = {}
        with self._guard:
            for client in clients:
                self._store.add_arm(arm_of(client, grader) | {"grader": grader, "parameters": {}})
            at = round(time.time(), 3)
            told = text if self._texts else None
            self._store.add_question({"id": name, "question": told, "at": at, "policy": policy})
            for record in records:
                kept = dict(record) if self._texts else {key: record[key] for key in _PLAIN if key in record}  # type: ignore[literal-required]
                arm = arms[str(record["model"])].arm
                answer = record.get("answer")
                if answer is not None and not self._texts:
                    answer = codes.setdefault(str(answer), f"answer {len(codes) + 1}")
                # The hash of what was asked would let a guessed text be confirmed.
                params = record["params"] if self._texts else arm
                kept |= {"id": name, "arm": arm, "params": params, "answer": answer, "correct": None}
                self._store.append(cast("SampleRecord", kept))

    def close(self) -> None:
        """Bring everything to the disk."""
        self._store.close()
