"""The drawings of chapter 02 show the borders, derivatives, signals and maps that they are handed."""

import drawn
import numpy as np
import pytest
import torch
from drawn import lines
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.colors import to_hex
from matplotlib.contour import ContourSet
from matplotlib.patches import Circle
from torch import nn

from segbook import plots
from segbook.course.ch02_deep_learning import figures

GENERATOR = torch.Generator().manual_seed(0)


def kinds(ax, kind) -> list:
    return [artist for artist in ax.collections if isinstance(artist, kind)]


def linear(weight, bias) -> nn.Linear:
    layer = nn.Linear(2, 2)
    layer.weight.data, layer.bias.data = torch.tensor(weight), torch.tensor(bias)
    return layer


class TestDecisionRegions:
    X = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [0.2, -0.3], [-0.6, 0.8]])
    Y = torch.tensor([0, 1, 0, 1])
    RIGHT = linear([[0.0, 0.0], [1.0, 0.0]], [0.0, -0.5])  # class 1 where x1 > 0.5
    BENT = nn.Sequential(  # class 1 where x2 > 0.5: one hidden unit creases at x1 = 0, the other at x2 = 0.25
        linear([[1.0, 0.0], [0.0, 1.0]], [0.0, -0.25]), nn.ReLU(), linear([[0.0, 0.0], [0.0, 1.0]], [0.0, -0.25])
    )

    def test_each_panel_is_colored_by_its_net(self):
        fig = figures.decision_regions({"right": self.RIGHT, "bent": self.BENT}, self.X, self.Y)
        right, above = (np.asarray(kinds(ax, QuadMesh)[0].get_array()).reshape(120, 160) for ax in fig.axes)
        horizontal, vertical = np.linspace(-1.35, 1.35, 160), np.linspace(-1.35, 1.35, 120)
        assert (right == (horizontal > 0.5)).all() and (above == (vertical > 0.5)[:, None]).all()
        assert not kinds(fig.axes[1], ContourSet)  # creases only when asked for

    def test_the_points_have_the_color_of_their_class(self):
        (ax,) = figures.decision_regions({"one": self.RIGHT}, self.X, self.Y).axes
        for label, points in enumerate(kinds(ax, PathCollection)):
            assert (points.get_offsets() == self.X[self.Y == label].numpy()).all()
            assert to_hex(points.get_facecolor()).upper() == plots.CYCLE[label]

    def test_creases_lie_where_a_hidden_unit_is_zero(self):
        fig = figures.decision_regions({"right": self.RIGHT, "bent": self.BENT}, self.X, self.Y, creases="bent")
        assert not kinds(fig.axes[0], ContourSet)
        first, second = (np.vstack([p.vertices for p in c.get_paths()]) for c in kinds(fig.axes[1], ContourSet))
        assert np.allclose(first[:, 0], 0, atol=1e-5) and np.ptp(first[:, 1]) == pytest.approx(2.7)
        assert np.allclose(second[:, 1], 0.25, atol=1e-5) and np.ptp(second[:, 0]) == pytest.approx(2.7)


def test_folds_have_a_panel_each():
    x = torch.linspace(0, 1, 9)
    curves = {"1 layer": x * 2, "2 layers": (x - 0.5).abs()}
    fig = figures.folds(x, curves)
    assert drawn.titles(fig) == list(curves) and fig.axes[0].get_ylabel() == "output"
    for ax, values in zip(fig.axes, curves.values()):
        np.testing.assert_allclose(drawn.curve(ax.lines[0]), (x, values), atol=1e-6)


