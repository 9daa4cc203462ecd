"""Losses, class weights, and U-Net's border weights.

Every loss is made first and called later: ``loss = cross_entropy(ignore_index=11)``, then ``loss(logits, target)`` with
``logits`` float [N, K, H, W] and ``target`` integer [N, H, W] of any integer type. Raises TypeError for other types,
ValueError for other shapes and for labels that are neither a class nor ``ignore_index``.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segbook.data.dataset import check_dataset
from segbook.metrics.label_maps import check_range, is_void

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(ignore_index: int = -100, class_weights: Tensor | None = None) -> Loss:
    """Mean of -w_c log p_c over the pixels that are not void, c being the true class of a pixel.

    ``class_weights`` [K] defaults to ones. The mean divides by the sum of the weights of the counted pixels, as PyTorch
    does (Caffe-SegNet divides by their number, which only changes the scale). A batch in which no pixel counts has the
    loss 0 and gradients of 0: ``torch.nn.CrossEntropyLoss`` gives nan there, which would end a training run.
    """

    if class_weights is not None:
        class_weights = torch.as_tensor(class_weights, dtype=torch.float32)
        if class_weights.ndim != 1 or not (class_weights.isfinite() & (class_weights >= 0)).all():
            raise ValueError("class_weights holds one finite number of at least 0 for each class, [K]")

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        labels, valid = checked(logits, target, ignore_index)
        weights = None if class_weights is None else class_weights.to(logits.device)
        if weights is not None and len(weights) != logits.shape[1]:
            raise ValueError(f"{len(weights)} class weights do not fit logits of {logits.shape[1]} classes")
        # -100 stands for void here, whatever the data's number is: it is never a class.
        total = F.cross_entropy(logits.float(), labels.where(valid, -100), weights, ignore_index=-100, reduction="sum")
        count = valid.sum() if weights is None else (weights[labels] * valid).sum()
        # Nothing counted means total is 0 too, so any divisor but 0 will do.
        return total / count.where(count > 0, 1)

    return loss


def dice(ignore_index: int = -100) -> Loss:
    """Soft Dice loss: 1 - mean over the classes of 2 Σ p t / (Σ p + Σ t), sums over the batch's valid pixels.

    ``p`` is the softmax probability and ``t`` the one-hot target (Milletari et al., 2016, without their squares). Only
    classes that occur in the batch's target are averaged; a batch without valid pixels has the loss 0.
    """

    def loss(logits: Tensor, target: Tensor) -> Tensor:
        labels, valid = checked(logits, target, ignore_index)
        one_hot = F.one_hot(labels, logits.shape[1]).movedim(-1, 1) * valid[:, None]
        probability = logits.float().softmax(dim=1) * valid[:, None]
        overlap = (probability * one_hot).sum((0, 2, 3))
        size = probability.sum((0, 2, 3)) + one_hot.sum((0, 2, 3))
        present = one_hot.sum((0, 2, 3)) > 0
        score = 2 * overlap / size.where(present, 1)
        return ((1 - score) * present).sum() / present.sum().clamp(min=1)

    return loss


def checked(logits: Tensor, target: Tensor, ignore_index: int) -> tuple[Tensor, Tensor]:
    """The labels int64 [N, H, W] with 0 in place of void, and where they are none, bool [N, H, W]; see above for errors."""
    for name, value in (("logits", logits), ("target", target)):
        if not isinstance(value, Tensor):
            raise TypeError(f"{name} must be a tensor, not {type(value).__name__}; torch.as_tensor(…) makes one")
    if not logits.is_floating_point():
        raise TypeError(f"logits must be floating-point numbers, one for each class and pixel, not {logits.dtype}")
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise TypeError(
            f"target must hold integer labels, not {target.dtype}; .long() makes labels of whole numbers, .argmax(dim=1) "
            "of one map for each class"
        )
    if logits.ndim != 4 or target.shape != logits.shape[:1] + logits.shape[2:]:
        way = ""
        if target.ndim == 4:
            way = "; take .squeeze(1)" if target.shape[1] == 1 else "; take .argmax(dim=1) of one map for each class"
        elif logits.ndim == 4 and target.ndim == 3:
            way = "; bring logits to the size of the target (segbook.layers.resize)"
        raise ValueError(
            f"logits [N, K, H, W] and target [N, H, W] must fit, but they are {list(logits.shape)} and "
            f"{list(target.shape)}{way}"
        )
    if logits.device != target.device:
        raise ValueError(f"logits are on {logits.device}, target on {target.device}: move one of them with .to(…)")
    # The type first: compared as bytes, -100 would be the label 156.
    labels = target.as_subclass(Tensor).long()
    valid = ~is_void(labels, ignore_index)
    labels = labels.where(valid, 0)
    check_range(labels, logits.shape[1], "target", ignore_index)
    return labels, valid


def median_frequency_weights(dataset, power: float = 1.0) -> Tensor:
    """Class weights (median(f) / f_c) ** power: float32 [K], large for rare classes.

    f_c is the number of pixels of class c divided by all labelled pixels of the images *in which c appears* (Eigen and
    Fergus, 2015, section 6.3.2). ``power=0.5`` softens the weights to their square root. A class that never appears
    gets the weight 0. Void pixels count neither above nor below the fraction line.
    """
    if not math.isfinite(power):
        raise ValueError(f"power must be a finite number, not {power}")
    check_dataset(dataset)
    _, masks = dataset.tensors()
    classes = dataset.num_classes
    # Void lies above the classes and is cut off.
    per_image = torch.stack([torch.bincount(mask.flatten(), minlength=classes)[:classes] for mask in masks]).double()
    pixels = per_image.sum(dim=0)
    pixels_where_present = ((per_image > 0) * per_image.sum(dim=1, keepdim=True)).sum(dim=0)
    appears = pixels > 0
    if not appears.any():
        raise ValueError(f"{dataset.name}/{dataset.split} has no labelled pixel to weigh classes by")
    frequency = pixels / pixels_where_present
    weights = torch.zeros_like(frequency)
    weights[appears] = (frequency[appears].quantile(0.5) / frequency[appears]) ** power
    return weights.float()


def unet_border_weights(mask, w0: float = 10.0, sigma: float = 5.0, class_weights=(1.0, 1.0)) -> Tensor:
    """Weight of every pixel that makes a network learn the thin gaps between touching cells: float32 [H, W].

    ``mask`` holds instance numbers [H, W]: 0 is background, every other number one cell. The weight is
    w(x) = w_c(x) + w0 exp(-(d1 + d2)^2 / (2 sigma^2)), where d1 and d2 are the distances in pixels from a background
    pixel to the nearest and to the second-nearest cell (Ronneberger et al., 2015, equation 2). ``class_weights`` gives
    w_c for background and cell. Cell pixels and images with fewer than two cells get w_c alone.
    """
    from scipy.ndimage import distance_transform_edt  # imported here: nothing else in the package needs SciPy

    mask = np.asarray(mask)
    if mask.ndim != 2 or not np.issubdtype(mask.dtype, np.integer):
        raise TypeError(f"mask must hold whole instance numbers [H, W], not {mask.dtype} {list(mask.shape)}")
    if mask.size and mask.min() < 0:
        raise ValueError(f"instance numbers are 0 (background) or more; mask holds {mask.min()}")
    if not 0 < sigma < math.inf or not math.isfinite(w0):
        raise ValueError(f"sigma must be positive and w0 a number, both finite; got sigma={sigma}, w0={w0}")
    background_weight, cell_weight = class_weights
    weights = np.where(mask == 0, background_weight, cell_weight).astype(np.float64)
    nearest = np.full(mask.shape, np.inf)
    second = np.full(mask.shape, np.inf)
    for cell in np.unique(mask[mask != 0]):
        distance = distance_transform_edt(mask != cell)
        second = np.minimum(second, np.maximum(nearest, distance))
        nearest = np.minimum(nearest, distance)
    border = w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    return torch.from_numpy(weights + np.where(mask == 0, border, 0.0)).float()
