"""``python -m segbook``: see :mod:`segbook.cli`."""

import sys

from segbook.cli import main

if __name__ == "__main__":
    sys.exit(main())
