"""The drawings of chapter 01 show the points, paths, errors and counts that they are handed."""

import drawn
import numpy as np
import pytest
import torch
from drawn import lines
from matplotlib.colors import to_hex
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from segbook import plots
from segbook.course.ch01_machine_learning import figures
from segbook.data.classes import DRIVING_PALETTE

X, Y = torch.tensor([-0.8, -0.1, 0.3, 0.9]), torch.tensor([0.5, -0.2, 1.1, 0.0])
HELD_OUT = (torch.tensor([-0.5, 0.6]), torch.tensor([0.1, 0.7]))
GRID = torch.linspace(-1, 1, 7)


def colors(ax) -> dict:
    return {line.get_label(): drawn.color(line) for line in ax.lines if not line.get_label().startswith("_")}


def same(found, *expected) -> bool:
    """Whether a drawn curve runs through these x and y."""
    return all(len(a) == len(b) and np.allclose(a, b, atol=1e-5) for a, b in zip(found, map(np.asarray, expected)))


class TestFourPieces:
    def boxes(self, ax):
        """name → (x0, y0, x1, y1), by the text that stands inside."""
        found = {}
        for box in (p for p in ax.patches if isinstance(p, FancyBboxPatch)):
            x, y = box.get_x(), box.get_y()
            edges = x, y, x + box.get_width(), y + box.get_height()
            inside = [t.get_text() for t in ax.texts if edges[0] < t.get_position()[0] < edges[2]
                      and edges[1] < t.get_position()[1] < edges[3]]  # fmt: skip
            found[inside[0]] = (edges, inside[1])
        return found

    def test_each_piece_says_what_it_does(self):
        said = {name: words for name, (_, words) in self.boxes(figures.four_pieces().axes[0]).items()}
        assert set(said) == {"data", "model", "loss", "optimiser"}
        assert "labels" in said["data"] and "weights" in said["model"]
        assert "how wrong" in said["loss"] and "changes the weights" in said["optimiser"]

    def test_the_arrows_lead_round_the_loop(self):
        ax = figures.four_pieces().axes[0]
        boxes = {name: edges for name, (edges, _) in self.boxes(ax).items()}

        def nearest(point):
            def distance(edges):
                outside = [max(edges[i] - point[i], 0, point[i] - edges[i + 2]) for i in (0, 1)]
                return np.hypot(*outside)

            name = min(boxes, key=lambda n: distance(boxes[n]))
            assert distance(boxes[name]) < 0.2
            return name

        arrows = [p for p in ax.patches if isinstance(p, FancyArrowPatch)]
        ends = {tuple(nearest(point) for point in arrow._posA_posB) for arrow in arrows}
        assert ends == {
            ("data", "model"),
            ("model", "loss"),
            ("data", "loss"),
            ("loss", "optimiser"),
            ("optimiser", "model"),
        }


class TestRoads:
    CURVES = {"A": (GRID, 2 * GRID), "B": (GRID, GRID**3)}

    def test_every_panel_has_the_points_and_a_curve_of_its_own(self):
        fig = figures.roads(X, Y, self.CURVES)
        assert drawn.titles(fig) == ["A", "B"] and not fig.legends
        for ax, (grid, values) in zip(fig.axes, self.CURVES.values()):
            assert set(lines(ax)) == {"fitted", "training points"}
            assert same(lines(ax)["fitted"], grid, values) and same(lines(ax)["training points"], X, Y)

    def test_validation_points_and_the_true_road_are_told_apart(self):
        fig = figures.roads(X, Y, self.CURVES, validation=HELD_OUT, truth=(GRID, torch.sin(GRID)))
        for ax in fig.axes:
            assert same(lines(ax)["validation points"], *HELD_OUT) and same(
                lines(ax)["true road"], GRID, torch.sin(GRID)
            )
        assert drawn.key(fig) == colors(fig.axes[0]) and len(set(drawn.key(fig).values())) == 4
        # Two kinds of points differ by their mark too, not by colour alone.
        marks = {line.get_label(): line.get_marker() for line in fig.axes[0].lines}
        assert marks["training points"] != marks["validation points"]


