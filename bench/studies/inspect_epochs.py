"""Evaluations with the real Inspect, with and without stopped epochs (pip install inspect_ai openai).

    python -m bench.studies.inspect_epochs            what its calls cost, per epoch
    python -m bench.studies.inspect_epochs --local    what it saves with the local model (extra `local`)

With --local, `Sequential` has learned from the recorded answers of the same model to other questions.
"""

import argparse
import asyncio
import time
from types import SimpleNamespace
from typing import Any

from inspect_ai import Epochs, Task
from inspect_ai import eval as evaluate
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, get_model
from inspect_ai.scorer import SampleScore, Score, match
from inspect_ai.solver import generate

from tcalloc import Samples, Sequential
from tcalloc.datasets import load_recorded
from tcalloc.learn.rivals import MarginCap
from tcalloc.llm.local import REQUEST, serve
from tcalloc.serve.inspect_ai import stop_epochs, vote

EPOCHS, QUIET = 8, {"display": "none", "log_dir": "memory://study", "log_realtime": False, "log_buffer": 1000}


def run(samples: list[Sample], model: Any, stopping: Any, **options: Any) -> tuple[Any, float, float]:
    """Return the log of an evaluation, its seconds and its CPU seconds."""
    began, cpu = time.perf_counter(), time.process_time()
    task = Task(
        samples, solver=generate(), scorer=match("exact"), epochs=Epochs(EPOCHS, vote()), early_stopping=stopping
    )
    (log,) = evaluate(task, model=model, **QUIET, **options)
    return log, time.perf_counter() - began, time.process_time() - cpu


async def calls(policy: Any, questions: int) -> tuple[float, float]:
    """Return the microseconds of CPU per epoch of an evaluation's calls of the protocol, and of the summary."""
    samples = [Sample(f"Question {i}", target="42", id=i) for i in range(questions)]
    spec = SimpleNamespace(config=SimpleNamespace(epochs_reducer=["tcalloc_vote"]))
    stopping, numbers = stop_epochs(policy), iter(range(1 << 30))
    began = time.process_time()
    await stopping.start_task(spec, samples, EPOCHS)
    for epoch in range(1, EPOCHS + 1):
        for sample in samples:
            if await stopping.schedule_sample(sample.id, epoch) is None:
                score = Score(value="C" if sample.id % 2 else "I", answer=str(next(numbers) % 3))
                await stopping.complete_sample(sample.id, epoch, {"match": SampleScore(score=score)})
    ended = time.process_time()
    await stopping.complete_task()
    n = questions * EPOCHS / 1e6
    return (ended - began) / n, (time.process_time() - ended) / n


def overhead(questions: int, rounds: int) -> None:
    """Print what the calls of the protocol take, per epoch that was planned."""
    codes = load_recorded().answers["smollm2_135m"].astype(int)
    policies = {"no policy": None, "lead of 2": MarginCap(2, EPOCHS),
                "Sequential": Sequential(budget=3.0, most=EPOCHS).fit(None, Samples(codes))}  # fmt: skip
    for _ in range(rounds):
        for name, policy in policies.items():
            found, end = asyncio.run(calls(policy, questions))
            print(f"{name:11} {found:.0f} microseconds of CPU per epoch, and {end:.0f} at the end", flush=True)


def local(questions: int) -> None:
    """Print what an evaluation of the local model costs with each rule."""
    recorded = load_recorded()
    policy = Sequential(budget=3.0, most=EPOCHS).fit(None, Samples(recorded.answers["smollm2_135m"][::2].astype(int)))
    samples = []
    for question in recorded.questions[1::2][:: max(1, 146 // questions)][:questions]:
        shown = [
            turn
            for q, a in question["few_shot"]
            for turn in (ChatMessageUser(content=q), ChatMessageAssistant(content=a))
        ]
        samples.append(Sample([*shown, ChatMessageUser(content=question["question"])], target=question["accept"]))
    with serve(slots=8, threads=1) as server:
        for name, stopping in (
            ("all epochs", None),
            ("whole vote", stop_epochs()),
            ("Sequential", stop_epochs(policy)),
        ):
            model = get_model(
                f"openai-api/local/{server.model}", base_url=server.base_url, api_key="none", memoize=False
            )
            drawn = {key: REQUEST[key] for key in ("temperature", "top_k", "top_p", "max_tokens")}
            log, seconds, _ = run(samples, model, stopping, **drawn, stop_seqs=REQUEST["stop"], max_connections=8)
            used = sum(usage.total_tokens for usage in log.stats.model_usage.values())
            metric = log.results.scores[0].metrics["accuracy"].value
            print(f"{name:11} {len(log.samples)} epochs, {used} tokens, {seconds:.0f} s, vote {metric:.3f}", flush=True)
            if log.results.early_stopping:
                found = log.results.early_stopping.metadata
                assert found["spent"] == used
                print({key: found[key] for key in ("saved", "accuracy_of_one_epoch", "notes")}, flush=True)


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--local", action="store_true", help="ask the local model")
    parser.add_argument("--questions", type=int, default=48, help="how many questions")
    parser.add_argument("--rounds", type=int, default=3, help="how often the calls are timed")
    args = parser.parse_args()
    local(args.questions) if args.local else overhead(args.questions, args.rounds)


if __name__ == "__main__":
    main()
