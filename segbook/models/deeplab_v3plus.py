"""DeepLab v3+: Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation.

Chen, Zhu, Papandreou, Schroff, Adam, ECCV 2018, arXiv 1802.02611.

Parameters with 21 classes: 41,055,413 (Xception-65, separable), 54,711,461 (Xception-65, standard convolutions),
45,688,261 and 59,344,309 (ResNet-101).
"""

from collections.abc import Callable

import torch
from torch import nn

from segbook import backbones
from segbook.guards import one_of, whole
from segbook.layers import ASPP, ConvNormAct, SeparableConv2d, check_min_size, he_initialize, resize, scaled
from segbook.models.deeplab_v3 import ASPP_RATES, checked, start_small


class Decoder(nn.Module):
    """The lower half of figure 2: the low-level map made thin, the encoder's enlarged to it, both joined and refined.

    [N, low_level, h, w] and [N, features, h', w'] give [N, channels, h, w]; ``out_channels`` says how many that is.
    The options are the paper's ablations: ``low_level_channels`` (table 1), number, channels and size of the
    ``convolutions`` (table 2; those of size 1 are never separable). ``width`` scales channels, ``align_corners`` is
    that of the resize. Raises ValueError for numbers below 1 and an even kernel.
    """

    def __init__(
        self, low_level, features, *, low_level_channels=48, convolutions=2, channels=256, kernel_size=3, separable=True,
        width=1.0, align_corners=False,
    ):  # fmt: skip
        super().__init__()
        for name, number in (("convolutions", convolutions), ("channels", channels)):
            whole(name, number, 1)
        whole("low_level_channels", low_level_channels, 1)
        thin, self.out_channels = scaled(low_level_channels, width), scaled(channels, width)
        # Few low-level channels, so that they do not outweigh the 256 that carry the meaning.
        self.refine, self.reduce = nn.Sequential(), ConvNormAct(low_level, thin, kernel_size=1)
        for before in [features + thin] + [self.out_channels] * (convolutions - 1):
            if separable and kernel_size > 1:
                block = SeparableConv2d(before, self.out_channels, kernel_size, order="activation_last")
            else:
                block = ConvNormAct(before, self.out_channels, kernel_size)
            self.refine.append(block)
        self.align_corners = align_corners

    def forward(self, low_level: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        low_level = self.reduce(low_level)
        features = resize(features, low_level.shape[-2:], self.align_corners)
        return self.refine(torch.cat([features, low_level], dim=1))


class DeepLabV3Plus(nn.Module):
    """DeepLab v3 as the encoder, and a decoder that joins it with one map at stride 4 (figure 2).

    Images [N, C, H, W], H, W >= 32, give logits [N, K, H, W]: scores at stride 4, resized bilinearly.

    ``backbone`` "xception65", "resnet101" or "resnet50". ``output_stride`` 16 or 8. ``separable`` makes the 3x3
    convolutions of pyramid and decoder depthwise separable. ``rates`` (None follows the output stride) and
    ``image_pooling`` are the pyramid's. ``decoder`` makes the decoder: :class:`Decoder`, or for the paper's ablations
    ``partial(Decoder, convolutions=1)`` and the like; None is v3's plain up-sampling. ``align_corners`` is that of all
    resizes. ``backbone_weights``: torchvision's; further options go to the backbone (of a ResNet: ``multi_grid``, which is
    1, 2, 4, and ``zero_init_residual``, for training without ImageNet weights).
    """

    def __init__(
        self, num_classes, *, width=1.0, in_channels=3, backbone="xception65", output_stride=16, separable=True, rates=None,
        image_pooling=True, decoder: Callable | None = Decoder, align_corners=False, backbone_weights=None,
        **backbone_options,
    ):  # fmt: skip
        super().__init__()
        one_of("output_stride", output_stride, ASPP_RATES)
        one_of("backbone", backbone, ("xception65", "resnet101", "resnet50"))
        if backbone != "xception65":
            backbone_options = {"multi_grid": (1, 2, 4), **backbone_options}
        self.backbone = backbones.build(
            backbone, width=width, in_channels=in_channels, output_stride=output_stride, weights=backbone_weights,
            **backbone_options,
        )  # fmt: skip
        self.tap, channels = self.backbone.strides.index(4), scaled(256, width)
        low_level, deep = self.backbone.out_channels[self.tap], self.backbone.out_channels[-1]
        rates, self.align_corners = checked(rates, ASPP_RATES[output_stride]), align_corners
        self.aspp = ASPP(deep, channels, rates, image_pooling=image_pooling, separable=separable)
        self.decoder = None
        if decoder is not None:
            self.decoder = decoder(low_level, channels, separable=separable, width=width, align_corners=align_corners)
            channels = self.decoder.out_channels
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        he_initialize(self.aspp)
        if self.decoder is not None:
            he_initialize(self.decoder)
        start_small(self.classifier)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The low-level map [N, 256, H/4, W/4] and the encoder's output [N, 256, H/os, W/os] (channels at width 1)."""
        maps = self.backbone(x)
        return maps[self.tap], self.aspp(maps[-1])

    def decode(self, low_level: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """The scores [N, K, H/4, W/4] from what ``encode`` gives; without a decoder at the output stride."""
        return self.classifier(features if self.decoder is None else self.decoder(low_level, features))

    def coarse_logits(self, x: torch.Tensor) -> torch.Tensor:
        """The scores before the last resize: encode, then decode."""
        return self.decode(*self.encode(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_min_size(*x.shape[-2:])
        return resize(self.coarse_logits(x), x.shape[-2:], self.align_corners)
