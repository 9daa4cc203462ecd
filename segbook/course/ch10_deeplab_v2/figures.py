"""Drawings of chapter 10: disks of three sizes, sampling points of a pyramid, schedules, the paper's tables beside ours."""

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from segbook import plots

#: One colour a branch of the pyramid, from the colour-blind-safe set.
BRANCHES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
SIZES = ("background", "small", "medium", "large")
SIZE_COLORS = ("#F2F2F2", "#D55E00", "#E69F00", "#0072B2")
RADII = ((1, 2), (4, 5), (9, 11))  # of small, medium and large disks, in cells


def disks(count: int, seed: int, side: int = 48):
    """Maps with disks of three sizes: what a net sees, float32 [count, 1, side, side] of 0 and 1, and its labels, int64.

    Label 0 is background, 1 to 3 a disk with a radius of ``RADII``. Disks never touch.
    """
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    labels = torch.zeros(count, side, side, dtype=torch.int64)
    for label in labels:
        for kind in torch.randint(1, 4, (6,), generator=generator).tolist():
            low, high = RADII[kind - 1]
            radius = torch.randint(low, high + 1, (1,), generator=generator).item()
            row, column = torch.randint(0, side, (2,), generator=generator).tolist()
            distance = (y - row) ** 2 + (x - column) ** 2
            if not label[distance <= (radius + 3) ** 2].any():
                label[distance <= radius**2] = kind
    return (labels > 0).float()[:, None], labels


def disk_predictions(seen, truth, predictions: dict) -> Figure:
    """One row: what the net sees, the truth, and the labels that each head gives, with the rates above."""
    maps = {"what the net sees": None, "truth": truth, **predictions}
    fig = plots.figure(10, 10 / len(maps) + 0.75)
    for ax, (title, labels) in zip(plots.row_of_axes(fig, len(maps)), maps.items()):
        if labels is None:
            ax.imshow(seen, cmap="gray", vmin=0, vmax=1.4)
        else:
            ax.imshow(labels, cmap=ListedColormap(SIZE_COLORS), vmin=-0.5, vmax=3.5, interpolation="nearest")
        _frame(ax, title)
    handles = [Patch(facecolor=c, edgecolor="#7A7A7A", label=n) for c, n in zip(SIZE_COLORS, SIZES)]
    fig.legend(handles=handles, loc="outside lower center", ncols=4)
    return fig


def _frame(ax, title: str = "") -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set(visible=True, color="#B5B5B5")
    if title:
        ax.set_title(title, fontsize=10)


# ------------------------------------------------------------------------------------------------- sampling points


def taps(rates) -> dict:
    """The places (down, right) that a pyramid of 3×3 kernels reads, in cells from the middle → the rates that read it."""
    places = {}
    for rate in rates:
        for down in (-rate, 0, rate):
            for right in (-rate, 0, rate):
                places.setdefault((down, right), []).append(rate)
    return places


