"""What `answer` does before the first request, and where all is answered already, takes linear time."""

import json
import time

import pytest
from answering_cases import client_of
from chaos import Chaos

from tcalloc.learn.protocol import Always
from tcalloc.llm.graders import make_grader
from tcalloc.llm.questions import question_from
from tcalloc.llm.run_folder import open_run
from tcalloc.measure import Vote
from tcalloc.serve.answer import answer

pytest.importorskip("aiohttp")


def rows_of(n):
    return [{"id": f"q{i}", "question": f"{i} + {i}", "answer": str(2 * i)} for i in range(n)]


def answered_folder(rows, client, out):
    """A run folder as a call that answered all of them leaves it: two samples each."""
    asked = [question_from(row, "here", "") for row in rows]
    with open_run(out, asked, client, make_grader("numeric")) as store:
        store.claim("decisions.jsonl")
        for question in asked:
            params = client.params(question.messages)
            for j in range(2):
                sample = {"answer": question.gold, "text": "It is.", "correct": True, "error": None}
                store.append({"id": question.id, "sample": j, "params": params, "arm": client.arm} | sample)
    with open(f"{out}/decisions.jsonl", "w") as file:
        for question in asked:
            file.write(json.dumps({"id": question.id, "budget": 4.0, "draws": [[client.arm, 2, 2]]}) + "\n")


@pytest.mark.parametrize("answered", [True, False])
def test_start_up_is_linear(answered, tmp_path):
    seconds = {}
    with Chaos() as server, client_of(server) as client:
        for n in (30, 250, 3000):  # the first one only warms up
            rows, out = rows_of(n), str(tmp_path / f"run{n}")
            if answered:
                answered_folder(rows, client, out)
            started = time.process_time()
            answers = answer(
                rows, Always(Vote(2)), client, budget=4.0, out=out if answered else None, max_requests=1, concurrency=64
            )
            seconds[n] = time.process_time() - started
            assert answers.requests == (0 if answered else 1)
            assert len(answers) == (n if answered else 1)
    assert seconds[3000] < 40 * max(seconds[250], 0.01)  # 12 times as many questions; 144 if it were quadratic
