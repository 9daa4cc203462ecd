"""Checks of chapter 08: sizes of the U, crop and join, tiles, the weighted loss, rotated views, what is handed across."""

import torch
from torch.nn import functional as F

from segbook.course.check import exercise, expect, expect_callable, expect_close, expect_equal, expect_shape
from segbook.models.unet import UNet


@exercise(
    "what comes out of the valid U-Net",
    hints=[
        "Follow one number down and up: two convolutions take 4, a pooling halves, an up-convolution doubles.",
        "It does not fit when a number is odd just before it is halved, or when nothing (0 or less) is left.",
        "Down: `levels` times minus 4, test, half. At the bottom minus 4. Up: `levels` times double, minus 4.",
    ],
)
def output_size(answer):
    expect_callable(answer, "output_size")
    expect_equal(answer(572), 388, "the output for an input of 572")
    for levels in (4, 3, 1):
        with torch.device("meta"):
            net = UNet(1, width=1 / 16, padding="valid", levels=levels)
        for size in (572, 188, 204, 300, 140, 252, 156, 60, 22, 20, 16, 6):
            truth = size - 2 * net.margin if net.fits(size) else 0
            fits = "" if truth else ", which does not fit (a map is odd before it is pooled, or vanishes)"
            expect_equal(answer(size, levels), truth, f"the output for an input of {size} with {levels} levels{fits}")


@exercise(
    "crop and join",
    hints=[
        "Centre means: the same number of rows cut above and below, the same number of columns left and right.",
        "Rows to skip at the top: (H - h) // 2; columns to skip on the left: (W - w) // 2. Height and width may differ.",
        "`torch.cat([skip[..., top : top + h, left : left + w], x], dim=1)`.",
    ],
)
def crop_and_join(answer):
    expect_callable(answer, "crop_and_join")
    for channels, large, small in [((3, 2), (8, 8), (4, 4)), ((1, 5), (12, 10), (4, 8)), ((2, 2), (6, 6), (6, 6))]:
        skip, x = torch.randn(2, channels[0], *large), torch.randn(2, channels[1], *small)
        got = answer(skip.clone(), x.clone())
        expect_shape(got, (2, sum(channels), *small), f"a skip of {large} joined to a map of {small}")
        top, left = (large[0] - small[0]) // 2, (large[1] - small[1]) // 2
        center = skip[..., top : top + small[0], left : left + small[1]]
        expect_close(got[:, channels[0] :], x, "the last channels, which come from below")
        expect_close(got[:, : channels[0]], center, f"the first channels, the centre of the skip {large} → {small}")


@exercise(
    "where tiles start",
    hints=[
        "A tile answers tile - 2*margin pixels. If the next one starts right after them, do both pool the same pixels?",
        "Starts must be multiples of 2**levels: round the step *down* to one; outputs may overlap a little.",
        "From 0 on, add the step until start + answered >= length.",
    ],
)
def tile_starts(answer):
    expect_callable(answer, "tile_starts")
    cases = [(512, 572, 92, 4), (160, 252, 92, 4), (64, 48, 20, 2), (68, 252, 92, 4), (100, 204, 92, 4), (50, 68, 20, 2),
             (452, 572, 92, 4)]  # fmt: skip
    for length, tile, margin, levels in cases:
        answered, pool = tile - 2 * margin, 2**levels
        step = answered // pool * pool
        starts = list(range(0, max(length - answered, 0) + step, step))
        got = list(answer(length, tile, margin, levels))
        where = f"length {length}, tile {tile}, margin {margin}, {levels} levels (a tile answers {answered})"
        expect(all(s % pool == 0 for s in got), f"{where}: the starts {got} are not all multiples of {pool}, so some tiles "
                                                "group other pixels than the whole image does.")  # fmt: skip
        seen = set().union(*[range(s, s + answered) for s in got]) if got else set()
        missing = set(range(length)) - seen
        expect(not missing, f"{where}: the starts {got} leave pixel {min(missing, default=0)} without an answer.")
        expect_equal(got, starts, where)


