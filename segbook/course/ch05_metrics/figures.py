"""Drawings of chapter 05: the matrix and its sums, what each measure sees, coarse maps, and an object to move."""

import numpy as np
import torch
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import NullLocator
from scipy.ndimage import distance_transform_edt

from segbook import plots
from segbook.data.street import scene
from segbook.metrics import ConfusionMatrix, boundary, boundary_f1, dilate, trimap, trimap_iou

BLUE, ORANGE, GREEN = plots.CYCLE[0], plots.CYCLE[1], plots.CYCLE[2]
LIGHT_BLUE, YELLOW, GRAY = "#56B4E9", "#E69F00", "#8A8A8A"
_SCORES = LinearSegmentedColormap.from_list("low to high", ["#F3C9AE", "#FAFAFA", "#8FC4E4"])


def two_predictions(image, mask, predictions, *, dataset):
    """Two rows: the image and the predictions by name; below, the truth and where each is wrong."""
    fig = plots.figure(9.0, 4.9)
    fig.set_layout_engine("compressed")
    axes = fig.subplots(2, 1 + len(predictions))
    void, palette = dataset.ignore_index, dataset.palette
    plots.image(axes[0, 0], image, "image")
    plots.label_map(axes[1, 0], mask, palette, title="truth", ignore_index=void)
    for (top, bottom), (name, labels) in zip(axes.T[1:], predictions.items()):
        plots.label_map(top, labels, palette, title=name, ignore_index=void)
        plots.image(bottom, plots.error_map(labels, mask, void, image), f"{name}: wrong pixels (white: void)")
    plots.legend(fig, dataset.classes, palette, present=[mask])
    return fig


def matrix_readings(counts, label=1):
    """A confusion matrix with its sums three times: what pixel accuracy, class accuracy and IoU read off it."""
    counts = np.asarray(counts)
    size = len(counts)
    table = np.full((size + 1, size + 1), None, dtype=object)
    table[:size, :size] = counts
    table[:size, size], table[size, :size], table[size, size] = counts.sum(1), counts.sum(0), counts.sum()
    row = [(label, j) for j in range(size) if j != label]
    column = [(i, label) for i in range(size) if i != label]
    hit = [(label, label)]
    panels = [
        ("pixel accuracy: diagonal / everything", {YELLOW: [(i, i) for i in range(size)], LIGHT_BLUE: [(size, size)]}),
        (f"accuracy of class {label}: cell / row", {YELLOW: hit, LIGHT_BLUE: row}),
        (f"IoU of class {label}: cell / (row ∪ column)", {YELLOW: hit, LIGHT_BLUE: row + column}),
    ]
    fig = plots.figure(9.0, 3.3)
    for ax, (title, marks) in zip(fig.subplots(1, 3), panels):
        plots.number_grid(ax, table, highlight=marks)
        ax.set_title(title, fontsize=10)
        ax.set_xticks(range(size + 1), [*range(size), "$t_i$"])
        ax.set_yticks(range(size + 1), [*range(size), "$p_j$"])
        ax.tick_params(which="both", length=0)
        ax.set_xlabel("predicted class")
        for line in (ax.axhline, ax.axvline):
            line(size - 0.5, color=plots.INK, linewidth=1.2)
        if ax.get_subplotspec().is_first_col():
            ax.set_ylabel("true class")
    return fig


