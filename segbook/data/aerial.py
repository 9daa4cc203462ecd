"""Aerial: generated farmland seen from a drone, the example of chapter 14 for images that come as a folder of files.

A flight over a *site* takes several *frames* that overlap by two thirds, as a survey does: frames of one site show the
same fields, and every site has its own season, soil and light. The image of (seed, site, frame) is the same on every
machine, because the drawing uses sums, products, quotients and square roots only, as in ``cells``.

Five classes: field, wood, water, road, house. Houses cover about one pixel in fifty.
"""

import io
import operator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from segbook.data.cells import _direction, _ramp, _smooth, _squared
from segbook.data.files import atomic_open, write_text

CLASSES = ("field", "wood", "water", "road", "house")
FIELD, WOOD, WATER, ROAD, HOUSE = range(5)
#: One RGB colour a class; the last is for ignored pixels.
PALETTE = np.array(
    [(240, 214, 117), (34, 120, 84), (64, 140, 220), (96, 84, 100), (204, 52, 20), (0, 0, 0)], dtype=np.uint8
)
FRAME = (96, 128)  # height and width of a frame, pixels
STEP = 40  # pixels from one frame to the next along the flight
SWAY = 12  # pixels by which the flight leaves its line
_STREAM = 0xAE21A1  # keeps these random numbers apart from those of the other generators


def site(seed: int, number: int, frames: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    """The ``frames`` images of one flight: a list of (image uint8 [96, 128, 3], labels uint8 [96, 128]).

    Raises ValueError for a negative seed or number and for fewer than one frame.
    """
    seed, number, frames = map(operator.index, (seed, number, frames))
    if min(seed, number) < 0 or frames < 1:
        raise ValueError(f"seed and number are 0 or greater and frames at least 1, not {seed}, {number} and {frames}")
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((_STREAM, seed, number))))
    # The land is drawn for six frames at least, so that asking for fewer of them does not change it.
    land = _Land(rng, FRAME[0] + SWAY, FRAME[1] + STEP * (max(frames, 6) - 1))
    result = []
    for frame in range(frames):
        camera = np.random.Generator(np.random.PCG64(np.random.SeedSequence((_STREAM, seed, number, frame))))
        top, left = int(camera.integers(0, SWAY + 1)), frame * STEP
        cut = np.s_[top : top + FRAME[0], left : left + FRAME[1]]
        result.append((_expose(camera, land.color[cut]), land.labels[cut].copy()))
    return result


def write_folder(folder: Path, sites: int = 20, frames: int = 4, seed: int = 0, first: int = 0) -> list[str]:
    """Write a survey as a learner would have it: ``images/``, ``masks/`` (colour PNGs) and ``classes.txt``.

    File names are ``site07_2.png``: the site, then the frame. Returns the names without their ending.
    """
    names = []
    for number in range(first, first + sites):
        for frame, (image, labels) in enumerate(site(seed, number, frames)):
            names.append(f"site{number:02d}_{frame}")
            for kind, pixels in (("images", image), ("masks", PALETTE[labels])):
                with atomic_open(Path(folder) / kind / f"{names[-1]}.png") as file:
                    Image.fromarray(pixels).save(file, "PNG")
    lines = [f"{r} {g} {b} {name}\n" for (r, g, b), name in zip(PALETTE.tolist(), CLASSES)]
    write_text(Path(folder) / "classes.txt", "# red green blue name\n" + "".join(lines))
    return names


