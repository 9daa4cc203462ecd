"""COCO's polygons, run lengths and crowds as label maps."""

import json

import numpy as np
import pytest
from PIL import Image

import segbook.data as data
from segbook.data.importing import import_coco

pytest.importorskip("pycocotools")


def coco(folder):
    folder.mkdir()
    Image.new("RGB", (8, 6), (9, 9, 9)).save(folder / "a.png")
    shapes = [
        {"category_id": 7, "segmentation": [[2, 1, 5, 1, 5, 4, 2, 4]], "iscrowd": 0},
        {"category_id": 3, "segmentation": {"size": [6, 8], "counts": [0, 36, 12]}, "iscrowd": 1},
    ]
    sheet = {
        "images": [{"id": 1, "file_name": "../a.png", "height": 6, "width": 8}],
        "categories": [{"id": 3, "name": "road"}, {"id": 7, "name": "car, red"}],
        "annotations": [{"id": n, "image_id": 1, **shape} for n, shape in enumerate(shapes)],
    }
    (folder / "instances.json").write_text(json.dumps(sheet))
    return sheet


def test_polygons_and_run_lengths(tmp_path):
    coco(tmp_path / "in")
    assert import_coco(tmp_path / "in", tmp_path / "out") == 1
    found = data.load("folder", "all", root=tmp_path / "out")
    expected = np.zeros((6, 8), int)
    expected[:, :6] = 1  # 36 pixels, column by column
    expected[1:4, 2:5] = 2  # the smaller one stays visible
    assert found.classes == ("background", "road", "car, red") and (found[0][1].numpy() == expected).all()


def test_what_is_no_coco(tmp_path):
    with pytest.raises(data.DataNotFound, match="no folder"):
        import_coco(tmp_path / "in", tmp_path / "out")
    sheet = coco(tmp_path / "in")
    del sheet["images"][0]["height"]
    (tmp_path / "in" / "instances.json").write_text(json.dumps(sheet))
    with pytest.raises(data.BadData, match="no COCO file as it should be"):
        import_coco(tmp_path / "in", tmp_path / "out")
