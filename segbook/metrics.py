"""How good is a segmentation? Counts, the measures made from them, measures that look at borders only, and how good a
prediction can be that has passed through a coarse map.

Everything here takes **label maps** (integers), never scores: upsample the logits first, then take the argmax.
``n[i, j]`` is the number of pixels whose true class is ``i`` and whose predicted class is ``j``. A measure over a data
set is made from the counts summed over all its images; averaging the measure of each image gives another number.
Prediction and target may lie on any device, as long as it is the same one; sums are kept on the CPU.

Data that does not fit in memory is measured piece by piece, with what can be summed: ``ConfusionMatrix.update``,
``trimap_confusion`` and ``stride_ceiling`` (add the matrices), ``boundary_f1_of_images`` (join the scores) and
``boundary_overlap`` (add both tensors, divide at the end).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


class ConfusionMatrix:
    """Counts of (true class, predicted class) pairs, summed over as many images as you like.

    ``counts`` is int64 [K, K]: rows are the truth, columns the prediction. Pixels whose *target* is ``ignore_index``
    are left out; what is predicted there costs nothing. The measures are those of the FCN paper (Long et al., 2015,
    section 5). A class that never occurs has no score: it is ``nan`` in the per-class results and is left out of the
    means. For the accuracy "never occurs" means no target pixel; for IoU and Dice an empty union, so a class that is
    predicted but never true scores 0 and does count.
    """

    def __init__(self, num_classes: int, ignore_index: int | None = None):
        if num_classes < 1:
            raise ValueError(f"num_classes must be at least 1, not {num_classes}")
        if ignore_index is not None and 0 <= ignore_index < num_classes:
            raise ValueError(
                f"ignore_index {ignore_index} is one of the {num_classes} classes; use a label outside them"
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)

    def update(self, prediction: Tensor, target: Tensor) -> "ConfusionMatrix":
        """Add the pixels of one image or of a batch: two integer label maps of the same shape. Returns itself."""
        prediction, target = _labels(prediction, "prediction"), _labels(target, "target")
        _check_same_shape(prediction, target)
        smallest, largest = _extremes(prediction, target)
        if smallest < 0 or largest > max(self.num_classes, 255):
            prediction, target = self._valid_pixels(prediction, target)
            largest = self.num_classes - 1
        # Each pair (truth, prediction) becomes one whole number, so that a single pass counts all pairs.
        size = max(self.num_classes, largest + 1)
        # Narrow numbers are counted faster.
        dtype = torch.uint8 if size**2 <= 2**8 else torch.int16 if size**2 < 2**15 else torch.int32
        pairs = torch.add(prediction.to(dtype), target.to(dtype), alpha=size)
        counts = torch.bincount(pairs.flatten(), minlength=size**2).view(size, size).cpu()
        # The row of void is left out, whatever is predicted there. Then nothing may lie outside the classes.
        if self.ignore_index is not None and 0 <= self.ignore_index < size:
            counts[self.ignore_index] = 0
        inside = counts[: self.num_classes, : self.num_classes]
        if inside.sum() < counts.sum():
            self._valid_pixels(prediction, target)  # raises the error that names the labels
        self.counts += inside
        return self

    def _valid_pixels(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """The pixels that are not void, as two vectors. Raises ValueError for labels outside the classes."""
        valid = ~_is_void(target, self.ignore_index)
        prediction, target = prediction[valid], target[valid]
        _check_range(prediction, self.num_classes, "prediction")
        _check_range(target, self.num_classes, "target", self.ignore_index)
        return prediction, target

    def __add__(self, other: "ConfusionMatrix") -> "ConfusionMatrix":
        if (self.num_classes, self.ignore_index) != (other.num_classes, other.ignore_index):
            raise ValueError(
                f"cannot add a matrix of {other.num_classes} classes (ignore_index {other.ignore_index}) to one of "
                f"{self.num_classes} classes (ignore_index {self.ignore_index})"
            )
        total = ConfusionMatrix(self.num_classes, self.ignore_index)
        total.counts = self.counts + other.counts
        return total

    def __repr__(self) -> str:
        return f"ConfusionMatrix({self.num_classes} classes, {int(self.counts.sum())} pixels)"

    # Σ_i n_ii, t_i (true pixels of class i) and p_j (pixels predicted as class j), in the paper's letters.
    def _correct_true_predicted(self) -> tuple[Tensor, Tensor, Tensor]:
        if not self.counts.any():
            raise ValueError("the confusion matrix is empty: update it with at least one pixel that is not ignored")
        counts = self.counts.double()
        return counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)

    def pixel_accuracy(self) -> float:
        """Share of all pixels that are right: Σ n_ii / Σ t_i."""
        correct, true, _ = self._correct_true_predicted()
        return float(correct.sum() / true.sum())

    def class_accuracy(self) -> Tensor:
        """Share of each class's true pixels that are right, n_ii / t_i: float64 [K], nan without true pixels."""
        correct, true, _ = self._correct_true_predicted()
        return correct / true

    def mean_accuracy(self) -> float:
        """Mean of ``class_accuracy`` over the classes that have true pixels."""
        return float(self.class_accuracy().nanmean())

    def iou(self) -> Tensor:
        """Intersection over union of each class, n_ii / (t_i + p_i - n_ii): float64 [K], nan for an empty union."""
        correct, true, predicted = self._correct_true_predicted()
        return correct / (true + predicted - correct)

    def mean_iou(self) -> float:
        """Mean of ``iou`` over the classes that are true or predicted somewhere."""
        return float(self.iou().nanmean())

    def frequency_weighted_iou(self) -> float:
        """IoU weighted by how many true pixels a class has: Σ t_i IoU_i / Σ t_i."""
        _, true, _ = self._correct_true_predicted()
        return float((true * self.iou()).nansum() / true.sum())

    def dice(self) -> Tensor:
        """Dice (F1) of each class, 2 n_ii / (t_i + p_i) = 2 IoU / (1 + IoU): float64 [K], nan for an empty union."""
        correct, true, predicted = self._correct_true_predicted()
        return 2 * correct / (true + predicted)


