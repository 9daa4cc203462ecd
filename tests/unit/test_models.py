"""One parametrised file for every architecture: the same face, the same tests; then each paper's own numbers."""

import ast
import inspect
import textwrap
from functools import partial

import pytest
import torch
import torchvision

from segbook import anatomy, models
from segbook.models import deeplab_v2, deeplab_v3, fcn, segnet
from segbook.models.deeplab_v3plus import Decoder


def parameters(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def small(name, num_classes=5, **options):
    torch.manual_seed(0)
    return models.build(name, num_classes, width=1 / 16, **options)


@pytest.mark.parametrize("name", models.names(variants=True))
class TestEveryModel:
    @pytest.mark.parametrize("size", [(32, 32), (33, 47), (96, 128), (90, 61)])
    def test_logits_have_the_size_of_the_input(self, name, size):
        model = small(name).eval()
        with torch.no_grad():
            assert model(torch.rand(2, 3, *size)).shape == (2, 5, *size)

    def test_images_of_a_batch_do_not_see_each_other(self, name):
        model = small(name).eval().double()  # untrained logits can be huge: compare where rounding does not matter
        images = torch.rand(3, 3, 64, 64, dtype=torch.float64)
        with torch.no_grad():
            torch.testing.assert_close(model(images)[1:2], model(images[1:2]))

    def test_every_parameter_gets_a_gradient(self, name):
        model = small(name).train()
        model(torch.rand(2, 3, 64, 64)).square().mean().backward()
        without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert without == []

    def test_other_channel_counts(self, name):
        assert small(name, in_channels=1)(torch.rand(2, 1, 64, 64)).shape == (2, 5, 64, 64)

    def test_bad_input_is_refused(self, name):
        with pytest.raises(ValueError, match="num_classes must be a whole number of at least 1, got 0"):
            models.build(name, 0)
        with pytest.raises(ValueError, match="width must be positive"):
            models.build(name, 3, width=0)
        with pytest.raises(TypeError, match="no option 'color'"):
            models.build(name, 3, color=True)
        with pytest.raises(ValueError, match="at least 32"):
            small(name)(torch.rand(2, 3, 20, 40))


def test_unknown_model():
    with pytest.raises(ValueError, match="unknown model 'resnext'.*unet.*segnet_basic"):
        models.build("resnext", 3)


def test_the_course_has_nine_nets_and_three_variants():
    assert len(models.names()) == 9 and len(models.names(variants=True)) == 12


def test_options_of_the_backbone_are_offered_with_those_of_the_net():
    with pytest.raises(
        TypeError, match="deeplab_v2 has no option 'batch_norm'; it has: backbone, .*zero_init_residual"
    ):
        small("deeplab_v2", batch_norm=True)
    assert small("deeplab_v2", backbone="vgg16", batch_norm=True)
    with pytest.raises(TypeError, match="fcn8s has no option 'stride'; it has: fc_channels, padding"):
        small("fcn8s", stride=16)
    with pytest.raises(TypeError, match="deeplab_v3plus has no option 'multi_grid'"):
        small("deeplab_v3plus", multi_grid=(1, 1, 1))  # Xception has none


@pytest.mark.parametrize("name", models.names(variants=True))
def test_constructors_are_short(name):
    constructor, _ = models._constructor(name)
    named = [p for p in inspect.signature(constructor).parameters.values() if p.kind == p.KEYWORD_ONLY]
    assert len(named) - 2 <= 8  # beside width and in_channels
    source = textwrap.dedent(inspect.getsource(constructor.__init__))
    statements = ast.parse(source).body[0].body
    assert statements[-1].end_lineno - statements[0].lineno < 25


class TestUNet:
    """arXiv 1505.04597, figure 1."""

    def build(self, **options):
        with torch.device("meta"):  # shapes and counts need no memory
            return models.build("unet", 2, in_channels=1, padding="valid", **options)

    def test_parameters(self):
        assert parameters(self.build()) == 31_030_658
        assert parameters(models.build("unet", 21)) == 31_038_933  # same padding, batch norm, three input channels

    def test_572_gives_388_through_the_sizes_of_the_figure(self):
        model, sizes = self.build(), {}
        for name, module in model.named_modules():
            if name.startswith(("contracting.", "expansive.", "up_convolutions.")) and name.count(".") == 1:
                module.register_forward_hook(lambda m, i, out, name=name: sizes.__setitem__(name, tuple(out.shape[1:])))
        assert model(torch.zeros(1, 1, 572, 572, device="meta")).shape == (1, 2, 388, 388)
        assert [sizes[f"contracting.{i}"] for i in range(5)] == [
            (64, 568, 568), (128, 280, 280), (256, 136, 136), (512, 64, 64), (1024, 28, 28),
        ]  # fmt: skip
        assert [sizes[f"up_convolutions.{i}"] for i in range(4)] == [
            (512, 56, 56), (256, 104, 104), (128, 200, 200), (64, 392, 392),
        ]  # fmt: skip
        assert [sizes[f"expansive.{i}"][1] for i in range(4)] == [52, 100, 196, 388]

    @pytest.mark.parametrize("size", [188, 204, 380])
    def test_output_is_184_smaller(self, size):
        assert self.build()(torch.zeros(1, 1, size, size, device="meta")).shape[-1] == size - 184

    def test_sizes_that_do_not_fit_are_refused_with_the_next_one(self):
        with pytest.raises(ValueError, match="height cannot be 190.*next height that works is 204"):
            self.build()(torch.zeros(1, 1, 190, 188, device="meta"))
        with pytest.raises(ValueError, match="width cannot be 60.*works is 188"):
            self.build()(torch.zeros(1, 1, 188, 60, device="meta"))

    def test_dropout_is_on_the_two_deepest_maps_only(self):
        model = models.build("unet", 2, padding="valid", width=1 / 16)
        blocks = {name: module.p for name, module in model.named_modules() if isinstance(module, torch.nn.Dropout)}
        assert blocks == {"contracting.3.4": 0.5, "contracting.4.4": 0.5}
        padded = models.build("unet", 2, width=1 / 16)
        assert not any(isinstance(module, torch.nn.Dropout) for module in padded.modules())

    def test_he_initialization(self):
        weight = models.build("unet", 2, padding="valid", width=0.5).contracting[2][2].weight
        assert weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)

    def test_bad_options(self):
        with pytest.raises(ValueError, match="padding must be one of valid, same; got 'full'"):
            models.build("unet", 2, padding="full")
        with pytest.raises(ValueError, match="levels must be one of 1, 2, 3, 4, 5; got 0"):
            models.build("unet", 2, levels=0)


