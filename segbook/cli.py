"""The command line: ``python -m segbook doctor | run | train | leaderboard | predict | export | data | editions | version``.

Each command imports what it needs when it runs, so that training and predicting need neither Jupyter nor matplotlib.
An error that the user can do something about is one line on stderr: exit code 2 for a wrong command, 1 for a failure.
``SEGBOOK_DEBUG=1`` shows the traceback behind it.
"""

import argparse
import contextlib
import math
import os
import signal
import sys
from pathlib import Path

import segbook
from segbook._bars import progress

#: The names of ``segbook.models``, so that ``--help`` need not wait for PyTorch.
NETS = (
    *("fcn32s", "fcn16s", "fcn8s", "segnet", "unet"),
    *("deeplab_v1", "deeplab_v2", "deeplab_v3", "deeplab_v3plus"),
)


class UsageError(ValueError):
    """The command asks for something that does not exist; exit code 2."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    try:
        with ended_in_order():
            return options.command(options)
    except KeyboardInterrupt as stop:
        onward = "; give the same command again to go on" if options.command is train else ""
        print(
            f"segbook: {'ended by the system' if isinstance(stop, Ended) else 'interrupted'}{onward}", file=sys.stderr
        )
        return 143 if isinstance(stop, Ended) else 130
    except BrokenPipeError:  # the reader of the output has gone, as in `segbook data | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        if os.environ.get("SEGBOOK_DEBUG") == "1" or not _is_expected(error):
            raise
        print(f"segbook: error: {_one_line(error)}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1


class Ended(KeyboardInterrupt):
    """SIGTERM: what ``kill``, a scheduler or ``docker stop`` sends."""


@contextlib.contextmanager
def ended_in_order():
    """SIGTERM ends a command as Ctrl-C does: what is half written is removed."""

    def stop(number, frame):
        raise Ended

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _is_expected(error: Exception) -> bool:
    """Errors that the package raises on purpose. A bare RuntimeError comes from inside PyTorch and is a bug here."""
    if type(error) is RuntimeError:
        return False
    return isinstance(
        error, ValueError | OSError | RuntimeError | FloatingPointError | ModuleNotFoundError | MemoryError
    )


def _one_line(error: Exception) -> str:
    from segbook.data.files import printable

    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed; this command needs it: pip install -r requirements.txt"
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename:  # raised by the system, not by us
        path = next((p for p in (Path(error.filename), *Path(error.filename).parents) if p.exists()), error.filename)
        return f"{printable(str(path))} is a file, and a folder is needed there; choose another name"
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{printable(str(error.filename))}: {error.strerror}"
    text = " ".join(line.strip() for line in str(error).splitlines() if line.strip())
    return printable(text) or type(error).__name__


# --- the commands and their options -----------------------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="segbook", description="A course on semantic segmentation, from the command line."
    )
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def command(name: str, function, help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        sub.set_defaults(command=function)
        return sub

    command("doctor", doctor, "say what is here, what is missing and how to get it")

    sub = command("run", run, "run chapters; executed copies and an index go to a folder under runs/")
    sub.add_argument(
        "chapters", nargs="*", metavar="CHAPTER", help="numbers or names, such as 6 or 06_fcn (default: all)"
    )
    _add_run_options(sub)
    sub.add_argument(
        "-j", "--jobs", type=_positive, help="chapters to run at the same time (default: by cores and memory)"
    )
    sub.add_argument("--out", type=Path, help="folder for the results (default: runs/PROFILE-DATASET)")

    sub = command("train", train, "train a network and score it")
    nets = ", ".join(NETS)
    sub.add_argument("--model", default="unet", help=f"{nets}, or `all` of them in turn (default: unet)")
    sub.add_argument(
        "--backbone", metavar="NAME", help="efficientnet_lite0: from its ImageNet weights (default: the paper's)"
    )
    _add_run_options(sub)
    sub.add_argument("--root", type=Path, metavar="FOLDER", help="train on images of your own in this folder")
    sub.add_argument("--steps", type=_positive, help="training steps (default: the profile's)")
    sub.add_argument("--batch-size", type=_positive, help="images a step and process (default: the profile's)")
    sub.add_argument("--width", type=_factor, help="factor on the number of channels, 1 is the paper's net")
    sub.add_argument("--size", type=_size, metavar="HxW", help="image size (of your own images: of windows in them)")
    sub.add_argument("--compile", action="store_true", help="train through torch.compile: slow to start, then faster")
    sub.add_argument("--out", type=Path, help="folder for model.pt and scores.json (default: runs/train/…)")
    sub.add_argument(
        "--results", type=Path, help="folder for the record (default: results/ for the full profile as it is)"
    )

    sub = command("leaderboard", leaderboard, "print our scores of the full profile beside published ones")
    sub.add_argument("--dataset", default="camvid", help="data set (default: camvid)")

    sub = command("predict", predict, "label every image of a folder with a trained network")
    sub.add_argument("model", type=Path, metavar="MODEL", help="model.pt from `segbook train`")
    sub.add_argument("images", type=Path, metavar="IMAGES", help="folder with images")
    sub.add_argument("--out", type=Path, required=True, help="folder for labels/, overlays/ and areas.csv")
    sub.add_argument(
        "--size", type=_size, metavar="HxW", help="size the network sees at once (default: that of its training)"
    )
    sub.add_argument("--overwrite", action="store_true", help="write into a folder that is not empty")

    sub = command("export", export, "write a trained network as one file that runs without segbook")
    sub.add_argument("model", type=Path, metavar="MODEL", help="model.pt from `segbook train`")
    sub.add_argument("out", type=Path, metavar="OUT", help="NAME.ts for TorchScript, NAME.onnx for ONNX")

    sub = command("data", data, "list the data sets, fetch one, check a folder of your own, or write sample images")
    actions = "list|fetch NAME|check FOLDER|import FOLDER OUT|sample"
    sub.add_argument("action", nargs="?", default="list", metavar=actions, help="default: list")
    sub.add_argument("name", nargs="?", metavar="NAME", help="data set to fetch, or folder to check")
    sub.add_argument("target", nargs="?", type=Path, metavar="OUT", help="where `import` writes images and masks")
    sub.add_argument("--root", type=Path, help="data folder (default: SEGBOOK_DATA, else data/)")
    sub.add_argument("--out", type=Path, help="folder for the sample (default: data/sample)")
    sub.add_argument("--count", type=_positive, default=4, help="images in the sample (default: 4)")

    sub = command("editions", editions, "write the student, solution and clean editions of the notebooks")
    sub.add_argument("out", type=Path, metavar="OUT", help="folder for student/, solution/ and clean/")
    sub.add_argument("--overwrite", action="store_true", help="replace editions that are there already")

    command("version", version, "print the version")
    return parser


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", help="quick or full (default: SEGBOOK_PROFILE, else quick)")
    parser.add_argument("--dataset", help="data set (default: SEGBOOK_DATASET, else street)")
    parser.add_argument("--seed", type=_seed, help="seed (default: 0)")


def _is_number(text: str) -> bool:
    """Whether these are the digits 0 to 9; Python also knows others."""
    return text.isascii() and text.isdecimal()


def _positive(text: str) -> int:
    if not _is_number(text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not _is_number(text) or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 2**32 - 1, got {text!r}")
    return int(text)


def _factor(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return value


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    if not (_is_number(height) and _is_number(width)) or min(int(height), int(width)) < 32:
        raise argparse.ArgumentTypeError(f"must be HEIGHTxWIDTH, both at least 32, such as 96x128, got {text!r}")
    return int(height), int(width)


def _require(kind: str, name: str, choices) -> str:
    if name not in choices:
        raise UsageError(f"there is no {kind} {name!r}; choose one of: {', '.join(choices)}")
    return name


def _apply_run_options(options) -> None:
    """Check profile and data set, and let the options win over the environment variables of the same meaning."""
    from segbook.course import profiles

    for variable, option, kind, choices in (
        ("SEGBOOK_PROFILE", options.profile, "profile", profiles.PROFILES),
        ("SEGBOOK_DATASET", options.dataset, "data set", segbook.data.NAMES),
    ):
        if chosen := option or os.environ.get(variable):
            os.environ[variable] = _require(kind if option else f"{kind} (from {variable})", chosen, choices)


# --- doctor, run, editions, version -----------------------------------------------------------------------------------


def doctor(options) -> int:
    from segbook.course.doctor import report

    return report()


def version(options) -> int:
    print(f"segbook {segbook.__version__}")
    return 0


def run(options) -> int:
    from segbook.course import chapters, runner
    from segbook.course.session import runs_folder

    _apply_run_options(options)
    try:
        chosen = list(dict.fromkeys(map(chapters.find, options.chapters))) or list(chapters.written())
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not chosen:
        raise FileNotFoundError(f"there is no chapter in {chapters.NOTEBOOKS}")
    profile = os.environ.get("SEGBOOK_PROFILE") or "quick"
    dataset = os.environ.get("SEGBOOK_DATASET")
    if dataset and dataset not in segbook.data.GENERATED:
        segbook.data.load(dataset, "train")  # one that is not here is told now, and how to get it
    out = options.out or runs_folder() / f"{profile}-{dataset or 'street'}"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end in order, as after Ctrl-C
    records = runner.run(chosen, out, profile=profile, dataset=dataset, seed=options.seed, jobs=options.jobs)
    failed = [record.file for record in records if record.status != "passed"]
    print(f"{len(records) - len(failed)} of {len(records)} chapters passed; see {out / 'index.html'}")
    if failed:
        print(f"segbook: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def editions(options) -> int:
    from segbook.course.chapters import written
    from segbook.course.editions import write_editions

    for edition, folder in write_editions([c.path for c in written()], options.out, options.overwrite).items():
        print(f"{edition}: {folder}")
    return 0


# --- train ------------------------------------------------------------------------------------------------------------


def train(options) -> int:
    """Train with the profile's recipe; a run that was interrupted goes on when the same command is given again."""
    from segbook.course import full_run
    from segbook.models import on_lite0

    _require("model", options.model, [*segbook.models.names(), full_run.ALL])
    if options.backbone is not None:
        _require("backbone", options.backbone, [on_lite0.LITE0])
        _require(f"model on {on_lite0.LITE0}", options.model, on_lite0.CONSTRUCTORS)
    if options.root:
        if options.dataset not in (None, "folder"):
            raise UsageError(f"--root is the folder of your own images, and the data set is {options.dataset!r}")
        options.dataset = "folder"
    _apply_run_options(options)
    names = ("backbone", "steps", "batch_size", "width", "size", "compile", "out", "results", "root")
    asked = {name: getattr(options, name) for name in names}
    wish = full_run.TrainOptions(options.model, seed=options.seed or 0, **asked)
    if options.model != full_run.ALL:
        return full_run.train_one(wish)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("torchrun trains one net at a time: name it with --model")
    return full_run.train_all(wish)


