"""The drawings of chapter 06 show the probabilities, places and scores that they are handed."""

import drawn
import numpy as np
import pytest
import torch
from drawn import Driving as Dataset
from drawn import class_colors, painted
from matplotlib.colors import to_hex
from torch.nn import functional as F

from segbook import data, metrics, plots
from segbook.course.ch06_fcn import figures

NAMES = data.DRIVING_CLASSES
IMAGES = torch.randint(0, 256, (2, 3, 16, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
#: Sky over road; a car on it.
TRUTH = torch.zeros(16, 24, dtype=torch.int64)
TRUTH[8:] = 3
TRUTH[6:12, 4:12] = 8


class TestVectors:
    def test_every_image_stands_above_its_bars(self):
        probabilities = torch.tensor([[0.2, 0.7, 0.1], [0.5, 0.1, 0.4]])
        fig = figures.vectors(IMAGES, probabilities, ["sky", "car", "tree"])
        top, bars = fig.axes[:2], fig.axes[2:]
        for n, (above, below, best) in enumerate(zip(top, bars, (1, 0))):
            assert (drawn.pixels(above) == IMAGES[n].permute(1, 2, 0).numpy()).all()
            np.testing.assert_allclose([bar.get_width() for bar in below.patches], probabilities[n])
            lit = [k for k, bar in enumerate(below.patches) if drawn.color(bar) == plots.CYCLE[0]]
            assert lit == [best] and drawn.title(below) == f"“{['sky', 'car', 'tree'][best]}”"
            low, high = below.get_ylim()
            assert low > high and below.get_xlim() == (0, 1)  # the first class on top
        assert drawn.ticks(bars[0].yaxis) == ["sky", "car", "tree"]

    @pytest.mark.parametrize(("jump", "start"), [(8.0, 4.5), (4.0, -5.5)])
    def test_each_cell_of_the_heat_map_lies_where_it_looks(self, jump, start):
        heat = torch.tensor([[0.1, 0.9, 0.3], [0.0, 0.5, 1.0]])
        fig = figures.heat_map(IMAGES[0], heat, "car", jump, start)
        left, middle, right = fig.axes[:3]
        assert drawn.titles(fig)[:3] == ["image, 16×24", "p(car), 2×3 cells", "each cell where it looks"]
        np.testing.assert_allclose(drawn.pixels(middle), heat)
        assert (drawn.pixels(left) == IMAGES[0].permute(1, 2, 0).numpy()).all()
        over = right.images[1]
        np.testing.assert_allclose(over.get_array(), heat)
        x0, x1, y1, y0 = over.get_extent()
        for cell, low, high, count in ((2, x0, x1, 3), (1, y0, y1, 2)):
            # 0.5 is the middle of the first pixel for receptive fields, 0 for matplotlib.
            assert low + (cell + 0.5) * (high - low) / count == start - 0.5 + jump * cell
        assert right.get_xlim() == (-0.5, 23.5) and right.get_ylim() == (15.5, -0.5)
        assert over.get_alpha()[1][0] == 0 < over.get_alpha()[1][2] < 1  # the image shows through


class TestTents:
    @pytest.mark.parametrize("stride", [2, 4, 8])
    def test_their_sum_is_bilinear_interpolation(self, stride):
        values = [1.0, 3, 2, 4]
        ax = figures.tents(values, stride).axes[0]
        tents = [line for line in ax.lines if drawn.color(line) == plots.CYCLE[5]]
        (total,) = [line for line in ax.lines if line.get_label() == "sum of the tents"]
        np.testing.assert_allclose([line.get_ydata().max() for line in tents], np.array(values) * (1 - 0.5 / stride))
        wanted = F.interpolate(torch.tensor(values)[None, None], scale_factor=stride, mode="linear")[0, 0]
        found = dict(zip(*drawn.curve(total)))
        inside = range(stride // 2, len(values) * stride - stride // 2)  # beyond, the layer sees zeros
        np.testing.assert_allclose([found[p] for p in inside], wanted[stride // 2 : -(stride // 2)], atol=1e-5)
        dots = [drawn.curve(line) for line in ax.lines if line.get_linestyle() == "None"]
        assert dots == [([(cell + 0.5) * stride - 0.5], [value]) for cell, value in enumerate(values)]


class TestPlaces:
    ROWS = [("pool4", 16.0, -92.5), ("fc7 ×2", 16.0, -12.5)]

    def test_cells_stand_at_their_pixels(self):
        ax = figures.cell_places(self.ROWS, -100, 60).axes[0]
        dots = [drawn.curve(line) for line in ax.lines]
        numbers = drawn.words(ax)
        assert len(dots) == len(numbers)
        first = [(x, text) for ((x,), (y,)), text in zip(dots, numbers) if y == 0]
        assert first == [(-92.5 + 16 * cell, str(cell)) for cell in range(10)]
        second = [(x, text) for ((x,), (y,)), text in zip(dots, numbers) if y == -1]
        assert second == [(-12.5 + 16 * cell, str(cell)) for cell in range(5)]
        assert drawn.ticks(ax.yaxis) == ["pool4", "fc7 ×2"] and "pixels" in ax.get_xlabel()

    def test_links_join_cells_and_padding_is_named(self):
        ax = figures.cell_places(self.ROWS, -100, 60, [((0, 5), (1, 0)), ((0, 6), (1, 2))], outside=-0.5).axes[0]
        links = [drawn.curve(line) for line in ax.lines if len(line.get_xdata()) == 2]
        assert links == [([-12.5, -12.5], [0, -1]), ([3.5, 19.5], [0, -1])]  # the first is upright: it fits
        (shade,) = ax.patches
        edges = shade.get_path().transformed(shade.get_patch_transform()).vertices[:, 0]
        assert (edges.min(), edges.max()) == (-100, -0.5)


class TestScores:
    OURS = {8: [0.5, 0.54], 32: [0.3, 0.34], 16: [0.4, 0.44]}
    CEILINGS = {32: 0.6, 16: 0.7, 8: 0.8}

    def test_ours_and_the_papers_stand_in_the_same_order(self):
        fig = figures.against_paper(self.OURS, self.CEILINGS)
        here, there = fig.axes
        for ax in fig.axes:
            assert drawn.ticks(ax.xaxis) == ["FCN-32s", "FCN-16s", "FCN-8s"] and ax.get_ylabel() and drawn.title(ax)
        ceiling, mean = here.lines[:2]
        assert drawn.curve(ceiling)[1] == [60, 70, 80] and drawn.curve(mean)[1] == [32, 42, 52]
        for dots, stride in zip(here.collections, (32, 16, 8)):
            np.testing.assert_allclose(dots.get_offsets()[:, 1], 100 * np.array(self.OURS[stride]))
            assert to_hex(dots.get_facecolor()[0]).upper() == figures.STRIDE_COLORS[stride]
        assert here.get_ylim()[0] == 0
        assert drawn.curve(there.lines[0])[1] == [59.4, 62.4, 62.7] and drawn.words(there) == ["59.4", "62.4", "62.7"]
        low, high = there.get_ylim()
        assert low < 59.4 and high > 62.7 and f"from {low:g} on" in there.get_ylabel()  # no bar from zero: it says so

    def test_classes_are_found_by_name(self):
        ours = {s: torch.arange(6.0).view(2, 3) / 10 + s / 100 for s in (32, 8)}
        fig = figures.by_class(
            ours, {32: [0.7, 0.8, 0.9], 8: [0.75, 0.85, 0.95]}, ("sky", "pole", "car"), ("car", "sky")
        )
        for ax, k in zip(fig.axes, (2, 0)):
            ceiling, mean = ax.lines
            assert drawn.curve(ceiling)[1] == [(0.7, 0.8, 0.9)[k], (0.75, 0.85, 0.95)[k]]
            np.testing.assert_allclose(mean.get_ydata(), [ours[s][:, k].mean() for s in (32, 8)], rtol=1e-6)
            for dots, stride in zip(ax.collections, (32, 8)):
                np.testing.assert_allclose(dots.get_offsets()[:, 1], ours[stride][:, k], rtol=1e-6)
            assert drawn.ticks(ax.xaxis) == ["32s", "8s"]

    def test_the_offset_of_the_algebra_is_marked(self):
        ax = figures.offset_curve([27, 29, 31, 33], [0.2, 0.3, 0.4, 0.3], right=31).axes[0]
        curve, mark = ax.lines
        assert drawn.curve(curve) == ([27, 29, 31, 33], [0.2, 0.3, 0.4, 0.3])
        assert set(mark.get_xdata()) == {31} and "by coordinate algebra: 31" in drawn.key(ax)

    def test_trimap_curves_are_the_measure(self):
        truth = TRUTH[None]
        near = torch.roll(truth, 1, 2)
        predictions = {"FCN-8s": near, "FCN-32s": torch.roll(truth, 3, 2), "perfect": truth}
        ax = figures.trimap_curves(predictions, truth, 11, 11, widths=(1, 2, 4)).axes[0]
        for line, (name, labels) in zip(ax.lines, predictions.items()):
            wanted = [metrics.trimap_iou(labels, truth, w, 11, 11) for w in (1, 2, 4)]
            x, y = drawn.curve(line)
            np.testing.assert_allclose(y, wanted, atol=1e-6)
            assert x == [1, 2, 4] and line.get_label() == name
        key = drawn.key(ax)
        assert list(key) == list(predictions)
        assert (key["FCN-8s"], key["FCN-32s"]) == (figures.STRIDE_COLORS[8], figures.STRIDE_COLORS[32])
        assert set(ax.lines[2].get_ydata()) == {1}


class TestLabels:
    @pytest.mark.parametrize(
        ("chosen", "words"),
        [(["fc7", "pool4"], "fc7 + pool4"), (["pool3"], "pool3"), ([], "nothing: all classes tie, the first one wins")],
    )
    def test_the_live_figure_names_what_is_added(self, chosen, words):
        labels = torch.full_like(TRUTH, len(chosen))
        fig = figures.fused(Dataset, IMAGES[0], TRUTH, labels, 0.4567, chosen)
        assert drawn.titles(fig) == ["image", f"{words}\nmIoU of this image 0.46", "truth"]
        shown = (IMAGES[0].permute(1, 2, 0).numpy(), painted(labels), painted(TRUTH))
        assert all((drawn.pixels(ax) == cell).all() for ax, cell in zip(fig.axes, shown))
        assert drawn.key(fig) == class_colors(*NAMES)

    def test_the_outline_runs_where_the_truth_changes(self):
        top, left, height, width = window = (4, 2, 10, 12)
        prediction = torch.where(TRUTH == 8, 3, TRUTH)
        fig = figures.outlines(Dataset, IMAGES[0], TRUTH, prediction, window)
        part = (slice(top, top + height), slice(left, left + width))
        assert (drawn.pixels(fig.axes[0]) == IMAGES[0].permute(1, 2, 0).numpy()[part]).all()
        assert (drawn.pixels(fig.axes[1]) == painted(TRUTH[part])).all()
        assert (drawn.pixels(fig.axes[2]) == painted(prediction[part])).all()
        truth, segments = TRUTH[part], [drawn.curve(line) for line in fig.axes[2].lines]
        changes = (truth.diff(dim=0) != 0).sum() + (truth.diff(dim=1) != 0).sum()
        assert len(segments) == changes > 0
        for x, y in segments:  # each lies on an edge between two different labels
            if x[0] == x[1]:
                row, column = int(y[0] + 0.5), int(x[0] - 0.5)
                assert truth[row, column] != truth[row, column + 1]
            else:
                row, column = int(y[0] - 0.5), int(x[0] + 0.5)
                assert truth[row, column] != truth[row + 1, column]
        assert drawn.key(fig) == class_colors("sky", "road", "car")

    def test_islands_are_ringed(self):
        prediction = TRUTH.clone()
        prediction[1:3, 20:22] = 5  # four pixels in the sky
        prediction[14, 2] = 6  # one pixel on the road
        fig = figures.lonely(Dataset, IMAGES[:1], [prediction], [TRUTH], largest=8)
        above, below = fig.axes
        rings = {tuple(v[0] for v in drawn.curve(line)) for line in above.lines}
        assert rings == {(20.5, 1.5), (2, 14)} and not below.lines
        assert (drawn.pixels(above) == painted(prediction)).all() and (drawn.pixels(below) == painted(TRUTH)).all()
        assert drawn.key(fig) == class_colors("sky", "road", "tree", "sign", "car")

    def test_a_image_without_islands_has_no_ring(self):
        fig = figures.lonely(Dataset, IMAGES, [TRUTH, TRUTH], [TRUTH, TRUTH], largest=8)
        assert len(fig.axes) == 4 and not any(ax.lines for ax in fig.axes)