class TestDescent:
    BEST = (1.5, 0.5)
    PATH = np.column_stack([np.linspace(0, 1.5, 21), np.linspace(0.2, 0.5, 21)])

    @staticmethod
    def loss(w, b):
        return 0.6 + 4 * (w - 1.5) ** 2 + (b - 0.5) ** 2

    def test_the_path_runs_over_the_surface_to_the_lowest_point(self):
        fig = figures.descent([0, 1], [0.4, 2], self.PATH, self.loss, self.BEST)
        surface = fig.axes[0]
        path, *_ = surface.lines
        assert same(drawn.curve(path), *self.PATH.T)
        assert lines(surface) == {"start": ([0.0], [0.2]), "lowest point": ([1.5], [0.5])}
        contours = surface.collections[0]
        lowest = contours.get_paths()[0]  # where the loss is between the first two levels
        assert contours.levels[0] < 0.6 < contours.levels[1]
        assert lowest.contains_point(self.BEST) and not lowest.contains_point(self.BEST[::-1])

    def test_the_lines_are_the_points_of_the_path(self):
        fig = figures.descent([0, 1], [0.4, 2], self.PATH, self.loss, self.BEST)
        *steps, data = lines(fig.axes[1]).items()
        assert [label for label, _ in steps] == [f"after {n} steps" for n in (0, 1, 2, 10, 20)]
        for number, (_, (x, y)) in zip((0, 1, 2, 10, 20), steps):
            w, b = self.PATH[number]
            assert y == pytest.approx([w * x[0] + b, w * x[1] + b], abs=1e-5)
        assert data == ("data", ([0, 1], [0.4, 2]))
        shades = [line.get_alpha() for line in fig.axes[1].lines[:5]]
        assert shades == sorted(set(shades)) and shades[-1] == 1  # the later, the stronger


def test_step_sizes_are_drawn_above_the_lowest_loss_and_cut_where_they_explode():
    losses = {"rate 0.1": [9.0, 5.0, 3.0], "rate 0.9": [9.0, 500.0, 7000.0, 1e6]}
    ax = figures.step_sizes(losses, 1.0).axes[0]
    assert [drawn.curve(line) for line in ax.lines] == [([0, 1, 2], [8, 4, 2]), ([0, 1], [8, 499])]
    assert drawn.words(ax) == list(losses)
    assert [text.xy for text in ax.texts] == [(2, 2.0), (1, 499.0)]  # each name where its curve ends
    assert [drawn.color(text) for text in ax.texts] == [drawn.color(line) for line in ax.lines]


def test_the_lowest_validation_error_is_named():
    errors = {"training": [2.0, 1.0, 0.3, 0.2], "validation": [2.1, 1.2, 0.4, 0.9]}
    ax = figures.errors_by_degree(errors, range(2, 6), floor=0.0625).axes[0]
    assert same(lines(ax)["training"], range(2, 6), errors["training"])
    assert same(lines(ax)["validation"], range(2, 6), errors["validation"])
    (mark,) = (text for text in ax.texts if "lowest" in text.get_text())
    assert mark.get_text() == "lowest validation error: degree 4" and mark.xy == (4, 0.4)
    (floor,) = (label for label in lines(ax) if "true road" in label)
    assert set(lines(ax)[floor][1]) == {0.0625}
    assert list(drawn.key(ax)) == ["training", "validation", floor]
    assert drawn.ticks(ax.xaxis) == ["2", "3", "4", "5"] and ax.get_yscale() == "log"


def test_the_winner_is_chosen_on_validation_and_shown_on_both():
    validation = torch.tensor([0.5] * 300 + [0.6] * 150 + [0.7] + [0.4] * 49)
    test = torch.full((500,), 0.52)
    test[450], test[3] = 0.49, 0.75  # another candidate would have been better on the test images
    fig = figures.lottery(validation, test)
    ax = fig.axes[0]
    assert sorted(x for x, _ in lines(ax).values())[0] == [0.49, 0.49]
    key = list(drawn.key(fig))
    assert len(key) == 3 and any(k.endswith("validation images: 70%") for k in key)
    assert any("the same winner" in k and k.endswith(": 49%") for k in key)
    heights = [bar.get_height() for bar in ax.patches]
    assert sum(heights) == 500 and sorted(heights)[-4:] == [1, 49, 150, 300]
    tallest = ax.patches[int(np.argmax(heights))]
    assert tallest.get_x() - 1e-6 <= 0.5 <= tallest.get_x() + tallest.get_width() + 1e-6


def test_calmed_has_the_fit_above_its_weights():
    fits = {"λ = 0": (GRID * 3, [100.0, -1000.0, 7.0]), "λ = 1": (GRID * 0.1, torch.tensor([0.1, -0.2, 0.01]))}
    fig = figures.calmed(X, Y, (GRID, torch.sin(GRID)), fits)
    upper, lower = np.reshape(fig.axes, (2, 2))
    assert [drawn.title(ax) for ax in upper] == list(fits)
    for top, bottom, (values, weights) in zip(upper, lower, fits.values()):
        assert same(lines(top)["fitted"], GRID, values) and same(lines(top)["training points"], X, Y)
        assert same(lines(top)["true road"], GRID, torch.sin(GRID))
        assert [bar.get_height() for bar in bottom.patches] == pytest.approx(np.abs(weights))
        assert [bar.get_x() + bar.get_width() / 2 for bar in bottom.patches] == pytest.approx([1, 2, 3])
    assert lower[0].get_ylim() == lower[1].get_ylim()  # the sizes can be compared


