"""The confusion matrix and the measures that are made from its counts.

``n[i, j]`` is the number of pixels whose true class is ``i`` and whose predicted class is ``j``. A measure over a data
set is made from the counts summed over all its images; averaging the measure of each image gives another number.
"""

import torch
from torch import Tensor

from segbook.metrics.label_maps import check_range, check_same_shape, extremes, integer_labels, is_void


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
        prediction, target = integer_labels(prediction, "prediction"), integer_labels(target, "target")
        check_same_shape(prediction, target)
        smallest, largest = extremes(prediction, target)
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
        valid = ~is_void(target, self.ignore_index)
        prediction, target = prediction[valid], target[valid]
        check_range(prediction, self.num_classes, "prediction")
        check_range(target, self.num_classes, "target", self.ignore_index)
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


def bootstrap_mean_iou(counts: Tensor, draws: Tensor) -> Tensor:
    """mIoU of test sets drawn anew from the same images (the bootstrap): float64 [B].

    ``counts`` int64 [N, K, K]: the confusion matrix of each image, rows are the truth. ``draws`` int64 [B, N]: the
    images of each draw, drawn with replacement. The matrices of a draw are summed before they are divided.
    Source: Efron (1979), Bootstrap Methods: Another Look at the Jackknife.
    """
    if counts.ndim != 3 or counts.shape[1] != counts.shape[2]:
        raise ValueError(f"counts holds a square matrix for each image, [N, K, K]; got the shape {list(counts.shape)}")
    if draws.ndim != 2 or (draws.numel() and not 0 <= int(draws.min()) <= int(draws.max()) < len(counts)):
        raise ValueError(f"draws [B, N] holds numbers of images from 0 to {len(counts) - 1}")
    times = torch.zeros(len(draws), len(counts), dtype=torch.float64, device=counts.device)
    times.scatter_add_(1, draws, torch.ones_like(draws, dtype=torch.float64))  # how often each draw has each image
    summed = torch.einsum("bn,nij->bij", times, counts.double())
    hits = summed.diagonal(dim1=1, dim2=2)
    return (hits / (summed.sum(1) + summed.sum(2) - hits)).nanmean(1)  # 0 / 0: a class that does not occur is left out
