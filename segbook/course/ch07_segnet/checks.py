"""Checks of chapter 07: sizes down and up, the gradient of max pooling, class weights, 2-bit codes, mirrored indices."""

import torch
from torch.nn import functional as F

from segbook.course.check import exercise, expect, expect_callable, expect_close, expect_equal, expect_type


@exercise(
    "sizes down and up",
    hints=[
        "Half of 45 is 22.5, and the pooling rounds up. What does `//` do?",
        "Rounding up without floats: (h + 1) // 2. Keep all sizes of the way down in a list.",
        "The way up is the same list backwards, without its last entry: down + down[-2::-1].",
    ],
)
def sizes(answer):
    expect_callable(answer, "sizes")
    for height, poolings, expected in [
        (45, 2, [45, 23, 12, 23, 45]),
        (360, 5, [360, 180, 90, 45, 23, 12, 23, 45, 90, 180, 360]),
        (97, 3, [97, 49, 25, 13, 25, 49, 97]),
        (64, 1, [64, 32, 64]),
    ]:
        result = answer(height, poolings)
        expect_type(result, (list, tuple), f"sizes({height}, {poolings})")
        expect_equal(list(result), expected, f"sizes({height}, {poolings})")


@exercise(
    "the gradient of max pooling",
    hints=[
        "Which inputs have an influence on the output? Only the winners, and each of them with factor 1.",
        "Pool `x` with return_indices=True (and ceil_mode=True): the indices say where each gradient belongs.",
        "unpool(gradient, indices, x.shape[-2:]) puts them there.",
    ],
)
def max_pool_gradient(answer):
    expect_callable(answer, "max_pool_gradient")
    for shape in [(1, 1, 4, 4), (2, 3, 6, 8), (1, 2, 5, 7)]:
        x = torch.randn(shape).requires_grad_()
        pooled = F.max_pool2d(x, 2, ceil_mode=True)
        gradient = torch.randn(pooled.shape)
        pooled.backward(gradient)
        result = answer(x.detach().clone(), gradient.clone())
        expect_close(result, x.grad, f"the gradient of a map of {shape[2]}×{shape[3]}")
    tied = torch.zeros(1, 1, 4, 4)
    expected = torch.zeros(1, 1, 4, 4)
    expected[..., ::2, ::2] = 1
    expect_close(answer(tied, torch.ones(1, 1, 2, 2)), expected, "the gradient of an all-zero map (ties)")


@exercise(
    "median-frequency weights",
    hints=[
        "For class c, look at the images in which it occurs and at no others: both numbers of the fraction.",
        "torch.bincount(mask.flatten(), minlength=K)[:K] counts one image without its void. Stack them: counts [N, K].",
        "Denominator: ((counts > 0) * counts.sum(1, keepdim=True)).sum(0). Median over the classes with a count only.",
    ],
)
def balance(answer):
    expect_callable(answer, "balance")
    # Two images; class 2 occurs in the second only, class 3 nowhere, 4 is void.
    masks = torch.tensor([[[0, 0, 0, 0], [0, 0, 1, 4]], [[0, 0, 1, 1], [2, 4, 4, 4]]])
    # f = 8/12, 3/12, 1/5 and the median of these is 3/12.
    expected = [0.25 / (8 / 12), 1.0, 0.25 / 0.2, 0.0]
    result = answer(masks.clone(), 4)
    global_frequency = torch.tensor([8.0, 3, 1]) / 12
    expect(
        not _near(result, [*(0.25 / global_frequency).tolist(), 0.0]),
        "these are the weights by frequency over all images; divide each class by the pixels of those images in "
        "which it occurs.",
    )
    expect_close(result, expected, "the weights of two small label maps (class 3 never occurs, 4 is void)")
    masks = torch.randint(0, 6, (5, 12, 12)) * torch.randint(0, 2, (5, 1, 1))
    counts = torch.stack([torch.bincount(m.flatten(), minlength=6)[:5] for m in masks]).double()
    frequency = counts.sum(0) / ((counts > 0) * counts.sum(1, keepdim=True)).sum(0)
    expect_close(answer(masks.clone(), 5), frequency.quantile(0.5) / frequency, "the weights of five random label maps")


def _near(result, values) -> bool:
    try:
        return bool(
            torch.allclose(torch.as_tensor(result, dtype=torch.float64).flatten(), torch.tensor(values).double())
        )
    except (TypeError, ValueError, RuntimeError):
        return False


@exercise(
    "four codes out of a byte",
    hints=[
        "A code is two bits. `packed & 3` keeps the two lowest bits of every byte: the first of its four codes.",
        "packed >> 2 & 3 is the second, then >> 4 and >> 6. The order in the result: all four of byte 0, then of byte 1, …",
        "torch.stack([...], dim=1).flatten() puts the four codes of each byte side by side.",
    ],
)
def unpack(answer):
    expect_callable(answer, "unpack")
    for count in (4, 8, 400):
        codes = torch.randint(0, 4, (count,), dtype=torch.uint8)
        a, b, c, d = codes.unflatten(0, (-1, 4)).unbind(1)
        result = answer(a | b << 2 | c << 4 | d << 6)
        expect_equal(result, codes, f"the codes of {count // 4} byte{'s' * (count > 4)}")
        expect(result.dtype == torch.uint8, f"the codes: expected the type uint8, got {result.dtype}.")


@exercise(
    "mirrored indices",
    hints=[
        "Take a number apart: row = index // width, column = index % width. What becomes of the column in a mirror?",
        "column → width - 1 - column gives the new numbers. They still stand in the places of the old windows.",
        "The windows change sides too: (row * width + width - 1 - column).flip(-1).",
    ],
)
def mirror_indices(answer):
    expect_callable(answer, "mirror_indices")
    for shape in [(1, 1, 4, 4), (2, 3, 6, 10), (1, 2, 5, 8)]:
        x = torch.rand(shape)
        _, indices = F.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
        _, expected = F.max_pool2d(x.flip(-1), 2, ceil_mode=True, return_indices=True)
        expect_equal(answer(indices, shape[-1]), expected, f"the indices of a mirrored {shape[2]}×{shape[3]} map")
