"""Folders as people and annotation tools write them: read exactly, or refused with a word that helps; never read wrong.

Every test makes its folder itself: six small images with three classes whose labels are known.
"""

import base64
import io
import json
import shutil
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

import segbook.data as data
from segbook.data import annotations
from segbook.data.class_lists import read_class_list
from segbook.data.report import inspect_folder

COLORS = np.array([(0, 0, 0), (128, 64, 128), (0, 0, 142)], np.uint8)
NAMES = ("background", "road", "car")


def truth(number: int, classes: int = 3) -> np.ndarray:
    """Labels uint8 [24, 32]: background, a road across, a car on it."""
    labels = np.zeros((24, 32), np.uint8)
    labels[10 + number % 3 : 18] = 1
    labels[12:16, 4 + 2 * number : 12 + 2 * number] = 2
    return labels % classes


def photo(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (24, 32, 3), dtype=np.uint8)


def folder(root, images="images/{}.png", masks="masks/{}.png", values=truth, mask=Image.fromarray, names=None, count=6):
    """Write a folder; ``mask`` turns the values of a label map into an image."""
    for number in range(count):
        name = f"p{number}"
        for pattern, image in ((images, Image.fromarray(photo(number))), (masks, mask(values(number)))):
            path = root / pattern.format(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    if names is not None:
        (root / "classes.txt").write_text("\n".join(names) + "\n")
    return root


def read(root, split="all") -> np.ndarray:
    dataset = data.load("folder", split, root=root)
    return np.stack([mask.numpy() for _, mask in dataset])


def truths(classes: int = 3) -> np.ndarray:
    return np.stack([truth(number, classes) for number in range(6)])


def refused(root, *words) -> str:
    """``load`` and the report both object; returns what the report says."""
    report = inspect_folder(root)
    assert report.faults
    with pytest.raises(data.BadData) as error:
        data.load("folder", "all", root=root)
    for word in words:
        assert word in str(report) and word in str(error.value), (word, str(report), str(error.value))
    return str(report)


def clean(root):
    report = inspect_folder(root)
    assert not report.faults, str(report)
    return report


def painted(labels) -> Image.Image:
    return Image.fromarray(COLORS[labels])


def white(labels) -> np.ndarray:
    return np.where(labels == 1, 255, 0).astype(np.uint8)


# ---------------------------------------------------------------------------------------------- black and white masks


@pytest.mark.parametrize("mode", ["L", "1", "RGB", "RGBA", "LA", "P"])
@pytest.mark.parametrize("names", [None, ["background", "road"]])
def test_black_and_white_masks_in_every_mode(tmp_path, mode, names):
    folder(tmp_path, values=lambda n: white(truth(n, 2)), mask=lambda v: Image.fromarray(v).convert(mode), names=names)
    assert (read(tmp_path) == truths(2)).all()
    report = clean(tmp_path)
    assert not report.ignored and report.pixels[1] == (truths(2) == 1).sum()
    if names and mode != "1":
        assert "255 only, read as background and road" in str(report)


def test_a_class_that_never_occurs_beside_much_void_is_a_fault(tmp_path):
    folder(tmp_path, values=lambda n: white(truth(n)), names=["0 background", "1 road"])
    refused(tmp_path, "no pixel is road", "are 255, which is ignored", "255 road")
    (tmp_path / "classes.txt").write_text("0 background\n1 road\n255 void\n")  # said so: then it is the folder's wish
    assert "one class" in refused(tmp_path, "every pixel of all label maps is background")
    folder(tmp_path, values=lambda n: white(truth(n)), names=NAMES)
    refused(tmp_path, "no pixel is road, car")


def test_masks_that_are_white_in_some_files_and_one_in_others(tmp_path):
    folder(tmp_path, values=lambda n: white(truth(n, 2)) if n % 2 else truth(n, 2), names=NAMES[:2])
    refused(tmp_path, "do both mean the same class?")


def test_nothing_to_tell_apart(tmp_path):
    folder(tmp_path, values=lambda n: np.zeros((24, 32), np.uint8))
    refused(tmp_path, "every pixel of all label maps is class 0")
    folder(tmp_path, values=lambda n: np.full((24, 32), 255, np.uint8), names=NAMES)
    assert "void" in refused(tmp_path, "255")


# ---------------------------------------------------------------------------------------------- palettes and colours


def indexed(labels, order=(0, 1, 2)) -> Image.Image:
    """A palette file in which class k has the number order[k]."""
    image = Image.fromarray(np.array(order, np.uint8)[labels])
    palette = np.zeros((3, 3), np.uint8)
    palette[list(order)] = COLORS
    image.putpalette(palette.tobytes())
    return image


def test_one_number_with_two_colors_is_a_fault(tmp_path):
    swapped = iter([(0, 1, 2), (1, 0, 2)] * 3)
    folder(tmp_path, mask=lambda v: indexed(v, next(swapped)), names=NAMES)
    refused(tmp_path, "is painted", "List the classes by colour")
    lines = [" ".join(map(str, color)) + f" {name}" for color, name in zip(COLORS, NAMES)]
    (tmp_path / "classes.txt").write_text("\n".join(lines))
    assert (read(tmp_path) == truths()).all()
    clean(tmp_path)


def test_colors_without_a_list_are_listed_with_their_shares(tmp_path):
    folder(tmp_path, mask=painted)
    told = refused(tmp_path, "6 label maps are in colours", "128 64 128 (")
    ready = [line.strip() for line in told.splitlines() if line.endswith(("background", "class 1", "class 2"))]
    assert ready[0] == "0 0 0 background" and len(ready) == 3
    (tmp_path / "classes.txt").write_text("\n".join(ready))  # it can be used as it is
    assert (read(tmp_path) == truths()).all()


def test_large_color_masks_are_counted_without_sorting():
    codes = np.repeat(np.arange(5, dtype=np.uint32) * 70_000, 40_000)
    assert annotations.count_codes(codes) == {n * 70_000: 40_000 for n in range(5)}
    assert annotations.count_codes(codes[:7]) == {0: 7}


# ---------------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images/{}.png", "masks/{}.png"),
        ("img/{}.png", "labels/{}.png"),
        ("Images/{}.png", "Masks/{}.png"),
        ("images/{}.jpg", "masks/{}_mask.png"),
        ("{}.jpg", "{}_mask.png"),
        ("images/day1/{}.png", "masks/day1/{}.png"),
        ("JPEGImages/{}.jpg", "SegmentationClass/{}.png"),
        ("VOCdevkit/VOC2012/JPEGImages/{}.jpg", "VOCdevkit/VOC2012/SegmentationClass/{}.png"),
        ("unpacked/images/{}.png", "unpacked/masks/{}.png"),
        ("images/{}.JPG", "masks/{}.PNG"),
    ],
)
def test_layouts_of_one_set(tmp_path, images, masks):
    folder(tmp_path, images, masks)
    assert (read(tmp_path) == truths()).all()
    clean(tmp_path)
    assert len(data.load("folder", "train", root=tmp_path)) == 5 and len(data.load("folder", "val", root=tmp_path)) == 1


