"""Where data lies, and how an image and its label map are found, paired and read from files."""

import contextlib
import errno
import glob
import os
import re
import secrets
import sys
import unicodedata
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin

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
    _remove_stale(path)
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        if error.errno in _NO_ROOM:  # raised without a file's name where an open file is written
            raise OSError(
                error.errno, f"{error.strerror}; free some space, nothing is half written", str(path)
            ) from error
        raise
    finally:
        partial.unlink(missing_ok=True)


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def _remove_stale(path: Path) -> None:
    """Remove what processes that were killed while they wrote this file have left of it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*-*.partial"):
        number = left.name.removesuffix(".partial").rpartition(".")[2].partition("-")[0]
        if number.isascii() and number.isdecimal() and not _is_running(int(number)):
            left.unlink(missing_ok=True)


def _is_running(process: int) -> bool:
    if sys.platform == "win32":  # signal 0 would end it there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass
    return True


@contextlib.contextmanager
def atomic_open(path: Path):
    """:func:`atomic_path` for what is written to an open file: yields a binary file object."""
    with atomic_path(path) as partial, open(partial, "xb") as file:
        yield file


def check_writable(folder: Path) -> None:
    """Make the folder and a file in it, and take both away again: what cannot be written later is told now.

    Raises OSError naming the folder.
    """
    if blocking := next((p for p in (folder, *folder.parents) if p.exists() and not p.is_dir()), None):
        raise NotADirectoryError(f"{blocking} is a file, and a folder is needed there; choose another name")
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{os.getpid()}-{secrets.token_hex(4)}.probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise type(error)(f"{folder} cannot be written to ({reason}); choose another folder") from error
    finally:
        with contextlib.suppress(OSError):  # somebody else may have put something there meanwhile
            for place in new:
                place.rmdir()


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8 with plain line ends, under another name first."""
    with atomic_open(path) as file:
        file.write(text.encode("utf-8"))


def natural_order(name: str) -> list:
    """Sorting key that puts ``slice 9`` before ``slice 10``."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", name))]


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


def printable(text: str) -> str:
    """A file's name as it may be shown: line ends, terminal codes and the like become ``\\n``, ``\\x1b`` and the like."""
    return "".join(
        repr(char)[1:-1] if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char for char in text
    )


def first_few(names, limit: int = 5) -> str:
    """The first few names, and how many more there are."""
    names = list(map(printable, names))
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


@contextlib.contextmanager
def opened(path: Path, what: str):
    """Pillow's image of a file that is to hold an image or a label map; ``BadData`` names the file and what is wrong."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                yield image
    except BadData:
        raise
    except Image.DecompressionBombError as error:
        limit = 2 * Image.MAX_IMAGE_PIXELS // 10**6
        raise BadData(
            f"{path}: has more than {limit} million pixels; cut it into tiles, and its labels with it"
        ) from error
    except _UNREADABLE as error:
        bands = _tiff_bands(path)
        reason = f"a TIFF with {bands}; save three bands of 8 or 16 bits" if bands else error
        raise BadData(f"{path}: cannot be read as {what} ({reason})") from error


def _tiff_bands(path: Path) -> str:
    """How many bands of how many bits a TIFF says it has, in words; empty for any other file."""
    with contextlib.suppress(*_UNREADABLE, KeyError, TypeError, IndexError):
        with open(path, "rb") as file:
            tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
            file.seek(tags.next)
            tags.load(file)
        if tags.get(_BANDS, 1) > 4 or max(tags.get(_BITS, (8,))) > 16:
            return f"{tags.get(_BANDS, 1)} bands of {max(tags.get(_BITS, (8,)))} bits"
    return ""


_BITS, _BANDS, _PAGE_KIND, _ROTATION = 258, 277, 254, 0x0112  # TIFF tags, the last one EXIF's as well
_THUMBNAIL_OR_MASK = 5


@dataclass(frozen=True)
class ImageFacts:
    """What the head of an image file says: bits a channel, bands, the numbers of its pages, and its rotation flag."""

    bits: int
    bands: int
    pages: tuple[int, ...]
    rotation: int


def image_facts(path: Path) -> ImageFacts:
    """Look at the head of an image file, without reading its pixels. Raises ``BadData``."""
    with opened(path, "an image") as image:
        pages, bits, bands = [0], _bits(image), len(image.getbands())
        rotation = image.getexif().get(_ROTATION, 1)  # of a PNG this reads the pixels
        if image.format == "TIFF":
            bands = image.tag_v2.get(_BANDS, bands)
            for page in range(1, image.n_frames):
                image.seek(page)
                # Smaller copies of the image and masks, as GeoTIFFs have them, are no pages.
                if not image.tag_v2.get(_PAGE_KIND, 0) & _THUMBNAIL_OR_MASK:
                    pages.append(page)
        elif getattr(image, "n_frames", 1) > 1:
            raise BadData(f"{path}: holds {image.n_frames} moving images; save one of them")
    return ImageFacts(bits, bands, tuple(pages), rotation)


def _bits(image: Image.Image) -> int:
    """Bits a channel in the file, which may be more than Pillow keeps of them."""
    if image.mode.startswith("I;16"):
        return 16
    if image.format == "TIFF":
        return max(image.tag_v2.get(_BITS, (8,)))
    if image.mode in ("I", "F"):
        return 32 if image.format != "PNG" else 16
    parts = [part for tile in image.tile for part in (tile[3] if isinstance(tile[3], tuple) else (tile[3],))]
    deep = any(";16" in part if isinstance(part, str) else image.format == "PPM" and part > 255 for part in parts)
    return 16 if deep else 8


@dataclass(frozen=True)
class Stretch:
    """How images of more than 8 bits become 8 bits: ``low`` and below is 0, ``high`` and above is 255."""

    low: float
    high: float

    def __call__(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 of the same shape."""
        scaled = (np.nan_to_num(pixels.astype(np.float32)) - self.low) * (255 / max(self.high - self.low, 1e-9))
        return scaled.clip(0, 255).round().astype(np.uint8)

    def __str__(self) -> str:
        return f"{self.low:g} … {self.high:g} becomes 0 … 255"