def two_readings(prediction, mask, accuracy, overall, *, dataset):
    """Left: every pixel shaded by the accuracy of its true class. Right: every pixel right or wrong."""
    mask = np.asarray(mask)
    void = mask == dataset.ignore_index
    shade = np.where(void, np.nan, np.asarray(accuracy)[np.where(void, 0, mask)])
    fig = plots.figure(9.0, 3.4)
    left, right = fig.subplots(1, 2)
    drawn = left.imshow(shade, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
    fig.colorbar(drawn, ax=left, label="accuracy of the pixel's true class", shrink=0.85)
    left.set_title(f"the notes' reading: {len(np.unique(mask[~void]))} numbers, one a class")
    plots.image(right, plots.error_map(prediction, mask, dataset.ignore_index), "")
    right.set_title(f"the papers' reading: one number, {overall:.3f}")
    right.set_xlabel("orange: wrong pixels")
    left.set_xticks([])
    left.set_yticks([])
    left.grid(False)
    return fig


def scoreboard(scores):
    """A table of colours and numbers. ``scores``: dict of row → dict of column → value between 0 and 1."""
    rows, columns = list(scores), list(next(iter(scores.values())))
    values = np.array([[scores[row][column] for column in columns] for row in rows])
    fig = plots.figure(9.0, 0.95 + 0.4 * len(rows))
    ax = fig.subplots()
    # Each column has colours of its own: a measure ranks the predictions, columns are not compared.
    low, high = values.min(0), values.max(0)
    ax.imshow((values - low) / np.where(high > low, high - low, 1), cmap=_SCORES, aspect="auto")
    best = values == values.max(0)
    for (i, j), value in np.ndenumerate(values):
        ax.text(j, i, f"{value:.3f}", ha="center", va="center", weight="bold" if best[i, j] else "normal")
    ax.set_xticks(range(len(columns)), [name.replace(" ", "\n", 1) for name in columns])
    ax.set_yticks(range(len(rows)), rows)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return fig


def bands(mask, widths, *, dataset):
    """The truth, and what a trimap of each width (pixels) leaves of it."""
    fig = plots.figure(9.0, 2.0)
    axes = fig.subplots(1, 1 + len(widths))
    plots.label_map(axes[0], mask, dataset.palette, title="truth", ignore_index=dataset.ignore_index)
    painted = plots.paint(mask, dataset.palette, dataset.ignore_index)
    for ax, width in zip(axes[1:], widths):
        band = trimap(mask, width)
        shown = np.where(band.numpy()[..., None], painted, 235)
        plots.image(ax, shown.astype(np.uint8), f"{width} px: {100 * band.float().mean():.0f} %")
    return fig


def trimap_curves(widths, curves, overall):
    """Mean IoU in the band against its width, one curve a prediction; dashed: over all pixels."""
    fig = plots.figure(7.5, 3.6)
    ax = fig.subplots()
    for color, (name, values) in zip((BLUE, ORANGE, GREEN, plots.CYCLE[3]), curves.items()):
        ax.plot(widths, values, "o-", color=color, markersize=4, label=name)
        ax.axhline(overall[name], color=color, linewidth=1, linestyle=(0, (4, 3)))
    ax.set(xlabel="width of the band on each side of a label change (pixels)", ylabel="mean IoU in the band")
    ax.set_ylim(0, 1)
    ax.set_title("dashed: mean IoU of the whole images")
    ax.set_xticks(widths)
    ax.legend(loc="lower right")
    return fig


def outline_hits(prediction, mask, label, radius, *, name):
    """Outlines of one class, zoomed: true ones with their tolerance, predicted ones hit or missed; and the reverse."""
    truth, found = torch.as_tensor(mask) == label, torch.as_tensor(prediction) == label
    lines = [boundary(part.int()) & part for part in (truth, found)]
    rows, columns = (truth | found).any(1).nonzero().flatten(), (truth | found).any(0).nonzero().flatten()
    part = tuple(slice(max(0, int(side[0]) - 4), int(side[-1]) + 5) for side in (rows, columns))
    colors = np.array([[245, 245, 245], [214, 214, 214], [0, 114, 178], [213, 94, 0]], dtype=np.uint8)
    fig = plots.figure(9.0, min(3.6, 0.9 + 4.3 * (part[0].stop - part[0].start) / (part[1].stop - part[1].start)))
    titles = ("precision: predicted outline near the true one?", "recall: true outline near the predicted one?")
    for ax, title, reference, line in zip(fig.subplots(1, 2), titles, lines, lines[::-1]):
        near = dilate(reference, radius)
        state = near.long()  # 0 far, 1 within the tolerance, 2 hit, 3 missed
        state[line] = torch.where(near[line], 2, 3)
        plots.image(ax, colors[state[part].numpy()], title)
        share = (line & near).sum() / line.sum()
        ax.set_xlabel(f"{name}: {100 * share:.0f} % of this outline is hit (blue), the rest missed (orange)")
    return fig


def strides(mask, coarse, scores, *, dataset):
    """The truth and what is left of it after each stride. ``coarse``, ``scores``: dicts by stride."""
    fig = plots.figure(9.0, 2.4)
    axes = fig.subplots(1, 1 + len(coarse))
    plots.label_map(axes[0], mask, dataset.palette, title="truth", ignore_index=dataset.ignore_index)
    for ax, stride in zip(axes[1:], coarse):
        plots.label_map(ax, coarse[stride], dataset.palette, title=f"stride {stride}")
        ax.set_xlabel(f"all scenes:\nmIoU {scores[stride]:.2f}")
    return fig


def ceilings(curves, per_class):
    """Left: mIoU against stride by data set. Right: IoU of thin classes, solid and dashed lines by data set.

    ``curves``: name → {stride: mIoU}. ``per_class``: name → {class: {stride: IoU}} for two of the names.
    """
    fig = plots.figure(9.0, 4.4)
    left, right = fig.subplots(1, 2)
    for (name, points), color, style in zip(curves.items(), (GRAY, BLUE, ORANGE), ("o:", "o-", "s--")):
        left.plot(list(points), list(points.values()), style, color=color, label=name, markersize=5)
    left.set(xlabel="stride (pixels)", ylabel="mean IoU", title="what a perfect map can still reach")
    left.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16))
    for (name, classes), style in zip(per_class.items(), ("o-", "s--")):
        for (label, points), color in zip(classes.items(), (YELLOW, "#CC79A7", GREEN)):
            right.plot(list(points), list(points.values()), style, color=color, label=f"{label}, {name}", markersize=5)
    right.set(xlabel="stride (pixels)", ylabel="IoU", title="thin and small classes")
    right.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    for ax in (left, right):
        ax.set_xscale("log", base=2)
        ax.set_xticks([4, 8, 16, 32], ["4", "8", "16", "32"])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_ylim(0, 1.02)
    return fig


