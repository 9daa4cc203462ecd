"""Backbones: the papers' parameter counts and sizes, torchvision's weights, and the dense-equals-strided property."""

from pathlib import Path

import pytest
import torch
import torchvision

from segbook import backbones


def parameters(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    "build, count",
    [
        (lambda: backbones.AlexNet(), 2_334_080),
        (lambda: backbones.VGG16(), 14_714_688),
        (lambda: backbones.VGG16(batch_norm=True), 14_723_136),
        (lambda: backbones.ResNet("resnet50"), 23_508_032),
        (lambda: backbones.ResNet("resnet101"), 42_500_160),
        (lambda: backbones.Xception65(), 37_867_312),
        (lambda: backbones.Xception65(middle_blocks=8), 24_920_560),  # Xception-41
    ],
)
def test_parameters(build, count):
    with torch.device("meta"):
        assert parameters(build()) == count


def sides(outputs):
    return [output.shape[-1] for output in outputs]


def test_sizes():
    with torch.device("meta"):
        image = torch.zeros(1, 3, 500, 500)
        assert sides(backbones.VGG16(first_padding=100)(image)) == [349, 175, 88, 44, 22]
        assert backbones.AlexNet(first_padding=100)(image).shape == (1, 256, 21, 21)
        deeplab = backbones.VGG16(output_stride=8, pool_kernel=3)
        assert sides(deeplab(torch.zeros(1, 3, 321, 321))) == [161, 81, 41, 41, 41]
        assert deeplab(torch.zeros(1, 3, 360, 480))[-1].shape[-2:] == (45, 60)
        image = torch.zeros(1, 3, 513, 513)
        for output_stride, side in ((32, 17), (16, 33), (8, 65)):
            assert sides(backbones.ResNet(output_stride=output_stride)(image))[-1] == side
            low_level, features = backbones.Xception65(output_stride=output_stride)(image)
            assert low_level.shape == (1, 256, 129, 129) and features.shape == (1, 2048, side, side)


def test_dilations():
    def rates(net):
        return [block.conv2.dilation[0] for block in net.layer4]

    with torch.device("meta"):
        assert rates(backbones.ResNet(output_stride=16)) == [1, 2, 2]
        assert rates(backbones.ResNet(output_stride=8)) == [2, 4, 4]  # torchvision's rule
        assert rates(backbones.ResNet(output_stride=16, multi_grid=(1, 2, 4))) == [2, 4, 8]
        assert rates(backbones.ResNet(output_stride=8, multi_grid=(1, 2, 4))) == [4, 8, 16]
        vgg = backbones.VGG16(output_stride=8, pool_kernel=3)
    assert [stage[0].dilation[0] for stage in vgg.stages] == [1, 1, 1, 1, 2]


def strides_and_rates(part) -> list[tuple[int, int]]:
    """(stride, rate) of each 3x3 convolution."""
    found = [m for m in part.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)]
    return [(m.stride[0], m.dilation[0]) for m in found]


@pytest.mark.parametrize(
    "output_stride, layer3, layer4",
    [
        (32, [(2, 1)] + 5 * [(1, 1)], [(2, 1), (1, 1), (1, 1)]),
        (16, [(2, 1)] + 5 * [(1, 1)], [(1, 1), (1, 2), (1, 2)]),
        (8, [(1, 1)] + 5 * [(1, 2)], [(1, 2), (1, 4), (1, 4)]),
    ],
)
def test_table_of_resnet(output_stride, layer3, layer4):
    with torch.device("meta"):
        net = backbones.ResNet(output_stride=output_stride)
    assert strides_and_rates(net.layer1) == 3 * [(1, 1)] and strides_and_rates(net.layer2) == [(2, 1)] + 3 * [(1, 1)]
    assert strides_and_rates(net.layer3) == layer3 and strides_and_rates(net.layer4) == layer4


@pytest.mark.parametrize(
    "output_stride, entry3, middle, exit1, exit2",
    [
        (32, 2, (1, 1), [(1, 1), (1, 1), (2, 1)], (1, 1)),
        (16, 2, (1, 1), [(1, 1), (1, 1), (1, 1)], (1, 2)),
        (8, 1, (1, 2), [(1, 2), (1, 2), (1, 2)], (1, 4)),
    ],
)
def test_table_of_xception(output_stride, entry3, middle, exit1, exit2):
    with torch.device("meta"):
        net = backbones.Xception65(output_stride=output_stride)
    assert strides_and_rates(net.stem) == [(2, 1), (1, 1)]
    for block, stride in ((net.entry1, 2), (net.entry2, 2), (net.entry3, entry3)):
        assert strides_and_rates(block) == [(1, 1), (1, 1), (stride, 1)]
    assert strides_and_rates(net.middle) == 16 * 3 * [middle]
    assert strides_and_rates(net.exit1) == exit1 and strides_and_rates(net.exit2) == 3 * [exit2]


