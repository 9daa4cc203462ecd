"""Where a logit looks, against where the resize puts it: the centre of what it sees minus its own pixel."""

import pytest
import torch

from segbook.course.ledger import NARROW, decoder_shift, gaze, logit_shift


def shifts(**options):
    (seen,) = gaze("deeplab_v3", 513, lambda net, x: [net(x)[0, 0]], backbone="resnet50", **NARROW, **options)
    return (seen - torch.arange(513))[256, 224:289]


def test_a_ramp_gives_the_centre_of_the_gradient():
    (seen,) = gaze("deeplab_v3", 257, lambda net, x: [net(x)[0, 0]], backbone="resnet50", **NARROW)
    column = torch.arange(257).double().expand(1, 3, 257, 257)

    centres = []

    def by_gradient(net, x):
        x = x.clone().requires_grad_()
        with torch.enable_grad():
            (weights,) = torch.autograd.grad(net(x)[0, 0, 120, 130], x)
        centres.append(((weights * column).sum() / weights.sum()).item())
        return [x]

    gaze("deeplab_v3", 257, by_gradient, backbone="resnet50", **NARROW)
    assert centres == pytest.approx([seen[120, 130].item()] * 2, abs=1e-6)


@pytest.mark.parametrize("output_stride", [16, 8])
def test_with_aligned_corners_every_logit_looks_at_its_own_pixel_at_both_strides(output_stride):
    assert shifts(align_corners=True, output_stride=output_stride).abs().max() < 1e-6


def test_without_them_the_output_stride_moves_the_map():
    assert logit_shift("deeplab_v3", 512, backbone="resnet50", **NARROW) == pytest.approx(-7.5, abs=0.01)
    at_8 = logit_shift("deeplab_v3", 512, backbone="resnet50", output_stride=8, **NARROW)
    assert at_8 == pytest.approx(-3.5, abs=0.01)


def test_v3plus_joins_maps_that_lie_six_pixels_apart():
    options = {"backbone": "resnet50", "multi_grid": None, "rates": (1, 1, 1), "image_pooling": False}
    assert decoder_shift(512, **options) == pytest.approx(-6, abs=0.05)


@pytest.mark.parametrize("output_stride", [16, 8])
@pytest.mark.parametrize("backbone", ["resnet50", "xception65"])
def test_v3plus_with_aligned_corners_joins_maps_that_lie_on_each_other(backbone, output_stride):
    options = {"backbone": backbone, "output_stride": output_stride, "rates": (1, 1, 1), "image_pooling": False}
    assert decoder_shift(513, **options, align_corners=True) == pytest.approx(0, abs=1e-4)
