"""How a Street scene becomes pixels: a pinhole camera, a painter, and shading by look-up tables.

Everything is drawn far to near into one image of polygon *numbers* (Pillow fills polygons quickly). Class, instance,
colour, texture and depth of every pixel are then read from tables indexed by that number, so shading is a few array
operations whatever the number of polygons. Only +, -, ×, ÷ and square roots touch pixels: they are exact on every machine.

Axes: X right, Y up, Z ahead, in metres; the road's surface is Y = 0. ``xn`` and ``yn`` are a pixel's viewing ray:
``X = xn·Z`` and ``Y = height - yn·Z`` in the camera's frame. On any plane 1/Z is linear in (xn, yn), and so are the
numerators of the texture coordinates: nine numbers describe a surface.
"""

from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from PIL import Image, ImageDraw

from segbook.data.street import texture as texture

NEAR = 0.4  # metres; nothing closer to the camera is drawn
OVERSAMPLE = 2  # samples along each side of a pixel
flatten = chain.from_iterable
_RAMP = (np.arange(texture.CODES, dtype=np.float32) - 15.5) / np.float32(15.5)


@dataclass(frozen=True)
class Camera:
    """x: metres right of the road's middle; height: metres; cos, sin: of the yaw; focal, horizon: in frame heights."""

    x: float
    height: float
    cos: float
    sin: float
    focal: float
    horizon: float
    roll: float

    def to_camera(self, x, z):
        """Ground coordinates of the world to (right, ahead) of the camera; floats or arrays."""
        dx = x - self.x
        return dx * self.cos - z * self.sin, dx * self.sin + z * self.cos

    def sees(self, x: float, z: float, reach: float) -> bool:
        """Whether something at (x, z) with this radius can touch the image."""
        right, ahead = self.to_camera(x, z)
        return ahead > NEAR - reach and abs(right) < 0.667 / self.focal * max(ahead, 0.0) + 1.4 * reach

    def depth(self, x: float, z: float) -> float:
        return (x - self.x) * self.sin + z * self.cos


@dataclass(frozen=True)
class Light:
    """sun: unit vector towards the sun; direct, ambient: RGB strengths; haze: RGB colour; fog: haze a metre."""

    sun: tuple[float, float, float]
    direct: tuple[float, float, float]
    ambient: tuple[float, float, float]
    haze: tuple[float, float, float]
    fog: float

    @property
    def shines(self) -> bool:
        return self.direct[0] > 0.12

    def on(self, nx: float, ny: float, nz: float) -> tuple[float, float, float, float]:
        """RGB factor of a surface with this unit normal, and the share of it that a shadow takes away."""
        facing = max(0.0, nx * self.sun[0] + ny * self.sun[1] + nz * self.sun[2])
        above = 0.86 + 0.14 * ny
        r, g, b = (a * above + d * facing for a, d in zip(self.ambient, self.direct))
        return r, g, b, facing * self.direct[1] / g


@dataclass
class Thing:
    """What is painted together: a car, a house, a pedestrian. Polygons later in the list hide earlier ones."""

    label: int
    depth: float
    countable: bool
    surface: int
    lit: tuple[float, float, float, float]
    polygons: list = field(default_factory=list)

    def add(
        self,
        points,
        rgb,
        tile=texture.FLAT,
        contrast=0.12,
        lit=None,
        surface=None,
        palette=None,
        label=None,
        stamp=-1,
        screen=False,
    ):
        """points: [(X, Y, Z), …] in world metres (for a stamp: two opposite corners); rgb 0..255 under full light; screen:
        only the label, not the image, is filled (what lies between spokes or bars belongs to the thing)."""
        r, g, b, shaded = lit or self.lit
        self.polygons.append(
            (
                points,
                (rgb[0] * r, rgb[1] * g, rgb[2] * b),
                tile,
                contrast,
                shaded,
                self.surface if surface is None else surface,
                palette if palette is None else palette * np.array((r, g, b), dtype=np.float32),
                self.label if label is None else label,
                stamp,
                screen,
            )
        )


