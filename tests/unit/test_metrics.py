import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, jaccard_score
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassJaccardIndex
from torchvision import tv_tensors

from segbook.metrics import (
    ConfusionMatrix,
    bootstrap_mean_iou,
    boundary,
    boundary_f1,
    boundary_f1_of_images,
    boundary_iou,
    boundary_overlap,
    confusion,
    dilate,
    downsample_labels,
    trimap,
    trimap_confusion,
    trimap_iou,
    upper_bound_at_stride,
)

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
def label_maps(draw, max_pixels=400):
    """Prediction, target, number of classes and void label, over random shapes, void shares and absent classes."""
    classes = draw(st.integers(2, 13))
    shape = draw(st.lists(st.integers(1, 12), min_size=1, max_size=3).filter(lambda s: math.prod(s) <= max_pixels))
    void_share = draw(st.sampled_from([0.0, 0.3, 0.9, 1.0]))
    # Any class may be missing from the truth, from the prediction, or from both.
    true = torch.tensor(draw(st.lists(st.integers(0, classes - 1), min_size=1, unique=True)))
    predicted = torch.tensor(draw(st.lists(st.integers(0, classes - 1), min_size=1, unique=True)))
    dtype = draw(st.sampled_from([torch.uint8, torch.int32, torch.int64]))
    void = draw(st.sampled_from([classes, 255]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    target = true[torch.randint(len(true), shape, generator=generator)]
    prediction = predicted[torch.randint(len(predicted), shape, generator=generator)]
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
        assert matrix.mean_accuracy() == pytest.approx(balanced_accuracy_score(t, p))
        true = sorted(set(t))
        dice = f1_score(t, p, labels=occurring, average=None, zero_division=0)
        assert matrix.dice().numpy()[occurring] == pytest.approx(dice)
        weighted = jaccard_score(t, p, labels=true, average="weighted")
        assert matrix.frequency_weighted_iou() == pytest.approx(weighted)
        theirs = MulticlassJaccardIndex(classes, average="weighted")(torch.tensor(p), torch.tensor(t))
        assert matrix.frequency_weighted_iou() == pytest.approx(theirs.item(), abs=1e-6)
    assert matrix.dice().numpy() == pytest.approx(2 * iou / (1 + iou), nan_ok=True)


@settings(max_examples=60, deadline=None)
@given(label_maps())
def test_fast_counting_is_the_plain_one_with_a_row_for_void(maps):
    prediction, target, classes, void = maps
    ignored = target == void
    pairs = target.long().masked_fill(ignored, classes) * classes + prediction.long().masked_fill(ignored, 0)
    plain = torch.bincount(pairs.flatten(), minlength=(classes + 1) * classes).view(classes + 1, classes)
    counts = confusion._count_pairs(prediction, target, classes, void)
    assert torch.equal(counts[:-1], plain[:-1])
    assert counts[-1].sum() == plain[-1].sum() == ignored.sum()


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


@pytest.mark.parametrize("num_classes", [3, 181, 182, 300])
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
@pytest.mark.parametrize("ignore_index", [-100, 300, 1000])
def test_many_classes_and_wild_predictions_on_void(num_classes, dtype, ignore_index):
    generator = torch.Generator().manual_seed(num_classes)
    target, prediction = torch.randint(0, num_classes, (2, 40, 50), generator=generator).to(dtype)
    expected = torch.zeros(num_classes, num_classes, dtype=torch.int64)
    for t, p in zip(target[1:].flatten().tolist(), prediction[1:].flatten().tolist()):
        expected[t, p] += 1
    target[0] = ignore_index
    for wild in (0, num_classes, -1, 255, 65_536, 2**31 - 1):
        prediction[0] = wild
        assert torch.equal(ConfusionMatrix(num_classes, ignore_index).update(prediction, target).counts, expected)
    target[1, 1] = 65_536  # would be class 0 in 16 bits
    with pytest.raises(ValueError, match="target holds labels .65536. outside"):
        ConfusionMatrix(num_classes, ignore_index).update(prediction, target)


def test_an_ignore_index_that_the_type_cannot_hold_does_not_wrap_around():
    target = torch.tensor([0, 1, 255], dtype=torch.uint8)  # -1 as uint8 would be 255
    with pytest.raises(ValueError, match=r"target holds labels \[255\] outside the classes 0..1 and ignore_index -1"):
        ConfusionMatrix(2, ignore_index=-1).update(torch.zeros(3, dtype=torch.uint8), target)
    with pytest.raises(ValueError, match=r"target holds labels \[255\]"):
        boundary_f1(torch.zeros(1, 3, dtype=torch.uint8), target[None], 2, ignore_index=-1)


def test_masks_of_16_bits_are_understood():
    target = np.array([[0, 65535, 1]], dtype=np.uint16)
    matrix = ConfusionMatrix(2, ignore_index=65535).update(np.array([[0, 0, 1]], dtype=np.uint16), target)
    assert matrix.counts.tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    "dtype, ignore_index", [(torch.uint8, 255), (torch.uint8, 3), (torch.int64, 255), (torch.int64, -1)]
)
def test_void_is_no_answer_where_a_pixel_has_a_label(dtype, ignore_index):
    """Otherwise a net could raise its score by abstaining."""
    target = torch.tensor([[0, 1, 2, ignore_index]], dtype=dtype)
    matrix = ConfusionMatrix(3, ignore_index)
    assert matrix.update(target.clone().fill_(1), target).counts.sum() == 3
    with pytest.raises(ValueError, match=rf"prediction holds labels \[{ignore_index}\] outside"):
        matrix.update(torch.tensor([[0, 1, ignore_index, ignore_index]], dtype=dtype), target)
    assert matrix.counts.sum() == 3, "a batch that was refused must not count"


def test_bad_input_is_refused_by_name():
    matrix = ConfusionMatrix(3, ignore_index=255)
    good = torch.tensor([[0, 1], [2, 255]])
    with pytest.raises(TypeError, match="prediction must hold integer labels.*argmax"):
        matrix.update(torch.zeros(2, 2), good)
    with pytest.raises(TypeError, match="target must hold integer labels"):
        matrix.update(good, torch.zeros(2, 2))
    with pytest.raises(ValueError, match="prediction is on meta and target on cpu"):
        matrix.update(torch.zeros(2, 2, dtype=torch.long, device="meta"), good)
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
    with pytest.raises(ValueError, match="cannot add"):
        matrix + ConfusionMatrix(4, ignore_index=255)
    with pytest.raises(ValueError, match="ignore_index 1 is one of"):
        ConfusionMatrix(3, ignore_index=1)
    with pytest.raises(ValueError, match="num_classes must be a whole number of at least 1, not 2.5"):
        ConfusionMatrix(2.5)
    with pytest.raises(TypeError, match="ignore_index must be a whole number or None, not 'void'"):
        ConfusionMatrix(3, ignore_index="void")
    with pytest.raises(ValueError, match="prediction holds labels .255. outside"):  # void is no answer
        ConfusionMatrix(3, ignore_index=255).update(good, torch.zeros(2, 2, dtype=torch.long))
    with pytest.raises(ValueError, match="prediction holds labels .3. outside"):
        ConfusionMatrix(3, ignore_index=3).update(torch.tensor([[0, 3]]), torch.tensor([[0, 0]]))


PAIRED_MEASURES = {
    "ConfusionMatrix.update": lambda p, t: ConfusionMatrix(3, ignore_index=255).update(p, t).mean_iou(),
    "trimap_iou": lambda p, t: trimap_iou(p, t, 2, 3, 255),
    "boundary_f1": lambda p, t: boundary_f1(p, t, 3, 255),
    "boundary_iou": lambda p, t: boundary_iou(p, t, 3, 255),
}


@pytest.mark.parametrize("measure", PAIRED_MEASURES.values(), ids=PAIRED_MEASURES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_one_hot_maps_are_refused(measure, dtype):
    labels = torch.randint(0, 3, (2, 8, 9), generator=torch.Generator().manual_seed(0))
    other = (labels + (labels == 1)).clamp(max=2)
    measure(other, labels)  # as labels they are good
    for axis in (1, -1):  # [N, K, H, W] and [N, H, W, K]
        planes = [torch.nn.functional.one_hot(maps, 3).movedim(-1, axis).to(dtype) for maps in (other, labels)]
        with pytest.raises(ValueError, match=r"one-hot maps become labels with .argmax\(dim=1\)"):
            measure(*planes)
        with pytest.raises(ValueError, match=rf"one-hot; label maps .* take .argmax\(dim={max(axis - 1, -1)}\)"):
            measure(*(part[0] for part in planes))  # [K, H, W] looks like K images
    with pytest.raises(TypeError, match="integer labels, not torch.float32"):
        measure(*(part.float() for part in (other, labels)))
    with pytest.raises(TypeError, match="integer labels, not torch.bool"):
        measure(*(part == 1 for part in (other, labels)))


def test_k_images_of_two_classes_are_not_taken_for_one_hot():
    target = torch.zeros(2, 6, 6, dtype=torch.long)
    target[0, :3] = target[1, 2:] = 1  # one row is 1 in both
    assert ConfusionMatrix(2).update(target, target).pixel_accuracy() == 1
    tiny = torch.tensor([[[0, 1]], [[1, 0]]])  # two images of two pixels, by chance each other's opposite
    assert ConfusionMatrix(2).update(tiny, tiny).counts.sum() == 4
    with pytest.raises(ValueError, match=r"one-hot.*argmax\(dim=0\)"):
        downsample_labels(torch.nn.functional.one_hot(target[0], 2).movedim(-1, 0), 2, 2)


def test_resampled_mean_iou_is_that_of_the_images_drawn():
    generator = torch.Generator().manual_seed(0)
    predictions, truths = (torch.randint(0, 3, (4, 5, 6), generator=generator) for _ in range(2))
    truths[truths == 2], predictions[predictions == 2] = 0, 1  # class 2 never occurs
    truths[0, 0] = 255
    counts = torch.stack([ConfusionMatrix(3, 255).update(p, t).counts for p, t in zip(predictions, truths)])
    draws = torch.tensor([[0, 1, 2, 3], [3, 3, 3, 3], [0, 0, 2, 1]])
    expected = [ConfusionMatrix(3, 255).update(predictions[d], truths[d]).mean_iou() for d in draws]
    torch.testing.assert_close(bootstrap_mean_iou(counts, draws), torch.tensor(expected, dtype=torch.float64))
    assert bootstrap_mean_iou(counts, draws[:0]).shape == (0,)
    with pytest.raises(ValueError, match=r"square matrix for each image.*\[3, 3\]"):
        bootstrap_mean_iou(counts[0], draws)
    with pytest.raises(ValueError, match="numbers of images from 0 to 3"):
        bootstrap_mean_iou(counts, draws + 1)


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
    # Background: the 44 pixels along the image's edge, and 20 that touch the square at a side or a corner. The two rings
    # of 20 share five pixels in the row above and five below.
    background_rims = (44 + 10) / (44 + 20 + 20 - 10)
    assert boundary_iou(shifted, truth, 2, tolerance=1e-6) == pytest.approx((square_rims + background_rims) / 2)


def eroded(mask: np.ndarray) -> np.ndarray:
    """One erosion with a square of 3×3: what has all nine pixels in the mask; beyond the edge there is no mask."""
    height, width = mask.shape
    inside = np.zeros_like(mask)
    for y in range(1, height - 1):
        for x in range(1, width - 1):
            inside[y, x] = mask[y - 1 : y + 2, x - 1 : x + 2].all()
    return inside


@pytest.mark.parametrize(
    ("size", "tolerance", "erosions"),
    [((30, 40), 0.02, 1), ((30, 40), 0.06, 3), ((30, 40), 0.069, 3), ((30, 40), 0.071, 4), ((9, 12), 0.02, 1)],
)
def test_boundary_iou_is_the_cited_rule(size, tolerance, erosions):
    generator = torch.Generator().manual_seed(1)
    blocks = torch.randint(0, 3, (2, 1, 4, 5), generator=generator).float()
    prediction, target = torch.nn.functional.interpolate(blocks, size)[:, 0].long()
    target[:2, :3] = 255
    valid = (target != 255).numpy()
    ious = []
    for label in range(3):
        rims = []
        for labels in (prediction, target):
            mask = (labels == label).numpy() & valid
            core = mask
            for _ in range(erosions):
                core = eroded(core)
            rims.append(mask & ~core)
        ious.append((rims[0] & rims[1]).sum() / (rims[0] | rims[1]).sum())
    assert boundary_iou(prediction, target, 3, 255, tolerance) == pytest.approx(np.mean(ious), abs=1e-12)


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
    with pytest.raises(ValueError, match="radius must not be negative"):
        dilate(maps.bool(), -1)
    for measure in (boundary_f1, boundary_iou):
        with pytest.raises(ValueError, match="tolerance is a share"):
            measure(maps, maps, 2, tolerance=math.nan)
        with pytest.raises(ValueError, match="tolerance is a share"):
            measure(maps, maps, 2, tolerance=-0.1)


# Random label maps [N, H, W] with some structure, so that outlines are not everywhere.
@st.composite
def image_batches(draw):
    classes, height, width = draw(st.integers(2, 5)), draw(st.integers(2, 14)), draw(st.integers(2, 14))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 10**6)))
    coarse = torch.randint(0, classes, (2, 3, height // 3 + 1, width // 3 + 1), generator=generator)
    prediction, target = coarse.repeat_interleave(3, 2).repeat_interleave(3, 3)[..., :height, :width]
    noise = torch.rand(target.shape, generator=generator)
    prediction = torch.where(noise < draw(st.sampled_from([0.0, 0.7, 1.0])), target, prediction)
    target = target.masked_fill(noise > draw(st.sampled_from([0.7, 1.0])), 255)
    return prediction, target, classes


def slow_boundary_f1(prediction, target, classes, tolerance):
    """Boundary F1 of one image, straight from its definition: sets of pixels and distances between them."""
    height, width = target.shape
    valid = {(y, x) for y in range(height) for x in range(width) if target[y, x] != 255}

    def outline(labels, label):
        near = [(0, 1), (1, 0), (0, -1), (-1, 0)]
        return [
            (y, x) for y, x in valid if labels[y, x] == label
            and any((y + a, x + b) in valid and labels[y + a, x + b] != label for a, b in near)
        ]  # fmt: skip

    def share(ones, others):
        radius = tolerance * math.hypot(height, width)
        hit = [any(math.hypot(y - v, x - u) <= radius for v, u in others) for y, x in ones]
        return sum(hit) / max(1, len(hit))

    scores = []
    for label in range(classes):
        in_p = any(prediction[place] == label for place in valid)
        in_t = any(target[place] == label for place in valid)
        if in_p or in_t:
            p, t = outline(prediction, label), outline(target, label)
            precision, recall = share(p, t), share(t, p)
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
            scores.append(f1 if p or t else float(in_p and in_t))
    return sum(scores) / len(scores) if scores else math.nan


@settings(max_examples=40, deadline=None)
@given(image_batches(), st.sampled_from([0.0, 0.06, 0.2]))
def test_boundary_f1_is_its_definition(batch, tolerance):
    prediction, target, classes = batch
    slow = [slow_boundary_f1(p, t, classes, tolerance) for p, t in zip(prediction, target)]
    assert boundary_f1_of_images(prediction, target, classes, 255, tolerance).tolist() == pytest.approx(
        slow, nan_ok=True
    )


@settings(max_examples=40, deadline=None)
@given(image_batches(), st.integers(1, 5))
def test_trimap_iou_is_scikit_learns_on_the_pixels_near_a_change(batch, width):
    prediction, target, classes = (part.numpy() if torch.is_tensor(part) else part for part in batch)
    edges = boundary(batch[1]).numpy()
    # distance_transform_edt measures to the nearest False, and gives nonsense when there is none.
    band = np.stack([distance_transform_edt(~e) <= width - 1 if e.any() else np.zeros_like(e) for e in edges])
    assert np.array_equal(trimap(batch[1], width).numpy(), band)
    p, t = prediction[band & (target != 255)], target[band & (target != 255)]
    mine = trimap_iou(batch[0], batch[1], width, classes, 255)
    if len(t) == 0:
        assert math.isnan(mine)
    else:
        assert mine == pytest.approx(jaccard_score(t, p, average="macro"))


@settings(max_examples=25, deadline=None)
@given(image_batches())
def test_data_measured_in_pieces_gives_the_same_scores(batch):
    prediction, target, classes = batch
    pairs = [(p[None], t[None]) for p, t in zip(prediction, target)]
    f1 = torch.cat([boundary_f1_of_images(p, t, classes, 255) for p, t in pairs])
    assert f1.nanmean().item() == pytest.approx(boundary_f1(prediction, target, classes, 255), nan_ok=True)
    intersection, union = (sum(part) for part in zip(*(boundary_overlap(p, t, classes, 255) for p, t in pairs)))
    whole = boundary_iou(prediction, target, classes, 255)
    assert (intersection / union).nanmean().item() == pytest.approx(whole, nan_ok=True)
    first, second, third = (trimap_confusion(p, t, 2, classes, 255) for p, t in pairs)
    assert torch.equal((first + second + third).counts, trimap_confusion(prediction, target, 2, classes, 255).counts)


# ---------------------------------------------------------------- coarse maps


def test_through_stride_by_hand():
    # One row of two cells, 4 pixels each. Shares of class 1: 1/4 and 1; in between the enlarging draws a ramp, whose
    # values at the pixel centres are 0.25, 0.25, 0.34, 0.53, 0.72, 0.91, 1, 1: the change stays in its place.
    target = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1]]).repeat(4, 1)
    assert downsample_labels(target, 4, 2)[0].tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    thin = torch.tensor([[0, 0, 0, 1, 0, 0, 0, 0]]).repeat(4, 1)
    assert not downsample_labels(thin, 4, 2).any(), "a line of a quarter of a cell must drown"
    assert torch.equal(downsample_labels(thin, 1, 2), thin)


