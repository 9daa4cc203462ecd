"""The figures of chapter 05: the object that a learner moves, and drawings at the ends of their controls."""

import pytest
import torch

from segbook import data, plots
from segbook.course.figures import measuring


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
            assert plots.png(movable.draw(number, right, down, grow, erase), small=False).startswith(b"\x89PNG")
            assert movable.alt(number, right, down, grow, erase)


def test_outline_shares_are_those_of_the_drawn_pixels():
    mask = torch.zeros(20, 30, dtype=torch.long)
    mask[5:15, 8:20] = 1
    fig = measuring.outline_hits(mask.roll(2, 1), mask, label=1, radius=1.0, name="box")
    # Of the 40 outline pixels two upright sides are two columns off: all 10 of the outer one are missed, and of the
    # inner one all but its ends and their neighbours, which lie near the level sides.
    missed = 10 + 6
    assert all(f" {100 * (40 - missed) // 40} % " in ax.get_xlabel() for ax in fig.axes)
