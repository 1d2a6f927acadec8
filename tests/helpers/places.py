"""Where things are: the checkout, the real tables beside it, and the environment of a process that a test starts."""

import os
from pathlib import Path

import tcalloc

HELPERS = Path(__file__).resolve().parent
CHECKOUT = HELPERS.parents[1]
SHARED_DATA = CHECKOUT.parent / "shared" / "data"
# The package under test, whether it is installed or not, and these helpers.
SOURCE = Path(tcalloc.__file__).parents[1]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(SOURCE), str(HELPERS)]),
    "PYTHONDONTWRITEBYTECODE": "1",
}
