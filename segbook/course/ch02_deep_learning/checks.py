"""Checks of chapter 02: counting parameters, back-propagation, gain, folding batch norm, and the label map."""

import torch
from torch import nn
from torch.nn import functional as F

from segbook.course.check import exercise, expect, expect_callable, expect_close, expect_equal, expect_shape


@exercise(
    "parameters of an MLP",
    hints=[
        "A neuron has one weight for every input and one bias. How many neurons does each layer have?",
        "The first entry of `sizes` is the input: it has no parameters of its own. There are len(sizes) - 1 layers.",
        "A layer from n_in to n_out has n_in * n_out + n_out parameters; `zip(sizes[:-1], sizes[1:])` gives the pairs.",
    ],
)
def mlp_parameters(answer):
    expect_callable(answer, "mlp_parameters")
    expect_equal(answer([2, 2, 1]), 9, "the parameters of the 2-2-1 net")
    for sizes in ([64, 32, 10], [5, 3], [144, 128, 64, 10]):
        layers = nn.Sequential(*(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:])))
        expect_equal(answer(sizes), sum(p.numel() for p in layers.parameters()), f"the parameters for sizes {sizes}")


@exercise(
    "back-propagation through a layer",
    hints=[
        "First delta, the derivative of L by the sum before the sigmoid: grad times the sigmoid's slope, a * (1 - a).",
        "A weight's derivative is the delta above it times the input below it, added up over the batch: a matrix product "
        "whose result has the shape of `weight`, [O, I].",
        "`delta = grad * a * (1 - a)`; then `delta @ weight` for x, `delta.T @ x` for weight, `delta.sum(0)` for bias.",
    ],
)
def layer_backward(answer):
    expect_callable(answer, "layer_backward")
    # Once with as many inputs as outputs: there a transposed product has the right shape and only the values tell.
    for count, n_in, n_out in ((4, 3, 3), (5, 4, 2), (1, 2, 6)):
        leaves = [torch.randn(*shape, dtype=torch.float64) for shape in ((count, n_in), (n_out, n_in), (n_out,))]
        grad = torch.randn(count, n_out, dtype=torch.float64)
        result = answer(*(leaf.clone() for leaf in leaves), grad.clone())
        expect(
            isinstance(result, tuple | list) and len(result) == 3,
            "return three tensors: the derivatives by x, by weight and by bias, in this order.",
        )
        tracked = [leaf.clone().requires_grad_() for leaf in leaves]
        output = torch.sigmoid(F.linear(*tracked))
        truth = torch.autograd.grad(output, tracked, grad)
        for name, got, expected in zip(("x", "weight", "bias"), result, truth):
            where = f"the derivative by {name}, with {count} rows, {n_in} inputs and {n_out} outputs"
            expect_shape(got, expected.shape, where)
            expect_close(got, expected, where)


@exercise(
    "the gain of any activation",
    hints=[
        "The next layer sums n products: Var(z) = n · Var(w) · E[a²]. With Var(w) = g²/n, what must g be for Var(z) = 1?",
        "E[a²] is the mean of the squares, not the variance: ReLU's outputs do not have mean 0.",
        "g = 1 / sqrt(E[f(z)²]) with z = torch.randn(1_000_000).",
    ],
)
def gain(answer):
    expect_callable(answer, "gain")
    z = torch.linspace(-9, 9, 180_001, dtype=torch.float64)
    density = torch.exp(-(z**2) / 2) / (2 * torch.pi) ** 0.5 * (z[1] - z[0])
    cases = {
        "ReLU": F.relu, "tanh": torch.tanh, "SiLU": F.silu, "the identity": lambda x: x, "x + 1": lambda x: x + 1,
    }  # fmt: skip
    for name, f in cases.items():
        truth = float((f(z).square() * density).sum()) ** -0.5
        expect_close(answer(f), truth, f"the gain of {name}", rtol=0.02)


@exercise(
    "make batch norm disappear",
    hints=[
        "In evaluation mode: output = gamma * (z - running_mean) / sqrt(running_var + eps) + beta. What multiplies z?",
        "The convolution is linear: multiplying its output channel o by a number is multiplying the weights "
        "`weight[o]` by it. What does not multiply z is the bias.",
        "`scale = norm.weight / (norm.running_var + norm.eps).sqrt()`; the bias is `norm.bias - norm.running_mean * scale`; "
        "the weight is `convolution.weight * scale[:, None, None, None]`.",
    ],
)
def fold_batch_norm(answer):
    expect_callable(answer, "fold_batch_norm")
    # The large epsilon of the second case makes visible that it was forgotten; with 1e-5 nobody would see it.
    for n_in, n_out, kernel, eps in ((3, 5, 3, 1e-5), (4, 4, 1, 0.1)):
        convolution = nn.Conv2d(n_in, n_out, kernel, padding=kernel // 2, bias=False)
        norm = nn.BatchNorm2d(n_out, eps=eps).eval()
        with torch.no_grad():
            norm.weight.uniform_(0.5, 2)
            norm.bias.normal_()
            norm.running_mean.normal_()
            norm.running_var.uniform_(0.5, 2)
            x = torch.randn(2, n_in, 6, 7)
            result = answer(convolution, norm)
            expect(isinstance(result, tuple | list) and len(result) == 2, "return two tensors: weight and bias.")
            expect_shape(result[0], convolution.weight.shape, "the folded weight")
            expect_shape(result[1], (n_out,), "the folded bias")
            folded = F.conv2d(x, result[0], result[1], padding=kernel // 2)
            what = f"the output of the folded {kernel}x{kernel} convolution (eps {eps:g})"
            expect_close(folded, norm(convolution(x)), what, rtol=1e-3, atol=1e-4)


@exercise(
    "from a classifier to a label map",
    hints=[
        "The classifier is applied to the feature vector of every position: [N, C, h, w] → [N, K, h, w], bias included.",
        'One way: `torch.einsum("nchw,kc->nkhw", features, classifier.weight) + classifier.bias[:, None, None]`; '
        "another: move the channels last with `features.permute(0, 2, 3, 1)`, call `classifier`, and move them back.",
        'Then `F.interpolate(scores, scale_factor=scale, mode="bilinear")`, and `argmax(1)` last of all: labels cannot '
        "be averaged.",
    ],
)
def label_map(answer):
    expect_callable(answer, "label_map")
    for shape, classes, scale in (((2, 6, 3, 5), 4, 2), ((1, 8, 4, 4), 10, 4)):
        features, classifier = torch.randn(*shape), nn.Linear(shape[1], classes)
        with torch.no_grad():
            classifier.bias.copy_(torch.linspace(-1, 1, classes))
            scores = F.conv2d(features, classifier.weight[:, :, None, None], classifier.bias)
            truth = F.interpolate(scores, scale_factor=scale, mode="bilinear").argmax(1)
            got = answer(features, classifier, scale)
        what = f"the label map for features {list(shape)}, {classes} classes and scale {scale}"
        expect_shape(got, truth.shape, what)
        expect_equal(got, truth, what)
