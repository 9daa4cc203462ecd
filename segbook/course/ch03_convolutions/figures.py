"""Drawings of chapter 03: the sliding kernel, its relatives, and what they see."""

import textwrap

import numpy as np
import torch
from matplotlib.collections import LineCollection, PatchCollection, PolyCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from segbook import anatomy, plots

# One meaning a colour in every figure of the chapter.
INPUT, INPUT_DARK = "#D6E8F5", "#0072B2"
OUTPUT, OUTPUT_DARK = "#D3EEE3", "#009E73"
LIT, KERNEL = "#F5B841", "#F9DFAE"
OUTSIDE = "#F4F4F4"
GRAY = "#8A8A8A"

#: What slides in :func:`sliding_kernel`: small whole numbers, so that a step can be followed in the head.
IMAGE = np.array(
    [
        [1, 0, 2, 1, 3, 0],
        [2, 1, 0, 3, 1, 1],
        [0, 3, 1, 2, 0, 2],
        [1, 2, 2, 0, 1, 3],
        [3, 0, 1, 1, 2, 0],
        [0, 1, 3, 0, 2, 1],
    ]
)
SMALL_IMAGE = np.array([[2, 1, 0], [1, 3, 2], [0, 1, 2]])
WEIGHTS = {
    1: np.array([[2]]),
    2: np.array([[1, 2], [-1, 1]]),
    3: np.array([[1, 2, 0], [0, 1, -1], [2, 0, 1]]),
    4: np.array([[1, 0, 2, 1], [0, 1, -1, 0], [2, 1, 0, 1], [1, 0, 1, 2]]),
    5: np.array([[1, 0, 1, 0, 2], [0, 2, 0, 1, 0], [1, 0, -1, 0, 1], [0, 1, 0, 2, 0], [2, 0, 1, 0, 1]]),
}


# ------------------------------------------------------------------------------------------- the sliding kernel

_GLYPHS: dict[str, TextPath] = {}


def _numbers(ax, entries, size, color, dx=0.0, dy=0.0) -> None:
    """Write the numbers ``entries`` = [(x, y, text)] centred at those places, all in one artist (200 texts are slow)."""
    patches = []
    for x, y, text in entries:
        if text not in _GLYPHS:
            _GLYPHS[text] = TextPath((0, 0), text, size=1, prop=FontProperties(family="DejaVu Sans"))
        glyph = _GLYPHS[text]
        box = glyph.get_extents()
        move = Affine2D().translate(-(box.x0 + box.x1) / 2, -0.365).scale(size).translate(x + dx, y + dy)
        patches.append(PathPatch(glyph.transformed(move)))
    ax.add_collection(PatchCollection(patches, facecolor=color, edgecolor="none", zorder=4))


class _Board:
    """A grid of ``rows`` × ``columns`` cells that fills a square box of the page; row 0 is on top."""

    def __init__(self, ax, shape, left, bottom, side, largest=4.6):
        self.ax, self.shape = ax, shape
        self.cell = min(largest, side / max(shape))
        self.left = left + (side - self.cell * shape[1]) / 2
        self.top = bottom + (side + self.cell * shape[0]) / 2

    def corner(self, row, column):
        """The upper left corner of a cell on the page."""
        return self.left + column * self.cell, self.top - row * self.cell

    def square(self, row, column, height=1, width=1):
        x, y = self.corner(row, column)
        w, h = width * self.cell, height * self.cell
        return [(x, y), (x + w, y), (x + w, y - h), (x, y - h)]

    def fill(self, cells, color, edge="white", style="-", line=1.4, zorder=1):
        cells = [self.square(*cell) for cell in cells]
        self.ax.add_collection(
            PolyCollection(cells, facecolor=color, edgecolor=edge, linestyle=style, linewidth=line, zorder=zorder)
        )

    def frame(self, row, column, height, width, color, line=2.2):
        self.ax.add_collection(
            PolyCollection(
                [self.square(row, column, height, width)], facecolor="none", edgecolor=color, linewidth=line, zorder=5
            )
        )

    def write(self, values, color=plots.INK, size=0.42, dx=0.0, dy=0.0):
        """``values``: {(row, column): number or text}."""
        entries = []
        for (row, column), value in values.items():
            x, y = self.corner(row + 0.5, column + 0.5)
            entries.append((x, y, str(value).replace("-", "−")))
        _numbers(self.ax, entries, size * self.cell, color, dx * self.cell, dy * self.cell)


