"""Blocks that several papers share. Each is small enough to be read in the notebook that first meets it."""

import torch
from torch import nn
from torch.nn import functional as F


def scaled(channels: int, width: float) -> int:
    """Number of channels of a net that is ``width`` times as wide as the paper's, at least 1.

    ``width=1.0`` gives the paper's number back. Scaling channels and nothing else keeps depth, strides and receptive
    fields as published, so that a small net on a CPU still shows what the paper's architecture does.
    """
    if not width > 0:
        raise ValueError(f"width must be positive, got {width}; 1.0 is the paper's net")
    return max(1, round(channels * width))


class ConvNormAct(nn.Sequential):
    """Convolution, batch normalisation, ReLU: the block most nets after 2015 are made of.

    Input [N, in_channels, H, W], output [N, out_channels, H', W']. With stride 1 the padding keeps the size, whatever
    the (odd) kernel size and dilation. The convolution has no bias: batch normalisation subtracts the mean, so a bias
    would have no effect (Ioffe and Szegedy, 2015, section 3.2).
    """

    def __init__(self, in_channels, out_channels, kernel_size=3, *, stride=1, dilation=1, groups=1):
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd so that the padding can keep the size, got {kernel_size}")
        padding = dilation * (kernel_size - 1) // 2
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


def center_crop(features: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The central [.., size[0], size[1]] window of [.., H, W]; U-Net joins its two paths this way (figure 1).

    Raises ValueError when the window is larger than the map.
    """
    height, width = features.shape[-2:]
    if size[0] > height or size[1] > width:
        raise ValueError(f"cannot crop {size[0]}x{size[1]} out of a map of {height}x{width}")
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return features[..., top : top + size[0], left : left + size[1]]


def he_initialise(module: nn.Module) -> None:
    """Weights of every convolution from N(0, 2 / fan_in), biases zero (He et al., 2015; U-Net section 3).

    The factor 2 makes up for ReLU, which sets half of a centred signal to zero: the variance of the activations then
    stays the same from layer to layer.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def resize(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bilinear resize of [N, C, H, W] to [N, C, *size]; corners are not aligned (any size keeps pixel centres in place)."""
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=False)
