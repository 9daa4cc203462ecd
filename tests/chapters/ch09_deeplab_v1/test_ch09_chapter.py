"""Chapter 09: holes in VGG-16, fields of view of one's own, the parameters of MSc, and what its drawings claim."""

import re

import pytest
import torch
from torch.nn import functional as F

from segbook import backbones, models
from segbook.course.ch09_deeplab_v1 import figures
from segbook.gaussian_filters import PermutohedralLattice
from segbook.models.deeplab_v1 import FIELDS_OF_VIEW, resolve_field_of_view


def parameters(model):
    return sum(p.numel() for p in model.parameters())


def until_conv5(net, x):
    for stage, pool in list(zip(net.stages, net.pools))[:4]:
        x = pool(stage(x))
    return net.stages[4](x)


@pytest.mark.parametrize("size", [(96, 128), (97, 130), (61, 75)])
def test_vgg16_without_strides_keeps_what_the_strided_net_computes(size):
    torch.manual_seed(0)
    strided = backbones.VGG16(width=1 / 8, batch_norm=True, pool_kernel=3).eval().double()
    dense = backbones.VGG16(width=1 / 8, batch_norm=True, pool_kernel=3, output_stride=8).eval().double()
    dense.load_state_dict(strided.state_dict())
    x = torch.rand(1, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        at_16, at_8 = until_conv5(strided, x), until_conv5(dense, x)
        torch.testing.assert_close(at_8[..., ::2, ::2], at_16)
        # Pool5 needs holes of its own for that, which DeepLab's released nets do not have.
        holed = F.max_pool2d(F.pad(at_8, (2, 2, 2, 2)), 3, stride=1, dilation=2)
        torch.testing.assert_close(holed[..., ::4, ::4], strided(x)[-1])
        assert not torch.allclose(dense(x)[-1][..., ::4, ::4], strided(x)[-1])


def test_parameters_of_the_multi_scale_variant():
    with torch.device("meta"):
        model = models.build("deeplab_v1", 21, multi_scale=True)
    branches = sum(9 * channels * 128 + 128 + 128 * 128 + 128 for channels in (3, 64, 128, 256, 512))
    assert parameters(model) == 20_505_429 + branches + 5 * 128 * 21


def test_a_field_of_view_of_ones_own():
    model = models.build("deeplab_v1", 5, width=1 / 16, field_of_view=(3, 4, 1024))
    fc6 = model.classifier[0]
    assert (fc6.kernel_size, fc6.dilation, fc6.out_channels) == ((3, 3), (4, 4), 64)
    assert model(torch.rand(1, 3, 40, 48)).shape == (1, 5, 40, 48)
    assert all(resolve_field_of_view(name) == triple for name, triple in FIELDS_OF_VIEW.items())


def test_batch_norm_reaches_fc6_and_fc7():
    model = models.build("deeplab_v1", 5, width=1 / 16, batch_norm=True)
    assert sum(isinstance(layer, torch.nn.BatchNorm2d) for layer in model.classifier) == 2
    plain = models.build("deeplab_v1", 5, width=1 / 16)
    assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in plain.modules())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("huge", "one of 7x7, 4x4, 4x4-wide, large or whole numbers"),
        ((3, 12), r"whole numbers \(kernel, rate, maps\); got \(3, 12\)"),
        ((3, 0, 1024), r"got \(3, 0, 1024\)"),
        ((3, 1.5, 1024), "whole numbers"),
        (None, "got None"),
        ((4, 3, 1024), "a kernel of 4 at rate 3 cannot keep the size"),
    ],
)
def test_fields_of_view_that_cannot_be_built(wrong, message):
    with pytest.raises(ValueError, match=message):
        models.build("deeplab_v1", 5, width=1 / 16, field_of_view=wrong)


def test_the_vertices_of_the_drawn_lattice_are_where_the_pixels_say():
    features = torch.rand(400, 2, generator=torch.Generator().manual_seed(0)) * 3
    lattice = PermutohedralLattice(features)
    places = torch.from_numpy(figures.vertex_places(lattice, features))
    weights = lattice.slice(torch.eye(len(places) + 1))[:, :-1]
    weights = weights / weights.sum(1, keepdim=True)
    torch.testing.assert_close(weights @ places, features, atol=1e-3, rtol=0)
    lengths = torch.tensor([torch.dist(*torch.from_numpy(edge)) for edge in figures.lattice_edges(places.numpy())])
    assert lengths.max() < 1.01 * lengths.min()  # the triangles are equilateral


def test_the_cup_is_the_photograph_and_its_outline():
    image, mask = figures.coffee()
    assert image.shape == (3, 120, 180) and image.dtype == torch.uint8
    assert mask.shape == (120, 180) and mask.unique().tolist() == [0, 1]
    assert mask[60, 85] == 1 and mask[3, 3] == 0 and 0.3 < mask.float().mean() < 0.6


def test_the_live_figure_prints_the_score_before_and_after():
    image, mask = figures.coffee(60, 90)
    p = torch.stack([1 - mask, mask]).float() * 0.6 + 0.2
    for iterations in (0, 3):
        fig = figures.live_crf(image, mask, p, 4.0, 10, 6, 1.0, iterations)
        before, after = map(int, re.findall(r"(\d+) %", fig.axes[0].get_title("left") or fig.axes[0].get_title()))
        assert before == 100 and (after == 100 if iterations == 0 else after <= 100)
