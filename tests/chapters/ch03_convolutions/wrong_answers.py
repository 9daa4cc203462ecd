"""Plausible wrong answers to the exercises of chapter 03, each with a pattern that the message must match."""

WRONG = {
    "output_size": [
        ("return (size + 2 * padding - kernel) // stride + 1", r"dilation 12: expected 33, got 55"),
        (
            "return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride",
            r"size 6, kernel 3, stride 1, padding 0, dilation 1: expected 4, got 3",
        ),
        (
            "return -(-(size + 2 * padding - dilation * (kernel - 1) - 1) // stride) + 1",
            r"size 224, kernel 7, stride 2.*expected 112, got 113",
        ),
    ],
    "separable_saving": [
        ("return (k * k * c_in + c_in * c_out) / (k * k * c_in * c_out)", r"256 → 256 channels.*expected 8\.69"),
        ("return k * k * c_in * c_out / (k * k + c_in * c_out)", r"256 → 256 channels, kernel 3: expected 8\.69"),
    ],
    "to_convolution": [
        (
            "conv = nn.Conv2d(channels, linear.out_features, (height, width), bias=False)\n"
            "conv.weight.data = linear.weight.data.view(-1, channels, height, width)\n"
            "return conv",
            r"the answer on a map of the old size",
        ),
        (
            "conv = nn.Conv2d(channels, linear.out_features, (height, width))\n"
            "conv.weight.data = linear.weight.data.view(-1, height, width, channels).permute(0, 3, 1, 2)\n"
            "conv.bias.data = linear.bias.data\n"
            "return conv",
            r"the answer on a map of the old size",
        ),
        (
            "conv = nn.Conv2d(linear.in_features, linear.out_features, 1)\n"
            "conv.weight.data = linear.weight.data[:, :, None, None]\n"
            "conv.bias.data = linear.bias.data\n"
            "return conv",
            r"the kernel size: expected \(4, 4\), got \(1, 1\)",
        ),
    ],
    "upsampler": [
        ("return nn.ConvTranspose2d(1, 1, 2 * stride, stride)", r"size of a 7×5 map up-sampled by 2"),
        (
            "return nn.ConvTranspose2d(1, 1, 3, stride, padding=1, output_padding=stride - 1)",
            r"between 1 and 4 stamps meet",
        ),
        ("return nn.ConvTranspose2d(1, 1, 2 * stride, stride, padding=stride // 2)", r"up-sampled by 3"),
    ],
    "cells_used": [
        ("return 1 + 2 * sum(dilations)", r"dilations \(2, 2\): expected 5, got 9"),
        ("return 3 ** len(dilations)", r"dilations \(2, 2\): expected 5, got 9"),
        ("return 1 + 2 * len(dilations)", r"dilations \(1, 2, 3\): expected 13, got 7"),
    ],
    "without_stride": [
        (
            "result, kept = [], 1\n"
            "for k, s, d in layers:\n"
            "    if kept * s > largest:\n"
            "        result.append((k, 1, d * s))\n"
            "    else:\n"
            "        kept *= s\n"
            "        result.append((k, s, d))\n"
            "return result",
            r"largest stride 8",
        ),
        (
            "result, kept, rate = [], 1, 1\n"
            "for k, s, d in layers:\n"
            "    if kept * s > largest:\n"
            "        rate, s = rate * s, 1\n"
            "    kept *= s\n"
            "    result.append((k, s, d * rate))\n"
            "return result",
            r"largest stride 8",
        ),
        (
            "result, kept, rate = [], 1, 1\n"
            "for k, s, d in layers:\n"
            "    here = rate\n"
            "    if kept * s > largest:\n"
            "        rate, s = s, 1\n"
            "    kept *= s\n"
            "    result.append((k, s, d * here))\n"
            "return result",
            r"largest stride 4",
        ),
    ],
}
