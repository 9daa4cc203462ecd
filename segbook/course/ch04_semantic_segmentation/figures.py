"""Drawings of chapter 04: one scene under five tasks, palettes, class shares, masks that were resized, moved or guessed."""

from collections import Counter

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from segbook.data import Augment
from segbook.data.classes import DRIVING_CLASSES, DRIVING_PALETTE
from segbook.plots import (
    CYCLE,
    INK,
    PALE,
    error_map,
    figure,
    image,
    label_map,
    legend,
    overlay,
    paint,
    row_of_axes,
    to_uint8,
)

#: Pixels of each class in the 367 training images of CamVid at 480x360 (SegNet split), void last; counted once from the
#: label maps that the authors of SegNet distribute. A test counts again where the data is present.
CAMVID_TRAIN_PIXELS = (
    10_682_767, 14_750_079, 623_349, 20_076_880, 2_845_085, 6_166_762, 743_859, 714_595, 3_719_877, 405_385, 184_967,
    2_503_995,
)  # fmt: skip
#: In how many of these images a class occurs, in the same order.
CAMVID_TRAIN_PRESENT = (366, 365, 366, 367, 349, 319, 351, 173, 360, 317, 201, 367)
CAMVID_TRAIN_IMAGES = 367

#: The colours with which SegNet's scripts show the same classes, void last.
SEGNET_PALETTE = np.array(
    [
        (128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0),
        (192, 128, 128), (64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192), (0, 0, 0),
    ],
    dtype=np.uint8,
)  # fmt: skip

