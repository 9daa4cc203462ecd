"""What is kept of a training run: its history, and the checkpoint that an interrupted run goes on from."""

import contextlib
import io
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import torch
from torch import nn

from segbook import parallel
from segbook.data.files import atomic_open, check_writable
from segbook.evaluation import check_finite_weights
from segbook.training.contents import Unidentifiable, architecture, contents, in_words, used_values
from segbook.training.recipe import Recipe

#: Goes up by one whenever the same recipe, net and data would train to other weights than before: a change of the loop, of
#: an augmentation, a schedule or the weighted cross-entropy. Checkpoints of another version are refused.
RECIPE_VERSION = 2


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

    def add(self, loss: float, learning_rate: float) -> None:
        """Note a step that is done."""
        self.loss.append(loss)
        self.learning_rate.append(learning_rate)

    def __repr__(self) -> str:
        text = f"History({self.steps} steps"
        text += f", last loss {self.loss[-1]:.3f}" if self.loss else ""
        text += f", validation mIoU {self.validation[-1][1]:.3f}" if self.validation else ""
        return text + ")"


class CheckpointError(RuntimeError):
    """A checkpoint file that cannot be used here; the message names the file and says what to do."""


class Checkpoint:
    """One file with the state of a training run. With ``path=None`` nothing is loaded or saved."""

    FORMAT = "segbook checkpoint 2"

    def __init__(self, path: str | Path | None, fingerprint: dict[str, str]):
        self.path = None if path is None else Path(path)
        self.fingerprint = fingerprint

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> History:
        """Put model and optimizer into the saved state and return the history; an empty one if there is no file.

        The model must hold the weights that the saved training began with, or those that are saved: a cell that was
        stopped may run again with the net that it left. Raises :class:`CheckpointError` for a file that is damaged or of
        other training.
        """
        if self.path is None or not self.path.exists():
            return History()
        remedy = "Delete it to train anew, or choose another checkpoint name"
        try:
            saved = load_saved(self.path, "checkpoint")
        except ValueError as error:
            raise CheckpointError(f"{error}. {remedy}") from error
        if saved["format"] != self.FORMAT:
            raise CheckpointError(f"{self.path} is no checkpoint of this version of the course. {remedy}")
        try:
            here = self.fingerprint
            if "initial weights" in here and here["initial weights"] == contents(saved["model"]):
                here = here | {"initial weights": saved["fingerprint"]["initial weights"]}
            if differences := diff_fingerprints(saved["fingerprint"], here):
                raise CheckpointError(
                    f"{self.path} belongs to other training:\n  " + "\n  ".join(differences) + f"\n{remedy}"
                )
            history = History(**saved["history"])
            history.resumed_from = history.steps
            optimizer.load_state_dict(saved["optimizer"])
            for parameter, state in optimizer.state.items():
                for name, tensor in state.items():
                    if isinstance(tensor, torch.Tensor) and tensor.dim() and tensor.shape != parameter.shape:
                        raise ValueError(f"{name} of {list(tensor.shape)} for a weight of {list(parameter.shape)}")
            model.load_state_dict(saved["model"])
        except CheckpointError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise CheckpointError(f"{self.path} does not fit this net and its optimizer: {reason}. {remedy}") from error
        for name, tensor in saved["model"].items():
            if tensor.is_floating_point() and not tensor.isfinite().all():
                raise CheckpointError(f"{self.path} holds weights that are not numbers ({name}). {remedy}")
        self.fingerprint = here
        return history

    def check_writable(self) -> None:
        """Raise OSError naming the folder if no checkpoint can be written there."""
        if self.path is not None:
            check_writable(self.path.parent)

    def save(self, model: nn.Module, optimizer: torch.optim.Optimizer, history: History) -> None:
        """Write the state to another name first and rename it, so that a kill never leaves half a checkpoint.

        Of several processes that train together, the first writes. Raises FloatingPointError for weights that are not
        finite, with or without a path.
        """
        check_finite_weights(model, f"step {history.steps - 1} ruined them; lower the learning rate")
        if self.path is None or not parallel.team().leads:
            return
        state = {
            "format": self.FORMAT,
            "fingerprint": self.fingerprint,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": asdict(history),
        }
        save_whole(self.path, state)

    @contextlib.contextmanager
    def saved_when_interrupted(self, model: nn.Module, optimizer: torch.optim.Optimizer, history: History):
        """An interrupt (Ctrl-C, the notebook's stop button) keeps the steps done so far."""
        try:
            yield
        except KeyboardInterrupt:
            if history.steps > history.resumed_from:
                self.save(model, optimizer, history)
            raise


