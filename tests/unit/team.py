"""What each process of tests/unit/test_distributed.py runs: train a small net and write down what came out."""

import json
import sys

import torch
from test_training import dataset
from torch import nn

from segbook import parallel
from segbook.data import Augment
from segbook.training import Recipe, fit, loop


def train(checkpoint, result, stop_at=None) -> None:
    """Twelve steps; ``result.RANK`` becomes a JSON file. ``stop_at`` leaves in that step, as if somebody had killed it.

    The net has neither batch norm nor dropout: on a CPU every process normalises its own share and draws its own dropout,
    so that only without them training together and training alone are the same up to rounding.
    """
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1)
    )
    augment = Augment(flip=0.5, brightness=0.2, contrast=0.2, scale=(0.7, 1.5), crop=(16, 24))
    recipe = Recipe(steps=12, batch_size=6, learning_rate=0.02, augment=augment, validate_every=6)
    rate = loop.learning_rate

    def stops(recipe, step):
        if step == stop_at:
            raise KeyboardInterrupt
        return rate(recipe, step)

    loop.learning_rate = stops
    try:
        with parallel.joined(torch.device("cpu")) as team, parallel.shared(model, team):
            val = dataset(4, "val") if team.leads else None
            history = fit(model, dataset(), val, recipe, checkpoint=checkpoint, save_every=3)
    finally:
        loop.learning_rate = rate
    record = {
        "size": team.size,
        "loss": history.loss,
        "resumed": history.resumed_from,
        "validation": history.validation,
        "weights": [w for p in model.parameters() for w in p.flatten().tolist()],
    }
    with open(f"{result}.{team.rank}", "w") as file:
        json.dump(record, file)


if __name__ == "__main__":
    train(*sys.argv[1:])