def _cells(shape, inset=0):
    return [(r, c) for r in range(inset, shape[0] - inset) for c in range(inset, shape[1] - inset)]


def _page(width=9.0, height=4.75):
    fig = Figure(figsize=(width, height), facecolor="white", layout="none")
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 10 * width), ylim=(0, 10 * height))
    ax.axis("off")
    return fig, ax


def sliding_kernel(kernel_size=3, stride=1, padding=0, dilation=1, transposed=False, step=0) -> Figure:
    """One step of a (transposed) convolution: the cells it touches light up, and its arithmetic is written out.

    ``step`` counts the steps in reading order and starts again after the last one. The input is 6×6, for a transposed
    convolution 3×3. A setting without an output is drawn with the reason.
    """
    if transposed:
        return _stamping(kernel_size, stride, padding, dilation, step)
    weights, x = WEIGHTS[kernel_size], np.pad(IMAGE, padding)
    reach = dilation * (kernel_size - 1) + 1
    size = (len(x) - reach) // stride + 1 if len(x) >= reach else 0
    fig, ax = _page()
    if size == 0:
        _boards(ax, x, padding, weights)
        _caption(ax, "6×6", "none")
        note = f"The kernel reaches over {reach} cells, the padded input has only {len(x)}."
        ax.text(45, 4.8, note, ha="center", fontsize=11)
        return fig

    taps = dilation * np.arange(kernel_size)
    windows = [[x[np.ix_(r * stride + taps, c * stride + taps)] for c in range(size)] for r in range(size)]
    y = (np.array(windows) * weights).sum((2, 3))
    step %= size * size
    row, column = divmod(step, size)
    top, left = row * stride, column * stride
    lit = {(top + a, left + b): weights[i, j] for i, a in enumerate(taps) for j, b in enumerate(taps)}

    source, _ = _boards(ax, x, padding, weights, lit)
    source.write({cell: f"×{weight}" for cell, weight in lit.items()}, color="#6B4100", size=0.24, dx=0.22, dy=-0.31)
    source.frame(top, left, reach, reach, "#C77700")
    target = _Board(ax, y.shape, 56, 9.5, 32)
    cells = _cells(y.shape)
    target.fill(cells[:step], OUTPUT)
    target.fill(cells[step + 1 :], OUTSIDE)
    target.fill([(row, column)], OUTPUT_DARK)
    target.write({cell: y[cell] for cell in cells[:step]})
    target.write({(row, column): y[row, column]}, color="white", size=0.5)
    _wedge(ax, source.square(top, left, reach, reach), target.square(row, column))
    formula = f"⌊ (6 + 2·{padding} − {reach}) / {stride} ⌋ + 1 = {size}"
    _caption(ax, "6×6", f"{size}×{size}", formula)
    terms = " + ".join(f"{x[cell]}·{_signed(weight)}" for cell, weight in lit.items())
    _arithmetic(ax, f"y[{row}, {column}] = {terms} = {y[row, column]}", step, size * size)
    return fig