class TestPolynomialFitter:
    ERRORS = [[0.9, 0.8, 0.7], [0.25, 0.4, 0.5], [0.0, 5000.0, 90000.0]]

    def draw(self, degree, opened):
        sets = (X, Y), HELD_OUT, (torch.tensor([0.0, 0.1, 0.2]), torch.tensor([1.0, 0.9, 0.8]))
        fitted, truth = GRID * degree, torch.sin(GRID)
        return figures.polynomial_fitter(*sets, GRID, fitted, truth, self.ERRORS, degree, opened)

    @pytest.mark.parametrize(("degree", "errors"), [(0, "0.900 · validation 0.800"), (1, "0.250 · validation 0.400"),
                                                    (2, "< 0.001 · validation > 1000")])  # fmt: skip
    def test_the_slider_moves_curve_and_numbers(self, degree, errors):
        left, right = self.draw(degree, opened=False).axes
        assert drawn.title(left) == f"training {errors} · test sealed"
        assert same(lines(left)[f"degree {degree}"], GRID, GRID * degree)
        assert same(lines(left)["training"], X, Y) and same(lines(left)["validation"], *HELD_OUT)
        assert set(right.lines[2].get_xdata()) == {degree}  # the bar behind the chosen degree
        # An exact fit stands at the lower edge, the rest at its logarithm.
        assert lines(right)["training"][1] == pytest.approx([np.log10(0.9), np.log10(0.25), -4], abs=1e-5)
        assert lines(right)["validation"][1] == pytest.approx([np.log10(0.8), np.log10(0.4), 3], abs=1e-5)

    def test_the_test_set_stays_sealed_until_it_is_opened(self):
        for ax in self.draw(1, opened=False).axes:
            assert not any("test" in label for label in [*lines(ax), *drawn.key(ax)])
        left, right = self.draw(1, opened=True).axes
        assert drawn.title(left).endswith("· test 0.500")
        assert same(lines(left)["test"], [0, 0.1, 0.2], [1, 0.9, 0.8])
        assert same(lines(right)["test, opened"], [1], [np.log10(0.5)])
        assert "test" in drawn.key(left) and "test, opened" in drawn.key(right)

    def test_a_huge_test_error_is_said_and_its_star_stays_on_the_paper(self):
        left, right = self.draw(2, opened=True).axes
        assert drawn.title(left).endswith("test > 1000")
        assert lines(right)["test, opened"][1][0] < right.get_ylim()[1]

    def test_the_labels_of_the_axis_are_the_powers_of_ten(self):
        right = self.draw(0, opened=False).axes[1]
        assert [float(text) for text in drawn.ticks(right.yaxis)] == [10.0**n for n in right.get_yticks()]


