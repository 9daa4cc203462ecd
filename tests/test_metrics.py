import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, jaccard_score
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassJaccardIndex
from torchvision import tv_tensors

from segbook.metrics import ConfusionMatrix, boundary, boundary_f1, boundary_iou, dilate, trimap, trimap_iou

# A 3-class example, worked out by hand with the formulas of the FCN paper.
COUNTS = torch.tensor([[50, 3, 2], [4, 20, 1], [0, 5, 15]])


def labels_with_counts(counts):
    """Label maps (prediction, target) that have exactly these counts."""
    pairs = [(i, j) for i, row in enumerate(counts.tolist()) for j, n in enumerate(row) for _ in range(n)]
    target, prediction = torch.tensor(pairs).T
    return prediction, target


def test_every_measure_of_the_worked_example():
    matrix = ConfusionMatrix(3).update(*labels_with_counts(COUNTS))
    assert torch.equal(matrix.counts, COUNTS)
    assert matrix.counts.dtype == torch.int64
    assert matrix.pixel_accuracy() == pytest.approx(0.85, abs=1e-7)
    assert matrix.mean_accuracy() == pytest.approx(0.8196970, abs=1e-7)
    assert matrix.iou().tolist() == pytest.approx([0.8474576, 0.6060606, 0.6521739], abs=1e-7)
    assert matrix.mean_iou() == pytest.approx(0.7018974, abs=1e-7)
    assert matrix.frequency_weighted_iou() == pytest.approx(0.7480516, abs=1e-7)
    assert matrix.dice().tolist() == pytest.approx([0.9174312, 0.7547170, 0.7894737], abs=1e-7)
    assert matrix.class_accuracy().tolist() == pytest.approx([50 / 55, 20 / 25, 15 / 20])


def test_rows_are_truth_and_columns_prediction():
    matrix = ConfusionMatrix(2).update(torch.tensor([1]), torch.tensor([0]))
    assert matrix.counts.tolist() == [[0, 1], [0, 0]]


def test_void_pixels_cost_nothing_whatever_is_predicted_there():
    target = torch.tensor([[0, 255, 1]], dtype=torch.uint8)
    prediction = torch.tensor([[0, 77, 1]], dtype=torch.uint8)  # 77 is no class, but only void pixels have it
    matrix = ConfusionMatrix(2, ignore_index=255).update(prediction, target)
    assert matrix.counts.tolist() == [[1, 0], [0, 1]]


def test_absent_classes():
    # Class 1 is predicted but never true, class 2 never occurs.
    matrix = ConfusionMatrix(3).update(torch.tensor([0, 0, 1]), torch.tensor([0, 0, 0]))
    assert matrix.iou()[:2].tolist() == pytest.approx([2 / 3, 0])
    assert matrix.iou()[2].isnan() and matrix.dice()[2].isnan()
    assert matrix.mean_iou() == pytest.approx(1 / 3)  # the false class 1 counts, the absent class 2 does not
    assert matrix.class_accuracy()[1:].isnan().all()
    assert matrix.mean_accuracy() == pytest.approx(2 / 3)
    assert matrix.frequency_weighted_iou() == pytest.approx(2 / 3)


def test_data_set_iou_is_not_the_mean_of_image_ious():
    first = ConfusionMatrix(2).update(torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 0, 1]))
    second = ConfusionMatrix(2).update(torch.tensor([1]), torch.tensor([1]))
    both = first + second
    assert both.counts.tolist() == [[3, 0], [1, 1]]
    assert both.mean_iou() == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert (first.mean_iou() + second.mean_iou()) / 2 == pytest.approx((0.375 + 1) / 2)
    assert first.counts.tolist() == [[3, 0], [1, 0]], "adding must not change its parts"


