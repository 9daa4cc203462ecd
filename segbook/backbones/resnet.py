"""ResNet-50 and ResNet-101 (He et al., 2016), with an output stride."""

import torch
from torch import nn
from torch.nn import functional as F

from segbook.backbones.pretrained import load_pretrained
from segbook.guards import one_of
from segbook.layers import he_initialize, scaled


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

#: (stride, dilation) of the four stages by output stride: what is taken from the stride is given to the dilation.
STAGES = {
    32: ((1, 1), (2, 1), (2, 1), (2, 1)),
    16: ((1, 1), (2, 1), (2, 1), (1, 2)),
    8: ((1, 1), (2, 1), (1, 2), (1, 4)),
}


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

    strides = (4, 8, 16, 32)

    def __init__(
        self, name="resnet50", *, width=1.0, in_channels=3, output_stride=32, multi_grid=None,
        zero_init_residual=False, weights=None,
    ):  # fmt: skip
        super().__init__()
        one_of("name", name, RESNET_BLOCKS)
        one_of("output_stride", output_stride, STAGES)
        channels = scaled(64, width)
        self.conv1 = nn.Conv2d(in_channels, channels, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        rates = block_rates(RESNET_BLOCKS[name], STAGES[output_stride], multi_grid)
        self.out_channels = [4 * scaled(64 * 2**index, width) for index in range(4)]
        for index, (before, after) in enumerate(zip([channels, *self.out_channels], self.out_channels)):
            stride, _ = STAGES[output_stride][index]
            setattr(self, f"layer{index + 1}", bottlenecks(before, after, stride, rates[index]))
        he_initialize(self)
        if zero_init_residual:
            for block in (block for block in self.modules() if isinstance(block, Bottleneck)):
                nn.init.zeros_(block.bn3.weight)
        load_pretrained(self, weights, width, in_channels)

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


def block_rates(counts, stages, multi_grid=None) -> list[list[int]]:
    """The dilation of every block: that of its stage, in the first block that of the stage before (see ``ResNet``)."""
    rates = [[max(1, rate // 2)] + [rate] * (count - 1) for count, (_, rate) in zip(counts, stages)]
    if multi_grid is not None:
        if len(multi_grid) != counts[-1]:
            raise ValueError(f"multi_grid needs one number for each of the {counts[-1]} last blocks, got {multi_grid}")
        rates[-1] = [stages[-1][1] * unit for unit in multi_grid]
    return rates


def bottlenecks(in_channels, out_channels, stride, rates) -> nn.Sequential:
    """One bottleneck for each of ``rates``; the first of them changes stride and channels."""
    blocks = nn.Sequential(Bottleneck(in_channels, out_channels // 4, stride=stride, dilation=rates[0]))
    for rate in rates[1:]:
        blocks.append(Bottleneck(out_channels, out_channels // 4, dilation=rate))
    return blocks
