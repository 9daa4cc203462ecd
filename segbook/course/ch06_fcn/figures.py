"""Drawings of chapter 06: vectors and heat maps, cells and their places, strides and what they cost."""

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from scipy import ndimage

from segbook import metrics, plots

#: One colour a stride, in every figure of the chapter.
STRIDE_COLORS = {32: plots.CYCLE[1], 16: plots.CYCLE[4], 8: plots.CYCLE[0], 4: plots.CYCLE[2]}
#: The paper's skip ablation on Pascal VOC 2011 (its table 2): mean IU in per cent.
PAPER_MEAN_IU = {32: 59.4, 16: 62.4, 8: 62.7}


def vectors(images, probabilities, classes) -> Figure:
    """What a classifier answers: small images [n, 3, h, w], each above the bars of its ``probabilities`` [n, K]."""
    count = len(images)
    fig = plots.figure(2.3 * count, 3.9)
    for column, axes in enumerate(np.transpose(fig.subplots(2, count, height_ratios=[1, 1.35], sharey="row"))):
        top, bars = axes
        plots.image(top, images[column])
        values = plots.as_numpy(probabilities[column])
        best = int(values.argmax())
        bars.barh(
            range(len(classes)), values, color=[plots.CYCLE[0] if k == best else "#B9C4CC" for k in range(len(values))]
        )
        bars.set_yticks(range(len(classes)), classes)
        bars.set_xlim(0, 1)
        bars.set_ylim(len(classes) - 0.4, -0.6)
        bars.grid(False, axis="y")
        bars.tick_params(axis="y", length=0)
        bars.set_title(f"“{classes[best]}”")
    fig.supxlabel("probability", size=9)
    return fig


def heat_map(image, probabilities, wanted: str, jump: float, start: float) -> Figure:
    """An image, the probability map [h, w] of one class, and the map laid over the image.

    Cell (i, j) looks at the square around pixel (``start`` + ``jump``·i, ``start`` + ``jump``·j); 0.5 is the middle of
    the first pixel, as ``sb.anatomy.receptive_field`` counts.
    """
    heat = plots.as_numpy(probabilities)
    height, width = plots.to_uint8(image).shape[:2]
    fig = plots.figure(9.0, 2.5)
    fig.set_layout_engine("compressed")
    left, middle, right = fig.subplots(1, 3)
    plots.image(left, image, f"image, {height}×{width}")
    shown = middle.imshow(heat, cmap="magma", vmin=0, vmax=1)
    plots.bare(middle, f"p({wanted}), {heat.shape[0]}×{heat.shape[1]} cells")
    plots.image(right, plots.to_uint8(image).mean(-1).astype(np.uint8), "each cell where it looks")
    first, rows, columns = start - 0.5 - jump / 2, heat.shape[0] * jump, heat.shape[1] * jump
    right.imshow(
        heat, cmap="magma", vmin=0, vmax=1, alpha=np.clip(1.2 * heat, 0, 0.75),
        extent=(first, first + columns, first + rows, first), interpolation="nearest",
    )  # fmt: skip
    right.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    fig.colorbar(shown, ax=middle, shrink=0.8)
    return fig


def tents(values, stride: int) -> Figure:
    """Up-sampling by stamps, in one dimension: each value times its tent, and their sum."""
    values = np.asarray(values, dtype=float)
    kernel = 2 * stride
    tent = 1 - np.abs(np.arange(kernel) - (stride - 0.5)) / stride
    total = np.zeros((len(values) + 1) * stride)
    fig = plots.figure(9.0, 2.3)
    ax = fig.subplots()
    for cell, value in enumerate(values):
        place = np.arange(kernel) + cell * stride
        total[place] += value * tent
        name = "tent of one cell" if cell == 0 else None
        ax.plot(place - stride / 2, value * tent, color=plots.CYCLE[5], linewidth=1, label=name)
        ax.plot(
            (cell + 0.5) * stride - 0.5, value, "o", color=plots.CYCLE[1], zorder=3, label="cell" if cell == 0 else None
        )
    ax.plot(
        np.arange(len(total)) - stride / 2, total, ".-", color=plots.CYCLE[0], markersize=4, label="sum of the tents"
    )
    ax.set(xlabel="output pixel", ylabel="score", xlim=(-0.5, len(values) * stride - 0.5))
    ax.legend(loc="upper right")
    return fig


