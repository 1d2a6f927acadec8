"""Where things are: the checkout, the real tables beside it, and the environment of a process that a test starts."""

import os
import signal
from pathlib import Path

import tcalloc

HELPERS = Path(__file__).resolve().parent
CHECKOUT = HELPERS.parents[1]
SHARED_DATA = CHECKOUT.parent / "shared" / "data"
SOURCE = Path(tcalloc.__file__).parents[1]
# The package under test, whether it is installed or not, these helpers and the folders of the tests.
_FOLDERS = sorted({str(path.parent) for path in HELPERS.parent.rglob("test_*.py")})
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(SOURCE), str(HELPERS), *_FOLDERS]),
    "PYTHONDONTWRITEBYTECODE": "1",
}

# What a process ends with after Ctrl-C; a shell sees 130 for both. Python itself chooses the second one where Ctrl-C
# fell into the execution of a string, as it does while a data class is made, although the error was caught.
INTERRUPTED = (130, -signal.SIGINT)
