"""Checks of chapter 09: rate and padding, a rate for a field, pooling with holes, bilateral weight, a mean-field step."""

import math

import torch
from torch.nn import functional as F

from segbook.course.check import exercise, expect, expect_callable, expect_close, expect_equal


@exercise(
    "rate and padding",
    hints=[
        "How many cells does a kernel span, from its first tap to its last? The map shrinks by that, less one.",
        "A kernel of k taps at rate r makes the map r·(k − 1) cells smaller. Padding adds p on both sides.",
        "2·p = rate * (kernel - 1): half of it where that is even, None where it is odd.",
    ],
)
def same_padding(answer):
    expect_callable(answer, "same_padding")
    for kernel, rate in [(3, 1), (3, 12), (7, 4), (4, 4), (4, 8), (1, 6), (5, 3), (4, 1), (2, 3)]:
        total = rate * (kernel - 1)
        what = f"same_padding({kernel}, {rate})"
        if total % 2:
            # None is an answer here, and the checks take a missing answer for an empty cell: ask the function directly.
            result = getattr(answer, "__wrapped__", answer)(kernel, rate)
            expect(
                result is None,
                f"{what}: expected None, because {total} cells cannot be shared out equally; got {result!r}.",
            )
        else:
            expect_equal(answer(kernel, rate), total // 2, what)


@exercise(
    "a rate for a field",
    hints=[
        "A convolution adds (effective kernel − 1) · jump to the field. What is the effective kernel at rate r?",
        "The field behind it is field + jump · r · (kernel − 1). Which r is the first to reach `wanted`?",
        "Count up from rate 1 until it does, or round up: -(-(wanted - field) // (jump * (kernel - 1))), but at least 1.",
    ],
)
def smallest_rate(answer):
    expect_callable(answer, "smallest_rate")
    for wanted, kernel, field, jump in [(435, 3, 243, 8), (436, 3, 243, 8), (100, 3, 243, 8), (339, 4, 243, 8),
                                        (513, 3, 243, 8), (300, 5, 51, 8), (244, 3, 227, 4)]:  # fmt: skip
        expected = max(1, math.ceil((wanted - field) / (jump * (kernel - 1))))
        result = answer(wanted, kernel, field=field, jump=jump)
        expect_equal(result, expected, f"smallest_rate({wanted}, {kernel}, field={field}, jump={jump})")
    expect_equal(answer(435, 3), 12, "smallest_rate(435, 3), with the defaults")


@exercise(
    "a pooling with holes",
    hints=[
        "Which cells can meet in one maximum? Only those whose row and column differ by multiples of the rate.",
        "Take the phase x[..., i::rate, j::rate], pool it as usual, and write the result back to the same places.",
        "for i in range(rate), for j in range(rate): result[..., i::rate, j::rate] = F.max_pool2d(phase, 3, 1, 1). "
        "A phase of a small map can be empty: skip it.",
    ],
)
def atrous_max_pool(answer):
    expect_callable(answer, "atrous_max_pool")
    for shape, rate in [
        ((1, 1, 6, 6), 1),
        ((2, 3, 8, 10), 2),
        ((1, 2, 7, 9), 2),
        ((1, 2, 11, 10), 4),
        ((1, 1, 3, 2), 4),
    ]:
        x = torch.randn(shape) - 3  # below zero: outside the map is nothing, not zero
        expected = F.max_pool2d(F.pad(x, (rate,) * 4, value=-torch.inf), 3, stride=1, dilation=rate)
        result = answer(x.clone(), rate)
        what = f"the pooled {shape[2]}×{shape[3]} map at rate {rate}"
        if rate > 1:
            plain = F.max_pool2d(x, 3, stride=1, padding=1)
            expect(
                not (getattr(result, "shape", None) == plain.shape and torch.equal(result, plain)),
                f"{what}: these are the maxima of neighbouring cells; the taps must lie {rate} cells apart.",
            )
        expect_close(result, expected, what)


@exercise(
    "one bilateral weight",
    hints=[
        "Two squared distances, one of places and one of colours, each by twice its own σ squared; then exp(−their sum).",
        "Colours are uint8: 10 − 20 is 246 there. Turn them into floats before you subtract.",
        "weight * exp(-(|Δplace|² / (2 * sigma_xy**2) + |Δcolour|² / (2 * sigma_rgb**2))), |Δcolour|² summed over channels.",
    ],
)
def bilateral_weight(answer):
    expect_callable(answer, "bilateral_weight")
    image = torch.randint(0, 256, (3, 9, 12), dtype=torch.uint8)
    image[:, 0, 0], image[:, 0, 1] = 10, 20  # wraps around in uint8
    for a, b, weight, sigma_xy, sigma_rgb in [
        ((0, 0), (0, 0), 5.0, 50.0, 10.0),
        ((0, 0), (0, 1), 1.0, 3.0, 10.0),
        ((0, 1), (0, 0), 1.0, 3.0, 10.0),
        ((2, 3), (7, 1), 4.0, 6.0, 90.0),
        ((8, 11), (1, 4), 10.0, 20.0, 120.0),
    ]:
        color = (image[:, a[0], a[1]].double() - image[:, b[0], b[1]].double()).square().sum().item()
        place = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
        expected = weight * math.exp(-place / (2 * sigma_xy**2) - color / (2 * sigma_rgb**2))
        what = f"the weight between {a} and {b} (w {weight:g}, σ {sigma_xy:g} and {sigma_rgb:g})"
        expect_close(answer(image.clone(), a, b, weight, sigma_xy, sigma_rgb), expected, what)


@exercise(
    "a mean-field step",
    hints=[
        "First the messages: kernel @ Q is [N, K], what the others say for each label. Then each label pays for all labels.",
        "The penalty of label l is Σ_l' μ(l, l') · message(l'): a product of the messages with μ. Which way round?",
        "(-unary - kernel @ Q @ compatibility.T).softmax(dim=1)",
    ],
)
def mean_field_step(answer):
    expect_callable(answer, "mean_field_step")
    for pixels, labels, kind in [(6, 2, "Potts"), (8, 3, "Potts"), (7, 4, "one-sided")]:
        unary, kernel = torch.rand(pixels, labels) * 2, torch.rand(pixels, pixels)
        Q = torch.randn(pixels, labels).softmax(1)
        mu = 1 - torch.eye(labels) if kind == "Potts" else torch.rand(labels, labels) * 2
        expected = (-unary - torch.einsum("lm,ij,jm->il", mu, kernel, Q)).softmax(1)
        result = answer(unary.clone(), kernel.clone(), Q.clone(), mu.clone())
        what = f"the next Q of {pixels} pixels and {labels} labels, with a {kind} compatibility"
        if getattr(result, "shape", None) == expected.shape:
            sums = torch.as_tensor(result).float().sum(1)
            expect(
                torch.allclose(sums, torch.ones(pixels), atol=1e-4),
                f"{what}: each row must sum to 1; over which axis is the softmax?",
            )
        expect_close(result, expected, what)