def _stamping(kernel_size, stride, padding, dilation, step) -> Figure:
    """The transposed convolution: every input value stamps its multiple of the kernel onto the output."""
    x, weights = SMALL_IMAGE, WEIGHTS[kernel_size]
    reach = dilation * (kernel_size - 1) + 1
    full = (len(x) - 1) * stride + reach
    size = full - 2 * padding
    taps = dilation * np.arange(kernel_size)
    step %= x.size
    before, touched = np.zeros((full, full), dtype=int), np.zeros((full, full), dtype=bool)
    for number in range(step):
        row, column = divmod(number, len(x))
        stamp = np.ix_(row * stride + taps, column * stride + taps)
        before[stamp] += x[row, column] * weights
        touched[stamp] = True
    row, column = divmod(step, len(x))
    value, top, left = x[row, column], row * stride, column * stride
    lit = {(top + a, left + b): weights[i, j] for i, a in enumerate(taps) for j, b in enumerate(taps)}

    fig, ax = _page()
    source, kernel = _boards(ax, x, 0, weights, {(row, column): value})
    below = kernel.top - kernel.cell * kernel_size - 2.4
    ax.text(45, below, f"times {value}", ha="center", fontsize=11, color="#6B4100")
    target = _Board(ax, (full, full), 56, 9.5, 32)
    cells = _cells((full, full))
    inside = set(_cells((full, full), padding)) if size > 0 else set()
    target.fill([cell for cell in inside if not touched[cell]], OUTSIDE)
    target.fill([cell for cell in inside if touched[cell]], OUTPUT)
    target.fill([cell for cell in cells if cell not in inside], "white", edge="#B5B5B5", style=":", line=0.9)
    target.fill([cell for cell in lit if cell in inside], LIT, zorder=2)
    target.fill([cell for cell in lit if cell not in inside], KERNEL, edge="#B5B5B5", style=":", line=0.9, zorder=2)
    target.write({cell: before[cell] for cell in inside if touched[cell] and cell not in lit})
    target.write({cell: before[cell] + value * weight for cell, weight in lit.items() if cell in inside})
    target.frame(top, left, reach, reach, "#C77700")
    if size > 0:
        target.frame(padding, padding, size, size, OUTPUT_DARK, line=1.6)
    _wedge(ax, source.square(row, column), target.square(top, left, reach, reach))
    formula = f"(3 − 1)·{stride} + {reach} − 2·{padding} = {size}" if size > 0 else "the crop takes everything"
    _caption(ax, "3×3", f"{size}×{size}" if size > 0 else "none", formula)
    sums = [f"{before[c]}+{value}·{_signed(w)}={before[c] + value * w}" for c, w in lit.items()]
    _arithmetic(ax, f"x[{row}, {column}] = {value} adds {value}·kernel:  " + "  ".join(sums), step, x.size)
    return fig


def _boards(ax, x, padding, weights, lit=()):
    """The input with its padding and the cells that are in use now, and the kernel."""
    source = _Board(ax, x.shape, 2, 9.5, 32)
    cells, inside = _cells(x.shape), set(_cells(x.shape, padding))
    source.fill([cell for cell in cells if cell not in inside], "white", edge="#B5B5B5", style=":", line=0.9)
    source.fill(inside, INPUT)
    source.fill(lit, LIT, zorder=2)
    source.write({cell: x[cell] for cell in inside})
    outside = [cell for cell in cells if cell not in inside]
    source.write({cell: 0 for cell in outside if cell not in lit}, color="#9A9A9A", size=0.34)
    source.write({cell: 0 for cell in outside if cell in lit})
    kernel = _Board(ax, weights.shape, 39, 19.5, 12, largest=3.2)
    kernel.fill(_cells(weights.shape), LIT if lit else KERNEL)
    kernel.write({cell: weights[cell] for cell in _cells(weights.shape)})
    ax.text(45, kernel.top + 1.3, "kernel", ha="center", fontsize=11, color="#6B4100")
    return source, kernel


def _wedge(ax, start, end):
    """A beam from the right edge of one square to the left edge of another, behind everything."""
    beam = [start[1], end[0], end[3], start[2]]
    ax.add_collection(PolyCollection([beam], facecolor=LIT, alpha=0.25, edgecolor="none", zorder=0.5))
    edges = [(start[1], end[0]), (start[2], end[3])]
    ax.add_collection(LineCollection(edges, colors="#C77700", linewidths=0.9, alpha=0.7, zorder=0.6))


def _caption(ax, left_size, right_size, formula=""):
    ax.text(18, 44.2, f"input {left_size}", ha="center", fontsize=12.5, color=INPUT_DARK, weight="bold")
    ax.text(72, 44.2, f"output {right_size}", ha="center", fontsize=12.5, color=OUTPUT_DARK, weight="bold")
    ax.text(45, 44.2, formula, ha="center", fontsize=11, color=plots.INK)


def _arithmetic(ax, text, step, steps):
    for number, line in enumerate(textwrap.wrap(text.replace("-", "−"), 104)[:3]):
        ax.text(45, 6.4 - 2.1 * number, line, ha="center", fontsize=9.5, family="DejaVu Sans Mono")
    ax.text(45, 11, f"step {step + 1} of {steps}", ha="center", fontsize=9.5, color=GRAY)


def _signed(weight):
    return f"({weight})" if weight < 0 else str(weight)


# ------------------------------------------------------------------------------------------- the types at a glance


