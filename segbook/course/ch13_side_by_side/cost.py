"""Drawing of chapter 13's appendix: how time and memory grow with the image, the classes and the batch.

The numbers are measured by ``python tests/benchmarks growth`` and kept in results/cost-growth.json.
"""

import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from segbook import plots
from segbook.course.chapters import ROOT

STORED = ROOT / "results" / "cost-growth.json"

#: Axis of the file → label, and what of a point is drawn along it.
AXES = {
    "height": ("pixels of the image", lambda point: point["height"] * (point["height"] * 4 // 3)),
    "classes": ("classes", lambda point: point["classes"]),
    "batch": ("images in a batch", lambda point: point["batch"]),
}
#: Quantity of a point → label of its row.
QUANTITIES = {"seconds": "CPU seconds a step", "memory_mb": "memory in MB"}
NAMES = {
    "fcn8s": "FCN-8s",
    "segnet": "SegNet",
    "unet": "U-Net",
    "deeplab_v1": "DeepLab v1",
    "deeplab_v2": "DeepLab v2",
    "deeplab_v3": "DeepLab v3",
    "deeplab_v3plus": "DeepLab v3+",
    "crf": "CRF, one image",
}
MARKERS = "osD^v<>P"


def load(path: Path = STORED) -> dict:
    """What the file holds: ``machine``, ``torch`` and ``points``, a list of dictionaries.

    Raises FileNotFoundError where it is missing and ValueError where it is damaged, both saying how to measure it.
    """
    again = "measure it with `python tests/benchmarks growth`"
    if not Path(path).exists():
        raise FileNotFoundError(f"{path} is missing; {again}")
    try:
        stored = json.loads(Path(path).read_text(encoding="utf-8"))
        wanted = {"net", "axis", "height", "classes", "batch", *QUANTITIES}
        if not stored["points"] or any(wanted - set(point) for point in stored["points"]):
            raise ValueError("points are missing")
        return stored
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged; {again}") from error


def lines(stored: dict, axis: str, quantity: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Net → (x, y) along one of ``AXES`` for one of ``QUANTITIES``, sorted by x; nets in the order of the course."""
    place, found = AXES[axis][1], {}
    for net in NAMES:
        pairs = sorted((place(p), p[quantity]) for p in stored["points"] if p["net"] == net and p["axis"] == axis)
        if pairs:
            found[net] = tuple(np.array(pairs, dtype=float).T)
    return found


def slope(x, y) -> float:
    """Exponent b of y ≈ a·x^b, by least squares on the logarithms: 1 where cost grows as x does, 0 where it stays."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def growth(stored: dict | None = None) -> Figure:
    """Six panels: time (above) and memory (below) against pixels, classes and batch, both axes logarithmic."""
    stored = load() if stored is None else stored
    fig = plots.figure(9.5, 5.6)
    grid = fig.subplots(len(QUANTITIES), len(AXES), sharey="row", sharex="col")
    for row, (quantity, label) in zip(grid, QUANTITIES.items()):
        row[0].set_ylabel(label)
        for ax, axis in zip(row, AXES):
            for net, (x, y) in lines(stored, axis, quantity).items():
                at = list(NAMES).index(net)
                color, dashes = (plots.INK, "--") if net == "crf" else (plots.CYCLE[at], "-")
                ax.plot(x, y, dashes, color=color, marker=MARKERS[at], markersize=4, linewidth=1.4, label=NAMES[net])
            ax.set(xscale="log", yscale="log")
    for ax, (axis, (name, _)) in zip(grid[-1], AXES.items()):
        ax.set_xlabel(name)
        if axis != "height":  # few whole numbers: name each instead of powers of ten
            values = sorted({int(value) for x, _ in lines(stored, axis, "seconds").values() for value in x})
            ax.set_xticks(values, [str(value) for value in values])
            ax.minorticks_off()
    handles, names = grid[0, 0].get_legend_handles_labels()
    fig.legend(handles, names, loc="outside lower center", ncols=4)
    return fig
