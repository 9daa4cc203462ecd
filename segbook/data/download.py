"""Fetch a file from an address that may be slow, endless or wrong, and unpack an archive that may be hostile.

The transfer is pooch's: a temporary name, a checksum where one is known. Here stand the limits that a public address
needs: how many bytes, how slow, and which entries of an archive may become files.
"""

import errno
import stat
import time
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from segbook._bars import progress

MAX_BYTES = 1 << 30  # of an archive, and of what is unpacked from it
MAX_FILES = 20_000
SLOWEST = 2_000  # bytes a second, after the first PATIENCE seconds
PATIENCE = 60


#: Errors that say something of this machine and nothing of the file: full, over quota, read-only, not permitted.
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


class DownloadError(RuntimeError):
    """A file could not be fetched. The message names the address and says how to place the files by hand."""


class ArchiveError(RuntimeError):
    """An archive is damaged, or holds something that has no business in a data set."""


def fetch(url: str, target: str | Path, sha256: str | None = None, *, timeout: float = 30.0) -> Path:
    """Download ``url`` to the file ``target`` and return its path; a ``target`` that is there already is replaced.

    ``target`` appears only when the file is whole and, if ``sha256`` is given, its checksum right. ``timeout``: seconds
    without a byte. Raises ``DownloadError`` when the file cannot be had, is larger than ``MAX_BYTES``, comes slower than
    ``SLOWEST`` or is not the one expected, ``ValueError`` for an address that is neither http nor https.
    """
    import pooch
    from urllib3.exceptions import HTTPError

    target = Path(target)
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"only http and https addresses are fetched; got {url!r}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # without a checksum pooch would keep whatever lies there
    known = f"sha256:{sha256}" if sha256 else None
    pooch.get_logger().setLevel("ERROR")  # it would tell the checksum of every file that has none
    try:
        pooch.retrieve(url, known, target.name, target.parent, downloader=_Bounded(timeout))
    except DownloadError:
        raise
    except (OSError, ValueError, HTTPError) as error:  # the errors of requests are OSErrors without a number
        if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
            raise
        raise DownloadError(f"cannot download {url} to {target}: {error}") from error
    return target


class _Bounded:
    """What pooch calls to fetch a file: a stream with a bar, a largest size and a least speed."""

    def __init__(self, timeout: float):
        self.timeout = timeout

    def __call__(self, url: str, output_file, pooch) -> None:
        import requests

        # GitHub sends archives without a length: the bar then counts bytes only.
        with requests.get(url, stream=True, timeout=self.timeout, allow_redirects=True) as reply:
            reply.raise_for_status()
            length = reply.headers.get("Content-Length", "")
            total = int(length) if length.isascii() and length.isdecimal() else None
            started, got = time.monotonic(), 0
            name = Path(output_file).name
            with (
                open(output_file, "wb") as file,
                progress(total=total, description=f"Fetching {name}", unit="B", unit_scale=True) as bar,
            ):
                while chunk := reply.raw.read1(1 << 16, decode_content=True):  # as it comes: a drip is noticed
                    got += len(chunk)
                    seconds = time.monotonic() - started
                    if got > MAX_BYTES:
                        raise DownloadError(f"{url} sends more than {MAX_BYTES:,} bytes: it is not the expected file")
                    if seconds > PATIENCE and got < SLOWEST * seconds:
                        raise DownloadError(f"{url} sends less than {SLOWEST:,} bytes a second; try again later")
                    file.write(chunk)
                    bar.update(len(chunk))
            if total is not None and got != total and "Content-Encoding" not in reply.headers:
                raise DownloadError(f"{url} broke off after {got:,} of {total:,} bytes; try again")


def extract(archive: str | Path, target: str | Path, folder: str) -> Path:
    """Unpack what lies in ``folder``, below the one top folder of a zip archive, into the new folder ``target``.

    Only plain files are written, with plain permissions. Raises ``ArchiveError``, naming the archive and the entry, when
    it is damaged, when a path climbs out, when an entry is a link or a device, when two entries want one place, or when
    it holds more than ``MAX_FILES`` entries or unpacks to more than ``MAX_BYTES``.
    """
    archive, target = Path(archive), Path(target)
    wanted = PurePosixPath(folder).parts
    room = MAX_BYTES
    try:
        with zipfile.ZipFile(archive) as file:
            entries = file.infolist()
            if len(entries) > MAX_FILES:
                raise ArchiveError(f"{archive} has {len(entries):,} entries; it is not the expected archive")
            for entry in entries:
                path = PurePosixPath(entry.filename.replace("\\", "/"))
                # A colon is a drive or a hidden stream on Windows.
                if path.is_absolute() or ".." in path.parts or any(c in part for part in path.parts for c in ":\0"):
                    raise ArchiveError(f"{archive}: the entry {entry.filename!r} would be written outside its folder")
                inside = path.parts[1:]
                if entry.is_dir() or inside[: len(wanted)] != wanted:
                    continue
                mode = stat.S_IFMT(entry.external_attr >> 16)
                if mode not in (0, stat.S_IFREG):
                    raise ArchiveError(f"{archive}: the entry {entry.filename!r} is no plain file")
                place = target.joinpath(*inside[len(wanted) :])
                room = _write(file, entry, place, room)
    except ArchiveError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, NotImplementedError) as error:
        raise ArchiveError(f"{archive} is damaged or is no zip archive ({error})") from error
    except OSError as error:
        if error.errno in _OF_THE_DISK:
            raise
        raise ArchiveError(f"{archive} holds a name or an entry that cannot be written here ({error})") from error
    if not target.is_dir():
        raise ArchiveError(f"{archive} holds no files in {folder}")
    return target


def _write(file: zipfile.ZipFile, entry: zipfile.ZipInfo, place: Path, room: int) -> int:
    """Write one entry; returns how many bytes may still be written. What an entry says of its size is only a claim."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        target = open(place, "xb")
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ArchiveError(f"the place of the entry {entry.filename!r} is taken by another entry") from error
    with file.open(entry) as source, target:
        while chunk := source.read(1 << 18):
            room -= len(chunk)
            if room < 0:
                raise ArchiveError(f"{file.filename} unpacks to more than {MAX_BYTES:,} bytes")
            target.write(chunk)
    return room