@settings(max_examples=40, deadline=None)
@given(image_batches(), st.sampled_from([1, 2, 3, 5, 8, 32]))
def test_through_stride_invents_no_class_and_keeps_plain_maps(batch, stride):
    _, target, classes = batch
    coarse = downsample_labels(target, stride, classes, 255)
    assert coarse.shape == target.shape and coarse.dtype == torch.int64
    for before, after in zip(target, coarse):
        # Where no labelled pixel is near there is nothing to spread, and class 0 stands for "whatever".
        assert set(after[before != 255].tolist()) <= set(before.flatten().tolist())
    assert torch.equal(coarse[1], downsample_labels(target[1], stride, classes, 255)), "images must not mix"
    if stride == 1:
        assert torch.equal(coarse[target != 255], target[target != 255])
    plain = torch.full_like(target, classes - 1)
    assert torch.equal(downsample_labels(plain, stride, classes), plain)


def test_a_coarser_stride_leaves_less():
    rows, columns = torch.meshgrid(torch.arange(96), torch.arange(128), indexing="ij")
    target = ((rows - 50) ** 2 + (columns - 70) ** 2 < 30**2).long() + 2 * ((columns > 20) & (columns < 24)).long()
    target[:3] = 9
    ceilings = [upper_bound_at_stride(target, stride, 3, ignore_index=9) for stride in (1, 4, 8, 16, 32)]
    scores = [ceiling.mean_iou() for ceiling in ceilings]
    assert scores[0] == 1 and scores == sorted(scores, reverse=True)
    assert ceilings[1].iou()[2] > 0.5 > ceilings[3].iou()[2] + 0.4, "the line of 3 pixels drowns, the disc does not"
    assert all(ceiling.counts.sum() == 93 * 128 for ceiling in ceilings)
    with pytest.raises(ValueError, match="stride is a whole number"):
        upper_bound_at_stride(target, 0, 3)
    with pytest.raises(ValueError, match=r"target holds labels \[9\]"):
        upper_bound_at_stride(target, 4, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@settings(max_examples=10, deadline=None)
@given(image_batches())
def test_scores_on_the_gpu_are_those_on_the_cpu(batch):
    prediction, target, classes = batch
    on_gpu = prediction.cuda(), target.cuda()
    cpu, gpu = (ConfusionMatrix(classes, 255).update(*maps) for maps in ((prediction, target), on_gpu))
    assert torch.equal(cpu.counts, gpu.counts) and gpu.counts.device.type == "cpu"
    for measure in (boundary_f1, boundary_iou):
        here, there = (measure(*maps, classes, 255) for maps in ((prediction, target), on_gpu))
        assert there == pytest.approx(here, nan_ok=True)
    here, there = (trimap_iou(*maps, 2, classes, 255) for maps in ((prediction, target), on_gpu))
    assert there == pytest.approx(here, nan_ok=True)
    assert torch.equal(
        upper_bound_at_stride(on_gpu[1], 4, classes, 255).counts, upper_bound_at_stride(target, 4, classes, 255).counts
    )
