"""A run folder as arrays: what `Samples.load` reads."""

import itertools
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tcalloc._counts import agreeing, counted
from tcalloc.errors import InputError
from tcalloc.measure.actions import SETTINGS
from tcalloc.measure.round_costs import RoundCosts
from tcalloc.measure.sample_arrays import CONFIDENCE, TOKENS
from tcalloc.runs.jsonl import snippet
from tcalloc.runs.recorded_answers import Voices, notes_of
from tcalloc.runs.records import SampleRecord
from tcalloc.runs.run_files import LIVE
from tcalloc.runs.store import read_run
from tcalloc.runs.verdicts import Failures, failed, refuse_half_graded

__all__ = ["Loaded", "load_run"]

Floats = NDArray[np.float64]

NUMBERS = {"cost": "cost", "request_cost": "request_cost", "logprob": "logprobs",
           **{f"{kind}_tokens": kind for kind in TOKENS},
           **{f"confidence_{kind}": f"confidence_{kind}" for kind in CONFIDENCE}}  # fmt: skip

# Arrays have a row per question, and in each arm as many columns as the question with the most samples. They may have
# this many cells per sample, or this many in all. More is an accident or an attack, and would fill the memory.
CELLS_PER_SAMPLE = 64
CELLS_IN_ANY_CASE = 1 << 20


@dataclass(frozen=True, slots=True)
class Loaded:
    """The arguments of `Samples`, per arm."""

    arms: dict[str, dict[str, Any]]
    ids: NDArray[Any]
    notes: tuple[str, ...]
    known: NDArray[np.bool_]
    """(N,) questions that have a gold answer."""


def load_run(path: str | os.PathLike[str], per_second: float = 0.0, *, gold: bool = True) -> Loaded:
    """Read a run folder and lay its samples out: a row per question, a column per sample, an arm per model.

    With `gold`, questions without a gold answer are left out; else all stay.

    Codes: 0 for right answers, 1, 2, … for a question's others in the order in which they appear (the same answer has
    one code in all arms), −1 for none. A model whose samples are marked but have no answers has no codes, only marks
    (`tcalloc.runs.recorded_answers` distinguishes that from abstaining). A note says how many questions were left out
    because they have no gold answer: without one there is agreement, not accuracy.
    """
    name = os.fspath(path)
    run = read_run(name)
    refuse_half_graded(name, run.manifest)
    notes = list(run.notes)
    if not run.records:
        raise InputError(f"{name}: holds no samples yet. Draw some first: tcalloc sample ... --out {name}")
    index = {str(question["id"]): i for i, question in enumerate(run.questions)}
    marked, strangers = set(), 0
    kept = []
    ungraded, waiting = Failures(), set()
    for record in run.records:
        if str(record["id"]) not in index:
            strangers += 1
            continue
        if failed(record):
            ungraded.add(record["error"])
            waiting.add(str(record["id"]))
            continue
        kept.append(record)
        if record.get("correct") is not None:
            marked.add(str(record["id"]))
    if strangers:
        notes.append(
            f"{counted(strangers, 'sample')} of questions that are not in questions.jsonl "
            f"{agreeing(strangers, 'is', 'are')} left out."
        )
    if ungraded.count:
        notes.append(f"Samples were left out. {ungraded.words(name)}")
    if not marked and ungraded.count:
        raise InputError(f"{name}: no sample is marked right or wrong. {ungraded.words(name)}")
    answered = any(record.get("answer") is not None for record in kept)
    if not marked and not (answered and not gold):
        raise InputError(
            f"{name}: no sample is marked right or wrong, because no question has a gold answer. "
            + (
                "Its answers can be judged by how often they agree with each other: labels='agreement' (--labels "
                "agreement). Or give gold answers (field 'answer') and grade again."
                if answered
                else "No answers were recorded either. Grade the texts: tcalloc grade RUN --grader NAME."
            )
        )
    unmarked = {str(record["id"]) for record in kept} - marked
    if unmarked and gold:
        notes.append(
            f"{len(unmarked):,} of {counted(len(index), 'question')} {agreeing(len(unmarked), 'has', 'have')} no gold "
            f"answer and {agreeing(len(unmarked), 'is', 'are')} left out. To use all questions, judge answers by how "
            "often they agree: labels='agreement' (--labels agreement)."
        )
    missing = len(index) - len(marked | unmarked | waiting)
    if missing:
        have = agreeing(missing, "has", "have")
        notes.append(
            f"{missing:,} of {counted(len(index), 'question')} {have} no samples yet and "
            f"{agreeing(missing, 'is', 'are')} left out."
        )
    used = marked if gold else marked | unmarked
    rows = {question: i for i, question in enumerate(q for q in index if q in used)}
    arms = _arms([record for record in kept if str(record["id"]) in rows], run.manifest["arms"])
    _refuse_padding(name, arms, len(rows))
    codes: dict[str, dict[Any, int]] = defaultdict(dict)
    voices = {arm: Voices.of(records, _graded(records, run.manifest)) for arm, records in arms.items()}
    arrays = {
        arm: _layout(records, rows, codes, voices[arm].votes, _apart(records, run.manifest["arms"]))
        for arm, records in arms.items()
    }
    notes += notes_of(voices)
    notes += _selected(name, arms.values(), len(rows))
    if any("cost" not in found for found in arrays.values()):
        if any("cost" in found for found in arrays.values()):
            notes.append("some samples have no recorded cost: costs count samples instead.")
        for found, name in itertools.product(arrays.values(), ("cost", "round_cost", "later_round_cost")):
            found.pop(name, None)
    if per_second:
        for arm, found in arrays.items():
            waited = per_second * _seconds(name, arm, arms[arm], rows)
            for draw in ("round_cost", "later_round_cost"):
                found[draw] = found.get(draw, 0.0) + waited
    guessed = sum(bool(record.get("estimated")) for record in kept)
    if guessed:
        notes.append(f"the token counts of {counted(guessed, 'sample')} are estimates, because the server gave none.")
    known = np.array([question in marked for question in rows], bool)
    return Loaded(arrays, np.array(list(rows), dtype=object), tuple(notes), known)


