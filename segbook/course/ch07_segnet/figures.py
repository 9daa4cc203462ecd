"""Drawings of chapter 07: places that are kept or lost, un-pooling step by step, the decoder study, class balancing."""

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from torch.nn import functional as F

from segbook import plots
from segbook.models.segnet import unpool
from segbook.plots import bare

#: One colour a pooling window, from the colour-blind-safe set.
WINDOWS = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7")
DECODERS = {"bilinear": "#5A5A5A", "learned": "#CC79A7", "indices": "#0072B2", "full maps": "#D55E00"}

#: What :func:`unpool_step` works on.
EXAMPLES = {
    "four different values": [[1, 3, 0, 2], [9, 2, 8, 1], [0, 2, 3, 5], [7, 1, 1, 2]],
    "ties": [[3, 3, 5, 0], [3, 3, 0, 5], [0, 2, 0, 0], [2, 0, 0, 0]],
    "negative values": [[-1, -3, 2, -2], [-4, -2, 0, 1], [3, 1, -5, -2], [0, -1, -3, -6]],
}
SPREAD = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4


def places(image, before, ways: dict) -> Figure:
    """An image, its edges, and what comes back of them after pooling, by two ``ways`` (title → map [H, W])."""
    maps = {"the image": None, "its edges": before, **ways}
    height, width = np.shape(before)
    fig = plots.figure(8, 8 * height / width + 0.7)
    for ax, (title, values) in zip(fig.subplots(2, 2).flat, maps.items()):
        if values is None:
            plots.image(ax, image)
        else:
            ax.imshow(values, cmap="magma", vmin=0, vmax=float(np.asarray(before).max()))
        bare(ax, title, fontsize=10)
    return fig


# ------------------------------------------------------------------------------------------- un-pooling, by hand


