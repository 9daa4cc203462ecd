"""Checks of chapter 00: two numbers counted from label maps."""

import torch

from segbook.course.check import exercise, expect, expect_callable, expect_close

_VOID = 11


@exercise(
    "the share of a class",
    hints=[
        "Which pixels may be counted at all? Those whose label is not void, above the line and below it.",
        "`labelled = mask != void` is a tensor of True and False; its sum is the number below the line.",
        "Above the line stands `((mask == class_index) & labelled).sum()`; turn both into Python numbers with `.item()`.",
    ],
)
def class_share(answer):
    expect_callable(answer, "class_share")
    mask = torch.tensor([[0, 0, 3, 3], [0, 3, 3, 3], [_VOID, _VOID, 8, 8], [_VOID, _VOID, 8, 8]])
    expect_close(answer(mask, 3, _VOID), 5 / 12, "the share of class 3 among the 12 labelled pixels of a 4x4 map")
    expect_close(answer(mask, 5, _VOID), 0.0, "the share of a class that does not occur")
    generator = torch.Generator().manual_seed(0)
    mask = torch.randint(0, 12, (20, 30), generator=generator)
    total = sum(float(answer(mask, index, _VOID)) for index in range(11))
    expect_close(total, 1.0, "the sum of the shares of all eleven classes")
    # Another label for void, so that 11 cannot have been written into the answer.
    expect_close(answer(torch.tensor([[0, 1, 255, 255]]), 1, 255), 0.5, "the share of class 1 when void is 255")


@exercise(
    "pixel accuracy",
    hints=[
        "Void is decided by the truth alone: what the net says there does not matter.",
        "Choose the scored pixels with a mask, `scored = target != void`, and compare only `prediction[scored]` with them.",
        "The mean of a tensor of True and False is a share: `(a == b).float().mean().item()`.",
    ],
)
def pixel_accuracy(answer):
    expect_callable(answer, "pixel_accuracy")
    target = torch.tensor([[0, 0, 1, 1], [0, 2, 1, 1], [_VOID, _VOID, 2, 2], [_VOID, 2, 2, 2]])
    prediction = torch.tensor([[0, 1, 1, 1], [0, 2, 0, 1], [_VOID, 0, 2, 2], [2, 2, 2, 1]])
    expect_close(answer(prediction, target, _VOID), 10 / 13, "the accuracy on the 13 labelled pixels of a 4x4 map")
    expect_close(answer(target, target, _VOID), 1.0, "the accuracy of a perfect prediction")
    ignored = torch.where(target == _VOID, 5, target)
    expect_close(answer(ignored, target, _VOID), 1.0, "the accuracy when the prediction is wrong on void pixels only")
    missed = torch.where(target == 1, _VOID, target)
    expect(
        abs(float(answer(missed, target, _VOID)) - 9 / 13) < 1e-4,
        "a prediction of void where the truth has a class is an error and must be counted as one",
    )
