"""What ``python -m segbook train`` does: train one net and write its record, or all nine one after the other.

A run leaves ``checkpoint.pt``, ``model.pt`` and ``scores.json`` in its folder under ``runs/train/``. The record of a run
with the unchanged full profile also goes to ``results/``, where the leaderboard reads it.
"""

import contextlib
import hashlib
import json
import math
import os
import platform
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

import segbook
from segbook import parallel
from segbook.course import leaderboard
from segbook.course.chapters import ROOT
from segbook.course.saved import ModelCard, save_model
from segbook.course.session import Run, runs_folder, setup
from segbook.course.training_data import open_training_data
from segbook.data.files import check_writable, write_text
from segbook.devices import default_device, explain_out_of_memory
from segbook.evaluation import Evaluation
from segbook.training import History, Recipe

#: ``--model all`` trains these, in the order of the course.
ALL = "all"


@dataclass(frozen=True)
class TrainOptions:
    """What a command asks for beyond the profile; None leaves the profile's value."""

    model: str
    backbone: str | None = None
    seed: int = 0
    steps: int | None = None
    batch_size: int | None = None
    width: float | None = None
    size: tuple[int, int] | None = None
    compile: bool = False
    out: Path | None = None
    results: Path | None = None
    root: Path | None = None


def train_one(wish: TrainOptions) -> int:
    """Train a net with the profile's recipe, score it and write its files; returns the exit code 0.

    A run that was interrupted goes on when the same command is given again. Everything that can be wrong with the data or
    the options is found before the first step.
    """
    device = default_device()
    with parallel.joined(device) as team:
        session = setup(seed=wish.seed)
        changed = describe_overrides(wish, session)
        out, place = wish.out or default_folder(wish, session), results_file(wish, session, changed)
        for folder in [out, *([place.parent] if place else [])] if team.leads else []:
            check_writable(folder)  # told now, not after the training
        data = open_training_data(session, wish.size, wish.root)
        data.read(all_of_it=team.leads)
        training, validation = data.training, data.validation
        width = wish.width or session.profile.width_for(wish.model, wish.backbone)
        recipe = recipe_for(wish, session, team)
        with explain_out_of_memory("--batch-size"):
            start = {"backbone": wish.backbone, "backbone_weights": "imagenet"} if wish.backbone else {}
            model = session.model(wish.model, training.num_classes, width=width, **start)

        if device.type == "cuda":
            torch.backends.cudnn.benchmark = True  # every batch has the same shape: look for the fastest kernels once
            torch.cuda.reset_peak_memory_stats()
        checkpoint = out / "checkpoint.pt"
        with parallel.shared(model.to(device), team):
            to_score = validation if team.leads else None  # one process scores for all
            history = segbook.fit(
                model, training, to_score, recipe, checkpoint=checkpoint, device=device, compile=wish.compile
            )
        if not team.leads:
            return 0
        scores = {split: data.evaluate(split, model, device) for split in data.scored}

    sizes = list(training.tensors()[0].shape[-2:])
    options = dict(session.profile.options_for(wish.model, wish.backbone))
    names, palette = list(training.classes), training.palette.tolist()
    built = session.profile.architecture_for(wish.model)
    card = ModelCard(built, width, names, palette, sizes, session.dataset, options, **data.card)
    save_model(out / "model.pt", model, card)
    record = {
        "format": leaderboard.FORMAT,
        "model": wish.model,
        "dataset": session.dataset,
        "profile": session.profile.name,
        "seed": session.seed,
        "overrides": changed,
        "width": width,
        "options": options,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "size": sizes,
        "images": {"train": data.images, **{split: len(of.per_image) for split, of in scores.items()}},
        "recipe": asdict(recipe),
        "compiled": wish.compile,
        "processes": team.size,
        "steps": history.steps,
        **costs(history, recipe, device),
        "validation": [[step, rounded(value)] for step, value in history.validation],
        **judged(scores),
        "hardware": hardware(device),
        "versions": versions(),
        "git_revision": git_revision(),
    }
    text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    written = [out / "scores.json"]
    if place:
        written.append(place)
    for path in written:
        write_text(path, text)
    for split, of in scores.items():
        accuracy = f"pixel accuracy {of.pixel_accuracy:.3f}"
        print(f"{split} mIoU {of.mean_iou:.3f}, {accuracy} ({len(of.per_image)} images)")
    memory = record["peak_memory_gb"]
    most = "" if memory is None else f", {memory} GB of memory ({record['peak_memory_of']}) at most"
    print(f"{record['seconds']:.0f} s, {record['images_per_second']:.1f} images/s{most}")
    print("\n".join(map(str, [out / "model.pt", *written])))
    return 0