def _window_cells(window: int):
    """The four cells (row, column) of a 4×4 map that belong to pooling window 0 … 3."""
    top, left = 2 * (window // 2), 2 * (window % 2)
    return [(top + i, left + j) for i in (0, 1) for j in (0, 1)]


def round_trip(x, pooled, indices, unpooled) -> Figure:
    """Four tables side by side: a 4×4 map, its maxima, where they were, and the map made from both."""
    fig = plots.figure(9, 2.75)
    grids = fig.subplots(1, 4, width_ratios=[4, 2.6, 2.6, 4])
    fig.draw_without_rendering()
    where = {WINDOWS[w]: [divmod(int(i), 4)] for w, i in enumerate(np.ravel(indices))}
    small = {WINDOWS[w]: [divmod(w, 2)] for w in range(4)}
    plots.number_grid(grids[0], x, title="map", highlight=where)
    plots.number_grid(grids[1], pooled, title="maxima", highlight=small)
    plots.number_grid(grids[2], indices, title="indices", highlight=small)
    plots.number_grid(grids[3], unpooled, title="un-pooled", highlight=where)
    for ax in (grids[0], grids[3]):
        _window_lines(ax)
    return fig


def _window_lines(ax) -> None:
    for place in (1.5,):
        ax.axhline(place, color=plots.INK, linewidth=1.6)
        ax.axvline(place, color=plots.INK, linewidth=1.6)


def unpool_step(step: int = 0, example: str = "four different values") -> Figure:
    """Step 0: the map. 1–4: pool one window each. 5–8: put one value back each. 9: a convolution fills the gaps."""
    x = torch.tensor(EXAMPLES[example], dtype=torch.float32)[None, None]
    pooled, indices = F.max_pool2d(x, 2, return_indices=True)
    done, back = min(step, 4), min(max(step - 4, 0), 4)
    sparse = unpool(pooled, indices, (4, 4))
    dense = F.conv2d(sparse, SPREAD[None, None], padding=1)
    where = [divmod(int(i), 4) for i in indices.flatten()]

    fig = Figure(figsize=(9, 3.1), facecolor="white", layout="none")
    boxes = [(0.01, 0.2), (0.25, 0.105), (0.395, 0.105), (0.545, 0.2), (0.79, 0.2)]
    axes = [fig.add_axes((left, 0.24, width, 0.64)) for left, width in boxes]
    now = step - 1 if 1 <= step <= 4 else None  # the window that is pooled in this step
    marks = {WINDOWS[w]: [where[w]] for w in range(done)}
    small = {WINDOWS[w]: [divmod(w, 2)] for w in range(done)}
    plots.number_grid(axes[0], x[0, 0].int(), title="map", highlight=marks)
    plots.number_grid(axes[1], _first(pooled, done), title="maxima", highlight=small)
    plots.number_grid(axes[2], _first(indices, done), title="indices", highlight=small)
    placed = torch.full((4, 4), 0 if step >= 5 else torch.nan)
    for w in range(back):
        placed[where[w]] = pooled.flatten()[w]
    plots.number_grid(
        axes[3], _whole(placed), title="un-pooled", highlight={WINDOWS[w]: [where[w]] for w in range(back)}
    )
    filled = dense[0, 0] if step == 9 else torch.full((4, 4), torch.nan)
    plots.number_grid(axes[4], filled, title="after a convolution", shade=step == 9, digits=1)
    for ax in (axes[0], axes[3]):
        _window_lines(ax)
    if now is not None:
        _frame(axes[0], *_window_cells(now)[0], 2, now)
    if 5 <= step <= 8:
        _frame(axes[3], *where[back - 1], 1, back - 1)
        _frame(axes[2], *divmod(back - 1, 2), 1, back - 1)
    fig.text(0.01, 0.07, step_in_words(step, example), fontsize=10.5)
    return fig


def step_in_words(step: int, example: str) -> str:
    """What happens in a step of :func:`unpool_step`."""
    x = torch.tensor(EXAMPLES[example], dtype=torch.float32)[None, None]
    pooled, indices = (t.flatten() for t in F.max_pool2d(x, 2, return_indices=True))
    if step == 0:
        return "A 4×4 map and its four windows. Nothing has happened yet."
    if step == 9:
        return "A 3×3 convolution spreads each value over the empty cells around it: sparse becomes dense."
    window = (step - 1) % 4
    value, index = int(pooled[window]), int(indices[window])
    row, column = divmod(index, 4)
    if step > 4:
        return (
            f"Index {index} = {row}·4 + {column}: the value {value} goes back to row {row}, column {column}.".replace(
                "-", "−"
            )
        )
    equal = sum(int(x[0, 0][cell]) == value for cell in _window_cells(window))
    tie = f" Of {equal} equal ones the first counts." if equal > 1 else ""
    return (
        f"Window {window}: the maximum is {value}, at row {row}, column {column}: "
        f"index {row}·4 + {column} = {index}.{tie}"
    ).replace("-", "−")


def _first(values, count: int):
    """The first ``count`` of four numbers as a 2×2 table, the others empty."""
    flat = [int(v) for v in values.flatten()]
    return np.array([v if i < count else None for i, v in enumerate(flat)], dtype=object).reshape(2, 2)


def _whole(values):
    return np.array([[None if v != v else int(v) for v in row] for row in values.tolist()], dtype=object)


def _frame(ax, row, column, side, window) -> None:
    ax.add_patch(
        Rectangle((column - 0.5, row - 0.5), side, side, fill=False, edgecolor=WINDOWS[window], linewidth=3.5, zorder=5)
    )


# ----------------------------------------------------------------------------------------------- inside a net


def decoder_stages(stages) -> Figure:
    """A channel on its way up: ``stages`` [(title, pooled [h, w], up-sampled, dense)], one row a stage."""
    columns = ("comes in", "un-pooled", "after the convolution")
    height, width = np.shape(stages[0][2])
    fig = plots.figure(7.5, 0.5 + len(stages) * 2.5 * height / width * 0.86)
    for row, (axes, (name, *maps)) in enumerate(zip(fig.subplots(len(stages), 3, squeeze=False), stages)):
        for ax, values, title in zip(axes, maps, columns):
            limit = float(np.abs(values).max()) or 1.0
            ax.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit)
            bare(ax, title if row == 0 else "", fontsize=10)
        axes[0].set_ylabel(name, fontsize=9)
    return fig


