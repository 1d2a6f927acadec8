"""An evaluation with Inspect that runs no epoch which is not worth its price (pip install inspect_ai openai tcalloc).

OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=none python examples/inspect_epochs.py
"""

import os

from inspect_ai import Epochs, Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import match
from inspect_ai.solver import generate

from tcalloc.serve.inspect_ai import stop_epochs, vote

policy = os.environ.get("POLICY") or None  # a folder from `tcalloc fit`; None: only epochs that cannot change the vote
task = Task(
    [Sample(f"What is {i} plus {42 - i}?", target="42") for i in range(8)],
    solver=generate(),
    scorer=match(numeric=True),
    epochs=Epochs(8, vote()),
    early_stopping=stop_epochs(policy),  # the one line
)
model = get_model(
    f"openai-api/local/{os.environ.get('MODEL', 'qwen')}",
    base_url=os.environ["OPENAI_BASE_URL"],
    api_key=os.environ["OPENAI_API_KEY"],
)
(log,) = eval(task, model=model, display="none", max_tokens=64)
found = log.results.early_stopping.metadata
print(f"{found['epochs_run']} epochs of {found['epochs_planned']} for {found['spent']} {found['unit']}")
saved = found["saved"]
print(f"about {saved['value']:.0f} {found['unit']} less (95 % interval {saved['low']:.0f} to {saved['high']:.0f})")
print(f"accuracy of the vote {found['accuracy_of_the_vote']['value']:.3f}")
print(f"accuracy of one epoch {found['accuracy_of_one_epoch']['value']:.3f}")