def recipe_for(wish: TrainOptions, session: Run, team: parallel.Team) -> Recipe:
    """The profile's recipe with what was asked for.

    ``batch_size`` counts the images of one process; the recipe's is that of all together, as if there were one. The
    window that augmentation cuts out shrinks and grows with the images.
    """
    changes = {"steps": wish.steps} if wish.steps else {}
    recipe = session.recipe(wish.backbone or wish.model, **changes)
    augment, usual = recipe.augment, session.profile.size_for(session.dataset)
    if wish.size and usual and augment and augment.crop:
        crop = tuple(max(1, round(side * new / old)) for side, new, old in zip(augment.crop, wish.size, usual))
        augment = replace(augment, crop=crop)
    return replace(recipe, augment=augment, batch_size=(wish.batch_size or recipe.batch_size) * team.size)


def describe_overrides(wish: TrainOptions, session: Run) -> list[str]:
    """In what a run differs from the profile's, in words; empty for the profile's own."""
    profile = session.profile.recipe_for(wish.backbone or wish.model)
    size = session.profile.size_for(session.dataset)

    def text(value) -> str:
        return "×".join(map(str, value)) if isinstance(value, tuple) else f"{value}"

    pairs = (
        ("{} instead of {} steps", wish.steps, profile.steps),
        ("batches of {} instead of {}", wish.batch_size, profile.batch_size),
        ("width {} instead of {}", wish.width, session.profile.width_for(wish.model, wish.backbone)),
        ("images of {} instead of {}", wish.size, size),
    )
    found = [words.format(text(new), text(usual)) for words, new, usual in pairs if new and new != usual]
    return found + ([f"on {wish.backbone} with ImageNet weights"] if wish.backbone else [])


def default_folder(wish: TrainOptions, session: Run) -> Path:
    """``runs/train/MODEL-DATASET-PROFILE-seedN``, and what else was asked for: other training has another folder."""
    asked = {
        "on_": wish.backbone,
        "steps": wish.steps,
        "batch": wish.batch_size,
        "width": wish.width,
        "size": wish.size,
    }
    extra = [f"{name}{'x'.join(map(str, v)) if isinstance(v, tuple) else v}" for name, v in asked.items() if v]
    dataset = session.dataset
    if wish.root:  # folders of the same name in two places are two data sets
        mark = hashlib.sha256(os.fsencode(wish.root.resolve())).hexdigest()[:6]
        dataset = f"{wish.root.resolve().name}-{mark}"
    label = "-".join([wish.model, dataset, session.profile.name, f"seed{session.seed}", *extra])
    return runs_folder() / "train" / label


def results_file(wish: TrainOptions, session: Run, changed: list[str]) -> Path | None:
    """Where the leaderboard will find the record: only the unchanged full profile goes there, unless a folder is named."""
    if wish.results is None and (session.profile.name != "full" or changed):
        return None
    seed = f"-seed{session.seed}" if session.seed else ""
    return (wish.results or leaderboard.RESULTS) / f"{session.dataset}-{wish.model}{seed}.json"


# ---------------------------------------------------------------- what a record says


def rounded(value: float, digits: int = 5) -> float | None:
    """JSON has no nan: a class that is neither there nor predicted has no score."""
    return None if math.isnan(value) else round(value, digits)


def judged(scores: dict[str, Evaluation]) -> dict:
    """The scores of the split that counts, test if there is one, as the record's own; those on val beside them."""

    def as_json(of: Evaluation) -> dict:
        return {
            "mean_iou": rounded(of.mean_iou),
            "pixel_accuracy": rounded(of.pixel_accuracy),
            "iou": {name: rounded(value) for name, value in zip(of.classes, of.iou.tolist())},
        }

    split = "test" if "test" in scores else "val"
    beside = {"val": as_json(scores["val"])} if split == "test" else {}
    return {"split": split, **as_json(scores[split]), **beside}


