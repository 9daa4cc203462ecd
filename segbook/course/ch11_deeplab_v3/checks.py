"""Checks of chapter 11: valid taps, rates by output stride, image pooling, interleaved maps, batch norm's statistics."""

import copy

import torch
from torch import nn

from segbook.backbones import ResNet
from segbook.course.check import (
    exercise,
    expect,
    expect_callable,
    expect_close,
    expect_equal,
    expect_shape,
    expect_type,
)
from segbook.layers import ASPP, ConvNormAct


@exercise(
    "the mean number of valid taps",
    hints=[
        "Rows and columns are independent: a cell's taps are (valid rows) times (valid columns).",
        "Along one side of n cells the middle tap is always valid; the left one is missing in the first `rate` cells, the "
        "right one in the last `rate`. If the rate is larger than the side, they are missing everywhere.",
        "Mean along a side of n cells: 1 + 2 * max(0, n - rate) / n. Multiply the two sides.",
    ],
)
def mean_taps(answer):
    expect_callable(answer, "mean_taps")
    for height, width, rate in [(65, 65, 24), (33, 33, 18), (7, 9, 2), (7, 9, 8), (6, 8, 12), (5, 5, 5), (23, 30, 1)]:
        place_h, place_w = torch.arange(height), torch.arange(width)
        rows = 1 + (place_h >= rate).double() + (place_h + rate < height)
        columns = 1 + (place_w >= rate).double() + (place_w + rate < width)
        expected = torch.outer(rows, columns).mean().item()
        result = answer(height, width, rate)
        expect_close(result, expected, f"mean_taps({height}, {width}, {rate})")


@exercise(
    "rates by output stride",
    hints=[
        "At output stride 16 the base rate of block 4 is 2, because one stride of 2 was taken out. And at 8?",
        "The base rate is 32 // output_stride; block 4 has it times each number of the multi-grid.",
        "The pyramid: (6, 12, 18) is for 16; at stride s multiply by 16 / s (16 * rate // s keeps whole numbers).",
    ],
)
def rates_at(answer):
    expect_callable(answer, "rates_at")
    for stride, grid, block4, pyramid in [
        (16, (1, 2, 4), [2, 4, 8], [6, 12, 18]),
        (8, (1, 2, 4), [4, 8, 16], [12, 24, 36]),
        (8, (1, 2, 1), [4, 8, 4], [12, 24, 36]),
        (16, (1, 1, 1), [2, 2, 2], [6, 12, 18]),
        (32, (1, 2, 4), [1, 2, 4], [3, 6, 9]),
    ]:
        what = f"rates_at({stride}, {grid})"
        result = answer(stride, grid)
        expect_type(result, (tuple, list), what)
        expect(len(result) == 2, f"{what}: return two lists, the rates of block 4 and those of the pyramid.")
        expect_equal(list(result[0]), block4, f"{what}: the rates of block 4")
        expect_equal(list(result[1]), pyramid, f"{what}: the rates of the pyramid")


@exercise(
    "image pooling",
    hints=[
        "Three steps: the mean over height and width, `reduce` (it wants a map, so keep a height and width of 1), spread.",
        "features.mean((2, 3), keepdim=True) is [N, C, 1, 1]; reduce of it is [N, D, 1, 1].",
        ".expand(-1, -1, height, width) lays the same vector into every cell; torch.cat([features, it], dim=1) joins them.",
    ],
)
def with_image_vector(answer):
    expect_callable(answer, "with_image_vector")
    for shape, depth in [((2, 6, 5, 7), 3), ((1, 4, 9, 4), 4)]:
        features = torch.randn(shape)
        reduce = ConvNormAct(shape[1], depth, kernel_size=1).eval()
        nn.init.uniform_(reduce[1].running_mean, -0.5, 0.5)
        with torch.no_grad():
            vector = reduce(features.mean((2, 3), keepdim=True))
            later = reduce(features).mean((2, 3), keepdim=True).expand(-1, -1, *shape[2:])
            result = answer(features.clone(), reduce)
        expected = torch.cat([features, vector.expand(-1, -1, *shape[2:])], dim=1)
        expect_shape(result, tuple(expected.shape), "the joined map")
        expect(
            not torch.allclose(result[:, shape[1] :], later, atol=1e-5),
            "you reduced first and pooled then. With a ReLU between them that is something else: pool first.",
        )
        expect_close(result, expected, "features with the image's vector behind them")


@exercise(
    "four maps interleaved",
    hints=[
        "Make an empty map of twice the size and fill it four times with a step of 2.",
        "fine[..., 0::2, 0::2] = maps[0, 0]. The first number counts rows (down), the second columns (right).",
        "fine[..., down::2, right::2] = maps[down, right] for down and right in 0, 1.",
    ],
)
def interleave(answer):
    expect_callable(answer, "interleave")
    for shape in [(1, 2, 3, 4), (2, 5, 7, 6)]:
        fine = torch.randn(shape[0], shape[1], 2 * shape[2], 2 * shape[3])
        maps = {(down, right): fine[..., down::2, right::2].clone() for down in (0, 1) for right in (0, 1)}
        result = answer(maps)
        expect_shape(result, tuple(fine.shape), "the interleaved map")
        across = torch.zeros_like(fine)
        for down, right in maps:
            across[..., right::2, down::2] = maps[down, right]
        expect(not torch.equal(result, across), "rows and columns are exchanged: the key is (down, right).")
        expect_close(result, fine, "the interleaved map")


@exercise(
    "statistics anew",
    hints=[
        "Find the layers: isinstance(module, nn.BatchNorm2d) in net.modules(). Each can forget: reset_running_stats().",
        "With momentum = None a batch norm keeps the plain mean of all batches it sees, but only in training mode.",
        "Only the batch norms go into training mode (module.train()), the rest stays in eval mode: dropout would change "
        "what the layers behind it see. Run all batches under torch.no_grad(), put momentum and modes back, return the net.",
    ],
)
def recalibrate(answer):
    expect_callable(answer, "recalibrate")
    torch.manual_seed(1)
    net = nn.Sequential(ResNet("resnet50", width=1 / 32), _Last(), ASPP(64, 8, (1, 2), dropout=0.5)).eval()
    batches = [torch.randn(2, 3, 33, 49) * scale for scale in (0.5, 1.0, 2.0)]
    reference = copy.deepcopy(net)
    norms = [module for module in reference.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for batch in batches:
            reference(batch)
    weights = {name: value.clone() for name, value in net.named_parameters()}
    result = answer(net, [batch.clone() for batch in batches])
    expect_type(result, nn.Module, "what recalibrate returns")
    for name, value in net.named_parameters():
        expect(torch.equal(value, weights[name]), f"the parameter {name} changed; only the statistics should.")
    found = [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]
    expect_close(found[0].running_mean, norms[0].running_mean, "the running mean of the first batch norm", rtol=1e-3)
    expect_close(found[0].running_var, norms[0].running_var, "the running variance of the first batch norm", rtol=1e-3)
    what = "the running mean of the last batch norm, behind the dropout"
    expect_close(found[-1].running_mean, norms[-1].running_mean, what, rtol=1e-2, atol=1e-4)
    training = [name for name, module in net.named_modules() if module.training]
    expect(not training, "the net came in eval mode and should leave in eval mode; a part of it is in training mode.")
    expect(
        all(norm.momentum == 0.1 for norm in found), "put the momentum of every batch norm back to what it was, 0.1."
    )


class _Last(nn.Module):
    """The deepest of a backbone's maps."""

    def forward(self, maps):
        return maps[-1]