def save_whole(path: Path, content: dict) -> None:
    """``torch.save`` to ``path``, under another name first. Raises OSError naming ``path`` when it cannot be written.

    PyTorch writes through a Python file here: of a full disk its own writer says nothing that could be understood.
    """
    with atomic_open(path) as file:
        told = Telling(file)
        try:
            torch.save(content, told)
        except RuntimeError as error:
            raise (told.error or error) from None


class Telling(io.RawIOBase):
    """Writes to a file and keeps the error of a write that failed, which PyTorch replaces by one of its own."""

    def __init__(self, file):
        self.file, self.error = file, None

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


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
    """What must be the same for a checkpoint to be taken up, as name -> text: contents, not names.

    Recipe and its version, loss with all that it reads, the net with its code, first weights and fixed weights, and every
    pixel of the training images and labels. Raises ValueError for a loss whose contents cannot be told.
    """
    images, masks = train.tensors()
    height, width = masks.shape[1:]
    # Several processes on GPUs train with SyncBatchNorm: the same layer, its batch in several places.
    lines = str(model).replace("SyncBatchNorm(", "BatchNorm2d(").splitlines()
    fixed = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {
        "recipe version": str(RECIPE_VERSION),
        **{f"recipe.{name}": repr(value) for name, value in asdict(recipe).items()},
        **loss_contents(loss),
        "data": f"{train.name} {train.split}, {len(train)} images of {height}x{width}",
        "data.ignore_index": str(train.ignore_index),
        "data.class_counts": repr(train.class_counts().tolist()),
        "data.images": contents(images),
        "data.labels": contents(masks),
        # The printed structure tells strides, dilations and paddings, which the weights' shapes do not.
        **{f"model line {i}": line.strip() for i, line in enumerate(lines)},
        **{
            f"model.{name}": f"shape {list(tensor.shape)}" + ", fixed" * (name in fixed)
            for name, tensor in model.state_dict().items()
        },
        "model's code and settings": architecture(model),
        "initial weights": contents(model.state_dict()),
    }


def loss_contents(loss: Callable | None) -> dict[str, str]:
    """A loss and everything it reads from outside (closures, global names, attributes), as name -> text."""
    if loss is None:
        return {"loss": "weighted cross-entropy"}
    if isinstance(own_word := getattr(loss, "fingerprint", None), str):
        return {"loss": own_word}
    try:
        found = {"loss": in_words(loss)}
        if hasattr(loss, "__code__"):
            found |= {f"loss.{name}": in_words(value) for name, value in used_values(loss).items()}
    except Unidentifiable as error:
        raise ValueError(
            f"the loss reads something that a checkpoint cannot be compared by: {error}. Give the loss an attribute "
            "`fingerprint` with a text that says what it is (loss.fingerprint = 'focal, gamma 2'), or train without a "
            "checkpoint"
        ) from None
    return found


def diff_fingerprints(saved: dict[str, str], current: dict[str, str], at_most: int = 5) -> list[str]:
    """The first differences between two fingerprints, in words."""
    names = [name for name in {**saved, **current} if saved.get(name) != current.get(name)]
    lines = [f"{name}: {saved.get(name, 'nothing')} in the file, {current.get(name, 'nothing')} now" for name in names]
    return lines[:at_most] + ([f"and {len(lines) - at_most} more"] if len(lines) > at_most else [])
