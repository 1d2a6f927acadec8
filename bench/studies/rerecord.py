"""Record the SmolLM2 part of the shipped table again, with the package's own adapter, and compare.

    python -m bench.studies.rerecord                            293 questions x 32 samples: 8 to 20 minutes on one core
    python -m bench.studies.rerecord --questions 60 --samples 8   a part of it: a minute or two
    python -m bench.studies.rerecord --out run/                   keep the run; go on with it when interrupted

Needs ``pip install 'tcalloc[llm,local]'``. The same questions, few-shot examples and parameters as recorded, but other
seeds: what is compared are two independent samples of what should be one distribution, question by question. All
intervals are 95 % over questions, paired. Exit code 1 if they disagree by more than chance explains.
"""

import argparse
import math
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tcalloc.datasets import Recorded, load_recorded
from tcalloc.demo.live import picked
from tcalloc.llm.client import ChatClient
from tcalloc.llm.graders import make_grader
from tcalloc.llm.local import PARAMETERS, serve
from tcalloc.llm.questions import question_from
from tcalloc.llm.sampler import Outcome, sample
from tcalloc.measure import vote_accuracy
from tcalloc.measure.samples import Samples

SLOTS = 8
MODEL = "smollm2_135m"
VOTES = (1, 2, 4, 8, 16, 32)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of both recordings: means over questions, and the paired interval of their difference."""

    name: str
    recorded: float
    now: float
    low: float
    high: float

    @property
    def agrees(self) -> bool:
        """Whether 0 is in the interval."""
        return self.low <= 0 <= self.high

    def __str__(self) -> str:
        return (
            f"{self.name:<22} {self.recorded:9.4f} {self.now:9.4f}   {self.now - self.recorded:+.4f} "
            f"({self.low:+.4f} to {self.high:+.4f})  {'agrees' if self.agrees else 'DIFFERS'}"
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two recordings of the same questions."""

    questions: int
    lines: list[Line]
    correlation: float
    """Of the questions' accuracies in the two recordings,"""
    expected_correlation: float
    """and what chance leaves of a correlation of 1."""
    noise: float
    """Mean squared difference of the accuracies, over what sampling alone gives: 1 for one distribution,"""
    noise_low: float
    """with its interval."""
    noise_high: float

    @property
    def agrees(self) -> bool:
        """Whether they may have drawn from one distribution."""
        # Of nine lines at 95 % one may fail by chance: the mean accuracy and the noise decide, well beyond chance.
        first = self.lines[0]
        half = (first.high - first.low) / 2
        return abs(first.now - first.recorded) < 1.5 * half and self.noise_low < 1.25

    def __str__(self) -> str:
        head = f"{'':<22} {'recorded':>9} {'now':>9}   difference (95 % interval, paired over questions)"
        return "\n".join(
            [
                head,
                *map(str, self.lines),
                "",
                f"per question: correlation {self.correlation:.3f} (what sampling noise leaves of 1: "
                f"{self.expected_correlation:.3f})",
                f"              squared difference {self.noise:.2f} of what sampling alone gives "
                f"({self.noise_low:.2f} to {self.noise_high:.2f})",
                f"{'AGREE' if self.agrees else 'DISAGREE'} on {self.questions} questions",
            ]
        )


def paired(name: str, recorded: Floats, now: Floats) -> Line:
    """Compare per-question figures."""
    difference = now - recorded
    half = 1.96 * float(difference.std(ddof=1)) / math.sqrt(len(difference))
    mean = float(difference.mean())
    return Line(name, float(recorded.mean()), float(now.mean()), mean - half, mean + half)


