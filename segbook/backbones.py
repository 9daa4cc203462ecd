"""The classifiers that segmentation nets are built on, cut down to their feature maps and given an output stride.

Output stride = side of the picture / side of the last feature map. A classifier ends at 32. DeepLab takes the stride out
of the last stages and dilates the convolutions behind them by the same factor instead: the maps stay large, the weights
and what each of them sees stay the same (DeepLab v1, section 3.1).

Sources: AlexNet (Krizhevsky et al., 2012) in its Caffe form, VGG-16 (Simonyan and Zisserman, 2015), ResNet (He et al.,
2016), Xception (Chollet, 2017) as modified for DeepLab v3+ (Chen et al., 2018, figure 4).
"""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from segbook.layers import ConvNormAct, SeparableConv2d, he_initialise, scaled


class WeightsNotFound(RuntimeError):
    """Pretrained weights could be neither downloaded nor found in torch's cache."""


def pretrained_state(weights) -> dict[str, torch.Tensor]:
    """The state dict of a torchvision weight enum, such as ``torchvision.models.VGG16_Weights.IMAGENET1K_V1``.

    Taken from torch's cache, else downloaded and checked. Raises TypeError for anything else than such an enum, and
    WeightsNotFound with the address and the place in the cache when there is no network.
    """
    if not hasattr(weights, "get_state_dict"):
        raise TypeError(
            "weights must be a torchvision weight enum such as torchvision.models.VGG16_Weights.IMAGENET1K_V1, "
            f"got {weights!r}"
        )
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except OSError as error:  # no network, no such host, cut connection
        raise WeightsNotFound(
            f"{weights} could not be loaded ({error}). Download {weights.url} on a machine with a network and put the "
            f"file into {torch.hub.get_dir()}/checkpoints, or build the net without weights"
        ) from error


def in_cache(weights) -> bool:
    """Whether the file of a torchvision weight enum lies in torch's cache, so that no network is needed to load it."""
    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name).is_file()


def require_plain(width: float, in_channels: int) -> None:
    """Refuse pretrained weights for a net they cannot fit."""
    if width != 1.0 or in_channels != 3:
        raise ValueError(
            f"pretrained weights fit the paper's net only: width=1.0 and in_channels=3, not width={width} and "
            f"in_channels={in_channels}"
        )


def require_output_stride(output_stride: int, choices=(8, 16, 32)) -> None:
    """Raise ValueError for an output stride that this net cannot have, naming those it can."""
    if output_stride not in choices:
        raise ValueError(f"output_stride must be one of {', '.join(map(str, choices))}; got {output_stride!r}")


# ------------------------------------------------------------------------------------------------------------- AlexNet


class AlexNet(nn.Module):
    """The five convolutions of AlexNet as Caffe's reference net has them: two groups, pooling before normalisation.

    Images [N, C, H, W] give features [N, 256, about H/32, W/32]. ``first_padding=100`` is what FCN uses.
    2,334,080 parameters at width 1 and three channels.
    """

    def __init__(self, *, width=1.0, in_channels=3, first_padding=0):
        super().__init__()
        c1, c2, c3, c5 = (2 * scaled(channels / 2, width) for channels in (96, 256, 384, 256))  # even: two groups

        def pool():
            return nn.MaxPool2d(3, stride=2, ceil_mode=True)

        def normalise():
            return nn.LocalResponseNorm(size=5, alpha=1e-4, beta=0.75)

        self.features = nn.Sequential(
            nn.Conv2d(in_channels, c1, 11, stride=4, padding=first_padding), nn.ReLU(inplace=True), pool(), normalise(),
            nn.Conv2d(c1, c2, 5, padding=2, groups=2), nn.ReLU(inplace=True), pool(), normalise(),
            nn.Conv2d(c2, c3, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(c3, c3, 3, padding=1, groups=2), nn.ReLU(inplace=True),
            nn.Conv2d(c3, c5, 3, padding=1, groups=2), nn.ReLU(inplace=True), pool(),
        )  # fmt: skip
        self.out_channels = c5
        he_initialise(self)

    def forward(self, x):
        return self.features(x)


# -------------------------------------------------------------------------------------------------------------- VGG-16

#: Channels and number of 3x3 convolutions of the five stages; every stage ends with a max pooling.
VGG16_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))


