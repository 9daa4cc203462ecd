"""Baselines that see no object: the scores that a network must beat before it has shown anything.

``location_prior`` never looks at the image, ``pixel_classifier`` looks at one pixel at a time. Both return something
that ``score`` takes: a label map [H, W], or a function from images to label maps.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from segbook.data.dataset import check_dataset
from segbook.guards import whole
from segbook.metrics import ConfusionMatrix

#: Pixels that the forest of ``pixel_classifier`` labels at a time; bounds the memory, not the result.
_CHUNK = 2_000_000


def location_prior(dataset) -> Tensor:
    """The class that is most frequent at each place of the image: uint8 [H, W].

    Void is not counted. A place that is void in every image gets the class that is most frequent over all. Raises
    ``ValueError`` when every pixel is void, and ``BadData`` when the images differ in size.
    """
    check_dataset(dataset)
    masks = dataset.tensors()[1]
    counts = torch.stack([(masks == label).sum(0) for label in range(dataset.num_classes)])
    total = counts.sum((1, 2))
    if not total.any():
        raise ValueError(f"{dataset!r} has no labelled pixel, only void")
    labels = torch.where(counts.any(0), counts.argmax(0), total.argmax())
    return labels.to(torch.uint8)


def pixel_features(images: Tensor) -> np.ndarray:
    """What ``pixel_classifier`` knows of a pixel: red, green, blue, row and column, each from 0 to 1.

    ``images`` uint8 [N, 3, H, W] → float32 [N·H·W, 5], in the order of ``masks.flatten()``.
    """
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"images are uint8 [N, 3, H, W]; got {images.dtype} {list(images.shape)}")
    count, _, height, width = images.shape
    features = np.empty((count, height, width, 5), dtype=np.float32)
    features[..., :3] = images.cpu().permute(0, 2, 3, 1).numpy() / np.float32(255)
    features[..., 3] = ((np.arange(height) + 0.5) / height)[:, None]
    features[..., 4] = (np.arange(width) + 0.5) / width
    return features.reshape(-1, 5)


def pixel_classifier(dataset, pixels: int = 40_000, trees: int = 10, seed: int = 0) -> Callable[[Tensor], Tensor]:
    """A random forest that labels each pixel from its own colour and place, blind to all its neighbours.

    It is trained on ``pixels`` labelled pixels drawn from the whole data set (all, if there are fewer) and returned as
    a function: images uint8 [N, 3, H, W] → labels uint8 [N, H, W]. The same ``seed`` gives the same forest.
    Needs scikit-learn. Raises ``ValueError`` for numbers below 1 and when every pixel is void.
    """
    from sklearn.ensemble import RandomForestClassifier  # part of the notebooks' requirements, not of the package's

    whole("pixels", pixels, 1)
    whole("trees", trees, 1)
    check_dataset(dataset)
    images, masks = dataset.tensors()
    labels = masks.flatten().numpy()
    labelled = np.flatnonzero(labels != dataset.ignore_index)
    if not len(labelled):
        raise ValueError(f"{dataset!r} has no labelled pixel, only void")
    chosen = np.random.default_rng(seed).choice(labelled, min(pixels, len(labelled)), replace=False)
    # Features of the chosen pixels only, image by image: those of a large data set would not fit into memory.
    chosen.sort()
    per_image = masks[0].numel()
    features = np.concatenate([
        pixel_features(images[number][None])[chosen[chosen // per_image == number] % per_image]
        for number in np.unique(chosen // per_image)
    ])  # fmt: skip
    # Three pixels in a leaf at least, or the trees would learn every noisy pixel by heart.
    forest = RandomForestClassifier(trees, min_samples_leaf=3, random_state=seed).fit(features, labels[chosen])

    def predict(images: Tensor) -> Tensor:
        count = max(1, _CHUNK // max(1, images.shape[2:].numel()))
        parts = [forest.predict(pixel_features(part)).reshape(-1, *images.shape[2:]) for part in images.split(count)]
        return torch.from_numpy(np.concatenate(parts).astype(np.uint8))

    return predict


def evaluate_baseline(prediction: Tensor | Callable[[Tensor], Tensor], dataset) -> ConfusionMatrix:
    """The confusion matrix of a baseline over a whole data set.

    ``prediction``: one label map [H, W] that is the answer to every image, or a function from images uint8 [N, 3, H, W]
    to labels [N, H, W]. Raises ``ValueError`` when the sizes do not fit.
    """
    check_dataset(dataset)
    images, masks = dataset.tensors()
    labels = prediction(images) if callable(prediction) else torch.as_tensor(prediction)
    if labels.shape not in (masks.shape, masks.shape[1:]):
        raise ValueError(f"labels of shape {list(labels.shape)} do not fit masks of shape {list(masks.shape)}")
    return ConfusionMatrix(dataset.num_classes, dataset.ignore_index).update(labels.expand_as(masks), masks)