@st.composite
def label_maps(draw):
    classes = draw(st.integers(2, 13))
    shape = draw(st.sampled_from([(7,), (5, 6), (2, 9, 4), (1, 1), (3, 1, 8)]))
    seed = draw(st.integers(0, 10**6))
    void_share = draw(st.sampled_from([0.0, 0.3, 0.9]))
    used = draw(st.integers(1, classes))  # classes from ``used`` on are absent from the target
    dtype = draw(st.sampled_from([torch.uint8, torch.int32, torch.int64]))
    void = draw(st.sampled_from([classes, 255]))
    generator = torch.Generator().manual_seed(seed)
    target = torch.randint(0, used, shape, generator=generator)
    prediction = torch.randint(0, classes, shape, generator=generator)
    target[torch.rand(shape, generator=generator) < void_share] = void
    return prediction.to(dtype), target.to(dtype), classes, void


@settings(max_examples=150, deadline=None)
@given(label_maps())
def test_counts_and_scores_agree_with_scikit_learn_and_torchmetrics(maps):
    prediction, target, classes, void = maps
    matrix = ConfusionMatrix(classes, ignore_index=void).update(prediction, target)
    p, t = prediction.long().flatten(), target.long().flatten()
    theirs = MulticlassConfusionMatrix(classes, ignore_index=void)(p, t)
    assert torch.equal(matrix.counts, theirs)
    p, t = p[t != void].numpy(), t[t != void].numpy()
    if len(t) == 0:
        with pytest.raises(ValueError, match="empty"):
            matrix.mean_iou()
        return
    assert np.array_equal(matrix.counts.numpy(), confusion_matrix(t, p, labels=range(classes)))
    occurring = sorted(set(p) | set(t))
    iou = matrix.iou().numpy()
    assert np.isnan(iou).tolist() == [c not in occurring for c in range(classes)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert iou[occurring] == pytest.approx(jaccard_score(t, p, labels=occurring, average=None))
        macro = MulticlassJaccardIndex(classes, ignore_index=void)(torch.tensor(p), torch.tensor(t))
        assert matrix.mean_iou() == pytest.approx(macro.item(), abs=1e-6)
        micro = MulticlassAccuracy(classes, average="micro")(torch.tensor(p), torch.tensor(t))
        assert matrix.pixel_accuracy() == pytest.approx(micro.item(), abs=1e-6)
    assert matrix.dice().numpy() == pytest.approx(2 * iou / (1 + iou), nan_ok=True)


@settings(max_examples=30, deadline=None)
@given(label_maps(), st.integers(1, 6))
def test_updates_add_up(maps, cut):
    prediction, target, classes, void = maps
    whole = ConfusionMatrix(classes, void).update(prediction, target)
    p, t = prediction.flatten(), target.flatten()
    parts = ConfusionMatrix(classes, void).update(p[:cut], t[:cut]) + ConfusionMatrix(classes, void).update(
        p[cut:], t[cut:]
    )
    assert torch.equal(whole.counts, parts.counts)


def test_takes_numpy_arrays_and_masks_and_leaves_them_unchanged():
    target = tv_tensors.Mask(torch.tensor([[0, 1, 2]]))
    prediction = np.array([[0, 1, 1]], dtype=np.uint8)
    matrix = ConfusionMatrix(2, ignore_index=2).update(prediction, target)
    assert matrix.counts.tolist() == [[1, 0], [0, 1]]
    assert type(matrix.counts) is torch.Tensor
    assert target.tolist() == [[0, 1, 2]] and prediction.tolist() == [[0, 1, 1]]


@pytest.mark.parametrize("ignore_index", [-1, -100, 300])
def test_ignore_index_may_lie_anywhere_outside_the_classes(ignore_index):
    target = torch.tensor([0, ignore_index, 1])
    matrix = ConfusionMatrix(2, ignore_index).update(torch.tensor([0, 0, 1]), target)
    assert matrix.counts.tolist() == [[1, 0], [0, 1]]


def test_bad_input_is_refused_by_name():
    matrix = ConfusionMatrix(3, ignore_index=255)
    good = torch.tensor([[0, 1], [2, 255]])
    with pytest.raises(TypeError, match="prediction must hold integer labels.*argmax"):
        matrix.update(torch.zeros(2, 2), good)
    with pytest.raises(TypeError, match="target must hold integer labels"):
        matrix.update(good, torch.zeros(2, 2))
    with pytest.raises(ValueError, match=r"prediction \[4\] and target \[2, 2\]"):
        matrix.update(torch.zeros(4, dtype=torch.long), good)
    with pytest.raises(ValueError, match=r"prediction holds labels \[3, 9\] outside the classes 0..2"):
        matrix.update(torch.tensor([[0, 3], [9, 0]]), good)
    with pytest.raises(ValueError, match=r"target holds labels \[11\] outside the classes 0..2 and ignore_index 255"):
        matrix.update(torch.zeros(2, 2, dtype=torch.long), torch.tensor([[0, 11], [2, 255]]))
    with pytest.raises(ValueError, match=r"labels \[-1\]"):
        matrix.update(torch.tensor([[-1, 0], [0, 0]]), good)
    assert not matrix.counts.any(), "a refused update must not leave half its pixels behind"
    with pytest.raises(ValueError, match="empty"):
        matrix.pixel_accuracy()
    with pytest.raises(ValueError, match="ignore_index 1 is one of"):
        ConfusionMatrix(3, ignore_index=1)
    with pytest.raises(ValueError, match="cannot add"):
        matrix + ConfusionMatrix(4, ignore_index=255)


# ---------------------------------------------------------------- borders


def test_boundary_marks_both_sides_of_a_change():
    labels = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0]])
    assert boundary(labels).int().tolist() == [[0, 1, 1, 0], [0, 1, 1, 1], [0, 0, 1, 1]]
    assert not boundary(torch.full((4, 5), 3)).any()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 7))
