"""Chapter 06 beyond its notebook: the heat map with and without ImageNet weights, the stand-in for them, the islands."""

from pathlib import Path

import nbformat
import pytest
import torch
import torchvision

import segbook as sb
from segbook import backbones
from segbook.course import pretraining
from segbook.course.ch06_fcn import figures
from segbook.models import fcn

NOTEBOOK = Path(__file__).resolve().parents[3] / "notebooks" / "06_fcn.ipynb"


@pytest.fixture
def torch_cache(tmp_path, monkeypatch):
    """An empty folder in the place of torch's cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    return checkpoints


def heat_map_cell() -> str:
    """The cell that chooses what the heat map is made of, and draws it."""
    (source,) = (cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if "def tabby_cat" in cell.source)
    return source


def run_heat_map(monkeypatch) -> dict:
    """Execute this cell as the notebook does, with an untrained classifier; returns what it leaves behind."""
    shown = []
    monkeypatch.setattr(sb, "show", lambda figure, alt: shown.append(figure))
    test = sb.data.load("street", "test", count=1)
    classifier = torch.nn.Module()
    classifier.features = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 5), torch.nn.MaxPool2d(2), torch.nn.MaxPool2d(2))
    classifier.classifier = torch.nn.Sequential(torch.nn.Linear(4 * 4 * 4, 11))
    names = {
        "sb": sb, "torch": torch, "torchvision": torchvision, "F": torch.nn.functional, "figures": figures,
        "fcn": fcn, "test": test, "image": test[0][0], "classifier": classifier,
    }  # fmt: skip
    exec(compile(heat_map_cell(), "<heat map>", "exec"), names)
    assert len(shown) == 1
    heat = names["heat"]
    assert heat.ndim == 2 and 0 <= heat.min() and heat.max() <= 1
    return names


def test_heat_map_without_imagenet_weights(torch_cache, monkeypatch, capsys):
    names = run_heat_map(monkeypatch)
    assert names["wanted"] == "car" and "in torch's cache: no" in capsys.readouterr().out
    assert names["view"].shape == (3, 96, 128)


@pytest.mark.slow
def test_heat_map_of_the_cat_with_imagenet_weights(torch_cache, monkeypatch, capsys):
    weights = torchvision.models.AlexNet_Weights.IMAGENET1K_V1
    torch.manual_seed(0)
    state = torchvision.models.alexnet(weights=None).state_dict()
    torch.save(state, torch_cache / Path(weights.url).name)
    names = run_heat_map(monkeypatch)
    assert names["wanted"] == "tabby" and "in torch's cache: yes" in capsys.readouterr().out
    assert torch.equal(names["vector_net"].features[0].weight, state["features.0.weight"])
    assert names["view"].shape == (3, 600, 902) and min(names["heat"].shape) > 10


def test_in_cache(torch_cache):
    weights = torchvision.models.VGG16_Weights.IMAGENET1K_V1
    assert not backbones.in_cache(weights)
    (torch_cache / Path(weights.url).name).write_bytes(b"")
    assert backbones.in_cache(weights)


def test_crops_have_their_class_in_the_middle():
    dataset = sb.data.load("street", "train", count=3)
    images, masks = dataset.tensors()
    crops, names = pretraining.crops_around(dataset, each=5)
    assert crops.shape[1:] == (3, 32, 32) and crops.dtype == torch.uint8 and len(crops) == len(names) <= 55
    assert (names != dataset.ignore_index).all() and names.bincount().max() == 5
    for crop, name in zip(crops, names):
        # Where the pixel in the middle is the crop's, the rest must follow around one that has the class.
        places = (images[:, :, 16:-15, 16:-15] == crop[:, 16:17, 16:17]).all(1) & (masks[:, 16:-15, 16:-15] == name)
        windows = (images[n, :, y : y + 32, x : x + 32] for n, y, x in places.nonzero().tolist())
        assert any(torch.equal(window, crop) for window in windows)
    again = pretraining.crops_around(dataset, each=5)
    assert torch.equal(again[0], crops) and not torch.equal(pretraining.crops_around(dataset, 5, seed=1)[0], crops)


def test_the_classifier_is_trained_once_and_loaded_afterwards(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGBOOK_RUNS", str(tmp_path))
    run = sb.setup("quick", seed=3)
    dataset = run.load("train", count=2)
    first = pretraining.vgg16_classifier(run, dataset, 1 / 16, each=2, epochs=1)
    monkeypatch.setattr(pretraining, "train_crop_classifier", lambda *a, **k: pytest.fail("trained again"))
    second = pretraining.vgg16_classifier(run, dataset, 1 / 16, each=2, epochs=1)
    assert all(torch.equal(w, second.state_dict()[name]) for name, w in first.state_dict().items())
    assert not second.training and not list(tmp_path.rglob("*.partial"))


def test_islands():
    labels = torch.zeros(6, 8, dtype=torch.uint8)
    labels[1, 1:4] = 3  # three pixels
    labels[4:6, 4:8] = 2  # eight
    labels[0, 7] = 3
    expected = torch.zeros(6, 8, dtype=torch.bool)
    expected[1, 1:4] = expected[0, 7] = True
    assert (figures.islands(labels, 3) == expected.numpy()).all()
    assert figures.islands(labels, 8).sum() == 12 and not figures.islands(labels, 0).any()
