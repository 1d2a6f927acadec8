"""``python -m tcalloc``."""

import sys

from tcalloc.cli import main

if __name__ == "__main__":
    sys.exit(main())
