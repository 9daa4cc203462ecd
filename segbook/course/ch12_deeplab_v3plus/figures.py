"""Drawings of chapter 12: zoomed edges, cost and time, the Xception of the paper, the decoder, its ablations, a stretch."""

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import Tensor

from segbook import plots, showing
from segbook.metrics import boundary

#: The same colour for a net in every figure of the chapter.
NETS = {"FCN-8s": plots.CYCLE[6], "v3": plots.CYCLE[0], "v3+": plots.CYCLE[1]}
CHANGE = "#D55E00"  # what the paper changed in Xception
PLAIN = "#E4EEF5"


# ---------------------------------------------------------------------------------------------------- zoomed edges


def _outline(ax, mask, color="white") -> None:
    """The borders between the labels of ``mask`` as thin lines on the pixels' edges."""
    mask = np.asarray(mask)
    rows, columns = np.nonzero(mask[:, 1:] != mask[:, :-1])
    segments = [[(x + 0.5, y - 0.5), (x + 0.5, y + 0.5)] for y, x in zip(rows, columns)]
    rows, columns = np.nonzero(mask[1:] != mask[:-1])
    segments += [[(x - 0.5, y + 0.5), (x + 0.5, y + 0.5)] for y, x in zip(rows, columns)]
    from matplotlib.collections import LineCollection

    ax.add_collection(LineCollection(segments, colors="black", linewidths=2.2))
    ax.add_collection(LineCollection(segments, colors=color, linewidths=1.0))


