import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segbook.losses import cross_entropy, dice, median_frequency_weights, unet_border_weights

VOID = 3


def logits_and_target(seed=0, classes=3, void_share=0.2):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 5, 6, generator=generator, requires_grad=True)
    target = torch.randint(0, classes, (2, 5, 6), generator=generator)
    target[torch.rand(target.shape, generator=generator) < void_share] = VOID
    return logits, target


@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 2.0, 7.0])])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_cross_entropy_is_pytorchs(weights, dtype):
    logits, target = logits_and_target()
    ours = cross_entropy(VOID, weights)(logits, target.to(dtype))
    theirs = F.cross_entropy(logits, target, weights, ignore_index=VOID)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (ours, theirs)))


def test_gradient_on_the_logits_is_softmax_minus_one_hot():
    logits = torch.tensor([2.0, 1.0, 0.1]).view(1, 3, 1, 1).requires_grad_()
    cross_entropy()(logits, torch.tensor([[[0]]])).backward()
    assert logits.grad.flatten().tolist() == pytest.approx([0.6590012 - 1, 0.2424330, 0.0985659], abs=1e-6)


@pytest.mark.parametrize("loss", [cross_entropy(VOID), cross_entropy(VOID, torch.ones(3)), dice(VOID)])
def test_a_batch_of_void_costs_zero_and_moves_nothing(loss):
    logits, target = logits_and_target()
    target = torch.full_like(target, VOID)
    assert F.cross_entropy(logits, target, ignore_index=VOID).isnan(), "what the loss is meant to avoid"
    value = loss(logits, target)
    value.backward()
    assert value == 0
    assert not logits.grad.any()


def test_only_pixels_of_weight_zero_cost_zero():
    logits, target = logits_and_target(void_share=0)
    weights = torch.tensor([0.0, 1.0, 1.0])
    assert cross_entropy(VOID, weights)(logits, torch.zeros_like(target)) == 0


def test_a_broken_network_is_not_hidden():
    logits, target = logits_and_target()
    assert cross_entropy(VOID)(logits * math.nan, target).isnan()


def test_class_weights_must_fit():
    logits, target = logits_and_target()
    with pytest.raises(ValueError, match="2 class weights do not fit logits of 3 classes"):
        cross_entropy(VOID, torch.ones(2))(logits, target)


def test_dice_by_hand():
    # Two pixels, two classes, equal logits: p = 1/2 everywhere. Class 0 occurs once: 2 * 0.5 / (1 + 1) = 0.5, class 1 too.
    logits = torch.zeros(1, 2, 1, 2)
    assert dice()(logits, torch.tensor([[[0, 1]]])).item() == pytest.approx(0.5)
    # Only class 0 occurs: 2 * 1 / (1 + 2) = 2/3, and class 1 is not averaged in.
    assert dice()(logits, torch.tensor([[[0, 0]]])).item() == pytest.approx(1 / 3)
    # Void pixels count in no sum.
    assert dice(VOID)(logits, torch.tensor([[[0, VOID]]])).item() == pytest.approx(1 / 3)


def test_dice_is_zero_for_a_perfect_and_one_for_an_opposite_answer():
    _, target = logits_and_target(void_share=0)
    right = F.one_hot(target, 3).movedim(-1, 1).float() * 200 - 100
    assert dice(VOID)(right, target).item() == pytest.approx(0, abs=1e-6)
    assert dice(VOID)(right.roll(1, dims=1), target).item() == pytest.approx(1, abs=1e-6)


class Masks:
    name, split = "toy", "train"

    def __init__(self, masks, num_classes):
        self.masks, self.num_classes = torch.tensor(masks, dtype=torch.uint8), num_classes

    def tensors(self):
        return None, self.masks