class TestBackpropagation:
    VALUES = dict(
        x=torch.tensor([0.5, -1.0]), W1=torch.tensor([[0.11, 0.12], [0.21, 0.22]]), b1=torch.tensor([0.31, 0.32]),
        a1=torch.tensor([0.41, 0.42]), W2=torch.tensor([0.51, 0.52]), b2=torch.tensor(0.6),
        prediction=torch.tensor(0.7), loss=torch.tensor(0.8),
    )  # fmt: skip
    GRADIENTS = {name: -value / 100 for name, value in VALUES.items() if name != "loss"}

    @pytest.fixture
    def ax(self):
        return figures.backpropagation(self.VALUES, self.GRADIENTS).axes[0]

    @pytest.fixture
    def nodes(self, ax):
        """name → centre of the circle in which it stands."""
        centers = [np.array(patch.center) for patch in ax.patches if isinstance(patch, Circle)]
        found = {}
        for center in centers:
            (name,) = (t.get_text() for t in ax.texts if np.allclose(t.get_position(), center + (0, 0.2)))
            found[name] = center
        return found

    @staticmethod
    def place(ax, text):
        (found,) = (t for t in ax.texts if t.get_text() == text)
        return np.array(found.get_position()), drawn.color(found)

    def test_values_are_black_and_derivatives_orange(self, ax):
        for name, value in self.GRADIENTS.items():
            for derivative in value.flatten().tolist():
                assert self.place(ax, f"{derivative:+.4f}")[1] == figures.ORANGE, name
        for name in ("W1", "W2"):
            for weight in self.VALUES[name].flatten().tolist():
                assert self.place(ax, f"{weight:+.2f}")[1] == plots.INK
        assert self.place(ax, "backward: derivative of the loss by each value (orange)")[1] == figures.ORANGE

    def test_every_node_holds_its_own_value(self, ax, nodes):
        values = {"$x_1$": "0.500", "$x_2$": "-1.000", "$a_1$": "0.410", "$a_2$": "0.420", r"$\hat{y}$": "0.700",
                  "loss": "0.800"}  # fmt: skip
        assert set(nodes) == set(values)
        for name, text in values.items():
            assert np.linalg.norm(self.place(ax, text)[0] - nodes[name]) < 0.48  # inside the circle
        for name, bias in {"$a_1$": "+0.31", "$a_2$": "+0.32", r"$\hat{y}$": "+0.60"}.items():
            assert np.linalg.norm(self.place(ax, f"bias {bias}")[0] - nodes[name]) < 0.8

    @pytest.mark.parametrize(
        ("name", "index", "start", "end"),
        [("W1", (i, j), f"$x_{j + 1}$", f"$a_{i + 1}$") for i in (0, 1) for j in (0, 1)]
        + [("W2", (i,), f"$a_{i + 1}$", r"$\hat{y}$") for i in (0, 1)],
    )
    def test_every_weight_lies_on_the_edge_from_its_input_to_its_output(self, ax, nodes, name, index, start, end):
        a, b = nodes[start], nodes[end]
        across = np.array([-(b - a)[1], (b - a)[0]]) / np.linalg.norm(b - a)
        for text in (f"{self.VALUES[name][index]:+.2f}", f"{self.GRADIENTS[name][index]:+.4f}"):
            offset = self.place(ax, text)[0] - a
            assert abs(offset @ across) < 0.2 and 0 < offset @ (b - a) < (b - a) @ (b - a)


def test_the_gallery_has_each_function_with_its_slope():
    x = torch.linspace(-2, 2, 5)
    names = ["sigmoid", "tanh", "ReLU", "LeakyReLU", "PReLU", "ELU", "GELU", "SiLU"]
    functions = {name: x * number for number, name in enumerate(names, start=1)}
    slopes = {name: torch.full_like(x, number) for number, name in enumerate(names, start=1)}
    softmax = torch.stack([x, torch.ones(5), torch.zeros(5)], 1).softmax(1)
    fig = figures.activation_gallery(x, functions, slopes, softmax)
    assert drawn.titles(fig)[:8] == names and "softmax" in drawn.title(fig.axes[8])
    for ax, name in zip(fig.axes, names):
        np.testing.assert_allclose(lines(ax)["$f(x)$"], (x, functions[name]))
        np.testing.assert_allclose(lines(ax)["$f'(x)$"], (x, slopes[name]))
    for column, name in enumerate(("$p_1$", "$p_2$", "$p_3$")):
        np.testing.assert_allclose(lines(fig.axes[8])[name], (x, softmax[:, column]), atol=1e-6)
    assert fig.axes[0].get_ylim()[1] < 2 < 3 < fig.axes[2].get_ylim()[1]  # the bounded ones fill their panels