@pytest.mark.parametrize("side", [224, 257])
@pytest.mark.parametrize("output_stride, step", [(16, 2), (8, 4)])
def test_dense_features_subsampled_are_the_strided_features(side, output_stride, step):
    torch.manual_seed(0)
    strided = backbones.ResNet(width=0.25).eval().double()
    dense = backbones.ResNet(width=0.25, output_stride=output_stride).eval().double()
    dense.load_state_dict(strided.state_dict())
    image = torch.rand(1, 3, side, side, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(dense(image)[-1][..., ::step, ::step], strided(image)[-1])


def test_torchvision_weights_give_torchvision_features():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 64, 96)
    theirs = torchvision.models.vgg16_bn(weights=None).features.eval()
    ours = backbones.VGG16(batch_norm=True).eval()
    ours.load_torchvision({f"features.{name}": weight for name, weight in theirs.state_dict().items()})
    with torch.no_grad():
        torch.testing.assert_close(ours(image)[-1], theirs(image))

    theirs = torchvision.models.resnet50(weights=None, replace_stride_with_dilation=[False, True, True]).eval()
    ours = backbones.ResNet("resnet50", output_stride=8).eval()
    ours.load_torchvision(theirs.state_dict())
    trunk = torch.nn.Sequential(*list(theirs.children())[:-2])
    with torch.no_grad():
        torch.testing.assert_close(ours(image)[-1], trunk(image))


class LocalWeights:
    """Stands for a torchvision weight enum whose file lies on this machine, or cannot be reached."""

    url = "https://example.invalid/vgg16.pth"

    def __init__(self, path):
        self.path = path

    def get_state_dict(self, progress, check_hash):
        return torch.load(self.path, weights_only=True)


def test_weights_are_loaded_from_a_file(tmp_path):
    state = torchvision.models.vgg16(weights=None).state_dict()
    torch.save(state, tmp_path / "vgg16.pth")
    ours = backbones.VGG16(weights=LocalWeights(tmp_path / "vgg16.pth"))
    assert torch.equal(ours.stages[4][4].weight, state["features.28.weight"])


def test_bad_weights_are_refused(tmp_path):
    with pytest.raises(backbones.WeightsNotFound, match="Download https://example.invalid/vgg16.pth.*checkpoints"):
        backbones.pretrained_state(LocalWeights(tmp_path / "missing.pth"))
    with pytest.raises(TypeError, match="weight enum.*got 'imagenet'"):
        backbones.pretrained_state("imagenet")
    with pytest.raises(ValueError, match="width=1.0 and in_channels=3"):
        backbones.VGG16(width=0.5, weights=LocalWeights(tmp_path))
    with pytest.raises(ValueError, match="vgg16 weights go with batch_norm=False"):
        state = torchvision.models.vgg16(weights=None).state_dict()
        backbones.VGG16(batch_norm=True).load_torchvision(state)


@pytest.mark.parametrize("damage", ["cut", "web page", "empty", "a list", "code"])
def test_a_damaged_file_in_the_cache_is_named_with_what_to_do(tmp_path, monkeypatch, damage):
    """The usual case in a classroom: a download that was cut, or the login page of the network under the file's name."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    weights = torchvision.models.ResNet50_Weights.IMAGENET1K_V2
    file = tmp_path / "hub" / "checkpoints" / Path(weights.url).name
    file.parent.mkdir(parents=True)
    torch.save([1, 2] if damage == "a list" else {"layer.weight": torch.rand(300)}, file)
    content = {"cut": file.read_bytes()[:700], "web page": b"<!DOCTYPE html><html>Log in</html>", "empty": b"",
               "code": b"cos\nsystem\n(S'touch hacked'\ntR."}  # fmt: skip
    file.write_bytes(content.get(damage, file.read_bytes()))
    with pytest.raises(backbones.WeightsNotFound) as caught:
        backbones.ResNet("resnet50", weights=weights)
    message = str(caught.value)
    assert str(file) in message and "Delete it and load again" in message and weights.url in message
    assert len(message) < 700 and file.exists()
    assert not (tmp_path / "hacked").exists(), "code in the file must not run"


def test_the_file_of_another_net_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = torchvision.models.ResNet50_Weights.IMAGENET1K_V2
    file = tmp_path / "hub" / "checkpoints" / Path(weights.url).name
    file.parent.mkdir(parents=True)
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), file)
    for build in (lambda: backbones.ResNet("resnet50", weights=weights), lambda: backbones.VGG16(weights=weights)):
        with pytest.raises(backbones.WeightsDoNotFit, match="do not fit this net.*Delete it and load again") as caught:
            build()
        assert str(file) in str(caught.value)


@pytest.mark.parametrize("build", [backbones.VGG16, backbones.ResNet, backbones.Xception65])
def test_output_strides_that_do_not_exist_are_refused(build):
    with pytest.raises(ValueError, match="output_stride must be one of .*8.*; got 4"):
        build(output_stride=4)


def test_other_bad_options():
    with pytest.raises(ValueError, match="name must be one of resnet50, resnet101; got 'resnet18'"):
        backbones.ResNet("resnet18")
    with pytest.raises(ValueError, match="one number for each of the 3 last blocks"):
        backbones.ResNet(multi_grid=(1, 2))
    with pytest.raises(ValueError, match="pool_kernel=2 cannot keep the size"):
        backbones.VGG16(output_stride=8)
    with pytest.raises(ValueError, match="pool_kernel must be one of 2, 3; got 5"):
        backbones.VGG16(pool_kernel=5)