def test_median_frequency_weights_by_hand():
    # Image 1: class 0 six times, class 1 twice. Image 2: class 0 three times, class 2 once, void four times.
    masks = [[[0, 0, 0, 0], [0, 0, 1, 1]], [[0, 0, 0, 2], [9, 9, 9, 9]]]
    # f0 = 9 / (8 + 4), f1 = 2 / 8 (only image 1), f2 = 1 / 4 (only image 2): the median is 1/4. Class 3 never occurs.
    weights = median_frequency_weights(Masks(masks, 4))
    assert weights.dtype == torch.float32
    assert weights.tolist() == pytest.approx([1 / 3, 1, 1, 0])
    assert median_frequency_weights(Masks(masks, 4), power=0.5).tolist() == pytest.approx([3**-0.5, 1, 1, 0])


def test_median_of_an_even_number_of_classes_is_the_mean_of_the_middle_two():
    weights = median_frequency_weights(Masks([[[0, 0, 0, 1]]], 2))
    assert weights.tolist() == pytest.approx([0.5 / 0.75, 0.5 / 0.25])


def test_median_frequency_weights_need_a_labelled_pixel():
    with pytest.raises(ValueError, match="toy/train has no labelled pixel"):
        median_frequency_weights(Masks([[[9, 9]]], 2))


def test_border_weights_between_two_cells():
    mask = np.zeros((9, 21), dtype=np.int32)
    mask[:, :8] = 1
    mask[:, 12:] = 2  # a gap of four background columns, 8 to 11
    weights = unet_border_weights(mask, w0=10, sigma=5)
    assert weights.shape == (9, 21) and weights.dtype == torch.float32
    # In column 8 the cells are 1 and 4 pixels away, in column 9 they are 2 and 3: the sum is 5 in the whole gap.
    expected = 1 + 10 * math.exp(-(5**2) / (2 * 5**2))
    assert weights[:, 8:12].flatten().tolist() == pytest.approx([expected] * 36, rel=1e-6)
    assert weights[:, :8].eq(1).all() and weights[:, 12:].eq(1).all(), "cells keep their class weight"


def test_border_weights_against_all_distances():
    generator = np.random.default_rng(0)
    mask = np.zeros((17, 23), dtype=np.int64)
    for cell in range(1, 6):
        y, x = generator.integers(0, 13), generator.integers(0, 19)
        mask[y : y + 4, x : x + 4] = cell * 7  # instance numbers need not be consecutive
    weights = unet_border_weights(torch.from_numpy(mask), w0=4, sigma=2.5, class_weights=(0.5, 3.0))
    for y, x in np.ndindex(mask.shape):
        if mask[y, x]:
            assert weights[y, x] == 3
            continue
        cells = [np.argwhere(mask == i) for i in np.unique(mask[mask > 0])]
        d1, d2 = sorted(np.sqrt(((cell - (y, x)) ** 2).sum(1)).min() for cell in cells)[:2]
        assert weights[y, x].item() == pytest.approx(0.5 + 4 * math.exp(-((d1 + d2) ** 2) / (2 * 2.5**2)), rel=1e-5)


@pytest.mark.parametrize("cells", [0, 1])
def test_border_weights_without_a_second_cell_are_flat(cells):
    mask = np.zeros((5, 5), dtype=np.int32)
    mask[1:3, 1:3] = cells
    assert unet_border_weights(mask).eq(1).all()


def test_border_weights_refuse_what_is_no_instance_map():
    with pytest.raises(TypeError, match="whole instance numbers"):
        unet_border_weights(np.zeros((4, 4)))
    with pytest.raises(TypeError, match="whole instance numbers"):
        unet_border_weights(np.zeros((1, 4, 4), dtype=int))
    with pytest.raises(ValueError, match="sigma"):
        unet_border_weights(np.zeros((4, 4), dtype=int), sigma=0)


LOSSES = {"cross_entropy": cross_entropy, "dice": dice}


@pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32])
@pytest.mark.parametrize("void", [-100, -1, 255, 300])
def test_narrow_labels_are_the_same_labels(make, dtype, void):
    # Within a byte -100 would be 156, -1 would be 255 and 300 would be 44: classes of this net.
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 200, 5, 6, generator=generator)
    target = torch.randint(0, 100, (2, 5, 6), generator=generator)
    target[0, 0, :2] = 156 if dtype != torch.int8 else 99
    target[0, 1, :2] = 44
    info = torch.iinfo(dtype)
    if info.min <= void <= info.max:
        target[1, :2] = void
    wide = make(ignore_index=void)(logits, target)
    assert torch.equal(make(ignore_index=void)(logits, target.to(dtype)), wide)
    counted = make(ignore_index=-100)(logits, target.where(target != void, -100))
    assert torch.equal(wide, counted)


@pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize(
    ("logits", "target", "error", "message"),
    [
        (
            [1, 11, 4, 4],
            torch.full((1, 4, 4), 255),
            ValueError,
            r"target holds labels \[255\] outside the classes 0..10",
        ),
        (
            [1, 3, 4, 4],
            torch.full((1, 4, 4), -1),
            ValueError,
            r"labels \[-1\] outside the classes 0..2 and ignore_index",
        ),
        ([1, 3, 4, 4], torch.full((1, 4, 4), 3, dtype=torch.uint8), ValueError, r"labels \[3\] outside"),
        ([1, 3, 4, 4], torch.zeros(1, 1, 4, 4).long(), ValueError, r"\[1, 3, 4, 4\] and \[1, 1, 4, 4\]; take .squeeze"),
        ([1, 3, 4, 4], torch.zeros(1, 3, 4, 4).long(), ValueError, r"take .argmax\(dim=1\)"),
        ([1, 3, 4, 4], torch.zeros(1, 8, 8).long(), ValueError, "bring logits to the size of the target"),
        ([1, 3, 4, 4], torch.zeros(2, 4, 4).long(), ValueError, "must fit"),
        ([3, 4, 4], torch.zeros(4, 4).long(), ValueError, r"logits \[N, K, H, W\] and target \[N, H, W\] must fit"),
        ([1, 3, 4, 4], torch.zeros(1, 4, 4), TypeError, "target must hold integer labels, not torch.float32"),
        ([1, 3, 4, 4], torch.zeros(1, 4, 4).bool(), TypeError, "not torch.bool"),
        ([1, 3, 4, 4], np.zeros((1, 4, 4), np.int64), TypeError, "target must be a tensor, not ndarray"),
        (
            [1, 3, 4, 4],
            torch.zeros(1, 4, 4, dtype=torch.long, device="meta"),
            ValueError,
            "logits are on cpu, target on",
        ),
    ],
)
def test_what_is_no_target_is_refused_by_name(make, logits, target, error, message):
    with pytest.raises(error, match=message):
        make(ignore_index=11)(torch.zeros(logits), target)


@pytest.mark.parametrize("make", LOSSES.values(), ids=LOSSES)
def test_labels_are_no_logits(make):
    with pytest.raises(TypeError, match="logits must be floating-point numbers"):
        make()(torch.zeros(1, 3, 4, 4).long(), torch.zeros(1, 4, 4).long())


@pytest.mark.parametrize("weights", [[1.0, -1.0], [1.0, math.nan], [[1.0, 2.0]]])
def test_class_weights_are_numbers_of_at_least_0(weights):
    with pytest.raises(ValueError, match="class_weights holds one finite number of at least 0 for each class"):
        cross_entropy(class_weights=torch.tensor(weights))


def test_median_frequency_weights_refuse_a_subset_of_torch():
    half = torch.utils.data.Subset(Masks([[0, 1]], 2), [0])
    with pytest.raises(TypeError, match=r"must be a SegmentationDataset.* not Subset; its method subset\(indices\)"):
        median_frequency_weights(half)
    with pytest.raises(ValueError, match="power must be a finite number"):
        median_frequency_weights(Masks([[0, 1]], 2), power=math.inf)


def test_border_weights_refuse_negative_numbers():
    with pytest.raises(ValueError, match="instance numbers are 0 .background. or more; mask holds -1"):
        unet_border_weights(np.array([[0, -1]]))
    with pytest.raises(ValueError, match="sigma must be positive"):
        unet_border_weights(np.array([[0, 1]]), sigma=math.nan)