def resampled_mean_iou(counts: Tensor, draws: Tensor) -> Tensor:
    """mIoU of test sets drawn anew from the same pictures (the bootstrap): float64 [B].

    ``counts`` int64 [N, K, K]: the confusion matrix of each picture, rows are the truth. ``draws`` int64 [B, N]: the
    pictures of each draw, drawn with replacement. The matrices of a draw are summed before they are divided.
    Source: Efron (1979), Bootstrap Methods: Another Look at the Jackknife.
    """
    if counts.ndim != 3 or counts.shape[1] != counts.shape[2]:
        raise ValueError(
            f"counts holds a square matrix for each picture, [N, K, K]; got the shape {list(counts.shape)}"
        )
    if draws.ndim != 2 or (draws.numel() and not 0 <= int(draws.min()) <= int(draws.max()) < len(counts)):
        raise ValueError(f"draws [B, N] holds numbers of pictures from 0 to {len(counts) - 1}")
    times = torch.zeros(len(draws), len(counts), dtype=torch.float64, device=counts.device)
    times.scatter_add_(1, draws, torch.ones_like(draws, dtype=torch.float64))  # how often each draw has each picture
    summed = torch.einsum("bn,nij->bij", times, counts.double())
    hits = summed.diagonal(dim1=1, dim2=2)
    return (hits / (summed.sum(1) + summed.sum(2) - hits)).nanmean(1)  # 0 / 0: a class that does not occur is left out


# ---------------------------------------------------------------- borders


def boundary(labels: Tensor) -> Tensor:
    """Pixels that touch another label to the left, right, above or below: bool, shape of ``labels`` [..., H, W].

    Both sides of a change are marked, so the line is two pixels wide. The image's own edge is no boundary.
    """
    labels = _labels(labels, "labels")
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
    prediction, target = _labels(prediction, "prediction"), _labels(target, "target")
    _check_same_shape(prediction, target)
    band = trimap(target, width)
    return ConfusionMatrix(num_classes, ignore_index).update(prediction[band], target[band])


def boundary_f1(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int | None = None, tolerance: float = 0.0075
) -> float:
    """Boundary F1 (BF): do the outlines of each class lie where they should? Label maps [H, W] or [N, H, W].

    For every image and class: precision is the share of the predicted outline within ``tolerance`` (a share of the
    image diagonal) of the true outline, recall the share of the true outline within it of the predicted one, F1 their
    harmonic mean. Averaged over the classes present in the image's target or prediction, then over the images, as in
    SegNet (Badrinarayanan et al., 2017, section 4). This is an approximation: growing both outlines by the tolerance
    instead of matching their pixels one to one gives slightly higher values. A class without any outline (it fills
    the image) scores 1 where both maps agree on that and 0 where only one does. ``nan`` if nothing can be scored.
    """
    scores = boundary_f1_of_images(prediction, target, num_classes, ignore_index, tolerance)
    return float(scores.nanmean())


