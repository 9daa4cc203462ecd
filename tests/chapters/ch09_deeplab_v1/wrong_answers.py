"""Plausible wrong answers to the exercises of chapter 09, each with a pattern that the message must match."""

WRONG = {
    "same_padding": [
        ("return rate", r"same_padding\(7, 4\): expected 12, got 4"),
        ("return rate * (kernel - 1) // 2", r"same_padding\(4, 1\): expected None"),
        ("return rate * kernel // 2", r"same_padding\(3, 12\): expected 12, got 18"),
    ],
    "smallest_rate": [
        (
            "return (wanted - field) // (jump * (kernel - 1))",
            r"smallest_rate\(436, 3, field=243, jump=8\): expected 13, got 12",
        ),
        ("return -(-(wanted - field) // (jump * (kernel - 1)))", r"smallest_rate\(100, 3.*expected 1, got -8"),
        ("return max(1, -(-(wanted - field) // (jump * kernel)))", r"smallest_rate\(435, 3.*expected 12, got 8"),
    ],
    "atrous_max_pool": [
        ("return F.max_pool2d(x, 3, stride=1, padding=1)", r"the taps must lie 2 cells apart"),
        (
            "r = F.pad(x, (rate,) * 4)\nreturn F.max_pool2d(r, 3, stride=1, dilation=rate)",
            r"the pooled 6×6 map at rate 1",
        ),
        ("return F.max_pool2d(x, 2 * rate + 1, stride=1, padding=rate)", r"the pooled 8×10 map at rate 2"),
    ],
    "bilateral_weight": [
        (
            "d = (image[:, a[0], a[1]] - image[:, b[0], b[1]]).float().square().sum()\n"
            "p = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2\n"
            "return weight * torch.exp(-p / (2 * sigma_xy**2) - d / (2 * sigma_rgb**2)).item()",
            r"the weight between \(0, 0\) and \(0, 1\)",
        ),
        (
            "d = (image[:, a[0], a[1]].float() - image[:, b[0], b[1]].float()).square().sum()\n"
            "p = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2\n"
            "return weight * torch.exp(-p / sigma_xy**2 - d / sigma_rgb**2).item()",
            r"the weight between \(0, 0\) and \(0, 1\)",
        ),
        (
            "d = (image[:, a[0], a[1]].float() - image[:, b[0], b[1]].float()).square().mean()\n"
            "p = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2\n"
            "return weight * torch.exp(-p / (2 * sigma_xy**2) - d / (2 * sigma_rgb**2)).item()",
            r"the weight between \(0, 0\) and \(0, 1\)",
        ),
    ],
    "mean_field_step": [
        (
            "message = kernel @ Q\nreturn (-unary - message).softmax(dim=1)",
            r"the next Q of 6 pixels and 2 labels",
        ),
        ("return (-unary - kernel @ Q @ compatibility).softmax(dim=1)", r"one-sided compatibility"),
        ("return (-unary - kernel @ Q @ compatibility.T).softmax(dim=0)", r"over which axis is the softmax"),
        ("return (-unary + kernel @ Q @ compatibility.T).softmax(dim=1)", r"the next Q of 6 pixels and 2 labels"),
    ],
}
