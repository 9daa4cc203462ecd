"""Plausible wrong answers to the exercises of chapter 13, each with a pattern that the message must match."""

MIOU = (
    "def miou(counts):\n"
    "    counts = counts.double()\n"
    "    hit = counts.diagonal()\n"
    "    return (hit / (counts.sum(0) + counts.sum(1) - hit)).nanmean()\n"
)

WRONG = {
    "pareto": [
        (
            "return [i for i in range(len(costs)) if not any(\n"
            "    costs[j] <= costs[i] and scores[j] >= scores[i] for j in range(len(costs)) if j != i)]",
            r"pareto\(\[2, 2, 1\].*expected \[0, 1, 2\], got \[2\]",
        ),
        (
            "return [i for i in range(len(costs)) if not any(\n"
            "    costs[j] < costs[i] and scores[j] > scores[i] for j in range(len(costs)))]",
            r"pareto\(\[3, 1, 2\].*expected \[1\]",
        ),
        ("return [max(range(len(costs)), key=lambda i: scores[i] / costs[i])]", r"expected \[0, 1, 3\]"),
    ],
    "width_for": [
        (
            "return (budget / macs(1.0)) ** 0.5",
            r"a part that no width changes.*would still be affordable|more than the budget",
        ),
        (
            "low, high = 0.001, 1.0\n"
            "while high - low > 1e-4:\n"
            "    middle = (low + high) / 2\n"
            "    low, high = (middle, high) if macs(middle) <= budget else (low, middle)\n"
            "return high",
            r"more than the budget. Which end",
        ),
        (
            "width = 0.001\nwhile macs(width) <= budget:\n    width += 1e-4\nreturn width - 1e-4",
            r"halve the range",
        ),
    ],
    "paired": [
        (
            "d = [a - b for a, b in zip(first, second)]\n"
            "m = sum(d) / len(d)\n"
            "return m, (sum((x - m) ** 2 for x in d) / len(d)) ** 0.5 / len(d) ** 0.5",
            r"the standard error for",
        ),
        (
            "import statistics as st\n"
            "return st.mean(first) - st.mean(second), (st.variance(first) + st.variance(second)) ** 0.5 / len(first) ** 0.5",
            r"the standard error for",
        ),
        ("d = [a - b for a, b in zip(first, second)]\nreturn sum(d) / len(d)", r"expected tuple or list"),
    ],
    "obstacles": [
        (
            'names = ("size", "pretraining", "trained_on", "split")\n'
            "return [n for n in names if getattr(a, n) != getattr(b, n)]",
            r"None, none, None, test.*expected \['size', 'trained_on'\]",
        ),
        (
            'names = ("size", "pretraining", "trained_on")\n'
            "return [n for n in names if None in (getattr(a, n), getattr(b, n)) or getattr(a, n) != getattr(b, n)]",
            r"expected \['trained_on', 'split'\]",
        ),
    ],
    "padding_macs": [
        (
            "return sum(9 * c_in * c_out * ((side // r * r + r) ** 2 - side**2) for r in rates)",
            r"padding_macs\(36, \(6, 7\), 3, 5\)",
        ),
        ("return sum(9 * c_in * c_out * (-(-side // r) * r) ** 2 for r in rates)", r"padding_macs\(33, \(6, 12, 18\)"),
        ("return sum(c_in * c_out * ((-(-side // r) * r) ** 2 - side**2) for r in rates)", r"padding_macs\(33"),
    ],
    "share_ahead": [
        (
            MIOU + "a, b = (torch.stack([miou(c) for c in m]) for m in (first, second))\n"
            "return (a[draws].mean(1) > b[draws].mean(1)).double().mean().item()",
            r"the share of (40|60) draws",
        ),
        (
            MIOU.replace("nanmean", "mean")
            + "return sum(bool(miou(first[d].sum(0)) > miou(second[d].sum(0))) for d in draws) / len(draws)",
            r"the last class never occurs",
        ),
        (
            MIOU + "return float(miou(first.sum(0)) > miou(second.sum(0)))",
            r"the share of (40|60) draws",
        ),
    ],
}