@exercise(
    "the weighted loss",
    hints=[
        "First log p for every class and pixel; softmax and then log overflows, `log_softmax(dim=1)` does not.",
        "`gather(1, target[:, None])` picks the true class of each pixel.",
        "`-(weights * picked).mean()`: the mean over all pixels; do not divide by the sum of the weights.",
    ],
)
def weighted_loss(answer):
    expect_callable(answer, "weighted_loss")
    for classes in (2, 5):
        logits, target = 2 * torch.randn(2, classes, 6, 7), torch.randint(classes, (2, 6, 7))
        weights = 1 + 9 * torch.rand(2, 6, 7)
        truth = F.cross_entropy(logits, target, reduction="none")
        what = f"the loss of random logits with {classes} classes"
        expect_close(answer(logits, target, torch.ones_like(weights)), truth.mean(), f"{what} and weights of 1")
        expect_close(answer(logits, target, weights), (weights * truth).mean(), f"{what} and weights from 1 to 10")
    logits = torch.tensor([1000.0, -1000.0]).view(1, 2, 1, 1).expand(1, 2, 3, 3)
    value = answer(logits, torch.ones(1, 3, 3, dtype=torch.long), torch.ones(1, 3, 3))
    expect_close(value, 2000.0, "the loss of logits of ±1000, all on the wrong side")


@exercise(
    "four views",
    hints=[
        "An answer to a turned image is turned too. What must happen to it before the average?",
        "`torch.rot90(x, k, (2, 3))` turns by k quarters; the same with -k turns back.",
        "For k in 0 … 3: turn, predict, turn back. Stack the four and take the mean over the new axis.",
    ],
)
def four_views(answer):
    expect_callable(answer, "four_views")
    images = torch.rand(2, 3, 6, 6)
    calls = []

    def identity(x):
        calls.append(tuple(x.shape))
        return x

    expect_close(answer(identity, images), images, "a net that hands its image through, averaged over four views")
    expect_equal(len(calls), 4, "the number of predictions")
    ramp = torch.arange(36.0).view(1, 1, 6, 6)

    def blind(x):  # looks at the place only: the average must be alike under turning
        return ramp.expand(len(x), 2, 6, 6)

    truth = torch.stack([torch.rot90(ramp, k, (2, 3)) for k in range(4)]).mean(0).expand(2, 2, 6, 6)
    expect_close(answer(blind, images), truth, "a net that answers by place only, averaged over four views")
    kernel = torch.randn(2, 3, 3, 3)

    def net(x):
        return F.conv2d(x, kernel, padding=1).softmax(1)

    truth = torch.stack([torch.rot90(net(torch.rot90(images, k, (2, 3))), -k, (2, 3)) for k in range(4)]).mean(0)
    expect_close(answer(net, images), truth, "a random convolution, averaged over four views", atol=1e-5)


@exercise(
    "bytes handed across",
    hints=[
        "Level i has channels[i] maps of (H / 2**i) x (W / 2**i) values before its pooling.",
        "An index belongs to a value *after* the pooling: a quarter as many. An int64 takes 8 bytes, 2 bits a quarter.",
        "With n values before the pooling: maps 4 * n, int64 8 * n / 4, 2bit n / 4 / 4. Add up the levels.",
    ],
)
def bytes_across(answer):
    expect_callable(answer, "bytes_across")
    share = {"maps": 4.0, "int64": 2.0, "2bit": 1 / 16}
    for channels, height, width in [((64,), 16, 16), ((8, 16, 32, 64), 64, 96), ((64, 128, 256, 512), 512, 512)]:
        for kind, bytes_a_value in share.items():
            values = sum(c * (height // 2**i) * (width // 2**i) for i, c in enumerate(channels))
            what = f"channels {channels}, image {height}×{width}, kind {kind!r}"
            expect_close(answer(channels, height, width, kind), bytes_a_value * values, what)
