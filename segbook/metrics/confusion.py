"""The confusion matrix and the measures that are made from its counts.

``n[i, j]`` is the number of pixels whose true class is ``i`` and whose predicted class is ``j``. A measure over a data
set is made from the counts summed over all its images; averaging the measure of each image gives another number.
"""

from numbers import Integral

import torch
from torch import Tensor

from segbook.metrics.label_maps import check_pair, check_range, extremes, integer_labels, is_void


class ConfusionMatrix:
    """Counts of (true class, predicted class) pairs, summed over as many images as you like.

    ``counts`` is int64 [K, K]: rows are the truth, columns the prediction. Pixels whose *target* is ``ignore_index``
    are left out; what is predicted there costs nothing. The measures are those of the FCN paper (Long et al., 2015,
    section 5). A class that never occurs has no score: it is ``nan`` in the per-class results and is left out of the
    means. For the accuracy "never occurs" means no target pixel; for IoU and Dice an empty union, so a class that is
    predicted but never true scores 0 and does count.
    """

    def __init__(self, num_classes: int, ignore_index: int | None = None):
        if not isinstance(num_classes, Integral) or num_classes < 1:
            raise ValueError(f"num_classes must be a whole number of at least 1, not {num_classes!r}")
        if ignore_index is not None and not isinstance(ignore_index, Integral):
            raise TypeError(f"ignore_index must be a whole number or None, not {ignore_index!r}")
        if ignore_index is not None and 0 <= ignore_index < num_classes:
            raise ValueError(
                f"ignore_index {ignore_index} is one of the {num_classes} classes; use a label outside them"
            )
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.int64)

    def update(self, prediction: Tensor, target: Tensor) -> "ConfusionMatrix":
        """Add the pixels of one image or of a batch: two integer label maps of the same shape. Returns itself.

        Maps [H, W] or [N, H, W], or the labels of chosen pixels in a row. ValueError for labels outside the classes.
        """
        prediction, target = integer_labels(prediction, "prediction"), integer_labels(target, "target")
        _check_label_maps(prediction, target, self.num_classes)
        counts = _count_pairs(prediction, target, self.num_classes, self.ignore_index)
        self.counts += counts[:-1]  # the last row is void
        return self

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


def _check_label_maps(prediction: Tensor, target: Tensor, num_classes: int) -> None:
    """Refuse what cannot be one label a pixel in both: four axes, other shapes or devices, one-hot maps."""
    check_pair(prediction, target, num_classes)
    if target.dim() > 3:
        raise ValueError(
            f"label maps are [H, W] or [N, H, W], not {list(target.shape)}; one channel goes with .squeeze(1), one-hot "
            "maps become labels with .argmax(dim=1)"
        )


def _count_pairs(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int | None) -> Tensor:
    """How often each true class meets each predicted one: int64 [K + 1, K] on the CPU; the last row belongs to void.

    In short, and with the same result:

        pairs = target.where(~void, K) * K + prediction.where(~void, 0)
        counts = torch.bincount(pairs.flatten(), minlength=(K + 1) * K).view(K + 1, K)

    What follows takes a tenth of the time or less: labels of one byte are counted as bytes, and void is not looked for pixel
    by pixel but has its row among the others. Raises ValueError for labels outside the classes.
    """
    smallest, largest = extremes(prediction, target)
    if smallest < 0 or largest > max(num_classes, 255):
        prediction, target = _labelled_pixels(prediction, target, num_classes, ignore_index)
        largest = num_classes - 1
    # Each pair becomes one whole number, of the narrowest type that can hold them all, so that one pass counts them.
    size = max(num_classes, largest + 1)
    dtype = torch.uint8 if size**2 <= 2**8 else torch.int16 if size**2 < 2**15 else torch.int32
    pairs = torch.add(prediction.to(dtype), target.to(dtype), alpha=size)
    table = torch.bincount(pairs.flatten(), minlength=size**2).view(size, size).cpu()
    counts = torch.zeros(num_classes + 1, num_classes, dtype=torch.int64)
    counts[:-1] = table[:num_classes, :num_classes]
    if ignore_index is not None and 0 <= ignore_index < size:
        counts[-1] = table[ignore_index, :num_classes]
        table[ignore_index] = 0  # what is predicted there may be no class at all
    if counts[:-1].sum() < table.sum():
        _labelled_pixels(prediction, target, num_classes, ignore_index)  # raises the error that names the labels
    return counts


def _labelled_pixels(prediction: Tensor, target: Tensor, num_classes: int, ignore_index: int | None):
    """The pixels that are not void, as two vectors. Raises ValueError for labels outside the classes."""
    valid = ~is_void(target, ignore_index)
    prediction, target = prediction[valid], target[valid]
    check_range(prediction, num_classes, "prediction")
    check_range(target, num_classes, "target", ignore_index)
    return prediction, target


def bootstrap_mean_iou(counts: Tensor, draws: Tensor) -> Tensor:
    """mIoU of test sets drawn anew from the same images (the bootstrap): float64 [B].

    ``counts`` int64 [N, K, K]: the confusion matrix of each image, rows are the truth. ``draws`` int64 [B, N]: the
    images of each draw, drawn with replacement. The matrices of a draw are summed before they are divided.
    Source: Efron (1979), Bootstrap Methods: Another Look at the Jackknife.
    """
    if counts.ndim != 3 or counts.shape[1] != counts.shape[2]:
        raise ValueError(f"counts holds a square matrix for each image, [N, K, K]; got the shape {list(counts.shape)}")
    inside = not draws.numel() or 0 <= int(draws.min()) <= int(draws.max()) < len(counts)
    if draws.dtype != torch.int64 or draws.ndim != 2 or not inside:
        raise ValueError(f"draws int64 [B, N] holds numbers of images from 0 to {len(counts) - 1}")
    times = torch.zeros(len(draws), len(counts), dtype=torch.float64, device=counts.device)
    times.scatter_add_(1, draws, torch.ones_like(draws, dtype=torch.float64))  # how often each draw has each image
    summed = torch.einsum("bn,nij->bij", times, counts.double())
    hits = summed.diagonal(dim1=1, dim2=2)
    return (hits / (summed.sum(1) + summed.sum(2) - hits)).nanmean(1)  # 0 / 0: a class that does not occur is left out
