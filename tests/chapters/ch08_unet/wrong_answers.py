"""Plausible wrong answers to the exercises of chapter 08, each with a pattern that the message must match."""

WRONG = {
    "output_size": [
        ("return size - 184", r"input of 140 with 4 levels, which does not fit.*expected 0, got -44"),
        (
            "for _ in range(levels):\n    size = (size - 4) // 2\nsize -= 4\n"
            "for _ in range(levels):\n    size = 2 * size - 4\nreturn size",
            r"which does not fit .*expected 0",
        ),
        (
            "for _ in range(levels):\n    size -= 6\n    if size <= 0 or size % 2:\n        return 0\n    size //= 2\n"
            "size -= 6\nfor _ in range(levels):\n    size = 2 * size - 6\nreturn size",
            r"input of 572.*expected 388, got 0",
        ),
    ],
    "crop_and_join": [
        ("return torch.cat([skip[..., : x.shape[2], : x.shape[3]], x], dim=1)", r"the centre of the skip \(8, 8\)"),
        (
            "top, left = (skip.shape[2] - x.shape[2]) // 2, (skip.shape[3] - x.shape[3]) // 2\n"
            "return torch.cat([x, skip[..., top : top + x.shape[2], left : left + x.shape[3]]], dim=1)",
            r"expected",
        ),
        (
            "c = (skip.shape[2] - x.shape[2]) // 2\n"
            "return torch.cat([skip[..., c : c + x.shape[2], c : c + x.shape[3]], x], dim=1)",
            r"\(12, 10\)|Sizes of tensors",
        ),
    ],
    "tile_starts": [
        ("return list(range(0, length, tile - 2 * margin))", r"not all multiples of 16"),
        (
            "step = (tile - 2 * margin) // 2**levels * 2**levels\nreturn list(range(0, length - step, step))",
            r"without an answer",
        ),
        (
            "step = (tile - 2 * margin) // 2**levels * 2**levels\nreturn list(range(0, length, step))",
            r"length 68.*expected \[0\], got \[0, 64\]",
        ),
    ],
    "weighted_loss": [
        (
            "log_p = logits.log_softmax(dim=1).gather(1, target[:, None])[:, 0]\n"
            "return -(weights * log_p).sum() / weights.sum()",
            r"weights from 1 to 10",
        ),
        (
            "p = logits.softmax(dim=1).gather(1, target[:, None])[:, 0]\nreturn -(weights * p.log()).mean()",
            r"logits of ±1000.*expected 2000",
        ),
        (
            "log_p = logits.log_softmax(dim=-1).gather(1, target[:, None])[:, 0]\nreturn -(weights * log_p).mean()",
            r"and weights of 1: expected",
        ),
    ],
    "four_views": [
        (
            "return torch.stack([predict(torch.rot90(images, k, (2, 3))) for k in range(4)]).mean(0)",
            r"hands its image through",
        ),
        (
            "return torch.stack([torch.rot90(predict(torch.rot90(images, k, (2, 3))), k, (2, 3)) "
            "for k in range(4)]).mean(0)",
            r"hands its image through",
        ),
        (
            "return torch.stack([predict(torch.rot90(torch.rot90(images, k, (2, 3)), -k, (2, 3))) "
            "for k in range(4)]).mean(0)",
            r"answers by place only",
        ),
    ],
    "bytes_across": [
        (
            "values = sum(c * (height >> i) * (width >> i) for i, c in enumerate(channels))\n"
            'return values * {"maps": 4, "int64": 8, "2bit": 0.25}[kind]',
            r"kind 'int64': expected",
        ),
        (
            'values = sum(channels) * height * width\nreturn values * {"maps": 4, "int64": 2, "2bit": 1 / 16}[kind]',
            r"image 64×96, kind 'maps'",
        ),
    ],
}
