"""Explored requests of a gateway, as it stores them, without the gateway."""

import numpy as np

from tcalloc.runs.store import Store


def explored(folder, chances, samples=8, policy="", model="tiny", cost=None, texts=None, seed=0, extra=None):
    """Write a run folder: one request per chance that a sample gives the usual answer."""
    rng = np.random.default_rng(seed)
    arm = {"arm": f"{model}-arm", "model": model, "grader": "numeric", "parameters": {}}
    with Store.create(folder, {"explored": True, "texts": texts is not None, "arms": [arm]}, []) as store:
        for i, chance in enumerate(chances):
            name = f"q{i}"
            text = None if texts is None else texts[i]
            by = policy if isinstance(policy, str) else policy[i]
            more = {} if extra is None else extra[i]
            store.add_question({"id": name, "question": text, "at": 1000.0 + i, "policy": by} | more)
            for j in range(samples):
                answer = 0 if rng.random() < chance else int(rng.integers(1, 6))
                record = {"id": name, "sample": j, "arm": arm["arm"], "params": arm["arm"], "model": model}
                record |= {"answer": f"answer {answer}", "correct": None}
                if cost is not None:
                    record |= {"cost": cost * float(rng.uniform(0.5, 1.5))}
                store.append(record)
    return folder
