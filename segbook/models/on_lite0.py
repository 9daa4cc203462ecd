"""The papers' ideas on one backbone, EfficientNet-Lite0 with its ImageNet weights: ``build(name, K, backbone=LITE0)``.

What each paper adds to its classifier is kept (sums of scores, field of view, pyramid, decoder); VGG-16 or ResNet, and
with VGG-16 the fully connected layers, give way to a backbone that a CPU can train and whose weights are installed. All
nets take ``width``, ``in_channels`` and ``backbone_weights`` ("imagenet" or None, random weights); ``channels`` is the
number of channels inside the head. Images [N, C, H, W], H, W >= 32, give logits [N, K, H, W].
"""

from functools import partial

from torch import nn

from segbook import heads
from segbook.backbones import EfficientNetLite0
from segbook.guards import one_of
from segbook.layers import scaled

LITE0 = "efficientnet_lite0"


def join(head, num_classes, *, output_stride=32, width, in_channels, backbone_weights) -> heads.SegmentationNet:
    """Lite0 at an output stride, and ``head(channels, num_classes)`` on its taps."""
    backbone = EfficientNetLite0(
        width=width, in_channels=in_channels, output_stride=output_stride, weights=backbone_weights
    )
    return heads.SegmentationNet(backbone, head(dict(zip(backbone.strides, backbone.out_channels)), num_classes))


def fcn(num_classes, *, stride=8, width=1.0, in_channels=3, backbone_weights=None) -> nn.Module:
    """FCN-32s, -16s, -8s: 1x1 scores of the taps at strides 32, 16, 8, enlarged bilinearly and added."""
    head = partial(heads.FCNHead, taps=[tap for tap in (32, 16, 8) if tap >= stride])
    return join(head, num_classes, width=width, in_channels=in_channels, backbone_weights=backbone_weights)


def unet(num_classes, *, stride=4, channels=48, width=1.0, in_channels=3, backbone_weights=None) -> nn.Module:
    """U-Net's expansive path: maps joined by concatenation, level after level, up to ``stride`` 4 or 2."""
    one_of("stride", stride, (2, 4))
    taps = [tap for tap in (32, 16, 8, 4, 2) if tap >= stride]
    head = partial(heads.UNetHead, taps=taps, hidden=scaled(channels, width))
    return join(head, num_classes, width=width, in_channels=in_channels, backbone_weights=backbone_weights)


def deeplab_v1(
    num_classes, *, rate=12, channels=64, output_stride=8, width=1.0, in_channels=3, backbone_weights=None
) -> nn.Module:
    """DeepLab-LargeFOV: one 3x3 convolution at ``rate`` on the dense map."""
    return join(
        partial(heads.ConvHead, rate=rate, hidden=scaled(channels, width), bottleneck=scaled(96, width)), num_classes,
        output_stride=output_stride, width=width, in_channels=in_channels, backbone_weights=backbone_weights,
    )  # fmt: skip


def deeplab_v2(
    num_classes, *, rates=(6, 12, 18, 24), channels=64, output_stride=8, width=1.0, in_channels=3, backbone_weights=None
) -> nn.Module:
    """DeepLab v2: a summed pyramid of ``rates``."""
    return join(
        partial(heads.SummedASPPHead, rates=rates, hidden=scaled(channels, width), bottleneck=scaled(96, width)),
        num_classes, output_stride=output_stride, width=width, in_channels=in_channels, backbone_weights=backbone_weights,
    )  # fmt: skip


def deeplab_v3(
    num_classes, *, rates=(6, 12, 18), image_pooling=True, channels=64, output_stride=16, width=1.0, in_channels=3,
    backbone_weights=None,
) -> nn.Module:  # fmt: skip
    """DeepLab v3: a pyramid of ``rates`` with image pooling, joined by a 1x1."""
    sizes = {"hidden": scaled(channels, width), "bottleneck": scaled(96, width)}
    return join(
        partial(heads.ASPPHead, rates=rates, image_pooling=image_pooling, **sizes), num_classes,
        output_stride=output_stride, width=width, in_channels=in_channels, backbone_weights=backbone_weights,
    )  # fmt: skip


def deeplab_v3plus(
    num_classes, *, rates=(6, 12, 18), image_pooling=True, low_level_channels=24, channels=64, output_stride=16,
    width=1.0, in_channels=3, backbone_weights=None,
) -> nn.Module:  # fmt: skip
    """DeepLab v3+: v3's pyramid, enlarged to the tap at stride 4 and joined with few of its channels."""
    sizes = {"hidden": scaled(channels, width), "bottleneck": scaled(96, width)}
    sizes["low_level_channels"] = scaled(low_level_channels, width)
    return join(
        partial(heads.DecoderHead, rates=rates, image_pooling=image_pooling, **sizes), num_classes,
        output_stride=output_stride, width=width, in_channels=in_channels, backbone_weights=backbone_weights,
    )  # fmt: skip


#: The nets that can stand on this backbone, by their names in ``models.names()``.
CONSTRUCTORS = {
    "fcn32s": fcn, "fcn16s": fcn, "fcn8s": fcn, "unet": unet, "deeplab_v1": deeplab_v1, "deeplab_v2": deeplab_v2,
    "deeplab_v3": deeplab_v3, "deeplab_v3plus": deeplab_v3plus,
}  # fmt: skip


def constructor(name: str):
    """The function that builds this net on Lite0. Raises ValueError for one that cannot stand on it, naming the others."""
    if name not in CONSTRUCTORS:
        raise ValueError(f"{name} cannot be built on {LITE0}; these can: {', '.join(CONSTRUCTORS)}")
    return CONSTRUCTORS[name]