def test_gradients_are_averaged_by_their_powers_of_ten():
    layers = np.arange(1, 5)
    starts = {"naive": 1e-9, "Xavier": 1e-3, "He": 1.0}
    norms = {(f, start): np.array([s * 10.0**layers, s * 10.0 ** (layers + 2)]) / k
             for k, f in enumerate(("sigmoid", "ReLU"), start=1) for start, s in starts.items()}  # fmt: skip
    fig = figures.gradients_by_layer(norms)
    for ax in fig.axes:
        for name, line, band in zip(starts, ax.lines, ax.collections):
            values = norms[drawn.title(ax), name]
            assert line.get_label() == name
            np.testing.assert_allclose(line.get_xdata(), layers)
            np.testing.assert_allclose(line.get_ydata(), values[0] * 10)  # half way between 1 and 100
            heights = band.get_paths()[0].vertices[:, 1]
            assert (heights.min(), heights.max()) == pytest.approx((values.min(), values.max()))
    legend = fig.axes[-1].get_legend()
    assert [t.get_text() for t in legend.get_texts()] == list(starts)


class TestThroughDepth:
    X = torch.linspace(-4, 4, 9)

    def draw(self, signal, gradients, title="ReLU and its slope"):
        curve = self.X, self.X.relu(), (self.X > 0).float()
        return figures.through_depth(curve, signal, gradients, title)

    def test_the_curve_and_the_first_and_last_signal(self):
        left, middle, right = self.draw([torch.zeros(8)] * 3, [1.0, 1.0, 1.0]).axes
        np.testing.assert_allclose(lines(left)["f"], (self.X, self.X.relu()))
        np.testing.assert_allclose(lines(left)["slope of f"], (self.X, self.X > 0))
        assert middle.get_yticks().tolist() == [1, 2, 3] and middle.get_ylabel() == "layer"
        assert "power of ten" in right.get_xlabel() and right.get_ylim() == middle.get_ylim()

    def test_signals_beyond_the_axis_pile_up_at_its_ends(self):
        signal = [torch.linspace(-0.5, 0.5, 50), torch.full((50,), 100.0), torch.full((50,), -1e9)]
        _, middle, _ = self.draw(signal, [1.0, 1.0, 1.0]).axes
        rows = [path.vertices for path in middle.collections[0].get_paths()]
        assert len(rows) == 3
        for layer, (low, high) in enumerate([(-0.6, 0.6), (3.8, 4.0), (-4.0, -3.8)], start=1):
            raised = rows[layer - 1][rows[layer - 1][:, 1] < layer]  # rows grow upwards from layer + 0.45
            assert raised[:, 1].min() == pytest.approx(layer + 0.45 - 0.9)  # the fullest bin is as high in every row
            assert low <= raised[:, 0].min() and raised[:, 0].max() <= high

    def test_gradients_outside_the_healthy_band_are_orange(self):
        _, _, right = self.draw([torch.zeros(4)] * 5, [1e-4, 1.0, 0.0, 1e9, 10.0]).axes
        bars = right.containers[0].patches
        green, orange = plots.CYCLE[2], plots.CYCLE[1]
        assert [drawn.color(bar) for bar in bars] == [orange, green, orange, orange, green]
        ends = [bar.get_x() + bar.get_width() for bar in bars]
        assert ends == pytest.approx([-4, 0, -12, 6, 1])  # nothing leaves the axis
        assert [bar.get_y() + bar.get_height() / 2 for bar in bars] == pytest.approx([1, 2, 3, 4, 5])