# --------------------------------------------------------------------------------------------- what was measured


def decoder_study(ours: dict, paper: dict) -> Figure:
    """mIoU and boundary F1 of each decoder: a dot a seed, a bar for the mean, and the paper's values on the right.

    ``ours``: decoder → [(mIoU, boundary F1) of each seed]; ``paper``: decoder → (mIoU, boundary F1), in per cent.
    """
    fig = plots.figure(9, 3.3)
    panels = fig.subplots(1, 4, width_ratios=[1.25, 1.25, 1, 1])
    for column, measure in enumerate(("mIoU", "boundary F1")):
        ax = panels[column]
        for place, (name, runs) in enumerate(ours.items()):
            values = [100 * run[column] for run in runs]
            ax.bar(place, np.mean(values), 0.62, color=DECODERS[name], alpha=0.35)
            spread = np.linspace(-0.14, 0.14, len(values)) if len(values) > 1 else [0]
            ax.plot(place + np.asarray(spread), values, "o", color=DECODERS[name], markersize=5)
        ax.set_title(f"ours: {measure}, %", fontsize=10)
        ax = panels[2 + column]
        for place, name in enumerate(ours):
            if name in paper:
                ax.bar(place, paper[name][column], 0.62, color=DECODERS[name])
        ax.set_title(f"paper: {measure}, %", fontsize=10)
    for ax in panels:
        ax.set_xticks(range(len(ours)), list(ours), rotation=35, ha="right")
        ax.grid(False, axis="x")
    fig.legend(
        handles=[Line2D([], [], marker="o", linestyle="none", color=plots.CYCLE[6], label="one seed"),
                 Rectangle((0, 0), 1, 1, color=plots.CYCLE[6], alpha=0.35, label="mean")],
        loc="outside upper right", ncols=2,
    )  # fmt: skip
    return fig


def balancing(plain, balanced, classes, share, measure: str = "accuracy of the class, %") -> Figure:
    """An arrow a class from the score without to the score with class weights, the rarest class on top.

    ``plain`` and ``balanced`` [seeds, K] from 0 to 1; ``share`` [K]: each class's part of all labelled pixels.
    """
    order = np.argsort(-np.asarray(share))
    before, after = (100 * np.nanmean(np.asarray(v), axis=0)[order] for v in (plain, balanced))
    fig = plots.figure(7.5, 3.9)
    ax = fig.subplots()
    for place, (low, high) in enumerate(zip(before, after)):
        color = plots.CYCLE[2] if high >= low else plots.CYCLE[1]
        if abs(high - low) < 3:  # shorter than an arrow's head, which would point the wrong way
            ax.plot([low, high], [place, place], color=color, linewidth=2.2)
        else:
            arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 2.2}
            ax.annotate("", (high, place), (low, place), arrowprops=arrow)
        ax.plot(low, place, "o", color=plots.CYCLE[6], markersize=5)
    names = [f"{classes[i]}  ({100 * float(share[i]):.1f} %)" for i in order]
    ax.set_yticks(range(len(names)), names)
    ax.set(xlim=(-2, 102), ylim=(-0.6, len(names) - 0.4), xlabel=measure)
    ax.grid(False, axis="y")
    fig.legend(
        handles=[Line2D([], [], marker="o", linestyle="none", color=plots.CYCLE[6], label="without weights"),
                 Line2D([], [], color=plots.CYCLE[2], label="with weights: up"),
                 Line2D([], [], color=plots.CYCLE[1], label="with weights: down")],
        loc="outside upper right", ncols=3,
    )  # fmt: skip
    return fig


def one_scene(image, mask, predictions: dict, dataset) -> Figure:
    """One scene with its truth and the predictions ``{title: labels}``."""
    return plots.segmentation_grid(image[None], mask[None], {k: v[None] for k, v in predictions.items()},
                                   dataset=dataset, errors=False)  # fmt: skip