class TestFCN:
    """arXiv 1411.4038 and the released nets."""

    @pytest.mark.parametrize(
        "name, options, num_classes, learnable, with_bilinear",
        [
            ("fcn32s", {}, 11, 134_305_611, 134_305_611 + 11 * 64**2),
            ("fcn32s", {}, 21, 134_346_581, 134_346_581 + 21 * 64**2),
            ("fcn16s", {}, 11, 134_311_254, 134_311_254 + 11 * (4**2 + 32**2)),
            ("fcn16s", {}, 21, 134_357_354, 134_357_354 + 21 * (4**2 + 32**2)),
            ("fcn8s", {}, 11, 134_314_081, 134_314_081 + 11 * (4**2 + 4**2 + 16**2)),
            ("fcn8s", {}, 21, 134_362_751, 134_362_751 + 21 * (4**2 + 4**2 + 16**2)),
            ("fcn_alexnet", {}, 11, 56_913_291, 56_913_291 + 11 * 63**2),
            ("fcn_alexnet", {}, 21, 56_954_261, 56_954_261 + 21 * 63**2),
        ],
    )
    def test_parameters(self, name, options, num_classes, learnable, with_bilinear):
        with torch.device("meta"):
            model = models.build(name, num_classes, **options)
        assert parameters(model) == learnable
        assert sum(p.numel() for p in model.parameters()) == with_bilinear

    def test_sizes_of_the_released_net_at_500(self):
        with torch.device("meta"):
            model, sizes = models.build("fcn8s", 21), {}
            for name in ("score_fr", "upscore2", "score_pool4", "upscore_pool4", "score_pool3", "upscore"):
                getattr(model, name).register_forward_hook(
                    lambda m, i, out, name=name: sizes.__setitem__(name, out.shape[-1])
                )
            assert model(torch.zeros(1, 3, 500, 500)).shape == (1, 21, 500, 500)
        assert sizes == {
            "score_fr": 16, "upscore2": 34, "score_pool4": 44, "upscore_pool4": 70, "score_pool3": 88, "upscore": 568,
        }  # fmt: skip

    @pytest.mark.parametrize("size", [(32, 32), (37, 101)])
    def test_the_crop_free_form_keeps_the_size(self, size):
        assert small("fcn32s", padding=1).eval()(torch.rand(1, 3, *size)).shape == (1, 5, *size)

    @pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s"])
    def test_padded_and_crop_free_form_agree_where_their_cells_coincide(self, name):
        # Padding of 100 instead of 1 moves the grid of cells by 99 pixels, which is 3 more than three cells.
        padded, free = small(name).eval().double(), small(name, padding=1).eval().double()
        for layer in ("score_fr", "score_pool4", "score_pool3"):
            if hasattr(padded, layer):
                torch.nn.init.normal_(getattr(padded, layer).weight)
        free.load_state_dict(padded.state_dict())
        image = torch.rand(1, 3, 640, 640, dtype=torch.float64)
        with torch.no_grad():
            moved = padded(torch.nn.functional.pad(image, (-3, 3, -3, 3)))  # three pixels to the left and up
            torch.testing.assert_close(moved[..., 288:320, 288:320], free(image)[..., 291:323, 291:323])
            assert not torch.allclose(padded(image)[..., 291:323, 291:323], free(image)[..., 291:323, 291:323])

    def test_scores_start_at_zero(self):
        assert not small("fcn8s", padding=1)(torch.rand(1, 3, 64, 64)).any()

    def test_fc_channels_and_batch_norm(self):
        model = small("fcn8s", padding=1, batch_norm=True, fc_channels=512)
        convolutions = [layer for layer in model.classifier if isinstance(layer, torch.nn.Conv2d)]
        assert [layer.out_channels for layer in convolutions] == [32, 32] and model.score_fr.in_channels == 32
        norms = [layer.num_features for layer in model.classifier if isinstance(layer, torch.nn.BatchNorm2d)]
        assert norms == [32, 32]

    def test_at_once_scales_the_skips(self):
        model, images = small("fcn8s", padding=1).eval(), torch.rand(1, 3, 64, 64)
        for layer in (model.score_fr, model.score_pool4, model.score_pool3):
            torch.nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            plain = model(images)
            model.scales = fcn.AT_ONCE
            scaled = model(images)
            model.scales = (1.0, 1.0)
            model.score_pool4.weight *= 0.01
            model.score_pool3.weight *= 0.0001
            torch.testing.assert_close(scaled, model(images))
        assert fcn.AT_ONCE == (0.01, 0.0001) and not torch.allclose(scaled, plain)

    def test_stages_carry_the_weights_over(self):
        coarse, fine = small("fcn32s", padding=1), small("fcn16s", padding=1)
        torch.nn.init.normal_(coarse.score_fr.weight)
        fine.continue_from(coarse)
        assert torch.equal(fine.score_fr.weight, coarse.score_fr.weight)
        assert torch.equal(fine.backbone.stages[0][0].weight, coarse.backbone.stages[0][0].weight)
        assert not fine.score_pool4.weight.any()
        with pytest.raises(ValueError, match="continues from a coarser one, not from stride 16"):
            coarse.continue_from(fine)
        with pytest.raises(ValueError, match="has other layers"):
            fine.continue_from(small("fcn32s", num_classes=7, padding=1))

    @pytest.mark.parametrize("name, kernel", [("alexnet", 6), pytest.param("vgg16", 7, marks=pytest.mark.slow)])
    def test_a_classifier_becomes_convolutional(self, name, kernel):
        torch.manual_seed(0)
        classifier = getattr(torchvision.models, name)(weights=None).eval()
        net = fcn.fully_convolutional(classifier, kernel).eval()
        image = torch.rand(1, 3, 224, 224)
        with torch.no_grad():
            torch.testing.assert_close(net(image).flatten(1), classifier(image), rtol=1e-4, atol=1e-4)
            assert net(torch.rand(1, 3, 288, 320)).shape[-2:] > (1, 1)

    def test_torchvision_weights_are_taken_over(self):
        state = torchvision.models.vgg16(weights=None).state_dict()
        model = models.build("fcn32s", 3)
        model.load_torchvision(state)
        assert torch.equal(model.classifier[0].weight.flatten(1), state["classifier.0.weight"])

    def test_bad_options(self):
        with pytest.raises(ValueError, match="padding must be one of 100, 1; got 3"):
            small("fcn8s", padding=3)
        with pytest.raises(ValueError, match="do not come from maps of 7x7"):
            fcn.as_convolution(torch.nn.Linear(100, 3), 7)


