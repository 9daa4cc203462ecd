"""Feature maps of a batch of images at several strides, handled like the images they come from."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Features:
    """What a backbone gives for N images: ``maps[tap]`` is floating point [N, C, h, w], ``size`` (H, W) of the images.

    A tap is named by its stride in the classifier, 2 … 32; a backbone with a smaller output stride has larger maps under
    the same names. ``mirrored`` holds the maps of the mirrored images, where they were computed too. Indexing,
    ``split``, ``to``, ``float`` and ``contiguous`` act on all maps at once, as on a tensor of images; ``shape`` is that
    of the images, [N, 3, H, W].
    """

    maps: dict[int, Tensor]
    size: tuple[int, int]
    mirrored: "Features | None" = None

    @classmethod
    def of(cls, backbone, images: Tensor) -> "Features":
        """All taps of ``backbone`` for normalised images [N, C, H, W]."""
        return cls(dict(zip(backbone.strides, backbone(images))), tuple(images.shape[-2:]))

    @property
    def channels(self) -> dict[int, int]:
        """Number of channels of each tap: what a head needs to know."""
        return {tap: maps.shape[1] for tap, maps in self.maps.items()}

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self), 3, *self.size))

    def __len__(self) -> int:
        return len(next(iter(self.maps.values())))

    def __repr__(self) -> str:
        maps = ", ".join(f"{tap}: {list(tensor.shape[1:])}" for tap, tensor in self.maps.items())
        return f"Features({len(self)} images of {self.size[0]}x{self.size[1]}; {maps})"

    def _each(self, change) -> "Features":
        mirrored = None if self.mirrored is None else self.mirrored._each(change)
        return Features({tap: change(tensor) for tap, tensor in self.maps.items()}, self.size, mirrored)

    def __getitem__(self, index) -> "Features":
        """The chosen images; ``index`` is a slice or a list or tensor of numbers."""
        return self._each(lambda tensor: tensor[index])

    def split(self, batch_size: int) -> list["Features"]:
        return [self[start : start + batch_size] for start in range(0, len(self), batch_size)]

    def to(self, *args, **options) -> "Features":
        return self._each(lambda tensor: tensor.to(*args, **options))

    def float(self) -> "Features":
        return self._each(Tensor.float)

    def contiguous(self, **options) -> "Features":
        return self._each(lambda tensor: tensor.contiguous(**options))

    def mirror(self, which: Tensor) -> "Features":
        """The maps of the mirrored images for those images where ``which`` (bool [N]) is true.

        Raises ValueError where they were not computed. A mirrored map would not do: the cells of a strided convolution
        do not sit in the middle of their pixels, so that mirroring would move what they saw by up to a cell.
        """
        if self.mirrored is None:
            raise ValueError(
                "the features of the mirrored images were not computed: pass mirrored=True, or augment=None"
            )
        which = which.view(-1, 1, 1, 1)
        return Features(
            {tap: torch.where(which, self.mirrored.maps[tap], tensor) for tap, tensor in self.maps.items()}, self.size
        )
