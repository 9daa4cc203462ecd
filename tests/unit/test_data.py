"""Loading data sets: what comes out, and what is refused with which file's name."""

import os
import pickle
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors

import segbook.data as data
from segbook.data import files, street, voc2012

REAL = Path(os.environ.get("SEGBOOK_DATA", "no such folder"))
needs_camvid = pytest.mark.skipif(not (REAL / "camvid").is_dir(), reason="SEGBOOK_DATA holds no camvid/")
needs_isbi = pytest.mark.skipif(not (REAL / "isbi2012").is_dir(), reason="SEGBOOK_DATA holds no isbi2012/")


def image_file(path: Path, height=6, width=8, seed=0, **save):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **save)
    return pixels


def label_map(path: Path, values) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.asarray(values, dtype=np.uint8)
    Image.fromarray(values).save(path)
    return values


def pair(folder: Path, images: str, labels: str, stem: str, values=None, suffix=".png"):
    values = np.arange(48).reshape(6, 8) % 3 if values is None else np.asarray(values)
    pixels = image_file(folder / images / f"{stem}{suffix}", *values.shape, seed=len(stem))
    return pixels, label_map(folder / labels / f"{stem}.png", values)


@pytest.fixture
def camvid(tmp_path):
    """A small data folder in CamVid's layout; every test damages its own copy."""
    for split, count in (("train", 7), ("val", 2)):
        for index in range(count):
            pair(tmp_path / "camvid", split, f"{split}annot", f"{index:04d}", np.arange(48).reshape(6, 8) % 12)
    return tmp_path


# ------------------------------------------------------------------------------------------------------ the contract


def test_items_names_and_tensors(camvid):
    pixels, values = pair(camvid / "camvid", "train", "trainannot", "0003", np.full((6, 8), 11))
    dataset = data.load("camvid", "train", root=camvid)
    assert len(dataset) == 7 and dataset.names() == [f"{index:04d}" for index in range(7)]
    image, mask = dataset[3]
    assert isinstance(image, tv_tensors.Image) and image.dtype == torch.uint8 and image.shape == (3, 6, 8)
    assert isinstance(mask, tv_tensors.Mask) and mask.dtype == torch.int64 and mask.shape == (6, 8)
    assert (image.numpy() == pixels.transpose(2, 0, 1)).all() and (mask.numpy() == values).all()
    assert dataset.classes == data.DRIVING_CLASSES and dataset.num_classes == 11 and dataset.ignore_index == 11
    assert dataset.palette.shape == (12, 3) and dataset.palette.dtype == np.uint8

    images, masks = dataset.tensors()
    assert images.dtype == masks.dtype == torch.uint8 and images.shape == (7, 3, 6, 8) and masks.shape == (7, 6, 8)
    assert dataset.tensors()[0] is images
    assert (images[3] == image).all() and (masks[3] == mask).all()
    dataset[3][0].zero_()  # an item is the caller's own
    assert (dataset.tensors()[0][3] == image).all()
    assert repr(dataset) == "SegmentationDataset(camvid train: 7 images, own sizes, 11 classes)"


def test_index_from_the_end_and_out_of_range(camvid):
    dataset = data.load("camvid", "val", root=camvid)
    assert (dataset[-1][0] == dataset[np.int64(1)][0]).all()
    with pytest.raises(IndexError, match="no item 2"):
        dataset[2]
    assert len(list(dataset)) == 2  # iteration ends


def test_class_counts_leave_out_ignored_pixels(camvid):
    dataset = data.load("camvid", "train", root=camvid)
    expected = np.bincount(np.arange(48) % 12, minlength=12)[:11] * 7
    counts = dataset.class_counts()
    assert counts.dtype == torch.int64 and counts.tolist() == expected.tolist()
    dataset.tensors()
    fresh = dataset.subset(range(7))
    assert fresh.class_counts().tolist() == expected.tolist()  # counted from memory, the same


