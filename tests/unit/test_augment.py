"""Augmentation changes images and masks together, invents no class, and draws the same on every device."""

import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.v2 import functional as transforms

from segbook.data.augment import IMAGENET_MEAN, IMAGENET_STD, Augment, normalize


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(count=6, height=20, width=32, classes=11, seed=0):
    generator = seeded(seed)
    images = torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)
    masks = torch.randint(0, classes, (count, height, width), dtype=torch.uint8, generator=generator)
    return images, masks


def position_batch(count=8, height=40, width=60):
    """Float images whose red is the column and green the row, and masks that say the column."""
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    images = torch.stack((column, row, torch.zeros_like(row))).float().repeat(count, 1, 1, 1)
    return images, column.long().repeat(count, 1, 1)


EVERYTHING = Augment(flip=0.5, brightness=0.4, contrast=0.4, saturation=0.4, scale=(0.5, 2.0), crop=(16, 24))


def test_nothing_switched_on_changes_nothing():
    images, masks = batch()
    out_images, out_masks = Augment(flip=0)(images, masks, 11, seeded())
    assert torch.equal(out_images, images) and torch.equal(out_masks, masks)
    assert out_images.dtype == out_masks.dtype == torch.uint8


def test_flip_mirrors_image_and_mask():
    images, masks = batch()
    out_images, out_masks = Augment(flip=1)(images, masks, 11, seeded())
    assert torch.equal(out_images, images.flip(-1)) and torch.equal(out_masks, masks.flip(-1))


def test_each_sample_has_its_own_draw():
    images, masks = batch(count=400, height=2, width=4)
    out_images, out_masks = Augment(flip=0.25)(images, masks, 11, seeded())
    flipped = (out_images == images.flip(-1)).flatten(1).all(1)
    kept = (out_images == images).flatten(1).all(1)
    assert (flipped | kept).all() and 60 < flipped.sum() < 140
    assert torch.equal(out_masks[flipped], masks[flipped].flip(-1)) and torch.equal(out_masks[kept], masks[kept])


def test_flip_is_the_same_with_and_without_scaling():
    # Mirroring has a short way of its own when nothing is scaled or cropped; both must mirror the same samples.
    images, masks = batch(count=32)
    plain = Augment()(images, masks, 11, seeded(3))
    sampled = Augment(scale=(1.0, 1.0), crop=(20, 32))(images, masks, 11, seeded(3))
    assert torch.equal(plain[0], sampled[0]) and torch.equal(plain[1], sampled[1])


def test_crop_without_scaling_copies_pixels():
    images, masks = position_batch()
    out_images, out_masks = Augment(flip=0, crop=(8, 10))(images, masks, 255, seeded())
    assert out_images.shape == (8, 3, 8, 10) and out_masks.shape == (8, 8, 10)
    assert (out_images[:, 0] - out_masks).abs().max() < 1e-3
    assert (out_images[:, 0].diff(dim=2) - 1).abs().max() < 1e-3 and (
        out_images[:, 1].diff(dim=1) - 1
    ).abs().max() < 1e-3
    assert len(set(out_masks[:, 0, 0].tolist())) > 3  # the windows lie in different places


def test_windows_reach_every_edge():
    images, masks = position_batch(count=300, height=12, width=14)
    _, out_masks = Augment(flip=0, crop=(12, 10))(images, masks, 255, seeded())
    assert set(out_masks[:, 0, 0].tolist()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_scaled_image_and_mask_stay_aligned(flip):
    images, masks = position_batch()
    out_images, out_masks = Augment(flip=flip, scale=(0.6, 1.9), crop=(30, 44))(images, masks, 255, seeded())
    inside = out_masks != 255
    # Keep clear of the border, where the image fades into the fill colour.
    inside = inside & (F.max_pool2d((~inside).float()[:, None], 3, 1, 1)[:, 0] == 0)
    inside &= (out_masks > 1) & (out_masks < 58) & (out_images[:, 1] > 1) & (out_images[:, 1] < 38)
    difference = (out_images[:, 0] - out_masks)[inside]
    assert inside.float().mean() > 0.4
    # The mask is the image's column rounded to a whole one: off by half a pixel at most, and to no side on average.
    assert difference.abs().max() <= 0.501 and difference.mean().abs() < 0.03
    steps = out_images[:, 0].diff(dim=2)[inside[:, :, 1:] & inside[:, :, :-1]]
    assert (steps < 0).all() if flip else (steps > 0).all()


def test_shrunken_images_are_surrounded_by_ignored_pixels():
    images, masks = batch(count=4, height=40, width=60)
    out_images, out_masks = Augment(flip=0, scale=(0.5, 0.5))(images, masks, 11, seeded())
    ignored = out_masks == 11
    assert abs(ignored.float().mean().item() - 0.75) < 0.01
    deep = F.max_pool2d((~ignored).float()[:, None], 3, 1, 1)[:, 0] == 0
    fill = torch.tensor([round(255 * mean) for mean in IMAGENET_MEAN], dtype=torch.uint8)
    assert (out_images.permute(0, 2, 3, 1)[deep] == fill).all()
    assert normalize(out_images).permute(0, 2, 3, 1)[deep].abs().max() < 0.02


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
@pytest.mark.parametrize("ignore_index", [11, 255])
def test_no_class_is_invented(dtype, ignore_index):
    masks = torch.where(torch.rand(6, 20, 32, generator=seeded()) < 0.5, 3, 5).to(dtype)
    images, _ = batch()
    _, out = EVERYTHING(images, masks, ignore_index, seeded(1))
    assert out.dtype == dtype and set(out.unique().tolist()) <= {3, 5, ignore_index}
    # What would happen otherwise: class 4 appears, which is nowhere in the mask.
    wrong = F.interpolate(masks[:, None].float(), scale_factor=1.3, mode="bilinear").round()
    assert 4 in wrong.unique().tolist()


def test_high_labels_survive():
    images, _ = batch(count=2)
    masks = torch.full((2, 20, 32), 254, dtype=torch.uint8)
    _, out = Augment(flip=0, scale=(1.2, 1.5))(images, masks, 255, seeded())
    assert set(out.unique().tolist()) <= {254, 255} and (out == 254).float().mean() > 0.9


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16, torch.float64])
def test_dtype_size_and_range(dtype):
    images, masks = batch()
    images = images.to(dtype)
    before = images.clone(), masks.clone()
    out_images, out_masks = EVERYTHING(images, masks, 11, seeded())
    assert out_images.dtype == dtype and out_images.shape == (6, 3, 16, 24) and out_masks.shape == (6, 16, 24)
    assert torch.isfinite(out_images.float()).all() and out_images.min() >= 0 and out_images.max() <= 255
    assert torch.equal(images, before[0]) and torch.equal(masks, before[1])  # the inputs are left alone


