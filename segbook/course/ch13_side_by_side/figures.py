"""Drawings of chapter 13: one dispute in print, the lineage, nine answers to one scene, scores against costs, the record."""

import ast
import difflib
import inspect

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyBboxPatch, Patch

from segbook import plots

NAMES = {
    "fcn32s": "FCN-32s", "fcn16s": "FCN-16s", "fcn8s": "FCN-8s", "segnet": "SegNet", "unet": "U-Net",
    "deeplab_v1": "DeepLab v1", "deeplab_v2": "DeepLab v2", "deeplab_v3": "DeepLab v3", "deeplab_v3plus": "DeepLab v3+",
}  # fmt: skip

#: One hue a family, told apart by the marker as well.
COLORS = {
    "fcn32s": "#56B4E9", "fcn16s": "#56B4E9", "fcn8s": "#0072B2", "segnet": "#009E73", "unet": "#CC79A7",
    "deeplab_v1": "#E69F00", "deeplab_v2": "#E69F00", "deeplab_v3": "#D55E00", "deeplab_v3plus": "#D55E00",
}  # fmt: skip
MARKERS = {
    "fcn32s": "v", "fcn16s": "^", "fcn8s": "s", "segnet": "D", "unet": "o",
    "deeplab_v1": "<", "deeplab_v2": ">", "deeplab_v3": "P", "deeplab_v3plus": "X",
}  # fmt: skip

#: What each net took from the one before it, and what it changed: (parent, change).
LINEAGE = {
    "fcn32s": (None, "a classifier made\nconvolutional"),
    "fcn16s": ("fcn32s", "+ scores of pool4"),
    "fcn8s": ("fcn16s", "+ scores of pool3"),
    "segnet": ("fcn32s", "a decoder; places of\nthe maxima cross"),
    "unet": ("fcn8s", "whole maps cross,\nconcatenated"),
    "deeplab_v1": ("fcn32s", "two strides become\nrates; one 3×3 at 12; CRF"),
    "deeplab_v2": ("deeplab_v1", "four rates, summed;\nResNet"),
    "deeplab_v3": ("deeplab_v2", "pyramid with norm and\nimage pooling; multi-grid"),
    "deeplab_v3plus": ("deeplab_v3", "+ one map at stride 4;\nseparable convolutions"),
}
_PLACES = {
    "fcn32s": (0, 1), "fcn16s": (1, 2), "fcn8s": (2, 2), "unet": (3, 2), "segnet": (1, 1),
    "deeplab_v1": (1, 0), "deeplab_v2": (2, 0), "deeplab_v3": (3, 0), "deeplab_v3plus": (4, 0),
}  # fmt: skip


def dispute(pairs: dict) -> Figure:
    """Slopes between two published tables: ``pairs`` name → (score in the one, score in the other), 0 to 1."""
    fig = plots.figure(6.2, 3.5)
    ax = fig.subplots()
    for (name, (left, right)), color in zip(pairs.items(), plots.CYCLE):
        ax.plot([0, 1], [100 * left, 100 * right], "o-", color=color, linewidth=2.2)
        ax.annotate(
            f"{name}  {100 * left:.1f}", (0, 100 * left), (-8, 0), textcoords="offset points", ha="right", va="center"
        )
        ax.annotate(f"{100 * right:.1f}  {name}", (1, 100 * right), (8, 0), textcoords="offset points", va="center")
    ax.set(xlim=(-1.15, 2.15), ylim=(43, 66), ylabel="mIoU on CamVid, %")
    ax.set_xticks([0, 1], ["in the FC-DenseNet\npaper's table", "in SegNet's\nbenchmark"])
    ax.grid(False)
    return fig


def lineage() -> Figure:
    """Who took what from whom."""
    fig = plots.figure(10, 3.7)
    ax = fig.subplots()
    for name, (x, y) in _PLACES.items():
        parent, change = LINEAGE[name]
        box = FancyBboxPatch((x - 0.33, y - 0.16), 0.66, 0.32, boxstyle="round,pad=0.02", facecolor=COLORS[name], alpha=0.3,
                             edgecolor=COLORS[name])  # fmt: skip
        ax.add_patch(box)
        ax.text(x, y, NAMES[name], ha="center", va="center", fontsize=10.5, fontweight="bold", color=plots.INK)
        ax.text(x, y - 0.22, change, ha="center", va="top", fontsize=8.5, color=plots.INK)
        if parent:
            a, b = _PLACES[parent]
            ax.annotate("", (x - 0.36, y), (a + 0.36, b), arrowprops={"arrowstyle": "-|>", "color": "#5A5A5A"})
    ax.set(xlim=(-0.5, 4.5), ylim=(-0.62, 2.3))
    ax.axis("off")
    return fig


