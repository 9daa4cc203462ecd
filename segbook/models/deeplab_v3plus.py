"""DeepLab v3+: Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation.

Chen, Zhu, Papandreou, Schroff, Adam, ECCV 2018, arXiv 1802.02611.

Parameters with 21 classes: 41,055,413 (Xception-65, separable), 54,711,461 (Xception-65, standard convolutions),
45,688,261 and 59,344,309 (ResNet-101).
"""

import torch
from torch import nn

from segbook.backbones import ResNet, Xception65, check_fits_pretrained, check_output_stride, pretrained_state
from segbook.layers import ASPP, ConvNormAct, SeparableConv2d, check_min_size, he_initialize, resize, scaled
from segbook.models.deeplab_v3 import ASPP_RATES


class DeepLabV3Plus(nn.Module):
    """DeepLab v3 as the encoder, and a decoder that joins it with one map at stride 4 (figure 2).

    Images [N, C, H, W], H, W >= 32, give logits [N, K, H, W]: scores at stride 4, resized bilinearly.

    ``backbone`` "xception65", "resnet101" or "resnet50" (with multi-grid 1, 2, 4). ``output_stride`` 16 or 8.
    ``separable`` makes the 3x3 convolutions of pyramid and decoder depthwise separable.
    For the paper's ablations: ``low_level_channels`` (table 1), ``decoder_convolutions``, ``decoder_channels`` and
    ``decoder_kernel_size`` (table 2; size 1 is never separable), ``decoder=False`` (v3's plain upsampling),
    ``image_pooling``, ``rates`` (None follows the output stride). For a ResNet: ``multi_grid``, ``zero_init_residual``
    (training without ImageNet weights) and ``backbone_weights``, torchvision's.
    """

    def __init__(
        self,
        num_classes,
        *,
        width=1.0,
        in_channels=3,
        backbone="xception65",
        output_stride=16,
        separable=True,
        decoder=True,
        low_level_channels=48,
        decoder_convolutions=2,
        decoder_channels=256,
        decoder_kernel_size=3,
        image_pooling=True,
        rates=None,
        multi_grid=(1, 2, 4),
        zero_init_residual=False,
        dropout=0.1,
        backbone_weights=None,
    ):
        super().__init__()
        check_output_stride(output_stride, (8, 16))
        if decoder_convolutions < 1 or low_level_channels < 1 or decoder_channels < 1:
            raise ValueError("decoder_convolutions, decoder_channels and low_level_channels must be at least 1")
        if backbone == "xception65":
            if backbone_weights is not None:
                raise ValueError("torchvision has no weights for Xception-65; use a ResNet backbone with them")
            self.backbone = Xception65(width=width, in_channels=in_channels, output_stride=output_stride)
            low_level, channels = self.backbone.low_level_channels, self.backbone.out_channels
        else:
            self.backbone = ResNet(
                backbone, width=width, in_channels=in_channels, output_stride=output_stride, multi_grid=multi_grid,
                zero_init_residual=zero_init_residual,
            )  # fmt: skip
            low_level, channels = self.backbone.out_channels[0], self.backbone.out_channels[-1]

        pyramid = scaled(256, width)
        self.aspp = ASPP(
            channels, pyramid, ASPP_RATES[output_stride] if rates is None else rates,
            image_pooling=image_pooling, separable=separable, dropout=dropout,
        )  # fmt: skip
        self.decoder = None
        if decoder:
            # Few low-level channels, so that they do not outweigh the 256 that carry the meaning.
            self.reduce_low_level = ConvNormAct(low_level, scaled(low_level_channels, width), kernel_size=1)
            before, after = pyramid + scaled(low_level_channels, width), scaled(decoder_channels, width)
            self.decoder = nn.Sequential()
            for _ in range(decoder_convolutions):
                if separable and decoder_kernel_size > 1:
                    block = SeparableConv2d(before, after, decoder_kernel_size, order="activation_last")
                else:
                    block = ConvNormAct(before, after, decoder_kernel_size)
                self.decoder.append(block)
                before = after
            pyramid = after
        self.classifier = nn.Conv2d(pyramid, num_classes, 1)
        for part in (self.aspp, self.decoder, getattr(self, "reduce_low_level", None)):
            if part is not None:
                he_initialize(part)
        nn.init.trunc_normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)
        if backbone_weights is not None:
            check_fits_pretrained(width, in_channels)
            self.backbone.load_torchvision(pretrained_state(backbone_weights))

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The low-level map [N, 256, H/4, W/4] and the encoder's output [N, 256, H/os, W/os] (channels at width 1)."""
        low_level, *_, deep = self.backbone(x)
        return low_level, self.aspp(deep)

    def decode(self, low_level: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """The scores [N, K, H/4, W/4] from what ``encode`` gives; without a decoder at the output stride."""
        if self.decoder is not None:
            low_level = self.reduce_low_level(low_level)
            features = self.decoder(torch.cat([resize(features, low_level.shape[-2:]), low_level], dim=1))
        return self.classifier(features)

    def coarse_logits(self, x: torch.Tensor) -> torch.Tensor:
        """The scores before the last resize: encode, then decode."""
        return self.decode(*self.encode(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_min_size(*x.shape[-2:])
        return resize(self.coarse_logits(x), x.shape[-2:])
