"""How good is a segmentation? Counts, the measures made from them, measures that look at borders only, and how good a
prediction can be that has passed through a coarse map.

Everything here takes **label maps** (integers), never scores: upsample the logits first, then take the argmax.
``n[i, j]`` is the number of pixels whose true class is ``i`` and whose predicted class is ``j``. A measure over a data
set is made from the counts summed over all its images; averaging the measure of each image gives another number.
Prediction and target may lie on any device, as long as it is the same one; sums are kept on the CPU.

Data that does not fit in memory is measured piece by piece, with what can be summed: ``ConfusionMatrix.update``,
``trimap_confusion`` and ``upper_bound_at_stride`` (add the matrices), ``boundary_f1_of_images`` (join the scores) and
``boundary_overlap`` (add both tensors, divide at the end).
"""

from segbook.metrics.boundaries import (
    boundary,
    boundary_f1,
    boundary_f1_of_images,
    boundary_iou,
    boundary_overlap,
    dilate,
    trimap,
    trimap_confusion,
    trimap_iou,
)
from segbook.metrics.coarse import downsample_labels, upper_bound_at_stride
from segbook.metrics.confusion import ConfusionMatrix, bootstrap_mean_iou

__all__ = [
    "ConfusionMatrix",
    "bootstrap_mean_iou",
    "boundary",
    "dilate",
    "trimap",
    "trimap_iou",
    "trimap_confusion",
    "boundary_f1",
    "boundary_f1_of_images",
    "boundary_iou",
    "boundary_overlap",
    "downsample_labels",
    "upper_bound_at_stride",
]
