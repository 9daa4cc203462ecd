"""Plausible wrong answers to the exercises of chapter 12, each with a pattern that the message must match."""

WRONG = {
    "separable_macs": [
        (
            "return cells * kernel_size**2 * in_channels * out_channels",
            r"cost of a standard convolution",
        ),
        (
            "return cells * (kernel_size**2 * in_channels + out_channels)",
            r"separable_macs\(256, 256, 3, 1089\): expected",
        ),
        (
            "return kernel_size**2 * in_channels + in_channels * out_channels",
            r"separable_macs\(256, 256, 3, 1089\): expected",
        ),
    ],
    "branches": [
        ("return [(3, 16 // output_stride * rate) for rate in (6, 12, 18, 24)]", r"branches\(16\): expected"),
        ("return [(1, 1), (3, 6), (3, 12), (3, 18)]", r"branches\(8\): expected"),
        ("return [(3, 6), (3, 12), (3, 18)]", r"one 1×1 and three 3×3, got 3"),
    ],
    "join": [
        (
            "grown = F.interpolate(features, size=low_level.shape[-2:], mode='bilinear')\n"
            "return torch.cat([low_level, grown], dim=1)",
            r"low-level channels come first",
        ),
        (
            "grown = F.interpolate(features, size=low_level.shape[-2:], mode='bilinear', align_corners=True)\n"
            "return torch.cat([grown, low_level], dim=1)",
            r"align_corners=True",
        ),
        (
            "grown = F.interpolate(features, scale_factor=4, mode='bilinear')\nreturn torch.cat([grown, low_level], dim=1)",
            r"your code stopped|expected the shape",
        ),
    ],
    "read_position": [
        ("return index * (small - 1) / (large - 1)", r"read_position\(0, 6, 24, False\): expected"),
        (
            "return index * (small - 1) / (large - 1) if align_corners else index * small / large",
            r"read_position\(0, 6, 24, False\): expected",
        ),
    ],
    "factor": [
        (
            "depthwise = w.mean(0)[:, None]\npointwise = torch.ones(*w.shape[:2], 1, 1)\nreturn depthwise, pointwise",
            r"away from it; the nearest",
        ),
        (
            "u, s, vh = torch.linalg.svd(w.flatten(2).transpose(0, 1), full_matrices=False)\n"
            "return vh[:, 0].unflatten(1, w.shape[2:])[:, None], u[:, :, 0].T[:, :, None, None]",
            r"away from it; the nearest",
        ),
        (
            "u, s, vh = torch.linalg.svd(w.flatten(2).transpose(0, 1), full_matrices=False)\n"
            "return vh[:, 0].unflatten(1, w.shape[2:]), (u[:, :, 0] * s[:, :1]).T[:, :, None, None]",
            r"depthwise, for a kernel that is separable.*expected the shape",
        ),
    ],
}
