"""The command line: what it writes, what it refuses, and that it needs no Jupyter to train."""

import json
import os
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

import segbook
from segbook import cli
from segbook.course import doctor
from segbook.course.saved import ModelCard, save_model
from segbook.data.augment import normalize
from segbook.models.unet import overlap_tile

TINY = ["--width", "0.06", "--batch-size", "2", "--size", "32x48"]


@pytest.fixture(autouse=True)
def environment(monkeypatch, tmp_path):
    """Options change environment variables; give every test its own, and a folder of its own for results."""
    with mock.patch.dict(os.environ):
        os.environ["SEGBOOK_RUNS"] = str(tmp_path / "runs")
        os.environ["SEGBOOK_CACHE"] = str(tmp_path / "cache")
        os.environ.pop("SEGBOOK_DEBUG", None)
        yield


@pytest.fixture
def few_scenes(monkeypatch):
    """Eight scenes a split are enough for the command line."""
    load = segbook.data.load
    monkeypatch.setattr(segbook.data, "load", lambda *a, **k: load(*a, **{**k, "count": min(8, k.get("count") or 8)}))


@pytest.fixture
def model(few_scenes, tmp_path, capsys):
    assert cli.main(["train", "--steps", "2", "--out", str(tmp_path / "trained"), *TINY]) == 0
    capsys.readouterr()
    return tmp_path / "trained" / "model.pt"


def images_in(folder, *names, size=(40, 70)):
    folder.mkdir(exist_ok=True)
    for seed, name in enumerate(names):
        pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return folder


def fails(capsys, *arguments, code=1) -> str:
    """Run a command that must fail, and return its message: one line, no traceback."""
    assert cli.main(list(map(str, arguments))) == code
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert message.startswith("segbook: ") and "Traceback" not in message
    return message


# --- train ------------------------------------------------------------------------------------------------------------


def test_train_writes_model_and_scores(model):
    scores = json.loads((model.parent / "scores.json").read_text())
    assert scores["steps"] == 2 and scores["size"] == [32, 48] and scores["images"] == {"train": 8, "val": 8, "test": 8}
    assert 0 <= scores["mean_iou"] <= 1 and list(scores["iou"]) == list(segbook.data.DRIVING_CLASSES)
    assert sorted(p.name for p in model.parent.iterdir()) == ["checkpoint.pt", "model.pt", "scores.json"]


def test_training_again_loads_and_other_training_is_refused(model, few_scenes, capsys):
    again = ["train", "--out", str(model.parent), *TINY]
    before = torch.load(model, weights_only=True)["state"]
    assert cli.main([*again, "--steps", "2"]) == 0
    after = torch.load(model, weights_only=True)["state"]
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert "recipe.steps" in fails(capsys, *again, "--steps", "3")


def test_options_win_over_the_environment(few_scenes, tmp_path):
    os.environ.update(SEGBOOK_PROFILE="full", SEGBOOK_DATASET="camvid")
    out = tmp_path / "x"
    assert (
        cli.main(["train", "--profile", "quick", "--dataset", "street", "--steps", "1", "--out", str(out), *TINY]) == 0
    )
    assert json.loads((out / "scores.json").read_text())["profile"] == "quick"


