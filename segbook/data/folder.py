"""Your own images: a folder of images and label files with the same file names.

Layouts that are understood:

- **One set.** ``image/`` and ``label/`` (or ``images/`` with ``labels/`` or ``masks/``). ``splits.csv`` beside them, a
  line ``name,split`` for each image, says which belong to ``train``, ``val`` and so on. Without it every fifth pair in
  file order (of fewer than five the last) is ``val``, the rest ``train``. The split ``all`` is everything.
- **Split by hand.** ``train/`` and ``trainannot/``, ``val/`` and ``valannot/``, or any other word and the same word with
  ``annot``.
- **LabelMe.** Images with a JSON of the same name beside each, in ``image/``, ``images/`` or the folder itself.

Labels are one of three things, the same for the whole folder:

- **Numbers**: a grey or palette PNG (or another lossless format) with one number a pixel. ``classes.txt`` names the
  classes, one a line in the order of the numbers 0, 1, 2, …; or every line starts with the number in the files and then
  the name (``255 foreground``). 255 is ignored unless ``classes.txt`` gives it another meaning. Without ``classes.txt``
  all label maps are looked through once: numbers 0 … K-1 become ``class 0`` … ``class K-1``, and maps of nothing but 0
  and 255 become ``background`` and ``foreground``.
- **Colours**: a PNG in colours; every line of ``classes.txt`` is then ``RED GREEN BLUE NAME``.
- **Polygons**: LabelMe's JSON files. ``classes.txt`` names the labels, with or without a colour to paint each in. What no
  shape covers is ``background`` where that is among the classes, else ignored.

In ``classes.txt`` a line named ``void`` marks pixels to ignore; blank lines and lines that start with ``#`` are skipped.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segbook._bars import progress
from segbook.data.annotations import Colors, Numbers, Polygons
from segbook.data.dataset import SegmentationDataset
from segbook.data.files import (
    IMAGE_SUFFIXES,
    BadData,
    DataNotFound,
    FilePairs,
    first_few,
    label_table,
    pair_files,
    read_image,
    read_label_values,
)
from segbook.data.splits import read_splits
from segbook.data.voc2012 import bit_palette

VOID = 255
_ONE_SET = (("image", "label"), ("images", "labels"), ("images", "masks"))


@dataclass(frozen=True)
class OwnFiles(FilePairs):
    """Pairs of image and label file, read when asked for. ``reader`` is one of ``segbook.data.annotations``."""

    reader: Numbers | Colors | Polygons

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 [H, W, 3] and class indices uint8 [H, W]; ``BadData`` names the file that does not fit."""
        _, image_path, label_path = self.pairs[index]
        image, labels = read_image(image_path, upright=True), self.reader.read(label_path)
        self.require_same_size(index, image, labels.indices)
        if labels.unknown:
            raise BadData(
                f"{label_path}: {self.reader.what} outside the classes: {first_few(labels.unknown)}; "
                f"allowed are {first_few(self.reader.allowed, limit=30)}"
            )
        return image, labels.indices.astype(np.uint8)


@dataclass(frozen=True)
class Layout:
    """What a folder holds: ``places`` [(split or "", folder of images, folder of labels)], and ``suffixes`` of labels."""

    places: list[tuple[str, Path, Path]]
    suffixes: tuple[str, ...]


def read(split: str, folder: Path, size: tuple[int, int] | None) -> SegmentationDataset:
    """Open one split of the folder. Raises ``DataNotFound`` or ``BadData`` with what was found and what is expected."""
    found = layout(folder)
    splits = _splits(folder, found)
    if split not in splits:
        raise ValueError(f"{folder} has no split {split!r}; choose one of: {', '.join(splits)}")
    label_files = [label for pairs in splits.values() for _, _, label in pairs]
    classes, palette, reader = reader_for(folder, found, label_files)
    return SegmentationDataset("folder", split, OwnFiles(splits[split], reader), classes, palette, VOID, size)


def layout(folder: Path) -> Layout:
    """Find the images and the labels. Raises ``DataNotFound`` with what is there instead."""
    if not folder.is_dir():
        raise DataNotFound(
            f"there is no folder {folder}; put your images and label maps there (data/README.md shows how), or name "
            f"another place with root= or SEGBOOK_DATA"
        )
    for images, labels in _ONE_SET:
        if (folder / images).is_dir() and (folder / labels).is_dir():
            return Layout([("", folder / images, folder / labels)], _suffixes(folder / labels))
    labels = sorted(path for path in folder.glob("*annot") if path.is_dir())
    places = [(label.name.removesuffix("annot"), label) for label in labels]
    if places := [(name, folder / name, label) for name, label in places if (folder / name).is_dir()]:
        return Layout(places, _suffixes(*(label for _, _, label in places)))
    for place in (folder / "image", folder / "images", folder):
        if place.is_dir() and _suffixes(place) == (".json",):
            return Layout([("", place, place)], (".json",))
    here = first_few((path.name for path in sorted(folder.iterdir())), limit=10)
    raise DataNotFound(
        f"{folder} holds neither image/ and label/ nor train/ and trainannot/. It holds: {here or 'nothing'}. "
        f"data/README.md shows how to lay the files out."
    )


def _suffixes(*folders: Path) -> tuple[str, ...]:
    """Which files are labels: JSON if there is one, else images."""
    found = any(path.suffix.lower() == ".json" for folder in folders for path in folder.iterdir())
    return (".json",) if found else IMAGE_SUFFIXES