@pytest.mark.parametrize(
    ("images", "masks"),
    [
        ("images/{part}/{}.png", "masks/{part}/{}.png"),
        ("{part}/images/{}.png", "{part}/masks/{}.png"),
        ("{part}/{}.jpg", "{part}/{}_mask.png"),
        ("{part}/{}.png", "{part}annot/{}.png"),
    ],
)
@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_layouts_with_parts(tmp_path, images, masks, val):
    for part, numbers in (("train", range(4)), (val, range(4, 6))):
        for number in numbers:
            for pattern, image in ((images, photo(number)), (masks, truth(number))):
                path = tmp_path / pattern.replace("{part}", part).format(f"p{number}")
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(image).save(path)
    assert (read(tmp_path, "train") == truths()[:4]).all() and (read(tmp_path, "val") == truths()[4:]).all()
    assert clean(tmp_path).splits == {"train": ["p0", "p1", "p2", "p3"], "val": ["p4", "p5"]}


def test_cvat_segmentation_mask(tmp_path):
    folder(tmp_path, "JPEGImages/{}.png", "SegmentationClass/{}.png", mask=painted)
    for name, color in (("labelmap.txt", "# label:color_rgb:parts:actions\n"),):
        lines = [f"{n}:{','.join(map(str, c))}::" for n, c in zip(NAMES, COLORS)]
        (tmp_path / name).write_text(color + "\n".join(lines) + "\n")
    lists = tmp_path / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True)
    (lists / "default.txt").write_text("\n".join(f"p{n}" for n in range(6)))
    assert (read(tmp_path) == truths()).all() and data.load("folder", "all", root=tmp_path).classes == NAMES
    (lists / "train.txt").write_text("p0\np1\np2\np3\n")
    (lists / "val.txt").write_text("p4\np5\n")
    assert data.load("folder", "val", root=tmp_path).names() == ["p4", "p5"]


