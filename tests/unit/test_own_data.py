"""Your own folder: colours and polygons, the split by groups, the report, the generated survey."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

import segbook.data as data
from segbook.data import aerial, annotations, splits
from segbook.data.report import inspect_folder


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")
    aerial.write_folder(folder, sites=20, frames=4)
    return folder


@pytest.fixture
def survey(pristine, tmp_path):
    """A survey of 20 sites that a test may spoil."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for path in (pristine / kind).iterdir():
            (tmp_path / kind / path.name).write_bytes(path.read_bytes())
    (tmp_path / "classes.txt").write_bytes((pristine / "classes.txt").read_bytes())
    return tmp_path


# ------------------------------------------------------------------------------------------------- the generated survey


def test_aerial_is_the_same_everywhere():
    """The first bytes of two frames, as they were drawn when the chapter's outputs were stored."""
    marks = [
        hashlib.sha256(image.tobytes() + labels.tobytes()).hexdigest()[:12] for image, labels in aerial.site(0, 5, 2)
    ]
    assert marks == MARKS


MARKS = ["ddecaf2653c7", "7be6db929238"]


def test_aerial_frames_overlap_and_do_not_depend_on_their_number():
    four, two = aerial.site(0, 3, 4), aerial.site(0, 3, 2)
    assert all((a == c).all() and (b == d).all() for (a, b), (c, d) in zip(two, four))
    (_, first), (_, second) = two
    shifts = [first[dy + 12 : dy + 84, aerial.STEP :] for dy in range(-12, 13)]
    kept = second[12:84, : -aerial.STEP]
    assert max((shift == kept).mean() for shift in shifts) == 1  # the same land, 40 pixels further on
    assert (aerial.site(0, 4, 1)[0][0] != four[0][0]).any() and (aerial.site(1, 3, 1)[0][0] != four[0][0]).any()


def test_aerial_has_a_rare_class_and_all_five():
    counts = sum(
        np.bincount(labels.ravel(), minlength=5) for number in range(12) for _, labels in aerial.site(0, number)
    )
    share = counts / counts.sum()
    assert 0.005 < share[aerial.HOUSE] < 0.04 and (share > 0.005).all()


@pytest.mark.parametrize("wrong", [(-1, 0, 1), (0, -1, 1), (0, 0, 0)])
def test_aerial_refuses(wrong):
    with pytest.raises(ValueError, match="0 or greater and frames at least 1"):
        aerial.site(*wrong)


# ------------------------------------------------------------------------------------------------------ colours


def test_color_masks(survey):
    dataset = data.load("folder", "all", root=survey)
    assert dataset.classes == aerial.CLASSES and (dataset.palette == aerial.PALETTE).all()
    _, labels = aerial.site(0, 7)[2]
    assert (dataset[dataset.names().index("site07_2")][1].numpy() == labels).all()


def test_colors_of_palette_and_transparent_files(tmp_path):
    reader = annotations.Colors({(255, 0, 0): 0, (0, 0, 255): 1, (0, 0, 0): 255})
    image = Image.fromarray(np.array([[0, 1], [1, 2]], np.uint8))
    image.putpalette([255, 0, 0, 0, 0, 255, 0, 0, 0])
    image.save(tmp_path / "palette.png")
    assert reader.read(tmp_path / "palette.png").indices.tolist() == [[0, 1], [1, 255]]
    Image.new("RGBA", (2, 1), (255, 0, 0, 40)).save(tmp_path / "a.png")
    assert reader.read(tmp_path / "a.png").indices.tolist() == [[0, 0]]
    Image.new("RGB", (3, 1), (1, 2, 3)).save(tmp_path / "b.png")
    found = reader.read(tmp_path / "b.png")
    assert found.indices.tolist() == [[-1, -1, -1]] and found.unknown == {"1 2 3": 3}
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "c.png")
    with pytest.raises(data.BadData, match="c.png: .*8 bits"):
        reader.read(tmp_path / "c.png")


