"""Drawings of chapter 14: pairs as they came, colours that mix, polygons, splits, where errors lie, houses found or not."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Polygon, Rectangle
from scipy import ndimage

from segbook import plots, showing
from segbook.plots import bare

#: Colours of the splits, from the colour-blind-safe set.
PARTS = {"train": "#56B4E9", "val": "#E69F00", "test": "#CC3311"}
_EIGHT = np.ones((3, 3), dtype=bool)


def pairs(rows) -> Figure:
    """Images over their masks, ``rows``: [(title, image [H, W, 3], mask [H, W, 3] or None)], six of them a line."""
    columns = 6
    lines = -(-len(rows) // columns)
    height, width = rows[0][1].shape[:2]
    across = 10.4 / columns
    fig = plots.figure(10.4, lines * (2 * across * height / width + 0.42))
    fig.set_layout_engine("compressed", w_pad=0.03, h_pad=0.03, wspace=0.0, hspace=0.0)
    grid = fig.subplots(2 * lines, columns, squeeze=False)
    for ax in grid.flat:
        bare(ax)
        ax.set_axis_off()
    for number, (title, image, mask) in enumerate(rows):
        line, column = divmod(number, columns)
        above, below = grid[2 * line][column], grid[2 * line + 1][column]
        above.imshow(image)
        above.set_title(title, fontsize=9)
        if mask is None:
            below.text(0.5, 0.5, "no file", ha="center", va="center", transform=below.transAxes, fontsize=10)
        else:
            below.imshow(mask, interpolation="nearest")
            below.set_aspect("equal")
    return fig


def mixing(small, nearest, bilinear, names: dict) -> Figure:
    """A colour mask, and the same enlarged in two ways; ``names``: (r, g, b) → class. Colours of no class get a cross."""
    fig = plots.figure(9, 3.1)
    drawn = set(map(tuple, np.reshape(small, (-1, 3)).tolist()))
    panels = {"the mask": small, "twice the size: nearest": nearest, "twice the size: bilinear": bilinear}
    for ax, (title, pixels) in zip(fig.subplots(1, 3), panels.items()):
        ax.imshow(pixels, interpolation="nearest")
        for row, column in np.ndindex(pixels.shape[:2]):
            if tuple(int(n) for n in pixels[row, column]) not in names:
                ax.text(column, row, "×", ha="center", va="center", size=11)
        plots.bare(ax, title, fontsize=10)
    handles = [Patch(facecolor=np.array(color) / 255, label=name) for color, name in names.items() if color in drawn]
    handles.append(Line2D([], [], marker="x", color=plots.INK, linestyle="none", label="no class"))
    fig.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return fig


def polygons(image, shapes, labels, dataset) -> Figure:
    """An image with numbered outlines (label, kind, points (x, y)), and the label map that they give."""
    height, width = labels.shape
    fig = plots.figure(9, 4.5 * height / width + 0.7)
    left, right = fig.subplots(1, 2)
    plots.image(left, image)
    left.set_title("image and polygons", fontsize=10)
    for number, (label, _, points) in enumerate(shapes, start=1):
        color = dataset.palette[dataset.classes.index(label)] / 255
        left.add_patch(Polygon(points, closed=True, fill=False, edgecolor="white", linewidth=3.4))
        left.add_patch(Polygon(points, closed=True, fill=False, edgecolor=color, linewidth=2))
        y, x = np.mean(np.clip(points, 4, [width - 4, height - 4]), axis=0)[::-1]
        left.text(x, y, str(number), ha="center", va="center", size=10, color="white", weight="bold",
                  bbox={"facecolor": color, "edgecolor": "none", "pad": 1.5})  # fmt: skip
    left.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    right.imshow(plots.paint(labels, dataset.palette, dataset.ignore_index), interpolation="nearest")
    plots.bare(right, "label map", fontsize=10)
    plots.legend(fig, dataset.classes, dataset.palette, present=[labels])
    return fig


def splits(ways: dict) -> Figure:
    """Who goes where: ``ways``: title → {part: names}; one column a group of names, one row an image of it."""
    fig = plots.figure(9.6, 2.5)
    from segbook.data.splits import group_of

    for ax, (title, parts) in zip(plots.row_of_axes(fig, len(ways)), ways.items()):
        groups = sorted({group_of(name) for names in parts.values() for name in names})
        for part, names in parts.items():
            for name in names:
                column, row = groups.index(group_of(name)), int(name.rpartition("_")[2])
                ax.add_patch(Rectangle((column, row), 0.9, 0.88, facecolor=PARTS[part]))
        rows = 1 + max(int(name.rpartition("_")[2]) for names in parts.values() for name in names)
        ax.set(xlim=(-0.2, len(groups) + 0.1), ylim=(rows, -0.1), xlabel="site", ylabel="frame")
        ax.set_xticks(np.arange(len(groups))[::2] + 0.45, [group[-2:] for group in groups][::2])
        ax.set_yticks(np.arange(rows) + 0.45, range(rows))
        ax.set_title(title, fontsize=10)
        ax.grid(False)
        for spine in ax.spines.values():
            spine.set_visible(False)
        ax.tick_params(length=0)
    used = [part for part in PARTS if any(part in parts for parts in ways.values())]
    fig.legend(handles=[Patch(facecolor=PARTS[part], label=part) for part in used],
               loc="outside lower center", ncols=3)  # fmt: skip
    return fig


def confusion_pairs(pairs, confusion, classes) -> Figure:
    """The matrix in per cent of each true class, and the largest ``pairs`` [(true, called, share of all errors)]."""
    counts = np.asarray(confusion.counts, dtype=float)
    shares = counts / counts.sum(1, keepdims=True)
    fig = plots.figure(10, 3.4)
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.25])
    left.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        left.text(column, row, f"{100 * share:.0f}", ha="center", va="center", size=9,
                  color="white" if share > 0.5 else plots.INK)  # fmt: skip
    left.set_xticks(range(len(classes)), classes, rotation=30)
    left.set_yticks(range(len(classes)), classes)
    left.set(xlabel="predicted", ylabel="truth")
    left.set_title("share of each true class, %", fontsize=10)
    left.grid(False)
    names = [f"{true} → {called}" for true, called, _ in pairs]
    values = [100 * share for *_, share in pairs]
    right.barh(range(len(pairs)), values, color=plots.CYCLE[1], height=0.65)
    for place, value in enumerate(values):
        right.text(value + 0.5, place, f"{value:.0f}", va="center", fontsize=9)
    right.set_yticks(range(len(pairs)), names)
    right.invert_yaxis()
    right.grid(False, axis="y")
    right.set_xlim(0, 1.12 * max(values))
    right.set_title("truth → prediction, % of all wrong pixels", fontsize=10)
    return fig


def boundary_share(widths, errors, pixels) -> Figure:
    """Share of the wrong pixels, and of all pixels, that lie within so many pixels of a true border."""
    fig = plots.figure(7, 3.2)
    ax = fig.subplots()
    ax.plot(widths, [100 * e for e in errors], "o-", color=plots.CYCLE[1], label="of the wrong pixels")
    ax.plot(widths, [100 * p for p in pixels], "s--", color=plots.CYCLE[0], label="of all pixels")
    ax.set(xlabel="distance from a true border, pixels", ylabel="share within, %", ylim=(0, 103))
    ax.set_xticks(list(widths))
    ax.legend(loc="lower right")
    return fig


def worst(images, masks, predictions, per_image, names, *, dataset, count=3) -> Figure:
    """The images with the lowest mIoU, worst first, with their names."""
    order = [int(i) for i in np.argsort(np.asarray(per_image), kind="stable")][:count]
    return plots.segmentation_grid(
        [images[i] for i in order], [masks[i] for i in order], [predictions[i] for i in order],
        dataset=dataset, names=[f"{names[i]}\nmIoU {float(per_image[i]):.2f}" for i in order],
    )  # fmt: skip


def areas(truth, counted, classes) -> Figure:
    """Share of the land by class, as it is and as the net counts it: a dot an image, ``truth`` and ``counted`` [N, K]."""
    fig = plots.figure(10, 2.5)
    for ax, name, true, found in zip(plots.row_of_axes(fig, len(classes)), classes, 100 * truth.T, 100 * counted.T):
        limit = 1.08 * max(true.max(), found.max(), 1)
        ax.plot([0, limit], [0, limit], color=plots.CYCLE[6], linewidth=1, linestyle=(0, (4, 3)))
        ax.plot(true, found, "o", color=plots.CYCLE[0], markersize=4.5, alpha=0.8, clip_on=False)
        ax.set(xlim=(0, limit), ylim=(0, limit), xlabel="true share, %", aspect="equal")
        ax.set_title(name, fontsize=10)
    fig.axes[0].set_ylabel("counted, %")
    return fig


# ---------------------------------------------------------------------------------------------- objects, alive

FOUND, FALSE_ALARM, MISSED = (0, 158, 115), (230, 159, 0), (204, 51, 17)


class Objects:
    """Objects of one class, found by a threshold on its probability and a least size: counts, and the live figure.

    ``images`` uint8 [N, 3, H, W], ``masks`` [N, H, W], ``probability`` [N, H, W] of the class number ``label``.
    """

    def __init__(self, images, masks, probability, label: int, names):
        self.images, self.names = np.asarray(images), list(names)
        self.truth, self.probability = np.asarray(masks) == label, np.asarray(probability)
        self.true_objects = [ndimage.label(truth, _EIGHT) for truth in self.truth]
        self._scores: dict[tuple, tuple[int, int, int, int]] = {}  # words and image of a setting ask for the same

    def judge(self, n: int, threshold: float, smallest: int):
        """Of image ``n``: what is kept [H, W], which objects are right, and which true ones are found (bool a piece).

        An object is right when at least half of it is truth; a true object is found when at least a third of it is kept.
        """
        pieces, count = ndimage.label(self.probability[n] >= threshold, _EIGHT)
        size = np.bincount(pieces.ravel(), minlength=count + 1)
        kept = size >= smallest
        kept[0] = False
        right = np.bincount(pieces[self.truth[n]], minlength=count + 1) >= 0.5 * size
        true_pieces, true_count = self.true_objects[n]
        inside = np.bincount(true_pieces[kept[pieces]], minlength=true_count + 1)
        whole = np.bincount(true_pieces.ravel(), minlength=true_count + 1)
        return pieces, kept, right, inside >= whole / 3

    def score(self, threshold: float, smallest: int) -> tuple[int, int, int, int]:
        """Over all images: objects kept, right ones among them, true objects, and found ones among those."""
        if (threshold, smallest) not in self._scores:
            total = np.zeros(4, dtype=int)
            for n in range(len(self.truth)):
                _, kept, right, found = self.judge(n, threshold, smallest)
                total += [kept.sum(), (kept & right).sum(), len(found) - 1, found[1:].sum()]
            self._scores[threshold, smallest] = tuple(map(int, total))
        return self._scores[threshold, smallest]

    def words(self, threshold=0.5, smallest=1, image=0) -> str:
        kept, right, true, found = self.score(threshold, smallest)
        kept, right, true, found = (showing.measured(number, 0) for number in self.score(threshold, smallest))
        return (f"Houses at a threshold of {threshold:.2f} and at least {smallest} px: {kept} objects, of which {right} "
                f"are right; {found} of {true} true ones are found")  # fmt: skip

    def draw(self, threshold=0.5, smallest=1, image=0) -> Figure:
        pixels = np.moveaxis(self.images[image], 0, -1)
        pieces, kept, right, found = self.judge(image, threshold, smallest)
        true_pieces, _ = self.true_objects[image]
        verdict = (0.45 * pixels.mean(-1, keepdims=True) + 130).astype(np.uint8).repeat(3, axis=2)
        missed = ~found
        missed[0] = False
        verdict[missed[true_pieces]] = MISSED
        verdict[(kept & ~right)[pieces]] = FALSE_ALARM
        verdict[(kept & right)[pieces]] = FOUND
        fig = Figure(figsize=(10, 3.2), facecolor="white", layout="none")
        panels = [
            (self.names[image], pixels),
            ("probability (dark 0, bright 1)", self.probability[image]),
            ("verdict", verdict),
        ]
        for place, (title, pixels) in enumerate(panels):
            ax = fig.add_axes((0.005 + place * 0.255, 0.16, 0.25, 0.74))
            ax.imshow(pixels, interpolation="nearest", **({"vmin": 0, "vmax": 1} if pixels.ndim == 2 else {}))
            plots.bare(ax, title, fontsize=10)
        kept, right, true, found = self.score(threshold, smallest)
        ax = fig.add_axes((0.86, 0.16, 0.13, 0.72))
        values = [100 * right / kept if kept else 0, 100 * found / true if true else 0]
        ax.bar(["precision", "recall"], values, color=[plots.CYCLE[0], plots.CYCLE[1]], width=0.6)
        for x, value in enumerate(values):
            ax.text(x, value + 2, f"{value:.0f}", ha="center", fontsize=9)
        ax.set_ylim(0, 112)
        ax.set_title("all test images, %", fontsize=10)
        ax.grid(False, axis="x")
        names = ((FOUND, "right"), (FALSE_ALARM, "false alarm"), (MISSED, "missed"))
        handles = [Patch(facecolor=np.array(color) / 255, label=name) for color, name in names]
        fig.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.5, 0.0), ncols=3, frameon=False, fontsize=9)
        return fig


def too_good(rows, twin=("frames of known sites", "sites never seen")) -> Figure:
    """A line a seed from the score on left-over frames to the score on new sites; ``rows`` [(seed, old, new)]."""
    fig = plots.figure(5.6, 3.2)
    ax = fig.subplots()
    for color, (seed, old, new) in zip(plots.CYCLE, rows):
        ax.plot([0, 1], [old, new], "o-", color=color, label=f"seed {seed}")
    ax.set_xticks([0, 1], list(twin))
    ax.set(xlim=(-0.3, 1.3), ylim=(0, 1), ylabel="mIoU")
    ax.legend(loc="upper right")
    return fig