def _splits(folder: Path, found: Layout) -> dict[str, list[tuple[str, Path, Path]]]:
    """The pairs of every split of the folder."""
    every = {name: pair_files(images, labels, found.suffixes) for name, images, labels in found.places}
    if "" not in every:
        return every
    pairs = every[""]
    listing = folder / "splits.csv"
    if listing.is_file():
        by_name = {name: pair for pair in pairs for name in pair[:1]}
        parts = read_splits(listing)
        if missing := [name for names in parts.values() for name in names if name not in by_name]:
            raise BadData(f"{listing} names images that are not there: {first_few(missing)}")
        return {**{part: [by_name[name] for name in names] for part, names in parts.items()}, "all": pairs}
    held_back = pairs[4::5] or pairs[1:][-1:]
    train = [pair for pair in pairs if pair not in held_back]
    return {"train": train, "val": held_back, "all": pairs} if held_back else {"all": pairs}


def reader_for(folder: Path, found: Layout, label_files: list[Path]):
    """Names of the classes, their palette uint8 [K + 1, 3], and the reader of the label files."""
    listing = folder / "classes.txt"
    if not listing.is_file():
        if found.suffixes == (".json",):
            raise BadData(f"{folder}: write {listing} with the name of a class on each line; LabelMe files need it")
        named = _derive(folder, label_files)
        return _by_number(listing, named)
    lines = _lines(listing)
    colored = [re.fullmatch(r"([0-9]+)[\s,]+([0-9]+)[\s,]+([0-9]+)[\s,]+(.+)", line) for line in lines]
    entries = [(tuple(map(int, match.groups()[:3])), match[4]) for match in colored] if all(colored) else []
    if found.suffixes == (".json",):
        return _by_name(listing, lines, entries)
    if entries:
        return _by_color(listing, entries)
    return _by_number(listing, _read_listing(listing))


def _by_number(listing: Path, named: dict[int, str]):
    classes = _class_names(listing, named.values())
    indices = {value: classes.index(name) if name != "void" else VOID for value, name in named.items()}
    palette = np.concatenate([bit_palette(len(classes)), bit_palette(256)[255:]])
    return classes, palette, Numbers(label_table({VOID: VOID, **indices}))


def _by_color(listing: Path, entries: list[tuple[tuple[int, int, int], str]]):
    classes = _class_names(listing, [name for _, name in entries])
    colors = {color: classes.index(name) if name != "void" else VOID for color, name in entries}
    if len(colors) < len(entries) or any(max(color) > 255 for color in colors):
        raise BadData(f"{listing}: every colour stands there once, three numbers from 0 to 255")
    void = next((color for color, name in entries if name == "void"), (0, 0, 0))
    palette = [color for color, name in entries if name != "void"]
    return classes, np.array([*palette, void], dtype=np.uint8), Colors(colors)


def _by_name(listing: Path, lines: list[str], entries: list[tuple[tuple[int, int, int], str]]):
    """Polygons carry names; where every line begins with a colour, ``entries`` say what they are painted in."""
    lines = [name for _, name in entries] or lines
    if len(set(lines)) < len(lines):
        raise BadData(f"{listing}: every name stands there once")
    if entries:
        classes, palette, _ = _by_color(listing, entries)
    else:
        classes = _class_names(listing, lines)
        palette = np.concatenate([bit_palette(len(classes)), bit_palette(256)[255:]])
    indices = {name: classes.index(name) if name != "void" else VOID for name in lines}
    return classes, palette, Polygons(indices, indices.get("background", VOID))


def _class_names(listing: Path, names) -> tuple[str, ...]:
    classes = tuple(name for name in names if name != "void")
    if not 1 <= len(classes) <= 255:
        raise BadData(f"{listing}: from 1 to 255 classes can be told apart; got {len(classes)}")
    if len(set(classes)) < len(classes):
        raise BadData(f"{listing}: every number and every name may stand there once")
    return classes


def _lines(listing: Path) -> list[str]:
    try:
        lines = [line.strip() for line in listing.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise BadData(f"{listing} is not a UTF-8 text file") from error
    return [line for line in lines if line and not line.startswith("#")]


def _read_listing(listing: Path) -> dict[int, str]:
    """Number in the files -> class name, as ``classes.txt`` tells it."""
    lines = _lines(listing)
    numbered = [re.fullmatch(r"([0-9]+)\s+(.+)", line) for line in lines]
    if lines and all(numbered):
        entries = [(int(match[1]), match[2]) for match in numbered]
    else:
        entries = list(enumerate(lines))
    named = dict(entries)
    if any(value > 255 for value in named):
        raise BadData(f"{listing}: a label map holds numbers from 0 to 255; got {max(named)}")
    names = [name for name in named.values() if name != "void"]
    if len(named) < len(entries) or len(set(names)) < len(names):
        raise BadData(f"{listing}: every number and every name may stand there once")
    return named


def _derive(folder: Path, label_files: list[Path]) -> dict[int, str]:
    """Number in the files -> class name, from the numbers that occur."""
    found: set[int] = set()
    for path in progress(label_files, description="Looking for classes", disable=len(label_files) <= 100):
        found.update(np.unique(read_label_values(path)).tolist())
    if found == {0, VOID}:
        return {0: "background", VOID: "foreground"}
    values = sorted(found - {VOID})
    if values != list(range(len(values))):
        raise BadData(
            f"{folder}: the label maps hold the numbers {first_few(map(str, values), limit=20)}, "
            "not 0, 1, 2, … without a gap. "
            f"Write {folder / 'classes.txt'} with a line `NUMBER NAME` for each class."
        )
    return {value: f"class {value}" for value in values}