class VGG16(nn.Module):
    """The thirteen 3x3 convolutions of VGG-16 in five stages; ``forward`` returns the five pooled maps, shallow to deep.

    Images [N, C, H, W] give pool1 ... pool5 with 64, 128, 256, 512, 512 channels at strides 2, 4, 8, 16, 32.

    ``output_stride=8`` (or 16) keeps the last two (one) poolings at stride 1 and dilates what follows, as DeepLab does.
    ``pool_kernel=2`` rounds sizes up, as Caffe does; ``pool_kernel=3`` (padding 1, rounding down) is DeepLab's, whose
    cells sit on pixels. ``first_padding=100`` is FCN's. ``batch_norm=True`` adds normalisation after every
    convolution, which training from scratch needs. ``weights``: torchvision's ``VGG16_Weights`` (``VGG16_BN_Weights``
    with batch norm). 14,714,688 parameters (14,723,136 with batch norm).
    """

    def __init__(
        self,
        *,
        width=1.0,
        in_channels=3,
        batch_norm=False,
        first_padding=1,
        pool_kernel=2,
        output_stride=32,
        weights=None,
    ):
        super().__init__()
        require_output_stride(output_stride)
        if pool_kernel not in (2, 3):
            raise ValueError(f"pool_kernel must be 2 (VGG, FCN) or 3 (DeepLab), got {pool_kernel}")
        self.stages, self.pools, self.out_channels = nn.ModuleList(), nn.ModuleList(), []
        channels, stride, dilation = in_channels, 1, 1
        for index, (out_channels, count) in enumerate(VGG16_STAGES):
            layers = []
            for number in range(count):
                padding = first_padding if index == number == 0 else dilation
                layers.append(nn.Conv2d(channels, scaled(out_channels, width), 3, padding=padding, dilation=dilation))
                channels = scaled(out_channels, width)
                layers += [nn.BatchNorm2d(channels)] if batch_norm else []
                layers.append(nn.ReLU(inplace=True))
            self.stages.append(nn.Sequential(*layers))
            self.out_channels.append(channels)
            if stride < output_stride:
                step, stride = 2, stride * 2
            else:
                step, dilation = 1, dilation * 2  # the stride that is left out becomes dilation behind it
            if pool_kernel == 2 and step == 1:
                raise ValueError("pool_kernel=2 cannot keep the size at stride 1; use pool_kernel=3 as DeepLab does")
            self.pools.append(
                nn.MaxPool2d(2, step, ceil_mode=True) if pool_kernel == 2 else nn.MaxPool2d(3, step, padding=1)
            )
        he_initialise(self)
        if weights is not None:
            require_plain(width, in_channels)
            self.load_torchvision(pretrained_state(weights))

    def forward(self, x):
        pooled = []
        for stage, pool in zip(self.stages, self.pools):
            x = pool(stage(x))
            pooled.append(x)
        return pooled

    def load_torchvision(self, state: dict[str, torch.Tensor]) -> None:
        """Copy torchvision's ``vgg16`` or ``vgg16_bn`` weights: the same layers in the same order under other names.

        Raises ValueError when the file has other layers, for instance batch norm that this net lacks.
        """
        ours = [name for name in self.state_dict()]
        theirs = [name for name in state if name.startswith("features.")]
        if len(ours) != len(theirs):
            raise ValueError(
                f"these weights have {len(theirs)} feature tensors, this VGG-16 {len(ours)}: vgg16 weights go with "
                "batch_norm=False, vgg16_bn weights with batch_norm=True"
            )
        self.load_state_dict({mine: state[name] for mine, name in zip(ours, theirs)})