def test_roboflow_masks(tmp_path):
    for part in ("train", "valid", "test"):
        folder(tmp_path / part, "{}_jpg.rf.0a1b.jpg", "{}_jpg.rf.0a1b_mask.png", count=0)
    for number, part in enumerate(["train"] * 4 + ["valid", "test"]):
        (tmp_path / part).mkdir(exist_ok=True)
        Image.fromarray(photo(number)).save(tmp_path / part / f"p{number}_jpg.rf.0a1b.jpg")
        Image.fromarray(truth(number)).save(tmp_path / part / f"p{number}_jpg.rf.0a1b_mask.png")
        (tmp_path / part / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, road\n2, car\n")
    assert (read(tmp_path, "val") == truths()[4:5]).all() and (read(tmp_path, "test") == truths()[5:]).all()
    assert data.load("folder", "train", root=tmp_path).classes == NAMES


def test_names_that_differ_in_case_or_in_the_encoding_of_accents(tmp_path):
    folder(tmp_path)
    (tmp_path / "masks/p0.png").rename(tmp_path / "masks/P0.png")
    (tmp_path / "images/p1.png").rename(tmp_path / "images/caf\u00e9.png")
    (tmp_path / "masks/p1.png").rename(tmp_path / "masks/cafe\u0301.png")
    (tmp_path / "masks/._p2.png").write_bytes(b"of a Macintosh")
    (tmp_path / "masks/project.json").write_text("{}")
    assert len(read(tmp_path)) == 6
    clean(tmp_path)


def test_digits_of_other_scripts_in_names(tmp_path):
    folder(tmp_path)
    for kind in ("images", "masks"):
        for number, name in enumerate(("1²3", "1①2", "1٣2")):
            (tmp_path / kind / f"p{number}.png").rename(tmp_path / kind / f"{name}.png")
    assert len(read(tmp_path)) == 6
    clean(tmp_path)


def test_pairs_are_looked_at_before_classes(tmp_path):
    folder(tmp_path)
    for path in (tmp_path / "masks").iterdir():
        path.rename(path.with_name(f"other_{path.name}"))
    told = refused(tmp_path, "nothing in masks/")
    assert "12 faults" in told and "classes.txt" not in told


FOREIGN = {
    "COCO": {"annotations/instances.json": '{"images": [], "annotations": [], "categories": []}', "images/a.txt": ""},
    "YOLO": {"images/train/a.txt": "", "labels/train/a.txt": "0 .1 .1 .2 .2 .1 .2"},
    "CVAT for images": {"annotations.xml": "<annotations/>"},
    "Supervisely": {"meta.json": "{}", "ds/ann/a.png.json": "{}"},
    "VIA": {"via.json": '{"a.png9": {"filename": "a.png", "regions": []}}'},
    "Label Studio's JSON": {"export.json": '[{"data": {}, "annotations": []}]'},
    "Label Studio's PNG": {"task-1-annotation-1-by-1-tag-road-0.png": ""},
    "without their images": {"SegmentationClass/a.png": "", "labelmap.txt": ""},
    "HEIC": {"images/a.HEIC": ""},
    "Cityscapes": {"leftImg8bit/a": "", "gtFine/a": ""},
}


@pytest.mark.parametrize("word", FOREIGN)
def test_what_is_not_read_is_named_with_a_remedy(tmp_path, word):
    for name, text in FOREIGN[word].items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for look in (inspect_folder, lambda root: data.load("folder", "all", root=root)):
        with pytest.raises(data.DataNotFound, match=f"looks like .*{word}.*which is not read as it is: "):
            look(tmp_path)


# ---------------------------------------------------------------------------------------------- lists of classes


@pytest.mark.parametrize(
    "lines",
    [
        ["background", "road", "car"],
        ["0 background", "1 road", "2 car"],
        ["id name", "0 background", "1 road", "2 car"],
        ["0,background", "1,road", "2,car"],
        ["0: background", "1: road", "2: car"],
        ["0;background", "1;road", "2;car"],
        ["0\tbackground", "1\troad", "2\tcar"],
        ['"background"', '"road"', "'car'"],
        ["0 'background'", '1 "road"', "2 car"],
        ["Pixel Value, Class", "0, background", "1, road", "2, car"],
        ["# mine", "", "background", "road", "car", "Void"],
        ["0 _background_", "1 road", "2 car", "255 Ignore"],
        ["__ignore__", "_background_", "road", "car"],
    ],
)
def test_lists_that_mean_the_same(tmp_path, lines):
    folder(tmp_path, names=lines)
    assert data.load("folder", "all", root=tmp_path).classes == NAMES
    assert (read(tmp_path) == truths()).all()


@pytest.mark.parametrize(
    "lines",
    [
        ["0 0 0 background", "128 64 128 road", "0 0 142 car"],
        ["background,0,0,0", "road,128,64,128", "car,0,0,142"],
        ["name,r,g,b", "background,0,0,0", "road,128,64,128", "car,0,0,142"],
        ["background:0,0,0::", "road:128,64,128::", "car:0,0,142::"],
    ],
)
def test_lists_of_colors_that_mean_the_same(tmp_path, lines):
    folder(tmp_path, mask=painted, names=lines)
    assert data.load("folder", "all", root=tmp_path).classes == NAMES
    assert (read(tmp_path) == truths()).all()


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["road 1", "background 0", "car 2"], "road 1"),
        (["name", "background", "road"], "name"),
        (["0 background", "road", "2 car"], "road"),
        (["background # 0", "road # 1"], "background # 0"),
        (["background, road, car"], "background, road, car"),
        (["- background", "- road"], "- background"),
        (["0 0 0 background", "128 64 road", "0 0 142 car"], "128 64 road"),
        (["0", "1", "2"], "0"),
        (["names: [background, road]"], "names: "),
        (["background", "1 road"], "background"),
    ],
)
def test_lists_that_are_not_understood_are_refused_with_the_line(tmp_path, lines, line):
    folder(tmp_path, names=lines)
    refused(tmp_path, f"the line `{line}", "classes.txt")


