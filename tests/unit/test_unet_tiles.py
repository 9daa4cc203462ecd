"""U-Net's skips can be turned off, and tiles join without a seam."""

import pytest
import torch

from segbook import models
from segbook.course.ch08_unet.skips import SkipUNet
from segbook.models.unet import mirrored, overlap_tile


def valid_net(levels=2, **options):
    torch.manual_seed(0)
    return models.build("unet", 2, width=1 / 16, padding="valid", levels=levels, **options).eval()


@pytest.mark.parametrize("levels, margin", [(1, 8), (2, 20), (3, 44), (4, 92)])
def test_margin_is_half_of_what_is_lost(levels, margin):
    model = valid_net(levels)
    size = model.next_size(200)
    with torch.no_grad():
        assert size - model(torch.zeros(1, 3, size, size)).shape[-1] == 2 * margin == 2 * model.margin


@pytest.mark.parametrize("levels, tile", [(2, 48), (2, 68), (1, 22), (3, 108)])
@pytest.mark.parametrize("size", [(64, 64), (50, 77)])
def test_stitched_equals_whole(levels, tile, size):
    model = valid_net(levels)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        whole, stitched = overlap_tile(model, images), overlap_tile(model, images, tile)
    assert whole.shape == (2, 2, *size)
    torch.testing.assert_close(stitched, whole, rtol=1e-4, atol=1e-5)
    assert torch.equal(stitched.argmax(1), whole.argmax(1))


def test_the_paper_s_net_is_seamless_too():
    model = valid_net(4)
    images = torch.randn(1, 3, 100, 90, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(overlap_tile(model, images, 252), overlap_tile(model, images), rtol=1e-4, atol=1e-5)


def test_the_inside_is_what_the_net_says_without_tiles():
    model, images = valid_net(2), torch.randn(1, 3, 92, 92)
    with torch.no_grad():
        plain = model(images)
        whole = overlap_tile(model, images)
    # 20 is a multiple of 4, so that both calls pool the same pixels.
    torch.testing.assert_close(whole[..., 20:-20, 20:-20], plain, rtol=1e-4, atol=1e-5)


def test_whole_means_one_pass():
    model, passes = valid_net(2), []
    model.register_forward_hook(lambda *_: passes.append(1))
    with torch.no_grad():
        overlap_tile(model, torch.randn(1, 3, 33, 34))
        assert len(passes) == 1
        overlap_tile(model, torch.randn(1, 3, 33, 34), tile=60)
        assert len(passes) == 1 + 2 * 2  # 20 pixels a tile


def test_mirrored():
    assert mirrored(torch.arange(-3, 7), 4).tolist() == [3, 2, 1, 0, 1, 2, 3, 2, 1, 0]
    assert mirrored(torch.arange(-5, 5), 2).tolist() == [1, 0] * 5
    assert mirrored(torch.arange(-2, 3), 1).tolist() == [0] * 5
    padded = torch.nn.functional.pad(torch.arange(6.0).view(1, 1, 6), (4, 5), mode="reflect").flatten()
    assert padded.tolist() == mirrored(torch.arange(-4, 11), 6).tolist()


def test_tiles_that_do_not_fit_are_refused():
    images = torch.zeros(1, 3, 64, 64)
    with pytest.raises(ValueError, match="cannot be 50.*works is 52"):
        overlap_tile(valid_net(2), images, 50)
    with pytest.raises(ValueError, match="tile of 188 gives fewer than 16 pixels; take 204 or more"):
        overlap_tile(valid_net(4), images, 188)
    with pytest.raises(ValueError, match='needs a U-Net with padding="valid"'):
        overlap_tile(models.build("unet", 2, width=1 / 16), images)


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_a_skip_that_is_off_hands_across_nothing(padding):
    torch.manual_seed(0)
    model = SkipUNet(2, width=1 / 16, padding=padding, levels=2).eval()
    x = torch.randn(1, 3, 60, 60)
    with torch.no_grad():
        everything = model(x)
        model.skips = {2}
        without_first = model(x)
        assert not torch.equal(everything, without_first)
        # The weights that read the skip do not matter any more; those of the other level do.
        first = model.expansive[-1][0]
        kernel = (first[0] if padding == "same" else first).weight
        kernel[:, : kernel.shape[1] // 2] = 1e3
        torch.testing.assert_close(model(x), without_first)
        model.skips = {1, 2}
        assert not torch.allclose(model(x), everything)


def test_skips_off_keep_every_weight():
    every, none = models.build("unet", 2, width=1 / 16).train(), SkipUNet(2, width=1 / 16, skips=())
    assert [p.shape for p in every.parameters()] == [p.shape for p in none.parameters()]
    none.load_state_dict(every.state_dict())
    none(torch.rand(2, 3, 32, 32)).sum().backward()
    complete, x = SkipUNet(2, width=1 / 16), torch.rand(2, 3, 32, 32)
    complete.load_state_dict(every.state_dict())
    torch.testing.assert_close(complete.eval()(x), every.eval()(x))
    with pytest.raises(ValueError, match=r"skips names levels from 1 to 4, got \(0, 1\)"):
        SkipUNet(2, skips=(0, 1))
