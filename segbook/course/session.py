"""``sb.setup``: what every notebook calls first, and the :class:`Run` it returns."""

import hashlib
import os
import platform
import random
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

import segbook
from segbook import parallel
from segbook.course import profiles
from segbook.course.chapters import ROOT
from segbook.devices import default_device
from segbook.training import Recipe
from segbook.training.contents import architecture, contents


@dataclass(frozen=True)
class Run:
    """One run of a notebook or a command: which profile, data set, seed and device it uses."""

    profile: profiles.Profile
    dataset: str
    seed: int
    device: torch.device

    def load(self, split: str, **options):
        """The data set of this run at the profile's size and count; options are those of ``sb.data.load``."""
        options.setdefault("size", self.profile.size_for(self.dataset))
        options.setdefault("count", self.profile.count_for(self.dataset, split))
        return segbook.data.load(self.dataset, split, **options)

    @property
    def eval_split(self) -> str:
        """The split that scores are taken on: "test", or "val" where a real data set came without its test images.

        Raises BadData where there are test images that cannot be used: a score on another split would hide that.
        """
        try:
            segbook.data.load(self.dataset, "test", count=1)
        except segbook.data.BadData:
            raise
        except (segbook.data.DataNotFound, ValueError):  # ValueError: the data set never had this split
            return "val"
        return "test"

    def model(self, name: str, num_classes: int, *, width: float | None = None, seed: int | None = None, **options):
        """Build a model of the registry at the profile's width and with its options, on the device, from this run's seed.

        Seeding here makes the initial weights independent of whatever ran before in the notebook.
        """
        torch.manual_seed(self.seed if seed is None else seed)
        backbone = options.get("backbone")
        width = self.profile.width_for(name, backbone) if width is None else width
        options = {**self.profile.options_for(name, backbone), **options}
        architecture = self.profile.architecture_for(name)
        return segbook.models.build(architecture, num_classes, width=width, **options).to(self.device)

    def recipe(self, model: str = "*", **changes) -> Recipe:
        """The profile's training recipe for a model, with changes: ``run.recipe("unet", steps=100)``."""
        changes.setdefault("seed", self.seed)
        return self.profile.recipe_for(model, **changes)

    def checkpoint(self, name: str, *what_matters) -> Path:
        """Where training under this name keeps its checkpoint.

        Whatever else decides the result, usually the recipe, is passed too and becomes part of the file's name: a changed
        recipe trains anew, an unchanged one loads. Nets, tensors and losses count with their contents. What is not passed
        is noticed all the same: ``fit`` refuses a checkpoint of other training.
        """
        mark = hashlib.sha256(repr([_as_text(value) for value in what_matters]).encode()).hexdigest()[:8]
        folder = runs_folder() / "checkpoints" / f"{self.profile.name}-{self.dataset}"
        return folder / f"{name}-seed{self.seed}-{mark}.pt"


def _as_text(value) -> str:
    """What stands for a value in a checkpoint's name: what is printed, and for things whose print hides it, the contents."""
    if isinstance(value, torch.nn.Module):
        return f"{architecture(value)} {contents(value.state_dict())}"
    hidden = callable(value) or isinstance(value, torch.Tensor | np.ndarray)
    return contents(value) if hidden else repr(value)


def runs_folder() -> Path:
    """Where checkpoints and executed copies go: SEGBOOK_RUNS, by default ``runs/`` in the project."""
    return Path(os.environ.get("SEGBOOK_RUNS") or ROOT / "runs").expanduser()


_latest: Run | None = None


def latest() -> Run | None:
    """What the last ``setup`` of this process returned; None before the first."""
    return _latest


def setup(profile: str = "quick", seed: int = 0, dataset: str = "street") -> Run:
    """Seed everything, choose device and threads, set the figure style, print one line of versions.

    The environment variables SEGBOOK_PROFILE, SEGBOOK_DATASET, SEGBOOK_DEVICE and SEGBOOK_THREADS win over the
    arguments, so that one command can run every notebook another way. Raises ValueError for an unknown profile or
    device, or a thread count that is not a positive integer.
    """
    chosen = profiles.get(os.environ.get("SEGBOOK_PROFILE") or profile)
    dataset = os.environ.get("SEGBOOK_DATASET") or dataset
    if dataset not in segbook.data.NAMES:
        raise ValueError(f"there is no data set {dataset!r}; choose one of: {', '.join(segbook.data.NAMES)}")
    _set_threads(os.environ.get("SEGBOOK_THREADS"))
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    device = default_device()
    if "IPython" in sys.modules:  # the command line needs no figures
        segbook.plots.style()
    if parallel.team().leads:  # of several processes that train together, one is enough
        threads = torch.get_num_threads()
        print(
            f"segbook {segbook.__version__} · Python {platform.python_version()} · torch {torch.__version__} · "
            f"{device.type}, {threads} thread{'s' * (threads != 1)} · {chosen.name} profile · {dataset} data · seed {seed}"
        )
    global _latest
    _latest = Run(profile=chosen, dataset=dataset, seed=seed, device=device)
    return _latest


def _set_threads(wanted: str | None) -> None:
    if wanted is None:
        return
    if not (wanted.isascii() and wanted.isdecimal() and 1 <= int(wanted[:20]) < 2**31):
        raise ValueError(f"SEGBOOK_THREADS must be a positive integer, got {wanted!r}")
    torch.set_num_threads(int(wanted))
