"""Checks of chapter 05: IoU, its weighted mean, counting pairs, a leaking void, a fooled accuracy, an outline's F1."""

import torch

from segbook.course.check import exercise, expect, expect_callable, expect_close, expect_equal, expect_shape
from segbook.metrics import ConfusionMatrix, dilate


def _matrix(counts, ignore_index=None) -> ConfusionMatrix:
    matrix = ConfusionMatrix(len(counts), ignore_index)
    matrix.counts = torch.as_tensor(counts)
    return matrix


@exercise(
    "intersection over union from a matrix",
    hints=[
        "Which three numbers of the table do you need for one class? Look at the third panel of the figure by hand.",
        "Row sum + column sum counts the cell on the diagonal twice: take it off once.",
        "hit = counts.diagonal(); hit / (counts.sum(dim=1) + counts.sum(dim=0) - hit). 0 / 0 gives nan by itself.",
    ],
)
def iou(answer):
    expect_callable(answer, "iou")
    cases = {
        "two classes": [[3, 1], [2, 4]],
        "the 3×3 example": [[50, 3, 2], [4, 20, 1], [0, 5, 15]],
        "a class that is predicted but never true": [[5, 0, 2], [1, 4, 0], [0, 0, 0]],
        "a class that never occurs (its IoU is nan)": [[5, 0, 2], [0, 0, 0], [1, 0, 4]],
    }
    for what, counts in cases.items():
        counts = torch.tensor(counts)
        got = answer(counts)
        expect_shape(got, (len(counts),), "the IoU of all classes")
        expect_close(got, _matrix(counts).iou(), what)


@exercise(
    "frequency-weighted IoU",
    hints=[
        "Frequent means: often in the *truth*. Is that the row sum or the column sum?",
        "Multiply each class's IoU by its number of true pixels, add up, divide by all pixels.",
        "A class that never occurs has IoU nan and weight 0, and 0 * nan is nan: use (t * iou).nansum() / t.sum().",
    ],
)
def frequency_weighted_iou(answer):
    expect_callable(answer, "frequency_weighted_iou")
    cases = {
        "the 3×3 example": [[50, 3, 2], [4, 20, 1], [0, 5, 15]],
        "a matrix that is far from symmetric": [[8, 30, 2], [0, 20, 0], [9, 0, 1]],
        "a matrix with a class that never occurs": [[5, 0, 2], [0, 0, 0], [1, 0, 4]],
    }
    for what, counts in cases.items():
        counts = torch.tensor(counts)
        expect_close(answer(counts), _matrix(counts).frequency_weighted_iou(), what)


@exercise(
    "counting pairs without a loop",
    hints=[
        "Throw away the void pixels of the *target* first, in both maps. What is predicted there does not matter.",
        "One whole number a pair: target * num_classes + prediction. Then every number is counted in one pass.",
        "torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes); minlength keeps classes that "
        "do not occur.",
    ],
)
def confusion(answer):
    expect_callable(answer, "confusion")
    small = torch.tensor([[0, 0, 1], [2, 2, 2]]), torch.tensor([[0, 1, 1], [2, 0, 9]])
    expect_equal(answer(*small, 3, 9), [[1, 0, 1], [1, 1, 0], [0, 0, 1]], "a 2×3 example (rows are the truth)")
    for classes, void, used in [(5, 255, 5), (11, 11, 4), (3, -1, 3)]:
        target, prediction = torch.randint(used, (2, 4, 6, 7))
        target[torch.rand(target.shape) < 0.3] = void
        prediction[target == void] = classes + 1  # allowed: a void pixel costs nothing, whatever is predicted
        truth = ConfusionMatrix(classes, void).update(prediction, target).counts
        got = answer(prediction, target, classes, void)
        expect_shape(got, (classes, classes), f"{classes} classes of which {used} occur")
        expect_equal(got, truth, f"{classes} classes, void {void}, a batch of 4 maps")


def _counts(prediction, target, classes):
    keep = (target >= 0) & (target < classes)
    pairs = target[keep].long() * classes + prediction[keep].long()
    return torch.bincount(pairs, minlength=classes**2).view(classes, classes)


def _leaks(classes, void):
    """Evaluations as people write them, each with the class that void ends up in, or -1."""
    return {
        "an evaluation without a leak": (lambda p, t: _counts(p, t, classes), -1),
        "an evaluation that clamps labels into the range": (
            lambda p, t: _counts(p, t.clamp(0, classes - 1), classes), classes - 1,
        ),
        "an evaluation that replaces void by 0": (lambda p, t: _counts(p, torch.where(t == void, 0, t), classes), 0),
        "an evaluation that takes labels modulo the classes": (
            lambda p, t: _counts(p, t % classes, classes), void % classes,
        ),
        "an evaluation that fills void with class 1": (lambda p, t: _counts(p, torch.where(t == void, 1, t), classes), 1),
    }  # fmt: skip


