"""Frozen backbone: its features are computed once, and many heads are trained on them in seconds.

    backbone = sb.backbones.EfficientNetLite0(output_stride=16, weights="imagenet")
    train, test = (sb.frozen.compute(backbone, run.load(split)) for split in ("train", "test"))
    head = sb.heads.ASPPHead(train.channels, train.num_classes, rates=(1, 2, 3))
    sb.fit(head, train, None, sb.frozen.RECIPE)
    print(sb.evaluate(head, test))

With a 1x1 convolution as the head this is linear probing (Alain and Bengio, 2016). Because backbone and pixels stay the
same, two heads differ by their own merit alone, and seeds by far less than those of nets trained whole.
"""

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from segbook._bars import progress
from segbook.data.augment import normalize
from segbook.data.dataset import SegmentationDataset
from segbook.data.files import atomic_path, cache_root
from segbook.devices import default_device
from segbook.evaluation import eval_mode
from segbook.features import Features
from segbook.layers import check_min_size
from segbook.training import Recipe, load_saved

FORMAT = "segbook features 1"

#: What heads are trained with. Nothing is augmented: see ``mirrored`` of :func:`compute`.
RECIPE = Recipe(steps=300, batch_size=8, learning_rate=3e-3, augment=None)


class FeatureDataset:
    """Features and masks, with the face of the data set they come from: ``fit``, ``evaluate`` and ``predict`` take it.

    ``source`` is that data set, for the images; ``channels`` says what a head can be built on, such as
    ``{4: 24, 32: 320}``.
    """

    def __init__(self, source: SegmentationDataset, features: Features, backbone: str):
        self.source, self.features = source, features
        self.name, self.split = f"{source.name} seen by {backbone}", source.split
        self.classes, self.num_classes, self.palette = source.classes, source.num_classes, source.palette
        self.ignore_index, self.size = source.ignore_index, features.size
        self._backbone = backbone

    @property
    def channels(self) -> dict[int, int]:
        """Channels of each tap."""
        return self.features.channels

    def __len__(self) -> int:
        return len(self.source)

    def __repr__(self) -> str:
        return f"FeatureDataset({self.name} {self.split}: {self.features!r})"

    def names(self) -> list[str]:
        return self.source.names()

    def class_counts(self) -> Tensor:
        return self.source.class_counts()

    def tensors(self) -> tuple[Features, Tensor]:
        """The features, float16, and the masks uint8 [N, H, W]."""
        return self.features, self.source.tensors()[1]

    def subset(self, indices) -> "FeatureDataset":
        """The chosen items, in the given order."""
        part = self.source.subset(indices)
        chosen = [range(len(self))[index] for index in indices]
        return FeatureDataset(part, self.features[chosen], self._backbone)


