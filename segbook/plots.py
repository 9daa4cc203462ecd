"""Figures of the course: one style, one way to show them, and the drawings that several chapters share.

Everything here draws what it is handed (arrays or tensors) and returns a matplotlib figure, an array of colours, or
draws on given axes; nothing trains, loads or displays on its own except the ``show`` functions.
"""

import math

import matplotlib
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from segbook.data.classes import DRIVING_CLASSES, DRIVING_PALETTE

DPI = 100

#: Line and bar colours, from the colour-blind-safe set of Okabe and Ito; the pale yellow comes last.
CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5A5A5A", "#F0E442")

INK = "#262626"  # text

PALE = "#D9D9D9"  # grid lines and frames

WRONG = (213, 94, 0)  # wrong pixels in error maps


def style() -> None:
    """Set the matplotlib style of the course (``sb.setup`` calls this).

    The background is white and opaque, so that a figure reads the same in a light and a dark JupyterLab.
    """
    matplotlib.rcParams.update(
        {
            "figure.dpi": DPI,
            "savefig.dpi": DPI,
            "figure.figsize": (7.0, 3.6),
            "figure.constrained_layout.use": True,
            "figure.constrained_layout.h_pad": 0.08,
            "figure.constrained_layout.w_pad": 0.06,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "axes.facecolor": "white",
            "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
            "font.size": 10,
            "axes.titlesize": 11,
            "axes.titlelocation": "left",
            "axes.titlepad": 6,
            "axes.labelsize": 10,
            "figure.titlesize": 12,
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.fontsize": 9,
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.titlecolor": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "axes.edgecolor": "#7A7A7A",
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#E4E4E4",
            "grid.linewidth": 0.8,
            "axes.prop_cycle": matplotlib.cycler(color=CYCLE),
            "lines.linewidth": 1.8,
            "lines.solid_capstyle": "round",
            "legend.frameon": False,
            "image.cmap": "viridis",
            "image.interpolation": "nearest",
        }
    )


