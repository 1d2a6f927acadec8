"""What all tests share: how many examples hypothesis tries, and where the real tables are."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from places import SHARED_DATA

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
