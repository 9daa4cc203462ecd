"""The measured facts and the small computations behind the figures of chapter 04."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from segbook import data
from segbook.course.figures import labelling
from segbook.data import street as generator
from segbook.data.classes import DRIVING_PALETTE

CAMVID = Path(os.environ.get("SEGBOOK_DATA", "no such folder")) / "camvid" / "trainannot"


@pytest.mark.skipif(not CAMVID.is_dir(), reason="SEGBOOK_DATA holds no camvid/ with train")
def test_the_stored_pixel_counts_of_camvid_are_those_of_its_label_maps():
    from segbook.data.files import files_by_stem, read_label_values

    labels = [read_label_values(path) for path in files_by_stem(CAMVID).values()]
    assert len(labels) == labelling.CAMVID_TRAIN_PICTURES
    counts = np.stack([np.bincount(label.ravel(), minlength=12) for label in labels])
    assert tuple(counts.sum(0)) == labelling.CAMVID_TRAIN_PIXELS
    assert tuple((counts > 0).sum(0)) == labelling.CAMVID_TRAIN_PRESENT


def test_the_stored_pixel_counts_of_camvid_fill_its_pictures():
    assert sum(labelling.CAMVID_TRAIN_PIXELS) == 367 * 360 * 480


def test_closest_finds_equal_colours_and_a_red_and_green_that_look_alike():
    palette = np.array([(250, 250, 250), (0, 0, 0), (10, 20, 200), (250, 250, 250)], np.uint8)
    distance, pair = labelling.closest(palette, labelling.VISION["full colour vision"])
    assert (distance, pair) == (0, (0, 3))
    palette = np.array([(0, 0, 255), (200, 60, 40), (110, 110, 30)], np.uint8)
    near, pair = labelling.closest(palette, labelling.VISION["protanopia"])
    assert pair == (1, 2) and near < labelling.closest(palette, labelling.VISION["full colour vision"])[0]


def test_strangers_are_labels_that_no_neighbour_has():
    before = torch.tensor([[3, 3, 5, 5]])
    after = torch.tensor([[3, 3, 3, 3, 4, 4, 5, 5]])
    assert labelling.strangers(after, before).tolist() == [[False] * 4 + [True] * 2 + [False] * 2]


@pytest.mark.parametrize("size", [(24, 32), (33, 50), (96, 128)])
def test_the_nearest_pixel_is_never_a_stranger(size):
    before = torch.randint(0, 11, (24, 32), generator=torch.Generator().manual_seed(0))
    after = F.interpolate(before[None, None].float(), size=size, mode="nearest-exact")[0, 0].long()
    assert not labelling.strangers(after, before).any()
    if size != (24, 32):
        averaged = F.interpolate(before[None, None].float(), size=size, mode="bilinear")[0, 0].round().long()
        assert labelling.strangers(averaged, before).any()


@pytest.fixture(scope="module")
def street():
    return data.load("street", "val", size=(48, 64), count=1)


def explored(street, way, **changes):
    values = {"mirror": False, "zoom": 1.0, "brightness": 0.0, "saturation": 0.0, "sample": 0, **changes}
    return labelling._explored(*street[0], street, *values.values(), way)


@pytest.mark.parametrize("zoom", [0.6, 1.0, 3.0])
@pytest.mark.parametrize("mirror", [False, True])
def test_the_explorer_moves_the_mask_with_the_picture(street, zoom, mirror):
    right, averaged, left = labelling.MASK_WAYS
    _, truth, labels = explored(street, right, zoom=zoom, mirror=mirror)
    assert torch.equal(labels, truth)
    _, _, labels = explored(street, averaged, zoom=zoom, mirror=mirror)
    assert torch.equal(labels, truth) == (zoom == 1.0)
    assert labels.max() <= street.ignore_index
    _, _, labels = explored(street, left, zoom=zoom, mirror=mirror)
    assert torch.equal(labels, street[0][1]) and torch.equal(labels, truth) == (zoom == 1.0 and not mirror)


def test_brightness_leaves_the_labels_alone(street):
    image, truth, labels = explored(street, labelling.MASK_WAYS[2], brightness=0.8, sample=1)
    assert torch.equal(labels, truth) and not torch.equal(image, street[0][0])


def test_outlines_lie_between_different_labels():
    mask = np.array([[1, 1, 2, 2]])
    drawn = labelling.outlined(np.zeros((1, 4, 3), np.uint8), mask)
    assert drawn.shape == (2, 8, 3)
    assert np.flatnonzero(drawn[0].any(1)).tolist() == [4]


def test_figures_can_be_drawn_at_the_ends_of_their_controls(street):
    values = {"mirror": True, "brightness": 0.8, "saturation": 1.0, "sample": 20}
    for way in labelling.MASK_WAYS:
        for zoom in (0.6, 3.0):
            fig = labelling.explorer(*street[0], street, zoom=zoom, way=way, **values)
            assert len(fig.axes) == 3
            assert "%" in labelling.explorer_words(*street[0], street, zoom=zoom, way=way, **values)


def test_things_keep_the_colours_of_their_class_in_the_panoptic_picture():
    scene = generator.scene(0, "train", 4, (96, 128))
    numbers = [n for n in scene.instance_classes if (scene.instances == n).sum() > 40]
    stuff = DRIVING_PALETTE[scene.mask]
    painted = labelling._things(scene, numbers, stuff)
    assert (painted[scene.instances == 0] == stuff[scene.instances == 0]).all(-1).mean() > 0.9
    first = next(iter(numbers))
    inside = painted[scene.instances == first]
    own = (inside == DRIVING_PALETTE[scene.instance_classes[first]]).all(-1)
    assert own.mean() > 0.3  # the rest is the white rim
