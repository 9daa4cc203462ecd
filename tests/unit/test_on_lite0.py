"""The papers' heads on EfficientNet-Lite0: the face of every net, options, what cannot stand on it, and training."""

import json

import pytest
import torch

import segbook as sb
from segbook import backbones, cli, models
from segbook.backbones import efficientnet
from segbook.course import profiles
from segbook.course.saved import load_model
from segbook.models.on_lite0 import CONSTRUCTORS, LITE0


def small(name, num_classes=5, **options):
    torch.manual_seed(0)
    return models.build(name, num_classes, width=1 / 8, backbone=LITE0, **options)


@pytest.mark.parametrize("name", CONSTRUCTORS)
class TestEveryModel:
    @pytest.mark.parametrize("size", [(32, 32), (33, 47), (90, 61)])
    def test_logits_have_the_size_of_the_input(self, name, size):
        with torch.no_grad():
            assert small(name).eval()(torch.rand(2, 3, *size)).shape == (2, 5, *size)

    def test_every_parameter_gets_a_gradient(self, name):
        model = small(name).train()
        model(torch.rand(2, 3, 64, 64)).square().mean().backward()
        assert [n for n, p in model.named_parameters() if p.grad is None] == []

    def test_images_of_a_batch_do_not_see_each_other(self, name):
        model, images = small(name).eval().double(), torch.rand(3, 3, 64, 64, dtype=torch.float64)
        for layer in model.head.modules():  # the scores start at zero; here they must say something
            if isinstance(layer, torch.nn.Conv2d):
                torch.nn.init.normal_(layer.weight, std=0.1)
        with torch.no_grad():
            logits = model(images)
            assert logits.std() > 1e-3
            torch.testing.assert_close(logits[1:2], model(images[1:2]))

    def test_other_channel_counts(self, name):
        assert small(name, in_channels=1)(torch.rand(2, 1, 64, 64)).shape == (2, 5, 64, 64)

    def test_bad_input_is_refused(self, name):
        with pytest.raises(TypeError, match=f"{name} has no option 'padding'; it has: .*backbone_weights"):
            small(name, padding=100)
        with pytest.raises(ValueError, match="pretrained weights fit the paper's net only"):
            small(name, backbone_weights="imagenet")
        with pytest.raises(ValueError, match='"imagenet" or None'):
            small(name, backbone_weights="coco")

    def test_profiles_build_it(self, name):
        session = sb.Run(profiles.QUICK, "street", 0, torch.device("meta"))
        with torch.device("meta"):
            model = session.model(name, 11, backbone=LITE0)
            assert model.backbone.out_channels == [16, 24, 40, 112, 320]


@pytest.mark.parametrize(
    "name, options, stride",
    [
        ("fcn32s", {}, 32), ("fcn16s", {}, 16), ("fcn8s", {}, 8), ("unet", {}, 4), ("unet", {"stride": 2}, 2),
        ("deeplab_v1", {}, 8), ("deeplab_v2", {}, 8), ("deeplab_v2", {"output_stride": 16}, 16), ("deeplab_v3", {}, 16),
        ("deeplab_v3", {"output_stride": 8}, 8), ("deeplab_v3plus", {}, 4),
    ],
)  # fmt: skip
def test_stride_of_the_scores(name, options, stride):
    assert small(name, **options).eval().coarse_logits(torch.rand(1, 3, 64, 96)).shape == (
        1,
        5,
        64 // stride,
        96 // stride,
    )


def test_rates_are_options():
    model = small("deeplab_v3plus", rates=(1, 3))
    assert [branch[0].dilation[0] for branch in model.head.aspp.convs[1:3]] == [1, 3]
    assert len(small("deeplab_v2", rates=(2, 4, 8)).head.branches) == 3
    assert small("deeplab_v1", rate=5).head.layers[1][0].dilation == (5, 5)


def test_what_cannot_stand_on_it():
    with pytest.raises(ValueError, match="segnet cannot be built on efficientnet_lite0; these can: fcn32s, "):
        small("segnet")
    with pytest.raises(ValueError, match="stride must be one of 2, 4; got 8"):
        small("unet", stride=8)


@pytest.fixture
def installed():
    try:
        efficientnet.weights_file()
    except backbones.WeightsNotFound as error:
        pytest.skip(str(error))


def test_imagenet_weights_arrive_in_the_backbone(installed):
    model = models.build("fcn8s", 11, backbone=LITE0, backbone_weights="imagenet")
    assert torch.equal(model.backbone.stem[0].weight, next(iter(efficientnet.imagenet_state().values())))


def test_train_on_the_backbone(installed, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SEGBOOK_DEVICE", "cpu")
    monkeypatch.setattr(profiles, "PROFILES", {"quick": tiny_profile()})
    command = ["train", "--model", "fcn8s", "--backbone", LITE0, "--steps", "2", "--batch-size", "2", "--size", "32x48"]
    assert cli.main([*command, "--out", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "scores.json").read_text())
    assert record["options"] == {"backbone": LITE0} and record["width"] == 1.0
    assert f"on {LITE0} with ImageNet weights" in record["overrides"]
    model, card = load_model(tmp_path / "model.pt")
    assert card.options == {"backbone": LITE0} and model(torch.rand(1, 3, 32, 48)).shape == (1, 11, 32, 48)


def tiny_profile():
    from dataclasses import replace

    return replace(profiles.QUICK, count={"*": {"train": 4, "val": 1, "test": 1}})


def test_command_line_names_what_it_cannot_build(capsys):
    assert cli.main(["train", "--model", "unet", "--backbone", "resnet18"]) == 2
    assert "there is no backbone 'resnet18'; choose one of: efficientnet_lite0" in capsys.readouterr().err
    assert cli.main(["train", "--model", "segnet", "--backbone", LITE0]) == 2
    assert "there is no model on efficientnet_lite0 'segnet'; choose one of: fcn32s" in capsys.readouterr().err
