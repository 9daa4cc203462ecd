"""Chapter 12 beyond its notebook: what the options of v3+ build, narrow Xceptions, the drawings."""

import re
from functools import partial

import drawn
import numpy as np
import pytest
import torch

from segbook import anatomy, models
from segbook.backbones import Xception65, XceptionBlock
from segbook.course import profiles
from segbook.course.ch12_deeplab_v3plus import figures
from segbook.models.deeplab_v3plus import Decoder

IMAGE = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


def build(**options):
    torch.manual_seed(0)
    return models.build("deeplab_v3plus", 5, **{"width": 1 / 16, "backbone": "resnet50"} | options)


class TestOptions:
    def test_encode_and_decode_make_the_whole(self):
        for options in ({}, {"decoder": None}):
            net = build(**options).eval()
            with torch.no_grad():
                low_level, features = net.encode(IMAGE)
                scores = net.decode(low_level, features)
                torch.testing.assert_close(scores, net.coarse_logits(IMAGE))
            assert low_level.shape == (2, 16, 16, 24) and features.shape == (2, 16, 4, 6)
            assert scores.shape[-2:] == ((4, 6) if options else (16, 24))

    @pytest.mark.parametrize("channels", [8, 16, 32, 48, 64])
    def test_low_level_channels(self, channels):
        net = build(width=1.0, decoder=partial(Decoder, low_level_channels=channels))
        assert net.decoder.reduce[0].weight.shape == (channels, 256, 1, 1)
        assert net.decoder.refine[0].depthwise.weight.shape[0] == 256 + channels

    def test_a_decoder_of_1x1_is_never_separable(self):
        net = build(decoder=partial(Decoder, convolutions=1, kernel_size=1))
        assert net.decoder.refine[0][0].kernel_size == (1, 1) and net.decoder.refine[0][0].groups == 1
        assert net(IMAGE).shape == (2, 5, 64, 96)

    @pytest.mark.parametrize("kernel_size, separable", [(3, False), (5, True), (5, False)])
    def test_kernel_size_of_the_decoder(self, kernel_size, separable):
        net = build(decoder=partial(Decoder, kernel_size=kernel_size), separable=separable)
        assert net.decoder.refine[0][0].kernel_size == (kernel_size, kernel_size)
        assert net(IMAGE).shape == (2, 5, 64, 96)

    def test_rates_of_ones_own(self):
        net = build(rates=(1, 2))
        assert [conv[0].dilation[0] for conv in net.aspp.convs[:-1]] == [1, 1, 2]

    def test_residual_blocks_that_start_as_the_identity(self):
        assert (build(zero_init_residual=True).backbone.layer1[0].bn3.weight == 0).all()
        assert (build().backbone.layer1[0].bn3.weight == 1).all()

    @pytest.mark.parametrize("option", ["channels", "low_level_channels", "convolutions"])
    def test_an_empty_decoder_is_refused(self, option):
        with pytest.raises(ValueError, match=f"^{option} must be a whole number of at least 1, got 0"):
            build(decoder=partial(Decoder, **{option: 0}))

    def test_an_even_kernel_is_refused(self):
        for separable in (True, False):
            with pytest.raises(ValueError, match="kernel_size must be odd"):
                build(decoder=partial(Decoder, kernel_size=2), separable=separable)

    def test_the_quick_profile_builds_and_has_the_parts_of_the_paper(self):
        quick = profiles.get("quick")
        net = models.build(
            "deeplab_v3plus", 11, width=quick.width_for("deeplab_v3plus"), **quick.options_for("deeplab_v3plus")
        )
        assert net.decoder is not None and net.aspp.image_pooling and len(net.aspp.convs) == 5


class TestXception:
    def test_counts_with_eight_and_sixteen_middle_blocks(self):
        with torch.device("meta"):
            assert anatomy.count_parameters(Xception65()) == 37_867_312
            assert anatomy.count_parameters(Xception65(middle_blocks=8)) == 24_920_560

    def test_every_second_cell_at_stride_8_is_the_map_at_stride_16(self):
        torch.manual_seed(0)
        coarse, fine = (Xception65(width=1 / 32, middle_blocks=1, output_stride=s).eval() for s in (16, 8))
        fine.load_state_dict(coarse.state_dict())
        x = torch.randn(1, 3, 97, 129)
        with torch.no_grad():
            torch.testing.assert_close(fine(x)[1][..., ::2, ::2], coarse(x)[1], rtol=1e-3, atol=1e-4)

    def test_the_shortcut_equals_a_strided_1x1(self):
        block = XceptionBlock(6, [8, 8, 8], stride=2, shortcut="conv").eval()
        x = torch.randn(1, 6, 9, 12)
        with torch.no_grad():
            strided = torch.nn.functional.conv2d(x, block.shortcut[0].weight, stride=2)
            y = x
            for unit in block.units:
                y = unit(y)
            torch.testing.assert_close(block(x), y + block.shortcut[1](strided))

    def test_a_narrow_one_trains_channels_last(self):
        """A strided 1x1 with few channels crashed oneDNN's backward pass in this layout (8 → 16 channels)."""
        net = Xception65(width=0.125, middle_blocks=1).to(memory_format=torch.channels_last)
        low_level, features = net(torch.randn(2, 3, 96, 128).contiguous(memory_format=torch.channels_last))
        (low_level.sum() + features.sum()).backward()
        assert all(p.grad.isfinite().all() for p in net.parameters())


class TestDrawings:
    def test_a_window_stays_inside_the_image(self):
        for x, y in [(0, 0), (127, 95), (64, 48)]:
            top, left, side = figures.window_at((96, 128), x, y, 40)
            assert 0 <= top <= 96 - side and 0 <= left <= 128 - side and side == 40
        assert figures.window_at((30, 50), 10, 10, 64)[2] == 30

    def test_the_flow_has_the_sizes_of_the_net(self):
        with torch.device("meta"):
            rows = {row.name: row.shape for row in anatomy.stages(Xception65(), (513, 513))}
        for name, _, _, shape, times in figures.FLOW:
            found = rows.get(name.replace(" ", ""), rows.get(name.replace(" ", "") + "[0]"))
            assert tuple(int(n) for n in re.findall(r"\d+", shape)) == found
            assert times == (16 if name == "middle" else 1)

    def test_the_explorer_says_what_it_draws(self):
        image = torch.zeros(1, 3, 48, 64, dtype=torch.uint8)
        mask = torch.zeros(1, 48, 64, dtype=torch.int64)
        mask[:, :, 32:] = 1
        wrong = torch.zeros_like(mask)

        explorer = figures.EdgeExplorer(image, mask, {"v3": wrong, "v3+": mask}, drawn.Driving)
        assert "≈100% right" in explorer.words(0, True, 32, 24, 20)
        assert "≈50% right" in explorer.words(0, False, 32, 24, 20)
        assert "without a border" in explorer.words(0, True, 5, 24, 16)
        titles = [ax.get_title("left") or ax.get_title() for ax in explorer.draw(0, False, 32, 24, 20).axes]
        assert titles == ["the scene", "enlarged", "truth", "decoder off: v3"]

    def test_curves_are_drawn_with_their_lead(self):
        curves = {"v3": np.array([[0.2, 0.3], [0.22, 0.32]]), "v3+": np.array([[0.3, 0.4]])}
        left, right = figures.trimap_curves([1, 2], curves).axes
        np.testing.assert_allclose(left.lines[1].get_ydata(), [30, 40])
        np.testing.assert_allclose(right.lines[1].get_ydata(), [9, 9])