@exercise(
    "where void leaks to",
    hints=[
        "Treat `measure` as a closed box. What should it count on a target that is void everywhere?",
        "Hand it such a target. If the counts are not all zero, void has been taken for some class: a row.",
        "counts = measure(torch.zeros_like(void), void) with void = torch.full((2, 2), ignore_index); the leak is the "
        "row with a count, int(counts.sum(dim=1).argmax()), and -1 when counts.sum() is 0.",
    ],
)
def leaking_class(answer):
    expect_callable(answer, "leaking_class")
    for classes, void in [(11, 255), (6, 200)]:
        for what, (measure, leak) in _leaks(classes, void).items():
            expect_equal(answer(measure, classes, void), leak, f"{what} ({classes} classes, void {void})")


@exercise(
    "an accuracy that is fooled",
    hints=[
        "Pixel accuracy hardly notices classes with few pixels; mean IoU counts each class the same.",
        "Erase the rarest classes, as long as all erased pixels together stay below 10 %.",
        "Count with torch.bincount, go through the classes from rare to frequent, and paint them with the most frequent "
        "class while the sum of their pixels is below a tenth of all.",
    ],
)
def fool(answer):
    expect_callable(answer, "fool")
    for classes, void, seed in [(6, 255, 1), (6, 6, 2), (8, 255, 3)]:
        generator = torch.Generator().manual_seed(seed)
        shares = torch.tensor([0.5, 0.3, 0.15, 0.02, 0.02, 0.01])
        order = torch.randperm(classes, generator=generator)[: len(shares)]
        drawn = torch.multinomial(shares, 60 * 80, replacement=True, generator=generator)
        target = order[drawn].view(60, 80)
        target[:3] = void
        prediction = answer(target.clone(), classes, void)
        expect_shape(prediction, (60, 80), "the prediction")
        matrix = ConfusionMatrix(classes, void).update(prediction, target)
        accuracy, mean_iou = matrix.pixel_accuracy(), matrix.mean_iou()
        expect(
            accuracy >= 0.9 and mean_iou <= 0.5,
            f"a truth of {classes} classes: your prediction has pixel accuracy {accuracy:.3f} and mean IoU "
            f"{mean_iou:.3f}; wanted are at least 0.9 and at most 0.5.",
        )


@exercise(
    "the F1 of an outline",
    hints=[
        "The outline of an object: its own pixels that lie within 1 pixel of what is not the object.",
        "A predicted outline pixel is a hit if it lies in the *grown* true outline; for recall the other way round.",
        "line_p, line_t = (m & sb.metrics.dilate(~m, 1) for m in (prediction, truth)); precision = "
        "(line_p & sb.metrics.dilate(line_t, tolerance)).sum() / line_p.sum(), recall likewise; F1 = 2PR / (P + R).",
    ],
)
def outline_f1(answer):
    expect_callable(answer, "outline_f1")
    rows, columns = torch.meshgrid(torch.arange(40), torch.arange(50), indexing="ij")
    disc = (rows - 20) ** 2 + (columns - 24) ** 2 < 12**2
    box = (rows > 8) & (rows < 30) & (columns > 15) & (columns < 41)
    cases = {
        "the same disc twice": (disc, disc, 0),
        "a disc moved by 2 pixels, tolerance 1": (disc.roll(2, 1), disc, 1),
        "a disc moved by 2 pixels, tolerance 2": (disc.roll(2, 1), disc, 2),
        "a disc and a large second blob": (disc | (columns > 44), disc, 1.5),
        "a disc against a box": (disc, box, 2),
        "two discs that do not touch (0, not nan)": (disc & (columns < 16), box & (columns > 34), 1),
    }
    for what, (prediction, truth, tolerance) in cases.items():
        expect_close(answer(prediction, truth, tolerance), _outline_f1(prediction, truth, tolerance), what, atol=1e-5)


def _outline_f1(prediction, truth, tolerance):
    line_p, line_t = (mask & dilate(~mask, 1) for mask in (prediction, truth))
    precision = (line_p & dilate(line_t, tolerance)).sum() / line_p.sum()
    recall = (line_t & dilate(line_p, tolerance)).sum() / line_t.sum()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0
