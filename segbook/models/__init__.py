"""One file a paper, one interface for all: ``build(name, num_classes)`` maps images [N, C, H, W] to logits [N, K, H, W]."""

import inspect
from importlib import import_module

from torch import nn

from segbook import backbones
from segbook.guards import whole

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

# The second nets of three papers.
_VARIANTS = {
    "fcn_alexnet": ("segbook.models.fcn:FCNAlexNet", {}),
    "segnet_basic": ("segbook.models.segnet:SegNetBasic", {}),
    "deeplab_v3_cascade": ("segbook.models.deeplab_v3:DeepLabV3Cascade", {}),
}


def names(*, variants: bool = False) -> list[str]:
    """The architectures of the course in its order; with ``variants`` also the second nets that some papers have."""
    return [*_REGISTRY, *(_VARIANTS if variants else ())]


def _constructor(name: str):
    known = {**_REGISTRY, **_VARIANTS}
    if name not in known:
        raise ValueError(f"unknown model {name!r}; choose one of: {', '.join(known)}")
    path, fixed = known[name]
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute), fixed


def _options(constructor, fixed: dict, backbone: str | None) -> list[str]:
    """The names of a net's options beyond width and channels, and of those that it passes on to its backbone."""
    parameters = inspect.signature(constructor).parameters
    known = [p.name for p in parameters.values() if p.kind == p.KEYWORD_ONLY]
    if "backbone_options" in parameters:
        backbone = backbone or parameters["backbone"].default
        known += backbones.own_options(backbone) if backbone in backbones.CLASSES else []
    return [name for name in dict.fromkeys(known) if name not in ("width", "in_channels", *fixed)]


def build(name: str, num_classes: int, *, width: float = 1.0, in_channels: int = 3, **paper_options) -> nn.Module:
    """Build one of :func:`names`, variants included.

    ``num_classes`` counts the classes without void. ``width=1.0`` is the paper's net; other values scale the channels and
    nothing else. ``paper_options`` are the options of the model's own class, described in its docstring.
    ``backbone="efficientnet_lite0"`` builds the paper's head on that net instead, with ``backbone_weights="imagenet"`` from
    its installed weights; see ``segbook.models.on_lite0`` for the options then.
    The model maps float images [N, in_channels, H, W] to logits [N, num_classes, H, W] for any H, W >= 32 (a U-Net with
    valid padding returns the smaller map of its paper). Raises ValueError for an unknown name, TypeError for an option
    that the model does not have.
    """
    constructor, fixed = _constructor(name)
    if paper_options.get("backbone") == "efficientnet_lite0":
        from segbook.models import on_lite0

        constructor = on_lite0.constructor(name)
        paper_options = {option: value for option, value in paper_options.items() if option != "backbone"}
    whole("num_classes", num_classes, 1)
    whole("in_channels", in_channels, 1)
    offered = _options(constructor, fixed, paper_options.get("backbone"))
    for option in paper_options:
        if option not in offered:
            raise TypeError(f"{name} has no option {option!r}; it has: {', '.join(offered) or 'none'}")
    return constructor(num_classes, width=width, in_channels=in_channels, **fixed, **paper_options)