def test_same_seed_same_batch_and_other_seed_other_batch():
    images, masks = batch()
    first, again, other = (EVERYTHING(images, masks, 11, seeded(seed)) for seed in (5, 5, 6))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_one_option_leaves_the_other_draws_alone():
    images, masks = batch(count=40)
    _, plain = Augment()(images, masks, 11, seeded(2))
    _, colored = Augment(brightness=0.3, contrast=0.3, saturation=0.3)(images, masks, 11, seeded(2))
    assert torch.equal(plain, colored)


def test_brightness_multiplies():
    images = torch.full((50, 3, 2, 2), 100.0)
    masks = torch.zeros(50, 2, 2, dtype=torch.uint8)
    out, _ = Augment(flip=0, brightness=0.2)(images, masks, 11, seeded())
    assert 79.9 <= out.min() < 85 and 115 < out.max() <= 120.1
    assert (out.flatten(1).std(dim=1) < 1e-4).all()


def test_contrast_keeps_the_mean_and_saturation_the_gray():
    images = 100 + 50 * torch.rand(8, 3, 10, 10, generator=seeded())
    masks = torch.zeros(8, 10, 10, dtype=torch.uint8)
    contrast, _ = Augment(flip=0, contrast=0.5)(images, masks, 11, seeded())
    torch.testing.assert_close(contrast.mean((1, 2, 3)), images.mean((1, 2, 3)))
    assert not torch.allclose(contrast.std((1, 2, 3)), images.std((1, 2, 3)))
    saturation, _ = Augment(flip=0, saturation=0.5)(images, masks, 11, seeded())
    torch.testing.assert_close(saturation.mean(1), images.mean(1))
    assert not torch.allclose(saturation, images)
    gray = images[:, :1].expand(-1, 3, -1, -1)
    torch.testing.assert_close(Augment(flip=0, saturation=0.9)(gray, masks, 11, seeded())[0], gray)


def test_extreme_factors_stay_in_range():
    images, masks = batch()
    out, _ = Augment(brightness=5, contrast=5, saturation=5)(images.float(), masks, 11, seeded())
    assert torch.isfinite(out).all() and out.min() >= 0 and out.max() <= 255


def test_normalize_agrees_with_torchvision():
    images, _ = batch()
    expected = transforms.normalize(images / 255, list(IMAGENET_MEAN), list(IMAGENET_STD))
    for given in (images, images.float(), images.to(memory_format=torch.channels_last)):
        out = normalize(given)
        assert out.dtype == torch.float32
        torch.testing.assert_close(out, expected)
    torch.testing.assert_close(normalize(images[0]), expected[0])


@pytest.mark.parametrize(
    "options",
    [
        {"flip": 1.5},
        {"brightness": -0.1},
        {"contrast": float("nan")},
        {"saturation": float("inf")},
        {"scale": (2.0, 0.5)},
        {"scale": (0.0, 1.0)},
        {"crop": (0, 4)},
    ],
)
def test_impossible_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Augment(**options)


def test_wrong_inputs_are_named():
    images, masks = batch()
    with pytest.raises(TypeError, match="int64"):
        normalize(images.long())
    with pytest.raises(ValueError, match="three channels"):
        normalize(images[:, :1])
    with pytest.raises(ValueError, match=r"masks \[N, H, W\]"):
        Augment()(images, masks[:, 1:], 11, seeded())
    with pytest.raises(ValueError, match="whole numbers"):
        Augment()(images, masks.float(), 11, seeded())
    with pytest.raises(ValueError, match="include 300"):
        Augment()(images, masks, 300, seeded())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_device_draws_the_same():
    images, masks = batch(count=16, height=60, width=80)
    for augment in (Augment(), EVERYTHING):
        on_cpu = augment(images.float(), masks, 11, seeded())
        on_gpu = augment(images.float().cuda(), masks.cuda(), 11, seeded())
        assert on_gpu[0].is_cuda and on_gpu[1].is_cuda
        # Sampling positions that fall between two pixels may round to either.
        assert (on_cpu[1] == on_gpu[1].cpu()).float().mean() > 0.999
        assert (on_cpu[0] - on_gpu[0].cpu()).abs().mean() < 0.05
