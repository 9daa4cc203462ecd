"""The one progress bar of the course, so that one switch silences every bar."""

import os
import sys

from tqdm import tqdm


def progress(iterable=None, *, total: int | None = None, description: str = "", disable: bool = False, **options):
    """Wrap an iterable in a text progress bar: on stdout in a notebook (where stderr is red), on stderr in a terminal.

    A bar appears after half a second and goes when it is done, so that what was quick leaves nothing behind.

    Arguments: ``iterable`` (or ``total``, with ``.update()`` called by hand); ``description`` stands left of the bar;
    ``disable=True`` hides it. The environment variable ``SEGBOOK_PROGRESS=0`` hides every bar of the course: the tests
    set it, because a bar prints something else on every machine. Returns the ``tqdm`` object.
    """
    silent = disable or os.environ.get("SEGBOOK_PROGRESS", "1") == "0"
    options.setdefault("file", sys.stdout if "ipykernel" in sys.modules else sys.stderr)
    options.setdefault("leave", False)
    options.setdefault("delay", 0.5)
    return tqdm(iterable, total=total, desc=description, disable=silent, dynamic_ncols=True, **options)
