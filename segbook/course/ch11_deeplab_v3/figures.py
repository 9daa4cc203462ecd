"""Drawings of chapter 11: valid taps of an atrous kernel, what rates reach, where cells lie, what was measured."""

import numpy as np
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from segbook import plots

#: A 3×3 kernel can keep this many taps; dark is few.
TAP_COUNTS = (1, 2, 3, 4, 6, 9)
_TAP_COLORS = ("#440154", "#414487", "#2A788E", "#22A884", "#7AD151", "#FDE725")
_TAPS = ListedColormap(_TAP_COLORS), BoundaryNorm((0.5, 1.5, 2.5, 3.5, 5, 7.5, 9.5), 6)
_LINES = {9: ("#E69F00", "-"), 6: ("#009E73", "-."), 4: ("#0072B2", "--"), 2: ("#CC79A7", ":"), 1: ("#D55E00", "-")}


def valid_taps(height: int, width: int, rate: int) -> np.ndarray:
    """How many of a 3×3 kernel's nine taps lie on the map, for each cell that it is centred on: int [height, width]."""
    rows, columns = (_along(side, rate) for side in (height, width))
    return np.outer(rows, columns)


def _along(side: int, rate: int) -> np.ndarray:
    place = np.arange(side)
    return 1 + (place >= rate).astype(int) + (place + rate < side)


def tap_counts(maps: dict) -> Figure:
    """Small maps ``{title: counts [h, w]}`` as tables of numbers, tinted by the number."""
    height, width = np.shape(next(iter(maps.values())))
    fig = plots.figure(9, 9 / len(maps) * height / width + 0.45)
    axes = plots.row_of_axes(fig, len(maps))
    fig.draw_without_rendering()
    for ax, (title, counts) in zip(axes, maps.items()):
        counts = np.asarray(counts).astype(int)
        marks = {
            color: np.argwhere(counts == taps).tolist()
            for taps, color in zip(TAP_COUNTS, ("#D55E00", "#CC79A7", "#F0E442", "#56B4E9", "#009E73", "#F4F4F4"))
        }
        plots.number_grid(ax, counts, title=title, highlight=marks)
    return fig


def taps_by_rate(rates, shares: dict, side: int) -> Figure:
    """Share of the cells of a ``side``×``side`` map that keep 9, 6, 4, 2, 1 taps, over the rate."""
    fig = plots.figure(8, 3.4)
    ax = fig.subplots()
    _curves(ax, rates, shares)
    ax.set(xlabel=f"rate, on a map of {side} × {side} cells", ylabel="share of the cells, %", ylim=(0, 103))
    ax.set_xlim(min(rates), max(rates))
    fig.legend(loc="outside right upper", title="taps on the map")
    return fig


def _curves(ax, rates, shares) -> None:
    for taps, values in shares.items():
        color, style = _LINES[taps]
        name = {9: "all nine", 1: "one, the centre"}.get(taps, str(taps))
        ax.plot(rates, 100 * np.asarray(values), style, color=color, linewidth=2.2, label=name)


# ------------------------------------------------------------------------------------------------- the live figure

PLACES = {"the centre": (0.5, 0.5), "the middle of the upper edge": (0, 0.5), "the corner": (0, 0)}


def _cell(place: str, height: int, width: int) -> tuple[int, int]:
    down, right = PLACES[place]
    return int(down * height), int(right * width)


