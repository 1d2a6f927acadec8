"""The whole loop, small: serve, explore, refit without gold answers, swap, serve on; and what it saved is shown."""

import re

import numpy as np
import pytest
from upstreams import Simulated

from bench.studies.gateway_loop import loop, usual
from tcalloc.llm.questions import question_from


def test_the_loop_saves_samples_and_the_page_says_so(tmp_path):
    rows = [question_from({"id": str(i), "question": f"What is {i} + 0?"}, "", "") for i in range(240)]
    first, second = rows[:120], rows[120:]
    with Simulated(hard=0.6) as server:
        found = loop(
            server.url, "tiny", first, second, str(tmp_path), extract="numeric", explore=0.5, kind="margin + cap",
        )  # fmt: skip
    assert found.report.requests > 40
    # A rule that stops agrees more often than three samples do, for three.
    assert found.report.gain > 0
    assert found.swapped
    assert {reply.samples for reply in found.before} == {3, 10}
    assert usual(found.before) == 3.0
    assert usual(found.after) == pytest.approx(3.0, abs=0.6)
    assert found.savings["requests"] > 40
    assert found.savings["saved_share"] > 0.1
    shown = float(re.search(r"^tcalloc_saved_share (\S+)$", found.metrics, re.M)[1])
    assert shown == pytest.approx(found.savings["saved_share"])
    for replies, asked in ((found.before, first), (found.after, second)):
        given = [re.search(r"\d+", reply.text)[0] == one.id for reply, one in zip(replies, asked, strict=True)]
        assert np.mean(given) > 0.85  # which of 120 votes are wrong depends on the order in which requests come
