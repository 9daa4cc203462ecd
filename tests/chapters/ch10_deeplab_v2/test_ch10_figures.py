"""The drawings of chapter 10 show the disks, sampling points, schedules and scores that they are handed."""

import drawn
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from segbook import plots
from segbook.course.ch10_deeplab_v2 import figures

IMAGE = torch.randint(0, 256, (3, 32, 48), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
PHOTO = IMAGE.permute(1, 2, 0).numpy()


def shown_as(ax, value, number=0):
    """The colour that ``ax`` paints a value with."""
    return to_hex(ax.images[number].cmap(ax.images[number].norm(value))).upper()


def outer_points(ax):
    """The sampling points as {rate's colour: [(x, y, whether it is filled)]}."""
    found = {}
    for cloud in ax.collections[1:]:
        filled = [to_hex(c) != "#ffffff" for c in cloud.get_facecolors()]
        colors = [to_hex(f if is_filled else e).upper() for f, e, is_filled in
                   zip(cloud.get_facecolors(), cloud.get_edgecolors(), filled)]  # fmt: skip
        assert len(set(colors)) == 1
        found[colors[0]] = [(*xy, f) for xy, f in zip(cloud.get_offsets().tolist(), filled)]
    return found


class TestDisks:
    def test_sizes_have_the_colors_of_the_legend(self):
        seen, truth = figures.disks(1, seed=3, side=24)
        guess = (truth[0] > 0).long() * 2
        fig = figures.disk_predictions(seen[0, 0], truth[0], {"rate 2": guess, "rate 6": truth[0]})
        for ax, values in zip(fig.axes, (seen[0, 0], truth[0], guess, truth[0])):
            assert (drawn.pixels(ax) == values.numpy()).all()
        assert drawn.key(fig) == dict(zip(figures.SIZES, figures.SIZE_COLORS))
        assert [shown_as(fig.axes[2], label) for label in range(4)] == list(figures.SIZE_COLORS)


class TestSamplingPoints:
    @pytest.mark.parametrize(
        ("rates", "row", "column", "stride"), [((1, 2), 2, 3, 8), ((2, 4, 6, 8), 0, 5, 8), ((1,), 1, 1, 16)]
    )
    def test_filled_points_lie_on_the_map(self, rates, row, column, stride):
        fig = figures.sampling_points(IMAGE, rates, row, column, stride)
        ax, points = fig.axes[0], outer_points(fig.axes[0])
        key = drawn.key(fig)
        assert list(key) == [f"rate {rate}: {rate * stride} pixels" for rate in rates]
        assert set(points) == set(key.values()) and len(points) == len(rates)
        middle = ((column + 0.5) * stride, (row + 0.5) * stride)
        inside = 0
        for rate, color in zip(rates, key.values()):
            assert len(points[color]) == 8
            for x, y, filled in points[color]:
                assert max(abs(x - middle[0]), abs(y - middle[1])) == rate * stride
                assert filled == (0 <= x < 48 and 0 <= y < 32)
                inside += filled
        assert drawn.curve(ax.lines[-1]) == ([middle[0]], [middle[1]])
        (words,) = (text.get_text() for text in fig.texts)
        assert f"{inside} of the {8 * len(rates)} outer points" in words
        assert words == figures.sampling_in_words(rates, row, column, 32 // stride, 48 // stride)

    def test_all_points_lie_within_the_axes(self):
        ax = figures.sampling_points(IMAGE, (6, 12, 18, 24), 0, 5).axes[0]
        (x0, x1), (y1, y0) = ax.get_xlim(), ax.get_ylim()
        for places in outer_points(ax).values():
            assert all(x0 < x < x1 and y0 < y < y1 for x, y, _ in places)
        assert y1 > y0 and (drawn.pixels(ax) == PHOTO).all()

    def test_the_share_is_that_of_the_outer_taps(self):
        ax = figures.valid_share([1, 6, 24], {"12 × 16": [9, 5, 1], "65 × 65": [9, 8, 5]}).axes[0]
        assert [drawn.curve(line)[1] for line in ax.lines[:2]] == [[100, 50, 0], [100, 87.5, 50]]
        assert [line.get_xdata()[0] for line in ax.lines[2:]] == [6, 12, 18, 24]
        assert ax.get_xlabel() and ax.get_ylabel() and ax.lines[0].get_linestyle() != ax.lines[1].get_linestyle()


class TestMeasured:
    def test_schedules_start_at_step_nought(self):
        curves = {"step": [0.1, 0.1, 0.01], "poly": [0.1, 0.06, 0.02, 0.0]}
        ax = figures.schedules(curves).axes[0]
        for line, (name, values) in zip(ax.lines, curves.items()):
            assert drawn.curve(line) == (list(range(len(values))), values) and line.get_label() == name
        assert list(drawn.key(ax)) == list(curves) and len(set(drawn.key(ax).values())) == 2
        assert ax.get_ylim()[0] == 0 and (ax.get_xlabel(), ax.get_ylabel()) == ("step", "learning rate")

    def test_the_winning_scale_has_its_color(self):
        winner = torch.arange(32 * 48).view(32, 48) % 3
        labels = torch.full((32, 48), 5)
        fig = figures.winning_scale(IMAGE, winner, (1.0, 0.75, 0.5), labels, drawn.Driving)
        assert (drawn.pixels(fig.axes[0]) == PHOTO).all() and (drawn.pixels(fig.axes[1]) == winner.numpy()).all()
        assert (drawn.pixels(fig.axes[2]) == plots.paint(labels, drawn.Driving.palette)).all()
        assert list(drawn.key(fig)) == [drawn.Driving.classes[5]]
        key = drawn.key(fig.axes[1])
        assert list(key) == ["scale 1", "scale 0.75", "scale 0.5"]
        assert [shown_as(fig.axes[1], index) for index in range(3)] == list(key.values())

    def test_ours_stand_beside_the_papers(self):
        ours = {"1×1": [30, 34], "LargeFOV": [40, 43], "ASPP-S": [41, 46]}
        fig = figures.beside_the_paper(ours, {"LargeFOV": 65.76, "ASPP-S": 66.98})
        left, right = fig.axes
        lines = [drawn.curve(line) for line in left.lines]
        for place, values in enumerate(ours.values()):
            assert ([np.mean(values)], [place]) in lines and (values, [place, place]) in lines
        for runs in zip(*ours.values()):  # a line a seed
            assert (list(runs), [0, 1, 2]) in lines
        assert len(lines) == 3 + 3 + 2
        assert [drawn.curve(line) for line in right.lines] == [([65.76], [1]), ([66.98], [2])]
        assert drawn.words(right) == ["65.76", "66.98"]
        assert drawn.ticks(left.yaxis) == list(ours) and left.get_ylim() == (2.5, -0.5)  # the first on top
        for ax, values in ((left, [30, 46]), (right, [65.76, 66.98])):
            low, high = ax.get_xlim()
            assert low < min(values) and high > max(values) and "mIoU" in ax.get_xlabel()

    def test_columns_that_were_read(self):
        seen = {"with padding": [0, 1, 2, 3], "rate 1": [0.5, 1.2, 1.8, 2.5], "rate 2": [1, 1.3, 1.6, 2]}
        ax = figures.looked_at(seen).axes[0]
        assert [drawn.curve(line) for line in ax.lines] == [([0, 1, 2, 3], values) for values in seen.values()]
        assert drawn.key(ax) == dict(zip(seen, (plots.INK, *figures.BRANCHES)))
        assert [line.get_linestyle() for line in ax.lines] == ["--", "-", "-"]
