"""Training, scoring and using a network: ``fit``, ``evaluate``, ``predict``.

``fit`` is the whole training loop on one screen; what it calls stands below it, in the order of the calls. Nothing is
hidden in a framework, and no step depends on the one before except through the weights: batch, augmentation and dropout
of step 17 follow from the recipe's seed and the number 17 alone. That is why training that was interrupted can go on from
its checkpoint and end with exactly the weights of training that was not.
"""

import contextlib
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor, nn

from segbook import parallel
from segbook.data.augment import Augment, normalize
from segbook.data.files import written_aside
from segbook.layers import center_crop
from segbook.losses import cross_entropy, median_frequency_weights
from segbook.metrics import ConfusionMatrix
from segbook.progress import progress as progress_bar

OPTIMIZERS = ("adamw", "sgd")
SCHEDULES = ("one_cycle", "poly", "step", "constant")
CLASS_WEIGHTS = ("sqrt_median_frequency", "median_frequency", None)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a network is trained, apart from the network and the data.

    ``steps`` batches of ``batch_size`` images; ``optimizer`` "adamw" or "sgd" (with ``momentum``); ``learning_rate`` is the
    highest of the ``schedule`` ("one_cycle", "poly", "step", "constant", see :func:`learning_rate`); ``class_weights``
    "median_frequency", its square root, or None; ``augment`` changes each batch at random, None leaves it as it is;
    ``mixed_precision`` computes in bfloat16 on CUDA and has no effect elsewhere (it is slower on a CPU);
    ``channels_last`` stores the channels of a pixel side by side, which convolutions like; ``validate_every`` steps the
    validation set is scored, 0 scores it only at the end; ``seed`` decides order, augmentation and dropout.
    Raises ValueError naming the field that cannot be used.
    """

    steps: int = 400
    batch_size: int = 8
    optimizer: str = "adamw"
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    momentum: float = 0.9
    schedule: str = "one_cycle"
    class_weights: str | None = "sqrt_median_frequency"
    augment: Augment | None = Augment(flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2)
    mixed_precision: bool = False
    channels_last: bool = True
    validate_every: int = 0
    seed: int = 0

    def __post_init__(self):
        for name, lowest in (("steps", 1), ("batch_size", 1), ("validate_every", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
                raise ValueError(f"{name} must be a whole number of at least {lowest}, not {value!r}")
        for name, valid, wanted in (
            ("learning_rate", lambda x: 0 < x < math.inf, "a positive number"),
            ("weight_decay", lambda x: 0 <= x < math.inf, "a number of at least 0"),
            ("momentum", lambda x: 0 <= x < 1, "at least 0 and less than 1"),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not valid(value):
                raise ValueError(f"{name} must be {wanted}, not {value!r}")
        for name, choices in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("class_weights", CLASS_WEIGHTS),
            ("mixed_precision", (True, False)),
            ("channels_last", (True, False)),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {getattr(self, name)!r}")
        if not isinstance(self.augment, Augment | None):
            raise ValueError(f"augment must be a segbook.data.Augment or None, not {self.augment!r}")


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


@contextlib.contextmanager
def explain_out_of_memory(batch_size: str):
    """Say what to lower when memory runs out; ``batch_size`` is the name under which the caller knows it."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; MPS and the CPU raise a plain RuntimeError
        text, advice = str(error), "out of memory: lower "
        if text.startswith(advice) or not ("out of memory" in text or "can't allocate memory" in text):
            raise
        raise torch.OutOfMemoryError(
            f"{advice}{batch_size}, the size of the images or the width of the model; on CUDA a recipe with "
            "mixed_precision=True halves what the feature maps need"
        ) from error