class Stage:
    """Collects things, shadows and surfaces of one scene."""

    def __init__(self, camera: Camera, light: Light):
        self.camera, self.light = camera, light
        self.things: list[Thing] = []
        self.shadows: list = []  # (points on the ground, darkness 0..255)
        self.surfaces: list[tuple[float, ...]] = []
        self.skyline = None  # (side, distance, bend, heights a metre of Z) of the house row that the sun stands behind
        self.flat = light.on(0.0, 1.0, 0.0)

    def ground(self, scale: float, x: float = 0.0) -> int:
        """Texture on the ground, `scale` texels a metre."""
        c, h = self.camera, self.camera.height
        return self._surface(
            (c.cos * scale, (c.x - x) * scale / h, c.sin * scale),
            (-c.sin * scale, 0.0, c.cos * scale),
            (0.0, 1 / h, 0.0),
        )

    def upright(self, x: float, z: float, scale: float) -> int:
        """A sheet that faces the camera and stands at (x, z)."""
        right, ahead = self.camera.to_camera(x, z)
        ahead = max(ahead, NEAR)
        return self._surface(
            (scale, 0.0, -right * scale / ahead),
            (0.0, -scale, self.camera.height * scale / ahead),
            (0.0, 0.0, 1 / ahead),
        )

    def wall(self, start, end, across: float, up: float, base: float = 0.0) -> int:
        """A vertical wall over the ground line start → end; `across` and `up` are texels a metre, row 0 at height `base`."""
        xa, za = self.camera.to_camera(*start)
        xb, zb = self.camera.to_camera(*end)
        length = max(((xb - xa) ** 2 + (zb - za) ** 2) ** 0.5, 1e-6)
        tx, tz = (xb - xa) / length, (zb - za) / length
        distance = tz * xa - tx * za
        if abs(distance) < 1e-3:  # seen exactly edge-on
            distance = 1e-3
        wx, w0 = tz / distance, -tx / distance
        along = xa * tx + za * tz
        h = self.camera.height - base
        return self._surface(
            ((tx - along * wx) * across, 0.0, (tz - along * w0) * across),
            (h * wx * up, -up, h * w0 * up),
            (wx, 0.0, w0),
        )

    def _surface(self, u, v, w) -> int:
        self.surfaces.append((*u, *v, *w))
        return len(self.surfaces) - 1

    def thing(
        self, label: int, x: float, z: float, *, countable=False, depth=None, surface=None, lit=None, scale=48.0
    ) -> Thing:
        """A new thing that stands at (x, z); painted after everything with a greater depth."""
        depth = self.camera.depth(x, z) if depth is None else depth
        surface = self.upright(x, z, scale) if surface is None else surface
        lit = lit or self.light.on(-0.5 * self.camera.sin, 0.5, -0.7)
        thing = Thing(label, depth, countable, surface, lit)
        self.things.append(thing)
        return thing


def _clip(points: list) -> list:
    """The part of a polygon [(right, up, ahead), …] that lies ahead of the near plane."""
    kept = []
    for (x0, y0, z0), (x1, y1, z1) in zip(points, points[1:] + points[:1]):
        if z0 >= NEAR:
            kept.append((x0, y0, z0))
        if (z0 >= NEAR) != (z1 >= NEAR):
            t = (NEAR - z0) / (z1 - z0)
            kept.append((x0 + t * (x1 - x0), y0 + t * (y1 - y0), NEAR))
    return kept


