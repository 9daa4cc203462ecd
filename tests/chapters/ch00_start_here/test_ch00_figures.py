"""The live figure of chapter 00: what is left above a certainty, and how much of that is right."""

import types

import drawn
import numpy as np
import pytest
import torch

from segbook.course.ch00_start_here import figures as start
from segbook.data.classes import DRIVING_PALETTE, DRIVING_VOID

IMAGE = torch.randint(0, 256, (3, 2, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
TRUTH = torch.tensor([[0, 0, 1, DRIVING_VOID], [3, 3, 3, 3]])
ANSWER = torch.tensor([[0, 1, 1, 2], [3, 3, 0, 0]])
SURE = torch.tensor([[0.9, 0.9, 0.5, 0.9], [0.9, 0.4, 0.9, 0.9]])


class Images(drawn.Driving, list):
    """Streets whose images a test chooses."""


@pytest.fixture
def draw():
    """The panels at a threshold, for the second of two images."""
    rest = (1 - SURE) / 10  # the other ten classes share what is left
    probabilities = rest.expand(11, -1, -1).clone().scatter_(0, ANSWER[None], SURE[None])
    dataset = Images([(255 - IMAGE, TRUTH * 0), (IMAGE, TRUTH)])
    names = ("image", "prediction", "rest")
    return lambda threshold: types.SimpleNamespace(
        **dict(zip(names, start.certainty(dataset, 1, probabilities, threshold).axes))
    )


def test_the_image_and_the_whole_prediction_stay_as_they_are(draw):
    for threshold in (0.0, 0.6, 0.95):
        shown = draw(threshold)
        assert (drawn.pixels(shown.image) == IMAGE.permute(1, 2, 0).numpy()).all()
        assert (drawn.pixels(shown.prediction) == DRIVING_PALETTE[ANSWER]).all()


@pytest.mark.parametrize(
    ("threshold", "title"),
    [
        (0.0, "100 % kept, 57 % of it right"),  # 4 of the 7 pixels that have a label
        (0.45, "88 % kept, 50 % of it right"),  # 7 of 8 pixels; 3 of the 6 with a label
        (0.6, "75 % kept, 40 % of it right"),  # void is kept, but counts neither as right nor as wrong
        (0.95, "nothing kept"),
    ],
)
def test_uncertain_pixels_are_white_and_the_rest_is_scored(draw, threshold, title):
    rest = draw(threshold).rest
    kept = (threshold <= SURE).numpy()
    assert drawn.title(rest) == title
    assert (drawn.pixels(rest)[kept] == DRIVING_PALETTE[ANSWER][kept]).all()
    assert (drawn.pixels(rest)[~kept] == 255).all()


def test_white_is_no_class_color():
    assert not (np.asarray(DRIVING_PALETTE) == 255).all(1).any()