def _refuse_padding(path: str, arms: dict[str, list[SampleRecord]], rows: int) -> None:
    """Refuse samples whose arrays would be nearly empty, before memory is reserved for them."""
    cells, samples, worst = 0, 0, (0, "", "")
    for arm, records in arms.items():
        question, width = Counter(str(record["id"]) for record in records).most_common(1)[0]
        cells += rows * width
        samples += len(records)
        worst = max(worst, (width, question, arm))
    if cells > max(CELLS_IN_ANY_CASE, CELLS_PER_SAMPLE * samples):
        width, question, arm = worst
        raise InputError(
            f"{path}: the samples are spread too unevenly. {snippet(question)} has {width:,} of {snippet(arm)}, but "
            f"there are only {counted(samples, 'sample')} in all, of {counted(rows, 'question')} and "
            f"{counted(len(arms), 'model')} (or settings): nearly all of a table would be empty. Leave out questions "
            "with far more samples than the others, and models with far fewer."
        )


def _graded(records: list[SampleRecord], manifest: dict[str, Any]) -> bool:
    """Say whether a grader looked for the answers of one arm."""
    if manifest.get("grader") is not None:  # of an import
        return True
    graded = {str(arm.get("arm")) for arm in manifest["arms"] if isinstance(arm, dict) and arm.get("grader")}
    return str(records[0].get("arm")) in graded


def _selected(path: str, arms: Iterable[list[SampleRecord]], questions: int) -> list[str]:
    """Return a warning if a policy decided, while it sampled, which question has how many samples."""
    if not any(os.path.exists(os.path.join(path, name)) for name in LIVE):
        return []
    sizes = [(0, 0)]
    for records in arms:
        counts = Counter(str(record["id"]) for record in records)
        sizes.append((min(counts.values()) if len(counts) == questions else 0, max(counts.values())))
    if all(low == high for low, high in sizes):
        return []  # the same number for everyone: whatever was decided, nothing is selected
    low, high = sum(low for low, _ in sizes), sum(high for _, high in sizes)
    return [
        f"tcalloc answer drew these samples, and a policy decided how many each question gets ({low} to {high}): where "
        "it stopped by what the first ones said, all that is estimated or learned from them is biased. Draw the same "
        "number for every question with tcalloc sample."
    ]


def _arms(records: Iterable[SampleRecord], descriptions: Any) -> dict[str, list[SampleRecord]]:
    """Sort the samples by model; by model and settings where a model was asked in several ways."""
    found: dict[tuple[str, str], list[SampleRecord]] = defaultdict(list)
    for record in records:
        # "params" also hashes the prompt; "arm" is what the samples of different questions share.
        found[str(record.get("model", "")), str(record.get("arm", record.get("params", "")))].append(record)
    asked = {str(arm.get("arm")): arm.get("parameters") for arm in descriptions if isinstance(arm, dict)}
    named: dict[str, list[SampleRecord]] = {}
    for (model, arm), some in found.items():
        name = " ".join([model, *_differing(arm, [other for of, other in found if of == model], asked)]).strip()
        named[f"{name} {arm}" if name in named else name] = some
    return named


def _differing(arm: str, others: list[str], asked: dict[str, Any]) -> list[str]:
    """Return the settings that tell one arm of a model from the others, as the names of actions write them."""
    if len(others) == 1:
        return []
    if not all(isinstance(asked.get(other), dict) for other in others):
        return [arm]
    short = {field: word for word, field in SETTINGS.items()}
    keys = sorted({key for other in others for key in asked[other]}, key=lambda key: [*short, key].index(key))
    descriptions = []
    for key in keys:
        values = [asked[other].get(key) for other in others]
        value = asked[arm].get(key)
        if value is not None and any(value != other for other in values):
            text = f"{value:g}" if isinstance(value, float) else str(value)
            descriptions.append(f"{short.get(key, key)}={'_'.join(text.split())}")
    return descriptions