def figure(width: float = 7.0, height: float = 3.6) -> Figure:
    """An empty figure of ``width`` × ``height`` inches with constrained layout, unknown to pyplot (so it cannot leak)."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def row_of_axes(fig: Figure, count: int, **options) -> np.ndarray:
    """``count`` axes side by side in ``fig``, always an array [count], also for one; options as for ``Figure.subplots``."""
    return fig.subplots(1, count, squeeze=False, **options)[0]


def as_numpy(value) -> np.ndarray:
    """A tensor (with or without gradients, on any device), array or nested list → numpy array."""
    return value.detach().cpu().numpy() if hasattr(value, "detach") else np.asarray(value)


def to_uint8(value) -> np.ndarray:
    """An image as people store them → uint8 [H, W, 3].

    Takes [3, H, W], [1, H, W], [H, W, 3] or [H, W]; uint8, or floats between 0 and 1. Raises ``ValueError`` otherwise.
    """
    array = as_numpy(value)
    if array.ndim == 3 and array.shape[0] in (1, 3) and array.shape[-1] != 3:
        array = np.moveaxis(array, 0, -1)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[-1] not in (1, 3):
        raise ValueError(f"an image has the shape [3, H, W], [H, W, 3] or [H, W]; this has {list(np.shape(value))}")
    if array.dtype != np.uint8:
        if array.dtype.kind == "f" and np.nanmin(array) >= 0 and np.nanmax(array) <= 1:
            array = np.round(array * 255)
        elif array.min() < 0 or array.max() > 255 or array.dtype.kind == "f":
            raise ValueError(
                f"an image holds uint8, or floats from 0 to 1; this is {array.dtype} from {array.min():g} to "
                f"{array.max():g} (a normalised image must be shown before it is normalised)"
            )
        array = array.astype(np.uint8)
    return np.repeat(array, 3, axis=2) if array.shape[-1] == 1 else array


def paint(mask, palette=DRIVING_PALETTE, ignore_index: int | None = None) -> np.ndarray:
    """Labels [H, W] → colours uint8 [H, W, 3].

    ``palette`` uint8 [K+1, 3]: one colour a class, the last for void. ``ignore_index`` is the label of void, by
    default K. Raises ``ValueError`` naming labels that have no colour.
    """
    mask, palette = as_numpy(mask), np.asarray(palette, dtype=np.uint8)
    if mask.ndim != 2:
        raise ValueError(f"a label map has the shape [H, W]; this has {list(mask.shape)}")
    void = len(palette) - 1
    index = np.where(mask == (void if ignore_index is None else ignore_index), void, mask).astype(np.int64)
    outside = (index < 0) | (index > void)
    if outside.any():
        labels = np.unique(mask[outside]).tolist()
        raise ValueError(f"the labels {labels} have no colour in a palette of {void} classes and void")
    return palette[index]


def overlay(image, mask, palette=DRIVING_PALETTE, alpha: float = 0.55, ignore_index: int | None = None) -> np.ndarray:
    """The label colours over the image, uint8 [H, W, 3]; void pixels show the image alone.

    ``alpha`` from 0 (image only) to 1 (labels only). Raises ``ValueError`` when the sizes differ.
    """
    base, labels = to_uint8(image), as_numpy(mask)
    if base.shape[:2] != labels.shape:
        raise ValueError(f"the image is {base.shape[:2]} (height, width), the label map {labels.shape}")
    void = len(palette) - 1 if ignore_index is None else ignore_index
    weight = np.where(labels == void, 0.0, alpha)[..., None]
    # The image turns grey under the labels, so that a colour always means a class.
    gray = base.mean(axis=2, keepdims=True)
    mixed = np.where(weight > 0, weight * paint(labels, palette, ignore_index) + (1 - weight) * gray, base)
    return np.round(mixed).astype(np.uint8)


def error_map(prediction, mask, ignore_index: int | None = None, image=None) -> np.ndarray:
    """Where a prediction is wrong, uint8 [H, W, 3]: wrong pixels orange, right ones pale, void white.

    With ``image`` the right pixels show the pale image instead of plain grey.
    """
    prediction, mask = as_numpy(prediction), as_numpy(mask)
    if prediction.shape != mask.shape:
        raise ValueError(f"the prediction is {prediction.shape} (height, width), the truth {mask.shape}")
    if image is None:
        out = np.full((*mask.shape, 3), 205, dtype=np.uint8)
    else:
        gray = to_uint8(image).mean(axis=2, keepdims=True)
        out = np.repeat(110 + 0.35 * gray, 3, axis=2).astype(np.uint8)
    void = mask == ignore_index if ignore_index is not None else np.zeros(mask.shape, dtype=bool)
    out[(prediction != mask) & ~void] = WRONG
    out[void] = 255
    return out


def image(ax, value, title: str = "") -> None:
    """Draw an image on ``ax`` without ticks."""
    ax.imshow(to_uint8(value), interpolation="antialiased")
    bare(ax, title)


def label_map(
    ax, mask, palette=DRIVING_PALETTE, classes=None, title: str = "", ignore_index: int | None = None
) -> None:
    """Draw a label map on ``ax`` in its palette; with ``classes`` the names of those that occur stand on the right."""
    ax.imshow(paint(mask, palette, ignore_index), interpolation="nearest")
    bare(ax, title)
    if classes is not None:
        legend(ax, classes, palette, present=mask)


def bare(ax, title: str = "", **font) -> None:
    """Axes for an image with an edge of its own: no ticks, no grid, no axis lines; ``font``: options of the title."""
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if title:
        ax.set_title(title, **font)


def legend(target, classes=DRIVING_CLASSES, palette=DRIVING_PALETTE, present=None, **options):
    """A legend of class colours: below a figure, or on the right of axes.

    ``present``: label maps or labels; classes that do not occur in them are left out. Returns the legend.
    """
    names = [*classes, "void"][: len(palette)]
    labels = (
        range(len(classes))
        if present is None
        else np.unique(np.concatenate([as_numpy(p).ravel() for p in _each(present)]))
    )
    labels = sorted({min(int(label), len(classes)) for label in labels if label >= 0})
    handles = [
        Patch(facecolor=palette[i] / 255, edgecolor="#7A7A7A", linewidth=0.5, label=names[i])
        for i in labels
        if i < len(names)
    ]
    compact = {"handlelength": 1.2, "handleheight": 1.0, "handletextpad": 0.5, "columnspacing": 1.4, "fontsize": 9}
    if isinstance(target, Figure):
        # As many columns as fit into the width, so that the legend never runs out of the paper.
        room = target.get_figwidth() / (0.55 + 0.075 * max((len(h.get_label()) for h in handles), default=1))
        rows = math.ceil(len(handles) / max(1, int(room)))
        columns = math.ceil(len(handles) / max(1, rows))
        place = {"loc": "outside lower center", "ncols": max(1, columns)}
    else:
        place = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    return target.legend(handles=handles, **{**compact, **place, **options})


def _each(value):
    """One array, or several in a list or tuple."""
    return value if isinstance(value, list | tuple) and len(value) and np.ndim(value[0]) > 0 else [value]


def segmentation_grid(images, masks, predictions=None, *, dataset, errors: bool = True, names=None) -> Figure:
    """One row an image: the image, the truth, the prediction, and where the prediction is wrong.

    ``images`` [N, 3, H, W], ``masks`` [N, H, W]; ``predictions`` [N, H, W], or a dict of them by model name (one column
    each, followed by its errors unless ``errors=False``). ``dataset`` gives ``classes``, ``palette`` and
    ``ignore_index``. ``names``: a label for each row. Raises ``ValueError`` when the numbers of images differ.
    """
    if predictions is None:
        predictions = {}
    elif not isinstance(predictions, dict):
        predictions = {"prediction": predictions}
    for what, found in {"masks": masks, **predictions}.items():
        if len(found) != len(images):
            raise ValueError(f"{len(images)} images, but {len(found)} label maps in {what!r}")
    if not len(images):
        raise ValueError("there is no image to draw")
    void, palette = dataset.ignore_index, dataset.palette
    titles = ["image", "truth"]
    for name in predictions:
        titles += [name, f"wrong in {name}" if len(predictions) > 1 else "wrong pixels"] if errors else [name]

    height, width = to_uint8(images[0]).shape[:2]
    across = min(2.9, 10.0 / len(titles))
    fig = figure(across * len(titles), across * height / width * len(images) + 0.75)
    fig.set_layout_engine("compressed", w_pad=0.03, h_pad=0.04, wspace=0.0, hspace=0.0)
    grid = fig.subplots(len(images), len(titles), squeeze=False)
    for row, axes in enumerate(grid):
        cells = [to_uint8(images[row]), paint(masks[row], palette, void)]
        for labels in predictions.values():
            cells.append(paint(labels[row], palette, void))
            if errors:
                cells.append(error_map(labels[row], masks[row], void, images[row]))
        for column, (ax, cell) in enumerate(zip(axes, cells)):
            ax.imshow(cell, interpolation="nearest" if column else "antialiased")
            bare(ax, titles[column] if row == 0 else "")
        if names is not None:
            axes[0].set_ylabel(names[row], fontsize=9)
    legend(fig, dataset.classes, palette, present=[*masks, *(m for p in predictions.values() for m in p)])
    return fig


def worst_images(images, masks, predictions, per_image, *, dataset, count: int = 5) -> Figure:
    """The ``count`` images with the lowest score, worst first, as a ``segmentation_grid``.

    ``per_image``: one score (mIoU) an image; nan is skipped.
    """
    scores = as_numpy(per_image).astype(float)
    if len(scores) != len(images):
        raise ValueError(f"{len(images)} images, but {len(scores)} scores")
    order = [int(i) for i in np.argsort(scores, kind="stable") if not np.isnan(scores[i])][:count]
    return segmentation_grid(
        [images[i] for i in order],
        [masks[i] for i in order],
        [predictions[i] for i in order],
        dataset=dataset,
        names=[f"no. {i}\nmIoU {scores[i]:.2f}" for i in order],
    )


def training_curve(history) -> Figure:
    """Loss, validation mIoU (where it was measured) and learning rate over the steps.

    ``history``: what ``sb.fit`` returns, or a dict of several by name, drawn in one colour each.
    """
    runs = history if isinstance(history, dict) else {"": history}
    validated = any(len(run.validation) for run in runs.values())
    fig = figure(10, 2.9)
    axes = list(fig.subplots(1, 3 if validated else 2, width_ratios=[2, 1.4, 1] if validated else [2, 1]))
    loss, rate = axes[0], axes[-1]
    for color, (name, run) in zip(_colors(len(runs)), runs.items()):
        values = np.asarray(run.loss, dtype=float)
        steps = np.arange(1, len(values) + 1)
        window = max(1, len(values) // 25)
        if len(values) > 2 * window:
            # A centred running mean: no value is invented beyond the ends.
            smooth = np.convolve(values, np.ones(window) / window, mode="valid")
            loss.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
            steps, values = steps[window // 2 :][: len(smooth)], smooth
        loss.plot(steps, values, color=color, label=name)
        rate.plot(np.arange(1, len(run.learning_rate) + 1), run.learning_rate, color=color)
        if len(run.validation):
            axes[1].plot(*zip(*run.validation), "o-", color=color, markersize=4)
    loss.set(title="training loss", xlabel="step")
    loss.set_ylim(bottom=0)
    rate.set(title="learning rate", xlabel="step")
    rate.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if validated:
        axes[1].set(title="validation mIoU", xlabel="step")
        axes[1].set_ylim(bottom=0)
    if any(runs):
        loss.legend()
    return fig


def _colors(count: int) -> list[str]:
    return [CYCLE[i % len(CYCLE)] for i in range(count)]


def confusion_matrix(confusion, classes, normalize: bool = True) -> Figure:
    """Which class is taken for which: rows are the truth, columns the prediction.

    ``confusion``: counts [K, K], or an object with ``.counts``. ``normalize=True`` shows each row in per cent of the
    class's pixels, so that the diagonal is the per-class accuracy; classes without a pixel stay empty.
    """
    counts = as_numpy(getattr(confusion, "counts", confusion)).astype(float)
    size = len(classes)
    if counts.shape != (size, size):
        raise ValueError(f"{size} classes need counts of shape [{size}, {size}]; these have {list(counts.shape)}")
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)
    side = min(8.0, 2.2 + 0.52 * size)
    fig = figure(side, side * 0.86)
    ax = fig.subplots()
    ax.imshow(np.nan_to_num(shares), cmap=_BLUES, vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    for row, column in np.ndindex(counts.shape):
        share = shares[row, column]
        if np.isnan(share):
            text = "–"
        elif normalize:
            text = f"{100 * share:.0f}" if share >= 0.005 else ""
        else:
            text = _short(counts[row, column])
        weight = "bold" if row == column else "normal"
        ax.text(
            column, row, text, ha="center", va="center", size=9, weight=weight, color="white" if share > 0.5 else INK
        )
    ax.set_xticks(range(size), classes, rotation=45 if size > 4 else 0, ha="right" if size > 4 else "center")
    ax.set_yticks(range(size), classes)
    ax.set(xlabel="predicted", ylabel="truth")
    ax.set_title("share of each true class, in %" if normalize else "number of pixels")
    _cells(ax, size, size)
    return fig


_BLUES = LinearSegmentedColormap.from_list("paper to blue", ["#F6F6F6", "#9CC9E6", "#0072B2", "#003E66"])


def _short(value: float) -> str:
    """A count in at most four signs: 950, 12k, 3.4M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            scaled = value / size
            return f"{scaled:.0f}{unit}" if scaled >= 9.95 else f"{scaled:.1f}{unit}"
    return f"{value:.0f}"


