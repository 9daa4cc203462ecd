"""Your own images: a folder of images and label files with the same file names.

``segbook.data.layouts`` knows the layouts, ``segbook.data.annotations`` reads the labels, ``segbook.data.class_lists`` the
names of the classes. Here they come together, on one path for ``load`` and for ``segbook data check``: pairs first, then
labels, then classes. ``open_folder`` collects what is wrong; ``read`` raises the first of it, the report shows all.

- **Parts.** Where the layout has no train and val of its own, ``splits.csv`` (lines ``name,split``) says who belongs where.
  Without it every fifth pair in file order (of fewer than five the last) is ``val``, of a TIFF stack the last fifth of
  its pages, the rest ``train``. ``all`` is everything.
- **Numbers**: one number a pixel, named by the list of classes in order or with numbers; 255 is ignored unless the list
  gives it a meaning. Without a list 0 … K-1 become ``class 0`` … ``class K-1``. Masks of nothing but 0 and 255 are black and
  white: ``background`` and ``foreground``, or the two names of a list without numbers.
- **Colours**: each class with its colour in the list.
- **Polygons**: LabelMe's files. What no shape covers is ``background`` where that is among the classes, else ignored.
- **More than 8 bits**: images are stretched by the same two numbers for the whole folder, the 0.5 and 99.5 percentile of
  all of them (``Stretch``); a trained model's card keeps them.
"""

import functools
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from segbook._bars import progress
from segbook.data.annotations import (
    Colors,
    Numbers,
    Polygons,
    bands,
    color_codes,
    color_name,
    count_codes,
    read_colors,
    read_labelme,
    read_numbers,
)
from segbook.data.class_lists import BACKGROUND_WORDS, ClassList, read_class_list
from segbook.data.dataset import SegmentationDataset
from segbook.data.files import (
    IMAGE_SUFFIXES,
    BadData,
    FilePairs,
    Stretch,
    first_few,
    image_facts,
    label_table,
    measure_stretch,
    opened,
    printable,
    read_image,
)
from segbook.data.layouts import PARTS, Fault, Layout, find_layout, pair_place, refuse_foreign, short
from segbook.data.splits import read_splits
from segbook.data.voc2012 import bit_palette

VOID = 255
#: From this share of ignored pixels on, a listed class that never occurs is a fault: it may have been taken for void.
_MUCH_VOID = 0.05


class Pair(NamedTuple):
    """An image and its label file; ``page`` is the image's number in a TIFF stack, from 0."""

    name: str
    image: Path
    label: Path
    page: int = 0


