"""Plausible wrong answers to the exercises of chapter 10, each with a pattern that the message must match."""

WRONG = {
    "poly": [
        ("return base * (1 - step / steps)", r"poly\(5000, 20000, 0.00025\)"),
        ("return base * (1 - (step / steps) ** power)", r"poly\(5000, 20000, 0.00025\)"),
        ("return base * (1 - step / steps) ** 0.9", r"power=2.0"),
    ],
    "same_reach": [
        (
            "return tuple(rate * new_stride // stride for rate in rates)",
            r"expected \(3, 6, 9, 12\), got \(12, 24, 36, 48\)",
        ),
        ("return tuple(rate * stride // new_stride for rate in rates)", r"expected a ValueError, got \(1, 3\)"),
        ("return tuple(rate * stride / new_stride for rate in rates)", r"expected a ValueError"),
    ],
    "valid_taps": [
        ("return torch.full((height, width), 9.0)", r"a map of 5×5 at rate 1"),
        (
            "return F.conv2d(torch.ones(1, 1, height, width), torch.ones(1, 1, 3, 3), padding=1)[0, 0]",
            r"a map of 12×16 at rate 4",
        ),
        (
            "inner = (torch.arange(height)[:, None] >= rate) & (torch.arange(width) >= rate)\n"
            "return torch.where(inner, 9.0, 4.0)",
            r"a map of 5×5 at rate 1",
        ),
    ],
    "bottleneck_parameters": [
        ("return in_channels * channels + 9 * channels**2 + 4 * channels**2", r"\(256, 64, stride=1\)"),
        (
            "return in_channels * channels + 9 * channels**2 + 4 * channels**2 + 2 * 6 * channels",
            r"\(64, 64, stride=1\)",
        ),
        (
            "total = in_channels * channels + 13 * channels**2 + 12 * channels\n"
            "return total + (stride != 1) * (4 * in_channels * channels + 8 * channels)",
            r"\(64, 64, stride=1\)",
        ),
    ],
    "fuse": [
        (
            "return torch.stack([sb.layers.resize(s, size) for s in scores]).sum(0).argmax(1)",
            r"labels of the sum",
        ),
        (
            "return torch.stack([sb.layers.resize(s, size).argmax(1) for s in scores]).amax(0)",
            r"the labels fused from 2 maps",
        ),
        ("return torch.stack(list(scores)).amax(0).argmax(1)", r"stopped|shape"),
    ],
    "one_kernel": [
        (
            "R = max(rates)\n"
            "kernel = torch.zeros(*weights[0].shape[:2], 2 * R + 1, 2 * R + 1)\n"
            "for w, r in zip(weights, rates):\n"
            "    kernel[:, :, R - r : R + r + 1 : r, R - r : R + r + 1 : r] = w\n"
            "return kernel",
            r"the middle of the kernel for the rates \(1, 2\)",
        ),
        ("return sum(weights)", r"the shape of one_kernel"),
        (
            "R = max(rates)\n"
            "kernel = torch.zeros(*weights[0].shape[:2], 2 * R + 1, 2 * R + 1)\n"
            "for w in weights:\n"
            "    kernel[:, :, ::R, ::R] += w\n"
            "return kernel",
            r"a convolution with the kernel for the rates \(1, 2\)",
        ),
    ],
}
