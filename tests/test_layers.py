"""The shared blocks: sizes, values, refusals."""

import pytest
import torch
from torch.nn import functional as F

from segbook import layers


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


def test_center_crop_takes_the_middle():
    x = torch.arange(36.0).reshape(1, 1, 6, 6)
    assert torch.equal(layers.center_crop(x, (2, 4)), x[..., 2:4, 1:5])
    with pytest.raises(ValueError, match="cannot crop 7x2 out of a map of 6x6"):
        layers.center_crop(x, (7, 2))


def test_scaled_channels():
    assert [layers.scaled(64, w) for w in (1.0, 0.125, 0.001)] == [64, 8, 1]
    with pytest.raises(ValueError, match="width must be positive, got -1"):
        layers.scaled(64, -1)
