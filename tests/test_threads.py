"""Libraries are held to one thread while somebody asks for it, and get their threads back afterwards."""

from typing import Any

import numpy as np
import pytest

import tcalloc
from tcalloc._threads import one_thread
from tcalloc.learn.sequential import policy as sequential

threadpoolctl = pytest.importorskip("threadpoolctl")


def blas() -> set[int]:
    return {int(one["num_threads"]) for one in threadpoolctl.threadpool_info() if one["user_api"] == "blas"}


@pytest.fixture
def two_threads() -> Any:
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        if blas() != {2}:
            pytest.skip("this NumPy's linear algebra has no threads that can be set")
        yield


def test_an_error_gives_the_threads_back(two_threads: None) -> None:
    with pytest.raises(ZeroDivisionError), one_thread():
        1 / 0  # noqa: B018
    assert blas() == {2}


def test_sequential_learns_with_one_thread(two_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, train = [], sequential.train

    def watched(*args: Any) -> Any:
        seen.append(blas())
        return train(*args)

    monkeypatch.setattr(sequential, "train", watched)
    codes = np.random.default_rng(0).integers(0, 3, (20, 6))
    tcalloc.Sequential().fit(None, tcalloc.Samples(codes))
    assert seen == [{1}]
    assert blas() == {2}
