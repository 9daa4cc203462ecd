"""Plausible wrong answers to the exercises of chapter 14, each with a pattern that the message must match."""

WRONG = {
    "to_indices": [
        (
            "result = torch.full(mask.shape[:2], 255)\n"
            "for k, colour in enumerate(palette):\n"
            "    result[(mask == colour).any(-1)] = k\n"
            "return result",
            r"colour belongs to no class",
        ),
        (
            "distance = (mask[..., None, :].int() - palette.int()).abs().sum(-1)\nreturn distance.argmin(-1)",
            r"colour belongs to no class",
        ),
        (
            "result = torch.zeros(mask.shape[:2], dtype=torch.int64)\n"
            "for k, colour in enumerate(palette):\n"
            "    result[(mask == colour).all(-1)] = k\n"
            "return result",
            r"colour belongs to no class",
        ),
    ],
    "part_of": [
        (
            "place = zlib.crc32(name.encode()) % 100\nreturn 'train' if place < 70 else 'val' if place < 85 else 'test'",
            r"one site, one part",
        ),
        (
            "site = name.rpartition('_')[0]\nplace = zlib.crc32(site.encode()) % 100\n"
            "return 'test' if place < 15 else 'val' if place < 30 else 'train'",
            r"checksum % 100",
        ),
        (
            "site = name.split('_')[0]\nplace = int(site[-2:])\n"
            "return 'train' if place < 28 else 'val' if place < 34 else 'test'",
            r"checksum % 100 is",
        ),
    ],
    "border_share": [
        (
            "wrong = prediction != target\nreturn (wrong & sb.metrics.trimap(target, width)).float().mean()",
            r"far away, width 1: expected 0\.66",
        ),
        (
            "wrong = prediction != target\n"
            "if not wrong.any():\n    return 0.0\n"
            "return (wrong & sb.metrics.trimap(target, width)).sum() / wrong.sum()",
            r"void \(255\)",
        ),
        (
            "wrong = (prediction != target) & (target != 255)\n"
            "return (wrong & sb.metrics.trimap(target, width)).sum() / wrong.sum()",
            r"nothing wrong at all: expected 0.*nan",
        ),
        (
            "wrong = (prediction != target) & (target != 255)\n"
            "band = sb.metrics.trimap(target, width)\n"
            "return (wrong & band).sum() / band.sum()",
            r"far away, width 1",
        ),
    ],
    "without_specks": [
        (
            "pieces, _ = ndimage.label(mask)\nkeep = np.bincount(pieces.ravel()) >= smallest\nkeep[0] = False\n"
            "return keep[pieces]",
            r"touching at a corner",
        ),
        (
            "pieces, _ = ndimage.label(mask, np.ones((3, 3)))\nkeep = np.bincount(pieces.ravel()) >= smallest\n"
            "return keep[pieces]",
            r"touching at a corner",
        ),
        (
            "pieces, _ = ndimage.label(mask, np.ones((3, 3)))\nkeep = np.bincount(pieces.ravel()) > smallest\n"
            "keep[0] = False\nreturn keep[pieces]",
            r"touching at a corner",
        ),
    ],
    "inside": [
        (
            "xs, ys = zip(*polygon)\nreturn min(xs) < x < max(xs) and min(ys) < y < max(ys)",
            r"\(6, 8\) in a polygon of the form of a horseshoe",
        ),
        (
            "crossings = 0\n"
            "for (x0, y0), (x1, y1) in zip(polygon, polygon[1:]):\n"
            "    if (y0 > y) != (y1 > y) and x0 + (y - y0) / (y1 - y0) * (x1 - x0) > x:\n"
            "        crossings += 1\n"
            "return crossings % 2 == 1",
            r"\((1, 5|2, 8|6, 8)\)|wrong side",
        ),
        (
            "crossings = 0\n"
            "for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1]):\n"
            "    if (y0 > y) != (y1 > y):\n"
            "        crossings += 1\n"
            "return crossings % 2 == 1",
            r"\(5, 5\)",
        ),
    ],
    "true_areas": [
        (
            "return (confusion / confusion.sum(0)) @ counted",
            r"divided up by the columns",
        ),
        (
            "R = confusion / confusion.sum(1, keepdim=True)\nreturn torch.linalg.solve(R, counted)",
            r"expected \[1000",
        ),
        ("return counted * confusion.sum(1) / confusion.sum(0)", r"expected \[1000"),
    ],
}
