"""The live part: what is missing of every question's responses, drawn, graded and stored at once.

Each data set and model has a run folder of its own (`tcalloc.llm.sampler`), which the same command goes on with.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from bench.paper.consent import Unasked, agree, before, words
from bench.paper.data import Data
from bench.paper.presets import Preset
from bench.paper.tasks import Task
from tcalloc import Rates
from tcalloc.errors import InputError, TcallocError
from tcalloc.llm.client import ChatClient
from tcalloc.llm.forecast import forecast
from tcalloc.llm.graders import check_golds, make_grader
from tcalloc.llm.http.keys import find_key, is_loopback
from tcalloc.llm.parameters import Parameters
from tcalloc.llm.sampler import Outcome, sample
from tcalloc.measure import Samples
from tcalloc.runs.run_files import is_run
from tcalloc.runs.store import read_run

__all__ = ["Asking", "Incomplete", "Job"]

PILOT = 5


class Incomplete(TcallocError):
    """Not all responses are there; the same command goes on. `interrupted`: since somebody wished so."""

    def __init__(self, message: str, interrupted: bool = False):
        super().__init__(message)
        self.interrupted = interrupted


@dataclass(frozen=True, slots=True)
class Asking:
    """How models are asked, whatever the data set.

    Attributes
    ----------
    responses : int
        Per question.
    out : Path
        Where run folders are.
    concurrency : int
        Requests at one time.
    per_request : int or None
        Responses per request; None: as many as the preset's host gives.
    temperature : float
        Of sampling.
    max_tokens : int or None
        None: what is usual for the data set.
    seed : int
        What the responses' seeds derive from.
    max_cost : float or None
        For each data set and model; None: what was agreed to.
    partial : bool
        Whether questions with too few responses are left out, instead of ending it.
    yes : bool
        Whether every question is answered yes.
    key : str or None
        The environment variable that holds the API key; None: where `tcalloc.llm.http.keys` says.
    """

    responses: int
    out: Path
    concurrency: int = 8
    per_request: int | None = None
    temperature: float = 0.7
    max_tokens: int | None = None
    seed: int = 0
    max_cost: float | None = None
    partial: bool = False
    yes: bool = False
    key: str | None = None


class Job:
    """One data set and one model.

    Parameters
    ----------
    task : Task
        What is asked.
    preset : Preset
        Who is asked.
    asking : Asking
        How.
    parameters : Parameters, optional
        Of the requests; otherwise those of `asking` and `task`.
    label : str, optional
        As `ChatClient` has it, for a server that moves.
    """

    def __init__(
        self, task: Task, preset: Preset, asking: Asking, parameters: Parameters | None = None, label: str | None = None
    ):
        self.task, self.preset, self.asking = task, preset, asking
        self.name = f"{task.dataset} x {preset.name}"
        safe = "".join(c if c.isalnum() or c in "-._" else "-" for c in preset.name.lower())
        self.folder = asking.out / f"{task.key}-{safe}"
        self.parameters = parameters or Parameters(
            temperature=asking.temperature,
            max_tokens=asking.max_tokens or task.max_tokens,
            system=task.system,
            logprobs=True,
            seed=asking.seed,
        )
        self.per_request = asking.per_request or preset.choices
        self.label = label
        self.stop: float | None = None
        """What may be spent in all, as agreed; None: no limit."""

    @property
    def rates(self) -> Rates | None:
        """What tokens cost."""
        if self.preset.price_in is None or self.preset.price_out is None:
            return None
        return Rates.per_million(self.preset.price_in, self.preset.price_out)

    @property
    def free(self) -> bool:
        """Whether nothing is paid: a server on this machine without prices."""
        return not self.preset.priced and is_loopback(urlsplit(self.preset.base_url).hostname)

    def client(self, *, key: bool = True) -> ChatClient:
        """Return a client; it connects only when it is asked something."""
        return ChatClient(
            self.preset.base_url,
            self.preset.model,
            self.parameters,
            key=find_key(self.preset.base_url, variable=self.asking.key) if key and self.label is None else None,
            rates=self.rates,
            label=self.label,
        )

    def check(self) -> None:
        """Refuse before any work gold answers that the grader cannot read."""
        check_golds(make_grader(self.task.grader), self.task.questions)

    # ------------------------------------------------------------------------------------------ cost

    def plan(self) -> Unasked:
        """Forecast without any call; set where the run will stop.

        Raises
        ------
        InputError
            If the folder holds responses that were asked for in another way.
        """
        asking, spent = self.asking, 0.0
        held = dict.fromkeys((question.id for question in self.task.questions), 0)
        if is_run(str(self.folder)):
            with self.client(key=False) as client:
                arm = client.arm
            for record in read_run(self.folder).records:
                if record["arm"] != arm:
                    raise InputError(
                        f"{self.folder}: holds responses that were asked for in another way (model, host, temperature, "
                        "max_tokens, seed). Ask as before, or give another --out."
                    )
                spent += record.get("cost") or 0.0
                if record["sample"] < asking.responses and record["id"] in held:
                    held[record["id"]] += 1
        system = len(self.parameters.system or "")
        prices = (0.0, 0.0) if self.free else None
        if self.preset.price_in is not None and self.preset.price_out is not None:
            prices = (self.preset.price_in, self.preset.price_out)
        limit = None if asking.max_cost is None else max(0.0, asking.max_cost - spent)
        plan = before(
            self.name,
            [system + sum(len(m["content"]) for m in question.messages) for question in self.task.questions],
            [asking.responses - n for n in held.values()],
            sum(held.values()),
            self.per_request,
            self.task.usual_tokens,
            prices,
            limit,
        )
        self.stop = None if plan.stop is None or self.free else spent + plan.stop
        return plan

    # ------------------------------------------------------------------------------------------ drawing

    def draw(self) -> None:
        """Draw what is missing: first a few, for a better forecast, then the rest.

        Raises
        ------
        Incomplete
            If not all are there in the end.
        Refused
            If it costs more than what was agreed to, and the answer is no.
        """
        grader = make_grader(self.task.grader)
        try:
            with self.client() as client:
                self._finish(self._draw(client, grader, PILOT), partly=True)
                self._ask_again(client)
                self._finish(self._draw(client, grader, None))
        finally:
            close = getattr(grader, "close", None)  # worker processes
            if close is not None:
                close()

    def _draw(self, client: ChatClient, grader: object, pilot: int | None) -> Outcome:
        return sample(
            self.task.questions,
            client,
            grader,
            self.asking.responses,
            out=str(self.folder),
            max_cost=self.stop,
            concurrency=self.asking.concurrency,
            n_per_request=self.per_request,
            progress=pilot is None,
            pilot=pilot,
            say=_say,
        )

    def _finish(self, outcome: Outcome, *, partly: bool = False) -> None:
        for note in outcome.notes if not partly else ():
            _say(f"note: {note}")
        if outcome.complete:
            return
        why = outcome.stopped or (outcome.reasons[0] if outcome.reasons else "interrupted.")
        if outcome.interrupted or not (self.asking.partial or (partly and outcome.stopped is None)):
            raise Incomplete(
                f"{self.name}: {outcome.there + outcome.drawn:,} of {outcome.wanted:,} responses are stored in "
                f"{self.folder}: {why} The same command goes on; --partial takes the questions that are complete.",
                outcome.interrupted,
            )
        _say(f"{self.name}: {why}")

    def _ask_again(self, client: ChatClient) -> None:
        """Say what the responses that are there foretell; ask again if that is more than was agreed to."""
        asking, questions = self.asking, self.task.questions
        records = read_run(self.folder).records
        plan = forecast(
            records,
            client.arm,
            len(questions),
            asking.responses,
            n_per_request=self.per_request,
            n_limit=client.n_limit,
            concurrency=asking.concurrency,
        )
        if plan is None or not plan.samples:
            return
        _say(words(self.name, plan))
        if self.stop is None or plan.cost_high is None:
            return
        spent = sum(record.get("cost") or 0.0 for record in records)
        if spent + plan.cost_high > self.stop and asking.max_cost is None:
            more = spent + 1.2 * plan.cost_high
            agree(f"That is more than was agreed to (${self.stop:,.4g}). Spend up to ${more:,.4g} in all?", asking.yes)
            self.stop = more

    # ------------------------------------------------------------------------------------------ reading

    def data(self) -> Data:
        """Return the responses that are stored.

        Raises
        ------
        InputError
            If too few questions are complete.
        """
        loaded, most = Samples.load(self.folder), self.asking.responses
        whole = loaded.sizes >= most
        questions = {question.id: i for i, question in enumerate(self.task.questions)}
        kept = [questions[str(name)] for name in np.asarray(loaded.ids)[whole]]
        notes = [f"{self.preset.words}."]
        if len(kept) < len(questions):
            notes.append(
                f"{len(questions) - len(kept)} of {len(questions)} questions have too few responses: left out."
            )
        if not kept:
            raise InputError(f"{self.folder}: no question has {most} responses. Let the run go on.")
        some = loaded.take(np.flatnonzero(whole)).columns(np.tile(np.arange(most), (len(kept), 1)))
        tokens = some.tokens.get("output") if isinstance(some.tokens, dict) else some.tokens
        plain = Samples(some.answers, tokens=None if tokens is None else {"output": tokens}, logprobs=some.logprobs)
        levels = self.task.levels
        return Data(
            self.task.dataset,
            self.preset.name,
            [self.task.questions[i].text for i in kept],
            plain,
            None if levels is None else [levels[i] for i in kept],
            (*notes, *loaded.notes),
            None if some.cost is None else float(np.mean(some.cost)),
        )


def _say(message: str) -> None:
    print("bench.paper:", " ".join(message.split("\n")), file=sys.stderr, flush=True)
