"""CamVid in the SegNet split: driving through Cambridge, eleven classes and void, 480 x 360.

Brostow, Fauqueur and Cipolla, "Semantic object classes in video", Pattern Recognition Letters 30 (2009); the split into
367 / 101 / 233 images and the reduction to eleven classes are those of SegNet (Badrinarayanan, Kendall and Cipolla).
"""

from pathlib import Path

from segbook.data.classes import DRIVING_CLASSES, DRIVING_PALETTE, DRIVING_VOID
from segbook.data.dataset import SegmentationDataset
from segbook.data.files import DataNotFound, FileSource, label_table, pair_files

SPLITS = ("train", "val", "test")


def read(split: str, root: Path, size: tuple[int, int] | None) -> SegmentationDataset:
    """``root/camvid/SPLIT`` holds images, ``root/camvid/SPLITannot`` label maps with values 0 … 10 and 11 for void."""
    folder = root / "camvid"
    images, labels = folder / split, folder / f"{split}annot"
    if not (images.is_dir() and labels.is_dir()):
        here = [name for name in SPLITS if (folder / name).is_dir() and (folder / f"{name}annot").is_dir()]
        raise DataNotFound(
            f"CamVid {split} needs the folders {images} and {labels}. There is: {', '.join(here) or 'no split'}. "
            f"Get it with `python -m segbook data camvid`, or set SEGBOOK_DATA to the folder that holds camvid/."
        )
    table = label_table({value: value for value in range(DRIVING_VOID + 1)})
    source = FileSource(pair_files(images, labels), table)
    return SegmentationDataset("camvid", split, source, DRIVING_CLASSES, DRIVING_PALETTE, DRIVING_VOID, size)
