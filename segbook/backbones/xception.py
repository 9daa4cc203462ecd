"""Xception-65 (Chollet, 2017) as modified for DeepLab v3+ (Chen et al., 2018, figure 4)."""

from torch import nn

from segbook.guards import one_of
from segbook.layers import ConvNormAct, SeparableConv2d, he_initialize, scaled


class XceptionBlock(nn.Module):
    """Three separable convolutions with a shortcut: "conv" (1x1, strided), "sum" (identity) or "none".

    ``order`` as in :class:`segbook.layers.SeparableConv2d`: ReLU first inside the trunk, last in the final block.
    The output of the second convolution is kept for the decoder (``low_level``) when asked for.
    """

    def __init__(self, in_channels, channels, *, stride=1, rate=1, shortcut="sum", order="activation_first"):
        super().__init__()
        self.units = nn.ModuleList()
        before = in_channels
        for number, after in enumerate(channels):
            unit_stride = stride if number == 2 else 1  # change 2: the third convolution strides, there is no pooling
            self.units.append(
                SeparableConv2d(before, after, stride=unit_stride, dilation=rate, order=order, norm_eps=1e-3)
            )
            before = after
        self.shortcut, self.stride = None, stride
        if shortcut == "conv":
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, channels[-1], 1, bias=False), nn.BatchNorm2d(channels[-1], eps=1e-3)
            )
        self.add = shortcut != "none"

    def forward(self, x, *, low_level=False):
        y, kept = x, None
        for number, unit in enumerate(self.units):
            y = unit(y)
            kept = y if number == 1 else kept
        if self.add:
            # A strided 1x1 convolution reads every second cell. They are picked before it, because oneDNN 3.13 crashes
            # in the backward pass of narrow strided ones (fewer than 16 channels, channels-last).
            y = y + (x if self.shortcut is None else self.shortcut(x[..., :: self.stride, :: self.stride]))
        return (y, kept) if low_level else y


#: (stride, dilation) of the third entry block, the middle flow and the two exit blocks by output stride.
XCEPTION_STAGES = {
    32: ((2, 1), (1, 1), (2, 1), (1, 1)),
    16: ((2, 1), (1, 1), (1, 1), (1, 2)),
    8: ((1, 1), (1, 2), (1, 2), (1, 4)),
}


class Xception65(nn.Module):
    """The modified aligned Xception of DeepLab v3+ (figure 4); ``forward`` returns [low-level map, features].

    Images [N, C, H, W] give a low-level map [N, 256, H/4, W/4] (second convolution of the second entry block) and
    features [N, 2048, H/os, W/os]. The paper's three changes to Xception are marked in the code: (1) a deeper middle
    flow of 16 blocks instead of 8; (2) strided separable convolutions instead of max pooling; (3) batch norm (and, in
    the last block, ReLU) after every 3x3 depthwise convolution. As in the released code, ReLU after the depthwise step
    stands in the last block only; the paper describes it everywhere. 37,867,312 parameters.
    """

    strides = (4, 32)

    def __init__(self, *, width=1.0, in_channels=3, output_stride=16, middle_blocks=16, weights=None):
        super().__init__()
        if weights is not None:
            raise ValueError("torchvision has no weights for Xception-65; use a ResNet backbone with them")
        one_of("output_stride", output_stride, XCEPTION_STAGES)
        (s3, _), (_, middle), (s_exit, rate), (_, last) = XCEPTION_STAGES[output_stride]
        c32, c64, c128, c256, c728, c1024, c1536, c2048 = (
            scaled(channels, width) for channels in (32, 64, 128, 256, 728, 1024, 1536, 2048)
        )
        self.stem = nn.Sequential(ConvNormAct(in_channels, c32, stride=2), ConvNormAct(c32, c64))
        for block in self.stem:
            block[1].eps = 1e-3
        self.entry1 = XceptionBlock(c64, [c128] * 3, stride=2, shortcut="conv")
        self.entry2 = XceptionBlock(c128, [c256] * 3, stride=2, shortcut="conv")
        self.entry3 = XceptionBlock(c256, [c728] * 3, stride=s3, shortcut="conv")
        self.middle = nn.Sequential(  # change 1: sixteen times
            *(XceptionBlock(c728, [c728] * 3, rate=middle) for _ in range(middle_blocks))
        )
        self.exit1 = XceptionBlock(c728, [c728, c1024, c1024], stride=s_exit, rate=rate, shortcut="conv")
        self.exit2 = XceptionBlock(  # change 3: norm and ReLU after depthwise and pointwise
            c1024, [c1536, c1536, c2048], rate=last, shortcut="none", order="activation_last"
        )
        self.out_channels = [c256, c2048]
        he_initialize(self)

    def forward(self, x):
        x, low_level = self.entry2(self.entry1(self.stem(x)), low_level=True)
        return [low_level, self.exit2(self.exit1(self.middle(self.entry3(x))))]
