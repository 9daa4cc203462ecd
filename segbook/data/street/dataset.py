"""Street as a data set: scenes are rendered once, then read from a file of the cache."""

import hashlib
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segbook._bars import progress
from segbook.data.classes import DRIVING_CLASSES, DRIVING_PALETTE, DRIVING_VOID
from segbook.data.dataset import SegmentationDataset
from segbook.data.files import atomic_open, cache_root
from segbook.data.street.scene import scene

DEFAULT_SIZE = (96, 128)
DEFAULT_COUNT = {"train": 200, "val": 50, "test": 100}

#: Digest of the generator's own text, part of a cache file's name: whoever edits it sees new images at once.
_GENERATOR = hashlib.sha256(
    b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")) if path != Path(__file__))
).hexdigest()[:8]


@dataclass(frozen=True)
class StreetSource:
    """Rendered scenes: ``images`` uint8 [N, H, W, 3], ``masks`` uint8 [N, H, W], ``things`` (whole numbers) [N, H, W]."""

    names: list[str]
    images: np.ndarray
    masks: np.ndarray
    things: np.ndarray

    def where(self, index: int) -> str:
        return self.names[index]

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.images[index], self.masks[index]

    def instances(self, index: int) -> np.ndarray:
        return self.things[index].astype(np.int32)


def cache_file(split: str, seed: int, size: tuple[int, int], count: int) -> Path:
    """The file that keeps these scenes; its name says everything that decides their pixels."""
    return cache_root() / f"street-{_GENERATOR}-seed{seed}-{split}-{size[0]}x{size[1]}-{count}.npz"


def _render(split: str, seed: int, size: tuple[int, int], count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    images = np.empty((count, *size, 3), np.uint8)
    masks = np.empty((count, *size), np.uint8)
    things = np.empty((count, *size), np.int32)
    for index in progress(range(count), description=f"Rendering Street {split}", disable=count <= 100):
        drawn = scene(seed, split, index, size)
        images[index], masks[index], things[index] = drawn.image, drawn.mask, drawn.instances
    # Few scenes hold more than 255 things: the narrowest type keeps the file and the memory small.
    return images, masks, things.astype(np.min_scalar_type(int(things.max())))


def _read_cache(path: Path, size: tuple[int, int], count: int) -> tuple[np.ndarray, ...] | None:
    """The arrays in the file, or None when it is missing or damaged: the scenes can always be rendered again."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = stored["images"], stored["masks"], stored["things"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    fits = arrays[0].shape == (count, *size, 3) and all(array.shape == (count, *size) for array in arrays[1:])
    return arrays if fits and arrays[0].dtype == arrays[1].dtype == np.uint8 else None


def read(split: str, size: tuple[int, int] | None, count: int | None, seed: int) -> SegmentationDataset:
    """The first ``count`` scenes of a split, read from the cache or rendered into it."""
    size, count = size or DEFAULT_SIZE, count or DEFAULT_COUNT[split]
    path = cache_file(split, seed, size, count)
    arrays = _read_cache(path, size, count)
    if arrays is None:
        arrays = _render(split, seed, size, count)
        try:
            with atomic_open(path) as file:
                np.savez(file, images=arrays[0], masks=arrays[1], things=arrays[2])
        except OSError:
            # A full or read-only disk must not stop a lesson: the scenes are in memory, only the next start is slower.
            pass
    names = [f"street-{split}-{index:06d}" for index in range(count)]
    source = StreetSource(names, *arrays)
    return SegmentationDataset("street", split, source, DRIVING_CLASSES, DRIVING_PALETTE, DRIVING_VOID, size)
