"""What is in a folder of images and labels, and what is wrong with it: looked at before anything is trained.

``inspect_folder`` reads every file and never stops at a fault; ``print(report)`` is what
``python -m segbook data check FOLDER`` shows. Pairs, labels and classes are found by ``segbook.data.folder``, as ``load``
finds them: what is a fault there is one here.
"""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage

from segbook._bars import progress
from segbook.data.annotations import Colors, Labels, Numbers
from segbook.data.files import BadData, first_few, printable, read_image
from segbook.data.folder import VOID, OwnFolder, open_folder
from segbook.data.layouts import Fault, short
from segbook.data.splits import group_of, shared_groups

__all__ = ["Fault", "Report", "inspect_folder"]

TINY = 16  # pixels: an object of 4 x 4
_EIGHT = np.ones((3, 3), dtype=bool)  # neighbours across corners belong to the same object


@dataclass
class Report:
    """What ``inspect_folder`` found. ``faults`` must be mended; ``advice`` is worth a look; ``usable`` names are in order.

    ``layout``: in words, how the folder is laid out; ``ready``: lines of a list of classes to fill in, if it is missing.
    ``classes`` (K names); by class ``pixels``, ``images`` and the sizes of its ``objects`` (connected pixels) in
    pixels; ``sizes``: (height, width) → number of images; ``splits``: split → names.
    """

    folder: Path
    layout: str = ""
    ready: list[str] = field(default_factory=list)
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
        kind = f" ({self.labels})" if self.labels else ""
        lines = [f"{self.images} images, {self.label_files} label files{kind}, {len(self.classes)} classes"]
        lines += [f"layout: {self.layout}"] if self.layout else []
        sizes = [f"{h}x{w}: {count}" for (h, w), count in self.sizes.most_common(6)]
        lines += [f"sizes (height x width): {', '.join(sizes)}{' …' if len(self.sizes) > 6 else ''}", ""]
        if self.faults:
            lines.append(f"{len(self.faults)} faults to mend before training:")
            width = max(len(fault.kind) for fault in self.faults)
            lines += [
                f"  {fault.kind:{width}}  {printable(fault.file)}: {printable(fault.text)}" for fault in self.faults
            ]
        else:
            lines.append("no faults: every image has its labels, and every file can be read")
        if self.ready:
            lines += ["", "a classes.txt to begin with, its names yours:", *(f"  {line}" for line in self.ready)]
        if self.usable and self.classes:
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
            lines += ["", "worth a look:", *(f"  {printable(text)}" for text in self.advice)]
        return "\n".join(lines)


def inspect_folder(folder: str | Path) -> Report:
    """Read every file of a folder of the ``folder`` data set's layouts and report what is there and what is wrong.

    Raises ``DataNotFound`` for another layout.
    """
    own = open_folder(Path(folder).expanduser())
    report = Report(own.folder, own.layout.name, own.ready, faults=list(own.faults), advice=list(own.notes))
    report.images, report.label_files, report.classes = own.images, own.label_files, own.classes
    report.labels = own.reader.kind if own.reader else ""
    report.pixels, report.occurs = np.zeros((2, len(report.classes)), dtype=np.int64)
    report.objects = [[] for _ in report.classes]
    if own.divided:
        report.splits = {part: [pair.name for pair in pairs] for part, pairs in own.splits.items() if part != "all"}
    part_of = {pair.name: part for part, pairs in own.splits.items() if part != "all" for pair in pairs}
    told = {fault.name for fault in own.faults if fault.name}
    seen: dict[bytes, str] = {}
    seams, skipped = Counter(), Counter()
    for pair in progress(own.pairs, description="Checking", disable=len(own.pairs) <= 200):
        name, faults = pair.name, len(report.faults)
        image = labels = None
        try:
            image = read_image(pair.image, upright=True, page=pair.page, stretch=own.stretch)
            report.sizes[image.shape[:2]] += 1
        except BadData as error:
            report.faults.append(Fault("unreadable", name, short(own.folder, pair.image), _reason(error, pair.image)))
        try:
            labels = own.reader and own.reader.read(pair.label, pair.page)
        except BadData as error:
            report.faults.append(Fault("unreadable", name, short(own.folder, pair.label), _reason(error, pair.label)))
        if image is not None and labels is not None:
            _look(report, name, short(own.folder, pair.label), image, labels, own.reader)
        if labels is not None:
            skipped.update(labels.skipped)
            if isinstance(own.reader, Numbers):
                seams.update(_seams(labels.indices))
        if len(report.faults) == faults and name not in told and image is not None:
            report.usable.append(name)
            if labels is not None:
                _count(report, labels.indices)
            _twin(report, seen, name, image, part_of)
    # Of CamVid's masks 1 to 2 % are between as they are, and 46 to 59 % once they were resized bilinearly.
    if seams["between"] >= 50 and seams["between"] > seams.total() / 4:
        _tell_of_seams(report, own, seams)
    if skipped:
        kinds = ", ".join(f"{count} of kind {kind}" for kind, count in skipped.items())
        report.advice.append(f"shapes: without an area, left out: {kinds}")
    report.faults.sort(key=lambda fault: (fault.kind, fault.file))
    _look_at_all(report, own)
    return report


