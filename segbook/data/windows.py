"""Windows of a data set's images: large images and images of several sizes, cut into equal pieces without scaling."""

import functools

import numpy as np

from segbook.data.dataset import SegmentationDataset

#: Windows together take no more than this in memory, image and mask; of more, so many are taken evenly.
MOST_BYTES = 1_000_000_000


def windows(dataset: SegmentationDataset, size: tuple[int, int], step: float = 0.5, most: int | None = None):
    """A data set of windows of ``size`` (height, width) that cover every image, and how many there would be in all.

    ``step``: from one window to the next, as a share of the window; the last one ends with the image. An image smaller
    than the window is mirrored beyond its edge, and its mask ignored there. ``most`` bounds the number of windows (by
    default to what fits into ``MOST_BYTES``); then each image gives its share of them, evenly spread, and at least one.
    """
    most = most or max(1, MOST_BYTES // (4 * size[0] * size[1]))
    shapes = [dataset.source.shape(i) for i in dataset._indices]
    places = []
    for index, (height, width) in zip(dataset._indices, shapes):
        tops, lefts = (
            sorted({*range(0, max(length - side, 0), max(1, round(step * side))), max(length - side, 0)})
            for length, side in zip((height, width), size)
        )
        places.append([(index, top, left) for top in tops for left in lefts])
    every = sum(map(len, places))
    if every > most:
        shares = [max(1, len(of_one) * most // every) for of_one in places]
        places = [[of_one[k * len(of_one) // n] for k in range(n)] for of_one, n in zip(places, shares)]
    places = [place for of_one in places for place in of_one]
    source = WindowSource(dataset.source, places, size, dataset.ignore_index)
    names, palette = dataset.classes, dataset.palette
    return SegmentationDataset(dataset.name, dataset.split, source, names, palette, dataset.ignore_index), every


class WindowSource:
    """Windows (index of the image, top, left) of another source; windows of one image follow each other."""

    def __init__(self, source, places: list[tuple[int, int, int]], size: tuple[int, int], ignore_index: int):
        self.source, self.places, self.size, self.ignore_index = source, places, size, ignore_index
        self._read = functools.lru_cache(maxsize=1)(source.read)

    @property
    def names(self) -> list[str]:
        names = self.source.names
        return [f"{names[index]} at {top},{left}" for index, top, left in self.places]

    def where(self, index: int) -> str:
        """What to call this window in a message."""
        return self.source.where(self.places[index][0])

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 [h, w, 3] and class indices uint8 [h, w] of a window."""
        number, top, left = self.places[index]
        image, labels = self._read(number)
        height, width = self.size
        image, labels = image[top : top + height, left : left + width], labels[top : top + height, left : left + width]
        missing = (0, height - labels.shape[0]), (0, width - labels.shape[1])
        if any(after for _, after in missing):
            image = np.pad(image, (*missing, (0, 0)), mode="symmetric")
            labels = np.pad(labels, missing, constant_values=self.ignore_index)
        return image, labels
