"""``sb.claim``: what a notebook says about trained numbers, looked at again in the run at hand.

An experiment that comes out differently is a result, not a crash: a claim prints whether it holds and the notebook goes
on. Mathematics and shapes, which no seed can change, stay plain ``assert``\\ s.
"""

import json
import math
import os

import numpy as np
import torch

from segbook import data
from segbook.course import session

#: The data sets that a fresh clone has: stored outputs are made with one of them.
IN_A_CLONE = (*data.GENERATED, "folder")


class ClaimFailed(AssertionError):
    """A claim that the stored text of a notebook relies on does not hold although nothing was changed."""


def claim(text: str, condition, numbers: str = "", *, margin: float | None = None) -> None:
    """Print one line that says whether ``text`` holds in this run.

    ``sb.claim("FCN-8s beats FCN-16s", a > b, f"{sb.measured(a)} against {sb.measured(b)}", margin=a - b)`` prints
    ``✓ holds in this run: FCN-8s beats FCN-16s (≈0.48 against ≈0.42)``; the place of a claim is after the figure that
    shows it. ``condition`` is a truth value: a bool or a bool array or tensor of one value. ``numbers`` are what it was
    decided from; written with ``sb.measured`` they may differ a little between machines. ``margin`` says how far the
    claim is from failing, in its own unit, positive while it holds: authors compare it with its spread over seeds.

    A claim that does not hold raises :class:`ClaimFailed` only where stored outputs are made and tested
    (``SEGBOOK_STRICT=1``), and there only for the stored parameters: quick profile, seed 0, the data of a fresh clone.
    ``SEGBOOK_CLAIMS=file`` adds one line of JSON for every claim to the file.
    Raises ``ValueError`` for an empty text and ``TypeError`` for a condition that is not a truth value.
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError("a claim needs a text that says what should hold; it was empty")
    held, text = _truth(condition, text), " ".join(text.split())
    shown = f"{text} ({numbers})" if numbers else text
    if held:
        print(f"✓ holds in this run: {shown}")
    else:
        print(
            f"– does not hold in this run: {shown}. That is a result too: another seed or a changed line can turn it around."
        )
    if os.environ.get("SEGBOOK_CLAIMS"):
        _record(os.environ["SEGBOOK_CLAIMS"], text, held, numbers, margin)
    if not held and os.environ.get("SEGBOOK_STRICT") == "1" and _stored_parameters():
        raise ClaimFailed(f"the text of this notebook relies on what does not hold: {shown}")


def _truth(condition, text: str) -> bool:
    if isinstance(condition, bool | np.bool_):
        return bool(condition)
    kind = type(condition).__name__
    if isinstance(condition, np.ndarray | torch.Tensor):
        if condition.dtype not in (np.dtype(bool), torch.bool):
            kind = f"{kind} of {condition.dtype}"
        elif math.prod(condition.shape) == 1:
            return bool(condition)
        else:
            kind = f"{kind} of {math.prod(condition.shape)} values: say .all() or .any()"
    raise TypeError(f"the condition of the claim {text!r} must be true or false; it is a {kind}")


def _stored_parameters() -> bool:
    """Whether this notebook runs with the parameters that its stored outputs were made with."""
    run = session.latest()
    return run is not None and (run.profile.name, run.seed) == ("quick", 0) and run.dataset in IN_A_CLONE


def _record(path: str, text: str, held: bool, numbers: str, margin: float | None) -> None:
    margin = None if margin is None or not math.isfinite(margin) else float(margin)
    line = json.dumps({"text": text, "held": held, "numbers": str(numbers), "margin": margin}, ensure_ascii=False)
    with open(path, "a", encoding="utf-8") as file:
        file.write(line + "\n")
