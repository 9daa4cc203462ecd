"""DeepLab v2 with ResNet-101 and ASPP-L (arXiv 1606.00915, figure 7; rates of section 3.2).

The first block of a dilated stage keeps the rate before it, as in torchvision; the released net dilates it too.
"""

from reference.resnet101 import stage, stem
from torch import nn
from torch.nn import functional as F


class DeepLabV2(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.layer1 = stem()
        self.layer2 = stage(64, 64, stride=1, rates=[1] * 3)
        self.layer3 = stage(256, 128, stride=2, rates=[1] * 4)
        self.layer4 = stage(512, 256, stride=1, rates=[1] + [2] * 22)
        self.layer5 = stage(1024, 512, stride=1, rates=[2, 4, 4])
        self.c0 = nn.Conv2d(2048, n, 3, padding=6, dilation=6)
        self.c1 = nn.Conv2d(2048, n, 3, padding=12, dilation=12)
        self.c2 = nn.Conv2d(2048, n, 3, padding=18, dilation=18)
        self.c3 = nn.Conv2d(2048, n, 3, padding=24, dilation=24)

    def forward(self, x):
        deep = self.layer5(self.layer4(self.layer3(self.layer2(self.layer1(x)))))
        scores = self.c0(deep) + self.c1(deep) + self.c2(deep) + self.c3(deep)
        return F.interpolate(scores, x.shape[-2:], mode="bilinear", align_corners=False)
