"""The one interface of every data set of the course."""

import operator
from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import tv_tensors

from segbook._bars import progress
from segbook.data.files import BadData


def check_dataset(dataset, name: str = "dataset", needed=("tensors", "num_classes")) -> None:
    """Raise TypeError for what is no data set of ours, such as a ``Subset`` of torch.utils.data, and name the way out.

    ``needed``: the attributes that the caller will use.
    """
    if not all(hasattr(dataset, attribute) for attribute in needed):
        raise TypeError(
            f"{name} must be a SegmentationDataset, such as sb.data.load gives, not {type(dataset).__name__}; its "
            "method subset(indices) chooses images"
        )


class SegmentationDataset(Dataset):
    """Images and their label maps.

    ``dataset[i]`` gives ``(image, mask)``: ``tv_tensors.Image`` uint8 [3, H, W] and ``tv_tensors.Mask`` int64 [H, W].
    A mask holds class indices 0 … K-1 and ``ignore_index`` where a pixel belongs to no class.

    Attributes: ``name``, ``split``, ``classes`` (tuple of K names), ``num_classes`` (K), ``palette`` (uint8 [K+1, 3],
    the last colour is for ignored pixels), ``ignore_index``, ``size`` ((height, width), or None for the files' own).

    Pixels are read when asked for; a file that cannot be used raises ``BadData`` with its name. ``check()`` reads all.
    """

    def __init__(self, name, split, source, classes, palette, ignore_index, size=None):
        """``source`` has ``names`` (a list), ``where(i)`` and ``read(i) -> (uint8 [H, W, 3], uint8 [H, W])``."""
        self.name, self.split, self.source = name, split, source
        self.classes = tuple(classes)
        self.palette = np.asarray(palette, dtype=np.uint8)
        self.ignore_index = int(ignore_index)
        self.size = size
        self._indices = list(range(len(source.names)))
        self._tensors: tuple[Tensor, Tensor] | None = None
        self._class_counts: Tensor | None = None
        if not self._indices:
            raise BadData(f"{name} {split} holds no images")
        if not len(self.classes) <= self.ignore_index <= 255:
            raise ValueError(
                f"ignore_index must be a number that is no class: {len(self.classes)} to 255 for {len(self.classes)} "
                f"classes, not {self.ignore_index}"
            )
        if self.palette.shape != (len(self.classes) + 1, 3):
            raise ValueError(f"{len(self.classes)} classes need a palette [{len(self.classes) + 1}, 3], "
                             f"this one is {list(self.palette.shape)}")  # fmt: skip

    @property
    def num_classes(self) -> int:
        """The number of classes, void not counted."""
        return len(self.classes)

    def __len__(self) -> int:
        return len(self._indices)

    def __repr__(self) -> str:
        size = "own sizes" if self.size is None else f"{self.size[0]}x{self.size[1]}"
        return f"SegmentationDataset({self.name} {self.split}: {len(self)} images, {size}, {self.num_classes} classes)"

    def names(self) -> list[str]:
        """File stem of every image, or ``street-train-000012`` for generated ones."""
        names = self.source.names
        return [names[index] for index in self._indices]

    def _position(self, index: int) -> int:
        """``index`` as a plain number from 0 to ``len - 1``; negative numbers count from the end."""
        if isinstance(index, bool | np.bool_) or (isinstance(index, Tensor) and index.dtype == torch.bool):
            raise TypeError(f"{self!r} is indexed by numbers, not by True and False")
        position = operator.index(index)
        if not -len(self) <= position < len(self):
            raise IndexError(f"{self!r} has no item {position}")
        return position % len(self)

    def _read(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 [H, W, 3] and class indices uint8 [H, W], brought to ``size``."""
        image, mask = self.source.read(self._indices[position])
        self._check_arrays(self.source.where(self._indices[position]), image, mask)
        mask = mask.astype(np.uint8, copy=False)
        if self.size is not None and self.size != mask.shape:
            width_height = self.size[::-1]
            image = np.asarray(Image.fromarray(image).resize(width_height, Image.Resampling.BILINEAR))
            # A mean of two class numbers is a third class: masks take the nearest pixel. Pillow measures from pixel
            # centres for both, so that image and mask stay aligned.
            mask = np.asarray(Image.fromarray(mask).resize(width_height, Image.Resampling.NEAREST))
        return image, mask

    def _check_arrays(self, where: str, image: np.ndarray, mask: np.ndarray) -> None:
        """Refuse a source's arrays that are not an image and labels of its pixels; no number may wrap around in a byte."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise BadData(f"{where}: an image must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
        if not np.issubdtype(mask.dtype, np.integer):
            raise BadData(f"{where}: labels must be whole numbers, not {mask.dtype}")
        if mask.shape != image.shape[:2]:
            raise BadData(f"{where}: labels {list(mask.shape)} do not fit the image {list(image.shape[:2])}")
        if mask.size and (mask.min() < 0 or mask.max() > 255):
            raise BadData(f"{where}: labels run from {mask.min()} to {mask.max()}, but only 0 to 255 can be kept")
        known = np.arange(256) < self.num_classes
        if 0 <= self.ignore_index <= 255:
            known[self.ignore_index] = True
        if not known[mask].all():
            wrong = np.unique(mask[~known[mask]])[:10].tolist()
            raise BadData(
                f"{where}: labels {wrong} are neither one of the {self.num_classes} classes nor void ({self.ignore_index})"
            )

    def __getitem__(self, index: int) -> tuple[tv_tensors.Image, tv_tensors.Mask]:
        position = self._position(index)
        if self._tensors is not None:
            image, mask = (tensor[position].clone() for tensor in self._tensors)
        else:
            pixels, labels = self._read(position)
            image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
            mask = torch.from_numpy(labels.copy())
        return tv_tensors.Image(image), tv_tensors.Mask(mask.long())

    def instances(self, index: int) -> Tensor:
        """Map of things, int32 [H, W]: 0 for none, else a number for each of them. Generated data sets only.

        Things are the cars, people, signs and poles of Street, and the cells of cells.
        """
        if not hasattr(self.source, "instances"):
            raise ValueError(f"{self.name} has no instance labels; Street and cells have")
        return torch.from_numpy(self.source.instances(self._indices[self._position(index)]))

    def tensors(self) -> tuple[Tensor, Tensor]:
        """The whole set at once: images uint8 [N, 3, H, W] and masks uint8 [N, H, W].

        Read once and kept in memory; the same tensors are handed out each time, so do not write into them.
        Raises ``BadData`` if a file cannot be used or if the images differ in size.
        """
        if self._tensors is None:
            images = masks = None
            for position in self._bar("Reading"):
                image, mask = self._read(position)
                if images is None:
                    images = np.empty((len(self), 3, *mask.shape), np.uint8)
                    masks = np.empty((len(self), *mask.shape), np.uint8)
                elif mask.shape != masks.shape[1:]:
                    raise BadData(
                        f"{self.source.where(self._indices[position])} is {mask.shape[0]}x{mask.shape[1]}, the first "
                        f"image {masks.shape[1]}x{masks.shape[2]} (height x width): pass size=(height, width) to load"
                    )
                images[position], masks[position] = image.transpose(2, 0, 1), mask
            self._tensors = torch.from_numpy(images), torch.from_numpy(masks)
        return self._tensors

    def class_counts(self) -> Tensor:
        """Pixels of each class over the whole set, int64 [K]; ignored pixels are not counted. Computed once."""
        if self._class_counts is None:
            if self._tensors is not None:
                masks = self._tensors[1].numpy()
            else:
                masks = (self._read(position)[1] for position in self._bar("Counting"))
            counts = sum(np.bincount(mask.reshape(-1), minlength=256) for mask in masks)
            self._class_counts = torch.from_numpy(counts[: self.num_classes])
        return self._class_counts

    def check(self) -> None:
        """Read every file. Raises ``BadData`` that names the first ten that cannot be used and says how many there are."""
        problems = []
        for position in self._bar("Checking"):
            try:
                self.source.read(self._indices[position])
            except BadData as error:
                problems.append(str(error))
        if problems:
            raise BadData(f"{len(problems)} of {len(self)} files cannot be used:\n  " + "\n  ".join(problems[:10]))

    def subset(self, indices: Iterable[int]) -> "SegmentationDataset":
        """The chosen items as a data set of their own, in the given order. Pixels already in memory are not read again."""
        chosen = [self._position(index) for index in indices]
        if not chosen:
            raise ValueError(f"a subset of {self!r} needs at least one index")
        part = SegmentationDataset(
            self.name, self.split, self.source, self.classes, self.palette, self.ignore_index, self.size
        )
        part._indices = [self._indices[position] for position in chosen]
        if self._tensors is not None:
            part._tensors = tuple(tensor[chosen] for tensor in self._tensors)
        return part

    def _bar(self, description: str):
        return progress(
            range(len(self)), description=f"{description} {self.name} {self.split}", disable=len(self) <= 100
        )
