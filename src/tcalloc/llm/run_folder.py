"""The run folder of the sampler: opening it, and learning from the samples in it."""

import json
import shlex
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

from tcalloc.errors import InputError
from tcalloc.llm.client import ChatClient
from tcalloc.llm.money.journal import NAME, Journal
from tcalloc.llm.questions import Question
from tcalloc.runs.run_files import is_run
from tcalloc.runs.store import Store
from tcalloc.runs.verdicts import refuse_half_graded

__all__ = ["arm_of", "journal_of", "open_run", "spent_before", "spread"]


def open_run(out: str, questions: Sequence[Question], client: ChatClient, grader: Any) -> Store:
    """Make the run folder, or open it to continue with the same questions and grader."""
    digest = _digest(questions)
    arm = arm_of(client, grader)
    if not is_run(out):
        manifest = {"questions": len(questions), "questions_sha256": digest, "arms": [arm]}
        # With their texts, from which policies learn; other fields of the file may be categories.
        own = ({"id": q.id, "question": q.text, "gold": q.gold, "accept": list(q.accept)} for q in questions)
        rows = (
            dict(q.extra) | row | ({"choices": list(q.choices)} if q.choices else {})  # for graders that need them
            for q, row in zip(questions, own, strict=True)
        )
        return Store.create(out, manifest, rows)
    store = Store.open(out)
    try:
        refuse_half_graded(out, store.manifest)
        if store.manifest.get("questions_sha256") != digest:
            raise InputError(f"{out}: made from other questions. Give that file or another folder.")
        for known in store.manifest["arms"]:
            if known.get("arm") == client.arm and known.get("grader") != arm["grader"]:
                grade = f"tcalloc grade {shlex.quote(out)} --grader {shlex.quote(str(arm['grader']))}"
                raise InputError(
                    f"{out}: its samples are graded by {known.get('grader')!r}, not {arm['grader']!r}. Use that "
                    f"grader, or grade them by this one first: {grade}"
                )
        store.add_arm(arm)
    except BaseException:
        store.close()
        raise
    return store


def journal_of(store: Store) -> Journal:
    """Return the requests of an open run folder; those that were paid and lost count in the next call."""
    store.claim(NAME)
    return Journal(store.path)


def arm_of(client: ChatClient, grader: Any) -> dict[str, Any]:
    """Return the entry of an arm in a run's manifest."""
    rates = client.rates
    return {
        "arm": client.arm,
        "model": client.model,
        "host": client.host,
        "parameters": client.parameters.as_dict(),
        "grader": str(getattr(grader, "name", type(grader).__name__)),
        "rates": None if rates is None else rates.as_dict(),
    }


def _digest(questions: Iterable[Question]) -> str:
    whole = sha256()
    for question in questions:
        row = [question.id, question.messages, question.gold, question.accept]
        whole.update(json.dumps(row, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    return whole.hexdigest()


def spent_before(store: Store, client: ChatClient) -> float:
    """Return the cost of the stored samples; learn from them how many tokens texts have."""
    spent = 0.0
    for record in store.records():
        spent += record.get("cost") or 0.0
        single = record.get("choices") == 1 and not record.get("estimated") and record.get("arm") == client.arm
        text, tokens = record.get("text"), record.get("output_tokens")
        if single and text is not None and tokens is not None and not record.get("reasoning_tokens"):
            client.counter.learn(len(text), int(tokens))
    return spent


def spread(questions: Sequence[Question], count: int) -> list[Question]:
    """Return `count` questions, evenly spread, because files are often sorted."""
    count = min(count, len(questions))
    return [questions[(2 * i + 1) * len(questions) // (2 * count)] for i in range(count)]
