"""Measures that look at outlines only: trimap IoU, boundary F1 and boundary IoU."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from segbook.metrics.confusion import ConfusionMatrix
from segbook.metrics.label_maps import (
    check_pair,
    check_range,
    check_tolerance,
    image_labels,
    integer_labels,
    is_void,
)


def boundary(labels: Tensor) -> Tensor:
    """Pixels that touch another label to the left, right, above or below: bool, shape of ``labels`` [..., H, W].

    Both sides of a change are marked, so the line is two pixels wide. The image's own edge is no boundary.
    """
    labels = integer_labels(labels, "labels")
    edge = torch.zeros_like(labels, dtype=torch.bool)
    rows = labels[..., 1:, :] != labels[..., :-1, :]
    columns = labels[..., :, 1:] != labels[..., :, :-1]
    edge[..., 1:, :] |= rows
    edge[..., :-1, :] |= rows
    edge[..., :, 1:] |= columns
    edge[..., :, :-1] |= columns
    return edge


def dilate(mask: Tensor, radius: float) -> Tensor:
    """Grow a bool mask [..., H, W] to all pixels within ``radius`` pixels (straight-line distance) of it."""
    if mask.dtype != torch.bool:
        raise TypeError(f"dilate needs a bool mask, not {mask.dtype}")
    if radius < 0:
        raise ValueError(f"radius must not be negative, got {radius}")
    height, width = mask.shape[-2:]
    # First along the columns: the distance of every pixel to the nearest marked one above or below it.
    row = torch.arange(height, dtype=torch.int32, device=mask.device)[:, None].expand(mask.shape)
    far = height + math.ceil(radius)  # stands for "there is none"
    above = row.where(mask, -far).cummax(dim=-2).values
    below = row.where(mask, height + far).flip(-2).cummin(dim=-2).values.flip(-2)
    squared = torch.minimum(row - above, below - row) ** 2
    # Then across them: by Pythagoras, a column that is dx away may lie sqrt(radius^2 - dx^2) off.
    grown = squared <= radius**2
    for dx in range(1, min(int(radius), width - 1) + 1):
        near = squared <= radius**2 - dx**2
        grown[..., dx:] |= near[..., :-dx]
        grown[..., :-dx] |= near[..., dx:]
    return grown


def trimap(target: Tensor, width: int) -> Tensor:
    """The band of ``width`` pixels on each side of every label change of ``target`` [..., H, W]: bool.

    ``width=1`` marks just the pixels that touch a change. Void counts as a label here, as in the papers that measured
    around the void border of Pascal VOC; what is void is left out later, when the scores are made.
    """
    if width < 1:
        raise ValueError(f"the trimap's width must be at least 1 pixel, not {width}")
    return dilate(boundary(target), width - 1)


def trimap_iou(
    prediction: Tensor, target: Tensor, width: int, num_classes: int, ignore_index: int | None = None
) -> float:
    """Mean IoU of the pixels within ``width`` pixels of a label change of the target, over all images [N, H, W].

    The measure of the DeepLab papers (Chen et al., 2015, section 5.2), which plot it against the width. ``nan`` when
    no counted pixel lies in the band.
    """
    matrix = trimap_confusion(prediction, target, width, num_classes, ignore_index)
    return matrix.mean_iou() if matrix.counts.any() else math.nan


def trimap_confusion(
    prediction: Tensor, target: Tensor, width: int, num_classes: int, ignore_index: int | None = None
) -> ConfusionMatrix:
    """The counts behind ``trimap_iou``: only the pixels within ``width`` pixels of a label change of the target.

    Add the matrices of several batches to measure data that does not fit in memory.
    """
    prediction, target = image_labels(prediction, "prediction"), image_labels(target, "target")
    check_pair(prediction, target, num_classes)
    band = trimap(target, width)
    return ConfusionMatrix(num_classes, ignore_index).update(prediction[band], target[band])


def boundary_f1(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int | None = None, tolerance: float = 0.0075
) -> float:
    """Boundary F1 (BF): do the outlines of each class lie where they should? Label maps [H, W] or [N, H, W].

    For every image and class: precision is the share of the predicted outline within ``tolerance`` (a share of the
    image diagonal) of the true outline, recall the share of the true outline within it of the predicted one, F1 their
    harmonic mean. Averaged over the classes present in the image's target or prediction, then over the images, as in
    SegNet (Badrinarayanan et al., 2017, section 4). A class without any outline (it fills the image) scores 1 where both
    maps agree on that and 0 where only one does. ``nan`` if nothing can be scored.

    This is an approximation, and never lower: both outlines are grown by the tolerance instead of matching their pixels
    one to one, so that one pixel may answer for several. For an FCN-8s of a short training on CamVid it gave 0.178 where
    the best matching gives 0.145 at 360×480, and 0.191 where it gives 0.176 at 96×128 (16 test images).
    """
    scores = boundary_f1_of_images(prediction, target, num_classes, ignore_index, tolerance)
    return float(scores.nanmean())


def boundary_f1_of_images(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int | None = None, tolerance: float = 0.0075
) -> Tensor:
    """``boundary_f1`` of each image: float64 [N], nan for an image without a counted pixel.

    Join the scores of several batches and take their ``nanmean`` to measure data that does not fit in memory.
    """
    check_tolerance(tolerance)
    scores = []
    for prediction_of_image, truth_of_image in _class_masks(prediction, target, num_classes, ignore_index):
        radius = tolerance * math.hypot(*truth_of_image.shape[-2:])
        present = (prediction_of_image | truth_of_image).flatten(1).any(dim=1)
        if not present.any():
            scores.append(math.nan)  # an image that is void everywhere
            continue
        # Classes that are neither in the target nor in the prediction are dropped before the costly part.
        outline_p = _outlines(prediction_of_image)[present]
        outline_t = _outlines(truth_of_image)[present]
        hits_p, hits_t = outline_p & dilate(outline_t, radius), outline_t & dilate(outline_p, radius)
        length_p, length_t = outline_p.sum((1, 2)), outline_t.sum((1, 2))
        precision = hits_p.sum((1, 2)).double() / length_p.clamp(min=1)
        recall = hits_t.sum((1, 2)).double() / length_t.clamp(min=1)
        f1 = 2 * precision * recall / (precision + recall).clamp(min=1e-12)
        both_present = (prediction_of_image.flatten(1).any(1) & truth_of_image.flatten(1).any(1))[present]
        no_outline = (length_p == 0) & (length_t == 0)
        scores.append(torch.where(no_outline, both_present.double(), f1).mean().item())
    return torch.tensor(scores, dtype=torch.float64)


def boundary_iou(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int | None = None, tolerance: float = 0.02
) -> float:
    """Boundary IoU: mean IoU of the inner rims of each class instead of their whole areas. [H, W] or [N, H, W].

    The rim of a class is what erosion takes off it: with a square of 3×3, as many times as ``tolerance`` (a share of the
    image diagonal) has pixels, rounded, and at least once. Beyond the image's edge there is no class, nor in void. This
    is the rule of the code that Cheng et al. (2021, "Boundary IoU", section 4) released. Rims are intersected and united
    per class over all images, then averaged over the classes with a union. ``nan`` if nothing can be scored.
    """
    intersection, union = boundary_overlap(prediction, target, num_classes, ignore_index, tolerance)
    return float((intersection / union).nanmean())


def boundary_overlap(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int | None = None, tolerance: float = 0.02
) -> tuple[Tensor, Tensor]:
    """Intersection and union of the rims behind ``boundary_iou``, in pixels: two tensors, float64 [K].

    Add those of several batches, then divide, to measure data that does not fit in memory.
    """
    check_tolerance(tolerance)
    intersection, union = torch.zeros(2, num_classes, dtype=torch.float64)
    for prediction_of_image, truth_of_image in _class_masks(prediction, target, num_classes, ignore_index):
        erosions = max(1, round(tolerance * math.hypot(*truth_of_image.shape[-2:])))
        rim_p, rim_t = _inner_rim(prediction_of_image, erosions), _inner_rim(truth_of_image, erosions)
        intersection += (rim_p & rim_t).sum((1, 2)).cpu()
        union += (rim_p | rim_t).sum((1, 2)).cpu()
    return intersection, union


def _class_masks(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int | None):
    """Two bool tensors [K, H, W] an image, one mask a class. Void pixels of the target belong to no class in either."""
    prediction, target = image_labels(prediction, "prediction"), image_labels(target, "target")
    check_pair(prediction, target, num_classes)
    valid = ~is_void(target, ignore_index)
    check_range(prediction[valid], num_classes, "prediction")
    check_range(target[valid], num_classes, "target", ignore_index)
    classes = torch.arange(num_classes, device=target.device).view(-1, 1, 1)
    for image in zip(prediction, target, valid):  # one at a time: the masks are K times as large as the labels
        yield tuple((labels == classes) & image[2] for labels in image[:2])


def _outlines(masks: Tensor) -> Tensor:
    """Pixels of each class [K, H, W] that touch another class. A border with void (no class at all) is no outline."""
    other = masks.any(dim=0, keepdim=True) & ~masks
    return masks & dilate(other, 1)


def _inner_rim(masks: Tensor, erosions: int) -> Tensor:
    """Pixels of each mask [K, H, W] that ``erosions`` with a square of 3×3 take off; beyond the image all is outside."""
    outside = F.pad(~masks, (erosions,) * 4, value=True).float()
    side = 2 * erosions + 1  # n erosions with 3×3 are one with this square, and a square is a column of rows
    near_outside = F.max_pool2d(F.max_pool2d(outside, (side, 1), stride=1), (1, side), stride=1)
    return masks & near_outside.bool()
