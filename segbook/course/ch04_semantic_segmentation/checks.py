"""Checks of chapter 04, semantic segmentation."""

import torch

from segbook.course.check import (
    exercise,
    expect,
    expect_callable,
    expect_close,
    expect_equal,
    expect_shape,
    expect_type,
)


@exercise(
    "Class shares",
    hints=[
        "Throw the pixels out first whose label is ignore_index, then count, then divide by what is left.",
        "torch.bincount counts how often each whole number occurs. It wants one dimension: flatten first.",
        "A class that does not occur still needs its 0: torch.bincount(…, minlength=num_classes).",
    ],
)
def class_shares(answer):
    expect_callable(answer, "class_shares")
    small = torch.tensor([[0, 0, 1], [2, 4, 4]])
    got = torch.as_tensor(answer(small.clone(), 4, 4))
    expect_shape(got, (4,), "the shares of 4 classes (void is not one of them)")
    total = float(got.sum())
    expect(abs(total - 1) < 1e-4, f"the shares must sum to 1 over the labelled pixels; yours sum to {total:.3f}.")
    expect_close(got, [0.5, 0.25, 0.25, 0.0], "the shares of [[0, 0, 1], [2, void, void]]")
    masks = torch.randint(0, 6, (3, 8, 9)).to(torch.uint8)
    masks[masks == 5] = 255
    before = masks.clone()
    got = answer(masks, 7, 255)
    expect(torch.equal(masks, before), "your function changed the masks it was given; work on a copy.")
    valid = masks[masks != 255]
    expected = [(valid == k).sum().item() / len(valid) for k in range(7)]
    expect_close(got, expected, "the shares of 7 classes with void 255, in uint8 masks [3, 8, 9]")


@exercise(
    "Two numbers in one",
    hints=[
        "Two cases: below 1000 the id is the class. From 1000 on, the class is how many whole thousands it holds.",
        "ids // 1000 divides and rounds down. torch.where(condition, a, b) takes a where the condition holds, else b.",
        "classes = torch.where(ids >= 1000, ids // 1000, ids). Things keep the whole id: 0 where ids < 1000.",
    ],
)
def split_ids(answer):
    expect_callable(answer, "split_ids")
    ids = torch.tensor([[7, 7, 23, 24], [26000, 26001, 24000, 26], [33017, 7, 26000, 0]])
    before = ids.clone()
    result = answer(ids)
    expect(torch.equal(ids, before), "your function changed the ids it was given; work on a copy.")
    expect(isinstance(result, tuple | list) and len(result) == 2, "split_ids returns two tensors: classes, things.")
    classes, things = result
    expect_equal(classes, [[7, 7, 23, 24], [26, 26, 24, 26], [33, 7, 26, 0]], "the classes")
    if torch.equal(torch.as_tensor(things), torch.where(ids >= 1000, ids % 1000, 0)):
        expect(False, "things: numbers begin at 0 again in each class, so car 0 and 'no thing' look the same, and so do "
                      "car 0 and person 0. Keep the whole id.")  # fmt: skip
    expect_equal(things, torch.where(ids >= 1000, ids, 0), "the things")
    expect(not torch.as_tensor(classes).is_floating_point(), "classes are whole numbers: divide with //, not with /.")


@exercise(
    "The colours of VOC",
    hints=[
        "Label 3 is 11 in binary: bit 0 sets the 128 of red, bit 1 the 128 of green.",
        "Bit number b of the label is label >> b & 1. It belongs to channel b % 3 and has the weight 128 >> b // 3.",
        "For b in range(8): colour[b % 3] += (label >> b & 1) * (128 >> b // 3).",
    ],
)
def voc_palette(answer):
    expect_callable(answer, "voc_palette")
    got = answer(256)
    expect_type(got, (list, tuple), "voc_palette(256)")
    expect_equal(len(got), 256, "the number of colours of voc_palette(256)")
    got = [tuple(int(value) for value in color) for color in got]
    known = {
        0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 4: (0, 0, 128), 7: (128, 128, 128),
        8: (64, 0, 0), 11: (192, 128, 0), 15: (192, 128, 128), 20: (0, 64, 128), 255: (224, 224, 192),
    }  # fmt: skip
    for label, color in known.items():
        expect_equal(got[label], color, f"the colour of label {label}")
    expect_equal(len(set(got)), 256, "the number of different colours among the 256")
    expect_equal(len(answer(21)), 21, "the number of colours of voc_palette(21)")


@exercise(
    "Move both",
    hints=[
        "torch.roll brings pixels back in on the other side. Start from an empty image and an unlabelled mask instead.",
        "Moved down by d: rows d … H of the result are rows 0 … H - d of the source. For a negative d the roles change.",
        "slice(max(d, 0), H + min(d, 0)) is where pixels arrive, slice(max(-d, 0), H + min(-d, 0)) where they come from.",
    ],
)
def move(answer):
    expect_callable(answer, "move")
    image = torch.randint(1, 256, (3, 6, 7), dtype=torch.uint8)
    mask = torch.randint(0, 3, (6, 7))
    for down, right in ((0, 0), (2, 0), (0, 3), (1, -2), (-3, -1), (-2, 4)):
        before = image.clone(), mask.clone()
        result = answer(image, mask, down, right, 255)
        expect(torch.equal(image, before[0]) and torch.equal(mask, before[1]), "your function changed its inputs.")
        expect(isinstance(result, tuple | list) and len(result) == 2, "move returns two tensors: image, mask.")
        new_image, new_mask = result
        what = f"moved down {down}, right {right}"
        expect_shape(new_image, image.shape, f"the image {what}")
        expect_shape(new_mask, mask.shape, f"the mask {what}")
        rows, columns = torch.arange(6)[:, None] - down, torch.arange(7)[None] - right
        inside = (rows >= 0) & (rows < 6) & (columns >= 0) & (columns < 7)
        taken = mask[rows.clamp(0, 5), columns.clamp(0, 6)]
        if torch.equal(new_mask, mask.roll((down, right), (0, 1))) and (down or right):
            expect(False, f"the mask {what}: what leaves on one side comes back in on the other.")
        if torch.equal(new_mask, taken.where(inside, 0)) and not inside.all():
            expect(
                False, f"the mask {what}: freed places are labelled 0, which is a class; nobody knows what is there."
            )
        expect_equal(new_mask, taken.where(inside, 255), f"the mask {what} (255 is void)")
        expected = image[:, rows.clamp(0, 5), columns.clamp(0, 6)] * inside
        expect_equal(new_image, expected, f"the image {what}")


