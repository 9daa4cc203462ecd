"""Cells: generated images of tissue under an electron microscope, cells packed wall to wall with thin membranes between.

A stand-in for ISBI 2012 that needs no download. Every image is drawn from one stream of random numbers seeded with
(seed, split, index), so the same three and the same size give the same image on every machine: the drawing uses sums,
products, quotients and square roots only, which are rounded alike everywhere. A larger image shows more tissue, not
larger cells.

Two classes: ``background`` (membranes, and the gaps where no cell is) and ``cell``. A membrane is 1 to 4 pixels wide and
in places so faint that only its course tells where it goes on; organelles inside the cells have dark walls of their own,
so that darkness alone does not make a membrane.
"""

import operator
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from segbook.data.dataset import SegmentationDataset

SPLITS = ("train", "val", "test")
CLASSES = ("background", "cell")
IGNORE = 255
PALETTE = np.array([(213, 94, 0), (86, 180, 233), (0, 0, 0)], dtype=np.uint8)
DEFAULT_SIZE = (128, 128)
DEFAULT_COUNT = {"train": 60, "val": 20, "test": 40}
SMALLEST = 32  # pixels
_STREAM = 0xCE11  # keeps these random numbers apart from Street's


@dataclass(frozen=True)
class Tissue:
    """An image and its labels: ``image`` uint8 [H, W, 3] (grey), ``mask`` uint8 [H, W] (0 background, 1 cell),
    ``instances`` int32 [H, W] (0 background, else the number of the cell, 1 … n)."""

    image: np.ndarray
    mask: np.ndarray
    instances: np.ndarray


def tissue(seed: int, split: str, index: int, size: tuple[int, int] = DEFAULT_SIZE) -> Tissue:
    """Image number ``index`` of a split; ``size`` is (height, width) in pixels, each at least 32.

    Raises ValueError for an unknown split, a negative seed or index, or a smaller size; TypeError for a number that is
    not whole.
    """
    seed, index, height, width = (operator.index(number) for number in (seed, index, *size))
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    if min(seed, index) < 0:
        raise ValueError(f"seed and index must be 0 or greater, not {seed} and {index}")
    if min(height, width) < SMALLEST:
        raise ValueError(f"an image of cells is at least {SMALLEST}x{SMALLEST} pixels, not {height}x{width}")
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((_STREAM, seed, SPLITS.index(split), index))))
    cells = _lay_out(rng, height, width)
    instances = _instances(cells)
    image = _expose(rng, _paint(rng, cells))
    return Tissue(image, (instances > 0).astype(np.uint8), instances)


# ---------------------------------------------------------------- where the cells are


@dataclass(frozen=True)
class _Cells:
    """For every pixel: ``number`` of its cell, ``offset`` (y, x) from the cell's middle, ``depth`` in pixels inside the
    cell's outline (half the membrane lies at depth < ``half_width``); for every cell: whether it is ``empty`` space."""

    number: np.ndarray
    offset: tuple[np.ndarray, np.ndarray]
    depth: np.ndarray
    half_width: np.ndarray
    empty: np.ndarray
    diameter: np.float32


def _lay_out(rng: np.random.Generator, height: int, width: int) -> _Cells:
    """Divide the image among seeds on a shaken grid, each pixel to the nearest, on a warped sheet."""
    diameter = np.float32(rng.uniform(19, 30))
    stretch = np.sqrt(np.float32(rng.uniform(1.0, 1.5)))
    cos, sin = _direction(rng)
    warp = [_smooth(rng, height, width, 26, 9.0) + _smooth(rng, height, width, 10, 3.4) for _ in "yx"]
    y = np.arange(height, dtype=np.float32)[:, None] + warp[0]
    x = np.arange(width, dtype=np.float32)[None] + warp[1]
    # Turned and stretched, so that the cells lie along a direction; in units of the grid's spacing.
    y, x = (cos * y + sin * x) * (stretch / diameter), (cos * x - sin * y) / (stretch * diameter)
    y -= np.floor(y.min()) - 3
    x -= np.floor(x.min()) - 3
    row, column = y.astype(np.int32), x.astype(np.int32)
    rows, columns = int(row.max()) + 4, int(column.max()) + 4

    shake = rng.uniform(0.12, 0.88, (2, rows, columns)).astype(np.float32)
    seed_y = (np.arange(rows, dtype=np.float32)[:, None] + shake[0]).ravel()
    seed_x = (np.arange(columns, dtype=np.float32)[None] + shake[1]).ravel()
    bonus = rng.uniform(0, 0.22, rows * columns).astype(np.float32)  # a larger bonus makes a larger cell
    empty = rng.random(rows * columns) < rng.uniform(0.02, 0.14)

    here = row * columns + column
    steps = [(dy, dx) for dy in range(-2, 3) for dx in range(-2, 3) if abs(dy) + abs(dx) < 4]
    nearest = np.full(y.shape, np.inf, np.float32)
    number = np.zeros(y.shape, np.int32)
    for dy, dx in steps:
        other = here + (dy * columns + dx)
        distance = _squared(y - seed_y[other], x - seed_x[other]) - bonus[other]
        closer = distance < nearest
        np.copyto(nearest, distance, where=closer)
        np.copyto(number, other, where=closer)
    own_y, own_x = seed_y[number], seed_x[number]
    # How far the border to each other cell is: the difference of the squared distances over twice that of the seeds.
    depth = np.full(y.shape, np.inf, np.float32)
    for dy, dx in steps:
        other = here + (dy * columns + dx)
        there_y, there_x = seed_y[other], seed_x[other]
        gap = _squared(y - there_y, x - there_x) - bonus[other] - nearest
        apart = 2 * np.sqrt(_squared(there_y - own_y, there_x - own_x))
        away = np.where(other == number, np.float32(np.inf), gap / np.maximum(apart, np.float32(1e-6)))
        np.minimum(depth, away, out=depth)
    half_width = np.maximum(np.float32(1.1) + _smooth(rng, height, width, 14, 1.3), np.float32(0.55))
    offset = (y - own_y) * diameter, (x - own_x) * diameter
    return _Cells(number, offset, depth * diameter, half_width, empty, diameter)


