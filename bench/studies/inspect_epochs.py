"""Evaluations with the real Inspect, with and without stopped epochs (pip install inspect_ai openai).

    python -m bench.studies.inspect_epochs            what the line costs where it stops nothing
    python -m bench.studies.inspect_epochs --local    what it saves with the local model (extra `local`)

With --local, `Sequential` has learned from the recorded answers of the same model to other questions.
"""

import argparse
import time
from typing import Any

from inspect_ai import Epochs, Task
from inspect_ai import eval as evaluate
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import match
from inspect_ai.solver import generate

from tcalloc import Samples, Sequential
from tcalloc.datasets import load_recorded
from tcalloc.learn.rivals import FixedK
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


def overhead(questions: int, rounds: int) -> None:
    """Print the CPU time per epoch without the line, and with a rule that stops nothing, in turn."""

    def said():
        for i in range(1 << 30):  # answers that differ, so that nothing is stopped
            output = ModelOutput.from_content("mockllm/model", str(i))
            output.usage = ModelUsage(input_tokens=10, output_tokens=1, total_tokens=11)
            yield output

    samples = [Sample(f"Question {i}", target="42") for i in range(questions)]
    for _ in range(rounds):
        for name, stopping in (("without", None), ("with", stop_epochs(FixedK(EPOCHS)))):
            model = get_model("mockllm/model", custom_outputs=said(), memoize=False)
            log, seconds, cpu = run(samples, model, stopping)
            n = len(log.samples)
            print(
                f"{name:8} {n} epochs, {1000 * cpu / n:.2f} ms of CPU and {1000 * seconds / n:.2f} ms each", flush=True
            )


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
    parser.add_argument("--questions", type=int, default=48, help="questions of the evaluation")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the measurement of overhead")
    args = parser.parse_args()
    local(args.questions) if args.local else overhead(args.questions, args.rounds)


if __name__ == "__main__":
    main()
