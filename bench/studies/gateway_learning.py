"""Figures of what the gateway says of its explored requests: its intervals of savings, and its test for drift.

    python -m bench.studies.gateway_learning savings        coverage of the 95 % interval, 200 streams of each size
    python -m bench.studies.gateway_learning drift          false alarms and delays, 200 streams of each kind
    python -m bench.studies.gateway_learning drift --streams 50 --requests 1000

Savings: requests whose chance of the usual answer is Beta(2, 1), with 16 samples; a margin rule that was tuned on 300
others. The true saving is that on 30,000 requests.

Drift: 8 samples per request, costs of a sample lognormal with a spread of 0.3. Without a change, the share of streams
that raise any alarm is counted. Otherwise the change comes 200 requests after the policy is served, and the delay is
counted in explored requests after it.
"""

import argparse
from types import SimpleNamespace
from typing import Any

import numpy as np

from tcalloc import Samples
from tcalloc.evaluate.saving import saving_of
from tcalloc.learn.rivals import TunedRule
from tcalloc.serve.gateway.drift import Drift
from tcalloc.serve.gateway.exploring import Seen

AT = 200
# Name -> what multiplies costs, and the chance of the usual answer, from the change on.
CHANGES = {
    "none": (1.0, 1.0),
    "samples cost 20 % more": (1.2, 1.0),
    "samples cost 50 % more": (1.5, 1.0),
    "samples cost 30 % less": (0.7, 1.0),
    "the usual answer comes 15 % less often": (1.0, 0.85),
    "the usual answer comes 30 % less often": (1.0, 0.7),
}


def drawn(n: int, seed: int) -> Samples:
    """Return requests with 16 samples each."""
    rng = np.random.default_rng(seed)
    chance = rng.beta(2, 1, (n, 1))
    codes = np.where(rng.random((n, 16)) < chance, 0, rng.integers(1, 5, (n, 16)))
    return Samples(codes, cost=rng.uniform(0.5, 1.5, (n, 16))).labelled("agreement")


def savings(streams: int) -> None:
    """Print how often the interval holds the true saving."""
    rng = np.random.default_rng(1)
    codes = np.where(rng.random((300, 16)) < rng.beta(2, 1, (300, 1)), 0, rng.integers(1, 5, (300, 16)))
    policy = TunedRule("margin + cap", budget=3.0).fit(None, Samples(codes))
    true = saving_of(policy, drawn(30_000, 2), None).share
    print(f"true saving {100 * true:.1f} %")
    for n in (50, 200):
        found = [saving_of(policy, drawn(n, 1000 + seed), None, seed) for seed in range(streams)]
        held = sum(one.low <= true <= one.high for one in found)
        width = float(np.median([one.high - one.low for one in found]))
        print(f"{n} requests: the interval holds it in {100 * held / streams:.1f} %, width {100 * width:.1f} points")


def delay(change: tuple[float, float], seed: int, requests: int) -> tuple[int | None, str]:
    """Return after how many requests the alarm was raised, and for what; None: it was not."""
    rng = np.random.default_rng(seed)
    served: Any = SimpleNamespace(models=(), costs={})
    drift = Drift(served, clock=lambda: 0.0)
    for i in range(requests):
        cost, chance = change if i >= AT else (1.0, 1.0)
        usual = rng.random(8) < rng.beta(2, 1) * chance
        codes = np.where(usual, 1, rng.integers(2, 6, 8)).tolist()
        costs = (cost * 0.001 * rng.lognormal(0, 0.3, 8)).tolist()
        if drift.add(served, Seen("", {"": codes}, {"": costs}), True):
            kinds = [kind for kind, figures in drift.summary.items() if figures["alarm"]]
            return i, kinds[0]
    return None, ""


def drifts(streams: int, requests: int) -> None:
    """Print false alarms and delays."""
    for name, change in CHANGES.items():
        found = [delay(change, seed, requests if name == "none" else 2200) for seed in range(streams)]
        early = sum(at is not None and (name == "none" or at < AT) for at, _ in found)
        if name == "none":
            print(f"no change: {early} of {streams} streams raise an alarm within {requests:,} requests")
            continue
        after = sorted(at - AT for at, _ in found if at is not None and at >= AT)
        missed = sum(at is None for at, _ in found)
        kinds = {
            kind: sum(one == kind for at, one in found if at is not None and at >= AT) for _, kind in found if kind
        }
        said = f"median delay {int(np.median(after))}, 90 % within {int(np.quantile(after, 0.9))}" if after else "-"
        print(f"{name}: {said}; not within 2,000 requests: {missed} of {streams}; false before: {early}; {kinds}")


def main() -> None:
    """Run what is named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("savings", "drift"))
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--requests", type=int, default=10_000)
    args = parser.parse_args()
    if args.what == "savings":
        savings(args.streams)
    else:
        drifts(args.streams, args.requests)


if __name__ == "__main__":
    main()
