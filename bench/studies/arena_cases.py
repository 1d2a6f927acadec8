"""The tables of the arena: those of `stopping_cases.py` and `learned_policies.py`, as `tcalloc.compare` takes them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.studies import learned_policies, stopping_cases
from tcalloc.datasets import load_recorded
from tcalloc.measure import Samples, Table

# Spends at which all tables of one model's samples are compared. 8 and more gain little anywhere, 1 is one for all.
SPENDS = (1.25, 1.5, 2.0, 3.0, 4.0, 8.0)
# With --quick: so many questions, folds and spends.
FEW, FEW_FOLDS, FEW_SPENDS = 150, 3, 2


@dataclass(frozen=True)
class Entry:
    """One table, and what is compared on it."""

    name: str
    about: str
    """A line for people."""
    data: Samples | Table
    budgets: tuple[float, ...]
    x: list[Any] | None = None
    """Per question, what may be looked at before anything is drawn."""
    label: list[str] | None = None
    """Per question, a label that is known beforehand: a grade of difficulty, or the kind of task."""
    verifier: bool = False
    costs_known: bool = False

    @property
    def questions(self) -> int:
        """How many there are."""
        return len(self.data) if isinstance(self.data, Samples) else len(self.data.acc)

    def take(self, rows: Sequence[int]) -> "Entry":
        """Return some of the questions, at the first, middle or last of the spends."""
        some = self.data.take(rows) if isinstance(self.data, Samples) else _taken(self.data, rows)
        return replace(
            self,
            data=some,
            x=None if self.x is None else [self.x[i] for i in rows],
            label=None if self.label is None else [self.label[i] for i in rows],
        )

    def quick(self) -> "Entry":
        """Return a small version: fewer questions, two spends."""
        few = min(FEW, self.questions)
        rows = np.sort(np.random.default_rng(0).permutation(self.questions)[:few])
        middle = len(self.budgets) // 2
        return replace(self.take(rows.tolist()), budgets=self.budgets[middle - 1 : middle - 1 + FEW_SPENDS])


def _taken(table: Table, rows: Sequence[int]) -> Table:
    """Return some of the rows, with accuracy and costs alone: the arena's tables have nothing else."""
    cost = table.cost if table.cost.ndim == 1 else table.cost[rows]
    return Table(table.acc[rows], cost, action_names=table.action_names)


ABOUT = {
    "gsm8k_gpt4omini": "GSM8K, gpt-4o-mini, 40 samples each, spends in samples",
    "gsm8k_qwen25_1p5b": "GSM8K, Qwen2.5-1.5B-Instruct, 30 samples each, spends in samples",
    "cruxeval output": "CRUXEval, predict the output, CodeLlama-7B, 10 samples each, spends in samples",
    "cruxeval input, verifier": "CRUXEval, find an input, CodeLlama-7B, 10 samples each, checked by running them",
    "aime24 low": "AIME 2024, o3-mini, low effort, 40 samples each, no texts",
    "aime24 medium": "AIME 2024, o3-mini, medium effort, 40 samples each, no texts",
    "aime24 high": "AIME 2024, o3-mini, high effort, 40 samples each, no texts",
    "aime24, efforts by tokens": "AIME 2024, o3-mini at three efforts, spends in output tokens, no texts",
    "recorded smollm2_135m": "the shipped table, SmolLM2-135M, 32 samples each",
    "recorded gemma3_270m": "the shipped table, Gemma-3-270M, 16 samples each",
    "recorded qwen25_0p5b": "the shipped table, Qwen2.5-Coder-0.5B, 16 samples each",
    "recorded, smollm2 then qwen": "the shipped table, SmolLM2 (cost 1) and Qwen2.5 (cost 2.6 a sample)",
}


def entries(names: Sequence[str] = ("",)) -> list[Entry]:
    """Return the tables whose name holds one of some texts; only the shipped ones where ../shared/data is not there."""
    labels = [str(level) for level in load_recorded().difficulty.tolist()]
    found = []
    for case in stopping_cases.cases():
        base = case.name.removesuffix(", verifier")
        about = ABOUT.get(case.name) or f"{ABOUT[base]}; right answers are recognized"
        size = max(arm.drawn.shape[1] for arm in case.samples.by_model.values())
        several = len(case.samples.by_model) > 1
        budgets = case.spends if several else tuple(b for b in SPENDS if b < size)
        label = labels if case.name.startswith("recorded") else None
        found.append(Entry(case.name, about, case.with_extras, budgets, case.texts, label, case.verifier))
    if stopping_cases.DATA.is_dir():
        found += [_mmlupro(False), _mmlupro(True), _ulab()]
    return [entry for entry in found if any(name in entry.name for name in names)]


def _mmlupro(whole: bool) -> Entry:
    """Return MMLU-Pro with the four usual models on a part of the questions, or with all models on all questions."""
    budgets = (1.0, 2.0, 4.0, 6.0)
    if not whole:
        case = learned_policies.mmlupro()
        questions, x, table, categories = "4,000 of 11,969 questions", case.x("both"), case.table, case.categories
    else:
        found, rows = learned_policies.load("mmlupro_28models")
        # Two models of unknown size have no cost.
        which = np.flatnonzero(np.isfinite(found["active_params_b"]))
        cost = found["active_params_b"][which] * np.minimum(found["out_chars"][:, which], 4000) / 4000
        names = tuple(str(name) for name in found["model"][which])
        table = Table(found["correct"][:, which].astype(float), cost.astype(float), action_names=names)
        categories = [str(category) for category in found["category"]]
        texts = ["\n".join([row["question"], *row["options"]]) for row in rows]
        x = [{"question": text, "kind": kind} for text, kind in zip(texts, categories, strict=True)]
        questions = f"all {len(rows):,} questions"
    models = table.acc.shape[1]
    about = (
        f"MMLU-Pro, {questions}, one answer each of {models} models; spends are billions of active parameters × output "
        "characters / 4,000, paid as they come; texts and categories are known"
    )
    return Entry(f"mmlupro, {models} models", about, table, budgets, x, categories)


def _ulab() -> Entry:
    case = learned_policies.ulab()
    about = (
        f"13 tasks mixed, one answer each of {len(case.actions)} models; spends are prices × (prompt / 4 + 200), known "
        "beforehand; texts and tasks are known"
    )
    return Entry("ulab", about, case.table, case.budgets, case.x("both"), case.categories, costs_known=True)
