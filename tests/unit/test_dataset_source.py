"""What a data set asks of a source of one's own: an image, and labels of its pixels that are classes or void."""

import numpy as np
import pytest
import torch

from segbook.data.dataset import SegmentationDataset, check_dataset
from segbook.data.files import BadData


class Source:
    def __init__(self, image, mask):
        self.image, self.mask, self.names = image, mask, ["a"]

    def where(self, i):
        return "a.png"

    def read(self, i):
        return self.image, self.mask


def dataset(mask, image=None, classes=3, ignore_index=255):
    image = np.zeros((4, 5, 3), np.uint8) if image is None else image
    names = [f"c{k}" for k in range(classes)]
    return SegmentationDataset("toy", "train", Source(image, mask), names, np.zeros((classes + 1, 3)), ignore_index)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.int64])
def test_labels_of_any_integer_type_are_kept(dtype):
    mask = np.array([[0, 1, 2, 1, 0]] * 4, dtype)
    data = dataset(mask)
    assert data[0][1].tolist() == data.tensors()[1][0].tolist() == mask.tolist()
    assert data.tensors()[1].dtype == torch.uint8


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((4, 5), 290), "a.png: labels run from 290 to 290, but only 0 to 255"),  # as a byte: class 34
        (np.full((4, 5), -1), "labels run from -1 to -1"),
        (np.full((4, 5), 3), r"labels \[3\] are neither one of the 3 classes nor void \(255\)"),
        (np.zeros((4, 5), np.float32), "labels must be whole numbers, not float32"),
        (np.zeros((5, 4), np.uint8), r"labels \[5, 4\] do not fit the image \[4, 5\]"),
        (np.zeros((4, 5, 3), np.uint8), r"labels \[4, 5, 3\] do not fit"),
    ],
)
def test_other_labels_are_refused_with_the_files_name(mask, message):
    data = dataset(mask)
    for use in (lambda: data[0], data.tensors, data.class_counts):
        with pytest.raises(BadData, match=message):
            use()


@pytest.mark.parametrize(
    "image", [np.zeros((4, 5), np.uint8), np.zeros((4, 5, 4), np.uint8), np.zeros((4, 5, 3), np.float32)]
)
def test_other_images_are_refused(image):
    with pytest.raises(BadData, match=r"a.png: an image must be uint8 \[H, W, 3\], not"):
        dataset(np.zeros((4, 5), np.uint8), image)[0]


@pytest.mark.parametrize("yes", [True, np.True_, torch.tensor(True)])
def test_true_is_no_number_of_an_image(yes):
    data = dataset(np.zeros((4, 5), np.uint8))
    with pytest.raises(TypeError, match="indexed by numbers, not by True and False"):
        data.subset([yes])


def test_a_subset_of_torch_is_no_data_set():
    data = dataset(np.zeros((4, 5), np.uint8))
    check_dataset(data)
    with pytest.raises(
        TypeError, match=r"train must be a SegmentationDataset.*not Subset; its method subset\(indices\)"
    ):
        check_dataset(torch.utils.data.Subset(data, [0]), "train")