def test_dilate_is_all_pixels_within_the_distance(seed, radius):
    mask = torch.rand(11, 14, generator=torch.Generator().manual_seed(seed)) < 0.04
    rows, columns = torch.meshgrid(torch.arange(11), torch.arange(14), indexing="ij")
    expected = torch.zeros_like(mask)
    for y, x in mask.nonzero().tolist():
        expected |= (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    assert torch.equal(dilate(mask, radius), expected)
    assert torch.equal(dilate(torch.stack([mask, ~mask]), radius)[0], expected)


def test_trimap_width():
    target = torch.zeros(5, 20, dtype=torch.long)
    target[:, 10:] = 1
    for width in (1, 3, 5):
        assert trimap(target, width).sum() == 5 * 2 * width
    with pytest.raises(ValueError, match="at least 1"):
        trimap(target, 0)


def test_trimap_iou_sees_only_the_band():
    target = torch.zeros(2, 6, 20, dtype=torch.long)
    target[:, :, 10:] = 1
    prediction = target.clone()
    prediction[:, :, 0] = 1  # wrong, but ten pixels from the change
    assert trimap_iou(prediction, target, 3, num_classes=2) == 1
    assert trimap_iou(prediction, target, 10, num_classes=2) < 1
    prediction = target.clone()
    prediction[:, :, 10] = 0  # the border is one pixel off
    narrow, wide = (trimap_iou(prediction, target, width, num_classes=2) for width in (1, 5))
    assert narrow == pytest.approx((1 / 2 + 0) / 2)
    assert wide == pytest.approx((5 / 6 + 4 / 5) / 2)


def test_trimap_iou_counts_no_void_and_is_nan_without_a_border():
    target = torch.zeros(6, 8, dtype=torch.long)
    target[:, 4:] = 255
    prediction = torch.zeros_like(target)
    assert trimap_iou(prediction, target, 1, num_classes=2, ignore_index=255) == 1
    assert math.isnan(trimap_iou(prediction, torch.zeros_like(target), 2, num_classes=2))


def square(left, size=64, side=20, label=1):
    image = torch.zeros(size, size, dtype=torch.long)
    image[20 : 20 + side, left : left + side] = label
    return image


def test_boundary_f1_falls_when_the_shift_exceeds_the_tolerance():
    truth = square(20)
    assert boundary_f1(truth, truth, 2) == 1
    # The tolerance of 0.0075 of the 90.5-pixel diagonal is 0.68: a shift by one pixel moves two of the four sides away.
    shifted = boundary_f1(square(21), truth, 2)
    assert 0.4 < shifted < 0.7
    assert boundary_f1(square(21), truth, 2, tolerance=0.02) == 1
    assert boundary_f1(square(40), truth, 2) < shifted


def test_boundary_f1_by_hand():
    # One column of change; the prediction's is two columns to the right. Outlines: pixels that touch the other class.
    truth = torch.zeros(4, 10, dtype=torch.long)
    truth[:, 5:] = 1
    prediction = torch.zeros(4, 10, dtype=torch.long)
    prediction[:, 7:] = 1
    diagonal = math.hypot(4, 10)
    assert boundary_f1(prediction, truth, 2, tolerance=1.9 / diagonal) == 0
    assert boundary_f1(prediction, truth, 2, tolerance=2.01 / diagonal) == 1
    # In a batch the images are averaged.
    batch = boundary_f1(torch.stack([prediction, truth]), torch.stack([truth, truth]), 2, tolerance=1.9 / diagonal)
    assert batch == 0.5


def test_boundary_f1_averages_over_present_classes_and_ignores_void():
    truth = square(20)
    nothing = torch.zeros_like(truth)
    assert boundary_f1(nothing, truth, 2) == 0
    assert boundary_f1(truth, truth, 9) == 1, "classes in neither map must not count"
    invented = truth.clone()
    invented[0, 0] = 2  # a false class scores 0 and pulls background's precision down a little
    assert 0.6 < boundary_f1(invented, truth, 3) < 0.67
    void = truth.clone()
    void[:, :8] = 255
    wrong_in_void = truth.clone()
    wrong_in_void[3:6, 2:5] = 1
    assert boundary_f1(wrong_in_void, void, 2, ignore_index=255) == 1
    assert boundary_f1(nothing, nothing, 2) == 1
    assert math.isnan(boundary_f1(nothing, torch.full_like(truth, 255), 2, ignore_index=255))


def test_boundary_iou_is_stricter_than_iou_for_large_things_and_equal_for_thin_ones():
    truth, shifted = square(10, side=40), square(12, side=40)
    area = ConfusionMatrix(2).update(shifted, truth).mean_iou()
    assert boundary_iou(truth, truth, 2) == 1
    assert boundary_iou(shifted, truth, 2) < area - 0.2
    # With a rim as wide as the image both measures are the same.
    assert boundary_iou(shifted, truth, 2, tolerance=1.0) == pytest.approx(area)


def test_boundary_iou_by_hand():
    truth = torch.zeros(12, 12, dtype=torch.long)
    truth[4:8, 3:7] = 1
    shifted = truth.roll(1, dims=1)
    # Rim of one pixel of the 4x4 square: 12 pixels; the two rings share three pixels in the top row and three below.
    square_rims = 6 / (12 + 12 - 6)
    # Background: the 44 pixels along the image's edge, and 16 that touch the square, of which 3 + 3 are shared.
    background_rims = (44 + 6) / (44 + 16 + 16 - 6)
    assert boundary_iou(shifted, truth, 2, tolerance=1e-6) == pytest.approx((square_rims + background_rims) / 2)


def test_border_measures_refuse_what_they_cannot_use():
    maps = torch.zeros(4, 4, dtype=torch.long)
    with pytest.raises(ValueError, match="same shape"):
        boundary_f1(maps[:2], maps, 2)
    with pytest.raises(ValueError, match=r"target holds labels \[5\]"):
        boundary_f1(maps, maps + 5, 2)
    with pytest.raises(TypeError, match="integer labels"):
        boundary_iou(maps.float(), maps, 2)
    with pytest.raises(ValueError, match=r"\[H, W\] or \[N, H, W\]"):
        boundary_iou(maps[None, None], maps[None, None], 2)
    with pytest.raises(TypeError, match="bool mask"):
        dilate(maps, 1)