def _cells(ax, rows: int, columns: int, color: str = "white", width: float = 1.5) -> None:
    """Turn the axes of an ``imshow`` into a table of cells."""
    ax.grid(False)
    ax.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
    ax.grid(True, which="minor", color=color, linewidth=width)
    ax.tick_params(which="both", length=0)
    for spine in ax.spines.values():
        spine.set(visible=True, color=color, linewidth=width)


def per_class_bars(scores, classes, measure: str = "IoU") -> Figure:
    """Scores of every class as bars, for one model or several.

    ``scores``: one value a class, or a dict of such by model name; nan means that the class does not occur.
    """
    runs = scores if isinstance(scores, dict) else {"": scores}
    for name, values in runs.items():
        if len(values) != len(classes):
            raise ValueError(f"{len(classes)} classes, but {len(values)} scores{f' of {name!r}' if name else ''}")
    count = len(runs)
    thick = 0.8 / count
    fig = figure(7.5, max(2.2, 0.9 + len(classes) * max(0.27, 0.13 * count + 0.08)))
    ax = fig.subplots()
    for number, (color, (name, values)) in enumerate(zip(_colors(count), runs.items())):
        values = as_numpy(values).astype(float)
        mean = np.nanmean(values) if not np.isnan(values).all() else float("nan")
        place = np.arange(len(classes)) - 0.4 + thick * (number + 0.5)
        label = f"{name} (mean {mean:.2f})" if name else f"mean {mean:.2f}"
        ax.barh(place, np.nan_to_num(values), height=thick * 0.92, color=color, label=label)
        ax.axvline(mean, color=color, linewidth=1, linestyle=(0, (4, 3)), zorder=0.9)
        if count == 1:
            for y, value in zip(place, values):
                if not np.isnan(value):
                    text = ax.text(value + 0.008, y, f"{value:.2f}", va="center", size=9)
                    text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.8})
    absent = np.all([np.isnan(as_numpy(values).astype(float)) for values in runs.values()], axis=0)
    for y in np.flatnonzero(absent):
        ax.text(0.008, y, "does not occur", va="center", size=9, style="italic", color="#6A6A6A")
    ax.set_yticks(range(len(classes)), classes)
    ax.set_ylim(len(classes) - 0.45, -0.55)
    ax.set_xlim(0, 1)
    ax.set_xlabel(measure)
    ax.grid(False, axis="y")
    ax.tick_params(axis="y", length=0)
    fig.legend(loc="outside upper right", ncols=min(count, 3))
    return fig


