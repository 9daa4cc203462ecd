"""DeepLab-LargeFOV on VGG-16, as the released DeepLab-LargeFOV/train.prototxt has it (arXiv 1412.7062)."""

from torch import nn
from torch.nn import functional as F


def conv(c_in, c_out, rate=1):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=rate, dilation=rate), nn.ReLU())


class DeepLabV1(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv1 = nn.Sequential(conv(3, 64), conv(64, 64), nn.MaxPool2d(3, stride=2, padding=1))
        self.conv2 = nn.Sequential(conv(64, 128), conv(128, 128), nn.MaxPool2d(3, stride=2, padding=1))
        self.conv3 = nn.Sequential(
            conv(128, 256), conv(256, 256), conv(256, 256), nn.MaxPool2d(3, stride=2, padding=1)
        )  # fmt: skip
        self.conv4 = nn.Sequential(
            conv(256, 512), conv(512, 512), conv(512, 512), nn.MaxPool2d(3, stride=1, padding=1)
        )  # fmt: skip
        self.conv5 = nn.Sequential(
            conv(512, 512, rate=2), conv(512, 512, rate=2), conv(512, 512, rate=2), nn.MaxPool2d(3, stride=1, padding=1)
        )  # fmt: skip
        self.pool5a = nn.AvgPool2d(3, stride=1, padding=1)
        self.fc6 = nn.Sequential(nn.Conv2d(512, 1024, 3, padding=12, dilation=12), nn.ReLU(), nn.Dropout(0.5))
        self.fc7 = nn.Sequential(nn.Conv2d(1024, 1024, 1), nn.ReLU(), nn.Dropout(0.5))
        self.fc8 = nn.Conv2d(1024, n, 1)

    def forward(self, x):
        deep = self.conv5(self.conv4(self.conv3(self.conv2(self.conv1(x)))))
        scores = self.fc8(self.fc7(self.fc6(self.pool5a(deep))))
        return F.interpolate(scores, x.shape[-2:], mode="bilinear", align_corners=False)
