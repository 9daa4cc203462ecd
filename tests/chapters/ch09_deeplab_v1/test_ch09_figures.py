"""The drawings of chapter 09 show the answers, taps, kernels and scores that they are handed."""

import drawn
import numpy as np
import pytest
import torch
from drawn import Driving as Dataset
from drawn import class_colors, painted
from matplotlib.colors import to_hex

from segbook import data, plots
from segbook.course.ch09_deeplab_v1 import figures
from segbook.crf import Bilateral, DenseCRF, Gaussian
from segbook.gaussian_filters import AllPairs, PermutohedralLattice
from segbook.models.deeplab_v1 import FIELDS_OF_VIEW

NAMES = data.DRIVING_CLASSES
IMAGE = torch.randint(0, 256, (3, 16, 24), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
PHOTO = IMAGE.permute(1, 2, 0).numpy()
#: Sky over road; a car on it.
TRUTH = torch.zeros(16, 24, dtype=torch.int64)
TRUTH[8:] = 3
TRUTH[6:12, 4:12] = 8


def edges(patches):
    """Middles of the framed cells, as (row, column)."""
    return sorted((int(p.get_y()), int(p.get_x())) for p in patches)


class TestAnswers:
    def test_coarse_answers_are_stretched_over_the_image(self):
        coarse, fine = torch.tensor([[0, 8], [3, 3]]), torch.arange(8).view(2, 4)
        fig = figures.answers(IMAGE, TRUTH, {"stride 32: 4 answers": coarse, "stride 8: 8 answers": fine}, Dataset)
        assert drawn.titles(fig) == ["image", "truth", "stride 32: 4 answers", "stride 8: 8 answers"]
        assert (drawn.pixels(fig.axes[0]) == PHOTO).all() and (drawn.pixels(fig.axes[1]) == painted(TRUTH)).all()
        for ax, labels in zip(fig.axes[2:], (coarse, fine)):
            assert (drawn.pixels(ax) == painted(labels)).all()
            assert tuple(ax.images[0].get_extent()) == (0, 24, 16, 0)
            rows, columns = labels.shape
            lines = ax.collections[0].get_segments()
            assert len(lines) == rows + 1 + columns + 1  # a grid: one square an answer
        # Every class that is true or answered somewhere has its colour in the legend, and no other.
        assert drawn.key(fig) == class_colors(*NAMES[:9])

    def test_holes_keep_to_one_phase(self):
        fig = figures.holes()
        left, *phases = fig.axes
        map_, taps = drawn.pixels(left), edges(left.patches)
        assert len(taps) == 9 and {r - s for (r, _), (s, _) in zip(taps[3:], taps)} == {2}
        assert {to_hex(map_[cell]).upper() for cell in taps} == {figures.PHASES[3]}
        colors = [to_hex(drawn.pixels(ax)[0, 0]).upper() for ax in phases]
        assert colors == list(figures.PHASES)
        for p, ax in enumerate(phases):
            i, j = divmod(p, 2)
            assert drawn.title(ax) == f"phase ({i}, {j})"
            assert to_hex(map_[i, j]).upper() == colors[p] and drawn.pixels(ax).shape[:2] == (4, 4)
        # Pulled apart, the taps stand side by side.
        assert [len(ax.patches) for ax in phases] == [0, 0, 0, 9]
        assert edges(phases[3].patches) == [(r, c) for r in range(3) for c in range(3)]
        assert edges(phases[3].patches) == [(r // 2, c // 2) for r, c in taps]

    def test_fields_of_view_have_the_papers_taps(self):
        fig = figures.fields_of_view(FIELDS_OF_VIEW)
        assert len(fig.axes) == len(FIELDS_OF_VIEW) == 4
        for ax, (name, (kernel, rate, _)) in zip(fig.axes, FIELDS_OF_VIEW.items()):
            taps = ax.collections[0].get_offsets()
            assert len(taps) == kernel**2
            places = np.unique(taps[:, 0])
            assert (np.diff(places) == rate).all() and places.mean() == 20
            assert drawn.curve(ax.lines[0]) == ([20], [20])  # the middle of the taps is the cell that is answered
            assert drawn.title(ax) == f"{kernel}×{kernel} at rate {rate}" and ax.get_xlabel() == f'"{name}"'

    def test_rates_meet_at_the_same_place(self):
        narrow, wide = {1: [0.3, 0.34], 2: [0.4, 0.44], 12: [0.2, 0.2]}, {1: [0.5, 0.5], 12: [0.45, 0.47]}
        fig = figures.rate_study(narrow, wide, {"4×4\nrate 4": 63.74, "3×3\nrate 12": 67.64})
        left, right = fig.axes
        means = {line.get_label(): drawn.curve(line) for line in left.lines if line.get_label()[0] != "_"}
        assert list(means.values()) == [([0, 1, 2], [32, 42, 20]), ([0, 2], [50, 46])]
        dots = [drawn.curve(line)[1] for line in left.lines if line.get_label()[0] == "_"]
        assert dots == [[30, 34], [40, 44], [20, 20], [50, 50], [45, 47]]
        assert drawn.ticks(left.xaxis) == ["rate 1", "rate 2", "rate 12"] and list(drawn.key(left)) == list(means)
        assert [bar.get_height() for bar in right.patches] == [63.74, 67.64]
        assert drawn.words(right) == ["63.74", "67.64"] and drawn.ticks(right.xaxis) == ["4×4\nrate 4", "3×3\nrate 12"]
        assert "axis from 60" in drawn.title(right) and right.get_ylim()[0] == 60

    def test_a_scan_line_shows_its_row(self):
        logits = torch.randn(11, 16, 24, generator=torch.Generator().manual_seed(0))
        p = (logits + 6 * torch.nn.functional.one_hot(TRUTH, 11).movedim(-1, 0)).softmax(0)
        fig = figures.scan_line(IMAGE, TRUTH, p, 7, Dataset)
        left, right = fig.axes
        assert drawn.title(left) == "row 7" and {y for line in left.lines for y in line.get_ydata()} == {7}
        best = p[:, 7].amax(1).argsort(descending=True)[:4].tolist()
        curves = [line for line in right.lines if len(line.get_xdata()) == 24]
        for line, k in zip(curves[1::2], best):
            np.testing.assert_allclose(line.get_ydata(), p[k, 7])
            assert to_hex(line.get_color()) == to_hex(Dataset.palette[k] / 255)
        steps = [line.get_xdata()[0] for line in right.lines if len(line.get_xdata()) == 2]
        assert steps == [3.5, 11.5]  # the car begins and ends
        assert drawn.key(fig) == class_colors(*(NAMES[k] for k in best)) and {0, 8} < set(best)


class TestCRF:
    def test_a_pixel_listens_along_its_row_of_the_kernel(self):
        small = IMAGE[:, :4, :6]
        kernels = {n: torch.rand(24, 24, generator=torch.Generator().manual_seed(n)) for n in (1, 2)}
        fig = figures.listeners(small, [(1, 2), (3, 5)], {"near": kernels[1], "alike": kernels[2]})
        grid = np.reshape(fig.axes, (2, 3))
        first = ["image", "near (bright: much)", "alike (bright: much)"]
        assert [drawn.title(ax) for ax in grid.flat] == [*first, "", "", ""]
        for axes, (y, x) in zip(grid, ((1, 2), (3, 5))):
            for ax, kernel in zip(axes[1:], kernels.values()):
                np.testing.assert_array_equal(drawn.pixels(ax), kernel[6 * y + x].view(4, 6))
            assert all(drawn.curve(line) == ([x], [y]) for ax in axes for line in ax.lines)

    def test_iterations_stand_beside_the_truth(self):
        before, after = torch.where(TRUTH == 8, 3, TRUTH), TRUTH.roll(1, 1)
        fig = figures.iterations(IMAGE, TRUTH, {"after 0": before, "after 10": after}, Dataset)
        for ax, labels in zip(fig.axes[1:], (TRUTH, before, after)):
            assert (drawn.pixels(ax) == painted(labels)).all()
        assert drawn.key(fig) == class_colors("sky", "road", "car")

    def test_the_lattice_does_what_all_pairs_do(self):
        generator = torch.Generator().manual_seed(0)
        position = torch.arange(40.0)
        gray = torch.where(position < 20, 70.0, 170.0) + 9 * torch.randn(40, generator=generator)
        values = ((position - 24) / 6).sigmoid()
        features = torch.stack([position / 10, gray / 25], 1)
        lattice, pairs = PermutohedralLattice(features), AllPairs(features)
        both = pairs(torch.stack([values, torch.ones(40)], 1))
        fig = figures.splat_blur_slice(features, values, lattice, both[:, 0] / both[:, 1], gray)
        steps, below = fig.axes[:3], next(ax for ax in fig.axes if ax.get_xlabel() == "pixel of the scan line")
        shown = {line.get_label(): line.get_ydata() for line in below.lines}
        np.testing.assert_allclose(shown["the image: grey value / 255"], gray / 255)
        np.testing.assert_allclose(shown["values that go in"], values)
        np.testing.assert_allclose(shown["all pairs"], both[:, 0] / both[:, 1])
        assert abs(shown["lattice"] - shown["all pairs"]).max() < 0.1
        assert abs(shown["lattice"] - shown["values that go in"]).max() > 0.2  # something was mixed
        assert set(drawn.key(below)) == set(shown)
        # Pixels are drawn where their features are; in the last step they have the colours of the result.
        for ax in steps:
            cloud = ax.collections[1]
            np.testing.assert_allclose(cloud.get_offsets(), features, atol=1e-5)
        np.testing.assert_allclose(steps[2].collections[1].get_array(), shown["lattice"], rtol=1e-5)
        # Blurring reaches vertices that no pixel has splatted to.
        assert len(steps[1].collections[2].get_offsets()) > len(steps[0].collections[2].get_offsets()) > 3

    def test_before_and_after_by_class(self):
        rows = {"no CRF": [0.5, 0.2, 0.8], "VOC": [0.6, 0.1, 0.8], "tuned": [0.55, 0.6, 0.9]}
        ax = figures.before_after(rows, ["car", "pole", "sky"]).axes[0]
        assert drawn.ticks(ax.yaxis) == ["pole", "car", "sky"]  # by their score before
        for i, (line, (name, values)) in enumerate(zip(ax.lines, rows.items())):
            x, y = drawn.curve(line)
            np.testing.assert_allclose(x, [100 * values[k] for k in (1, 0, 2)])
            assert line.get_label() == name
            assert line.get_fillstyle() == ("none" if i == 0 else "full")
            assert np.round(y).tolist() == [0, 1, 2]
            strokes = np.array(ax.collections[i].get_segments())
            np.testing.assert_allclose(strokes[:, 0, 0], [20, 50, 80])  # from the score before …
            np.testing.assert_allclose(strokes[:, 1, 0], x)  # … to the score after
        assert drawn.key(ax) == dict(zip(rows, plots.CYCLE)) and ax.get_xlabel() == "IoU, %"

    def test_cups_have_the_outline_of_their_labels(self):
        labels = torch.zeros(16, 24, dtype=torch.int64)
        labels[4:12, 6:18] = 1
        panels = {"before": labels, "all cup": labels * 0 + 1, "after": labels.roll(2, 1)}
        fig = figures.cups(IMAGE, panels, columns=3)
        assert drawn.titles(fig) == list(panels)
        assert [len(ax.collections) for ax in fig.axes] == [2, 0, 2]  # one label alone has no outline
        for ax, (left, right) in zip((fig.axes[0], fig.axes[2]), ((5.5, 17.5), (7.5, 19.5))):
            assert (drawn.pixels(ax) == PHOTO).all()
            (outline,) = ax.collections[1].get_paths()
            x, y = outline.vertices.T
            assert (x.min(), x.max(), y.min(), y.max()) == (left, right, 3.5, 11.5)

    @pytest.mark.parametrize("changes", [{}, {"weight": 0.0, "smoothness": 0.0}, {"sigma_rgb": 60}, {"iterations": 0}])
    def test_the_live_figure_draws_the_crf_of_its_controls(self, changes):
        image, mask = figures.coffee(20, 30)
        p = torch.stack([1 - mask, mask]).float().roll(2, 2) * 0.4 + 0.3
        controls = {"weight": 4.0, "sigma_xy": 10, "sigma_rgb": 6, "smoothness": 1.0, "iterations": 3, **changes}
        fig = figures.live_crf(image, mask, p, **controls)
        crf = DenseCRF(
            Bilateral(controls["weight"], controls["sigma_xy"], controls["sigma_rgb"]),
            Gaussian(controls["smoothness"], 1.5),
            iterations=controls["iterations"],
        )
        shown = drawn.pixels(fig.axes[1])
        np.testing.assert_allclose(shown, crf(image, p)[1], atol=1e-5)
        silent = controls["iterations"] == 0 or controls["weight"] == 0
        assert (abs(shown - p[1].numpy()).max() < 1e-5) == silent
