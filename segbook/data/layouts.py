"""How people and annotation tools lay out images and labels in a folder: a table of layouts, and pairing by name.

``LAYOUTS`` is the table. Each entry has a name and a function that looks at a folder and says where images and labels lie,
or None when the folder is laid out otherwise; the first that fits is taken. ``FOREIGN`` is the table of forms that are
not read, with what to do about each.

Below the places, files are paired by their path without its ending (``site1/x.jpg`` with ``site1/x.png``), also where the
label's name ends in a mark such as ``_mask``, where upper and lower case differ, and where accents are encoded in
another way. Hidden files and what macOS adds (``._x.jpg``, ``__MACOSX``) are left out.
"""

import glob
import json
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from segbook.data.files import IMAGE_SUFFIXES, LABEL_SUFFIXES, DataNotFound, first_few, natural_order

IMAGE_WORDS = ("image", "images", "img", "imgs", "jpegimages")
LABEL_WORDS = ("label", "labels", "mask", "masks", "segmentationclass", "segmentationclasspng")
#: What parts of a data set are called, and the word that the course uses.
PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
#: What tools put behind an image's name to name its label map.
MARKS = ("_mask", "-mask", ".mask", "_masks", "_label", "_labels", "_gt", "_seg", "_segmentation", "_annotation", "_L")
#: Names of class lists; the first that is there is read.
CLASS_LISTS = (
    *("classes.txt", "labels.txt", "labelmap.txt", "class_names.txt"),
    *("_classes.csv", "classes.csv", "class_dict.csv"),
)


@dataclass(frozen=True)
class Place:
    """Where the images and the labels of one part lie; ``part`` is "" where nothing divides the images."""

    part: str
    images: Path
    labels: Path


@dataclass(frozen=True)
class Layout:
    """What a folder holds. ``parts``: part → names, where the tool wrote lists of them; ``listing``: the class list."""

    name: str
    places: list[Place]
    listing: Path | None = None
    parts: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Fault:
    """A file that cannot be used: ``kind`` in a word, ``name`` of the image without ending, ``file``, and the ``text``."""

    kind: str
    name: str
    file: str
    text: str


# ------------------------------------------------------------------------------------------- the table of layouts


def find_layout(folder: Path) -> Layout:
    """The layout of a folder. Raises ``DataNotFound`` with what is there instead and what to do.

    Where a folder holds nothing but one other folder, as unpacked archives do, that one is looked at.
    """
    if not folder.is_dir():
        raise DataNotFound(
            f"there is no folder {folder}; put your images and label maps there (data/README.md shows how), or name "
            f"another place with root= or SEGBOOK_DATA"
        )
    for name, recognise in LAYOUTS:
        if found := recognise(folder):
            places, parts = found if isinstance(found, tuple) else (found, {})
            return Layout(name, places, _class_list(folder, places), parts)
    refuse_foreign(folder)
    inner = [path for path in _visible(folder) if path.is_dir()]
    if len(inner) == 1 and not any(path.suffix.lower() in IMAGE_SUFFIXES for path in _visible(folder)):
        try:
            return find_layout(inner[0])
        except DataNotFound:
            pass
    here = first_few((path.name for path in _visible(folder)), limit=10)
    raise DataNotFound(
        f"{folder} has no layout that is known: images/ and masks/ (or image/ and label/), images/train/ and masks/train/, "
        f"train/images/ and train/masks/, train/ and trainannot/, JPEGImages/ and SegmentationClass/, x.jpg beside "
        f"x_mask.png, or x.jpg beside LabelMe's x.json. It holds: {here or 'nothing'}. data/README.md shows how to lay the "
        f"files out."
    )


def refuse_foreign(folder: Path) -> None:
    """Raise ``DataNotFound`` for a form that is known and not read, with what to do about it."""
    for name, recognise, remedy in FOREIGN:
        if recognise(folder):
            raise DataNotFound(f"{folder} looks like {name}, which is not read as it is: {remedy}")


