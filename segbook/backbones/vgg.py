"""VGG-16 (Simonyan and Zisserman, 2015)."""

import torch
from torch import nn

from segbook.backbones.pretrained import load_pretrained
from segbook.guards import one_of
from segbook.layers import he_initialize, scaled

#: Channels and number of 3x3 convolutions of the five stages; every stage ends with a max pooling.
VGG16_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))

#: (dilation of the convolutions, stride of the pooling) of the five stages by output stride. A pooling that does not
#: stride is paid by dilation in the stages behind it.
VGG16_RATES = {
    32: ((1, 2), (1, 2), (1, 2), (1, 2), (1, 2)),
    16: ((1, 2), (1, 2), (1, 2), (1, 2), (1, 1)),
    8: ((1, 2), (1, 2), (1, 2), (1, 1), (2, 1)),
}


class VGG16(nn.Module):
    """The thirteen 3x3 convolutions of VGG-16 in five stages; ``forward`` returns the five pooled maps, shallow to deep.

    Images [N, C, H, W] give pool1 ... pool5 with 64, 128, 256, 512, 512 channels at strides 2, 4, 8, 16, 32.

    ``output_stride=8`` (or 16) keeps the last two (one) poolings at stride 1 and dilates what follows, as DeepLab does.
    ``pool_kernel=2`` rounds sizes up, as Caffe does; ``pool_kernel=3`` (padding 1, rounding down) is DeepLab's, whose
    cells sit on pixels. ``first_padding=100`` is FCN's. ``batch_norm=True`` adds normalisation after every
    convolution, which training from scratch needs. ``weights``: torchvision's ``VGG16_Weights`` (``VGG16_BN_Weights``
    with batch norm). 14,714,688 parameters (14,723,136 with batch norm).
    """

    strides = (2, 4, 8, 16, 32)

    def __init__(
        self, *, width=1.0, in_channels=3, batch_norm=False, first_padding=1, pool_kernel=2, output_stride=32, weights=None
    ):  # fmt: skip
        super().__init__()
        one_of("output_stride", output_stride, VGG16_RATES)
        one_of("pool_kernel", pool_kernel, (2, 3))
        if pool_kernel == 2 and output_stride < 32:
            raise ValueError("pool_kernel=2 cannot keep the size at stride 1; use pool_kernel=3 as DeepLab does")
        self.stages, self.pools, self.out_channels = nn.ModuleList(), nn.ModuleList(), []
        for (channels, count), (dilation, stride) in zip(VGG16_STAGES, VGG16_RATES[output_stride]):
            before = self.out_channels[-1] if self.out_channels else in_channels
            self.out_channels.append(scaled(channels, width))
            self.stages.append(convolutions(before, self.out_channels[-1], count, dilation, batch_norm))
            if pool_kernel == 2:
                self.pools.append(nn.MaxPool2d(2, stride, ceil_mode=True))
            else:
                self.pools.append(nn.MaxPool2d(3, stride, padding=1))
        self.stages[0][0].padding = (first_padding, first_padding)
        he_initialize(self)
        load_pretrained(self, weights, width, in_channels)

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


def convolutions(in_channels, out_channels, count, dilation, batch_norm) -> nn.Sequential:
    """``count`` 3x3 convolutions that keep the size, each followed by ReLU (and batch norm before it)."""
    layers = []
    for before in [in_channels] + [out_channels] * (count - 1):
        layers.append(nn.Conv2d(before, out_channels, 3, padding=dilation, dilation=dilation))
        layers += [nn.BatchNorm2d(out_channels)] if batch_norm else []
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
