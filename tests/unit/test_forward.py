"""What ``forward`` does with the parts that a net has: each is called, and in the order in which it was written down."""

import pytest
import torch
from torch import nn

from segbook import models

NETS = [
    *((name, {}) for name in models.names(variants=True)),
    ("unet", {"padding": "valid"}),
    ("deeplab_v1", {"multi_scale": True}),
    ("deeplab_v2", {"backbone": "vgg16"}),
    ("deeplab_v3plus", {"backbone": "resnet50"}),
]


def calls(model: nn.Module, image: torch.Tensor) -> dict[nn.Module, int]:
    """Every module that ran, with the number of the call that was its first."""
    first = {}

    def note(part, inputs):
        first.setdefault(part, len(first))

    for module in model.modules():
        module.register_forward_pre_hook(note)
    with torch.no_grad():
        model(image)
    return first


@pytest.mark.parametrize("name, options", NETS, ids=str)
def test_every_layer_is_called_and_lists_in_their_order(name, options):
    with torch.device("meta"):
        model = models.build(name, 5, **options).eval()
        ran = calls(model, torch.zeros(1, 3, 188, 204))
    leaves = {path: part for path, part in model.named_modules() if not list(part.children())}
    empty = nn.ModuleList | nn.Identity  # they do nothing
    unused = [path for path, part in leaves.items() if part not in ran and not isinstance(part, empty)]
    assert unused == [] and len(leaves) > 10
    for path, part in model.named_modules():
        if isinstance(part, nn.ModuleList | nn.Sequential):
            order = [min(ran[p] for p in child.modules() if p in ran) for child in part if child in ran]
            assert order == sorted(order), f"{path} runs as {order}"


@pytest.mark.parametrize("padding, crops", [("valid", [4, 16, 40, 88]), ("same", [0, 0, 0, 0])])
def test_what_unet_hands_across_is_the_middle_and_comes_first(padding, crops):
    torch.manual_seed(0)
    model = models.build("unet", 2, in_channels=1, width=1 / 8, padding=padding).eval()
    whole, joined = [], []
    for block in model.contracting[:-1]:
        block.register_forward_hook(lambda block, inputs, output: whole.insert(0, output))
    for block in model.expansive:
        block.register_forward_pre_hook(lambda block, inputs: joined.append(inputs[0]))
    with torch.no_grad():
        model(torch.randn(1, 1, 188, 204))
    for full, both, crop in zip(whole, joined, crops):
        height, width = full.shape[-2:]
        assert torch.equal(both[:, : full.shape[1]], full[..., crop : height - crop, crop : width - crop])
        assert both.shape[1] == 2 * full.shape[1] and full.std() > 0