#: How colours appear, in linear RGB: Machado, Oliveira and Fernandes (2009), "A physiologically-based model for simulation
#: of color vision deficiency", severity 1.
VISION = {
    "full colour vision": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


# ------------------------------------------------------------------------------------------------- one scene, five tasks


def tasks(scene, boxes: dict, classes=DRIVING_CLASSES, palette=DRIVING_PALETTE) -> Figure:
    """Draw a Street scene and the answer of five tasks to it.

    ``scene`` has ``image``, ``mask``, ``instances`` and ``instance_classes``; ``boxes``: {instance: (left, top, right,
    bottom)}, in pixels, the last row and column included.
    """
    height, width = scene.mask.shape
    fig = figure(9.0, 5.6)
    (photo, words, detection), (semantic, instance, panoptic) = fig.subplots(2, 3)
    image(photo, scene.image, "the image")

    words.imshow(np.full((height, width, 3), 246, np.uint8))
    words.set_xticks([]), words.set_yticks([])
    words.grid(False)
    words.spines[:].set(visible=True, color=PALE)
    words.set_title("classification: what is in it?")
    for place, label in enumerate(sorted(set(np.unique(scene.mask)) - {len(classes)})):
        x, y = (0.08, 0.55)[place % 2] * width, (0.1 + 0.155 * (place // 2)) * height
        words.add_patch(Rectangle((x, y), 0.06 * width, 0.08 * height, fc=palette[label] / 255, ec="#7A7A7A", lw=0.5))
        words.text(x + 0.09 * width, y + 0.045 * height, classes[label], va="center", fontsize=10)

    image(detection, scene.image, "detection: a box for each thing")
    for number, (left, top, right, bottom) in boxes.items():
        color = palette[scene.instance_classes[number]] / 255
        size = (right - left + 1, bottom - top + 1)
        for line, ink in ((2.6, "white"), (1.4, color)):
            detection.add_patch(Rectangle((left - 0.5, top - 0.5), *size, fill=False, ec=ink, lw=line))

    label_map(semantic, scene.mask, palette, title="semantic: a class for each pixel")
    label_map(instance, np.full_like(scene.mask, 0), np.array([(246, 246, 246), (0, 0, 0)]))
    instance.imshow(_things(scene, boxes, stuff=None))
    instance.set_title("instance: a mask for each thing")
    image(panoptic, _things(scene, boxes, stuff=paint(scene.mask, palette)), "panoptic: both at once")
    legend(fig, classes, palette, present=scene.mask)
    return fig


def _things(scene, numbers, stuff) -> np.ndarray:
    """Colours of the instances: on paper a colour each; on ``stuff`` the class's colour in a brightness each. [H, W, 3]."""
    out = np.full((*scene.mask.shape, 3), 246, np.uint8) if stuff is None else stuff.copy()
    met = Counter()  # things of each class so far
    for order, number in enumerate(numbers):
        inside = scene.instances == number
        label = scene.instance_classes[number]
        if stuff is None:
            out[inside] = 255 * np.array(matplotlib.colormaps["tab20"](order % 20)[:3])
        else:
            own = DRIVING_PALETTE[label]
            out[inside] = own + (255 - own) * (0.0, 0.45, 0.22, 0.6)[met[label] % 4]
        met[label] += 1
    drawn = np.where(np.isin(scene.instances, list(numbers)), scene.instances, 0)
    out[_borders(drawn)] = 255
    return out


def _borders(labels) -> np.ndarray:
    """Where the number differs from that of the pixel above or to the left: bool [H, W]."""
    border = np.zeros(labels.shape, bool)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    return border


# --------------------------------------------------------------------------------------------------------------- palettes


def seen(palette, vision) -> np.ndarray:
    """An sRGB palette uint8 [K, 3] as an eye sees it whose 3×3 matrix is ``vision``: linear RGB, float [K, 3]."""
    encoded = np.asarray(palette) / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return np.clip(linear @ vision.T, 0, 1)


def closest(palette, vision) -> tuple[float, tuple[int, int]]:
    """The two colours of a palette that are hardest to tell apart: their distance (CIEDE2000) and their indices."""
    from skimage.color import deltaE_ciede2000, xyz2lab

    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    lab = xyz2lab(seen(palette, vision) @ to_xyz.T)
    distances = deltaE_ciede2000(lab[:, None], lab[None])
    np.fill_diagonal(distances, np.inf)
    pair = np.unravel_index(distances.argmin(), distances.shape)
    return float(distances.min()), (int(pair[0]), int(pair[1]))


def color_vision(palettes: dict, classes=DRIVING_CLASSES) -> Figure:
    """Draw palettes as four kinds of eyes see them, one strip an eye; rings mark the closest pair."""
    fig = figure(9.0, 1.55 * len(palettes) + 1.0)
    for ax, (title, palette) in zip(np.atleast_1d(fig.subplots(len(palettes), 1, sharex=True)), palettes.items()):
        strips = []
        for row, vision in enumerate(VISION.values()):
            linear = seen(palette, vision)
            strips.append(np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055))
            for place in closest(palette, vision)[1]:
                ax.plot(place, row, "o", ms=13, mfc="none", mec="black", mew=3.2)
                ax.plot(place, row, "o", ms=13, mfc="none", mec="white", mew=1.6)
        ax.imshow(np.clip(strips, 0, 1), aspect="auto", interpolation="nearest")
        ax.set_yticks(range(len(VISION)), VISION)
        ax.set_xticks(range(len(palette)), [*classes, "void"], rotation=30, ha="right")
        ax.set_xticks(np.arange(len(palette) + 1) - 0.5, minor=True)
        ax.grid(False)
        ax.grid(True, which="minor", axis="x", color="white", lw=2)
        ax.tick_params(length=0, which="both")
        ax.set_title(title)
        for spine in ax.spines.values():
            spine.set_visible(False)
    return fig


# ----------------------------------------------------------------------------------------------------- void and imbalance


def void_map(masks: Tensor, ignore_index: int, example: int) -> Figure:
    """Draw how often each place is void, beside the label map of image number ``example``."""
    fig = figure(8.4, 2.9)
    left, right = fig.subplots(1, 2)
    label_map(left, masks[example], title="black: void in one picture")
    drawn = right.imshow(100 * (masks == ignore_index).float().mean(0).numpy(), cmap="magma", vmin=0)
    right.set_xticks([]), right.set_yticks([])
    right.grid(False)
    right.set_title("share of all images")
    fig.colorbar(drawn, ax=right, label="void here (%)", shrink=0.9)
    return fig


def shares(columns: dict, classes=DRIVING_CLASSES, palette=DRIVING_PALETTE) -> Figure:
    """Draw the share of each class as bars on a logarithmic axis, one panel a data set.

    ``columns``: {title: one share in % a class}.
    """
    fig = figure(9.0, 3.6)
    for ax, (title, values) in zip(row_of_axes(fig, len(columns), sharex=True, sharey=True), columns.items()):
        values = np.asarray(values, dtype=float)
        ax.barh(range(len(classes)), values, color=palette[: len(classes)] / 255, edgecolor="#7A7A7A", linewidth=0.6)
        for row, value in enumerate(values):
            ax.text(620, row, f"{value:.1f} %", va="center", ha="right", fontsize=9)
        ax.axvline(100 / len(classes), color=INK, lw=1, ls=(0, (4, 3)), zorder=0.9)
        ax.set_xscale("log")
        ax.set_xlim(0.1, 800)
        ax.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        ax.set_yticks(range(len(classes)), classes)
        ax.set_ylim(len(classes) - 0.4, -0.6)
        ax.set(title=title, xlabel="share of labelled pixels (%), dashed: equal shares")
        ax.grid(False, axis="y")
        ax.tick_params(axis="y", length=0)
    return fig


# ----------------------------------------------------------------------------------- augmentation and resizing and moving


def outlined(photo, mask, color=(255, 240, 60)) -> np.ndarray:
    """The image with the borders of the label map drawn into it, twice as large: uint8 [2H, 2W, 3]."""
    out = to_uint8(photo).repeat(2, axis=0).repeat(2, axis=1)
    labels = np.asarray(mask).repeat(2, axis=0).repeat(2, axis=1)
    out[_borders(labels)] = color
    return out


def views(photo, mask, dataset) -> Figure:
    """Draw an image, its label map, and the label map laid over the image."""
    fig = figure(9.0, 2.9)
    left, middle, right = fig.subplots(1, 3)
    image(left, photo, "image")
    label_map(middle, mask, dataset.palette, title="label map", ignore_index=dataset.ignore_index)
    image(right, overlay(photo, mask, dataset.palette, ignore_index=dataset.ignore_index), "overlay")
    legend(fig, dataset.classes, dataset.palette, present=mask)
    return fig


def pairs(images, masks, titles, dataset) -> Figure:
    """Draw images above their label maps, one column a pair."""
    fig = figure(9.0, 3.7)
    for column, axes in enumerate(fig.subplots(2, len(images)).T):
        image(axes[0], images[column], titles[column])
        label_map(axes[1], masks[column], dataset.palette, ignore_index=dataset.ignore_index)
    legend(fig, dataset.classes, dataset.palette, present=[*masks])
    return fig


def resized(nearest, averaged, before, dataset) -> Figure:
    """Draw a mask enlarged two ways and mark the pixels whose class no pixel of ``before`` nearby had.

    ``nearest`` and ``averaged`` integer [H, W]; ``before`` is the small mask they come from.
    """
    invented = strangers(averaged, before)
    fig = figure(9.0, 3.0)
    for ax, labels, title in zip(
        fig.subplots(1, 3), (nearest, averaged, None), ("nearest pixel", "bilinear, rounded", "labels from nowhere")
    ):
        if labels is None:
            image(ax, np.where(invented[..., None], np.uint8([213, 94, 0]), np.uint8(225)), title)
        else:
            label_map(ax, labels, dataset.palette, title=title, ignore_index=dataset.ignore_index)
    legend(fig, dataset.classes, dataset.palette, present=[nearest, averaged])
    return fig


def strangers(labels, before) -> np.ndarray:
    """Where an enlarged mask [H, W] has a label that none of the pixels of ``before`` around that place has: bool [H, W]."""
    labels, before = np.asarray(labels), np.asarray(before)
    found = np.zeros(labels.shape, bool)
    rows, columns = (
        (np.arange(new) + 0.5) * old / new - 0.5 for new, old in zip(labels.shape, before.shape)
    )  # where the new pixel centres lie in the old image
    for row in (np.floor(rows), np.ceil(rows)):
        for column in (np.floor(columns), np.ceil(columns)):
            row_index = row.clip(0, before.shape[0] - 1).astype(int)
            column_index = column.clip(0, before.shape[1] - 1).astype(int)
            found |= labels == before[row_index[:, None], column_index[None]]
    return ~found


#: What the explorer does with the mask.
MASK_WAYS = ("with the image, nearest pixel", "with the image, bilinear", "left as it was")


def explorer(photo: Tensor, mask: Tensor, dataset, *, mirror, zoom, brightness, saturation, sample, way) -> Figure:
    """Draw an augmented image, its mask treated in one of ``MASK_WAYS``, and where that mask is wrong.

    ``photo`` uint8 [3, H, W], ``mask`` int64 [H, W]; ``mirror`` bool; ``zoom`` a factor; ``brightness`` and
    ``saturation`` as in ``Augment``; ``sample`` seeds the random numbers.
    """
    new, right, labels = _explored(photo, mask, dataset, mirror, zoom, brightness, saturation, sample, way)
    fig = figure(9.0, 2.9)
    left, middle, last = fig.subplots(1, 3)
    image(left, new, "image after augmentation")
    label_map(middle, labels, dataset.palette, title="label map", ignore_index=dataset.ignore_index)
    wrong = 100 * (labels != right).float().mean()
    image(last, error_map(labels, right, image=new), f"wrong labels (orange): {wrong:.1f} %")
    return fig


def explorer_words(photo, mask, dataset, *, mirror, zoom, brightness, saturation, sample, way) -> str:
    """What ``explorer`` shows, in words."""
    _, right, labels = _explored(photo, mask, dataset, mirror, zoom, brightness, saturation, sample, way)
    return (
        f"A street scene {'mirrored, ' if mirror else ''}enlarged {zoom:g} times; the label map is changed {way}: "
        if way != MASK_WAYS[2]
        else f"A street scene {'mirrored, ' if mirror else ''}enlarged {zoom:g} times; the label map is {way}: "
    ) + f"{100 * (labels != right).float().mean():.1f} % of its labels are wrong."


def _explored(photo, mask, dataset, mirror, zoom, brightness, saturation, sample, way):
    """The augmented image, the mask that belongs to it, and the mask as ``way`` makes it."""
    void = dataset.ignore_index
    place = {"flip": float(mirror), "scale": (zoom, zoom), "crop": tuple(mask.shape)}
    change = Augment(brightness=brightness, saturation=saturation, **place)
    new, right = change(photo[None], mask[None], void, torch.Generator().manual_seed(sample))
    if way == MASK_WAYS[0]:
        labels = right
    elif way == MASK_WAYS[2]:
        labels = mask[None]
    else:
        # The mask goes the way of the image: as numbers that are averaged.
        as_image = mask[None, None].float().expand(-1, 3, -1, -1)
        moved, _ = Augment(**place)(as_image, mask[None], void, torch.Generator().manual_seed(sample))
        averaged = moved[:, 0].round().long().clamp(max=void)
        labels = torch.where(right == void, right, averaged)  # beyond the image it is void either way
    return new[0], right[0], labels[0]


def moved_borders(images, masks, titles) -> Figure:
    """Draw images with the borders of their label maps in them."""
    fig = figure(8.0, 2.45)
    for ax, photo, mask, title in zip(row_of_axes(fig, len(images)), images, masks, titles):
        image(ax, outlined(photo, mask), title)
    return fig


def contrast_maps(maps: dict, reach: int) -> Figure:
    """Draw the border contrast of a pair against how far its mask is moved; a ring marks the best place.

    ``maps``: {title: float [2·reach + 1, 2·reach + 1]}, rows are steps down, columns steps to the right.
    """
    fig = figure(7.5, 3.0)
    axes = row_of_axes(fig, len(maps), sharey=True)
    ticks = range(-reach, reach + 1, max(1, reach // 2))
    for ax, (title, values) in zip(axes, maps.items()):
        values = np.asarray(values)
        edges = (-reach - 0.5, reach + 0.5)
        drawn = ax.imshow(values, extent=(*edges, *edges[::-1]), cmap="viridis", interpolation="nearest")
        row, column = np.unravel_index(values.argmax(), values.shape)
        ax.plot(column - reach, row - reach, "o", ms=12, mfc="none", mec=CYCLE[1], mew=2.5)
        ax.axhline(0, color="white", lw=0.8, alpha=0.6)
        ax.axvline(0, color="white", lw=0.8, alpha=0.6)
        ax.grid(False)
        ax.set(title=title, xlabel="mask moved right (pixels)", xticks=ticks, yticks=ticks)
        fig.colorbar(drawn, ax=ax, shrink=0.85)
    axes[0].set_ylabel("mask moved down (pixels)")
    return fig


def lost_to_shift(table: dict, classes=DRIVING_CLASSES, palette=DRIVING_PALETTE, named=()) -> Figure:
    """Draw the IoU of each class with its own moved mask against the distance.

    ``table``: {pixels: one IoU a class}; the classes in ``named`` are drawn strong and labelled.
    """
    fig = figure(7.0, 3.2)
    ax = fig.subplots()
    steps = list(table)
    curves = np.array([np.asarray(values, dtype=float) for values in table.values()]).T
    for label, (name, curve) in enumerate(zip(classes, curves)):
        strong = name in named
        if strong:
            ax.plot(steps, curve, color=INK, lw=4.2, zorder=3)  # a dark rim, for colours that are bright on white
        ax.plot(steps, curve, color=palette[label] / 255 if strong else PALE, lw=2.8 if strong else 1.5,
                zorder=4 if strong else 2)  # fmt: skip
    height = 0.0
    for end, name in sorted((curves[classes.index(name)][-1], name) for name in named):
        height = max(end, height + 0.075)  # names of curves that end close together stand above each other
        ax.text(steps[-1] + 0.1, height, name, va="center")
    ax.set(xlabel="label map moved to the right (pixels)", ylabel="IoU with itself", ylim=(0, 1.02), xticks=steps)
    ax.set_xlim(steps[0], steps[-1] + 1.4)
    return fig


# -------------------------------------------------------------------------------------------------------------- baselines


def location(prior, frequency: dict, dataset) -> Figure:
    """Draw the location prior and, for some classes, how often they occur at each place.

    ``frequency``: {class: float [H, W]} as shares from 0 to 1.
    """
    fig = figure(9.0, 2.5)
    maps, bars = fig.subplots(2, 1 + len(frequency), height_ratios=(1, 0.08))
    label_map(maps[0], prior, dataset.palette, title="location prior")
    bars[0].axis("off")
    legend(bars[0], dataset.classes, dataset.palette, present=prior, loc="center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    for ax, bar, (name, values) in zip(maps[1:], bars[1:], frequency.items()):
        drawn = ax.imshow(100 * np.asarray(values), cmap="viridis", vmin=0, interpolation="nearest")
        ax.set_xticks([]), ax.set_yticks([])
        ax.grid(False)
        ax.set_title(name)
        fig.colorbar(drawn, cax=bar, orientation="horizontal", label="% of images")
    return fig


def real_images(dataset, indices) -> Figure:
    """Draw images of a data set with their labels laid over them."""
    fig = figure(9.0, 2.9)
    for ax, index in zip(row_of_axes(fig, len(indices)), indices):
        photo, mask = dataset[index]
        image(ax, overlay(photo, mask, dataset.palette, ignore_index=dataset.ignore_index), dataset.names()[index])
    legend(fig, dataset.classes, dataset.palette)
    return fig