def compute(
    backbone: nn.Module, dataset: SegmentationDataset, taps=(4, 8, 16, 32), *, mirrored=False, device=None
) -> FeatureDataset:
    """The maps that ``backbone`` gives for every image of ``dataset``, computed once and kept in half precision.

    ``backbone`` is one of ``segbook.backbones`` with named ``strides``; it is used in eval mode and not changed. ``taps``
    are the maps to keep, by their stride in the classifier. ``mirrored`` computes those of the mirrored images too, for
    a recipe with ``augment=Augment(flip=0.5)``. The maps also go to the cache folder, under a name made from weights and
    pixels, one file a tap, so that the next call reads them; a file that does not fit any more is computed anew.
    Raises ValueError for taps that the backbone does not have and for images below 32x32 pixels, TypeError for what is
    no such backbone or data set, BadData where the images differ in size.
    """
    strides = getattr(backbone, "strides", None)
    if not isinstance(backbone, nn.Module) or strides is None:
        raise TypeError(f"compute needs a backbone with named strides, such as EfficientNetLite0, not {backbone!r:.80}")
    if isinstance(dataset, FeatureDataset):
        raise TypeError("these are features already; pass the data set with the images")
    taps = tuple(taps)
    if not taps or (missing := [tap for tap in taps if tap not in strides]):
        name = type(backbone).__name__
        raise ValueError(f"taps of {name} are {', '.join(map(str, strides))}; got {missing[0] if taps else 'none'}")
    images = dataset.tensors()[0]
    check_min_size(*images.shape[-2:])
    device = default_device(device)
    key = content_key(backbone, images)
    sides = ("", "-mirrored") if mirrored else ("",)
    first = maps_of(backbone, images[:1], taps, device)

    found = {}
    for tap in taps:
        for side in sides:
            found[tap, side] = read_cache(cache_file(key, tap, side), len(images), None if side else first[tap])
    if missing := sorted({tap for (tap, _), maps in found.items() if maps is None}):
        for side in sides:
            pixels = images.flip(-1) if side else images
            for tap, maps in maps_of(backbone, pixels, missing, device, dataset).items():
                found[tap, side] = maps
                write_cache(cache_file(key, tap, side), maps)
    size = tuple(images.shape[-2:])
    plain, other = ({tap: found[tap, side] for tap in taps} if side in sides else None for side in ("", "-mirrored"))
    features = Features(plain, size, Features(other, size) if mirrored else None)
    name = f"{type(backbone).__name__} {key[:8]}, output stride {getattr(backbone, 'output_stride', '?')}"
    return FeatureDataset(dataset, features, name)


def maps_of(backbone, images, taps, device, dataset=None, batch_size=8) -> dict[int, Tensor]:
    """The maps of the taps, float16 [N, C, h, w] on the CPU, of images uint8 [N, 3, H, W]."""
    result, start = {}, 0
    backbone.to(device)
    label = "" if dataset is None else f"Features of {dataset.name} {dataset.split}"
    with eval_mode(backbone), torch.no_grad():
        for batch in progress(images.split(batch_size), description=label, disable=dataset is None):
            x = normalize(batch.to(device)).contiguous(memory_format=torch.channels_last)
            for tap, maps in zip(backbone.strides, backbone(x)):
                if tap in taps:
                    if tap not in result:
                        result[tap] = torch.empty(len(images), *maps.shape[1:], dtype=torch.float16)
                    result[tap][start : start + len(batch)] = maps
            start += len(batch)
    if odd := [tap for tap, maps in result.items() if not maps.isfinite().all()]:
        raise ValueError(f"the features of tap {odd[0]} are not finite in half precision: these weights cannot be used")
    return result


def content_key(backbone: nn.Module, images: Tensor) -> str:
    """A digest of everything that decides the features: layers, weights and pixels."""
    digest = hashlib.sha256(FORMAT.encode() + str(backbone).encode())
    for tensor in (*backbone.state_dict().values(), images):
        digest.update(str(tuple(tensor.shape)).encode())
        digest.update(tensor.detach().cpu().contiguous().numpy())
    return digest.hexdigest()


def cache_file(key: str, tap: int, side: str) -> Path:
    return cache_root() / f"features-{key[:16]}-tap{tap}{side}.pt"


def write_cache(path: Path, maps: Tensor) -> None:
    """Keep the maps of one tap; a full or read-only disk only makes the next start slower."""
    try:
        with atomic_path(path) as partial:
            torch.save({"format": FORMAT, "maps": maps}, partial)
    except (OSError, RuntimeError):  # RuntimeError: how torch.save reports a disk that is full
        pass


def read_cache(path: Path, count: int, first: Tensor | None) -> Tensor | None:
    """The maps in the file; None where it is missing, damaged or not what the backbone gives for the ``first`` image."""
    if not path.is_file():
        return None
    try:
        maps = load_saved(path, "file of features")["maps"]
    except (OSError, ValueError, KeyError):
        return None
    if not isinstance(maps, Tensor) or maps.dtype != torch.float16 or len(maps) != count:
        return None
    if first is not None and (maps.shape[1:] != first.shape[1:] or not torch.allclose(maps[:1], first, 0.05, 0.05)):
        return None
    return maps