def test_training_and_predicting_need_neither_jupyter_nor_matplotlib(tmp_path):
    """In a process in which importing any of them fails."""
    script = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("matplotlib", "IPython", "ipywidgets", "ipykernel", "nbformat", "papermill"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
import segbook
from segbook.cli import main
load = segbook.data.load
segbook.data.load = lambda *a, **k: load(*a, **{{**k, "count": 4}})
assert main(["train", "--steps", "1", "--out", "trained", *{TINY}]) == 0
assert main(["predict", "trained/model.pt", "images", "--out", "predicted"]) == 0
assert main(["run"]) == 1
"""
    images_in(tmp_path / "images", "a.png")
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "is not installed; this command needs it: pip install" in done.stderr


# --- predict ----------------------------------------------------------------------------------------------------------


def test_predict_keeps_names_and_sizes_and_writes_indexed_labels(model, tmp_path):
    images, out = images_in(tmp_path / "images", "a.png", "b.jpg"), tmp_path / "out"
    (images / "notes.txt").write_text("not an image")
    assert cli.main(["predict", str(model), str(images), "--out", str(out)]) == 0
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.png")) == [
        "labels/a.png", "labels/b.png", "overlays/a.png", "overlays/b.png",
    ]  # fmt: skip
    with Image.open(out / "labels" / "a.png") as label, Image.open(out / "overlays" / "a.png") as overlay:
        assert label.mode == "P" and label.size == overlay.size == (70, 40) and overlay.mode == "RGB"
        assert np.asarray(label).max() < 11
        assert label.getpalette()[: 12 * 3] == segbook.data.DRIVING_PALETTE.flatten().tolist()


def test_predict_names_an_unreadable_image_and_labels_the_others(model, tmp_path, capsys):
    images, out = images_in(tmp_path / "images", "a.png"), tmp_path / "out"
    (images / "broken.png").write_bytes(b"no image")
    assert "broken.png" in fails(capsys, "predict", model, images, "--out", out)
    assert [p.name for p in (out / "labels").iterdir()] == ["a.png"]


def test_predict_does_not_write_into_a_folder_that_is_not_empty(model, tmp_path, capsys):
    images, out = images_in(tmp_path / "images", "a.png"), tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    assert "--overwrite" in fails(capsys, "predict", model, images, "--out", out)
    assert [p.name for p in out.iterdir()] == ["mine.txt"]
    assert cli.main(["predict", str(model), str(images), "--out", str(out), "--overwrite"]) == 0
    assert (out / "mine.txt").read_text() == "keep" and (out / "labels" / "a.png").exists()


def test_predict_refuses_two_images_of_one_name(model, tmp_path, capsys):
    images = images_in(tmp_path / "images", "a.png", "a.jpg")
    assert "would both become a.png" in fails(capsys, "predict", model, images, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_predict_refuses_what_is_no_model(model, tmp_path, capsys):
    images, foreign = images_in(tmp_path / "images", "a.png"), tmp_path / "foreign.pt"
    out = ["--out", tmp_path / "out"]
    foreign.write_bytes(b"something")
    assert "foreign.pt is damaged" in fails(capsys, "predict", foreign, images, *out)
    assert "not 'segbook model 1'" in fails(capsys, "predict", model.parent / "checkpoint.pt", images, *out)
    assert "there is no model file" in fails(capsys, "predict", tmp_path / "gone.pt", images, *out)
    assert "there is no folder" in fails(capsys, "predict", model, tmp_path / "gone", *out)
    (tmp_path / "empty").mkdir()
    assert "holds no image" in fails(capsys, "predict", model, tmp_path / "empty", *out)
    assert "a.png is a file; name the folder" in fails(capsys, "predict", model, images / "a.png", *out)
    assert f"the model in it is {model}" in fails(capsys, "predict", model.parent, images, *out)


@pytest.mark.parametrize("damage", [lambda data: data[:5000], lambda data: data[:3000] + b"?" + data[3001:]])
def test_predict_names_a_model_that_was_cut_short_or_changed(model, tmp_path, capsys, damage):
    images, damaged = images_in(tmp_path / "images", "a.png"), tmp_path / "damaged.pt"
    damaged.write_bytes(damage(model.read_bytes()))
    assert "damaged.pt is damaged" in fails(capsys, "predict", damaged, images, "--out", tmp_path / "out")


def test_a_net_that_does_not_fit_into_memory_is_told(few_scenes, tmp_path, capsys):
    tiny = TINY[: TINY.index("--width")] + TINY[TINY.index("--width") + 2 :]
    message = fails(capsys, "train", "--steps", "2", *tiny, "--width", "1e9", "--out", tmp_path / "out")
    assert "out of memory: lower --batch-size" in message and not (tmp_path / "out").exists()


def test_a_record_that_cannot_be_written_is_told_before_the_training(few_scenes, tmp_path, capsys):
    (tmp_path / "file").touch()
    places = ["--results", tmp_path / "file", "--out", tmp_path / "out"]
    assert f"{tmp_path / 'file'} is a file" in fails(capsys, "train", "--steps", "2", *TINY, *places)
    assert not (tmp_path / "out").exists()


def test_a_file_where_a_folder_is_needed_is_named(model, tmp_path, capsys):
    images, file = images_in(tmp_path / "images", "a.png"), tmp_path / "file"
    file.touch()
    for command in (["run", "5"], ["predict", model, images], ["data", "sample"]):
        for out in (file, file / "inside"):
            message = fails(capsys, *command, "--out", out)
            assert f"{file} is a file" in message and "Errno" not in message


@pytest.mark.parametrize("variable, word", [("SEGBOOK_PROFILE", "profile"), ("SEGBOOK_DATASET", "data set")])
def test_run_refuses_unknown_names_in_the_environment_before_it_starts(variable, word, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(variable, "nope")
    message = fails(capsys, "run", "5", "--out", tmp_path / "out", code=2)
    assert f"there is no {word} (from {variable}) 'nope'; choose one of" in message
    assert not (tmp_path / "out").exists()


def test_run_refuses_a_data_set_that_is_not_here_before_it_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SEGBOOK_DATA", str(tmp_path / "data"))
    message = fails(capsys, "run", "5", "--dataset", "camvid", "--out", tmp_path / "out")
    assert "python -m segbook data camvid" in message
    assert not (tmp_path / "out").exists()


# --- data, doctor, usage ----------------------------------------------------------------------------------------------


def test_sample_can_be_loaded_as_a_folder(tmp_path):
    assert cli.main(["data", "sample", "--out", str(tmp_path / "sample"), "--count", "2"]) == 0
    sample = segbook.data.load("folder", "all", root=tmp_path / "sample")
    scenes = segbook.data.load("street", "train", count=2)
    assert sample.classes == scenes.classes and len(sample) == 2
    assert torch.equal(sample[1][0], scenes[1][0])
    labelled = scenes[1][1] != scenes.ignore_index
    assert torch.equal(sample[1][1][labelled], scenes[1][1][labelled])


def test_data_lists_every_data_set(capsys):
    assert cli.main(["data"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(segbook.data.NAMES)


@pytest.mark.parametrize("arguments", [["data", "fetch", "camvid"], ["data", "camvid"]])
def test_data_fetches(arguments, monkeypatch, tmp_path, capsys):
    asked = []
    monkeypatch.setattr(segbook.data, "download_dataset", lambda *a: asked.append(a) or tmp_path)
    assert cli.main([*arguments, "--root", str(tmp_path)]) == 0
    assert asked == [("camvid", tmp_path)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--model", "vgg"], "there is no model 'vgg'; choose one of: "),
        (["train", "--dataset", "coco"], "there is no data set 'coco'; choose one of: street"),
        (["train", "--profile", "slow"], "there is no profile 'slow'; choose one of: quick, full"),
        (["run", "77"], "there is no chapter '77'"),
        (["data", "fetch"], "name one data set"),
        (["data", "fetch", "street"], "street needs no download"),
        (["data", "camvid", "voc2012"], "name one data set"),
    ],
)
def test_wrong_names_are_usage_errors(arguments, message, capsys):
    assert message in fails(capsys, *arguments, code=2)


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--size", "9"],
        ["train", "--size", "96x16"],
        ["train", "--steps", "0"],
        ["train", "--width", "-1"],
        ["train", "--seed", "-3"],
        ["run", "--jobs", "0"],
        ["predict", "model.pt"],
        ["fly"],
    ],
)
def test_wrong_options_are_usage_errors(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 2
    assert "usage: " in capsys.readouterr().err


def test_missing_data_is_one_line(tmp_path, capsys):
    os.environ["SEGBOOK_DATA"] = str(tmp_path)
    assert "python -m segbook data camvid" in fails(capsys, "train", "--dataset", "camvid")


def test_debug_shows_the_traceback(tmp_path):
    os.environ["SEGBOOK_DEBUG"] = "1"
    with pytest.raises(FileNotFoundError):
        cli.main(["predict", str(tmp_path / "gone.pt"), str(tmp_path), "--out", str(tmp_path / "out")])


def test_mistakes_of_our_own_are_not_hidden(monkeypatch):
    def fault(options):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(cli, "version", fault)
    with pytest.raises(RuntimeError):
        cli.main(["version"])


def test_version(capsys):
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out == f"segbook {segbook.__version__}\n"


def test_doctor_is_content_here_and_says_how_to_get_data(capsys):
    assert doctor.report() == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("data: street" in line and line.startswith("ok") for line in lines)
    assert any("python -m segbook data pets" in line for line in lines)


def test_doctor_fails_when_something_required_is_missing(monkeypatch, capsys):
    monkeypatch.setattr(doctor, "python", lambda: doctor.Finding("Python", "missing", "2.7"))
    assert doctor.report() == 1
    assert "Missing: Python." in capsys.readouterr().out


def test_doctor_names_a_package_that_is_not_installed():
    finding = doctor.package("segbook-no-such-package", "nothing")
    assert finding.state == "missing" and "pip install -r requirements.txt" in finding.text


def test_doctor_reports_damaged_data_instead_of_stopping(tmp_path):
    os.environ["SEGBOOK_DATA"] = str(tmp_path)
    for folder in ("train", "trainannot"):
        (tmp_path / "camvid" / folder).mkdir(parents=True)
    (tmp_path / "camvid" / "train" / "lonely.png").write_bytes(b"")
    finding = doctor.dataset("camvid")
    assert finding.state == "advice" and "lonely" in finding.text


# ---------------------------------------------------------------- nets without padding, weights that are not numbers


def test_an_unpadded_net_labels_every_pixel(tmp_path):
    """The labels are those of the overlap-tile strategy, not the inner window stretched over the image."""
    torch.manual_seed(0)
    net = segbook.models.build("unet", 2, width=1 / 16, padding="valid").eval()
    card = ModelCard("unet", 1 / 16, ["a", "b"], [[0, 0, 0], [255, 0, 0], [9, 9, 9]], None, "toy", {"padding": "valid"})
    save_model(tmp_path / "model.pt", net, card)
    folder = images_in(tmp_path / "images", "a.png", size=(60, 77))
    assert cli.main(["predict", str(tmp_path / "model.pt"), str(folder), "--out", str(tmp_path / "out")]) == 0
    pixels = torch.from_numpy(np.array(Image.open(folder / "a.png"))).permute(2, 0, 1)[None]
    with torch.no_grad():
        right = overlap_tile(net, normalize(pixels)).argmax(1)[0].numpy()
    assert 0 < right.mean() < 1
    assert np.array_equal(np.array(Image.open(tmp_path / "out" / "labels" / "a.png")), right)


def test_an_unpadded_net_is_exported_with_its_margin(tmp_path, capsys):
    torch.manual_seed(0)
    net = segbook.models.build("unet", 2, width=1 / 16, padding="valid").eval()
    card = ModelCard("unet", 1 / 16, ["a", "b"], [[0, 0, 0]] * 3, [96, 128], "toy", {"padding": "valid"})
    save_model(tmp_path / "model.pt", net, card)
    assert cli.main(["export", str(tmp_path / "model.pt"), str(tmp_path / "net.ts")]) == 0
    assert "logits [N, 2, H - 184, W - 184] out" in capsys.readouterr().out


def test_weights_that_are_not_numbers_are_refused_by_name(tmp_path, capsys):
    net = segbook.models.build("unet", 2, width=1 / 16)
    card = ModelCard("unet", 1 / 16, ["a", "b"], [[0, 0, 0]] * 3, [32, 32], "toy")
    path = tmp_path / "model.pt"
    save_model(path, net, card)
    saved = torch.load(path, weights_only=True)
    saved["state"]["classifier.bias"][0] = float("nan")
    torch.save(saved, path)
    folder = images_in(tmp_path / "images", "a.png")
    for command in (["predict", path, folder, "--out", tmp_path / "out"], ["export", path, tmp_path / "net.ts"]):
        message = fails(capsys, *command)
        assert str(path) in message and "weight classifier.bias are nan or infinite" in message
    assert not (tmp_path / "out").exists() and not (tmp_path / "net.ts").exists()
    with torch.no_grad():
        net.classifier.bias[0] = float("inf")
    with pytest.raises(FloatingPointError, match="such a model is not saved in"):
        save_model(tmp_path / "other.pt", net, card)
    assert not (tmp_path / "other.pt").exists()