@pytest.mark.parametrize("count", [3, 10, 12])
def test_digits_stand_in_rows_of_ten_under_their_labels(count):
    images = torch.rand(count, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = [n % 10 for n in range(count)]
    fig = figures.digits(images, labels)
    assert len(fig.axes) == 10 * -(-count // 10)
    for ax, image, label in zip(fig.axes, images, labels):
        assert (drawn.pixels(ax) == image.numpy()).all() and drawn.title(ax) == str(label)
        assert ax.images[0].get_clim() == (0, 1)
    assert not any(ax.images or ax.axison for ax in fig.axes[count:])


def test_the_learning_curve_starts_at_the_loss_of_guessing():
    training, validation, accuracy = [2.3, 1.0, 0.5], [2.3, 1.2, 0.8], [0.1, 0.7, 0.9]
    left, right = figures.learning_curve(training, validation, accuracy).axes
    assert same(lines(left)["training"], range(3), training) and same(lines(left)["validation"], range(3), validation)
    assert set(lines(left)["ln 10"][1]) == {round(float(np.log(10)), 6)}
    assert same(drawn.curve(right.lines[0]), range(3), accuracy) and right.get_ylim() == (0, 1)
    assert drawn.color(right.lines[0]) == drawn.key(left)["validation"]  # it is the validation set's accuracy


def test_the_template_of_a_digit_is_its_column():
    weights = torch.randn(64, 10, generator=torch.Generator().manual_seed(0))
    fig = figures.templates(weights)
    *panels, bar = fig.axes
    assert [drawn.title(ax) for ax in panels] == [f"for {digit}" for digit in range(10)]
    limit = weights.abs().max().item()
    for digit, ax in enumerate(panels):
        assert (drawn.pixels(ax) == weights[:, digit].view(8, 8).numpy()).all()
        assert ax.images[0].get_clim() == pytest.approx((-limit, limit))  # no weight is white, in all ten
    red, _, blue = panels[0].images[0].to_rgba(-limit)[:3]
    assert red > 2 * blue and bar.get_ylabel() == "weight"


def test_the_confusion_matrix_has_its_counts_and_the_accuracy_of_each_row():
    counts = torch.tensor([[90, 10, 0], [0, 30, 10], [1, 0, 3]])
    ax, bars = figures.confusion(counts).axes
    written = {text.get_position()[::-1]: int(text.get_text()) for text in ax.texts}
    assert written == {(r, c): n for (r, c), n in np.ndenumerate(counts.numpy()) if n}
    assert [bar.get_width() for bar in bars.patches] == pytest.approx([0.9, 0.75, 0.75])
    assert [bar.get_y() + bar.get_height() / 2 for bar in bars.patches] == pytest.approx([0, 1, 2])
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # row 0 on top, where the bars have it too
    shown = ax.images[0].get_array()
    assert (shown.filled(0) == counts.numpy()).all() and (shown.mask == (counts.numpy() == 0)).all()
    ink = {text.get_text(): drawn.color(text) for text in ax.texts}
    assert ink["90"] == "#FFFFFF" and ink["1"] == plots.INK  # legible on dark and on pale cells


def test_pixels_shows_the_scene_its_labels_and_the_matrix():
    image = torch.randint(0, 256, (3, 6, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    target = torch.tensor([[0] * 4 + [1] * 4] * 6)
    moved = target.roll(3, 1)
    palette, names = DRIVING_PALETTE[[0, 3, 8, 11]], ["sky", "road", "car"]
    counts = torch.tensor([[20, 4, 0], [0, 24, 0], [0, 0, 0]])
    photo, labels, prediction, matrix, bar = figures.pixels(image, target, moved, palette, counts, names).axes
    assert (drawn.pixels(photo) == image.permute(1, 2, 0).numpy()).all()
    assert (drawn.pixels(labels) == palette[target]).all() and (drawn.pixels(prediction) == palette[moved]).all()
    assert (matrix.images[0].get_array().filled(0) == counts.numpy()).all()
    assert drawn.ticks(matrix.xaxis) == drawn.ticks(matrix.yaxis) == names
    marks = {line.get_ydata()[0]: drawn.color(line) for line in matrix.lines}
    assert marks == {row: to_hex(palette[row] / 255).upper() for row in range(3)}


def test_scores_are_dots_of_which_none_hides_another():
    rows = {"choose, then split": [0.8, 0.9, 0.8, 0.8], "split, then choose": [0.5, 0.4]}
    ax = figures.scores(rows).axes[0]
    first, first_mean, second, second_mean, chance = ax.lines
    for row, dots, mean in ((0, first, first_mean), (1, second, second_mean)):
        values = list(rows.values())[row]
        assert sorted(dots.get_xdata()) == sorted(values)
        places = list(zip(*drawn.curve(dots)))
        assert len(set(places)) == len(values) and all(abs(y - row) < 0.5 for _, y in places)
        assert list(mean.get_xdata()) == pytest.approx([np.mean(values)] * 2)
    assert drawn.ticks(ax.yaxis) == list(rows) and set(chance.get_xdata()) == {0.5}
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row on top


class TestFourPoints:
    POINTS = torch.tensor([[1.0, 1.0], [0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    EMPTY = torch.tensor([1.0, 1.0, 0.0, 0.0])

    def test_the_four_surfaces_stand_at_their_corners(self):
        ax = figures.four_points(self.POINTS, self.EMPTY, 0, 0, 0).axes[0]
        below = {text.get_text(): (text.get_position()[0], round(text.get_position()[1])) for text in ax.texts}
        assert below == {"sky": (1, 1), "road": (0, 0), "building": (0, 1), "marking": (1, 0)}
        marks = {(line.get_xdata()[0], line.get_ydata()[0]): line.get_label() for line in ax.lines}
        assert {place for place, label in marks.items() if label == "empty surface"} == {(1, 1), (0, 0)}

    @pytest.mark.parametrize(("weights", "axis"), [((8, 0, -4), 1), ((0, 8, -4), 0)])
    def test_the_shade_is_the_probability(self, weights, axis):
        fig = figures.four_points(self.POINTS, self.EMPTY, *weights)
        shown = drawn.pixels(fig.axes[0])
        assert fig.axes[0].images[0].origin == "lower" and fig.axes[0].images[0].get_extent() == [-0.5, 1.5, -0.5, 1.5]
        assert (np.diff(shown, axis=axis) > 0).all() and np.allclose(np.diff(shown, axis=1 - axis), 0)
        at_one = shown.take(-1, axis)[0]  # the weighted feature is 1.5 there
        assert at_one == pytest.approx(1 / (1 + np.exp(-(8 * 1.5 - 4))))

    def test_no_weights_leave_one_half_everywhere(self):
        assert np.unique(drawn.pixels(figures.four_points(self.POINTS, self.EMPTY, 0, 0, 0).axes[0])).tolist() == [0.5]