def test_subset_keeps_order_and_memory(camvid, monkeypatch):
    dataset = data.load("camvid", "train", root=camvid)
    part = dataset.subset([5, -1, 0])
    assert part.names() == ["0005", "0006", "0000"] and (part[0][0] == dataset[5][0]).all()
    assert part.subset([1]).names() == ["0006"]
    dataset.tensors()
    monkeypatch.setattr(files, "read_image", lambda *_: pytest.fail("read again"))
    assert (dataset.subset([5])[0][0] == dataset[5][0]).all()
    with pytest.raises(IndexError):
        dataset.subset([7])
    with pytest.raises(ValueError, match="at least one"):
        dataset.subset([])


def test_count_is_spread_over_the_files(camvid):
    assert data.load("camvid", "train", count=3, root=camvid).names() == ["0000", "0002", "0004"]
    assert len(data.load("camvid", "train", count=700, root=camvid)) == 7


def test_dataset_can_be_sent_to_a_worker(camvid):
    dataset = data.load("camvid", "train", size=(3, 4), root=camvid)
    copy = pickle.loads(pickle.dumps(dataset))
    assert (copy[2][0] == dataset[2][0]).all() and copy.names() == dataset.names()


def test_resizing_keeps_masks_to_their_classes_and_aligned(tmp_path):
    # The image shows its own label: after shrinking both, the middle of every tile must still agree.
    values = np.kron(np.arange(12).reshape(3, 4) % 11, np.ones((40, 40))).astype(np.uint8)
    label_map(tmp_path / "camvid/trainannot/a.png", values)
    (tmp_path / "camvid/train").mkdir()
    Image.fromarray(np.repeat(values[..., None] * 20, 3, axis=2)).save(tmp_path / "camvid/train/a.png")
    image, mask = data.load("camvid", "train", size=(30, 40), root=tmp_path)[0]
    assert image.shape == (3, 30, 40) and mask.shape == (30, 40)
    assert (image[0, 5::10, 5::10] == 20 * mask[5::10, 5::10]).all()
    # Sizes that do not divide the tiles: a mean of two labels would show up as a third.
    pair(tmp_path / "camvid", "train", "trainannot", "b", np.kron([[3, 9], [9, 3]], np.ones((10, 10))).astype(np.uint8))
    for size in ((7, 7), (33, 47)):
        _, mask = data.load("camvid", "train", size=size, root=tmp_path)[1]
        assert mask.unique().tolist() == [3, 9]
    # Edges of tiles: a shift of the mask by a fraction of a pixel would leave it to one side of the image's edge.
    ramp = np.tile(np.arange(240, dtype=np.uint8), (16, 1))
    label_map(tmp_path / "folder/label/r.png", ramp)
    (tmp_path / "folder/image").mkdir()
    Image.fromarray(np.repeat(ramp[..., None], 3, axis=2)).save(tmp_path / "folder/image/r.png")
    image, mask = data.load("folder", "all", size=(2, 48), root=tmp_path / "folder")[0]
    assert (image[0].long() - mask)[:, 2:-2].abs().max() <= 1


def test_gray_palette_and_jpeg_files(tmp_path):
    values = np.arange(48).reshape(6, 8) % 12
    image_file(tmp_path / "camvid/train/a.JPG", quality=95, format="JPEG")
    (tmp_path / "camvid/train/.hidden.png").write_bytes(b"")
    (tmp_path / "camvid/train/notes.txt").write_text("not an image")
    indexed = Image.fromarray(values.astype(np.uint8), mode="P")
    indexed.putpalette(data.DRIVING_PALETTE.reshape(-1).tolist())
    (tmp_path / "camvid/trainannot").mkdir()
    indexed.save(tmp_path / "camvid/trainannot/a.png")
    image, mask = data.load("camvid", "train", root=tmp_path)[0]
    assert image.shape == (3, 6, 8) and (mask.numpy() == values).all()  # indices, not colours
    Image.fromarray(np.full((6, 8), 77, np.uint8)).save(tmp_path / "camvid/train/a.JPG", format="JPEG")
    assert (data.load("camvid", "train", root=tmp_path)[0][0] == 77).all()


# --------------------------------------------------------------------------------------------------------- bad input


