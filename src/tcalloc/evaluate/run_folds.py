"""Every contestant in every fold, in this process or several; what comes back does not depend on how many.

A piece of work is one fold of one group of contestants (`Contestant.group`: those that share what is computed of a
fold). Workers are spawned, since a forked child would share the locks of threads that BLAS has started; everywhere,
here too, the libraries underneath are held to one thread: their sums would else depend on the number of threads.
The user's own policies run in this process, before all others: what they are made of need not be picklable, and a
mistake in one of them is reported before hours were spent on the rest.
"""

import os
import pickle
import signal
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tcalloc._checks import is_whole, whole
from tcalloc._threads import one_thread, processors
from tcalloc.errors import TcallocError
from tcalloc.evaluate.forecast import Bar
from tcalloc.learn.holdout.folds import Dial, Frontier, Tuned, placed, split

if TYPE_CHECKING:
    from tcalloc.evaluate.contestants import Contestant

__all__ = ["Part", "Ran", "end_workers", "part_of", "run", "workers"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
# Processes that may be started on any machine, however few its processors.
FEW = 4


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One contestant in one fold: the settings on its training hull, and what they did on the held-out questions."""

    nominal: Floats
    """(H,) rising: the place of each on the dial that all folds share; of what is not matched, its training spend."""
    spend: Floats
    """(H, m) on each held-out question."""
    accuracy: Floats
    """(H, m)."""
    claimed: Floats
    """(H,) NaN: it promises nothing."""
    held: Rows
    """(m,) which questions these are."""


@dataclass(slots=True)
class Ran:
    """What came of it."""

    parts: dict[str, list[list[Part]]] = field(default_factory=dict)
    """Contestant -> repeat -> fold."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Contestant -> why it could not be trained."""
    notes: list[str] = field(default_factory=list)
    """What was noticed, each a sentence."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of work."""

    members: tuple[int, ...]
    """Positions of the contestants."""
    repeat: int
    fold: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Which questions are held out when."""

    n: int
    folds: int
    repeats: int
    seed: int
    fixed: "tuple[Floats, Floats] | None" = None
    """(N, F) costs and accuracies of the fixed actions, whose hull makes the dial that all folds share."""
    copies: int = 1
    """How often each question stands among the rows: `tcalloc.evaluate.problem.Problem.copies`."""

    def rows(self, held: Rows) -> Rows:
        """Return all copies of some questions, copy by copy."""
        return np.concatenate([held + copy * self.n for copy in range(self.copies)])

    def dial(self, train: Rows) -> Dial | None:
        """Return one fold's dial: an action of the training hull stands where all questions' mean cost of it is."""
        if self.fixed is None:
            return None
        cost, accuracy = self.fixed
        frontier = Frontier.of(cost[train].mean(axis=0), accuracy[train].mean(axis=0))
        return Dial.of(frontier.spend, cost.mean(axis=0)[frontier.settings])

    def of(self, piece: Piece) -> tuple[Rows, Rows, int]:
        """Return training rows, held-out rows and the seed."""
        seed = self.seed + piece.repeat
        train, held = split(self.n, self.folds, seed)[piece.fold]
        return train, held, seed


def workers(n_jobs: Any) -> int:
    """Return how many processes ``n_jobs`` means; -1: one per processor that this process may use.

    More than there are processors gain nothing and take memory: beyond `FEW`, no more are started.
    """
    usable = processors()
    if is_whole(n_jobs) and n_jobs == -1:
        return usable
    return min(whole("n_jobs", n_jobs, 1, of="processes", hint=", or -1 for one per processor"), max(usable, FEW))


def run(
    contestants: Sequence["Contestant"],
    n: int,
    *,
    folds: int,
    repeats: int = 1,
    seed: int = 0,
    n_jobs: int = 1,
    progress: bool = False,
    fixed: tuple[Floats, Floats] | None = None,
    copies: int = 1,
) -> Ran:
    """Train and score all contestants, whose names differ, in all folds of n questions.

    Repeat r splits by `seed` + r, and trains with it. `fixed` are costs and accuracies of the fixed actions, (N, F)
    each: they bring the training spends of all folds to one dial. `copies` is how often each question stands among the
    rows that contestants know, N = copies × n. The first copy trains, and a held-out question is scored by the mean
    over its copies.

    A contestant whose training refuses (a `TcallocError`) is skipped, with the words it refused with; what is raised in
    the user's own policies comes through as it is.
    """
    count = workers(n_jobs)
    plan = Plan(n, folds, repeats, seed, fixed, copies)
    own = [c for c, contestant in enumerate(contestants) if contestant.kind == "own"]
    grouped: dict[str, list[int]] = {}
    for c, contestant in enumerate(contestants):
        if contestant.kind != "own":
            grouped.setdefault(contestant.group or f" {contestant.name}", []).append(c)
    first = [Piece((c,), r, f) for c in own for r in range(repeats) for f in range(folds)]
    pieces = [Piece(tuple(members), r, f) for members in grouped.values() for r in range(repeats) for f in range(folds)]

    def group_of(piece: Piece) -> str:
        contestant = contestants[piece.members[0]]
        return contestant.group or contestant.name

    # One training of each group comes first: then it is known how long they take. The groups are the long ones: begun
    # early, they do not leave a worker alone at the end.
    pieces.sort(key=lambda piece: (piece.repeat + piece.fold > 0, not contestants[piece.members[0]].group))
    bar = Bar([group_of(piece) for piece in (*first, *pieces)], progress, min(count, max(len(pieces), 1)))
    ran = Ran()
    found: dict[tuple[int, int, int], Part] = {}

    def take(piece: Piece, done: "Done") -> None:
        parts, seconds, process = done
        for c, part in parts.items():
            if isinstance(part, str):
                ran.skipped.setdefault(contestants[c].name, part)
            else:
                found[c, piece.repeat, piece.fold] = part
        bar.step(group_of(piece), seconds, process)

    with one_thread(), bar:
        for piece in first:
            try:
                take(piece, timed(contestants, plan, piece))
            except Exception as error:
                error.add_note(f"It was raised by own[{contestants[piece.members[0]].name!r}], in fold {piece.fold}.")
                raise
        if count > 1 and len(pieces) > 1:
            left = []
            others = [None if contestant.kind == "own" else contestant for contestant in contestants]
            for piece, done in spread(others, plan, pieces, min(count, len(pieces))):
                if done is None:
                    left.append(piece)
                else:
                    take(piece, done)
            if left:
                ran.notes.append(
                    "The worker processes ended unexpectedly, and the rest was done in this one. Processes need a main "
                    'program that can be imported: put its work under `if __name__ == "__main__":`.'
                )
            pieces = sorted(left, key=lambda piece: (piece.members, piece.repeat, piece.fold))
        for piece in pieces:
            take(piece, timed(contestants, plan, piece))
    for c, contestant in enumerate(contestants):
        if contestant.name not in ran.skipped:
            ran.parts[contestant.name] = [[found[c, r, f] for f in range(folds)] for r in range(repeats)]
    return ran


def part_of(tuned: Tuned, held: Rows, dial: Dial | None = None, copies: int = 1) -> Part:
    """Return what is left of a training when only the settings on the hull are kept.

    The dial is the fold's (see `tcalloc.learn.holdout.folds.placed`), or None of what is not matched, which keeps its
    spends in training. `copies` is how often each held-out question was scored; what is kept is the mean.
    """
    frontier = Frontier.of(tuned.spend, tuned.accuracy)
    kept = frontier.settings

    def by_question(values: Floats) -> Floats:
        known = np.asarray(values, np.float64)[kept]
        return np.asarray(known.reshape(len(known), copies, -1).mean(axis=1))

    claimed = np.full(len(kept), np.nan) if tuned.claimed is None else np.asarray(tuned.claimed, np.float64)[kept]
    spend, accuracy = by_question(tuned.held_spend), by_question(tuned.held_accuracy)
    return Part(placed(tuned, frontier, dial), spend, accuracy, claimed, held)


Done = tuple[dict[int, Part | str], float, int]
"""Each member's part or words, the seconds that it took, and the process that did it."""


def timed(contestants: Sequence["Contestant | None"], plan: Plan, piece: Piece) -> Done:
    """Return what `work` does, and how long it took."""
    began = time.perf_counter()
    parts = work(contestants, plan, piece)
    return parts, time.perf_counter() - began, os.getpid()


def work(contestants: Sequence["Contestant | None"], plan: Plan, piece: Piece) -> dict[int, Part | str]:
    """Return each member's part, or the words with which it refused."""
    train, held, seed = plan.of(piece)
    parts: dict[int, Part | str] = {}
    for c in piece.members:
        contestant = contestants[c]
        assert contestant is not None
        try:
            tuned = contestant.fit(train, plan.rows(held), seed)
            parts[c] = part_of(tuned, held, plan.dial(train) if contestant.matched else None, plan.copies)
        except TcallocError as error:
            if contestant.kind == "own":
                raise
            parts[c] = f"it could not be trained: {error}"
    return parts


# ---------------------------------------------------------------------------------------------- processes

# In a worker: what all its pieces are about.
_HERE: dict[str, Any] = {}


def prepare(payload: bytes) -> None:
    """Make a worker ready."""
    _HERE["contestants"], _HERE["plan"] = pickle.loads(payload)
    _HERE["threads"] = one_thread()
    _HERE["threads"].__enter__()


def remote(piece: Piece) -> Done:
    """Do a piece in a worker."""
    return timed(_HERE["contestants"], _HERE["plan"], piece)


def spread(
    contestants: Sequence["Contestant | None"], plan: Plan, pieces: Sequence[Piece], count: int
) -> Iterator[tuple[Piece, Done | None]]:
    """Yield pieces with what came of them, as they are done; with None those that no worker could do."""
    # All at once, so that what contestants share is sent once.
    payload = pickle.dumps((list(contestants), plan))
    waiting: dict[Future[Done], Piece] = {}
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=prepare, initargs=(payload,))
    try:
        undone = list(pieces)
        try:
            with unheard():
                for piece in pieces:
                    waiting[pool.submit(remote, piece)] = piece
                    undone.remove(piece)
        except BrokenProcessPool:
            pass
        yield from ((piece, None) for piece in undone)
        while waiting:
            done, _ = wait(waiting, return_when=FIRST_COMPLETED)
            for future in done:
                piece = waiting.pop(future)
                try:
                    yield piece, future.result()
                except BrokenProcessPool:
                    yield piece, None
    except BaseException:
        end_workers(pool)  # after an error, or Ctrl-C: what has begun is not waited for, it may take minutes
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def end_workers(pool: ProcessPoolExecutor) -> None:
    """End the processes of a pool at once, so that its shutdown has nothing to wait for.

    A process that is ended while it sends a result leaves half of it. The pool waits for the rest as long as any
    process could still write it. This one could, so its end of the pipe is closed.
    """
    for process in list((getattr(pool, "_processes", None) or {}).values()):
        process.terminate()
    writer = getattr(getattr(pool, "_result_queue", None), "_writer", None)
    if writer is not None:
        writer.close()


@contextmanager
def unheard() -> Iterator[None]:
    """Let processes that are started meanwhile never hear of Ctrl-C: this one does, right after, and ends them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which they inherit
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
