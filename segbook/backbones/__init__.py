"""The classifiers that segmentation nets are built on, cut down to their feature maps and given an output stride.

Output stride = side of the image / side of the last feature map. A classifier ends at 32. DeepLab takes the stride out
of the last stages and dilates the convolutions behind them by the same factor instead: the maps stay large, the weights
and what each of them sees stay the same (DeepLab v1, section 3.1).

Sources: AlexNet (Krizhevsky et al., 2012) in its Caffe form, VGG-16 (Simonyan and Zisserman, 2015), ResNet (He et al.,
2016), Xception (Chollet, 2017) as modified for DeepLab v3+ (Chen et al., 2018, figure 4), EfficientNet-Lite0 (Tan and
Le, 2019), whose ImageNet weights are installed with the course.
"""

import inspect

from torch import nn

from segbook.backbones.alexnet import AlexNet
from segbook.backbones.efficientnet import EfficientNetLite0, MBConv
from segbook.backbones.pretrained import (
    WeightsDoNotFit,
    WeightsNotFound,
    in_cache,
    load_pretrained,
    pretrained_state,
)
from segbook.backbones.resnet import RESNET_BLOCKS, Bottleneck, ResNet
from segbook.backbones.vgg import VGG16, VGG16_STAGES
from segbook.backbones.xception import Xception65, XceptionBlock
from segbook.guards import one_of

#: The backbones that a DeepLab may be built on: name -> class. All of them know an output stride.
CLASSES = {"vgg16": VGG16, "resnet50": ResNet, "resnet101": ResNet, "xception65": Xception65}


def build(name: str, **options) -> nn.Module:
    """A backbone of :data:`CLASSES`. Its ``forward`` gives a list of maps, shallow to deep: ``out_channels`` says
    how many channels each has, ``strides`` at which stride it lies in the classifier.

    All take ``width``, ``in_channels``, ``output_stride`` and ``weights`` (torchvision's enum or None), and each has
    :func:`own_options`. Raises ValueError for an unknown name, TypeError for an option that the backbone does not have.
    """
    one_of("backbone", name, CLASSES)
    return ResNet(name, **options) if CLASSES[name] is ResNet else CLASSES[name](**options)


def own_options(name: str) -> list[str]:
    """The options of a backbone beyond the four that all have."""
    known = inspect.signature(CLASSES[name]).parameters.values()
    shared = ("width", "in_channels", "output_stride", "weights")
    return [option.name for option in known if option.kind == option.KEYWORD_ONLY and option.name not in shared]


__all__ = [
    "CLASSES",
    "build",
    "own_options",
    "AlexNet",
    "VGG16_STAGES",
    "VGG16",
    "EfficientNetLite0",
    "MBConv",
    "Bottleneck",
    "RESNET_BLOCKS",
    "ResNet",
    "XceptionBlock",
    "Xception65",
    "WeightsDoNotFit",
    "WeightsNotFound",
    "pretrained_state",
    "in_cache",
    "load_pretrained",
]
