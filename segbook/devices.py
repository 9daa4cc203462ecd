"""Where to compute, and what to say when its memory runs out."""

import contextlib
import os

import torch


@contextlib.contextmanager
def explain_out_of_memory(batch_size: str):
    """Say what to lower when memory runs out; ``batch_size`` is the name under which the caller knows it."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; MPS and the CPU raise a plain RuntimeError
        advice = "out of memory: lower "
        if str(error).startswith(advice) or not is_out_of_memory(error):
            raise
        raise torch.OutOfMemoryError(
            f"{advice}{batch_size}, the size of the images or the width of the model; on CUDA a recipe with "
            "mixed_precision=True halves what the feature maps need"
        ) from error


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether PyTorch raised this because memory ran out."""
    return any(words in str(error) for words in ("out of memory", "can't allocate memory"))


def default_device(device: str | torch.device | None = None) -> torch.device:
    """The device to compute on: ``device`` if given, else SEGBOOK_DEVICE, else CUDA, Apple's MPS or the CPU.

    Raises ValueError for a name that PyTorch does not know and for a device that this machine does not have.
    """
    wanted = device or os.environ.get("SEGBOOK_DEVICE")
    if not wanted:
        wanted = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        chosen = torch.device(wanted)
    except (RuntimeError, TypeError):
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"unknown device {wanted!r} (argument or SEGBOOK_DEVICE); choose cpu, cuda, cuda:N or mps")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device {wanted!r} asked for, but PyTorch sees {torch.cuda.device_count()} CUDA devices; use cpu"
        )
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError("device 'mps' asked for, but PyTorch finds no Apple GPU here; use cpu")
    return chosen