def source_diff(old, new) -> str:
    """Lines by which the code of ``new`` differs from ``old``, - and + before them; several functions come in a list.

    Docstrings and unchanged lines are left out.
    """
    before, after = ([line for thing in _listed(things) for line in _code(thing)] for things in (old, new))
    lines = difflib.unified_diff(before, after, lineterm="", n=0)
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def _listed(things):
    return things if isinstance(things, list | tuple) else [things]


def _code(function) -> list[str]:
    tree = ast.parse(inspect.cleandoc("\n" + inspect.getsource(function)))
    body = tree.body[0].body
    if ast.get_docstring(tree.body[0]):
        del body[0]
    return ast.unparse(tree).splitlines()


def nine(image, mask, answers: dict, scores: dict, dataset) -> Figure:
    """One scene, its truth, and what each net says of it; ``scores`` stand in the titles."""
    height, width = plots.to_uint8(image).shape[:2]
    columns = 4
    rows = -(-(2 + len(answers)) // columns)
    fig = plots.figure(10, 10 / columns * height / width * rows + 1.25)
    fig.set_layout_engine("compressed", w_pad=0.03, h_pad=0.05, wspace=0.0, hspace=0.0)
    axes = fig.subplots(rows, columns).flat
    plots.image(next(axes), image, "image")
    plots.label_map(next(axes), mask, dataset.palette, ignore_index=dataset.ignore_index, title="truth")
    for name, labels in answers.items():
        plots.label_map(
            next(axes),
            labels,
            dataset.palette,
            ignore_index=dataset.ignore_index,
            title=f"{NAMES[name]}: {scores[name]:.2f}",
        )
    for ax in axes:
        ax.axis("off")
    plots.legend(fig, dataset.classes, dataset.palette, present=[mask, *answers.values()])
    return fig


def class_map(iou: dict, classes, share) -> Figure:
    """IoU of each net (rows) and class (columns, the commonest first), in per cent."""
    order = np.argsort(-np.asarray(share))
    values = np.array([100 * np.asarray(row)[order] for row in iou.values()])
    fig = plots.figure(9.5, 0.34 * len(iou) + 1.7)
    ax = fig.subplots()
    drawn = ax.imshow(values, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            ax.text(
                column,
                row,
                f"{value:.0f}",
                ha="center",
                va="center",
                fontsize=8.5,
                color="white" if value < 60 else "black",
            )
    ax.set_xticks(
        range(len(order)), [f"{classes[i]}\n{100 * float(share[i]):.1f} %" for i in order], rotation=40, ha="right"
    )
    ax.set_yticks(range(len(iou)), [NAMES[name] for name in iou])
    ax.grid(False)
    fig.colorbar(drawn, ax=ax, label="IoU, %", pad=0.01)
    return fig


def front(costs, scores) -> list[int]:
    """Indices of the points that no other beats in both (cheaper or equal and better or equal, one of them truly)."""
    kept = []
    for i, (cost, score) in enumerate(zip(costs, scores)):
        beaten = any(c <= cost and s >= score and (c < cost or s > score) for c, s in zip(costs, scores))
        if not beaten:
            kept.append(i)
    return sorted(kept, key=lambda i: costs[i])


def against_cost(scores: dict, costs: dict, measure: str = "mIoU, %") -> Figure:
    """``scores`` net → one a seed (0 to 1); ``costs`` axis label → net → cost. One panel a cost, with its Pareto front."""
    fig = plots.figure(10, 3.9)
    names = list(scores)
    mean = [100 * float(np.mean(scores[name])) for name in names]
    for column, (ax, (label, cost)) in enumerate(zip(plots.row_of_axes(fig, len(costs), sharey=True), costs.items())):
        x = [cost[name] for name in names]
        best = front(x, mean)
        ax.step(
            [x[i] for i in best],
            [mean[i] for i in best],
            where="post",
            color="#5A5A5A",
            linestyle="--",
            linewidth=1.3,
            zorder=1,
        )
        for i, name in enumerate(names):
            seeds = [100 * float(s) for s in scores[name]]
            ax.plot([x[i]] * 2, [min(seeds), max(seeds)], color=COLORS[name], linewidth=2, zorder=2)
            ax.plot(x[i], mean[i], MARKERS[name], color=COLORS[name], markersize=8, zorder=3,
                    markeredgecolor=plots.INK if i in best else "white",
                    markeredgewidth=1.4 if i in best else 0.6)  # fmt: skip
        ax.set(xlabel=label, ylabel=measure if column == 0 else "")
        if max(x) > 8 * min(x):
            ax.set_xscale("log")
    handles = [
        Line2D([], [], marker=MARKERS[n], color=COLORS[n], linestyle="none", markersize=7, label=NAMES[n])
        for n in names
    ]
    handles.append(Line2D([], [], color="#5A5A5A", linestyle="--", label="Pareto front"))
    fig.legend(handles=handles, loc="outside upper center", ncols=5)
    return fig


def pairs(differences: dict) -> Figure:
    """``differences`` label → one a seed, in points: a dot each; a pair whose dots lie on one side is filled."""
    fig = plots.figure(8, 0.36 * len(differences) + 1.1)
    ax = fig.subplots()
    for place, values in enumerate(differences.values()):
        agreed = min(values) > 0 or max(values) < 0
        ax.plot(values, [place] * len(values), "o", color=plots.CYCLE[0] if agreed else "#5A5A5A",
                markerfacecolor=plots.CYCLE[0] if agreed else "white", markersize=7)  # fmt: skip
        ax.plot([np.mean(values)], [place], "|", color=plots.INK, markersize=16, markeredgewidth=2)
    ax.axvline(0, color=plots.INK, linewidth=1)
    ax.set_yticks(range(len(differences)), list(differences))
    ax.invert_yaxis()
    ax.set_xlabel("difference of mIoU in points, the same seed in both")
    fig.legend(handles=[
        Line2D([], [], marker="o", linestyle="none", color=plots.CYCLE[0], label="all seeds agree"),
        Line2D([], [], marker="o", linestyle="none", color="#5A5A5A", markerfacecolor="white", label="they do not"),
        Line2D([], [], marker="|", linestyle="none", color=plots.INK, markersize=12, label="mean"),
    ], loc="outside upper right", ncols=3)  # fmt: skip
    return fig


WHO = {
    "both right": "#D9D9D9",
    "only the first": "#0072B2",
    "only the second": "#E69F00",
    "both wrong": "#1B1B1B",
    "void": "#FFFFFF",
}


def duel(image, mask, first, second, names: tuple[str, str], dataset) -> Figure:
    """Two nets on one scene: their answers, and who is right where."""
    truth, a, b = (np.asarray(labels).astype(int) for labels in (mask, first, second))
    who = np.select(
        [truth == dataset.ignore_index, (a == truth) & (b == truth), a == truth, b == truth], [4, 0, 1, 2], 3
    )
    height, width = truth.shape
    fig = Figure(figsize=(10, 10 / 5 * height / width + 0.95), facecolor="white", layout="none")
    panels = {"image": None, "truth": truth, NAMES[names[0]]: a, NAMES[names[1]]: b}
    tall = (10 / 5 * height / width) / (10 / 5 * height / width + 0.95)
    for place, title in enumerate([*panels, "who is right"]):
        ax = fig.add_axes((0.005 + place * 0.2, 0.62 / (10 / 5 * height / width + 0.95), 0.19, tall))
        if title == "image":
            plots.image(ax, image, title)
        elif title == "who is right":
            ax.imshow(who, cmap=ListedColormap(list(WHO.values())), vmin=0, vmax=4, interpolation="nearest")
            plots.bare(ax, title)
        else:
            plots.label_map(ax, panels[title], dataset.palette, ignore_index=dataset.ignore_index, title=title)
    labels = ["both right", f"only {NAMES[names[0]]}", f"only {NAMES[names[1]]}", "both wrong"]
    shares = [float((who == i).sum() / max(1, (who != 4).sum())) for i in range(4)]
    handles = [Patch(facecolor=c, edgecolor="#5A5A5A", label=f"{label}: {100 * s:.0f} %")
               for label, c, s in zip(labels, WHO.values(), shares)]  # fmt: skip
    handles.append(Patch(facecolor=WHO["void"], edgecolor="#5A5A5A", label="void"))
    fig.legend(handles=handles, loc="lower center", ncols=5)
    return fig


def grades(table: dict) -> dict:
    """``table`` quantity → (net → value, whether more is better): each scaled so that the best net has 1, the worst 0."""
    scaled = {}
    for quantity, (values, more_is_better) in table.items():
        low, high = min(values.values()), max(values.values())
        span = high - low or 1.0
        scaled[quantity] = {n: (v - low) / span if more_is_better else (high - v) / span for n, v in values.items()}
    return scaled


def recommend(scaled: dict, weights: dict) -> dict:
    """Weighted mean of the grades of each net, the best first."""
    total = sum(weights.values()) or 1.0
    nets = next(iter(scaled.values()))
    marks = {n: sum(weights[q] * scaled[q][n] for q in scaled) / total for n in nets}
    return dict(sorted(marks.items(), key=lambda item: -item[1]))


def recommendation(scaled: dict, weights: dict) -> Figure:
    """A bar a net, made of what each quantity contributes under these weights; the best net on top."""
    marks, total = recommend(scaled, weights), sum(weights.values()) or 1.0
    fig = Figure(figsize=(8, 3.4), facecolor="white", layout="none")
    ax = fig.add_axes((0.13, 0.13, 0.84, 0.72))
    left = np.zeros(len(marks))
    for (quantity, values), color in zip(scaled.items(), plots.CYCLE):
        part = np.array([weights[quantity] * values[name] / total for name in marks])
        ax.barh(range(len(marks)), part, 0.7, left=left, color=color, label=quantity)
        left += part
    ax.set_yticks(range(len(marks)), [NAMES[name] for name in marks])
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xlabel="weighted mark: 1 would be the best net in everything")
    ax.grid(False, axis="y")
    fig.legend(loc="upper center", ncols=len(scaled))
    return fig


PRETRAINING = {"none": "#0072B2", "ImageNet": "#E69F00", "Cityscapes": "#D55E00", None: "#8A8A8A"}
SIZES = {(360, 480): "o", (480, 640): "s", (720, 960): "^", None: "x"}


def published(rows) -> Figure:
    """Published scores, the best on top: colour for the pre-training, marker for the size; ours with a ring."""
    rows = sorted(rows, key=lambda row: -row.mean_iou)
    fig = plots.figure(8.5, 0.2 * len(rows) + 1.4)
    ax = fig.subplots()
    for place, row in enumerate(rows):
        size = row.size if row.size in SIZES else None
        ax.plot([35, 100 * row.mean_iou], [place] * 2, color="#D9D9D9", linewidth=1, zorder=1)
        ax.plot(
            100 * row.mean_iou,
            place,
            SIZES[size],
            color=PRETRAINING.get(row.pretraining, "#8A8A8A"),
            markersize=6,
            zorder=2,
        )
        if row.ours:
            ax.plot(
                100 * row.mean_iou,
                place,
                "o",
                markerfacecolor="none",
                markeredgecolor=plots.INK,
                markersize=12,
                zorder=3,
            )
    ax.set_yticks(range(len(rows)), [("→ " if row.ours else "") + row.system for row in rows], fontsize=8)
    ax.invert_yaxis()
    ax.set(xlim=(35, 85), xlabel="mIoU, %")
    ax.grid(False, axis="y")
    unknown = {None: "not said"}
    handles = [Patch(color=c, label=f"pre-trained: {unknown.get(n, n)}") for n, c in PRETRAINING.items()]
    for s, m in SIZES.items():
        label = "size not said" if s is None else f"{s[0]}×{s[1]}"
        handles.append(Line2D([], [], marker=m, color=plots.INK, linestyle="none", label=label))
    if any(row.ours for row in rows):
        handles.append(
            Line2D(
                [],
                [],
                marker="o",
                markerfacecolor="none",
                color=plots.INK,
                linestyle="none",
                markersize=11,
                label="ours",
            )
        )
    fig.legend(handles=handles, loc="outside upper center", ncols=4)
    return fig
