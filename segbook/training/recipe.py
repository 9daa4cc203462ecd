"""The recipe of a training run: what decides how a network is trained, apart from the network and the data."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from segbook.data.augment import Augment
from segbook.losses import median_frequency_weights

OPTIMIZERS = ("adamw", "sgd")

SCHEDULES = ("one_cycle", "poly", "step", "constant")

CLASS_WEIGHTS = ("sqrt_median_frequency", "median_frequency", None)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides how a network is trained, apart from the network and the data.

    ``steps`` batches of ``batch_size`` images; ``optimizer`` "adamw" or "sgd" (with ``momentum``); ``learning_rate`` is the
    highest of the ``schedule`` ("one_cycle", "poly", "step", "constant", see :func:`learning_rate`); ``class_weights``
    "median_frequency", its square root, or None; ``augment`` changes each batch at random, None leaves it as it is;
    ``mixed_precision`` computes in bfloat16 on CUDA and has no effect elsewhere (it is slower on a CPU);
    ``channels_last`` stores the channels of a pixel side by side, which convolutions like; ``validate_every`` steps the
    validation set is scored, 0 scores it only at the end; ``seed`` decides order, augmentation and dropout.
    Raises ValueError naming the field that cannot be used.
    """

    steps: int = 400
    batch_size: int = 8
    optimizer: str = "adamw"
    learning_rate: float = 1e-2
    weight_decay: float = 1e-2
    momentum: float = 0.9
    schedule: str = "one_cycle"
    class_weights: str | None = "sqrt_median_frequency"
    augment: Augment | None = Augment(flip=0.5, brightness=0.2, contrast=0.2, saturation=0.2)
    mixed_precision: bool = False
    channels_last: bool = True
    validate_every: int = 0
    seed: int = 0

    def __post_init__(self):
        for name, lowest in (("steps", 1), ("batch_size", 1), ("validate_every", 0), ("seed", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
                raise ValueError(f"{name} must be a whole number of at least {lowest}, not {value!r}")
        for name, valid, wanted in (
            ("learning_rate", lambda x: 0 < x < math.inf, "a positive number"),
            ("weight_decay", lambda x: 0 <= x < math.inf, "a number of at least 0"),
            ("momentum", lambda x: 0 <= x < 1, "at least 0 and less than 1"),
        ):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not valid(value):
                raise ValueError(f"{name} must be {wanted}, not {value!r}")
        for name, choices in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("class_weights", CLASS_WEIGHTS),
            ("mixed_precision", (True, False)),
            ("channels_last", (True, False)),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {getattr(self, name)!r}")
        if not isinstance(self.augment, Augment | None):
            raise ValueError(f"augment must be a segbook.data.Augment or None, not {self.augment!r}")


def batch_order(count: int, recipe: Recipe) -> Tensor:
    """Which images form each batch: int64 [steps, batch_size].

    One random permutation of all ``count`` images after the other is cut into batches, so that every image is used once
    before any is used again; a batch may hold the end of one epoch and the beginning of the next.
    """
    if count == 0:
        raise ValueError("there is no image to train on")
    generator = torch.Generator().manual_seed(recipe.seed)
    needed = recipe.steps * recipe.batch_size
    epochs = [torch.randperm(count, generator=generator) for _ in range(math.ceil(needed / count))]
    return torch.cat(epochs)[:needed].view(recipe.steps, recipe.batch_size)


def class_weights(train, recipe: Recipe) -> Tensor | None:
    """The weights [K] that the recipe asks for, from how often each class occurs in ``train``."""
    if recipe.class_weights is None:
        return None
    return median_frequency_weights(train, power=0.5 if recipe.class_weights == "sqrt_median_frequency" else 1.0)


def learning_rate(recipe: Recipe, step: int) -> float:
    """Learning rate of a step (counted from 0), as a share of the recipe's ``learning_rate``.

    "one_cycle": half a cosine up from 1/25 during the first quarter, half a cosine down to 0 (Smith and Topin, 2017).
    "poly": (1 - step / steps) ** 0.9, the DeepLab schedule from v2 on. "step": a tenth after each third, as in
    DeepLab v1. "constant": 1.
    """
    share = step / recipe.steps  # of the training that is done
    if recipe.schedule == "one_cycle":
        if share < 0.25:
            factor = 1 / 25 + (1 - 1 / 25) * (1 - math.cos(math.pi * share / 0.25)) / 2
        else:
            factor = (1 + math.cos(math.pi * (share - 0.25) / 0.75)) / 2
    elif recipe.schedule == "poly":
        factor = (1 - share) ** 0.9
    elif recipe.schedule == "step":
        factor = 0.1 ** (3 * step // recipe.steps)
    else:
        factor = 1.0
    return recipe.learning_rate * factor
