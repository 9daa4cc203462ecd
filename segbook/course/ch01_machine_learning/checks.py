"""Checks of chapter 01, machine-learning review."""

import torch

from segbook.course.check import exercise, expect, expect_callable, expect_close, expect_equal


@exercise(
    "The gradient of a line",
    hints=[
        "Write the error of every point first: prediction minus label. The prediction is w·x + b.",
        "The loss is a mean of squares: the square brings a factor 2, the mean divides by the number of points.",
        "∂L/∂w is 2 · mean(error · x); ∂L/∂b is the same without x. Return both, in this order.",
    ],
)
def line_gradient(answer):
    expect_callable(answer, "line_gradient")
    for count in (4, 7):
        x, y = torch.randn(2, count, dtype=torch.float64)
        w, b = torch.randn(2, dtype=torch.float64)
        leaves = [w.clone().requires_grad_(), b.clone().requires_grad_()]
        ((leaves[0] * x + leaves[1] - y) ** 2).mean().backward()
        got = answer(x, y, w, b)
        expect(len(got) == 2, f"line_gradient returns two numbers, by w and by b; got {len(got)}.")
        got = [float(value) for value in got]
        expected = [leaf.grad.item() for leaf in leaves]
        if all(abs(g + e) < 1e-6 for g, e in zip(got, expected)):
            expect(False, "both numbers have the wrong sign: the error is prediction minus label.")
        for value, true, name in zip(got, expected, "wb"):
            expect_close(value, true, f"∂L/∂{name} for {count} points")


@exercise(
    "The worst mix-up",
    hints=[
        "The diagonal holds what was right. A mistake lies off it.",
        "Set the diagonal to zero in a copy, then find the largest entry.",
        "argmax counts through the rows: entry i of a [K, K] matrix stands in row i // K and column i % K. Rows are truth.",
    ],
)
def most_confused(answer):
    expect_callable(answer, "most_confused")
    small = torch.tensor([[50, 2, 9], [1, 60, 4], [3, 0, 70]])
    for number, counts in enumerate(
        (small, torch.arange(25).roll(7).reshape(5, 5) + 100 * torch.eye(5, dtype=torch.long))
    ):
        before = counts.clone()
        off = counts - torch.diag(counts.diag())
        expected = divmod(int(off.argmax()), len(counts))
        got = tuple(int(value) for value in answer(counts))
        expect(torch.equal(counts, before), "your function changed the matrix it was given; work on a copy.")
        expect(len(got) == 2, f"most_confused returns a pair (true class, predicted class); got {got}.")
        expect(got[0] != got[1], f"{got} lies on the diagonal: these were recognised, not confused.")
        expect(got != expected[::-1], f"{got} is the wrong way round: rows are the truth, columns the prediction.")
        expect_equal(got, expected, f"the worst mix-up of test matrix {number + 1}")


@exercise(
    "Early stopping",
    hints=[
        "Keep one number while you walk: the index of the lowest loss so far.",
        "At every step: is this loss lower? Then it is the new best. Otherwise: how many steps ago was the best?",
        "Break when step - best >= patience, and return best, not step.",
    ],
)
def early_stopping(answer):
    expect_callable(answer, "early_stopping")
    cases = [
        ([5.0, 4.0, 3.0, 3.5, 3.6, 3.7, 1.0], 3, 2, "a lower loss that comes after the patience has run out"),
        ([5.0, 4.0, 3.0, 3.5, 3.6, 2.0, 2.5], 3, 5, "a rise shorter than the patience"),
        ([3.0, 2.0, 1.0], 5, 2, "a loss that falls to the end"),
        ([1.0, 2.0, 0.5], 1, 0, "a rise at once, with patience 1"),
        ([2.0, 1.0, 1.0, 1.0, 0.5], 2, 1, "an equal loss, which is no improvement"),
    ]
    for losses, patience, expected, what in cases:
        expect_equal(int(answer(list(losses), patience)), expected, f"{what}: losses {losses}, patience {patience}")


@exercise(
    "Split by video",
    hints=[
        "Do not shuffle images, shuffle videos: groups.unique() lists them.",
        "torch.randperm(n, generator=torch.Generator().manual_seed(seed)) is a shuffle that depends on the seed alone.",
        "torch.isin(groups, chosen) is True for each image of a chosen video; .nonzero()[:, 0] turns that into indices.",
    ],
)
def group_split(answer):
    expect_callable(answer, "group_split")
    groups = torch.tensor([7, 7, 3, 3, 3, 9, 1, 1, 9, 4, 4, 4, 4, 12, 12, 5, 8, 8, 8, 20])
    choices = set()
    for seed in range(6):
        for held_out in (1, 3):
            train, test = (torch.as_tensor(part).long() for part in answer(groups.clone(), held_out, seed))
            both = sorted(set(groups[train].tolist()) & set(groups[test].tolist()))
            expect(not both, f"images of video {both} are on both sides (held_out = {held_out}, seed = {seed}).")
            every = torch.cat([train, test]).sort().values
            expect_equal(every, torch.arange(len(groups)), "all indices of both parts, sorted")
            videos = tuple(groups[test].unique().tolist())
            expect_equal(len(videos), held_out, "the number of videos in the test part")
        again = torch.as_tensor(answer(groups.clone(), held_out, seed)[1]).long()
        expect_equal(again, test, f"the test part when seed {seed} is used a second time")
        choices.add(videos)
    expect(len(choices) > 1, f"six seeds chose the same videos, {videos}: the choice must depend on the seed.")


@exercise(
    "Regularisation by formula",
    hints=[
        "The gradient is (2/N) Φᵀ(Φw − y) + 2λ D w, where D is the identity with a 0 for the intercept.",
        "Set it to zero and sort: (ΦᵀΦ/N + λD) w = Φᵀy/N.",
        "torch.linalg.solve(A, c) solves A w = c. Take A and c from the line before; len(y) is N.",
    ],
)
def ridge(answer):
    expect_callable(answer, "ridge")
    x = torch.linspace(-1, 1, 11, dtype=torch.float64)
    phi = x[:, None] ** torch.arange(4)
    y = 5 + torch.randn(11, dtype=torch.float64)
    shift = answer(phi, y + 100, 0.5) - answer(phi, y, 0.5)
    expect_close(shift, [100, 0, 0, 0], "the change of the weights when every y is raised by 100 (the intercept goes free)",
                 atol=1e-4)  # fmt: skip
    for strength in (0.0, 0.05, 2.0):
        w = answer(phi, y, strength).detach().clone().requires_grad_()
        expect(w.shape == (4,), f"ridge returns one weight a column, shape [4]; got {list(w.shape)}.")
        (((phi @ w - y) ** 2).mean() + strength * w[1:].square().sum()).backward()
        expect_close(w.grad, torch.zeros(4), f"the gradient of the regularised loss at your weights, λ = {strength}",
                     atol=1e-6)  # fmt: skip
