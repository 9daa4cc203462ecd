"""The drawings and the small sums of chapter 13."""

import inspect

import numpy as np
import pytest
import torch

import segbook as sb
from segbook import showing
from segbook.course import leaderboard
from segbook.course.ch13_side_by_side import figures


@pytest.mark.parametrize(
    ("costs", "scores", "expected"),
    [
        ([4, 2, 6, 3], [0.60, 0.50, 0.65, 0.45], [1, 0, 2]),
        ([3, 1, 2], [0.3, 0.3, 0.3], [1]),
        ([2, 2, 1], [0.5, 0.5, 0.1], [2, 0, 1]),
        ([], [], []),
    ],
)
def test_front(costs, scores, expected):
    assert figures.front(costs, scores) == expected


def test_every_net_has_a_place_in_the_lineage():
    names = sb.models.names()
    for table in (figures.NAMES, figures.COLORS, figures.MARKERS, figures.LINEAGE):
        assert list(table) == names
    for name, (parent, _) in figures.LINEAGE.items():
        assert parent is None or names.index(parent) < names.index(name)
    showing.close(figures.lineage())


def test_source_diff_shows_what_changed_and_no_docstring():
    def old(x):
        """Words."""
        y = x + 1
        return y

    def new(x):
        """Other words."""
        y = x + 2
        return y

    def last(y):
        return -y

    assert figures.source_diff(old, old) == ""
    lines = figures.source_diff(old, [new, last]).splitlines()
    assert "-    y = x + 1" in lines and "+    y = x + 2" in lines and "+    return -y" in lines
    assert not any("words" in line.lower() for line in lines)
    assert inspect.getdoc(old) == "Words."


def test_marks_and_recommendation():
    table = {
        "score": ({"unet": 0.3, "segnet": 0.2, "fcn8s": 0.25}, True),
        "cost": ({"unet": 9, "segnet": 1, "fcn8s": 5}, False),
    }
    scaled = figures.grades(table)
    assert scaled["score"] == pytest.approx({"unet": 1, "segnet": 0, "fcn8s": 0.5})
    assert scaled["cost"] == pytest.approx({"unet": 0, "segnet": 1, "fcn8s": 0.5})
    assert next(iter(figures.recommend(scaled, {"score": 1, "cost": 0}))) == "unet"
    assert next(iter(figures.recommend(scaled, {"score": 0.2, "cost": 1}))) == "segnet"
    assert set(figures.recommend(scaled, {"score": 0, "cost": 0}).values()) == {0}
    for weights in ({"score": 1, "cost": 0.5}, {"score": 0, "cost": 0}):
        showing.close(figures.recommendation(scaled, weights))
    assert figures.grades({"same": ({"unet": 1, "fcn8s": 1}, True)})["same"] == {"unet": 0, "fcn8s": 0}


def test_figures_of_results_can_be_drawn():
    street = sb.data.load("street", "test", count=1, size=(48, 64))
    image, mask = street[0]
    answers = {name: torch.full_like(mask, i % 11) for i, name in enumerate(figures.NAMES)}
    for fig in (
        figures.nine(image, mask, answers, dict.fromkeys(answers, 0.5), street),
        figures.duel(image, mask, answers["unet"], answers["segnet"], ("unet", "segnet"), street),
        figures.class_map({"unet": [0.1, np.nan], "segnet": [0.9, 0.2]}, ("road", "sky"), [0.7, 0.3]),
        figures.against_cost({"unet": [0.2, 0.3], "fcn8s": [0.25]}, {"ms": {"unet": 3, "fcn8s": 90}}),
        figures.pairs({"a − b": [1.0, 2.0, 3.0], "c − d": [-1.0, 2.0, 0.5]}),
        figures.dispute({"SegNet": (0.464, 0.601)}),
    ):
        assert len(showing.png(fig)) > 1000


def test_who_is_right_adds_up_to_all_labelled_pixels():
    street = sb.data.load("street", "test", count=1, size=(48, 64))
    image, mask = street[0]
    fig = figures.duel(image, mask, mask, torch.full_like(mask, 3), ("unet", "segnet"), street)
    *verdicts, void = (text.get_text() for text in fig.legends[0].get_texts())
    shares = [int(text.rsplit(": ", 1)[1].removesuffix(" %")) for text in verdicts]
    assert void == "void"
    assert shares[2] == shares[3] == 0 and shares[0] > 0 and shares[1] > 0 and 99 <= sum(shares) <= 101
    showing.close(fig)


def test_published_scores_with_and_without_a_run_of_ours():
    rows = leaderboard.published("camvid")
    ours = leaderboard.Row("unet", 0.6, 0.9, "none", (360, 480), "train", "camvid-unet.json", ours=True)
    texts = []
    for chosen in (rows, [*rows, ours]):
        fig = figures.published(chosen)
        fig.draw_without_rendering()
        texts.append([label.get_text() for label in fig.axes[0].get_yticklabels()])
        showing.close(fig)
    assert "→ unet" in texts[1] and "→ unet" not in texts[0] and len(texts[1]) == len(rows) + 1
