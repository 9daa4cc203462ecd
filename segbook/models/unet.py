"""U-Net: Convolutional Networks for Biomedical Image Segmentation.

Ronneberger, Fischer, Brox, MICCAI 2015, arXiv 1505.04597. The layers follow figure 1.

Parameters with one input channel and two output maps, valid padding: 31,030,658 (the released Caffe net has 128 maps in
its last up-convolution and so 31,100,354).
"""

import torch
from torch import nn

from segbook.guards import one_of
from segbook.layers import ConvNormAct, center_crop, check_min_size, he_initialize, scaled


class UNet(nn.Module):
    """The contracting and the expansive path, with every level's whole feature map handed across.

    ``padding="valid"`` is the paper's net: unpadded convolutions with bias, ReLU, no batch normalisation, dropout 0.5 at
    the end of the contracting path; images [N, C, H, W] with H and W of the form 16k + 60 (k >= 8) give logits
    [N, K, H - 184, W - 184].

    ``padding="same"`` is the variant most people use: padded convolutions, batch normalisation instead of biases, no
    dropout; logits [N, K, H, W] for any H, W >= 32. Maps of odd size are pooled with rounding up, and the up-sampled map
    is cut back to the size of its partner.

    ``levels`` is the number of poolings (4 in the paper), 1 to 5.
    """

    def __init__(self, num_classes, *, width=1.0, in_channels=3, padding="same", levels=4):
        super().__init__()
        one_of("padding", padding, ("valid", "same"))
        one_of("levels", levels, (1, 2, 3, 4, 5))
        self.padding, self.levels = padding, levels
        channels = [scaled(64 * 2**level, width) for level in range(levels + 1)]  # 64, 128, 256, 512, 1024
        self.contracting, self.up_convolutions, self.expansive = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for c_in, c_out in zip([in_channels, *channels], channels):
            self.contracting.append(two_convolutions(c_in, c_out, padding))
        for c_deep, c_out in zip(channels[:0:-1], channels[-2::-1]):
            self.up_convolutions.append(nn.ConvTranspose2d(c_deep, c_out, kernel_size=2, stride=2))
            self.expansive.append(two_convolutions(2 * c_out, c_out, padding))  # twice: its own half and the skip
        if padding == "valid":
            for block in self.contracting[-2:]:  # "at the end of the contracting path"
                block.append(nn.Dropout(0.5))
        # Rounding up keeps the last row and column of an odd map; the valid net only meets even maps.
        self.pool = nn.MaxPool2d(2, ceil_mode=padding == "same")
        self.classifier = nn.Conv2d(channels[0], num_classes, kernel_size=1)
        he_initialize(self)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.check_size(*x.shape[-2:])
        return self.decode(*self.encode(x))

    def encode(self, x):
        """The deepest map, and the whole map of every level above it, shallow to deep: what is handed across."""
        across = []
        for block in self.contracting[:-1]:
            across.append(block(x))
            x = self.pool(across[-1])
        return self.contracting[-1](x), across

    def decode(self, x, across):
        """Logits from the deepest map: enlarge, put the map of this level beside it, two convolutions; level by level."""
        for up_convolution, block, skip in zip(self.up_convolutions, self.expansive, reversed(across)):
            x = up_convolution(x)
            if self.padding == "valid":
                skip = center_crop(skip, x.shape[-2:])
            else:
                x = x[..., : skip.shape[-2], : skip.shape[-1]]
            x = block(torch.cat([skip, x], dim=1))
        return self.classifier(x)

    @property
    def margin(self) -> int:
        """Pixels by which the output is smaller than the image on each side: 92 in the paper's net."""
        return 6 * 2**self.levels - 4 if self.padding == "valid" else 0

    def extra_repr(self) -> str:
        return f"padding={self.padding}"

    def check_size(self, height, width):
        """Refuse sizes at which the two paths could not meet, and name one that works."""
        if self.padding == "same":
            check_min_size(height, width)
            return
        for name, size in (("height", height), ("width", width)):
            if not self.fits(size):
                good = self.next_size(size)
                raise ValueError(
                    f"with valid padding and {self.levels} levels the {name} cannot be {size}: a map to be pooled would "
                    f"have an odd size or vanish; the next {name} that works is {good}"
                )

    def next_size(self, size: int) -> int:
        """The smallest height or width of at least ``size`` pixels that the valid net takes."""
        return next(s for s in range(max(size, 1), size + 2000) if self.fits(s))

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


def two_convolutions(c_in: int, c_out: int, padding: str) -> nn.Sequential:
    """Two 3x3 convolutions, each followed by ReLU: the small blue arrows of figure 1."""
    if padding == "same":
        return nn.Sequential(ConvNormAct(c_in, c_out), ConvNormAct(c_out, c_out))
    layers = [nn.Conv2d(c_in, c_out, 3), nn.ReLU(inplace=True), nn.Conv2d(c_out, c_out, 3), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def overlap_tile(model: UNet, images: torch.Tensor, tile: int | None = None) -> torch.Tensor:
    """Logits [N, K, H, W] for every pixel of normalised images [N, C, H, W], computed tile by tile (figure 2).

    ``model`` is a U-Net with valid padding, which needs ``model.margin`` pixels of surroundings on each side. What lies
    beyond the image's edge is mirrored; inside, tiles overlap. ``tile`` is the side of the square that goes through the
    net at once (572 in the paper) and bounds the memory; None takes the whole image at once. Both give the same logits up
    to rounding, because tiles start at multiples of 2**levels pixels: elsewhere the poolings would group other pixels.
    Raises ValueError for a net with padding, and for a tile whose size does not fit the net, naming one that does.
    """
    if model.padding != "valid":
        raise ValueError('overlap_tile needs a U-Net with padding="valid"; a padded net takes the whole image as it is')
    height, width = images.shape[-2:]
    if tile is None:
        tile_height, tile_width = (model.next_size(side + 2 * model.margin) for side in (height, width))
        step_y, step_x = height, width
    else:
        model.check_size(tile, tile)
        pool = 2**model.levels
        tile_height = tile_width = tile
        step_y = step_x = (tile - 2 * model.margin) // pool * pool
        if step_y == 0:
            good = model.next_size(2 * model.margin + pool)
            raise ValueError(f"a tile of {tile} gives fewer than {pool} pixels; take {good} or more")
    result = None
    for top in range(0, height, step_y):
        for left in range(0, width, step_x):
            rows = mirrored(torch.arange(tile_height) + top - model.margin, height).to(images.device)
            columns = mirrored(torch.arange(tile_width) + left - model.margin, width).to(images.device)
            logits = model(images[..., rows, :][..., columns])
            if result is None:
                result = logits.new_empty(*logits.shape[:2], height, width)
            down, right = (min(n, m) for n, m in zip(logits.shape[-2:], (height - top, width - left)))
            result[..., top : top + down, left : left + right] = logits[..., :down, :right]
    return result


def mirrored(places: torch.Tensor, length: int) -> torch.Tensor:
    """Positions on an endless axis → positions 0 … length - 1 by mirroring at the first and the last pixel.

    The edge pixel itself is not repeated: -1 becomes 1. Mirrors as often as it must, so any margin works.
    """
    period = max(2 * (length - 1), 1)
    return torch.minimum(places % period, period - places % period)