def kernel_on_map(rate: int, height: int, width: int, kernel_at: str = "the centre") -> Figure:
    """Left: every cell's number of valid taps, and one kernel. Right: the share of valid weights over the rate."""
    counts = valid_taps(height, width, rate)
    row, column = _cell(kernel_at, height, width)
    fig = Figure(figsize=(9.4, 4.1), facecolor="white", layout="none")
    ax = fig.add_axes((0.02, 0.05, 0.46, 0.83))
    span = max(rate, 1)
    ax.imshow(counts, cmap=_TAPS[0], norm=_TAPS[1])
    for down in (-rate, 0, rate):
        for right in (-rate, 0, rate):
            y, x = row + down, column + right
            inside = 0 <= y < height and 0 <= x < width
            ax.plot(x, y, "o" if inside else "X", color="white" if inside else "#D55E00", markersize=8,
                    markeredgecolor="black", markeredgewidth=1.0, clip_on=False)  # fmt: skip
    reach_y, reach_x = max(row + span - height + 1, span - row, 0), max(column + span - width + 1, span - column, 0)
    ax.set_xlim(-0.5 - reach_x - 0.7, width - 0.5 + reach_x + 0.7)
    ax.set_ylim(height - 0.5 + reach_y + 0.7, -0.5 - reach_y - 0.7)
    ax.add_patch(Rectangle((-0.5, -0.5), width, height, fill=False, edgecolor=plots.INK, linewidth=1.2))
    ax.set_aspect("equal")
    ax.axis("off")
    fig.text(0.02, 0.945, f"the map, {height} × {width} cells, and one kernel of rate {rate}", fontsize=10.5)

    ax = fig.add_axes((0.56, 0.3, 0.42, 0.58))
    last = max(height, width, rate) + 1
    rates = np.arange(1, last + 1)
    share = [valid_taps(height, width, r).mean() / 9 for r in rates]
    ax.plot(rates, 100 * np.asarray(share), color=plots.CYCLE[0])
    ax.axhline(100 / 9, color=plots.CYCLE[1], linestyle="--", linewidth=1.4)
    ax.text(0.01 * last, 2.5, "a 1×1 convolution", fontsize=9, color=plots.CYCLE[1])
    ax.plot(rate, 100 * counts.mean() / 9, "o", color=plots.INK, markersize=9)
    ax.set(xlim=(0, last + 0.5), ylim=(0, 104), xlabel="rate", ylabel="valid weights, %")
    ax.set_title("mean over all cells", fontsize=10.5)
    here = [Patch(color=c, label=str(n)) for n, c in zip(TAP_COUNTS, _TAP_COLORS) if (counts == n).any()]
    marks = [
        Line2D([], [], marker="o", linestyle="none", color="white", markeredgecolor="black", label="valid"),
        Line2D([], [], marker="X", linestyle="none", color="#D55E00", markeredgecolor="black", label="outside"),
    ]
    fig.legend(handles=here + marks, loc="lower right", ncols=8, fontsize=9, title="taps on the map; the kernel's taps",
               title_fontsize=9, columnspacing=1.0, handletextpad=0.4, bbox_to_anchor=(0.995, 0.0))  # fmt: skip
    return fig


def kernel_in_words(rate: int, height: int, width: int, kernel_at: str) -> str:
    """What :func:`kernel_on_map` shows."""
    counts = valid_taps(height, width, rate)
    here = counts[_cell(kernel_at, height, width)]
    return (
        f"A 3×3 kernel of rate {rate} on a map of {height}×{width} cells. At {kernel_at} {here} of its 9 taps lie on the "
        f"map; over all cells {100 * counts.mean() / 9:.0f} % of the weights are valid, and "
        f"{100 * (counts == 9).mean():.0f} % of the cells keep all nine."
    )


# ------------------------------------------------------------------------------------------------- what rates reach


def footprints(maps: dict, label: str = "ways from a cell to the middle (dark: many, white: none)") -> Figure:
    """Square maps ``{title: counts}`` side by side; white is "never looked at"."""
    fig = plots.figure(2.35 * len(maps), 2.9)
    for ax, (title, counts) in zip(plots.row_of_axes(fig, len(maps)), maps.items()):
        counts = np.asarray(counts, dtype=float)
        ax.imshow(np.where(counts > 0, counts, np.nan), cmap="viridis_r")
        middle = counts.shape[0] // 2
        ax.plot(middle, middle, "+", color="#D55E00", markersize=9, markeredgewidth=2)
        ax.set_xticks([])
        ax.set_yticks([])
        ax.grid(False)
        for spine in ax.spines.values():
            spine.set_visible(True)
        ax.set_title(title, fontsize=9.5)
    fig.supxlabel(label, fontsize=9.5)
    return fig


