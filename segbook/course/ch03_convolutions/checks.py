"""Checks of chapter 03: sizes, costs, a linear layer as a convolution, even up-sampling, holes, strides into rates."""

import torch
from torch import nn
from torch.nn import functional as F

from segbook.course.check import exercise, expect, expect_callable, expect_close, expect_equal, expect_type


@exercise(
    "the size of an output",
    hints=[
        "How many cells does a dilated kernel span? Not `kernel`: draw one with 3 taps and dilation 2.",
        "It spans e = dilation * (kernel - 1) + 1 cells. Its first cell can stand at size + 2 * padding - e + 1 places.",
        "With a stride only every stride-th of these places counts, the first included: (size + 2p - e) // stride + 1.",
    ],
)
def output_size(answer):
    expect_callable(answer, "output_size")
    cases = [
        (6, 3, 1, 0, 1), (6, 3, 1, 1, 1), (224, 7, 2, 3, 1), (8, 2, 2, 0, 1), (33, 3, 1, 12, 12), (40, 5, 3, 2, 2),
        (23, 1, 2, 0, 1),
    ]  # fmt: skip
    for size, kernel, stride, padding, dilation in cases:
        truth = F.conv2d(
            torch.zeros(1, 1, size, size), torch.zeros(1, 1, kernel, kernel), None, stride, padding, dilation
        )
        setting = f"size {size}, kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation}"
        expect_equal(answer(size, kernel, stride, padding, dilation), truth.shape[-1], setting)


@exercise(
    "what a separable convolution saves",
    hints=[
        "Count the weights of both kinds for 2 channels in, 3 out, kernel 3: what does each kernel see?",
        "Depthwise: one k×k kernel for each input channel. Pointwise: one number for each pair of channels.",
        "The ratio is k*k*c_in*c_out / (k*k*c_in + c_in*c_out).",
    ],
)
def separable_saving(answer):
    expect_callable(answer, "separable_saving")
    for c_in, c_out, k in [(256, 256, 3), (2048, 256, 3), (32, 64, 5), (3, 7, 1)]:
        standard = nn.Conv2d(c_in, c_out, k, bias=False, device="meta").weight.numel()
        separable = k * k * c_in + nn.Conv2d(c_in, c_out, 1, bias=False, device="meta").weight.numel()
        expect_close(
            answer(c_in, c_out, k), standard / separable, f"the ratio for {c_in} → {c_out} channels, kernel {k}"
        )


@exercise(
    "a linear layer as a convolution",
    hints=[
        "A linear layer read its map in the order in which `flatten` wrote it: channel, row, column.",
        "So `linear.weight`, [out, C*H*W], becomes a kernel by `.view(out, C, H, W)`; nothing is permuted.",
        "Make `nn.Conv2d(channels, linear.out_features, (height, width))`, copy weight *and* bias into it, return it.",
    ],
)
def to_convolution(answer):
    expect_callable(answer, "to_convolution")
    for channels, height, width in [(3, 4, 4), (2, 3, 5)]:
        linear = nn.Linear(channels * height * width, 6)
        conv = answer(linear, channels, height, width)
        expect_type(conv, nn.Conv2d, "the layer")
        expect_equal(tuple(conv.kernel_size), (height, width), "the kernel size")
        x = torch.randn(2, channels, height, width)
        with torch.no_grad():
            expect_close(conv(x).flatten(1), linear(x.flatten(1)), "the answer on a map of the old size", atol=1e-5)
            larger = torch.randn(1, channels, height + 2, width + 3)
            here = larger[..., 1 : 1 + height, 2 : 2 + width]
            expect_equal(tuple(conv(larger).shape), (1, 6, 3, 4), "the shape on a larger map")
            expect_close(
                conv(larger)[0, :, 1, 2], linear(here.flatten(1))[0], "the answer at row 1, column 2 of it", atol=1e-5
            )


