"""The shared blocks: sizes, values, refusals."""

import math

import pytest
import torch
from torch.nn import functional as F

from segbook import anatomy, layers


@pytest.mark.parametrize("kernel_size, dilation", [(1, 1), (3, 1), (3, 4), (5, 2)])
def test_conv_norm_act_keeps_the_size_and_is_its_three_parts(kernel_size, dilation):
    block = layers.ConvNormAct(3, 4, kernel_size, dilation=dilation).eval()
    x = torch.randn(2, 3, 19, 23)
    by_hand = F.conv2d(x, block[0].weight, padding=dilation * (kernel_size // 2), dilation=dilation)
    assert block(x).shape == (2, 4, 19, 23)
    torch.testing.assert_close(block(x), F.relu(by_hand / (1 + block[1].eps) ** 0.5))


def test_conv_norm_act_refuses_even_kernels():
    with pytest.raises(ValueError, match="kernel_size must be odd.*got 4"):
        layers.ConvNormAct(3, 4, 4)


@pytest.mark.parametrize("size", [(3, 5), (9, 40), (16, 24), (65, 97)])
def test_resize_keeps_pixel_centers_in_place(size):
    """A ramp stays one: the center of pixel i of n, at (i + 0.5) / n of the side, has the value of that place."""
    ramp = 10 * torch.arange(8.0)[:, None] + torch.arange(12.0)
    down, across = (
        ((torch.arange(n) + 0.5) * before / n - 0.5).clamp(0, before - 1) for n, before in zip(size, ramp.shape)
    )
    torch.testing.assert_close(layers.resize(ramp[None, None], size)[0, 0], 10 * down[:, None] + across)


def test_center_crop_takes_the_middle():
    x = torch.arange(36.0).reshape(1, 1, 6, 6)
    assert torch.equal(layers.center_crop(x, (2, 4)), x[..., 2:4, 1:5])
    with pytest.raises(ValueError, match="cannot crop 7x2 out of a map of 6x6"):
        layers.center_crop(x, (7, 2))


def test_scaled_channels():
    assert [layers.scaled(64, w) for w in (1.0, 0.125, 0.001)] == [64, 8, 1]
    with pytest.raises(ValueError, match="width must be positive, got -1"):
        layers.scaled(64, -1)


@pytest.mark.parametrize("kernel_size, stride, dilation", [(3, 1, 1), (3, 2, 1), (3, 1, 4), (5, 1, 2)])
def test_separable_convolution_is_a_standard_one_of_low_rank(kernel_size, stride, dilation):
    layer = layers.SeparableConv2d(4, 6, kernel_size, stride=stride, dilation=dilation)
    weight = layer.pointwise.weight * layer.depthwise.weight.transpose(0, 1)  # [6, 4, 1, 1] * [1, 4, k, k]
    x = torch.randn(2, 4, 19, 24)
    padding = dilation * (kernel_size // 2)
    torch.testing.assert_close(layer(x), F.conv2d(x, weight, stride=stride, padding=padding, dilation=dilation))
    assert layer(x).shape[-2:] == (-(-19 // stride), -(-24 // stride))


def test_separable_convolution_counts():
    count = sum(p.numel() for p in layers.SeparableConv2d(256, 256).parameters())
    assert count == 9 * 256 + 256 * 256 == 67_840
    assert sum(p.numel() for p in layers.SeparableConv2d(2048, 256).parameters()) == 542_720


@pytest.mark.parametrize(
    "order, names",
    [
        ("plain", "depthwise pointwise"),
        ("activation_first", "relu depthwise depthwise_norm pointwise pointwise_norm"),
        ("activation_last", "depthwise depthwise_norm depthwise_relu pointwise pointwise_norm pointwise_relu"),
    ],
)
def test_separable_convolution_orders(order, names):
    layer = layers.SeparableConv2d(4, 6, order=order, norm_eps=1e-3)
    assert [name for name, _ in layer.named_children()] == names.split()
    assert all(part.eps == 1e-3 for part in layer if isinstance(part, torch.nn.BatchNorm2d))
    x = torch.randn(2, 4, 9, 9)
    before = x.clone()
    out = layer(x)
    assert torch.equal(x, before), "the input of a residual block must survive"
    assert (out.min() >= 0) == (order == "activation_last")


def test_separable_convolution_refusals():
    with pytest.raises(ValueError, match="kernel_size must be odd.*got 2"):
        layers.SeparableConv2d(4, 4, 2)
    with pytest.raises(ValueError, match="plain, activation_first, activation_last; got 'last'"):
        layers.SeparableConv2d(4, 4, order="last")


def test_bilinear_kernel_values():
    tent = torch.tensor([0.25, 0.75, 0.75, 0.25])
    torch.testing.assert_close(layers.bilinear_kernel(4), torch.outer(tent, tent))
    tent = torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0]) / 3
    torch.testing.assert_close(layers.bilinear_kernel(5), torch.outer(tent, tent))
    assert [layers.bilinear_kernel(2 * s).sum().item() for s in (2, 4, 8, 16, 32)] == [4, 16, 64, 256, 1024]
    with pytest.raises(ValueError, match="at least 1, got 0"):
        layers.bilinear_kernel(0)


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 5, 8, 32])
def test_bilinear_transposed_convolution_interpolates_inside_the_border(stride):
    x = torch.rand(2, 3, 5, 6)
    up = layers.BilinearConvTranspose2d(3, stride)(x)
    wanted = F.interpolate(x, scale_factor=stride, mode="bilinear", align_corners=False)
    assert up.shape == wanted.shape == (2, 3, 5 * stride, 6 * stride)
    border = stride // 2
    inside = (..., slice(border, 5 * stride - border), slice(border, 6 * stride - border))
    torch.testing.assert_close(up[inside], wanted[inside])
    if stride > 1:
        assert (up[..., 0, :] < wanted[..., 0, :]).all(), "outside counts as zero, so the border must be darker"


def test_bilinear_transposed_convolution_in_the_form_of_fcn():
    up = layers.BilinearConvTranspose2d(11, 32, kernel_size=64, padding=0)
    assert up(torch.zeros(1, 11, 16, 16)).shape[-2:] == (544, 544)
    assert up.weight.shape == (11, 1, 64, 64)
    assert layers.BilinearConvTranspose2d(11, 32, kernel_size=64, padding=0, learned=True).weight.numel() == 495_616
    alexnet = layers.BilinearConvTranspose2d(2, 32, kernel_size=63, padding=0)
    assert alexnet(torch.zeros(1, 2, 16, 16)).shape[-2:] == (543, 543)


def test_bilinear_transposed_convolution_is_frozen_unless_learned():
    frozen, learned = layers.BilinearConvTranspose2d(2, 4), layers.BilinearConvTranspose2d(2, 4, learned=True)
    assert not frozen.weight.requires_grad and learned.weight.requires_grad
    assert torch.equal(frozen.weight.squeeze(1), learned.weight.diagonal().permute(2, 0, 1)) and frozen.bias is None
    with pytest.raises(ValueError, match="stride must be a whole number of at least 1, got 0"):
        layers.BilinearConvTranspose2d(2, 0)


@pytest.mark.parametrize("options", [{"stride": 8}, {"stride": 2, "kernel_size": 4, "padding": 0}, {"stride": 3}])
def test_frozen_bilinear_upsampling_is_the_learned_one_at_its_start(options):
    frozen, learned = (layers.BilinearConvTranspose2d(5, **options, learned=way) for way in (False, True))
    x = torch.randn(2, 5, 4, 6, requires_grad=True)
    torch.testing.assert_close(frozen(x), learned(x))
    towards = torch.randn_like(frozen(x))
    torch.testing.assert_close(*(torch.autograd.grad(up(x), x, towards)[0] for up in (frozen, learned)))


def test_a_frozen_weight_that_is_changed_is_used():
    up, x = layers.BilinearConvTranspose2d(3, 2), torch.randn(1, 3, 4, 5)
    before = up(x)
    with torch.no_grad():
        up.weight.copy_(2 * up.weight)
    torch.testing.assert_close(up(x), 2 * before)
    with pytest.raises(RuntimeError, match="size mismatch for weight"):  # one that mixes classes does not fit
        up.load_state_dict(layers.BilinearConvTranspose2d(3, 2, learned=True).state_dict())


def test_macs_of_bilinear_upsampling_are_those_of_its_weight():
    frozen, learned = layers.BilinearConvTranspose2d(21, 8), layers.BilinearConvTranspose2d(21, 8, learned=True)
    assert anatomy.count_macs(frozen, (5, 6), in_channels=21) == 5 * 6 * 21 * 16 * 16
    assert anatomy.count_macs(learned, (5, 6), in_channels=21) == 5 * 6 * 21 * 21 * 16 * 16


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (3, 2), (4, 2), (4, 4), (3, 1), (1, 1)])
@pytest.mark.parametrize("groups", [1, 4])
def test_he_initialize_keeps_the_variance_through_a_transposed_convolution(kernel, stride, groups):
    torch.manual_seed(0)
    layer = torch.nn.ConvTranspose2d(256, 128, kernel, stride, groups=groups)
    layers.he_initialize(layer)
    assert not layer.bias.any()
    x = math.sqrt(0.5) * torch.randn(4, 256, 24, 24)  # the mean square that ReLU leaves of 1, which He's 2 makes up for
    inside = layer(x)[..., kernel : -kernel - stride + 1, kernel : -kernel - stride + 1]
    assert inside.var().item() == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("convolution", [torch.nn.Conv2d(16, 32, 3), torch.nn.Conv2d(16, 32, (3, 5), groups=4)])
def test_he_initialize_is_pytorchs_for_convolutions(convolution):
    torch.manual_seed(3)
    layers.he_initialize(convolution)
    torch.manual_seed(3)
    expected = torch.nn.init.kaiming_normal_(torch.empty_like(convolution.weight), nonlinearity="relu")
    assert torch.equal(convolution.weight, expected) and not convolution.bias.any()


def test_he_initialize_leaves_bilinear_upsampling_alone():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), layers.BilinearConvTranspose2d(2, 4, learned=True))
    before = net[1].weight.detach().clone(), net[0].weight.detach().clone()
    layers.he_initialize(net)
    assert torch.equal(net[1].weight, before[0]) and not torch.equal(net[0].weight, before[1])
