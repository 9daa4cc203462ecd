"""The two ways to run the course, defined in this one place.

``quick`` runs on a CPU in minutes: small images, thin nets, few steps. It is what the stored outputs, the tests and a
learner's laptop use. ``full`` wants a GPU and real data: the papers' widths at CamVid's resolution.
"""

from dataclasses import dataclass, field, replace

from segbook.data.augment import Augment
from segbook.training import Recipe


@dataclass(frozen=True)
class Profile:
    """Sizes, counts, widths and recipes of one way to run.

    ``size`` (height, width) in pixels and ``count`` (images a split, None = all) by data set, with ``"*"`` for the rest;
    ``width``, ``recipe`` and ``options`` by model, likewise. ``options`` are what a net needs in this profile beyond its
    width: the defaults of ``sb.models.build`` are always the paper's. ``stands_in`` names, for a model that is too heavy
    here, the smaller net of the same paper that is built instead.
    """

    name: str
    size: dict[str, tuple[int, int] | None]
    count: dict[str, dict[str, int | None]]
    width: dict[str, float]
    recipe: dict[str, Recipe]
    options: dict[str, dict] = field(default_factory=dict)
    stands_in: dict[str, str] = field(default_factory=dict)

    def size_for(self, dataset: str) -> tuple[int, int] | None:
        """(height, width) of a data set's images; None leaves every file its own size."""
        return self.size.get(dataset, self.size["*"])

    def count_for(self, dataset: str, split: str) -> int | None:
        """How many images of a split are used; None for all."""
        return self.count.get(dataset, self.count["*"]).get(split)

    def width_for(self, model: str, backbone: str | None = None) -> float:
        """The factor on a net's channels; 1 is the paper's, and that of a backbone with ImageNet weights."""
        return 1.0 if backbone == LITE0 else self.width.get(model, self.width["*"])

    def architecture_for(self, model: str) -> str:
        """The name under which ``sb.models.build`` knows the net that is built for a model."""
        return self.stands_in.get(model, model)

    def options_for(self, model: str, backbone: str | None = None) -> dict:
        """What a net is built with beside its width: options of ``sb.models.build``."""
        if backbone == LITE0:
            return {"backbone": LITE0, **self.options.get(f"{model} on {LITE0}", {})}
        return self.options.get(model, {})

    def recipe_for(self, model: str, **changes) -> Recipe:
        """The recipe of a net, with changes to its fields. Raises TypeError for a field that a recipe does not have."""
        return replace(self.recipe.get(model, self.recipe["*"]), **changes)


#: The backbone whose ImageNet weights are installed: nets on it start from them and keep its width. Its name is also that of
#: the recipe for training the whole net on.
LITE0 = "efficientnet_lite0"

# No ImageNet weights: the nets on VGG-16 train from scratch only with batch norm. FCN's padding of 100 pixels would make a
# image of 96x128 eight times as large, so the crop-free form of the same net is used.
_FCN = ("fcn32s", "fcn16s", "fcn8s")
_FROM_SCRATCH = {
    **dict.fromkeys(_FCN, {"padding": 1, "batch_norm": True}),
    "deeplab_v1": {"batch_norm": True},
}

# Every stage of SegNet's decoder is one more to be learnt before a value reaches full size. At equal CPU time three stages
# of SegNet-Basic learnt more than four, 16 maps with 5x5 kernels more than 8 with 7x7, and all of them more than VGG-16's.
_SMALL_SEGNET = {"stages": 3, "kernel_size": 5}

# On a map of 3x4 cells the paper's 4096 channels of fc6 and fc7 gain nothing over 1024 and cost a third of the time.
_SMALL_FC = {"fc_channels": 1024}

# At 96x128 pixels the score map has 12x16 cells, on which nearly all taps of the paper's rate 12 lie outside: rate 4 is
# about the same part of the map as rate 12 of the paper's 41x41.
_SMALL_LARGE_FOV = {"batch_norm": True, "field_of_view": (3, 4, 1024), "dropout": 0.2}

# Rates that are as large a part of 12x16 cells as 6, 12, 18, 24 are of the paper's 41x41. In five seconds from scratch a
# ResNet whose blocks start as the identity got 0.30 mIoU, a VGG-16 of the same cost 0.19.
_SMALL_V2 = {"backbone": "resnet50", "rates": (2, 4, 6, 8), "zero_init_residual": True}

# At output stride 16 the map of 96x128 pixels has 6x8 cells, where the paper's rates (6, 12, 18 on 33x33 cells, 2, 4, 8 in
# block 4) would reach over the edge: rates that are as large a part of this map instead. Without ImageNet weights blocks
# that start as the identity learn much faster. The rates belong to output stride 16: at 8 they must be doubled by hand.
_SMALL_V3 = {"backbone": "resnet50", "multi_grid": (1, 1, 1), "rates": (1, 2, 3), "zero_init_residual": True}

# On Lite0, rates that are as large a part of the maps of 96x128 and 192x256 pixels as the papers' of theirs.
_SMALL_RATES_ON_LITE0 = {
    f"deeplab_v1 on {LITE0}": {"rate": 4},
    f"deeplab_v2 on {LITE0}": {"rates": (2, 4, 6, 8)},
    f"deeplab_v3 on {LITE0}": {"rates": (2, 4, 6)},
    f"deeplab_v3plus on {LITE0}": {"rates": (2, 4, 6)},
}

