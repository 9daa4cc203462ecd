"""Figures of chapter 02: decision borders, back-propagation, activations, depth, optimisers, feature maps.

Every function draws what it is handed and returns a matplotlib figure; nothing here trains.
"""

import numpy as np
import torch
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap
from matplotlib.patches import Circle, Rectangle

from segbook import plots

#: One colour for each of the ten digits; grey stands for "no ink".
DIGIT_COLORS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#882255", "#8C6D1F", "#44AA99", "#332288",
)  # fmt: skip
ORANGE = "#B34700"  # derivatives; dark enough for small text
_SIDES = ListedColormap(["#D6E6F2", "#F9DFCC"])


def _array(values) -> np.ndarray:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _image(axes, values, **options):
    axes.imshow(_array(values), **options)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set(visible=True, color=plots.PALE)


# ------------------------------------------------------------------------------------------------------- borders


def decision_regions(nets: dict, x, y, creases: str | None = None):
    """What each two-class net answers on the plane, with the points it was trained on.

    ``nets``: title → net from [N, 2] to logits [N, 2]; ``x`` float [N, 2], ``y`` int [N]. ``creases`` names the net
    whose hidden units are drawn as dashed lines, where their sum is zero: its first layer is ``net[0]``.
    """
    fig = plots.figure(3.1 * len(nets) if len(nets) > 1 else 4.6, 3.0)
    low, high = x.min(0).values - 0.35, x.max(0).values + 0.35
    horizontal, vertical = torch.linspace(low[0], high[0], 160), torch.linspace(low[1], high[1], 120)
    grid = torch.cartesian_prod(vertical, horizontal).flip(1)
    for axes, (title, net) in zip(plots.row_of_axes(fig, len(nets)), nets.items()):
        with torch.no_grad():
            side = net(grid).argmax(1).reshape(120, 160)
            axes.pcolormesh(horizontal, vertical, side, cmap=_SIDES, vmin=0, vmax=1, rasterized=True)
            if title == creases:
                for row in (grid @ net[0].weight.T + net[0].bias).T:
                    lines = dict(levels=[0], colors="#555555", linewidths=0.8, linestyles="dashed")
                    axes.contour(horizontal, vertical, row.reshape(120, 160), **lines)
        for label, marker in ((0, "o"), (1, "^")):
            points = x[y == label]
            axes.scatter(*points.T, s=9, marker=marker, color=plots.CYCLE[label], linewidths=0, label=f"class {label}")
        axes.set(title=title, xlabel="input $x_1$", xlim=(low[0], high[0]), ylim=(low[1], high[1]))
        axes.grid(False)
    fig.axes[0].set_ylabel("input $x_2$")
    fig.axes[0].legend(loc="lower left", handletextpad=0.1)
    return fig


