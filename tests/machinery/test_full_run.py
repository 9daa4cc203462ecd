"""`segbook train`: every net of the full profile runs, is written down, and can be loaded again."""

import json
import os
import subprocess
from dataclasses import replace
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

import segbook
from segbook import cli, parallel
from segbook.course import full_run, leaderboard, profiles
from segbook.course.full_run import TrainOptions
from segbook.course.saved import ModelCard, load_model, save_model
from segbook.course.session import setup
from segbook.data import BadData, DataNotFound
from segbook.losses import cross_entropy
from segbook.training import loop

pytestmark = pytest.mark.slow  # processes of their own

NETS = segbook.models.names()
TINY = ["--steps", "2", "--batch-size", "2", "--width", "0.06", "--size", "64x96"]
CLASSES = len(segbook.data.DRIVING_CLASSES)


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    """Options change environment variables; give every test its own, and folders of its own for what is written."""
    with mock.patch.dict(os.environ):
        os.environ["SEGBOOK_RUNS"] = str(tmp_path / "runs")
        for name in ("SEGBOOK_DEBUG", "SEGBOOK_PROFILE", "SEGBOOK_DATASET"):
            os.environ.pop(name, None)
        monkeypatch.setattr(leaderboard, "RESULTS", tmp_path / "results")
        yield


@pytest.fixture
def few(monkeypatch):
    """Four images a split are enough for the command line."""
    load = segbook.data.load
    monkeypatch.setattr(segbook.data, "load", lambda *a, **k: load(*a, **{**k, "count": min(4, k.get("count") or 4)}))


