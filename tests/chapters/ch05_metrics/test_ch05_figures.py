"""The figures of chapter 05: the object that a learner moves, and drawings at the ends of their controls."""

import drawn
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from segbook import data, metrics, plots, showing
from segbook.course.ch05_metrics import figures as measuring
from segbook.data.classes import DRIVING_PALETTE

MASK = torch.tensor(
    [[0] * 8, [0] * 8, [1] * 4 + [2] + [1] * 3, [3] * 4 + [2] + [3] * 3, [3] * 7 + [11], [3] * 7 + [11]]
)


@pytest.fixture(scope="module")
def movable():
    return measuring.MovableObject(data.load("street", "val", count=1), index=3)


def test_the_truth_scores_one_when_nothing_is_changed(movable):
    assert movable.objects, "the scene has nothing to move"
    for number in movable.objects.values():
        labels = movable.prediction(number, right=0, down=0, grow=0, erase=False)
        known = movable.mask != movable.void
        assert torch.equal(labels[known], movable.mask[known])
        label = int(movable.mask[movable.instances == number][0])
        assert list(movable.scores(labels, label).values()) == pytest.approx([1.0] * 8)


def test_an_object_moves_grows_shrinks_and_vanishes(movable):
    name, number = next(iter(movable.objects.items()))
    label = movable.dataset.classes.index(name)
    changes = {"moved": (3, 0, 0, False), "grown": (0, 0, 2, False), "erased": (0, 0, 0, True)}
    labels = {what: movable.prediction(number, *change) for what, change in changes.items()}
    truth = movable.mask == label
    inside = movable.instances == number
    assert not (labels["erased"][inside] == label).all()
    assert (labels["grown"] == label).sum() > truth.sum() > (labels["erased"] == label).sum()
    shrunk = movable.prediction(number, 0, 0, -1, False)
    assert (shrunk == label).sum() < truth.sum()
    scores = {what: movable.scores(changed, label) for what, changed in labels.items()}
    for measures in scores.values():
        assert all(0 <= value < 1 for value in measures.values())
    assert scores["moved"][f"IoU of {name}"] > scores["erased"][f"IoU of {name}"]


def test_the_live_figure_draws_at_the_ends_of_its_sliders(movable):
    for number in movable.objects.values():
        for right, down, grow, erase in [(-20, -20, -3, False), (20, 20, 6, False), (0, 0, 0, True)]:
            assert showing.png(movable.draw(number, right, down, grow, erase), small=False).startswith(b"\x89PNG")
            assert movable.alt(number, right, down, grow, erase)


def test_outline_shares_are_those_of_the_drawn_pixels():
    mask = torch.zeros(20, 30, dtype=torch.long)
    mask[5:15, 8:20] = 1
    fig = measuring.outline_hits(mask.roll(2, 1), mask, label=1, radius=1.0, name="box")
    # Of the 40 outline pixels two upright sides are two columns off: all 10 of the outer one are missed, and of the
    # inner one all but its ends and their neighbours, which lie near the level sides.
    missed = 10 + 6
    assert all(f" {100 * (40 - missed) // 40} % " in ax.get_xlabel() for ax in fig.axes)


def test_the_live_figure_shows_the_moved_object_and_its_scores(movable):
    name, number = next(iter(movable.objects.items()))
    where, label = movable.instances == number, movable.dataset.classes.index(name)
    for change in [(0, 0, 0, False), (6, 0, 0, False), (0, 0, 2, False), (0, 0, 0, True)]:
        labels = movable.prediction(number, *change)
        scores = movable.scores(labels, label)
        image, bars = movable.draw(number, *change).axes
        assert (drawn.pixels(image) == DRIVING_PALETTE[labels]).all()
        assert [bar.get_width() for bar in bars.patches] == pytest.approx(list(scores.values()))
        assert drawn.ticks(bars.yaxis) == list(scores) and drawn.words(bars) == [f"{v:.3f}" for v in scores.values()]
        dots = {(int(x), int(y)) for x, y in image.collections[0].get_offsets()}
        assert dots and not any(where[y, x] for x, y in dots)  # around the place where it truly is
        assert all(where[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].any() for x, y in dots)


def test_the_words_of_the_live_figure_name_what_was_done(movable):
    name, number = next(iter(movable.objects.items()))
    assert f"one {name} moved 3 px right and -2 px down, grown by 1 px" in movable.alt(number, 3, -2, 1, False)
    assert f"one {name} erased" in movable.alt(number, 3, -2, 1, True)


