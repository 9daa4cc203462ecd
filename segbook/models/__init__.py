"""One file a paper, one interface for all: ``build(name, num_classes)`` maps images [N, C, H, W] to logits [N, K, H, W]."""

import inspect
from importlib import import_module

from torch import nn

# name -> module:class, fixed options. Several names may be one class with another option.
_REGISTRY = {
    "fcn32s": ("segbook.models.fcn:FCN", {"stride": 32}),
    "fcn16s": ("segbook.models.fcn:FCN", {"stride": 16}),
    "fcn8s": ("segbook.models.fcn:FCN", {"stride": 8}),
    "segnet": ("segbook.models.segnet:SegNet", {}),
    "unet": ("segbook.models.unet:UNet", {}),
    "deeplab_v1": ("segbook.models.deeplab_v1:DeepLabV1", {}),
    "deeplab_v2": ("segbook.models.deeplab_v2:DeepLabV2", {}),
    "deeplab_v3": ("segbook.models.deeplab_v3:DeepLabV3", {}),
    "deeplab_v3plus": ("segbook.models.deeplab_v3plus:DeepLabV3Plus", {}),
}


def names() -> list[str]:
    """The architectures that :func:`build` knows, in the order of the course."""
    return list(_REGISTRY)


def _constructor(name: str):
    if name not in _REGISTRY:
        raise ValueError(f"unknown model {name!r}; choose one of: {', '.join(names())}")
    path, fixed = _REGISTRY[name]
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute), fixed


def build(name: str, num_classes: int, *, width: float = 1.0, in_channels: int = 3, **paper_options) -> nn.Module:
    """Build one of :func:`names`.

    ``num_classes`` counts the classes without void. ``width=1.0`` is the paper's net; other values scale the channels and
    nothing else. ``paper_options`` are the options of the model's own class, described in its docstring.
    The model maps float images [N, in_channels, H, W] to logits [N, num_classes, H, W] for any H, W >= 32 (a U-Net with
    valid padding returns the smaller map of its paper). Raises ValueError for an unknown name, TypeError for an option
    that the model does not have.
    """
    constructor, fixed = _constructor(name)
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, got {num_classes}")
    if in_channels < 1:
        raise ValueError(f"in_channels must be at least 1, got {in_channels}")
    known = [p.name for p in inspect.signature(constructor).parameters.values() if p.kind == p.KEYWORD_ONLY]
    for option in paper_options:
        if option not in known or option in fixed:
            offered = [k for k in known if k not in ("width", "in_channels") and k not in fixed]
            raise TypeError(f"{name} has no option {option!r}; it has: {', '.join(offered) or 'none'}")
    return constructor(num_classes, width=width, in_channels=in_channels, **fixed, **paper_options)
