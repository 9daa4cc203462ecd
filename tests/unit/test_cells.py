"""Cells: the same bytes everywhere, correctly labelled, one pixel between any two cells."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import ndimage

from segbook import data
from segbook.data.cells import SPLITS, tissue


def digest(drawn) -> str:
    parts = (drawn.image, drawn.mask, drawn.instances)
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()


@pytest.fixture(scope="module")
def images():
    return [tissue(0, split, index, (96, 112)) for split in SPLITS for index in range(6)]


# A change of the generator changes these on purpose; a different machine must not.
@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ((0, "train", 0, (128, 128)), "b897b971521b09c466ca0fe4d700d969357bbea0245288881d649e4ea54bc75a"),
        ((7, "test", 12, (64, 100)), "6cb072c923b3dadcfdcb88aa580bf4c40d865ca13f13231005501bd9fb801921"),
    ],
)
def test_a_image_is_the_same_bytes_as_when_it_was_stored(request_, expected):
    assert digest(tissue(*request_)) == expected


def test_another_process_draws_the_same_bytes():
    program = (
        "import hashlib; from segbook.data.cells import tissue; t = tissue(3, 'val', 5);"
        "print(hashlib.sha256(t.image.tobytes() + t.mask.tobytes() + t.instances.tobytes()).hexdigest())"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert output == digest(tissue(3, "val", 5)) + "\n"


def test_seeds_splits_and_indices_give_different_images():
    some = [tissue(seed, split, index, (48, 64)) for seed in (0, 1) for split in SPLITS for index in range(5)]
    assert len({drawn.image.tobytes() for drawn in some}) == len(some)


def test_mask_and_instances_agree(images):
    for drawn in images:
        assert drawn.image.dtype == np.uint8 and drawn.image.shape == (96, 112, 3)
        assert (drawn.image[..., 0] == drawn.image[..., 2]).all()  # grey
        assert drawn.mask.dtype == np.uint8 and set(np.unique(drawn.mask)) == {0, 1}
        assert drawn.instances.dtype == np.int32 and ((drawn.instances > 0) == drawn.mask).all()
        assert set(np.unique(drawn.instances)) == set(range(drawn.instances.max() + 1))


def test_every_cell_is_one_piece_and_apart_from_the_others(images):
    for drawn in images:
        pieces, count = ndimage.label(drawn.mask)
        assert count == drawn.instances.max() >= 8
        pairs = set(zip(pieces.ravel().tolist(), drawn.instances.ravel().tolist()))
        assert len(pairs) == count + 1  # each piece is one cell
        assert np.bincount(drawn.instances.ravel()).min() >= 12


def test_membranes_are_thin_and_dark_but_darkness_is_not_enough(images):
    assert 0.65 < np.mean([drawn.mask.mean() for drawn in images]) < 0.9
    depth = np.stack([ndimage.distance_transform_cdt(drawn.mask == 0, "chessboard") for drawn in images])
    gray = np.stack([drawn.image[..., 0] for drawn in images]).astype(float)
    mask = np.stack([drawn.mask for drawn in images])
    membrane = (depth > 0) & (depth <= 2)
    assert membrane.sum() > 0.6 * (depth > 0).sum()  # the rest are gaps, which are bright
    assert gray[membrane].mean() < gray[mask == 1].mean() - 15 and gray[depth > 4].mean() > gray[mask == 1].mean() + 15
    # The best threshold on brightness alone stays far from the truth.
    assert max(((gray > level) == mask).mean() for level in range(60, 200, 5)) < 0.85


def test_as_a_data_set():
    train, test = data.load("cells", "train", count=5), data.load("cells", "test", size=(64, 80), count=3)
    assert (len(train), len(test)) == (5, 3) and len(data.load("cells", "val")) == 20
    assert train.classes == ("background", "cell") and train.num_classes == 2
    images, masks = test.tensors()
    assert images.shape == (3, 3, 64, 80) and masks.shape == (3, 64, 80)
    assert torch.equal(test.instances(2) > 0, masks[2].bool())
    assert torch.equal(images[1], data.load("cells", "test", size=(64, 80), count=2)[1][0])
    assert not torch.equal(images[1], data.load("cells", "test", size=(64, 80), count=2, seed=1)[1][0])
    assert train.names()[:2] == ["cells-train-000000", "cells-train-000001"]


def test_bad_input():
    with pytest.raises(ValueError, match="at least 32x32 pixels, not 32x31"):
        data.load("cells", "train", size=(32, 31))
    with pytest.raises(ValueError, match="at least 32x32"):
        tissue(0, "train", 0, (31, 64))
    with pytest.raises(ValueError, match="cells has no split 'all'"):
        data.load("cells", "all")
    with pytest.raises(ValueError, match="split must be one of train, val, test"):
        tissue(0, "all", 0)
    with pytest.raises(ValueError, match="0 or greater, not -1 and 0"):
        tissue(-1, "train", 0)
    with pytest.raises(TypeError):
        tissue(0, "train", 1.5)
