"""A trained model in one file: the weights, and what is needed to build the net and paint its labels again."""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import nn

from segbook import models
from segbook.data.files import atomic_path
from segbook.evaluation import check_finite_weights
from segbook.training import load_saved

FORMAT = "segbook model 1"


@dataclass(frozen=True)
class ModelCard:
    """What a saved model is: its architecture, and the classes and image size (height, width) it was trained on.

    ``options`` are those of ``sb.models.build`` beyond the width, such as ``{"padding": 1}``: plain values only. Pretrained
    weights are none of them, the file brings its own.
    """

    model: str
    width: float
    classes: list[str]
    palette: list[list[int]]
    size: list[int] | None
    dataset: str
    options: dict = field(default_factory=dict)

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
    if different := different_weights(described, model.state_dict()):
        raise ValueError(
            f"the card ({card.model}, width {card.width:g}, {card.options}) is not this model's: {different}"
        )
    check_finite_weights(model, f"such a model is not saved in {path}")
    state = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
    with atomic_path(Path(path)) as partial:
        torch.save({"format": FORMAT, "card": asdict(card), "state": state}, partial)


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
    try:
        model = card.build()
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} holds a net that this version of the course cannot build: {error}") from error
    if different := different_weights(model.state_dict(), saved["state"]):
        why = f"the weights in {path} do not fit {card.model} of width {card.width:g}"
        if "options" not in saved["card"]:
            why += ", whose options were not saved by the version that wrote it: train it again"
        raise ValueError(f"{why} ({different})")
    model.load_state_dict(saved["state"])
    try:
        check_finite_weights(model, "its training went wrong; train it again")
    except FloatingPointError as error:
        raise ValueError(f"{path} cannot be used: {error}") from None
    return model.eval(), card
