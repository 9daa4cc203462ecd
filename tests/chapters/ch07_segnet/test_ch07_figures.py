"""The drawings of chapter 07 say what PyTorch computes."""

import re

import drawn
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from torch.nn import functional as F

from segbook.course.ch07_segnet import figures


def texts(ax):
    return [text.get_text().replace("−", "-") for text in ax.texts]


@pytest.mark.parametrize("example", figures.EXAMPLES)
def test_the_steps_end_with_pytorchs_unpooling(example):
    x = torch.tensor(figures.EXAMPLES[example], dtype=torch.float32)[None]
    pooled, indices = F.max_pool2d(x, 2, return_indices=True)
    sparse = F.max_unpool2d(pooled, indices, 2)[0]
    fig = figures.unpool_step(8, example)
    assert [int(t) for t in texts(fig.axes[1])] == pooled.flatten().int().tolist()
    assert [int(t) for t in texts(fig.axes[2])] == indices.flatten().tolist()
    assert [int(t) for t in texts(fig.axes[3])] == sparse.flatten().int().tolist()


@pytest.mark.parametrize("example", figures.EXAMPLES)
def test_a_step_shows_no_more_than_has_happened(example):
    for step in range(10):
        fig = figures.unpool_step(step, example)
        assert len([t for t in texts(fig.axes[1]) if t]) == min(step, 4)
        assert any(texts(fig.axes[3])) == (step >= 5)
        assert any(texts(fig.axes[4])) == (step == 9)


@pytest.mark.parametrize("example", figures.EXAMPLES)
@pytest.mark.parametrize("step", range(1, 9))
def test_the_words_name_the_place_of_the_maximum(example, step):
    x = torch.tensor(figures.EXAMPLES[example])
    value, row, column = map(
        int,
        re.search(
            r"(?:maximum is|the value) (-?\d+).*row (\d), column (\d)",
            figures.step_in_words(step, example).replace("−", "-"),
        ).groups(),
    )
    window = (step - 1) % 4
    cells = figures._window_cells(window)
    assert (row, column) in cells and value == x[row, column] == max(x[cell] for cell in cells)


def test_balancing_puts_the_rarest_class_on_top():
    plain, balanced = np.array([[0.9, 0.1, 0.5]]), np.array([[0.8, 0.6, 0.5]])
    ax = figures.balancing(plain, balanced, ["road", "pole", "car"], [0.7, 0.1, 0.2]).axes[0]
    names = [label.get_text().split()[0] for label in ax.get_yticklabels()]
    assert names == ["road", "car", "pole"]


def test_balancing_draws_an_arrow_from_without_to_with():
    plain, balanced = np.array([[0.9, 0.2], [0.7, 0.4]]), np.array([[0.6, 0.5], [0.6, 0.7]])
    fig = figures.balancing(plain, balanced, ["road", "pole"], [0.9, 0.1])
    ax, key = fig.axes[0], drawn.key(fig)
    arrows = [(text.xyann, text.xy, to_hex(text.arrow_patch.get_edgecolor()).upper()) for text in ax.texts]
    for (start, end, color), (low, high, place) in zip(arrows, ((80, 60, 0), (30, 60, 1))):
        np.testing.assert_allclose([start, end], [(low, place), (high, place)])
        assert color == key["with weights: up" if high > low else "with weights: down"]
    np.testing.assert_allclose([drawn.curve(line) for line in ax.lines], [([80], [0]), ([30], [1])])
    assert drawn.ticks(ax.yaxis) == ["road  (90.0 %)", "pole  (10.0 %)"] and "accuracy" in ax.get_xlabel()


def test_a_change_too_small_for_an_arrow_is_a_stroke():
    plain, balanced = np.array([[0.9, np.nan, 0.5], [0.9, 0.2, 0.5]]), np.array([[0.92, 0.8, 0.49], [0.92, 0.8, 0.49]])
    fig = figures.balancing(plain, balanced, ["road", "pole", "car"], [0.7, 0.1, 0.2])
    ax, key = fig.axes[0], drawn.key(fig)
    assert [(text.xyann[1], text.xy[1]) for text in ax.texts] == [(2, 2)]  # pole alone moves far
    strokes = [(drawn.curve(line), drawn.color(line)) for line in ax.lines if len(line.get_xdata()) == 2]
    assert strokes == [(([90, 92], [0, 0]), key["with weights: up"]), (([50, 49], [1, 1]), key["with weights: down"])]
    dots = [line.get_xdata()[0] for line in ax.lines if line.get_marker() == "o"]
    assert dots == pytest.approx([90, 50, 20])  # the seed in which a class never occurs does not count


