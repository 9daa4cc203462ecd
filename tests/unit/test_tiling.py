"""Images larger than the net's window: tiles, windows, and scaling with the aspect kept."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import segbook
import segbook.data as data
from segbook import tiling
from segbook.data.windows import windows


class Brightness(nn.Module):
    """Class 1 where a pixel is bright: what a tile answers does not depend on its surroundings."""

    def __init__(self):
        super().__init__()
        self.largest = (0, 0)

    def forward(self, x):
        self.largest = max(self.largest, tuple(x.shape[-2:]))
        bright = x.mean(1, keepdim=True)
        return torch.cat([-bright, bright], dim=1)


class Border(nn.Module):
    """Class 1 within 4 pixels of a tile's border, else 0: shows what is kept of each tile."""

    def forward(self, x):
        inside = torch.zeros_like(x[:, :1])
        inside[..., 4:-4, 4:-4] = 1
        return torch.cat([inside, 1 - inside], dim=1)


def noise(height, width, seed=0):
    return torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("length", [1, 31, 32, 33, 47, 64, 100, 321])
@pytest.mark.parametrize("tile, margin", [(32, 0), (32, 4), (33, 16)])
def test_pieces_cover_each_pixel_once(length, tile, margin):
    found = tiling.pieces(length, tile, margin)
    assert [n for _, kept in found for n in range(*kept)] == list(range(length))
    for (start, end), (first, last) in found:
        assert end - start == tile and start >= 0 and (end <= length or length < tile)
        assert (first == 0 or first - start >= margin) and (last == length or end - last >= margin)


def test_tiles_answer_like_the_whole_image_and_bound_what_the_net_sees():
    net, image = Brightness(), noise(101, 230)
    expected = segbook.predict(net, image[None], device="cpu")[0]
    net.largest = (0, 0)
    assert torch.equal(tiling.predict_tiled(net, image, (32, 48), device="cpu"), expected)
    assert net.largest == (32, 48)
    both = tiling.predict_tiled(net, image, (32, 48), probabilities=True, device="cpu")
    assert both.shape == (2, 101, 230) and torch.equal(both.argmax(0).byte(), expected)


def test_the_border_of_a_tile_is_kept_only_at_the_edge_of_the_image():
    labels = tiling.predict_tiled(Border(), noise(100, 150), (40, 40), overlap=8, device="cpu")
    assert labels[4:-4, 4:-4].sum() == 0 and labels[0].all() and labels[:, -1].all()


def test_an_image_smaller_than_the_tile_is_mirrored():
    net = Brightness()
    assert tiling.predict_tiled(net, noise(5, 9), (32, 32), device="cpu").shape == (5, 9) and net.largest == (32, 32)


def test_a_net_with_valid_padding_answers_as_in_overlap_tile():
    torch.manual_seed(0)
    net = segbook.models.build("unet", 3, width=0.0625, levels=2, padding="valid").eval()
    image = noise(70, 90)
    with torch.inference_mode():
        whole = segbook.models.unet.overlap_tile(net, data.normalize(image[None]))[0]
    labels = tiling.predict_tiled(net, image, (32, 32), device="cpu")
    assert (labels == whole.argmax(0)).float().mean() > 0.999  # equal up to rounding


def test_scaling_keeps_the_aspect():
    net, seen = Brightness(), []
    net.register_forward_hook(lambda module, given, out: seen.append(tuple(given[0].shape[-2:])))
    image = torch.zeros(3, 200, 100, dtype=torch.uint8)
    image[:, 40:160, 20:80] = 255
    labels = tiling.predict_scaled(net, image, (32, 32), device="cpu")
    assert set(seen) == {(32, 32)} and len(seen) == 1  # 64 x 32 pixels, in two tiles of one batch or more
    assert labels[45:155, 25:75].all() and labels[:35].sum() == 0 and labels[:, :15].sum() == 0


def test_enlarging_in_bands_is_bilinear_interpolation():
    probabilities = torch.rand(4, 7, 9, generator=torch.Generator().manual_seed(0))
    expected = nn.functional.interpolate(probabilities[None], (33, 50), mode="bilinear").argmax(1)[0].byte()
    for band in (10, 10**6):
        assert (tiling.enlarge_labels(probabilities, (33, 50), band) == expected).float().mean() > 0.999
    assert tiling.enlarge_labels(probabilities, (3, 4)).shape == (3, 4)


@pytest.fixture
def photos(tmp_path):
    """Three photographs of different sizes, the smallest below a window."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for number, (height, width) in enumerate([(70, 100), (40, 64), (20, 90), (70, 40), (64, 64)]):
        values = noise(height, width, number).numpy().transpose(1, 2, 0)
        Image.fromarray(values).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray((values[..., 0] > 99).astype(np.uint8)).save(tmp_path / "masks" / f"{number}.png")
    return tmp_path


def test_windows_cover_images_of_all_sizes_without_scaling(photos):
    whole = data.load("folder", "all", root=photos)
    cut, every = windows(whole, (32, 40), step=1)
    images, masks = cut.tensors()
    assert images.shape == (len(cut), 3, 32, 40) and len(cut) == every == 9 + 4 + 3 + 3 + 4
    assert cut.names()[:4] == ["0 at 0,0", "0 at 0,40", "0 at 0,60", "0 at 32,0"]
    assert torch.equal(images[3], whole[0][0][:, 32:64, :40].as_subclass(torch.Tensor))
    assert torch.equal(masks[3].long(), whole[0][1][32:64, :40].as_subclass(torch.Tensor))
    low = next(i for i, name in enumerate(cut.names()) if name == "2 at 0,0")
    assert (masks[low][20:] == cut.ignore_index).all() and (masks[low][:20] != cut.ignore_index).all()
    few, every = windows(whole, (32, 40), step=0.5, most=10)
    assert len(few) <= 10 < every and {name.split()[0] for name in few.names()} == set("01234")


def test_scores_are_taken_at_the_images_own_size(photos):
    whole = data.load("folder", "all", root=photos)
    scores = tiling.evaluate_tiled(Brightness(), whole, (32, 32), device="cpu")
    assert int(scores.confusion.counts.sum()) == 70 * 100 + 40 * 64 + 20 * 90 + 70 * 40 + 64 * 64
    assert len(scores.per_image) == 5
