"""Oxford-IIIT Pet: cats and dogs, each cut out by a trimap; images of many sizes.

Parkhi et al., "Cats and dogs", CVPR 2012. Read through torchvision. The files say 1 for the animal, 2 for background
and 3 for the border between them, which is neither: here 0, 1 and ignored. The authors publish ``trainval`` and
``test``; every fifth image of ``trainval`` in the authors' order, which goes breed by breed, is ``val``.
"""

from pathlib import Path

import numpy as np
from torchvision.datasets import OxfordIIITPet

from segbook.data.dataset import SegmentationDataset
from segbook.data.files import DataNotFound, FileSource, label_table

SPLITS = ("train", "val", "test")
CLASSES = ("pet", "background")
BORDER = 255
PALETTE = np.array([(213, 94, 0), (86, 180, 233), (0, 0, 0)], dtype=np.uint8)


def read(split: str, root: Path, size: tuple[int, int] | None) -> SegmentationDataset:
    """``root/pets/oxford-iiit-pet/images`` and ``annotations`` as unpacked from the authors' archives."""
    folder = root / "pets"
    try:
        files = OxfordIIITPet(folder, split="test" if split == "test" else "trainval", target_types="segmentation")
    except (RuntimeError, FileNotFoundError) as error:
        raise DataNotFound(
            f"Oxford-IIIT Pet is not in {folder / 'oxford-iiit-pet'}. Get it with `python -m segbook data pets`, "
            f"or set SEGBOOK_DATA to the folder that holds pets/."
        ) from error
    # torchvision opens these files itself; taking their names instead lets every fault be reported by name.
    pairs = [(image.stem, image, trimap) for image, trimap in zip(files._images, files._segs)]
    if split != "test":
        pairs = [pair for index, pair in enumerate(pairs) if (index % 5 == 4) == (split == "val")]
    source = FileSource(pairs, label_table({1: 0, 2: 1, 3: BORDER}))
    return SegmentationDataset("pets", split, source, CLASSES, PALETTE, BORDER, size)
