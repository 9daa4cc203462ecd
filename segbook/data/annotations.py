"""The three ways in which labels lie in a file: a number a pixel, a colour a pixel, or shapes (a LabelMe JSON).

Each reader turns a file into class indices, int16 [H, W], with -1 where the file says something that is no class, and
tells what that was. Nothing in a file is ever executed; a JSON is data.
"""

import base64
import binascii
import io
import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from segbook.data.class_lists import BACKGROUND_WORDS, VOID_WORDS
from segbook.data.files import _UNREADABLE, IMAGE_SUFFIXES, BadData, first_few, opened, stored_numbers

#: Larger images than this are taken for a mistake in a JSON, before memory is asked for them.
_MAX_PIXELS = 200_000_000
#: Rows of colours that are looked up at once, in pixels: bounds the memory.
_BAND = 4_000_000
_VOID = 255


@dataclass(frozen=True)
class Labels:
    """``indices`` int16 [H, W], -1 = no class; ``unknown``: what stands there instead, in words → how many pixels.

    ``skipped``: kind of a shape that has no area (line, point) → how many of them.
    """

    indices: np.ndarray
    unknown: dict[str, int]
    skipped: dict[str, int] = field(default_factory=dict)


# ---------------------------------------------------------------------------------------------------------- numbers


@dataclass(frozen=True)
class Numbers:
    """Files with one number a pixel; ``table`` int16 [256] from the number to the class index."""

    table: np.ndarray
    kind = "numbers"
    what = "label values"

    @property
    def allowed(self) -> list[str]:
        return [str(value) for value in np.flatnonzero(self.table >= 0)]

    def read(self, path: Path, page: int = 0) -> Labels:
        values = read_numbers(path, page)
        indices = self.table[values]
        wrong, counts = np.unique(values[indices < 0], return_counts=True)
        return Labels(indices, dict(zip(map(str, wrong.tolist()), counts.tolist())))


def read_numbers(path: Path, page: int = 0) -> np.ndarray:
    """The numbers of a label file, uint8 [H, W].

    Grey and palette files (of a palette the numbers, not the colours), files of 16 or 32 bits whose values are whole
    and at most 255, and colour files that hold nothing but grey. What is transparent keeps its number.
    """
    with opened(path, "a label map") as image:
        if page:
            image.seek(page)
        if image.mode in ("L", "P", "1"):
            return stored_numbers(image)
        if image.mode in ("LA", "PA", "La"):
            return np.asarray(image)[..., 0].copy()
        if image.mode.startswith(("I", "F")):
            values = np.asarray(image)
            low, high = values.min(), values.max()
            if not (0 <= low and high <= 255 and (values == values.astype(np.uint8)).all()):
                raise BadData(
                    f"{path}: a label map holds whole numbers from 0 to 255, this one {low:g} … {high:g} "
                    f"(mode {image.mode}, {values.dtype})"
                )
            return values.astype(np.uint8)
        colors = np.asarray(image.convert("RGB"))
        gray = colors[..., 0]
        if not (np.array_equal(gray, colors[..., 1]) and np.array_equal(gray, colors[..., 2])):
            raise BadData(f"{path}: holds colours, and the classes are listed by number; list them by colour")
        return gray.copy()


# ---------------------------------------------------------------------------------------------------------- colours


@dataclass(frozen=True)
class Colors:
    """Colour files; ``classes`` from (red, green, blue) to the class index. A palette file is read by its colours."""

    classes: dict[tuple[int, int, int], int]
    kind = "colours"
    what = "colours"

    @property
    def allowed(self) -> list[str]:
        return [" ".join(map(str, color)) for color in self.classes]

    @cached_property
    def _table(self) -> np.ndarray:
        """int16 [2**24] from red * 65536 + green * 256 + blue to the class index: 32 MB, and a look-up a pixel."""
        table = np.full(1 << 24, -1, dtype=np.int16)
        for (r, g, b), index in self.classes.items():
            table[(r << 16) + (g << 8) + b] = index
        return table

    def read(self, path: Path, page: int = 0) -> Labels:
        colors = read_colors(path, page)
        indices = np.empty(colors.shape[:2], dtype=np.int16)
        wrong: dict[int, int] = {}
        for rows in bands(colors.shape[:2]):
            codes = color_codes(colors[rows])
            indices[rows] = self._table[codes]
            for code, count in count_codes(codes[indices[rows] < 0]).items():
                wrong[code] = wrong.get(code, 0) + count
        return Labels(indices, {color_name(code): wrong[code] for code in sorted(wrong, key=lambda c: -wrong[c])})