def _voc(folder: Path):
    """JPEGImages/ and SegmentationClass/, with lists of the parts in ImageSets/Segmentation/."""
    for root in (folder, *sorted(folder.glob("VOCdevkit/VOC*")), *sorted(folder.glob("VOC20*"))):
        images = root / "JPEGImages"
        labels = next((root / n for n in ("SegmentationClassPNG", "SegmentationClass") if (root / n).is_dir()), None)
        if images.is_dir() and labels:
            lists = {path.stem.lower(): path for path in sorted(root.glob("ImageSets/Segmentation/*.txt"))}
            parts = {PARTS[word]: _words(path) for word, path in lists.items() if word in PARTS}
            return [Place("", images, labels)], parts if {"train", "val"} <= parts.keys() else {}
    return None


def _words(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8-sig", errors="replace").split()


def _one_set(folder: Path):
    """images/ and masks/, or the like; with LabelMe's files among them too."""
    inside = _folders(folder)
    images, labels = _first(inside, IMAGE_WORDS), _first(inside, LABEL_WORDS)
    if not (images and labels):
        return None
    parts = [p for p in _folders(images).values() if p.name.lower() in PARTS and (labels / p.name).is_dir()]
    if parts and not _images_in(images):
        return [Place(PARTS[part.name.lower()], part, labels / part.name) for part in parts]
    return [Place("", images, labels)]


def _parts_above(folder: Path):
    """train/images/ and train/masks/, or the like."""
    places = []
    for name, part in _folders(folder).items():
        inside = _folders(part)
        images, labels = _first(inside, IMAGE_WORDS), _first(inside, LABEL_WORDS)
        if name in PARTS and images and labels:
            places.append(Place(PARTS[name], images, labels))
    return places


def _annot(folder: Path):
    """train/ and trainannot/, or any other word and the same word with annot."""
    labels = [path for path in _visible(folder) if path.is_dir() and path.name.endswith("annot")]
    names = {label.name.removesuffix("annot"): label for label in labels}
    return [
        Place(PARTS.get(name, name), folder / name, label) for name, label in names.items() if (folder / name).is_dir()
    ]


def _parts_beside(folder: Path):
    """train/, valid/, test/, each with x.jpg beside x_mask.png: Roboflow's semantic masks."""
    parts = [part for name, part in _folders(folder).items() if name in PARTS and _marked(part)]
    return [Place(PARTS[part.name.lower()], part, part) for part in parts]


def _beside(folder: Path):
    """x.jpg beside x_mask.png."""
    places = (folder, *(path for name, path in _folders(folder).items() if name in IMAGE_WORDS))
    return next(([Place("", place, place)] for place in places if _marked(place)), None)


def _labelme(folder: Path):
    """LabelMe: images with a JSON of the same name beside each, perhaps in train/ and val/."""
    inside = _folders(folder)
    for place in (folder, *(inside[name] for name in IMAGE_WORDS if name in inside)):
        if _has_json(place):
            return [Place("", place, place)]
    return [Place(PARTS[name], part, part) for name, part in inside.items() if name in PARTS and _has_json(part)]


LAYOUTS: tuple[tuple[str, Callable], ...] = (
    ("Pascal VOC or CVAT segmentation mask", _voc),
    ("images and labels in two folders", _one_set),
    ("images and labels in two folders a part", _parts_above),
    ("a folder a part, its labels in one with annot", _annot),
    ("label maps beside the images, a folder a part (Roboflow)", _parts_beside),
    ("label maps beside the images", _beside),
    ("LabelMe", _labelme),
)

# ------------------------------------------------------------------------------------------- what is not read


def _json_with(*keys: str):
    def recognise(folder: Path) -> bool:
        for sheet in _sheets(folder):
            sheet = sheet[0] if isinstance(sheet, list) and sheet else sheet
            if isinstance(sheet, dict) and set(keys) <= sheet.keys():
                return True
        return False

    return recognise


def _jsons(folder: Path) -> list[Path]:
    """A few JSON files, of the folder and of the folders in it."""
    return [path for pattern in ("*.json", "*/*.json", "*/*/*.json") for path in sorted(folder.glob(pattern))[:3]]


def _sheets(folder: Path):
    """What stands in these files; those that cannot be read are passed over."""
    for path in _jsons(folder):
        try:
            yield json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError):
            continue


