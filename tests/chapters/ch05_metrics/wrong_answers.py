"""Plausible wrong answers to the exercises of chapter 05, each with a pattern that the message must match."""

WRONG = {
    "iou": [
        ("return counts.diagonal() / (counts.sum(1) + counts.sum(0))", r"two classes: expected \[0\.5"),
        ("return counts.diagonal() / counts.sum(1)", r"two classes: expected \[0\.5 +, 0\.5714\], got \[0\.75"),
        (
            "hit = counts.diagonal()\nreturn (hit / (counts.sum(1) + counts.sum(0) - hit)).nan_to_num()",
            r"never occurs \(its IoU is nan\)",
        ),
        (
            "hit = counts.diagonal()\nreturn (hit / (counts.sum(1) + counts.sum(0) - hit)).mean()",
            r"expected the shape \[2\]",
        ),
    ],
    "frequency_weighted_iou": [
        (
            "hit, t, p = counts.diagonal(), counts.sum(1), counts.sum(0)\n"
            "return (p * hit / (t + p - hit)).nansum() / p.sum()",
            r"the 3×3 example: expected 0\.748052",
        ),
        (
            "hit, t, p = counts.diagonal(), counts.sum(1), counts.sum(0)\nreturn (hit / (t + p - hit)).nanmean()",
            r"the 3×3 example: expected 0\.748052, got 0\.701897",
        ),
        (
            "hit, t, p = counts.diagonal(), counts.sum(1), counts.sum(0)\n"
            "return (t * hit / (t + p - hit)).sum() / t.sum()",
            r"a class that never occurs: expected .* got nan",
        ),
    ],
    "confusion": [
        (
            "keep = target != ignore_index\n"
            "pairs = prediction[keep] * num_classes + target[keep]\n"
            "return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)",
            r"rows are the truth",
        ),
        (
            "keep = target < num_classes\n"
            "pairs = target[keep] * num_classes + prediction[keep]\n"
            "return torch.bincount(pairs, minlength=num_classes**2).view(num_classes, num_classes)",
            r"3 classes",
        ),
        (
            "keep = target != ignore_index\n"
            "pairs = target[keep] * num_classes + prediction[keep]\n"
            "return torch.bincount(pairs).view(num_classes, num_classes)",
            r"your code stopped at line",
        ),
    ],
    "leaking_class": [
        ("return ignore_index % num_classes", r"an evaluation without a leak.*expected -1, got 2"),
        (
            "void = torch.full((2, 2), ignore_index)\n"
            "counts = measure(torch.zeros_like(void), void)\n"
            "return int(counts.sum(0).argmax()) if counts.any() else -1",
            r"clamps labels.*expected 10, got 0",
        ),
        (
            "void = torch.full((2, 2), ignore_index)\n"
            "return int(measure(torch.zeros_like(void), void).sum(1).argmax())",
            r"without a leak.*expected -1, got 0",
        ),
    ],
    "fool": [
        ("return target.where(target != ignore_index, 0)", r"accuracy 1\.000 and mean IoU 1\.000"),
        (
            "known = target[target != ignore_index]\n"
            "return torch.full_like(target, int(torch.bincount(known).argmax()))",
            r"pixel accuracy 0\.[45]\d+ and mean IoU 0\.08",
        ),
        (
            "noise = torch.randint_like(target, num_classes)\n"
            "truth = target.where(target != ignore_index, 0)\n"
            "return torch.where(torch.rand(target.shape) < 0.1, noise, truth)",
            r"accuracy 0\.9\d+ and mean IoU 0\.[6-8]",
        ),
    ],
    "outline_f1": [
        (
            "line_p, line_t = (m & sb.metrics.dilate(~m, 1) for m in (prediction, truth))\n"
            "return (line_p & sb.metrics.dilate(line_t, tolerance)).sum() / line_p.sum()",
            r"moved by 2 pixels|a disc and a large second blob",
        ),
        (
            "return 2 * (prediction & truth).sum() / (prediction.sum() + truth.sum())",
            r"a disc moved by 2 pixels, tolerance 1",
        ),
        (
            "line_p, line_t = (m & sb.metrics.dilate(~m, 1) for m in (prediction, truth))\n"
            "return 2 * (line_p & line_t).sum() / (line_p.sum() + line_t.sum())",
            r"a disc moved by 2 pixels, tolerance 1",
        ),
    ],
}