def cell_places(size: int, rows: dict) -> Figure:
    """Where cells lie along one side: ``{title: (pixels that the cells look at, pixels where the resize puts them)}``."""
    fig = plots.figure(9, 0.55 + 0.62 * len(rows))
    ax = fig.subplots()
    for place, (seen, put) in enumerate(rows.values()):
        ax.plot([0, size - 1], [place, place], color=plots.PALE, linewidth=6, solid_capstyle="butt", zorder=1)
        for a, b in zip(seen, put):
            if abs(a - b) > 0.1:
                ax.annotate("", (b, place), (a, place), arrowprops={"arrowstyle": "->", "color": plots.INK, "lw": 1.1})
        ax.plot(seen, [place] * len(seen), "o", color=plots.CYCLE[0], markersize=7, zorder=3)
        ax.plot(put, [place] * len(put), "|", color=plots.CYCLE[1], markersize=17, markeredgewidth=2.2, zorder=4)
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(xlim=(-2, size + 1), ylim=(len(rows) - 0.4, -0.6), xlabel="pixel")
    ax.grid(False)
    fig.legend(
        handles=[Line2D([], [], marker="o", linestyle="none", color=plots.CYCLE[0], label="where the cell looks"),
                 Line2D([], [], marker="|", linestyle="none", color=plots.CYCLE[1], markersize=13, markeredgewidth=2.2,
                        label="where the resize puts it")],
        loc="outside upper right", ncols=2,
    )  # fmt: skip
    return fig


# ------------------------------------------------------------------------------------------------- what was measured


def study(panels: dict, paper: dict, paper_title: str = "paper: mIoU, %") -> Figure:
    """A panel a measure, a dot a seed, a line for the mean; the paper's values in the last panel.

    ``panels``: title → {name: values of the seeds}, in per cent; ``paper``: name → value.
    """
    names = list(next(iter(panels.values())))
    fig = plots.figure(9, 0.9 + 0.42 * len(names))
    axes = fig.subplots(1, len(panels) + 1, sharey=True)
    for ax, (title, runs) in zip(axes, panels.items()):
        for place, values in enumerate(runs.values()):
            ax.plot(values, [place] * len(values), "o", color=plots.CYCLE[0], markersize=6, alpha=0.75)
            ax.plot(np.mean(values), place, "|", color=plots.INK, markersize=19, markeredgewidth=1.8)
        _room(ax, [v for values in runs.values() for v in values], 0.1)
        ax.set_title(title, fontsize=10)
    for place, name in enumerate(names):
        if name in paper:
            axes[-1].plot(paper[name], place, "D", color=plots.CYCLE[1], markersize=7)
            axes[-1].text(paper[name], place, f"   {paper[name]:.2f}", va="center", fontsize=9)
        else:
            axes[-1].text(min(paper.values()), place, "not measured", va="center", fontsize=9, style="italic")
    _room(axes[-1], list(paper.values()), 0.45)
    axes[-1].set_title(paper_title, fontsize=10)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    fig.legend(
        handles=[Line2D([], [], marker="o", linestyle="none", color=plots.CYCLE[0], label="one seed"),
                 Line2D([], [], marker="|", linestyle="none", color=plots.INK, markersize=13, markeredgewidth=1.8,
                        label="mean")],
        loc="outside upper right", ncols=2,
    )  # fmt: skip
    return fig


def _room(ax, values, right: float) -> None:
    """Limits a little outside the values, with more room for text on the right."""
    span = max(max(values) - min(values), 1.0)
    ax.set_xlim(min(values) - 0.1 * span, max(values) + right * span)


def sliding(shifts, scores: dict) -> Figure:
    """mIoU over the number of pixels that the prediction is moved, one line a net: ``{title: values}`` in per cent."""
    fig = plots.figure(8, 3.2)
    ax = fig.subplots()
    for color, style, (name, values) in zip(plots.CYCLE, ("o-", "s--"), scores.items()):
        ax.plot(shifts, values, style, color=color, label=name)
        best = int(np.argmax(values))
        ax.plot(shifts[best], values[best], "o", markersize=13, markerfacecolor="none", markeredgecolor=plots.INK)
    ax.set(xlabel="prediction moved right and down by … pixels", ylabel="mIoU, %")
    fig.legend(loc="outside upper right", ncols=2)
    return fig


def photograph(image, labels: dict, palette, names) -> Figure:
    """A photograph and label maps ``{title: labels [H, W]}`` of it, with the names of the classes that occur."""
    height, width = np.shape(image)[-2:]
    fig = plots.figure(9, 9 / (1 + len(labels)) * height / width + 0.75)
    axes = fig.subplots(1, 1 + len(labels))
    plots.image(axes[0], image, "the photograph")
    present = sorted({int(k) for values in labels.values() for k in np.unique(values)})
    for ax, (title, values) in zip(axes[1:], labels.items()):
        plots.image(ax, plots.paint(values, palette), title)
    fig.legend(handles=[Patch(color=np.asarray(palette[k]) / 255, label=names[k]) for k in present[:12]],
               loc="outside lower center", ncols=6)  # fmt: skip
    return fig
