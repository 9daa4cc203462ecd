"""Work without a peer: rendering Street scenes, and U-Net's overlap-tile strategy."""

import torch
from measure import alone

import segbook as sb
from segbook.data import street
from segbook.models.unet import overlap_tile


def run(options) -> list:
    rows = []
    for size in ((96, 128), (360, 480)):

        def render(size=size):
            return [street.scene(0, "train", index, size) for index in range(8)]

        rows.append(alone(f"Street, one scene of {size[0]}×{size[1]}", render, runs=options.runs, times=8))
    net = sb.models.build("unet", 2, in_channels=1, padding="valid", width=1 / 8).eval()
    image = torch.randn(1, 1, 512, 512)
    with torch.inference_mode():
        whole, tiles = overlap_tile(net, image), overlap_tile(net, image, tile=252)
    assert torch.allclose(whole, tiles, atol=1e-4)
    for tile in (None, 252):
        work = f"U-Net at 1/8 of its width, 512×512, {'one tile' if tile is None else f'tiles of {tile}'}"

        def go(tile=tile):
            with torch.inference_mode():
                overlap_tile(net, image, tile)

        rows.append(alone(work, go, runs=options.runs, checked="same logits"))
    return [row for row in rows if options.only in row.work]
