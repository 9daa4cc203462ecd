"""FCN-32s, -16s and -8s on VGG-16, as the released nets voc-fcn32s, -16s, -8s have them (arXiv 1411.4038, section 4)."""

import torch
from torch import nn
from torch.nn import functional as F


def conv(c_in, c_out, padding=1):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=padding), nn.ReLU())


def bilinear(x, k, stride):
    """Bilinear up-sampling, class by class: a tent of k cells, centred between the two middle ones."""
    tent = 1 - (torch.arange(k) - (k - 1) / 2).abs() / (k / 2)
    return F.conv_transpose2d(x, torch.outer(tent, tent).expand(x.shape[1], 1, k, k), stride=stride, groups=x.shape[1])


class FCN32s(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv1 = nn.Sequential(conv(3, 64, padding=100), conv(64, 64))
        self.conv2 = nn.Sequential(conv(64, 128), conv(128, 128))
        self.conv3 = nn.Sequential(conv(128, 256), conv(256, 256), conv(256, 256))
        self.conv4 = nn.Sequential(conv(256, 512), conv(512, 512), conv(512, 512))
        self.conv5 = nn.Sequential(conv(512, 512), conv(512, 512), conv(512, 512))
        self.pool = nn.MaxPool2d(2, stride=2, ceil_mode=True)  # Caffe rounds up
        self.fc6 = nn.Sequential(nn.Conv2d(512, 4096, 7), nn.ReLU(), nn.Dropout(0.5))
        self.fc7 = nn.Sequential(nn.Conv2d(4096, 4096, 1), nn.ReLU(), nn.Dropout(0.5))
        self.score_fr = nn.Conv2d(4096, n, 1)

    def trunk(self, x):
        pool3 = self.pool(self.conv3(self.pool(self.conv2(self.pool(self.conv1(x))))))
        pool4 = self.pool(self.conv4(pool3))
        pool5 = self.pool(self.conv5(pool4))
        return pool3, pool4, self.score_fr(self.fc7(self.fc6(pool5)))

    def forward(self, x):
        h, w = x.shape[-2:]
        _, _, score = self.trunk(x)
        return bilinear(score, 64, 32)[..., 19 : 19 + h, 19 : 19 + w]


class FCN16s(FCN32s):
    def __init__(self, n):
        super().__init__(n)
        self.score_pool4 = nn.Conv2d(512, n, 1)

    def fuse_pool4(self, score, pool4):
        up = bilinear(score, 4, 2)
        return up + self.score_pool4(pool4)[..., 5 : 5 + up.shape[-2], 5 : 5 + up.shape[-1]]

    def forward(self, x):
        h, w = x.shape[-2:]
        _, pool4, score = self.trunk(x)
        return bilinear(self.fuse_pool4(score, pool4), 32, 16)[..., 27 : 27 + h, 27 : 27 + w]


class FCN8s(FCN16s):
    def __init__(self, n):
        super().__init__(n)
        self.score_pool3 = nn.Conv2d(256, n, 1)

    def forward(self, x):
        h, w = x.shape[-2:]
        pool3, pool4, score = self.trunk(x)
        up = bilinear(self.fuse_pool4(score, pool4), 4, 2)
        fused = up + self.score_pool3(pool3)[..., 9 : 9 + up.shape[-2], 9 : 9 + up.shape[-1]]
        return bilinear(fused, 16, 8)[..., 31 : 31 + h, 31 : 31 + w]
