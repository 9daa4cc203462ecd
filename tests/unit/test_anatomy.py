import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from segbook.anatomy import count_macs, count_parameters, receptive_field, stages


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("alexnet", 61_100_840), ("vgg16", 138_357_544), ("vgg16_bn", 138_365_992), ("resnet50", 25_557_032)],
)
def test_parameters_of_known_nets(name, parameters):
    with torch.device("meta"):
        model = getattr(torchvision.models, name)(weights=None)
    assert count_parameters(model) == parameters


def test_fixed_parameters_are_counted_apart():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 4, 4, bias=False))
    model[2].weight.requires_grad_(False)
    assert count_parameters(model) == 3 * 4 * 9 + 4 + 2 * 4
    assert count_parameters(model, trainable_only=False) == count_parameters(model) + 4 * 4 * 16


# 256 to 256 channels on a map of 65 x 65.
CONVOLUTIONS = {
    "standard": (nn.Conv2d(256, 256, 3, padding=1, bias=False), 589_824, 2_492_006_400),
    "1x1": (nn.Conv2d(256, 256, 1, bias=False), 65_536, 276_889_600),
    "strided": (nn.Conv2d(256, 256, 3, 2, 1, bias=False), 589_824, 642_318_336),
    "dilated": (nn.Conv2d(256, 256, 3, 1, 12, 12, bias=False), 589_824, 2_492_006_400),
    "grouped": (nn.Conv2d(256, 256, 3, padding=1, groups=32, bias=False), 18_432, 77_875_200),
    "depthwise": (nn.Conv2d(256, 256, 3, padding=1, groups=256, bias=False), 2_304, 9_734_400),
    "transposed k4": (nn.ConvTranspose2d(256, 256, 4, 2, 1, bias=False), 1_048_576, 4_430_233_600),
    "transposed k2": (nn.ConvTranspose2d(256, 256, 2, 2, bias=False), 262_144, 1_107_558_400),
}


@pytest.mark.parametrize("kind", CONVOLUTIONS)
def test_parameters_and_macs_of_each_kind_of_convolution(kind):
    layer, parameters, macs = CONVOLUTIONS[kind]
    assert count_parameters(layer) == parameters
    assert count_macs(layer, (65, 65), in_channels=256) == macs


def test_linear_layers_count_and_one_mac_is_two_flops():
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 10))
    assert count_macs(model, (8, 8)) == 30


def test_published_macs_of_resnet50():
    with torch.device("meta"):
        model = torchvision.models.resnet50(weights=None)
    # torchvision publishes 4.089 billion for one 224 x 224 image.
    assert round(count_macs(model, (224, 224)) / 1e9, 3) == 4.089


def test_a_model_is_left_as_it_was():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model[2].eval()
    stages(model, (32, 32))
    assert model[0].training and not model[2].training
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


class TwoOutputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 16, 3, 2, 1)])
        self.pool = nn.MaxPool2d(2)

    def forward(self, x):
        low = self.down[0](x)
        return {"low": low, "high": self.pool(self.down[1](self.pool(low)))}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = TwoOutputs()
        self.unused = nn.Conv2d(3, 3, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.ConvTranspose2d(16, 2, 16, 16, bias=False)

    def forward(self, x):
        high = self.backbone(x)["high"]
        return self.classifier(high + self.pool(high))


def test_stages_of_a_net_with_several_outputs():
    rows = {row.name: row for row in stages(Net(), (64, 96))}
    assert list(rows) == ["backbone[low]", "backbone[high]", "pool", "classifier"]
    assert rows["backbone[low]"].shape == (8, 32, 48) and rows["backbone[low]"].stride == 2
    assert rows["backbone[high]"].shape == (16, 4, 6) and rows["backbone[high]"].stride == 16
    assert rows["backbone[low]"].parameters == rows["backbone[low]"].macs == 0
    assert rows["backbone[high]"].parameters == 8 * 28 + 16 * 73
    assert rows["backbone[high]"].macs == 32 * 48 * 8 * 27 + 8 * 12 * 16 * 72
    assert rows["pool"].stride is None
    assert rows["classifier"].stride == 1 and rows["classifier"].macs == 4 * 6 * 16 * 2 * 16 * 16


def test_lists_are_opened_and_a_part_used_twice_has_two_rows():
    table = stages(TwoOutputs(), (32, 32))
    assert [row.name for row in table] == ["down.0", "pool", "down.1", "pool"]
    assert [row.stride for row in table] == [2, 4, 8, 16]
    assert sum(row.parameters for row in table) == table.parameters == count_parameters(TwoOutputs())
    assert sum(row.macs for row in table) == table.macs == count_macs(TwoOutputs(), (32, 32))


def test_stride_is_right_without_padding():
    # 572 / 568 and 572 / 284 are no whole numbers, the strides are 1 and 2.
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3), nn.MaxPool2d(2), nn.Conv2d(2, 2, 3))
    table = stages(model, (572, 572), in_channels=1)
    assert [row.shape[-1] for row in table] == [570, 568, 284, 282]
    assert [row.stride for row in table] == [1, 1, 2, 2]