def test_places_share_the_scale_of_the_edges():
    image = torch.randint(0, 256, (3, 8, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    before = torch.rand(8, 12, generator=torch.Generator().manual_seed(1)) * 7
    ways = {"back, bilinear": before / 2, "back, with indices": torch.where(before > 5, before, 0)}
    fig = figures.places(image, before, ways)
    assert drawn.titles(fig) == ["the image", "its edges", *ways]
    assert (drawn.pixels(fig.axes[0]) == image.permute(1, 2, 0).numpy()).all()
    for ax, values in zip(fig.axes[1:], (before, *ways.values())):
        assert (drawn.pixels(ax) == values.numpy()).all()
        assert ax.images[0].get_clim() == (0, before.max().item())


@pytest.mark.parametrize("example", figures.EXAMPLES)
def test_the_round_trip_marks_where_the_maxima_were(example):
    x = torch.tensor(figures.EXAMPLES[example])
    pooled, indices = F.max_pool2d(x[None].float(), 2, return_indices=True)
    sparse = F.max_unpool2d(pooled, indices, 2)[0].int()
    fig = figures.round_trip(x, pooled[0].int(), indices[0], sparse)
    for ax, values in zip(fig.axes, (x, pooled[0].int(), indices[0], sparse)):
        assert [int(t) for t in drawn.words(ax)] == values.flatten().tolist()
        marks = {to_hex(p.get_facecolor()).upper(): (int(p.get_y() + 0.5), int(p.get_x() + 0.5)) for p in ax.patches}
        assert list(marks) == list(figures.WINDOWS)
        if len(values) == 4:
            assert [4 * row + column for row, column in marks.values()] == indices.flatten().tolist()
            assert len(ax.lines) == 2  # the windows' borders
        else:
            assert list(marks.values()) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_stages_have_a_row_each_and_a_scale_around_zero():
    stages = [
        ("stage 1", torch.tensor([[1.0, -2]]), torch.tensor([[1.0, 0, -2, 0]]), torch.tensor([[1.0, 3, -2, 0]])),
        ("stage 2", torch.zeros(1, 2), torch.zeros(1, 4), torch.tensor([[0.5, 0, 0, -4]])),
    ]
    fig = figures.decoder_stages(stages)
    for ax, values in zip(fig.axes, [values for _, *maps in stages for values in maps]):
        assert (drawn.pixels(ax) == values.numpy()).all()
        low, high = ax.images[0].get_clim()
        assert low == -high and high == (values.abs().max() or 1)


def test_the_decoder_study_stands_beside_the_papers():
    ours = {
        "bilinear": [(0.40, 0.20), (0.44, 0.22)], "indices": [(0.50, 0.30), (0.54, 0.36)], "learned": [(0.45, 0.25)],
    }  # fmt: skip
    paper = {"bilinear": (43.8, 23.08), "indices": (46.3, 36.67)}
    fig = figures.decoder_study(ours, paper)
    for column in (0, 1):
        mine, theirs = fig.axes[column], fig.axes[2 + column]
        for bar, dots, (name, runs) in zip(mine.patches, mine.lines, ours.items()):
            values = [100 * run[column] for run in runs]
            np.testing.assert_allclose([bar.get_height(), *dots.get_ydata()], [np.mean(values), *values])
            assert drawn.color(bar) == drawn.color(dots) == figures.DECODERS[name]
        assert [bar.get_height() for bar in theirs.patches] == [values[column] for values in paper.values()]
        assert [bar.get_x() + bar.get_width() / 2 for bar in theirs.patches] == pytest.approx([0, 1])
        assert drawn.ticks(mine.xaxis) == drawn.ticks(theirs.xaxis) == list(ours)


def test_one_scene_shows_every_prediction():
    image = torch.randint(0, 256, (3, 8, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    mask = torch.zeros(8, 12, dtype=torch.int64)
    mask[4:] = 3
    predictions = {"bilinear": mask.roll(1, 0), "indices": mask}
    fig = figures.one_scene(image, mask, predictions, drawn.Driving)
    assert drawn.titles(fig) == ["image", "truth", *predictions]
    for ax, labels in zip(fig.axes[1:], (mask, *predictions.values())):
        assert (drawn.pixels(ax) == drawn.painted(labels)).all()
