"""Drawings of chapter 01: roads through points, descents, error curves, digits, confusion matrices.

Every function takes arrays or tensors on the CPU and returns a matplotlib figure. Colours keep their meaning: blue is
training, orange validation, green test, grey dashes the truth.
"""

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from segbook.plots import CYCLE, INK, PALE, figure, paint, row_of_axes, to_uint8

TRAIN, VALIDATION, TEST = CYCLE[:3]
TRUTH = "#5A5A5A"
CURVE = "#A0457C"


def four_pieces() -> Figure:
    """Draw data, model, loss and optimiser as boxes, with what flows between them."""
    fig = figure(8.5, 2.9)
    ax = fig.add_subplot()
    ax.set(xlim=(0, 17), ylim=(0, 5.6))
    ax.axis("off")
    boxes = {
        "data": (0.2, 2.6, "inputs $x$ and labels $y$", TRAIN),
        "model": (6.6, 2.6, "makes $\\hat{y}$ from $x$ and weights $w$", CYCLE[3]),
        "loss": (13.0, 2.6, "one number: how wrong", VALIDATION),
        "optimiser": (6.6, 0.1, "changes the weights a little", TEST),
    }
    for name, (left, low, text, color) in boxes.items():
        ax.add_patch(FancyBboxPatch((left, low), 3.8, 1.5, boxstyle="round,pad=0.08", fc="white", ec=color, lw=2))
        ax.text(left + 1.9, low + 0.98, name, ha="center", va="center", weight="bold")
        ax.text(left + 1.9, low + 0.42, text, ha="center", va="center", fontsize=8)

    def arrow(start, end, text, place, bend=0.0):
        style = f"arc3,rad={bend}"
        ax.add_patch(FancyArrowPatch(start, end, connectionstyle=style, arrowstyle="-|>", mutation_scale=14, color=INK))
        ax.text(*place, text, ha="center", va="center", fontsize=9)

    arrow((4.1, 3.35), (6.5, 3.35), "$x$", (5.3, 3.65))
    arrow((10.5, 3.35), (12.9, 3.35), "$\\hat{y}$", (11.7, 3.72))
    arrow((2.1, 4.2), (14.9, 4.2), "$y$", (8.5, 5.35), bend=-0.12)
    arrow((14.9, 2.5), (10.5, 0.85), "gradient $\\partial L / \\partial w$", (14.4, 1.15), bend=-0.15)
    arrow((8.5, 1.7), (8.5, 2.5), "new $w$", (9.4, 2.1))
    return fig


def _road_axes(ax) -> None:
    ax.set(xlim=(-1.08, 1.08), ylim=(-2, 2), xlabel="distance ahead $x$ (scaled)", xticks=(-1, -0.5, 0, 0.5, 1))


def roads(x, y, curves, *, validation=None, truth=None) -> Figure:
    """Draw the same points once a curve, with the curve through them.

    ``curves``: {title: (grid, values)}; ``validation``: (x, y) of points the curves were not fitted to;
    ``truth``: (grid, values) of the real road.
    """
    fig = figure(9.0, 3.0)
    for ax, (title, (grid, values)) in zip(row_of_axes(fig, len(curves), sharey=True), curves.items()):
        if truth is not None:
            ax.plot(*truth, "--", color=TRUTH, lw=1.2, label="true road")
        ax.plot(grid, values, color=CURVE, label="fitted")
        ax.plot(x, y, "o", color=TRAIN, ms=5, label="training points")
        if validation is not None:
            ax.plot(*validation, "s", color=VALIDATION, ms=4, label="validation points")
        ax.set_title(title)
        _road_axes(ax)
    fig.axes[0].set_ylabel("offset to the left $y$ (m)")
    if validation is not None or truth is not None:
        handles, labels = fig.axes[0].get_legend_handles_labels()
        fig.legend(handles, labels, loc="outside lower center", ncols=4)
    return fig