def window_at(size, x: int, y: int, side: int):
    """(top, left, side) of a square of ``side`` pixels around (x, y) that lies inside an image of ``size`` (h, w)."""
    height, width = size
    side = min(side, height, width)
    return (
        int(np.clip(y - side // 2, 0, height - side)),
        int(np.clip(x - side // 2, 0, width - side)),
        side,
    )


def edge_zoom(image, mask, predictions: dict, window, dataset) -> Figure:
    """A scene with a window marked, and the window enlarged: image, truth and each of ``predictions`` (title → labels).

    ``window`` (top, left, side) in pixels. The white line is the border of the truth, so that one sees on which side of
    it a prediction ends.
    """
    top, left, side = window
    cut = (slice(top, top + side), slice(left, left + side))
    columns = 3 + len(predictions)
    height, width = np.shape(mask)
    fig = Figure(figsize=(10, 10 / (columns - 1 + width / height) + 0.75), facecolor="white", layout="none")
    share = 1 / (columns - 1 + width / height)
    bottom, gap = 0.2, 0.008
    axes, place = [], 0.0
    for number in range(columns):
        across = share * (width / height if number == 0 else 1)
        axes.append(fig.add_axes((place + gap / 2, bottom, across - gap, 0.68)))
        place += across
    plots.image(axes[0], image)
    axes[0].add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, edgecolor="black", linewidth=3))
    axes[0].add_patch(Rectangle((left - 0.5, top - 0.5), side, side, fill=False, edgecolor="white", linewidth=1.4))
    plots.bare(axes[0], "the scene", fontsize=10)
    pixels = np.asarray(image).transpose(1, 2, 0)[cut]
    axes[1].imshow(pixels, interpolation="nearest")
    plots.bare(axes[1], "enlarged", fontsize=10)
    maps = {"truth": mask, **predictions}
    for ax, (title, labels) in zip(axes[2:], maps.items()):
        ax.imshow(plots.paint(np.asarray(labels)[cut], dataset.palette, dataset.ignore_index), interpolation="nearest")
        _outline(ax, np.asarray(mask)[cut])
        plots.bare(ax, title, fontsize=10)
    present = [np.asarray(labels)[cut] for labels in maps.values()]
    plots.legend(fig, dataset.classes, dataset.palette, present=present, loc="lower center", bbox_to_anchor=(0.5, 0.0))
    return fig


class EdgeExplorer:
    """What the live figure of the chapter draws: an enlarged window of a scene, with and without the decoder."""

    def __init__(self, images: Tensor, masks: Tensor, predictions: dict, dataset):
        self.images, self.masks, self.predictions, self.dataset = images, masks, predictions, dataset

    def _labels(self, scene: int, decoder: bool):
        return self.predictions["v3+" if decoder else "v3"][scene]

    def draw(self, scene: int, decoder: bool, across: int, down: int, side: int) -> Figure:
        window = window_at(self.masks.shape[-2:], across, down, side)
        title = "decoder on: v3+" if decoder else "decoder off: v3"
        labels = {title: self._labels(scene, decoder)}
        return edge_zoom(self.images[scene], self.masks[scene], labels, window, self.dataset)

    def words(self, scene: int, decoder: bool, across: int, down: int, side: int) -> str:
        top, left, side = window_at(self.masks.shape[-2:], across, down, side)
        cut = (slice(top, top + side), slice(left, left + side))
        mask, labels = self.masks[scene][cut], self._labels(scene, decoder)[cut]
        edge = boundary(mask) & (mask != self.dataset.ignore_index)
        if not edge.any():
            return f"Scene {scene}, an enlarged window without a border, decoder {'on' if decoder else 'off'}."
        right = showing.measured(100 * (labels == mask)[edge].float().mean().item(), 0, "%")
        return (
            f"Scene {scene}, enlarged, decoder {'on' if decoder else 'off'}: of the pixels on a border {right} right."
        )


# ---------------------------------------------------------------------------------------------------- cost and time


def cost_and_time(channels, by_formula, by_clock) -> Figure:
    """How many times cheaper a separable layer is than a standard one, by MACs and by the clock, over its channels."""
    fig = plots.figure(6.5, 3.1)
    ax = fig.subplots()
    ax.plot(channels, by_formula, "o-", color=plots.CYCLE[0], label="MACs, by formula")
    ax.plot(channels, by_clock, "s--", color=plots.CYCLE[1], label="time, measured here")
    ax.axhline(9, color=plots.CYCLE[6], linewidth=1, linestyle=":", label="9 = 3 · 3, the formula's limit")
    ax.axhline(1, color=plots.INK, linewidth=0.8)
    words = {"textcoords": "offset points", "ha": "right", "va": "top", "fontsize": 9}
    ax.annotate("1: as expensive as standard", (channels[-1], 1), (0, -3), **words)
    ax.set_xscale("log", base=2)
    ax.set_xticks(channels, [str(c) for c in channels])
    top = max(
        10, 1.08 * max(by_clock)
    )  # a clock knows no limit: where the standard layer's routine is slow, it passes 9
    ax.set(xlabel="channels in and out", ylabel="times cheaper than standard", ylim=(0, top))
    ax.minorticks_off()
    fig.legend(loc="outside upper center", ncols=3)
    return fig


# ---------------------------------------------------------------------------------------------------------- Xception

FLOW = [
    ("stem", "conv 3×3, 32, stride 2\nconv 3×3, 64", "", "64 × 257 × 257", 1),
    ("entry 1", "3 separable, 128", "2", "128 × 129 × 129", 1),
    ("entry 2", "3 separable, 256", "2", "256 × 65 × 65", 1),
    ("entry 3", "3 separable, 728", "2", "728 × 33 × 33", 1),
    ("middle", "3 separable, 728", "", "728 × 33 × 33", 16),
    ("exit 1", "3 separable, 728, 1024, 1024", "", "1024 × 33 × 33", 1),
    ("exit 2", "3 separable, 1536, 1536, 2048", "3", "2048 × 33 × 33", 1),
]


def xception_flow() -> Figure:
    """Entry, middle and exit flow with the map sizes at 513×513, output stride 16; the three changes in orange."""
    fig = Figure(figsize=(10, 5.0), facecolor="white", layout="none")
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 100), ylim=(0, 50))
    ax.axis("off")

    def box(x, y, width, height, text, edge="#7A7A7A", face=PLAIN, weight=1.0, size=9):
        style = "round,pad=0.1,rounding_size=0.7"
        ax.add_patch(FancyBboxPatch((x, y), width, height, style, facecolor=face, edgecolor=edge, linewidth=weight))
        ax.text(x + width / 2, y + height / 2, text, ha="center", va="center", fontsize=size, linespacing=1.45)

    def arrow(start, end, color=plots.INK):
        ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": color, "linewidth": 1.3})

    def badge(x, y, number):
        ax.text(x, y, number, ha="center", va="center", fontsize=9.5, color="white", fontweight="bold",
                bbox={"boxstyle": "circle,pad=0.25", "facecolor": CHANGE, "edgecolor": "none"})  # fmt: skip

    columns = {"entry flow": (3, ["stem", "entry 1", "entry 2", "entry 3"]), "middle flow": (37, ["middle"]),
               "exit flow": (71, ["exit 1", "exit 2"])}  # fmt: skip
    rows = {name: row for row in FLOW for name in [row[0]]}
    for title, (left, names) in columns.items():
        ax.text(left + 13, 47.6, title, ha="center", fontsize=11.5, fontweight="bold")
        top = 44.5
        for name in names:
            _, text, mark, shape, times = rows[name]
            height = 6.6
            changed = mark in ("2", "3") or times > 1
            last = (
                "\n+ stride 2 in the third" if mark == "2" else "\nnorm + ReLU after depthwise" if mark == "3" else ""
            )
            box(left, top - height, 26, height, f"{name}:  {text}{last}" if name != "stem" else f"stem:  {text}",
                edge=CHANGE if changed else "#7A7A7A", weight=2.2 if changed else 1.0)  # fmt: skip
            ax.text(left + 13, top - height - 1.9, shape, ha="center", va="center", fontsize=8.5, family="monospace",
                    color="#444444")  # fmt: skip
            if mark:
                badge(left + 25.6, top - 0.4, mark)
            if times > 1:
                badge(left + 25.6, top - 0.4, "1")
                ax.text(left + 13, top - height - 5.2, "16 times (Xception: 8)", ha="center", color=CHANGE,
                        fontsize=10.5, fontweight="bold")  # fmt: skip
            top -= height + 4.0
            if name != names[-1]:
                arrow((left + 4, top + 4.0), (left + 4, top))
    arrow((29.6, 9.5), (36.6, 41), "#9A9A9A")
    arrow((63.6, 41), (70.6, 41), "#9A9A9A")
    # The low-level map leaves from the second convolution of entry 2.
    ax.annotate("low-level map, 256 × 129 × 129\n(after the second convolution)", (29.2, 20), (35, 17.5), fontsize=9,
                va="center", arrowprops={"arrowstyle": "<|-", "color": plots.CYCLE[2], "linewidth": 1.6})  # fmt: skip
    lines = [
        ("1", "the middle flow repeats 16 times instead of 8"),
        ("2", "max pooling becomes the stride of a separable convolution"),
        ("3", "batch norm, ReLU after every depthwise 3×3 (released code: ReLU in exit 2 only)"),
    ]
    ax.text(38.6, 11.0, "What the paper changed", fontsize=10.5, fontweight="bold", color=CHANGE)
    for place, (number, text) in enumerate(lines):
        badge(39.4, 8.4 - 3.0 * place, number)
        ax.text(41.2, 8.4 - 3.0 * place, text, va="center", fontsize=9.5)
    return fig


