"""Fully Convolutional Networks for Semantic Segmentation.

Long, Shelhamer, Darrell, CVPR 2015, arXiv 1411.4038; Shelhamer, Long, Darrell, PAMI 2016, arXiv 1605.06211. The layers are
those of the released nets voc-fcn32s, -fcn16s, -fcn8s and voc-fcn-alexnet.

Parameters with 21 classes, fixed bilinear weights not counted: 134,346,581 (32s), 134,357,354 (16s), 134,362,751 (8s),
56,954,261 (AlexNet).
"""

import torch
from torch import nn

from segbook.backbones import VGG16, AlexNet, load_pretrained
from segbook.guards import one_of
from segbook.layers import BilinearConvTranspose2d, check_min_size, fully_connected, he_initialize, scaled

#: Where the padding of 100 pixels lands in each map that is cut back: (rows and columns to skip), see chapter 06.
CROP_POOL4, CROP_POOL3 = 5, 9
CROP_SCORES = {32: 19, 16: 27, 8: 31}
CROP_ALEXNET = 18

#: What pool4 and pool3 are multiplied by when all three strides are trained at once, so that they cannot flood the rest.
AT_ONCE = (0.01, 0.0001)


class FCN(nn.Module):
    """A classifier made convolutional, its coarse scores refined by adding those of shallower layers.

    Images [N, C, H, W], H, W >= 32, give logits [N, K, H, W]. ``stride`` is 32 (no skip), 16 (adds the scores of pool4)
    or 8 (adds pool3 too).

    ``padding=100`` is the paper's form: so much is padded before the first convolution that any image survives five
    poolings and a 7x7 kernel, and the surplus is cropped. ``padding=1`` needs no crop offsets: every layer is padded by
    what keeps its cells in place. The two share weights; their grids of cells lie three pixels apart, and near the border
    the first sees zeros from farther away.
    Up-sampling is bilinear and frozen, as in the released nets. ``backbone_weights``: torchvision's ``VGG16_Weights``; fc6
    and fc7 are taken over too. To train the 8s net without stages, set the attribute ``scales`` to :data:`AT_ONCE`.

    Two departures, for small nets without ImageNet weights: ``batch_norm`` after every convolution but the scores makes
    training from scratch possible, and ``fc_channels`` (scaled by ``width`` like all channels) makes fc6 and fc7 lighter.
    """

    def __init__(
        self, num_classes, *, stride=8, width=1.0, in_channels=3, fc_channels=4096, padding=100, batch_norm=False,
        dropout=0.5, backbone_weights=None,
    ):  # fmt: skip
        super().__init__()
        one_of("stride", stride, (32, 16, 8))
        one_of("padding", padding, (100, 1))
        self.stride, self.padding, self.scales = stride, padding, (1.0, 1.0)
        self.cropped, self.crop = padding == 100, CROP_SCORES[stride]
        self.backbone = VGG16(width=width, in_channels=in_channels, batch_norm=batch_norm, first_padding=padding)
        (*_, pool3, pool4, pool5), fc = self.backbone.out_channels, scaled(fc_channels, width)
        common = {"batch_norm": batch_norm, "dropout": dropout}
        fc6 = fully_connected(pool5, fc, 7, padding=0 if self.cropped else 3, **common)
        self.classifier = nn.Sequential(*fc6, *fully_connected(fc, fc, 1, **common))
        he_initialize(self.classifier)
        self.score_fr = zero_convolution(fc, num_classes)
        if stride <= 16:
            self.upscore2 = upsample(num_classes, 2, self.cropped)
            self.score_pool4 = zero_convolution(pool4, num_classes)
        if stride == 8:
            self.upscore_pool4 = upsample(num_classes, 2, self.cropped)
            self.score_pool3 = zero_convolution(pool3, num_classes)
        self.upscore = upsample(num_classes, stride, self.cropped)
        load_pretrained(self, backbone_weights, width, in_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        size = x.shape[-2:]
        check_min_size(*size)
        *_, pool3, pool4, deep = self.backbone(x)
        scores = self.score_fr(self.classifier(deep))
        if self.stride <= 16:
            scores = self.fuse(self.upscore2(scores), self.score_pool4(self.scales[0] * pool4), CROP_POOL4)
        if self.stride == 8:
            scores = self.fuse(self.upscore_pool4(scores), self.score_pool3(self.scales[1] * pool3), CROP_POOL3)
        return window(self.upscore(scores), size, self.crop if self.cropped else 0)

    def fuse(self, scores, skip, offset):
        """Add the scores of two depths where they look at the same pixels: FCN sums, U-Net will concatenate."""
        if self.cropped:
            return scores + window(skip, scores.shape[-2:], offset)
        return window(scores, skip.shape[-2:], 0) + skip

    def continue_from(self, coarser: "FCN") -> None:
        """Take over the weights of the coarser net of the stage before (32s to 16s, 16s to 8s); new scores stay zero.

        Raises ValueError when the two nets do not fit together.
        """
        if coarser.stride <= self.stride:
            raise ValueError(
                f"a stride-{self.stride} net continues from a coarser one, not from stride {coarser.stride}"
            )
        ours = self.state_dict()
        taken = {name: w for name, w in coarser.state_dict().items() if name != "upscore.weight"}
        odd = [name for name, w in taken.items() if name not in ours or ours[name].shape != w.shape]
        if odd:
            raise ValueError(
                f"the coarser net has other layers: {', '.join(odd[:3])}; build both with the same options"
            )
        self.load_state_dict(taken, strict=False)

    def load_torchvision(self, state: dict[str, torch.Tensor]) -> None:
        """Copy torchvision's VGG-16: convolutions as they are, fc6 and fc7 reshaped into convolutions."""
        self.backbone.load_torchvision(state)
        fc6, fc7 = (layer for layer in self.classifier if isinstance(layer, nn.Conv2d))
        with torch.no_grad():
            for ours, theirs in ((fc6, "classifier.0"), (fc7, "classifier.3")):
                ours.weight.copy_(state[f"{theirs}.weight"].reshape(ours.weight.shape))
                ours.bias.copy_(state[f"{theirs}.bias"])


class FCNAlexNet(nn.Module):
    """The paper's first net: AlexNet made convolutional, its scores enlarged 32 times at once (voc-fcn-alexnet).

    Images [N, C, H, W], H, W >= 32, give logits [N, K, H, W], by a padding of 100 and a crop as in :class:`FCN`.
    """

    def __init__(self, num_classes, *, width=1.0, in_channels=3, dropout=0.5):
        super().__init__()
        self.backbone = AlexNet(width=width, in_channels=in_channels, first_padding=100)
        self.crop, fc = CROP_ALEXNET, scaled(4096, width)
        fc6 = fully_connected(self.backbone.out_channels, fc, 6, dropout=dropout)
        self.classifier = nn.Sequential(*fc6, *fully_connected(fc, fc, 1, dropout=dropout))
        he_initialize(self.classifier)
        self.score_fr = zero_convolution(fc, num_classes)
        self.upscore = BilinearConvTranspose2d(num_classes, 32, kernel_size=63, padding=0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        check_min_size(*x.shape[-2:])
        scores = self.score_fr(self.classifier(self.backbone(x)))
        return window(self.upscore(scores), x.shape[-2:], self.crop)


def upsample(num_classes: int, factor: int, cropped: bool) -> BilinearConvTranspose2d:
    """Frozen bilinear up-sampling; without crops it is padded by what keeps every cell in its place."""
    return BilinearConvTranspose2d(num_classes, factor, kernel_size=2 * factor, padding=0 if cropped else None)


def window(maps: torch.Tensor, size: tuple[int, int], offset: int) -> torch.Tensor:
    """The window of ``size`` (height, width) of [N, C, H, W] that begins ``offset`` cells from the top and the left."""
    return maps[..., offset : offset + size[0], offset : offset + size[1]]


def zero_convolution(in_channels: int, num_classes: int) -> nn.Conv2d:
    """A 1x1 score layer that starts at zero: every class is equally likely, and a new skip adds nothing at first."""
    layer = nn.Conv2d(in_channels, num_classes, 1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def as_convolution(linear: nn.Linear, kernel_size: int) -> nn.Conv2d:
    """A fully connected layer on [C, k, k] features as the k x k convolution with the same weights (section 3.1).

    ``linear`` maps C*k*k numbers to D; the result maps [N, C, H, W] to [N, D, H-k+1, W-k+1] and gives the same numbers
    where H = W = k. Raises ValueError when the input length is not a multiple of k*k.
    """
    channels, rest = divmod(linear.in_features, kernel_size**2)
    if rest:
        raise ValueError(f"{linear.in_features} inputs do not come from maps of {kernel_size}x{kernel_size} cells")
    convolution = nn.Conv2d(channels, linear.out_features, kernel_size, bias=linear.bias is not None)
    with torch.no_grad():
        convolution.weight.copy_(linear.weight.reshape(convolution.weight.shape))
        if linear.bias is not None:
            convolution.bias.copy_(linear.bias)
    return convolution


def fully_convolutional(classifier_net: nn.Module, kernel_size: int) -> nn.Sequential:
    """torchvision's ``alexnet`` (kernel 6) or ``vgg16`` (kernel 7) as a net that scores every position of a larger image.

    Copies the weights. At the classifier's own size the output is [N, 1000, 1, 1] with the same numbers; a larger
    image gives a map. The adaptive pooling between features and classifier is left out: at that size it does nothing.
    """
    layers, first = list(classifier_net.features), True
    for layer in classifier_net.classifier:
        if isinstance(layer, nn.Linear):
            layer, first = as_convolution(layer, kernel_size if first else 1), False
        layers.append(layer)
    return nn.Sequential(*layers)