def types_at_a_glance() -> Figure:
    """Six convolutions as two planes: the input below, the output above, one output cell and what it is made of."""
    settings = [
        ("plain 3×3", 5, dict(k=3), 4),
        ("padding 1: the size is kept", 5, dict(k=3, p=1), 5),
        ("stride 2: every second place", 5, dict(k=3, s=2, p=1), 4),
        ("1×1: one pixel, all channels", 5, dict(k=1), 13),
        ("dilation 2: the same taps, spread", 7, dict(k=3, d=2), 4),
        ("transposed, stride 2: stamps", 3, dict(k=3, s=2, transposed=True), 4),
    ]
    fig = plots.figure(9.0, 6.2)
    for ax, (title, size, setting, step) in zip(fig.subplots(2, 3).flat, settings):
        made = _two_planes(ax, size, step=step, **setting)
        ax.set_title(f"{title}\n{size}×{size} → {made}×{made}", fontsize=10.5, loc="center")
    return fig


def _two_planes(ax, size, step, k, s=1, p=0, d=1, transposed=False):
    reach = d * (k - 1) + 1
    taps = [(d * i, d * j) for i in range(k) for j in range(k)]
    made = (size - 1) * s + reach if transposed else (size + 2 * p - reach) // s + 1
    row, column = divmod(step, size if transposed else made)
    spot, lit = (row, column), [(row * s - p + a, column * s - p + b) for a, b in taps]

    def plane(cells, n, height, color, **style):
        # Both planes are centred on the same vertical axis; depth runs up and to the right.
        def point(r, c):
            x, depth = c - n / 2, n / 2 - r
            return x + 0.42 * depth, 0.42 * depth + height

        corners = [[point(r, c), point(r, c + 1), point(r + 1, c + 1), point(r + 1, c)] for r, c in cells]
        ax.add_collection(PolyCollection(corners, facecolor=color, **style))
        return corners

    low, high = 0.0, 4.6
    frame = [(r, c) for r in range(-p, size + p) for c in range(-p, size + p)]
    padded = [cell for cell in frame if not (0 <= cell[0] < size and 0 <= cell[1] < size)]
    plane(padded, size, low, "white", edgecolor="#B5B5B5", linestyle=":", linewidth=0.8)
    plane(_cells((size, size)), size, low, INPUT, edgecolor="white", linewidth=1.2)
    below = plane([spot] if transposed else lit, size, low, LIT, edgecolor="white", linewidth=1.2)
    above = lit if transposed else [spot]
    plane(_cells((made, made)), made, high, OUTPUT, edgecolor="white", linewidth=1.2, zorder=3)
    above = plane(above, made, high, LIT if transposed else OUTPUT_DARK, edgecolor="white", linewidth=1.2, zorder=4)

    def hull(corners):  # taps come in reading order, so the first and the last are opposite corners
        n = int(len(corners) ** 0.5)
        return [corners[0][0], corners[n - 1][1], corners[-1][2], corners[-n][3]]

    ax.add_collection(
        LineCollection(list(zip(hull(below), hull(above))), colors="#C77700", linewidths=1, alpha=0.8, zorder=2)
    )
    ax.text(0, low - 0.42 * (size / 2 + p) - 0.75, "input", color=INPUT_DARK, fontsize=9, ha="center")
    ax.text(0, high + 0.42 * made / 2 + 0.3, "output", color=OUTPUT_DARK, fontsize=9, ha="center")
    ax.set(xlim=(-5.2, 5.2), ylim=(-2.6, 6.9), aspect="equal")
    ax.axis("off")
    return made


