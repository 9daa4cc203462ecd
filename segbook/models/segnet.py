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
from segbook.guards import one_of
from segbook.layers import BilinearConvTranspose2d, check_min_size, he_initialize, resize, scaled


def unpool(x: torch.Tensor, indices: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Put every value back where its maximum was found; everything else is zero (figure 3 of the paper).

    ``x`` [N, C, h, w]; ``indices`` int64 [N, C, h, w] from ``F.max_pool2d(..., return_indices=True)``; the result is
    [N, C, *size], where ``size`` is the (height, width) before pooling. Windows that do not overlap never write to one
    place twice, so that a scatter gives the same result on every device and at every run.
    """
    height, width = size
    flat = x.new_zeros(*x.shape[:2], height * width)
    return flat.scatter_(2, indices.flatten(2), x.flatten(2)).unflatten(2, (height, width))


class Unpool(nn.Module):
    """The paper's up-sampling: by the indices of the maxima alone. It learns nothing and asks for nothing else."""

    def __init__(self, channels):
        super().__init__()

    def forward(self, x, indices, size):
        return unpool(x, indices, size)


class Resize(nn.Module):
    """A rival of the paper's table 1: bilinear, without the indices."""

    def __init__(self, channels):
        super().__init__()

    def forward(self, x, indices, size):
        return resize(x, size)


class LearnedUpsampling(BilinearConvTranspose2d):
    """A rival: a transposed convolution of kernel 4 that mixes the channels and starts as bilinear."""

    def __init__(self, channels):
        super().__init__(channels, 2, learned=True)

    def forward(self, x, indices, size):
        return super().forward(x)[..., : size[0], : size[1]]


#: Each is made for a number of channels and maps (x [N, C, h, w], indices, size) to [N, C, *size].
UPSAMPLING = {"indices": Unpool, "bilinear": Resize, "learned": LearnedUpsampling}


class IndexNet(nn.Module):
    """What both nets do: an encoder that keeps the positions of its maxima, and a decoder that puts values back there.

    Images [N, C, H, W], H, W >= 32, give logits [N, K, H, W]. Poolings round up (360, 180, 90, 45, 23, 12), and every
    decoder stage returns to the size its partner had.

    ``upsampling``: "indices" is the paper's; "bilinear" and "learned" are its rivals (see :data:`UPSAMPLING`).
    ``encoder_addition=True`` adds the encoder's whole map to the up-sampled one. Whatever is chosen, the convolutions are
    the same.
    """

    def __init__(self, upsampling, encoder_addition):
        super().__init__()
        one_of("upsampling", upsampling, UPSAMPLING)
        self.encoder_addition = encoder_addition
        self.normalize = nn.Identity()
        self.encoder, self.decoder, self.upsamplers = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()

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
        for upsample, stage, (indices, size, full) in zip(self.upsamplers, self.decoder, reversed(kept)):
            x = upsample(x, indices, size)
            x = stage(x if full is None else x + full)
        return self.classifier(x)


class SegNet(IndexNet):
    """The thirteen convolutions of VGG-16 and their mirror image; the options are those of :class:`IndexNet`."""

    def __init__(self, num_classes, *, width=1.0, in_channels=3, upsampling="indices", encoder_addition=False):
        super().__init__(upsampling, encoder_addition)
        channels = [in_channels, *(scaled(maps, width) for maps, _ in VGG16_STAGES)]
        stages = [(c_in, c_out, count) for c_in, c_out, (_, count) in zip(channels, channels[1:], VGG16_STAGES)]
        for c_in, c_out, count in stages:
            self.encoder.append(convolutions(c_in, [c_out] * count))
        # The mirror image: a stage that took c_in to c_out takes c_out back to c_in with as many convolutions.
        for c_in, c_out, count in reversed(stages[1:]):
            self.upsamplers.append(UPSAMPLING[upsampling](c_out))
            self.decoder.append(convolutions(c_out, [c_out] * (count - 1) + [c_in]))
        # In the last stage the convolution back to the image's channels is the classifier.
        _, c_out, count = stages[0]
        self.upsamplers.append(UPSAMPLING[upsampling](c_out))
        self.decoder.append(convolutions(c_out, [c_out] * (count - 1)))
        self.classifier = nn.Conv2d(c_out, num_classes, 3, padding=1)
        he_initialize(self)


class SegNetBasic(IndexNet):
    """Four stages of one 7x7 convolution with 64 maps, no ReLU in the decoder, a 1x1 classifier.

    The image is normalised locally first. ``stages`` (1 to 4) and ``kernel_size`` (odd) make the net smaller for small
    images; the other options are those of :class:`IndexNet`.
    """

    def __init__(
        self, num_classes, *, width=1.0, in_channels=3, stages=4, kernel_size=7, upsampling="indices", encoder_addition=False
    ):  # fmt: skip
        super().__init__(upsampling, encoder_addition)
        one_of("stages", stages, (1, 2, 3, 4))
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd so that the padding can keep the size, got {kernel_size}")
        maps = scaled(64, width)
        self.normalize = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
        for before in [in_channels] + [maps] * (stages - 1):
            self.encoder.append(convolutions(before, [maps], kernel_size))
            self.upsamplers.append(UPSAMPLING[upsampling](maps))
            self.decoder.append(convolutions(maps, [maps], kernel_size, relu=False))
        self.classifier = nn.Conv2d(maps, num_classes, 1)
        he_initialize(self)


def convolutions(channels, outputs, kernel_size=3, relu=True) -> nn.Sequential:
    """A stage: one convolution for each of ``outputs`` (its maps), with batch norm and, if ``relu``, ReLU."""
    layers = []
    for maps in outputs:
        layers += [nn.Conv2d(channels, maps, kernel_size, padding=kernel_size // 2), nn.BatchNorm2d(maps)]
        layers += [nn.ReLU(inplace=True)] if relu else []
        channels = maps
    return nn.Sequential(*layers)