def sampling_points(image, rates, row: int, column: int, stride: int = 8) -> Figure:
    """The image [3, H, W] with the sampling points of a pyramid around the cell ``row``, ``column`` of its map.

    Filled points lie on the map, hollow ones in the padding, where the kernel reads zeros.
    """
    height, width = image.shape[-2:]
    rows, columns = height // stride, width // stride
    row, column = min(row, rows - 1), min(column, columns - 1)
    reach = max(rates) * stride
    fig = Figure(figsize=(8.6, 4.7), facecolor="white", layout="none")
    ax = fig.add_axes((0.01, 0.1, 0.98, 0.8))
    ax.imshow(plots.to_uint8(image), extent=(0, width, height, 0), interpolation="nearest")
    lines = [((place, 0), (place, height)) for place in range(0, width + 1, stride)]
    lines += [((0, place), (width, place)) for place in range(0, height + 1, stride)]
    ax.add_collection(LineCollection(lines, colors="white", linewidths=0.5, alpha=0.45))
    for rate, color in zip(sorted(rates, reverse=True), reversed(BRANCHES[: len(rates)])):
        corner = ((column + 0.5 - rate) * stride, (row + 0.5 - rate) * stride)
        side = 2 * rate * stride
        ax.add_patch(Rectangle(corner, side, side, fill=False, edgecolor=color, linestyle=(0, (2, 2))))
        places = [(row + down, column + right) for down, right in taps((rate,)) if (down, right) != (0, 0)]
        on_map = [0 <= r < rows and 0 <= c < columns for r, c in places]
        ax.scatter(
            [(c + 0.5) * stride for _, c in places], [(r + 0.5) * stride for r, _ in places], s=64, linewidths=1.6, zorder=3,
            facecolors=[color if inside else "white" for inside in on_map],
            edgecolors=["white" if inside else color for inside in on_map],
        )  # fmt: skip
    middle = ((column + 0.5) * stride, (row + 0.5) * stride)
    ax.plot(*middle, "o", zorder=4, markersize=10, color="white", markeredgecolor=plots.INK, markeredgewidth=2)
    margin = stride
    ax.set_xlim(min(0, middle[0] - reach) - margin, max(width, middle[0] + reach) + margin)
    ax.set_ylim(max(height, middle[1] + reach) + margin, min(0, middle[1] - reach) - margin)
    ax.set_aspect("equal")
    ax.axis("off")
    dot = {"marker": "o", "linestyle": "none", "markersize": 8}
    handles = [
        Line2D([], [], color=color, label=f"rate {rate}: {rate * stride} pixels", **dot)
        for rate, color in zip(sorted(rates), BRANCHES)
    ]
    fig.legend(handles=handles, loc="upper center", ncols=4, fontsize=9.5)
    fig.text(0.5, 0.03, sampling_in_words(rates, row, column, rows, columns), ha="center", fontsize=10.5)
    return fig


def sampling_in_words(rates, row: int, column: int, rows: int, columns: int) -> str:
    """How many of the outer points of a pyramid lie on the map; a cell beyond it counts as the last."""
    row, column = min(row, rows - 1), min(column, columns - 1)
    outer = [place for place in taps(rates) if place != (0, 0)]
    inside = sum(0 <= row + down < rows and 0 <= column + right < columns for down, right in outer)
    return (
        f"Map of {rows}×{columns} cells, cell ({row}, {column}): {inside} of the {len(outer)} outer points lie on the map, "
        f"{len(outer) - inside} in the padding (hollow)."
    )


def valid_share(rates, maps: dict) -> Figure:
    """Share of outer taps that lie on the map, by rate. ``maps``: name → (mean valid taps of each rate)."""
    fig = plots.figure(7.5, 3.2)
    ax = fig.subplots()
    for (name, valid), color, style in zip(maps.items(), plots.CYCLE, ("-", "--", ":")):
        ax.plot(rates, [100 * (v - 1) / 8 for v in valid], style, color=color, label=name)
    for rate in (6, 12, 18, 24):
        ax.axvline(rate, color="#6A6A6A", linewidth=1.1, linestyle=(0, (4, 3)), zorder=0)
    ax.set(xlabel="rate, in cells (dashed grey: the paper's four)", ylabel="outer taps on the map, %", ylim=(0, 101))
    ax.set_xlim(1, rates[-1])
    ax.set_xticks([1, 6, 12, 18, 24, 30])
    ax.legend(title="map")
    return fig


# -------------------------------------------------------------------------------------------------- schedules, scales


def schedules(curves: dict) -> Figure:
    """Learning rate over the steps; ``curves``: name → a list, one value a step."""
    fig = plots.figure(7, 2.8)
    ax = fig.subplots()
    for (name, values), color, style in zip(curves.items(), plots.CYCLE, ("-", "--", "-", ":")):
        ax.plot(values, style, color=color, label=name)
    ax.set(xlabel="step", ylabel="learning rate", ylim=(0, None))
    ax.legend()
    return fig


