"""Heads: what turns a backbone's feature maps into logits. A segmentation net is a backbone and a head.

Every head is built from the channels of the taps it may use, ``Head(channels, num_classes, …)``, and maps
:class:`~segbook.features.Features` to logits [N, K, H, W]. ``sb.frozen`` trains heads alone, on features computed once;
:class:`SegmentationNet` joins a head with its backbone. The score layers start at zero, as FCN's.
"""

import torch
from torch import Tensor, nn

from segbook.features import Features
from segbook.layers import ASPP, ConvNormAct, check_min_size, resize


def score_layer(in_channels: int, num_classes: int) -> nn.Conv2d:
    """A 1x1 convolution to the classes that starts at zero: at first every class is equally likely."""
    layer = nn.Conv2d(in_channels, num_classes, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class Head(nn.Module):
    """Base of all heads. ``taps``: the maps it uses, by their stride in the classifier; None stands for the deepest."""

    def __init__(self, channels: dict[int, int], taps):
        super().__init__()
        self.use(channels, taps)

    def use(self, channels, taps):
        deepest = max(channels)
        self.taps = tuple(deepest if tap is None else tap for tap in taps)
        if missing := [tap for tap in self.taps if tap not in channels]:
            raise ValueError(
                f"{type(self).__name__} needs tap {missing[0]}; there are {', '.join(map(str, sorted(channels)))}"
            )
        self.channels = {tap: channels[tap] for tap in self.taps}

    def forward(self, features: Features) -> Tensor:
        if not isinstance(features, Features):
            raise TypeError(
                "a head takes features, not images: sb.heads.SegmentationNet(backbone, head) joins it with its backbone"
            )
        for tap, expected in self.channels.items():
            if features.channels.get(tap) != expected:
                raise ValueError(
                    f"this head was built for {expected} channels at tap {tap}, the features have "
                    f"{features.channels.get(tap, 'no such tap')}: they come from another backbone or other taps"
                )
        return resize(self.coarse_logits(features), features.size)

    def coarse_logits(self, features: Features) -> Tensor:
        """Logits [N, K, h, w] before the last resize."""
        raise NotImplementedError


class LinearHead(Head):
    """A 1x1 convolution on one map: linear probing, what the features tell without any help."""

    def __init__(self, channels, num_classes, *, tap=None):
        super().__init__(channels, [tap])
        self.norm = nn.BatchNorm2d(channels[self.taps[0]])  # still linear: it brings all channels to one scale
        self.score = score_layer(channels[self.taps[0]], num_classes)

    def coarse_logits(self, features):
        return self.score(self.norm(features.maps[self.taps[0]]))


class ConvHead(Head):
    """1x1 to ``bottleneck`` channels, one convolution at ``rate`` to ``hidden``, scores.

    ``kernel_size=1`` is the 1x1 of DeepLab's ablations, 3 the 3x3, and with a large ``rate`` DeepLab-LargeFOV.
    """

    def __init__(self, channels, num_classes, *, kernel_size=3, rate=1, hidden=48, bottleneck=96, tap=None):
        super().__init__(channels, [tap])
        self.layers = nn.Sequential(
            ConvNormAct(channels[self.taps[0]], bottleneck, 1),
            ConvNormAct(bottleneck, hidden, kernel_size, dilation=rate),
            score_layer(hidden, num_classes),
        )

    def coarse_logits(self, features):
        return self.layers(features.maps[self.taps[0]])


class SummedASPPHead(Head):
    """DeepLab v2's pyramid: parallel branches at several rates whose scores are added."""

    def __init__(self, channels, num_classes, *, rates=(6, 12, 18, 24), hidden=48, bottleneck=96, tap=None):
        super().__init__(channels, [tap])
        self.bottleneck = ConvNormAct(channels[self.taps[0]], bottleneck, 1)
        self.branches = nn.ModuleList()
        for rate in rates:
            fc6, fc7 = ConvNormAct(bottleneck, hidden, dilation=rate), ConvNormAct(hidden, hidden, 1)
            self.branches.append(nn.Sequential(fc6, fc7, score_layer(hidden, num_classes)))

    def coarse_logits(self, features):
        x = self.bottleneck(features.maps[self.taps[0]])
        return sum(branch(x) for branch in self.branches)


class ASPPHead(Head):
    """DeepLab v3's pyramid with image pooling, joined by a 1x1."""

    def __init__(
        self, channels, num_classes, *, rates=(6, 12, 18), image_pooling=True, hidden=48, bottleneck=96, tap=None
    ):
        super().__init__(channels, [tap])
        self.bottleneck = ConvNormAct(channels[self.taps[0]], bottleneck, 1)
        self.aspp = ASPP(bottleneck, hidden, rates, image_pooling=image_pooling)
        self.score = score_layer(hidden, num_classes)

    def encode(self, features):
        return self.aspp(self.bottleneck(features.maps[self.taps[0]]))

    def coarse_logits(self, features):
        return self.score(self.encode(features))


class DecoderHead(ASPPHead):
    """DeepLab v3+: the pyramid enlarged to a shallow map, few channels of that map beside it, two 3x3 convolutions."""

    def __init__(
        self, channels, num_classes, *, low_level_tap=4, low_level_channels=24, hidden=48, tap=None, **pyramid
    ):
        super().__init__(channels, num_classes, hidden=hidden, tap=tap, **pyramid)
        self.use(channels, [*self.taps, low_level_tap])
        self.reduce_low_level = ConvNormAct(channels[low_level_tap], low_level_channels, 1)
        self.decoder = nn.Sequential(ConvNormAct(hidden + low_level_channels, hidden), ConvNormAct(hidden, hidden))

    def coarse_logits(self, features):
        low_level = self.reduce_low_level(features.maps[self.taps[1]])
        x = resize(self.encode(features), low_level.shape[-2:])
        return self.score(self.decoder(torch.cat([x, low_level], dim=1)))


class FCNHead(Head):
    """FCN: 1x1 scores of several maps, each enlarged to the next shallower one and added. (32,) is 32s, (32, 16, 8) 8s."""

    def __init__(self, channels, num_classes, *, taps=(32, 16, 8)):
        super().__init__(channels, sorted(taps, reverse=True))
        self.scores = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(channels[tap]), score_layer(channels[tap], num_classes)) for tap in self.taps
        )

    def coarse_logits(self, features):
        total = None
        for tap, score in zip(self.taps, self.scores):
            scores = score(features.maps[tap])
            total = scores if total is None else resize(total, scores.shape[-2:]) + scores
        return total


