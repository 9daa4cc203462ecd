"""Change images and masks at random, together, on whole batches and on any device."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from segbook.features import Features

#: Mean and standard deviation of ImageNet's red, green and blue on the scale 0 … 1.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def _per_channel(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=like.device).view(3, 1, 1)


def normalize(images: Tensor) -> Tensor:
    """Scale images to zero mean and unit variance as ImageNet's backbones expect: ``(x / 255 - mean) / std``.

    ``images``: uint8, or floating point on the scale 0 … 255, [N, 3, H, W] (or [3, H, W]). Returns float32, same shape.
    Features of a frozen backbone, which has seen normalised images, only become float32.
    Raises ``TypeError`` for another dtype and ``ValueError`` for another number of channels.
    """
    if isinstance(images, Features):
        return images.float()
    _check_images(images)
    return (images.float() / 255 - _per_channel(IMAGENET_MEAN, images)) / _per_channel(IMAGENET_STD, images)


@dataclass(frozen=True)
class Augment:
    """Random flip, colour, scale and crop of a batch, each sample with its own draw.

    ``flip``: probability of mirroring left and right. ``brightness``, ``contrast``, ``saturation``: each factor is drawn
    from [1 - value, 1 + value], not below 0. ``scale``: the image is enlarged by a factor drawn from this range.
    ``crop``: (height, width) of the window that is cut out at a random place; None keeps the image's size.

    An image is interpolated bilinearly, a mask never: its numbers are names. Halfway between road (3) and tree (5)
    lies no road-like tree but pavement (4), a class that is in neither pixel; bilinear interpolation would draw a seam
    of invented classes along every edge. So a mask takes the nearest pixel. Where the window reaches beyond the
    image, the mask says ``ignore_index`` and the image shows ImageNet's mean colour (zero after ``normalize``).
    """

    flip: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    crop: tuple[int, int] | None = None

    def __post_init__(self):
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip is a probability from 0 to 1; got {self.flip}")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is a number of at least 0; got {getattr(self, name)}")
        if not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise ValueError(f"scale is (smallest, largest), both above 0; got {self.scale}")
        if self.crop is not None and (len(self.crop) != 2 or min(self.crop) < 1):
            raise ValueError(f"crop is (height, width) in pixels, both at least 1; got {self.crop}")

    def __call__(self, images: Tensor, masks: Tensor, ignore_index: int, generator: torch.Generator):
        """Return ``(images, masks)`` changed at random; dtypes and device stay, the size becomes ``crop`` if given.

        ``images`` uint8 or floating point on the scale 0 … 255, [N, 3, H, W]; ``masks`` whole numbers [N, H, W].
        ``generator`` is a CPU generator, so that a seed draws the same on every device. The inputs are not written to.
        :class:`Features` can only be mirrored; ValueError for anything more.
        """
        if isinstance(images, Features):
            return self._mirror_features(images, masks, generator)
        _check_images(images)
        if images.ndim != 4 or masks.shape != (len(images), *images.shape[2:]):
            raise ValueError(f"need images [N, 3, H, W] and masks [N, H, W]; got {list(images.shape)} and "
                             f"{list(masks.shape)}")  # fmt: skip
        if masks.is_floating_point() or not 0 <= ignore_index <= torch.iinfo(masks.dtype).max:
            raise ValueError(f"masks hold whole numbers that include {ignore_index}; got {masks.dtype}")

        # Every number is drawn whatever is switched on: changing one option leaves the others' draws as they were.
        draw = torch.rand(7, len(images), generator=generator).to(images.device)
        pixels = self._change_color(images.float(), *draw[:3])
        pixels, labels = self._change_place(pixels, masks, ignore_index, *draw[3:])
        if not images.is_floating_point():
            pixels = pixels.round()
        return pixels.clamp(0, 255).to(images.dtype), labels

    def _mirror_features(self, features: Features, masks: Tensor, generator: torch.Generator):
        """Exchange the features of some images for those of the mirrored image; the same draws as for images."""
        if self != Augment(flip=self.flip):
            raise ValueError(
                "features of a frozen backbone can be mirrored and nothing else: train with sb.frozen.RECIPE, or with "
                "augment=Augment(flip=0.5) on features computed with mirrored=True"
            )
        mirrored = torch.rand(7, len(features), generator=generator)[3].to(masks.device) < self.flip
        return features.mirror(mirrored), torch.where(mirrored.view(-1, 1, 1), masks.flip(-1), masks)

    def _change_color(self, pixels: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
        """Scale the brightness, the contrast about the image's mean grey, the saturation about each pixel's grey."""

        def factor(amount: float, u: Tensor) -> Tensor:
            lowest = max(0.0, 1 - amount)
            return (lowest + (1 + amount - lowest) * u).view(-1, 1, 1, 1)

        if self.brightness:
            pixels = pixels * factor(self.brightness, brightness)
        if self.contrast:
            gray = pixels.mean(dim=(1, 2, 3), keepdim=True)
            pixels = gray + (pixels - gray) * factor(self.contrast, contrast)
        if self.saturation:
            gray = pixels.mean(dim=1, keepdim=True)
            pixels = gray + (pixels - gray) * factor(self.saturation, saturation)
        return pixels.clamp(0, 255)

    def _change_place(self, pixels: Tensor, masks: Tensor, ignore_index: int, flip, scale, top, left):
        """Mirror, scale and crop: tell for every pixel of the window where in the image it comes from."""
        mirrored = flip < self.flip
        if self.scale == (1, 1) and self.crop is None:
            return (
                torch.where(mirrored.view(-1, 1, 1, 1), pixels.flip(-1), pixels),
                torch.where(mirrored.view(-1, 1, 1), masks.flip(-1), masks),
            )

        height, width = masks.shape[1:]
        crop_height, crop_width = self.crop or (height, width)
        factor = self.scale[0] + (self.scale[1] - self.scale[0]) * scale

        def positions(length: int, window: int, u: Tensor) -> Tensor:
            """Where the window's pixel centres lie on the image's axis, which runs from -1 to 1: float32 [N, window]."""
            # A whole number of pixels, so that a crop without scaling copies pixels instead of blurring them.
            offset = (u * (factor * length - window)).round()
            centers = torch.arange(window, device=u.device) + 0.5
            return 2 * (centers + offset[:, None]) / (factor[:, None] * length) - 1

        y = positions(height, crop_height, top)[:, :, None].expand(-1, -1, crop_width)
        x = positions(width, crop_width, left)
        x = torch.where(mirrored[:, None], -x, x)[:, None, :].expand(-1, crop_height, -1)
        grid = torch.stack((x, y), dim=-1)

        # grid_sample puts 0 outside the image: shift what is sampled so that 0 means the mean colour, or no label.
        mean = 255 * _per_channel(IMAGENET_MEAN, pixels)
        pixels = F.grid_sample(pixels - mean, grid, mode="bilinear", align_corners=False) + mean
        labels = F.grid_sample(masks[:, None].float() + 1, grid, mode="nearest", align_corners=False)[:, 0]
        labels = torch.where(labels == 0, ignore_index, labels - 1)
        return pixels, labels.to(masks.dtype)


def _check_images(images: Tensor) -> None:
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise TypeError(f"images are uint8, or floating point on the scale 0 … 255; got {images.dtype}")
    if images.ndim < 3 or images.shape[-3] != 3:
        raise ValueError(f"images have three channels, [N, 3, H, W]; got {list(images.shape)}")
