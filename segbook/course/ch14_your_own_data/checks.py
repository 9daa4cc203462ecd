"""Checks of chapter 14: colours to classes, a stable split, errors at borders, specks, inside a polygon, true areas."""

import zlib

import numpy as np
import torch
from PIL import Image, ImageDraw

from segbook.course.check import exercise, expect, expect_callable, expect_close, expect_equal, expect_type
from segbook.metrics import trimap


@exercise(
    "colours to classes",
    hints=[
        "Compare the whole mask with one colour of the palette at a time: (mask == colour) is [H, W, 3].",
        "A pixel has the colour only if all three channels agree: (mask == colour).all(-1).",
        "Begin with torch.full(mask.shape[:2], 255) and write the class number where the comparison is true.",
    ],
)
def to_indices(answer):
    expect_callable(answer, "to_indices")
    palette = torch.tensor([[240, 214, 117], [34, 120, 84], [64, 140, 220]], dtype=torch.uint8)
    expected = torch.tensor([[0, 1], [2, 0]])
    expect_equal(answer(palette[expected], palette), expected, "a mask of 2×2 with the colours of the palette")
    mask = palette[expected].clone()
    mask[0, 0] = torch.tensor([240, 120, 220])  # every channel is that of some class
    mask[1, 1] = torch.tensor([240, 214, 118])
    result = answer(mask, palette)
    expected = torch.tensor([[255, 1], [2, 255]])
    expect_equal(result, expected, "the same with two pixels whose colour belongs to no class")
    expected = torch.randint(0, 3, (7, 5))
    expect_equal(answer(palette[expected], palette), expected, "a mask of 7×5")


@exercise(
    "a split that stays",
    hints=[
        "What may the result depend on? The site alone: not the frame, not the other names, not the order.",
        "name.rpartition('_')[0] is the site. zlib.crc32(site.encode()) is the same number on every machine.",
        "% 100 brings it to 0 … 99: below 70 train, below 85 val, else test.",
    ],
)
def part_of(answer):
    expect_callable(answer, "part_of")
    sites = [f"site{number:02d}" for number in range(40)]
    for site in sites:
        parts = [answer(f"{site}_{frame}") for frame in range(4)]
        expect_type(parts[0], str, f"part_of('{site}_0')")
        told = ", ".join(map(str, parts))
        expect(len(set(parts)) == 1, f"the four frames of {site} go to {told}: one site, one part.")
    for site in sites:
        place = zlib.crc32(site.encode()) % 100
        expected = "train" if place < 70 else "val" if place < 85 else "test"
        expect_equal(answer(f"{site}_0"), expected, f"part_of('{site}_0'), whose checksum % 100 is {place}")
    expect_equal(answer("north_field_3"), answer("north_field_8"), "two frames of the site north_field")


@exercise(
    "errors at borders",
    hints=[
        "Three maps of true and false: labelled (target != 255), wrong, and near a border (sb.metrics.trimap).",
        "wrong = (prediction != target) & (target != 255). Of these, how many lie in the band?",
        "(wrong & sb.metrics.trimap(target, width)).sum() / wrong.sum(), and 0.0 where nothing is wrong.",
    ],
)
def border_share(answer):
    expect_callable(answer, "border_share")
    target = torch.zeros(1, 6, 8, dtype=torch.int64)
    target[..., 4:] = 1
    prediction = target.clone()
    prediction[0, :2, 4] = 0  # two wrong pixels at the border
    prediction[0, 3, 0] = 1  # and one far away
    expect_close(answer(prediction, target, 1), 2 / 3, "two wrong pixels at the border and one far away, width 1")
    expect_close(answer(prediction, target, 4), 1.0, "the same within 4 pixels")
    target[0, 2:6, :3] = 255  # nobody knows what is here
    prediction[0, 2:6, :3] = 1
    prediction[0, 0, 7] = 0
    expect_close(answer(prediction, target, 1), 2 / 3, "the same with an area that is void (255) and another far pixel")
    expect_close(answer(target % 2, target % 2, 2), 0.0, "nothing wrong at all")
    target, prediction = torch.randint(0, 3, (2, 12, 12)), torch.randint(0, 3, (2, 12, 12))
    target = target.repeat_interleave(4, 1).repeat_interleave(4, 2)
    prediction = prediction.repeat_interleave(4, 1).repeat_interleave(4, 2)
    wrong = prediction != target
    expected = float((wrong & trimap(target, 1)).sum() / wrong.sum())
    expect_close(answer(prediction, target, 1), expected, "two random label maps")


