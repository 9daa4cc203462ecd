"""Checks of chapter 12: MACs of a separable layer, the branches of ASPP, the decoder's join, resizing, factored kernels."""

import torch
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
from segbook.layers import ASPP, SeparableConv2d
from segbook.models.deeplab_v3 import ASPP_RATES


@exercise(
    "multiply-adds of a separable layer",
    hints=[
        "Two layers, two sums: what does the depthwise one do at each cell, what the pointwise one?",
        "Depthwise: k·k products for each channel. Pointwise: one product for each pair of channels.",
        "cells * (kernel_size**2 * in_channels + in_channels * out_channels)",
    ],
)
def separable_macs(answer):
    expect_callable(answer, "separable_macs")
    for in_channels, out_channels, kernel_size, cells in [
        (256, 256, 3, 33 * 33),
        (304, 256, 3, 129 * 129),
        (8, 4, 5, 7),
    ]:
        expected = cells * (kernel_size**2 * in_channels + in_channels * out_channels)
        what = f"separable_macs({in_channels}, {out_channels}, {kernel_size}, {cells})"
        result = answer(in_channels, out_channels, kernel_size, cells)
        standard = cells * kernel_size**2 * in_channels * out_channels
        expect(
            result != standard, f"{what}: this is the cost of a standard convolution; a separable one has two steps."
        )
        expect_equal(result, expected, what)


@exercise(
    "the branches of ASPP",
    hints=[
        "Count them: one 1×1, three 3×3. The pooled branch has no window and is left out here.",
        "At output stride 16 the rates are 6, 12, 18. With maps twice as fine, the same pixels are twice as many cells.",
        "[(1, 1)] + [(3, 16 // output_stride * rate) for rate in (6, 12, 18)]",
    ],
)
def branches(answer):
    expect_callable(answer, "branches")
    for stride in (16, 8):
        result = answer(stride)
        expect_type(result, (list, tuple), f"branches({stride})")
        for branch in result:
            expect_type(branch, (list, tuple), f"an entry of branches({stride})")
        found = [tuple(branch) for branch in result]
        expect(
            len(found) == 4,
            f"branches({stride}): expected four windows, one 1×1 and three 3×3, got {len(found)}: {found}.",
        )
        layers = ASPP(2, 2, ASPP_RATES[stride]).convs[:4]
        expected = [(layer[0].kernel_size[0], layer[0].dilation[0]) for layer in layers]
        expect_equal(found, expected, f"branches({stride})")


@exercise(
    "the decoder's join",
    hints=[
        "The encoder's map is the smaller one. To which size must it grow before the two can lie on each other?",
        "F.interpolate(features, size=low_level.shape[-2:], mode='bilinear', align_corners=False).",
        "torch.cat([grown, low_level], dim=1): the encoder's channels first, as the weights of the 3×3 expect.",
    ],
)
def join(answer):
    expect_callable(answer, "join")
    for small, large in [((6, 8), (24, 32)), ((33, 33), (129, 129)), ((5, 7), (18, 26))]:
        features, low_level = torch.randn(2, 5, *small), torch.randn(2, 3, *large)
        result = answer(features.clone(), low_level.clone())
        what = f"the join of {small[0]}×{small[1]} and {large[0]}×{large[1]}"
        expect_shape(result, (2, 8, *large), what)
        grown = F.interpolate(features, size=large, mode="bilinear", align_corners=False)
        aligned = F.interpolate(features, size=large, mode="bilinear", align_corners=True)
        expect(
            not torch.allclose(result, torch.cat([low_level, grown], 1)),
            f"{what}: the low-level channels come first; the trained 3×3 expects the encoder's channels first.",
        )
        expect(
            not torch.allclose(result[:, :5], aligned),
            f"{what}: grown with align_corners=True; this net was trained with pixel centres in place (False).",
        )
        expect_close(result, torch.cat([grown, low_level], 1), what)


@exercise(
    "where a resized cell is read",
    hints=[
        "Corners aligned: cell 0 goes to 0 and the last cell, large - 1, to small - 1, with equal steps between.",
        "Not aligned: cells have a width. The centre of cell i is at i + 0.5; scale by small / large; subtract 0.5.",
        "index * (small - 1) / (large - 1) if align_corners else (index + 0.5) * small / large - 0.5",
    ],
)
def read_position(answer):
    expect_callable(answer, "read_position")
    for small, large in [(6, 24), (33, 129), (4, 9)]:
        for index in (0, 1, large // 2, large - 1):
            what = f"read_position({index}, {small}, {large}"
            expect_close(answer(index, small, large, True), index * (small - 1) / (large - 1), what + ", True)")
            expected = (index + 0.5) * small / large - 0.5
            expect_close(answer(index, small, large, False), expected, what + ", False)")


@exercise(
    "the nearest separable layer",
    hints=[
        "One input channel at a time: its kernels, w[:, i], are a matrix [C_out, k·k]. A separable layer can only make a "
        "matrix whose rows are all multiples of one kernel.",
        "The best such matrix is the first term of the singular value decomposition: U[:, 0] · S[0] · Vh[0].",
        "u, s, vh = torch.linalg.svd(w.flatten(2).transpose(0, 1), full_matrices=False) does all channels at once; "
        "depthwise = vh[:, 0] as [C_in, 1, k, k], pointwise = (u[:, :, 0] * s[:, :1]).T as [C_out, C_in, 1, 1].",
    ],
)
def factor(answer):
    expect_callable(answer, "factor")
    torch.manual_seed(7)
    layer = SeparableConv2d(3, 5)
    exact = (layer.pointwise.weight * layer.depthwise.weight.transpose(0, 1)).detach()
    for w, what in [(exact, "a kernel that is separable"), (torch.randn(6, 4, 3, 3), "a random kernel")]:
        result = answer(w.clone())
        expect_type(result, (list, tuple), "the answer of factor")
        expect(len(result) == 2, f"factor must return two tensors, depthwise and pointwise, got {len(result)}.")
        depthwise, pointwise = result
        expect_shape(depthwise, (w.shape[1], 1, *w.shape[2:]), f"depthwise, for {what} {list(w.shape)}")
        expect_shape(pointwise, (*w.shape[:2], 1, 1), f"pointwise, for {what} {list(w.shape)}")
        error = float((w - pointwise * depthwise.transpose(0, 1)).norm())
        least = float(torch.linalg.svdvals(w.flatten(2).transpose(0, 1))[:, 1:].norm())
        expect(
            error < least + 1e-3,
            f"{what}: the product of your two kernels is {error:.3f} away from it; the nearest is {least:.3f} away.",
        )