def meta(name, num_classes=21, **options):
    """A model without memory: enough to count and to follow sizes."""
    with torch.device("meta"):
        return models.build(name, num_classes, **options).eval()


def image(*size):
    return torch.zeros(1, 3, *size, device="meta")


class TestSegNet:
    """arXiv 1511.00561 and the released nets."""

    def test_parameters(self):
        assert parameters(meta("segnet", 11)) == 29_449_355
        assert parameters(meta("segnet", 21)) == 29_455_125
        assert parameters(meta("segnet_basic", 11)) == 1_416_587

    def test_macs(self):
        assert anatomy.count_macs(meta("segnet", 11), (360, 480)) == pytest.approx(106.7e9, rel=1e-3)
        assert anatomy.count_macs(meta("segnet_basic", 11), (360, 480)) == pytest.approx(59.2e9, rel=1e-3)

    def test_odd_sizes_go_down_and_come_back(self):
        model, down, up = meta("segnet", 11), [], []
        for stage in model.encoder:
            stage.register_forward_hook(lambda m, i, out: down.append(tuple(out.shape[-2:])))
        for stage in model.decoder:
            stage.register_forward_hook(lambda m, i, out: up.append(tuple(out.shape[1:])))
        model(image(360, 480))
        assert down == [(360, 480), (180, 240), (90, 120), (45, 60), (23, 30)]
        assert up == [(512, 23, 30), (256, 45, 60), (128, 90, 120), (64, 180, 240), (64, 360, 480)]

    @pytest.mark.parametrize("size", [(4, 4), (45, 7), (6, 9)])
    def test_unpool_equals_max_unpool(self, size):
        x = torch.randn(2, 3, *size)
        pooled, indices = torch.nn.functional.max_pool2d(x, 2, ceil_mode=True, return_indices=True)
        expected = torch.nn.functional.max_unpool2d(pooled, indices, 2, output_size=size)
        assert torch.equal(segnet.unpool(pooled, indices, size), expected)

    def test_unpool_passes_the_gradient_back(self):
        x = torch.randn(1, 1, 4, 4, dtype=torch.float64)
        pooled, indices = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
        pooled.requires_grad_()
        assert torch.autograd.gradcheck(lambda p: segnet.unpool(p, indices, (4, 4)), pooled)

    @pytest.mark.parametrize("name", ["segnet", "segnet_basic"])
    @pytest.mark.parametrize(
        "options", [{"upsampling": "bilinear"}, {"upsampling": "learned"}, {"encoder_addition": True}]
    )
    def test_other_decoders_keep_the_size(self, name, options):
        assert small(name, **options).eval()(torch.rand(1, 3, 45, 70)).shape == (1, 5, 45, 70)

    def test_bad_options(self):
        with pytest.raises(ValueError, match="upsampling must be one of indices, bilinear, learned; got 'nearest'"):
            small("segnet", upsampling="nearest")
        with pytest.raises(ValueError, match="stages must be one of 1, 2, 3, 4; got 5"):
            small("segnet_basic", stages=5)
        with pytest.raises(ValueError, match="kernel_size must be odd"):
            small("segnet_basic", kernel_size=4)

    def test_fewer_stages_and_other_kernels(self):
        model = small("segnet_basic", stages=3, kernel_size=5)
        assert [stage[0].kernel_size for stage in [*model.encoder, *model.decoder]] == [(5, 5)] * 6
        code, kept = model.eval().encode(torch.rand(1, 3, 45, 70))
        assert code.shape[-2:] == (6, 9) and model.decode(code, kept).shape == (1, 5, 45, 70)

    def test_only_indices_cross_unless_maps_are_added(self):
        image = torch.rand(1, 3, 32, 32)
        assert all(full is None for _, _, full in small("segnet").encode(image)[1])
        assert all(full.shape[-2:] == size for _, size, full in small("segnet", encoder_addition=True).encode(image)[1])


