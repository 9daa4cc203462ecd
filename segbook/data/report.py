"""What is in a folder of images and labels, and what is wrong with it: looked at before anything is trained.

``inspect_folder`` reads every file once and never stops at a fault; ``print(report)`` is what
``python -m segbook data check FOLDER`` shows.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage

from segbook._bars import progress
from segbook.data.annotations import Colors, Labels
from segbook.data.files import IMAGE_SUFFIXES, LABEL_SUFFIXES, BadData, files_by_stem, first_few, read_image
from segbook.data.folder import layout, reader_for
from segbook.data.splits import group_of, read_splits, shared_groups

TINY = 16  # pixels: an object of 4 x 4
_EIGHT = np.ones((3, 3), dtype=bool)  # neighbours across corners belong to the same object


@dataclass(frozen=True)
class Fault:
    """A file that cannot be used: ``kind`` in a word, ``name`` of the image without ending, ``file``, and the ``text``."""

    kind: str
    name: str
    file: str
    text: str


@dataclass
class Report:
    """What ``inspect_folder`` found. ``faults`` must be mended; ``advice`` is worth a look; ``usable`` names are in order.

    ``classes`` (K names); by class ``pixels``, ``images`` and the sizes of its ``objects`` (connected pixels) in
    pixels; ``sizes``: (height, width) → number of images; ``splits``: split → names.
    """

    folder: Path
    labels: str = ""
    images: int = 0
    label_files: int = 0
    classes: tuple[str, ...] = ()
    faults: list[Fault] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    usable: list[str] = field(default_factory=list)
    sizes: Counter = field(default_factory=Counter)
    pixels: np.ndarray | None = None
    occurs: np.ndarray | None = None
    objects: list[list[int]] = field(default_factory=list)
    ignored: int = 0
    splits: dict[str, list[str]] = field(default_factory=dict)

    def table(self) -> list[list]:
        """A row a class: name, share of the labelled pixels in %, images with it, objects, median size, tiny ones."""
        total = max(int(self.pixels.sum()), 1)
        return [
            [
                name,
                100 * int(self.pixels[k]) / total,
                int(self.occurs[k]),
                len(sizes),
                int(np.median(sizes)) if sizes else None,
                sum(size < TINY for size in sizes),
            ]
            for k, (name, sizes) in enumerate(zip(self.classes, self.objects))
        ]

    def __str__(self) -> str:
        lines = [f"{self.images} images, {self.label_files} label files ({self.labels}), {len(self.classes)} classes"]
        sizes = [f"{h}x{w}: {count}" for (h, w), count in self.sizes.most_common(6)]
        lines += [f"sizes (height x width): {', '.join(sizes)}{' …' if len(self.sizes) > 6 else ''}", ""]
        if self.faults:
            lines.append(f"{len(self.faults)} faults to mend before training:")
            width = max(len(fault.kind) for fault in self.faults)
            lines += [f"  {fault.kind:{width}}  {fault.file}: {fault.text}" for fault in self.faults]
        else:
            lines.append("no faults: every image has its labels, and every file can be read")
        if self.usable:
            lines += ["", f"classes of the {len(self.usable)} images in order:"]
            width = max(5, *map(len, self.classes))
            lines.append(f"  {'':{width}}  share of pixels  images  objects  median size  under {TINY} px")
            for name, share, occurs, objects, median, tiny in self.table():
                size = "–" if median is None else f"{median:,} px"
                lines.append(f"  {name:{width}}  {share:13.2f} %  {occurs:8,}  {objects:7,}  {size:>11}  {tiny:11,}")
            if self.ignored:
                share = 100 * self.ignored / (self.ignored + int(self.pixels.sum()))
                lines.append(f"  {'(void)':{width}}  {share:13.2f} % of all pixels, ignored")
        if self.splits:
            counts = [f"{part} {len(names)}" for part, names in self.splits.items()]
            lines += ["", f"splits (images): {', '.join(counts)}"]
        if self.advice:
            lines += ["", "worth a look:", *(f"  {text}" for text in self.advice)]
        return "\n".join(lines)


def inspect_folder(folder: str | Path) -> Report:
    """Read every file of a folder of the ``folder`` data set's layouts and report what is there and what is wrong.

    Raises ``DataNotFound`` for another layout, and ``BadData`` when not even the list of classes can be read.
    """
    folder = Path(folder).expanduser()
    found = layout(folder)
    report = Report(folder)
    pairs = []
    for split, images, labels in found.places:
        by_stem = _by_stem(report, images, IMAGE_SUFFIXES)
        maps = _by_stem(report, labels, found.suffixes)
        report.images += len(by_stem)
        report.label_files += len(maps)
        for name in by_stem.keys() - maps.keys():
            report.faults.append(Fault("no labels", name, _short(folder, by_stem[name]), f"nothing in {labels.name}/"))
        for name in maps.keys() - by_stem.keys():
            report.faults.append(Fault("no image", name, _short(folder, maps[name]), f"nothing in {images.name}/"))
        both = [(name, by_stem[name], maps[name]) for name in by_stem if name in maps]
        for name, _, label in both:
            if label.suffix.lower() not in (*LABEL_SUFFIXES, ".json"):
                text = "this format changes pixel values, so it cannot hold labels"
                report.faults.append(Fault("lossy", name, _short(folder, label), text))
        lossy = {fault.name for fault in report.faults if fault.kind == "lossy"}
        both = [pair for pair in both if pair[0] not in lossy]
        pairs += both
        if split:
            report.splits[split] = [name for name, _, _ in both]
    label_files = [label for _, _, label in pairs]
    report.classes, _, reader = reader_for(folder, found, label_files)
    report.labels = reader.kind
    report.pixels, report.occurs = np.zeros((2, len(report.classes)), dtype=np.int64)
    report.objects = [[] for _ in report.classes]
    seen: dict[bytes, str] = {}
    for name, image_path, label_path in progress(pairs, description="Checking", disable=len(pairs) <= 200):
        faults = len(report.faults)
        image = labels = None
        try:
            image = read_image(image_path, upright=True)
            report.sizes[image.shape[:2]] += 1
        except BadData as error:
            report.faults.append(Fault("unreadable", name, _short(folder, image_path), _reason(error, image_path)))
        try:
            labels = reader.read(label_path)
        except BadData as error:
            report.faults.append(Fault("unreadable", name, _short(folder, label_path), _reason(error, label_path)))
        if image is not None and labels is not None:
            _look(report, name, _short(folder, label_path), image, labels, reader)
        if len(report.faults) == faults:
            report.usable.append(name)
            _count(report, labels.indices)
            _twin(report, seen, name, image)
    report.faults.sort(key=lambda fault: (fault.kind, fault.file))
    _look_at_all(report, folder)
    return report


def _by_stem(report: Report, folder: Path, suffixes) -> dict[str, Path]:
    """The files by stem; two of one name are a fault, and the first is kept."""
    try:
        return files_by_stem(folder, suffixes)
    except BadData:
        kept: dict[str, Path] = {}
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in suffixes and not path.name.startswith("."):
                if path.stem in kept:
                    text = f"has the same name as {kept[path.stem].name}; which one is meant?"
                    report.faults.append(Fault("twice", path.stem, _short(report.folder, path), text))
                else:
                    kept[path.stem] = path
        return kept


def _short(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _reason(error: BadData, path: Path) -> str:
    """The message without the path, which stands in front of it already."""
    return str(error).replace(str(path), path.name).removeprefix(f"{path.name}: ")


def _look(report: Report, name: str, file: str, image: np.ndarray, labels: Labels, reader) -> None:
    """Faults of one pair that can be read: its sizes and what is no class."""
    size, own = labels.indices.shape, image.shape[:2]
    if size != own:
        turned = " (turned by a quarter)" if size == own[::-1] else ""
        text = f"{size[0]}x{size[1]}, its image is {own[0]}x{own[1]}{turned}"
        report.faults.append(Fault("size", name, file, text))
    if not labels.unknown:
        return
    pixels, kinds = sum(labels.unknown.values()), len(labels.unknown)
    listed = first_few((f"{what} ({count:,} px)" for what, count in labels.unknown.items()), 3)
    if kinds <= 8:
        report.faults.append(Fault("unknown", name, file, f"no class is called {listed}"))
        return
    text = f"{pixels:,} px in {kinds:,} {reader.what} that are no class"
    near, mixed = _near_and_mixed(labels, reader) if isinstance(reader, Colors) else (0, _where_classes_meet(labels))
    if near > 0.5:
        fault = Fault("lossy", name, file, f"{text}, most of them a little off those of a class: saved as JPEG?")
    elif mixed > 0.75:
        fault = Fault("interpolated", name, file, f"{text}, mixtures of two classes: resized with interpolation?")
    else:
        fault = Fault("unknown", name, file, f"{text}, such as {listed}")
    report.faults.append(fault)


def _near_and_mixed(labels: Labels, reader: Colors) -> tuple[float, float]:
    """Of the unknown pixels, the share whose colour is nearly a class's, and the share that mixes two classes' colours."""
    colors = np.array([[int(n) for n in name.split()] for name in labels.unknown], dtype=float)[:, None]
    share = np.array(list(labels.unknown.values()), dtype=float)
    share /= share.sum()
    known = np.array(list(reader.classes), dtype=float)
    near = np.abs(colors - known).max(-1).min(-1) <= 16
    # How far each colour lies from the straight line between two classes' colours.
    first, second = (known[i] for i in np.triu_indices(len(known), 1))
    along = second - first
    place = np.clip(((colors - first) * along).sum(-1) / np.maximum((along * along).sum(-1), 1), 0, 1)
    away = np.abs(colors - first - place[..., None] * along).max(-1)
    mixed = away.min(-1, initial=np.inf) <= 6
    return float(share[near].sum()), float(share[mixed].sum())


def _where_classes_meet(labels: Labels) -> float:
    """The share of the unknown pixels that lie within three pixels of two classes or more."""
    near = np.zeros(labels.indices.shape, dtype=np.int64)
    for k in np.unique(labels.indices[labels.indices >= 0]):
        near += ndimage.binary_dilation(labels.indices == k, _EIGHT, iterations=3)
    return float((near[labels.indices < 0] >= 2).mean())


def _count(report: Report, indices: np.ndarray) -> None:
    counts = np.bincount(indices.ravel(), minlength=256)
    number = len(report.classes)
    report.pixels += counts[:number]
    report.occurs += counts[:number] > 0
    report.ignored += int(counts[number:].sum())
    for k in np.flatnonzero(counts[:number]):
        pieces, _ = ndimage.label(indices == k, _EIGHT)
        report.objects[k] += np.bincount(pieces.ravel())[1:].tolist()


def _twin(report: Report, seen: dict[bytes, str], name: str, image: np.ndarray) -> None:
    mark = hashlib.sha256(np.ascontiguousarray(image).tobytes() + str(image.shape).encode()).digest()
    if mark in seen:
        report.advice.append(f"twins: {seen[mark]} and {name} hold the same image")
    else:
        seen[mark] = name


def _look_at_all(report: Report, folder: Path) -> None:
    """What only shows when all images are looked at together."""
    names = report.usable
    if len(report.sizes) > 1:
        report.advice.append("sizes differ: pass size=(height, width) to sb.data.load")
    if names:
        for name, share, occurs, *_ in report.table():
            if occurs == 0:
                report.advice.append(f"missing: no pixel is {name}")
            elif share < 1:
                report.advice.append(f"rare: {name} covers {share:.2f} % of the pixels; weight it, and judge by IoU")
    listing = folder / "splits.csv"
    if listing.is_file() and not report.splits:
        report.splits = read_splits(listing)
        if gone := [name for part in report.splits.values() for name in part if name not in set(names)]:
            report.advice.append(f"splits.csv names images that cannot be used: {first_few(gone)}")
        if left := sorted(set(names).difference(*report.splits.values())):
            report.advice.append(f"in no split: {first_few(left)}")
    for group, parts in sorted(shared_groups(report.splits).items())[:10]:
        report.advice.append(f"leak: images of {group} are in {' and '.join(parts)}")
    groups = Counter(map(group_of, names))
    if not report.splits and 1 < len(groups) < len(names):
        report.advice.append(f"groups: the names form {len(groups)} groups ({first_few(groups, 3)}); split by group")
