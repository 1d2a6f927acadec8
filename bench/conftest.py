"""Options, fixtures, and the tables at the end of the run."""

import os
import sys

# One thread for BLAS, so that "one read of the inputs" is what one core can do; only heeded before NumPy is loaded.
LATE = "numpy" in sys.modules
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

from bench.speed.race import Board, Race  # noqa: E402

HERE = Path(__file__).resolve().parent
BOARD = pytest.StashKey[Board]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("tcalloc benchmarks")
    group.addoption("--full", action="store_true", help="the whole grid, with more repetitions (half an hour)")
    group.addoption(
        "--cpu-time", action="store_true", help="count CPU time instead of wall time: for a machine that others use too"
    )
    group.addoption("--table", metavar="PATH", help="write the tables of ratios to PATH, as Markdown")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: only with --full")
    board = config.stash[BOARD] = Board()
    if config.getoption("--cpu-time"):
        board.remarks.append("CPU time of the calling thread, on a machine that others use too.")
    if LATE:
        board.remarks.append("NumPy was loaded before bench/: one read may have used several threads.")
    # The tables of ratios replace pytest-benchmark's own, which shows times alone; --benchmark-verbose brings it back.
    if hasattr(config.option, "benchmark_quiet"):
        config.option.benchmark_quiet = True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--full"):
        return
    late = [item for item in items if HERE in item.path.parents and item.get_closest_marker("full")]
    config.hook.pytest_deselected(items=late)
    items[:] = [item for item in items if item not in late]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    board = config.stash[BOARD]
    if not board.rows:
        return
    text = board.markdown()
    terminalreporter.section("side by side")
    terminalreporter.write_line(text)
    path = config.getoption("--table")
    if path:
        Path(path).write_text(text, encoding="utf-8")
        terminalreporter.write_line(f"written to {path}")


@pytest.fixture(scope="session")
def full(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--full"))


@pytest.fixture(scope="session")
def board(request: pytest.FixtureRequest) -> Board:
    return request.config.stash[BOARD]


@pytest.fixture
def race(request: pytest.FixtureRequest, full: bool) -> Race:
    if not request.config.pluginmanager.hasplugin("benchmark"):
        pytest.skip("pytest-benchmark is not installed (dependency group `bench`)")
    # Asked for when the race begins: a test that is skipped before must not have it, unused, or it warns.
    fixture = partial(request.getfixturevalue, "benchmark")
    return Race(fixture, request.config.getoption("--cpu-time"), allowance=6.0 if full else 2.0)
