"""Drawings of chapter 09: holes and phases, fields of view, the fully connected CRF, its lattice, a cup of coffee."""

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from PIL import Image, ImageDraw

from segbook import metrics, plots
from segbook.crf import Bilateral, DenseCRF, Gaussian
from segbook.plots import bare

#: One colour a phase, from the colour-blind-safe set.
PHASES = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7")


# ------------------------------------------------------------------------------------------------- answers and holes


def answers(image, mask, maps: dict, dataset) -> Figure:
    """An image, its truth, and label maps of any coarseness ``{title: labels [h, w]}``, each stretched over the image."""
    height, width = np.shape(mask)
    fig = plots.figure(10, 10 / (2 + len(maps)) * height / width + 0.85)
    axes = fig.subplots(1, 2 + len(maps))
    plots.image(axes[0], image)
    axes[0].set_title("image", fontsize=10)
    plots.label_map(axes[1], mask, dataset.palette, ignore_index=dataset.ignore_index)
    axes[1].set_title("truth", fontsize=10)
    for ax, (title, labels) in zip(axes[2:], maps.items()):
        rows, columns = np.shape(labels)
        ax.imshow(plots.paint(labels, dataset.palette), interpolation="nearest", extent=(0, width, height, 0))
        lines = [[(0, y), (width, y)] for y in np.linspace(0, height, rows + 1)]
        lines += [[(x, 0), (x, height)] for x in np.linspace(0, width, columns + 1)]
        ax.add_collection(LineCollection(lines, colors="white", linewidths=0.6))
        bare(ax, title, fontsize=10)
    plots.legend(fig, dataset.classes, dataset.palette, present=[mask, *maps.values()])
    return fig