@dataclass(frozen=True)
class OwnFiles(FilePairs):
    """Pairs of image and label file, read when asked for. ``reader`` is one of ``segbook.data.annotations``.

    ``notes``: in words, what was decided for the whole folder, such as the ``stretch`` of images with more than 8 bits.
    """

    reader: Numbers | Colors | Polygons
    stretch: Stretch | None = None
    notes: tuple[str, ...] = ()

    def shape(self, index: int) -> tuple[int, int]:
        """Height and width of an image, upright, from the head of its file."""
        pair = self.pairs[index]
        with opened(pair.image, "an image") as image:
            image.seek(pair.page)
            return image.size if image.getexif().get(0x0112, 1) >= 5 else image.size[::-1]

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 [H, W, 3] and class indices uint8 [H, W]; ``BadData`` names the file that does not fit."""
        pair = self.pairs[index]
        image = read_image(pair.image, upright=True, page=pair.page, stretch=self.stretch)
        labels = self.reader.read(pair.label, pair.page)
        self.require_same_size(index, image, labels.indices)
        if labels.unknown:
            raise BadData(
                f"{pair.label}: {self.reader.what} outside the classes: {first_few(labels.unknown)}; "
                f"allowed are {first_few(self.reader.allowed, limit=30)}"
            )
        return image, labels.indices.astype(np.uint8)


@dataclass
class OwnFolder:
    """What a folder holds. ``faults`` must be mended; ``notes`` say what was decided; ``ready``: lines of a list to fill in.

    ``reader`` is None as long as the classes are not known. ``splits``: part → pairs; ``divided``: not by every fifth.
    """

    folder: Path
    layout: Layout
    pairs: list[Pair] = field(default_factory=list)
    splits: dict[str, list[Pair]] = field(default_factory=dict)
    divided: bool = False
    images: int = 0
    label_files: int = 0
    classes: tuple[str, ...] = ()
    palette: np.ndarray | None = None
    reader: Numbers | Colors | Polygons | None = None
    stretch: Stretch | None = None
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)

    def fault(self, kind: str, file: Path, text: str, name: str = "") -> None:
        """Put a fault of the whole folder down."""
        where = short(self.folder, file) if file.is_relative_to(self.folder) else str(file)
        self.faults.append(Fault(kind, name, where, text))


def read(split: str, folder: Path, size: tuple[int, int] | None) -> SegmentationDataset:
    """Open one split of the folder. Raises ``DataNotFound`` or ``BadData`` with what was found and what is expected."""
    own = open_folder(folder)
    if own.faults:
        first, more = own.faults[0], len(own.faults) - 1
        rest = f" (and {more} faults more: `python -m segbook data check {folder}` lists them)" if more else ""
        raise BadData(f"{folder / first.file}: {first.text}{rest}")
    if split not in own.splits:
        few = "; one image cannot be both, add others" if len(own.pairs) == 1 else ""
        raise ValueError(f"{folder} has no split {split!r}; choose one of: {', '.join(own.splits)}{few}")
    source = OwnFiles(own.splits[split], own.reader, own.stretch, tuple(own.notes))
    return SegmentationDataset("folder", split, source, own.classes, own.palette, VOID, size)


def open_folder(folder: Path) -> OwnFolder:
    """Find pairs, labels and classes, and what is wrong with them. Raises ``DataNotFound`` for another layout."""
    own = OwnFolder(folder, find_layout(folder))
    by_part: dict[str, list[Pair]] = {}
    for place in own.layout.places:
        pairs, faults, images, labels = pair_place(place, folder)
        own.faults += faults
        own.images, own.label_files = own.images + images, own.label_files + labels
        by_part[place.part] = _pages(own, pairs)
    own.pairs = [pair for pairs in by_part.values() for pair in pairs]
    if not own.pairs:
        refuse_foreign(folder)
        place = own.layout.places[0]
        if not own.images:
            own.fault("empty", place.images, f"holds no images ({', '.join(IMAGE_SUFFIXES)})")
        return own
    _classes(own)
    _divide(own, by_part)
    _leaks(own)
    return own


# ------------------------------------------------------------------------------------------------- pairs and parts


def _pages(own: OwnFolder, pairs) -> list[Pair]:
    """A pair for each page of a stack, and what the heads of the images say: depth, bands, rotation flags."""
    found, deep, wide, turned = [], [], [], []
    for name, image, label in pairs:
        try:
            facts = image_facts(image)
            pages = (0,) if label.suffix.lower() == ".json" else image_facts(label).pages
        except BadData:  # told again, with the file's name, when it is read
            found.append(Pair(name, image, label))
            continue
        if len(facts.pages) != len(pages) or (len(pages) > 1 and image.suffix.lower() not in (".tif", ".tiff")):
            text = f"holds {len(facts.pages)} images, {label.name} {len(pages)}; one label map belongs to each image"
            own.fault("pages", image, text, name)
            continue
        many = len(pages) > 1
        found += [Pair(f"{name}[{n}]" if many else name, image, label, page) for n, page in enumerate(pages, 1)]
        deep += [(image, page) for page in pages] if facts.bits > 8 else []
        wide += [image.name] if facts.bands > (4 if image.suffix.lower() == ".png" else 3) else []
        turned += [image.name] if facts.rotation > 1 else []
        if many:
            own.notes.append(f"stack: {image.name} holds {len(pages)} images, read as {name}[1] … {name}[{len(pages)}]")
    if deep:
        try:
            own.stretch = _stretch(tuple((path, page, _stamp(path)) for path, page in deep))
            mixed = f" ({len(deep)} of {len(found)} images)" if len(deep) < len(found) else ""
            own.notes.append(
                f"depth: images of more than 8 bits{mixed}: {own.stretch}, from the 0.5 to the 99.5 percentile of all"
            )
        except BadData as error:
            own.fault("depth", deep[0][0], str(error).removeprefix(f"{deep[0][0]}: "))
    if wide:
        own.notes.append(f"bands: of {first_few(wide, 3)} the first three bands are read, as red, green and blue")
    if turned:
        own.notes.append(
            f"rotation: {first_few(turned, 3)} carry a rotation flag and are turned by it; look at one with its labels"
        )
    return found


def _stamp(path: Path) -> tuple:
    """What changes when a file is written anew: looked-at files are looked at again."""
    about = path.stat()
    return about.st_mtime_ns, about.st_size, about.st_ino


@functools.lru_cache(maxsize=8)
def _stretch(files: tuple) -> Stretch:
    return measure_stretch([(path, page) for path, page, _ in files])


def _divide(own: OwnFolder, by_part: dict[str, list[Pair]]) -> None:
    """The pairs of every split."""
    if "" not in by_part:
        own.divided, own.splits = True, {**by_part, "all": own.pairs}
        return
    pairs = own.pairs
    parts, listing = own.layout.parts, own.folder / "splits.csv"
    if listing.is_file():
        try:
            parts = read_splits(listing)
        except BadData as error:
            own.fault("splits", listing, str(error).removeprefix(f"{listing}").lstrip(": "))
            parts = {}
    if parts:
        by_name = {pair.name: pair for pair in pairs}
        resolve = {name: name if name in by_name else _without_ending(name) for part in parts.values() for name in part}
        missing = [name for name, stem in resolve.items() if stem not in by_name]
        if missing and listing.is_file():
            own.fault("splits", listing, f"names images that are not there: {first_few(missing)}")
        for part, names in parts.items():
            kept = own.splits.setdefault(PARTS.get(part.lower(), part), [])
            kept += [by_name[resolve[name]] for name in names if resolve[name] in by_name]
        own.divided, own.splits["all"] = True, pairs
        return
    held_back = _without_twins(own, pairs[4::5] or pairs[1:][-1:])
    if stacks := Counter(pair.image for pair in pairs if "[" in pair.name and pair.name.endswith("]")):
        # Pages that touch look almost the same: a block is held back of each stack, not every fifth page.
        held_back = [
            pair for path in stacks for pair in [p for p in pairs if p.image == path][-max(1, stacks[path] // 5) :]
        ]
    train = [pair for pair in pairs if pair not in held_back]
    own.splits = {"train": train, "val": held_back, "all": pairs} if held_back and train else {"all": pairs}


def _without_twins(own: OwnFolder, held_back: list[Pair]) -> list[Pair]:
    """Those of the pairs to be held back whose image file is not one of the others' too."""
    rest: dict[int, list[Path]] = {}
    for pair in own.pairs:
        if pair not in held_back:
            rest.setdefault(pair.image.stat().st_size, []).append(pair.image)
    kept = []
    for pair in held_back:
        others = rest.get(pair.image.stat().st_size, [])
        if not any(path != pair.image and path.read_bytes() == pair.image.read_bytes() for path in others):
            kept.append(pair)
    if kept and len(kept) < len(held_back):
        gone = [pair.name for pair in held_back if pair not in kept]
        own.notes.append(f"twins: {first_few(gone)} are the same files as others, so they stay in train")
    return kept or held_back