def wiring() -> Figure:
    """Which input channel reaches which output channel: standard, grouped, depthwise, depthwise separable."""
    channels = 6
    everything = [(i, o) for i in range(channels) for o in range(channels)]
    layouts = [
        ("standard", [everything]),
        ("grouped, 2 groups", [[(i, o) for i, o in everything if i // 3 == o // 3]]),
        ("depthwise", [[(i, i) for i in range(channels)]]),
        ("separable =\ndepthwise + pointwise", [[(i, i) for i in range(channels)], everything]),
    ]
    fig = plots.figure(9.0, 2.9)
    axes = fig.subplots(1, 4, width_ratios=[1, 1, 1, 1.7])
    for ax, (title, steps) in zip(axes, layouts):
        for number, pairs in enumerate(steps):
            spatial = not (len(steps) == 2 and number == 1)
            lines = [((number, -i), (number + 1, -o)) for i, o in pairs]
            color = "#C77700" if spatial else GRAY
            ax.add_collection(LineCollection(lines, colors=color, linewidths=1.6 if spatial else 1.0, alpha=0.75))
            label = f"{len(pairs)} kernels {'3×3' if spatial else '1×1'}"
            ax.text(number + 0.5, -channels + 0.05, label, ha="center", fontsize=9, color=color)
        for place in range(len(steps) + 1):
            color = INPUT_DARK if place == 0 else OUTPUT_DARK if place == len(steps) else "#E69F00"
            ax.scatter([place] * channels, -np.arange(channels), s=70, color=color, zorder=3)
        ax.set(xlim=(-0.2, len(steps) + 0.2), ylim=(-channels - 0.3, 0.5))
        ax.set_title(title, fontsize=10.5, loc="center")
        ax.axis("off")
    return fig


# ------------------------------------------------------------------------------------------- upsampling


def matrices(matrix, input_size, output_size) -> Figure:
    """C of a convolution as an image beside its transpose; ``matrix`` is [output cells, input cells]."""
    matrix = np.asarray(matrix)
    fig = plots.figure(9.0, 4.4)
    left, right = fig.subplots(1, 2, width_ratios=[matrix.shape[1], matrix.shape[0] * 2])
    names = f"{input_size}×{input_size} input cells", f"{output_size}×{output_size} output cells"
    for ax, shown, title in (
        (left, matrix, f"C: {matrix.shape[1]} numbers → {matrix.shape[0]}"),
        (right, matrix.T, "Cᵀ: the way back"),
    ):
        ax.imshow(np.where(shown == 0, np.nan, shown), cmap=ListedColormap([LIT]), aspect="equal")
        for (r, c), value in np.ndenumerate(shown):
            ax.text(c, r, f"{value:g}", ha="center", va="center", fontsize=9, color=plots.INK if value else "#C4C4C4")
        ax.set_xticks(np.arange(-0.5, shown.shape[1]), [""] * (shown.shape[1] + 1))
        ax.set_yticks(np.arange(-0.5, shown.shape[0]), [""] * (shown.shape[0] + 1))
        ax.tick_params(length=0)
        ax.set_title(title)
    left.set(xlabel=names[0], ylabel=names[1])
    right.set(xlabel=names[1], ylabel=names[0])
    return fig


def overlaps(settings=((3, 2), (4, 2)), cells=5) -> Figure:
    """In one dimension: the stamps of a transposed convolution, and how many of them meet at each output cell."""
    fig = plots.figure(9.0, 2.7)
    for ax, (kernel_size, stride) in zip(plots.row_of_axes(fig, len(settings)), settings):
        size = (cells - 1) * stride + kernel_size
        count = np.zeros(size, dtype=int)
        for cell in range(cells):
            start = cell * stride
            count[start : start + kernel_size] += 1
            ax.barh(-cell, kernel_size - 0.12, left=start + 0.06, height=0.72, color=LIT, alpha=0.9)
            ax.text(start + kernel_size / 2, -cell, f"stamp of cell {cell}", ha="center", va="center", fontsize=7.5)
        middle = count[kernel_size - 1 : size - kernel_size + 1]
        shades = [OUTPUT, "#7CCBAE", OUTPUT_DARK]
        for place, number in enumerate(count):
            ax.add_collection(
                PolyCollection([_box(place, -cells - 0.6)], facecolor=shades[number - 1], edgecolor="white")
            )
            color = "white" if number == 3 else plots.INK
            ax.text(place + 0.5, -cells - 0.1, str(number), ha="center", va="center", fontsize=10, color=color)
        ax.set(xlim=(-0.2, size + 0.2), ylim=(-cells - 0.8, 0.6))
        even = "even" if len(set(middle)) == 1 else "uneven"
        ax.set_title(f"kernel {kernel_size}, stride {stride}: {even}", fontsize=10.5)
        ax.axis("off")
    return fig


def _box(x, y):
    return [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)]


def tiles(images, titles, columns=3, cmap="Greys_r", width=9.0, row_height=2.4, rows=None, limits=None) -> Figure:
    """Small images [H, W] in a grid under their titles; ``rows`` names the rows. Each is stretched to its own range,
    unless ``limits`` = (low, high) is given; a constant image is drawn mid-grey."""
    count = -(-len(images) // columns)
    fig = plots.figure(width, row_height * count)
    for number, (ax, image, title) in enumerate(zip(fig.subplots(count, columns).flat, images, titles)):
        image = np.asarray(image)
        low, high = limits or (image.min(), image.max())
        if high - low < 1e-5:
            low, high = low - 1, high + 1
        ax.imshow(image, cmap=cmap, vmin=low, vmax=high)
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.set_title(title, fontsize=10, loc="center")
        if rows and number % columns == 0:
            ax.set_ylabel(rows[number // columns], fontsize=10)
    return fig


def bilinear_by_stamps(values, stride, kernel, difference) -> Figure:
    """Left: one-dimensional tents and their sum. Right: |transposed convolution − interpolation| on an image [H, W]."""
    values, kernel, difference = np.asarray(values), np.asarray(kernel), np.asarray(difference)
    size = (len(values) - 1) * stride + len(kernel)
    total, places = np.zeros(size), np.arange(size)
    fig = plots.figure(9.0, 3.3)
    left, right = fig.subplots(1, 2, width_ratios=[1.9, 1])
    for cell, value in enumerate(values):
        stamp = slice(cell * stride, cell * stride + len(kernel))
        total[stamp] += value * kernel
        center = cell * stride + (len(kernel) - 1) / 2
        foot = [center - stride, center, center + stride]
        left.fill_between(
            foot, [0, value, 0], color=LIT, alpha=0.35, linewidth=0, label="stamps" if cell == 0 else None
        )
        left.plot(center, value, "o", color=INPUT_DARK, markersize=9, label="input values" if cell == 0 else None)
    left.plot(places, total, "s-", color=OUTPUT_DARK, markersize=4, linewidth=1.2, label="their sum = output")
    left.set(xlabel="output cell", ylabel="value", title=f"stride {stride}: tents that sum to straight lines")
    left.set_ylim(0, 1.35 * values.max())
    left.legend(ncols=3, loc="upper center")
    shown = right.imshow(difference, cmap="viridis")
    right.set(xticks=[], yticks=[], title="difference from interpolation")
    right.grid(False)
    fig.colorbar(shown, ax=right, shrink=0.8)
    return fig


# ------------------------------------------------------------------------------------------- fields of view


def reach(stacks) -> Figure:
    """Trees of 3-tap convolutions, one panel a stack of dilations: which input cells one output cell is made of."""
    fig = plots.figure(9.0, 1.1 + 1.9 * len(stacks))
    widest = max(sum(stack) for stack in stacks)
    for ax, stack in zip(np.atleast_1d(fig.subplots(len(stacks), 1)), stacks):
        level, lines, nodes = {0}, [], [(0, len(stack))]
        for depth, dilation in zip(range(len(stack), 0, -1), reversed(stack)):
            below = set()
            for place in level:
                for tap in (-dilation, 0, dilation):
                    lines.append(((place, depth), (place + tap, depth - 1)))
                    below.add(place + tap)
            nodes += [(place, depth - 1) for place in below]
            level = below
        everywhere = np.arange(-widest - 1, widest + 2)
        for depth in range(len(stack) + 1):
            ax.scatter(everywhere, [depth] * len(everywhere), s=26, color="#E4E4E4")
        ax.add_collection(LineCollection(lines, colors="#C77700", linewidths=1.0, alpha=0.55))
        for place, depth in nodes:
            color = INPUT_DARK if depth == 0 else OUTPUT_DARK if depth == len(stack) else "#E69F00"
            ax.scatter(place, depth, s=42, color=color, zorder=3)
        span = max(level) - min(level) + 1
        dilations = ", ".join(str(d) for d in stack)
        ax.set_title(f"dilations {dilations}: spans {span} cells, uses {len(level)} of them", fontsize=10.5)
        ax.text(-widest - 1.7, 0, "input", ha="right", va="center", color=INPUT_DARK, fontsize=9)
        ax.text(-widest - 1.7, len(stack), "output", ha="right", va="center", color=OUTPUT_DARK, fontsize=9)
        ax.set(xlim=(-widest - 4, widest + 2), ylim=(-0.5, len(stack) + 0.5))
        ax.axis("off")
    return fig


def properties(name, net, channels, size) -> list:
    """One row of the table of types: name, weights, MACs, output shape, and what one output cell of ``net`` sees.

    The last two numbers are measured with a gradient on a map of 31×31 cells: the side of the input square that
    one output cell depends on, and how many of the cells along it do have an influence.
    """
    shape = net(torch.zeros(1, channels, size, size)).shape[1:]
    x = torch.ones(1, channels, 31, 31, requires_grad=True)
    y = net(x)
    y[0, 0, y.shape[2] // 2, y.shape[3] // 2].backward()
    used = x.grad.abs().sum((0, 1, 2)).nonzero().flatten().tolist()
    macs = anatomy.count_macs(net, (size, size), channels)
    shape = "×".join(str(side) for side in shape)
    return [name, anatomy.count_parameters(net), macs, shape, used[-1] - used[0] + 1, len(used)]


def cost_against_time(names, macs, milliseconds) -> Figure:
    """Computed cost against measured time, both logarithmic, one marker a layer."""
    macs, milliseconds = np.asarray(macs) / 1e6, np.asarray(milliseconds)
    fig = plots.figure(9.0, 4.0)
    ax = fig.subplots()
    speed = (macs / milliseconds).max()
    line = np.array([macs.min() / 2, macs.max() * 2])
    ax.plot(
        line,
        line / speed,
        "--",
        color=GRAY,
        linewidth=1.2,
        zorder=1,
        label="every MAC as quick as\nin the quickest layer",
    )
    for number, (name, x, y) in enumerate(zip(names, macs, milliseconds)):
        color = plots.CYCLE[number % 7]
        shape = dict(marker="osD^vPX<>"[number % 9], facecolor="none", edgecolor=color)  # hollow: a hidden one shows
        ax.scatter(x, y, s=90, **shape, linewidth=1.8, zorder=3, label=name)
    ax.set(xscale="log", yscale="log", xlabel="million MACs (computed)", ylabel="milliseconds (measured)")
    fig.legend(loc="outside right center")
    return fig


def effective_fields(fields, names, theory) -> Figure:
    """Mean |gradient| over the input, [H, W] each, with the theoretical field as a frame; profiles on the right."""
    fields = [np.asarray(field) for field in fields]
    size = len(fields[0])
    fig = plots.figure(9.0, 2.9)
    axes = fig.subplots(1, len(fields) + 1, width_ratios=[1] * len(fields) + [1.35])
    for ax, field, name, side in zip(axes, fields, names, theory):
        ax.imshow(np.sqrt(field / field.max()), cmap="magma")
        middle = (size - 1) / 2
        half = min(side / 2, middle)
        ax.plot(
            middle + half * np.array([-1, 1, 1, -1, -1]), middle + half * np.array([-1, -1, 1, 1, -1]),
            color="white", linestyle="--", linewidth=1,
        )  # fmt: skip
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.set_title(name, fontsize=9.5, loc="center")
        profile = field.sum(0)
        axes[-1].plot(np.arange(size) - middle, profile / profile.max(), label=name.split("\n")[0])
    axes[-1].set(xlabel="pixels from the centre", ylim=(0, 1.75), yticks=[0, 1], ylabel="gradient (peak = 1)")
    axes[-1].legend(fontsize=8, loc="upper right", handlelength=1.2)
    return fig


def majority(mask, stride) -> np.ndarray:
    """The most frequent label of each ``stride`` × ``stride`` cell of a label map [H, W] (what is left over is cut off)."""
    mask = np.asarray(mask)
    height, width = mask.shape[0] // stride, mask.shape[1] // stride
    cells = mask[: height * stride, : width * stride].reshape(height, stride, width, stride).swapaxes(1, 2)
    votes = (cells.reshape(height, width, -1, 1) == np.arange(mask.max() + 1)).sum(2)
    return votes.argmax(-1)


def lost_places(image, mask, palette, strides=(8, 16, 32)) -> Figure:
    """A scene [H, W, 3], its labels [H, W], and what they become when each cell must agree (see :func:`majority`)."""
    image, mask, palette = np.asarray(image), np.asarray(mask), np.asarray(palette)
    fig = plots.figure(9.0, 1.65)
    maps = [mask, *(majority(mask, stride) for stride in strides)]
    titles = ["image", "labels", *(f"stride {s}: {m.shape[0]}×{m.shape[1]}" for s, m in zip(strides, maps[1:]))]
    axes = plots.row_of_axes(fig, len(titles))
    for ax, shown, title in zip(axes, [image, *(palette[m] for m in maps)], titles):
        ax.imshow(shown, extent=(0, mask.shape[1], mask.shape[0], 0))
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.set_title(title, fontsize=10, loc="center")
    return fig
