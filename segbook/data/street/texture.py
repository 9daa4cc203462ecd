"""Textures of the Street scenes: tiles of palette indices, and ragged leaf silhouettes.

A texture is a 256×256 tile of *codes* 0..31 that repeats without a seam. A surface owns a palette of 32 colours, so one
brick tile serves red, yellow and grey walls. The tiles are made once from a fixed seed and are the same for all scenes.
"""

from functools import lru_cache

import numpy as np

TILE = 256  # side of a tile in texels
CODES = 32  # colours in a palette
STAMP = 128  # side of a leaf silhouette

# Codes of a façade tile: 0..15 are tones of the wall, the rest are parts.
WALL_CODES = 16
FRAME, TRIM, GLASS, CURTAIN, LIT, DOOR, AWNING, AWNING_STRIPE, GOODS, LETTERS, SHADE = (
    16,
    17,
    18,
    23,
    24,
    25,
    26,
    27,
    28,
    30,
    31,
)

FLAT, ASPHALT, BLOTCH, SLABS, BRICKS, PLANKS, FOLIAGE, CLOUDS, SHEEN, COBBLES, STONES, ROOF = range(12)
WINDOWS = tuple(range(12, 20))  # upper storeys: 4 × 4 windows a tile
SHOPS = tuple(range(20, 24))  # ground floors: 4 shops or doors a row
_LAYERS = 24


def _noise(rng: np.random.Generator, cells: int, side: int = TILE) -> np.ndarray:
    """Smooth noise in 0..1 that repeats: random values on a cells × cells lattice, blended between with a cubic."""
    lattice = rng.random((cells, cells))
    position = np.arange(side) * cells / side
    left = position.astype(np.int64)
    t = position - left
    t = t * t * (3 - 2 * t)
    right = (left + 1) % cells
    rows = lattice[left] * (1 - t)[:, None] + lattice[right] * t[:, None]
    return rows[:, left] * (1 - t) + rows[:, right] * t


def _fractal(rng: np.random.Generator, cells: int, octaves: int, gain: float = 0.55, side: int = TILE) -> np.ndarray:
    """Sum of octaves of noise around 0.5, each finer and weaker than the one before."""
    total, weight, height = np.zeros((side, side)), 0.0, 1.0
    for octave in range(octaves):
        total += height * _noise(rng, cells << octave, side)
        weight += height
        height *= gain
    return total / weight


def _codes(values: np.ndarray, low: float = 0.0, high: float = 1.0, count: int = CODES) -> np.ndarray:
    """Values low..high to codes 0..count-1."""
    return np.clip((values - low) / (high - low) * count, 0, count - 1).astype(np.uint8)