# ----------------------------------------------------------------------------------------------------------- decoder


def decoder_flow() -> Figure:
    """Figure 2 of the paper with the map sizes of an image of 513×513 pixels at output stride 16."""
    fig = Figure(figsize=(10, 3.3), facecolor="white", layout="none")
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 100), ylim=(0, 33))
    ax.axis("off")
    encoder, decoder = "#E4EEF5", "#FBEBD9"

    def box(x, y, width, text, face):
        ax.add_patch(FancyBboxPatch((x, y), width, 6.4, "round,pad=0.1,rounding_size=0.7", facecolor=face,
                                    edgecolor="#7A7A7A"))  # fmt: skip
        ax.text(x + width / 2, y + 3.2, text, ha="center", va="center", fontsize=9, linespacing=1.4)

    def arrow(start, end, text="", above=1.3):
        ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": plots.INK, "linewidth": 1.3})
        if text:
            ax.text((start[0] + end[0]) / 2, max(start[1], end[1]) + above, text, ha="center", fontsize=8.5,
                    family="monospace", color="#444444")  # fmt: skip

    ax.text(1, 30.4, "encoder = DeepLab v3", fontsize=11, fontweight="bold")
    ax.text(1, 9, "decoder", fontsize=11, fontweight="bold")
    box(1, 21, 9, "image\n3 × 513²", "white")
    box(16, 21, 15, "backbone\noutput stride 16", encoder)
    box(46, 21, 17, "ASPP: 1×1, three 3×3,\nimage pooling", encoder)
    arrow((10.3, 24.2), (15.6, 24.2))
    arrow((31.3, 24.2), (45.6, 24.2), "2048 × 33²")
    box(16, 6.5, 15, "1×1, 256 → 48", decoder)
    arrow((23.5, 20.7), (23.5, 13.3))
    ax.text(24.4, 17, "256 × 129²  (stride 4)", fontsize=8.5, family="monospace", color="#444444", va="center")
    box(46, 6.5, 17, "concatenate\n256 + 48 = 304", decoder)
    arrow((31.3, 9.7), (45.6, 9.7), "48 × 129²")
    arrow((54.5, 20.7), (54.5, 13.3))
    ax.text(55.4, 17, "256 × 33²,  ×4 up", fontsize=8.5, family="monospace", color="#444444", va="center")
    box(68.5, 6.5, 13.5, "3×3, 256\n3×3, 256, 1×1", decoder)
    arrow((63.3, 9.7), (68.1, 9.7))
    box(87.5, 6.5, 11.5, "logits\nK × 513²", "white")
    arrow((82.3, 9.7), (87.1, 9.7), "×4 up")
    return fig