def read_colors(path: Path, page: int = 0) -> np.ndarray:
    """The colours of a label file, uint8 [H, W, 3]; what is transparent keeps its colour.

    Raises BadData where something was erased over a colour that stands elsewhere too: a viewer shows it as unlabelled.
    """
    with opened(path, "a label map") as image:
        if page:
            image.seek(page)
        if image.mode.startswith(("I", "F")):
            raise BadData(f"{path}: pixels of mode {image.mode}; colours have 8 bits a channel")
        if image.mode == "RGBA":
            _refuse_erased(path, np.asarray(image))
        return np.asarray(image.convert("RGB"))


def _refuse_erased(path: Path, pixels: np.ndarray) -> None:
    erased = pixels[..., 3] == 0
    if not erased.any() or erased.all():
        return
    codes = color_codes(pixels[..., :3])
    both = count_codes(codes[erased]).keys() & count_codes(codes[~erased]).keys()
    if both:
        count = int(np.isin(codes[erased], list(both)).sum())
        raise BadData(
            f"{path}: {count:,} pixels are erased (transparent) over {first_few(map(color_name, both), 3)}, which stands "
            "elsewhere too. Are they labelled? Paint them, or save the file without transparency"
        )


def bands(size: tuple[int, int]):
    """Slices of rows that together cover an image of ``size`` (height, width), each of a bounded number of pixels."""
    step = max(1, _BAND // size[1])
    return [slice(top, top + step) for top in range(0, size[0], step)]


def color_codes(colors: np.ndarray) -> np.ndarray:
    """One number a colour: uint8 [H, W, 3] to uint32 [H, W]."""
    r, g, b = np.moveaxis(colors.astype(np.uint32), -1, 0)
    return (r << 16) + (g << 8) + b


def color_name(code: int) -> str:
    return f"{code >> 16} {code >> 8 & 255} {code & 255}"


def count_codes(codes: np.ndarray) -> dict[int, int]:
    """How often each number below 2**24 occurs."""
    codes = codes.ravel()
    if codes.size < 100_000:  # sorting few is faster than clearing a table for all
        found, counts = np.unique(codes, return_counts=True)
    else:
        seen = np.zeros(1 << 24, dtype=bool)
        seen[codes] = True
        found = np.flatnonzero(seen)
        rank = np.zeros(1 << 24, dtype=np.int32)
        rank[found] = np.arange(len(found))
        counts = np.bincount(rank[codes])
    return dict(zip(found.tolist(), counts.tolist()))


# ---------------------------------------------------------------------------------------------------------- shapes


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

    def index_of(self, label: str) -> int:
        """The class index of a label, -1 for one that is not listed; LabelMe's own words count as listed."""
        if label in self.classes:
            return self.classes[label]
        if label.lower() in BACKGROUND_WORDS:
            return self.outside
        return _VOID if label.lower() in VOID_WORDS else -1

    def read(self, path: Path, page: int = 0) -> Labels:
        height, width, shapes, skipped = read_labelme(path)
        indices = np.full((height, width), self.outside, dtype=np.int16)
        unknown: dict[str, int] = {}
        for label, kind, points in shapes:  # in order: a later shape lies on top
            box, inside = rasterise(points, kind, (height, width))
            index = self.index_of(label)
            indices[box][inside] = index
            if index < 0:
                unknown[label] = unknown.get(label, 0) + int(inside.sum())
        return Labels(indices, unknown, skipped)


#: Shapes with an area, and how many points they have at least. The others of LabelMe are left out and counted.
_AREAS = {"polygon": 3, "rectangle": 2, "circle": 2, "mask": 2}
_NO_AREAS = ("line", "linestrip", "point", "points")


def read_labelme(path: Path) -> tuple[int, int, list[tuple[str, str, list]], dict[str, int]]:
    """Height, width, the shapes (label, kind, points) of a LabelMe JSON in the order of the file, and what was skipped.

    Kinds: polygon, rectangle (two corners, or four), circle (middle and a point on it), with points as (x, y); mask, for
    which the third value is (left, top, bool [h, w]). Shapes without an area (line, point) are counted by kind. Raises
    ``BadData`` naming the file, the shape and what is wrong; an image inside the file is not looked at. A file of an old
    version without the image's size takes it from the image beside it.
    """
    try:
        sheet = json.loads(path.read_text(encoding="utf-8-sig"))
        shapes = sheet["shapes"]
        height, width = (sheet.get(name) for name in ("imageHeight", "imageWidth"))
    except UnicodeDecodeError as error:
        raise BadData(f"{path}: cannot be read as a LabelMe file: it is not UTF-8; save it as UTF-8") from error
    except (OSError, ValueError, RecursionError) as error:
        raise BadData(f"{path}: cannot be read as a LabelMe file ({error})") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise BadData(
            f"{path}: a LabelMe file has imageHeight, imageWidth and shapes; missing here: {error}"
        ) from error
    if height is None or width is None:
        height, width = _size_beside(path)
    if not all(type(n) is int and n >= 1 for n in (height, width)) or height * width > _MAX_PIXELS:
        raise BadData(f"{path}: imageHeight and imageWidth are not those of an image: {height!r:.40}, {width!r:.40}")
    if not isinstance(shapes, list):
        raise BadData(f"{path}: shapes is not a list")
    areas, skipped = [], {}
    for number, shape in enumerate(shapes):
        kind = shape.get("shape_type") or "polygon" if isinstance(shape, dict) else "polygon"
        if isinstance(kind, str) and kind in _NO_AREAS:
            skipped[kind] = skipped.get(kind, 0) + 1
        else:
            areas.append(_shape(path, number, shape))
    return height, width, areas, skipped


def _size_beside(path: Path) -> tuple[int, int]:
    """Height and width, upright, of the image with the name of this JSON."""
    for image_path in sorted(path.parent.iterdir()):
        if image_path.stem == path.stem and image_path.suffix.lower() in IMAGE_SUFFIXES:
            with opened(image_path, "an image") as image:
                turned = image.getexif().get(0x0112, 1) >= 5
                return image.size if turned else image.size[::-1]
    raise BadData(
        f"{path}: a LabelMe file has imageHeight and imageWidth; they are missing here, and there is no image of this name "
        f"beside it to take them from"
    )


def _shape(path: Path, number: int, shape) -> tuple[str, str, list]:
    try:
        label, kind, points = shape["label"], shape.get("shape_type") or "polygon", shape["points"]
        points = [(float(x), float(y)) for x, y in points]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadData(f"{path}: shape {number} has no label or no list of points [x, y]") from error
    where = f"{path}: shape {number} ({label!s:.40})"
    if not isinstance(kind, str) or kind not in _AREAS:
        raise BadData(f"{where} is a {kind!s:.40}; an area is a {', '.join(_AREAS)}")
    fits = {"polygon": len(points) >= 3, "rectangle": len(points) in (2, 4)}.get(kind, len(points) == 2)
    if not fits or not isinstance(label, str) or not all(math.isfinite(n) for point in points for n in point):
        raise BadData(f"{where} is no {kind}: it needs {_AREAS[kind]} points or more, all finite")
    return label, kind, _mask(where, shape, points) if kind == "mask" else points


def _mask(where: str, shape: dict, points) -> tuple[int, int, np.ndarray]:
    """(left, top, bool [h, w]) of a shape that LabelMe's drawing by AI wrote: a PNG in base64, put at its first point."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"], validate=True))) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise ValueError("too large")
            inside = np.asarray(image.convert("L")) > 0
    except (KeyError, TypeError, binascii.Error, *_UNREADABLE) as error:
        raise BadData(f"{where} is no mask: it needs a PNG in base64 under `mask`") from error
    limit = 10**9
    left, top = (round(min(max(n, -limit), limit)) for n in points[0])
    return left, top, inside


def rasterise(points, kind: str, size: tuple[int, int]) -> tuple[tuple[slice, slice], np.ndarray]:
    """The pixels inside a shape: the box around it as slices of rows and columns, and bool [h, w] within that box.

    ``points`` (x, y) in pixels, ``size`` (height, width) of the image. Pillow fills the outline too, as LabelMe's own
    export does. Only the box is drawn, so that hundreds of small shapes on a large image take little time.
    """
    height, width = size
    if kind == "mask":
        left, top, inside = points
        rows = slice(min(max(top, 0), height), min(max(top + inside.shape[0], 0), height))
        columns = slice(min(max(left, 0), width), min(max(left + inside.shape[1], 0), width))
        part = inside[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        return (rows, columns), part
    # Far outside is as good as just outside, and does not overflow Pillow's whole numbers.
    limit = 4 * max(size)
    points = [(min(max(x, -limit), limit), min(max(y, -limit), limit)) for x, y in points]
    if kind == "circle":
        (x, y), (rim_x, rim_y) = points
        radius = math.hypot(rim_x - x, rim_y - y)
        points = [(x - radius, y - radius), (x + radius, y + radius)]
    xs, ys = zip(*points)
    left, right = (min(max(math.floor(min(xs)) - 1, 0), width), min(max(math.ceil(max(xs)) + 2, 0), width))
    top, bottom = (min(max(math.floor(min(ys)) - 1, 0), height), min(max(math.ceil(max(ys)) + 2, 0), height))
    box = slice(top, bottom), slice(left, right)
    if top >= bottom or left >= right:
        return box, np.zeros((max(bottom - top, 0), max(right - left, 0)), dtype=bool)
    mask = Image.new("1", (right - left, bottom - top))
    draw = ImageDraw.Draw(mask)
    points = [(x - left, y - top) for x, y in points]
    if kind == "circle":
        draw.ellipse((*points[0], *points[1]), fill=1, outline=1)
    elif kind == "rectangle":
        xs, ys = zip(*points)
        draw.rectangle((min(xs), min(ys), max(xs), max(ys)), fill=1, outline=1)
    else:
        draw.polygon(points, fill=1, outline=1)
    return box, np.array(mask)
