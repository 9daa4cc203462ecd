"""One epoch of CamVid's training images at 180 × 240 with reading and augmentation: ours against two loops.

Both loops are a Dataset that reads and augments one image at a time from its files and a DataLoader (in this process,
as there is one thread), with contiguous tensors. "Usual loop" has the loss, optimiser and augmentation of ours, with
torchvision. "Documented loop" does what the CamVid example of segmentation-models-pytorch does, at our size: OpenCV and
a new number for each class, albumentations with its eleven transforms, Dice loss, Adam, and true and false positives
counted at every step. Ours is ``sb.fit``: uint8 tensors read once, whole batches augmented. The net is the same in all.
Without CamVid (SEGBOOK_DATA) Street's images stand in, as files.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from measure import compare, explain
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

import segbook as sb
from segbook.data import DataNotFound, data_root
from segbook.data.augment import IMAGENET_MEAN, IMAGENET_STD
from segbook.data.files import pair_files

SIZE, BATCH = (180, 240), 8


class Files(Dataset):
    def __init__(self, pairs):
        self.pairs = pairs
        self.color = v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        with Image.open(self.pairs[index][0]) as image, Image.open(self.pairs[index][1]) as mask:
            image = v2.functional.pil_to_tensor(image.convert("RGB").resize(SIZE[::-1], Image.BILINEAR))
            mask = v2.functional.pil_to_tensor(mask.resize(SIZE[::-1], Image.NEAREST))[0]
        image = self.color(image)
        if torch.rand(()) < 0.5:
            image, mask = image.flip(-1), mask.flip(-1)
        image = v2.functional.normalize(image.float() / 255, IMAGENET_MEAN, IMAGENET_STD)
        return image, mask.long()


def their_epoch(model, pairs, void):
    loss_function, optimizer = nn.CrossEntropyLoss(ignore_index=void), torch.optim.AdamW(model.parameters(), 1e-3)
    model.train()
    for images, masks in DataLoader(Files(pairs), batch_size=BATCH, shuffle=True):
        loss = loss_function(model(images), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


class DocumentedFiles(Dataset):
    """Reads as the example does; the crop has our size where the example's has 320 × 320."""

    def __init__(self, pairs, classes):
        import albumentations as A

        one_of = (
            [A.CLAHE(p=1), A.RandomBrightnessContrast(p=1), A.RandomGamma(p=1)],
            [A.Sharpen(p=1), A.Blur(blur_limit=3, p=1), A.MotionBlur(blur_limit=3, p=1)],
            [A.RandomBrightnessContrast(p=1), A.HueSaturationValue(p=1)],
        )
        height, width = SIZE
        self.augment = A.Compose(
            [
                A.Resize(height, width),
                A.HorizontalFlip(p=0.5),
                A.Affine(scale=(0.5, 1.5), translate_percent=(-0.1, 0.1), keep_ratio=True, p=1),
                A.PadIfNeeded(height, width),
                A.RandomCrop(height, width),
                A.GaussNoise(p=0.2),
                A.Perspective(p=0.5),
                *(A.OneOf(choices, p=0.9) for choices in one_of),
            ]
        )
        self.pairs, self.classes = pairs, classes

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        import cv2

        image = cv2.cvtColor(cv2.imread(str(self.pairs[index][0])), cv2.COLOR_BGR2RGB)
        labels = cv2.imread(str(self.pairs[index][1]), 0)
        mask = np.zeros_like(labels)  # class 0 is what has no label
        for value in range(self.classes):
            mask[labels == value] = value + 1
        sample = self.augment(image=image, mask=mask)
        return sample["image"].transpose(2, 0, 1), sample["mask"]


def documented_epoch(model, pairs, classes):
    import cv2
    import segmentation_models_pytorch as smp

    cv2.setNumThreads(0)
    loss_function = smp.losses.DiceLoss(smp.losses.MULTICLASS_MODE, from_logits=True)
    optimizer = torch.optim.Adam(model.parameters(), 2e-4)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    model.train()
    counts = []
    for images, masks in DataLoader(DocumentedFiles(pairs, classes), batch_size=BATCH, shuffle=True):
        logits = model((images.float() / 255 - mean) / std)
        loss = loss_function(logits, masks.long())
        with torch.no_grad():
            labels = logits.softmax(1).argmax(1)
            counts.append(smp.metrics.get_stats(labels, masks.long(), mode="multiclass", num_classes=classes + 1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    true_positives, false_positives, false_negatives, _ = (torch.cat(parts) for parts in zip(*counts))
    return true_positives.sum() / (true_positives + false_positives + false_negatives).sum()


def pairs_on_disk(folder: Path) -> tuple[list, object]:
    """Paths of images and label maps of 360 × 480, and how to load the same data with segbook."""
    try:
        sb.data.load("camvid", "train")
    except DataNotFound:
        data = sb.data.load("street", "train", size=(360, 480), count=120)
        for i, (image, mask) in enumerate(zip(*data.tensors())):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(folder / f"{i:03}.png")
            Image.fromarray(mask.numpy()).save(folder / f"{i:03}_mask.png")
        pairs = [(folder / f"{i:03}.png", folder / f"{i:03}_mask.png") for i in range(len(data))]
        return pairs, lambda: sb.data.load("street", "train", size=SIZE, count=120)
    root = data_root() / "camvid"
    pairs = [pair[1:] for pair in pair_files(root / "train", root / "trainannot")]
    return pairs, lambda: sb.data.load("camvid", "train", size=SIZE)


def run(options) -> list:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        pairs, load = pairs_on_disk(Path(folder))
        data = load()
        name, void = data.name, data.ignore_index
        data.tensors()
        recipe = sb.Recipe(
            steps=-(-len(pairs) // BATCH), batch_size=BATCH, learning_rate=1e-3, class_weights=None,
            augment=sb.data.Augment(flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2),
        )  # fmt: skip

        def net(classes):
            return sb.models.build("unet", classes, width=1 / 16)

        def ours():
            sb.fit(net(data.num_classes), data, None, recipe, progress=False)

        def with_reading():
            sb.fit(net(data.num_classes), load(), None, recipe, progress=False)

        def usual():
            their_epoch(net(data.num_classes), pairs, void)

        def documented():
            documented_epoch(net(data.num_classes + 1), pairs, data.num_classes)

        work = f"epoch of {len(pairs)} {name} images 180×240, U-Net at 1/16 of its width"
        same, other = "same net, loss, optimiser, augmentation", "same net"
        for which, function, peer, theirs, goal, checked in (
            ("images in memory", ours, "usual loop", usual, None, same),
            ("reading included", with_reading, "usual loop", usual, None, same),
            ("images in memory", ours, "smp's documented loop", documented, 2, other),
        ):
            row = f"{work}, {which}"
            if options.only not in f"{row}, {peer}":
                continue
            try:
                found = compare(row, peer, function, theirs, runs=options.runs, goal=goal, checked=checked)
                rows.append(explain(found, function, theirs))
            except ImportError as error:
                print(f"left out: {row}, {peer}: {error}")
    return rows
