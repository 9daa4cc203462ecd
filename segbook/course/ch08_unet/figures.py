"""Drawings of chapter 08: the U to scale, mirrored tiles, bent sheets, border weights, and which cells have merged."""

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from segbook import plots

DOWN, UP, ACROSS, LOST = "#0072B2", "#009E73", "#8A8A8A", "#D55E00"
#: Fills for numbered cells; neighbours in number lie far apart in colour.
_FILLS = np.array(
    [(86, 180, 233), (240, 228, 66), (0, 158, 115), (204, 121, 167), (230, 159, 0), (0, 114, 178), (170, 170, 170)],
    dtype=np.uint8,
)


def number_cells(numbers) -> np.ndarray:
    """Cell numbers [H, W] (0 background) → colours uint8 [H, W, 3], background black."""
    numbers = np.asarray(numbers)
    return np.where((numbers > 0)[..., None], _FILLS[numbers % len(_FILLS)], np.uint8(0))


def tiles(images, titles, columns: int | None = None, across: float | None = None) -> Figure:
    """Images of one size side by side: grey or colour uint8, or label maps already painted."""
    columns = columns or len(images)
    rows = -(-len(images) // columns)
    across = across or min(2.6, 9.0 / columns)
    height, width = plots.to_uint8(images[0]).shape[:2]
    fig = plots.figure(across * columns, rows * (across * height / width + 0.34))
    fig.set_layout_engine("compressed", w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    places = fig.subplots(rows, columns, squeeze=False).ravel()
    for ax in places[len(images) :]:
        ax.set_axis_off()
    for ax, image, title in zip(places, images, titles):
        ax.imshow(plots.to_uint8(image), interpolation="nearest")
        plots.bare(ax, title, size=10)
    return fig


# ------------------------------------------------------------------------------------------------ sizes


def walk(size: int, levels: int = 4) -> dict:
    """Sizes along one side through the net with valid convolutions, as far as they go.

    ``down``: [(after the first, after the second convolution)] a level; ``up``: [(after the up-convolution, first,
    second)] from the deepest; ``crop``: cells cut from each side of the skip, likewise; ``broken``: None, or words on what
    does not fit.
    """
    down, up, crop = [], [], []
    for level in range(levels + 1):
        down.append((size - 2, size - 4))
        size -= 4
        if size <= 0:
            return dict(down=down, up=up, crop=crop, broken=f"nothing is left at level {level + 1}")
        if level < levels:
            if size % 2:
                return dict(down=down, up=up, crop=crop, broken=f"{size} at level {level + 1} is odd: no pooling by 2")
            size //= 2
    for level in reversed(range(levels)):
        size *= 2
        crop.append((down[level][1] - size) // 2)
        up.append((size, size - 2, size - 4))
        size -= 4
        if size <= 0:
            return dict(down=down, up=up, crop=crop, broken=f"nothing is left on the way up at level {level + 1}")
    return dict(down=down, up=up, crop=crop, broken=None)


def u_shape(size: int, levels: int = 4) -> Figure:
    """The net as a U: a bar for each map, as tall as the map is large, with the cropped skips between."""
    path = walk(size, levels)
    fig = plots.figure(9, 4.6)
    ax = fig.subplots()
    scale = 1.0 / max(size, 1)
    drop = [0.0]
    for level in range(levels):
        drop.append(drop[-1] - 0.30 - 0.62 * 0.5**level)

    def bar(x, level, value, color, label=True):
        height = max(value, 0) * scale
        ax.add_patch(Rectangle((x, drop[level] - height), 0.16, height, facecolor=color, edgecolor="none"))
        if label:
            ax.text(x + 0.08, drop[level] + 0.02, str(value), ha="center", va="bottom", size=9)
        return height

    bar(0, 0, size, "#BFBFBF")
    for level, (first, second) in enumerate(path["down"]):
        start = 0.3 + 0.85 * level
        bar(start, level, first, DOWN)
        bar(start + 0.3, level, second, DOWN)
    for step, (opened, first, second) in enumerate(path["up"]):
        level = levels - 1 - step
        start = 0.3 + 0.85 * (levels + 1) + 0.15 + 1.0 * step
        ax.add_patch(
            Rectangle((start - 0.18, drop[level] - opened * scale), 0.16, opened * scale, facecolor=ACROSS, alpha=0.6)
        )
        bar(start, level, opened, UP)
        bar(start + 0.3, level, first, UP)
        bar(start + 0.6, level, second, UP)
        across = 0.3 + 0.85 * level + 0.5
        y = drop[level] - 0.5 * opened * scale
        ax.annotate("", (start - 0.2, y), (across, y), arrowprops=dict(arrowstyle="->", color=ACROSS, linewidth=1.2))
        ax.text(
            (across + start - 0.2) / 2,
            y + 0.03,
            f"crop {path['crop'][step]} a side",
            ha="center",
            size=9,
            color="#5A5A5A",
        )
    right = 0.3 + 0.85 * (levels + 1) + 0.15 + 1.0 * levels
    ax.set_xlim(-0.1, right)
    ax.set_ylim(drop[-1] - 0.14, 0.16)
    ax.axis("off")
    names = {"input, and skips cropped to fit": "#BFBFBF", "way down": DOWN, "way up": UP}
    ax.legend(
        handles=[Rectangle((0, 0), 1, 1, facecolor=color, label=name) for name, color in names.items()],
        loc="lower left", ncols=1,
    )  # fmt: skip
    if path["broken"]:
        ax.set_title(f"input {size}: {path['broken']}", color=LOST)
    else:
        out = path["up"][-1][-1]
        ax.set_title(f"input {size} → output {out}: {(size - out) // 2} pixels lost on each side")
    return fig


def crop_and_join(large, small) -> Figure:
    """A 6 x 6 map with the part that is kept, and the 4 x 4 map it is joined to."""
    fig = plots.figure(5.8, 3.8)  # so high that the width binds: cells of one size in both maps
    axes = fig.subplots(1, 2, width_ratios=[6, 4])
    edge = (len(large) - len(small)) // 2
    kept = [(r, c) for r in range(edge, len(large) - edge) for c in range(edge, len(large) - edge)]
    plots.number_grid(axes[0], large, title="from the way down: crop to the centre", highlight={plots.CYCLE[5]: kept})
    plots.number_grid(axes[1], small, title="from below: up-sampled")
    return fig


# ------------------------------------------------------------------------------------------------ tiles


def mirrored_tile(padded, margin: int, tile: int, step: int, row: int, column: int) -> Figure:
    """The mirrored image, the frame of the true one, one input tile (blue) and the output it gives (yellow)."""
    image = plots.to_uint8(padded)
    height, width = image.shape[:2]
    fig = plots.figure(5.4, 5.4 * height / width)
    ax = fig.subplots()
    ax.imshow(image, interpolation="nearest")
    plots.bare(ax)

    def frame(top, left, tall, wide, color, at, words, style="-"):
        box = Rectangle(
            (left - 0.5, top - 0.5), wide, tall, fill=False, edgecolor=color, linestyle=style, linewidth=2.2
        )
        ax.add_patch(box)
        ax.text(left + 4, at, words, color="white", size=10, bbox=dict(facecolor=color, pad=2))

    inside = height - 2 * margin
    top, left = row * step, column * step
    frame(top, left, tile, tile, "#0072B2", top + 13, "what the net reads")
    # Drawn over the blue frame, where the two share an edge.
    frame(margin, margin, inside, width - 2 * margin, "#262626", height - margin - 5, "the image itself", (0, (4, 3)))
    answer = tile - 2 * margin
    frame(top + margin, left + margin, answer, answer, "#B8860B", top + margin + 13, "what it answers")
    return fig


def differences(maps, titles) -> Figure:
    """How far stitched logits lie from those of the whole image: maps [H, W], one logarithmic scale."""
    maps = [np.asarray(values) for values in maps]
    # Where nothing differs, the scale still needs a top above its foot.
    scale = LogNorm(1e-5, max(1e-4, *(float(values.max()) for values in maps)))
    fig = plots.figure(9, 3.0)
    for ax, values, title in zip(plots.row_of_axes(fig, len(maps)), maps, titles):
        drawn = ax.imshow(np.maximum(values, 1e-5), cmap="magma", norm=scale, interpolation="nearest")
        plots.bare(ax, title, size=10)
    fig.colorbar(drawn, ax=fig.axes, shrink=0.8, label="|difference of the logits|")
    return fig


# ------------------------------------------------------------------------------------------------ cells


def border_weights(image, instances, weights) -> Figure:
    """The image, its cells in colours, and the weight of each pixel in the loss."""
    fig = plots.figure(9, 3.0)
    axes = fig.subplots(1, 3)
    axes[0].imshow(plots.to_uint8(image), interpolation="nearest")
    axes[1].imshow(number_cells(instances), interpolation="nearest")
    drawn = axes[2].imshow(weights, cmap="viridis", vmin=0, interpolation="nearest")
    for ax, title in zip(axes, ("image", "cells, numbered", "weight of each pixel")):
        plots.bare(ax, title)
    fig.colorbar(drawn, ax=axes[2], shrink=0.85)
    return fig


def merged(images, truths, predictions, names) -> Figure:
    """One row an image: the image, its cells, and the pieces that each net's answer falls into.

    ``truths`` and every entry of ``predictions`` are cell numbers [H, W].
    """
    rows, columns = len(images), 2 + len(names)
    fig = plots.figure(2.2 * columns, 2.2 * rows + 0.35)
    fig.set_layout_engine("compressed", w_pad=0.03, h_pad=0.03, wspace=0.02, hspace=0.02)
    axes = fig.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        cells = [plots.to_uint8(images[row]), number_cells(truths[row])]
        cells += [number_cells(answer[row]) for answer in predictions]
        for ax, cell, title in zip(axes[row], cells, ["image", "true cells", *names]):
            ax.imshow(cell, interpolation="nearest")
            plots.bare(ax, title if row == 0 else "")
    return fig


def elastic(image, bent, bent_mask, field, palette, every: int = 12) -> Figure:
    """An image with its coarse shifts, the sheet bent by them, and its labels bent the same way.

    ``field`` [2, H, W]: where each pixel of the bent image is taken from, as a shift down and right.
    """
    height, width = plots.to_uint8(image).shape[:2]
    fig = plots.figure(9, 3.2)
    axes = fig.subplots(1, 3)
    axes[0].imshow(plots.to_uint8(image), interpolation="nearest")
    y, x = np.meshgrid(np.linspace(0, height - 1, 3), np.linspace(0, width - 1, 3), indexing="ij")
    at = y.round().astype(int), x.round().astype(int)
    shift = np.asarray(field)
    for r, c in np.ndindex(3, 3):
        i, j = at[0][r, c], at[1][r, c]
        axes[0].annotate(
            "", (j + shift[1, i, j], i + shift[0, i, j]), (j, i),
            arrowprops=dict(arrowstyle="->", color=LOST, linewidth=2, shrinkA=0, shrinkB=0), annotation_clip=False,
        )  # fmt: skip
    axes[0].plot(x.ravel(), y.ravel(), "o", color=LOST, markersize=4, clip_on=False)
    axes[0].set(xlim=(-10, width + 9), ylim=(height + 9, -10))
    axes[1].imshow(plots.to_uint8(bent), interpolation="nearest")
    # The straight lines of the first image, followed through the sheet.
    for places, length in ((np.arange(height)[:, None] + shift[0], height), (np.arange(width) + shift[1], width)):
        axes[1].contour(places, range(0, length, every), colors="#56B4E9", linewidths=0.7)
    axes[2].imshow(plots.paint(bent_mask, palette, 255), interpolation="nearest")
    for ax, title in zip(axes, ("3 × 3 random shifts", "the bent image", "its labels, bent alike (blue: cell)")):
        plots.bare(ax, title)
    return fig


def skips(image, truth, prediction, on, score: float) -> Figure:
    """What a trained net answers with some skips off: image, truth, answer, and which skips are on."""
    # Fixed places are quicker than a layout that is found, and this image follows a hand.
    fig = Figure(figsize=(9, 2.7), layout="none", facecolor="white")
    axes = fig.subplots(1, 4, width_ratios=[1, 1, 1, 0.75])
    fig.subplots_adjust(left=0.01, right=0.99, bottom=0.02, top=0.9, wspace=0.06)
    for ax, cell, title in zip(
        axes,
        (plots.to_uint8(image), number_cells(truth), number_cells(prediction)),
        ("image", "true cells", "answer"),
    ):
        ax.imshow(cell, interpolation="nearest")
        plots.bare(ax, title)
    ax = axes[3]
    for level in (1, 2, 3, 4):
        lit = level in on
        ax.plot([level * 0.5, 9 - level * 0.5], [-level, -level], color=DOWN if lit else "#DDDDDD", linewidth=3)
        ax.text(4.5, -level + 0.14, f"level {level}" + ("" if lit else ": off"), ha="center", size=9)
    ax.plot([0.5, 2.5], [-1, -5], color="#5A5A5A", linewidth=2)
    ax.plot([8.5, 6.5], [-1, -5], color="#5A5A5A", linewidth=2)
    ax.plot([2.5, 6.5], [-5, -5], color="#5A5A5A", linewidth=2)
    ax.set(xlim=(0, 9), ylim=(-5.4, -0.4), title=f"mIoU here {score:.2f}")
    ax.axis("off")
    return fig


def staircase(trained, switched) -> Figure:
    """mIoU over the skips that are left: trained without them (dots a seed and their mean), or switched off afterwards.

    ``trained``: {label: [score a seed]}; ``switched``: {label: score}, same labels.
    """
    fig = plots.figure(7.5, 3.0)
    ax = fig.subplots()
    places = np.arange(len(trained))
    for place, scores in zip(places, trained.values()):
        ax.plot([place] * len(scores), scores, "o", color=DOWN, markersize=5, alpha=0.5)
    ax.plot(places, [np.mean(scores) for scores in trained.values()], color=DOWN, label="trained without them")
    ax.plot(places, list(switched.values()), "s--", color=LOST, markersize=5, label="switched off after training")
    ax.set_xticks(places, list(trained))
    ax.set(ylabel="mIoU", xlabel="levels that hand across", ylim=(0, 1))
    ax.legend()
    return fig
