"""Pretrained weights: what the backbones share."""

from pathlib import Path

import torch


class WeightsNotFound(RuntimeError):
    """Pretrained weights are not here: neither installed, nor in torch's cache, nor to be downloaded."""


def pretrained_state(weights) -> dict[str, torch.Tensor]:
    """The state dict of a torchvision weight enum, such as ``torchvision.models.VGG16_Weights.IMAGENET1K_V1``.

    Taken from torch's cache, else downloaded and checked. Raises TypeError for anything else than such an enum, and
    WeightsNotFound with the address and the place in the cache when there is no network.
    """
    if not hasattr(weights, "get_state_dict"):
        raise TypeError(
            "weights must be a torchvision weight enum such as torchvision.models.VGG16_Weights.IMAGENET1K_V1, "
            f"got {weights!r}"
        )
    try:
        return weights.get_state_dict(progress=True, check_hash=True)
    except OSError as error:  # no network, no such host, cut connection
        raise WeightsNotFound(
            f"{weights} could not be loaded ({error}). Download {weights.url} on a machine with a network and put the "
            f"file into {torch.hub.get_dir()}/checkpoints, or build the net without weights"
        ) from error


def in_cache(weights) -> bool:
    """Whether the file of a torchvision weight enum lies in torch's cache, so that no network is needed to load it."""
    return (Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name).is_file()


def check_fits_pretrained(width: float, in_channels: int) -> None:
    """Refuse pretrained weights for a net they cannot fit."""
    if width != 1.0 or in_channels != 3:
        raise ValueError(
            f"pretrained weights fit the paper's net only: width=1.0 and in_channels=3, not width={width} and "
            f"in_channels={in_channels}"
        )


def load_pretrained(net, weights, width: float, in_channels: int) -> None:
    """Copy torchvision's weights into ``net`` through its ``load_torchvision``; without weights (None) do nothing.

    Raises ValueError for a net that they cannot fit, and what :func:`pretrained_state` raises.
    """
    if weights is not None:
        check_fits_pretrained(width, in_channels)
        net.load_torchvision(pretrained_state(weights))
