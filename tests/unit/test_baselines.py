"""The scores to beat: what a location prior and a classifier of single pixels can know, and what they cannot."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from segbook import baselines, data
from segbook.data import SegmentationDataset

VOID = 3


class Arrays:
    """Images and masks in memory, as a source of a data set."""

    def __init__(self, images, masks):
        self.images, self.masks = images, masks
        self.names = [f"image {index}" for index in range(len(images))]

    def where(self, index):
        return self.names[index]

    def read(self, index):
        return self.images[index], self.masks[index]


def dataset_of(images, masks) -> SegmentationDataset:
    palette = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)], dtype=np.uint8)
    return SegmentationDataset("test", "train", Arrays(images, masks), ("red", "green", "blue"), palette, VOID)


def random_set(count=12, height=10, width=8, seed=0) -> SegmentationDataset:
    """Every class has its own colour with some noise, at random places."""
    rng = np.random.default_rng(seed)
    masks = rng.integers(0, 4, (count, height, width)).astype(np.uint8)
    colors = np.array([(220, 40, 40), (40, 220, 40), (40, 40, 220), (128, 128, 128)])
    images = (colors[masks] + rng.integers(-30, 31, (count, height, width, 3))).astype(np.uint8)
    return dataset_of(images, masks)


def test_location_prior_counts_and_leaves_void_out():
    masks = np.array([[[0, 1, VOID]], [[0, 1, VOID]], [[1, 2, VOID]], [[VOID, 2, VOID]], [[VOID, 2, VOID]]], np.uint8)
    prior = baselines.location_prior(dataset_of(np.zeros((5, 1, 3, 3), np.uint8), masks))
    # Two reds, three greens and three blues in all: the place that is always void takes the first of the most frequent.
    assert prior.tolist() == [[0, 2, 1]] and prior.dtype == torch.uint8


def test_location_prior_is_what_a_loop_over_pixels_finds():
    dataset = random_set()
    masks = dataset.tensors()[1].numpy()
    prior = baselines.location_prior(dataset).numpy()
    for row, column in np.ndindex(prior.shape):
        votes = np.bincount(masks[:, row, column], minlength=4)[:3]
        assert votes[prior[row, column]] == votes.max()


def test_no_constant_label_map_is_right_more_often_than_the_prior():
    dataset = random_set(seed=1)
    best = baselines.evaluate_baseline(baselines.location_prior(dataset), dataset).pixel_accuracy()
    for label in range(3):
        assert baselines.evaluate_baseline(torch.full((10, 8), label), dataset).pixel_accuracy() <= best


def test_pixel_features_are_color_and_place_in_the_order_of_the_mask():
    images = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).view(2, 3, 4, 5)
    features = baselines.pixel_features(images).reshape(2, 4, 5, 5)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features[1, 2, 3, :3] * 255, images[1, :, 2, 3].numpy(), rtol=1e-6)
    np.testing.assert_allclose(features[1, 2, 3, 3:], [2.5 / 4, 3.5 / 5], rtol=1e-6)


@pytest.mark.parametrize("images", [torch.zeros(1, 3, 4, 4), torch.zeros(3, 4, 4, dtype=torch.uint8)])
def test_pixel_features_refuse_other_images(images):
    with pytest.raises(ValueError, match="uint8"):
        baselines.pixel_features(images)


def test_pixel_classifier_learns_colors_it_can_see():
    predict = baselines.pixel_classifier(random_set())
    unseen = random_set(seed=5)
    labels = predict(unseen.tensors()[0])
    assert labels.shape == (12, 10, 8) and labels.dtype == torch.uint8
    assert baselines.evaluate_baseline(predict, unseen).mean_iou() > 0.95


def test_pixel_classifier_is_blind_to_neighbors():
    dataset = random_set()
    predict = baselines.pixel_classifier(dataset)
    image = dataset.tensors()[0][:1]
    changed = image.clone()
    changed[0, :, 4, 4] = 255 - changed[0, :, 4, 4]
    different = predict(image) != predict(changed)
    different[0, 4, 4] = False
    assert not different.any()


def test_pixel_classifier_never_answers_void_and_repeats_with_its_seed(monkeypatch):
    dataset = random_set()
    images = dataset.tensors()[0]
    first = baselines.pixel_classifier(dataset, pixels=200, trees=2, seed=4)(images)
    assert first.max() < VOID
    monkeypatch.setattr(baselines, "_CHUNK", 100)  # one image at a time
    again = baselines.pixel_classifier(dataset, pixels=200, trees=2, seed=4)(images)
    assert torch.equal(first, again)
    other = baselines.pixel_classifier(dataset, pixels=200, trees=2, seed=5)(images)
    assert not torch.equal(first, other)


def test_a_data_set_of_void_is_refused():
    nothing = dataset_of(np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4), VOID, np.uint8))
    with pytest.raises(ValueError, match="only void"):
        baselines.location_prior(nothing)
    with pytest.raises(ValueError, match="only void"):
        baselines.pixel_classifier(nothing)


@pytest.mark.parametrize("wrong", [{"pixels": 0}, {"trees": 0}])
def test_numbers_below_one_are_refused(wrong):
    with pytest.raises(ValueError, match="at least 1"):
        baselines.pixel_classifier(random_set(), **wrong)


def test_score_refuses_labels_of_another_size():
    with pytest.raises(ValueError, match=r"\[3, 4\]"):
        baselines.evaluate_baseline(torch.zeros(3, 4, dtype=torch.long), random_set())


def test_street_leaves_room_above_the_baselines():
    train, test = (data.load("street", split, size=(48, 64), count=40) for split in ("train", "test"))
    place = baselines.evaluate_baseline(baselines.location_prior(train), test).mean_iou()
    pixel = baselines.evaluate_baseline(baselines.pixel_classifier(train, pixels=10_000, trees=5), test).mean_iou()
    assert 0.05 < place < pixel < 0.35


@pytest.mark.skipif(
    not all((Path(os.environ.get("SEGBOOK_DATA", "")) / "camvid" / part).is_dir() for part in ("train", "val")),
    reason="SEGBOOK_DATA holds no camvid/ with train and val",
)
def test_the_location_prior_of_camvid():
    """The val score of the class that is most frequent at each pixel of the 367 training images."""
    train, val = (data.load("camvid", split) for split in ("train", "val"))
    scores = baselines.evaluate_baseline(baselines.location_prior(train), val)
    assert scores.pixel_accuracy() == pytest.approx(0.5903, abs=0.001)
    assert scores.mean_iou() == pytest.approx(0.1669, abs=0.001)
