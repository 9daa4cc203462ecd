"""The drawings of chapter 03 say what PyTorch computes."""

import itertools
import re

import drawn
import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from torch import nn
from torch.nn import functional as F

from segbook.course.ch03_convolutions import figures


def texts(fig):
    return " ".join(text.get_text() for text in fig.axes[0].texts).replace("−", "-")


def tensor(array):
    return torch.tensor(array, dtype=torch.float32)[None, None]


@pytest.mark.parametrize("kernel, stride, padding, dilation", itertools.product((1, 2, 3, 5), (1, 3), (0, 2), (1, 3)))
def test_a_step_of_the_sliding_kernel(kernel, stride, padding, dilation):
    said = texts(figures.sliding_kernel(kernel, stride, padding, dilation, step=7))
    span = dilation * (kernel - 1) + 1
    if 6 + 2 * padding < span:
        assert f"reaches over {span} cells, the padded input has only {6 + 2 * padding}" in said
        return
    image, weights = tensor(figures.IMAGE), tensor(figures.WEIGHTS[kernel])
    y = F.conv2d(image, weights, stride=stride, padding=padding, dilation=dilation)[0, 0].int()
    row, column = divmod(7 % y.numel(), len(y))
    assert f"output {len(y)}×{len(y)}" in said
    assert re.search(rf"y\[{row}, {column}\] = .* = {y[row, column]}\b", said)


@pytest.mark.parametrize("kernel, stride, padding, dilation", itertools.product((1, 3, 4), (1, 2), (0, 1), (1, 2)))
def test_the_last_stamp_completes_the_transposed_convolution(kernel, stride, padding, dilation):
    said = texts(figures.sliding_kernel(kernel, stride, padding, dilation, transposed=True, step=8))
    small, weights = tensor(figures.SMALL_IMAGE), tensor(figures.WEIGHTS[kernel])
    y = F.conv_transpose2d(small, weights, stride=stride, dilation=dilation)[0, 0].int()
    taps = 2 * stride + dilation * np.arange(kernel)
    results = [int(total) for total in re.findall(r"=(-?\d+)(?=\s|$)", said.split("kernel:")[1])]
    assert results == y[np.ix_(taps, taps)].flatten().tolist()
    size = len(y) - 2 * padding
    assert (f"output {size}×{size}" if size > 0 else "output none") in said


def test_majority():
    mask = np.array([[0, 0, 5, 5, 9], [0, 3, 5, 5, 9], [3, 3, 1, 2, 9], [3, 3, 2, 2, 9]])
    assert figures.majority(mask, 2).tolist() == [[0, 5], [3, 2]]


def test_properties_of_a_dilated_layer():
    row = figures.properties("name", nn.Conv2d(4, 4, 3, padding=5, dilation=5, bias=False), channels=4, size=20)
    assert row == ["name", 144, 144 * 400, "4×20×20", 11, 3]


#: The layers of :func:`figures.types_at_a_glance` in its order: (layer, input size, which cell is lit).
GLANCED = [
    (nn.Conv2d(1, 1, 3), 5, 4),
    (nn.Conv2d(1, 1, 3, padding=1), 5, 5),
    (nn.Conv2d(1, 1, 3, stride=2, padding=1), 5, 4),
    (nn.Conv2d(1, 1, 1), 5, 13),
    (nn.Conv2d(1, 1, 3, dilation=2), 7, 4),
    (nn.ConvTranspose2d(1, 1, 3, stride=2), 3, 4),
]


@pytest.mark.parametrize("number", range(6))
def test_the_lit_cells_of_the_types_are_those_that_depend_on_each_other(number):
    layer, size, step = GLANCED[number]
    nn.init.constant_(layer.weight, 1.0)
    nn.init.zeros_(layer.bias)
    x = torch.ones(1, 1, size, size, requires_grad=True)
    y = layer(x)
    ax = figures.types_at_a_glance().axes[number]
    made = y.shape[-1]
    assert drawn.title(ax).split("\n")[1] == f"{size}×{size} → {made}×{made}"
    _, plane, below, above_plane, above, beam = ax.collections
    assert len(plane.get_paths()) == size**2 and len(above_plane.get_paths()) == made**2

    def cells(collection, n, height):
        """The (row, column) of drawn cells: depth runs up and to the right."""
        middles = np.array([path.vertices[:4].mean(0) for path in collection.get_paths()])
        depth = (middles[:, 1] - height) / 0.42
        places = np.stack([n / 2 - depth, middles[:, 0] - 0.42 * depth + n / 2], 1) - 0.5
        return {tuple(place) for place in places.round().astype(int).tolist() if 0 <= min(place) and max(place) < n}

    lit_below, lit_above = cells(below, size, 0.0), cells(above, made, 4.6)
    if isinstance(layer, nn.ConvTranspose2d):
        assert lit_below == {divmod(step, size)}
        with torch.no_grad():
            stamp = layer(F.one_hot(torch.tensor(step), size**2).float().view(1, 1, size, size))
        assert lit_above == set(map(tuple, stamp[0, 0].nonzero().tolist()))
    else:
        assert lit_above == {divmod(step, made)}
        y[0, 0].flatten()[step].backward()
        assert lit_below == set(map(tuple, x.grad[0, 0].nonzero().tolist()))
    assert len(beam.get_segments()) == 4


