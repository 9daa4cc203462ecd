"""What the measures ask of a label map, and the words in which they refuse one."""

import math

import torch
from torch import Tensor


def integer_labels(labels, name: str) -> Tensor:
    """Label maps of any shape as a plain tensor of a type that PyTorch calculates with."""
    labels = torch.as_tensor(labels)
    if labels.dtype == torch.bool:
        raise TypeError(
            f"{name} must hold integer labels, not torch.bool; (mask).long() has the labels 0 and 1, and a mask for "
            "each class becomes labels with .long().argmax(dim=…)"
        )
    if labels.is_floating_point() or labels.is_complex():
        raise TypeError(
            f"{name} must hold integer labels, not {labels.dtype}; turn logits [N, K, H, W] into labels with "
            "logits.argmax(dim=1), and whole numbers that were read as floats with .long()"
        )
    # Masks may come as torchvision tv_tensors; plain tensors keep the arithmetic below free of their bookkeeping.
    labels = labels.as_subclass(Tensor)
    # PNG masks of 16 bits: PyTorch can hold these types, but not calculate with them.
    return labels.long() if labels.dtype in (torch.uint16, torch.uint32, torch.uint64) else labels


def image_labels(labels, name: str) -> Tensor:
    """Label maps [H, W] or [N, H, W] as [N, H, W]."""
    labels = integer_labels(labels, name)
    if labels.dim() not in (2, 3):
        raise ValueError(
            f"expected label maps [H, W] or [N, H, W], got {list(labels.shape)} for the {name}; one channel goes with "
            ".squeeze(1), one-hot maps become labels with .argmax(dim=1)"
        )
    return labels.reshape(-1, *labels.shape[-2:])


def check_not_one_hot(num_classes: int, *maps: Tensor) -> None:
    """Refuse maps [K, H, W] or [H, W, K] of which each holds a single 1 a pixel: K planes, taken for K images.

    All of ``maps`` must look so; fewer than 16 pixels may do so by chance and are let through.
    """
    for axis in (0, -1):
        if num_classes > 1 and all(_one_hot_along(axis, num_classes, labels) for labels in maps):
            raise ValueError(
                f"{list(maps[0].shape)} with a single 1 among {num_classes} along axis {axis} is one-hot; label maps "
                f"[H, W] or [N, H, W] hold the number of the class: take .argmax(dim={axis})"
            )


def _one_hot_along(axis: int, num_classes: int, labels: Tensor) -> bool:
    if labels.dim() != 3 or labels.shape[axis] != num_classes or labels.numel() < 16 * num_classes:
        return False
    return extremes(labels) == (0, 1) and bool((labels.sum(dim=axis, dtype=torch.int64) == 1).all())


def is_void(target: Tensor, ignore_index: int | None) -> Tensor:
    """Where the target is to be ignored: bool, shape of ``target``."""
    # A value that the type cannot hold would wrap around: compared with uint8 labels, -1 stands for 255.
    if ignore_index is None or not torch.iinfo(target.dtype).min <= ignore_index <= torch.iinfo(target.dtype).max:
        return torch.zeros_like(target, dtype=torch.bool)
    return target == ignore_index


def check_tolerance(tolerance: float) -> None:
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance is a share of the image diagonal, such as 0.01, and not negative; got {tolerance}")


def check_pair(prediction: Tensor, target: Tensor, num_classes: int) -> None:
    """Refuse two maps that do not lie on one device, have not one shape, or are both one-hot."""
    if prediction.device != target.device:
        raise ValueError(
            f"prediction is on {prediction.device} and target on {target.device}; move one of them with .to(…)"
        )
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction {list(prediction.shape)} and target {list(target.shape)} must have the same shape; bring "
            "the logits to the target's size (torch.nn.functional.interpolate) before the argmax"
        )
    check_not_one_hot(num_classes, prediction, target)


def extremes(*maps: Tensor) -> tuple[int, int]:
    """The smallest and the largest label of all maps; (0, 0) for maps without a pixel."""
    extremes = [int(value) for labels in maps if labels.numel() for value in torch.aminmax(labels)]
    return min(extremes, default=0), max(extremes, default=0)


def check_range(labels: Tensor, num_classes: int, name: str, ignore_index: int | None = None) -> None:
    if labels.numel() == 0:
        return
    low, high = torch.aminmax(labels)
    if low < 0 or high >= num_classes:
        wrong = labels[(labels < 0) | (labels >= num_classes)].unique().tolist()
        ignored = "" if name == "prediction" else f" and ignore_index {ignore_index}"
        raise ValueError(f"{name} holds labels {wrong[:10]} outside the classes 0..{num_classes - 1}{ignored}")
