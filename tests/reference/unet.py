"""U-Net: the net of figure 1 of arXiv 1505.04597, and the padded form with batch norm that most people use."""

import torch
from torch import nn
from torch.nn import functional as F


def two(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3), nn.ReLU(), nn.Conv2d(c_out, c_out, 3), nn.ReLU())


def two_padded(c_in, c_out):
    first = (nn.Conv2d(c_in, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())
    return nn.Sequential(*first, nn.Conv2d(c_out, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU())


class UNet(nn.Module):
    """Figure 1: valid convolutions; what is handed across loses 4, 16, 40, 88 cells on each side."""

    def __init__(self, c_in, n):
        super().__init__()
        self.down1, self.down2, self.down3, self.down4 = two(c_in, 64), two(64, 128), two(128, 256), two(256, 512)
        self.bottom = two(512, 1024)
        self.up4, self.right4 = nn.ConvTranspose2d(1024, 512, 2, stride=2), two(1024, 512)
        self.up3, self.right3 = nn.ConvTranspose2d(512, 256, 2, stride=2), two(512, 256)
        self.up2, self.right2 = nn.ConvTranspose2d(256, 128, 2, stride=2), two(256, 128)
        self.up1, self.right1 = nn.ConvTranspose2d(128, 64, 2, stride=2), two(128, 64)
        self.out = nn.Conv2d(64, n, 1)

    def forward(self, x):
        d1 = self.down1(x)
        d2 = self.down2(F.max_pool2d(d1, 2))
        d3 = self.down3(F.max_pool2d(d2, 2))
        d4 = self.down4(F.max_pool2d(d3, 2))
        x = self.bottom(F.max_pool2d(d4, 2))
        x = self.right4(torch.cat([d4[..., 4:-4, 4:-4], self.up4(x)], dim=1))
        x = self.right3(torch.cat([d3[..., 16:-16, 16:-16], self.up3(x)], dim=1))
        x = self.right2(torch.cat([d2[..., 40:-40, 40:-40], self.up2(x)], dim=1))
        x = self.right1(torch.cat([d1[..., 88:-88, 88:-88], self.up1(x)], dim=1))
        return self.out(x)


class PaddedUNet(UNet):
    """The same channels with padding and batch norm: any size goes in, an odd map is rounded up and cut back."""

    def __init__(self, c_in, n):
        super().__init__(c_in, n)
        self.down1, self.down2, self.down3 = two_padded(c_in, 64), two_padded(64, 128), two_padded(128, 256)
        self.down4, self.bottom = two_padded(256, 512), two_padded(512, 1024)
        self.right4, self.right3 = two_padded(1024, 512), two_padded(512, 256)
        self.right2, self.right1 = two_padded(256, 128), two_padded(128, 64)

    def forward(self, x):
        def join(skip, up):
            return torch.cat([skip, up[..., : skip.shape[-2], : skip.shape[-1]]], dim=1)

        d1 = self.down1(x)
        d2 = self.down2(F.max_pool2d(d1, 2, ceil_mode=True))
        d3 = self.down3(F.max_pool2d(d2, 2, ceil_mode=True))
        d4 = self.down4(F.max_pool2d(d3, 2, ceil_mode=True))
        x = self.bottom(F.max_pool2d(d4, 2, ceil_mode=True))
        x = self.right4(join(d4, self.up4(x)))
        x = self.right3(join(d3, self.up3(x)))
        x = self.right2(join(d2, self.up2(x)))
        return self.out(self.right1(join(d1, self.up1(x))))