def test_the_wires_are_the_kernels_of_the_layers():
    axes = figures.wiring().axes
    for ax, stages in zip(axes, [[(1, 3)], [(2, 3)], [(6, 3)], [(6, 3), (1, 1)]]):
        wires = [c.get_segments() for c in ax.collections if isinstance(c, LineCollection)]
        assert len(wires) == len(stages)
        for segments, (groups, kernel), said in zip(wires, stages, drawn.words(ax)):
            kernels = nn.Conv2d(6, 6, kernel, groups=groups, bias=False).weight
            count = kernels.shape[0] * kernels.shape[1]
            assert len(segments) == count and said == f"{count} kernels {kernel}×{kernel}"
            # A channel reaches only those of its own group.
            ends = {(int(-a[1]), int(-b[1])) for a, b in segments}
            assert ends == {(i, o) for i in range(6) for o in range(6) if i * groups // 6 == o * groups // 6}


def test_the_matrix_stands_beside_its_transpose():
    weights = torch.arange(1.0, 5).view(1, 1, 2, 2)
    matrix = F.conv2d(torch.eye(9).view(9, 1, 3, 3), weights).flatten(1).T  # [4, 9]
    fig = figures.matrices(matrix, 3, 2)
    for ax, expected in zip(fig.axes, (matrix, matrix.T)):
        written = {tuple(t.get_position()[::-1]): float(t.get_text()) for t in ax.texts}
        assert written == {place: value for place, value in np.ndenumerate(expected.numpy())}
        assert (np.isnan(drawn.pixels(ax)) == (expected == 0).numpy()).all()  # only the weights are coloured
    left, right = fig.axes


@pytest.mark.parametrize("settings", [((3, 2), (4, 2)), ((6, 2), (5, 3)), ((2, 2), (3, 1))])
def test_overlaps_count_the_stamps_that_meet(settings):
    fig = figures.overlaps(settings)
    for ax, (kernel, stride) in zip(fig.axes, settings):
        count = F.conv_transpose1d(torch.ones(1, 1, 5), torch.ones(1, 1, kernel), stride=stride)[0, 0].int()
        written = {t.get_position()[0] - 0.5: int(t.get_text()) for t in ax.texts if t.get_text().isdigit()}
        assert [written[place] for place in range(len(count))] == count.tolist()
        even = "even" if kernel % stride == 0 else "uneven"
        assert drawn.title(ax) == f"kernel {kernel}, stride {stride}: {even}"
        assert sorted(bar.get_x() for bar in ax.patches) == pytest.approx([stride * cell + 0.06 for cell in range(5)])
        shades = [to_hex(c.get_facecolor()) for c in ax.collections]
        assert len(set(zip(count.tolist(), shades))) == len(set(shades)) == len(set(count.tolist()))


class TestTiles:
    RAMP = np.linspace(3, 7, 12).reshape(3, 4)

    def test_each_image_fills_its_own_range_and_a_constant_one_is_mid_gray(self):
        images = [self.RAMP, -self.RAMP, np.full((3, 4), 5.0), torch.from_numpy(self.RAMP / 100)]
        fig = figures.tiles(images, ["a", "b", "c", "d"], columns=2, rows=["first", "second"])
        for ax, image in zip(fig.axes, images):
            assert (drawn.pixels(ax) == np.asarray(image)).all()
        assert [ax.images[0].get_clim() for ax in fig.axes[:2]] == [(3, 7), (-7, -3)]
        assert fig.axes[2].images[0].norm(5.0) == 0.5

    def test_common_limits_make_images_comparable(self):
        fig = figures.tiles([self.RAMP, self.RAMP / 2], ["a", "b"], columns=2, limits=(0, 10))
        assert [ax.images[0].get_clim() for ax in fig.axes] == [(0, 10), (0, 10)]


def test_the_tents_sum_to_the_transposed_convolution():
    values, tent = [1.0, 3.0, 2.0], torch.tensor([0.25, 0.75, 0.75, 0.25])
    difference = torch.rand(5, 6, generator=torch.Generator().manual_seed(0))
    fig = figures.bilinear_by_stamps(values, 2, tent, difference)
    left, right, _ = fig.axes
    curves = {line.get_label(): drawn.curve(line) for line in left.lines}
    total = F.conv_transpose1d(torch.tensor(values).view(1, 1, -1), tent.view(1, 1, -1), stride=2)[0, 0]
    np.testing.assert_allclose(curves["their sum = output"], (np.arange(8), total), atol=1e-6)
    dots = [drawn.curve(line) for line in left.lines if line.get_marker() == "o"]
    assert dots == [([1.5], [1.0]), ([3.5], [3.0]), ([5.5], [2.0])]  # each value in the middle of its stamp
    for stamp, value, center in zip(left.collections, values, (1.5, 3.5, 5.5)):
        x, y = stamp.get_paths()[0].vertices.T
        assert (x.min(), x.max(), y.max()) == (center - 2, center + 2, value)
    assert "stride 2" in drawn.title(left) and (drawn.pixels(right) == difference.numpy()).all()


@pytest.mark.parametrize("stacks", [[(1, 1)], [(2, 2, 2), (1, 2, 3)], [(1, 2, 4), (3, 3)]])
def test_the_tree_ends_in_the_cells_that_have_an_influence(stacks):
    fig = figures.reach(stacks)
    for ax, stack in zip(fig.axes, stacks):
        net = nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=d, bias=False) for d in stack))
        for layer in net:
            nn.init.ones_(layer.weight)
        x = torch.ones(1, 1, 2 * sum(stack) + 1, requires_grad=True)
        net(x).sum().backward()
        used = (x.grad[0, 0].nonzero().flatten() - sum(stack)).tolist()
        span = used[-1] - used[0] + 1
        names = ", ".join(map(str, stack))
        assert drawn.title(ax) == f"dilations {names}: spans {span} cells, uses {len(used)} of them"
        blue = [
            c.get_offsets()[0] for c in ax.collections if to_hex(c.get_edgecolor()[:1]).upper() == figures.INPUT_DARK
        ]
        assert sorted(x for x, y in blue) == used and {y for _, y in blue} == {0}
        (lines,) = (c for c in ax.collections if isinstance(c, LineCollection))
        assert {end[0] for _, end in lines.get_segments() if end[1] == 0} == set(used)


