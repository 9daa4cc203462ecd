"""Blocks that several papers share. Each is small enough to be read in the notebook that first meets it."""

import math
from collections import OrderedDict

import torch
from torch import nn
from torch.nn import functional as F

from segbook.guards import one_of, whole


def scaled(channels: int, width: float) -> int:
    """Number of channels of a net that is ``width`` times as wide as the paper's, at least 1.

    ``width=1.0`` gives the paper's number back. Scaling channels and nothing else keeps depth, strides and receptive
    fields as published, so that a small net on a CPU still shows what the paper's architecture does.
    """
    if not width > 0:
        raise ValueError(f"width must be positive, got {width}; 1.0 is the paper's net")
    return max(1, round(channels * width))


def check_min_size(height: int, width: int) -> None:
    """Raise ValueError for images below 32x32 pixels: at the stride of a classifier nothing would be left of them."""
    if min(height, width) < 32:
        raise ValueError(f"images must be at least 32x32 pixels, got {height}x{width}")


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


class SeparableConv2d(nn.Sequential):
    """A depthwise convolution (one kernel a channel) followed by a pointwise, 1x1, one that mixes the channels.

    Input [N, in_channels, H, W], output [N, out_channels, H', W']; with stride 1 the size is kept for every odd kernel
    and any dilation. Weights: k*k*in_channels + in_channels*out_channels instead of k*k*in_channels*out_channels.

    ``order`` says what stands around the two convolutions, none of which has a bias:

    - ``"plain"``: depthwise, pointwise;
    - ``"activation_first"``: ReLU, depthwise, norm, pointwise, norm, as in most of DeepLab v3+'s Xception;
    - ``"activation_last"``: depthwise, norm, ReLU, pointwise, norm, ReLU, as in its last block, its ASPP and decoder.

    ``norm_eps`` is batch normalisation's epsilon (1e-3 in that Xception). Raises ValueError for an even kernel or an
    unknown order. Papers: Chollet 2017, arXiv 1610.02357; Chen et al. 2018, arXiv 1802.02611, section 3.
    """

    def __init__(self, in_channels, out_channels, kernel_size=3, *, stride=1, dilation=1, order="plain", norm_eps=1e-5):
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd so that the padding can keep the size, got {kernel_size}")
        padding = dilation * (kernel_size - 1) // 2
        parts = {
            # Not in place: in a residual block the shortcut still needs the input as it was.
            "relu": nn.ReLU(),
            "depthwise": nn.Conv2d(
                in_channels, in_channels, kernel_size, stride, padding, dilation, groups=in_channels, bias=False
            ),
            "depthwise_norm": nn.BatchNorm2d(in_channels, eps=norm_eps),
            "depthwise_relu": nn.ReLU(inplace=True),
            "pointwise": nn.Conv2d(in_channels, out_channels, kernel_size=1, bias=False),
            "pointwise_norm": nn.BatchNorm2d(out_channels, eps=norm_eps),
            "pointwise_relu": nn.ReLU(inplace=True),
        }
        orders = {
            "plain": ["depthwise", "pointwise"],
            "activation_first": ["relu", "depthwise", "depthwise_norm", "pointwise", "pointwise_norm"],
            "activation_last": [name for name in parts if name != "relu"],
        }
        one_of("order", order, orders)
        super().__init__(OrderedDict((name, parts[name]) for name in orders[order]))


def bilinear_kernel(kernel_size: int) -> torch.Tensor:
    """The weights, float32 [kernel_size, kernel_size], with which a transposed convolution interpolates bilinearly.

    A tent in each direction: 1 - |x - centre| / factor, with factor = (kernel_size + 1) // 2, which is the stride that
    the kernel is made for. Raises ValueError for a size below 1. Source: FCN's released code.
    """
    if kernel_size < 1:
        raise ValueError(f"kernel_size must be at least 1, got {kernel_size}")
    factor = (kernel_size + 1) // 2
    center = factor - 1 if kernel_size % 2 else factor - 0.5
    tent = 1 - (torch.arange(kernel_size) - center).abs() / factor
    return torch.outer(tent, tent)


class BilinearConvTranspose2d(nn.ConvTranspose2d):
    """Up-sampling by ``stride`` as a transposed convolution that starts as bilinear interpolation (FCN, section 3.3).

    Input [N, channels, H, W], output [N, channels, stride*H, stride*W] with the default kernel 2*stride (one less for an
    odd stride) and padding stride // 2; inside the border it then equals bilinear interpolation, at the border it
    counts the outside as zero. Any other kernel and padding give (H - 1)*stride + kernel_size - 2*padding; FCN's
    released nets use ``kernel_size=64, padding=0`` at stride 32 and crop.

    Frozen (the default), every channel is enlarged by itself: the weight is [channels, 1, k, k], one kernel a group.
    ``learned`` lets the channels mix: [channels, channels, k, k] with the kernel on the diagonal and zeros elsewhere,
    which is how the released nets keep it. There is no bias. Raises ValueError for a stride below 1.
    """

    def __init__(self, channels, stride, *, kernel_size=None, padding=None, learned=False):
        whole("stride", stride, 1)
        kernel_size = 2 * stride - stride % 2 if kernel_size is None else kernel_size
        padding = stride // 2 if padding is None else padding
        groups = 1 if learned else channels
        super().__init__(channels, channels, kernel_size, stride, padding, groups=groups, bias=False)
        alone = torch.eye(channels) if learned else torch.ones(channels, 1)
        with torch.no_grad():
            self.weight.copy_(alone[:, :, None, None] * bilinear_kernel(kernel_size))
        self.weight.requires_grad_(learned)