def _first_json_value_has(folder: Path) -> bool:
    """VGG's annotator: a JSON from image keys to what has regions, or the project with such a JSON inside."""
    for sheet in _sheets(folder):
        if isinstance(sheet, dict):
            values = sheet.get("_via_img_metadata", sheet)
            if isinstance(values, dict) and any(isinstance(v, dict) and "regions" in v for v in values.values()):
                return True
    return False


def _has(*patterns: str):
    return lambda folder: all(any(folder.glob(pattern)) for pattern in patterns)


FOREIGN: tuple[tuple[str, Callable[[Path], bool], str], ...] = (
    (
        "COCO (a JSON with images, annotations and categories)",
        _json_with("images", "annotations", "categories"),
        "write masks from it with `python -m segbook data import FOLDER OUT`",
    ),
    (
        "YOLO segmentation (a .txt of polygons an image)",
        lambda folder: any(folder.glob("**/labels/**/*.txt")) or (folder / "data.yaml").is_file(),
        "export COCO or masks from the tool instead",
    ),
    ("CVAT for images (annotations.xml)", _has("annotations.xml"), "export it as `Segmentation mask 1.1` instead"),
    ("Supervisely (meta.json, ann/)", _has("**/meta.json", "**/ann/*"), "export it as Pascal VOC or COCO instead"),
    ("VGG's annotator (VIA)", _first_json_value_has, "export it as COCO instead"),
    ("Label Studio's JSON", _json_with("data", "annotations"), "export it as COCO instead"),
    ("Label Studio's PNG masks", _has("**/task-*-annotation-*.png"), "export it as COCO instead"),
    (
        "Pascal VOC or CVAT masks without their images",
        _has("SegmentationClass"),
        "export it with `Save images`, or put the images into JPEGImages/",
    ),
    ("Cityscapes", _has("leftImg8bit", "gtFine"), 'load it as "cityscapes"; SEGBOOK_DATA names the folder above it'),
    (
        "photographs in HEIC, which few programs read",
        lambda folder: any(path.suffix.lower() in (".heic", ".heif") for path in folder.glob("**/*")),
        "save them as JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible)",
    ),
)

# ------------------------------------------------------------------------------------------- looking around


def _visible(folder: Path) -> list[Path]:
    found = [path for path in folder.iterdir() if not path.name.startswith(".") and path.name != "__MACOSX"]
    return sorted(found, key=lambda path: natural_order(path.name))


def _folders(folder: Path) -> dict[str, Path]:
    """The folders inside, by their names in lower case."""
    return {path.name.lower(): path for path in _visible(folder) if path.is_dir()}


def _first(inside: dict[str, Path], words) -> Path | None:
    return next((inside[word] for word in words if word in inside), None)


def _images_in(folder: Path) -> list[Path]:
    return [path for path in _visible(folder) if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]


def _marked(folder: Path) -> bool:
    """Whether a label map with a mark at the end of its name lies beside its image."""
    stems = {path.stem for path in _images_in(folder)}
    return any(_unmarked(stem) in stems for stem in stems if _unmarked(stem))


def _unmarked(key: str) -> str | None:
    """A label's name without its mark; None if there is no mark."""
    return next((key[: -len(mark)] for mark in MARKS if key.endswith(mark) and len(key) > len(mark)), None)