def winning_scale(image, winner, scales, labels, dataset) -> Figure:
    """The image, which scale has the largest score at each pixel (its index [H, W]), and the fused labels."""
    height, width = image.shape[-2:]
    fig = plots.figure(10, 10 / 3 * height / width + 1.15)
    fig.set_layout_engine("compressed", w_pad=0.03, h_pad=0.04)
    axes = fig.subplots(1, 3)
    plots.image(axes[0], image, "image")
    colors = ("#E6E6E6", "#56B4E9", "#0072B2")
    axes[1].imshow(winner, cmap=ListedColormap(colors), vmin=-0.5, vmax=2.5, interpolation="nearest")
    _frame(axes[1], "which scale wins")
    plots.label_map(axes[2], labels, dataset.palette, title="fused", ignore_index=dataset.ignore_index)
    handles = [Patch(facecolor=c, edgecolor="#7A7A7A", label=f"scale {s:g}") for c, s in zip(colors, scales)]
    plots.legend(fig, dataset.classes, dataset.palette, present=[labels])
    axes[1].legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=3, fontsize=9)
    return fig


# ------------------------------------------------------------------------------------------------- what was measured


def beside_the_paper(ours: dict, paper: dict) -> Figure:
    """mIoU of each row of a table: ours on the left (a dot and a line a seed, a stroke their mean), the paper beside it.

    ``ours``: name → values of the seeds, ``paper``: name → value, both in per cent.
    """
    names = list(ours)
    fig = plots.figure(9, 1.0 + 0.36 * len(names))
    left, right = fig.subplots(1, 2, sharey=True)
    for place, name in enumerate(names):
        values = np.asarray(ours[name], dtype=float)
        # Marks and no bars: the axes do not start at zero, where the length of a bar would mislead.
        left.plot([values.mean()], [place], "|", color=plots.INK, markersize=18, markeredgewidth=2)
        left.plot(values, [place] * len(values), "o", color=plots.CYCLE[0], markersize=5)
        if name in paper:
            right.plot([paper[name]], [place], "D", color=plots.CYCLE[1], markersize=7)
            right.text(paper[name] + 0.12, place, f"{paper[name]:.2f}", va="center", fontsize=9)
    for runs in zip(*ours.values()):  # the same seed, the same backbone: one line
        left.plot(runs, range(len(names)), color=plots.CYCLE[0], linewidth=0.9, alpha=0.6)
    _window(left, [v for values in ours.values() for v in values])
    _window(right, list(paper.values()))
    right.set_xlim(right=right.get_xlim()[1] + 0.35)  # room for the numbers
    left.set_yticks(range(len(names)), names)
    left.set_ylim(len(names) - 0.5, -0.5)
    left.set_xlabel("ours: mIoU, % (a line a seed, the stroke their mean)")
    right.set_xlabel("paper: mIoU, %, Pascal VOC 2012 val")
    for ax in (left, right):
        ax.grid(False, axis="y")
    return fig


def _window(ax, values) -> None:
    """Axes that do not start at zero, so that small differences show."""
    low, high = min(values), max(values)
    room = max(high - low, 1.0)
    ax.set_xlim(low - 0.5 * room, high + 0.25 * room)


def looked_at(columns_seen: dict) -> Figure:
    """For each column of the result: which column of the input its middle tap has read. ``columns_seen``: name → list."""
    fig = plots.figure(6.5, 3.4)
    ax = fig.subplots()
    for (name, values), color in zip(columns_seen.items(), (plots.INK, *BRANCHES)):
        style = {"linestyle": "--", "linewidth": 1.4} if color == plots.INK else {}
        ax.plot(range(len(values)), values, color=color, label=name, **style)
    ax.set(xlabel="column of the result", ylabel="column that it has read")
    ax.legend()
    return fig