class TestDeepLabV1:
    """arXiv 1412.7062 and the released nets."""

    @pytest.mark.parametrize(
        "field_of_view, count",
        [("large", 20_505_429), ("4x4", 65_140_565), ("4x4-wide", 65_140_565), ("7x7", 134_346_581)],
    )
    def test_parameters_and_stride(self, field_of_view, count):
        model = meta("deeplab_v1", field_of_view=field_of_view)
        assert parameters(model) == count
        assert model.coarse_logits(image(360, 480)).shape == (1, 21, 45, 60)
        assert model.coarse_logits(image(321, 321)).shape == (1, 21, 41, 41)

    def test_macs(self):
        assert anatomy.count_macs(meta("deeplab_v1"), (321, 321)) == pytest.approx(50.9e9, rel=1e-3)

    def test_multi_scale_branches_join_fc7(self):
        model = meta("deeplab_v1", multi_scale=True)
        assert model.fc8.in_channels == 1024 + 5 * 128
        assert model(image(64, 96)).shape == (1, 21, 64, 96)

    def test_bad_options(self):
        with pytest.raises(ValueError, match="field_of_view must be one of 7x7, 4x4, 4x4-wide, large"):
            small("deeplab_v1", field_of_view="huge")


class TestDeepLabV2:
    """arXiv 1606.00915."""

    def test_parameters_and_stride(self):
        assert parameters(meta("deeplab_v2")) == 44_048_532
        assert parameters(meta("deeplab_v2", 11)) == 43_311_212
        assert parameters(meta("deeplab_v2", backbone="vgg16")) == 37_877_652
        assert meta("deeplab_v2").coarse_logits(image(360, 480)).shape == (1, 21, 45, 60)

    def test_the_pyramid_is_a_sum(self):
        model = small("deeplab_v2", rates=(1, 2)).eval()
        features = torch.rand(1, model.backbone.out_channels[-1], 5, 6)
        with torch.no_grad():
            separately = [branch(features) for branch in model.classifier.branches]
            torch.testing.assert_close(model.classifier(features), separately[0] + separately[1])

    def test_multi_scale_takes_the_maximum(self):
        model = small("deeplab_v2").eval()
        images = torch.rand(1, 3, 64, 96)
        with torch.no_grad():
            alone, fused = model(images), deeplab_v2.MultiScale(model)(images)
            torch.testing.assert_close(deeplab_v2.MultiScale(model, scales=(1.0,))(images), alone)
        assert (fused >= alone).all() and (fused > alone).any()
        with pytest.raises(ValueError, match="scales must lie in"):
            deeplab_v2.MultiScale(model, scales=(2.0,))

    def test_bad_options(self):
        with pytest.raises(ValueError, match="backbone must be one of resnet101, resnet50, vgg16; got 'resnet18'"):
            small("deeplab_v2", backbone="resnet18")
        with pytest.raises(ValueError, match="rates must be one or more whole numbers"):
            small("deeplab_v2", rates=())