def plant_faults(folder: Path) -> None:
    """Spoil seven files of a survey of at least 20 sites with 4 frames, as happens when several people annotate."""
    images, masks = Path(folder) / "images", Path(folder) / "masks"

    def change(name: str, function) -> None:
        with Image.open(masks / f"{name}.png") as mask:
            mask.load()
        function(mask).save(masks / f"{name}.png")

    def other_red(mask):
        pixels = np.array(mask)
        pixels[(pixels == PALETTE[HOUSE]).all(-1)] = (255, 0, 0)
        return Image.fromarray(pixels)

    def through_jpeg(mask):
        memory = io.BytesIO()
        mask.save(memory, "JPEG", quality=80)
        return Image.open(memory)

    (masks / "site03_2.png").unlink()
    whole = (images / "site13_1.png").read_bytes()
    (images / "site13_1.png").write_bytes(whole[: len(whole) // 3])
    half = FRAME[1] // 2, FRAME[0] // 2
    change("site05_1", lambda mask: mask.resize(half, Image.Resampling.NEAREST))
    change("site07_2", other_red)
    change(
        "site11_3",
        lambda mask: mask.resize(half, Image.Resampling.BILINEAR).resize(mask.size, Image.Resampling.BILINEAR),
    )
    change("site16_0", through_jpeg)
    with Image.open(masks / "site09_1.png") as one, Image.open(masks / "site14_2.png") as other:
        one.load(), other.load()
    one.save(masks / "site14_2.png")
    other.save(masks / "site09_1.png")


# ---------------------------------------------------------------- the land


@dataclass(frozen=True)
class _Look:
    """What one site looks like: colours in RGB on the scale 0 … 255."""

    crops: np.ndarray
    wood: np.ndarray
    water: np.ndarray
    road: np.ndarray
    roofs: np.ndarray


_SEASONS = (  # what grows
    [(118, 142, 66), (150, 160, 80), (92, 122, 58), (168, 150, 98)],  # spring green, some bare soil
    [(206, 186, 108), (188, 164, 92), (142, 150, 78), (216, 202, 140)],  # ripe
    [(132, 104, 76), (112, 88, 66), (150, 126, 94), (120, 128, 72)],  # ploughed
    [(96, 128, 62), (218, 200, 70), (110, 138, 72), (142, 116, 84)],  # rape in flower
)
_WOODS = [(48, 76, 40), (38, 62, 46), (70, 88, 42), (112, 92, 44)]
_WATERS = [(52, 84, 104), (62, 90, 78), (104, 112, 98), (36, 54, 66)]
_ROADS = [(132, 130, 128), (178, 164, 140), (150, 120, 94), (104, 104, 108)]
_ROOFS = [(166, 84, 62), (140, 100, 80), (118, 116, 118), (186, 176, 166), (92, 74, 66)]


def _look(rng: np.random.Generator) -> _Look:
    def near(color, amount):
        return np.asarray(color, np.float32) + rng.uniform(-amount, amount, np.shape(color)).astype(np.float32)

    season = _SEASONS[int(rng.integers(len(_SEASONS)))]
    pick = [colors[int(rng.integers(len(colors)))] for colors in (_WOODS, _WATERS, _ROADS)]
    roofs = [_ROOFS[int(i)] for i in rng.integers(len(_ROOFS), size=3)]
    return _Look(near(season, 10), near(pick[0], 10), near(pick[1], 12), near(pick[2], 12), near(roofs, 12))


class _Land:
    """``color`` float32 [H, W, 3] and ``labels`` uint8 [H, W] of a whole site, drawn from the ground upwards."""

    def __init__(self, rng: np.random.Generator, height: int, width: int):
        self.rng, self.shape = rng, (height, width)
        self.look = _look(rng)
        # A frame of reference turned against the image: fields, roads and houses follow it.
        cos, sin = _direction(rng)
        y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
        self.u, self.v = cos * y + sin * x, cos * x - sin * y
        self.labels = np.full(self.shape, FIELD, np.uint8)
        self.color = np.zeros((*self.shape, 3), np.float32)
        self.sun = np.sign(rng.uniform(-1, 1, 2)).astype(int) * rng.integers(1, 3, 2)
        self.fields()
        self.water()
        self.wood()
        roads = self.roads()
        self.houses(roads)
        self.color *= 1 + _smooth(rng, height, width, 70, 0.08)[..., None]  # a cloud's shade

    def smooth(self, spacing, amplitude):
        return _smooth(self.rng, *self.shape, spacing, amplitude)

    def lay(self, where, color) -> None:
        """Put ``color`` [H, W, 3] over the land with strength ``where`` [H, W] from 0 to 1."""
        self.color += (color - self.color) * where[..., None]

    def shade(self, label: int, length: int, strength: float) -> None:
        """The shadow that everything of a class throws on what is not of that class."""
        thing = self.labels == label
        dark = np.zeros(self.shape, bool)
        for k in range(1, length + 1):
            dark |= np.roll(thing, (k * self.sun[0] // 2, k * self.sun[1] // 2), (0, 1))
        self.color[dark & ~thing] *= np.float32(1 - strength)

    def fields(self) -> None:
        """Bands of parcels with straight edges, each with a crop, a direction of its rows and some wear."""
        rng, u, v = self.rng, self.u, self.v
        bands = np.cumsum(rng.uniform(26, 58, 24)).astype(np.float32) + u.min() - 30
        band = np.searchsorted(bands, u)
        cuts = np.cumsum(rng.uniform(28, 90, (26, 24)), axis=1).astype(np.float32) + v.min() - 40
        parcel, edge = np.zeros(self.shape, int), np.full(self.shape, np.inf, np.float32)
        for number in range(int(band.min()), int(band.max()) + 1):
            here = band == number
            place = np.searchsorted(cuts[number], v[here])
            parcel[here] = number * 26 + place
            limits = np.concatenate([[-1e6], cuts[number], [1e6]]).astype(np.float32)
            edge[here] = np.minimum(v[here] - limits[place], limits[place + 1] - v[here])
        limits = np.concatenate([[-1e6], bands, [1e6]]).astype(np.float32)
        edge = np.minimum(edge, np.minimum(u - limits[band], limits[band + 1] - u))
        count = 26 * 26
        crop = self.look.crops[rng.integers(len(self.look.crops), size=count)]
        crop = crop + rng.uniform(-12, 12, (count, 1)).astype(np.float32)
        spacing, along = rng.uniform(2.6, 6, count).astype(np.float32), rng.random(count) < 0.5
        strength = rng.uniform(2, 15, count).astype(np.float32)
        rows = np.where(along[parcel], u, v) / spacing[parcel]
        rows = np.abs(rows - np.floor(rows) - np.float32(0.5)) * 4 - 1
        tone = rows * strength[parcel] + self.smooth(16, 22) + self.smooth(3, 14)
        self.color[:] = crop[parcel] + tone[..., None]
        self.lay(_ramp(1.6 - edge) * np.float32(0.7), self.look.wood * 1.25 + self.smooth(3, 30)[..., None])  # margins

    def water(self) -> None:
        """A pond or two, at times a brook."""
        rng = self.rng
        deep = self.smooth(46, 1) + self.smooth(17, 0.25) - np.float32(rng.uniform(0.16, 0.4))
        shore = deep * 24
        if rng.random() < 0.55:
            bend = self.smooth(34, 26)
            middle = np.float32(rng.uniform(0.25, 0.75)) * (self.u.max() - self.u.min()) + self.u.min()
            shore = np.maximum(shore, np.float32(rng.uniform(3, 5.5)) - np.abs(self.u - middle + bend))
        self.labels[shore > 0] = WATER
        self.lay(_ramp(shore / 2 + 1.5) * np.float32(0.8), self.look.road * 0.55 + self.look.wood * 0.45)  # mud
        ripples = self.smooth(2.2, 9) * np.float32(rng.uniform(0.3, 1)) + self.smooth(30, 14)
        self.lay(_ramp(shore + 0.5), self.look.water + ripples[..., None] - 10 * _ramp(shore / 10)[..., None])

    def wood(self) -> None:
        """Woods with ragged edges, single trees, and crowns that are lit from one side."""
        rng, (height, width) = self.rng, self.shape
        density = self.smooth(40, 1) + self.smooth(9, 0.28) - np.float32(rng.uniform(0.1, 0.34))
        spacing, (rows, columns) = 5, (height // 5 + 4, width // 5 + 4)
        shake = rng.uniform(0.1, 0.9, (2, rows, columns)).astype(np.float32)
        radius = rng.uniform(2.4, 4.2, (rows, columns)).astype(np.float32)
        tone = rng.uniform(-17, 17, (rows, columns)).astype(np.float32)
        lonely = rng.random((rows, columns)) < rng.uniform(0.004, 0.03)
        # A crown stands where its middle lies in a wood, or alone.
        middle_y = ((np.arange(rows)[:, None] - 1 + shake[0]) * spacing).astype(np.float32)
        middle_x = ((np.arange(columns)[None] - 1 + shake[1]) * spacing).astype(np.float32)
        at = np.clip(middle_y.astype(int), 0, height - 1), np.clip(middle_x.astype(int), 0, width - 1)
        grows = ((density[at] > 0) | lonely) & (self.labels[at] != WATER)
        y, x = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None]
        row, column = np.arange(height)[:, None] // spacing + 1, np.arange(width)[None] // spacing + 1
        top, light = np.zeros(self.shape, np.float32), np.zeros(self.shape, np.float32)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                other = row + dy, column + dx
                oy, ox, r = y - middle_y[other], x - middle_x[other], radius[other]
                dome = (1 - _squared(oy, ox) / (r * r)) * grows[other]
                higher = dome > top
                lit = tone[other] - (self.sun[0] * oy + self.sun[1] * ox) * (11 / r) + 16 * dome
                top, light = np.where(higher, dome, top), np.where(higher, lit, light)
        self.labels[top > 0.02] = WOOD
        self.shade(WOOD, 3, 0.42)
        self.lay((top > 0.02).astype(np.float32), self.look.wood + (light + self.smooth(2, 10))[..., None])

    def roads(self) -> list:
        """One or two roads. Returns of each (half its width, the place along it, the place across it)."""
        rng, laid = self.rng, []
        for across, chance in ((True, 1.0), (False, 0.8)):
            if rng.random() > chance:
                continue
            along, beside = (self.v, self.u) if across else (self.u, self.v)
            middle = np.float32(rng.uniform(0.3, 0.7)) * (beside.max() - beside.min()) + beside.min()
            bend = self.smooth(90, 16)
            half = np.float32(rng.uniform(1.7, 2.9))
            distance = np.abs(beside - middle + bend)
            strip = _ramp(half + 0.5 - distance)
            self.labels[distance < half] = ROAD
            self.lay(_ramp(half + 2 - distance) * np.float32(0.5), self.look.crops[0] * 0.9)  # verge
            worn = self.smooth(12, 9) + self.smooth(2, 8) - 8 * _ramp(1 - distance)
            self.lay(strip, self.look.road + worn[..., None])
            laid.append((half, along, beside - middle + bend))
        return laid

    def houses(self, roads: list) -> None:
        """Houses with gabled roofs along the roads, in hamlets of a few."""
        rng, gables = self.rng, []
        free = (self.labels != WATER).astype(np.uint8)
        for half, along, offset in roads:
            for start in rng.uniform(along.min(), along.max(), 3 + len(roads)):
                for k in range(int(rng.integers(1, 5))):
                    long, short = rng.uniform(4.2, 7.2), rng.uniform(2.8, 4.2)
                    side = 1 if rng.random() < 0.5 else -1
                    away = side * (half + short + rng.uniform(2, 5))
                    da = np.abs(along - np.float32(start + 16.5 * k))
                    db = offset - np.float32(away)
                    inside = (da < long) & (np.abs(db) < short)
                    ok = inside.any() and (self.labels[inside] != ROAD).all() and free[inside].all()
                    if not ok:
                        continue
                    self.labels[inside] = HOUSE
                    free[(da < long + 3) & (np.abs(db) < short + 3)] = 0
                    gables.append((inside, db, self.look.roofs[int(rng.integers(3))]))
        self.shade(HOUSE, 4, 0.5)
        tiles = self.smooth(2, 8)
        for inside, db, roof in gables:
            slope = np.where(db * (self.sun[0] + 0.5) > 0, np.float32(-26), np.float32(20)) + tiles
            ridge = 16 * _ramp(1 - np.abs(db))
            self.lay(inside.astype(np.float32), roof + (slope + ridge)[..., None])


def _expose(rng: np.random.Generator, color: np.ndarray) -> np.ndarray:
    """A little blur, the exposure of this frame, haze and noise: uint8 [H, W, 3]."""
    for axis in (0, 1):
        moved = np.moveaxis(color, axis, 0)
        soft = moved * np.float32(0.76)
        soft[1:] += np.float32(0.12) * moved[:-1]
        soft[:-1] += np.float32(0.12) * moved[1:]
        soft[0] += np.float32(0.12) * moved[0]
        soft[-1] += np.float32(0.12) * moved[-1]
        color = np.moveaxis(soft, 0, axis)
    gain = np.float32(rng.uniform(0.95, 1.06))
    noise = rng.integers(0, 256, (2, *color.shape), dtype=np.uint8).astype(np.float32)
    color = color * gain * np.float32(1.06) + (noise[0] + noise[1] - 255) * np.float32(0.045) + 6
    return np.clip(color + np.float32(0.5), 0, 255).astype(np.uint8)
