"""Street: generated driving scenes with exact labels, the data set that the course trains on without any download.

A scene is drawn from one stream of random numbers seeded with (seed, split, index), so the same three give the same
picture on every machine and the splits never meet. The picture's size does not enter: a larger one shows the same scene
in more detail. Classes and their order are CamVid's eleven; label 11 is void. Vegetation of any height (grass, hedges)
is "tree", kerbs are "pavement", lane markings are "road", signal heads are "sign", buses and vans are "car", as in
CamVid's reduced set.
"""

from dataclasses import dataclass, field

import numpy as np

from segbook.data.classes import DRIVING_VOID
from segbook.data.street_layout import Look, compose
from segbook.data.street_render import render

SPLITS = ("train", "val", "test")
SMALLEST = 32  # pixels


@dataclass(frozen=True)
class Scene:
    """A picture and what is in it.

    image: uint8 [H, W, 3]; mask: uint8 [H, W], 0..10, or 11 for void; instances: int32 [H, W], 0 where nothing is
    countable, else a number unique in the scene; instance_classes: the class of each instance that can be seen.
    """

    image: np.ndarray
    mask: np.ndarray
    instances: np.ndarray
    instance_classes: dict[int, int] = field(default_factory=dict)


def scene(seed: int, split: str, index: int, size: tuple[int, int] = (96, 128)) -> Scene:
    """Scene number `index` of a split.

    Args:
        seed: which street world; 0 or greater.
        split: "train", "val" or "test".
        index: 0 or greater; there is no last one.
        size: (height, width) in pixels, each at least 32. The 4:3 frame is enlarged to cover it and cropped.

    Raises:
        ValueError: for an unknown split, a negative seed or index, or a size below 32.
        TypeError: if a number is not whole.
    """
    height, width = _checked(seed, split, index, size)
    layout, pixels = np.random.SeedSequence((int(seed), SPLITS.index(split), int(index))).spawn(2)
    stage, look = compose(np.random.Generator(np.random.PCG64(layout)))
    picture, mask, instances, classes, crowded = render(stage, look.clouds, look.sky_surface, height, width)
    image = _expose(picture, look, np.random.Generator(np.random.PCG64(pixels)))
    # Annotators leave slivers where three classes meet unlabelled.
    mask = np.where(crowded, np.uint8(DRIVING_VOID), mask)
    return Scene(image, mask, instances, classes)


def _checked(seed, split, index, size) -> tuple[int, int]:
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    for name, value in (("seed", seed), ("index", index)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be a whole number, not {value!r}")
        if value < 0:
            raise ValueError(f"{name} must be 0 or greater, not {value}")
    if isinstance(size, (int, str)) or len(size) != 2:
        raise ValueError(f"size must be (height, width), not {size!r}")
    for side in size:
        if isinstance(side, bool) or not isinstance(side, (int, np.integer)):
            raise TypeError(f"size must be two whole numbers, not {size!r}")
        if side < SMALLEST:
            raise ValueError(f"size must be at least {SMALLEST}×{SMALLEST} pixels, not {size[0]}×{size[1]}")
    return int(size[0]), int(size[1])


def _expose(picture: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Lens and sensor: blur, vignette, colour balance, contrast, noise; float32 [H, W, 3] to uint8."""
    height, width = picture.shape[:2]
    side = np.float32(look.blur)
    for axis in (0, 1):
        picture = np.moveaxis(picture, axis, 0)
        blurred = picture * (1 - 2 * side)
        blurred[1:] += side * picture[:-1]
        blurred[:-1] += side * picture[1:]
        blurred[0] += side * picture[0]
        blurred[-1] += side * picture[-1]
        picture = np.moveaxis(blurred, 0, axis)
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1)[:, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1)[None]
    corner = 1 - np.float32(look.vignette * 0.5) * (x * x + y * y)
    picture = picture * (corner[..., None] * (np.array(look.gain, dtype=np.float32) * np.float32(look.contrast)))
    picture += np.float32(112 * (1 - look.contrast))
    grey = (picture[..., :1] + 2 * picture[..., 1:2] + picture[..., 2:]) * np.float32(0.25)
    picture += (picture - grey) * np.float32(0.15)  # a camera's richer colours
    # Highlights roll off instead of clipping.
    knee = np.maximum(picture - 205, 0)
    picture -= knee * knee / (knee + 75)
    # The sum of two uniform numbers stands for the sensor's noise: no logarithm, so the same everywhere.
    light = rng.integers(0, 256, (2, height, width, 1), dtype=np.uint8).astype(np.float32)
    colour = rng.integers(0, 256, (height, width, 3), dtype=np.uint8).astype(np.float32)
    scale = np.float32(look.noise / 104)
    picture += (light[0] + light[1] - 255) * scale
    picture += (colour - 127.5) * (scale * np.float32(0.5))
    return np.clip(picture + np.float32(0.5), 0, 255).astype(np.uint8)