def boundary_f1_of_images(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int | None = None, tolerance: float = 0.0075
) -> Tensor:
    """``boundary_f1`` of each image: float64 [N], nan for an image without a counted pixel.

    Join the scores of several batches and take their ``nanmean`` to measure data that does not fit in memory.
    """
    _check_tolerance(tolerance)
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

    The rim of a class is the part of it within ``tolerance`` (a share of the image diagonal, at least one pixel) of
    its outline, and the image's edge counts as outline, after Cheng et al. (2021, section 4). Rims are intersected
    and united per class over all images, then averaged over the classes with a union. ``nan`` if nothing can be scored.
    """
    intersection, union = boundary_overlap(prediction, target, num_classes, ignore_index, tolerance)
    return float((intersection / union).nanmean())


def boundary_overlap(
    prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int | None = None, tolerance: float = 0.02
) -> tuple[Tensor, Tensor]:
    """Intersection and union of the rims behind ``boundary_iou``, in pixels: two tensors, float64 [K].

    Add those of several batches, then divide, to measure data that does not fit in memory.
    """
    _check_tolerance(tolerance)
    intersection, union = torch.zeros(2, num_classes, dtype=torch.float64)
    for prediction_of_image, truth_of_image in _class_masks(prediction, target, num_classes, ignore_index):
        radius = max(1.0, tolerance * math.hypot(*truth_of_image.shape[-2:]))
        rim_p, rim_t = _inner_rim(prediction_of_image, radius), _inner_rim(truth_of_image, radius)
        intersection += (rim_p & rim_t).sum((1, 2)).cpu()
        union += (rim_p | rim_t).sum((1, 2)).cpu()
    return intersection, union


def _class_masks(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int | None):
    """Two bool tensors [K, H, W] an image, one mask a class. Void pixels of the target belong to no class in either."""
    prediction, target = _image_labels(prediction, "prediction"), _image_labels(target, "target")
    _check_same_shape(prediction, target)
    valid = ~_is_void(target, ignore_index)
    _check_range(prediction[valid], num_classes, "prediction")
    _check_range(target[valid], num_classes, "target", ignore_index)
    classes = torch.arange(num_classes, device=target.device).view(-1, 1, 1)
    for image in zip(prediction, target, valid):  # one at a time: the masks are K times as large as the labels
        yield tuple((labels == classes) & image[2] for labels in image[:2])


def _outlines(masks: Tensor) -> Tensor:
    """Pixels of each class [K, H, W] that touch another class. A border with void (no class at all) is no outline."""
    other = masks.any(dim=0, keepdim=True) & ~masks
    return masks & dilate(other, 1)


def _inner_rim(masks: Tensor, radius: float) -> Tensor:
    """Pixels of each mask within ``radius`` of its outside; beyond the image everything is outside."""
    outside = F.pad(~masks, (1, 1, 1, 1), value=True)  # one ring is enough: it is what lies nearest beyond the image
    return masks & dilate(outside, radius)[..., 1:-1, 1:-1]


# ---------------------------------------------------------------- coarse maps


def through_stride(target: Tensor, stride: int, num_classes: int, ignore_index: int | None = None) -> Tensor:
    """Labels that are left when the target itself passes through a map of one cell per ``stride`` × ``stride`` pixels.

    Each cell holds the share of its pixels that belongs to each class: what a perfect net would answer there. The
    shares are enlarged bilinearly to the target's size and the largest one wins, as FCN-32s does with its scores (Long
    et al., 2015, section 4). Label maps [H, W] or [N, H, W], any size; returns int64 of the same shape. Void pixels
    count for no class; each gets some class in the result, whatever lies near. Not a strict limit: scores bent on
    purpose to survive the enlarging could do a little better than honest shares.
    """
    if not isinstance(stride, int) or stride < 1:
        raise ValueError(f"stride is a whole number of pixels, at least 1; got {stride!r}")
    labels = _image_labels(target, "target")
    void = _is_void(labels, ignore_index)
    _check_range(labels[~void], num_classes, "target", ignore_index)
    height, width = labels.shape[-2:]
    result = torch.empty(labels.shape, dtype=torch.int64, device=labels.device)
    for image, nothing, out in zip(labels, void, result):
        one_hot = F.one_hot(image.long().masked_fill(nothing, num_classes), num_classes + 1)[..., :num_classes]
        # ceil_mode keeps the pixels of the last, incomplete cells; what lies beyond the picture is cropped off again.
        shares = F.avg_pool2d(one_hot.permute(2, 0, 1)[None].float(), stride, ceil_mode=True)
        enlarged = F.interpolate(shares, scale_factor=float(stride), mode="bilinear", align_corners=False)
        out.copy_(enlarged[0, :, :height, :width].argmax(dim=0))
    return result.reshape(torch.as_tensor(target).shape)


def stride_ceiling(target: Tensor, stride: int, num_classes: int, ignore_index: int | None = None) -> ConfusionMatrix:
    """How good can a prediction be that knows every label, but only at ``stride``? Counts of ``through_stride``.

    Label maps [H, W] or [N, H, W]. Add the matrices of several batches to measure data that does not fit in memory.
    """
    coarse = through_stride(target, stride, num_classes, ignore_index)
    return ConfusionMatrix(num_classes, ignore_index).update(coarse, target)


# ---------------------------------------------------------------- checks and counting


def _labels(labels, name: str) -> Tensor:
    labels = torch.as_tensor(labels)
    if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise TypeError(
            f"{name} must hold integer labels, not {labels.dtype}; turn logits [N, K, H, W] into labels with "
            "logits.argmax(dim=1)"
        )
    # Masks may come as torchvision tv_tensors; plain tensors keep the arithmetic below free of their bookkeeping.
    labels = labels.as_subclass(Tensor)
    # PNG masks of 16 bits: PyTorch can hold these types, but not calculate with them.
    return labels.long() if labels.dtype in (torch.uint16, torch.uint32, torch.uint64) else labels


def _image_labels(labels, name: str) -> Tensor:
    """Label maps [H, W] or [N, H, W] as [N, H, W]."""
    labels = _labels(labels, name)
    if labels.dim() not in (2, 3):
        raise ValueError(f"expected label maps [H, W] or [N, H, W], got {list(labels.shape)} for the {name}")
    return labels.reshape(-1, *labels.shape[-2:])


def _is_void(target: Tensor, ignore_index: int | None) -> Tensor:
    """Where the target is to be ignored: bool, shape of ``target``."""
    # A value that the type cannot hold would wrap around: compared with uint8 labels, -1 stands for 255.
    if ignore_index is None or not torch.iinfo(target.dtype).min <= ignore_index <= torch.iinfo(target.dtype).max:
        return torch.zeros_like(target, dtype=torch.bool)
    return target == ignore_index


def _check_tolerance(tolerance: float) -> None:
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance is a share of the image diagonal, such as 0.01, and not negative; got {tolerance}")


def _check_same_shape(prediction: Tensor, target: Tensor) -> None:
    if prediction.device != target.device:
        raise ValueError(
            f"prediction is on {prediction.device} and target on {target.device}; move one of them with .to(…)"
        )
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction {list(prediction.shape)} and target {list(target.shape)} must have the same shape; bring "
            "the logits to the target's size (torch.nn.functional.interpolate) before the argmax"
        )


def _extremes(*maps: Tensor) -> tuple[int, int]:
    """The smallest and the largest label of all maps; (0, 0) for maps without a pixel."""
    extremes = [int(value) for labels in maps if labels.numel() for value in torch.aminmax(labels)]
    return min(extremes, default=0), max(extremes, default=0)


def _check_range(labels: Tensor, num_classes: int, name: str, ignore_index: int | None = None) -> None:
    if labels.numel() == 0:
        return
    low, high = torch.aminmax(labels)
    if low < 0 or high >= num_classes:
        wrong = labels[(labels < 0) | (labels >= num_classes)].unique().tolist()
        ignored = "" if name == "prediction" else f" and ignore_index {ignore_index}"
        raise ValueError(f"{name} holds labels {wrong[:10]} outside the classes 0..{num_classes - 1}{ignored}")