def test_the_table_is_text():
    text = str(stages(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.MaxPool2d(2)), (32, 32)))
    lines = text.splitlines()
    assert lines[0].split() == ["stage", "output", "shape", "stride", "parameters", "million", "MACs"]
    assert lines[2].split() == ["0", "8", "×", "32", "×", "32", "1", "224", "0.2"]
    assert lines[-1].split() == ["whole", "model", "224", "0.2"]


def fields(layers, **options):
    return [(row.field, row.jump) for row in receptive_field(layers, **options)]


def test_receptive_fields_of_vgg16():
    with torch.device("meta"):
        features = torchvision.models.vgg16(weights=None).features
    rows = {row.name: (row.field, row.jump, row.size) for row in receptive_field(features, input_size=224)}
    pools = [rows[name] for name in ("4", "9", "16", "23", "30")]
    assert pools == [(6, 2, 112), (16, 4, 56), (44, 8, 28), (100, 16, 14), (212, 32, 7)]
    assert rows["28"] == (196, 16, 14)
    fc6 = receptive_field(nn.Sequential(features, nn.Conv2d(512, 4096, 7)))[-1]
    assert (fc6.field, fc6.jump) == (404, 32)


def test_receptive_fields_of_alexnet():
    with torch.device("meta"):
        features = torchvision.models.alexnet(weights=None).features
    assert fields([features, (6,)]) == [
        (11, 4), (19, 8), (51, 8), (67, 16), (99, 16), (131, 16), (163, 16), (195, 32), (355, 32)
    ]  # fmt: skip


def test_receptive_fields_of_segnet_basic_and_unet():
    segnet = [(7, 1, 1, 3), (2, 2)] * 4
    assert fields(segnet) == [(7, 1), (8, 2), (20, 2), (22, 4), (46, 4), (50, 8), (98, 8), (106, 16)]
    unet = [*[(3,), (3,), (2, 2)] * 4, (3,), (3,)]
    rows = receptive_field(unet, input_size=572)
    assert [row.field for i, row in enumerate(rows) if i % 3] == [5, 6, 14, 16, 32, 36, 68, 76, 140]
    assert (rows[-1].jump, rows[-1].size) == (16, 28)


def test_receptive_field_of_large_field_of_view():
    # DeepLab LargeFOV as released: five 3x3 poolings, the last two of stride 1, then 3x3 at rate 12.
    conv, rate_two = (3, 1, 1, 1), (3, 1, 2, 2)
    halve, keep = (3, 2, 1, 1), (3, 1, 1, 1)
    layers = [conv, conv, halve, conv, conv, halve, *[conv] * 3, halve, *[conv] * 3, keep, *[rate_two] * 3, keep, keep]
    rows = receptive_field([*layers, (3, 1, 12, 12)])
    assert (rows[9].field, rows[9].jump) == (51, 8)
    assert [(row.field, row.jump) for row in rows[-3:]] == [(227, 8), (243, 8), (435, 8)]


