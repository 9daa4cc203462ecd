"""The drawings of chapter 07 say what PyTorch computes."""

import re

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segbook.course.figures import segnet as figures


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