def test_an_unknown_color_is_named(survey):
    Image.new("RGB", (128, 96), (1, 2, 3)).save(survey / "masks" / "site00_0.png")
    with pytest.raises(
        data.BadData, match=r"site00_0\.png: colours outside the classes: 1 2 3; allowed are 240 214 117"
    ):
        data.load("folder", "all", root=survey)[0]


@pytest.mark.parametrize("lines", ["1 2 3 a\n1 2 3 b\n", "1 2 300 a\n4 5 6 b\n"])
def test_faulty_color_lists(survey, lines):
    (survey / "classes.txt").write_text(lines)
    with pytest.raises(data.BadData, match="every colour stands there once"):
        data.load("folder", "all", root=survey)
    (survey / "classes.txt").write_text("1 2 3 a\n4 5 6 a\n")
    with pytest.raises(data.BadData, match="every name may stand there once"):
        data.load("folder", "all", root=survey)


# ------------------------------------------------------------------------------------------------------ polygons


def labelme(folder, shapes, name="a", size=(6, 8), **changes):
    folder.mkdir(exist_ok=True)
    Image.new("RGB", size[::-1]).save(folder / f"{name}.png")
    sheet = {"imageHeight": size[0], "imageWidth": size[1], "shapes": shapes, "imageData": None, **changes}
    (folder / f"{name}.json").write_text(json.dumps(sheet))
    return folder


def shape(label, points, **more):
    return {"label": label, "points": points, "shape_type": "polygon", **more}


SQUARE = [[1, 1], [3, 1], [3, 3], [1, 3]]


def test_polygons_lie_on_each_other_in_order(tmp_path):
    labelme(tmp_path, [shape("leaf", SQUARE), shape("spot", [[2, 2], [6, 4]], shape_type="rectangle")])
    (tmp_path / "classes.txt").write_text("background\nleaf\nspot\n")
    mask = data.load("folder", "all", root=tmp_path)[0][1].numpy()
    expected = np.zeros((6, 8), int)
    expected[1:4, 1:4] = 1
    expected[2:5, 2:7] = 2
    assert (mask == expected).all()


def test_polygons_without_background_leave_the_rest_void(tmp_path):
    labelme(tmp_path / "images", [shape("leaf", SQUARE), shape("disc", [[5, 2], [6, 2]], shape_type="circle")])
    (tmp_path / "classes.txt").write_text("leaf\ndisc\n")
    mask = data.load("folder", "all", root=tmp_path)[0][1]
    assert mask[0, 0] == 255 and mask[2, 5] == 1 and mask[2, 2] == 0


def test_polygons_are_painted_in_the_colors_of_the_list(tmp_path):
    labelme(tmp_path, [shape("oak leaf", SQUARE)])
    (tmp_path / "classes.txt").write_text("0 0 0 background\n0 158 115 oak leaf\n255 255 255 void\n")
    leaves = data.load("folder", "all", root=tmp_path)
    assert leaves.classes == ("background", "oak leaf")
    assert leaves.palette.tolist() == [[0, 0, 0], [0, 158, 115], [255, 255, 255]]
    assert leaves[0][1].sum() == 9
    (tmp_path / "classes.txt").write_text("0 0 0 background\n0 0 0 oak leaf\n")
    with pytest.raises(data.BadData, match="every colour stands there once"):
        data.load("folder", "all", root=tmp_path)


def test_an_unknown_label_is_refused_by_name(tmp_path):
    labelme(tmp_path, [shape("leef", SQUARE)])
    (tmp_path / "classes.txt").write_text("background\nleaf\n")
    with pytest.raises(
        data.BadData, match=r"a\.json: label names outside the classes: leef; allowed are background, leaf"
    ):
        data.load("folder", "all", root=tmp_path)[0]
    report = inspect_folder(tmp_path)
    assert [fault.kind for fault in report.faults] == ["unknown"] and "leef (9 px)" in report.faults[0].text


def test_labelme_needs_a_list_of_classes(tmp_path):
    labelme(tmp_path, [shape("leaf", SQUARE)])
    with pytest.raises(data.BadData, match="classes.txt with the name of a class on each line"):
        data.load("folder", "all", root=tmp_path)


