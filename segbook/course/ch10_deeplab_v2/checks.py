"""Checks of chapter 10: poly, rates and strides, valid taps, the size of a bottleneck, max fusion, one kernel for all."""

import torch
from torch.nn import functional as F

from segbook.backbones import Bottleneck
from segbook.course.check import exercise, expect, expect_callable, expect_close, expect_equal, expect_type


@exercise(
    "the poly schedule",
    hints=[
        "What share of the training is still to come at step t of T? At t = 0 it is 1.",
        "(1 - step / steps) is that share. Which power, and what is it multiplied with?",
        "base * (1 - step / steps) ** power.",
    ],
)
def poly(answer):
    expect_callable(answer, "poly")
    for step, steps, base, expected in [
        (0, 20_000, 2.5e-4, 2.5e-4),
        (5_000, 20_000, 2.5e-4, 1.92972e-4),
        (15_000, 20_000, 2.5e-4, 7.17936e-5),
        (29_000, 30_000, 7e-3, 3.2786e-4),
    ]:
        expect_close(answer(step, steps, base), expected, f"poly({step}, {steps}, {base})", rtol=1e-4, atol=0.0)
    expect_close(answer(3, 4, 1.0, power=2.0), 0.0625, "poly(3, 4, 1.0, power=2.0)")


@exercise(
    "rates at another stride",
    hints=[
        "A rate of r cells at stride s reaches r·s pixels. Which rate reaches as far at the new stride?",
        "r · s / new stride. At twice the stride, half the rate. Not every rate has a whole-numbered partner.",
        "If rate * stride % new_stride: raise ValueError(...). Otherwise rate * stride // new_stride, as a tuple.",
    ],
)
def same_reach(answer):
    expect_callable(answer, "same_reach")
    for rates, stride, new_stride, expected in [
        ((6, 12, 18, 24), 8, 16, (3, 6, 9, 12)),
        ((6, 12, 18), 16, 8, (12, 24, 36)),
        ((4,), 8, 32, (1,)),
        ((5, 10), 8, 8, (5, 10)),
    ]:
        result = answer(rates, stride, new_stride)
        expect_type(result, (tuple, list), f"same_reach({rates}, {stride}, {new_stride})")
        expect_equal(tuple(result), expected, f"same_reach({rates}, {stride}, {new_stride})")
    try:
        result = answer((3, 6), 8, 16)
    except ValueError:
        return
    expect(
        False,
        f"same_reach((3, 6), 8, 16): rate 3 at stride 8 reaches 24 pixels, one and a half cells of stride 16; expected a "
        f"ValueError, got {result!r}.",
    )


@exercise(
    "valid taps",
    hints=[
        "Rows and columns do not know of each other: first count how many of the three row positions lie on the map.",
        "Instead of counting, let a convolution count: what does a 3×3 kernel of ones make of a map of ones?",
        "F.conv2d(torch.ones(1, 1, height, width), torch.ones(1, 1, 3, 3), padding=rate, dilation=rate)[0, 0].",
    ],
)
def valid_taps(answer):
    expect_callable(answer, "valid_taps")
    for height, width, rate in [(5, 5, 1), (12, 16, 4), (12, 16, 13), (3, 9, 2)]:
        ones = torch.ones(1, 1, height, width)
        expected = F.conv2d(ones, torch.ones(1, 1, 3, 3), padding=rate, dilation=rate)[0, 0]
        expect_close(answer(height, width, rate), expected, f"valid taps on a map of {height}×{width} at rate {rate}")


@exercise(
    "the size of a bottleneck",
    hints=[
        "Three convolutions without bias: 1×1 to `channels`, 3×3, 1×1 to 4·channels. Each has a batch norm behind it.",
        "A batch norm learns two numbers a channel. The three norms have channels, channels and 4·channels channels.",
        "When the stride is not 1 or in_channels is not 4·channels, the shortcut has a 1×1 convolution and a norm too.",
    ],
)
def bottleneck_parameters(answer):
    expect_callable(answer, "bottleneck_parameters")
    for in_channels, channels, stride in [(256, 64, 1), (64, 64, 1), (256, 128, 2), (2048, 512, 1), (512, 128, 2)]:
        with torch.device("meta"):
            block = Bottleneck(in_channels, channels, stride=stride)
        expected = sum(p.numel() for p in block.parameters())
        result = answer(in_channels, channels, stride)
        expect_equal(result, expected, f"bottleneck_parameters({in_channels}, {channels}, stride={stride})")


@exercise(
    "max fusion",
    hints=[
        "The maps differ in size: bring each to `size` before you compare them (sb.layers.resize).",
        "Fuse the scores, not the labels: torch.maximum of two maps, or torch.stack(...).amax(0) of all.",
        "torch.stack([sb.layers.resize(s, size) for s in scores]).amax(0).argmax(1).",
    ],
)
def fuse(answer):
    expect_callable(answer, "fuse")
    for sizes, size in [([(6, 8), (6, 8)], (6, 8)), ([(12, 16), (9, 12), (6, 8)], (24, 32))]:
        scores = [3 * torch.randn(2, 4, *shape) for shape in sizes]
        upright = [F.interpolate(s, size=size, mode="bilinear", align_corners=False) for s in scores]
        expected = torch.stack(upright).amax(0).argmax(1)
        result = answer([s.clone() for s in scores], size)
        expect_type(result, torch.Tensor, "fuse(scores, size)")
        expect_equal(list(result.shape), list(expected.shape), "the shape of fuse(scores, size)")
        summed = torch.stack(upright).sum(0).argmax(1)
        expect(
            torch.equal(summed, expected) or not torch.equal(result, summed),
            "these are the labels of the sum (or mean) of the scores; v2 takes the largest score of each class.",
        )
        expect_equal(result, expected, f"the labels fused from {len(sizes)} maps of scores")


@exercise(
    "one kernel for the pyramid",
    hints=[
        "How large must the kernel be? The largest rate R reaches R cells to each side: 2R + 1.",
        "Tap (i, j) of a branch with rate r, i and j in 0, 1, 2, lands in row R + (i - 1)·r, column R + (j - 1)·r.",
        "With R = max(rates): for every branch, kernel[:, :, R - r : R + r + 1 : r, R - r : R + r + 1 : r] += weight. "
        "The middles of all branches add up.",
    ],
)
def one_kernel(answer):
    expect_callable(answer, "one_kernel")
    for rates in [(1,), (1, 2), (2, 4, 6), (3, 1, 3)]:
        weights = [torch.randn(3, 2, 3, 3) for _ in rates]
        reach = max(rates)
        x = torch.randn(1, 2, 9, 11)
        expected = sum(F.conv2d(x, w, padding=r, dilation=r) for w, r in zip(weights, rates))
        kernel = answer([w.clone() for w in weights], rates)
        expect_type(kernel, torch.Tensor, f"one_kernel(weights, {rates})")
        side = 2 * reach + 1
        expect_equal(list(kernel.shape), [3, 2, side, side], f"the shape of one_kernel(weights, {rates})")
        middle = sum(w[:, :, 1, 1] for w in weights)
        expect_close(kernel[:, :, reach, reach], middle, f"the middle of the kernel for the rates {rates}")
        result = F.conv2d(x, kernel, padding=reach)
        expect_close(result, expected, f"a convolution with the kernel for the rates {rates}", rtol=1e-4, atol=1e-4)