# --- leaderboard ------------------------------------------------------------------------------------------------------


def leaderboard(options) -> int:
    from segbook.course import leaderboard

    print(leaderboard.text(_require("data set", options.dataset, segbook.data.NAMES)))
    return 0


# --- predict ----------------------------------------------------------------------------------------------------------


def predict(options) -> int:
    """Write labels/NAME.png (indexed, values are class numbers) and overlays/NAME.png for every image of the folder, and
    areas.csv: a line for each image and class with its pixels and their share of the image."""
    import numpy as np
    import torch

    from segbook.course.saved import load_model
    from segbook.data.files import (
        IMAGE_SUFFIXES,
        BadData,
        Stretch,
        check_writable,
        image_facts,
        printable,
        read_image,
    )
    from segbook.tiling import predict_scaled, predict_tiled

    model, card = load_model(options.model)
    if options.images.is_file():
        raise NotADirectoryError(f"{options.images} is a file; name the folder that it lies in")
    if not options.images.is_dir():
        raise FileNotFoundError(f"there is no folder {options.images}")
    shown = (path for path in options.images.iterdir() if not path.name.startswith("."))
    paths = sorted(path for path in shown if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not paths:
        raise FileNotFoundError(f"{options.images} holds no image ({', '.join(IMAGE_SUFFIXES)})")
    stems = {}
    for path in paths:
        if path.stem in stems:
            both = f"{printable(stems[path.stem].name)} and {printable(path.name)}"
            raise ValueError(f"{both} would both become {printable(path.stem)}.png; rename one")
        stems[path.stem] = path
    if options.out.exists() and not options.out.is_dir():
        raise FileExistsError(f"{options.out} is a file, not a folder")
    if options.out.is_dir() and any(options.out.iterdir()) and not options.overwrite:
        raise FileExistsError(f"{options.out} is not empty; choose another folder, or pass --overwrite")
    check_writable(options.out)

    palette = np.asarray(card.palette, dtype=np.uint8)
    size = options.size or (tuple(card.size) if card.size else None)
    stretch = Stretch(*card.stretch) if card.stretch else None
    label = predict_tiled if card.sees_windows else predict_scaled
    areas, unreadable = [], 0
    for path in progress(paths, description="Predicting"):
        try:
            pages = image_facts(path).pages
            for number, page in enumerate(pages, 1):
                image = read_image(path, upright=True, page=page, stretch=stretch)
                stem = f"{path.stem}[{number}]" if len(pages) > 1 else path.stem
                pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)
                labels = label(model, pixels, size or pixels.shape[-2:]).numpy()
                _write_png(options.out / "labels" / f"{stem}.png", labels, palette)
                _write_png(options.out / "overlays" / f"{stem}.png", _blend(image, labels, palette))
                counts = np.bincount(labels.ravel(), minlength=len(card.classes)).tolist()
                name = path.name if stem == path.stem else stem
                areas += [[name, kind, n, f"{n / labels.size:.6f}"] for kind, n in zip(card.classes, counts)]
        except BadData as error:
            unreadable += 1
            print(f"segbook: {_one_line(error)}", file=sys.stderr)
    _write_csv(options.out / "areas.csv", [["image", "class", "pixels", "share"], *areas])
    print(f"{len(paths) - unreadable} of {len(paths)} images labelled in {options.out}")
    return 1 if unreadable else 0


