"""One epoch of CamVid's training pictures at 180 × 240 with reading and augmentation: ours against the usual loop.

The peer is the loop of segmentation-models-pytorch's CamVid example: a Dataset that reads and augments one picture at a
time from its files, a DataLoader (in this process, as there is one thread), contiguous tensors. Ours is ``sb.fit``: uint8
tensors read once (that time is counted in the first epoch, and told apart), whole batches augmented. Both train the same
net with the same loss, optimiser and augmentation. Without CamVid (SEGBOOK_DATA) Street's pictures stand in, as files.
"""

import tempfile
from pathlib import Path

import torch
from measure import compare
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
        self.colour = v2.ColorJitter(brightness=0.2, contrast=0.2, saturation=0.2)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        with Image.open(self.pairs[index][0]) as picture, Image.open(self.pairs[index][1]) as mask:
            picture = v2.functional.pil_to_tensor(picture.convert("RGB").resize(SIZE[::-1], Image.BILINEAR))
            mask = v2.functional.pil_to_tensor(mask.resize(SIZE[::-1], Image.NEAREST))[0]
        picture = self.colour(picture)
        if torch.rand(()) < 0.5:
            picture, mask = picture.flip(-1), mask.flip(-1)
        picture = v2.functional.normalize(picture.float() / 255, IMAGENET_MEAN, IMAGENET_STD)
        return picture, mask.long()


def their_epoch(model, pairs, void):
    loss_function, optimizer = nn.CrossEntropyLoss(ignore_index=void), torch.optim.AdamW(model.parameters(), 1e-3)
    model.train()
    for images, masks in DataLoader(Files(pairs), batch_size=BATCH, shuffle=True):
        loss = loss_function(model(images), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def pairs_on_disk(folder: Path) -> tuple[list, object]:
    """Paths of pictures and label maps of 360 × 480, and how to load the same data with segbook."""
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
        for label, width in (("1/16 of the paper's width", 1 / 16), ("1/4 of the paper's width", 1 / 4)):

            def train(dataset, width=width):
                sb.fit(sb.models.build("unet", data.num_classes, width=width), dataset, None, recipe, progress=False)

            def ours(train=train):
                train(data)

            def with_reading(train=train):
                train(load())

            def theirs(width=width):
                their_epoch(sb.models.build("unet", data.num_classes, width=width), pairs, void)

            checked = "same net, loss, optimiser, augmentation"
            work = f"epoch of {len(pairs)} {name} pictures 180×240, U-Net at {label}"
            for which, function, goal in (("pictures in memory", ours, 2), ("reading included", with_reading, None)):
                row = f"{work}, {which}"
                if options.only in row:
                    rows.append(
                        compare(row, "usual loop", function, theirs, runs=options.runs, goal=goal, checked=checked)
                    )
    return rows
