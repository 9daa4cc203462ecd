"""Using a trained network: ``predict`` its labels, ``evaluate`` them against the masks of a data set."""

import contextlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segbook.data.augment import normalize
from segbook.devices import default_device, explain_out_of_memory
from segbook.features import Features
from segbook.layers import center_crop
from segbook.metrics import ConfusionMatrix


def validate_logits(logits, images: Tensor, num_classes: int | None = None) -> Tensor:
    """The model's output, if it is logits [N, K, h, w] no larger than the images, K as asked for; else ValueError."""
    if not isinstance(logits, Tensor) or logits.dim() != 4:
        got = list(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"the model must return logits [N, K, H, W], not {got}; wrap it so that it does")
    if num_classes is not None and logits.shape[1] != num_classes:
        raise ValueError(f"the model has {logits.shape[1]} output channels, but the data set has {num_classes} classes")
    if any(small > large for small, large in zip(logits.shape[-2:], images.shape[-2:])):
        raise ValueError(f"logits {list(logits.shape[-2:])} are larger than the images {list(images.shape[-2:])}")
    return logits


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


def evaluate(model: nn.Module, dataset, *, batch_size: int = 16, device=None) -> Evaluation:
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

    h, w are the size of the model's logits. The model computes in eval mode and gets its own modes back.
    """
    if isinstance(images, Features):
        pass  # of a frozen backbone, for a head
    elif images.dtype != torch.uint8 or images.dim() != 4 or images.shape[1] != 3 or len(images) == 0:
        raise ValueError(f"predict needs images uint8 [N, 3, H, W], not {images.dtype} {list(images.shape)}")
    device = default_device(device)
    model.to(device)
    results = []
    with eval_mode(model):
        for batch in images.split(batch_size):
            batch = normalize(batch.to(device)).contiguous(memory_format=torch.channels_last)
            logits = validate_logits(model(batch), batch)
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
