"""``python -m sktrain`` is the command ``sktrain``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
