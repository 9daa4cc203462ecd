"""Elastic deformation: new images from old ones by bending the sheet they are on (U-Net, section 3.1)."""

import torch
import torch.nn.functional as F
from torch import Tensor


def displacement_field(
    size: tuple[int, int], generator: torch.Generator, *, sigma: float = 10.0, grid: int = 3, count: int = 1
) -> Tensor:
    """Random smooth shifts: float32 [count, 2, H, W], down and right in pixels.

    On a coarse ``grid`` x ``grid``, whose outer nodes are the image's corners, every node is shifted by a Gaussian of
    standard deviation ``sigma`` pixels in each direction; bicubic interpolation gives every pixel its own. 3 x 3 and 10
    pixels are the paper's, for tiles of several hundred pixels. ``generator`` is a CPU generator.
    """
    if grid < 2:
        raise ValueError(f"the coarse grid needs at least 2 nodes a side, not {grid}")
    if sigma < 0:
        raise ValueError(f"sigma is a length in pixels, at least 0; got {sigma}")
    nodes = sigma * torch.randn(count, 2, grid, grid, generator=generator)
    return F.interpolate(nodes, size=tuple(size), mode="bicubic", align_corners=True)


def deform(maps: Tensor, field: Tensor) -> Tensor:
    """Bend images or label maps: each pixel takes the value that lies ``field`` away from it.

    ``maps``: images [N, C, H, W] or label maps [N, H, W]; dtype and shape stay. Floating-point and uint8 images
    are interpolated bilinearly, label maps (three axes, whole numbers) take the nearest pixel, because halfway between
    two labels lies no third one. A map of weights is a floating-point [N, H, W] and is interpolated like an image.
    ``field``: [N, 2, H, W] from :func:`displacement_field`, [1, 2, H, W] bends all alike. Beyond its edge the image is
    mirrored. Raises ValueError when the sizes differ.
    """
    height, width = maps.shape[-2:]
    if maps.ndim not in (3, 4) or field.shape[1:] != (2, height, width) or len(field) not in (1, len(maps)):
        raise ValueError(
            f"need maps [N, C, H, W] or [N, H, W] and a field [N, 2, H, W]; got {list(maps.shape)} and {list(field.shape)}"
        )
    field = field.to(maps.device).expand(len(maps), -1, -1, -1)
    y = torch.arange(height, device=maps.device)[:, None] + field[:, 0]
    x = torch.arange(width, device=maps.device) + field[:, 1]
    # grid_sample counts from -1 to 1 between the outer edges of the image, x first.
    places = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), dim=-1)
    labels = maps.ndim == 3 and not maps.is_floating_point()
    values = maps if maps.ndim == 4 else maps[:, None]
    bent = F.grid_sample(
        values.float(), places, mode="nearest" if labels else "bilinear", padding_mode="reflection", align_corners=False
    )
    if not maps.is_floating_point():
        bent = bent.round()
    return bent.view(maps.shape).to(maps.dtype)
