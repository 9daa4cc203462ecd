"""Fetching and unpacking against a server on this machine that breaks off, drips, never ends and lies."""

import hashlib
import http.server
import io
import os
import socket
import stat
import threading
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segbook.data as data
from segbook.data import download, pets, published, voc2012
from segbook.data.download import ArchiveError, DownloadError, extract, fetch

pytestmark = pytest.mark.slow  # processes of their own

CONTENT = bytes(np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8))


class Server:
    """A small file server whose faults are set from the test; ``asked`` counts requests."""

    def __init__(self):
        self.files = {"/file.bin": CONTENT}
        self.cut = None  # break off after so many bytes
        self.length = True  # announce Content-Length
        self.endless = self.drip = False
        self.asked = 0
        self.stopping = threading.Event()
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
        self.asked += 1
        if request.path not in self.files:
            return request.send_error(404)
        body = self.files[request.path]
        request.send_response(200)
        if self.length:
            request.send_header("Content-Length", self.length if isinstance(self.length, str) else str(len(body)))
        request.end_headers()
        try:
            while self.endless and not self.stopping.is_set():
                request.wfile.write(body)
            while self.drip and not self.stopping.wait(0.02):
                request.wfile.write(b"x")
            request.wfile.write(body[: self.cut])
        except OSError:
            pass  # the client has had enough


@pytest.fixture
def server():
    server = Server()
    yield server
    server.stopping.set()
    server.server.shutdown()
    server.server.server_close()


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ----------------------------------------------------------------------------------------------------------- fetching


def test_whole_file(server, tmp_path):
    target = fetch(server.url, tmp_path / "new" / "file.bin", sha256=hashlib.sha256(CONTENT).hexdigest())
    assert target.read_bytes() == CONTENT
    assert list(target.parent.iterdir()) == [target]  # nothing is left beside it