@pytest.fixture
def camvid(tmp_path):
    """A data folder with six, two and three images of noise in CamVid's layout."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 2), ("test", 3)):
        for folder in (split, f"{split}annot"):
            (tmp_path / "data" / "camvid" / folder).mkdir(parents=True)
        for i in range(count):
            image, label = generator.integers(0, 255, (40, 56, 3)), generator.integers(0, 12, (40, 56))
            for folder, pixels in ((split, image), (f"{split}annot", label)):
                Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "data" / "camvid" / folder / f"{i}.png")
    os.environ["SEGBOOK_DATA"] = str(tmp_path / "data")
    return tmp_path / "data" / "camvid"


def train(*arguments, code=0) -> None:
    assert cli.main(["train", "--profile", "full", *map(str, arguments)]) == code


def only_record(tmp_path) -> dict:
    (path,) = (tmp_path / "runs" / "train").glob("*/scores.json")
    return leaderboard.read(path)


# ---------------------------------------------------------------- every net, by the command that a GPU would get


@pytest.mark.parametrize("name", NETS)
def test_dry_run(name, few, tmp_path):
    """Real CamVid where it is, Street elsewhere; two steps of a thin net on small images."""
    try:
        segbook.data.load("camvid", "train")
        dataset = "camvid"
    except DataNotFound:
        dataset = "street"
    train("--model", name, "--dataset", dataset, "--results", tmp_path / "results", *TINY)
    record = only_record(tmp_path)
    assert record == leaderboard.read(tmp_path / "results" / f"{dataset}-{name}.json")
    assert record["options"] == profiles.FULL.options_for(name) and record["profile"] == "full"
    assert record["steps"] == 2 and record["size"] == [64, 96] and len(record["overrides"]) == 4
    assert record["recipe"]["augment"]["crop"] == [64, 96] and record["recipe"]["mixed_precision"]
    assert record["images_per_second"] > 0 and record["hardware"]["device"] == "cpu"
    assert list(record["iou"]) == list(segbook.data.DRIVING_CLASSES)
    model, card = load_model(next((tmp_path / "runs").rglob("model.pt")))
    assert (card.model, card.dataset, sum(p.numel() for p in model.parameters() if p.requires_grad)) == (
        name, dataset, record["parameters"],
    )  # fmt: skip
    (row,) = leaderboard.committed(dataset, tmp_path / "results")
    assert row.system == name and "2 instead of" in row.note


@pytest.mark.parametrize("name", NETS)
def test_every_net_learns_in_bfloat16(name):
    """The types of mixed precision on a CPU: forward, loss and backward pass run, and the gradients are numbers."""
    torch.manual_seed(0)
    model = segbook.models.build(name, CLASSES, width=0.06, **profiles.FULL.options_for(name))
    model.to(memory_format=torch.channels_last).train()
    images = torch.randn(2, 3, 64, 96).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
        loss = cross_entropy(11, torch.ones(CLASSES))(logits, torch.randint(0, CLASSES, (2, 64, 96)))
    assert loss.dtype == torch.float32
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", NETS)
def test_a_full_recipe_is_the_net_of_the_paper_at_camvids_size(name):
    recipe = profiles.FULL.recipe_for(name)
    assert profiles.FULL.width_for(name) == 1 and profiles.FULL.size_for("camvid") == (360, 480)
    assert recipe.mixed_precision and recipe.channels_last and recipe.schedule == "one_cycle"
    assert recipe.augment.crop == (360, 480) and recipe.validate_every
    assert 80 <= recipe.steps * recipe.batch_size / 367 <= 200, "epochs"
    assert {split: profiles.FULL.count_for("camvid", split) for split in ("train", "val", "test")} == {
        "train": None, "val": None, "test": None,
    }  # fmt: skip


# ---------------------------------------------------------------- saved models


@pytest.mark.parametrize("profile", profiles.PROFILES.values(), ids=lambda profile: profile.name)
@pytest.mark.parametrize("name", NETS)
def test_a_saved_net_gives_the_same_logits_again(name, profile, tmp_path):
    torch.manual_seed(0)
    built, options = profile.architecture_for(name), profile.options_for(name)
    model = segbook.models.build(built, 4, width=0.06, **options).eval()
    card = ModelCard(built, 0.06, list("abcd"), [[0, 0, 0]] * 5, [32, 48], "toy", dict(options))
    save_model(tmp_path / "model.pt", model, card)
    loaded, found = load_model(tmp_path / "model.pt")
    assert found == card and not loaded.training
    images = torch.randn(1, 3, 64, 80)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(images), model(images))


def save_as_before(path, name, **options):
    """A file of the version that did not keep the options."""
    model = segbook.models.build(name, 4, width=0.06, **options)
    card = {"model": name, "width": 0.06, "classes": list("abcd"), "size": None, "dataset": "toy"}
    card["palette"] = [[0, 0, 0]] * 5
    torch.save({"format": "segbook model 1", "card": card, "state": model.state_dict()}, path)
    return path


def test_old_files_load_where_the_options_were_the_defaults(tmp_path):
    model, card = load_model(save_as_before(tmp_path / "old.pt", "unet"))
    assert card.options == {} and card.model == "unet"


def test_old_files_that_need_options_are_refused(tmp_path):
    path = save_as_before(tmp_path / "old.pt", "fcn8s", padding=1, batch_norm=True)
    with pytest.raises(ValueError, match="old.pt do not fit fcn8s.*options were not saved.*train it again"):
        load_model(path)


def test_cards_and_files_that_do_not_fit_are_refused(tmp_path):
    model = segbook.models.build("unet", 4, width=0.06)
    card = ModelCard("unet", 0.06, list("abcd"), [[0, 0, 0]] * 5, None, "toy")
    with pytest.raises(ValueError, match="the card .* is not this model's"):
        save_model(tmp_path / "model.pt", model, replace(card, width=0.25))
    assert list(tmp_path.glob("*.pt*")) == []
    save_model(tmp_path / "model.pt", model, card)
    saved = torch.load(tmp_path / "model.pt", weights_only=True)
    for change, message in (
        ({"options": {"levels": 3}}, "do not fit unet"),
        ({"options": {"depth": 3}}, "cannot build: unet has no option 'depth'"),
        ({"model": "vgg"}, "cannot build: unknown model 'vgg'"),
        ({"colour": 1}, "is damaged or is no model of this course"),
        ({"width": float("inf")}, "no model of this course: width is inf"),
        ({"width": "1"}, "width is '1'"),
        ({"size": [0, -5]}, "size is"),
        ({"size": ["a", "b"]}, "size is"),
        ({"palette": [[0, 0, 0]]}, "palette is"),
        ({"palette": [[0, 0, -1]] * 5}, "palette is"),
        ({"classes": None}, "classes is None"),
        ({"options": {"levels": [[]] * 3}}, "cannot build"),
        ({"view": "hole"}, "view is 'hole'"),
        ({"stretch": [5, 1]}, "stretch is"),
    ):
        torch.save({**saved, "card": saved["card"] | change}, tmp_path / "changed.pt")
        with pytest.raises(ValueError, match=message):
            load_model(tmp_path / "changed.pt")
    for state, message in ((None, "no weights"), ({"a": "b"}, "no weights"), ("x", "no weights")):
        torch.save({**saved, "state": state}, tmp_path / "changed.pt")
        with pytest.raises(ValueError, match=message):
            load_model(tmp_path / "changed.pt")
    name = next(iter(saved["state"]))
    saved["state"][name][:] = float("nan")
    torch.save(saved, tmp_path / "changed.pt")
    with pytest.raises(ValueError, match="cannot be used: .*train it again"):
        load_model(tmp_path / "changed.pt")


# ---------------------------------------------------------------- which split counts


SMALL = ["--dataset", "camvid", "--steps", "1", "--batch-size", "2", "--width", "0.06", "--size", "32x48"]


def test_test_images_are_scored_at_the_end_where_they_are(camvid, tmp_path, capsys):
    train(*SMALL)
    record = only_record(tmp_path)
    assert record["split"] == "test" and record["images"] == {"train": 6, "val": 2, "test": 3}
    assert set(record["val"]) == {"mean_iou", "pixel_accuracy", "iou"} and record["val"]["iou"] != record["iou"]
    assert record["validation"] == [[1, record["val"]["mean_iou"]]]
    printed = capsys.readouterr().out
    assert "val mIoU" in printed and "test mIoU" in printed and "images/s" in printed


def test_without_test_images_val_counts(camvid, tmp_path, capsys):
    for folder in ("test", "testannot"):
        (camvid / folder).rename(camvid / f"no {folder}")
    train(*SMALL)
    record = only_record(tmp_path)
    assert record["split"] == "val" and record["images"] == {"train": 6, "val": 2} and "val" not in record
    assert "test mIoU" not in capsys.readouterr().out


def test_damaged_test_images_stop_it_before_the_training(camvid, tmp_path, capsys):
    (camvid / "testannot" / "1.png").unlink()
    with pytest.raises(BadData, match="no label map"):
        _ = setup(dataset="camvid").eval_split
    train(*SMALL, code=1)
    assert "1.png" in capsys.readouterr().err
    (camvid / "testannot" / "1.png").write_bytes(b"no image")
    train(*SMALL, code=1)
    assert "1.png" in capsys.readouterr().err and not list((tmp_path / "runs").rglob("*.pt"))


def test_data_sets_that_never_had_a_test_split_are_judged_by_val():
    os.environ["SEGBOOK_DATA"] = "nowhere"
    assert setup(dataset="isbi2012").eval_split == setup(dataset="camvid").eval_split == "val"
    assert setup(dataset="street").eval_split == "test"


# ---------------------------------------------------------------- what is written, and where


def test_only_the_unchanged_full_profile_goes_to_results(tmp_path):
    os.environ["SEGBOOK_PROFILE"] = "full"
    full, wish = setup(dataset="camvid"), TrainOptions("unet")
    assert full_run.describe_overrides(wish, full) == []
    assert full_run.results_file(wish, full, []) == tmp_path / "results" / "camvid-unet.json"
    other = setup(dataset="camvid", seed=3)
    assert full_run.results_file(wish, other, []) == tmp_path / "results" / "camvid-unet-seed3.json"
    changed = TrainOptions("unet", steps=5, batch_size=16, width=0.5, size=(180, 240))
    assert full_run.describe_overrides(changed, full) == [
        "5 instead of 2500 steps", "width 0.5 instead of 1.0", "images of 180×240 instead of 360×480",
    ]  # fmt: skip
    assert full_run.results_file(changed, full, ["something"]) is None
    asked = replace(changed, results=tmp_path / "mine")
    assert full_run.results_file(asked, full, ["something"]) == tmp_path / "mine" / "camvid-unet.json"
    os.environ["SEGBOOK_PROFILE"] = "quick"
    assert full_run.results_file(wish, setup(dataset="camvid"), []) is None


def test_other_training_has_another_folder():
    run = setup()
    folders = {
        full_run.default_folder(wish, run).name
        for wish in (
            TrainOptions("unet"),
            TrainOptions("unet", steps=3),
            TrainOptions("unet", size=(32, 48)),
            TrainOptions("segnet"),
        )
    }
    assert len(folders) == 4 and "unet-street-quick-seed0" in folders


def test_the_window_follows_the_images_and_processes_multiply_the_batch():
    os.environ["SEGBOOK_PROFILE"] = "full"
    run, usual = setup(dataset="camvid"), profiles.FULL.recipe_for("unet")
    alone = full_run.recipe_for(TrainOptions("unet"), run, parallel.Team())
    assert alone == usual
    four = full_run.recipe_for(TrainOptions("unet", batch_size=6, size=(180, 120)), run, parallel.Team(1, 4))
    assert four.batch_size == 24 and four.augment.crop == (180, 120) and four.steps == usual.steps
    assert full_run.recipe_for(TrainOptions("unet"), run, parallel.Team(0, 2)).batch_size == 2 * usual.batch_size


def test_an_interrupted_run_goes_on(camvid, tmp_path, monkeypatch):
    rate = loop.learning_rate

    def interrupt(recipe, step):
        if step == 60:
            raise KeyboardInterrupt
        return rate(recipe, step)

    monkeypatch.setattr(loop, "learning_rate", interrupt)
    command = ["--dataset", "camvid", "--steps", "70", "--batch-size", "1", "--width", "0.06", "--size", "32x48"]
    train(*command, code=130)
    monkeypatch.undo()
    monkeypatch.setattr(leaderboard, "RESULTS", tmp_path / "results")
    assert not list((tmp_path / "runs").rglob("scores.json"))
    train(*command)
    record = only_record(tmp_path)
    assert record["resumed_from_step"] == 60 and record["steps"] == 70


def test_the_revision_is_null_without_git(monkeypatch, tmp_path):
    monkeypatch.setattr(full_run, "ROOT", tmp_path)
    assert full_run.git_revision() is None

    def no_git(*args, **kwargs):
        raise FileNotFoundError("git")

    monkeypatch.setattr(full_run.subprocess, "run", no_git)
    assert full_run.git_revision() is None


def test_the_revision_is_that_of_the_course_and_says_when_files_differ(monkeypatch, tmp_path):
    def git(*arguments):
        subprocess.run(["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True)

    try:
        git("init", "-q")
    except FileNotFoundError:
        pytest.skip("git is not installed")
    (tmp_path / "segbook").mkdir()
    (tmp_path / "segbook" / "a.py").write_text("1")
    git("add", ".")
    git("commit", "-qm", "first")
    monkeypatch.setattr(full_run, "ROOT", tmp_path)
    clean = full_run.git_revision()
    assert len(clean) == 40
    (tmp_path / "segbook" / "a.py").write_text("2")
    assert full_run.git_revision() == clean + "+"
    monkeypatch.setattr(full_run, "ROOT", tmp_path / "segbook")  # the course inside somebody else's repository
    assert full_run.git_revision() is None


# ---------------------------------------------------------------- compiling


def test_compiling_says_what_is_missing(few, monkeypatch, capsys):
    def missing(*args, **kwargs):
        raise RuntimeError("Failed to find a C++ compiler\nand a long story")

    monkeypatch.setattr(torch, "compile", missing)
    train("--compile", *TINY, code=1)
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "torch.compile does not work here: Failed to find a C++ compiler (it needs" in message
    assert "long story" not in message and "train without it" in message


def test_compiled_training_is_the_same_training(few, tmp_path, monkeypatch):
    """With a compiler that changes nothing: the net that is saved is the plain one."""
    seen = []
    monkeypatch.setattr(torch, "compile", lambda thing: seen.append(thing) or thing)
    train("--compile", *TINY)
    assert len(seen) == 2 and only_record(tmp_path)["compiled"]
    assert load_model(next((tmp_path / "runs").rglob("model.pt")))[1].model == "unet"


# ---------------------------------------------------------------- all nine in turn


@pytest.fixture
def children(few, monkeypatch):
    """Stand in for the processes that ``--model all`` starts: each writes what a finished run leaves, or fails."""
    started = SimpleNamespace(commands=[], failing=set())

    def run(command, **options):
        assert command[1:4] == ["-m", "segbook", "train"]
        parsed = cli.build_parser().parse_args(command[3:])
        started.commands.append(parsed)
        if parsed.model in started.failing:
            return SimpleNamespace(returncode=1)
        record = {
            "format": leaderboard.FORMAT, "model": parsed.model, "dataset": "street", "split": "test", "mean_iou": 0.5,
            "pixel_accuracy": 0.9, "iou": {}, "size": [64, 96], "width": 1, "parameters": 1, "steps": 1, "seconds": 1,
            "overrides": [],
        }  # fmt: skip
        parsed.out.mkdir(parents=True)
        (parsed.out / "scores.json").write_text(json.dumps(record))
        (parsed.out / "model.pt").touch()
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(full_run.subprocess, "run", run)
    return started


def test_all_nets_in_turn_a_failure_stops_nothing_and_finished_ones_are_skipped(children, capsys):
    children.failing = {"segnet"}
    train("--model", "all", *TINY, code=1)
    assert [command.model for command in children.commands] == NETS
    captured = capsys.readouterr()
    assert "8 trained, 0 finished before, 1 failed" in captured.out and "failed: segnet" in captured.err

    children.commands.clear()
    children.failing = set()
    train("--model", "all", *TINY)
    assert [command.model for command in children.commands] == ["segnet"]
    assert "1 trained, 8 finished before, 0 failed" in capsys.readouterr().out


def test_a_damaged_record_or_a_missing_net_is_trained_again(children, tmp_path):
    train("--model", "all")
    folders = sorted((tmp_path / "runs" / "train").iterdir())
    (folders[0] / "scores.json").write_text("{")
    (folders[1] / "model.pt").unlink()
    assert [full_run.is_done(folder) for folder in folders] == [False, False] + [True] * 7


def test_every_child_is_asked_for_the_same(children, tmp_path):
    train("--model", "all", "--seed", 4, "--compile", "--out", tmp_path / "x", "--results", tmp_path / "y", *TINY)
    command = children.commands[3]
    assert (command.steps, command.batch_size, command.width, command.size) == (2, 2, 0.06, (64, 96))
    assert command.seed == 4 and command.compile and command.results == tmp_path / "y"
    assert command.out == tmp_path / "x" / command.model
    assert os.environ["SEGBOOK_PROFILE"] == "full", "the children inherit profile and data set"


def test_all_of_them_under_torchrun_are_refused(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    train("--model", "all", code=2)
    assert "name it with --model" in capsys.readouterr().err
