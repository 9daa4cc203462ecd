"""Plausible wrong answers to the exercises of chapter 07, each with a pattern that the message must match."""

COUNTS = (
    "counts = [torch.bincount(m.flatten(), minlength=num_classes)[:num_classes] for m in masks]\n"
    "counts = torch.stack(counts).double()\n"
)

WRONG = {
    "sizes": [
        (
            "down = [height // 2**i for i in range(poolings + 1)]\nreturn down + down[-2::-1]",
            r"sizes\(45, 2\): expected \[45, 23, 12, 23, 45\], got \[45, 22, 11, 22, 45\]",
        ),
        (
            "down = [height]\n"
            "for _ in range(poolings):\n"
            "    down.append(-(-down[-1] // 2))\n"
            "return down + [down[-1] * 2 ** (i + 1) for i in range(poolings)]",
            r"expected \[45, 23, 12, 23, 45\], got \[45, 23, 12, 24, 48\]",
        ),
        (
            "down = [height]\nfor _ in range(poolings):\n    down.append(-(-down[-1] // 2))\nreturn down + down[::-1]",
            r"got \[45, 23, 12, 12, 23, 45\]",
        ),
    ],
    "max_pool_gradient": [
        (
            "return F.interpolate(gradient, size=x.shape[-2:], mode='nearest')",
            r"the gradient of a map of 4×4",
        ),
        (
            "_, indices = F.max_pool2d(x, 2, return_indices=True)\nreturn F.max_unpool2d(gradient, indices, 2)",
            r"a map of 5×7: expected the shape|your code stopped",
        ),
        (
            "pooled = F.max_pool2d(x, 2, ceil_mode=True)\n"
            "big = F.interpolate(pooled, scale_factor=2)[..., : x.shape[2], : x.shape[3]]\n"
            "grow = F.interpolate(gradient, scale_factor=2)[..., : x.shape[2], : x.shape[3]]\n"
            "return grow * (x == big)",
            r"all-zero map \(ties\)",
        ),
    ],
    "balance": [
        (
            "counts = torch.bincount(masks.flatten(), minlength=num_classes)[:num_classes].double()\n"
            "f = counts / counts.sum()\n"
            "occurs = f > 0\n"
            "return torch.where(occurs, f[occurs].quantile(0.5) / f, 0.0)",
            r"frequency over all images",
        ),
        (
            COUNTS + "f = counts.sum(0) / ((counts > 0) * counts.sum(1, keepdim=True)).sum(0).clamp(min=1)\n"
            "return f.quantile(0.5) / f",
            r"class 3 never occurs",
        ),
        (
            COUNTS + "f = counts.sum(0) / ((counts > 0).sum(0) * masks[0].numel()).clamp(min=1)\n"
            "occurs = f > 0\n"
            "return torch.where(occurs, f[occurs].quantile(0.5) / f, 0.0)",
            r"4 is void",
        ),
    ],
    "unpack": [
        (
            "return torch.cat([packed >> shift & 3 for shift in (0, 2, 4, 6)])",
            r"the codes of 2 bytes",
        ),
        (
            "return torch.stack([packed >> shift & 3 for shift in (6, 4, 2, 0)], dim=1).flatten()",
            r"the codes of 1 byte",
        ),
        ("return torch.stack([packed >> shift for shift in (0, 2, 4, 6)], dim=1).flatten()", r"the codes of 1 byte"),
    ],
    "mirror_indices": [
        ("return indices.flip(-1)", r"the indices of a mirrored 4×4 map"),
        ("return indices // width * width + (width - 1 - indices % width)", r"the indices of a mirrored 4×4 map"),
        ("return (indices.max() - indices).flip(-1)", r"the indices of a mirrored 4×4 map"),
    ],
}
