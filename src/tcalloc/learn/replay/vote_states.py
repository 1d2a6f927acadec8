"""The counts of votes after each sample, and the distinct states among them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TOP", "States", "Walk", "distinct_states"]

Ints = NDArray[np.int64]

# The number of largest counts that a state keeps: those that the Dirichlet criterion uses.
TOP = 5
# Up to this number of samples a state packs into 64 bits; beyond it, finding the distinct states takes longer.
PACKED = 127


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """States of the counts; every field is (M,), `counts` is (M, 5)."""

    n: Ints
    """Number of samples drawn so far."""
    voted: Ints
    """Number of those samples that have an answer."""
    counts: Ints
    """Votes of the five most frequent answers, descending, padded with 0."""
    distinct: Ints
    """Number of different answers."""
    streak: Ints
    """How many of the last samples gave the same answer; 0 if the last sample gave none."""
    success: NDArray[np.bool_]
    """Whether the verifier accepted a sample; False without a verifier."""

    def __len__(self) -> int:
        return len(self.n)


class Walk:
    """The counts of votes after each sample; one row per question and order."""

    def __init__(self, codes: Ints):
        rows, s = codes.shape
        every = np.arange(rows)
        labels, many = labelled(codes)
        is_gold = codes == 0
        label = np.take_along_axis(labels, is_gold.argmax(axis=1)[:, None], axis=1)[:, 0]
        gold = np.where(is_gold.any(axis=1), label, -1)
        votes = np.zeros((rows, many), np.int64)
        # at_least[:, v]: number of answers with v votes or more. If an answer gets its v-th vote and is the k-th to do
        # so, the k-th largest count becomes v. So nothing needs sorting.
        at_least = np.zeros((rows, s + 1), np.int64)
        ordered = np.zeros((rows, max(many, TOP)), np.int64)
        leader, streak, last = np.full(rows, -1), np.zeros(rows, np.int64), np.full(rows, -2)
        self.counts = np.empty((rows, s, TOP), np.int16)
        self.distinct, self.streak = np.empty((rows, s), np.int16), np.empty((rows, s), np.int16)
        self.voted = np.cumsum(codes >= 0, axis=1, dtype=np.int16)
        self.even, self.first = np.empty((rows, s), np.float32), np.empty((rows, s), np.float32)
        for j in range(s):
            label = labels[:, j]
            spoke = np.flatnonzero(label >= 0)
            said = label[spoke]
            votes[spoke, said] += 1
            now = votes[spoke, said]
            best = ordered[spoke, 0].copy()
            at_least[spoke, now] += 1
            ordered[spoke, at_least[spoke, now] - 1] = now
            # On a tie the answer that came first leads: the one with the lower label.
            leader[spoke] = np.where(
                now > best, said, np.where(now == best, np.minimum(leader[spoke], said), leader[spoke])
            )
            streak = np.where(label < 0, 0, np.where(label == last, streak + 1, 1))
            last = label
            top = ordered[:, 0]
            tied = np.maximum(at_least[every, top], 1)
            of_gold = np.where(gold >= 0, votes[every, np.maximum(gold, 0)], 0)
            self.counts[:, j] = ordered[:, :TOP]
            self.distinct[:, j] = at_least[:, 1]
            self.streak[:, j] = streak
            self.even[:, j] = np.where((of_gold == top) & (top > 0), 1.0 / tied, 0.0)
            self.first[:, j] = (leader == gold) & (top > 0)


def labelled(codes: Ints) -> tuple[Ints, int]:
    """Return the answers numbered in order of appearance (−1: none, or not drawn), and the largest possible number."""
    rows, s = codes.shape
    many = int(codes.max(initial=0)) + 1
    label_of = np.full((rows, many), -1, np.int64)
    following = np.zeros(rows, np.int64)
    labels = np.full((rows, s), -1, np.int64)
    for j in range(s):
        spoke = np.flatnonzero(codes[:, j] >= 0)
        said = codes[spoke, j]
        new = label_of[spoke, said] < 0
        label_of[spoke[new], said[new]] = following[spoke[new]]
        following[spoke[new]] += 1
        labels[spoke, j] = label_of[spoke, said]
    return labels, max(1, int(following.max(initial=0)))


def distinct_states(walk: Walk, success: NDArray[np.bool_]) -> tuple[States, NDArray[np.int32]]:
    """Return the distinct states of all walks, and the number of the state of each prefix."""
    rows, s = success.shape
    n = np.broadcast_to(np.arange(1, s + 1), (rows, s))
    fields = [n, walk.voted, *(walk.counts[:, :, t] for t in range(TOP)), walk.distinct, walk.streak]
    if s <= PACKED:
        packed = success.astype(np.uint64)
        for field in fields:
            packed = (packed << np.uint64(7)) | field.astype(np.uint64)
        _, first, which = np.unique(packed, return_index=True, return_inverse=True)
    else:
        stacked = np.stack([*fields, success], axis=-1).reshape(rows * s, -1).astype(np.int32)
        _, first, which = np.unique(stacked, axis=0, return_index=True, return_inverse=True)
    kept = [np.asarray(field.reshape(-1)[first], np.int64) for field in fields]
    counts = np.ascontiguousarray(np.column_stack(kept[2 : 2 + TOP]))
    found = States(kept[0], kept[1], counts, kept[-2], kept[-1], success.reshape(-1)[first])
    return found, which.reshape(-1).astype(np.int32)