@pytest.mark.parametrize(
    ("shapes", "changes", "message"),
    [
        ([shape("leaf", [[1, 1], [2, 2]])], {}, r"shape 0 \(leaf\) is no polygon"),
        ([shape("leaf", [[1, 1]], shape_type="star")], {}, "shape 0 .* is a star"),
        ([shape("leaf", SQUARE, shape_type=["polygon"])], {}, "shape 0 .* is a "),
        ([shape("leaf", [[10**400, 1], [2, 2], [3, 3]])], {}, "shape 0 has no label or no list of points"),
        ([shape("leaf", [[1, 1], [3, 3]], shape_type="mask", mask="no PNG")], {}, "no mask: it needs a PNG"),
        ([shape("leaf", [[1, 1], [2, float("nan")], [3, 3]])], {}, "all finite"),
        ([{"label": "leaf"}], {}, "shape 0 has no label or no list of points"),
        (["leaf"], {}, "shape 0 has no label"),
        ([], {"imageHeight": "6"}, "not those of an image"),
        ([], {"imageWidth": 10**9}, "not those of an image"),
        ({}, {}, "shapes is not a list"),
    ],
)
def test_faulty_labelme_files(tmp_path, shapes, changes, message):
    labelme(tmp_path, shapes, **changes)
    with pytest.raises(data.BadData, match=rf"a\.json: .*{message}"):
        annotations.read_labelme(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["", "[", "[]", '"text"', "{}", "[" * 100_000])
def test_what_is_no_labelme_file(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(data.BadData, match=r"a\.json: "):
        annotations.read_labelme(tmp_path / "a.json")


def test_points_far_outside_do_no_harm():
    corners = [(-1e30, -1e30), (1e30, -1e30), (1e30, 1e30), (-1e30, 1e30)]
    box, inside = annotations.rasterise(corners, "polygon", (6, 8))
    assert inside.all() and inside.shape == (6, 8) and box == (slice(0, 6), slice(0, 8))


# -------------------------------------------------------------------------------------------------------- splits


def test_group_of():
    for name, group in {"site07_2": "site07", "a-b-12": "a-b", "0003": "0003", "leaf": "leaf", "x_y": "x_y"}.items():
        assert splits.group_of(name) == group


def test_a_split_keeps_groups_and_is_the_same_in_any_order():
    names = [f"site{s:02d}_{f}" for s in range(20) for f in range(4)]
    parts = splits.split_groups(names)
    assert parts == splits.split_groups(reversed(names)) and not splits.shared_groups(parts)
    assert {part: len(found) for part, found in parts.items()} == {"train": 56, "val": 12, "test": 12}
    assert sorted(sum(parts.values(), [])) == names
    assert parts != splits.split_groups(names, seed=1)
    assert set(splits.split_groups(names[:12])) == {"train", "val", "test"}  # three sites: one each
    assert all(splits.split_groups(names[:12]).values())


def test_a_split_that_cannot_be():
    with pytest.raises(ValueError, match="9 images form 1 groups .IMG., too few for train, val, test"):
        splits.split_groups([f"IMG_{i}" for i in range(9)])
    with pytest.raises(ValueError, match="positive"):
        splits.split_groups(["a", "b"], {"train": 1, "val": 0})


def test_splits_csv_is_obeyed(survey):
    parts = splits.split_groups([path.stem for path in (survey / "images").iterdir()])
    splits.write_splits(survey / "splits.csv", parts)
    assert splits.read_splits(survey / "splits.csv") == parts
    for part, names in parts.items():
        assert data.load("folder", part, root=survey).names() == names
    assert len(data.load("folder", "all", root=survey)) == 80


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,train\n", "the first line is `name,split`"),
        ("name,split\na\n", "a name and its split"),
        ("name,split\na,train\na,val\n", "a stands there twice"),
        ("name,split\nsite99_9,train\n", "images that are not there: site99_9"),
    ],
)
def test_faulty_splits_csv(survey, text, message):
    (survey / "splits.csv").write_text(text)
    with pytest.raises(data.BadData, match=message):
        data.load("folder", "train", root=survey)


# -------------------------------------------------------------------------------------------------------- report