def number_grid(
    ax, array, *, title: str = "", highlight=None, shade: bool = False, digits: int = 2, color=CYCLE[4]
) -> None:
    """Draw a small matrix as a table of cells with its numbers, for examples worked by hand.

    ``array`` [rows, columns] of numbers (or texts); None and nan leave a cell empty. ``highlight``: the cells to mark, as
    bool [rows, columns] or a list of (row, column), or a dict of colour → such. ``shade=True`` tints the
    cells by value: blue above zero, orange below.
    """
    values = np.array(as_numpy(array), dtype=object)
    if values.ndim != 2:
        raise ValueError(f"a number grid has rows and columns; this array has the shape {list(values.shape)}")
    rows, columns = values.shape
    background = np.full((rows, columns, 4), to_rgba("#F4F4F4"))
    if shade:
        plain = np.array([[np.nan if v is None else float(v) for v in row] for row in values])
        strength = np.nan_to_num(plain / (np.nanmax(np.abs(plain)) or 1.0))[..., None]
        tint = np.where(strength > 0, to_rgba("#56B4E9"), to_rgba("#E69F00"))
        background = background + np.abs(strength) * 0.8 * (tint - background)
    ax.imshow(background, interpolation="nearest")
    marks = highlight if isinstance(highlight, dict) else {color: highlight}
    for mark, where in marks.items():
        if where is None:
            continue
        cells = np.argwhere(where) if getattr(where, "ndim", 0) == 2 and where.dtype == bool else where
        for row, column in cells:
            row, column = int(row), int(column)
            ax.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=to_rgba(mark, 0.45), edgecolor="none"))
    # The letters must fit the cell, whatever the size of the axes.
    texts = [[_grid_text(value, digits) for value in row] for row in values]
    longest = max((len(text) for row in texts for text in row), default=1)
    box = ax.get_window_extent()
    cell = min(box.width / columns, box.height / rows) * 72 / ax.figure.dpi
    size = float(np.clip(min(0.42 * cell, 1.35 * cell / max(longest, 1)), 9, 14))
    for (row, column), _ in np.ndenumerate(values):
        ax.text(column, row, texts[row][column], ha="center", va="center", size=size)
    ax.set_xticks([])
    ax.set_yticks([])
    _cells(ax, rows, columns, color="#B5B5B5", width=0.8)
    if title:
        ax.set_title(title)


