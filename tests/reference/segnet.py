"""SegNet, layer by layer as in the released segnet_train.prototxt (arXiv 1511.00561, section 3)."""

from torch import nn
from torch.nn import functional as F


def conv(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.BatchNorm2d(c_out), nn.ReLU())


class SegNet(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv1 = nn.Sequential(conv(3, 64), conv(64, 64))
        self.conv2 = nn.Sequential(conv(64, 128), conv(128, 128))
        self.conv3 = nn.Sequential(conv(128, 256), conv(256, 256), conv(256, 256))
        self.conv4 = nn.Sequential(conv(256, 512), conv(512, 512), conv(512, 512))
        self.conv5 = nn.Sequential(conv(512, 512), conv(512, 512), conv(512, 512))
        self.conv5_d = nn.Sequential(conv(512, 512), conv(512, 512), conv(512, 512))
        self.conv4_d = nn.Sequential(conv(512, 512), conv(512, 512), conv(512, 256))
        self.conv3_d = nn.Sequential(conv(256, 256), conv(256, 256), conv(256, 128))
        self.conv2_d = nn.Sequential(conv(128, 128), conv(128, 64))
        self.conv1_d = nn.Sequential(conv(64, 64), nn.Conv2d(64, n, 3, padding=1))

    def forward(self, x):
        kept = []
        for stage in (self.conv1, self.conv2, self.conv3, self.conv4, self.conv5):
            x = stage(x)
            size = x.shape[-2:]
            x, indices = F.max_pool2d(x, 2, stride=2, ceil_mode=True, return_indices=True)
            kept.append((indices, size))
        for stage in (self.conv5_d, self.conv4_d, self.conv3_d, self.conv2_d, self.conv1_d):
            indices, size = kept.pop()
            x = stage(F.max_unpool2d(x, indices, 2, stride=2, output_size=size))
        return x