def test_unknown_names_list_the_choices(camvid):
    with pytest.raises(ValueError, match="no data set 'camvit'.*street, camvid, isbi2012"):
        data.load("camvit", "train")
    with pytest.raises(ValueError, match="camvid has no split 'validation'.*train, val, test"):
        data.load("camvid", "validation", root=camvid)


@pytest.mark.parametrize("options", [{"size": (0, 8)}, {"size": (8, 8, 3)}, {"count": 0}, {"count": -1}])
def test_impossible_size_and_count(camvid, options):
    with pytest.raises(ValueError, match="at least 1"):
        data.load("camvid", "train", root=camvid, **options)


def test_missing_split_says_what_is_there(camvid):
    with pytest.raises(data.DataNotFound, match=r"There is: train, val\. .*segbook data camvid.*SEGBOOK_DATA"):
        data.load("camvid", "test", root=camvid)
    with pytest.raises(FileNotFoundError, match="There is: no split"):
        data.load("camvid", "train", root=camvid / "elsewhere")


@pytest.mark.parametrize("name", ["isbi2012", "voc2012", "pets", "cityscapes", "folder"])
def test_missing_data_names_the_folder(tmp_path, name):
    with pytest.raises(data.DataNotFound, match=re.escape(str(tmp_path))):
        data.load(name, "train", root=tmp_path / "nothing")


def test_root_comes_from_the_environment(camvid, monkeypatch):
    monkeypatch.setenv("SEGBOOK_DATA", str(camvid))
    assert len(data.load("camvid", "val")) == 2
    monkeypatch.delenv("SEGBOOK_DATA")
    assert data.data_root() == Path(__file__).parents[2] / "data"


def test_sizes_that_differ(camvid):
    label_map(camvid / "camvid/trainannot/0004.png", np.zeros((6, 9)))
    dataset = data.load("camvid", "train", size=(3, 4), root=camvid)
    dataset[3]  # files that are in order can be used
    with pytest.raises(data.BadData, match=r"0004\.png: the label map is 6x9 .* is 6x8"):
        dataset[4]
    with pytest.raises(data.BadData, match=r"0004\.png"):
        dataset.tensors()


def test_label_values_outside_the_classes(camvid):
    label_map(camvid / "camvid/trainannot/0001.png", np.full((6, 8), 12))
    label_map(camvid / "camvid/trainannot/0005.png", np.full((6, 8), 255))
    dataset = data.load("camvid", "train", root=camvid)
    with pytest.raises(data.BadData, match=r"0001\.png: label values outside the classes: 12; allowed are 0, 1"):
        dataset[1]
    with pytest.raises(data.BadData, match=r"(?s)2 of 7 files.*0001\.png.*0005\.png"):
        dataset.check()
    data.load("camvid", "val", root=camvid).check()


def test_unpaired_files(camvid):
    (camvid / "camvid/trainannot/0002.png").unlink()
    with pytest.raises(data.BadData, match=r"no label map in .*trainannot.*0002\.png"):
        data.load("camvid", "train", root=camvid)
    (camvid / "camvid/train/0002.png").unlink()
    assert len(data.load("camvid", "train", root=camvid)) == 6
    (camvid / "camvid/train/0003.png").unlink()
    with pytest.raises(data.BadData, match=r"no image in .*train for .*0003\.png"):
        data.load("camvid", "train", root=camvid)


def test_two_images_of_one_name(camvid):
    image_file(camvid / "camvid/train/0002.jpg")
    with pytest.raises(data.BadData, match=r"0002\.png and 0002\.jpg have the same name"):
        data.load("camvid", "train", root=camvid)