@explain_out_of_memory("recipe.batch_size")
def fit(
    model, train, val, recipe, *, checkpoint=None, save_every=None, device=None, loss=None, compile=False, progress=True
) -> History:
    """Train ``model`` in place on the data set ``train`` and return the :class:`History`; the model ends in eval mode.

    ``val`` (or None) is scored at the end and every ``recipe.validate_every`` steps. ``checkpoint`` (a path) makes this
    load-or-train: a finished run is loaded, an interrupted one goes on, and :class:`CheckpointError` is raised for a file
    that is damaged or belongs to another model, recipe or data set. It is saved every ``save_every`` steps (by default
    50, or twenty times a run if that is rarer). ``loss(logits, target)`` replaces the weighted cross-entropy. The model
    maps images [N, 3, H, W] to logits [N, K, h, w]; where h, w are smaller than H, W (unpadded convolutions), the target
    is cropped to its centre. ``compile`` trains through ``torch.compile``. Where ``torchrun`` started several processes,
    each of them takes its share of every batch. Raises FloatingPointError when the loss is no longer a finite number.
    """
    device = default_device(device)
    team = parallel.team()  # this process alone, unless torchrun started several
    layout = torch.channels_last if recipe.channels_last else torch.contiguous_format
    model.to(device, memory_format=layout)
    images, masks = (tensor.to(device) for tensor in train.tensors())
    order = batch_order(len(images), recipe).to(device)
    optimizer = make_optimizer(model, recipe)
    keeper = Checkpoint(checkpoint, fingerprint(model, train, recipe, loss))
    loss = loss or cross_entropy(train.ignore_index, class_weights(train, recipe), team.mean)
    save_every = save_every or max(50, recipe.steps // 20)
    history = keeper.load(model, optimizer)
    network = team.spread(compile_net(model, device) if compile else model)
    started = time.perf_counter() - history.seconds
    bar = progress_bar(total=recipe.steps, initial=history.steps, description="Training", disable=not progress)

    with own_randomness(device), bar:
        model.train()
        for step in range(history.steps, recipe.steps):
            generator = torch.manual_seed(recipe.seed * 1_000_003 + step)
            batch, target = images[order[step]], masks[order[step]]
            if recipe.augment:
                batch, target = recipe.augment(batch, target, train.ignore_index, generator)
            batch, target = team.share(batch, target)
            batch = normalize(batch).contiguous(memory_format=layout)
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.mixed_precision and device.type == "cuda"):
                logits = checked(network(batch), batch, train.num_classes)
                value = loss(logits, center_crop(target, logits.shape[-2:]))
            history.loss.append(finite(team.mean(value), step, train, order[step]))
            history.learning_rate.append(set_learning_rate(optimizer, learning_rate(recipe, step)))
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            if recipe.validate_every and history.steps % recipe.validate_every == 0:
                validate(model, val, history, device)
            history.seconds = time.perf_counter() - started
            if history.steps % save_every == 0:
                keeper.save(model, optimizer, history)
            bar.set_postfix_str(f"loss {history.loss[-1]:.3f}", refresh=False)
            bar.update()
        validate(model, val, history, device)
    if history.resumed_from < recipe.steps:
        history.seconds = time.perf_counter() - started
        keeper.save(model, optimizer, history)
    model.eval()
    return history


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


