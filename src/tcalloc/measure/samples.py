"""Samples: the answers that were drawn, and the tables that follow from them.

What to use when
----------------
`Samples.load`
    From a run folder, which ``tcalloc sample`` or ``tcalloc import`` wrote.
`Samples`
    From arrays you have.
`Samples.labelled`
    Where no gold answers are known: samples whose reference is their own most frequent answer, or a stronger model's.
`Samples.table`
    What each action of a set reaches and costs on each question, ready to solve.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tcalloc._checks import number, one_of
from tcalloc.errors import InputError
from tcalloc.measure.actions import Action, Best, One, Vote
from tcalloc.measure.labels import GOLD, parse_labels
from tcalloc.measure.load_run import load_run
from tcalloc.measure.misleading import signs_of
from tcalloc.measure.referee import by_gold, judged, label
from tcalloc.measure.sample_arrays import CONFIDENCE, SampleArrays
from tcalloc.measure.table import Table
from tcalloc.measure.tabulate import mean_table, tabulate

__all__ = ["Samples"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Samples(SampleArrays):
    """What was drawn: one row per question, one column per sample, of one model or of several.

    Parameters
    ----------
    answers : array_like of int, (N, S), optional
        Codes: 0 the gold answer, 1, 2, … the question's other answers, −1 no answer, −2 not drawn.
    correct : array_like, (N, S), optional
        Whether a sample is right: bool, or 1, 0 and −1 (not drawn). Follows from `answers` if they are given. Alone it
        is enough for one plain sample (`One`), and for the best of k where a verifier recognises right answers live.
    cost : float or array_like, (N,) or (N, S), optional
        Cost of a sample; NaN: unknown. Default: 1, so that costs count samples.
    round_cost : float or array_like, (N,), optional
        What a question's first draw costs besides its samples, in their unit: the prompt, and a price per request.
        Samples that are drawn at once share it. Default: 0.
    later_round_cost : float or array_like, (N,), optional
        The same of each later draw of the question, which may find the prompt in the provider's cache. Default: as
        `round_cost`.
    scores : array_like, (N, S), optional
        Of a reward model or the like, for the best of k by score; NaN ranks last.
    tokens : array_like, (N, S), or mapping, optional
        Output tokens, or a mapping of "input", "cached", "cache_write", "cache_write_1h", "output", "reasoning" to such
        arrays; for `Rates`. Those of the cache are among the input tokens, those of reasoning among the output tokens.
    logprobs : array_like, (N, S), optional
        Log-probability of each sample.
    ids : array_like, (N,), optional
        The questions' names. Default: counted from 0.
    confidence : mapping, optional
        How sure the model was of each sample, as (N, S) arrays: "mean", "tail" (at its end) and "lowest" (where it is
        lowest), as `tcalloc.llm.confidence` defines them.
    arms : mapping of str to Samples, optional
        Instead of all of the above but `ids`: the samples of several models (or settings) by name.
    notes : tuple of str
        What was noticed while they were read; each is a sentence.
    labels : Labels
        What the code 0 means; made by `labelled`. Default: the gold answer.
    gold : array_like of int, (N,), optional
        Of labelled samples: the code of each question's gold answer, −2 where it is not known. Made by `labelled`.

    Attributes
    ----------
    drawn : ndarray of bool, (N, S)
        Which samples there are.

    Raises
    ------
    InputError
        If the arrays do not fit each other or hold what is not allowed; names the place and the remedy.

    Examples
    --------
    Three questions, four samples each; 0 is the gold answer, 1, 2, … are others, −1 is none, −2 was not drawn:

    >>> from tcalloc.measure import Samples, Vote
    >>> samples = Samples([[0, 0, 0, 0], [1, 0, 2, 0], [1, 1, 0, -2]])
    >>> samples
    Samples(3 questions, 3 to 4 samples)
    >>> table = samples.table([Vote(1), Vote(3)], shrink=False)
    >>> table.acc.round(3).tolist()
    [[1.0, 1.0], [0.5, 0.667], [0.333, 0.0]]

    Several models, by name; their questions are the same:

    >>> both = Samples(arms={"small": Samples([[0, 1], [1, 1]]), "large": Samples([[0, 0], [0, 1]])})
    >>> both.table([Vote(1, "small"), Vote(2, "large")], shrink=False).action_names
    ('vote1 small', 'vote2 large')
    """

    def with_round_cost(self, round_cost: Any, later_round_cost: Any = None) -> "Samples":
        """Return the same samples with what each draw costs besides them, of every model alike.

        Parameters
        ----------
        round_cost, later_round_cost : float or array_like, (N,)
            As of `Samples`.

        Examples
        --------
        >>> from tcalloc.measure import Samples, Vote
        >>> Samples([[0, 0, 1]]).with_round_cost(2.0).table([Vote(1), Vote(3)], shrink=False).cost.tolist()
        [3.0, 5.0]
        """
        if self.arms is None:
            kept = ("answers", "cost", "scores", "tokens", "logprobs", "confidence", "ids")
            fields = {name: getattr(self, name) for name in kept}
            marks = None if self.answers is not None else np.where(self.drawn, self.correct, -1).astype(np.int8)
            given = {"round_cost": round_cost, "later_round_cost": later_round_cost}
            return Samples(**fields, correct=marks, **given, notes=self.notes)
        arms = {name: arm.with_round_cost(round_cost, later_round_cost) for name, arm in self.by_model.items()}
        return Samples(arms=arms, ids=self.ids, notes=self.notes)

    def scored_by(self, confidence: str) -> "Samples":
        """Return the same samples with the model's own confidence as their scores, of every model.

        The best of k by score (``Best(k, by="score")``), and `Sequential` with ``answer_by="score"``, then choose the
        answer of which the model was surest.

        Parameters
        ----------
        confidence : {"mean", "tail", "lowest"}
            Which figure.

        Raises
        ------
        InputError
            If it was not recorded.

        Examples
        --------
        >>> from tcalloc.measure import Best, Samples
        >>> sure = Samples([[1, 0], [0, 1]], confidence={"tail": [[2.0, 9.0], [8.0, 3.0]]}).scored_by("tail")
        >>> sure.table([Best(2, by="score")], shrink=False).acc.tolist()
        [[1.0], [1.0]]
        """
        one_of("confidence", confidence, CONFIDENCE)
        if self.arms is not None:
            return replace(self, arms={name: arm.scored_by(confidence) for name, arm in self.by_model.items()})
        if self.confidence is None or confidence not in self.confidence:
            raise InputError(
                f"the {confidence} confidence of samples was not recorded. Sample with --top-logprobs 20, or give "
                "Samples(confidence=…)."
            )
        marks = None if self.answers is not None else np.where(self.drawn, self.correct, -1).astype(np.int8)
        return replace(self, correct=marks, scores=self.confidence[confidence])

    def actions_of(self, model: str, ks: Iterable[int], verifier: bool = False) -> list[Action]:
        """Return what can be done with k samples of one model, for each k.

        Parameters
        ----------
        model : str
            Its name in `by_model`.
        ks : iterable of int
            Numbers of samples.
        verifier : bool
            Whether a verifier recognises right answers live.

        Returns
        -------
        list of Action
            With a verifier the best of k. Without one votes over k, if the model's answers were recorded; else one
            plain sample, if 1 is among the numbers: without a verifier, the right one of several samples is not known.

        Examples
        --------
        >>> from tcalloc.measure import Samples
        >>> marks = Samples(correct=[[1, 0], [1, 1]])
        >>> [action.name for action in marks.actions_of("", [1, 2])]
        ['one']
        >>> [action.name for action in marks.actions_of("", [1, 2], verifier=True)]
        ['best1', 'best2']
        """
        if not verifier and self.by_model[model].answers is None:
            return [One(model or None)] if 1 in ks else []
        make = Best if verifier else Vote
        return [make(k, model or None) for k in ks]

    def usual_actions(self, verifier: bool = False) -> list[Action]:
        """Return an action set for when none is asked for.

        Parameters
        ----------
        verifier : bool
            Whether a verifier recognises right answers live. It is never assumed.

        Returns
        -------
        list of Action
            Of each model, votes over 1, 3, 5, 9, 17, 33 samples where its answers were recorded, and one plain sample
            where only right and wrong were. With a verifier, the best of 1, 2, 4, 8, 16, 32. Numbers that fewer than
            half of the questions have are left out.
        """
        ks = (1, 2, 4, 8, 16, 32) if verifier else (1, 3, 5, 9, 17, 33)
        found = []
        for name, arm in self.by_model.items():
            sizes = arm.drawn.sum(axis=1)
            enough = float(np.median(sizes[sizes > 0])) if arm.drawn.any() else 0.0
            found += self.actions_of(name, [k for k in ks if k <= max(enough, 1.0)], verifier)
        return found

    def table(
        self,
        actions: Iterable[Action],
        shrink: bool | str = True,
        cross_fit: int | None = None,
        *,
        cost_per: str = "action",
        threads: int = 1,
    ) -> Table:
        """Return what each action reaches and costs on each question.

        Parameters
        ----------
        actions : list of Action
            Such as ``[Vote(1), Vote(4), Best(16)]``; of several models if there are arms.
        shrink : {True, False, "window"}
            How accuracies are estimated. True (the default): shrunk towards what questions have in common, so that
            choosing by them claims no more than comes true. False: the exact expectation over all subsets, unbiased for
            each action but not for the best of several. "window": means over disjoint windows of k samples, as in arXiv
            2604.14853; the noisiest, for comparison.
        cross_fit : int, optional
            Claim by choosing on one half of the samples and scoring on the other, over this many random splits; the
            table's ``claim(plan)`` then says that. Needs k ≤ S/2.
        cost_per : {"action", "question"}
            "action" (the default): an action costs the same everywhere, its mean over questions: what is known before
            anything is drawn. "question": each question's own mean, shrunk as its samples deserve; what the budget
            really pays if dear questions are chosen more often.
        threads : int
            Threads for counting votes.

        Returns
        -------
        Table
            With ``se`` (standard errors of fresh samples), ``notes``, ids and the actions' names. A question with fewer
            samples than an action needs does not have that action.

        Raises
        ------
        InputError
            If an action needs more samples than any question has, a model that is not there, answers or scores that
            were not recorded.
        """
        parts = judged(self)
        if len(parts) == 1:
            return tabulate(self, actions, shrink, cross_fit, cost_per=cost_per, threads=threads)
        asked = tuple(actions)
        return mean_table(
            [tabulate(part, asked, shrink, cross_fit, cost_per=cost_per, threads=threads) for part in parts]
        )

    def labelled(self, labels: str, *, gold: ArrayLike | None = None) -> "Samples":
        """Return the samples with a reference as code 0, for questions whose gold answer is not known.

        Their figures are agreement with the reference. `table`, `tcalloc.compare` and `tcalloc.fit` report the
        agreement with the reference of other samples than those that are judged: random halves judge each other.

        Parameters
        ----------
        labels : str
            What the reference is. "agreement": the most frequent answer of the most expensive model; of equals, the
            first. "agreement:MODEL": that of another model. "model:MODEL": the same for a model with fewer than four
            samples per question; with a single one, it agrees with itself by construction. "teacher:MODEL": that model
            only gives the reference, and is no choice of a policy. "score": the answer with the highest score.
        gold : array_like of bool, (N,), optional
            Questions in which the code 0 is the gold answer. These are kept aside, to say how often answers are right.
            Default: none; the code 0 is then an answer like any other.

        Returns
        -------
        Samples
            Of the questions that have a reference; `labels` says how many that are.

        Raises
        ------
        InputError
            If answers, costs, scores or a model are missing, or if no question has enough samples.

        Examples
        --------
        >>> from tcalloc.measure import Samples
        >>> samples = Samples([[3, 3, 1, 3], [1, 2, 2, 2]]).labelled("agreement")
        >>> samples.answers.tolist()
        [[0, 0, 1, 0], [1, 0, 0, 0]]
        >>> samples.labels.reference
        'the most frequent answer in 4 samples'
        """
        known = None
        if gold is not None:
            known = np.asarray(gold)
            if known.shape != (len(self),) or known.dtype != np.bool_:
                raise InputError(
                    f"gold has shape {known.shape} and dtype {known.dtype}; expected ({len(self)},) of booleans: in "
                    "which questions the code 0 is the gold answer."
                )
        found = label(self, labels, known)
        warning = "" if found.labels.gold else signs_of(found).warning()
        return replace(found, notes=(*found.notes, warning)) if warning else found

    def by_gold(self) -> "tuple[Samples, NDArray[np.intp]]":
        """Return the questions whose gold answer is known, with it as code 0, and their row numbers.

        Without such questions, the row numbers are empty.
        """
        return by_gold(self)

    @classmethod
    def load(cls, path: str | os.PathLike[str], labels: str = "gold", *, per_second: float = 0.0) -> "Samples":
        """Return the samples of a run folder.

        Parameters
        ----------
        path : path
            What ``tcalloc sample`` or ``tcalloc import`` wrote.
        labels : str
            What counts as the right answer: "gold", or what `labelled` takes, such as "agreement". With others than
            "gold", questions without a gold answer are used too.
        per_second : float
            Cost of a second of waiting, in the unit of the costs. Each draw then costs as much more as its question's
            requests took on average.

        Returns
        -------
        Samples
            One arm per model (and per set of parameters, if a model was asked in several ways); without arms if there
            is one. Costs are those recorded; 1 per sample if any is missing. Of a model whose samples are marked right
            or wrong but have no answers, only `correct`; `notes` say so, and what else was noticed.

        Raises
        ------
        InputError
            If it is no run folder, or holds no graded samples.
        """
        if not isinstance(path, (str, os.PathLike)) or not os.path.isdir(path):
            raise InputError(f"{path}: no run folder; expected one that tcalloc sample or tcalloc import wrote.")
        kind, model = parse_labels(labels)
        cost = number("per_second", per_second, ends=True, of="a cost per second")
        found = load_run(path, cost, gold=kind == GOLD.kind)
        if len(found.arms) == 1:
            [(name, arrays)] = found.arms.items()
            samples = cls(**arrays, ids=found.ids, notes=found.notes)
            labels = kind if model == name and kind in ("agreement", "score") else labels
        else:
            arms = {name: cls(**arrays) for name, arrays in found.arms.items()}
            samples = cls(arms=arms, ids=found.ids, notes=found.notes)
        try:
            return samples.labelled(labels, gold=found.known)
        except InputError as error:
            raise InputError(f"{os.fspath(path)}: {error}") from None
