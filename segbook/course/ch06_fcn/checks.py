"""Checks of chapter 06: the bilinear kernel, sizes, crop offsets, a head as convolutions, adding two depths."""

from fractions import Fraction

import torch
from torch import nn
from torch.nn import functional as F

from segbook.course.check import (
    exercise,
    expect,
    expect_callable,
    expect_close,
    expect_equal,
    expect_shape,
    expect_type,
)
from segbook.layers import bilinear_kernel as reference_kernel


@exercise(
    "the bilinear kernel",
    hints=[
        "Work in one dimension first: a tent that is highest at the centre. The kernel is the tent times its own transpose.",
        "factor = (size + 1) // 2. The centre lies at factor - 1 for an odd size, between two cells for an even one.",
        "tent = 1 - (torch.arange(size) - centre).abs() / factor, with centre = factor - 0.5 for an even size; "
        "return torch.outer(tent, tent).",
    ],
)
def bilinear_kernel(answer):
    expect_callable(answer, "bilinear_kernel")
    for size in (4, 3, 2, 16, 63, 1):
        kernel = answer(size)
        expect_shape(kernel, (size, size), f"bilinear_kernel({size})")
        expect_close(kernel, reference_kernel(size), f"bilinear_kernel({size})", atol=1e-5)


@exercise(
    "how many cells are left",
    hints=[
        "Follow one side through the net. conv1_1 is 3×3: what does a padding of 1 do to the size, what does 100 do?",
        "After conv1_1 the side is size + 2·padding − 2. Each pooling halves it and rounds up: n = (n + 1) // 2.",
        "fc6 is 7×7 without padding, which takes 6 cells off. Fewer than 0 cells is 0: return max(0, n - 6).",
    ],
)
def score_cells(answer):
    expect_callable(answer, "score_cells")
    for size, padding in [(500, 100), (500, 1), (192, 1), (193, 1), (1, 100), (360, 100), (96, 1), (225, 1)]:
        side = size + 2 * padding - 2
        for _ in range(5):
            side = -(-side // 2)
        expect_equal(answer(size, padding), max(0, side - 6), f"a side of {size} pixels with padding {padding}")


@exercise(
    "the crop offset",
    hints=[
        "Go through the layers with two numbers: the jump between cells and the place of cell 0, both in pixels.",
        "A layer moves the start by jump·((k−1)/2 − p) and then multiplies the jump by s. The order matters.",
        "The stamp divides the jump by its stride and moves the start back by (kernel−1)/2 new jumps. "
        "The answer is −start, as a whole number.",
    ],
)
def crop_offset(answer):
    expect_callable(answer, "crop_offset")
    vgg = [(3, 1, 100), (3, 1, 1), (2, 2, 0), *[(3, 1, 1), (3, 1, 1), (2, 2, 0)], *[(3, 1, 1)] * 3, (2, 2, 0)]
    vgg += [*[(3, 1, 1)] * 3, (2, 2, 0), *[(3, 1, 1)] * 3, (2, 2, 0), (7, 1, 0)]
    alexnet = [(11, 4, 100), (3, 2, 0), (5, 1, 2), (3, 2, 0), (3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2, 0), (6, 1, 0)]
    cases = [
        ([(3, 1, 1), (2, 2, 0)], 4, 2, "one 3×3 and one pooling"),
        ([(3, 1, 5), (2, 2, 0), (3, 1, 0), (2, 2, 0)], 8, 4, "a net with padding 5 and two poolings"),
        (vgg, 64, 32, "VGG-16 with padding 100 (FCN-32s)"),
        (alexnet, 63, 32, "AlexNet with padding 100"),
    ]
    for layers, kernel, stride, name in cases:
        got = answer(list(layers), kernel, stride)
        expect_close(got, _offset(layers, kernel, stride), name)
        expect(not isinstance(got, bool) and got == int(got), f"{name}: the offset must be a whole number, got {got}.")


def _offset(layers, kernel, stride) -> int:
    jump, start = Fraction(1), Fraction(0)
    for k, s, p in layers:
        start += jump * (Fraction(k - 1, 2) - p)
        jump *= s
    jump /= stride
    offset = jump * Fraction(kernel - 1, 2) - start
    assert jump == 1 and offset.denominator == 1
    return int(offset)


@exercise(
    "a head as convolutions",
    hints=[
        "Go through the head layer by layer. What is not linear (ReLU, dropout) stays as it is.",
        "The first linear layer sees the whole map, [C, side, side]; every later one sees one cell, so its kernel is 1×1.",
        "fcn.as_convolution(layer, k) copies one layer: k is `side` for the first linear layer and 1 for the others. "
        "Collect the layers in a list and return nn.Sequential(*list), without the flatten.",
    ],
)
def convolutional_head(answer):
    expect_callable(answer, "convolutional_head")
    for channels, side in [(3, 4), (5, 2)]:
        head = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * side**2, 8), nn.ReLU(), nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 4)
        )
        net = answer(head, side)
        expect_type(net, nn.Module, "the answer")
        expect(
            not any(isinstance(layer, nn.Linear | nn.Flatten) for layer in net.modules()),
            "there is still a Linear or Flatten layer inside: such a net gives one vector, not a map.",
        )
        with torch.no_grad():
            small, large = torch.randn(2, channels, side, side), torch.randn(1, channels, side + 3, side + 5)
            vector = head(small)
            expect_shape(net(small), (2, 4, 1, 1), "the answer on a map of the old size")
            expect_close(net(small).flatten(1), vector, "the answer on a map of the old size", atol=1e-5)
            grid = net(large)
            expect_shape(grid, (1, 4, 4, 6), f"the answer on a map of {side + 3}×{side + 5}")
            part = large[..., 2 : 2 + side, 3 : 3 + side]
            expect_close(grid[0, :, 2, 3], head(part)[0], "the answer at row 2, column 3 of a larger map", atol=1e-5)


@exercise(
    "adding two depths",
    hints=[
        "First enlarge: a transposed convolution with kernel 4, stride 2, no padding turns h cells into 2h + 2.",
        "The layer is sb.layers.BilinearConvTranspose2d(K, 2, kernel_size=4, padding=0), with K = deep.shape[1].",
        "Then cut the skip's window of the same size, beginning at row and column `offset`, and add: "
        "up + skip[..., offset : offset + up.shape[2], offset : offset + up.shape[3]].",
    ],
)
def fuse(answer):
    expect_callable(answer, "fuse")
    for classes, size, offset in [(3, (3, 4), 5), (1, (2, 2), 0), (5, (4, 3), 9)]:
        deep = torch.randn(2, classes, *size)
        height, width = (2 * side + 2 for side in size)
        skip = torch.randn(2, classes, height + offset + 3, width + offset + 1)
        kernel = torch.eye(classes)[:, :, None, None] * reference_kernel(4)
        up = F.conv_transpose2d(deep, kernel, stride=2)
        got = answer(deep, skip, offset)
        what = f"scores of {size[0]}×{size[1]} cells and a skip with offset {offset}"
        expect_shape(got, up.shape, what)
        window = skip[..., offset : offset + height, offset : offset + width]
        expect_close(got, up + window, what, atol=1e-5)
