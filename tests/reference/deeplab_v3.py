"""DeepLab v3 with ResNet-101 at output stride 16: multi-grid (1, 2, 4), ASPP with image pooling (arXiv 1706.05587)."""

import torch
from reference.resnet101 import stage, stem
from torch import nn
from torch.nn import functional as F


def conv(c_in, c_out, kernel, rate=1):
    padding = rate if kernel == 3 else 0
    layer = nn.Conv2d(c_in, c_out, kernel, padding=padding, dilation=rate, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(c_out), nn.ReLU())


class DeepLabV3(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.stem = stem()
        self.block1 = stage(64, 64, stride=1, rates=[1] * 3)
        self.block2 = stage(256, 128, stride=2, rates=[1] * 4)
        self.block3 = stage(512, 256, stride=2, rates=[1] * 23)
        self.block4 = stage(1024, 512, stride=1, rates=[2 * 1, 2 * 2, 2 * 4])  # base rate 2 times the multi-grid
        self.c0 = conv(2048, 256, 1)
        self.c1, self.c2, self.c3 = conv(2048, 256, 3, rate=6), conv(2048, 256, 3, rate=12), conv(2048, 256, 3, rate=18)
        self.image_pool = conv(2048, 256, 1)
        self.project = conv(1280, 256, 1)
        self.classifier = nn.Conv2d(256, n, 1)

    def forward(self, x):
        deep = self.block4(self.block3(self.block2(self.block1(self.stem(x)))))
        branches = [self.c0(deep), self.c1(deep), self.c2(deep), self.c3(deep)]
        pooled = self.image_pool(deep.mean(dim=(2, 3), keepdim=True))
        pooled = F.interpolate(pooled, deep.shape[-2:], mode="bilinear", align_corners=False)
        scores = self.classifier(self.project(torch.cat([*branches, pooled], dim=1)))
        return F.interpolate(scores, x.shape[-2:], mode="bilinear", align_corners=False)
