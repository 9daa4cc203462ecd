"""The chart of how cost grows: the stored measurement is read, its exponents come out, damage is told."""

import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from segbook.course.ch13_side_by_side import cost


def made_up() -> dict:
    points = []
    for net in ("unet", "crf"):
        for axis, values in (("height", (90, 180, 360)), ("classes", (2, 4, 8)), ("batch", (1, 2, 4))):
            for value in values:
                point = {"net": net, "axis": axis, "height": 90, "classes": 2, "batch": 1} | {axis: value}
                grows = value**2 if axis == "height" else value
                points.append(point | {"seconds": grows / 1e4, "memory_mb": 7.0})
    return {"machine": "a machine", "torch": "2", "points": points[::-1]}


def test_exponents():
    for axis in cost.AXES:
        lines = cost.lines(made_up(), axis, "seconds")
        assert list(lines) == ["unet", "crf"]
        for x, y in lines.values():
            assert (np.diff(x) > 0).all() and cost.slope(x, y) == pytest.approx(1, abs=1e-6)
        assert cost.slope(*cost.lines(made_up(), axis, "memory_mb")["unet"]) == pytest.approx(0, abs=1e-6)


def test_the_chart_has_a_panel_for_each_axis_and_quantity():
    figure = cost.growth(made_up())
    assert isinstance(figure, Figure) and len(figure.axes) == 6
    assert all(len(ax.lines) == 2 for ax in figure.axes)


def test_the_stored_measurement_is_whole():
    if not cost.STORED.exists():
        pytest.skip("not measured yet")
    for axis in cost.AXES:
        assert set(cost.lines(cost.load(), axis, "seconds")) == set(cost.NAMES) - (
            {"crf"} if axis == "batch" else set()
        )


def test_a_missing_or_damaged_file_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="measure it with"):
        cost.load(tmp_path / "none.json")
    for content in ("{", "[]", json.dumps({"points": []}), json.dumps({"points": [{"net": "unet"}]})):
        (tmp_path / "some.json").write_text(content)
        with pytest.raises(ValueError, match="damaged"):
            cost.load(tmp_path / "some.json")
