"""What all tests share: threads, Ctrl-C, how many examples hypothesis tries, and where the real tables are."""

import os
import signal
from pathlib import Path

# Tests run side by side, in several processes. Threads that wait for one another would only take processors away from
# them. NumPy's and XGBoost's libraries read this when they are loaded.
os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import pytest
from hypothesis import HealthCheck, settings
from places import SHARED_DATA

# A shell's background job ignores Ctrl-C, and so do all processes that it starts. Those of some tests must not.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile(
    "default",
    deadline=None,
    max_examples=300,
    derandomize=True,  # the same examples for everyone; "thorough" draws new ones
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=3000, derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real tables beside the checkout; tests that need it are skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no folder ../shared/data beside this checkout")
    return SHARED_DATA