def by_batch_size(sizes, averaged, whole):
    """Averaged batch scores against the batch size, one curve a shuffling, and the score of the data set."""
    fig = plots.figure(7.5, 3.3)
    ax = fig.subplots()
    for number, values in enumerate(averaged):
        ax.plot(sizes, values, "o-", color=BLUE, alpha=0.55, label="" if number else "averaged over batches")
    ax.axhline(whole, color=ORANGE, label="one matrix over the data set")
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, [str(size) for size in sizes])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set(xlabel="images a batch", ylabel='"mean IoU"', title="the same predictions, five orders")
    ax.legend()
    return fig


# -------------------------------------------------------------------------------------------- an object to move


class MovableObject:
    """A Street scene whose objects can be moved, grown and erased: ``draw`` and ``alt`` are for a live figure.

    ``objects``: name → number of the largest instance of each kind; ``pixels``: name → its size. The prediction is the
    truth with one object changed; where it stood, the nearest other labels take its place.
    """

    def __init__(self, dataset, index=0, seed=0, split="val"):
        found = scene(seed, split, index)
        self.dataset = dataset
        self.void = dataset.ignore_index
        self.mask = torch.from_numpy(found.mask).long()
        self.instances = torch.from_numpy(found.instances)
        self.objects, self.pixels = {}, {}
        sizes = torch.bincount(self.instances.flatten())
        for number, label in sorted(found.instance_classes.items(), key=lambda pair: -int(sizes[pair[0]])):
            if sizes[number] >= 12:
                self.objects.setdefault(dataset.classes[label], number)
                self.pixels.setdefault(dataset.classes[label], int(sizes[number]))
        self._behind = {}

    def prediction(self, thing, right, down, grow, erase):
        """The label map int64 [H, W] that the controls ask for; distances in pixels."""
        where = self.instances == thing
        label = int(self.mask[where][0])
        if thing not in self._behind:  # the same for every position: look it up while a slider moves
            self._behind[thing] = _without(self.mask, where | (self.mask == self.void))
        labels = self._behind[thing].clone()
        if erase:
            return labels
        shape = dilate(where, grow) if grow >= 0 else ~dilate(~where, -grow)
        y, x = shape.nonzero().T
        inside = (y + down >= 0) & (y + down < labels.shape[0]) & (x + right >= 0) & (x + right < labels.shape[1])
        labels[(y + down)[inside], (x + right)[inside]] = label
        return labels

    def scores(self, labels, label):
        """The measures of one prediction by name."""
        matrix = ConfusionMatrix(self.dataset.num_classes, self.void).update(labels, self.mask)
        rest = (self.dataset.num_classes, self.void)
        return {
            "pixel accuracy": matrix.pixel_accuracy(),
            "mean accuracy": matrix.mean_accuracy(),
            "frequency-weighted IoU": matrix.frequency_weighted_iou(),
            "mean Dice": float(matrix.dice().nanmean()),
            "mean IoU": matrix.mean_iou(),
            "trimap IoU, 3 px": trimap_iou(labels, self.mask, 3, *rest),
            "boundary F1": boundary_f1(labels, self.mask, *rest),
            f"IoU of {self.dataset.classes[label]}": float(matrix.iou()[label]),
        }

    def draw(self, thing, right, down, grow, erase):
        """The changed label map and every measure as a bar."""
        label = int(self.mask[self.instances == thing][0])
        labels = self.prediction(thing, right, down, grow, erase)
        scores = self.scores(labels, label)
        fig = plots.figure(9.0, 3.1)
        fig.set_layout_engine("none")  # fixed places: working out the layout would take a third of a redraw
        left, bars = fig.add_axes((0.01, 0.02, 0.44, 0.88)), fig.add_axes((0.65, 0.1, 0.28, 0.86))
        plots.label_map(left, labels, self.dataset.palette)
        true_outline = boundary((self.instances == thing).int()) & (self.instances != thing)
        y, x = true_outline.nonzero().T
        left.scatter(x, y, s=3, color="white", marker="s", linewidths=0)
        left.set_title("prediction; white dots: where it truly is")
        values = list(scores.values())
        colors = [BLUE] * 5 + [GREEN] * 2 + [ORANGE]
        bars.barh(range(len(values)), values, color=colors, height=0.72)
        for place, value in enumerate(values):
            bars.text(1.02, place, f"{value:.3f}", va="center", size=9)
        bars.set_yticks(range(len(values)), list(scores))
        bars.set(xlim=(0, 1), ylim=(len(values) - 0.5, -0.5), xticks=[0, 0.5, 1])
        bars.tick_params(axis="y", length=0)
        bars.grid(False, axis="y")
        return fig

    def alt(self, thing, right, down, grow, erase):
        """What the figure shows, in words."""
        name = self.dataset.classes[int(self.mask[self.instances == thing][0])]
        done = "erased" if erase else f"moved {right} px right and {down} px down, grown by {grow} px"
        return f"A label map with one {name} {done}, and bars of eight measures of it."


def _without(mask, hole):
    """The label map with the pixels of ``hole`` taken over by the nearest other label."""
    nearest = distance_transform_edt(hole.numpy(), return_distances=False, return_indices=True)
    return mask[tuple(torch.from_numpy(nearest))]
