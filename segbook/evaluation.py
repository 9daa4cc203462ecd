"""Using a trained network: ``predict`` its labels, ``evaluate`` them against the masks of a data set."""

import contextlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segbook.data.augment import normalize
from segbook.data.files import first_few
from segbook.devices import default_device, explain_out_of_memory
from segbook.features import Features
from segbook.layers import center_crop, resize
from segbook.metrics import ConfusionMatrix


def at_image_size(logits, images: Tensor, model: nn.Module, num_classes: int | None = None) -> Tensor:
    """The model's output as logits [N, K, h, w] whose place in the images is known; whoever runs a net asks here.

    h, w are the images' H, W. A net may declare something else, so that nobody has to guess: ``model.margin`` = m says that
    unpadded convolutions cut m pixels off each side, and h, w must be H - 2m, W - 2m. ``model.output_stride`` = s says that
    its logits are a map of ceil(H / s) x ceil(W / s) cells (a last incomplete cell may be missing); they are then resized
    to H, W bilinearly. Raises ValueError for logits of another size, another shape or another K than ``num_classes``.
    """
    if not isinstance(logits, Tensor) or logits.dim() != 4:
        got = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"the model must return logits [N, K, H, W], not {got}; wrap it so that it does")
    if num_classes is not None and logits.shape[1] != num_classes:
        raise ValueError(f"the model has {logits.shape[1]} output channels, but the data set has {num_classes} classes")
    if len(logits) != len(images):
        raise ValueError(f"the model answered {len(images)} images with logits of {len(logits)}")
    size, image = tuple(logits.shape[-2:]), tuple(images.shape[-2:])
    margin, stride = declared(model, "margin", 0), declared(model, "output_stride", 1)
    if margin:
        if size != tuple(side - 2 * margin for side in image):
            raise ValueError(
                f"the model declares a margin of {margin} pixels, so that images of {_by(image)} give logits of "
                f"{_by(side - 2 * margin for side in image)}, but they are {_by(size)}"
            )
        return logits
    if size == image:
        return logits
    if any(small > large for small, large in zip(size, image)):
        raise ValueError(f"logits {list(size)} are larger than the images {list(image)}")
    if stride > 1:
        if all(cells in (side // stride, -(-side // stride)) for cells, side in zip(size, image)):
            return resize(logits, image)
        raise ValueError(
            f"the model declares an output stride of {stride}, so that images of {_by(image)} give logits of "
            f"{_by(-(-side // stride) for side in image)}, but they are {_by(size)}"
        )
    raise ValueError(
        f"logits of {_by(size)} for images of {_by(image)}: where in the image do they lie? Resize them in the model's "
        "forward, or let it declare model.output_stride (a coarser map, resized for you) or model.margin (pixels that "
        "unpadded convolutions cut off each side)"
    )


def declared(model: nn.Module, name: str, default: int) -> int:
    """What a net says about its logits: ``model.margin`` (0 if it says nothing) or ``model.output_stride`` (1).

    Raises ValueError when that is no whole number of at least the default.
    """
    value = getattr(model, name, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < default:
        raise ValueError(f"model.{name} must be a whole number of at least {default}, not {value!r}")
    return value


def _by(size) -> str:
    return "x".join(map(str, size))


def check_finite_logits(logits: Tensor, model: nn.Module, names=None) -> Tensor:
    """The logits, if each pixel's largest is a finite number; FloatingPointError otherwise, saying what is not.

    -inf beside a finite logit is an honest "never" and passes. ``names`` are those of the images.
    """
    fine = logits.amax(dim=1).isfinite().flatten(1).all(dim=1)
    if not fine.all():
        check_finite_weights(model, "there is nothing to predict with")
        bad = (~fine).nonzero().flatten().tolist()
        which = first_few(names[i] if names else f"number {i}" for i in bad)
        raise FloatingPointError(
            f"the model's weights are finite, but its logits are not a number for {len(bad)} of {len(fine)} images "
            f"({which}): too large a sum, or a division by zero inside the net"
        )
    return logits


def check_finite_weights(model: nn.Module, consequence: str) -> None:
    """Raise FloatingPointError naming the first weight or running average with a nan or infinity in it, if there is one."""
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            bad = int((~tensor.isfinite()).sum())
            raise FloatingPointError(
                f"{bad} of the {tensor.numel()} numbers in the weight {name} are nan or infinite: {consequence}"
            )


@dataclass(frozen=True)
class Evaluation:
    """How a model did on a data set. ``per_image`` is the mIoU of each image, float64 [N], nan if all of it is void.

    ``mean_iou`` comes from the pixels of all images together and is not the mean of ``per_image``.
    """

    confusion: ConfusionMatrix
    classes: tuple[str, ...]
    per_image: Tensor

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the classes that are there or predicted; nan where no pixel is labelled."""
        return self.confusion.mean_iou() if self.confusion.counts.any() else math.nan

    @property
    def iou(self) -> Tensor:
        """IoU of each class, float64 [K]; nan for a class that is neither there nor predicted."""
        return (
            self.confusion.iou() if self.confusion.counts.any() else torch.full((len(self.classes),), math.nan).double()
        )

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that are right, void left out; nan where no pixel is labelled."""
        return self.confusion.pixel_accuracy() if self.confusion.counts.any() else math.nan

    def worst(self, n: int = 5) -> list[int]:
        """Indices of the ``n`` images with the lowest mIoU, the worst first; images without a score are left out."""
        order = self.per_image.argsort(stable=True).tolist()  # nan sorts last
        return [i for i in order if not self.per_image[i].isnan()][:n]

    def __repr__(self) -> str:
        figures = f"mean IoU {self.mean_iou:.3f}, pixel accuracy {self.pixel_accuracy:.3f}"
        empty = "" if self.confusion.counts.any() else "no labelled pixel: "
        return f"Evaluation({empty}{figures}, {len(self.per_image)} images)"


@explain_out_of_memory("batch_size")
def evaluate(model: nn.Module, dataset, *, batch_size: int = 16, device=None) -> Evaluation:
    """Compare the model's labels with the masks of every image of ``dataset``.

    Of a net that declares a margin, the inner window that it answers is compared, as in training. A data set without a
    labelled pixel scores nan. Raises what :func:`predict` raises.
    """

    def answers():
        names = dataset.names()
        for images, masks in in_batches(dataset, batch_size):
            logits = answer(model, images, device, dataset.num_classes, names)
            names = names[len(images) :]
            labels = logits.argmax(dim=1).cpu()
            yield from zip(labels, center_crop(masks, labels.shape[-2:]))

    return tally(dataset, answers())


def tally(dataset, answers) -> Evaluation:
    """The :class:`Evaluation` of ``answers``, a pair (prediction, target) of label maps [h, w] for each image in order."""
    confusion, per_image = ConfusionMatrix(dataset.num_classes, dataset.ignore_index), []
    for prediction, target in answers:
        one = ConfusionMatrix(dataset.num_classes, dataset.ignore_index).update(prediction, target)
        per_image.append(one.mean_iou() if one.counts.any() else math.nan)
        confusion = confusion + one
    return Evaluation(confusion, dataset.classes, torch.tensor(per_image, dtype=torch.float64))


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

    h, w are H, W, for a net with a margin H - 2 margin, W - 2 margin (see :func:`at_image_size`). Above 256 classes the
    labels are int64. The model computes in eval mode and gets its own modes back. Raises ValueError for other images and
    for logits that do not lie on them, FloatingPointError for logits that are not numbers.
    """
    if isinstance(images, Features):
        pass  # of a frozen backbone, for a head
    elif images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3 or len(images) == 0:
        raise ValueError(f"predict needs images uint8 [N, 3, H, W], not {images.dtype} {list(images.shape)}")
    results = []
    for batch in images.split(batch_size):
        logits = answer(model, batch, device)
        labels = logits.argmax(dim=1).to(label_type(logits.shape[1]))
        results.append((logits.float().softmax(dim=1) if probabilities else labels).cpu())
    return torch.cat(results)


def label_type(num_classes: int) -> torch.dtype:
    """The type of predicted labels: bytes, but above 256 classes, where a byte would wrap, int64."""
    return torch.uint8 if num_classes <= 256 else torch.int64


@torch.inference_mode()
def answer(model: nn.Module, images: Tensor, device=None, num_classes: int | None = None, names=None) -> Tensor:
    """The logits of one batch of images uint8 [n, 3, H, W] in eval mode, on the device, after all checks."""
    device = default_device(device)
    model.to(device)
    with eval_mode(model):
        batch = normalize(images.to(device)).contiguous(memory_format=torch.channels_last)
        return check_finite_logits(at_image_size(model(batch), batch, model, num_classes), model, names)


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