def test_signal_at_depth_has_a_curve_a_kind():
    spreads = {"without batch norm": [1e-9, 1.0, 1e9], "with batch norm": torch.tensor([1.0, 1.1, 0.9])}
    ax = figures.signal_at_depth((0.1, 1, 10), spreads).axes[0]
    for name, values in spreads.items():
        line = next(line for line in ax.lines if line.get_label() == name)
        np.testing.assert_allclose(line.get_data(), ((0.1, 1, 10), values), rtol=1e-6)
    assert list(drawn.key(ax)) == list(spreads) and drawn.ticks(ax.xaxis) == ["0.1", "1", "10"]


def test_the_paths_lie_in_the_valley_of_the_loss():
    def loss(w):
        return 0.1 * w[..., 0] ** 2 + 10 * w[..., 1] ** 2

    paths = {
        "SGD": torch.tensor([[-4.0, 0.5], [-2.0, 0.2], [0.0, 0.1]]),
        "Adam": torch.tensor([[-3.0, 1.0], [0.5, 0.0]]),
    }
    fig = figures.valley(loss, paths)
    assert drawn.titles(fig) == list(paths) and fig.axes[0].get_ylabel() == "$w_2$"
    for ax, path in zip(fig.axes, paths.values()):
        steps, lowest, start = ax.lines
        np.testing.assert_allclose(drawn.curve(steps), path.T)
        assert drawn.curve(lowest) == ([0], [0]) and drawn.curve(start) == tuple([v] for v in path[0].tolist())
        (contours,) = kinds(ax, ContourSet)
        found = [(level, p.vertices) for level, p in zip(contours.levels, contours.get_paths()) if len(p.vertices)]
        assert len(found) >= 6
        for level, vertices in found:
            np.testing.assert_allclose(loss(torch.tensor(vertices)), level, atol=0.01, rtol=1e-3)


class TestTrainingAndMistakes:
    IMAGES = torch.rand(12, 1, 5, 4, generator=GENERATOR)
    LABELS = torch.arange(12) % 10

    def draw(self, wrong):
        predictions = self.LABELS.clone()
        predictions[wrong] = (predictions[wrong] + 1) % 10
        return predictions, figures.training_and_mistakes([2.3, 1.0, 0.4], self.IMAGES, predictions, self.LABELS)

    @pytest.mark.parametrize(
        ("wrong", "title"),
        [
            ([], "0 mistakes on 12 test images"),
            ([3, 7], "2 mistakes on 12 test images"),
            ([0, 1, 2, 5, 6], "5 mistakes on 12 test images"),
            (list(range(2, 12)), "10 mistakes on 12 test images, the first 8"),
        ],
    )
    def test_the_first_mistakes_are_shown(self, wrong, title):
        predictions, fig = self.draw(wrong)
        left, right = fig.subfigs
        assert right.get_suptitle() == title
        shown = [ax for ax in right.axes if ax.images]
        assert len(shown) == min(len(wrong), 8)
        for ax, index in zip(shown, wrong):
            assert (drawn.pixels(ax) == self.IMAGES[index, 0].numpy()).all()
            assert drawn.title(ax) == f"{self.LABELS[index]} read as {predictions[index]}"
        assert not any(ax.axison for ax in right.axes if not ax.images)

    def test_the_loss_of_every_step(self):
        _, fig = self.draw([1])
        (ax,) = fig.subfigs[0].axes
        assert drawn.curve(ax.lines[0]) == ([1, 2, 3], [2.3, 1.0, 0.4])


def test_feature_maps_are_those_that_answer_most():
    image, first, second = torch.rand(6, 6, generator=GENERATOR), torch.zeros(5, 6, 6), torch.zeros(4, 3, 3)
    for stage, peaks in ((first, [1.0, 5.0, 2.0, 0.5, 3.0]), (second, [4.0, 1.0, 2.0, 3.0])):
        for channel, peak in enumerate(peaks):
            stage[channel, channel % 3, 1] = peak
    fig = figures.feature_maps(image, {"block 1": first, "block 2": second}, count=4)
    inputs, *maps = fig.axes
    assert drawn.title(inputs) == "input" and (drawn.pixels(inputs) == image.numpy()).all()
    for ax, stage, channel in zip(maps, (first, first, second, second), (1, 4, 0, 3)):
        assert (drawn.pixels(ax) == stage[channel].numpy()).all()
        assert ax.images[0].get_clim() == (0, stage[channel].max().item())  # each from nothing to its strongest


