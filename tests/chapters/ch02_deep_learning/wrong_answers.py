"""Plausible wrong answers to the exercises of chapter 02, each with a pattern that the message must match."""

WRONG = {
    "mlp_parameters": [
        ("return sum(a * b for a, b in zip(sizes[:-1], sizes[1:]))", r"parameters of the 2-2-1 net: expected 9, got 6"),
        (
            "return sum(a * b for a, b in zip(sizes[:-1], sizes[1:])) + sum(sizes)",
            r"parameters of the 2-2-1 net: expected 9, got 11",
        ),
    ],
    "layer_backward": [
        (
            "a = torch.sigmoid(x @ weight.T + bias)\n"
            "delta = grad * a * (1 - a)\n"
            "return delta @ weight, x.T @ delta, delta.sum(0)",
            r"derivative by weight, with 4 rows",
        ),
        ("return grad @ weight, grad.T @ x, grad.sum(0)", r"derivative by x, with 4 rows(.|\n)*1 - a"),
        (
            "a = torch.sigmoid(x @ weight.T + bias)\n"
            "delta = grad * a * (1 - a)\n"
            "return delta @ weight, delta.T @ x, delta.mean(0)",
            r"derivative by bias",
        ),
    ],
    "gain": [
        ("return (1 / f(torch.randn(1_000_000)).std()).item()", r"gain of ReLU: expected 1\.41"),
        (
            "return (1 / f(torch.randn(1_000_000)).square().mean()).item()",
            r"gain of ReLU: expected 1\.41\d*, got (1\.99|2)",
        ),
        ("return math.sqrt(2)", r"gain of tanh"),
    ],
    "fold_batch_norm": [
        (
            "scale = norm.weight / norm.running_var.sqrt()\n"
            "return convolution.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale",
            r"output of the folded .* \(eps 0\.1\)",
        ),
        (
            "scale = norm.weight / (norm.running_var + norm.eps).sqrt()\n"
            "return convolution.weight * scale[:, None, None, None], norm.bias",
            r"output of the folded 3x3 convolution",
        ),
        (
            "scale = norm.weight / (norm.running_var + norm.eps).sqrt()\n"
            "return convolution.weight * scale, norm.bias - norm.running_mean * scale",
            r"your code stopped|folded weight",
        ),
    ],
    "label_map": [
        (
            'scores = torch.einsum("nchw,kc->nkhw", features, classifier.weight)\n'
            'return F.interpolate(scores, scale_factor=scale, mode="bilinear").argmax(1)',
            r"label map for features \[2, 6, 3, 5\]",
        ),
        (
            'scores = torch.einsum("nchw,kc->nkhw", features, classifier.weight) + classifier.bias[:, None, None]\n'
            "labels = scores.argmax(1, keepdim=True).float()\n"
            "return F.interpolate(labels, scale_factor=scale)[:, 0].long()",
            r"label map for features \[2, 6, 3, 5\](.|\n)*permute|label map for features",
        ),
    ],
}
