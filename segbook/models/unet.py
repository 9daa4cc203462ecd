"""U-Net: Convolutional Networks for Biomedical Image Segmentation.

Ronneberger, Fischer, Brox, MICCAI 2015, arXiv 1505.04597. The layers follow figure 1.

Parameters with one input channel and two output maps, valid padding: 31,030,658 (the released Caffe net has 128 maps in
its last up-convolution and so 31,100,354).
"""

import torch
from torch import nn

from segbook.layers import ConvNormAct, center_crop, he_initialise, scaled


class UNet(nn.Module):
    """The contracting and the expansive path, with every level's whole feature map handed across.

    ``padding="valid"`` is the paper's net: unpadded convolutions with bias, ReLU, no batch normalisation, dropout 0.5 at
    the end of the contracting path; images [N, C, H, W] with H and W of the form 16k + 60 (k >= 8) give logits
    [N, K, H - 184, W - 184].

    ``padding="same"`` is the variant most people use: padded convolutions, batch normalisation instead of biases, no
    dropout; logits [N, K, H, W] for any H, W >= 32. Maps of odd size are pooled with rounding up, and the up-sampled map
    is cut back to the size of its partner.

    ``levels`` is the number of poolings (4 in the paper).
    """

    def __init__(self, num_classes, *, width=1.0, in_channels=3, padding="same", levels=4):
        super().__init__()
        if padding not in ("valid", "same"):
            raise ValueError(f'padding must be "valid" (the paper) or "same", got {padding!r}')
        if not 1 <= levels <= 5:
            raise ValueError(f"levels must be 1 to 5, got {levels}")
        self.padding, self.levels = padding, levels
        channels = [scaled(64 * 2**level, width) for level in range(levels + 1)]  # 64, 128, 256, 512, 1024

        self.contracting = nn.ModuleList()
        for c_in, c_out in zip([in_channels, *channels], channels):
            self.contracting.append(self.two_convolutions(c_in, c_out))
        # Rounding up keeps the last row and column of an odd map; the valid net only meets even maps.
        self.pool = nn.MaxPool2d(2, ceil_mode=padding == "same")
        self.dropout = nn.Dropout(0.5 if padding == "valid" else 0.0)

        self.up_convolutions, self.expansive = nn.ModuleList(), nn.ModuleList()
        for c_deep, c_out in zip(channels[:0:-1], channels[-2::-1]):
            self.up_convolutions.append(nn.ConvTranspose2d(c_deep, c_out, kernel_size=2, stride=2))
            self.expansive.append(self.two_convolutions(2 * c_out, c_out))
        self.classifier = nn.Conv2d(channels[0], num_classes, kernel_size=1)
        he_initialise(self)

    def two_convolutions(self, c_in, c_out):
        """Two 3x3 convolutions, each followed by ReLU: the small blue arrows of figure 1."""
        if self.padding == "same":
            return nn.Sequential(ConvNormAct(c_in, c_out), ConvNormAct(c_out, c_out))
        layers = [nn.Conv2d(c_in, c_out, 3), nn.ReLU(inplace=True), nn.Conv2d(c_out, c_out, 3), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.check_size(*x.shape[-2:])
        handed_across = []
        for level, block in enumerate(self.contracting):
            x = block(x if level == 0 else self.pool(x))
            if level >= self.levels - 1:  # dropout on the two deepest maps, "at the end of the contracting path"
                x = self.dropout(x)
            handed_across.append(x)
        handed_across.pop()  # the bottom goes up, not across
        for up_convolution, block in zip(self.up_convolutions, self.expansive):
            x, skip = up_convolution(x), handed_across.pop()
            if self.padding == "valid":
                skip = center_crop(skip, x.shape[-2:])
            else:
                x = x[..., : skip.shape[-2], : skip.shape[-1]]
            x = block(torch.cat([skip, x], dim=1))
        return self.classifier(x)

    def check_size(self, height, width):
        """Refuse sizes at which the two paths could not meet, and name one that works."""
        if self.padding == "same":
            if min(height, width) < 32:
                raise ValueError(f"images must be at least 32x32 pixels, got {height}x{width}")
            return
        for name, size in (("height", height), ("width", width)):
            if not self.fits(size):
                good = next(s for s in range(max(size, 1), size + 2000) if self.fits(s))
                raise ValueError(
                    f"with valid padding and {self.levels} levels the {name} cannot be {size}: a map to be pooled would "
                    f"have an odd size or vanish; the next {name} that works is {good}"
                )

    def fits(self, size):
        """Whether every map along one side is even before it is pooled and large enough for its convolutions."""
        for _ in range(self.levels):
            size -= 4
            if size <= 0 or size % 2:
                return False
            size //= 2
        size -= 4
        for _ in range(self.levels):
            size = 2 * size - 4
        return size > 0
