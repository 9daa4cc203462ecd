"""DeepLab v2: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully Connected CRFs.

Chen, Papandreou, Kokkinos, Murphy, Yuille, arXiv 1606.00915 (2016), PAMI 2018.

Parameters with 21 classes: 44,048,532 (ResNet-101), 37,877,652 (VGG-16).
"""

import torch
from torch import nn

from segbook import backbones
from segbook.guards import one_of, whole
from segbook.layers import check_min_size, fully_connected, he_initialize, resize, scaled

#: Rates of the paper's two pyramids (section 3.2).
ASPP_SMALL, ASPP_LARGE = (2, 4, 8, 12), (6, 12, 18, 24)


class SummedASPP(nn.Module):
    """Atrous spatial pyramid pooling as v2 has it: parallel branches at several rates whose scores are added (figure 7).

    [N, in_channels, h, w] gives scores [N, K, h, w]. With ``hidden=None`` a branch is one 3x3 atrous convolution
    (ResNet); with a number it is fc6 (3x3 atrous), fc7 (1x1) and fc8 (1x1) of that many maps (VGG-16).
    """

    def __init__(self, in_channels, num_classes, rates, hidden=None, dropout=0.5):
        super().__init__()
        self.branches = nn.ModuleList()
        for rate in rates:
            if hidden is None:
                branch = nn.Sequential(nn.Conv2d(in_channels, num_classes, 3, padding=rate, dilation=rate))
            else:
                fc6 = fully_connected(in_channels, hidden, 3, padding=rate, dilation=rate, dropout=dropout)
                fc7, fc8 = fully_connected(hidden, hidden, 1, dropout=dropout), nn.Conv2d(hidden, num_classes, 1)
                branch = nn.Sequential(*fc6, *fc7, fc8)
            he_initialize(branch)
            nn.init.normal_(branch[-1].weight, std=0.01)
            self.branches.append(branch)

    def forward(self, x):
        return sum(branch(x) for branch in self.branches)


class DeepLabV2(nn.Module):
    """A dilated ResNet (or VGG-16) at output stride 8 and a summed pyramid of rates.

    Images [N, C, H, W], H, W >= 32, give logits [N, K, H, W]: scores at stride 8, resized bilinearly.

    ``backbone``: "resnet101", "resnet50" or "vgg16". ``rates``: of the pyramid; (6, 12, 18, 24) is ASPP-L,
    (2, 4, 8, 12) ASPP-S, a single (12,) LargeFOV. ``dropout`` stands in the branches of VGG-16. ``backbone_weights``:
    torchvision's ImageNet weights; further options go to the backbone: ``zero_init_residual`` of a ResNet and
    ``batch_norm`` of VGG-16 (a departure) make training from scratch possible. Departure: the first block of a dilated
    stage keeps the rate before it, so that dense and strided net agree exactly; the released net dilates all blocks.
    """

    def __init__(
        self, num_classes, *, width=1.0, in_channels=3, backbone="resnet101", rates=ASPP_LARGE, dropout=0.5,
        backbone_weights=None, **backbone_options,
    ):  # fmt: skip
        super().__init__()
        one_of("backbone", backbone, ("resnet101", "resnet50", "vgg16"))
        if not rates:
            raise ValueError("rates must be one or more whole numbers, got none")
        for rate in rates:
            whole("a rate", rate, 1)
        hidden = None
        if backbone == "vgg16":
            hidden, backbone_options = scaled(1024, width), {"pool_kernel": 3, **backbone_options}
        self.backbone = backbones.build(
            backbone, width=width, in_channels=in_channels, output_stride=8, weights=backbone_weights,
            **backbone_options,
        )  # fmt: skip
        self.classifier = SummedASPP(self.backbone.out_channels[-1], num_classes, rates, hidden, dropout)

    def coarse_logits(self, x: torch.Tensor) -> torch.Tensor:
        """The coarse scores [N, K, H/8, W/8], before the resize."""
        return self.classifier(self.backbone(x)[-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_min_size(*x.shape[-2:])
        return resize(self.coarse_logits(x), x.shape[-2:])


class MultiScale(nn.Module):
    """The same net on the image at several scales, fused by the largest score at each position (section 3.2, "MSC").

    Wraps a model that maps [N, C, H, W] to logits [N, K, H, W]; the face stays the same. Scales in (0, 1].
    """

    def __init__(self, model: nn.Module, scales=(1.0, 0.75, 0.5)):
        super().__init__()
        if not scales or any(not 0 < scale <= 1 for scale in scales):
            raise ValueError(f"scales must lie in (0, 1], got {scales!r}")
        self.model, self.scales = model, tuple(scales)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = x.shape[-2:]
        fused = None
        for scale in self.scales:
            smaller = x if scale == 1 else resize(x, [max(32, round(scale * side)) for side in size])
            logits = resize(self.model(smaller), size)
            fused = logits if fused is None else torch.maximum(fused, logits)
        return fused
