"""Your own pictures: a folder of images and label maps with the same file names.

Two layouts are understood:

- **One set.** ``image/`` and ``label/`` (or ``images/`` with ``labels/`` or ``masks/``). Every fifth pair in file order
  (of fewer than five the last) is the split ``val``, the rest ``train``; the split ``all`` is everything.
- **Split by hand.** ``train/`` and ``trainannot/``, ``val/`` and ``valannot/``, or any other word and the same word with
  ``annot``.

A label map is a grey or palette PNG (or another lossless format) with one number a pixel. ``classes.txt`` beside the
folders names the classes, one a line in the order of the numbers 0, 1, 2, …; or every line starts with the number in
the files and then the name (``255 foreground``). A line named ``void`` marks pixels to ignore. Blank lines and lines
that start with ``#`` are skipped. 255 is ignored unless ``classes.txt`` gives it another meaning.

Without ``classes.txt`` all label maps are looked through once: numbers 0 … K-1 become ``class 0`` … ``class K-1``,
and maps of nothing but 0 and 255 become ``background`` and ``foreground``.
"""

import re
from pathlib import Path

import numpy as np

from segbook.data.dataset import SegmentationDataset
from segbook.data.files import BadData, DataNotFound, FileSource, label_table, pair_files, read_label_values, some
from segbook.data.voc2012 import bit_palette
from segbook.progress import progress

VOID = 255
_ONE_SET = (("image", "label"), ("images", "labels"), ("images", "masks"))


def read(split: str, folder: Path, size: tuple[int, int] | None) -> SegmentationDataset:
    """Open one split of the folder. Raises ``DataNotFound`` or ``BadData`` with what was found and what is expected."""
    if not folder.is_dir():
        raise DataNotFound(f"there is no folder {folder}; pass root= with the folder that holds your pictures")
    splits = _splits(folder)
    if not splits:
        here = some((path.name for path in sorted(folder.iterdir())), limit=10)
        raise DataNotFound(
            f"{folder} holds neither image/ and label/ nor train/ and trainannot/. It holds: {here or 'nothing'}. "
            f"data/README.md shows how to lay the files out."
        )
    if split not in splits:
        raise ValueError(f"{folder} has no split {split!r}; choose one of: {', '.join(splits)}")
    classes, table = _classes(folder, [label for pairs in splits.values() for _, _, label in pairs])
    palette = np.concatenate([bit_palette(len(classes)), bit_palette(256)[255:]])
    return SegmentationDataset(
        "folder", split, FileSource(splits[split], table, upright=True), classes, palette, VOID, size
    )


def _splits(folder: Path) -> dict[str, list[tuple[str, Path, Path]]]:
    """The pairs of every split of the folder; empty when the layout is none of ours."""
    for images, labels in _ONE_SET:
        if (folder / images).is_dir() and (folder / labels).is_dir():
            pairs = pair_files(folder / images, folder / labels)
            held_back = pairs[4::5] or pairs[1:][-1:]
            train = [pair for pair in pairs if pair not in held_back]
            return {"train": train, "val": held_back, "all": pairs} if held_back else {"all": pairs}
    labels = sorted(path for path in folder.glob("*annot") if path.is_dir())
    images = [path.with_name(path.name.removesuffix("annot")) for path in labels]
    return {image.name: pair_files(image, label) for image, label in zip(images, labels) if image.is_dir()}


def _classes(folder: Path, label_files: list[Path]) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of the classes, and the table from the numbers in the files to the class indices."""
    listing = folder / "classes.txt"
    if listing.is_file():
        named = _read_listing(listing)
    else:
        named = _derive(folder, label_files)
    classes = tuple(name for name in named.values() if name != "void")
    if not 1 <= len(classes) <= 255:
        raise BadData(f"{listing}: from 1 to 255 classes can be told apart; got {len(classes)}")
    indices = {value: classes.index(name) if name != "void" else VOID for value, name in named.items()}
    return classes, label_table({VOID: VOID, **indices})


def _read_listing(listing: Path) -> dict[int, str]:
    """Number in the files -> class name, as ``classes.txt`` tells it."""
    try:
        lines = [line.strip() for line in listing.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise BadData(f"{listing} is not a UTF-8 text file") from error
    lines = [line for line in lines if line and not line.startswith("#")]
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
            f"{folder}: the label maps hold the numbers {some(map(str, values), limit=20)}, not 0, 1, 2, … without a gap. "
            f"Write {folder / 'classes.txt'} with a line `NUMBER NAME` for each class."
        )
    return {value: f"class {value}" for value in values}
