"""Xception-65 (Chollet, 2017) as modified for DeepLab v3+ (Chen et al., 2018, figure 4)."""

from torch import nn

from segbook.backbones.pretrained import check_output_stride
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


class Xception65(nn.Module):
    """The modified aligned Xception of DeepLab v3+ (figure 4); ``forward`` returns (low-level map, features).

    Images [N, C, H, W] give a low-level map [N, 256, H/4, W/4] (second convolution of the second entry block) and
    features [N, 2048, H/os, W/os]. The paper's three changes to Xception are marked in the code: (1) a deeper middle
    flow of 16 blocks instead of 8; (2) strided separable convolutions instead of max pooling; (3) batch norm (and, in
    the last block, ReLU) after every 3x3 depthwise convolution. As in the released code, ReLU after the depthwise step
    stands in the last block only; the paper describes it everywhere. 37,867,312 parameters.
    """

    def __init__(self, *, width=1.0, in_channels=3, output_stride=16, middle_blocks=16):
        super().__init__()
        check_output_stride(output_stride)

        def c(channels):
            return scaled(channels, width)

        # What each stride that is left out costs: rates of the middle flow, the first and the second exit block.
        entry3_stride, exit_stride = (2 if output_stride > 8 else 1), (2 if output_stride > 16 else 1)
        middle_rate = 1 if output_stride > 8 else 2
        last_rate = {32: 1, 16: 2, 8: 4}[output_stride]

        self.stem = nn.Sequential(ConvNormAct(in_channels, c(32), stride=2), ConvNormAct(c(32), c(64)))
        for block in self.stem:
            block[1].eps = 1e-3
        self.entry1 = XceptionBlock(c(64), [c(128)] * 3, stride=2, shortcut="conv")
        self.entry2 = XceptionBlock(c(128), [c(256)] * 3, stride=2, shortcut="conv")
        self.entry3 = XceptionBlock(c(256), [c(728)] * 3, stride=entry3_stride, shortcut="conv")
        self.middle = nn.Sequential(  # change 1: sixteen times
            *(XceptionBlock(c(728), [c(728)] * 3, rate=middle_rate) for _ in range(middle_blocks))
        )
        exit_channels = [c(728), c(1024), c(1024)]
        self.exit1 = XceptionBlock(c(728), exit_channels, stride=exit_stride, rate=middle_rate, shortcut="conv")
        exit_channels = [c(1536), c(1536), c(2048)]
        self.exit2 = XceptionBlock(  # change 3: norm and ReLU after depthwise and pointwise
            c(1024), exit_channels, rate=last_rate, shortcut="none", order="activation_last"
        )
        self.low_level_channels, self.out_channels = c(256), c(2048)
        he_initialize(self)

    def forward(self, x):
        x, low_level = self.entry2(self.entry1(self.stem(x)), low_level=True)
        return low_level, self.exit2(self.exit1(self.middle(self.entry3(x))))