class TestDeepLabV3:
    """arXiv 1706.05587."""

    def test_parameters(self):
        assert parameters(meta("deeplab_v3")) == 58_040_661
        assert parameters(meta("deeplab_v3", 11)) == 58_038_091
        assert parameters(meta("deeplab_v3", backbone="resnet50")) == 39_048_533
        with torch.device("meta"):
            torchvisions = deeplab_v3.torchvision_form(21, "resnet101")
        assert parameters(torchvisions) == 58_630_997 == parameters(meta("deeplab_v3")) + 590_336

    def test_output_stride_and_rates(self):
        for output_stride, side, rates in ((16, 33, [6, 12, 18]), (8, 65, [12, 24, 36])):
            model = meta("deeplab_v3", output_stride=output_stride)
            assert model.coarse_logits(image(513, 513)).shape == (1, 21, side, side)
            assert [branch[0].dilation[0] for branch in model.neck[0].convs[1:4]] == rates

    def test_weights_trained_at_16_work_at_8(self):
        coarse, fine = small("deeplab_v3").eval(), small("deeplab_v3", output_stride=8).eval()
        fine.load_state_dict(coarse.state_dict())
        with torch.no_grad():
            assert fine.coarse_logits(torch.rand(1, 3, 64, 96)).shape[-2:] == (8, 12)

    def test_cascade_doubles_the_rates(self):
        model = meta("deeplab_v3_cascade")
        assert [block.conv2.dilation[0] for block in model.neck] == [4, 8, 16, 8, 16, 32, 16, 32, 64]

    @pytest.mark.parametrize("name", ["deeplabv3_resnet50", "deeplabv3_resnet101"])
    def test_torchvision_weights_give_torchvision_logits(self, name):
        torch.manual_seed(0)
        theirs = getattr(torchvision.models.segmentation, name)(
            weights=None, weights_backbone=None, aux_loss=True
        ).eval()
        ours = deeplab_v3.from_torchvision(theirs.state_dict()).eval()
        for size in ((64, 64), (97, 130)):
            images = torch.rand(1, 3, *size)
            with torch.no_grad():
                torch.testing.assert_close(ours(images), theirs(images)["out"], rtol=1e-4, atol=1e-4)

    def test_other_weights_are_refused(self):
        with pytest.raises(ValueError, match="not the weights of torchvision's deeplabv3"):
            deeplab_v3.from_torchvision(torchvision.models.resnet50(weights=None).state_dict())

    @pytest.mark.parametrize("name", ["deeplab_v3", "deeplab_v3plus"])
    def test_a_batch_of_one_cannot_train_image_pooling(self, name):
        with pytest.raises(ValueError, match="batch of one image.*image_pooling=False"):
            small(name).train()(torch.rand(1, 3, 64, 64))
        assert small(name, image_pooling=False).train()(torch.rand(1, 3, 64, 64)).shape == (1, 5, 64, 64)

    def test_bad_options(self):
        with pytest.raises(ValueError, match="output_stride must be one of 16, 8; got 32"):
            small("deeplab_v3", output_stride=32)
        with pytest.raises(ValueError, match="backbone must be one of resnet50, resnet101; got 'vgg16'"):
            small("deeplab_v3", backbone="vgg16")