class _Projector:
    """World points to sample positions of an image of the given size; the designed 4:3 frame covers it."""

    def __init__(self, camera: Camera, height: int, width: int):
        self.camera, self.height, self.width = camera, height * OVERSAMPLE, width * OVERSAMPLE
        self.scale = max(self.height, self.width * 0.75)

    def rays(self):
        """float32 xn [1, W] and yn [H, W]."""
        c = self.camera
        x = ((np.arange(self.width) + 0.5 - self.width / 2) / self.scale / c.focal).astype(np.float32)[None]
        y = (((np.arange(self.height) + 0.5 - self.height / 2) / self.scale + 0.5 - c.horizon) / c.focal).astype(
            np.float32
        )
        return x, y[:, None] - np.float32(c.roll) * x

    def _pixels(self, right, up, ahead):
        c, half_x, half_y = self.camera, self.width / 2 - 0.5, self.height / 2 - 0.5
        x = right / ahead
        y = (c.height - up) / ahead + c.roll * x
        xy = np.empty((len(x), 2))
        xy[:, 0] = x * (c.focal * self.scale) + half_x
        xy[:, 1] = (y * c.focal + c.horizon - 0.5) * self.scale + half_y
        return np.rint(np.clip(xy, -1e6, 1e6)).astype(np.int32)

    def __call__(self, polygons: list):
        """A list of point lists to a list of flat [x0, y0, x1, y1, …]; None for what cannot be seen."""
        if not polygons:
            return []
        lengths = np.array([len(p) for p in polygons])
        starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        points = np.fromiter(flatten(flatten(polygons)), np.float64, 3 * int(lengths.sum())).reshape(-1, 3)
        right, ahead = self.camera.to_camera(points[:, 0], points[:, 2])
        nearest = np.minimum.reduceat(ahead, starts)
        farthest = np.maximum.reduceat(ahead, starts)
        xy = self._pixels(right, points[:, 1], np.maximum(ahead, NEAR))
        low, high = np.minimum.reduceat(xy, starts), np.maximum.reduceat(xy, starts)
        off = (high[:, 0] < 0) | (high[:, 1] < 0) | (low[:, 0] >= self.width) | (low[:, 1] >= self.height)
        cut = nearest < NEAR
        off = (off & ~cut) | (farthest < NEAR)
        flat = xy.ravel().tolist()
        result = []
        for start, length, gone, cross in zip(starts.tolist(), lengths.tolist(), off.tolist(), cut.tolist()):
            if gone:
                result.append(None)
            elif cross:
                rows = slice(start, start + length)
                corners = list(zip(right[rows].tolist(), points[rows, 1].tolist(), ahead[rows].tolist()))
                kept = _clip(corners) if length > 2 else ()
                result.append(self._pixels(*np.array(kept).T).ravel().tolist() if len(kept) > 2 else None)
            else:
                result.append(flat[2 * start : 2 * (start + length)])
        return result


