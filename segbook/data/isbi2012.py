"""ISBI 2012: electron-microscope slices of a fruit fly's nerve cord, cell and membrane, 512 x 512.

Arganda-Carreras et al., "Crowdsourcing the creation of image segmentation algorithms for connectomics", Frontiers in
Neuroanatomy 9 (2015). The challenge keeps the labels of its 30 test slices, so the 30 training slices serve as both:
the last sixth in file order is ``val``, the rest ``train``. A block is held back, not every sixth slice, because two
slices that touch look almost the same and a net could answer from memory.
"""

from pathlib import Path

import numpy as np

from segbook.data.dataset import SegmentationDataset
from segbook.data.files import DataNotFound, FileSource, label_table, pair_files

SPLITS = ("train", "val")
CLASSES = ("membrane", "cell")
IGNORE = 255
PALETTE = np.array([(213, 94, 0), (86, 180, 233), (0, 0, 0)], dtype=np.uint8)


def read(split: str, root: Path, size: tuple[int, int] | None) -> SegmentationDataset:
    """``root/isbi2012/image`` holds slices, ``label`` maps of the same name with 0 for membrane and 255 for cell."""
    folder = root / "isbi2012"
    if not ((folder / "image").is_dir() and (folder / "label").is_dir()):
        raise DataNotFound(
            f"ISBI 2012 needs the folders {folder / 'image'} and {folder / 'label'}. "
            f"Get it with `python -m segbook data isbi2012`, or set SEGBOOK_DATA to the folder that holds isbi2012/."
        )
    pairs = pair_files(folder / "image", folder / "label")
    held_back = max(1, len(pairs) // 6)
    pairs = pairs[-held_back:] if split == "val" else pairs[:-held_back]
    source = FileSource(pairs, label_table({0: 0, 255: 1}))
    return SegmentationDataset("isbi2012", split, source, CLASSES, PALETTE, IGNORE, size)