def read_image(path: Path, upright: bool = False, page: int = 0, stretch: Stretch | None = None) -> np.ndarray:
    """Read an image as uint8 [H, W, 3]; grey becomes three equal channels.

    ``upright`` obeys the camera's rotation flag, as viewers and annotation tools do. ``page`` counts the images of a TIFF
    stack from 0. An image of more than 8 bits a channel is refused unless ``stretch`` says how it becomes 8 bits.
    """
    with opened(path, "an image") as image:
        if page:
            image.seek(page)
        if (bits := _bits(image)) > 8:
            if stretch is None:
                raise BadData(
                    f"{path}: {bits} bits a channel (mode {image.mode}); save the image with 8 bits a channel"
                )
            pixels, rotation = deep_pixels(path, image), image.getexif().get(_ROTATION, 1)
            image = Image.fromarray(stretch(pixels))
            image.getexif()[_ROTATION] = rotation
        if upright:
            image = ImageOps.exif_transpose(image)
        return np.asarray(image.convert("RGB"))


def deep_pixels(path: Path, image: Image.Image) -> np.ndarray:
    """The full depth of an opened image of more than 8 bits a channel: [H, W] or [H, W, 3], of any number type."""
    if image.mode.startswith(("I", "F")):
        return np.asarray(image)
    # Pillow keeps one byte of each channel and lets the raw mode say which: read both, with the byte order that the file
    # has and with the other one.
    low, ordered = Image.open(path), next((tile[3] for tile in image.tile), "")
    raw = ordered[0] if isinstance(ordered, tuple) else ordered
    other = {";16L": ";16B", ";16N": ";16B", ";16B": ";16L"}.get(raw[-4:])
    if other is None or image.mode not in ("RGB", "RGBA"):
        raise BadData(
            f"{path}: {_bits(image)} bits a channel in a form that is not read; save it with 8 bits a channel"
        )
    low.seek(image.tell())
    swapped = raw[:-4] + other
    low.tile = [
        tile._replace(args=(swapped, *tile[3][1:]) if isinstance(tile[3], tuple) else swapped) for tile in low.tile
    ]
    high, low = (np.asarray(part)[..., :3].astype(np.uint16) for part in (image, low))
    return (high << 8) + low


def measure_stretch(files: list[tuple[Path, int]], share: float = 0.5) -> Stretch:
    """From the ``share`` percentile to the one as far from the top, over at most 100,000 pixels of each (file, page)."""
    found = []
    for path, page in files:
        with opened(path, "an image") as image:
            image.seek(page)
            pixels = deep_pixels(path, image)
        pixels = pixels.reshape(-1, *pixels.shape[2:])[:: max(1, pixels.shape[0] * pixels.shape[1] // 100_000)].ravel()
        found.append(pixels[np.isfinite(pixels)].astype(np.float64))
    low, high = np.percentile(np.concatenate(found), (share, 100 - share))
    return Stretch(float(low), float(high))


def read_label_values(path: Path) -> np.ndarray:
    """Read the numbers stored in a label map as uint8 [H, W]; a palette PNG gives its indices, not its colours."""
    with opened(path, "a label map") as image:
        if image.mode not in ("L", "P", "1"):
            raise BadData(
                f"{path}: a label map holds one 8-bit number a pixel (grey or palette PNG), this one is {image.mode}"
            )
        return stored_numbers(image)


def stored_numbers(image: Image.Image) -> np.ndarray:
    """The numbers of an opened grey or palette image as its file has them, uint8 [H, W].

    Pillow stretches grey PNGs of 2 and 4 bits a pixel to 0…255: 1 becomes 85 or 17.
    """
    form = next((tile[3] for tile in image.tile), "")
    stretch = {"L;2": 85, "L;4": 17}.get(form[0] if isinstance(form, tuple) else form, 1)
    return np.asarray(image).astype(np.uint8) // np.uint8(stretch)


def label_table(classes: dict[int, int]) -> np.ndarray:
    """Table int16 [256] from the number in a file to the class index; numbers without an entry give -1."""
    table = np.full(256, -1, dtype=np.int16)
    for value, index in classes.items():
        table[value] = index
    return table


@dataclass(frozen=True)
class FilePairs:
    """``pairs``: (name, image, label file) and perhaps more. What reads them is added by the data sets."""

    pairs: list[tuple[str, Path, Path]]

    @property
    def names(self) -> list[str]:
        return [pair[0] for pair in self.pairs]

    def where(self, index: int) -> str:
        """What to call this pair in a message."""
        return str(self.pairs[index][1])

    def require_same_size(self, index: int, image: np.ndarray, labels: np.ndarray) -> None:
        """Raise ``BadData`` naming both files of a pair when label map and image differ in height or width."""
        _, image_path, label_path = self.pairs[index][:3]
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
