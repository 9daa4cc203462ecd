"""The three ways in which labels lie in a file: a number a pixel, a colour a pixel, or polygons (a LabelMe JSON).

Each reader turns a file into class indices, int16 [H, W], with -1 where the file says something that is no class, and
tells what that was. Nothing in a file is ever executed; a JSON is data.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from segbook.data.files import _UNREADABLE, BadData, read_label_values

#: Larger images than this are taken for a mistake in a JSON, before memory is asked for them.
_MAX_PIXELS = 200_000_000


@dataclass(frozen=True)
class Labels:
    """``indices`` int16 [H, W], -1 = no class; ``unknown``: what stands there instead, in words → how many pixels."""

    indices: np.ndarray
    unknown: dict[str, int]


@dataclass(frozen=True)
class Numbers:
    """Grey or palette files with one number a pixel; ``table`` int16 [256] from the number to the class index."""

    table: np.ndarray
    kind = "numbers"
    what = "label values"

    @property
    def allowed(self) -> list[str]:
        return [str(value) for value in np.flatnonzero(self.table >= 0)]

    def read(self, path: Path) -> Labels:
        values = read_label_values(path)
        indices = self.table[values]
        wrong, counts = np.unique(values[indices < 0], return_counts=True)
        return Labels(indices, dict(zip(map(str, wrong.tolist()), counts.tolist())))


@dataclass(frozen=True)
class Colors:
    """Colour files; ``classes`` from (red, green, blue) to the class index. A palette file is read by its colours."""

    classes: dict[tuple[int, int, int], int]
    kind = "colours"
    what = "colours"

    @property
    def allowed(self) -> list[str]:
        return [" ".join(map(str, color)) for color in self.classes]

    def read(self, path: Path) -> Labels:
        codes, inverse = np.unique(_codes(read_colors(path)), return_inverse=True)
        known = {(r << 16) + (g << 8) + b: index for (r, g, b), index in self.classes.items()}
        table = np.array([known.get(code, -1) for code in codes.tolist()], dtype=np.int16)
        counts = np.bincount(inverse.ravel(), minlength=len(codes))
        wrong = sorted(np.flatnonzero(table < 0), key=lambda i: -counts[i])
        names = [f"{codes[i] >> 16} {codes[i] >> 8 & 255} {codes[i] & 255}" for i in wrong]
        return Labels(table[inverse.reshape(inverse.shape)], {n: int(counts[i]) for n, i in zip(names, wrong)})


@dataclass(frozen=True)
class Polygons:
    """LabelMe files; ``classes`` from a label's name to the class index, ``outside``: the index where no shape lies."""

    classes: dict[str, int]
    outside: int
    kind = "polygons"
    what = "label names"

    @property
    def allowed(self) -> list[str]:
        return list(self.classes)

    def read(self, path: Path) -> Labels:
        height, width, shapes = read_labelme(path)
        indices = np.full((height, width), self.outside, dtype=np.int16)
        unknown: dict[str, int] = {}
        for label, kind, points in shapes:  # in order: a later shape lies on top
            inside = rasterise(points, kind, (height, width))
            indices[inside] = self.classes.get(label, -1)
            if label not in self.classes:
                unknown[label] = unknown.get(label, 0) + int(inside.sum())
        return Labels(indices, unknown)


def read_colors(path: Path) -> np.ndarray:
    """The colours of a label file, uint8 [H, W, 3]; what is transparent keeps its colour."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise BadData(f"{path}: pixels of mode {image.mode}; colours have 8 bits a channel")
            return np.asarray(image.convert("RGB"))
    except BadData:
        raise
    except _UNREADABLE as error:
        raise BadData(f"{path}: cannot be read as a label map ({error})") from error


def _codes(colors: np.ndarray) -> np.ndarray:
    """One number a colour: uint8 [H, W, 3] to uint32 [H, W]."""
    r, g, b = np.moveaxis(colors.astype(np.uint32), -1, 0)
    return (r << 16) + (g << 8) + b


def read_labelme(path: Path) -> tuple[int, int, list[tuple[str, str, list[tuple[float, float]]]]]:
    """Height, width and the shapes (label, kind, points as (x, y)) of a LabelMe JSON, in the order of the file.

    Kinds: polygon, rectangle (two corners), circle (middle and a point on it). Raises ``BadData`` naming the file, the
    shape and what is wrong; an image inside the file is not looked at.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        height, width, shapes = found["imageHeight"], found["imageWidth"], found["shapes"]
    except (OSError, ValueError, RecursionError) as error:
        raise BadData(f"{path}: cannot be read as a LabelMe file ({error})") from error
    except (KeyError, TypeError) as error:
        raise BadData(
            f"{path}: a LabelMe file has imageHeight, imageWidth and shapes; missing here: {error}"
        ) from error
    if not all(type(n) is int and n >= 1 for n in (height, width)) or height * width > _MAX_PIXELS:
        raise BadData(f"{path}: imageHeight and imageWidth are not those of an image: {height!r}, {width!r}")
    if not isinstance(shapes, list):
        raise BadData(f"{path}: shapes is not a list")
    return height, width, [_shape(path, number, shape) for number, shape in enumerate(shapes)]


def _shape(path: Path, number: int, shape) -> tuple[str, str, list[tuple[float, float]]]:
    try:
        label, kind, points = shape["label"], shape.get("shape_type") or "polygon", shape["points"]
        points = [(float(x), float(y)) for x, y in points]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadData(f"{path}: shape {number} has no label or no list of points [x, y]") from error
    needed = {"polygon": 3, "rectangle": 2, "circle": 2}
    if kind not in needed:
        raise BadData(f"{path}: shape {number} ({label}) is a {kind}; an area is a {', '.join(needed)}")
    wrong_count = len(points) < 3 if kind == "polygon" else len(points) != 2
    if wrong_count or not isinstance(label, str) or not all(math.isfinite(n) for point in points for n in point):
        raise BadData(
            f"{path}: shape {number} ({label}) is no {kind}: it needs {needed[kind]} points or more, all finite"
        )
    return label, kind, points


def rasterise(points, kind: str, size: tuple[int, int]) -> np.ndarray:
    """The pixels inside a shape, bool [H, W]; ``points`` (x, y) in pixels, ``size`` (height, width).

    Pillow fills the outline too, as LabelMe's own export does.
    """
    mask = Image.new("1", size[::-1])
    draw = ImageDraw.Draw(mask)
    # Far outside is as good as just outside, and does not overflow Pillow's whole numbers.
    limit = 4 * max(size)
    points = [(min(max(x, -limit), limit), min(max(y, -limit), limit)) for x, y in points]
    if kind == "circle":
        (x, y), (rim_x, rim_y) = points
        radius = math.hypot(rim_x - x, rim_y - y)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=1, outline=1)
    elif kind == "rectangle":
        (x0, y0), (x1, y1) = points
        draw.rectangle((min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)), fill=1, outline=1)
    else:
        draw.polygon(points, fill=1, outline=1)
    return np.array(mask)