def descent(x, y, path, loss, best) -> Figure:
    """Draw gradient descent twice: as a path over the loss surface, and as the lines it passes through.

    ``path``: [steps, 2] rows (w, b); ``loss(w, b)`` takes arrays of one shape; ``best``: (w, b) at the bottom.
    """
    path = np.asarray(path)
    fig = figure(9.0, 3.6)
    surface, lines = fig.subplots(1, 2)
    w, b = np.meshgrid(np.linspace(-0.6, 2.2, 80), np.linspace(-0.7, 2.4, 80))
    drawn = surface.contourf(w, b, loss(w, b), levels=np.geomspace(0.5, 40, 16), cmap="Blues", norm=LogNorm(0.4, 80))
    fig.colorbar(drawn, ax=surface, label="loss $L$ (m²)", ticks=[0.5, 1, 2, 5, 10, 20, 40], format="%g")
    surface.plot(*path.T, "o-", color=CURVE, ms=3, lw=1)
    surface.plot(*path[0], "o", color=INK, label="start")
    surface.plot(*best, "*", color=VALIDATION, ms=13, label="lowest point")
    surface.set(xlabel="slope $w$", ylabel="intercept $b$", title="every point is one line")
    surface.legend(loc="upper right")
    surface.grid(False)
    chosen = [0, 1, 2, 10, len(path) - 1]
    for number, step in enumerate(chosen):
        shade = 0.25 + 0.75 * number / (len(chosen) - 1)
        ends = np.array([-0.3, 3.3])
        lines.plot(ends, path[step, 0] * ends + path[step, 1], color=CURVE, alpha=shade, label=f"after {step} steps")
    lines.plot(x, y, "o", color=TRAIN, ms=7, label="data")
    lines.set(xlabel="$x$", ylabel="$y$ (m)", title="the same path, seen as lines")
    lines.legend(fontsize=8)
    return fig


def step_sizes(histories, lowest) -> Figure:
    """Draw how far the loss is above its ``lowest`` value, by step, on a log scale; ``histories``: {label: losses}."""
    fig = figure(7.0, 3.2)
    ax = fig.add_subplot()
    for number, (label, losses) in enumerate(histories.items()):
        above = np.asarray(losses) - lowest
        shown = np.flatnonzero(above < 1e3)
        ax.plot(shown, above[shown], color=CYCLE[number])
        ax.annotate(label, (shown[-1], above[shown[-1]]), xytext=(5, 0), textcoords="offset points",
                    color=CYCLE[number], va="center", fontsize=9, annotation_clip=False)  # fmt: skip
    ax.set(yscale="log", ylim=(1e-9, 1e3), xlabel="step", ylabel="loss above its lowest (m², log)")
    return fig


def errors_by_degree(errors, degrees, floor) -> Figure:
    """Draw error against the degree of the polynomial; ``errors``: {"training": values, "validation": values}.

    ``floor``: the error that the noise alone causes, in m².
    """
    fig = figure(7.0, 3.4)
    ax = fig.add_subplot()
    for (name, values), color, mark in zip(errors.items(), (TRAIN, VALIDATION), "os"):
        ax.plot(degrees, np.asarray(values), mark + "-", color=color, ms=5, label=name)
    ax.axhline(floor, color=TRUTH, ls="--", lw=1.2, label="true road: what to expect from the noise")
    best = int(np.argmin(np.asarray(errors["validation"])))
    low = float(errors["validation"][best])
    ax.annotate(f"lowest validation error: degree {degrees[best]}", (degrees[best], low), xytext=(0, -38),
                textcoords="offset points", ha="center", fontsize=9, arrowprops={"arrowstyle": "->"})  # fmt: skip
    ax.text(1.2, 0.75, "under-fitting", ha="center", style="italic")
    ax.text(10.5, 0.016, "over-fitting", ha="center", style="italic")
    ax.set(yscale="log", ylim=(1.5e-3, 4), xlabel="degree of the polynomial", ylabel="mean squared error (m², log)")
    ax.set_xticks(list(degrees))
    ax.legend(loc="upper center", bbox_to_anchor=(0.55, 1))
    return fig


