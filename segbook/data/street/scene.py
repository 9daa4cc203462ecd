"""One scene: seeds in, image, labels and instances out."""

from dataclasses import dataclass, field

import numpy as np

from segbook.data.classes import DRIVING_VOID
from segbook.data.street.layout import Look, compose
from segbook.data.street.render import render

SPLITS = ("train", "val", "test")
SMALLEST = 32  # pixels


@dataclass(frozen=True)
class Scene:
    """An image and what is in it.

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
    light, mask, instances, classes, crowded = render(stage, look.clouds, look.sky_surface, height, width)
    image = _expose(light, look, np.random.Generator(np.random.PCG64(pixels)))
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


def _expose(image: np.ndarray, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Lens and sensor: blur, vignette, colour balance, contrast, noise; float32 [H, W, 3] to uint8."""
    height, width = image.shape[:2]
    side = np.float32(look.blur)
    for axis in (0, 1):
        image = np.moveaxis(image, axis, 0)
        blurred = image * (1 - 2 * side)
        blurred[1:] += side * image[:-1]
        blurred[:-1] += side * image[1:]
        blurred[0] += side * image[0]
        blurred[-1] += side * image[-1]
        image = np.moveaxis(blurred, 0, axis)
    y = ((np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1)[:, None]
    x = ((np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1)[None]
    corner = 1 - np.float32(look.vignette * 0.5) * (x * x + y * y)
    image = image * (corner[..., None] * (np.array(look.gain, dtype=np.float32) * np.float32(look.contrast)))
    image += np.float32(112 * (1 - look.contrast))
    gray = (image[..., :1] + 2 * image[..., 1:2] + image[..., 2:]) * np.float32(0.25)
    image += (image - gray) * np.float32(0.15)  # a camera's richer colours
    # Highlights roll off instead of clipping.
    knee = np.maximum(image - 205, 0)
    image -= knee * knee / (knee + 75)
    # The sum of two uniform numbers stands for the sensor's noise: no logarithm, so the same everywhere.
    light = rng.integers(0, 256, (2, height, width, 1), dtype=np.uint8).astype(np.float32)
    color = rng.integers(0, 256, (height, width, 3), dtype=np.uint8).astype(np.float32)
    scale = np.float32(look.noise / 104)
    image += (light[0] + light[1] - 255) * scale
    image += (color - 127.5) * (scale * np.float32(0.5))
    return np.clip(image + np.float32(0.5), 0, 255).astype(np.uint8)
