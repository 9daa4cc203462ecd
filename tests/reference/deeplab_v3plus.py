"""DeepLab v3+ with Xception-65 at output stride 16, separable throughout (arXiv 1802.02611, figures 2 and 4).

As in the released code, batch norm's epsilon is 1e-3 in the trunk, and the trunk's blocks begin with ReLU but the last.
"""

import torch
from torch import nn
from torch.nn import functional as F


def conv(c_in, c_out, kernel, stride=1, eps=1e-5):
    layer = nn.Conv2d(c_in, c_out, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(c_out, eps=eps), nn.ReLU())


def pair(c_in, c_out, stride, rate, eps):
    """Depthwise 3x3 and pointwise 1x1, each with batch norm."""
    depthwise = nn.Conv2d(c_in, c_in, 3, stride, padding=rate, dilation=rate, groups=c_in, bias=False)
    pointwise = nn.Conv2d(c_in, c_out, 1, bias=False)
    return depthwise, nn.BatchNorm2d(c_in, eps=eps), pointwise, nn.BatchNorm2d(c_out, eps=eps)


def relu_first(c_in, c_out, stride=1):
    return nn.Sequential(nn.ReLU(), *pair(c_in, c_out, stride, 1, 1e-3))


def relu_last(c_in, c_out, rate=1, eps=1e-5):
    depthwise, norm1, pointwise, norm2 = pair(c_in, c_out, 1, rate, eps)
    return nn.Sequential(depthwise, norm1, nn.ReLU(), pointwise, norm2, nn.ReLU())


class Block(nn.Module):
    """Three separable convolutions and a shortcut: 1x1 where the size or the channels change."""

    def __init__(self, c_in, c1, c2, c3, stride=1):
        super().__init__()
        self.a, self.b, self.c = relu_first(c_in, c1), relu_first(c1, c2), relu_first(c2, c3, stride)
        self.shortcut = nn.Sequential()
        if c_in != c3:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c3, 1, stride, bias=False), nn.BatchNorm2d(c3, eps=1e-3))

    def forward(self, x):
        self.second = self.b(self.a(x))
        return self.c(self.second) + self.shortcut(x)


class DeepLabV3Plus(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.stem = nn.Sequential(conv(3, 32, 3, stride=2, eps=1e-3), conv(32, 64, 3, eps=1e-3))
        self.entry1 = Block(64, 128, 128, 128, stride=2)
        self.entry2 = Block(128, 256, 256, 256, stride=2)
        self.entry3 = Block(256, 728, 728, 728, stride=2)
        self.middle = nn.Sequential(*(Block(728, 728, 728, 728) for _ in range(16)))
        self.exit1 = Block(728, 728, 1024, 1024)  # its stride is left out: output stride 16
        last = relu_last(1024, 1536, 2, 1e-3), relu_last(1536, 1536, 2, 1e-3), relu_last(1536, 2048, 2, 1e-3)
        self.exit2 = nn.Sequential(*last)  # rate 2 in its place
        self.c0 = conv(2048, 256, 1)
        self.c1, self.c2, self.c3 = relu_last(2048, 256, 6), relu_last(2048, 256, 12), relu_last(2048, 256, 18)
        self.image_pool, self.project = conv(2048, 256, 1), conv(1280, 256, 1)
        self.reduce = conv(256, 48, 1)
        self.refine = nn.Sequential(relu_last(304, 256), relu_last(256, 256))
        self.classifier = nn.Conv2d(256, n, 1)

    def forward(self, x):
        deep = self.exit2(self.exit1(self.middle(self.entry3(self.entry2(self.entry1(self.stem(x)))))))
        branches = [self.c0(deep), self.c1(deep), self.c2(deep), self.c3(deep)]
        pooled = self.image_pool(deep.mean(dim=(2, 3), keepdim=True)).expand_as(branches[0])
        encoded = self.project(torch.cat([*branches, pooled], dim=1))
        low_level = self.reduce(self.entry2.second)  # the second convolution of the second entry block, at stride 4
        encoded = F.interpolate(encoded, low_level.shape[-2:], mode="bilinear", align_corners=False)
        scores = self.classifier(self.refine(torch.cat([encoded, low_level], dim=1)))
        return F.interpolate(scores, x.shape[-2:], mode="bilinear", align_corners=False)