def _paste_stamp(image: Image.Image, corners: list[int], stamp: int, number: int) -> None:
    """Paint the silhouette, stretched between two corners, with `number`."""
    x0, x1 = sorted(corners[0::2])
    y0, y1 = sorted(corners[1::2])
    x1, y1 = x1 + 1, y1 + 1
    columns = np.arange(max(x0, 0), min(x1, image.width))
    rows = np.arange(max(y0, 0), min(y1, image.height))
    if not len(rows) or not len(columns):
        return
    size = texture.STAMP
    mask = texture.stamps()[stamp][((rows - y0) * size // (y1 - y0))[:, None], (columns - x0) * size // (x1 - x0)]
    image.paste(number, (int(columns[0]), int(rows[0])), Image.fromarray(mask))


def _upper_median(samples: np.ndarray) -> np.ndarray:
    """The third smallest of each 2×2 block: the nearer thing wins a pixel that it covers by half."""
    a, b, c, d = samples[0::2, 0::2], samples[0::2, 1::2], samples[1::2, 0::2], samples[1::2, 1::2]
    return np.maximum(np.minimum(np.maximum(a, b), np.maximum(c, d)), np.maximum(np.minimum(a, b), np.minimum(c, d)))


def render(stage: Stage, sky: np.ndarray, sky_surface: int, height: int, width: int):
    """Paint the stage. sky: float32 [32, 3] palette of the clouds.

    Returns float32 RGB [H, W, 3] (0..255, before the lens), uint8 labels, int32 instances, {instance: label}, bool [H, W] of
    the pixels where three classes meet.
    """
    project = _Projector(stage.camera, height, width)
    things = sorted(stage.things, key=lambda thing: -thing.depth)
    entries, instances, classes = [], [0], {}
    for thing in things:
        number = 0
        if thing.countable:
            number = len(classes) + 1
            classes[number] = thing.label
        entries.extend(thing.polygons)
        instances.extend([number] * len(thing.polygons))
    points, rgb, tile, contrast, shaded, surface, palettes, label, stamp, screen = zip(*entries)

    # 1. The image of numbers: 0 is sky, then every polygon in the order of painting.
    numbers = Image.new("I", (project.width, project.height), 0)
    screens = Image.new("I", numbers.size, 0) if any(screen) else None
    draw, draw_screen = ImageDraw.Draw(numbers), screens and ImageDraw.Draw(screens)
    for number, xy in enumerate(project(points), start=1):
        if xy is None:
            continue
        if stamp[number - 1] >= 0:
            _paste_stamp(numbers, xy, stamp[number - 1], number)
        elif screen[number - 1]:
            draw_screen.polygon(xy, fill=number)
        else:
            draw.polygon(xy, fill=number)
    ids = np.asarray(numbers).astype(np.intp)

    # 2. Tables by number.
    base = np.array(((0.0, 0.0, 0.0), *rgb), dtype=np.float32).T
    strength = np.array((0.0, *contrast), dtype=np.float32)
    palette = base[:, :, None] * (1 + strength[:, None] * _RAMP)
    palette[:, 0] = sky.T
    for number, own in enumerate(palettes, start=1):
        if own is not None:
            palette[:, number] = own.T
    planes = np.array(stage.surfaces, dtype=np.float32)[[sky_surface, *surface]].T.copy()
    layer = np.array((texture.CLOUDS, *tile), dtype=np.intp) * (texture.TILE * texture.TILE)
    shade = np.array((0.0, *shaded), dtype=np.float32)
    labels = np.array((0, *label), dtype=np.uint8)

    # 3. Depth, texture and colour of every sample.
    xn, yn = project.rays()
    ux, uy, u0, vx, vy, v0, wx, wy, w0 = (np.take(row, ids) for row in planes)
    w = np.maximum(wx * xn + wy * yn + w0, np.float32(1e-4))
    depth = 1 / w
    u = np.floor((ux * xn + uy * yn + u0) * depth).astype(np.int32) & 255
    v = np.floor((vx * xn + vy * yn + v0) * depth).astype(np.int32) & 255
    code = np.take(texture.tiles().reshape(-1), np.take(layer, ids) + ((v << 8) + u))
    entry = (ids << 5) + code
    light = stage.light
    dark = _shadow(stage, project, xn, yn, depth, np.take(shade, ids))
    thick = np.float32(light.fog) / (w + np.float32(light.fog))
    clear = 1 - thick
    image = np.empty((height, width, 3), dtype=np.float32)
    for channel, (tint, haze) in enumerate(zip((1.0, 0.96, 0.88), light.haze)):
        c = np.take(palette[channel].reshape(-1), entry)
        c *= 1 - np.float32(tint) * dark
        c *= clear
        c += thick * np.float32(haze)
        c = c[0::2] + c[1::2]
        image[..., channel] = (c[:, 0::2] + c[:, 1::2]) * np.float32(0.25)

    # 4. Labels: a pixel belongs to the nearer thing that covers half of it.
    owners = np.maximum(ids, np.asarray(screens)) if screens else ids
    owner = _upper_median(owners)
    samples = np.take(labels, owners)
    mask = np.take(labels, owner)
    a, b, c, d = samples[0::2, 0::2], samples[0::2, 1::2], samples[1::2, 0::2], samples[1::2, 1::2]
    crowded = (a != d) & (b != c) & ((a != b) | (c != d)) & ((a != c) | (b != d)) & (mask != 2)
    instance = np.take(np.array(instances, dtype=np.int32), owner)
    visible = set(np.unique(instance).tolist())
    return image, mask, instance, {k: v for k, v in classes.items() if k in visible}, crowded


def _shadow(stage: Stage, project: _Projector, xn, yn, depth, shade) -> np.ndarray:
    """float32 [H, W]: the share of light that cast shadows take away."""
    image = Image.new("L", (project.width, project.height), 0)
    draw = ImageDraw.Draw(image)
    for xy, (_, darkness) in zip(project([points for points, _ in stage.shadows]), stage.shadows):
        if xy is not None:
            draw.polygon(xy, fill=darkness)
    on_ground = np.asarray(image, dtype=np.float32) * np.float32(1 / 255)
    c = stage.camera
    up = np.float32(c.height) - yn * depth
    dark = on_ground * (up < 0.02) * np.maximum(shade, np.float32(0.3))
    if stage.skyline is not None and stage.light.shines:
        # From every point go towards the sun as far as the row of houses and compare with its height there.
        side, distance, bend, heights = stage.skyline
        sx, sy, sz = stage.light.sun
        right = xn * depth
        x = right * np.float32(c.cos) + depth * np.float32(c.sin) + np.float32(c.x)
        z = depth * np.float32(c.cos) - right * np.float32(c.sin)
        gap = np.maximum(distance - side * (x - np.float32(bend) * z * z), 0) * np.float32(1 / abs(sx))
        row = np.clip(z + gap * np.float32(sz), 0, len(heights) - 1).astype(np.int32)
        hidden = up + gap * np.float32(sy) < np.take(heights, row)
        dark = np.maximum(dark, hidden * shade)
    return dark