def _has_json(folder: Path) -> bool:
    """Whether a JSON lies beside an image of its name, or LabelMe's shapes stand in one."""
    stems = {path.stem for path in _images_in(folder)}
    jsons = [path for path in _visible(folder) if path.suffix.lower() == ".json"]
    return any(path.stem in stems for path in jsons)


def _class_list(folder: Path, places: list[Place]) -> Path | None:
    """The list of classes: in the folder, above the places or in them."""
    around = [folder, *(p.images.parent for p in places), *(p.labels for p in places)]
    for place in dict.fromkeys(around):
        for name in CLASS_LISTS:
            if (place / name).is_file():
                return place / name
    return None


# ------------------------------------------------------------------------------------------- pairs


def pair_place(place: Place, folder: Path) -> tuple[list[tuple[str, Path, Path]], list[Fault], int, int]:
    """(name, image, label file) of one place in natural order, what is wrong, and the numbers of images and labels."""
    faults: list[Fault] = []
    images = _by_key(place.images, IMAGE_SUFFIXES, folder, faults)
    if place.images == place.labels:
        marked = {key for key in images if _unmarked(key) in images}
        labels = {key: images.pop(key) for key in marked}
        if not labels:
            labels = _by_key(place.labels, (".json",), folder, faults)
    else:
        labels = _by_key(place.labels, IMAGE_SUFFIXES, folder, faults)
        drawn = _by_key(place.labels, (".json",), folder, [])
        # A JSON among label maps is a tool's own file unless it has an image's name.
        if sum(key in images for key in drawn) > sum(_partner(key, labels) is not None for key in images):
            labels = drawn
    pairs, taken = [], set()
    for key, image in images.items():
        label = _partner(key, labels)
        if label is None:
            near = [p.name for p in sorted(place.labels.glob(f"{glob.escape(image.stem)}.*")) if p != image]
            text = f"nothing in {place.labels.name}/"
            if near:
                text = f"{place.labels.name}/{near[0]} is no label map: those are PNG, BMP, TIFF or PGM"
            faults.append(Fault("no labels", key, short(folder, image), text))
            continue
        taken.add(label)
        path = labels[label]
        if path.suffix.lower() in (*LABEL_SUFFIXES, ".json"):
            pairs.append((key, image, path))
        else:
            text = "this format changes pixel values, so it cannot hold labels; save label maps as PNG"
            faults.append(Fault("lossy", key, short(folder, path), text))
    for key in labels.keys() - taken:
        faults.append(Fault("no image", key, short(folder, labels[key]), f"nothing in {place.images.name}/"))
    return pairs, faults, len(images), len(labels)


def _partner(key: str, labels: dict[str, Path]) -> str | None:
    """Which label belongs to an image: of its name, with a mark behind it, or in other upper and lower case."""
    for candidate in (key, *(key + mark for mark in MARKS)):
        if candidate in labels:
            return candidate
    same = [other for other in labels if other.casefold() == key.casefold()]
    return same[0] if len(same) == 1 else None


def _by_key(root: Path, suffixes, folder: Path, faults: list[Fault]) -> dict[str, Path]:
    """The files below ``root`` by their path without ending; two of one key are a fault, and the first is kept."""
    found: dict[str, Path] = {}
    for path in _below(root):
        if path.suffix.lower() not in suffixes or path.name in CLASS_LISTS:
            continue
        key = unicodedata.normalize("NFC", path.relative_to(root).with_suffix("").as_posix())
        if key in found:
            text = f"has the same name as {found[key].name}; which one is meant?"
            faults.append(Fault("twice", key, short(folder, path), text))
        else:
            found[key] = path
    return found


def _below(root: Path, depth: int = 8):
    """The files in a folder and in its folders; ``depth`` ends it where links lead in a circle."""
    for path in _visible(root):
        if path.is_dir():
            if depth:
                yield from _below(path, depth - 1)
        else:
            yield path


def short(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()
