"""DeepLab v1: Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs.

Chen, Papandreou, Kokkinos, Murphy, Yuille, ICLR 2015, arXiv 1412.7062. The layers are those of the released nets, which
have 3x3 poolings and an average pooling that the paper does not mention. The CRF is a step of its own: ``segbook.crf``.

Parameters with 21 classes: 20,505,429 (LargeFOV), 65,140,565 (4x4), 134,346,581 (7x7).
"""

import torch
from torch import nn
from torch.nn import functional as F

from segbook.backbones import VGG16
from segbook.layers import check_min_size, fully_connected, he_initialize, resize, scaled

#: Kernel, rate and maps of fc6 in the paper's table 2 (field of view); "large" is DeepLab-LargeFOV.
FIELDS_OF_VIEW = {
    "7x7": (7, 4, 4096),
    "4x4": (4, 4, 4096),
    "4x4-wide": (4, 8, 4096),
    "large": (3, 12, 1024),
}


def resolve_field_of_view(field_of_view) -> tuple[int, int, int]:
    """(kernel, rate, maps) of fc6, from a name or from such a triple. Raises ValueError for what cannot be built."""
    if isinstance(field_of_view, str) and field_of_view in FIELDS_OF_VIEW:
        return FIELDS_OF_VIEW[field_of_view]
    triple = isinstance(field_of_view, tuple | list) and len(field_of_view) == 3
    if not triple or not all(isinstance(number, int) and number >= 1 for number in field_of_view):
        raise ValueError(
            f"field_of_view must be one of {', '.join(FIELDS_OF_VIEW)} or whole numbers (kernel, rate, maps); "
            f"got {field_of_view!r}"
        )
    kernel, rate, maps = field_of_view
    if rate * (kernel - 1) % 2:
        raise ValueError(f"a kernel of {kernel} at rate {rate} cannot keep the size: rate * (kernel - 1) must be even")
    return kernel, rate, maps


class DeepLabV1(nn.Module):
    """VGG-16 without its last two strides, and fully connected layers as atrous convolutions.

    Images [N, C, H, W], H, W >= 32, give logits [N, K, H, W]: scores at stride 8 (45x60 for 360x480), resized bilinearly.

    ``field_of_view``: "large" (3x3 at rate 12, 1024 maps), "7x7", "4x4" or "4x4-wide" (rate 8), or another fc6 as
    (kernel, rate, maps): the paper's rates suit its 321x321 pixels, on a small map their taps lie outside.
    ``multi_scale=True`` is the paper's MSc: the image and the first four poolings each get two more layers, whose 128
    maps join fc7's.
    ``batch_norm`` (a departure) after every convolution up to fc7 makes training from scratch possible.
    ``backbone_weights``: torchvision's VGG-16.
    """

    def __init__(
        self, num_classes, *, width=1.0, in_channels=3, field_of_view="large", multi_scale=False, batch_norm=False,
        dropout=0.5, backbone_weights=None,
    ):  # fmt: skip
        super().__init__()
        kernel, rate, maps = resolve_field_of_view(field_of_view)
        maps, side = scaled(maps, width), scaled(128, width)
        self.backbone = VGG16(
            width=width, in_channels=in_channels, batch_norm=batch_norm, pool_kernel=3, output_stride=8,
            weights=backbone_weights,
        )  # fmt: skip
        *pooled, deep = self.backbone.out_channels
        self.pool5a = nn.AvgPool2d(3, stride=1, padding=1)
        keep, common = rate * (kernel - 1) // 2, {"batch_norm": batch_norm, "dropout": dropout}
        fc6 = fully_connected(deep, maps, kernel, padding=keep, dilation=rate, **common)
        self.classifier = nn.Sequential(*fc6, *fully_connected(maps, maps, 1, **common))
        he_initialize(self.classifier)
        sources = (in_channels, *pooled) if multi_scale else ()
        self.side_branches = nn.ModuleList(side_branch(channels, side) for channels in sources)
        he_initialize(self.side_branches)
        self.fc8 = nn.Conv2d(maps + side * len(sources), num_classes, 1)
        nn.init.normal_(self.fc8.weight, std=0.01)
        nn.init.zeros_(self.fc8.bias)

    def coarse_logits(self, x: torch.Tensor) -> torch.Tensor:
        """The coarse scores [N, K, H/8, W/8] that the paper trains on and the CRF starts from."""
        *pooled, deep = self.backbone(x)
        maps = [self.classifier(self.pool5a(deep))]
        for branch, source in zip(self.side_branches, (x, *pooled)):
            maps.append(F.adaptive_avg_pool2d(branch(source), maps[0].shape[-2:]))
        return self.fc8(torch.cat(maps, dim=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_min_size(*x.shape[-2:])
        return resize(self.coarse_logits(x), x.shape[-2:])


def side_branch(in_channels: int, maps: int) -> nn.Sequential:
    """The two layers that multi-scale prediction puts on the image and on each of the first four poolings."""
    first, second = nn.Conv2d(in_channels, maps, 3, padding=1), nn.Conv2d(maps, maps, 1)
    return nn.Sequential(first, nn.ReLU(inplace=True), second, nn.ReLU(inplace=True))