def fully_connected(in_channels, out_channels, kernel_size, *, padding=0, dilation=1, batch_norm=False, dropout=0.5):
    """The layers of fc6 or fc7 of VGG-16 as a convolution: convolution, (batch norm,) ReLU, dropout; a list.

    FCN pads by hand or not at all, DeepLab dilates; whoever wants the size kept pads by dilation * (kernel_size - 1) // 2.
    """
    layers = [nn.Conv2d(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation)]
    layers += [nn.BatchNorm2d(out_channels)] if batch_norm else []
    return [*layers, nn.ReLU(inplace=True), nn.Dropout(dropout)]


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling of DeepLab v3 and v3+: the map seen at several rates at once, joined by a 1x1.

    Input [N, in_channels, h, w], output [N, out_channels, h, w]. Branches, each with batch norm and ReLU: one 1x1; a 3x3 at
    each of ``rates``; with ``image_pooling`` the mean over the whole map, so that every pixel knows the scene.
    ``separable`` makes the atrous branches depthwise separable (v3+). Raises ValueError for a batch of one in training:
    the pooled branch has one value a channel and image, and batch norm needs at least two to have a variance.
    Papers: arXiv 1706.05587, section 3.3; arXiv 1802.02611, section 3.1.
    """

    def __init__(self, in_channels, out_channels, rates, *, image_pooling=True, separable=False, dropout=0.1):
        super().__init__()
        self.convs = nn.ModuleList([ConvNormAct(in_channels, out_channels, kernel_size=1)])
        for rate in rates:
            if separable:
                branch = SeparableConv2d(in_channels, out_channels, dilation=rate, order="activation_last")
            else:
                branch = ConvNormAct(in_channels, out_channels, dilation=rate)
            self.convs.append(branch)
        self.image_pooling = image_pooling
        if image_pooling:
            self.convs.append(
                nn.Sequential(nn.AdaptiveAvgPool2d(1), *ConvNormAct(in_channels, out_channels, kernel_size=1))
            )
        self.project = nn.Sequential(
            *ConvNormAct(len(self.convs) * out_channels, out_channels, kernel_size=1), nn.Dropout(dropout)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and self.image_pooling and len(x) == 1:
            raise ValueError(
                "image pooling cannot train on a batch of one image: its batch norm would see a single value a "
                "channel. Use a batch of two or more, or build the net with image_pooling=False"
            )
        branches = [branch(x) for branch in self.convs]
        if self.image_pooling:
            branches[-1] = branches[-1].expand(-1, -1, *x.shape[-2:])  # the same vector everywhere
        return self.project(torch.cat(branches, dim=1))


def center_crop(features: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The central [.., size[0], size[1]] window of [.., H, W]; U-Net joins its two paths this way (figure 1).

    Raises ValueError when the window is larger than the map.
    """
    height, width = features.shape[-2:]
    if size[0] > height or size[1] > width:
        raise ValueError(f"cannot crop {size[0]}x{size[1]} out of a map of {height}x{width}")
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return features[..., top : top + size[0], left : left + size[1]]


def he_initialize(module: nn.Module) -> None:
    """Weights of every convolution from N(0, 2 / inputs), biases zero (He et al., 2015; U-Net section 3).

    ``inputs`` is how many numbers one output is the sum of: in_channels k k for a convolution; for a transposed one, whose
    kernels overlap by k / stride, in_channels k k / stride² (four times fewer for U-Net's 2×2 at stride 2). The factor 2
    makes up for ReLU, which sets half of a centred signal to zero: the variance of the activations then stays the same
    from layer to layer. Bilinear up-sampling keeps its weights.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and not isinstance(layer, BilinearConvTranspose2d):
            inputs = layer.in_channels // layer.groups * math.prod(layer.kernel_size)
            if isinstance(layer, nn.ConvTranspose2d):
                inputs /= math.prod(layer.stride)
            nn.init.normal_(layer.weight, std=math.sqrt(2 / inputs))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def resize(logits: torch.Tensor, size: tuple[int, int], align_corners: bool = False) -> torch.Tensor:
    """Bilinear resize of [N, C, H, W] to [N, C, *size].

    With ``align_corners=False`` a cell is a square and the squares of both maps cover the same image, so that pixel centres
    keep their place at any size. True puts the first and the last cell on the first and the last pixel.
    """
    return F.interpolate(logits, size=tuple(size), mode="bilinear", align_corners=align_corners)