def test_names_that_look_like_numbers_can_be_written(tmp_path):
    (tmp_path / "classes.txt").write_text('class 0\nclass 1\n"road 7"\n2 wheeler\n')
    assert read_class_list(tmp_path / "classes.txt").names == ["class 0", "class 1", "road 7", "2 wheeler"]


# ---------------------------------------------------------------------------------------------- numbers gone wrong


def test_masks_once_saved_as_jpeg_are_recognised(tmp_path):
    def spoilt(values):
        file = io.BytesIO()
        Image.fromarray(values).save(file, "JPEG", quality=80)
        return Image.open(file)

    folder(tmp_path, values=lambda n: white(truth(n)), mask=spoilt)
    refused(tmp_path, "saved as JPEG or resized with interpolation?")
    folder(tmp_path, values=lambda n: truth(n) * 100, mask=spoilt, names=["0 background", "100 road", "200 car"])
    assert "saved as JPEG" in str(inspect_folder(tmp_path))


def test_masks_resized_with_interpolation_within_the_numbers_are_told(tmp_path):
    def values(number):
        labels = np.zeros((48, 64), np.uint8)
        labels[10:30, 5 + number : 30] = 3
        labels[33:45, 20:60] = 1
        return labels

    def larger(how):
        return lambda labels: Image.fromarray(labels).resize((97, 73), how)

    for how, told in ((Image.Resampling.NEAREST, False), (Image.Resampling.BILINEAR, True)):
        folder(tmp_path, values=values, mask=larger(how), names=["a", "b", "c", "d"])
        for number in range(6):
            Image.fromarray(photo(number)).resize((97, 73)).save(tmp_path / "images" / f"p{number}.png")
        assert ("Resized with interpolation?" in str(inspect_folder(tmp_path))) == told