chains = st.lists(
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=4
)


@settings(max_examples=60, deadline=None)
@given(chains, st.integers(30, 70))
def test_field_jump_position_and_size_are_those_of_pytorchs_gradients(chain, size):
    layers = [nn.Conv2d(1, 1, (k, 1), (s, 1), (p, 0), (d, 1), bias=False) for k, s, d, p in chain]
    model = nn.Sequential(*layers)
    for layer in layers:
        nn.init.ones_(layer.weight)
    column = torch.zeros(1, 1, size, 1, requires_grad=True)
    try:
        row = receptive_field(chain, input_size=size)[-1]
    except ValueError:
        with pytest.raises(RuntimeError):
            model(column)
        return
    output = model(column).flatten()
    assert len(output) == row.size
    for cell in range(row.size):
        (gradient,) = torch.autograd.grad(output[cell], column, retain_graph=True)
        center = row.start + cell * row.jump
        first, last = center - row.field / 2, center + row.field / 2 - 1  # pixel i covers i to i + 1
        seen = gradient.flatten().nonzero().flatten().tolist()
        if first >= 0 and last < size:  # fields that reach into the padding show only their inner part
            assert (seen[0], seen[-1]) == (first, last)
        else:
            assert all(first <= pixel <= last for pixel in seen)


@pytest.mark.parametrize("size", range(5, 12))
@pytest.mark.parametrize("pool", [nn.MaxPool2d(2, ceil_mode=True), nn.MaxPool2d(3, 2, 1, ceil_mode=True)])
def test_rounded_up_pooling(size, pool):
    assert receptive_field([pool], input_size=size)[0].size == pool(torch.zeros(1, 1, size, size)).shape[-1]


def test_names_and_padding_in_words():
    chain = {"a": nn.Conv2d(3, 3, 5, padding="same", dilation=2), "relu": nn.ReLU(), "b": nn.AvgPool2d(2)}
    rows = receptive_field(chain, input_size=20)
    assert [(row.name, row.size, row.field) for row in rows] == [("a", 20, 9), ("b", 10, 10)]
    assert str(rows).splitlines()[0].split() == ["layer", "size", "receptive", "field", "jump", "first", "centre"]
    assert str(rows).splitlines()[3].split() == ["b", "10", "10", "2", "1"]


def test_receptive_field_refuses_what_it_cannot_follow():
    with pytest.raises(TypeError, match=r"layer 1 \(Upsample\) has no kernel"):
        receptive_field([(3,), nn.Upsample(scale_factor=2)])
    with pytest.raises(ValueError, match="only square"):
        receptive_field([nn.Conv2d(1, 1, (3, 1))])
    with pytest.raises(ValueError, match="1: a map of 2 is too small for a kernel that spans 5"):
        receptive_field([(2, 2), (3, 1, 2)], input_size=4)
    with pytest.raises(TypeError, match="whole numbers"):
        receptive_field([(3, 0.5)])
    with pytest.raises(ValueError, match="stride"):
        receptive_field([(3, 0)])


@pytest.mark.parametrize(
    "net, size, channels, error, message",
    [
        (nn.Conv2d(3, 4, 3), 224, 3, ValueError, r"input_size is \(height, width\).*got 224"),
        (nn.Conv2d(3, 4, 3), (224,), 3, ValueError, "input_size is"),
        (nn.Conv2d(3, 4, 3), (224, 1.5), 3, ValueError, "the width must be a whole number of at least 1, got 1.5"),
        (nn.Conv2d(3, 4, 3), (0, 32), 3, ValueError, "the height must be a whole number of at least 1, got 0"),
        (nn.Conv2d(1, 4, 3), (32, 32), 3, ValueError, "reads images of 1 channels: say in_channels=1"),
        ("unet", (32, 32), 3, TypeError, "expected a net .torch.nn.Module., got str"),
    ],
)
def test_what_cannot_be_counted_is_refused_by_name(net, size, channels, error, message):
    for count in (count_macs, stages):
        with pytest.raises(error, match=message):
            count(net, size, channels)
