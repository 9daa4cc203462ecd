"""ResNet-101 as torchvision has it (arXiv 1512.03385, table 1), with rates in place of the last strides."""

from torch import nn
from torch.nn import functional as F


class Bottleneck(nn.Module):
    def __init__(self, c_in, mid, stride, rate):
        super().__init__()
        self.shortcut = nn.Sequential()
        if c_in != 4 * mid:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, 4 * mid, 1, stride, bias=False), nn.BatchNorm2d(4 * mid))
        self.reduce = nn.Sequential(nn.Conv2d(c_in, mid, 1, bias=False), nn.BatchNorm2d(mid), nn.ReLU())
        conv3x3 = nn.Conv2d(mid, mid, 3, stride, padding=rate, dilation=rate, bias=False)
        self.conv3x3 = nn.Sequential(conv3x3, nn.BatchNorm2d(mid), nn.ReLU())
        self.increase = nn.Sequential(nn.Conv2d(mid, 4 * mid, 1, bias=False), nn.BatchNorm2d(4 * mid))

    def forward(self, x):
        shortcut = self.shortcut(x)
        return F.relu(self.increase(self.conv3x3(self.reduce(x))) + shortcut)


def stage(c_in, mid, stride, rates):
    """One block for each rate; the first strides and changes the number of channels."""
    first = Bottleneck(c_in, mid, stride, rates[0])
    return nn.Sequential(first, *(Bottleneck(4 * mid, mid, 1, rate) for rate in rates[1:]))


def stem():
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    )  # fmt: skip