def holes(side: int = 8) -> Figure:
    """A map whose cells are coloured by phase at rate 2, the nine taps of one kernel, and the four phases pulled apart."""
    phase = 2 * (np.arange(side)[:, None] % 2) + np.arange(side) % 2
    fig = plots.figure(9, 3.9)
    left, *small = (fig.add_subplot(spec) for spec in _one_and_four(fig))
    rgb = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in PHASES])
    left.imshow(rgb[phase], extent=(0, side, side, 0))
    _grid(left, side, side)
    taps = [(3 + dy, 3 + dx) for dy in (-2, 0, 2) for dx in (-2, 0, 2)]
    for row, column in taps:
        left.add_patch(Rectangle((column + 0.12, row + 0.12), 0.76, 0.76, fill=False, edgecolor="black", linewidth=2.2))
    bare(left, "rate 2: the nine taps skip every second cell", fontsize=10)
    for p, ax in enumerate(small):
        i, j = divmod(p, 2)
        ax.imshow(np.broadcast_to(rgb[p], (side // 2, side // 2, 3)), extent=(0, side // 2, side // 2, 0))
        _grid(ax, side // 2, side // 2)
        bare(ax, f"phase ({i}, {j})", fontsize=10)
        if (i, j) == (1, 1):  # the taps of the left drawing all lie in this phase
            for row, column in taps:
                ax.add_patch(
                    Rectangle(
                        (column // 2 + 0.12, row // 2 + 0.12), 0.76, 0.76, fill=False, edgecolor="black", linewidth=2
                    )
                )
    return fig


def _one_and_four(fig):
    outer = fig.add_gridspec(1, 2, width_ratios=[1.05, 1])
    inner = outer[1].subgridspec(2, 2)
    return [outer[0], *(inner[i, j] for i in (0, 1) for j in (0, 1))]


def _grid(ax, rows, columns) -> None:
    lines = [[(0, y), (columns, y)] for y in range(rows + 1)] + [[(x, 0), (x, rows)] for x in range(columns + 1)]
    ax.add_collection(LineCollection(lines, colors="white", linewidths=1))


def fields_of_view(variants: dict, side: int = 41) -> Figure:
    """Where the taps of each fc6 lie on a map of ``side`` × ``side`` cells. ``variants``: name → (kernel, rate, maps)."""
    fig = plots.figure(10, 3.3)
    axes = plots.row_of_axes(fig, len(variants))
    for ax, (name, (kernel, rate, _)) in zip(axes, variants.items()):
        places = side // 2 + rate * (np.arange(kernel) - (kernel - 1) / 2)
        ax.scatter(*np.meshgrid(places, places), s=20, color=plots.CYCLE[0], zorder=3)
        ax.plot(side // 2, side // 2, "+", color=plots.CYCLE[1], markersize=9, markeredgewidth=2, zorder=4)
        ax.set(xlim=(-0.5, side - 0.5), ylim=(side - 0.5, -0.5), aspect="equal")
        bare(ax, f"{kernel}×{kernel} at rate {rate}", fontsize=10)
        ax.set_xlabel(f'"{name}"')
    fig.legend(
        handles=[Line2D([], [], marker="o", linestyle="none", color=plots.CYCLE[0], label="tap of the kernel"),
                 Line2D([], [], marker="+", linestyle="none", color=plots.CYCLE[1], markersize=9, markeredgewidth=2,
                        label="cell that is answered")],
        loc="outside lower center", ncols=2,
    )  # fmt: skip
    return fig


def rate_study(narrow: dict, wide: dict, paper: dict) -> Figure:
    """mIoU in % of heads at several rates on two frozen maps (a dot a seed, a line through the means), and the paper's.

    ``narrow``, ``wide``: rate → [mIoU of each seed]; ``paper``: label → mIoU.
    """
    fig = plots.figure(10, 3.3)
    left, right = fig.subplots(1, 2, width_ratios=[1.5, 1])
    for runs, color, marker, name in (
        (narrow, plots.CYCLE[0], "o", "on pool3, whose cells see 51 pixels"),
        (wide, plots.CYCLE[1], "s", "on pool5, whose cells see 227 pixels"),
    ):
        places = [list(narrow).index(rate) for rate in runs]
        left.plot(places, [100 * np.mean(v) for v in runs.values()], color=color, label=name)
        for place, values in zip(places, runs.values()):
            left.plot(place + np.linspace(-0.08, 0.08, len(values)), 100 * np.array(values), marker, color=color,
                      markersize=5, fillstyle="none")  # fmt: skip
    left.set_xticks(range(len(narrow)), [f"rate {rate}" for rate in narrow])
    left.set(ylabel="mIoU, %", title="ours: a 3×3 head, same parameters everywhere")
    left.margins(y=0.2)
    left.legend(loc="upper right")
    right.bar(range(len(paper)), list(paper.values()), 0.6, color=plots.CYCLE[6])
    for place, value in enumerate(paper.values()):
        right.text(place, value + 0.15, f"{value:.2f}", ha="center", fontsize=9)
    right.set_xticks(range(len(paper)), list(paper))
    right.set(ylim=(60, 69), ylabel="mIoU, %", title="the paper, after its CRF (axis from 60)")
    right.grid(False, axis="x")
    return fig


# --------------------------------------------------------------------------------------------------------- soft edges


def scan_line(image, mask, probabilities, row: int, dataset, columns=None) -> Figure:
    """An image with one row marked, and the probabilities of the most probable classes along that row."""
    height, width = np.shape(mask)
    fig = plots.figure(10, 3.2)
    left, right = fig.subplots(1, 2, width_ratios=[1, 1.5])
    plots.image(left, image)
    left.axhline(row, color="white", linewidth=3)
    left.axhline(row, color="black", linewidth=1.2)
    left.set_title(f"row {row}", fontsize=10)
    along = np.asarray(probabilities)[:, row]
    truth = np.asarray(mask)[row]
    for k in np.argsort(-along.max(1))[:4]:
        color = tuple(np.asarray(dataset.palette[k]) / 255)
        right.plot(along[k], color="black", linewidth=3.2)
        right.plot(along[k], color=color, linewidth=2.2)
    for x in np.flatnonzero(np.diff(truth)):
        right.axvline(x + 0.5, color=plots.INK, linestyle=":", linewidth=1)
    right.set(xlim=(0, width - 1), ylim=(0, 1), xlabel="column", ylabel="probability")
    right.set_title("dotted: where the truth changes its label", fontsize=10)
    shown = np.sort(np.argsort(-along.max(1))[:4])
    handles = [Patch(facecolor=np.asarray(dataset.palette[k]) / 255, edgecolor="black", label=dataset.classes[k])
               for k in shown]  # fmt: skip
    fig.legend(handles=handles, loc="outside lower center", ncols=4)
    return fig


# ------------------------------------------------------------------------------------------------------------- the CRF


def listeners(image, pixels, kernels: dict) -> Figure:
    """To whom does a pixel listen? One row a pixel (y, x): the image with the pixel, and its row of each kernel.

    ``kernels``: title → matrix [N, N] of the image's N pixels.
    """
    height, width = image.shape[1:]
    fig = plots.figure(9, 0.4 + len(pixels) * 9 / (1 + len(kernels)) * height / width)
    fig.set_layout_engine("compressed")
    grid = fig.subplots(len(pixels), 1 + len(kernels), squeeze=False)
    for line, (axes, (y, x)) in enumerate(zip(grid, pixels)):
        plots.image(axes[0], image)
        axes[0].set_title("image" if line == 0 else "", fontsize=10)
        for ax, (title, kernel) in zip(axes[1:], kernels.items()):
            row = np.array(kernel[y * width + x]).reshape(height, width)
            ax.imshow(row, cmap="magma", vmin=0, vmax=row.max())
            plots.bare(ax, f"{title} (bright: much)" if line == 0 else "", fontsize=10)
        for ax in axes:
            ax.plot(x, y, "o", markersize=7, markerfacecolor="none", markeredgecolor="white", markeredgewidth=2.4)
            ax.plot(x, y, "o", markersize=7, markerfacecolor="none", markeredgecolor="black", markeredgewidth=1)
    return fig


def iterations(image, truth, steps: dict, dataset) -> Figure:
    """Label maps of mean field, iteration by iteration: ``steps`` is title → labels [H, W]."""
    height, width = np.shape(truth)
    fig = plots.figure(10, 10 / (2 + len(steps)) * height / width + 0.6)
    axes = fig.subplots(1, 2 + len(steps))
    plots.image(axes[0], image)
    axes[0].set_title("image", fontsize=10)
    for ax, (title, labels) in zip(axes[1:], {"truth": truth, **steps}.items()):
        plots.label_map(ax, labels, dataset.palette, ignore_index=dataset.ignore_index)
        ax.set_title(title, fontsize=10)
    plots.legend(fig, dataset.classes, dataset.palette, present=[truth, *steps.values()])
    return fig


# --------------------------------------------------------------------------------------------------------- the lattice


def lattice_edges(vertices: np.ndarray):
    """Pairs of neighbouring vertices of a triangular lattice, as line segments; ``vertices`` [M, 2]."""
    distance = np.sqrt(((vertices[:, None] - vertices) ** 2).sum(2))
    shortest = distance[distance > 1e-6].min()
    pairs = np.argwhere((distance > 1e-6) & (distance < 1.2 * shortest))
    return [vertices[[i, j]] for i, j in pairs if i < j]


def vertex_places(lattice, features) -> np.ndarray:
    """Where the vertices lie, [M, d]: a pixel is the barycentric mean of its vertices, solved for them."""
    count = len(lattice.splat(features[:, :1]))
    weights = lattice.slice(torch.eye(count, dtype=features.dtype))
    weights = weights / weights.sum(1, keepdim=True)
    return torch.linalg.lstsq(weights[:, :-1], features, driver="gelsd").solution.numpy()


def splat_blur_slice(features, values, lattice, exact, gray) -> Figure:
    """The three steps for one scan line of pixels, whose ``features`` [N, 2] are place and grey value, each by its σ.

    ``values`` [N] in 0…1 go in; ``exact`` [N] is what all pairs give; ``grey`` [N] is drawn under the result.
    """
    ones = torch.ones_like(values)
    both = torch.stack([values, ones], 1)
    splatted = lattice.splat(both)
    blurred = lattice.blur(splatted)
    sliced = lattice.slice(blurred)
    places, points = vertex_places(lattice, features), features.numpy()
    fig = plots.figure(10, 6.6)
    grid = fig.add_gridspec(2, 3, height_ratios=[1.15, 1])
    titles = ("1 splat: pixels hand over", "2 blur: vertices mix", "3 slice: pixels read back")
    known = splatted[:-1, 1] > 0.02
    for column, (title, table) in enumerate(zip(titles, (splatted, blurred, blurred))):
        ax = fig.add_subplot(grid[0, column])
        ax.add_collection(LineCollection(lattice_edges(places), colors=plots.PALE, linewidths=0.9, zorder=1))
        share = (table[:-1, 0] / table[:-1, 1].clamp(min=1e-9)).numpy()
        if column < 2:
            ax.scatter(*points.T, s=5, color=plots.INK, zorder=2)
            size = 14 + 70 * (table[:-1, 1] / table[:-1, 1].max()).sqrt().numpy()
            show = known if column == 0 else table[:-1, 1] > 0.02
            drawn = ax.scatter(*places[show].T, s=size[show], c=share[show], cmap="cividis", vmin=0, vmax=1,
                               edgecolors="black", linewidths=0.5, zorder=3)  # fmt: skip
        else:
            color = (sliced[:, 0] / sliced[:, 1]).numpy()
            ax.scatter(*points.T, s=22, c=color, cmap="cividis", vmin=0, vmax=1, edgecolors="black",
                       linewidths=0.4, zorder=3)  # fmt: skip
        ax.set_title(title, fontsize=10)
        ax.set_xlabel("place / σ")
        if column == 0:
            ax.set_ylabel("grey value / σ")
        ax.grid(False)
    fig.colorbar(drawn, ax=fig.axes, label="value", fraction=0.03, pad=0.01, shrink=0.8)
    ax = fig.add_subplot(grid[1, :])
    ax.plot(gray.numpy() / 255, color=plots.PALE, linewidth=5, label="the image: grey value / 255")
    ax.plot(values.numpy(), color=plots.CYCLE[6], linestyle="--", label="values that go in")
    ax.plot((sliced[:, 0] / sliced[:, 1]).numpy(), color=plots.CYCLE[0], label="lattice")
    ax.plot(exact.numpy(), color=plots.CYCLE[1], linestyle=":", linewidth=2.4, label="all pairs")
    ax.set(xlabel="pixel of the scan line", ylim=(-0.05, 1.05), xlim=(0, len(values) - 1))
    ax.legend(loc="upper left")
    return fig


# ------------------------------------------------------------------------------------------------------ before, after


def before_after(rows: dict, classes) -> Figure:
    """IoU of each class for several ways (name → [K]) as dots joined from way to way, rarest gains visible.

    The first way is the starting point and is drawn hollow.
    """
    fig = plots.figure(9, 4.2)
    ax = fig.subplots()
    names = list(rows)
    table = 100 * np.array([np.asarray(v, dtype=float) for v in rows.values()])
    order = np.argsort(table[0])
    markers = ("o", "v", "^", "s")
    for i, name in enumerate(names):
        offset = (len(names) - 1) / 2 * 0.16 - i * 0.16
        ax.hlines(np.arange(len(order)) + offset, table[0][order], table[i][order], color=plots.CYCLE[i], linewidth=1.4)
        ax.plot(table[i][order], np.arange(len(order)) + offset, markers[i], color=plots.CYCLE[i], label=name,
                fillstyle="none" if i == 0 else "full", markersize=6)  # fmt: skip
    ax.set_yticks(range(len(order)), [classes[k] for k in order])
    ax.set(xlabel="IoU, %", ylim=(-0.6, len(order) - 0.4))
    ax.legend(loc="lower right")
    return fig


#: The cup, its saucer and its spoon in scikit-image's ``coffee``, traced by hand: (x, y) in the 600 × 400 image.
CUP = (
    (180, 72), (160, 80), (135, 97), (110, 120), (93, 147), (82, 175), (77, 205), (78, 235), (84, 262), (95, 288),
    (112, 313), (135, 336), (163, 355), (195, 371), (230, 382), (265, 387), (300, 388), (335, 384), (370, 374),
    (402, 358), (430, 336), (452, 308), (466, 280), (475, 252), (478, 225), (475, 200), (467, 175), (455, 150),
    (440, 128), (416, 104), (424, 80), (419, 70), (408, 67), (398, 74), (390, 60), (375, 45), (350, 30), (320, 21),
    (290, 18), (260, 20), (230, 28), (205, 42), (188, 58),
)  # fmt: skip


def coffee(height: int = 120, width: int = 180):
    """scikit-image's photograph of a cup, uint8 [3, H, W], and our hand-traced mask of cup and saucer, int64 [H, W]."""
    from skimage import data

    photograph = Image.fromarray(data.coffee())
    mask = Image.new("L", photograph.size)
    ImageDraw.Draw(mask).polygon(CUP, fill=1)
    photograph = photograph.resize((width, height), Image.Resampling.BOX)
    mask = mask.resize((width, height), Image.Resampling.NEAREST)
    return torch.from_numpy(np.array(photograph)).permute(2, 0, 1).contiguous(), torch.from_numpy(np.array(mask)).long()


def _outline(ax, labels, color, width=1.6, under="black") -> None:
    labels = np.asarray(labels, dtype=float)
    if labels.min() == labels.max():
        return
    ax.contour(labels, levels=[0.5], colors=under, linewidths=width + 1.4)
    ax.contour(labels, levels=[0.5], colors=color, linewidths=width)


def cups(image, panels: dict, columns: int = 3) -> Figure:
    """The photograph with one outline a panel: ``panels`` is title → labels [H, W] of 0 and 1."""
    height, width = image.shape[1:]
    rows = -(-len(panels) // columns)
    fig = plots.figure(8.4, rows * (8.4 / columns * height / width + 0.4))
    for ax, (title, labels) in zip(fig.subplots(rows, columns, squeeze=False).flat, panels.items()):
        plots.image(ax, image)
        _outline(ax, labels, "white")
        bare(ax, title, fontsize=10)
    return fig


def live_crf(image, truth, probabilities, weight, sigma_xy, sigma_rgb, smoothness, iterations) -> Figure:
    """Before and after a CRF on a small photograph with two labels, and the probability of label 1."""
    crf = DenseCRF(Bilateral(weight, sigma_xy, sigma_rgb), Gaussian(smoothness, 1.5), iterations=iterations)
    q = crf(image, probabilities)
    labels, before = q.argmax(0), probabilities.argmax(0)
    fig = Figure(figsize=(9, 3.5), facecolor="white", layout="none")
    left, right = fig.add_axes((0.01, 0.02, 0.48, 0.86)), fig.add_axes((0.51, 0.02, 0.48, 0.86))
    plots.image(left, image)
    _outline(left, before, plots.CYCLE[4], 1.2)
    _outline(left, labels, "white", 1.8)
    scores = [100 * metrics.boundary_f1(each, truth, 2) for each in (before, labels)]
    left.set_title(f"boundary F1: {scores[0]:.0f} % before (orange), {scores[1]:.0f} % after (white)", fontsize=10)
    right.imshow(q[1], cmap="cividis", vmin=0, vmax=1)
    plots.bare(right, "probability of cup, from 0 (dark) to 1 (bright)", fontsize=10)
    return fig