@pytest.mark.parametrize("folder", ["train", "trainannot"])
@pytest.mark.parametrize("damage", ["text", "short", "empty"])
def test_unreadable_file(camvid, folder, damage):
    path = camvid / "camvid" / folder / "0002.png"
    whole = path.read_bytes()
    path.write_bytes({"text": b"this is no image", "short": whole[: len(whole) // 2], "empty": b""}[damage])
    with pytest.raises(data.BadData, match=rf"{folder}/0002\.png: cannot be read"):
        data.load("camvid", "train", root=camvid)[2]


def test_label_maps_that_hold_colors_or_wide_numbers(camvid):
    image_file(camvid / "camvid/trainannot/0002.png")
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(camvid / "camvid/trainannot/0003.png")
    dataset = data.load("camvid", "train", root=camvid)
    with pytest.raises(data.BadData, match=r"0002\.png.*one 8-bit number a pixel.*RGB"):
        dataset[2]
    with pytest.raises(data.BadData, match=r"0003\.png.*one 8-bit number a pixel"):
        dataset[3]


def test_lossy_label_maps_are_refused(camvid):
    (camvid / "camvid/trainannot/0002.png").unlink()
    label = Image.fromarray(np.zeros((6, 8), np.uint8))
    label.save(camvid / "camvid/trainannot/0002.jpg")
    with pytest.raises(data.BadData, match=r"0002\.jpg.*cannot hold labels"):
        data.load("camvid", "train", root=camvid)


def test_wide_images_are_refused(camvid):
    Image.fromarray(np.zeros((6, 8), np.uint16)).save(camvid / "camvid/train/0002.png")
    with pytest.raises(data.BadData, match=r"0002\.png.*8 bits a channel"):
        data.load("camvid", "train", root=camvid)[2]


def test_empty_folder(camvid):
    for folder in ("train", "trainannot"):
        for path in (camvid / "camvid" / folder).iterdir():
            path.unlink()
    with pytest.raises(data.BadData, match="train holds no images"):
        data.load("camvid", "train", root=camvid)


def test_images_of_several_sizes_need_a_size(camvid):
    pair(camvid / "camvid", "train", "trainannot", "0004", np.zeros((5, 8)))
    with pytest.raises(data.BadData, match=r"0004\.png is 5x8.*pass size="):
        data.load("camvid", "train", root=camvid).tensors()
    assert data.load("camvid", "train", size=(6, 8), root=camvid).tensors()[0].shape == (7, 3, 6, 8)


# ---------------------------------------------------------------------------------------------------- other data sets


def test_isbi_holds_back_the_last_sixth(tmp_path):
    for index in range(13):  # unpadded numbers, as published: 9 comes before 10
        pair(tmp_path / "isbi2012", "image", "label", str(index), np.where(np.arange(48).reshape(6, 8) < 8, 0, 255))
    train, val = (data.load("isbi2012", split, root=tmp_path) for split in ("train", "val"))
    assert train.names() == [str(index) for index in range(11)] and val.names() == ["11", "12"]
    assert train.classes == ("membrane", "cell") and train.class_counts().tolist() == [8 * 11, 40 * 11]
    label_map(tmp_path / "isbi2012/label/3.png", np.full((6, 8), 127))
    with pytest.raises(data.BadData, match=r"3\.png.*127; allowed are 0, 255"):
        data.load("isbi2012", "train", root=tmp_path).check()


def test_voc(tmp_path):
    home = tmp_path / "voc2012/VOCdevkit/VOC2012"
    for stem, values in (("2007_1", [[0, 15, 255]]), ("2007_2", [[20, 20, 0]])):
        pair(home, "JPEGImages", "SegmentationClass", stem, np.array(values), suffix=".jpg")
    lists = home / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_1\n2007_2\n")
    dataset = data.load("voc2012", "train", root=tmp_path)
    assert dataset.num_classes == 21 and dataset.ignore_index == 255 and dataset.names() == ["2007_1", "2007_2"]
    assert dataset[0][1].tolist() == [[0, 15, 255]] and dataset.classes[15] == "person"
    assert dataset.class_counts()[[0, 15, 20]].tolist() == [2, 1, 2]
    with pytest.raises(data.DataNotFound, match="VOC 2012 val"):
        data.load("voc2012", "val", root=tmp_path)
    label_map(home / "SegmentationClass/2007_2.png", [[21, 0, 0]])
    with pytest.raises(data.BadData, match=r"2007_2\.png.*: 21"):
        dataset.check()


def test_voc_palette_is_the_published_one():
    published = {1: (128, 0, 0), 2: (0, 128, 0), 9: (192, 0, 0), 15: (192, 128, 128), 20: (0, 64, 128)}
    for index, color in published.items():
        assert tuple(voc2012.PALETTE[index]) == color, voc2012.CLASSES[index]
    assert tuple(voc2012.PALETTE[21]) == (224, 224, 192)


def test_pets(tmp_path):
    home = tmp_path / "pets/oxford-iiit-pet"
    stems = [f"Abyssinian_{index}" for index in range(10)]
    for stem in [*stems, "pug_1"]:
        pair(home, "images", "annotations/trimaps", stem, np.array([[1, 2, 3, 3]]), suffix=".jpg")
    (home / "annotations/trainval.txt").write_text("".join(f"{stem} 1 1 1\n" for stem in stems))
    (home / "annotations/test.txt").write_text("pug_1 2 2 1\n")
    train, val, test = (data.load("pets", split, root=tmp_path) for split in ("train", "val", "test"))
    assert val.names() == ["Abyssinian_4", "Abyssinian_9"] and test.names() == ["pug_1"]
    assert sorted(train.names() + val.names()) == sorted(stems)
    assert train[0][1].tolist() == [[0, 1, 255, 255]] and train.classes == ("pet", "background")
    assert train.class_counts().tolist() == [8, 8]


def test_cityscapes(tmp_path):
    home = tmp_path / "cityscapes"
    for stem in ("ulm_1", "aachen_2"):
        city = stem.partition("_")[0]
        image_file(home / f"leftImg8bit/train/{city}/{stem}_leftImg8bit.png", 1, 5)
        label_map(home / f"gtFine/train/{city}/{stem}_gtFine_labelIds.png", [[7, 33, 0, 29, 26]])
    dataset = data.load("cityscapes", "train", root=tmp_path)
    assert dataset.names() == ["aachen_2", "ulm_1"] and dataset.num_classes == 19
    assert dataset[0][1].tolist() == [[0, 18, 255, 255, 13]]
    assert dataset.classes[13] == "car" and tuple(dataset.palette[13]) == (0, 0, 142)
    (home / "gtFine/train/ulm/ulm_1_gtFine_labelIds.png").unlink()
    with pytest.raises(data.BadData, match="no label map.*ulm_1"):
        data.load("cityscapes", "train", root=tmp_path)


# ----------------------------------------------------------------------------------------------------- your own folder


def own(folder: Path, values, names=("image", "label"), count=5, first="p"):
    for index in range(count):
        pair(folder, *names, f"{first}{index}", values)


def test_folder_with_one_set(tmp_path):
    own(tmp_path, np.arange(48).reshape(6, 8) % 3, count=11)
    train, val, everything = (data.load("folder", split, root=tmp_path) for split in ("train", "val", "all"))
    assert val.names() == ["p4", "p9"] and len(train) == 9 and len(everything) == 11
    assert everything.names()[-1] == "p10" and not set(train.names()) & set(val.names())
    assert train.classes == ("class 0", "class 1", "class 2") and train.ignore_index == 255
    with pytest.raises(ValueError, match="no split 'test'.*train, val, all"):
        data.load("folder", "test", root=tmp_path)
    own(tmp_path / "few", np.eye(6, 8), count=3)
    assert data.load("folder", "val", root=tmp_path / "few").names() == ["p2"]
    assert data.load("folder", "train", root=tmp_path / "few").names() == ["p0", "p1"]


def test_folder_split_by_hand_shares_its_classes(tmp_path):
    own(tmp_path, np.zeros((6, 8)), ("train", "trainannot"))
    own(tmp_path, np.ones((6, 8)), ("holiday", "holidayannot"), count=2, first="other")
    assert data.load("folder", "train", root=tmp_path).classes == ("class 0", "class 1")
    assert data.load("folder", "holiday", root=tmp_path)[0][1].unique().tolist() == [1]
    with pytest.raises(ValueError, match="holiday, train"):
        data.load("folder", "val", root=tmp_path)


def test_folder_of_black_and_white_masks(tmp_path):
    own(tmp_path, np.arange(48).reshape(6, 8) % 2 * 255, ("images", "masks"))
    dataset = data.load("folder", "train", root=tmp_path)
    assert dataset.classes == ("background", "foreground") and dataset.class_counts().tolist() == [96, 96]


def test_folder_with_named_classes(tmp_path):
    own(tmp_path, np.array([[0, 1, 2, 255]]))
    (tmp_path / "classes.txt").write_text("# my classes\nsoil\n\nsugar beet\nvoid\n")
    dataset = data.load("folder", "train", root=tmp_path)
    assert dataset.classes == ("soil", "sugar beet") and dataset[0][1].tolist() == [[0, 1, 255, 255]]
    (tmp_path / "classes.txt").write_text("0 soil\n2 sugar beet\n255 weed\n")
    dataset = data.load("folder", "train", root=tmp_path)
    assert dataset.classes == ("soil", "sugar beet", "weed") and len(dataset.palette) == 4
    with pytest.raises(data.BadData, match=r"p0\.png: label values outside the classes: 1; allowed are 0, 2, 255"):
        dataset[0]


@pytest.mark.parametrize(
    "listing, message",
    [("", "got 0"), ("a\na\n", "once"), ("0 a\n0 b\n", "once"), ("300 a\n", "0 to 255"), ("void\n", "got 0")],
)
def test_folder_with_a_faulty_class_list(tmp_path, listing, message):
    own(tmp_path, np.zeros((6, 8)))
    (tmp_path / "classes.txt").write_text(listing)
    with pytest.raises(data.BadData, match=f"classes.txt.*{message}"):
        data.load("folder", "train", root=tmp_path)


def test_folder_with_gaps_asks_for_a_class_list(tmp_path):
    own(tmp_path, np.arange(48).reshape(6, 8) % 2 * 128)
    with pytest.raises(data.BadData, match=r"the numbers 0, 128, not 0, 1.*classes\.txt"):
        data.load("folder", "train", root=tmp_path)


def test_folder_without_a_known_layout(tmp_path):
    image_file(tmp_path / "photos/a.png")
    with pytest.raises(data.DataNotFound, match="It holds: photos"):
        data.load("folder", "train", root=tmp_path)


def test_folder_obeys_the_rotation_flag(tmp_path):
    upright = np.zeros((4, 2, 3), np.uint8)
    upright[0] = 200
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees to the right
    (tmp_path / "image").mkdir()
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / "image/a.png", exif=exif)
    label_map(tmp_path / "label/a.png", np.eye(4, 2))
    image, _ = data.load("folder", "all", root=tmp_path)[0]
    assert (image.numpy().transpose(1, 2, 0) == upright).all()


# -------------------------------------------------------------------------------------------------------------- Street


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGBOOK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def rendered(monkeypatch):
    """Counts rendered scenes; they are drawn small and by the real generator."""
    calls = []
    real = street.dataset.scene
    monkeypatch.setattr(street.dataset, "scene", lambda *arguments: calls.append(arguments) or real(*arguments))
    return calls


def test_street_is_rendered_once(cache, rendered):
    first = data.load("street", "train", size=(32, 48), count=3, seed=4)
    assert len(rendered) == 3 and rendered[2][:3] == (4, "train", 2)
    again = data.load("street", "train", size=(32, 48), count=3, seed=4)
    assert len(rendered) == 3
    assert all((a == b).all() for a, b in zip(first.tensors(), again.tensors()))
    scene = street.dataset.scene(4, "train", 1, (32, 48))
    image, mask = again[1]
    assert (image.numpy().transpose(1, 2, 0) == scene.image).all() and (mask.numpy() == scene.mask).all()
    things = again.instances(1)
    assert things.dtype == torch.int32 and (things.numpy() == scene.instances).all()
    assert (again.subset([1]).instances(0) == things).all()
    assert again.names()[2] == "street-train-000002" and again.classes == data.DRIVING_CLASSES
    assert again.ignore_index == 11 and repr(again).endswith("(street train: 3 images, 32x48, 11 classes)")
    assert [path.suffix for path in cache.iterdir()] == [".npz"]  # no temporary file is left


def test_street_differs_by_seed_split_and_size(cache, rendered):
    images = [
        data.load("street", split, size=size, count=1, seed=seed)[0][0]
        for split, size, seed in [("train", (32, 48), 0), ("val", (32, 48), 0), ("train", (32, 48), 1)]
    ]
    assert all((images[0] != other).any() for other in images[1:])
    assert data.load("street", "train", size=(40, 48), count=1)[0][0].shape == (3, 40, 48)
    assert len(rendered) == 4 == len(list(cache.iterdir()))


def test_street_defaults(cache, monkeypatch):
    blank = street.Scene(np.zeros((96, 128, 3), np.uint8), np.zeros((96, 128), np.uint8), np.zeros((96, 128), np.int32))
    monkeypatch.setattr(street.dataset, "scene", lambda *_: blank)
    assert {split: len(data.load("street", split)) for split in street.SPLITS} == {
        "train": 200,
        "val": 50,
        "test": 100,
    }
    assert data.load("street", "val")[0][0].shape == (3, 96, 128)


@pytest.mark.parametrize("damage", ["short", "changed", "text", "empty", "other shape"])
def test_damaged_cache_is_rendered_again(cache, rendered, damage):
    expected = data.load("street", "train", size=(32, 48), count=2).tensors()[0]
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    if damage == "other shape":
        np.savez(path, images=np.zeros((2, 4, 4, 3), np.uint8), masks=np.zeros(1), things=np.zeros(1))
    else:
        middle = len(whole) // 2
        changed = whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        path.write_bytes({"short": whole[:middle], "changed": changed, "text": b"no archive", "empty": b""}[damage])
    again = data.load("street", "train", size=(32, 48), count=2)
    assert len(rendered) == 4 and (again.tensors()[0] == expected).all()
    data.load("street", "train", size=(32, 48), count=2)
    assert len(rendered) == 4  # and the cache is whole again


def test_street_works_without_a_writable_cache(tmp_path, monkeypatch, rendered):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SEGBOOK_CACHE", str(tmp_path / "file"))
    assert len(data.load("street", "train", size=(32, 48), count=2)) == 2
    assert len(rendered) == 2


def test_a_failed_rendering_leaves_no_cache(cache, monkeypatch):
    monkeypatch.setattr(street.dataset, "scene", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        data.load("street", "train", size=(32, 48), count=2)
    assert not cache.exists() or not list(cache.iterdir())


def test_only_street_has_instances(camvid):
    with pytest.raises(ValueError, match="no instance labels"):
        data.load("camvid", "train", root=camvid).instances(0)


def test_replacing_keeps_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), files.atomic_open(path) as file:
        file.write(b"new")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask for reading")
def test_replacing_leaves_it_to_the_system_who_may_read(tmp_path):
    usual, replaced = tmp_path / "usual", tmp_path / "replaced"
    usual.touch()
    files.write_text(replaced, "标签\n")
    assert replaced.read_bytes() == "标签\n".encode() and replaced.stat().st_mode == usual.stat().st_mode


# ----------------------------------------------------------------------------------------------------------- real data


@needs_camvid
def test_real_camvid():
    train, val = data.load("camvid", "train"), data.load("camvid", "val", size=(90, 120))
    assert len(train) == 367 and len(val) == 101
    assert train[0][0].shape == (3, 360, 480) and val[0][0].shape == (3, 90, 120)
    # Pixels of each class in the published label maps of the training set.
    published = [10682767, 14750079, 623349, 20076880, 2845085, 6166762, 743859, 714595, 3719877, 405385, 184967]
    assert train.class_counts().tolist() == published
    assert int(train.class_counts().sum()) + 2503995 == 367 * 360 * 480
    assert val.tensors()[0].shape == (101, 3, 90, 120)


@needs_isbi
def test_real_isbi():
    train, val = data.load("isbi2012", "train"), data.load("isbi2012", "val")
    total = len(train) + len(val)
    assert len(val) == total // 6 and not set(train.names()) & set(val.names())
    images, masks = train.tensors()
    assert images.shape == (len(train), 3, 512, 512) and (images[:, 0] == images[:, 2]).all()
    assert masks.unique().tolist() == [0, 1]
    membrane = train.class_counts()[0] / train.class_counts().sum()
    assert 0.15 < membrane < 0.35  # thin dark lines around cells, not the other way round
    assert images[:, 0][masks == 0].float().mean() < images[:, 0][masks == 1].float().mean()
