"""One parametrised file for every architecture: the same face, the same tests; then each paper's own numbers."""

import pytest
import torch

from segbook import models


def parameters(model):
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def small(name, num_classes=5, **options):
    torch.manual_seed(0)
    return models.build(name, num_classes, width=1 / 16, **options)


@pytest.mark.parametrize("name", models.names())
class TestEveryModel:
    @pytest.mark.parametrize("size", [(32, 32), (33, 47), (96, 128), (90, 61)])
    def test_logits_have_the_size_of_the_input(self, name, size):
        model = small(name).eval()
        with torch.no_grad():
            assert model(torch.rand(2, 3, *size)).shape == (2, 5, *size)

    def test_pictures_of_a_batch_do_not_see_each_other(self, name):
        model = small(name).eval()
        images = torch.rand(3, 3, 64, 64)
        with torch.no_grad():
            torch.testing.assert_close(model(images)[1:2], model(images[1:2]), rtol=1e-4, atol=1e-5)

    def test_every_parameter_gets_a_gradient(self, name):
        model = small(name).train()
        model(torch.rand(2, 3, 64, 64)).square().mean().backward()
        without = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
        assert without == []

    def test_other_channel_counts(self, name):
        assert small(name, in_channels=1)(torch.rand(2, 1, 64, 64)).shape == (2, 5, 64, 64)

    def test_bad_input_is_refused(self, name):
        with pytest.raises(ValueError, match="num_classes must be at least 1"):
            models.build(name, 0)
        with pytest.raises(ValueError, match="width must be positive"):
            models.build(name, 3, width=0)
        with pytest.raises(TypeError, match="no option 'colour'"):
            models.build(name, 3, colour=True)
        with pytest.raises(ValueError, match="at least 32"):
            small(name)(torch.rand(2, 3, 20, 40))


def test_unknown_model():
    with pytest.raises(ValueError, match="unknown model 'resnext'.*unet"):
        models.build("resnext", 3)


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
        model, seen = models.build("unet", 2, padding="valid", width=1 / 16), []
        model.dropout.register_forward_hook(lambda m, i, out: seen.append(out.shape[1]))
        model(torch.zeros(1, 3, 188, 188))
        assert model.dropout.p == 0.5 and seen == [32, 64]

    def test_he_initialisation(self):
        weight = models.build("unet", 2, padding="valid", width=0.5).contracting[2][2].weight
        assert weight.std().item() == pytest.approx((2 / (9 * 128)) ** 0.5, rel=0.02)

    def test_bad_options(self):
        with pytest.raises(ValueError, match='"valid" .the paper. or "same"'):
            models.build("unet", 2, padding="full")
        with pytest.raises(ValueError, match="levels must be 1 to 5"):
            models.build("unet", 2, levels=0)
