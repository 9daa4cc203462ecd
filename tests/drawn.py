"""What a figure shows, read back from matplotlib; importable by the test modules beside it."""

import numpy as np
from matplotlib.colors import to_hex

from segbook import data, plots


class Driving:
    """What a figure asks of a data set of streets."""

    classes, palette, ignore_index = data.DRIVING_CLASSES, data.DRIVING_PALETTE, data.DRIVING_VOID


def painted(labels) -> np.ndarray:
    """A label map of streets as figures paint it."""
    return plots.paint(labels, Driving.palette, Driving.ignore_index)


def class_colors(*names, dataset=Driving) -> dict[str, str]:
    """The entries of a legend that names these classes, in the form of :func:`key`."""
    return {name: to_hex(dataset.palette[dataset.classes.index(name)] / 255).upper() for name in names}


def heading(ax):
    """The text above ``ax``, left or in the middle: the style of the course moves it."""
    return ax._left_title if ax.get_title("left") else ax.title


def title(ax) -> str:
    return heading(ax).get_text()


def titles(fig) -> list[str]:
    return [title(ax) for ax in fig.axes]


def words(ax) -> list[str]:
    """The texts on ``ax`` that say something, with a plain minus."""
    return [text.get_text().replace("−", "-") for text in ax.texts if text.get_text()]


def pixels(ax, number: int = 0) -> np.ndarray:
    """The values of the image that ``ax`` shows."""
    return np.asarray(ax.images[number].get_array())


def curve(line) -> tuple[list[float], list[float]]:
    return tuple(np.asarray(line.get_data(), dtype=float).round(6).tolist())


def lines(ax) -> dict:
    """label → (x values, y values) of the labelled lines."""
    return {line.get_label(): curve(line) for line in ax.lines if not line.get_label().startswith("_")}


def color(artist) -> str:
    """The colour of a line, or the face of a patch."""
    return to_hex(artist.get_color() if hasattr(artist, "get_color") else artist.get_facecolor()).upper()


def ticks(axis) -> list[str]:
    return [label.get_text() for label in axis.get_ticklabels()]


def key(owner) -> dict[str, str]:
    """The legend of a figure or of axes: text → colour of its mark, in the order of the entries."""
    legend = owner.get_legend() if hasattr(owner, "get_legend") else owner.legends[0]
    return {t.get_text(): color(handle) for t, handle in zip(legend.get_texts(), legend.legend_handles)}


def inside(fig) -> bool:
    """Whether all that is drawn lies on the paper."""
    drawn, (width, height) = fig.get_tightbbox(), fig.get_size_inches()
    return min(drawn.x0, drawn.y0) > -0.02 and drawn.x1 < width + 0.02 and drawn.y1 < height + 0.02
