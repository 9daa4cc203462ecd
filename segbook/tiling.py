"""Large images in pieces: label them tile by tile, at their own scale and with bounded memory.

A net that was trained on windows of images is used on windows, too: never on the image squeezed into the window's size.
Tiles overlap, and of each only the middle is kept: near its border a tile lacks surroundings, and a label there is worse.
At the edge of the image the tile's own edge is kept, as there is nothing beyond. A net with valid padding gets its
surroundings mirrored, as Ronneberger, Fischer and Brox do (figure 2 of the U-Net paper;
``segbook.models.unet.overlap_tile``).
"""

import math

import torch
from torch import Tensor, nn

from segbook.evaluation import Evaluation, label_type, predict, tally
from segbook.models.unet import mirrored

#: A tile and what is kept of it: its first and last row or column, and those of the kept part; the last are excluded.
Piece = tuple[tuple[int, int], tuple[int, int]]


def pieces(length: int, tile: int, margin: int) -> list[Piece]:
    """Cover ``length`` pixels with tiles of ``tile`` pixels whose kept parts touch without gap or overlap.

    ``margin`` pixels at least are cut from a tile where another one follows. A length below ``tile`` gives one tile that
    reaches beyond the end.
    """
    if not 0 <= 2 * margin < tile:
        raise ValueError(f"a tile of {tile} pixels cannot lose {margin} on each side")
    step = tile - 2 * margin
    starts = [*range(0, max(length - tile, 0), step), max(length - tile, 0)]
    ends = [*(start + tile - margin for start in starts[:-1]), length]
    return [((start, start + tile), (begin, end)) for start, begin, end in zip(starts, [0, *ends[:-1]], ends)]


def cut(image: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """The part [..., h, w] of an image [..., H, W]; what lies beyond its edges is mirrored."""
    height, width = image.shape[-2:]
    if rows[0] >= 0 and columns[0] >= 0 and rows[1] <= height and columns[1] <= width:
        return image[..., rows[0] : rows[1], columns[0] : columns[1]]
    row, column = mirrored(torch.arange(*rows), height), mirrored(torch.arange(*columns), width)
    return image[..., row.to(image.device), :][..., column.to(image.device)]


def predict_tiled(
    model: nn.Module,
    image: Tensor,
    tile: tuple[int, int],
    overlap: int | None = None,
    *,
    batch_size: int = 16,
    probabilities: bool = False,
    device=None,
) -> Tensor:
    """Labels uint8 [H, W] of one image uint8 [3, H, W] of any size, or probabilities float32 [K, H, W]; on the CPU.

    The net sees ``tile`` (height, width) pixels at a time, at the image's own scale. Neighbouring tiles share ``overlap``
    pixels (by default a quarter of the shorter side), and of each the middle is kept. Labels need no more memory than a
    batch of tiles beside the image. A net with valid padding (``model.margin``) gets mirrored surroundings.
    """
    height, width = image.shape[-2:]
    margin = (min(tile) // 4 if overlap is None else overlap) // 2
    lost = getattr(model, "margin", 0)  # what a net with valid padding cuts from each side itself
    rows, columns = (
        _valid_pieces(model, length, side) if lost else pieces(length, side, margin)
        for length, side in zip((height, width), tile)
    )
    places = [(row, column) for row in rows for column in columns]
    result = None
    for start in range(0, len(places), batch_size):
        batch = places[start : start + batch_size]
        windows = [
            cut(image, (top - lost, bottom + lost), (left - lost, right + lost))
            for ((top, bottom), _), ((left, right), _) in batch
        ]
        found = predict(model, torch.stack(windows), batch_size=batch_size, probabilities=probabilities, device=device)
        if result is None:
            result = found.new_empty((*found.shape[1:-2], height, width))
        for one, (((top, _), kept_rows), ((left, _), kept_columns)) in zip(found, batch):
            inside = (
                slice(kept_rows[0] - top, kept_rows[1] - top),
                slice(kept_columns[0] - left, kept_columns[1] - left),
            )
            result[..., slice(*kept_rows), slice(*kept_columns)] = one[(..., *inside)]
    return result


def _valid_pieces(model: nn.Module, length: int, tile: int) -> list[Piece]:
    """Tiles of the net's output that start at multiples of its pooling: elsewhere other pixels would be pooled together."""
    pool = 2**model.levels
    out = model.next_size(max(tile, pool) + 2 * model.margin) - 2 * model.margin
    starts = range(0, length, out // pool * pool)
    return [((start, start + out), (start, min(start + out // pool * pool, length))) for start in starts]


def predict_scaled(model: nn.Module, image: Tensor, size: tuple[int, int], *, device=None) -> Tensor:
    """Labels uint8 [H, W] of one image uint8 [3, H, W], by a net that has learnt from whole images of ``size``.

    The image is brought to the smallest size that covers ``size`` with its aspect kept, and what is longer than that on
    one side is tiled. The probabilities are enlarged again, not the labels.
    """
    from torchvision.transforms.v2 import functional as transform

    height, width = image.shape[-2:]
    factor = max(size[0] / height, size[1] / width)
    small = [max(side, math.floor(factor * length + 0.5)) for side, length in zip(size, (height, width))]
    scaled = transform.resize(image, small, antialias=True) if small != [height, width] else image
    return enlarge_labels(predict_tiled(model, scaled, size, probabilities=True, device=device), (height, width))


def enlarge_labels(probabilities: Tensor, size: tuple[int, int], band: int = 2_000_000) -> Tensor:
    """Labels uint8 [H, W] at ``size`` from probabilities [K, h, w] that are interpolated bilinearly.

    Works in bands of rows of about ``band`` pixels, so that K maps of the whole size never exist.
    """
    (height, width), rows_there = size, probabilities.shape[-2]
    # Where the centre of each row lies among the rows that there are.
    places = ((torch.arange(height) + 0.5) * rows_there / height - 0.5).clamp(0, rows_there - 1)
    labels = torch.empty(size, dtype=label_type(len(probabilities)))
    for rows in torch.arange(height).split(max(1, band // width)):
        above = places[rows].floor().long()
        below = (above + 1).clamp(max=rows_there - 1)
        lines = torch.lerp(probabilities[:, above], probabilities[:, below], (places[rows] - above)[:, None])
        wide = nn.functional.interpolate(lines[None], (len(rows), width), mode="bilinear")[0]
        labels[rows[0] : rows[-1] + 1] = wide.argmax(0)
    return labels


def evaluate_tiled(model: nn.Module, dataset, tile: tuple[int, int], *, device=None) -> Evaluation:
    """:func:`segbook.evaluate` for images of any size: each is read when its turn comes and scored at its own resolution."""
    pairs = (dataset[i] for i in range(len(dataset)))
    return tally(
        dataset,
        (
            (predict_tiled(model, image.as_subclass(Tensor), tile, device=device), target.as_subclass(Tensor))
            for image, target in pairs
        ),
    )
