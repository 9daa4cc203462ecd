"""DeepLab v3: Rethinking Atrous Convolution for Semantic Image Segmentation.

Chen, Papandreou, Schroff, Adam, 2017, arXiv 1706.05587.

Parameters with 21 classes and ResNet-101: 58,040,661.
"""

import torch
from torch import nn
from torch.nn import functional as F

from segbook.backbones import Bottleneck, ResNet, check_fits_pretrained, check_output_stride, pretrained_state
from segbook.layers import ASPP, ConvNormAct, check_min_size, he_initialize, scaled

#: Rates of the pyramid by output stride: halving the stride doubles the rates, so that they span the same pixels.
ASPP_RATES = {16: (6, 12, 18), 8: (12, 24, 36)}

#: Base rates of the cascade's blocks 5, 6 and 7 by output stride: every block doubles the one before, block 4 included.
CASCADE_RATES = {16: (4, 8, 16), 8: (8, 16, 32)}


class DeepLabV3(nn.Module):
    """An atrous ResNet with batch norm everywhere; a pyramid with image-level features, or a cascade of further blocks.

    Images [N, C, H, W], H, W >= 32, give logits [N, K, H, W]: scores at the output stride, resized bilinearly.

    ``output_stride`` 16 (training) or 8 (the paper's best inference): the weights are the same, so that a net trained at
    16 can be loaded into one built at 8. ``multi_grid`` multiplies the rates of the last stage's three blocks, None
    keeps torchvision's rates. ``head`` "aspp" (parallel) or "cascade" (blocks 5 to 7, each with the base rate doubled).
    ``image_pooling`` switches the global branch. ``rates``: those of the pyramid's 3x3 branches, or the base rates of
    the cascade's blocks, one block each; None follows the output stride, given rates do not. ``extra_convolution`` adds
    the 3x3 that torchvision has behind its pyramid. ``align_corners`` False resizes as torchvision does; True puts the
    first cell on the first pixel, where its field is centred whatever the stride, which fits images of 16 n + 1 pixels
    (the paper's 513). ``zero_init_residual``: see ``ResNet``. ``backbone_weights``: torchvision's ImageNet weights.
    Raises ValueError for an output stride, head or rate that cannot be used.
    """

    def __init__(
        self,
        num_classes,
        *,
        width=1.0,
        in_channels=3,
        backbone="resnet101",
        output_stride=16,
        multi_grid=(1, 2, 4),
        head="aspp",
        image_pooling=True,
        rates=None,
        extra_convolution=False,
        dropout=0.1,
        align_corners=False,
        zero_init_residual=False,
        backbone_weights=None,
    ):
        super().__init__()
        check_output_stride(output_stride, (8, 16))
        if head not in ("aspp", "cascade"):
            raise ValueError(f'head must be "aspp" or "cascade", got {head!r}')
        if rates is None:
            rates = (CASCADE_RATES if head == "cascade" else ASPP_RATES)[output_stride]
        if not all(isinstance(rate, int) and rate >= 1 for rate in rates):
            raise ValueError(
                f"rates must be whole numbers of at least 1, or None to follow the output stride; got {rates}"
            )
        self.backbone = ResNet(
            backbone,
            width=width,
            in_channels=in_channels,
            output_stride=output_stride,
            multi_grid=multi_grid,
            zero_init_residual=zero_init_residual,
        )
        self.align_corners = align_corners
        channels = self.backbone.out_channels[-1]
        if head == "cascade":
            self.neck = cascade(channels, rates, multi_grid or (1, 1, 1))
        else:
            pyramid = scaled(256, width)
            self.neck = nn.Sequential(ASPP(channels, pyramid, rates, image_pooling=image_pooling, dropout=dropout))
            channels = pyramid
            if extra_convolution:
                self.neck.append(ConvNormAct(channels, channels))
        he_initialize(self.neck)
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        nn.init.trunc_normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)
        if backbone_weights is not None:
            check_fits_pretrained(width, in_channels)
            self.backbone.load_torchvision(pretrained_state(backbone_weights))

    def coarse_logits(self, x: torch.Tensor) -> torch.Tensor:
        """The coarse scores [N, K, H/os, W/os], before the resize."""
        return self.classifier(self.neck(self.backbone(x)[-1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_min_size(*x.shape[-2:])
        return F.interpolate(self.coarse_logits(x), x.shape[-2:], mode="bilinear", align_corners=self.align_corners)


def cascade(channels: int, rates, multi_grid) -> nn.Sequential:
    """Blocks 5, 6, 7: copies of block 4 that go deeper without going smaller (figure 3b); a base rate for each block."""
    layers = nn.Sequential()
    for base in rates:
        for unit in multi_grid:
            layers.append(Bottleneck(channels, channels // 4, dilation=base * unit))
    return layers


def from_torchvision(state: dict[str, torch.Tensor]) -> DeepLabV3:
    """Our DeepLab v3 with the weights of torchvision's ``deeplabv3_resnet50`` or ``_resnet101`` (auxiliary head left out).

    torchvision's net departs from the paper: output stride 8, no multi-grid, an extra 3x3 convolution. These are options
    here, so that its logits come out the same. Raises ValueError for the state of another net.
    """
    if "classifier.4.weight" not in state or "backbone.layer4.2.conv3.weight" not in state:
        raise ValueError("these are not the weights of torchvision's deeplabv3_resnet50 or deeplabv3_resnet101")
    backbone = "resnet101" if "backbone.layer3.22.conv1.weight" in state else "resnet50"
    num_classes = state["classifier.4.weight"].shape[0]
    model = DeepLabV3(
        num_classes, backbone=backbone, output_stride=8, multi_grid=None, extra_convolution=True, dropout=0.5
    )
    # Behind the backbone the order of the tensors is the same; the names differ.
    names = {
        "classifier.0.": "neck.0.",
        "classifier.1.": "neck.1.0.",
        "classifier.2.": "neck.1.1.",
        "classifier.4.": "classifier.",
    }
    renamed = {}
    for name, value in state.items():
        for theirs, ours in names.items():
            if name.startswith(theirs):
                name = ours + name.removeprefix(theirs)
                break
        if not name.startswith("aux_classifier."):
            renamed[name] = value
    model.load_state_dict(renamed)
    return model