# ------------------------------------------------------------------------------------------------- what was measured


def ablation(names, ours, paper, xlabel: str) -> Figure:
    """mIoU of the settings ``names``: ours, a dot a seed and a line through the means; the paper's beside it.

    ``ours``: name → [mIoU of each seed] in per cent; ``paper``: name → mIoU in per cent.
    """
    fig = plots.figure(9, 3.0)
    left, right = fig.subplots(1, 2)
    for place, name in enumerate(names):
        spread = np.linspace(-0.1, 0.1, len(ours[name])) if len(ours[name]) > 1 else np.zeros(1)
        left.plot(place + spread, ours[name], "o", color=plots.CYCLE[0], markersize=5)
    left.plot(range(len(names)), [np.mean(ours[name]) for name in names], color=plots.CYCLE[0], alpha=0.5)
    right.plot(range(len(names)), [paper[name] for name in names], "s-", color=plots.CYCLE[1])
    for ax, title in ((left, "ours: frozen encoder, Street"), (right, "paper: ResNet-101, VOC 2012 val")):
        ax.set_xticks(range(len(names)), names)
        ax.set(title=title, xlabel=xlabel, ylabel="mIoU, %", xlim=(-0.4, len(names) - 0.6))
        ax.grid(False, axis="x")
    fig.legend(
        handles=[Line2D([], [], marker="o", linestyle="none", color=plots.CYCLE[0], label="one seed"),
                 Line2D([], [], color=plots.CYCLE[0], alpha=0.5, label="mean"),
                 Line2D([], [], marker="s", color=plots.CYCLE[1], label="paper")],
        loc="outside upper right", ncols=3,
    )  # fmt: skip
    return fig


