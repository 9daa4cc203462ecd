"""DeepLab v3: Rethinking Atrous Convolution for Semantic Image Segmentation.

Chen, Papandreou, Schroff, Adam, 2017, arXiv 1706.05587.

Parameters with 21 classes and ResNet-101: 58,040,661.
"""

import torch
from torch import nn

from segbook import backbones
from segbook.backbones import RESNET_BLOCKS, Bottleneck
from segbook.guards import one_of, whole
from segbook.layers import ASPP, ConvNormAct, check_min_size, he_initialize, resize, scaled

#: Rates of the pyramid by output stride: halving the stride doubles the rates, so that they span the same pixels.
ASPP_RATES = {16: (6, 12, 18), 8: (12, 24, 36)}

#: Base rates of the cascade's blocks 5, 6 and 7 by output stride: every block doubles the one before, block 4 included.
CASCADE_RATES = {16: (4, 8, 16), 8: (8, 16, 32)}


class AtrousResNet(nn.Module):
    """What the two nets of the paper share: a dilated ResNet, a ``neck`` on its last map, a 1x1 classifier, a resize.

    Images [N, C, H, W], H, W >= 32, give logits [N, K, H, W]: scores at the output stride, resized bilinearly.

    ``output_stride`` 16 (training) or 8 (the paper's best inference): the weights are the same, so that a net trained at
    16 can be loaded into one built at 8. ``multi_grid`` multiplies the rates of the last stage's three blocks, None
    keeps torchvision's rates. ``rates``: see the two nets; None follows the output stride, given rates do not.
    ``align_corners`` False resizes as torchvision does; True puts the first cell on the first pixel, where its field is
    centred whatever the stride, which fits images of 16 n + 1 pixels (the paper's 513). ``backbone`` "resnet101" or
    "resnet50"; ``backbone_weights``: torchvision's ImageNet weights; further options go to the backbone
    (``zero_init_residual``). Raises ValueError for an output stride, backbone or rate that cannot be used.
    """

    def __init__(
        self, *, width, in_channels, backbone, output_stride, multi_grid, align_corners, backbone_weights, **backbone_options
    ):  # fmt: skip
        super().__init__()
        one_of("output_stride", output_stride, ASPP_RATES)
        one_of("backbone", backbone, RESNET_BLOCKS)
        self.align_corners = align_corners
        self.backbone = backbones.build(
            backbone, width=width, in_channels=in_channels, output_stride=output_stride, multi_grid=multi_grid,
            weights=backbone_weights, **backbone_options,
        )  # fmt: skip

    def coarse_logits(self, x: torch.Tensor) -> torch.Tensor:
        """The coarse scores [N, K, H/os, W/os], before the resize."""
        return self.classifier(self.neck(self.backbone(x)[-1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_min_size(*x.shape[-2:])
        return resize(self.coarse_logits(x), x.shape[-2:], self.align_corners)


class DeepLabV3(AtrousResNet):
    """An atrous ResNet with batch norm everywhere, and a pyramid of rates with image-level features (figure 5).

    ``rates`` are those of the pyramid's 3x3 branches; ``image_pooling`` switches its global branch. The other options
    are described at :class:`AtrousResNet`.
    """

    def __init__(
        self, num_classes, *, width=1.0, in_channels=3, backbone="resnet101", output_stride=16, multi_grid=(1, 2, 4),
        rates=None, image_pooling=True, align_corners=False, backbone_weights=None, **backbone_options,
    ):  # fmt: skip
        super().__init__(
            width=width, in_channels=in_channels, backbone=backbone, output_stride=output_stride, multi_grid=multi_grid,
            align_corners=align_corners, backbone_weights=backbone_weights, **backbone_options,
        )  # fmt: skip
        rates = checked(rates, ASPP_RATES[output_stride])
        channels = scaled(256, width)
        self.neck = nn.Sequential(ASPP(self.backbone.out_channels[-1], channels, rates, image_pooling=image_pooling))
        he_initialize(self.neck)
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        start_small(self.classifier)


class DeepLabV3Cascade(AtrousResNet):
    """The same ResNet going deeper instead: blocks 5, 6 and 7 behind block 4, at doubled rates (figure 3b).

    ``rates`` are the base rates of the further blocks, one block each; () leaves block 4 and the classifier. The other
    options are described at :class:`AtrousResNet`.
    """

    def __init__(
        self, num_classes, *, width=1.0, in_channels=3, backbone="resnet101", output_stride=16, multi_grid=(1, 2, 4),
        rates=None, align_corners=False, backbone_weights=None, **backbone_options,
    ):  # fmt: skip
        super().__init__(
            width=width, in_channels=in_channels, backbone=backbone, output_stride=output_stride, multi_grid=multi_grid,
            align_corners=align_corners, backbone_weights=backbone_weights, **backbone_options,
        )  # fmt: skip
        channels = self.backbone.out_channels[-1]
        self.neck = cascade(channels, checked(rates, CASCADE_RATES[output_stride]), multi_grid or (1, 1, 1))
        he_initialize(self.neck)
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        start_small(self.classifier)


def checked(rates, default):
    """The rates, or the default in place of None. Raises ValueError for one that is no whole number of at least 1."""
    for rate in rates or ():
        whole("a rate (None follows the output stride)", rate, 1)
    return default if rates is None else rates


def start_small(classifier: nn.Conv2d) -> None:
    """Small weights and no bias for the last 1x1 convolution: at the start every class is about equally likely."""
    nn.init.trunc_normal_(classifier.weight, std=0.01)
    nn.init.zeros_(classifier.bias)


def cascade(channels: int, rates, multi_grid) -> nn.Sequential:
    """Blocks 5, 6, 7: copies of block 4 that go deeper without going smaller (figure 3b); a base rate for each block."""
    layers = nn.Sequential()
    for base in rates:
        for unit in multi_grid:
            layers.append(Bottleneck(channels, channels // 4, dilation=base * unit))
    return layers


def torchvision_form(num_classes: int, backbone: str) -> DeepLabV3:
    """DeepLab v3 as torchvision builds it, without the auxiliary head.

    It departs from the paper: output stride 8, no multi-grid, a dropout of 0.5, and a 3x3 convolution behind the pyramid.
    """
    model = DeepLabV3(num_classes, backbone=backbone, output_stride=8, multi_grid=None)
    model.neck[0].project[-1].p = 0.5
    model.neck.append(ConvNormAct(256, 256))
    return model


def from_torchvision(state: dict[str, torch.Tensor]) -> DeepLabV3:
    """Our net in :func:`torchvision_form` with the weights of torchvision's ``deeplabv3_resnet50`` or ``_resnet101``.

    Its logits are those of torchvision's net. Raises ValueError for the state of another net.
    """
    if "classifier.4.weight" not in state or "backbone.layer4.2.conv3.weight" not in state:
        raise ValueError("these are not the weights of torchvision's deeplabv3_resnet50 or deeplabv3_resnet101")
    backbone = "resnet101" if "backbone.layer3.22.conv1.weight" in state else "resnet50"
    model = torchvision_form(len(state["classifier.4.weight"]), backbone)
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
