"""Where logits lie in the image, and scores that are honest: declared sizes, numbers that are numbers, empty sets."""

import math

import numpy as np
import pytest
import torch
from test_training import dataset, net, quick
from torch import nn

from segbook import models
from segbook.course.exporting import export_model
from segbook.course.saved import ModelCard
from segbook.data import SegmentationDataset
from segbook.evaluation import Evaluation, at_image_size, evaluate, predict
from segbook.metrics import ConfusionMatrix
from segbook.training import fit


class Stride(nn.Module):
    """A head whose logits come at a coarser stride, as SegFormer's do."""

    def __init__(self, stride=8, classes=3):
        super().__init__()
        torch.manual_seed(0)
        self.score = nn.Conv2d(3, classes, stride, stride=stride)

    def forward(self, x):
        return self.score(x)


def toy(n=3, size=(32, 32), classes=3, fill=None, ignore=255):
    generator = np.random.default_rng(0)

    class Source:
        names = [f"image-{i}" for i in range(n)]

        def where(self, i):
            return self.names[i]

        def read(self, i):
            image = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
            return image, (image[..., 0] // 128 if fill is None else np.full(size, fill)).astype(np.uint8)

    palette = np.zeros((classes + 1, 3))
    return SegmentationDataset("toy", "val", Source(), [f"c{k}" for k in range(classes)], palette, ignore)


# ---------------------------------------------------------------- where the logits lie


def test_smaller_logits_are_refused_by_everyone(tmp_path):
    data, model = toy(), Stride()
    images, _ = data.tensors()
    message = r"logits of 4x4 for images of 32x32: where in the image do they lie.*output_stride.*margin"
    for call in (
        lambda: fit(model, data, None, quick(augment=None)),
        lambda: evaluate(model, data),
        lambda: predict(model, images),
        lambda: export_model(model, ModelCard("x", 1.0, ["a"] * 3, [], [32, 32], "toy"), tmp_path / "x.ts"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert list(tmp_path.iterdir()) == []


def test_a_declared_stride_is_resized_everywhere(tmp_path):
    data, model = toy(), Stride()
    model.output_stride = 8
    images, masks = data.tensors()
    probabilities = predict(model, images, probabilities=True)
    assert probabilities.shape == (3, 3, 32, 32)
    with torch.no_grad():
        mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        x = (images.float() / 255 - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
        right = nn.functional.interpolate(model(x), (32, 32), mode="bilinear").softmax(1)
    torch.testing.assert_close(probabilities, right)
    expected = ConfusionMatrix(3, 255).update(right.argmax(1), masks).counts
    assert torch.equal(evaluate(model, data).confusion.counts, expected) and expected.sum() == 3 * 32 * 32
    history = fit(model, data, data, quick(augment=None, steps=4))
    assert history.validation[-1][1] == evaluate(model, data).mean_iou
    card = ModelCard("x", 1.0, ["a"] * 3, [], [32, 32], "toy")
    export_model(model, card, tmp_path / "x.ts")
    assert torch.jit.load(tmp_path / "x.ts")(images).shape == (3, 3, 32, 32)


@pytest.mark.parametrize(
    ("attribute", "value", "size", "says"),
    [
        ("margin", 3, (16, 16), "declares a margin of 3 pixels.*logits of 26x26, but they are 16x16"),
        ("margin", 3, (32, 32), "declares a margin of 3 pixels.*but they are 32x32"),
        ("output_stride", 8, (5, 4), "declares an output stride of 8.*logits of 4x4, but they are 5x4"),
        ("margin", 2.5, (27, 27), "model.margin must be a whole number of at least 0, not 2.5"),
        ("margin", -1, (34, 34), "model.margin must be a whole number"),
        ("output_stride", 0, (4, 4), "model.output_stride must be a whole number of at least 1"),
        (None, None, (31, 32), "logits of 31x32 for images of 32x32"),
        (None, None, (33, 32), "larger than the images"),
    ],
)
def test_what_is_declared_must_be_so(attribute, value, size, says):
    model = nn.Identity()
    if attribute:
        setattr(model, attribute, value)
    with pytest.raises(ValueError, match=says):
        at_image_size(torch.zeros(1, 3, *size), torch.zeros(1, 3, 32, 32), model)


def test_incomplete_cells_and_full_size_are_right_under_a_stride():
    model = nn.Identity()
    model.output_stride = 8
    images = torch.zeros(1, 3, 33, 47)
    for cells in ((5, 6), (4, 5)):
        assert at_image_size(torch.zeros(1, 3, *cells), images, model).shape == (1, 3, 33, 47)
    whole = torch.rand(1, 3, 33, 47)
    assert at_image_size(whole, images, model) is whole


def test_the_unpadded_unet_declares_its_margin():
    model = models.build("unet", 3, width=1 / 16, padding="valid", levels=1)
    assert models.build("unet", 2, width=1 / 64, padding="valid").margin == 92 and model.margin == 8
    data = toy(size=(32, 36))
    images, masks = data.tensors()
    assert predict(model, images).shape == (3, 16, 20)
    counts = evaluate(model, data).confusion.counts
    assert torch.equal(counts.sum(1), torch.bincount(masks[:, 8:-8, 8:-8].flatten(), minlength=3))
    assert fit(model, data, data, quick(augment=None, steps=2)).steps == 2


def test_another_number_of_classes_is_no_score():
    with pytest.raises(ValueError, match="2 output channels, but the data set has 3 classes"):
        evaluate(net(classes=2), dataset(3))


def test_more_than_256_classes_do_not_wrap():
    class Many(nn.Module):
        def forward(self, x):
            logits = torch.zeros(len(x), 300, *x.shape[-2:])
            logits[:, 290] = 1
            return logits

    labels = predict(Many(), torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    assert labels.unique().tolist() == [290]


# ---------------------------------------------------------------- numbers that are none


def test_weights_that_are_not_numbers_are_named():
    data, model = dataset(3), net()
    with torch.no_grad():
        model[4].weight[1] = math.nan
    for call in (lambda: predict(model, data.tensors()[0]), lambda: evaluate(model, data)):
        with pytest.raises(FloatingPointError, match=r"6 of the 18 numbers in the weight 4.weight are nan or infinite"):
            call()
    model = net()
    model[1].running_var[2] = math.inf
    with pytest.raises(FloatingPointError, match=r"weight 1.running_var .*nothing to train on"):
        fit(model, data, None, quick())


def test_logits_that_are_not_numbers_name_the_images():
    class Bad(nn.Module):
        def forward(self, x):
            logits = x * 1.0
            logits[1, 0, 2, 2] = math.nan
            return logits

    with pytest.raises(FloatingPointError, match=r"not a number for 1 of 3 images \(image-1\)"):
        evaluate(Bad(), dataset(3))
    with pytest.raises(FloatingPointError, match=r"1 of 3 images \(number 1\)"):
        predict(Bad(), dataset(3).tensors()[0])


def test_a_class_that_is_ruled_out_is_no_fault():
    class Never(nn.Module):
        def forward(self, x):
            logits = x * 1.0
            logits[:, 2] = -math.inf
            return logits

    assert predict(Never(), dataset(3).tensors()[0]).max() < 2


# ---------------------------------------------------------------- nothing to score


def test_a_set_without_labels_scores_nan_and_says_so():
    scores = evaluate(net(), toy(fill=255))
    assert math.isnan(scores.mean_iou) and math.isnan(scores.pixel_accuracy) and scores.iou.isnan().all()
    assert scores.per_image.isnan().all() and scores.worst() == []
    assert "no labelled pixel: mean IoU nan" in repr(scores)
    empty = Evaluation(ConfusionMatrix(3, 255), ("a", "b", "c"), torch.zeros(0))
    assert math.isnan(empty.mean_iou)


def test_modes_come_back_after_an_error():
    class Falls(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Dropout()

        def forward(self, x):
            raise ValueError("falls")

    model = Falls()
    with pytest.raises(ValueError, match="falls"):
        predict(model, torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    assert model.training and model.inner.training


@pytest.mark.parametrize("number", [0, 2, -1, 256])
def test_void_is_no_class(number):
    with pytest.raises(ValueError, match=rf"ignore_index must be a number that is no class: 3 to 255.*not {number}"):
        toy(ignore=number)