def _without_ending(name: str) -> str:
    path = Path(name)
    return name[: -len(path.suffix)] if path.suffix.lower() in IMAGE_SUFFIXES else name


def _leaks(own: OwnFolder) -> None:
    """The same file in two parts: a net would be judged by what it learnt."""
    if not own.divided:
        return
    by_size: dict[int, dict[tuple[Path, int], tuple[str, str]]] = {}
    for part, pairs in own.splits.items():
        if part != "all":
            for pair in pairs:
                by_size.setdefault(pair.image.stat().st_size, {})[pair.image, pair.page] = (part, pair.name)
    for files in by_size.values():
        if len({part for part, _ in files.values()}) < 2:
            continue
        seen: dict[tuple, tuple[str, str]] = {}
        for (path, page), (part, name) in files.items():
            mark = hashlib.sha256(path.read_bytes()).digest(), page
            other_part, other = seen.setdefault(mark, (part, name))
            if other_part != part:
                own.fault(
                    "leak", path, f"{other} in {other_part} is the same file as {name} in {part}; remove one", name
                )


# ------------------------------------------------------------------------------------------------- labels and classes


@dataclass(frozen=True)
class Census:
    """What a label map holds: ``numbers`` → pixels, or None for a file in colours; ``colors`` → pixels, red first.

    ``palette``: of a palette file, from each number that occurs to its colour. ``shapes``: label → number of shapes.
    """

    numbers: dict[int, int] | None
    colors: dict[int, int]
    palette: dict[int, int]
    shapes: dict[str, int] = field(default_factory=dict)


