"""What is kept of a training run: its history, and the checkpoint that an interrupted run goes on from."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import torch
from torch import nn

from segbook import parallel
from segbook.data.files import atomic_path
from segbook.training.recipe import Recipe


@dataclass
class History:
    """What happened during training: ``loss`` and ``learning_rate`` of each step, ``validation`` [(step, mIoU)].

    ``seconds`` of training (validation included) add up over interruptions; ``validation_seconds`` are those of them that
    went into scoring. ``resumed_from`` is the step at which a checkpoint was taken up: 0 for training from the start, all
    steps for training that was only loaded.
    """

    loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0
    validation_seconds: float = 0.0
    resumed_from: int = 0

    @property
    def steps(self) -> int:
        """Number of steps done."""
        return len(self.loss)

    @property
    def best(self) -> tuple[int, float] | None:
        """(step, mIoU) of the best validation, None without one. The weights kept are always those of the last step."""
        return max(self.validation, key=lambda entry: entry[1], default=None)

    def __repr__(self) -> str:
        text = f"History({self.steps} steps"
        text += f", last loss {self.loss[-1]:.3f}" if self.loss else ""
        text += f", validation mIoU {self.validation[-1][1]:.3f}" if self.validation else ""
        return text + ")"


class CheckpointError(RuntimeError):
    """A checkpoint file that cannot be used here; the message names the file and says what to do."""


class Checkpoint:
    """One file with the state of a training run. With ``path=None`` nothing is loaded or saved."""

    FORMAT = "segbook checkpoint 1"

    def __init__(self, path: str | Path | None, fingerprint: dict[str, str]):
        self.path = None if path is None else Path(path)
        self.fingerprint = fingerprint

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> History:
        """Put model and optimizer into the saved state and return the history; an empty one if there is no file."""
        if self.path is None or not self.path.exists():
            return History()
        remedy = "Delete it to train anew, or choose another checkpoint name"
        try:
            saved = load_saved(self.path, "checkpoint")
        except ValueError as error:
            raise CheckpointError(f"{error}. {remedy}") from error
        if saved["format"] != self.FORMAT:
            raise CheckpointError(f"{self.path} is no checkpoint of this version of the course. {remedy}")
        differences = diff_fingerprints(saved["fingerprint"], self.fingerprint)
        if differences:
            raise CheckpointError(
                f"{self.path} belongs to other training:\n  " + "\n  ".join(differences) + f"\n{remedy}"
            )
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        history = History(**saved["history"])
        history.resumed_from = history.steps
        return history

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, history: History) -> None:
        """Write the state to another name first and rename it, so that a kill never leaves half a checkpoint.

        Of several processes that train together, the first writes.
        """
        if self.path is None or not parallel.team().leads:
            return
        state = {
            "format": self.FORMAT,
            "fingerprint": self.fingerprint,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": asdict(history),
        }
        with atomic_path(self.path) as partial:
            torch.save(state, partial)


def load_saved(path: Path, kind: str) -> dict:
    """The dict with a "format" that ``torch.save`` has written to ``path``, on the CPU.

    Only tensors and plain values are read, no code in the file is run. Raises ValueError for a file that is damaged or
    something else, naming it and the ``kind`` that was expected, and OSError when it cannot be opened.
    """
    with path.open("rb") as file:
        try:
            # The file is a zip archive; PyTorch does not compare its checksums, so a flipped bit would go unseen.
            if ZipFile(file).testzip() is not None:
                raise BadZipFile("checksum")
            file.seek(0)
            saved = torch.load(file, map_location="cpu", weights_only=True)
            if "format" not in saved:
                raise KeyError("format")
        except MemoryError:
            raise
        except Exception as error:  # what a damaged file makes the readers raise is not laid down anywhere
            raise ValueError(f"{path} is damaged or is no {kind} of this course") from error
    return saved


def fingerprint(model: nn.Module, train, recipe: Recipe, loss: Callable | None) -> dict[str, str]:
    """What must be the same for a checkpoint to be taken up: recipe, loss, model and training data, as name -> text."""
    height, width = train.tensors()[1].shape[1:]
    return {
        **{f"recipe.{name}": repr(value) for name, value in asdict(recipe).items()},
        "loss": "weighted cross-entropy" if loss is None else getattr(loss, "__qualname__", type(loss).__qualname__),
        "data": f"{train.name} {train.split}, {len(train)} images of {height}x{width}",
        "data.class_counts": repr(train.class_counts().tolist()),
        # The printed structure tells strides, dilations and paddings, which the weights' shapes do not.
        **{f"model line {i}": line.strip() for i, line in enumerate(str(model).splitlines())},
        **{f"model.{name}": f"shape {list(tensor.shape)}" for name, tensor in model.state_dict().items()},
    }


def diff_fingerprints(saved: dict[str, str], current: dict[str, str], at_most: int = 5) -> list[str]:
    """The first differences between two fingerprints, in words."""
    names = [name for name in {**saved, **current} if saved.get(name) != current.get(name)]
    lines = [f"{name}: {saved.get(name, 'nothing')} in the file, {current.get(name, 'nothing')} now" for name in names]
    return lines[:at_most] + ([f"and {len(lines) - at_most} more"] if len(lines) > at_most else [])
