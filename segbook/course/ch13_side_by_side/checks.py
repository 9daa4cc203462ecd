"""Checks of chapter 13: Pareto front, equal budgets, paired seeds, comparable rows, a departure, the bootstrap."""

import torch

from segbook import metrics
from segbook.course import leaderboard
from segbook.course.check import exercise, expect, expect_callable, expect_close, expect_equal, expect_type


@exercise(
    "the Pareto front",
    hints=[
        "A net is beaten when some other net costs no more and scores no less, and is truly better in one of the two.",
        "Two nets with the same cost and the same score do not beat each other. `<=` alone would remove both.",
        "beaten = any(c <= cost and s >= score and (c < cost or s > score) for c, s in zip(costs, scores)); keep the rest.",
    ],
)
def pareto(answer):
    expect_callable(answer, "pareto")
    cases = [
        ([1, 2, 3, 4], [0.2, 0.5, 0.4, 0.6], [0, 1, 3]),
        ([3, 1, 2], [0.3, 0.3, 0.3], [1]),
        ([2, 2, 1], [0.5, 0.5, 0.1], [0, 1, 2]),
        ([5, 4, 3], [0.1, 0.2, 0.3], [2]),
        ([1, 1], [0.4, 0.6], [1]),
    ]
    for costs, scores, expected in cases:
        result = answer(list(costs), list(scores))
        expect_type(result, (list, tuple), f"pareto({costs}, {scores})")
        expect_equal(sorted(result), expected, f"pareto({costs}, {scores})")


@exercise(
    "equal budgets",
    hints=[
        "Do not guess how the cost grows: ask `macs` itself, again and again, and halve what is still possible each time.",
        "Keep two widths: `low` is always affordable, `high` never. Their middle replaces one of them.",
        "while high - low > 1e-4: middle = (low + high) / 2; if macs(middle) <= budget: low = middle, else: high = middle.",
    ],
)
def width_for(answer):
    expect_callable(answer, "width_for")

    def in_steps(width):  # channels are whole numbers, as in a net
        return max(1, round(64 * width)) * 9 * 3 + 9 * max(1, round(64 * width)) ** 2

    def square(width):
        return round(1e9 * width**2)

    def nearly_straight(width):
        return round(4e6 + 1e8 * width + 1e7 * width**2)

    cases = [
        ("a cost of 1e9 · width²", square, 4 * 10**7),
        ("a cost with a part that no width changes", nearly_straight, 4 * 10**7),
        ("a cost in steps, as channels are whole numbers", in_steps, 8000),
    ]
    for name, macs, budget in cases:
        calls = []

        def counted(width, macs=macs, calls=calls):
            calls.append(width)
            expect(
                len(calls) <= 2000, "width_for asked for the cost 2,000 times: halve the range, do not walk through it."
            )
            return macs(width)

        result = answer(counted, budget)
        what = f"width_for with {name} and a budget of {budget:,}"
        expect_type(result, (float, int), what)
        cost = macs(result)
        expect(cost <= budget, f"{what}: {result:.5f} costs {cost:,}, more than the budget. Which end is returned?")
        wider = result + 1e-3
        expect(
            macs(wider) > budget,
            f"{what}: {result:.5f} costs {cost:,}; {wider:.5f} would still be affordable. Ask `macs` itself.",
        )


@exercise(
    "paired seeds",
    hints=[
        "Subtract seed by seed first: what both nets have in common, an easy or hard seed, falls out.",
        "The standard error of a mean is s / √n; s is the standard deviation with n − 1 below the fraction line.",
        "d = [a - b for a, b in zip(first, second)]; (mean(d), statistics.stdev(d) / len(d) ** 0.5).",
    ],
)
def paired(answer):
    expect_callable(answer, "paired")
    for first, second in [([0.30, 0.34, 0.32], [0.28, 0.31, 0.31]), ([0.2, 0.5, 0.3, 0.4], [0.25, 0.45, 0.38, 0.3])]:
        difference = torch.tensor(first, dtype=torch.float64) - torch.tensor(second, dtype=torch.float64)
        result = answer(list(first), list(second))
        expect_type(result, (tuple, list), "paired(first, second)")
        expect_equal(len(result), 2, "how many numbers paired returns")
        expect_close(result[0], difference.mean().item(), f"the mean difference of {first} and {second}")
        error = (difference.std() / len(first) ** 0.5).item()
        expect_close(result[1], error, f"the standard error for {first} and {second}")