@functools.lru_cache(maxsize=100_000)
def _census(path: Path, page: int, stamp: tuple) -> Census | str:
    """Look through a label file; what is wrong with it, in words, if it cannot be read."""
    try:
        if path.suffix.lower() == ".json":
            return Census(None, {}, {}, Counter(label for label, _, _ in read_labelme(path)[2]))
        with opened(path, "a label map") as image:
            image.seek(page)
            colored = len(image.getbands()) >= 3 or image.mode == "CMYK"
            palette = np.array(image.getpalette("RGB") or [], np.int64).reshape(-1, 3) if image.mode == "P" else None
        if colored:
            colors = read_colors(path, page)
            counts: Counter = Counter()
            for rows in bands(colors.shape[:2]):
                counts.update(count_codes(color_codes(colors[rows])))
            numbers = {code & 255: n for code, n in counts.items()} if all(map(_is_gray, counts)) else None
            return Census(numbers, dict(counts), {})
        values = read_numbers(path, page)
        total = sum(np.bincount(values[rows].ravel(), minlength=256) for rows in bands(values.shape))
        numbers = {int(value): int(total[value]) for value in np.flatnonzero(total)}
    except BadData as error:
        return str(error)
    if palette is None:
        return Census(numbers, {value * 0x010101: n for value, n in numbers.items()}, {})
    own = {value: int(color_codes(palette[value : value + 1])[0]) for value in numbers if value < len(palette)}
    colors = Counter()
    for value, n in numbers.items():
        colors[own.get(value, 0)] += n
    return Census(numbers, dict(colors), own)


def _is_gray(code: int) -> bool:
    return code >> 16 == code >> 8 & 255 == code & 255


def _classes(own: OwnFolder) -> None:
    """Classes, palette and reader, from the list of classes and from what the label files hold."""
    pairs = own.pairs
    looked = {
        pair: _census(pair.label, pair.page, _stamp(pair.label))
        for pair in progress(pairs, description="Looking at the labels", disable=len(pairs) <= 100)
    }
    seen = {pair: census for pair, census in looked.items() if isinstance(census, Census)}
    polygons = any(pair.label.suffix.lower() == ".json" for pair in pairs)
    listing = own.layout.listing
    classes = None
    if listing:
        try:
            classes = read_class_list(listing)
        except BadData as error:
            own.fault("classes", listing, _without_path(error, listing))
    wanted = own.folder / "classes.txt"
    colored = [pair for pair, census in seen.items() if census.numbers is None]
    try:
        if polygons:
            _polygons(own, wanted, classes, list(seen.values()))
        elif classes and classes.kind == "colors":
            _by_color(own, classes)
        elif colored:
            _ask_for_colors(own, wanted if classes is None else listing, seen.values(), len(colored))
        elif classes:
            _by_number(own, _numbered(own, classes, seen), listing)
        elif not listing and seen:
            _by_number(own, _derive(own, wanted, seen), wanted)
    except BadData as error:
        where = listing or wanted
        own.fault("classes", where, _without_path(error, where))
    if isinstance(own.reader, Numbers):
        _look_at_numbers(own, seen, classes)
    elif isinstance(own.reader, Colors):
        counts = _sum(census.colors for census in seen.values())
        codes = {(r << 16) + (g << 8) + b: index for (r, g, b), index in own.reader.classes.items()}
        _nothing_to_tell_apart(own, {codes.get(code, -1) for code in counts})
    elif isinstance(own.reader, Polygons):
        found = {own.reader.index_of(label) for census in seen.values() for label in census.shapes}
        if found:  # files without a shape are images on which there was nothing to draw
            _nothing_to_tell_apart(own, found | {own.reader.outside})


def _without_path(error: BadData, path: Path) -> str:
    return str(error).removeprefix(str(path)).lstrip(": ")


def _sum(counters) -> Counter:
    total: Counter = Counter()
    for counter in counters:
        total.update(counter)
    return total


