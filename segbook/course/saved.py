"""A trained model in one file: the weights, and what is needed to build the net and paint its labels again."""

import os
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from segbook import models

FORMAT = "segbook model 1"


@dataclass(frozen=True)
class ModelCard:
    """What a saved model is: its architecture, and the classes and image size (height, width) it was trained on."""

    model: str
    width: float
    classes: list[str]
    palette: list[list[int]]
    size: list[int] | None
    dataset: str


def save_model(path: str | os.PathLike, model: nn.Module, card: ModelCard) -> None:
    """Write the model to ``path`` under another name first, so that the file is never half there."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        state = {name: tensor.cpu() for name, tensor in model.state_dict().items()}
        torch.save({"format": FORMAT, "card": asdict(card), "state": state}, partial)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load_model(path: str | os.PathLike) -> tuple[nn.Module, ModelCard]:
    """Read what :func:`save_model` wrote; the model is on the CPU and in eval mode.

    Only tensors and plain values are read, no code in the file is run. Raises FileNotFoundError, and ValueError for a
    file that is damaged or something else.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no model file {path}")
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True)
        card = ModelCard(**saved["card"]) if saved["format"] == FORMAT else None
    except (OSError, MemoryError):
        raise
    except Exception as error:  # whatever the pickle, zip and tensor readers raise on a foreign file
        raise ValueError(f"{path} is damaged or is no model of this course; `segbook train` writes model.pt") from error
    if card is None:
        raise ValueError(f"{path} is {saved['format']!r}, not {FORMAT!r}; `segbook train` writes model.pt")
    model = models.build(card.model, len(card.classes), width=card.width)
    try:
        model.load_state_dict(saved["state"])
    except RuntimeError as error:
        raise ValueError(f"the weights in {path} do not fit {card.model} of width {card.width:g}") from error
    return model.eval(), card
