"""Elastic deformation bends images and labels alike, by the number of pixels that the field says."""

import pytest
import torch

from segbook.data.elastic import deform, displacement_field


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_no_displacement_changes_nothing():
    images = torch.randint(256, (2, 3, 20, 30), dtype=torch.uint8)
    masks = torch.randint(5, (2, 20, 30))
    field = displacement_field((20, 30), seeded(), sigma=0, count=2)
    assert torch.equal(deform(images, field), images) and torch.equal(deform(masks, field), masks)


def test_a_constant_field_shifts_by_whole_pixels():
    image = torch.arange(12 * 10, dtype=torch.float32).view(1, 1, 12, 10)
    field = torch.zeros(1, 2, 12, 10)
    field[:, 0], field[:, 1] = 2, -1  # each pixel looks two down and one to the left
    moved = deform(image, field)
    torch.testing.assert_close(moved[0, 0, 3:9, 3:9], image[0, 0, 5:11, 2:8])
    mask = (torch.arange(120) % 7).view(1, 12, 10)
    assert torch.equal(deform(mask, field)[0, 3:9, 3:9], mask[0, 5:11, 2:8])


def test_the_image_is_mirrored_beyond_its_edge():
    image = torch.arange(8.0).expand(1, 1, 8, 8)
    field = torch.zeros(1, 2, 8, 8)
    field[:, 1] = -3
    torch.testing.assert_close(deform(image, field)[0, 0, 0, :4], torch.tensor([2.0, 1.0, 0.0, 0.0]))


def test_the_field_is_a_smooth_surface_through_three_by_three_gaussian_nodes():
    nodes = 10 * torch.randn(4, 2, 3, 3, generator=seeded(5))
    field = displacement_field((65, 97), seeded(5), sigma=10, count=4)
    torch.testing.assert_close(field[:, :, ::32, ::48], nodes)  # corners, middles of the sides, centre
    many = displacement_field((9, 9), seeded(1), sigma=4, count=500)[:, :, ::4, ::4]
    assert many.std().item() == pytest.approx(4, rel=0.05) and abs(many.mean().item()) < 0.2
    steps = field.diff(dim=-1).abs().amax()
    assert steps < 4  # neighbouring pixels move together


def test_labels_stay_labels_and_follow_the_picture():
    mask = torch.zeros(1, 64, 64, dtype=torch.long)
    mask[:, 20:40, 10:50] = 7
    image = mask[:, None].float().expand(1, 3, 64, 64)
    field = displacement_field((64, 64), seeded(2), sigma=6)
    bent, image = deform(mask, field), deform(image, field)
    assert bent.dtype == mask.dtype and set(bent.unique().tolist()) <= {0, 7} and not torch.equal(bent, mask)
    assert ((image[:, 0] > 3.5) == (bent == 7)).float().mean() > 0.995
    weights = deform(torch.rand(1, 64, 64), field)
    assert weights.dtype == torch.float32 and weights.shape == (1, 64, 64)


def test_each_image_has_its_own_field_and_seeds_repeat():
    field = displacement_field((16, 16), seeded(3), count=2)
    assert torch.equal(field, displacement_field((16, 16), seeded(3), count=2))
    assert not torch.equal(field[0], field[1])
    image = torch.rand(1, 1, 16, 16, generator=seeded()).expand(2, 1, 16, 16)
    bent = deform(image, field)
    assert not torch.equal(bent[0], bent[1])
    torch.testing.assert_close(deform(image, field[:1])[1], bent[0])


def test_bad_input():
    with pytest.raises(ValueError, match="at least 2 nodes a side, not 1"):
        displacement_field((8, 8), seeded(), grid=1)
    with pytest.raises(ValueError, match="sigma is a length"):
        displacement_field((8, 8), seeded(), sigma=-1)
    with pytest.raises(ValueError, match=r"got \[2, 8, 8\] and \[2, 2, 8, 9\]"):
        deform(torch.zeros(2, 8, 8), torch.zeros(2, 2, 8, 9))
    with pytest.raises(ValueError, match="need maps"):
        deform(torch.zeros(3, 8, 8), torch.zeros(2, 2, 8, 8))
