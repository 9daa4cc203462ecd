"""The drawings of chapter 03 say what PyTorch computes."""

import itertools
import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from segbook.course.figures import convolutions as figures


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
    picture, weights = tensor(figures.PICTURE), tensor(figures.WEIGHTS[kernel])
    y = F.conv2d(picture, weights, stride=stride, padding=padding, dilation=dilation)[0, 0].int()
    row, column = divmod(7 % y.numel(), len(y))
    assert f"output {len(y)}×{len(y)}" in said
    assert re.search(rf"y\[{row}, {column}\] = .* = {y[row, column]}\b", said)


@pytest.mark.parametrize("kernel, stride, padding, dilation", itertools.product((1, 3, 4), (1, 2), (0, 1), (1, 2)))
def test_the_last_stamp_completes_the_transposed_convolution(kernel, stride, padding, dilation):
    said = texts(figures.sliding_kernel(kernel, stride, padding, dilation, transposed=True, step=8))
    small, weights = tensor(figures.SMALL_PICTURE), tensor(figures.WEIGHTS[kernel])
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