class TestDeepLabV3Plus:
    """arXiv 1802.02611 and the released code."""

    @pytest.mark.parametrize(
        "options, count, gmac",
        [
            ({}, 41_055_413, 54.04),
            ({"output_stride": 8}, 41_055_413, 176.85),
            ({"separable": False}, 54_711_461, 86.68),
            ({"separable": False, "output_stride": 8}, 54_711_461, 248.78),
            ({"separable": False, "decoder": None}, None, 64.92),
            ({"backbone": "resnet101"}, 45_688_261, None),
            ({"backbone": "resnet101", "separable": False}, 59_344_309, None),
        ],
    )
    def test_parameters_and_macs(self, options, count, gmac):
        model = meta("deeplab_v3plus", **options)
        assert count is None or parameters(model) == count
        assert gmac is None or anatomy.count_macs(model, (513, 513)) == pytest.approx(gmac * 1e9, abs=0.006e9)

    def test_other_class_counts(self):
        assert parameters(meta("deeplab_v3plus", 11)) == 41_052_843
        assert parameters(meta("deeplab_v3plus", 19)) == 41_054_899

    @pytest.mark.parametrize("backbone", ["xception65", "resnet50"])
    def test_scores_come_at_stride_4(self, backbone):
        assert meta("deeplab_v3plus", backbone=backbone).coarse_logits(image(513, 513)).shape == (1, 21, 129, 129)
        assert meta("deeplab_v3plus", backbone=backbone, decoder=None).coarse_logits(image(513, 513)).shape[-1] == 33

    def test_ablation_options_change_the_decoder(self):
        decoder = partial(Decoder, low_level_channels=16, convolutions=3, channels=128)
        model = meta("deeplab_v3plus", decoder=decoder, separable=False)
        assert len(model.decoder.refine) == 3
        assert model.decoder.refine[0][0].weight.shape == (128, 256 + 16, 3, 3)

    def test_bad_options(self):
        with pytest.raises(ValueError, match="no weights for Xception-65"):
            models.build("deeplab_v3plus", 3, backbone_weights="any")
        with pytest.raises(ValueError, match="convolutions must be a whole number of at least 1, got 0"):
            small("deeplab_v3plus", decoder=partial(Decoder, convolutions=0))

    def test_align_corners_reaches_both_resizes(self):
        plain, aligned = small("deeplab_v3plus").eval(), small("deeplab_v3plus", align_corners=True).eval()
        aligned.load_state_dict(plain.state_dict())
        images = torch.rand(1, 3, 65, 65)
        with torch.no_grad():
            low_level, features = plain.encode(images)
            joined = torch.nn.functional.interpolate(
                features, low_level.shape[-2:], mode="bilinear", align_corners=True
            )
            logits = plain.classifier(plain.decoder.refine(torch.cat([joined, plain.decoder.reduce(low_level)], dim=1)))
            wanted = torch.nn.functional.interpolate(logits, (65, 65), mode="bilinear", align_corners=True)
            torch.testing.assert_close(aligned(images), wanted)
            assert not torch.allclose(plain(images), wanted)
