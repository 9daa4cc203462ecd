"""The command line for your own data: check a folder, predict with areas, export."""

import csv
import json
import os
import warnings
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

import segbook
from segbook import cli
from segbook.course import exporting
from segbook.course.saved import ModelCard, load_model, save_model
from segbook.data import aerial
from segbook.data.splits import write_splits


@pytest.fixture
def model(tmp_path):
    """An untrained net with its card."""
    torch.manual_seed(0)
    net = segbook.models.build("unet", 5, width=0.0625, levels=4).eval()
    card = ModelCard("unet", 0.0625, list(aerial.CLASSES), aerial.PALETTE.tolist(), [64, 96], "folder")
    save_model(tmp_path / "net.pt", net, card)
    return tmp_path / "net.pt"


def fails(capsys, *arguments) -> str:
    assert cli.main(list(map(str, arguments))) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("segbook: ") and "Traceback" not in message
    return message


def test_check_says_what_is_wrong_and_fails(tmp_path, capsys):
    aerial.write_folder(tmp_path / "survey", sites=3, frames=1)
    assert cli.main(["data", "check", str(tmp_path / "survey")]) == 0
    assert "no faults" in capsys.readouterr().out
    (tmp_path / "survey" / "masks" / "site01_0.png").unlink()
    assert cli.main(["data", "check", str(tmp_path / "survey")]) == 1
    assert "no labels  images/site01_0.png: nothing in masks/" in capsys.readouterr().out
    assert "there is no folder" in fails(capsys, "data", "check", tmp_path / "nowhere")


def test_training_on_a_folder_obeys_its_split(tmp_path, monkeypatch):
    names = aerial.write_folder(tmp_path / "data" / "folder", sites=4, frames=2)
    parts = {"train": names[:4], "val": names[4:6], "test": names[6:]}
    write_splits(tmp_path / "data" / "folder" / "splits.csv", parts)
    with mock.patch.dict(os.environ, {"SEGBOOK_DATA": str(tmp_path / "data"), "SEGBOOK_DEVICE": "cpu"}):
        wish = [
            "--steps",
            "2",
            "--batch-size",
            "2",
            "--width",
            "0.06",
            "--size",
            "48x64",
            "--out",
            str(tmp_path / "out"),
        ]
        assert cli.main(["train", "--dataset", "folder", *wish]) == 0
    _, card = load_model(tmp_path / "out" / "model.pt")
    assert card.classes == list(aerial.CLASSES) and card.size == [48, 64]
    assert card.palette == aerial.PALETTE.tolist()


def test_predict_writes_the_area_of_every_class(model, tmp_path):
    aerial.write_folder(tmp_path / "flight", sites=2, frames=1)
    out = tmp_path / "out"
    assert cli.main(["predict", str(model), str(tmp_path / "flight" / "images"), "--out", str(out)]) == 0
    with (out / "areas.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["class"]) for row in rows] == [
        (f"site0{number}_0.png", name) for number in (0, 1) for name in aerial.CLASSES
    ]
    for number in (0, 1):
        labels = np.asarray(Image.open(out / "labels" / f"site0{number}_0.png"))
        mine = rows[5 * number : 5 * number + 5]
        assert [int(row["pixels"]) for row in mine] == np.bincount(labels.ravel(), minlength=5).tolist()
        assert sum(float(row["share"]) for row in mine) == pytest.approx(1, abs=1e-5)


def test_predict_obeys_the_rotation_flag(model, tmp_path):
    (tmp_path / "photos").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (96, 64)).save(tmp_path / "photos" / "a.jpg", exif=exif)
    assert cli.main(["predict", str(model), str(tmp_path / "photos"), "--out", str(tmp_path / "out")]) == 0
    assert Image.open(tmp_path / "out" / "labels" / "a.png").size == (64, 96)


def test_export_to_torchscript(model, tmp_path, capsys):
    out = tmp_path / "net.ts"
    assert cli.main(["export", str(model), str(out)]) == 0
    assert "96x144" in capsys.readouterr().out
    extra = {"card.json": ""}
    with warnings.catch_warnings(action="ignore"):  # its successor is announced
        loaded = torch.jit.load(out, _extra_files=extra)
    assert "field" in json.loads(extra["card.json"])["classes"]
    net, _ = load_model(model)
    images = torch.randint(0, 256, (1, 3, 75, 101), dtype=torch.uint8)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(images), net(segbook.data.normalize(images)), rtol=1e-4, atol=1e-4)
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_export_refuses(model, tmp_path, capsys, monkeypatch):
    assert "end it in .ts (TorchScript) or .onnx" in fails(capsys, "export", model, tmp_path / "net.docx")
    assert "is the model itself" in fails(capsys, "export", model, model)
    assert "there is no model file" in fails(capsys, "export", tmp_path / "gone.pt", tmp_path / "net.ts")
    monkeypatch.setattr(exporting.importlib.util, "find_spec", lambda name: None)
    message = fails(capsys, "export", model, tmp_path / "net.onnx")
    assert "onnx, onnxscript, onnxruntime" in message and "net.ts (TorchScript)" in message


def test_an_export_that_answers_differently_leaves_no_file(model, tmp_path, capsys, monkeypatch):
    def forgetful(net, example, card, path):
        path.write_bytes(b"something")
        return lambda images: net(images) + (images.shape[-1] != 96)

    monkeypatch.setattr(exporting, "_torchscript", forgetful)
    assert "differs by 1 at 96x144" in fails(capsys, "export", model, tmp_path / "net.ts")
    monkeypatch.setattr(exporting, "_torchscript", lambda net, *_: lambda images: net(images[..., :64, :96]))
    assert "tied to one size" in fails(capsys, "export", model, tmp_path / "net.ts")
    assert not list(tmp_path.glob("net.ts*"))