def _grid_text(value, digits: int) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.{digits}f}".rstrip("0").rstrip(".").replace("-", "−") if value else "0"
    return str(value).replace("-", "−") if isinstance(value, int) else str(value)


def feature_maps(features, count: int = 16, columns: int = 8, names=None, shared: bool = False) -> Figure:
    """The first ``count`` channels of a feature map [C, H, W] as images.

    Each map has its own scale from dark (its minimum) to bright (its maximum); ``shared=True`` gives all the same.
    """
    maps = as_numpy(features).astype(float)
    if maps.ndim != 3:
        raise ValueError(
            f"feature maps have the shape [C, H, W]; these have {list(maps.shape)} (take one of the batch)"
        )
    maps = maps[:count]
    columns = min(columns, len(maps))
    rows = math.ceil(len(maps) / columns)
    across = min(1.6, 10.0 / columns)
    fig = figure(across * columns, rows * (across * maps.shape[1] / maps.shape[2] + 0.28))
    fig.set_layout_engine("compressed", w_pad=0.03, h_pad=0.04, wspace=0.0, hspace=0.0)
    limits = {"vmin": maps.min(), "vmax": maps.max()} if shared else {}
    for number, ax in enumerate(fig.subplots(rows, columns, squeeze=False).ravel()):
        if number >= len(maps):
            ax.axis("off")
            continue
        ax.imshow(maps[number], cmap="viridis", interpolation="nearest", **limits)
        bare(ax)
        ax.set_title(names[number] if names else f"channel {number}", size=9, pad=3)
    return fig
