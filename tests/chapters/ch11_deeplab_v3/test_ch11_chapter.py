"""Chapter 11 beyond its notebook: the options of DeepLab v3 that it uses, and its drawings."""

from pathlib import Path

import nbformat
import pytest
import torch
import torchvision
from torch.nn import functional as F

import segbook as sb
from segbook import models
from segbook.backbones import Bottleneck, ResNet
from segbook.course.ch11_deeplab_v3 import figures
from segbook.data import voc2012
from segbook.layers import ASPP
from segbook.models import deeplab_v3

NOTEBOOK = Path(__file__).resolve().parents[3] / "notebooks" / "11_deeplab_v3.ipynb"


def small(name="deeplab_v3", **options):
    torch.manual_seed(0)
    return models.build(name, 5, width=1 / 16, backbone="resnet50", **options)


@pytest.mark.parametrize("size", [(65, 65), (80, 113), (129, 64)])
@pytest.mark.slow
def test_torchvisions_logits_at_several_sizes(size):
    torch.manual_seed(0)
    theirs = torchvision.models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None).eval()
    for module in theirs.modules():  # statistics that are not those of an untrained net
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    ours = deeplab_v3.from_torchvision(theirs.state_dict()).eval()
    with torch.no_grad():
        images = torch.rand(1, 3, *size)
        torch.testing.assert_close(ours(images), theirs(images)["out"], rtol=1e-4, atol=1e-4)


def test_the_rates_of_a_cascade_can_be_given():
    def rates(**options):
        return [block.conv2.dilation[0] for block in small("deeplab_v3_cascade", **options).neck]

    assert rates(output_stride=8) == [8, 16, 32, 16, 32, 64, 32, 64, 128]
    assert rates(rates=(1, 3), multi_grid=(1, 1, 2)) == [1, 1, 2, 3, 3, 6]
    assert rates(rates=()) == []
    assert small("deeplab_v3_cascade", rates=())(torch.rand(1, 3, 33, 49)).shape == (1, 5, 33, 49)


@pytest.mark.parametrize("rates", [(0, 1), (1.5,), (-2,)])
@pytest.mark.parametrize("name", ["deeplab_v3", "deeplab_v3_cascade", "deeplab_v3plus"])
def test_rates_that_are_none_are_refused(name, rates):
    with pytest.raises(ValueError, match="a rate .* must be a whole number of at least 1"):
        small(name, rates=rates)


def test_blocks_start_as_the_identity():
    torch.manual_seed(0)
    net = ResNet("resnet50", width=1 / 16, zero_init_residual=True)
    blocks = [block for block in net.modules() if isinstance(block, Bottleneck)]
    assert len(blocks) == 16 and not any(block.bn3.weight.any() for block in blocks)
    x = torch.rand(1, net.out_channels[0], 5, 7)
    assert torch.equal(net.eval().layer1[1](x), x)
    plain = ResNet("resnet50", width=1 / 16)
    assert all((block.bn3.weight == 1).all() for block in plain.modules() if isinstance(block, Bottleneck))


def test_cells_lie_on_their_pixels_with_aligned_corners():
    """At 16 n + 1 pixels the prediction at pixel 16 k is the score of cell k, and at both strides the same pixel's."""
    image = torch.rand(1, 3, 97, 129)
    coarse, fine = small(align_corners=True).eval(), small(align_corners=True, output_stride=8).eval()
    fine.load_state_dict(coarse.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(coarse(image)[..., ::16, ::16], coarse.coarse_logits(image))
        torch.testing.assert_close(fine(image)[..., ::8, ::8], fine.coarse_logits(image))
        # torchvision's way leaves no cell on its pixel.
        assert not torch.allclose(small().eval()(image)[..., ::16, ::16], small().eval().coarse_logits(image))


def test_the_map_at_8_holds_the_map_at_16():
    """Without image pooling, whose mean is taken over other cells, every second cell of the fine map is the coarse one."""
    options = {"image_pooling": False, "multi_grid": (1, 2, 4)}
    coarse, fine = small(**options).double().eval(), small(**options, output_stride=8).double().eval()
    fine.load_state_dict(coarse.state_dict())
    image = torch.rand(1, 3, 97, 129, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(fine.coarse_logits(image)[..., ::2, ::2], coarse.coarse_logits(image))


def test_image_pooling_in_training_needs_two_images():
    pyramid = ASPP(4, 3, (1, 2)).train()
    with pytest.raises(ValueError, match="batch of one image"):
        pyramid(torch.rand(1, 4, 6, 8))
    assert pyramid(torch.rand(2, 4, 6, 8)).shape == (2, 3, 6, 8)
    assert pyramid.eval()(torch.rand(1, 4, 6, 8)).shape == (1, 3, 6, 8)
    # What PyTorch itself says about the same mistake, without the advice.
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        F.batch_norm(torch.rand(1, 3, 1, 1), None, None, training=True)


@pytest.mark.parametrize("height, width, rate", [(5, 7, 1), (5, 7, 2), (5, 7, 4), (6, 8, 12), (9, 9, 9)])
def test_the_drawn_taps_are_those_of_a_convolution(height, width, rate):
    counted = F.conv2d(torch.ones(1, 1, height, width), torch.ones(1, 1, 3, 3), padding=rate, dilation=rate)[0, 0]
    assert (figures.valid_taps(height, width, rate) == counted.numpy()).all()


def test_the_live_figure_says_what_it_draws():
    assert figures.kernel_in_words(12, 33, 33, "the centre") == (
        "A 3×3 kernel of rate 12 on a map of 33×33 cells. At the centre 9 of its 9 taps lie on the map; over all cells "
        "57 % of the weights are valid, and 7 % of the cells keep all nine."
    )
    for place, taps in (("the corner", 4), ("the middle of the upper edge", 6)):
        assert f"{taps} of its 9 taps" in figures.kernel_in_words(3, 11, 9, place)
        fig = figures.kernel_on_map(3, 11, 9, place)
        marks = [line for line in fig.axes[0].lines if line.get_marker() in "oX"]
        assert len(marks) == 9 and sum(line.get_marker() == "o" for line in marks) == taps


@pytest.mark.slow
def test_the_photograph_of_the_cat_with_weights_in_the_cache(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    checkpoints = tmp_path / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    weights = torchvision.models.segmentation.DeepLabV3_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1
    torch.manual_seed(0)
    net = torchvision.models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None, aux_loss=True)
    torch.save(net.state_dict(), checkpoints / weights.url.rpartition("/")[2])
    (cell,) = (c.source for c in nbformat.read(NOTEBOOK, as_version=4).cells if "import chelsea" in c.source)
    shown = []
    monkeypatch.setattr(sb, "show", lambda figure, alt: shown.append(figure))
    names = {
        "sb": sb, "torch": torch, "torchvision": torchvision, "F": F, "figures": figures, "PALETTE": voc2012.PALETTE,
        "from_torchvision": deeplab_v3.from_torchvision,
    }  # fmt: skip
    exec(compile(cell, "<cat>", "exec"), names)
    assert "in torch's cache: yes" in capsys.readouterr().out and len(shown) == 1
    assert names["labels"]["ours, same weights"].shape == (300, 451)