def lottery(validation, test) -> Figure:
    """Draw how many candidates reach which accuracy on the validation images, and mark the winner's two scores."""
    validation, test = np.asarray(validation), np.asarray(test)
    winner = validation.argmax()
    fig = figure(7.0, 3.5)
    ax = fig.add_subplot()
    step = 0.02
    ax.hist(validation, bins=np.arange(0.24, 0.77, step) - step / 2, color=PALE, ec="white", label="500 candidates")
    for score, color, text in ((validation[winner], VALIDATION, "the winner on the 50 validation images"),
                                (test[winner], TEST, "the same winner on 1,000 new images")):  # fmt: skip
        ax.axvline(score, color=color, lw=2.5, label=f"{text}: {score:.0%}")
    ax.set(xlabel="accuracy", ylabel="candidates", xlim=(0.25, 0.8), ylim=(0, 65))
    ax.xaxis.set_major_formatter("{x:.0%}")
    fig.legend(loc="outside upper left")
    return fig


def calmed(x, y, truth, fits) -> Figure:
    """Draw fits of one degree under several strengths of regularisation, with their weights as bars beneath.

    ``truth``: (grid, values); ``fits``: {title: (values on the grid, weights without the intercept)}.
    """
    fig = figure(9.0, 4.6)
    axes = fig.subplots(2, len(fits), sharey="row", height_ratios=(3, 2))
    for (upper, lower), (title, (values, weights)) in zip(axes.T, fits.items()):
        upper.plot(*truth, "--", color=TRUTH, lw=1.2, label="true road")
        upper.plot(truth[0], values, color=CURVE, label="fitted")
        upper.plot(x, y, "o", color=TRAIN, ms=5, label="training points")
        upper.set_title(title)
        _road_axes(upper)
        weights = np.asarray(weights)
        lower.bar(np.arange(1, len(weights) + 1), np.abs(weights), color=CURVE)
        lower.set(yscale="log", ylim=(1e-3, 3e3), xlabel="power of $x$", xticks=[1, 4, 8, 12])
    axes[0, 0].set_ylabel("offset $y$ (m)")
    axes[1, 0].set_ylabel("size of the weight, log")
    axes[0, 0].legend(loc="lower right", fontsize=8)
    return fig


def polynomial_fitter(train, validation, test, grid, fitted, truth, errors, degree, opened) -> Figure:
    """Draw the live polynomial fitter: the fit on the left, the errors of every degree on the right.

    ``train``, ``validation``, ``test``: (x, y) points; ``fitted`` and ``truth``: values on ``grid``; ``errors``: rows of
    (training, validation, test) error, one a degree from 0. The test row is drawn only when ``opened``.
    """
    # Redrawn at every move of a slider. A constrained layout, a log axis and mathtext would each cost as much as the rest,
    # so the margins are fixed and logarithms are drawn on a plain axis with plain tick labels.
    fig = Figure(figsize=(9.0, 3.7), layout="none", facecolor="white")
    left, right = fig.subplots(1, 2)
    fig.subplots_adjust(0.065, 0.145, 0.985, 0.9, wspace=0.24)
    left.plot(grid, truth, "--", color=TRUTH, lw=1.2, label="true road")
    if opened:
        left.plot(*test, ".", color=TEST, ms=3, alpha=0.5, label="test")
    left.plot(grid, fitted, color=CURVE, label=f"degree {degree}")
    left.plot(*train, "o", color=TRAIN, ms=5, label="training")
    left.plot(*validation, "s", color=VALIDATION, ms=4, label="validation")
    left.set(xlim=(-1.08, 1.08), ylim=(-2.4, 2.4), xticks=(-1, 0, 1), yticks=(-2, -1, 0, 1, 2))
    left.set(xlabel="distance ahead x (scaled)", ylabel="offset y (m)")
    left.legend(loc="lower right", fontsize=8, ncols=2)
    errors = np.asarray(errors)
    degrees = np.arange(len(errors))
    drawn = np.log10(np.clip(errors, 1e-4, 1e3))  # an exact fit has no place on a log scale
    right.plot(degrees, drawn[:, 0], "o-", color=TRAIN, ms=4, label="training")
    right.plot(degrees, drawn[:, 1], "s-", color=VALIDATION, ms=4, label="validation")
    right.axvline(degree, color=CURVE, lw=8, alpha=0.2)
    seen = "test sealed"
    if opened:
        right.plot(degree, min(drawn[degree, 2], 1.9), "*", color=TEST, ms=16, label="test, opened")
        seen = f"test {_error(errors[degree, 2])}"
    right.set(ylim=(-4.2, 2), xlabel="degree", ylabel="mean squared error (m², log)", xticks=degrees[::2])
    right.set_yticks(range(-4, 3), ["0.0001", "0.001", "0.01", "0.1", "1", "10", "100"])
    right.legend(loc="upper center", fontsize=8, ncols=3, columnspacing=1)
    left.set_title(f"training {_error(errors[degree, 0])} · validation {_error(errors[degree, 1])} · {seen}")
    return fig