def trimap_curves(widths, curves: dict) -> Figure:
    """Mean IoU inside a band around the borders against the band's width, and each curve's lead over v3.

    ``curves``: name → [runs, widths] from 0 to 1; several runs are drawn as a mean with the span between lowest and highest.
    """
    fig = plots.figure(9, 3.4)
    left, right = fig.subplots(1, 2)
    base = 100 * np.mean(curves["v3"], axis=0)
    styles = {"FCN-8s": ":"}
    for name, runs in curves.items():
        runs = 100 * np.atleast_2d(runs)
        for ax, values in ((left, runs), (right, runs - base)):
            ax.plot(
                widths, values.mean(0), styles.get(name, "-"), color=NETS[name], marker="o", markersize=4, label=name
            )
            if len(values) > 1:
                ax.fill_between(widths, values.min(0), values.max(0), color=NETS[name], alpha=0.25, linewidth=0)
    for ax in (left, right):
        ax.set_xscale("log", base=2)
        ax.set_xticks(widths, [str(w) for w in widths])
        ax.minorticks_off()
        ax.set_xlabel("width of the band, pixels on each side")
    left.set_ylabel("mIoU in the band, %")
    right.set_ylabel("lead over v3, points")
    handles, labels = left.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return fig


def family(rows) -> Figure:
    """The paper's table 3 and 5 as an image: multiply-adds against mIoU; an arrow from each net to the same with decoder.

    ``rows``: (backbone, output stride, kind, mIoU, billion MACs) with kind "v3", "v3+" or "v3+ separable".
    """
    fig = plots.figure(8, 3.9)
    ax = fig.subplots()
    colors = {"ResNet-101": plots.CYCLE[0], "Xception-65": plots.CYCLE[1]}
    shapes = {"v3": "o", "v3+": "s", "v3+ separable": "*"}
    found = {(net, stride, kind): (macs, score) for net, stride, kind, score, macs in rows}
    for (net, stride, kind), (macs, score) in found.items():
        ax.plot(macs, score, shapes[kind], color=colors[net], markersize=13 if kind == "v3+ separable" else 8)
        if kind == "v3":
            ax.annotate(
                f"stride {stride}", (macs, score), (0, -14), textcoords="offset points", ha="center", fontsize=8.5
            )
        after = {"v3": "v3+", "v3+": "v3+ separable"}.get(kind)
        if (net, stride, after) in found:
            ax.annotate("", found[net, stride, after], (macs, score), arrowprops={
                "arrowstyle": "-|>", "color": colors[net], "alpha": 0.6, "shrinkA": 6, "shrinkB": 7})  # fmt: skip
    ax.set_xscale("log")
    ax.set_xticks([50, 100, 200, 300], ["50", "100", "200", "300"])
    ax.minorticks_off()
    ax.set(xlabel="billion multiply-adds for one image", ylabel="mIoU on VOC 2012 val, %", ylim=(76.5, 80.9),
           xlim=(42, 370))  # fmt: skip
    handles = [Rectangle((0, 0), 1, 1, color=color, label=net) for net, color in colors.items()]
    handles += [Line2D([], [], marker=shape, linestyle="none", color=plots.CYCLE[6],
                       markersize=12 if shape == "*" else 8, label=kind) for kind, shape in shapes.items()]  # fmt: skip
    fig.legend(handles=handles, loc="outside upper center", ncols=5)
    return fig


# ------------------------------------------------------------------------------------------------------------ clinic


def where_labels_change(changed: Tensor, band: Tensor, block: int = 16) -> Figure:
    """Labels that changed for every pixel of the ``band`` along borders (both bool [N, H, W]), in squares of ``block``."""

    def count(where):
        return torch.nn.functional.avg_pool2d(where.float().mean(0)[None, None], block, ceil_mode=True)[0, 0]

    share = 100 * count(changed) / count(band).clamp(min=1e-9)
    height, width = changed.shape[-2:]
    fig = plots.figure(5.6, 5.6 * height / width + 0.2)
    ax = fig.subplots()
    drawn = ax.imshow(share, cmap="magma", vmin=0, vmax=float(share.quantile(0.95)), extent=(0, width, height, 0))
    ax.grid(False)
    ax.set(xlabel="pixel column", ylabel="pixel row")
    fig.colorbar(drawn, ax=ax, label="changed labels per\n100 border pixels", shrink=0.75, extend="max")
    return fig