def _blend(image, labels, palette):
    """The image with the colours of the labels over it, uint8 [H, W, 3], some rows at a time."""
    import numpy as np

    from segbook.data.annotations import bands

    blend = np.empty_like(image)
    for rows in bands(labels.shape):
        blend[rows] = (0.45 * image[rows] + 0.55 * palette[labels[rows]]).round().astype(np.uint8)
    return blend


def _write_png(path: Path, pixels, palette=None) -> None:
    from PIL import Image

    from segbook.data.files import atomic_open

    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette.tobytes())
    with atomic_open(path) as file:
        image.save(file, "PNG")


def _write_csv(path: Path, rows) -> None:
    import csv
    import io

    from segbook.data.files import write_text

    # A spreadsheet would run a file's name that begins like a formula.
    rows = [[f"'{cell}" if str(cell)[:1] in ("=", "+", "-", "@") else cell for cell in row] for row in rows]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_text(path, text.getvalue())


# --- export -----------------------------------------------------------------------------------------------------------


def export(options) -> int:
    from segbook.course.exporting import export_model
    from segbook.course.saved import load_model

    model, card = load_model(options.model)
    if options.out.exists() and options.out.samefile(options.model):
        raise ValueError(f"{options.out} is the model itself; choose another name")
    differences = export_model(model, card, options.out)
    for (height, width), difference in differences.items():
        print(f"{height}x{width}: largest difference from the original ≈{difference:.1g}")
    cut = f" - {2 * model.margin}" if getattr(model, "margin", 0) else ""  # unpadded convolutions
    print(f"{options.out}: uint8 [N, 3, H, W] in, logits [N, {len(card.classes)}, H{cut}, W{cut}] out")
    return 0