def _error(value) -> str:
    return f"{value:.3f}" if 5e-4 <= value < 1000 else "< 0.001" if value < 1 else "> 1000"


def digits(images, labels, titles=None) -> Figure:
    """Draw images [n, 8, 8] in rows of ten, each under its label (or its title)."""
    rows = -(-len(images) // 10)
    fig = figure(9.0, 1.15 * rows + 0.1)
    for ax, image, title in zip(fig.subplots(rows, 10, squeeze=False).flat, images, titles or labels):
        ax.imshow(np.asarray(image), cmap="gray_r", vmin=0, vmax=1)
        ax.set_title(str(title), fontsize=9, loc="center")
        ax.axis("off")
    for ax in fig.axes[len(images) :]:
        ax.axis("off")
    return fig


def learning_curve(training, validation, accuracy) -> Figure:
    """Draw loss by step for both sets on the left, validation accuracy on the right."""
    fig = figure(9.0, 2.9)
    left, right = fig.subplots(1, 2)
    left.plot(training, color=TRAIN, label="training")
    left.plot(validation, color=VALIDATION, label="validation")
    left.axhline(np.log(10), color=TRUTH, ls="--", lw=1.2, label="ln 10")
    left.set(xlabel="step", ylabel="cross-entropy", ylim=(0, 2.5))
    left.legend()
    right.plot(accuracy, color=VALIDATION)
    right.set(xlabel="step", ylabel="validation accuracy", ylim=(0, 1))
    right.yaxis.set_major_formatter("{x:.0%}")
    return fig


def templates(weights) -> Figure:
    """Draw the weights of a linear classifier, [64, 10], as ten images: blue speaks for the digit, red against it."""
    weights = np.asarray(weights).T.reshape(-1, 8, 8)
    fig = figure(9.0, 2.9)
    limit = np.abs(weights).max()
    axes = fig.subplots(2, 5)
    for number, (ax, weight) in enumerate(zip(axes.flat, weights)):
        drawn = ax.imshow(weight, cmap="RdBu", vmin=-limit, vmax=limit)
        ax.set_title(f"for {number}", fontsize=9, loc="center")
        ax.axis("off")
    fig.colorbar(drawn, ax=axes, label="weight", shrink=0.9)
    return fig


def confusion(counts) -> Figure:
    """Draw a confusion matrix [K, K] (rows truth, columns prediction) with its numbers and the accuracy of each row."""
    counts = np.asarray(counts)
    size = len(counts)
    fig = figure(6.6, 4.6)
    ax, bars = fig.subplots(1, 2, width_ratios=(4, 1.2), sharey=True)
    _matrix(ax, counts)
    for row in range(size):
        for column in range(size):
            if counts[row, column]:
                color = "white" if counts[row, column] > counts.max() / 3 else INK
                ax.text(column, row, counts[row, column], ha="center", va="center", color=color, fontsize=9)
    ax.set(xlabel="predicted digit", ylabel="true digit", xticks=range(size), yticks=range(size))
    accuracy = np.diag(counts) / counts.sum(1)
    bars.barh(range(size), accuracy, color=TEST)
    bars.set(xlim=(0, 1), xlabel="right, of its row", xticks=[0, 0.5, 1])
    bars.xaxis.set_major_formatter("{x:.0%}")
    bars.tick_params(labelleft=False)
    return fig


def _matrix(ax, counts):
    shown = np.ma.masked_equal(counts, 0)
    drawn = ax.imshow(shown, cmap="Blues", norm=LogNorm(0.5, max(2, counts.max())))
    ax.grid(False)
    ax.spines[:].set_visible(True)
    return drawn


def pixels(image, target, prediction, palette, counts, names) -> Figure:
    """Draw a scene [3, H, W], two label maps [H, W] and their confusion matrix [K, K]."""
    fig = figure(9.0, 5.4)
    grid = fig.add_gridspec(3, 2, width_ratios=(1, 2.1))
    shown = (to_uint8(image), paint(target, palette), paint(prediction, palette))
    for row, (colors, title) in enumerate(zip(shown, ("image", "labels", "labels, moved right"))):
        ax = fig.add_subplot(grid[row, 0])
        ax.imshow(colors)
        ax.set_title(title, fontsize=9)
        ax.axis("off")
    ax = fig.add_subplot(grid[:, 1])
    drawn = _matrix(ax, np.asarray(counts))
    for row in range(len(names)):
        ax.plot(-0.95, row, "s", ms=9, color=palette[row] / 255, mec=INK, mew=0.4, clip_on=False)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.tick_params(axis="y", pad=22, length=0)
    ax.set_xticks(range(len(names)), names, rotation=55, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="predicted class", ylabel="true class")
    fig.colorbar(drawn, ax=ax, label="pixels (log scale)", shrink=0.8)
    return fig


def scores(rows, chance=0.5) -> Figure:
    """Draw one strip of dots a row, with the mean as a bar; ``rows``: {label: accuracies}."""
    fig = figure(8.0, 0.55 * len(rows) + 1.1)
    ax = fig.add_subplot()
    for number, values in enumerate(rows.values()):
        values = np.asarray(values)
        # Dots of one value are stacked in a fixed order, so that none hides another.
        same = np.array([(values[:i] == value).sum() for i, value in enumerate(values)])
        ax.plot(values, number + 0.25 - 0.09 * same, "o", ms=4, color=CYCLE[number], alpha=0.8)
        ax.plot([values.mean()] * 2, [number - 0.38, number + 0.38], color=INK, lw=2.5)
    ax.axvline(chance, color=TRUTH, ls="--", lw=1.2)
    ax.text(chance + 0.005, -0.48, "pure guessing", fontsize=8.5, va="bottom", color=TRUTH)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(
        xlim=(0.3, 1),
        ylim=(len(rows) - 0.4, -0.75),
        xlabel="accuracy on the half kept for testing (dots: worlds, bar: mean)",
    )
    ax.xaxis.set_major_formatter("{x:.0%}")
    ax.grid(axis="y", visible=False)
    return fig


def four_points(points, labels, first_weight, second_weight, intercept) -> Figure:
    """Draw the four points [4, 2] of exclusive or over the probability that a logistic regression gives to label 1."""
    fig = figure(4.6, 3.6)
    ax = fig.add_subplot()
    first, second = np.meshgrid(np.linspace(-0.5, 1.5, 60), np.linspace(-0.5, 1.5, 60))
    probability = 1 / (1 + np.exp(-(first_weight * first + second_weight * second + intercept)))
    drawn = ax.imshow(probability, extent=(-0.5, 1.5, -0.5, 1.5), origin="lower", cmap="RdBu", vmin=0, vmax=1)
    fig.colorbar(drawn, ax=ax, label="probability of “empty surface”")
    names = {(1, 1): "sky", (0, 0): "road", (0, 1): "building", (1, 0): "marking"}
    for (a, b), label in zip(np.asarray(points).astype(int), np.asarray(labels)):
        mark, color, text = ("o", TRAIN, "empty surface") if label else ("X", VALIDATION, "something else")
        ax.plot(a, b, mark, ms=12, color=color, mec="white", ls="", label=text)
        ax.text(a, b - 0.24, names[a, b], ha="center")
    ax.set(xlabel="bright (0 or 1)", ylabel="high up (0 or 1)", xticks=[0, 1], yticks=[0, 1])
    ax.grid(False)
    handles, texts = ax.get_legend_handles_labels()
    ax.legend(handles[1:3], texts[1:3], loc="upper center", ncols=2)
    return fig