def _by_number(own: OwnFolder, named: dict[int, str], listing: Path) -> None:
    own.classes = _class_names(listing, named.values())
    indices = {value: own.classes.index(name) if name != "void" else VOID for value, name in named.items()}
    own.palette = np.concatenate([bit_palette(len(own.classes)), bit_palette(256)[255:]])
    own.reader = Numbers(label_table({VOID: VOID, **indices}))


def _by_color(own: OwnFolder, listed: ClassList) -> None:
    entries, listing = listed.entries, listed.path
    own.classes = _class_names(listing, listed.names)
    colors = {color: own.classes.index(name) if name != "void" else VOID for color, name in entries}
    if len(colors) < len(entries) or any(max(color) > 255 for color in colors):
        raise BadData(f"{listing}: every colour stands there once, three numbers from 0 to 255")
    void = next((color for color, name in entries if name == "void"), (0, 0, 0))
    own.palette = np.array([*(color for color, name in entries if name != "void"), void], dtype=np.uint8)
    own.reader = Colors(colors)


def _polygons(own: OwnFolder, wanted: Path, listed: ClassList | None, seen: list[Census]) -> None:
    """Shapes carry names; where every line of the list has a colour, it says what they are painted in."""
    found = _sum(census.shapes for census in seen)
    if listed is None:
        if not own.layout.listing:
            own.ready = ["background", *(name for name in found if name.lower() not in BACKGROUND_WORDS)]
            own.fault(
                "classes", wanted, "write classes.txt with the name of a class on each line; LabelMe files need it"
            )
        return
    names = listed.names
    if len(set(names)) < len(names):
        raise BadData(f"{listed.path}: every name stands there once")
    if listed.kind == "colors":
        _by_color(own, listed)
    else:
        own.classes = _class_names(listed.path, names)
        own.palette = np.concatenate([bit_palette(len(own.classes)), bit_palette(256)[255:]])
    indices = {name: own.classes.index(name) if name != "void" else VOID for name in names}
    outside = next((index for name, index in indices.items() if name.lower() in BACKGROUND_WORDS), VOID)
    own.reader = Polygons(indices, outside)


def _class_names(listing: Path, names) -> tuple[str, ...]:
    classes = tuple(name for name in names if name != "void")
    if not 1 <= len(classes) <= 255:
        raise BadData(f"{listing}: from 1 to 255 classes can be told apart; got {len(classes)}")
    if len(set(classes)) < len(classes):
        raise BadData(f"{listing}: every number and every name may stand there once")
    return classes


def _ask_for_colors(own: OwnFolder, listing: Path, seen, colored: int) -> None:
    """The label maps are in colours and no list says which class each of them is: list the colours."""
    counts = _sum(census.colors for census in seen)
    total = sum(counts.values())
    often = [(code, n) for code, n in counts.most_common() if n >= total / 1000]
    shares = first_few((f"{color_name(code)} ({100 * n / total:.1f} %)" for code, n in often), 12)
    own.ready = [f"{color_name(code)} {'background' if i == 0 else f'class {i}'}" for i, (code, _) in enumerate(often)]
    mixed = f"; {len(counts) - len(often):,} rare ones beside them (resized, softened or saved as JPEG?)"
    own.fault(
        "classes",
        listing,
        f"{colored} label maps are in colours: list each class with its colour. Found: {shares}"
        f"{mixed if len(counts) > len(often) else ''}",
    )


def _numbered(own: OwnFolder, listed: ClassList, seen: dict[Pair, Census]) -> dict[int, str]:
    """Number in the files → class name, as the list tells it; black and white masks by their own rule."""
    names = listed.names
    if listed.kind == "names":
        values = set().union(*(census.numbers for census in seen.values()))
        if values == {0, VOID} and len(names) == 2 and "void" not in names:
            own.notes.append(
                f"black and white: the label maps hold 0 and 255 only, read as {names[0]} and {names[1]}; "
                f"if 255 is to be ignored, write `0 {names[0]}`, `1 {names[1]}`, `255 void`"
            )
            return {0: names[0], VOID: names[1]}
        named = dict(enumerate(names))
    else:
        named = dict(listed.entries)
    real = [name for name in names if name != "void"]
    if len(named) < len(names) or len(set(real)) < len(real):
        raise BadData(f"{listed.path}: every number and every name may stand there once")
    if len(names) > 256:
        raise BadData(f"{listed.path}: from 1 to 255 classes can be told apart; got {len(real)}")
    return named


