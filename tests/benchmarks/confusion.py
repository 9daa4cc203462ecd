"""Confusion matrix and mean IoU over 100 masks of 480 × 360 against torchmetrics and scikit-learn."""

from functools import partial

import numpy as np
import torch
from measure import compare, explain
from sklearn.metrics import confusion_matrix
from torch.nn.functional import interpolate
from torchmetrics.classification import MulticlassConfusionMatrix

from segbook.metrics import ConfusionMatrix

CLASSES, VOID, COUNT = 11, 11, 100


def masks(dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Blocks of labels as truth with 5 % void, a tenth of them wrong in the prediction."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, CLASSES, (COUNT, 1, 23, 30), generator=generator).float()
    truth = interpolate(blocks, (360, 480), mode="nearest")[:, 0].to(dtype)
    wrong, void = (torch.rand(truth.shape, generator=generator) < share for share in (0.1, 0.05))
    other = torch.randint(0, CLASSES, truth.shape, generator=generator).to(dtype)
    return truth.where(~wrong, other), truth.masked_fill(void, VOID)


def ours(prediction, truth):
    matrix = ConfusionMatrix(CLASSES, VOID)
    for pair in zip(prediction, truth):
        matrix.update(*pair)
    return matrix.counts, matrix.mean_iou()


def by_torchmetrics(prediction, truth):
    matrix = MulticlassConfusionMatrix(CLASSES, ignore_index=VOID)
    for pair in zip(prediction, truth):
        matrix.update(*pair)
    return with_mean_iou(matrix.compute())


def by_scikit_learn(prediction, truth):
    counts = np.zeros((CLASSES, CLASSES), dtype=np.int64)
    for p, t in zip(prediction.flatten(1).numpy(), truth.flatten(1).numpy()):
        counts += confusion_matrix(t[t != VOID], p[t != VOID], labels=np.arange(CLASSES))
    return with_mean_iou(torch.from_numpy(counts))


def with_mean_iou(counts):
    correct = counts.diagonal().double()
    return counts, (correct / (counts.sum(0) + counts.sum(1) - correct)).mean().item()


def run(options) -> list:
    rows = []
    for dtype in (torch.int64, torch.uint8):
        maps = masks(dtype)
        for peer, theirs, goal in (("torchmetrics", by_torchmetrics, 20), ("scikit-learn", by_scikit_learn, 10)):
            (a, x), (b, y) = ours(*maps), theirs(*maps)
            assert torch.equal(a, b.long()) and abs(x - y) < 1e-9
            work = f"confusion matrix + mIoU, {COUNT} masks 480×360, {str(dtype).removeprefix('torch.')}"
            both = partial(ours, *maps), partial(theirs, *maps)
            runs = 5 * options.runs  # they are short, and vary
            row = compare(work, peer, *both, runs=runs, goal=goal, checked="equal counts")
            rows.append(explain(row, *both))
    return [row for row in rows if options.only in row.work]