@exercise(
    "specks",
    hints=[
        "ndimage.label(mask) gives every piece a number; structure=np.ones((3, 3)) lets corners connect.",
        "np.bincount(pieces.ravel()) is the size of each piece. Number 0 is what is not in the mask.",
        "keep = sizes >= smallest; keep[0] = False; then keep[pieces] is the answer.",
    ],
)
def without_specks(answer):
    expect_callable(answer, "without_specks")
    mask = np.zeros((6, 8), dtype=bool)
    mask[0:2, 0:2] = mask[4, 4] = True
    mask[2, 6] = mask[3, 7] = True  # two pixels that touch at a corner
    expected = mask.copy()
    expected[4, 4] = False
    expect_equal(
        np.asarray(answer(mask.copy(), 2)), expected, "pieces of 4, 2 (touching at a corner) and 1 pixels, smallest 2"
    )
    expected[2, 6] = expected[3, 7] = False
    expect_equal(np.asarray(answer(mask.copy(), 4)), expected, "the same, smallest 4")
    expect_equal(np.asarray(answer(mask.copy(), 1)), mask, "the same, smallest 1")
    expect_equal(np.asarray(answer(np.zeros((4, 4), dtype=bool), 1)), np.zeros((4, 4), bool), "an empty mask")


@exercise(
    "inside or outside",
    hints=[
        "Walk from the point to the right, to infinity. Each side of the polygon that you cross changes inside to outside.",
        "A side from (x0, y0) to (x1, y1) crosses the line of height y only if exactly one of y0 > y, y1 > y is true.",
        "It crosses at x0 + (y - y0) / (y1 - y0) * (x1 - x0). Count the crossings with a larger x; odd means inside.",
    ],
)
def inside(answer):
    expect_callable(answer, "inside")
    square = [(2, 2), (8, 2), (8, 8), (2, 8)]
    for x, y, expected in [(5, 5, True), (1, 5, False), (9, 5, False), (5, 1, False), (5, 9, False)]:
        expect_equal(bool(answer(x, y, square)), expected, f"({x}, {y}) in the square from (2, 2) to (8, 8)")
    horn = [(0.5, 0.5), (11.5, 0.5), (11.5, 11.5), (7.5, 11.5), (7.5, 4.5), (4.5, 4.5), (4.5, 11.5), (0.5, 11.5)]
    for x, y, expected in [(2, 8, True), (6, 8, False), (9, 8, True), (6, 2, True), (12, 8, False)]:
        expect_equal(bool(answer(x, y, horn)), expected, f"({x}, {y}) in a polygon of the form of a horseshoe")
    points = [(3.5, 1.5), (28.5, 6.5), (14.5, 12.5), (25.5, 27.5), (5.5, 22.5)]
    scale, drawn = 8, Image.new("1", (32 * 8, 32 * 8))
    ImageDraw.Draw(drawn).polygon([(x * scale, y * scale) for x, y in points], fill=1)
    drawn = np.array(drawn)
    differ = []
    for y, x in np.ndindex(32, 32):
        expected = drawn[scale * y + 2, scale * x + 2]
        if bool(answer(x + 0.25, y + 0.25, points)) != bool(expected):
            differ.append((x + 0.25, y + 0.25))
    text = f"{len(differ)} of 1,024 points are on the wrong side, such as {differ[:1]}"
    expect(len(differ) <= 12, f"a polygon of five points: {text}.")  # Pillow fills the outline too


@exercise(
    "true areas",
    hints=[
        "Divide each row of the confusion matrix by its sum: R[i, j] is the share of true class i that is called j.",
        "If t are the true pixels, the net counts t[0]·R[0, j] + t[1]·R[1, j] + … of class j. That is counted = t @ R.",
        "Solve it for t: torch.linalg.solve(R.T, counted).",
    ],
)
def true_areas(answer):
    expect_callable(answer, "true_areas")
    confusion = torch.tensor([[90.0, 10], [20, 80]], dtype=torch.float64)
    true = torch.tensor([1000.0, 3000], dtype=torch.float64)
    counted = true @ (confusion / confusion.sum(1, keepdim=True))
    result = answer(counted.clone(), confusion.clone())
    columns = (confusion / confusion.sum(0)) @ counted
    expect(
        not _near(result, columns),
        "these are the counts divided up by the columns of the matrix, which is right only where the classes are as "
        "frequent as in the validation images; use its rows.",
    )
    expect_close(result, true, "two classes of 1,000 and 3,000 true pixels, counted as 1,500 and 2,500", rtol=1e-3)
    confusion = torch.rand(4, 4, dtype=torch.float64) + 6 * torch.eye(4, dtype=torch.float64)
    confusion = confusion * torch.tensor([[10.0], [2], [5], [1]])
    true = torch.tensor([100.0, 900, 20, 400], dtype=torch.float64)
    counted = true @ (confusion / confusion.sum(1, keepdim=True))
    expect_close(answer(counted, confusion), true, "four classes, other shares than in the matrix", rtol=1e-3)


def _near(result, values) -> bool:
    try:
        return bool(torch.allclose(torch.as_tensor(result, dtype=torch.float64).flatten(), values, rtol=1e-3))
    except (TypeError, ValueError, RuntimeError):
        return False