# ---------------------------------------------------------------------------------------------- depth, bands, stacks


@pytest.mark.parametrize("kind", ["uint16", "int32", "float32"])
def test_deep_label_tiffs_with_whole_numbers(tmp_path, kind):
    folder(tmp_path, masks="masks/{}.tif", mask=lambda v: Image.fromarray(v.astype(kind)), names=NAMES)
    assert (read(tmp_path) == truths()).all()
    clean(tmp_path)
    Image.fromarray((truth(0).astype(int) * 300).astype(kind)).save(tmp_path / "masks/p0.tif")
    assert "whole numbers from 0 to 255, this one 0 … 600" in str(inspect_folder(tmp_path))


def test_sixteen_bit_gray_images_are_stretched_by_a_stated_rule(tmp_path):
    folder(tmp_path)
    deep = [np.linspace(100, 2100, 768).reshape(24, 32).astype(np.uint16) + n for n in range(6)]
    for number, pixels in enumerate(deep):
        Image.fromarray(pixels).save(tmp_path / "images" / f"p{number}.png")
    report = clean(tmp_path)
    dataset = data.load("folder", "all", root=tmp_path)
    low, high = np.percentile(np.stack(deep), (0.5, 99.5))
    assert dataset.source.stretch.low == pytest.approx(low) and dataset.source.stretch.high == pytest.approx(high)
    assert f"{low:g} … {high:g} becomes 0 … 255" in str(report)
    expected = ((deep[3] - low) * 255 / (high - low)).clip(0, 255).round()
    assert np.abs(dataset[3][0][0].numpy() - expected).max() <= 1
    assert len(np.unique(dataset[3][0][0].numpy())) > 200


def tiff16(path, pixels):
    """A little-endian TIFF of 16 bits a channel, which Pillow cannot write: pixels uint16 [H, W, bands]."""
    height, width, bands = pixels.shape
    tags = {256: width, 257: height, 258: 16, 259: 1, 262: 2, 273: 8, 277: bands, 278: height, 279: pixels.nbytes}
    entries, extra, place = b"", b"", 8 + pixels.nbytes + 2 + 12 * (len(tags) + (bands > 3)) + 4
    items = sorted([*tags.items(), *([(338, 0)] if bands > 3 else [])])
    for tag, value in items:
        if tag == 258:
            entries += tag.to_bytes(2, "little") + (3).to_bytes(2, "little") + bands.to_bytes(4, "little")
            entries += place.to_bytes(4, "little")
            extra = (16).to_bytes(2, "little") * bands
        else:
            size = 3 if tag == 338 else 4
            entries += tag.to_bytes(2, "little") + size.to_bytes(2, "little") + (1).to_bytes(4, "little")
            entries += value.to_bytes(4, "little")
    head = b"II*\0" + (8 + pixels.nbytes).to_bytes(4, "little")
    count = len(items).to_bytes(2, "little")
    path.write_bytes(head + pixels.astype("<u2").tobytes() + count + entries + bytes(4) + extra)


