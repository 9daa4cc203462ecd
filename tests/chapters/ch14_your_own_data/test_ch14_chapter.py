"""The live figure of chapter 14 counts objects, and its drawings take what the chapter hands them."""

import numpy as np
import pytest
import torch

from segbook import showing
from segbook.course.ch14_your_own_data import figures


@pytest.fixture
def finder():
    """Two images; in the first two houses, of which one is found, and a false alarm; nothing in the second."""
    masks = torch.zeros(2, 20, 30, dtype=torch.int64)
    masks[0, 2:6, 2:8] = masks[0, 12:16, 2:8] = 4
    probability = torch.zeros(2, 20, 30)
    probability[0, 2:6, 2:7] = 0.9
    probability[0, 12:14, 20:22] = 0.6
    images = torch.zeros(2, 3, 20, 30, dtype=torch.uint8)
    return figures.Objects(images, masks, probability, 4, ["a", "b"])


@pytest.mark.parametrize(
    ("threshold", "smallest", "expected"),
    [
        (0.5, 1, (2, 1, 2, 1)),
        (0.7, 1, (1, 1, 2, 1)),
        (0.5, 5, (1, 1, 2, 1)),
        (0.95, 1, (0, 0, 2, 0)),
        (0.5, 50, (0, 0, 2, 0)),
    ],
)
def test_objects_are_counted(finder, threshold, smallest, expected):
    assert finder.score(threshold, smallest) == expected


def test_an_object_needs_half_its_pixels_and_a_third_of_the_house():
    masks = torch.zeros(1, 10, 30, dtype=torch.int64)
    masks[0, 0:2, 0:9] = 4
    probability = torch.zeros(1, 10, 30)
    probability[0, 0:2, 6:12] = 1  # half of it truth; a third of the house
    assert figures.Objects(torch.zeros(1, 3, 10, 30), masks, probability, 4, "a").score(0.5, 1) == (1, 1, 1, 1)
    probability[0, 0:2, 6:13] = 1
    assert figures.Objects(torch.zeros(1, 3, 10, 30), masks, probability, 4, "a").score(0.5, 1) == (1, 0, 1, 1)
    probability[0, 0:2, 6] = 0
    assert figures.Objects(torch.zeros(1, 3, 10, 30), masks, probability, 4, "a").score(0.5, 1) == (1, 0, 1, 0)


def test_the_live_figure_draws_every_setting(finder):
    for threshold, smallest, image in ((0.05, 1, 0), (0.95, 60, 1)):
        assert showing.png(finder.draw(threshold, smallest, image), small=False)
    assert "≈2 objects, of which ≈1 are right; ≈1 of ≈2" in finder.words(0.5, 1, 0)


def test_splits_and_pairs_can_be_drawn():
    names = [f"site{s:02d}_{f}" for s in range(4) for f in range(2)]
    assert showing.png(figures.splits({"by site": {"train": names[:6], "test": names[6:]}}))
    image = np.zeros((4, 6, 3), np.uint8)
    assert showing.png(figures.pairs([("a", image, image), ("b", image, None)]))
