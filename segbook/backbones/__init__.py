"""The classifiers that segmentation nets are built on, cut down to their feature maps and given an output stride.

Output stride = side of the image / side of the last feature map. A classifier ends at 32. DeepLab takes the stride out
of the last stages and dilates the convolutions behind them by the same factor instead: the maps stay large, the weights
and what each of them sees stay the same (DeepLab v1, section 3.1).

Sources: AlexNet (Krizhevsky et al., 2012) in its Caffe form, VGG-16 (Simonyan and Zisserman, 2015), ResNet (He et al.,
2016), Xception (Chollet, 2017) as modified for DeepLab v3+ (Chen et al., 2018, figure 4), EfficientNet-Lite0 (Tan and
Le, 2019), whose ImageNet weights are installed with the course.
"""

from segbook.backbones.alexnet import AlexNet
from segbook.backbones.efficientnet import EfficientNetLite0, MBConv
from segbook.backbones.pretrained import (
    WeightsNotFound,
    check_fits_pretrained,
    check_output_stride,
    in_cache,
    pretrained_state,
)
from segbook.backbones.resnet import RESNET_BLOCKS, Bottleneck, ResNet
from segbook.backbones.vgg import VGG16, VGG16_STAGES
from segbook.backbones.xception import Xception65, XceptionBlock

__all__ = [
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
    "WeightsNotFound",
    "pretrained_state",
    "in_cache",
    "check_fits_pretrained",
    "check_output_stride",
]
