"""SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation.

Badrinarayanan, Kendall, Cipolla, arXiv 1511.00561 (2015), PAMI 2017. The layers are those of the released nets segnet and
segnet_basic, with the biases their convolutions have.

Parameters with 11 classes: 29,449,355 (SegNet), 1,416,587 (SegNet-Basic).

Where this departs from the paper: the indices are PyTorch's int64, 32 times as large as the 2-bit codes the paper counts;
and images come with mean 0 and variance 1 instead of 0 to 255, so that SegNet-Basic's local normalisation, which is
kept because the released net has it, changes next to nothing.
"""

import torch
from torch import nn
from torch.nn import functional as F

from segbook.backbones import VGG16_STAGES
from segbook.layers import BilinearConvTranspose2d, check_min_size, he_initialize, resize, scaled

BASIC_STAGES = ((64, 1),) * 4  # maps and convolutions of each stage, as VGG16_STAGES


def unpool(x: torch.Tensor, indices: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Put every value back where its maximum was found; everything else is zero (figure 3 of the paper).

    ``x`` [N, C, h, w]; ``indices`` int64 [N, C, h, w] from ``F.max_pool2d(..., return_indices=True)``; the result is
    [N, C, *size], where ``size`` is the (height, width) before pooling. Windows that do not overlap never write to one
    place twice, so that a scatter gives the same result on every device and at every run.
    """
    height, width = size
    flat = x.new_zeros(*x.shape[:2], height * width)
    return flat.scatter_(2, indices.flatten(2), x.flatten(2)).unflatten(2, (height, width))


class SegNet(nn.Module):
    """An encoder that keeps the positions of its maxima, and a decoder that puts values back there.

    Images [N, C, H, W], H, W >= 32, give logits [N, K, H, W]. Poolings round up (360, 180, 90, 45, 23, 12), and every
    decoder stage returns to the size its partner had.

    ``variant="vgg16"`` is SegNet: the thirteen convolutions of VGG-16 and their mirror image. ``variant="basic"`` is
    SegNet-Basic: four stages of one 7x7 convolution with 64 maps, the image normalised locally first, no ReLU in the
    decoder, a 1x1 classifier. ``stages`` uses only so many of the variant's stages and ``kernel_size`` (odd) replaces
    its kernels, for small images; None is the paper's.

    ``upsampling``: "indices" is the paper's; "bilinear" and "learned" (a transposed convolution of kernel 4 that mixes the
    channels and starts as bilinear) are rivals like those of the paper's table 1. ``encoder_addition=True`` adds the
    encoder's whole map to the up-sampled one. Whatever is chosen, the convolutions are the same.
    """

    def __init__(
        self, num_classes, *, width=1.0, in_channels=3, variant="vgg16", stages=None, kernel_size=None,
        upsampling="indices", encoder_addition=False,
    ):  # fmt: skip
        super().__init__()
        if variant not in ("vgg16", "basic"):
            raise ValueError(f'variant must be "vgg16" or "basic", got {variant!r}')
        if upsampling not in ("indices", "bilinear", "learned"):
            raise ValueError(f'upsampling must be "indices", "bilinear" or "learned", got {upsampling!r}')
        self.upsampling, self.encoder_addition = upsampling, encoder_addition
        basic = variant == "basic"
        table = BASIC_STAGES if basic else VGG16_STAGES
        stages = len(table) if stages is None else stages
        kernel = (7 if basic else 3) if kernel_size is None else kernel_size
        if not 1 <= stages <= len(table):
            raise ValueError(f'variant "{variant}" has 1 to {len(table)} stages, got stages={stages}')
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel_size must be odd so that the padding can keep the size, got {kernel}")
        table = table[:stages]
        self.normalize = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75) if basic else nn.Identity()

        self.encoder, self.decoder, self.upsamplers = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels, before = in_channels, []
        for out_channels, count in table:
            out_channels = scaled(out_channels, width)
            before.append(channels)
            self.encoder.append(self.stage(channels, [out_channels] * count, kernel))
            channels = out_channels

        # The mirror image: a stage that took c_in to c_out takes c_out back to c_in with as many convolutions.
        for (_, count), c_in in zip(reversed(table), reversed(before)):
            self.upsamplers.append(
                BilinearConvTranspose2d(channels, 2, learned=True) if upsampling == "learned" else nn.Identity()
            )
            shallowest = len(self.decoder) == stages - 1
            if basic:
                outputs = [channels]  # always 64; the classifier is a layer of its own
            elif shallowest:
                outputs = [channels] * (count - 1)  # its last convolution is the classifier
            else:
                outputs = [channels] * (count - 1) + [c_in]
            self.decoder.append(self.stage(channels, outputs, kernel, relu=not basic))
            channels = outputs[-1]
        self.classifier = (
            nn.Conv2d(channels, num_classes, 1) if basic else nn.Conv2d(channels, num_classes, 3, padding=1)
        )
        he_initialize(self)

    @staticmethod
    def stage(channels, outputs, kernel, relu=True):
        layers = []
        for out_channels in outputs:
            layers += [nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2), nn.BatchNorm2d(out_channels)]
            layers += [nn.ReLU(inplace=True)] if relu else []
            channels = out_channels
        return nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_min_size(*x.shape[-2:])
        return self.decode(*self.encode(x))

    def encode(self, x):
        """The deepest map, and what the decoder needs of each stage: the indices, the size, the map if it is added."""
        x, kept = self.normalize(x), []
        for stage in self.encoder:
            full = stage(x)
            x, indices = F.max_pool2d(full, 2, ceil_mode=True, return_indices=True)
            # Whoever keeps the whole map here has it in memory until the decoder comes back to it.
            kept.append((indices, full.shape[-2:], full if self.encoder_addition else None))
        return x, kept

    def decode(self, x, kept):
        """Logits from the deepest map: up-sample, make dense, from the last stage to the first."""
        for stage, upsampler, (indices, size, full) in zip(self.decoder, self.upsamplers, reversed(kept)):
            x = self.upsample(x, indices, size, upsampler)
            x = stage(x if full is None else x + full)
        return self.classifier(x)

    def upsample(self, x, indices, size, upsampler):
        """The map [N, C, h, w] enlarged to ``size`` (height, width), in the way that ``upsampling`` names."""
        if self.upsampling == "indices":
            return unpool(x, indices, size)
        if self.upsampling == "bilinear":
            return resize(x, size)
        return upsampler(x)[..., : size[0], : size[1]]