def _blocks(rng, rows: int, columns: int, joint: int, shift: bool, rough: float = 0.25) -> np.ndarray:
    """Courses of blocks with a tone each and dark joints: bricks, slabs or stones. Values 0..1."""
    height, width = TILE // rows, TILE // columns
    y, x = np.mgrid[0:TILE, 0:TILE]
    row = y // height
    x = (x + (row % 2) * (width // 2) * shift) % TILE
    tone = rng.random((rows, columns))[row, x // width]
    value = 0.32 + 0.5 * tone + rough * (_fractal(rng, 32, 3) - 0.5)
    joints = (y % height < joint) | (x % width < joint)
    return np.where(joints, 0.08, value)


def _wall(rng, kind: int) -> np.ndarray:
    """Wall tones 0..15: plaster, bricks, boards or stone blocks."""
    if kind == 1:
        return _codes(_blocks(rng, 64, 16, 1, True), 0, 1, WALL_CODES)
    if kind == 2:
        y = np.mgrid[0:TILE, 0:TILE][0]
        return _codes(np.where(y % 8 == 0, 0.15, 0.55 + 0.8 * (_fractal(rng, 16, 4) - 0.5)), 0, 1, WALL_CODES)
    if kind == 3:
        return _codes(_blocks(rng, 16, 8, 1, True), 0, 1, WALL_CODES)
    return _codes(_fractal(rng, 8, 6, 0.7), 0.15, 0.85, WALL_CODES)


def _glass(rng, cell: np.ndarray, y0: int, y1: int, x0: int, x1: int) -> None:
    """Fill a pane: dark below, the sky's reflection above, at times a curtain or a lamp."""
    height = y1 - y0
    ramp = (np.arange(height) * 4 // max(height, 1) + rng.integers(0, 2)).clip(0, 4)
    cell[y0:y1, x0:x1] = (GLASS + ramp)[:, None]
    # A slanted reflection makes glass read as glass.
    slant = (np.arange(x0, x1)[None, :] + np.arange(y0, y1)[:, None] + rng.integers(0, 40)) % 40 < 9
    cell[y0:y1, x0:x1][slant] = GLASS + 4
    kind = rng.random()
    if kind < 0.3:
        cell[y0 + height // 2 : y1, x0:x1] = CURTAIN
    elif kind < 0.42:
        quarter = max((x1 - x0) // 4, 1)
        cell[y0:y1, x0 : x0 + quarter] = CURTAIN
        cell[y0:y1, x1 - quarter : x1] = CURTAIN
    elif kind < 0.5:
        cell[y0:y1, x0:x1] = LIT


def _windows(rng, style: int) -> np.ndarray:
    """Upper storeys, row 0 at a storey's foot: 4 × 4 windows, each a little different."""
    tile = _wall(rng, (0, 1, 0, 3, 1, 0, 2, 0)[style])
    width, foot, head = (
        (26, 18, 50),
        (24, 16, 52),
        (34, 14, 48),
        (22, 12, 54),
        (38, 20, 50),
        (52, 14, 56),
        (28, 18, 48),
        (18, 10, 56),
    )[style]
    left, right = 32 - width // 2, 32 + width // 2
    for row in range(4):
        for column in range(4):
            cell = tile[row * 64 : row * 64 + 64, column * 64 : column * 64 + 64]
            if style not in (2, 5):  # a stone or painted surround
                cell[foot - 2 : head + 3, left - 3 : right + 3] = TRIM
            cell[foot:head, left:right] = FRAME
            _glass(rng, cell, foot + 2, head - 2, left + 2, right - 2)
            if style in (0, 1, 4, 6):  # glazing bars
                cell[foot:head, 31:33] = FRAME
                cell[(foot + head) // 2 : (foot + head) // 2 + 2, left:right] = FRAME
            if style == 5:
                cell[foot:head, 20:22] = cell[foot:head, 42:44] = FRAME
            if style in (0, 3):  # shutters
                cell[foot:head, left - 8 : left - 1] = cell[foot:head, right + 1 : right + 8] = DOOR
            cell[foot - 4 : foot - 1, left - 4 : right + 4] = TRIM
            cell[foot - 6 : foot - 4, left - 4 : right + 4] = SHADE
            if style == 7 and (row + column) % 2 == 0:  # a balcony: slab and bars
                cell[4:7, 8:56] = TRIM
                cell[7:20, 8:56:4] = SHADE
                cell[20:22, 8:56] = SHADE
        if style in (3, 7):
            tile[row * 64 : row * 64 + 3] = TRIM  # string course between storeys
    return tile


def _shops(rng, style: int) -> np.ndarray:
    """Ground floors, row 0 at the pavement: shop windows with goods, doors, awnings and boards, or plain doors."""
    tile = _wall(rng, (0, 1, 3, 0)[style])
    for row in range(4):
        for column in range(4):
            cell = tile[row * 64 : row * 64 + 64, column * 64 : column * 64 + 64]
            cell[:5] = TRIM
            if style == 3 or (style == 1 and column % 2):  # a door beside a window
                cell[0:42, 10:28] = FRAME
                cell[0:40, 12:26] = DOOR
                cell[28:38, 15:23] = GLASS + 1
                cell[18:46, 36:58] = FRAME
                _glass(rng, cell, 20, 44, 38, 56)
            elif column == 3 and style == 2:
                cell[0:46, 4:60] = SHADE  # a gateway
                cell[0:44, 7:57] = DOOR
                cell[0:44, 31:33] = SHADE
            else:
                cell[4:44, 3:61] = FRAME
                cell[8:42, 5:44] = GOODS
                goods = _noise(rng, 8, 64)[8:30, 5:44] > 0.55
                cell[8:30, 5:44][goods] = GOODS + 1
                cell[34:42, 5:44] = GLASS + 3
                cell[0:42, 47:59] = DOOR
                cell[6:40, 49:57] = GLASS + 2
                cell[45:56, 1:63] = AWNING
                letters = rng.random(14) < 0.6
                cell[48:53, 10:52][:, np.repeat(letters, 3)] = LETTERS
                if style == 0:
                    cell[40:47, 1:63] = np.where(np.arange(62) // 6 % 2, AWNING, AWNING_STRIPE)
                    cell[38:40, 1:63] = SHADE
    return tile


@lru_cache(maxsize=1)
def tiles() -> np.ndarray:
    """uint8 [layers, 256, 256]: all tiles; the module's constants name the layers."""
    rng = np.random.Generator(np.random.PCG64(20150416))
    result = np.empty((_LAYERS, TILE, TILE), dtype=np.uint8)
    y, x = np.mgrid[0:TILE, 0:TILE]
    grain = rng.random((TILE, TILE))
    result[FLAT] = CODES // 2
    result[ASPHALT] = _codes(0.45 * grain + 0.35 * _noise(rng, 128) + 0.6 * _fractal(rng, 4, 4), 0.1, 1.3)
    result[BLOTCH] = _codes(0.25 * grain + _fractal(rng, 8, 5, 0.7), 0.2, 1.05)
    result[SLABS] = _codes(_blocks(rng, 8, 8, 1, True, 0.2) * 0.8 + 0.15 * grain + 0.1)
    result[BRICKS] = _codes(_blocks(rng, 32, 8, 1, True) + 0.1 * grain)
    boards = rng.random(16)[x // 16]
    result[PLANKS] = _codes(
        np.where(x % 16 < 2, 0.05, 0.3 + 0.4 * boards + 0.4 * (_noise(rng, 64) - 0.5) + 0.1 * grain)
    )
    leaves = _fractal(rng, 16, 4, 0.8)
    result[FOLIAGE] = _codes(0.85 * leaves + 0.3 * grain, 0.25, 0.9)
    result[CLOUDS] = _codes(_fractal(rng, 4, 6, 0.5), 0.2, 0.8)
    result[SHEEN] = _codes(0.5 + 0.45 * np.minimum(y % 128, 64) / 64 - 0.2 + 0.25 * (_fractal(rng, 4, 3) - 0.5))
    result[COBBLES] = _codes(_blocks(rng, 32, 32, 1, True) + 0.15 * grain)
    result[STONES] = _codes(_blocks(rng, 16, 8, 1, True, 0.5) + 0.1 * grain)
    result[ROOF] = _codes(np.where(y % 8 < 2, 0.15, 0.35 + 0.35 * rng.random((32, 32))[y // 8, x // 8] + 0.15 * grain))
    for style, layer in enumerate(WINDOWS):
        result[layer] = _windows(rng, style)
    for style, layer in enumerate(SHOPS):
        result[layer] = _shops(rng, style)
    return result


#: Stamps 0..7 are round crowns, 8..11 conifers, 12..15 loose sprays of leaves (for the light on a crown), 16..19 bushes.
CROWNS, CONIFERS, SPRAYS, BUSHES = range(0, 8), range(8, 12), range(12, 16), range(16, 20)


@lru_cache(maxsize=1)
def stamps() -> np.ndarray:
    """uint8 [20, 128, 128], 0 or 255: silhouettes of leaves; row 0 is the top."""
    rng = np.random.Generator(np.random.PCG64(20151202))
    y, x = np.mgrid[0:STAMP, 0:STAMP] / (STAMP - 1) * 2 - 1
    result = np.empty((20, STAMP, STAMP), dtype=np.uint8)
    for i in range(20):
        ragged = _fractal(rng, 4, 5, 0.75, STAMP) - 0.5
        if i in CONIFERS:
            tier = (y + 1) * 2.5 % 1
            inside = (y + 1) / 2 * 0.95 * (0.72 + 0.28 * tier) - np.abs(x)
            inside = np.minimum(inside, (1 - y) * 2) + 0.45 * ragged
            keep = inside > 0.02
        elif i in SPRAYS:
            keep = (1 - np.sqrt(x * x + y * y)) * 0.8 + 1.5 * ragged > 0.32
        elif i in BUSHES:
            keep = 0.93 - np.sqrt(x * x + (y - 1) * (y - 1) / 3.2) + 0.8 * ragged > 0.06
        else:
            wide = 0.9 + 0.2 * rng.random()
            radius = np.sqrt(x * x * wide + (y * (1 + 0.15 * (y > 0))) ** 2)
            keep = 0.88 - radius + 0.85 * ragged > 0.04
            keep &= _fractal(rng, 16, 2, 0.6, STAMP) + 0.9 * (0.9 - radius) > 0.36  # gaps near the rim
        result[i] = keep * np.uint8(255)
    return result