def test_cost_and_time_with_the_line_of_the_quickest():
    names, macs, times = ["one", "two", "three"], [4e6, 8e6, 1e6], [2.0, 1.0, 3.0]
    fig = figures.cost_against_time(names, macs, times)
    ax = fig.axes[0]
    assert [tuple(c.get_offsets()[0]) for c in ax.collections] == [(4, 2), (8, 1), (1, 3)]
    assert [t.get_text() for t in fig.legends[0].get_texts()][1:] == names
    x, y = ax.lines[0].get_data()
    assert np.asarray(x) / y == pytest.approx([8, 8])  # through "two", the quickest a MAC; no layer lies below
    assert x[0] < 1 and x[1] > 8
    marks = {(to_hex(c.get_edgecolor()), c.get_paths()[0].vertices.tobytes()) for c in ax.collections}
    assert len(marks) == 3


def test_effective_fields_have_the_theoretical_one_as_a_frame():
    narrow, wide = np.zeros((9, 9)), np.ones((9, 9))
    narrow[4, 4], narrow[4, 3] = 4.0, 1.0
    fig = figures.effective_fields([narrow, torch.from_numpy(wide)], ["5 layers\n3×3", "20 layers"], [5, 41])
    first, second, profiles = fig.axes
    assert drawn.pixels(first)[4, 3] == 0.5 and drawn.pixels(first).max() == 1  # the root of a quarter
    frames = [(min(x), max(x), min(y), max(y)) for x, y in (drawn.curve(ax.lines[0]) for ax in (first, second))]
    assert frames == [(1.5, 6.5, 1.5, 6.5), (0, 8, 0, 8)]  # the second is cut at the image
    curves = {line.get_label(): drawn.curve(line) for line in profiles.lines}
    assert list(curves) == list(drawn.key(profiles)) == ["5 layers", "20 layers"]
    assert curves["5 layers"] == (list(range(-4, 5)), [0, 0, 0, 0.25, 1, 0, 0, 0, 0])
    assert set(curves["20 layers"][1]) == {1}


def test_lost_places_shows_the_majority_of_each_cell():
    image = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    mask = torch.randint(0, 3, (16, 24), generator=torch.Generator().manual_seed(0))
    palette = np.array([(0, 0, 0), (10, 200, 30), (250, 0, 90)], np.uint8)
    fig = figures.lost_places(image, mask, palette, strides=(4, 8))
    assert drawn.titles(fig) == ["image", "labels", "stride 4: 4×6", "stride 8: 2×3"]
    expected = [image, palette[mask], palette[figures.majority(mask, 4)], palette[figures.majority(mask, 8)]]
    for ax, image in zip(fig.axes, expected):
        assert (drawn.pixels(ax) == image).all()
        assert ax.images[0].get_extent() == [0, 24, 16, 0]  # all of one size on the paper
