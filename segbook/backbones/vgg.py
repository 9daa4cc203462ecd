"""VGG-16 (Simonyan and Zisserman, 2015)."""

import torch
from torch import nn

from segbook.backbones.pretrained import check_fits_pretrained, check_output_stride, pretrained_state
from segbook.layers import he_initialize, scaled

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
        check_output_stride(output_stride)
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
        he_initialize(self)
        if weights is not None:
            check_fits_pretrained(width, in_channels)
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
