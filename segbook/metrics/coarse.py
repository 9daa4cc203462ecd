"""How good a prediction can be that has passed through a coarse map."""

import torch
import torch.nn.functional as F
from torch import Tensor

from segbook.metrics.confusion import ConfusionMatrix
from segbook.metrics.label_maps import check_not_one_hot, check_range, image_labels, is_void


def downsample_labels(target: Tensor, stride: int, num_classes: int, ignore_index: int | None = None) -> Tensor:
    """Labels that are left when the target itself passes through a map of one cell per ``stride`` × ``stride`` pixels.

    Each cell holds the share of its pixels that belongs to each class: what a perfect net would answer there. The
    shares are enlarged bilinearly to the target's size and the largest one wins, as FCN-32s does with its scores (Long
    et al., 2015, section 4). Label maps [H, W] or [N, H, W], any size; returns int64 of the same shape. Void pixels
    count for no class; each gets some class in the result, whatever lies near. Not a strict limit: scores bent on
    purpose to survive the enlarging could do a little better than honest shares.
    """
    if not isinstance(stride, int) or stride < 1:
        raise ValueError(f"stride is a whole number of pixels, at least 1; got {stride!r}")
    labels = image_labels(target, "target")
    check_not_one_hot(num_classes, labels)
    void = is_void(labels, ignore_index)
    check_range(labels[~void], num_classes, "target", ignore_index)
    height, width = labels.shape[-2:]
    result = torch.empty(labels.shape, dtype=torch.int64, device=labels.device)
    for image, nothing, out in zip(labels, void, result):
        one_hot = F.one_hot(image.long().masked_fill(nothing, num_classes), num_classes + 1)[..., :num_classes]
        # ceil_mode keeps the pixels of the last, incomplete cells; what lies beyond the image is cropped off again.
        shares = F.avg_pool2d(one_hot.permute(2, 0, 1)[None].float(), stride, ceil_mode=True)
        enlarged = F.interpolate(shares, scale_factor=float(stride), mode="bilinear", align_corners=False)
        out.copy_(enlarged[0, :, :height, :width].argmax(dim=0))
    return result.reshape(torch.as_tensor(target).shape)


def upper_bound_at_stride(
    target: Tensor, stride: int, num_classes: int, ignore_index: int | None = None
) -> ConfusionMatrix:
    """How good can a prediction be that knows every label, but only at ``stride``? Counts of ``downsample_labels``.

    Label maps [H, W] or [N, H, W]. Add the matrices of several batches to measure data that does not fit in memory.
    """
    coarse = downsample_labels(target, stride, num_classes, ignore_index)
    return ConfusionMatrix(num_classes, ignore_index).update(coarse, target)
