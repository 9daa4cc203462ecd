"""Pretrained weights: what the backbones share."""

import pickle
from pathlib import Path

import torch
import torchvision
from torch import Tensor


class WeightsNotFound(RuntimeError):
    """Pretrained weights are not here (neither installed, nor in torch's cache, nor to be downloaded) or cannot be used."""


class WeightsDoNotFit(WeightsNotFound, ValueError):
    """The file of pretrained weights holds those of another net."""


def pretrained_state(weights) -> dict[str, torch.Tensor]:
    """The state dict of a torchvision weight enum, such as ``torchvision.models.VGG16_Weights.IMAGENET1K_V1``.

    Taken from torch's cache, else downloaded and checked. Raises TypeError for anything else than such an enum, and
    WeightsNotFound with the address and the place in the cache when there is no network, or when what lies in the cache is
    damaged: a download that was cut, a web page that was saved under the name.
    """
    if not hasattr(weights, "get_state_dict"):
        raise TypeError(
            "weights must be a torchvision weight enum such as torchvision.models.VGG16_Weights.IMAGENET1K_V1, "
            f"got {weights!r}"
        )
    try:
        # A file in the cache is not compared with its hash again: nothing in it may run as code.
        plain = {"weights_only": True} if isinstance(weights, torchvision.models.WeightsEnum) else {}
        state = weights.get_state_dict(progress=True, check_hash=True, **plain)
        if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
            raise ValueError("it holds something else than a state dict")
    except MemoryError:
        raise
    except OSError as error:  # no network, no such host, cut connection
        raise WeightsNotFound(
            f"{weights} could not be loaded ({error}). Download {weights.url} on a machine with a network and put the "
            f"file into {cached_file(weights).parent}, or build the net without weights"
        ) from error
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError, AttributeError, ImportError) as error:
        # A wrong hash and a cut archive are RuntimeErrors; what else a damaged file raises is up to the unpickler.
        raise WeightsNotFound(
            f"the file {cached_file(weights)} is damaged or no file of weights ({_first_line(error)}). {_remedy(weights)}"
        ) from error
    return state


def cached_file(weights) -> Path:
    """Where torch's cache keeps the file of a torchvision weight enum."""
    return Path(torch.hub.get_dir()) / "checkpoints" / Path(weights.url).name


def _remedy(weights) -> str:
    return f"Delete it and load again, which downloads it; without a network put {weights.url} there yourself"


def _first_line(error: Exception) -> str:
    return " ".join((str(error).strip() or type(error).__name__).split())[:200]


def in_cache(weights) -> bool:
    """Whether the file of a torchvision weight enum lies in torch's cache, so that no network is needed to load it."""
    return cached_file(weights).is_file()


def check_fits_pretrained(width: float, in_channels: int) -> None:
    """Refuse pretrained weights for a net they cannot fit."""
    if width != 1.0 or in_channels != 3:
        raise ValueError(
            f"pretrained weights fit the paper's net only: width=1.0 and in_channels=3, not width={width} and "
            f"in_channels={in_channels}"
        )


def load_pretrained(net, weights, width: float, in_channels: int) -> None:
    """Copy torchvision's weights into ``net`` through its ``load_torchvision``; without weights (None) do nothing.

    Raises ValueError for a net that they cannot fit, what :func:`pretrained_state` raises, and WeightsDoNotFit naming the
    file whose weights are another net's.
    """
    if weights is not None:
        check_fits_pretrained(width, in_channels)
        state = pretrained_state(weights)
        try:
            net.load_torchvision(state)
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsDoNotFit(
                f"the weights in {cached_file(weights)} do not fit this net ({_first_line(error)}). If {weights} is what "
                f"you meant, the file is another net's. {_remedy(weights)}"
            ) from error