def test_two_predictions_and_where_each_is_wrong():
    image = torch.randint(0, 256, (3, 6, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    predictions = {"A": MASK.clone(), "B": MASK.roll(1, 1)}
    predictions["A"][MASK == 2] = 1
    predictions["A"][MASK == 11] = 3
    fig = measuring.two_predictions(image, MASK, predictions, dataset=drawn.Driving)
    upper, lower = np.reshape(fig.axes, (2, 3))
    assert (drawn.pixels(upper[0]) == image.permute(1, 2, 0).numpy()).all()
    assert (drawn.pixels(lower[0]) == DRIVING_PALETTE[MASK]).all()
    for top, bottom, labels in zip(upper[1:], lower[1:], predictions.values()):
        assert (drawn.pixels(top) == DRIVING_PALETTE[labels]).all()
        orange = (drawn.pixels(bottom) == plots.WRONG).all(-1)
        assert (orange == ((labels != MASK) & (MASK != 11)).numpy()).all()  # void is never wrong
    assert (drawn.pixels(lower[1])[MASK == 11] == 255).all()


@pytest.mark.parametrize("label", [0, 1, 2])
def test_the_marked_cells_are_those_of_the_measure(label):
    counts = torch.tensor([[50, 3, 2], [4, 20, 1], [0, 5, 15]])
    hits, rows, columns = counts.diag(), counts.sum(1), counts.sum(0)
    fig = measuring.matrix_readings(counts, label)
    marked = []
    for ax in fig.axes:
        table = {tuple(t.get_position()[::-1]): int(t.get_text()) for t in ax.texts}
        assert {k: v for k, v in table.items() if max(k) < 3} == dict(np.ndenumerate(counts.numpy()))
        assert [table[i, 3] for i in range(3)] == rows.tolist() and [table[3, j] for j in range(3)] == columns.tolist()
        assert table[3, 3] == 100
        sums = {measuring.YELLOW: 0, measuring.LIGHT_BLUE: 0}
        for cell in ax.patches:
            sums[to_hex(cell.get_facecolor()).upper()] += table[round(cell.get_y() + 0.5), round(cell.get_x() + 0.5)]
        marked.append(tuple(sums.values()))
        assert drawn.ticks(ax.xaxis) == ["0", "1", "2", "$t_i$"] and drawn.ticks(ax.yaxis) == ["0", "1", "2", "$p_j$"]
    pixel, accuracy, iou = marked
    assert pixel[0] / pixel[1] == pytest.approx((hits.sum() / counts.sum()).item())
    assert accuracy[0] / sum(accuracy) == pytest.approx((hits[label] / rows[label]).item())
    union = rows[label] + columns[label] - hits[label]
    assert iou[0] / sum(iou) == pytest.approx((hits[label] / union).item())
    assert [drawn.title(ax).split(":")[0] for ax in fig.axes] == [
        "pixel accuracy", f"accuracy of class {label}", f"IoU of class {label}",
    ]  # fmt: skip


def test_the_two_readings_of_accuracy():
    prediction = MASK.clamp(max=3).roll(1, 1)
    matrix = metrics.ConfusionMatrix(11, 11).update(prediction, MASK)
    accuracy, overall = matrix.class_accuracy(), matrix.pixel_accuracy()
    left, right, bar = measuring.two_readings(prediction, MASK, accuracy, overall, dataset=drawn.Driving).axes
    shade = drawn.pixels(left)
    for label in (0, 1, 2, 3):
        assert np.unique(shade[MASK == label]) == pytest.approx([accuracy[label].item()])
    assert np.isnan(np.ma.filled(left.images[0].get_array(), np.nan)[MASK == 11]).all()
    assert drawn.title(left) == "the notes' reading: 4 numbers, one a class" and left.images[0].get_clim() == (0, 1)
    assert drawn.title(right) == f"the papers' reading: one number, {overall:.3f}"
    wrong = (drawn.pixels(right) == plots.WRONG).all(-1)
    assert 1 - wrong.sum() / (MASK != 11).sum().item() == pytest.approx(overall)


def test_the_scoreboard_has_the_best_of_each_column_in_bold():
    scores = {"A": {"pixel accuracy": 0.9, "mean IoU": 0.3}, "B": {"pixel accuracy": 0.8, "mean IoU": 0.5}}
    ax = measuring.scoreboard(scores).axes[0]
    table = {t.get_position()[::-1]: (t.get_text(), t.get_weight()) for t in ax.texts}
    assert table == {
        (0, 0): ("0.900", "bold"), (0, 1): ("0.300", "normal"), (1, 0): ("0.800", "normal"), (1, 1): ("0.500", "bold"),
    }  # fmt: skip
    assert drawn.pixels(ax).tolist() == [[1, 0], [0, 1]]  # each column from its lowest to its highest
    assert drawn.ticks(ax.yaxis) == ["A", "B"] and drawn.ticks(ax.xaxis) == ["pixel\naccuracy", "mean\nIoU"]


def test_a_column_of_equal_scores_can_be_drawn():
    ax = measuring.scoreboard({"A": {"one": 0.5}, "B": {"one": 0.5}}).axes[0]
    assert np.isfinite(drawn.pixels(ax)).all() and [t.get_weight() for t in ax.texts] == ["bold", "bold"]


def test_bands_grow_with_their_width():
    mask = torch.zeros(20, 30, dtype=torch.long)
    mask[:, 15:] = 3
    fig = measuring.bands(mask, (1, 3), dataset=drawn.Driving)
    assert drawn.titles(fig) == ["truth", "1 px: 7 %", "3 px: 20 %"]  # 2 and 6 of 30 columns
    assert (drawn.pixels(fig.axes[0]) == DRIVING_PALETTE[mask]).all()
    for ax, width in zip(fig.axes[1:], (1, 3)):
        kept = np.zeros((20, 30), bool)
        kept[:, 15 - width : 15 + width] = True
        assert (drawn.pixels(ax)[kept] == DRIVING_PALETTE[mask][kept]).all() and (drawn.pixels(ax)[~kept] == 235).all()


def test_trimap_curves_lie_beside_their_overall_scores():
    curves, overall = {"shift": [0.3, 0.5, 0.7], "noise": [0.8, 0.78, 0.77]}, {"shift": 0.72, "noise": 0.75}
    ax = measuring.trimap_curves([1, 3, 8], curves, overall).axes[0]
    key = drawn.key(ax)
    assert list(key) == list(curves)
    for name, curve, dashed in zip(curves, ax.lines[::2], ax.lines[1::2]):
        assert drawn.curve(curve) == ([1, 3, 8], curves[name]) and set(dashed.get_ydata()) == {overall[name]}
        assert drawn.color(curve) == drawn.color(dashed) == key[name]
    assert ax.get_ylim() == (0, 1) and ax.get_xticks().tolist() == [1, 3, 8]


def test_strides_show_what_is_left():
    coarse = {2: MASK.clamp(max=3), 4: MASK.clamp(max=1)}
    fig = measuring.strides(MASK, coarse, {2: 0.876, 4: 0.25}, dataset=drawn.Driving)
    for ax, labels in zip(fig.axes, (MASK, *coarse.values())):
        assert (drawn.pixels(ax) == DRIVING_PALETTE[labels]).all()


def test_ceilings_by_data_set_and_by_class():
    falls = {4: 0.9, 8: 0.8, 16: 0.6, 32: 0.4}
    curves = {name: {s: v - d for s, v in falls.items()} for name, d in (("small", 0.2), ("large", 0.1), ("CamVid", 0))}
    classes = {name: {label: {s: v / k for s, v in falls.items()} for k, label in enumerate(("pole", "sign"), start=n)}
               for n, name in enumerate(("large", "CamVid"), start=1)}  # fmt: skip
    left, right = measuring.ceilings(curves, classes).axes
    strides = [4, 8, 16, 32]
    assert {line.get_label(): drawn.curve(line) for line in left.lines} == {
        name: (strides, [round(v, 6) for v in points.values()]) for name, points in curves.items()
    }
    assert {line.get_label(): drawn.curve(line) for line in right.lines} == {
        f"{label}, {name}": (strides, [round(v, 6) for v in points.values()])
        for name, of in classes.items() for label, points in of.items()
    }  # fmt: skip
    assert list(drawn.key(left)) == list(curves) and len(drawn.key(right)) == 4
    # A class keeps its colour, a data set its line.
    looks = {line.get_label(): (drawn.color(line), line.get_linestyle()) for line in right.lines}
    assert looks["pole, large"][0] == looks["pole, CamVid"][0] != looks["sign, large"][0]
    assert looks["pole, large"][1] == looks["sign, large"][1] != looks["pole, CamVid"][1]
    for ax in (left, right):
        assert drawn.ticks(ax.xaxis) == ["4", "8", "16", "32"] and ax.get_xlabel() == "stride (pixels)"


def test_every_order_has_a_curve_towards_the_one_score():
    averaged = [[0.3, 0.4, 0.5], [0.2, 0.45, 0.5]]
    ax = measuring.by_batch_size([1, 2, 4], averaged, 0.5).axes[0]
    *orders, whole = ax.lines
    assert [drawn.curve(line) for line in orders] == [([1, 2, 4], values) for values in averaged]
    assert set(whole.get_ydata()) == {0.5} and drawn.color(whole) != drawn.color(orders[0])
    assert drawn.ticks(ax.xaxis) == ["1", "2", "4"] and ax.get_xlabel() == "images a batch"
