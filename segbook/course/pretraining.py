"""What stands in for ImageNet when there is no network: a VGG-16 that has learnt to name small crops of the scenes.

The paper of FCN, like those of DeepLab, starts from a classifier that has seen a million photographs. The course runs
offline, so its nets on VGG-16 start from a classifier of its own where they need one.
"""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segbook.backbones import VGG16
from segbook.data.augment import normalize
from segbook.data.files import atomic_path
from segbook.training import CheckpointError, load_saved

SIDE = 32  # of a crop, in pixels: VGG-16 makes one cell of it


def crops_around(dataset, each: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """``each`` crops a class whose middle pixel has that class: uint8 [n, 3, 32, 32] and their classes, int64 [n].

    Fewer where a class has fewer such pixels. Void is no class.
    """
    images, masks = dataset.tensors()
    half, generator = SIDE // 2, torch.Generator().manual_seed(seed)
    middle, crops, names = masks[:, half : 1 - half, half : 1 - half], [], []
    for k in range(dataset.num_classes):
        places = (middle == k).nonzero()
        for n, top, left in places[torch.randperm(len(places), generator=generator)[:each]].tolist():
            crops.append(images[n, :, top : top + SIDE, left : left + SIDE])
            names.append(k)
    return torch.stack(crops), torch.tensor(names)


class VGG16Classifier(nn.Module):
    """VGG-16 with batch norm, and one linear layer from its last cell to K classes: [N, 3, 32, 32] to [N, K]."""

    def __init__(self, num_classes: int, width: float):
        super().__init__()
        self.backbone = VGG16(width=width, batch_norm=True)
        self.classifier = nn.Linear(self.backbone.out_channels[-1], num_classes)

    def forward(self, x):
        return self.classifier(self.backbone(x)[-1].flatten(1))


def train_crop_classifier(
    net: nn.Module, crops: Tensor, names: Tensor, epochs: int, learning_rate: float, seed: int = 0
) -> None:
    """Train a classifier in place on ``crops`` uint8 [n, 3, h, w] with classes ``names`` [n]; it ends in eval mode."""
    device, batches = next(net.parameters()).device, -(-len(crops) // 64)
    net.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(net.parameters(), learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, epochs=epochs, steps_per_epoch=batches)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for dropout
        for _ in range(epochs):
            for batch in torch.randperm(len(crops), generator=generator).split(64):
                x, y = normalize(crops[batch]), names[batch]
                if torch.rand(1, generator=generator) < 0.5:
                    x = x.flip(3)
                optimizer.zero_grad()
                F.cross_entropy(net(x.to(device, memory_format=torch.channels_last)), y.to(device)).backward()
                optimizer.step()
                schedule.step()
    net.eval()


def vgg16_classifier(run, dataset, width: float, *, each: int = 200, epochs: int = 10) -> VGG16Classifier:
    """The classifier that knows the crops of ``dataset``: trained from seed 0, or loaded when that was done before.

    Which seed a segmentation net later starts from does not change it, as ImageNet's weights do not change either.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = VGG16Classifier(dataset.num_classes, width).to(run.device)
    crops, names = crops_around(dataset, each)
    # Everything that decides the result is in the file's name: other crops or other first weights are other files.
    path = run.checkpoint("vgg16-crops", epochs, crops, names, net)
    return _learned(net, path, crops, names, epochs)


def _learned(net: nn.Module, path: Path, crops: Tensor, names: Tensor, epochs: int, seed: int = 0) -> nn.Module:
    """``net`` in eval mode with the weights in ``path``, or with those it learns now and leaves there."""
    if path.exists():
        try:
            saved = load_saved(path, "classifier")
            net.load_state_dict(saved["model"])
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            raise CheckpointError(f"{path} cannot be used ({error}). Delete it to train anew") from error
        return net.eval()
    train_crop_classifier(net, crops, names, epochs, learning_rate=1e-2, seed=seed)
    with atomic_path(path) as partial:
        torch.save({"format": "segbook classifier 1", "model": net.state_dict()}, partial)
    return net


class CropClassifier(nn.Module):
    """Any backbone whose ``forward`` ends with its deepest map, the mean of that map, one linear layer: to [N, K]."""

    def __init__(self, backbone: nn.Module, num_classes: int):
        super().__init__()
        self.backbone = backbone
        self.classifier = nn.Linear(backbone.out_channels[-1], num_classes)

    def forward(self, x):
        return self.classifier(self.backbone(x)[-1].mean((2, 3)))


def crop_classifier(run, dataset, name: str, build, *, each: int, epochs: int, seed: int = 0) -> nn.Module:
    """The backbone ``build()`` after it has learnt to name crops of ``dataset``; in eval mode, on the run's device.

    A classifier that was trained before is loaded: ``name``, the crops, the net and its first weights are in the
    checkpoint's name. ``seed`` decides the first weights and the order of the crops; which crops these are is the
    same for every seed.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = CropClassifier(build(), dataset.num_classes).to(run.device)
    crops, names = crops_around(dataset, each)
    path = run.checkpoint(f"{name}-crops", seed, epochs, crops, names, net)
    return _learned(net, path, crops, names, epochs, seed).backbone