def compare(recorded: Recorded, rows: NDArray[np.intp], codes: NDArray[np.int16], tokens: Floats) -> Comparison:
    """Compare codes and tokens (n, S) of some of the recorded questions with those recorded."""
    before, samples = recorded.answers[MODEL][rows], codes.shape[1]
    lines = [
        paired("accuracy" if k == 1 else f"vote of {k}", vote_accuracy(before, k), vote_accuracy(codes, k))
        for k in VOTES
        if k <= min(samples, before.shape[1])
    ]
    lines += [
        paired("pass@4", *(pass_at(4, values) for values in (before, codes))),
        paired("without an answer", (before == -1).mean(axis=1), (codes == -1).mean(axis=1)),
        paired("tokens per sample", recorded.tokens[MODEL][rows].mean(axis=1), tokens.mean(axis=1)),
    ]

    p, q = (before == 0).mean(axis=1), (codes == 0).mean(axis=1)
    s, t = before.shape[1], samples
    # Under one distribution E (p - q)^2 = v (1/s + 1/t), v the variance of one answer, estimated from both.
    pooled = (s * p + t * q) / (s + t)
    variance = pooled * (1 - pooled) * (s + t) / (s + t - 1)
    observed, expected = (p - q) ** 2, variance * (1 / s + 1 / t)
    noise = float(observed.sum() / expected.sum())
    # The ratio's standard error over questions (delta method).
    half = 1.96 * float((observed - noise * expected).std(ddof=1)) * math.sqrt(len(p)) / float(expected.sum())
    true = max(float(pooled.var() - (variance / (s + t)).mean()), 1e-12)
    spread = math.sqrt((true + (variance / s).mean()) * (true + (variance / t).mean()))
    return Comparison(
        len(rows), lines, float(np.corrcoef(p, q)[0, 1]), true / spread, noise, noise - half, noise + half
    )


def pass_at(k: int, codes: NDArray[np.int16]) -> Floats:
    """Return pass@k per question, without bias: 1 - C(S - c, k) / C(S, k)."""
    samples = codes.shape[1]
    none = np.array([math.comb(samples - right, k) / math.comb(samples, k) for right in range(samples + 1)])
    return np.asarray(1 - none[(codes == 0).sum(axis=1)])


def record(rows: NDArray[np.intp], recorded: Recorded, samples: int, seed: int, out: str) -> tuple[Samples, Outcome]:
    """Sample the questions with the package's adapter from the package's local model."""
    questions = [
        question_from({"id": str(recorded.ids[i])} | recorded.questions[i], f"recorded question {i}", str(i))
        for i in rows
    ]
    # With log-probabilities tokens are counted, not estimated.
    parameters = replace(PARAMETERS, logprobs=True, seed=seed)
    with (
        serve(slots=SLOTS) as server,
        ChatClient(server.base_url, server.model, parameters, key=None, label="local") as client,
    ):
        # Two requests under way, so that one waits when the other is done.
        outcome = sample(
            questions,
            client,
            make_grader("normalized"),
            samples,
            out=out,
            concurrency=2,
            n_per_request=SLOTS,
            progress=True,
            say=lambda line: print(line, file=sys.stderr),
        )
    for note in (*outcome.notes, *outcome.reasons):
        print("note:", note, file=sys.stderr)
    if not outcome.complete:
        raise SystemExit(
            f"not all samples are there: {outcome.stopped or 'interrupted'}. With --out, run again to go on."
        )
    return Samples.load(out), outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=293, help="how many, spread over all families")
    parser.add_argument("--samples", type=int, default=32, help="per question")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", metavar="DIR", help="the run folder, kept; a temporary one if not given")
    args = parser.parse_args()
    recorded = load_recorded()
    rows = picked(recorded, args.questions)
    with tempfile.TemporaryDirectory() as folder:
        samples, outcome = record(rows, recorded, args.samples, args.seed, args.out or str(Path(folder) / "run"))
    tokens = samples.tokens["output"]
    print(f"SmolLM2-135M: {args.questions} questions x {args.samples} samples, {tokens.sum():.0f} tokens")
    if outcome.drawn:
        rate = outcome.drawn / outcome.seconds
        print(f"{outcome.drawn} samples drawn now, in {outcome.seconds:.0f} s: {rate:.1f} per second")
    print()
    found = compare(recorded, rows, samples.answers[:, : args.samples].astype(np.int16), tokens)
    print(found)
    return 0 if found.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
