"""Pascal VOC 2012 segmentation: twenty kinds of objects and background, images of many sizes.

Everingham et al., "The Pascal visual object classes challenge: a retrospective", IJCV 111 (2015). Read through
torchvision. The labels of the test images are not published.
"""

from pathlib import Path

import numpy as np
from torchvision.datasets import VOCSegmentation

from segbook.data.dataset import SegmentationDataset
from segbook.data.files import DataNotFound, FileSource, label_table

SPLITS = ("train", "val")
CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
#: The unlabelled seam around every object.
VOID = 255


def bit_palette(count: int) -> np.ndarray:
    """The colours of Pascal VOC for labels 0 … count-1, uint8 [count, 3].

    The label's bits 0, 1, 2 are the top bits of red, green and blue, bits 3, 4, 5 the next ones, and so on: labels that
    follow each other get colours far apart.
    """
    labels = np.arange(count)
    palette = np.zeros((count, 3), dtype=np.uint8)
    for bit in range(8):
        palette[:, bit % 3] |= (((labels >> bit) & 1) << (7 - bit // 3)).astype(np.uint8)
    return palette


PALETTE = np.concatenate([bit_palette(21), bit_palette(256)[255:]])


def read(split: str, root: Path, size: tuple[int, int] | None) -> SegmentationDataset:
    """``root/voc2012/VOCdevkit/VOC2012`` as unpacked from the authors' archive."""
    folder = root / "voc2012"
    try:
        files = VOCSegmentation(folder, year="2012", image_set=split)
    except (RuntimeError, FileNotFoundError) as error:
        raise DataNotFound(
            f"Pascal VOC 2012 {split} is not in {folder / 'VOCdevkit' / 'VOC2012'}. Get it with "
            f"`python -m segbook data voc2012`, or set SEGBOOK_DATA to the folder that holds voc2012/."
        ) from error
    pairs = [(Path(image).stem, Path(image), Path(mask)) for image, mask in zip(files.images, files.masks)]
    table = label_table({**{index: index for index in range(len(CLASSES))}, VOID: VOID})
    return SegmentationDataset("voc2012", split, FileSource(pairs, table), CLASSES, PALETTE, VOID, size)