def folds(x, curves: dict):
    """One panel a curve over the unit interval; ``curves``: title → values like ``x``."""
    fig = plots.figure(9.0, 2.3)
    for axes, (title, values) in zip(plots.row_of_axes(fig, len(curves), sharey=True), curves.items()):
        axes.plot(_array(x), _array(values), linewidth=1.5)
        axes.set(title=title, xlabel="input $x$", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    fig.axes[0].set_ylabel("output")
    return fig


# -------------------------------------------------------------------------------------------- back-propagation


def backpropagation(values: dict, gradients: dict):
    """The 2-2-1 net as a graph: each value in black, the derivative of the loss with respect to it in orange below.

    Both dicts have the keys ``x`` [2], ``W1`` [2, 2], ``b1`` [2], ``a1`` [2], ``W2`` [2], ``b2`` [], ``prediction`` [],
    and ``values`` also ``loss``.
    """
    fig = plots.figure(9.0, 4.2)
    axes = fig.subplots()
    axes.set(xlim=(-0.7, 9.6), ylim=(-0.75, 3.65), aspect="equal")
    axes.axis("off")
    v = {name: _array(value) for name, value in values.items()}
    g = {name: _array(value) for name, value in gradients.items()}
    inputs, hidden, output, loss = [(0, 2.6), (0, 0.4)], [(4, 2.6), (4, 0.4)], (7, 1.5), (9, 1.5)

    def edge(start, end, where, value, gradient):
        axes.annotate("", end, start, arrowprops=dict(arrowstyle="-|>", color="#8A8A8A", shrinkA=30, shrinkB=30))
        at = np.array(start) * (1 - where) + np.array(end) * where
        box = dict(boxstyle="round,pad=0.05", facecolor="white", edgecolor="none")
        for rise, text, color in ((0.12, f"{value:+.2f}", plots.INK), (-0.12, f"{gradient:+.4f}", ORANGE)):
            axes.text(at[0], at[1] + rise, text, ha="center", va="center", fontsize=9, color=color, bbox=box)

    for i in (0, 1):
        for j in (0, 1):
            edge(inputs[j], hidden[i], 0.3, v["W1"][i, j], g["W1"][i, j])
        edge(hidden[i], output, 0.45, v["W2"][i], g["W2"][i])
    axes.annotate("", loss, output, arrowprops=dict(arrowstyle="-|>", color="#8A8A8A", shrinkA=30, shrinkB=30))

    def node(at, name, value, gradient, bias=None, fill="#EAF2F8"):
        axes.add_patch(Circle(at, 0.48, facecolor=fill, edgecolor=plots.CYCLE[0], linewidth=1.2, zorder=3))
        axes.text(at[0], at[1] + 0.2, name, ha="center", va="center", fontsize=9, zorder=4)
        axes.text(at[0], at[1] - 0.02, f"{value:.3f}", ha="center", va="center", fontsize=9, zorder=4)
        if gradient is not None:
            text = f"{gradient:+.4f}"
            axes.text(at[0], at[1] - 0.24, text, ha="center", va="center", fontsize=8.5, color=ORANGE, zorder=4)
        if bias is not None:
            axes.text(at[0], at[1] + 0.74, f"bias {bias[0]:+.2f}", ha="center", va="center", fontsize=9)
            axes.text(at[0], at[1] + 0.56, f"{bias[1]:+.4f}", ha="center", va="center", fontsize=9, color=ORANGE)

    for i in (0, 1):
        node(inputs[i], f"$x_{i + 1}$", v["x"][i], g["x"][i], fill="#F4F4F4")
        node(hidden[i], f"$a_{i + 1}$", v["a1"][i], g["a1"][i], (v["b1"][i], g["b1"][i]))
    node(output, r"$\hat{y}$", v["prediction"], g["prediction"], (v["b2"], g["b2"]))
    node(loss, "loss", v["loss"], None, fill="#FBE9DD")
    axes.annotate("", (7.4, 3.45), (0.2, 3.45), arrowprops=dict(arrowstyle="->", color=plots.INK))
    axes.text(3.6, 3.52, "forward: values (black)", ha="center", va="bottom", fontsize=9)
    axes.annotate("", (0.2, -0.45), (7.4, -0.45), arrowprops=dict(arrowstyle="->", color=ORANGE))
    axes.text(3.6, -0.52, "backward: derivative of the loss by each value (orange)", ha="center", va="top", fontsize=9,
              color=ORANGE)  # fmt: skip
    return fig


# -------------------------------------------------------------------------------------------------- activations


def activation_gallery(x, functions: dict, derivatives: dict, softmax):
    """Eight activations with their derivatives, and softmax in the ninth panel.

    ``functions`` and ``derivatives``: name → values like ``x`` [n]; ``softmax`` [n, 3]: the three probabilities while
    the first logit is ``x``.
    """
    fig = plots.figure(9.0, 6.6)
    panels = fig.subplots(3, 3, sharex=True).ravel()
    for axes, name in zip(panels, functions):
        axes.axhline(0, color="#9A9A9A", linewidth=0.8)
        axes.plot(_array(x), _array(functions[name]), label="$f(x)$")
        axes.plot(_array(x), _array(derivatives[name]), "--", label="$f'(x)$", linewidth=1.5)
        bounded = name in ("sigmoid", "tanh")
        axes.set(title=name, ylim=(-1.25, 1.25) if bounded else (-1.25, 3.2))
    for column, (name, line) in enumerate(zip(("$p_1$", "$p_2$", "$p_3$"), ("-", "--", ":"))):
        panels[8].plot(_array(x), _array(softmax)[:, column], line, label=name)
    panels[8].set(title="softmax of $(x,\\ 1,\\ 0.1)$", ylim=(-0.1, 1.25))
    panels[8].legend(ncols=3, loc="upper left", columnspacing=0.8, handlelength=1.4)
    panels[0].legend(loc="lower right")
    for axes in panels[6:]:
        axes.set_xlabel("input $x$")
    return fig


def gradients_by_layer(norms: dict):
    """Gradient norm of each layer on a logarithmic scale: a panel an activation, a line an initialisation.

    ``norms``: (activation, initialisation) → array [repetitions, layers]; lines are geometric means, bands the range.
    """
    names = list(dict.fromkeys(name for name, _ in norms))
    fig = plots.figure(9.0, 3.3)
    for axes, name in zip(plots.row_of_axes(fig, len(names), sharey=True), names):
        for number, (initialization, style) in enumerate(zip(("naive", "Xavier", "He"), ("o-", "s--", "^:"))):
            values = np.asarray(norms[name, initialization])
            layers = np.arange(1, values.shape[1] + 1)
            color = plots.CYCLE[number]
            axes.fill_between(layers, values.min(0), values.max(0), color=color, alpha=0.25, linewidth=0)
            mean = np.exp(np.log(values).mean(0))
            axes.plot(layers, mean, style, color=color, markersize=4, label=initialization)
        axes.set(
            title=name, xlabel="layer (1 = next to the input)", yscale="log", ylim=(1e-17, 1e2), xticks=[1, 4, 7, 10]
        )
    fig.axes[0].set_ylabel("norm of the weight gradient")
    fig.axes[-1].legend(loc="center right", title="initialisation")
    return fig


def through_depth(curve: tuple, signal: list, gradients: list, title: str):
    """One activation in a deep net: its curve over the incoming signal, the signal and the gradient in every layer.

    ``curve``: (x, f(x), f'(x)); ``signal``: for each layer its sums before the activation, 1-d arrays; ``gradients``:
    for each layer the norm of its weight gradient, on a logarithmic scale.
    """
    # Places are fixed and texts few: this figure is redrawn while a slider moves, and both cost most of the time.
    fig = plots.figure(9.0, 3.4)
    fig.set_layout_engine("none")
    left, middle, right = (
        fig.add_axes((x0, 0.15, width, 0.76)) for x0, width in ((0.05, 0.34), (0.45, 0.29), (0.77, 0.21))
    )
    x, f, slope = (_array(values) for values in curve)
    edges = np.linspace(x[0], x[-1], 61)
    # Values beyond the axis are counted in the last bin: piling up at the edges is what saturation looks like.
    counts = [np.histogram(np.clip(_array(layer), x[0], x[-1]), edges)[0] for layer in signal]
    outlines = [np.repeat(0.9 * count / max(count.max(), 1), 2) for count in counts]
    steps = np.repeat(edges, 2)[1:-1]

    for layer, color in ((0, plots.CYCLE[5]), (len(signal) - 1, plots.CYCLE[4])):
        left.fill_between(steps, -1.3, -1.3 + outlines[layer], color=color, alpha=0.6, linewidth=0,
                          label=f"inputs of layer {layer + 1}")  # fmt: skip
    left.plot(x, f, color=plots.CYCLE[0], label="f")
    left.plot(x, slope, "--", color=plots.CYCLE[1], label="slope of f")
    left.set(title=title, xlabel="input of the activation", xlim=(x[0], x[-1]), ylim=(-1.3, 3.2), xticks=[-4, -2, 0, 2, 4],
             yticks=[-1, 0, 1, 2, 3])  # fmt: skip
    left.legend(loc="upper left", fontsize=8)

    layers = np.arange(1, len(signal) + 1)
    rows = [np.column_stack([steps, n + 0.45 - outline]) for n, outline in zip(layers, outlines)]
    rows = [np.vstack([[x[0], n + 0.45], row, [x[-1], n + 0.45]]) for n, row in zip(layers, rows)]
    middle.add_collection(PolyCollection(rows, facecolor=plots.CYCLE[5], edgecolor="none"))
    middle.set(title="Signal, layer by layer", xlabel="input of the activation", xlim=(x[0], x[-1]), ylabel="layer",
               ylim=(len(layers) + 0.6, 0.4), xticks=[-4, -2, 0, 2, 4], yticks=layers)  # fmt: skip

    # A norm of exactly 0 has no place on the scale; like everything below 1e-12 it leaves its row empty.
    exponents = np.log10(np.maximum(gradients, 1e-12))
    colors = [plots.CYCLE[2] if -2 <= e <= 1.5 else plots.CYCLE[1] for e in exponents]
    right.axvspan(-2, 1.5, color="#D3EAE1", zorder=0)
    right.barh(layers, np.minimum(exponents, 6) + 12, left=-12, color=colors, height=0.6)
    right.set(title="Weight gradient", xlabel="norm, power of ten", xlim=(-12, 6), ylim=(len(layers) + 0.6, 0.4),
              xticks=[-12, -6, 0, 6], yticks=[])  # fmt: skip
    for axes in (middle, right):
        axes.grid(False)
    return fig


def signal_at_depth(gains, spreads: dict):
    """Spread of the signal in the last layer over the gain of the first weights; ``spreads``: label → values."""
    fig = plots.figure(6.4, 3.2)
    axes = fig.subplots()
    for (label, values), style in zip(spreads.items(), ("o-", "s--")):
        axes.plot(_array(gains), _array(values), style, label=label, markersize=5)
    axes.set(xscale="log", yscale="log", xlabel="weights, as a multiple of He's initialisation", xticks=list(gains),
             ylabel="standard deviation\nin layer 10", ylim=(1e-12, 1e12))  # fmt: skip
    axes.set_xticklabels([f"{gain:g}" for gain in gains])
    axes.minorticks_off()
    axes.legend(loc="upper left")
    return fig


def valley(loss, paths: dict):
    """Paths of several optimisers over the same loss; ``loss`` takes [..., 2], ``paths``: title → points [steps, 2]."""
    fig = plots.figure(9.0, 3.2)
    horizontal, vertical = torch.linspace(-4.6, 2.0, 150), torch.linspace(-2.6, 2.6, 120)
    grid = torch.stack(torch.meshgrid(horizontal, vertical, indexing="xy"), -1)
    heights = loss(grid)
    for axes, (title, path) in zip(plots.row_of_axes(fig, len(paths), sharey=True), paths.items()):
        axes.contour(horizontal, vertical, heights, levels=np.geomspace(0.05, 80, 9), colors="#B5B5B5", linewidths=0.8)
        axes.plot(*_array(path).T, ".-", color=plots.CYCLE[0], linewidth=1.1, markersize=4)
        axes.plot(0, 0, "*", color=plots.CYCLE[1], markersize=12, linestyle="none", label="lowest point")
        axes.plot(*_array(path)[0], "s", color=plots.INK, markersize=5, linestyle="none", label="start")
        axes.set(title=title, xlabel="$w_1$", xlim=(-4.6, 2.0), ylim=(-2.6, 2.6))
        axes.grid(False)
    fig.axes[0].set_ylabel("$w_2$")
    fig.axes[0].legend(loc="lower right", fontsize=8)
    return fig


# ------------------------------------------------------------------------------------------------ digits and maps


def training_and_mistakes(losses, images, predictions, labels):
    """The loss of every step, and the first eight images [N, 1, H, W] whose prediction is wrong."""
    fig = plots.figure(9.0, 2.9)
    left, right = fig.subfigures(1, 2, width_ratios=[1, 1.35])
    axes = left.subplots()
    axes.plot(np.arange(1, len(losses) + 1), losses, linewidth=1.2)
    axes.set(title="Training loss", xlabel="step", ylabel="cross-entropy of the batch", yscale="log")
    wrong = torch.nonzero(predictions != labels).flatten().tolist()
    title = f"{len(wrong)} mistakes on {len(labels)} test images" + (", the first 8" if len(wrong) > 8 else "")
    right.suptitle(title, fontsize=11)
    for number, panel in enumerate(right.subplots(1 if len(wrong) <= 4 else 2, 4).ravel()):
        panel.axis("off")
        panel.set_anchor("N")
        if number < len(wrong):
            index = wrong[number]
            _image(panel, images[index, 0], cmap="gray_r", vmin=0, vmax=1)
            panel.axis("on")
            panel.set_title(f"{labels[index]} read as {predictions[index]}", fontsize=9, loc="center", pad=3)
    return fig


def feature_maps(image, stages: dict, count: int = 12):
    """An image [H, W] and the ``count // 2`` channels of each stage that answer most; ``stages``: label → maps [C, H, W].

    Every map has its own brightness scale, from no response (dark) to its strongest (bright).
    """
    fig = plots.figure(9.0, 1.25 * len(stages) + 0.3)
    grid = fig.add_gridspec(len(stages), count // 2 + 2)
    axes = fig.add_subplot(grid[:, :2])
    _image(axes, image, cmap="gray_r")
    axes.set_title("input")
    for row, (label, maps) in enumerate(stages.items()):
        inner = grid[row, 2:].subgridspec(1, count // 2)
        strongest = maps.amax((1, 2)).argsort(descending=True, stable=True)[: count // 2].sort().values
        for column, channel in enumerate(strongest.tolist()):
            axes = fig.add_subplot(inner[column])
            _image(axes, maps[channel], cmap="magma", vmin=0)
            axes.set_title(f"channel {channel}", fontsize=8, loc="center", pad=2)
            if column == 0:
                axes.set_ylabel(label, fontsize=9)
    return fig


def what_pooling_keeps(scenes: list, maps: list, pooled: list, channel: int):
    """Two scenes side by side: image [H, W], one channel of its feature maps [C, h, w], its pooled vector [C]."""
    fig = plots.figure(9.0, 5.4)
    panels = fig.subplots(3, 2, height_ratios=[1, 1, 0.75])
    top = max(float(m[channel].max()) for m in maps)
    for column, name in enumerate("AB"):
        _image(panels[0, column], scenes[column], cmap="gray_r", vmin=0, vmax=1)
        panels[0, column].set_title(f"scene {name}")
        _image(panels[1, column], maps[column][channel], cmap="magma", vmin=0, vmax=top)
        values = _array(pooled[column])
        panels[2, column].bar(np.arange(len(values)), values, color=plots.CYCLE[0], width=0.8)
        panels[2, column].set(
            xlabel="channel", ylim=(0, 1.08 * max(float(p.max()) for p in pooled)), xlim=(-1, len(values))
        )
    panels[0, 0].set_ylabel("image")
    panels[1, 0].set_ylabel(f"map of\nchannel {channel}")
    panels[2, 0].set_ylabel("average of\neach map")
    return fig


def class_maps(scene, maps, digits: tuple[int, int], labels):
    """A scene [H, W], the class maps [10, h, w] of two digits, and the strongest class of every inked pixel [H, W].

    ``labels`` is int [H, W], -1 where there is no ink.
    """
    fig = plots.figure(9.0, 4.0)
    panels = fig.subplots(2, 2).ravel()
    _image(panels[0], scene, cmap="gray_r", vmin=0, vmax=1)
    panels[0].set_title("the image")
    top = float(maps[list(digits)].max())
    for axes, digit in zip(panels[1:3], digits):
        _image(axes, maps[digit], cmap="magma", vmin=0, vmax=top)
        axes.set_title(f'how much "{digit}" is here (class map)')
    height, width = labels.shape
    colored = np.ones((height, width, 3))
    present = [digit for digit in range(10) if (labels == digit).any()]
    for digit in present:
        colored[_array(labels == digit)] = [int(DIGIT_COLORS[digit][i : i + 2], 16) / 255 for i in (1, 3, 5)]
    _image(panels[3], colored)
    panels[3].set_title("strongest class of every inked pixel")
    keys = [Rectangle((0, 0), 1, 1, color=DIGIT_COLORS[digit]) for digit in present]
    columns = (len(present) + 1) // 2 if len(present) > 5 else 1
    panels[3].legend(keys, [str(d) for d in present], loc="center", ncols=columns, handlelength=0.9, fontsize=8)
    return fig


def curves(series: dict, ylabel: str, levels: dict | None = None, log: bool = False):
    """Several training curves over the step; ``levels``: label → height of a dotted line."""
    fig = plots.figure(6.4, 3.0)
    axes = fig.subplots()
    for (label, values), style in zip(series.items(), ("-", "--", "-.")):
        axes.plot(np.arange(1, len(values) + 1), values, style, label=label, linewidth=1.5)
    for label, height in (levels or {}).items():
        axes.axhline(height, color=plots.INK, linestyle=":", linewidth=1.2)
        place = dict(xycoords=("axes fraction", "data"), xytext=(0, -5), textcoords="offset points")
        axes.annotate(label, (0.99, height), ha="right", va="top", fontsize=9, **place)
    axes.set(xlabel="step", ylabel=ylabel, yscale="log" if log else "linear")
    axes.legend(loc="best")
    return fig