# --- data -------------------------------------------------------------------------------------------------------------


def data(options) -> int:
    from segbook.data import NAMES

    if options.action == "list" and options.name is None:
        return _list_data()
    if options.action == "sample" and options.name is None:
        return _write_sample(options)
    if options.action in ("list", "sample"):
        raise UsageError(f"`segbook data {options.action}` takes no name, got {options.name!r}")
    if options.action == "import":
        return _import_coco(options)
    if options.target is not None:
        raise UsageError(f"`segbook data {options.action}` takes one name; {options.target} is one too many")
    if options.action == "check":
        return _check_folder(options)
    # `data camvid` is `data fetch camvid`.
    name = options.name if options.action == "fetch" else options.action
    if name is None or (options.action != "fetch" and options.name is not None):
        raise UsageError("name one data set to fetch, such as `segbook data fetch camvid`")
    _require("data set", name, NAMES)
    if name in (*segbook.data.GENERATED, "folder"):
        raise UsageError(f"{name} needs no download")
    print(f"{name}: {segbook.data.download_dataset(name, options.root)}")
    return 0


def _import_coco(options) -> int:
    """Write masks from COCO's annotations, as a folder that `data check` and `train --root` read."""
    if options.name is None or options.target is None:
        raise UsageError("name the folder with COCO's files and the one to write: `segbook data import FOLDER OUT`")
    try:
        import pycocotools  # noqa: F401
    except ModuleNotFoundError:
        raise ValueError("reading COCO needs pycocotools: pip install pycocotools") from None
    from segbook.data.importing import import_coco

    count = import_coco(Path(options.name), options.target)
    print(f"{count} images with their masks in {options.target}; next: python -m segbook data check {options.target}")
    return 0


def _list_data() -> int:
    from segbook.course.doctor import dataset

    for name in segbook.data.NAMES:
        finding = dataset(name)
        print(f"{name:12} {' '.join(finding.text.split())}")
    return 0


def _check_folder(options) -> int:
    """Print what is in a folder of images and labels; exit code 1 when something must be mended."""
    from segbook.data.report import inspect_folder

    folder = options.name or (options.root or segbook.data.data_root()) / "folder"
    report = inspect_folder(folder)
    print(f"{folder}: {report}")
    return 1 if report.faults else 0


def _write_sample(options) -> int:
    """A few Street scenes in the layout of the ``folder`` data set: image/, label/ and classes.txt."""
    from segbook.course.chapters import ROOT
    from segbook.data.files import write_text

    out = options.out or ROOT / "data" / "sample"
    scenes = segbook.data.load("street", "train", count=options.count)
    for name, (image, mask) in zip(scenes.names(), (scenes[i] for i in range(len(scenes)))):
        _write_png(out / "image" / f"{name}.png", image.permute(1, 2, 0).numpy())
        _write_png(out / "label" / f"{name}.png", mask.byte().numpy(), scenes.palette)
    write_text(out / "classes.txt", "\n".join([*scenes.classes, "void"]) + "\n")
    print(f"{len(scenes)} scenes in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