# Measured on a two-core CPU: AdamW with one cycle beats SGD at every budget tried, square-root class weights wake the thin
# classes without drowning the rest, and zooming costs more than it gives in a dozen epochs.
_QUICK_RECIPE = Recipe(
    steps=400,
    batch_size=8,
    optimizer="adamw",
    learning_rate=1e-2,
    weight_decay=1e-2,
    schedule="one_cycle",
    class_weights="sqrt_median_frequency",
    augment=Augment(flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2),
)

# Planned for one GPU with 80 GB and ten minutes a net; chosen by arithmetic and not yet tuned on one. Sixteen images
# a step keep 5 to 11 GB for the backward pass in bfloat16. One cycle, because a deep net from scratch wants a warm-up;
# a fifth of the quick profile's learning rate, because the nets are four to eight times as wide; zoom and a window of
# the image's own size, because here every image is seen about a hundred times.
_FULL_RECIPE = replace(
    _QUICK_RECIPE,
    steps=4000,
    batch_size=16,
    learning_rate=2e-3,
    augment=Augment(flip=0.5, brightness=0.3, contrast=0.3, saturation=0.3, scale=(0.75, 2.0), crop=(360, 480)),
    mixed_precision=True,
    validate_every=500,
)

# Steps by what an image of 360x480 costs: 75 GMAC for the FCNs, 107 SegNet, 127 U-Net, 83 DeepLab v1, 119 v2, 45 v3,
# 34 v3+. The many small layers of ResNet and Xception are bound by memory and count double. The nets with 4096 or 1024
# channels behind dropout, without batch norm there, take half the learning rate.
_FULL_RECIPES = {
    **dict.fromkeys(_FCN, replace(_FULL_RECIPE, learning_rate=1e-3)),
    "segnet": replace(_FULL_RECIPE, steps=3000),
    "unet": replace(_FULL_RECIPE, steps=2500),
    "deeplab_v1": replace(_FULL_RECIPE, steps=3500, learning_rate=1e-3),
    "deeplab_v2": replace(_FULL_RECIPE, steps=2000),
    LITE0: replace(_FULL_RECIPE, learning_rate=1e-3),
}

QUICK = Profile(
    name="quick",
    size={"cells": (128, 128), "isbi2012": (256, 256), "*": (96, 128)},
    count={
        "street": {"train": 200, "val": 50, "test": 100},
        "camvid": {"train": 367, "val": 101, "test": 233},
        "cells": {"train": 60, "val": 20, "test": 20},
        "folder": {},  # your own images: all of them
        "*": {"train": 200, "val": 50, "test": 100},
    },
    width={
        "unet": 0.125,
        "deeplab_v1": 0.125,
        "deeplab_v2": 0.125,
        "deeplab_v3": 0.125,
        "deeplab_v3_cascade": 0.125,
        "deeplab_v3plus": 0.125,
        **dict.fromkeys(_FCN, 0.125),
        "*": 0.25,
    },
    recipe={
        "unet": replace(_QUICK_RECIPE, steps=750, batch_size=4),
        "segnet": replace(_QUICK_RECIPE, steps=400, batch_size=4),
        "deeplab_v3": replace(_QUICK_RECIPE, steps=160, learning_rate=2e-2),
        "deeplab_v3plus": replace(_QUICK_RECIPE, steps=240, batch_size=4, learning_rate=2e-2),
        "deeplab_v2": replace(_QUICK_RECIPE, steps=150, batch_size=4),
        "deeplab_v1": replace(_QUICK_RECIPE, steps=300, batch_size=4, learning_rate=5e-3),
        # Chapter 06 trains nine of them: many small batches teach more in the same time than few large ones.
        **dict.fromkeys(_FCN, replace(_QUICK_RECIPE, steps=220, batch_size=4, learning_rate=5e-3)),
        LITE0: replace(_QUICK_RECIPE, steps=300, learning_rate=2e-3),
        "*": _QUICK_RECIPE,
    },
    options=_FROM_SCRATCH
    | {"segnet": _SMALL_SEGNET, "deeplab_v1": _SMALL_LARGE_FOV, "deeplab_v2": _SMALL_V2, "deeplab_v3": _SMALL_V3}
    | {"deeplab_v3_cascade": _SMALL_V3, "deeplab_v3plus": _SMALL_V3}
    | _SMALL_RATES_ON_LITE0
    | dict.fromkeys(_FCN, _FROM_SCRATCH["fcn8s"] | _SMALL_FC),
    stands_in={"segnet": "segnet_basic"},
)

FULL = Profile(
    name="full",
    size={"cells": (512, 512), "isbi2012": (512, 512), "*": (360, 480)},
    count={
        "street": {"train": 2000, "val": 200, "test": 400},
        "cells": {"train": 200, "val": 20, "test": 40},
        "*": {},
    },
    width={"*": 1.0},
    recipe={**_FULL_RECIPES, "*": _FULL_RECIPE},
    options=_FROM_SCRATCH,
)

PROFILES = {"quick": QUICK, "full": FULL}


def get(name: str) -> Profile:
    """The profile of this name. Raises ValueError naming the choices."""
    if name not in PROFILES:
        raise ValueError(f"unknown profile {name!r}; choose one of: {', '.join(PROFILES)}")
    return PROFILES[name]
