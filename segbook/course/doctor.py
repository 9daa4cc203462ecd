"""``python -m segbook doctor``: is everything here that the course needs, and how to get what is not."""

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass

from segbook.course.chapters import ROOT

MIN_PYTHON, MAX_PYTHON = (3, 11), (3, 14)
MIN_MEMORY_GB, MIN_DISK_GB = 3.0, 2.0
INSTALL = "pip install -r requirements.txt"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's report. ``state`` is "ok", "advice" (works without) or "missing" (required)."""

    item: str
    state: str
    text: str


def python() -> Finding:
    version = platform.python_version()
    if MIN_PYTHON <= sys.version_info[:2] < MAX_PYTHON:
        return Finding("Python", "ok", version)
    return Finding("Python", "missing", f"{version}; the course needs 3.11, 3.12 or 3.13")


def package(name: str, why: str = "", required: bool = True) -> Finding:
    """Whether a distribution is installed, and in which version."""
    try:
        return Finding(name, "ok", importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        purpose = f", needed for {why}" if why else ""
        return Finding(name, "missing" if required else "advice", f"not installed{purpose}: {INSTALL}")


def imagenet() -> Finding:
    """Whether the ImageNet weights are here, and whole; the course starts its nets from them."""
    from segbook.backbones import efficientnet

    try:
        efficientnet.imagenet_state()
    except (RuntimeError, ValueError, OSError) as error:  # RuntimeError: WeightsNotFound
        return Finding("ImageNet weights", "missing", str(error))
    return Finding("ImageNet weights", "ok", f"EfficientNet-Lite0, {efficientnet.weights_file()}")


def torch_pair() -> Finding:
    """torch and torchvision are built for each other; a mixed pair fails at the first operator of torchvision."""
    try:
        versions = [importlib.metadata.version(name) for name in ("torch", "torchvision")]
        import torch
        import torchvision

        torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except importlib.metadata.PackageNotFoundError as error:
        return Finding("PyTorch", "missing", f"{error.name} is not installed: {INSTALL}")
    except Exception as error:  # whatever a mismatched binary raises on import
        return Finding("PyTorch", "missing", f"torch and torchvision do not fit together ({error}): {INSTALL}")
    return Finding("PyTorch", "ok", f"torch {versions[0]}, torchvision {versions[1]}")


def device() -> Finding:
    from segbook.devices import default_device

    try:
        import torch

        chosen = default_device()
    except (ValueError, ImportError) as error:
        return Finding("device", "missing", str(error))
    if chosen.type == "cuda":
        about = torch.cuda.get_device_properties(chosen)
        return Finding("device", "ok", f"{about.name}, {about.total_memory / 1e9:.0f} GB")
    text = f"{chosen.type}, {os.cpu_count()} cores"
    if chosen.type == "cpu":
        text += "; enough for the quick profile, the full profile wants a GPU"
    return Finding("device", "ok", text)


def memory() -> Finding:
    try:
        import psutil
    except ImportError:
        return Finding("memory", "advice", f"unknown, psutil is not installed: {INSTALL}")
    available = psutil.virtual_memory().available / 1e9
    if available < MIN_MEMORY_GB:
        return Finding("memory", "advice", f"{available:.1f} GB free; a chapter takes up to {MIN_MEMORY_GB:g} GB")
    return Finding("memory", "ok", f"{available:.1f} GB free")


def disk() -> Finding:
    from segbook.course.session import runs_folder

    place = runs_folder()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free / 1e9
    if free < MIN_DISK_GB:
        return Finding("disk", "advice", f"{free:.1f} GB free in {place}; checkpoints want {MIN_DISK_GB:g}")
    if not os.access(place, os.W_OK):
        return Finding("disk", "missing", f"{place} cannot be written to; set SEGBOOK_RUNS to a folder that can")
    return Finding("disk", "ok", f"{free:.0f} GB free for checkpoints in {runs_folder()}")


def kernel() -> Finding:
    if importlib.util.find_spec("ipykernel") is None:
        return Finding("Jupyter kernel", "missing", f"ipykernel is not installed: {INSTALL}")
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    try:
        interpreter = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except NoSuchKernel:
        interpreter = ""
    here = os.path.basename(interpreter).startswith("python") and not os.path.isabs(interpreter)
    if here or (interpreter and os.path.realpath(interpreter) == os.path.realpath(sys.executable)):
        return Finding("Jupyter kernel", "ok", "python3 runs in this environment")
    return Finding(
        "Jupyter kernel",
        "advice",
        f"JupyterLab's python3 kernel is {interpreter or 'not registered'}, not this environment; "
        f"register this one: {sys.executable} -m ipykernel install --sys-prefix",
    )


def font() -> Finding:
    if importlib.util.find_spec("matplotlib") is None:
        return Finding("figures", "missing", f"matplotlib is not installed: {INSTALL}")
    from matplotlib import font_manager

    path = font_manager.findfont("DejaVu Sans", fallback_to_default=True)
    if "DejaVuSans" in os.path.basename(path):
        return Finding("figures", "ok", "matplotlib with its own font, DejaVu Sans")
    return Finding("figures", "advice", f"DejaVu Sans was not found, figures use {os.path.basename(path)}")


def notebooks() -> Finding:
    from segbook.course.chapters import CHAPTERS, NOTEBOOKS, written

    if not written():
        return Finding("notebooks", "missing", f"there is no chapter in {NOTEBOOKS}; run from a copy of the repository")
    return Finding("notebooks", "ok", f"{len(written())} of {len(CHAPTERS)} chapters in {NOTEBOOKS}")


def dataset(name: str) -> Finding:
    """Which splits of a data set can be opened. Only the generated ones are required; they need no files."""
    from segbook import data

    found, problem = [], None
    for split in ("train", "val", "test"):
        try:
            found.append(f"{split} {len(data.load(name, split, count=1 if name in data.GENERATED else None))}")
        except (ValueError, OSError, ImportError) as error:
            # Damaged files are worth more words than a split that is not there.
            problem = problem if isinstance(problem, data.BadData) else error
    label = f"data: {name}"
    if name in data.GENERATED and found:
        return Finding(label, "ok", "generated, nothing to download")
    if isinstance(problem, data.BadData):
        return Finding(label, "advice", str(problem))
    if found:
        return Finding(label, "ok", f"{', '.join(found)} images in {data.data_root()}")
    if name in data.GENERATED:
        return Finding(label, "missing", str(problem))
    return Finding(label, "advice", f"not here (optional): {how_to_get(name)}")


def how_to_get(name: str) -> str:
    """The command that fetches a data set, or what to do where none can."""
    if name == "folder":
        return "put your own images into data/folder, see data/README.md"
    if name == "cityscapes":
        return "free after registration, see data/README.md"
    return f"python -m segbook data {name}"


def examine() -> list[Finding]:
    """Look at everything and return one finding an item, in the order of the report. Nothing is changed or fetched."""
    from segbook import data

    steps: list[Callable[[], Finding]] = [python, torch_pair]
    steps += [lambda name=name: package(name) for name in ("numpy", "pillow", "tqdm")]
    steps += [
        lambda: package("jupyterlab", "reading the notebooks"),
        lambda: package("ipywidgets", "live figures"),
        lambda: package("papermill", "`segbook run`", required=False),
        lambda: package("nbval", "the tests", required=False),
        imagenet, kernel, font, device, memory, disk, notebooks,
    ]  # fmt: skip
    steps += [lambda name=name: dataset(name) for name in data.NAMES]
    return [step() for step in steps]


def report() -> int:
    """Print the findings, one line each; return 1 when something required is missing, else 0."""
    findings = examine()
    width = max(len(finding.item) for finding in findings)
    print(f"segbook in {ROOT}")
    for finding in findings:
        text = " ".join(finding.text.split())
        print(f"{finding.state:8} {finding.item:{width}}  {text}")
    missing = [finding.item for finding in findings if finding.state == "missing"]
    if missing:
        print(f"Missing: {', '.join(missing)}.")
        return 1
    print("Everything the course needs is here.")
    return 0