@pytest.mark.parametrize("bands", [3, 4])
def test_sixteen_bit_color_tiffs_keep_their_depth(tmp_path, bands):
    folder(tmp_path)
    deep = [np.random.default_rng(n).integers(0, 2551, (24, 32, bands), dtype=np.uint16) for n in range(6)]
    for number, pixels in enumerate(deep):
        (tmp_path / "images" / f"p{number}.png").unlink()
        tiff16(tmp_path / "images" / f"p{number}.tif", pixels)
    report = clean(tmp_path)
    dataset = data.load("folder", "all", root=tmp_path)
    stretch = dataset.source.stretch
    assert 0 <= stretch.low < 40 and 2510 < stretch.high <= 2550
    assert (dataset[2][0].numpy().transpose(1, 2, 0) == stretch(deep[2][..., :3])).all()
    assert ("the first three bands are read" in str(report)) == (bands == 4)


def test_sixteen_bit_color_png_keeps_its_depth(tmp_path):
    import zlib

    folder(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 2551, (24, 32, 3), dtype=np.uint16)

    def chunk(kind, body):
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    head = (32).to_bytes(4, "big") + (24).to_bytes(4, "big") + bytes([16, 2, 0, 0, 0])
    for number in range(6):
        path = tmp_path / "images" / f"p{number}.png"
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
        )
    dataset = data.load("folder", "all", root=tmp_path)
    assert (dataset[0][0].numpy().transpose(1, 2, 0) == dataset.source.stretch(pixels)).all()


def stack(path, pages):
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = map(Image.fromarray, pages)
    first.save(path, save_all=True, append_images=rest)


def test_stacks_are_read_page_by_page(tmp_path):
    photos = [photo(n)[..., 0] for n in range(6)]
    stack(tmp_path / "image/volume.tif", photos)
    stack(tmp_path / "label/volume.tif", [white(truth(n, 2)) for n in range(6)])
    assert (read(tmp_path) == truths(2)).all()
    dataset = data.load("folder", "all", root=tmp_path)
    assert dataset.names() == [f"volume[{n}]" for n in range(1, 7)]
    assert all((image[0].numpy() == page).all() for (image, _), page in zip(dataset, photos))
    assert data.load("folder", "val", root=tmp_path).names() == ["volume[6]"]  # a block, not every fifth
    assert "volume.tif holds 6 images" in str(clean(tmp_path))
    stack(tmp_path / "label/volume.tif", [white(truth(n, 2)) for n in range(5)])
    refused(tmp_path, "holds 6 images, volume.tif 5")


def test_rotation_flags_get_a_word(tmp_path):
    folder(tmp_path, images="images/{}.jpg")
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray(photo(1)).save(tmp_path / "images/p1.jpg", exif=exif)
    assert "p1.jpg carry a rotation flag" in str(clean(tmp_path))


