"""Data sets of images with a class for every pixel: ``load(name, split)``."""

import operator
from importlib import import_module
from pathlib import Path

from segbook.data.augment import Augment, normalize
from segbook.data.classes import DRIVING_CLASSES, DRIVING_PALETTE, DRIVING_VOID
from segbook.data.dataset import SegmentationDataset
from segbook.data.files import BadData, DataNotFound, data_root

#: Every data set that ``load`` knows.
NAMES = ("street", "camvid", "isbi2012", "voc2012", "pets", "cityscapes", "folder", "cells")
#: Those that are drawn by a program and need no files.
GENERATED = ("street", "cells")

__all__ = [
    "DRIVING_CLASSES", "DRIVING_PALETTE", "DRIVING_VOID", "GENERATED", "NAMES",
    "Augment", "BadData", "DataNotFound", "SegmentationDataset",
    "data_root", "download_dataset", "load", "normalize",
]  # fmt: skip


def load(
    name: str,
    split: str,
    size: tuple[int, int] | None = None,
    count: int | None = None,
    seed: int = 0,
    root: str | Path | None = None,
) -> SegmentationDataset:
    """Open one split of a data set.

    Arguments:
        name: one of ``NAMES``. ``street`` and ``cells`` are generated and need no files; data/README.md tells how to get
            the others.
        split: ``train``, ``val`` or ``test``, as far as the data set has them.
        size: (height, width) in pixels. Images are resized bilinearly (with antialiasing), masks to the nearest
            pixel; the aspect ratio is not kept. None keeps every file's own size; Street is rendered at 96 x 128, cells
            at 128 x 128.
        count: at most so many items. Of real data they are spread evenly over the files in order, because neighbouring
            files are often neighbouring moments. Generated sets give their first ``count`` images; without ``count``
            Street has 200 for train, 50 for val, 100 for test, cells 60, 20 and 40.
        seed: a different world for every seed. Street and cells only; files stay what they are.
        root: folder of the real data sets (default: ``SEGBOOK_DATA``, else ``data`` in the repository). For ``folder``
            it is the folder with the images itself (default: ``folder`` in the data folder).

    Raises ``ValueError`` for an unknown name, split, size or count; ``DataNotFound`` (a ``FileNotFoundError``) when the
    files are not there; ``BadData`` (a ``ValueError``) when they are but cannot be used.
    """
    if name not in NAMES:
        raise ValueError(f"there is no data set {name!r}; choose one of: {', '.join(NAMES)}")
    if size is not None:
        size = tuple(operator.index(length) for length in size)
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"size is (height, width) in pixels, both at least 1; got {size}")
    if count is not None and operator.index(count) < 1:
        raise ValueError(f"count is at least 1 (or None for all); got {count}")

    if name == "folder":
        from segbook.data import folder

        dataset = folder.read(split, Path(root).expanduser() if root else data_root() / "folder", size)
        return _spread(dataset, count)

    module = import_module(f"segbook.data.{name}")
    if split not in module.SPLITS:
        raise ValueError(f"{name} has no split {split!r}; choose one of: {', '.join(module.SPLITS)}")
    if name in GENERATED:
        return module.read(split, size, count, seed)
    return _spread(module.read(split, data_root(root), size), count)


def _spread(dataset: SegmentationDataset, count: int | None) -> SegmentationDataset:
    """``count`` items spread evenly over the data set, or all of it."""
    if count is None or count >= len(dataset):
        return dataset
    return dataset.subset(index * len(dataset) // count for index in range(count))


def download_dataset(name: str, root: str | Path | None = None) -> Path:
    """Fetch a data set from where its authors published it; see :func:`segbook.data.published.download_dataset`."""
    from segbook.data import published

    return published.download_dataset(name, root)
