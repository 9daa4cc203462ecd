"""Where data lies, and how an image and its label map are found, paired and read from files."""

import contextlib
import os
import re
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
#: A format that changes pixel values when it compresses cannot hold labels.
LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".pgm")

#: What Pillow raises on files that are missing, cut short, damaged or no image at all.
_UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


class DataNotFound(FileNotFoundError):
    """The folder that a data set should be in does not exist. The message says what is there and how to get the rest."""


class BadData(ValueError):
    """A file of a data set cannot be used. The message names the file and what is wrong with it."""


def _project_folder() -> Path | None:
    """The repository this package is used from, or None when it was installed elsewhere."""
    folder = Path(__file__).resolve().parents[2]
    return folder if (folder / "pyproject.toml").is_file() else None


def data_root(root: str | os.PathLike | None = None) -> Path:
    """Folder of the real data sets: ``root`` if given, else ``SEGBOOK_DATA``, else ``data`` in the repository."""
    chosen = root or os.environ.get("SEGBOOK_DATA") or (_project_folder() or Path.cwd()) / "data"
    return Path(chosen).expanduser()


def cache_root() -> Path:
    """Folder for what can be made again: ``SEGBOOK_CACHE``, else ``.cache/segbook`` in the repository, else the user's."""
    if chosen := os.environ.get("SEGBOOK_CACHE"):
        return Path(chosen).expanduser()
    project = _project_folder()
    if project is not None and os.access(project, os.W_OK):
        return project / ".cache" / "segbook"
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "segbook"


@contextlib.contextmanager
def atomic_path(path: Path):
    """Give another name beside ``path``; the file written there is renamed to ``path`` at the end.

    So readers, and a run that was killed, see the whole file or none. If the block raises, what it wrote is removed and
    ``path`` stays as it was. Who may read the file is left to the system (umask), as with any other new file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_open(path: Path):
    """:func:`atomic_path` for what is written to an open file: yields a binary file object."""
    with atomic_path(path) as partial, open(partial, "xb") as file:
        yield file


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8 with plain line ends, under another name first."""
    with atomic_open(path) as file:
        file.write(text.encode("utf-8"))


def natural_order(name: str) -> list:
    """Sorting key that puts ``slice 9`` before ``slice 10``."""
    return [int(part) if part.isdigit() else part for part in re.split(r"([0-9]+)", name)]


def files_by_stem(folder: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> dict[str, Path]:
    """Image files of ``folder`` by file stem, in natural order. Other files and hidden files are left out."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda path: natural_order(path.name)):
        if path.name.startswith(".") or path.suffix.lower() not in suffixes:
            continue
        if path.stem in found:
            raise BadData(f"{path} and {found[path.stem].name} have the same name: which one is meant? Remove one.")
        found[path.stem] = path
    return found


def first_few(names, limit: int = 5) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")


def pair_files(
    image_folder: Path, label_folder: Path, label_suffixes: tuple[str, ...] = IMAGE_SUFFIXES
) -> list[tuple[str, Path, Path]]:
    """Pair images and label maps by file stem: a list of (stem, image, label map) in natural order of the stem.

    ``label_suffixes`` says which files of ``label_folder`` are label maps.
    Raises ``BadData`` when a folder is empty, an image has no label map or the reverse, or a label map is a JPEG.
    """
    images = files_by_stem(image_folder)
    if not images:
        raise BadData(f"{image_folder} holds no images ({', '.join(IMAGE_SUFFIXES)})")
    every_label = files_by_stem(label_folder, label_suffixes)
    lossless = (*LABEL_SUFFIXES, *set(label_suffixes).difference(IMAGE_SUFFIXES))
    lossy = [path.name for path in every_label.values() if path.suffix.lower() not in lossless]
    if lossy:
        raise BadData(
            f"{label_folder}: {first_few(lossy)}: this format changes pixel values, so it cannot hold labels; "
            f"save label maps as PNG from the original annotation"
        )
    if without := [images[stem].name for stem in images if stem not in every_label]:
        raise BadData(f"no label map in {label_folder} for these images of {image_folder.name}: {first_few(without)}")
    if without := [every_label[stem].name for stem in every_label if stem not in images]:
        raise BadData(f"no image in {image_folder} for these label maps of {label_folder.name}: {first_few(without)}")
    return [(stem, images[stem], every_label[stem]) for stem in images]


def read_image(path: Path, upright: bool = False) -> np.ndarray:
    """Read an image as uint8 [H, W, 3]; grey becomes three equal channels.

    ``upright`` obeys the camera's rotation flag, as viewers and annotation tools do.
    """
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise BadData(f"{path}: pixels of mode {image.mode}; save the image with 8 bits a channel")
            if upright:
                image = ImageOps.exif_transpose(image)
            return np.asarray(image.convert("RGB"))
    except BadData:
        raise
    except _UNREADABLE as error:
        raise BadData(f"{path}: cannot be read as an image ({error})") from error


def read_label_values(path: Path) -> np.ndarray:
    """Read the numbers stored in a label map as uint8 [H, W]; a palette PNG gives its indices, not its colours."""
    try:
        with Image.open(path) as image:
            if image.mode not in ("L", "P", "1"):
                raise BadData(
                    f"{path}: a label map holds one 8-bit number a pixel (grey or palette PNG), this one is {image.mode}"
                )
            return np.asarray(image).astype(np.uint8)
    except BadData:
        raise
    except _UNREADABLE as error:
        raise BadData(f"{path}: cannot be read as a label map ({error})") from error


def label_table(classes: dict[int, int]) -> np.ndarray:
    """Table int16 [256] from the number in a file to the class index; numbers without an entry give -1."""
    table = np.full(256, -1, dtype=np.int16)
    for value, index in classes.items():
        table[value] = index
    return table


@dataclass(frozen=True)
class FilePairs:
    """``pairs``: (name, image, label file). What reads them is added by the data sets."""

    pairs: list[tuple[str, Path, Path]]

    @property
    def names(self) -> list[str]:
        return [name for name, _, _ in self.pairs]

    def where(self, index: int) -> str:
        """What to call this pair in a message."""
        return str(self.pairs[index][1])

    def require_same_size(self, index: int, image: np.ndarray, labels: np.ndarray) -> None:
        """Raise ``BadData`` naming both files of a pair when label map and image differ in height or width."""
        _, image_path, label_path = self.pairs[index]
        if image.shape[:2] != labels.shape:
            raise BadData(
                f"{label_path}: the label map is {labels.shape[0]}x{labels.shape[1]} (height x width), "
                f"its image {image_path.name} is {image.shape[0]}x{image.shape[1]}"
            )


@dataclass(frozen=True)
class FileSource(FilePairs):
    """Pairs of files, read when asked for.

    ``pairs``: (name, image, label map); ``table``: int16 [256] from file value to class index, -1 = not allowed;
    ``upright``: obey the camera's rotation flag.
    """

    table: np.ndarray
    upright: bool = False

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 [H, W, 3] and class indices uint8 [H, W]; ``BadData`` names the file that does not fit."""
        _, image_path, label_path = self.pairs[index]
        image, values = read_image(image_path, self.upright), read_label_values(label_path)
        self.require_same_size(index, image, values)
        labels = self.table[values]
        if (labels < 0).any():
            wrong = np.unique(values[labels < 0])
            allowed = np.flatnonzero(self.table >= 0)
            raise BadData(
                f"{label_path}: label values outside the classes: {first_few(map(str, wrong))}; "
                f"allowed are {first_few(map(str, allowed), limit=30)}"
            )
        return image, labels.astype(np.uint8)
