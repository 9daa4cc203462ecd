"""Cityscapes, fine annotation: driving through fifty cities, nineteen classes, 2048 x 1024.

Cordts et al., "The Cityscapes dataset for semantic urban scene understanding", CVPR 2016. Read through torchvision.
The files hold 34 ids; training and scoring use 19 of them under the numbers 0 … 18 ("train ids"), the rest is ignored.
The labels of the test images are not published.
"""

from pathlib import Path

import numpy as np
from torchvision.datasets import Cityscapes

from segbook.data.dataset import SegmentationDataset
from segbook.data.files import BadData, DataNotFound, FileSource, first_few, label_table

SPLITS = ("train", "val")
VOID = 255
_SCORED = sorted(
    (entry for entry in Cityscapes.classes if 0 <= entry.train_id < VOID), key=lambda entry: entry.train_id
)
CLASSES = tuple(entry.name for entry in _SCORED)
PALETTE = np.array([*(entry.color for entry in _SCORED), (0, 0, 0)], dtype=np.uint8)


def read(split: str, root: Path, size: tuple[int, int] | None) -> SegmentationDataset:
    """``root/cityscapes/leftImg8bit/SPLIT/CITY/…`` and ``gtFine/SPLIT/CITY/…`` as unpacked from the authors' archives."""
    folder = root / "cityscapes"
    if not all((folder / kind / split).is_dir() for kind in ("leftImg8bit", "gtFine")):
        raise DataNotFound(
            f"Cityscapes {split} needs the folders leftImg8bit/{split} and gtFine/{split} in {folder}. It asks for "
            f"registration: `python -m segbook data cityscapes` says how to get it. Or set SEGBOOK_DATA to the folder "
            f"that holds cityscapes/."
        )
    files = Cityscapes(folder, split=split, mode="fine", target_type="semantic")
    pairs = sorted(
        (Path(image).stem.removesuffix("_leftImg8bit"), Path(image), Path(targets[0]))
        for image, targets in zip(files.images, files.targets)
    )
    if without := [image.name for _, image, labels in pairs if not labels.is_file()]:
        raise BadData(f"no label map in {folder / 'gtFine' / split} for these images: {first_few(without)}")
    table = label_table(
        {entry.id: entry.train_id if entry in _SCORED else VOID for entry in Cityscapes.classes if entry.id >= 0}
    )
    return SegmentationDataset("cityscapes", split, FileSource(pairs, table), CLASSES, PALETTE, VOID, size)