def _seams(indices: np.ndarray) -> dict:
    """How often two classes that are no neighbours in number meet: direct, or with one pixel of a number in between."""
    found = {"direct": 0, "between": 0}
    for lines in (indices, indices.T):
        first, middle, last = lines[:, :-2], lines[:, 1:-1], lines[:, 2:]
        known = (first >= 0) & (middle >= 0) & (last >= 0) & (first != VOID) & (middle != VOID) & (last != VOID)
        between = ((first < middle) & (middle < last)) | ((first > middle) & (middle > last))
        found["between"] += int((known & between).sum())
        known = known & (np.abs(first.astype(int) - middle) >= 2)
        found["direct"] += int(known.sum())
    return found


def _tell_of_seams(report: Report, own: OwnFolder, seams: Counter) -> None:
    report.advice.insert(
        0,
        f"seams: where two classes meet that are no neighbours in the list, a line one pixel wide of a class in between "
        f"lies at {100 * seams['between'] / (seams['between'] + seams['direct']):.0f} % of the places. Resized with "
        f"interpolation? Then make the masks anew with nearest; look at one enlarged",
    )


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
        text = f"no class is called {listed}"
        known = np.flatnonzero(reader.table >= 0) if isinstance(reader, Numbers) else []
        near = len(known) and all(np.abs(known - int(value)).min() <= 3 for value in labels.unknown)
        if near and not ndimage.binary_erosion(labels.indices < 0, _EIGHT).any():
            text += ", in specks and close to a class's number: saved as JPEG or resized once?"
        report.faults.append(Fault("unknown", name, file, text))
        return
    text = f"{pixels:,} px in {kinds:,} {reader.what} that are no class"
    if isinstance(reader, Colors):
        near, mixed = _near_and_mixed(labels, reader)
    else:
        near, mixed = _near(labels, reader), _where_classes_meet(labels)
    if near > 0.5:
        fault = Fault("lossy", name, file, f"{text}, most of them a little off those of a class: saved as JPEG?")
    elif mixed > 0.75:
        fault = Fault("interpolated", name, file, f"{text}, mixtures of two classes: resized with interpolation?")
    else:
        fault = Fault("unknown", name, file, f"{text}, such as {listed}")
    report.faults.append(fault)


def _near(labels: Labels, reader) -> float:
    """Of the unknown pixels, the share whose number is nearly a class's."""
    if not isinstance(reader, Numbers):
        return 0.0
    known = np.flatnonzero(reader.table >= 0)
    near = sum(n for value, n in labels.unknown.items() if np.abs(known - int(value)).min() <= 8)
    return near / sum(labels.unknown.values())


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


def _twin(report: Report, seen: dict[bytes, str], name: str, image: np.ndarray, part_of: dict[str, str]) -> None:
    """The same pixels twice: worth a look within a part, a fault across two, for a net would be judged by what it learnt."""
    mark = hashlib.sha256(np.ascontiguousarray(image).tobytes() + str(image.shape).encode()).digest()
    other = seen.setdefault(mark, name)
    if other == name:
        return
    parts = part_of.get(other), part_of.get(name)
    if parts[0] == parts[1] or None in parts:
        report.advice.append(f"twins: {other} and {name} hold the same image")
    elif not any(fault.kind == "leak" and fault.name == name for fault in report.faults):
        text = f"{other} in {parts[0]} holds the same image as {name} in {parts[1]}; remove one"
        report.faults.append(Fault("leak", name, name, text))


#: How cameras and programs begin every name: such a beginning does not say what belongs together.
_CAMERAS = {
    *("img", "dsc", "dscn", "dscf", "pxl", "p", "gopr", "dji", "mvi"),
    *("image", "photo", "pic", "picture", "frame", "scan"),
}


def _look_at_all(report: Report, own: OwnFolder) -> None:
    """What only shows when all images are looked at together."""
    names = report.usable
    if len(report.sizes) > 1:
        report.advice.append(
            "sizes differ: pass size=(height, width) to sb.data.load, or train on windows (segbook train)"
        )
    if names and report.pixels.any():
        for name, share, occurs, *_ in report.table():
            if occurs == 0:
                report.advice.append(f"missing: no pixel is {name}")
            elif share < 1:
                report.advice.append(f"rare: {name} covers {share:.2f} % of the pixels; weight it, and judge by IoU")
    if report.splits:
        listed = {name for part in report.splits.values() for name in part}
        if gone := [name for name in sorted(listed) if name not in set(names)]:
            report.advice.append(f"names in a part that cannot be used: {first_few(gone)}")
        if left := sorted(set(names) - listed):
            report.advice.append(f"in no split: {first_few(left)}")
    # Names that are counted anew in each part, or that begin as the camera's all do, tell nothing.
    twice = Counter(name for part in report.splits.values() for name in set(part))
    parts = {part: [name for name in members if twice[name] == 1] for part, members in report.splits.items()}
    groups = Counter(map(group_of, names))
    telling = len(groups) > 1
    for group, where in sorted(shared_groups(parts).items())[:10]:
        if telling and group.lower() not in _CAMERAS:
            report.advice.append(f"leak: images of {group} are in {' and '.join(where)}")
    if not report.splits and 1 < len(groups) < len(names):
        report.advice.append(f"groups: the names form {len(groups)} groups ({first_few(groups, 3)}); split by group")