def _apart(records: list[SampleRecord], arms: Any) -> bool:
    """Return whether the samples of an arm each pay for a prompt of their own, as far as was recorded."""
    if all((record.get("choices") or 1) == 1 for record in records):
        return True
    name = str(records[0].get("arm"))
    rates = next((arm.get("rates") for arm in arms if isinstance(arm, dict) and str(arm.get("arm")) == name), None)
    return isinstance(rates, dict) and rates.get("prompt_once") is False


def _seconds(path: str, arm: str, records: list[SampleRecord], rows: dict[str, int]) -> Floats:
    """Return how long the requests of each question took on average; of all questions where that is not known."""
    total, count = np.zeros(len(rows)), np.zeros(len(rows))
    for record in records:
        if not record.get("choice") and (seconds := record.get("seconds")) is not None:
            total[rows[str(record["id"])]] += seconds
            count[rows[str(record["id"])]] += 1
    if not count.any():
        raise InputError(
            f"{path}: per_second is given, but it was not recorded how long requests of {snippet(arm)} took. Leave it "
            "out."
        )
    return np.where(count > 0, total / np.maximum(count, 1), total.sum() / count.sum())


def _layout(
    records: list[SampleRecord],
    rows: dict[str, int],
    codes: dict[str, dict[Any, int]],
    votes: bool,
    apart: bool,
) -> dict[str, Any]:
    """Return one arm's arrays, with answers or, without `votes`, with marks alone.

    If samples pay for their prompts `apart`, samples that are drawn at once share nothing.

    Columns are a question's samples in the order of their numbers, without gaps.
    """
    by_question: list[list[SampleRecord]] = [[] for _ in rows]
    for record in records:
        by_question[rows[str(record["id"])]].append(record)
    width = max(map(len, by_question))
    answers = np.full((len(rows), width), -2, np.int32)
    # Memory only for what is recorded.
    empty = np.broadcast_to(np.float64(np.nan), (len(rows), width))
    numbers = {key: empty.copy() if any(record.get(source) is not None for record in records) else empty
               for source, key in (*NUMBERS.items(), ("score", "scores"))}  # fmt: skip
    scores, requests = numbers["scores"], np.full((len(rows), width), np.nan)
    for i, some in enumerate(by_question):
        some.sort(key=lambda record: record["sample"])
        for j, record in enumerate(some):
            answers[i, j] = _code(record, codes[str(record["id"])]) if votes else 0 if record.get("correct") else 1
            for source, key in NUMBERS.items():
                if (value := cast("float | None", record.get(source))) is not None:
                    numbers[key][i, j] = value
            if record.get("score") is not None:
                scores[i, j] = record["score"]
            if (
                not record.get("choice") and (share := record.get("request_cost")) is not None
            ):  # the first of its request
                requests[i, j] = share * (1 if apart else record.get("choices") or 1)
    drawn = answers != -2
    arrays: dict[str, Any] = {"answers": answers}
    if not votes:
        arrays = {"correct": np.where(drawn, answers == 0, -1).astype(np.int8)}
    if not np.isnan(numbers["cost"][drawn]).any():
        known = not np.isnan(numbers["request_cost"][drawn]).any()
        arrays |= (
            _costs(numbers["cost"], numbers["request_cost"], requests, apart) if known else {"cost": numbers["cost"]}
        )
    if not np.isnan(numbers["logprobs"][drawn]).all():
        arrays["logprobs"] = numbers["logprobs"]
    if not np.isnan(scores[drawn]).all():
        arrays["scores"] = scores
    elif "logprobs" in arrays:
        arrays["scores"] = numbers["logprobs"]
    sure = {key: numbers[f"confidence_{key}"] for key in CONFIDENCE}
    if not all(np.isnan(values[drawn]).all() for values in sure.values()):
        arrays["confidence"] = sure
    tokens = {key: numbers[key] for key in TOKENS if not np.isnan(numbers[key][drawn]).all()}
    if tokens:
        arrays["tokens"] = tokens
    return arrays


def _costs(cost: Floats, shares: Floats, requests: Floats, apart: bool) -> dict[str, Any]:
    """Take apart what samples cost, and what the draws that bring them cost besides, all (N, S).

    `shares` are the parts of `cost` that samples paid for their requests. `requests` are what each request cost besides
    its samples, where its first sample stands. If each sample pays for a prompt of its own, they are `apart`.
    """
    rounds = RoundCosts.of_requests(requests)
    if not rounds.any:
        return {"cost": cost}
    answers = np.maximum(cost - shares, 0.0)
    if apart:  # the first draw's prompt is more expensive, and nothing else is shared
        again = np.minimum(rounds.first, rounds.later)
        return {"cost": answers + again[:, None], "round_cost": rounds.first - again, "later_round_cost": 0.0 * again}
    return {"cost": answers, "round_cost": rounds.first, "later_round_cost": rounds.later}


def _code(record: SampleRecord, codes: dict[Any, int]) -> int:
    if record.get("correct"):
        return 0
    if record.get("answer") is None:
        return -1
    return codes.setdefault(record["answer"], len(codes) + 1)