def batch_order(count: int, recipe: Recipe) -> Tensor:
    """Which images form each batch: int64 [steps, batch_size].

    One random permutation of all ``count`` images after the other is cut into batches, so that every image is used once
    before any is used again; a batch may hold the end of one epoch and the beginning of the next.
    """
    if count == 0:
        raise ValueError("there is no image to train on")
    generator = torch.Generator().manual_seed(recipe.seed)
    needed = recipe.steps * recipe.batch_size
    epochs = [torch.randperm(count, generator=generator) for _ in range(math.ceil(needed / count))]
    return torch.cat(epochs)[:needed].view(recipe.steps, recipe.batch_size)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW or SGD with momentum, for the parameters that are not fixed."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError("the model has no parameter to train (all are fixed or there are none)")
    if recipe.optimizer == "adamw":
        # fused: one pass over each weight instead of one for each operation of the formula
        return torch.optim.AdamW(parameters, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    return torch.optim.SGD(parameters, recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay)


def class_weights(train, recipe: Recipe) -> Tensor | None:
    """The weights [K] that the recipe asks for, from how often each class occurs in ``train``."""
    if recipe.class_weights is None:
        return None
    return median_frequency_weights(train, power=0.5 if recipe.class_weights == "sqrt_median_frequency" else 1.0)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Learning rate of a step (counted from 0), as a share of the recipe's ``learning_rate``.

    "one_cycle": half a cosine up from 1/25 during the first quarter, half a cosine down to 0 (Smith and Topin, 2017).
    "poly": (1 - step / steps) ** 0.9, the DeepLab schedule from v2 on. "step": a tenth after each third, as in
    DeepLab v1. "constant": 1.
    """
    share = step / recipe.steps  # of the training that is done
    if recipe.schedule == "one_cycle":
        if share < 0.25:
            factor = 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * share / 0.25)) / 2
        else:
            factor = (1 + math.cos(math.pi * (share - 0.25) / 0.75)) / 2
    elif recipe.schedule == "poly":
        factor = (1 - share) ** 0.9
    elif recipe.schedule == "step":
        factor = 0.1 ** (3 * step // recipe.steps)
    else:
        factor = 1.0
    return recipe.learning_rate * factor


def compile_net(model: nn.Module, device: torch.device) -> nn.Module:
    """``torch.compile(model)``, after a try on something small: what is missing then shows within seconds.

    Raises ValueError with the reason where PyTorch cannot compile here.
    """
    try:
        torch.compile(lambda x: 2 * x + 1)(torch.ones(3, device=device))
    except Exception as error:  # what a missing compiler or an unsupported Python raises differs between releases
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(
            f"torch.compile does not work here: {reason} (it needs a C++ compiler for the CPU, Triton for CUDA); "
            "train without it, which gives the same net more slowly"
        ) from error
    return torch.compile(model)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> float:
    """Let the optimizer's next step use this rate; returns it."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    return rate


def checked(logits, images: Tensor, num_classes: int | None = None) -> Tensor:
    """The model's output, if it is logits [N, K, h, w] no larger than the images, K as asked for; else ValueError."""
    if not isinstance(logits, Tensor) or logits.dim() != 4:
        got = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"the model must return logits [N, K, H, W], not {got}; wrap it so that it does")
    if num_classes is not None and logits.shape[1] != num_classes:
        raise ValueError(f"the model has {logits.shape[1]} output channels, but the data set has {num_classes} classes")
    if any(small > large for small, large in zip(logits.shape[-2:], images.shape[-2:])):
        raise ValueError(f"logits {list(logits.shape[-2:])} are larger than the images {list(images.shape[-2:])}")
    return logits


def finite(value: Tensor, step: int, train, batch: Tensor) -> float:
    """The loss as a number. Raises FloatingPointError naming the step and the images if it is infinite or nan."""
    number = value.item()
    if not math.isfinite(number):
        names = train.names()
        files = ", ".join(names[i] for i in batch.tolist())
        raise FloatingPointError(
            f"the loss became {number} at step {step}, before this step changed the weights; the batch was: {files}. "
            "Lower the learning rate, or look at these images and masks"
        )
    return number


def validate(model: nn.Module, val, history: History, device: torch.device) -> None:
    """Score the validation set, if there is one and this step has no score yet; in a team the first process does it."""
    if val is None or not parallel.team().leads or (history.validation and history.validation[-1][0] == history.steps):
        return
    started = time.perf_counter()
    history.validation.append((history.steps, evaluate(model, val, device=device).mean_iou))
    history.validation_seconds += time.perf_counter() - started