def cell_places(rows, low: float, high: float, links=(), outside: float | None = None) -> Figure:
    """Where the cells of several maps lie along one side of the image.

    ``rows``: (name, jump, start) from the top; cell i lies at ``start`` + ``jump``·i, in pixels, 0 is the middle of the
    first pixel. ``links``: pairs of (row, cell) that a line joins. What lies left of ``outside`` is shaded: padding.
    """
    fig = plots.figure(9.0, 0.75 + 0.5 * len(rows))
    ax = fig.subplots()
    palette = [plots.CYCLE[0], plots.CYCLE[1], plots.CYCLE[2], plots.CYCLE[3]]
    places = {}
    for row, (_, jump, start) in enumerate(rows):
        first = int(np.ceil((low - start) / jump))
        for cell in range(max(0, first), int((high - start) // jump) + 1):
            x = start + jump * cell
            places[row, cell] = x
            ax.plot(x, -row, "o", markersize=15, color=palette[row % 4], zorder=3)
            ax.text(x, -row - 0.02, str(cell), color="white", size=8, ha="center", va="center", zorder=4, weight="bold")
    for one, other in links:
        ax.plot([places[one], places[other]], [-one[0], -other[0]], color=plots.INK, linewidth=1.2, zorder=2)
    if outside is not None:
        ax.axvspan(low, outside, color="#EFEFEF", zorder=0)
        ax.text((low + outside) / 2, 0.62, "padding", size=9, ha="center", va="center", color="#6A6A6A")
        ax.text(outside + 1, 0.62, "image", size=9, ha="left", va="center", color="#6A6A6A")
    ax.set_yticks([-row for row in range(len(rows))], [name for name, *_ in rows])
    ax.set(xlim=(low, high), ylim=(0.9 - len(rows) - 0.4, 0.9), xlabel="place along one side of the image, in pixels")
    ax.xaxis.set_major_locator(MultipleLocator(16))
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
    return fig


def against_paper(ours, ceilings) -> Figure:
    """mIoU against the stride: ours (``{stride: [one a seed]}``) under what the stride allows, and the paper's table."""
    strides = sorted(ours, reverse=True)
    names = [f"FCN-{stride}s" for stride in strides]
    fig = plots.figure(9.0, 3.3)
    here, there = fig.subplots(1, 2, width_ratios=[1.5, 1])
    places = np.arange(len(strides))
    here.plot(
        places,
        [100 * ceilings[s] for s in strides],
        "_--",
        color="#6A6A6A",
        markersize=26,
        markeredgewidth=2.5,
        linewidth=1,
        label="perfect map of that stride",
    )
    here.plot(places, [100 * np.mean(ours[s]) for s in strides], color=plots.CYCLE[0], linewidth=1.2, zorder=2)
    for place, stride in zip(places, strides):
        spread = np.linspace(-0.08, 0.08, len(ours[stride]))
        here.scatter(place + spread, 100 * np.asarray(ours[stride]), s=38, color=STRIDE_COLORS[stride], zorder=3)
    here.plot([], [], "o", color=plots.CYCLE[0], label="ours, one dot a seed")
    here.set(title="ours: Street, 96×128", ylabel="mean IoU in %", ylim=(0, None))
    here.legend(loc="upper left")
    there.plot(places, [PAPER_MEAN_IU[s] for s in strides], "o-", color=plots.CYCLE[3], linewidth=1.2, markersize=7)
    for place, stride in zip(places, strides):
        there.annotate(
            f"{PAPER_MEAN_IU[stride]}",
            (place, PAPER_MEAN_IU[stride]),
            (0, 9),
            textcoords="offset points",
            ha="center",
            size=9,
        )
    there.set(title="the paper: Pascal VOC 2011", ylabel="mean IU in %, from 55 on", ylim=(55, 66))
    for ax in (here, there):
        ax.set_xticks(places, names)
        ax.set_xlim(-0.4, len(strides) - 0.6)
        ax.grid(False, axis="x")
    return fig


def by_class(ours, ceilings, classes, which) -> Figure:
    """IoU of the classes ``which`` against the stride: ``ours`` {stride: [seeds, K]}, ``ceilings`` {stride: [K]}."""
    strides = sorted(ours, reverse=True)
    fig = plots.figure(9.0, 2.7)
    for ax, name in zip(plots.row_of_axes(fig, len(which), sharey=True), which):
        k = list(classes).index(name)
        places = np.arange(len(strides))
        ax.plot(
            places,
            [float(ceilings[s][k]) for s in strides],
            "_--",
            color="#6A6A6A",
            markersize=16,
            markeredgewidth=2.2,
            linewidth=1,
        )
        ax.plot(
            places, [np.mean([float(row[k]) for row in ours[s]]) for s in strides], color=plots.CYCLE[0], linewidth=1.2
        )
        for place, stride in zip(places, strides):
            values = [float(row[k]) for row in ours[stride]]
            ax.scatter(
                place + np.linspace(-0.12, 0.12, len(values)), values, s=22, color=STRIDE_COLORS[stride], zorder=3
            )
        ax.set_xticks(places, [f"{s}s" for s in strides])
        ax.set_xlim(-0.5, len(strides) - 0.5)
        ax.set_title(name)
        ax.grid(False, axis="x")
    fig.axes[0].set(ylabel="IoU", ylim=(0, 1))
    return fig


def fused(dataset, image, truth, labels, score: float, chosen) -> Figure:
    """Live: an image, what the chosen maps say together, and the truth."""
    fig = Figure(figsize=(9.0, 3.25), facecolor="white", layout="none")
    title = " + ".join(chosen) if chosen else "nothing: all classes tie, the first one wins"
    cells = [
        (plots.to_uint8(image), "image"),
        (plots.paint(labels, dataset.palette, dataset.ignore_index), f"{title}\nmIoU of this image {score:.2f}"),
        (plots.paint(truth, dataset.palette, dataset.ignore_index), "truth"),
    ]
    for column, (cell, name) in enumerate(cells):
        ax = fig.add_axes((0.005 + 0.333 * column, 0.175, 0.325, 0.675))
        ax.imshow(cell, interpolation="nearest")
        plots.bare(ax, name)
    shown = [np.arange(len(dataset.classes)), truth]  # all classes, so that the legend stays as it is; void where it is
    plots.legend(fig, dataset.classes, dataset.palette, shown, loc="lower center", ncols=6)
    return fig


def offset_curve(offsets, scores, right: int) -> Figure:
    """mIoU against the crop offset; the offset of the algebra is marked."""
    fig = plots.figure(7.0, 2.5)
    ax = fig.subplots()
    ax.plot(offsets, scores, "o-", color=plots.CYCLE[0], markersize=4)
    ax.axvline(right, color=plots.CYCLE[1], linestyle="--", linewidth=1.5, label=f"by coordinate algebra: {right}")
    ax.set(xlabel="crop offset in pixels", ylabel="mIoU", ylim=(0, None))
    ax.legend(loc="lower left")
    return fig


# -------------------------------------------------------------------------------------------------- two weaknesses


def islands(labels, largest: int) -> np.ndarray:
    """Pixels of connected one-class regions with at most ``largest`` pixels: bool, shape of the label map [H, W]."""
    labels = plots.as_numpy(labels)
    small = np.zeros(labels.shape, dtype=bool)
    for k in np.unique(labels):
        regions, _ = ndimage.label(labels == k)
        sizes = np.bincount(regions.ravel())
        sizes[0] = largest + 1  # the background of this class is no region
        small |= sizes[regions] <= largest
    return small


def outlines(dataset, image, truth, prediction, window) -> Figure:
    """A window (top, left, height, width) of an image, of the truth, and of the prediction with the true outline."""
    top, left, height, width = window
    part = (slice(top, top + height), slice(left, left + width))
    truth, prediction = torch.as_tensor(truth)[part], torch.as_tensor(prediction)[part]
    fig = plots.figure(9.0, 9.0 / 3 * height / width + 0.75)
    fig.set_layout_engine("compressed")
    axes = fig.subplots(1, 3)
    plots.image(axes[0], plots.to_uint8(image)[part], "image, enlarged")
    plots.label_map(axes[1], truth, dataset.palette, title="truth", ignore_index=dataset.ignore_index)
    plots.label_map(axes[2], prediction, dataset.palette, title="FCN-8s, true outlines in black")
    for row in range(height):
        for column in range(width):
            if column + 1 < width and truth[row, column] != truth[row, column + 1]:
                axes[2].plot([column + 0.5] * 2, [row - 0.5, row + 0.5], color="black", linewidth=1.3)
            if row + 1 < height and truth[row, column] != truth[row + 1, column]:
                axes[2].plot([column - 0.5, column + 0.5], [row + 0.5] * 2, color="black", linewidth=1.3)
    plots.legend(fig, dataset.classes, dataset.palette, present=[truth, prediction])
    return fig


def trimap_curves(predictions, masks, num_classes: int, void: int, widths=(1, 2, 3, 4, 6, 8, 12)) -> Figure:
    """mIoU within a band around every true outline, against the width of the band; ``predictions`` {name: [N, H, W]}."""
    fig = plots.figure(7.0, 3.0)
    ax = fig.subplots()
    for name, labels in predictions.items():
        scores = [metrics.trimap_iou(labels, masks, width, num_classes, void) for width in widths]
        ax.plot(widths, scores, "o-", markersize=4, label=name, color=STRIDE_COLORS.get(_stride(name)))
    ax.set(xlabel="pixels on each side of an outline", ylabel="mIoU in the band", ylim=(0, None))
    ax.legend()
    return fig


def _stride(name: str) -> int | None:
    digits = "".join(c for c in name if c.isdigit())
    return int(digits) if digits else None


def lonely(dataset, images, predictions, masks, largest: int) -> Figure:
    """Predictions with their small islands ringed, above the truth: one column an image."""
    fig = plots.figure(3.0 * len(images), 5.2)
    fig.set_layout_engine("compressed", w_pad=0.03, h_pad=0.04)
    grid = fig.subplots(2, len(images), squeeze=False)
    for column in range(len(images)):
        plots.label_map(grid[0, column], predictions[column], dataset.palette, title="FCN-8s, islands ringed")
        plots.label_map(
            grid[1, column], masks[column], dataset.palette, title="truth", ignore_index=dataset.ignore_index
        )
        regions, count = ndimage.label(islands(predictions[column], largest))
        for row, place in ndimage.center_of_mass(np.ones_like(regions), regions, range(1, count + 1)):
            grid[0, column].plot(
                place, row, "o", markersize=24, markerfacecolor="none", markeredgecolor="black", markeredgewidth=2.0
            )
            grid[0, column].plot(
                place, row, "o", markersize=24, markerfacecolor="none", markeredgecolor="white", markeredgewidth=0.8
            )
    plots.legend(fig, dataset.classes, dataset.palette, present=[*masks, *predictions])
    return fig