def test_pooling_shows_both_scenes_on_one_scale():
    scenes = [torch.rand(4, 8, generator=GENERATOR) for _ in "AB"]
    maps = [torch.rand(3, 2, 4, generator=GENERATOR), 5 * torch.rand(3, 2, 4, generator=GENERATOR)]
    pooled = [m.mean((1, 2)) for m in maps]
    grid = np.reshape(figures.what_pooling_keeps(scenes, maps, pooled, channel=1).axes, (3, 2))
    top = max(m[1].max().item() for m in maps)
    for column in (0, 1):
        assert (drawn.pixels(grid[0, column]) == scenes[column].numpy()).all()
        assert (drawn.pixels(grid[1, column]) == maps[column][1].numpy()).all()
        assert grid[1, column].images[0].get_clim() == (0, top)
        heights = [bar.get_height() for bar in grid[2, column].patches]
        assert heights == pytest.approx(pooled[column].tolist())
    assert grid[2, 0].get_ylim() == grid[2, 1].get_ylim() and grid[2, 0].get_ylim()[1] > max(p.max() for p in pooled)


class TestClassMaps:
    MAPS = torch.rand(10, 2, 3, generator=GENERATOR)

    def draw(self, labels):
        return figures.class_maps(torch.rand(*labels.shape, generator=GENERATOR), self.MAPS, (3, 7), labels).axes

    def test_two_maps_and_the_strongest_class(self):
        labels = torch.tensor([[3, 3, -1], [-1, 7, 7]])
        image, three, seven, strongest = self.draw(labels)
        for ax, digit in ((three, 3), (seven, 7)):
            assert f'"{digit}"' in drawn.title(ax) and (drawn.pixels(ax) == self.MAPS[digit].numpy()).all()
            assert ax.images[0].get_clim() == pytest.approx((0, self.MAPS[[3, 7]].max().item()))
        painted = drawn.pixels(strongest)
        for digit in (3, 7):
            assert {to_hex(c).upper() for c in painted[labels == digit]} == {figures.DIGIT_COLORS[digit]}
        assert (painted[labels == -1] == 1).all()  # paper stays white
        assert drawn.key(strongest) == {str(digit): figures.DIGIT_COLORS[digit] for digit in (3, 7)}

    def test_ten_digits_have_ten_colors(self):
        strongest = self.draw(torch.arange(10).view(2, 5))[3]
        assert len(set(drawn.key(strongest).values())) == 10
        assert len(np.unique(drawn.pixels(strongest).reshape(-1, 3), axis=0)) == 10


@pytest.mark.parametrize("log", [False, True])
def test_curves_start_at_step_one_and_levels_are_named(log):
    series = {"softmax twice": [2.3, 1.9, 1.6], "logits": [2.3, 0.5]}
    ax = figures.curves(series, "training loss", {"lowest: 1.46": 1.46}, log=log).axes[0]
    assert lines(ax) == {
        "softmax twice": ([1, 2, 3], [2.3, 1.9, 1.6]), "logits": ([1, 2], [2.3, 0.5]),
    }  # fmt: skip
    assert list(drawn.key(ax)) == list(series)
    assert len({line.get_linestyle() for line in ax.lines}) == 3  # told apart without colour
    assert set(ax.lines[2].get_ydata()) == {1.46}
    assert drawn.words(ax) == ["lowest: 1.46"] and ax.texts[0].xy[1] == 1.46
    assert ax.get_yscale() == ("log" if log else "linear") and ax.get_ylabel() == "training loss"


def test_curves_without_levels():
    assert len(figures.curves({"one": [1.0, 0.5]}, "loss").axes[0].lines) == 1