def test_a_clean_folder(survey):
    report = inspect_folder(survey)
    assert not report.faults and len(report.usable) == 80 and report.sizes == {(96, 128): 80}
    counts = data.load("folder", "all", root=survey).class_counts()
    assert report.pixels.tolist() == counts.tolist()
    assert "no faults" in str(report) and "split by group" in str(report)


def test_the_planted_faults_are_found(survey):
    aerial.plant_faults(survey)
    report = inspect_folder(survey)
    assert {(fault.kind, fault.name) for fault in report.faults} == {
        ("no labels", "site03_2"), ("size", "site05_1"), ("unknown", "site07_2"), ("interpolated", "site11_3"),
        ("unreadable", "site13_1"), ("lossy", "site16_0"),
    }  # fmt: skip
    assert len(report.usable) == 74 and str(survey) not in str(report).replace(str(report.folder), "", 0)
    assert "255 0 0 (267 px)" in str(report)


def test_other_faults(survey):
    images, masks = survey / "images", survey / "masks"
    (images / "site00_0.png").unlink()
    Image.open(masks / "site00_1.png").save(masks / "site00_1.jpg", "JPEG")
    (masks / "site00_1.png").unlink()
    Image.open(images / "site00_2.png").save(images / "site00_2.bmp")
    Image.open(masks / "site00_3.png").transpose(Image.Transpose.ROTATE_90).save(masks / "site00_3.png")
    (images / "site01_1.png").write_bytes((images / "site01_0.png").read_bytes())
    report = inspect_folder(survey)
    assert {(fault.kind, fault.name) for fault in report.faults} == {
        ("no image", "site00_0"), ("lossy", "site00_1"), ("twice", "site00_2"), ("size", "site00_3"),
    }  # fmt: skip
    assert "turned by a quarter" in str(report) and "twins: site01_0 and site01_1" in str(report)


def test_interpolated_numbers(tmp_path):
    values = np.kron(np.array([[0, 200], [100, 0]], np.uint8), np.ones((20, 20), np.uint8))
    for name, how in (("a", Image.Resampling.NEAREST), ("b", Image.Resampling.BILINEAR)):
        for kind in ("image", "label"):
            (tmp_path / kind).mkdir(exist_ok=True)
        Image.new("RGB", (99, 99), name == "a" and (9, 9, 9) or (0, 0, 0)).save(tmp_path / "image" / f"{name}.png")
        Image.fromarray(values).resize((99, 99), how).save(tmp_path / "label" / f"{name}.png")
    (tmp_path / "classes.txt").write_text("0 soil\n100 beet\n200 weed\n")
    report = inspect_folder(tmp_path)
    assert [(fault.kind, fault.name) for fault in report.faults] == [("interpolated", "b")]
    assert report.usable == ["a"] and "resized with interpolation" in str(report)


def test_a_leak_is_told(survey):
    names = sorted(path.stem for path in (survey / "images").iterdir())
    splits.write_splits(survey / "splits.csv", {"train": names[:42], "test": names[42:]})
    assert "leak: images of site10 are in train and test" in str(inspect_folder(survey))
    splits.write_splits(survey / "splits.csv", {"train": names[:40], "test": names[44:]})
    told = str(inspect_folder(survey))
    assert "leak" not in told and "in no split: site10_0" in told and "train 40, test 36" in told


def test_split_by_hand_is_reported(tmp_path):
    for part, number in (("train", 1), ("val", 2)):
        image, labels = aerial.site(0, number, 1)[0]
        for folder in (part, f"{part}annot"):
            (tmp_path / folder).mkdir()
        Image.fromarray(image).save(tmp_path / part / f"{number}.png")
        Image.fromarray(labels).save(tmp_path / f"{part}annot" / f"{number}.png")
    report = inspect_folder(tmp_path)
    assert report.splits == {"train": ["1"], "val": ["2"]} and report.labels == "numbers" and not report.faults


def test_a_folder_of_another_layout(tmp_path):
    with pytest.raises(data.DataNotFound, match="has no layout that is known: images/ and masks/"):
        inspect_folder(tmp_path)
