"""AlexNet (Krizhevsky et al., 2012) in its Caffe form."""

from torch import nn

from segbook.layers import he_initialize, scaled


class AlexNet(nn.Module):
    """The five convolutions of AlexNet as Caffe's reference net has them: two groups, pooling before normalisation.

    Images [N, C, H, W] give features [N, 256, about H/32, W/32]. ``first_padding=100`` is what FCN uses.
    2,334,080 parameters at width 1 and three channels.
    """

    def __init__(self, *, width=1.0, in_channels=3, first_padding=0):
        super().__init__()
        c1, c2, c3, c5 = (2 * scaled(channels / 2, width) for channels in (96, 256, 384, 256))  # even: two groups

        def pool():
            return nn.MaxPool2d(3, stride=2, ceil_mode=True)

        def normalize():
            return nn.LocalResponseNorm(size=5, alpha=1e-4, beta=0.75)

        self.features = nn.Sequential(
            nn.Conv2d(in_channels, c1, 11, stride=4, padding=first_padding), nn.ReLU(inplace=True), pool(), normalize(),
            nn.Conv2d(c1, c2, 5, padding=2, groups=2), nn.ReLU(inplace=True), pool(), normalize(),
            nn.Conv2d(c2, c3, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(c3, c3, 3, padding=1, groups=2), nn.ReLU(inplace=True),
            nn.Conv2d(c3, c5, 3, padding=1, groups=2), nn.ReLU(inplace=True), pool(),
        )  # fmt: skip
        self.out_channels = c5
        he_initialize(self)

    def forward(self, x):
        return self.features(x)