class UNetHead(Head):
    """U-Net's expansive path: enlarge, concatenate the next shallower map, two 3x3 convolutions, level after level."""

    def __init__(self, channels, num_classes, *, taps=(32, 16, 8, 4), hidden=48):
        super().__init__(channels, sorted(taps, reverse=True))
        deep, *shallower = (channels[tap] for tap in self.taps)
        self.levels = nn.ModuleList()
        for across in shallower:
            self.levels.append(nn.Sequential(ConvNormAct(deep + across, hidden), ConvNormAct(hidden, hidden)))
            deep = hidden
        self.score = score_layer(deep, num_classes)

    def coarse_logits(self, features):
        deepest, *shallower = self.taps
        x = features.maps[deepest]
        for tap, level in zip(shallower, self.levels):
            across = features.maps[tap]
            x = level(torch.cat([resize(x, across.shape[-2:]), across], dim=1))
        return self.score(x)


class SegmentationNet(nn.Module):
    """A backbone and a head: images [N, C, H, W], H, W >= 32, give logits [N, K, H, W]."""

    def __init__(self, backbone: nn.Module, head: Head):
        super().__init__()
        self.backbone, self.head = backbone, head

    def coarse_logits(self, x: Tensor) -> Tensor:
        """Logits [N, K, h, w] before the last resize."""
        return self.head.coarse_logits(Features.of(self.backbone, x))

    def forward(self, x: Tensor) -> Tensor:
        check_min_size(*x.shape[-2:])
        return self.head(Features.of(self.backbone, x))