# -------------------------------------------------------------------------------------------------------------- ResNet


class Bottleneck(nn.Module):
    """1x1 to reduce, 3x3, 1x1 to expand fourfold, added to the input (He et al., figure 5 right).

    Stride and dilation sit in the 3x3, as in torchvision; the names of the layers are torchvision's, so that its weights
    load unchanged.
    """

    def __init__(self, in_channels, channels, *, stride=1, dilation=1):
        super().__init__()
        out_channels = 4 * channels
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=dilation, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x):
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)


RESNET_BLOCKS = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}


class ResNet(nn.Module):
    """ResNet-50 or -101 without its classifier; ``forward`` returns the outputs of its four stages.

    Images [N, C, H, W] give 256, 512, 1024, 2048 channels at strides 4, 8, 16, 32.

    ``output_stride=16`` (8) takes the stride out of the last (two) stages. Without ``multi_grid`` the first block of
    such a stage keeps the dilation of the stage before and the others double it; the strided net's map is then found
    unchanged in every second (fourth) cell of the dense one, which is torchvision's rule too. With
    ``multi_grid=(1, 2, 4)`` the blocks of the last stage have the base rate (2 at output stride 16, 4 at 8) times these
    numbers (DeepLab v3, section 3.2.2). ``weights``: torchvision's enums. 23,508,032 and 42,500,160 parameters.

    ``zero_init_residual`` (torchvision's name) sets the scale of the last batch norm of every block to zero, so that the
    blocks start as the identity: without ImageNet weights a short training then gets much farther.
    """

    def __init__(
        self,
        name="resnet50",
        *,
        width=1.0,
        in_channels=3,
        output_stride=32,
        multi_grid=None,
        zero_init_residual=False,
        weights=None,
    ):
        super().__init__()
        require_output_stride(output_stride)
        if name not in RESNET_BLOCKS:
            raise ValueError(f"unknown ResNet {name!r}; choose one of: {', '.join(RESNET_BLOCKS)}")
        blocks = RESNET_BLOCKS[name]
        if multi_grid is not None and len(multi_grid) != blocks[-1]:
            raise ValueError(f"multi_grid needs one number for each of the {blocks[-1]} last blocks, got {multi_grid}")
        channels = scaled(64, width)
        self.conv1 = nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        stride, dilation, self.out_channels = 4, 1, []
        for index, count in enumerate(blocks):
            step, before = (1 if index == 0 else 2), dilation
            if stride * step > output_stride:
                step, dilation = 1, dilation * 2
            stride *= step
            rates = [before] + [dilation] * (count - 1)
            if index == 3 and multi_grid is not None:
                rates = [32 // output_stride * unit for unit in multi_grid]
            inner = scaled(64 * 2**index, width)
            stage = nn.Sequential()
            for number, rate in enumerate(rates):
                stage.append(Bottleneck(channels, inner, stride=step if number == 0 else 1, dilation=rate))
                channels = 4 * inner
            setattr(self, f"layer{index + 1}", stage)
            self.out_channels.append(channels)
        he_initialise(self)
        if zero_init_residual:
            for block in self.modules():
                if isinstance(block, Bottleneck):
                    nn.init.zeros_(block.bn3.weight)
        if weights is not None:
            require_plain(width, in_channels)
            self.load_torchvision(pretrained_state(weights))

    def forward(self, x):
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        outputs = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            outputs.append(x)
        return outputs

    def load_torchvision(self, state: dict[str, torch.Tensor]) -> None:
        """Copy torchvision's weights; the names are the same, only the classifier ``fc`` is left out."""
        self.load_state_dict({name: value for name, value in state.items() if not name.startswith("fc.")})


# ---------------------------------------------------------------------------------------------------------- Xception-65


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
        require_output_stride(output_stride)

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
        he_initialise(self)

    def forward(self, x):
        x, low_level = self.entry2(self.entry1(self.stem(x)), low_level=True)
        return low_level, self.exit2(self.exit1(self.middle(self.entry3(x))))