@contextlib.contextmanager
def own_randomness(device: torch.device):
    """Give training its own random numbers and the caller's back afterwards, so that loading instead of training
    leaves the rest of a notebook the same."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield


# ---------------------------------------------------------------- checkpoints


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
        differences = different(saved["fingerprint"], self.fingerprint)
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
        with written_aside(self.path) as partial:
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


def different(saved: dict[str, str], current: dict[str, str], at_most: int = 5) -> list[str]:
    """The first differences between two fingerprints, in words."""
    names = [name for name in {**saved, **current} if saved.get(name) != current.get(name)]
    lines = [f"{name}: {saved.get(name, 'nothing')} in the file, {current.get(name, 'nothing')} now" for name in names]
    return lines[:at_most] + ([f"and {len(lines) - at_most} more"] if len(lines) > at_most else [])


# ---------------------------------------------------------------- scoring and using a trained model


@dataclass(frozen=True)
class Scores:
    """How a model did on a data set. ``per_image`` is the mIoU of each image, float64 [N], nan if all of it is void.

    ``mean_iou`` comes from the pixels of all images together and is not the mean of ``per_image``.
    """

    confusion: ConfusionMatrix
    classes: tuple[str, ...]
    per_image: Tensor

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes that are there or predicted."""
        return self.confusion.mean_iou()

    @property
    def iou(self) -> Tensor:
        """IoU of each class, float64 [K]; nan for a class that is neither there nor predicted."""
        return self.confusion.iou()

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that are right, void left out."""
        return self.confusion.pixel_accuracy()

    def worst(self, n: int = 5) -> list[int]:
        """Indices of the ``n`` images with the lowest mIoU, the worst first; images without a score are left out."""
        order = self.per_image.argsort(stable=True).tolist()  # nan sorts last
        return [i for i in order if not self.per_image[i].isnan()][:n]

    def __repr__(self) -> str:
        figures = f"mean IoU {self.mean_iou:.3f}, pixel accuracy {self.pixel_accuracy:.3f}"
        return f"Scores({figures}, {len(self.per_image)} images)"


def evaluate(model: nn.Module, dataset, *, batch_size: int = 16, device=None) -> Scores:
    """Compare the model's labels with the masks of every image of ``dataset``.

    Where the logits are smaller than the image, the mask is cropped to its centre, as in training.
    """
    confusion = ConfusionMatrix(dataset.num_classes, dataset.ignore_index)
    per_image = []
    for images, masks in in_batches(dataset, batch_size):
        labels = predict(model, images, batch_size=batch_size, device=device)
        for prediction, target in zip(labels, center_crop(masks, labels.shape[-2:])):
            one = ConfusionMatrix(dataset.num_classes, dataset.ignore_index).update(prediction, target)
            per_image.append(one.mean_iou() if one.counts.any() else math.nan)
            confusion = confusion + one
    return Scores(confusion, dataset.classes, torch.tensor(per_image, dtype=torch.float64))


def in_batches(dataset, batch_size: int):
    """(images [n, 3, H, W], masks [n, H, W]) in order; one image at a time where their sizes differ."""
    try:
        images, masks = dataset.tensors()
    except ValueError:  # the sizes differ, or a file cannot be read, which the lines below will say again
        for image, mask in (dataset[i] for i in range(len(dataset))):
            yield image[None].as_subclass(Tensor), mask[None].as_subclass(Tensor)
    else:
        yield from zip(images.split(batch_size), masks.split(batch_size))


@explain_out_of_memory("batch_size")
@torch.inference_mode()
def predict(
    model: nn.Module, images: Tensor, *, batch_size: int = 16, probabilities: bool = False, device=None
) -> Tensor:
    """Labels uint8 [N, h, w] of images uint8 [N, 3, H, W], or softmax probabilities float32 [N, K, h, w]; on the CPU.

    h, w are the size of the model's logits. The model computes in eval mode and gets its own modes back.
    """
    if images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3 or len(images) == 0:
        raise ValueError(f"predict needs images uint8 [N, 3, H, W], not {images.dtype} {list(images.shape)}")
    device = default_device(device)
    model.to(device)
    results = []
    with eval_mode(model):
        for batch in images.split(batch_size):
            batch = normalize(batch.to(device)).contiguous(memory_format=torch.channels_last)
            logits = checked(model(batch), batch)
            results.append((logits.softmax(dim=1) if probabilities else logits.argmax(dim=1).byte()).cpu())
    return torch.cat(results)


@contextlib.contextmanager
def eval_mode(model: nn.Module):
    """Eval mode for a while (dropout off, batch norm with its running averages); each part gets its own mode back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