@exercise(
    "up-sampling without a checkerboard",
    hints=[
        "Two wishes: even overlap, and (n - 1)*stride + kernel - 2*padding = n*stride.",
        "The second says kernel - 2*padding = stride. The first says that kernel is a multiple of stride.",
        "The smallest kernel does: kernel = stride and padding = 0 (2*stride and stride // 2 if the stride is even).",
    ],
)
def upsampler(answer):
    expect_callable(answer, "upsampler")
    for stride in (2, 3, 4):
        layer = answer(stride)
        expect_type(layer, nn.ConvTranspose2d, "the layer")
        with torch.no_grad():
            y = layer(torch.zeros(1, layer.in_channels, 7, 5))
            expect_equal(tuple(y.shape[-2:]), (7 * stride, 5 * stride), f"the size of a 7×5 map up-sampled by {stride}")
            ones = torch.ones(1, 1, *layer.kernel_size)
            place = dict(stride=layer.stride, padding=layer.padding, dilation=layer.dilation)
            count = F.conv_transpose2d(torch.ones(1, 1, 9, 9), ones, **place)[0, 0]
        inside = count[3 * stride : -3 * stride, 3 * stride : -3 * stride]
        expect(
            inside.max() - inside.min() < 0.5,
            f"stride {stride}, kernel {layer.kernel_size[0]}: between {int(inside.min())} and {int(inside.max())} stamps "
            "meet at a cell away from the border; it must be the same number everywhere.",
        )


@exercise(
    "cells that a stack uses",
    hints=[
        "Go backwards, as in the tree: which cells does the output need in the layer below, and which do those need?",
        "Keep a set of places, at first {0}; a layer of dilation r turns every place p into p - r, p, p + r.",
        "A set forgets doubles by itself; the answer is its size after the last layer.",
    ],
)
def cells_used(answer):
    expect_callable(answer, "cells_used")
    for dilations, used in [((1,), 3), ((2, 2), 5), ((2, 2, 2), 7), ((1, 2, 3), 13), ((1, 2, 5), 17), ((4, 8), 7),
                            ((1, 3, 9), 27), ((1, 2, 9), 21)]:  # fmt: skip
        expect_equal(answer(dilations), used, f"the cells used with dilations {dilations}")


@exercise(
    "strides into dilations",
    hints=[
        "Go through the chain with two numbers: the stride that is still kept so far, and the rate owed to later layers.",
        "A layer takes the rate that is owed *before* it. If its own stride would exceed the limit, it becomes 1 and the "
        "rate owed is multiplied by it.",
        "For each (k, s, d): `here = rate`; if kept*s > largest: rate *= s; s = 1; else: kept *= s; "
        "append (k, s, d * here).",
    ],
)
def without_stride(answer):
    expect_callable(answer, "without_stride")
    chain = [(3, 2, 1), (3, 2, 1), (3, 1, 1), (3, 2, 1), (3, 1, 1), (3, 2, 1), (3, 1, 2)]
    expect_equal(_tuples(answer(chain, 16)), chain, "the chain that already has stride 16")
    kept = [(3, 2, 1), (3, 2, 1), (3, 1, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1), (3, 1, 4)]
    expect_equal(_tuples(answer(chain, 8)), kept, "largest stride 8, on a chain of stride 16")
    kept = [(3, 2, 1), (3, 2, 1), (3, 1, 1), (3, 1, 1), (3, 1, 2), (3, 1, 2), (3, 1, 8)]
    expect_equal(_tuples(answer(chain, 4)), kept, "largest stride 4, on a chain of stride 16")
    expect_equal(_tuples(answer([(7, 4, 1), (2, 2, 1), (3, 1, 1)], 4)), [(7, 4, 1), (2, 1, 1), (3, 1, 2)], "largest 4")


def _tuples(chain):
    try:
        return [tuple(layer) for layer in chain]
    except TypeError:
        return chain
