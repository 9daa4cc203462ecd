"""Each net of the package against a literal one beside this file: the same numbers in both give the same logits."""

import pytest
import torch
from reference import deeplab_v1, deeplab_v2, deeplab_v3, deeplab_v3plus, fcn, segnet, unet
from torch import nn

from segbook import models

#: name of the package's net: (the literal net, the package's options, shape of an image).
NETS = {
    "fcn32s": (lambda: fcn.FCN32s(5), {}, (3, 33, 65)),
    "fcn16s": (lambda: fcn.FCN16s(5), {}, (3, 33, 65)),
    "fcn8s": (lambda: fcn.FCN8s(5), {}, (3, 33, 65)),
    "segnet": (lambda: segnet.SegNet(5), {}, (3, 65, 97)),
    "unet": (lambda: unet.PaddedUNet(3, 5), {}, (3, 65, 97)),
    "unet valid": (lambda: unet.UNet(1, 5), {"in_channels": 1, "padding": "valid"}, (1, 204, 220)),
    "deeplab_v1": (lambda: deeplab_v1.DeepLabV1(5), {}, (3, 65, 97)),
    "deeplab_v2": (lambda: deeplab_v2.DeepLabV2(5), {}, (3, 65, 97)),
    "deeplab_v3": (lambda: deeplab_v3.DeepLabV3(5), {}, (3, 65, 97)),
    "deeplab_v3plus": (lambda: deeplab_v3plus.DeepLabV3Plus(5), {}, (3, 65, 97)),
}


@pytest.fixture
def without_init(monkeypatch):
    """Weights are not drawn when a net is built: they are replaced anyway, and FCN has 134 million."""
    for name in ("kaiming_uniform_", "kaiming_normal_", "uniform_", "normal_", "trunc_normal_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)


def names_in_order(build, shape) -> list[str]:
    """Names of the layers with weights of their own that learn, in the order in which ``forward`` runs them."""
    with torch.device("meta"):
        model, image = build().eval(), torch.zeros(1, *shape)
    ran = []
    for name, module in model.named_modules():
        if any(p.requires_grad for p in module.parameters(recurse=False)):
            module.register_forward_hook(lambda layer, inputs, output, name=name: ran.append(name))
    model(image)
    return ran


def fill(layer: nn.Module, numbers: torch.Tensor) -> None:
    """Random numbers that keep the size of what passes through: He's for weights, near 1 for norms and variances."""
    tensors = dict(layer.named_parameters(recurse=False)) | dict(layer.named_buffers(recurse=False))
    for number, (name, tensor) in enumerate(tensors.items()):
        if not tensor.is_floating_point():
            continue
        drawn = numbers.roll(7 * number + len(tensor)).repeat(-(-tensor.numel() // len(numbers)))
        drawn = drawn[: tensor.numel()].view(tensor.shape)
        if isinstance(layer, nn.BatchNorm2d):
            near_one = name in ("weight", "running_var")
            tensor.data = 0.75 + 0.1 * drawn.clamp(-3, 3) if near_one else 0.1 * drawn
        elif name == "weight":
            tensor.data = drawn * (2 / (tensor[0].numel())) ** 0.5
        else:
            tensor.data = 0.1 * drawn


def share(source: nn.Module, target: nn.Module) -> None:
    """Let ``target`` have the tensors of ``source``, which must have the same names and shapes."""
    ours, theirs = (dict(m.named_parameters()) | dict(m.named_buffers()) for m in (target, source))
    assert {n: t.shape for n, t in ours.items()} == {n: t.shape for n, t in theirs.items()}, f"{target} / {source}"
    for name, tensor in ours.items():
        tensor.data = theirs[name].data


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_logits_are_those_of_the_literal_net(name, without_init):
    literal, options, shape = NETS[name]

    def build():
        return models.build(name.split()[0], 5, **options)

    generator = torch.Generator().manual_seed(0)
    numbers, image = torch.randn(1_000_003, generator=generator), torch.randn(1, *shape, generator=generator)
    theirs, ours = literal().eval(), build().eval()
    expected_names, names = names_in_order(literal, shape), names_in_order(build, shape)
    assert len(names) == len(expected_names)
    for number, (ran, expected) in enumerate(zip(names, expected_names)):
        fill(theirs.get_submodule(expected), numbers.roll(1009 * number))
        share(theirs.get_submodule(expected), ours.get_submodule(ran))
    shared = {id(parameter) for name in names for parameter in ours.get_submodule(name).parameters()}
    assert all(id(p) in shared or not p.requires_grad for p in ours.parameters()), "a layer was not called"
    expected, logits = theirs(image), ours(image)
    assert logits.shape == expected.shape and expected.std() > 1e-3 and expected.isfinite().all()
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-4 * expected.std().item())
