"""Plausible wrong answers to the exercises of chapter 06, each with a pattern that the message must match."""

WALK = """
jump, start = 1.0, 0.0
for k, s, p in layers:
    {layer}
{stamp}
return round(-start)
"""
LAYER = "start += jump * ((k - 1) / 2 - p); jump *= s"
STAMP = "start -= (kernel - 1) / 2"

WRONG = {
    "bilinear_kernel": [
        (
            "factor = (size + 1) // 2\ntent = 1 - (torch.arange(size) - (factor - 1)).abs() / factor\n"
            "return torch.outer(tent, tent)",
            r"bilinear_kernel\(4\): .*values are wrong",
        ),
        (
            "factor = (size + 1) // 2\ncentre = factor - 1 if size % 2 else factor - 0.5\n"
            "return 1 - (torch.arange(size) - centre).abs() / factor",
            r"bilinear_kernel\(4\): expected the shape \[4, 4\], got \[4\]",
        ),
        ("return torch.full((size, size), 1 / size**2)", r"bilinear_kernel\(4\): .*values are wrong"),
    ],
    "score_cells": [
        (
            "n = size + 2 * padding - 2\nfor _ in range(5):\n    n = n // 2\nreturn max(0, n - 6)",
            r"500 pixels with padding 100: expected 16, got 15",
        ),
        (
            "n = size + 2 * padding\nfor _ in range(5):\n    n = (n + 1) // 2\nreturn max(0, n - 6)",
            r"192 pixels with padding 1: expected 0, got 1",
        ),
        (
            "n = size + 2 * padding - 2\nfor _ in range(5):\n    n = (n + 1) // 2\nreturn n",
            r"500 pixels with padding 100: expected 16, got 22",
        ),
        (
            "n = size + 2 * padding - 2\nfor _ in range(5):\n    n = (n + 1) // 2\nreturn n - 6",
            r"96 pixels with padding 1: expected 0, got -3",
        ),
    ],
    "crop_offset": [
        (
            WALK.format(layer="jump *= s; start += jump * ((k - 1) / 2 - p)", stamp=STAMP),
            r"one 3×3 and one pooling: expected 1, got 0",
        ),
        (WALK.format(layer=LAYER, stamp=""), r"one 3×3 and one pooling: expected 1, got 0"),
        (
            WALK.format(layer=LAYER, stamp="start -= kernel / 2"),
            r"one 3×3 and one pooling: expected 1, got 2",
        ),
        ("return layers[0][2] // 5", r"one 3×3 and one pooling: expected 1, got 0"),
    ],
    "convolutional_head": [
        ("return head", r"there is still a Linear or Flatten layer inside"),
        (
            "layers = [layer for layer in head if not isinstance(layer, nn.Flatten)]\n"
            "return nn.Sequential(*(fcn.as_convolution(l, side) if isinstance(l, nn.Linear) and i == 0 else\n"
            "    nn.Conv2d(l.in_features, l.out_features, 1) if isinstance(l, nn.Linear) else l\n"
            "    for i, l in enumerate(layers)))",
            r"on a map of the old size: expected",
        ),
        (
            "layers = [fcn.as_convolution(l, side if i == 1 else 1) if isinstance(l, nn.Linear) else l\n"
            "          for i, l in enumerate(head) if not isinstance(l, nn.Flatten | nn.ReLU)]\n"
            "return nn.Sequential(*layers)",
            r"on a map of the old size: expected",
        ),
    ],
    "fuse": [
        (
            "up = sb.layers.BilinearConvTranspose2d(deep.shape[1], 2, kernel_size=4, padding=0)(deep)\n"
            "return up + skip[..., : up.shape[2], : up.shape[3]]",
            r"skip with offset 5: .*values are wrong",
        ),
        (
            "up = sb.layers.BilinearConvTranspose2d(deep.shape[1], 2)(deep)\n"
            "return up + skip[..., offset : offset + up.shape[2], offset : offset + up.shape[3]]",
            r"expected the shape \[2, 3, 8, 10\], got \[2, 3, 6, 8\]",
        ),
        (
            "up = sb.layers.BilinearConvTranspose2d(deep.shape[1], 2, kernel_size=4, padding=0)(deep)\n"
            "return torch.cat([up, skip[..., offset : offset + up.shape[2], offset : offset + up.shape[3]]], 1)",
            r"expected the shape \[2, 3, 8, 10\], got \[2, 6, 8, 10\]",
        ),
    ],
}