def _instances(cells: _Cells) -> np.ndarray:
    """Number the cells of an image from 1: int32 [H, W], 0 where there is none."""
    inside = (cells.depth >= cells.half_width) & ~cells.empty[cells.number]
    # However thin a membrane is drawn, one pixel of background stays between two cells.
    inside[:, :-1] &= cells.number[:, :-1] == cells.number[:, 1:]
    inside[:-1] &= cells.number[:-1] == cells.number[1:]
    pieces, _ = ndimage.label(inside)
    sizes = np.bincount(pieces.ravel())
    keep = sizes >= 12  # what the frame cuts to a few pixels counts as no cell
    keep[0] = False
    return (np.cumsum(keep, dtype=np.int32) * keep)[pieces].astype(np.int32)


# ---------------------------------------------------------------- what it looks like


def _paint(rng: np.random.Generator, cells: _Cells) -> np.ndarray:
    """Grey values, float32 [H, W] on the scale 0 … 255, before the microscope."""
    height, width = cells.depth.shape
    count = len(cells.empty)
    tone = rng.uniform(138, 188, count).astype(np.float32)
    gray = tone[cells.number] + _smooth(rng, height, width, 11, 16) + _smooth(rng, height, width, 2.6, 34)
    inside = _ramp(cells.depth - cells.half_width - 1.5)  # organelles keep off the membrane
    for share in (0.62, 0.34):
        gray = _organelle(rng, cells, gray, inside, share)
    gray = _vesicles(rng, cells, gray, inside)
    gap = cells.empty[cells.number]
    gray = np.where(gap, np.float32(210) + _smooth(rng, height, width, 3.4, 22), gray)
    membrane = _ramp(cells.half_width + np.float32(0.5) - cells.depth)
    # Where the knife cut a membrane at a slant it looks washed out.
    strength = np.clip(np.float32(0.78) + _smooth(rng, height, width, 17, 1.5), np.float32(0.16), 1)
    dark = np.float32(58) + _smooth(rng, height, width, 3, 30)
    return gray + (dark - gray) * (membrane * strength)


def _organelle(rng, cells: _Cells, gray, inside, share: float) -> np.ndarray:
    """A mitochondrion in ``share`` of the cells: a dark oval with a darker wall and folds across."""
    count = len(cells.empty)
    axis_y, axis_x = (part.astype(np.float32) for part in _direction(rng, count))
    long = rng.uniform(0.16, 0.30, count).astype(np.float32) * cells.diameter
    short = long * rng.uniform(0.45, 0.75, count).astype(np.float32)
    middle = rng.uniform(-0.24, 0.24, (2, count)).astype(np.float32) * cells.diameter
    there = (rng.random(count) < share) & ~cells.empty
    number = cells.number
    dy, dx = cells.offset[0] - middle[0][number], cells.offset[1] - middle[1][number]
    ay, ax = axis_y[number], axis_x[number]
    along, across = dy * ay + dx * ax, dx * ay - dy * ax
    radius = np.sqrt(_squared(along / long[number], across / short[number]))
    depth = (1 - radius) * short[number]
    body = _ramp(depth + np.float32(0.5)) * inside * there[number]
    wall = _ramp(np.float32(1.2) - np.abs(depth - np.float32(0.6)))
    period = along * np.float32(0.3)
    folds = np.abs(period - np.floor(period) - np.float32(0.5)) * 2
    tone = np.float32(96) + 34 * folds
    return gray + (tone - 46 * wall - gray) * body


