"""The public contracts as a type checker sees them. Never run: ``tests/machinery/test_types.py`` gives it to mypy.

Each line uses a public name as the notebooks do and says what comes out.
"""

from typing import assert_type

from torch import Tensor, nn

from segbook import anatomy, crf, data, losses, metrics, models, showing
from segbook.course.session import Run, setup
from segbook.data.dataset import SegmentationDataset
from segbook.evaluation import Evaluation, evaluate, predict
from segbook.training import History, Recipe, fit


def course(image: Tensor, mask: Tensor, probabilities: Tensor) -> None:
    run = setup("quick", seed=0)
    assert_type(run, Run)
    assert_type(run.recipe("unet"), Recipe)

    train = data.load("street", "train", size=(96, 128), count=8)
    assert_type(train, SegmentationDataset)
    assert_type(train.tensors(), tuple[Tensor, Tensor])
    assert_type(train.num_classes, int)

    assert_type(models.names(), list[str])
    net = models.build("unet", 11, width=0.25, in_channels=3)
    assert_type(net, nn.Module)

    assert_type(fit(net, train, None, Recipe(steps=1), checkpoint=None), History)
    scores = evaluate(net, train)
    assert_type(scores, Evaluation)
    assert_type(scores.mean_iou, float)
    assert_type(predict(net, image), Tensor)

    confusion = metrics.ConfusionMatrix(11, ignore_index=11).update(mask, mask)
    assert_type(confusion, metrics.ConfusionMatrix)
    assert_type(confusion.mean_iou(), float)
    assert_type(confusion.pixel_accuracy(), float)
    assert_type(confusion.iou(), Tensor)
    assert_type(metrics.trimap_iou(mask, mask, 3, 11, 11), float)

    dense = crf.DenseCRF(crf.Bilateral(4, 67, 3), crf.Gaussian(3, 1), iterations=5, method="lattice")
    assert_type(dense(image, probabilities), Tensor)

    assert_type(anatomy.count_parameters(net), int)
    assert_type(anatomy.count_macs(net, (96, 128)), int)
    assert_type(anatomy.stages(net, (96, 128)), anatomy.StageTable)
    assert_type(losses.median_frequency_weights(train), Tensor)
    assert_type(showing.measured(0.5), str)