def costs(history: History, recipe: Recipe, device: torch.device) -> dict:
    """Seconds of training with and without the scoring in between, images a second, and the most memory in use.

    On CUDA the memory is what PyTorch had allocated on the first GPU, elsewhere what the process took from the system.
    """
    training = history.seconds - history.validation_seconds
    memory = torch.cuda.max_memory_allocated() if device.type == "cuda" else process_memory()
    return {
        "seconds": round(history.seconds, 1),
        "seconds_without_validation": round(training, 1),
        "images_per_second": round(history.steps * recipe.batch_size / max(training, 1e-9), 2),
        "peak_memory_gb": None if memory is None else round(memory / 1e9, 2),
        "peak_memory_of": "GPU" if device.type == "cuda" else "process",
        "resumed_from_step": history.resumed_from,
    }


def process_memory() -> int | None:
    """The most bytes this process has had in memory, None where the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes there, kilobytes on Linux


def hardware(device: torch.device) -> dict:
    """The machine: the processor, how many of its threads were used, and the GPU."""
    found = {"device": device.type, "processor": processor(), "threads": torch.get_num_threads()}
    if device.type == "cuda":
        about = torch.cuda.get_device_properties(device)
        found |= {"gpu": about.name, "gpu_memory_gb": round(about.total_memory / 1e9, 1)}
    return found


def processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def versions() -> dict:
    import torchvision

    return {
        "segbook": segbook.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.cuda.is_available() else None,
    }


def git_revision() -> str | None:
    """The commit that ran, with ``+`` when files differ from it; None outside a repository of the course or without git."""

    def git(*arguments) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()

    try:
        if Path(git("rev-parse", "--show-toplevel")).resolve() != ROOT.resolve():
            return None  # the course lies inside somebody else's repository
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "segbook")
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return None


# ---------------------------------------------------------------- all of them


def train_all(shared: TrainOptions) -> int:
    """Train all nets one after the other, each in a process of its own; returns 1 if one of them failed, else 0.

    ``shared`` holds what is asked of each of them. A net whose ``scores.json`` and ``model.pt`` are there is skipped, an
    interrupted one goes on, and one that fails does not stop the others.
    """
    names = segbook.models.names()
    done, skipped, failed = [], [], []
    session = Run(*_run_of_environment(), shared.seed, torch.device("cpu"))
    open_training_data(session, shared.size, shared.root)  # data that cannot be used would fail every net: say so once
    for number, name in enumerate(names, 1):
        wish = replace(shared, model=name)
        out = shared.out / name if shared.out else default_folder(wish, session)
        wish = replace(wish, out=out.absolute())
        print(f"[{number}/{len(names)}] {name}: ", end="", flush=True)
        if is_done(out):
            print(f"finished before, see {out}")
            skipped.append(name)
            continue
        print(f"training in {out}", flush=True)
        code = subprocess.run([sys.executable, "-m", "segbook", "train", *as_arguments(wish)]).returncode
        (done if code == 0 else failed).append(name)
    parts = [f"{len(done)} trained", f"{len(skipped)} finished before", f"{len(failed)} failed"]
    print(f"{', '.join(parts)}. Compare them: python -m segbook leaderboard --dataset {session.dataset}")
    if failed:
        print(f"segbook: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def as_arguments(wish: TrainOptions) -> list[str]:
    """The options of ``segbook train`` that ask for this."""
    arguments = []
    for name, value in asdict(wish).items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            arguments.append(option)
        elif value is not None and value is not False:
            arguments += [option, "x".join(map(str, value)) if isinstance(value, tuple) else str(value)]
    return arguments


def _run_of_environment():
    from segbook.course import profiles

    return profiles.get(os.environ.get("SEGBOOK_PROFILE") or "quick"), os.environ.get("SEGBOOK_DATASET") or "street"


def is_done(out: Path) -> bool:
    """Whether this folder holds a finished run: a net, and a record that can be read."""
    with contextlib.suppress(leaderboard.BadResult, OSError):
        return (out / "model.pt").is_file() and bool(leaderboard.read(out / "scores.json"))
    return False
