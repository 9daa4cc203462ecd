"""Chapter 10 beyond its notebook: the pyramid's points, the drawings, the classifier behind its backbones, v2's nets."""

import pytest
import torch
from torch.nn import functional as F

from segbook import backbones, layers, models
from segbook.course import pretraining
from segbook.course.ch10_deeplab_v2 import figures
from segbook.models.deeplab_v2 import MultiScale, SummedASPP


def test_the_pyramid_reads_thirty_three_places():
    places = figures.taps((6, 12, 18, 24))
    assert len(places) == 33 and places[0, 0] == [6, 12, 18, 24]
    assert places[-24, 24] == [24]


@pytest.mark.parametrize("rates", [(1,), (2, 4, 8, 12), (6, 12, 18, 24)])
def test_the_words_count_what_a_convolution_of_ones_counts(rates):
    rows, columns = 12, 16
    outside = torch.zeros(1, 1, rows, columns)
    for rate in rates:
        kernel = torch.ones(1, 1, 3, 3)
        kernel[..., 1, 1] = 0
        outside += F.conv2d(torch.ones(1, 1, rows, columns), kernel, padding=rate, dilation=rate)
    for row, column in [(0, 0), (5, 8), (11, 15)]:
        words = figures.sampling_in_words(rates, row, column, rows, columns)
        assert f"{int(outside[0, 0, row, column])} of the {8 * len(rates)} outer points" in words


def test_the_live_figure_stays_on_the_map():
    image = torch.zeros(3, 96, 128, dtype=torch.uint8)
    fig = figures.sampling_points(image, (2, 4, 6, 8), row=11, column=15, stride=32)
    assert any("Map of 3×4 cells, cell (2, 3)" in text.get_text() for text in fig.texts)


def test_disks_have_three_sizes_and_do_not_touch():
    seen, labels = figures.disks(6, seed=0)
    assert seen.shape == (6, 1, 48, 48) and labels.unique().tolist() == [0, 1, 2, 3]
    assert torch.equal(seen[:, 0] > 0, labels > 0)
    for right, left in ((labels[..., 1:], labels[..., :-1]), (labels[:, 1:], labels[:, :-1])):
        assert not ((right > 0) & (left > 0) & (right != left)).any()
    assert torch.equal(figures.disks(2, seed=0)[1], figures.disks(2, seed=0)[1])


class TestCropClassifier:
    """segbook.course.pretraining.crop_classifier, the stand-in for ImageNet of any backbone."""

    @staticmethod
    def learned(tmp_path, monkeypatch, seed=0):
        import segbook as sb

        monkeypatch.setenv("SEGBOOK_RUNS", str(tmp_path))
        run = sb.setup("quick")
        data = run.load("train", count=3, size=(48, 64))

        def build():
            return backbones.ResNet(width=1 / 32, zero_init_residual=True)

        return pretraining.crop_classifier(run, data, "tiny", build, each=4, epochs=1, seed=seed)

    def test_is_loaded_the_second_time(self, tmp_path, monkeypatch):
        first = self.learned(tmp_path, monkeypatch).state_dict()
        monkeypatch.setattr(pretraining, "train_crop_classifier", None)  # whoever trains again stumbles
        second = self.learned(tmp_path, monkeypatch).state_dict()
        assert all(torch.equal(first[name], second[name]) for name in first)
        with pytest.raises(TypeError):
            self.learned(tmp_path, monkeypatch, seed=1)

    def test_fits_the_dense_backbone(self, tmp_path, monkeypatch):
        strided = self.learned(tmp_path, monkeypatch)
        dense = backbones.ResNet(width=1 / 32, output_stride=8).eval()
        dense.load_state_dict(strided.state_dict())
        image = torch.rand(1, 3, 96, 128)
        with torch.no_grad():
            torch.testing.assert_close(
                dense(image)[-1][..., ::4, ::4],
                strided(image)[-1],
                rtol=1e-3,
                atol=1e-3 * strided(image)[-1].max(),
            )


class TestDeepLabV2:
    """arXiv 1606.00915."""

    @pytest.mark.slow
    def test_both_backbones_end_at_stride_eight(self):
        with torch.device("meta"):
            for backbone in ("vgg16", "resnet50", "resnet101"):
                net = models.build("deeplab_v2", 21, backbone=backbone)
                assert net.coarse_logits(torch.zeros(1, 3, 360, 480)).shape == (1, 21, 45, 60)

    def test_four_rates_of_the_linear_head_are_one_kernel(self):
        torch.manual_seed(0)
        head, x = SummedASPP(5, 3, (1, 2, 4)).double(), torch.randn(2, 5, 12, 16, dtype=torch.float64)
        kernel = torch.zeros(3, 5, 9, 9, dtype=torch.float64)
        for branch, rate in zip(head.branches, (1, 2, 4)):
            kernel[:, :, 4 - rate : 5 + rate : rate, 4 - rate : 5 + rate : rate] += branch[0].weight.detach()
        bias = sum(branch[0].bias for branch in head.branches)
        torch.testing.assert_close(head(x), F.conv2d(x, kernel, bias, padding=4))

    def test_fusion_is_the_maximum_of_the_resized_scores(self):
        torch.manual_seed(0)
        net, images = models.build("deeplab_v2", 5, width=1 / 16, rates=(1, 2)).eval(), torch.rand(1, 3, 64, 96)
        with torch.no_grad():
            scales = [net(images)] + [
                layers.resize(net(layers.resize(images, size)), (64, 96)) for size in ((48, 72), (32, 48))
            ]
            torch.testing.assert_close(MultiScale(net)(images), torch.stack(scales).amax(0))

    def test_blocks_start_as_the_identity_when_asked(self):
        net = models.build("deeplab_v2", 5, width=1 / 16, zero_init_residual=True)
        blocks = [block for name, block in net.named_modules() if isinstance(block, backbones.Bottleneck)]
        assert len(blocks) == 33 and all(not block.bn3.weight.any() for block in blocks)