@exercise(
    "A fairer prior",
    hints=[
        "Count as the location prior does: for each class, in how many masks a place has it. That is n [K, H, W].",
        "Divide each of the K maps by its own sum. Only then take the largest over the classes.",
        "A class that never occurs has the sum 0: clamp(min=1) keeps 0 / 0 from becoming nan, which argmax would choose.",
    ],
)
def fair_prior(answer):
    expect_callable(answer, "fair_prior")
    masks = torch.tensor([[[0, 0, 0, 1]], [[0, 0, 0, 1]], [[0, 1, 2, 1]], [[0, 0, 9, 1]], [[0, 0, 2, 1]]])
    got = torch.as_tensor(answer(masks.clone(), 4, 9))
    expect_shape(got, (1, 4), "labels for masks [5, 1, 4]")
    expect(int(got.max()) != 3 and int(got.max()) < 4, "class 3 never occurs, yet it is answered: 0 / 0 is nan.")
    plain = torch.stack([(masks == k).sum(0) for k in range(4)]).argmax(0)
    if torch.equal(got.long(), plain):
        expect(False, "this is the plain location prior: the third place has class 2 twice out of 2, class 0 only "
                      "twice out of 11.")  # fmt: skip
    expect_equal(got.long(), [[0, 0, 2, 1]], "the labels of the small example (void is 9)")
    masks = torch.randint(0, 5, (30, 6, 5)).to(torch.uint8)
    masks[torch.rand(masks.shape) < 0.5] = 0
    masks[masks == 4] = 255
    counts = torch.stack([(masks == k).sum(0) for k in range(4)]).double()
    share = counts / counts.sum((1, 2), keepdim=True)
    chosen = torch.as_tensor(answer(masks, 4, 255)).long()
    expect_shape(chosen, (6, 5), "labels for masks [30, 6, 5]")
    best = share.gather(0, chosen.clamp(0, 3)[None])[0]
    wrong = int((best < share.amax(0) - 1e-9).sum())
    expect(wrong == 0, f"random masks: at {wrong} of 30 places another class is more over-represented than yours.")


@exercise(
    "Find the shift",
    hints=[
        "Try every (down, right) from -reach to reach, and keep the one with the largest border contrast.",
        "Compare the same middle part of the images each time: leave out a rim of width reach, so that nothing wraps.",
        "Moved mask: masks[:, reach - down : height - reach - down, reach - right : width - reach - right]. Average the "
        "image's change where the moved mask changes.",
    ],
)
def find_shift(answer):
    expect_callable(answer, "find_shift")
    for true in ((0, 0), (3, -2), (-4, 1), (0, 4), (-1, -3)):
        images, masks = _shifted_scenes(true)
        before = images.clone(), masks.clone()
        result = answer(images, masks, 4)
        expect(torch.equal(images, before[0]) and torch.equal(masks, before[1]), "your function changed its inputs.")
        expect(isinstance(result, tuple | list) and len(result) == 2, "find_shift returns a pair: (down, right).")
        got = tuple(int(value) for value in result)
        if got == (-true[0], -true[1]) and got != true:
            expect(False, f"the masks must be moved by {true}, you say {got}: right size, wrong direction.")
        if got == true[::-1] and got != true:
            expect(False, f"the masks must be moved by {true}, you say {got}: down comes first, then right.")
        expect_equal(got, true, f"the shift (down, right) of a data set whose masks must be moved by {true}")


def _shifted_scenes(move: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Images of rectangles uint8 [4, 3, 40, 48], and masks int64 [4, 40, 48] that must be moved by ``move`` to fit."""
    tall, wide, rim = 40, 48, 8
    canvas = torch.zeros(4, tall + 2 * rim, wide + 2 * rim, dtype=torch.long)
    for scene in canvas:
        for label in range(1, 8):
            top, left = (int(torch.randint(0, size - 6, ())) for size in scene.shape)
            height, width = torch.randint(4, 22, (2,)).tolist()
            scene[top : top + height, left : left + width] = label
    shade = torch.randint(30, 226, (4, 8, 3))
    drawn = torch.stack([colors[labels] for colors, labels in zip(shade, canvas)]).permute(0, 3, 1, 2).float()
    drawn = (drawn + 12 * torch.randn(drawn.shape)).clamp(0, 255).to(torch.uint8)
    down, right = move
    images = drawn[:, :, rim : rim + tall, rim : rim + wide]
    # Moving the mask by (down, right) must give the true one, so it shows what lies that far down and right.
    masks = canvas[:, rim + down : rim + down + tall, rim + right : rim + right + wide]
    return images.contiguous(), masks.contiguous()