def _derive(own: OwnFolder, wanted: Path, seen: dict[Pair, Census]) -> dict[int, str]:
    """Number in the files → class name, from the numbers that occur."""
    counts = _sum(census.numbers for census in seen.values())
    if counts.keys() == {0, VOID}:
        return {0: "background", VOID: "foreground"}
    values, total = sorted(counts.keys() - {VOID}), sum(counts.values())
    if values == list(range(len(values))):
        return {value: f"class {value}" for value in values}
    often = [value for value, n in sorted(counts.items()) if n >= total / 200]
    own.ready = [f"{value} {'background' if value == 0 else f'class {i}'}" for i, value in enumerate(often)]
    if len(values) > 2 * len(often) + 4:
        raise BadData(
            f"{wanted}: the label maps hold {len(values)} numbers, most pixels have {first_few(map(str, often), 8)}: "
            f"saved as JPEG or resized with interpolation? Make them anew from the annotation, then write classes.txt"
        )
    raise BadData(
        f"{wanted}: the label maps hold the numbers {first_few(map(str, values), limit=20)}, not 0, 1, 2, … without a gap. "
        "Write classes.txt with a line `NUMBER NAME` for each class."
    )


# ------------------------------------------------------------------------------------------------- all labels together


def _look_at_numbers(own: OwnFolder, seen: dict[Pair, Census], listed: ClassList | None) -> None:
    """What only shows when the numbers of all label maps are looked at together."""
    counts = _sum(census.numbers for census in seen.values())
    table = own.reader.table
    found = {int(table[value]) for value in counts}
    named = {key for key, _ in listed.entries} if listed and listed.kind == "numbers" else set()
    total = max(sum(counts.values()), 1)
    void = counts[VOID] / total if table[VOID] == VOID and VOID not in named else 0.0
    missing = [name for k, name in enumerate(own.classes) if k not in found]
    listing = own.layout.listing or own.folder / "classes.txt"
    if missing and void > _MUCH_VOID:
        own.fault(
            "void",
            listing,
            f"no pixel is {first_few(missing)}, and {100 * void:.1f} % of all pixels are 255, which is ignored. White "
            f"masks? Write `255 {missing[0]}`. To ignore 255, write `255 void`, and a number before each other name",
        )
    elif void > _MUCH_VOID and counts[1]:
        white = [pair for pair, census in seen.items() if VOID in census.numbers and census.numbers.keys() <= {0, VOID}]
        gray = [pair for pair, census in seen.items() if 1 in census.numbers]
        if white and gray and len(white) + len(gray) >= len(seen) and not any(VOID in seen[p].numbers for p in gray):
            own.fault(
                "white",
                white[0].label,
                f"holds 0 and 255 only, {gray[0].label.name} holds 1: do both mean the same class? Make them alike",
            )
    if not (missing and void > _MUCH_VOID):
        _nothing_to_tell_apart(own, found)
    _compare_palettes(own, seen)


def _nothing_to_tell_apart(own: OwnFolder, found: set[int]) -> None:
    """``found``: the class indices that occur, -1 among them where something is no class."""
    real = found - {-1, VOID}
    if not found or -1 in found or len(real) > 1:  # nothing at all: no file could be read, which is said elsewhere
        return
    place = own.layout.listing or own.layout.places[0].labels
    if real:
        own.fault(
            "one class", place, f"every pixel of all label maps is {own.classes[real.pop()]}: nothing to tell apart"
        )
    else:
        own.fault("void", place, "not one pixel of all label maps belongs to a class: all of them are ignored")


def _compare_palettes(own: OwnFolder, seen: dict[Pair, Census]) -> None:
    """One number with two colours: somewhere an image editor has made a palette of its own."""
    first: dict[int, tuple[int, Pair]] = {}
    for pair, census in seen.items():
        for value, color in census.palette.items():
            other, where = first.setdefault(value, (color, pair))
            if other != color:
                own.fault(
                    "palette",
                    pair.label,
                    f"the number {value} is painted {color_name(color)}, in {printable(where.label.name)} "
                    f"{color_name(other)}; are the colours right? List the classes by colour, else save the masks in grey",
                )
                return