def test_images_too_large_to_be_read_at_once(tmp_path, monkeypatch):
    folder(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    assert "cut it into tiles" in str(inspect_folder(tmp_path))


# ---------------------------------------------------------------------------------------------- parts and leaks


def test_the_same_file_in_two_parts_is_a_fault(tmp_path):
    folder(tmp_path)
    (tmp_path / "images/p5.png").write_bytes((tmp_path / "images/p0.png").read_bytes())
    rows = [f"p{n},{'val' if n > 3 else 'train'}" for n in range(6)]
    (tmp_path / "splits.csv").write_text("\n".join(["name,split", *rows]))
    refused(tmp_path, "p0 in train is the same file as p5 in val")
    Image.open(tmp_path / "images/p0.png").save(tmp_path / "images/p5.png", compress_level=1)  # the same pixels
    assert "p0 in train holds the same image as p5 in val" in str(inspect_folder(tmp_path))
    (tmp_path / "splits.csv").unlink()
    assert "p4" in data.load("folder", "val", root=tmp_path).names()


def test_camera_names_are_no_leak(tmp_path):
    folder(tmp_path)
    for kind in ("images", "masks"):
        for number in range(6):
            (tmp_path / kind / f"p{number}.png").rename(tmp_path / kind / f"IMG_{number:04}.png")
    rows = [f"IMG_{n:04}.png, {'valid' if n > 3 else 'train'}" for n in range(6)]  # with endings, and another word
    (tmp_path / "splits.csv").write_text("\n".join(["name,split", *rows]))
    assert "leak" not in str(clean(tmp_path))
    assert data.load("folder", "val", root=tmp_path).names() == ["IMG_0004", "IMG_0005"]


# ---------------------------------------------------------------------------------------------- LabelMe


def labelme(root, shapes, number=0, encoding="utf-8", **changes):
    root.mkdir(exist_ok=True)
    Image.fromarray(photo(number)).save(root / f"p{number}.png")
    sheet = {"version": "5.5.0", "imageHeight": 24, "imageWidth": 32, "shapes": shapes, **changes}
    sheet = {name: value for name, value in sheet.items() if value is not None}
    (root / f"p{number}.json").write_text(json.dumps(sheet), encoding=encoding)
    return root


def shape(label, kind, points, **more):
    return {"label": label, "shape_type": kind, "points": points, **more}


ROAD = shape("road", "polygon", [[0, 10], [31, 10], [31, 17], [0, 17]])


def png64(mask) -> str:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_labelme_masks_and_shapes_without_an_area(tmp_path):
    mask = np.zeros((4, 8), bool)
    mask[1:3, 2:7] = True
    drawn = [ROAD, shape("car", "mask", [[4, 12], [11, 15]], mask=png64(mask)), shape("x", "line", [[0, 0], [9, 9]])]
    labelme(tmp_path, drawn)
    (tmp_path / "classes.txt").write_text("background\nroad\ncar\n")
    expected = np.zeros((24, 32), int)
    expected[10:18] = 1
    expected[13:15, 6:11] = 2
    assert (read(tmp_path)[0] == expected).all()
    assert "left out: 1 of kind line" in str(clean(tmp_path))


def test_labelme_masks_reach_over_the_edge():
    for left, top in ((-3, -2), (30, 22), (-90, 4), (5, 90)):
        whole = np.zeros((300, 300), bool)
        whole[100 + top : 104 + top, 100 + left : 108 + left] = True
        box, inside = annotations.rasterise((left, top, np.ones((4, 8), bool)), "mask", (24, 32))
        found = np.zeros((24, 32), bool)
        found[box] = inside
        assert (found == whole[100:124, 100:132]).all()


def test_shapes_drawn_in_their_box_are_those_drawn_on_the_whole_image():
    from PIL import ImageDraw

    rng = np.random.default_rng(0)
    for _ in range(50):
        points = [tuple(p) for p in rng.uniform(-20, 80, (int(rng.integers(3, 7)), 2)).round(1).tolist()]
        whole = Image.new("1", (60, 50))
        ImageDraw.Draw(whole).polygon(points, fill=1, outline=1)
        box, inside = annotations.rasterise(points, "polygon", (50, 60))
        found = np.zeros((50, 60), bool)
        found[box] = inside
        assert (found == np.array(whole)).all()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_labelme_of_old_versions_and_with_a_byte_order_mark(tmp_path, encoding):
    labelme(tmp_path, [{**ROAD, "shape_type": None}], encoding=encoding, imageHeight=None, imageWidth=None)
    (tmp_path / "p0.png").rename(tmp_path / "p0.PNG")
    (tmp_path / "classes.txt").write_text("background\nroad\n")
    assert (read(tmp_path)[0] == np.where(np.isin(np.arange(24), range(10, 18))[:, None], 1, 0)).all()


def test_labelme_s_own_words(tmp_path):
    labelme(tmp_path, [ROAD, shape("__ignore__", "rectangle", [[0, 0], [3, 3]])])
    (tmp_path / "labels.txt").write_text("__ignore__\n_background_\nroad\n")
    assert data.load("folder", "all", root=tmp_path).classes == ("background", "road")
    labels = read(tmp_path)[0]
    assert (labels[:4, :4] == 255).all() and labels[8, 8] == 0 and labels[12, 12] == 1


def test_labelme_without_a_list_offers_one(tmp_path):
    labelme(tmp_path, [ROAD])
    assert "background\n  road" in refused(tmp_path, "write classes.txt with the name of a class on each line")


def test_an_unannotated_image_is_named(tmp_path):
    labelme(tmp_path, [ROAD])
    Image.fromarray(photo(1)).save(tmp_path / "p1.png")
    (tmp_path / "classes.txt").write_text("background\nroad\n")
    refused(tmp_path, "p1.png", "nothing in")


# ---------------------------------------------------------------------------------------------- what is shown


def test_names_of_files_cannot_write_to_the_terminal(tmp_path):
    folder(tmp_path)
    Image.fromarray(photo(0)).save(tmp_path / "images" / "b\n\x1b[31m.png")
    told = str(inspect_folder(tmp_path))
    assert "\x1b" not in told and "b\\n\\x1b[31m.png: nothing in masks/" in told


def png_of_few_bits(values: np.ndarray, bits: int) -> bytes:
    """A grey PNG of 2 or 4 bits a pixel, written by hand: Pillow writes none."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = values.shape
    shifts = np.arange(8 - bits, -1, -bits)
    rows = (values.reshape(height, -1, 8 // bits) << shifts).sum(-1).astype(np.uint8)
    header = struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [2, 4])
def test_grey_png_of_few_bits_keeps_its_numbers(tmp_path, bits):
    folder(tmp_path, names=NAMES)
    for number in range(6):
        (tmp_path / f"masks/p{number}.png").write_bytes(png_of_few_bits(truth(number), bits))
    assert not inspect_folder(tmp_path).faults
    assert np.array_equal(read(tmp_path), truths())


def test_colours_that_were_erased_are_asked_about(tmp_path):
    def erased(values):
        pixels = np.concatenate([COLORS[values], np.full((*values.shape, 1), 255, np.uint8)], axis=2)
        pixels[:3, :, 3] = 0  # background, which stands elsewhere too
        return Image.fromarray(pixels)

    listed = [f"{r} {g} {b} {name}" for (r, g, b), name in zip(COLORS, NAMES)]
    folder(tmp_path, mask=erased, names=listed)
    with pytest.raises(data.BadData, match=r"96 pixels are erased \(transparent\) over 0 0 0.*Paint them"):
        read(tmp_path)
    assert inspect_folder(tmp_path).faults

    def background_left_open(values):
        pixels = np.concatenate([COLORS[values], 255 * (values[..., None] > 0).astype(np.uint8)], axis=2)
        return Image.fromarray(pixels)

    folder(tmp_path, mask=background_left_open, names=listed)
    assert np.array_equal(read(tmp_path), truths())


def test_a_label_file_of_a_kind_that_is_not_read_is_named(tmp_path):
    folder(tmp_path, masks="masks/{}.gif", names=NAMES)
    refused(tmp_path, "p0.gif is no label map: those are PNG, BMP, TIFF or PGM")


def test_polygon_files_without_a_shape_are_images_of_background(tmp_path):
    folder(tmp_path, masks="unused/{}.png", names=["background", "cat"], count=2)
    for path in sorted((tmp_path / "images").glob("*.png")):
        content = json.dumps({"shapes": [], "imageHeight": 24, "imageWidth": 32})
        path.with_suffix(".json").write_text(content, encoding="utf-8-sig")
    shutil.rmtree(tmp_path / "unused")
    assert not read(tmp_path).any()
