"""Frozen features: the same logits as the whole net, a cache that is right or not used, heads, and bad input named."""

from dataclasses import replace

import pytest
import torch

import segbook as sb
from segbook import frozen, heads
from segbook.backbones import EfficientNetLite0
from segbook.data import Augment
from segbook.features import Features

CHANNELS = {2: 4, 4: 6, 8: 10, 16: 28, 32: 80}  # of Lite0 at a quarter of its width
HEADS = {
    "linear": lambda: heads.LinearHead(CHANNELS, 11),
    "3x3": lambda: heads.ConvHead(CHANNELS, 11, hidden=8, bottleneck=8),
    "LargeFOV": lambda: heads.ConvHead(CHANNELS, 11, rate=4, hidden=8, bottleneck=8),
    "summed ASPP": lambda: heads.SummedASPPHead(CHANNELS, 11, rates=(1, 2), hidden=8, bottleneck=8),
    "ASPP": lambda: heads.ASPPHead(CHANNELS, 11, rates=(1, 2), hidden=8, bottleneck=8),
    "decoder": lambda: heads.DecoderHead(CHANNELS, 11, rates=(1, 2), hidden=8, bottleneck=8, low_level_channels=4),
    "FCN-8s": lambda: heads.FCNHead(CHANNELS, 11),
    "U-Net": lambda: heads.UNetHead(CHANNELS, 11, taps=(32, 16, 8, 4, 2), hidden=8),
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGBOOK_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def images():
    dataset = sb.data.load("street", "train", size=(64, 96), count=6)
    dataset.tensors()
    return dataset


def small_backbone(output_stride=32):
    torch.manual_seed(0)
    return EfficientNetLite0(width=0.25, output_stride=output_stride)


class Counted(EfficientNetLite0):
    """Counts the images that go through it."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(width=0.25)
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return super().forward(x)


def test_features_are_the_maps_of_the_backbone_in_half_precision(images):
    backbone = small_backbone(output_stride=8).train()
    features, masks = frozen.compute(backbone, images, taps=(4, 32)).tensors()
    assert backbone.training and torch.equal(masks, images.tensors()[1])
    assert {tap: tuple(m.shape) for tap, m in features.maps.items()} == {4: (6, 6, 16, 24), 32: (6, 80, 8, 12)}
    assert features.shape == (6, 3, 64, 96) and features.maps[4].dtype == torch.float16
    with torch.no_grad():
        expected = backbone.eval()(sb.data.normalize(images.tensors()[0]))
    torch.testing.assert_close(features.maps[4].float(), expected[1], rtol=2e-3, atol=2e-3)
    torch.testing.assert_close(features.maps[32].float(), expected[4], rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_on_features_answers_like_the_joined_net_on_images(name, images):
    backbone, head = small_backbone(), HEADS[name]()
    for layer in head.modules():  # the scores start at zero; here they must say something
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.normal_(layer.weight, std=0.3)
    features = frozen.compute(backbone, images, taps=(2, 4, 8, 16, 32))
    net = heads.SegmentationNet(backbone, head)
    on_features = sb.predict(head, features.tensors()[0], probabilities=True)
    assert on_features.shape == (6, 11, 64, 96)
    on_images = sb.predict(net, images.tensors()[0], probabilities=True)
    assert (on_features - on_images).abs().mean() < 1e-3  # half precision against single
    assert on_features.std() > 0.005


@pytest.mark.parametrize("name", HEADS)
def test_every_parameter_of_a_head_learns(name, images):
    head, (features, masks) = HEADS[name](), frozen.compute(small_backbone(), images, taps=(2, 4, 8, 16, 32)).tensors()
    for _ in range(2):  # behind scores of zero nothing gets a gradient in the first step
        loss = torch.nn.functional.cross_entropy(head(features.float()), masks.long(), ignore_index=11)
        head.zero_grad()
        loss.backward()
        with torch.no_grad():
            for parameter in head.parameters():
                parameter -= 0.1 * parameter.grad
    assert [n for n, p in head.named_parameters() if not p.grad.any()] == []


def test_fit_evaluate_and_predict_take_features(images):
    train = frozen.compute(small_backbone(), images)
    head = heads.FCNHead(train.channels, train.num_classes)
    before = sb.evaluate(head, train).pixel_accuracy
    history = sb.fit(head, train, train, replace(frozen.RECIPE, steps=40, batch_size=4), progress=False)
    assert history.loss[-1] < 0.7 * history.loss[0]
    scores = sb.evaluate(head, train)
    assert scores.pixel_accuracy > before + 0.2 and scores.mean_iou == history.validation[-1][1]
    assert sb.predict(head, train.tensors()[0]).shape == (6, 64, 96)


def test_training_on_features_goes_on_from_its_checkpoint(images, tmp_path):
    def trained(steps_before_the_stop):
        train, recipe = frozen.compute(small_backbone(), images), replace(frozen.RECIPE, steps=4, batch_size=2)
        head, path = heads.FCNHead(train.channels, 11), tmp_path / f"head{steps_before_the_stop}.pt"
        if steps_before_the_stop:
            stop = StopAfter(steps_before_the_stop)
            with pytest.raises(KeyboardInterrupt):
                sb.fit(head, train, None, recipe, checkpoint=path, save_every=1, progress=False, loss=stop)
            head = heads.FCNHead(train.channels, 11)
        return sb.fit(head, train, None, recipe, checkpoint=path, progress=False, loss=StopAfter(99)).loss

    assert trained(2) == trained(0)


class StopAfter:
    """A loss that interrupts the training after so many steps, as Ctrl-C does."""

    fingerprint = "cross-entropy"

    def __init__(self, steps):
        self.steps = steps

    def __call__(self, logits, target):
        self.steps -= 1
        if self.steps < 0:
            raise KeyboardInterrupt
        return torch.nn.functional.cross_entropy(logits, target.long(), ignore_index=11)


class TestCache:
    def test_the_second_call_reads(self, images):
        backbone = Counted()
        first = frozen.compute(backbone, images)
        seen, backbone.seen = backbone.seen, 0
        again = frozen.compute(backbone, images)
        assert seen == 1 + 6 and backbone.seen == 1  # one image is always compared
        assert all(torch.equal(first.features.maps[tap], again.features.maps[tap]) for tap in (4, 8, 16, 32))

    def test_another_tap_is_added(self, images, cache):
        frozen.compute(small_backbone(), images, taps=(4,))
        frozen.compute(small_backbone(), images, taps=(4, 32))
        assert len(list(cache.glob("features-*"))) == 2

    def test_other_weights_pixels_and_strides_are_other_features(self, images):
        backbone = small_backbone()
        keys = {frozen.content_key(backbone, images.tensors()[0])}
        keys.add(frozen.content_key(small_backbone(output_stride=16), images.tensors()[0]))
        keys.add(frozen.content_key(backbone, images.tensors()[0].flip(0)))
        with torch.no_grad():
            backbone.stem[0].weight[0, 0, 0, 0] += 1e-3
        keys.add(frozen.content_key(backbone, images.tensors()[0]))
        assert len(keys) == 4

    @pytest.mark.parametrize("damage", ["cut short", "one bit", "other maps"])
    def test_a_file_that_does_not_fit_is_computed_anew(self, images, cache, damage):
        expected = frozen.compute(small_backbone(), images, taps=(4,)).features.maps[4]
        (path,) = cache.glob("features-*")
        content = bytearray(path.read_bytes())
        if damage == "cut short":
            path.write_bytes(content[: len(content) // 2])
        elif damage == "one bit":
            content[len(content) // 2] ^= 64
            path.write_bytes(content)
        else:  # as after a change of the backbone's code
            torch.save({"format": frozen.FORMAT, "maps": expected + 3}, path)
        assert torch.equal(frozen.compute(small_backbone(), images, taps=(4,)).features.maps[4], expected)
        assert torch.equal(torch.load(path, weights_only=True)["maps"], expected)

    def test_without_a_place_to_write_the_features_are_there(self, images, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv("SEGBOOK_CACHE", str(tmp_path / "file"))
        assert len(frozen.compute(small_backbone(), images, taps=(32,))) == 6


class TestMirroring:
    def test_mirrored_features_come_from_mirrored_images(self, images):
        features = frozen.compute(small_backbone(), images, taps=(4,), mirrored=True).features
        mirrored = features.mirror(torch.tensor([True, False] * 3)).maps[4]
        backbone = small_backbone().eval()
        with torch.no_grad():
            other = backbone(sb.data.normalize(images.tensors()[0].flip(-1)))[1]
        torch.testing.assert_close(mirrored[::2].float(), other[::2], rtol=2e-3, atol=2e-3)
        assert torch.equal(mirrored[1::2], features.maps[4][1::2])
        assert not torch.allclose(mirrored[0], features.maps[4][0].flip(-1), atol=0.1)  # why they are computed

    def test_augment_mirrors_features_and_masks_as_it_does_images(self, images):
        (features, masks), pixels = (
            frozen.compute(small_backbone(), images, mirrored=True).tensors(),
            images.tensors()[0],
        )
        _, from_images = Augment(flip=0.5)(pixels, masks, 11, torch.Generator().manual_seed(3))
        changed, from_features = Augment(flip=0.5)(features, masks, 11, torch.Generator().manual_seed(3))
        assert torch.equal(from_images, from_features) and not torch.equal(masks, from_features)
        which = (from_features != masks).flatten(1).any(1)
        assert torch.equal(changed.maps[8], features.mirror(which).maps[8])

    def test_what_features_cannot_do_is_refused(self, images):
        train = frozen.compute(small_backbone(), images, taps=(32,))
        head = heads.LinearHead(train.channels, 11)
        with pytest.raises(ValueError, match="can be mirrored and nothing else.*sb.frozen.RECIPE"):
            sb.fit(head, train, None, sb.Recipe(steps=1, batch_size=2), progress=False)
        with pytest.raises(ValueError, match="mirrored images were not computed: pass mirrored=True"):
            sb.fit(head, train, None, sb.Recipe(steps=1, batch_size=2, augment=Augment()), progress=False)


def test_subset(images):
    features = frozen.compute(small_backbone(), images, taps=(32,))
    part = features.subset([4, -1])
    assert len(part) == 2 and part.names() == [images.names()[4], images.names()[5]]
    assert torch.equal(part.tensors()[0].maps[32], features.features.maps[32][[4, 5]])
    assert torch.equal(part.tensors()[1], images.tensors()[1][[4, 5]])


def at_size(dataset, size):
    kind = dataset.name, dataset.split, dataset.source, dataset.classes, dataset.palette, dataset.ignore_index
    return sb.data.SegmentationDataset(*kind, size=size)


class TestBadInput:
    def test_compute(self, images):
        backbone = small_backbone()
        with pytest.raises(ValueError, match="taps of EfficientNetLite0 are 2, 4, 8, 16, 32; got 3"):
            frozen.compute(backbone, images, taps=(4, 3))
        with pytest.raises(ValueError, match="got none"):
            frozen.compute(backbone, images, taps=())
        with pytest.raises(TypeError, match="needs a backbone with named strides"):
            frozen.compute(torch.nn.Conv2d(3, 8, 3), images)
        with pytest.raises(TypeError, match="these are features already"):
            frozen.compute(backbone, frozen.compute(backbone, images))
        with pytest.raises(ValueError, match="at least 32x32"):
            frozen.compute(backbone, at_size(images, (24, 40)))
        with torch.no_grad():
            backbone.stages[1][-1][-1][0].weight.mul_(1e9)  # not followed by a ReLU6
        with pytest.raises(ValueError, match="not finite in half precision"):
            frozen.compute(backbone, images)

    def test_heads(self, images):
        features = frozen.compute(small_backbone(), images, taps=(16, 32))
        with pytest.raises(ValueError, match="FCNHead needs tap 8; there are 16, 32"):
            heads.FCNHead(features.channels, 11)
        head = heads.LinearHead({32: 320}, 11)
        with pytest.raises(
            ValueError, match="built for 320 channels at tap 32, the features have 80: .*another backbone"
        ):
            sb.evaluate(head, features)
        head = heads.LinearHead({8: 10}, 11)
        with pytest.raises(ValueError, match="at tap 8, the features have no such tap"):
            sb.evaluate(head, features)
        with pytest.raises(TypeError, match="a head takes features, not images"):
            sb.evaluate(head, images)
        with pytest.raises(ValueError, match="5 output channels, but the data set has 11 classes"):
            sb.fit(
                heads.LinearHead(features.channels, 5), features, None, replace(frozen.RECIPE, steps=1), progress=False
            )


def test_features_act_like_a_batch():
    features = Features({4: torch.arange(24.0).view(4, 1, 2, 3)}, (8, 12))
    assert len(features) == 4 and features.shape == (4, 3, 8, 12) and features.channels == {4: 1}
    assert [len(part) for part in features.split(3)] == [3, 1]
    assert torch.equal(features[torch.tensor([2, 0])].maps[4], features.maps[4][[2, 0]])
    assert features.to(torch.float16).maps[4].dtype == torch.float16
    assert repr(features) == "Features(4 images of 8x12; 4: [1, 2, 3])"
