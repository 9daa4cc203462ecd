"""The palette of the driving classes can be told apart with and without colour blindness."""

from itertools import combinations

import numpy as np
import pytest
from skimage.color import deltaE_ciede2000, xyz2lab

from segbook.course.ch04_semantic_segmentation.figures import VISION
from segbook.data.classes import DRIVING_CLASSES, DRIVING_PALETTE, DRIVING_VOID

XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)


def seen(palette: np.ndarray, vision: np.ndarray) -> np.ndarray:
    """CIELAB of an sRGB palette as an eye of this kind sees it."""
    encoded = palette / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return xyz2lab(np.clip(linear @ vision.T, 0, 1) @ XYZ.T)


@pytest.mark.parametrize("vision", VISION)
def test_every_pair_of_classes_can_be_told_apart(vision):
    lab = seen(DRIVING_PALETTE, VISION[vision])
    names = (*DRIVING_CLASSES, "void")
    distances = {(names[i], names[j]): float(deltaE_ciede2000(lab[i], lab[j])) for i, j in combinations(range(12), 2)}
    closest = min(distances, key=distances.get)
    assert distances[closest] >= 12, f"{closest} differ by {distances[closest]:.1f} only"


def test_the_check_notices_a_bad_palette():
    red_and_green = np.array([(200, 60, 40), (110, 110, 30)], dtype=np.uint8)
    lab = seen(red_and_green, VISION["protanopia"])
    assert deltaE_ciede2000(lab[0], lab[1]) < 12


def test_the_palette_has_a_color_for_every_class_and_black_for_void():
    assert DRIVING_PALETTE.dtype == np.uint8
    assert DRIVING_PALETTE.shape == (len(DRIVING_CLASSES) + 1, 3)
    assert DRIVING_PALETTE[DRIVING_VOID].tolist() == [0, 0, 0]
    assert len({tuple(color) for color in DRIVING_PALETTE.tolist()}) == len(DRIVING_PALETTE)
