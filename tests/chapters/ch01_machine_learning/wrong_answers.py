"""Plausible wrong answers to the exercises of chapter 01, each with a pattern that the message must match."""

WRONG = {
    "line_gradient": [
        ("error = w * x + b - y\nreturn 2 * (error * x).sum(), 2 * error.sum()", r"∂L/∂w for 4 points: expected"),
        ("error = y - (w * x + b)\nreturn 2 * (error * x).mean(), 2 * error.mean()", r"wrong sign"),
        ("error = w * x + b - y\nreturn (error * x).mean(), error.mean()", r"∂L/∂w for 4 points: expected"),
    ],
    "most_confused": [
        ("place = int(counts.argmax())\nreturn place // len(counts), place % len(counts)", r"lies on the diagonal"),
        (
            "mistakes = counts - torch.diag(counts.diag())\n"
            "place = int(mistakes.argmax())\n"
            "return place % len(counts), place // len(counts)",
            r"the wrong way round: rows are the truth",
        ),
        (
            "counts.fill_diagonal_(0)\nplace = int(counts.argmax())\nreturn place // len(counts), place % len(counts)",
            r"changed the matrix it was given",
        ),
    ],
    "early_stopping": [
        (
            "return min(range(len(losses)), key=lambda step: losses[step])",
            r"after the patience has run out.*expected 2, got 6",
        ),
        (
            "best = 0\n"
            "for step, value in enumerate(losses):\n"
            "    if value < losses[best]:\n"
            "        best = step\n"
            "    if step - best >= patience:\n"
            "        return step\n"
            "return best",
            r"expected 2, got 5",
        ),
        (
            "for step in range(1, len(losses)):\n"
            "    if losses[step] > losses[step - 1]:\n"
            "        return step - 1\n"
            "return len(losses) - 1",
            r"a rise shorter than the patience.*expected 5, got 2",
        ),
    ],
    "group_split": [
        (
            "order = torch.randperm(len(groups), generator=torch.Generator().manual_seed(seed))\n"
            "return order[held_out:], order[:held_out]",
            r"images of video \[\d+.*\] are on both sides",
        ),
        (
            "held = torch.isin(groups, groups.unique()[:held_out])\n"
            "return (~held).nonzero()[:, 0], held.nonzero()[:, 0]",
            r"the choice must depend on the seed",
        ),
        (
            "videos = groups.unique()\n"
            "order = torch.randperm(len(videos), generator=torch.Generator().manual_seed(seed))\n"
            "held = torch.isin(groups, order[:held_out])\n"
            "return (~held).nonzero()[:, 0], held.nonzero()[:, 0]",
            r"the number of videos in the test part: expected",
        ),
    ],
    "ridge": [
        (
            "punished = torch.eye(phi.shape[1], dtype=phi.dtype)\n"
            "return torch.linalg.solve(phi.T @ phi / len(y) + strength * punished, phi.T @ y / len(y))",
            r"the intercept goes free",
        ),
        (
            "punished = torch.eye(phi.shape[1], dtype=phi.dtype)\n"
            "punished[0, 0] = 0\n"
            "return torch.linalg.solve(phi.T @ phi + strength * punished, phi.T @ y)",
            r"the gradient of the regularised loss at your weights, λ = 0\.05",
        ),
    ],
}
