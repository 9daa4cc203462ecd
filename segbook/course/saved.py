"""A trained model in one file: the weights, and what is needed to build the net and paint its labels again."""

import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from segbook import models
from segbook.evaluation import check_finite_weights
from segbook.training.checkpoints import load_saved, save_whole

FORMAT = "segbook model 1"


@dataclass(frozen=True)
class ModelCard:
    """What a saved model is: its architecture, and the classes and image size (height, width) it was trained on.

    ``options`` are those of ``sb.models.build`` beyond the width, such as ``{"padding": 1}``: plain values only. Pretrained
    weights are none of them, the file brings its own. ``view`` says what the net has seen: "whole" images brought to
    ``size``, or "window"s of that size at the images' own scale; without it the data set's name tells. ``stretch``: (low,
    high) of images with more than 8 bits, see ``segbook.data.files.Stretch``.
    """

    model: str
    width: float
    classes: list[str]
    palette: list[list[int]]
    size: list[int] | None
    dataset: str
    options: dict = field(default_factory=dict)
    view: str | None = None
    stretch: list[float] | None = None

    @property
    def sees_windows(self) -> bool:
        """Whether a larger image is to be labelled in tiles at its own scale, not as a whole brought to ``size``."""
        return (self.view or ("window" if self.dataset in ("folder", "cells") else "whole")) == "window"

    def problem(self) -> str:
        """What about this card cannot be, in words; empty for a card as ``segbook train`` writes it."""

        def whole(value, low, high) -> bool:
            return type(value) is int and low <= value <= high

        def number(value) -> bool:
            return type(value) in (int, float) and math.isfinite(value)

        def is_list(value, fits, *lengths) -> bool:
            return isinstance(value, list | tuple) and (not lengths or len(value) in lengths) and all(map(fits, value))

        def color(value) -> bool:
            return is_list(value, lambda n: whole(n, 0, 255), 3)

        count = len(self.classes) if isinstance(self.classes, list | tuple) else 0
        plain = bool | int | float | str | None | list | tuple
        checks = {
            "model": isinstance(self.model, str),
            "width": number(self.width) and 0 < self.width <= 16,
            "classes": is_list(self.classes, lambda n: isinstance(n, str)) and 1 <= count <= 255,
            "palette": is_list(self.palette, color, count + 1),
            "size": self.size is None or is_list(self.size, lambda n: whole(n, 1, 20_000), 2),
            "dataset": isinstance(self.dataset, str),
            "options": isinstance(self.options, dict)
            and all(isinstance(k, str) and isinstance(v, plain) for k, v in self.options.items()),
            "view": self.view in (None, "whole", "window"),
            "stretch": self.stretch is None or (is_list(self.stretch, number, 2) and self.stretch[0] < self.stretch[1]),
        }
        wrong = [name for name, fits in checks.items() if not fits]
        return f"{wrong[0]} is {getattr(self, wrong[0])!r:.60}" if wrong else ""

    def build(self) -> nn.Module:
        """The net with new weights. Raises ValueError or TypeError for what ``sb.models.build`` does not know."""
        return models.build(self.model, len(self.classes), width=self.width, **self.options)


def save_model(path: str | os.PathLike, model: nn.Module, card: ModelCard) -> None:
    """Write the model to ``path`` under another name first, so that the file is never half there.

    Raises ValueError, before anything is written, when the card does not describe this model (the file could not be loaded),
    and FloatingPointError when a weight is not a finite number.
    """
    with torch.device("meta"):
        described = card.build().state_dict()
    if problem := card.problem():
        raise ValueError(f"the card cannot be: {problem}")
    if different := different_weights(described, model.state_dict()):
        raise ValueError(
            f"the card ({card.model}, width {card.width:g}, {card.options}) is not this model's: {different}"
        )
    check_finite_weights(model, f"such a model is not saved in {path}")
    state = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    save_whole(Path(path), {"format": FORMAT, "card": asdict(card), "state": state})


def different_weights(described: dict, found: dict) -> str:
    """The first weight in which two states differ by name or shape, in words; empty if there is none."""
    for name in {**described, **found}:
        here, there = (list(state[name].shape) if name in state else "missing" for state in (described, found))
        if here != there:
            return f"{name} is {there}, expected {here}"
    return ""


def load_model(path: str | os.PathLike) -> tuple[nn.Module, ModelCard]:
    """Read what :func:`save_model` wrote; the model is on the CPU and in eval mode.

    Only tensors and plain values are read, no code in the file is run. Raises FileNotFoundError, and ValueError for a
    file that is damaged or something else, that holds weights which are not numbers, or that was saved before the options
    of a net were kept and needs them.
    """
    path, remedy = Path(path), "`segbook train` writes model.pt"
    if (path / "model.pt").is_file():
        raise IsADirectoryError(f"{path} is a folder; the model in it is {path / 'model.pt'}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}")
    try:
        saved = load_saved(path, "model")
    except ValueError as error:
        raise ValueError(f"{error}; {remedy}") from error
    if saved["format"] != FORMAT:
        raise ValueError(f"{path} is {saved['format']!r}, not {FORMAT!r}; {remedy}")
    try:
        card = ModelCard(**saved["card"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged or is no model of this course; {remedy}") from error
    if problem := card.problem():
        raise ValueError(f"{path} is damaged or is no model of this course: {problem}; {remedy}")
    state = saved.get("state")
    if not isinstance(state, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise ValueError(f"{path} is damaged or is no model of this course: it holds no weights; {remedy}")
    try:
        with torch.device("meta"):  # without memory, so that what the card asks for is compared before it is built
            described = card.build().state_dict()
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"{path} holds a net that this version of the course cannot build: {error}") from error
    if different := different_weights(described, state):
        why = f"the weights in {path} do not fit {card.model} of width {card.width:g}"
        if "options" not in saved["card"]:
            why += ", whose options were not saved by the version that wrote it: train it again"
        raise ValueError(f"{why} ({different})")
    model = card.build()
    model.load_state_dict(state)
    try:
        check_finite_weights(model, "its training went wrong; train it again")
    except FloatingPointError as error:
        raise ValueError(f"{path} cannot be used: {error}") from None
    return model.eval(), card