def _vesicles(rng, cells: _Cells, gray, inside) -> np.ndarray:
    """Small bright bubbles with a dark rim, crowded in a few of the cells and rare in the others."""
    height, width = gray.shape
    spacing = 5
    rows, columns = height // spacing + 1, width // spacing + 1
    radius = rng.uniform(1.1, 2.0, (rows, columns)).astype(np.float32)
    place = rng.uniform(-0.5, 0.5, (2, rows, columns)).astype(np.float32) * (spacing - 2 * radius - 0.6)
    luck = rng.random((rows, columns))
    crowd = np.where(rng.random(len(cells.empty)) < 0.22, 0.7, 0.05)
    row, column = np.arange(height) // spacing, np.arange(width) // spacing
    place, radius, luck = place[:, row][:, :, column], radius[row][:, column], luck[row][:, column]
    y = (np.arange(height) % spacing - spacing // 2).astype(np.float32)[:, None] - place[0]
    x = (np.arange(width) % spacing - spacing // 2).astype(np.float32)[None] - place[1]
    depth = radius - np.sqrt(_squared(y, x))
    bubble = _ramp(depth + np.float32(0.5)) * inside * (luck < crowd[cells.number])
    rim = _ramp(np.float32(1.1) - np.abs(depth - np.float32(0.3)))
    return gray + (np.float32(206) - 110 * rim - gray) * bubble


def _expose(rng: np.random.Generator, gray: np.ndarray) -> np.ndarray:
    """Focus, uneven staining, contrast and noise of the microscope; uint8 [H, W, 3], three equal channels."""
    height, width = gray.shape
    side = np.float32(rng.uniform(0.10, 0.22))
    for axis in (0, 1):
        gray = np.moveaxis(gray, axis, 0)
        blurred = gray * (1 - 2 * side)
        blurred[1:] += side * gray[:-1]
        blurred[:-1] += side * gray[1:]
        blurred[0] += side * gray[0]
        blurred[-1] += side * gray[-1]
        gray = np.moveaxis(blurred, 0, axis)
    contrast, brightness = np.float32(rng.uniform(0.72, 1.0)), np.float32(rng.uniform(-16, 12))
    gray = (gray - 130) * contrast + 130 + brightness + _smooth(rng, height, width, 60, 30)
    # The sum of two uniform numbers stands for the detector's noise: no logarithm, so the same everywhere.
    noise = rng.integers(0, 256, (2, height, width), dtype=np.uint8).astype(np.float32)
    gray += (noise[0] + noise[1] - 255) * np.float32(rng.uniform(7, 14) / 104)
    gray = np.clip(gray + np.float32(0.5), 0, 255).astype(np.uint8)
    return np.repeat(gray[..., None], 3, axis=2)


# ---------------------------------------------------------------- tools


def _squared(a, b):
    return a * a + b * b


def _ramp(value):
    """0 below 0, 1 above 1, the value itself between: a soft edge one pixel wide."""
    return np.clip(value, np.float32(0), np.float32(1))


def _direction(rng: np.random.Generator, count: int | None = None):
    """Unit vectors (y, x) in all directions, found in the square without sine or cosine."""
    y, x = rng.uniform(-1, 1, count), rng.uniform(0.05, 1, count)
    length = np.sqrt(y * y + x * x)
    return np.float32(1) * (y / length), np.float32(1) * (x / length)


def _smooth(rng: np.random.Generator, height: int, width: int, spacing: float, amplitude: float) -> np.ndarray:
    """Hills and valleys about ``spacing`` pixels wide, between -amplitude and amplitude: float32 [H, W].

    Random values on a grid, joined by a cubic B-spline.
    """
    grid = rng.uniform(-amplitude, amplitude, (int(height / spacing) + 5, int(width / spacing) + 5))
    values = grid.astype(np.float32)
    for length in (height, width):  # along the first axis, then turned
        place = np.arange(length, dtype=np.float32) / np.float32(spacing)
        first = place.astype(np.int32)
        t = (place - first)[:, None]
        s = 1 - t
        weights = (s * s * s, 4 + 3 * t * t * (t - 2), 4 + 3 * s * s * (s - 2), t * t * t)
        values = sum(weight * values[first + k] for k, weight in enumerate(weights)) / np.float32(6)
        values = np.ascontiguousarray(values.T)
    return values


# ---------------------------------------------------------------- as a data set


@dataclass(frozen=True)
class CellsSource:
    """Images drawn when they are asked for."""

    names: list[str]
    split: str
    seed: int
    size: tuple[int, int]

    def where(self, index: int) -> str:
        return self.names[index]

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        drawn = tissue(self.seed, self.split, index, self.size)
        return drawn.image, drawn.mask

    def instances(self, index: int) -> np.ndarray:
        return tissue(self.seed, self.split, index, self.size).instances


def read(split: str, size: tuple[int, int] | None, count: int | None, seed: int) -> SegmentationDataset:
    """The first ``count`` images of a split."""
    size = tuple(size or DEFAULT_SIZE)
    names = [f"cells-{split}-{index:06d}" for index in range(count or DEFAULT_COUNT[split])]
    if min(size) < SMALLEST:
        raise ValueError(f"an image of cells is at least {SMALLEST}x{SMALLEST} pixels, not {size[0]}x{size[1]}")
    return SegmentationDataset("cells", split, CellsSource(names, split, seed, size), CLASSES, PALETTE, IGNORE, size)