@exercise(
    "what keeps two scores from being compared",
    hints=[
        "Four things must be the same: size, pretraining, trained_on, split. Go through their names with getattr.",
        "None means that the source does not say. Two unknown values are not known to be equal.",
        "[n for n in names if getattr(a, n) is None or getattr(a, n) != getattr(b, n)], with names in the order asked for.",
    ],
)
def obstacles(answer):
    expect_callable(answer, "obstacles")

    def row(size, pretraining, trained_on, split):
        return leaderboard.Row("a net", 0.5, None, pretraining, size, trained_on, "nowhere", split=split)

    plain = row((360, 480), "none", "train", "test")
    cases = [
        (plain, row((360, 480), "none", "train", "test"), []),
        (plain, row((480, 640), "ImageNet", "train", "test"), ["size", "pretraining"]),
        (plain, row((360, 480), "none", "train + val", "val"), ["trained_on", "split"]),
        (plain, row(None, "none", "train", "test"), ["size"]),
        (row(None, "none", None, "test"), row(None, "none", None, "test"), ["size", "trained_on"]),
        (row((360, 480), None, "train", "test"), plain, ["pretraining"]),
    ]
    for a, b, expected in cases:
        what = " and ".join(f"({r.size}, {r.pretraining}, {r.trained_on}, {r.split})" for r in (a, b))
        expect_equal(list(answer(a, b)), expected, f"the obstacles between {what}")


@exercise(
    "a departure explained",
    hints=[
        "Round the side up to a multiple of the rate: 33 becomes 36 for a rate of 6. Do it for each rate.",
        "A 3×3 convolution on a map of side n costs 9 · c_in · c_out · n². Padding costs the difference of two of these.",
        "sum(9 * c_in * c_out * ((-(-side // r) * r) ** 2 - side**2) for r in rates).",
    ],
)
def padding_macs(answer):
    expect_callable(answer, "padding_macs")
    for side, rates, c_in, c_out in [(33, (6, 12, 18), 2048, 256), (65, (12, 24, 36), 2048, 256), (36, (6, 7), 3, 5)]:
        expected = sum(9 * c_in * c_out * ((-(-side // r) * r) ** 2 - side**2) for r in rates)
        expect_equal(answer(side, rates, c_in, c_out), expected, f"padding_macs({side}, {rates}, {c_in}, {c_out})")


@exercise(
    "would other images say the same?",
    hints=[
        "A draw is a list of image numbers, some of them twice. Sum the matrices of these images: first[draw].sum(0).",
        "From a summed matrix: IoU = diagonal / (row sum + column sum − diagonal), then nanmean over the classes.",
        "Count the draws in which the mIoU of `first` is larger, divide by their number; no averages of single images.",
    ],
)
def share_ahead(answer):
    expect_callable(answer, "share_ahead")

    def miou(counts):
        confusion = metrics.ConfusionMatrix(counts.shape[-1])
        confusion.counts += counts
        return confusion.mean_iou()

    for images, classes, draws in [(6, 3, 40), (12, 4, 60)]:
        # Large and small images in turn; one net is better on the large ones, the other on the small ones.
        large = torch.arange(images).view(-1, 1, 1) % 2 == 0
        right = torch.eye(classes, dtype=torch.int64)
        first, second = torch.randint(1, 30, (2, images, classes, classes))
        first = (first + right * torch.where(large, 25, 10)) * torch.where(large, 40, 1)
        second = (second + right * torch.where(large, 20, 90)) * torch.where(large, 40, 1)
        first[..., -1], first[..., -1, :], second[..., -1], second[..., -1, :] = (
            0,
            0,
            0,
            0,
        )  # the last class never occurs
        which = torch.randint(0, images, (draws, images))
        ahead = [miou(first[draw].sum(0)) > miou(second[draw].sum(0)) for draw in which]
        what = f"the share of {draws} draws of {images} images (the last class never occurs)"
        expect_close(answer(first.clone(), second.clone(), which.clone()), sum(ahead) / draws, what, atol=1e-6)