def test_a_file_of_that_name_is_fetched_anew(server, tmp_path):
    (tmp_path / "file.bin").write_bytes(b"old")
    assert fetch(server.url, tmp_path / "file.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("length", [False, "nonsense", "\u00b2"])
def test_a_reply_without_a_usable_length(server, tmp_path, length):
    server.length = length if not isinstance(length, str) else length.encode("latin-1").decode("latin-1")
    assert fetch(server.url, tmp_path / "file.bin").read_bytes() == CONTENT


def test_wrong_checksum_leaves_nothing(server, tmp_path):
    with pytest.raises(DownloadError, match="(?s)cannot download .*file.bin.*hash"):
        fetch(server.url, tmp_path / "file.bin", sha256="0" * 64)
    assert not contents(tmp_path)


def test_a_cut_reply_leaves_nothing(server, tmp_path):
    server.cut = 100_000
    with pytest.raises(DownloadError, match="file.bin"):
        fetch(server.url, tmp_path / "file.bin")
    assert not contents(tmp_path)


def test_an_endless_reply_is_stopped(server, tmp_path, monkeypatch):
    server.endless, server.length = True, False
    monkeypatch.setattr(download, "MAX_BYTES", 1_000_000)
    with pytest.raises(DownloadError, match="more than 1,000,000 bytes"):
        fetch(server.url, tmp_path / "file.bin")
    assert not contents(tmp_path)


def test_a_dripping_reply_is_stopped(server, tmp_path, monkeypatch):
    server.drip = True
    monkeypatch.setattr(download, "PATIENCE", 0.3)
    with pytest.raises(DownloadError, match="less than 2,000 bytes a second"):
        fetch(server.url, tmp_path / "file.bin")
    assert not contents(tmp_path)


def test_missing_file_and_no_network(server, tmp_path):
    with pytest.raises(DownloadError, match="404"):
        fetch(server.url.replace("file", "other"), tmp_path / "file.bin")
    with pytest.raises(DownloadError, match="cannot download"):
        fetch(f"http://127.0.0.1:{closed_port()}/file.bin", tmp_path / "file.bin")


def test_silent_server_times_out(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(DownloadError, match="timed out"):
            fetch(f"http://127.0.0.1:{silent.getsockname()[1]}/file.bin", tmp_path / "file.bin", timeout=0.2)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/a", "data.zip"])
def test_other_kinds_of_addresses_are_refused(tmp_path, url):
    with pytest.raises(ValueError, match="only http and https"):
        fetch(url, tmp_path / "file.bin")


# ---------------------------------------------------------------------------------------------------------- unpacking


def make_zip(path: Path, entries: dict, attributes: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = attributes
            archive.writestr(info, content)
    return path


def refused(archive: Path, match: str):
    with pytest.raises(ArchiveError, match=match) as caught:
        extract(archive, archive.parent / f"from {archive.stem}", "data")
    assert archive.name in str(caught.value) or "entry" in str(caught.value)


def test_unpack_takes_one_folder_below_the_top(tmp_path):
    entries = {"repo-main/data/a/1.png": b"1", "repo-main/data/2.png": b"2", "repo-main/README": b"-", "x/data2/y": b""}
    archive = make_zip(tmp_path / "a.zip", {**entries, "repo-main/data/": b""})
    assert contents(extract(archive, tmp_path / "target", "data")) == {"a/1.png": b"1", "2.png": b"2"}


@pytest.mark.parametrize(
    "name", ["../evil", "top/../../evil", "/evil", "C:/evil", "top/data/..\\..\\evil", "top/data/a:b"]
)
def test_paths_that_climb_out(tmp_path, name):
    refused(make_zip(tmp_path / "a.zip", {name: b"x"}), "outside its folder")
    assert not (tmp_path / "evil").exists()


def test_links_devices_and_permissions(tmp_path):
    refused(make_zip(tmp_path / "a.zip", {"top/data/link": b"/etc"}, (stat.S_IFLNK | 0o777) << 16), "no plain file")
    refused(make_zip(tmp_path / "b.zip", {"top/data/pipe": b""}, (stat.S_IFIFO | 0o777) << 16), "no plain file")
    archive = make_zip(tmp_path / "c.zip", {"top/data/a": b"x"}, (stat.S_IFREG | 0o6777) << 16)
    mode = (extract(archive, tmp_path / "plain", "data") / "a").stat().st_mode
    assert not mode & (stat.S_ISUID | stat.S_IXUSR)


def test_archives_that_grow_too_large(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "a.zip", {f"top/data/{i}": bytes(1000) for i in range(5)})
    monkeypatch.setattr(download, "MAX_BYTES", 3000)
    refused(archive, "unpacks to more than 3,000 bytes")
    monkeypatch.setattr(download, "MAX_FILES", 4)
    refused(archive, "5 entries")


def test_damaged_archives(tmp_path):
    good = make_zip(tmp_path / "a.zip", {"top/data/a": CONTENT}).read_bytes()
    for name, content in {
        "short.zip": good[: len(good) // 2],
        "flipped.zip": good[:5000] + b"????" + good[5004:],
        "page.zip": b"<html>sign in</html>",
        "empty.zip": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, "damaged or is no zip")


def test_names_that_no_disk_takes(tmp_path):
    refused(make_zip(tmp_path / "a.zip", {"top/data/" + "x" * 300: b""}), "cannot be written here")
    refused(make_zip(tmp_path / "b.zip", {"top/data/a": b"", "top/data/a/b": b""}), "taken by another entry")
    refused(make_zip(tmp_path / "c.zip", {"top/else/a": b""}), "no files in data")


# ---------------------------------------------------------------------------------------------------------- data sets


def png(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def camvid(server, monkeypatch):
    """The publisher's repository as an archive: the wanted folder, lists of names, and much else."""
    image, labels = png(np.zeros((4, 6, 3))), png(np.arange(24).reshape(4, 6) % 12)
    spec = published.ARCHIVES["camvid"]
    entries = {f"repo-1234/{spec.folder}/train.txt": b"/SegNet/CamVid/train/0.png", "repo-1234/README.md": b"#"}
    for folder, count in spec.folders.items():
        for index in range(count):
            entries[f"repo-1234/{spec.folder}/{folder}/{index:04d}.png"] = labels if folder.endswith("annot") else image
    spec = published.Archive((server.url,), spec.folder, spec.folders, spec.splits)
    monkeypatch.setitem(published.ARCHIVES, "camvid", spec)

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
    assert data.download_dataset("camvid", tmp_path) == tmp_path / "camvid"
    assert [len(data.load("camvid", split, root=tmp_path)) for split in ("train", "val", "test")] == [367, 101, 233]
    assert [path.name for path in tmp_path.iterdir()] == ["camvid"]
    assert "train.txt" not in os.listdir(tmp_path / "camvid")
    requests = server.asked
    data.download_dataset("camvid", tmp_path)  # there already: checked, not fetched
    assert server.asked == requests


@pytest.mark.parametrize(
    "change, message",
    [
        ({"test/0007.png": None}, "test holds 232 files, expected 233"),
        ({"trainannot/0007.png": png(np.full((4, 6), 200))}, "0007.png: label values outside the classes: 200"),
        ({"val/0007.png": b"broken"}, "0007.png: cannot be read"),
    ],
)
def test_download_that_is_not_camvid(server, camvid, tmp_path, change, message):
    folder = published.ARCHIVES["camvid"].folder
    camvid(**{f"repo-1234/{folder}/{name}": content for name, content in change.items()})
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
    spec = published.ARCHIVES[name]
    url = f"http://127.0.0.1:{closed_port()}/master.zip"
    monkeypatch.setitem(published.ARCHIVES, name, published.Archive((url, url), spec.folder, spec.folders, spec.splits))
    with pytest.raises(DownloadError) as caught:
        data.download_dataset(name, tmp_path)
    message = str(caught.value)
    assert url in message and str(tmp_path / name) in message and f"{next(iter(spec.folders))}/" in message
    assert "by hand" in message and not list(tmp_path.iterdir())


def test_download_isbi(server, monkeypatch, tmp_path):
    spec = published.ARCHIVES["isbi2012"]
    entries = {}
    for index in range(30):
        entries[f"top/{spec.folder}/image/{index}.png"] = png(np.full((8, 8), index))
        entries[f"top/{spec.folder}/label/{index}.png"] = png(np.eye(8) * 255)
        entries[f"top/{spec.folder}/aug/image_{index}.png"] = b"not wanted"
    server.files["/file.bin"] = make_zip(tmp_path / "made.zip", entries).read_bytes()
    monkeypatch.setitem(
        published.ARCHIVES, "isbi2012", published.Archive((server.url,), spec.folder, spec.folders, spec.splits)
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


def test_the_second_address_is_tried_when_the_first_fails(server, camvid, tmp_path, monkeypatch):
    spec = published.ARCHIVES["camvid"]
    urls = (server.url.replace("file", "gone"), server.url)
    monkeypatch.setitem(published.ARCHIVES, "camvid", published.Archive(urls, spec.folder, spec.folders, spec.splits))
    assert data.download_dataset("camvid", tmp_path) == tmp_path / "camvid" and server.asked == 2
