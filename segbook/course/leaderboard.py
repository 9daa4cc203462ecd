"""Scores of the full profile beside published ones: what ``segbook train --profile full`` left in ``results/``.

``committed()`` reads our records, ``published()`` holds the literature's, both as :class:`Row`, so that one table can
show them. Two scores may be compared only when the reading rules in ``READING_RULES`` allow it.
"""

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from segbook.course.chapters import ROOT
from segbook.data.classes import DRIVING_CLASSES

FORMAT = "segbook result 1"
RESULTS = ROOT / "results"

#: What must be the same before a difference between two scores means anything, most important first.
READING_RULES = (
    "Resolution: 360×480, 480×640 and 720×960 (height × width) are three different tasks; thin classes gain most from more "
    "pixels.",
    "Pre-training: none, ImageNet or Cityscapes. Cityscapes already shows what CamVid asks for: streets, cars, pedestrians.",
    "Training images: 367 (train), 468 (train and val together), or a larger collection of several data sets.",
    "Split: scores are on the 233 test images. `val` is one short stretch of a training sequence: its score stands in for "
    "a test score nowhere. Check the counts 367/101/233: other splits circulate under the same name.",
    "Labels: eleven classes merged by SegNet's authors. Keeping only the eleven base colours and ignoring the rest, as some "
    "repositories do, is an easier target.",
    "One run each, as far as the sources say: a difference of a point may be chance.",
)


@dataclass(frozen=True)
class Row:
    """One line of the leaderboard. Scores are shares from 0 to 1, not percentages; None means that it is not known.

    ``size`` is (height, width) of the images, ``parameters`` a number of weights, ``iou`` the score of each class.
    ``pretraining`` is "none" or the data set whose weights the net started from. ``ours`` rows come from ``results/`` and
    keep the whole record of the run in ``record``; ``note`` says what to know before comparing.
    """

    system: str
    mean_iou: float
    pixel_accuracy: float | None
    pretraining: str | None
    size: tuple[int, int] | None
    trained_on: str | None
    source: str
    split: str = "test"
    parameters: float | None = None
    note: str = ""
    iou: dict[str, float | None] | None = None
    ours: bool = False
    record: dict = field(default_factory=dict, repr=False, compare=False)


# ---------------------------------------------------------------- published scores

_TIRAMISU = "Jégou et al. 2017, arXiv 1611.09326, table 3"
_SEGNET = "Badrinarayanan et al. 2017, arXiv 1511.00561, benchmark"
_HARDNET = "Chao et al. 2019, FC-HarDNet"
_VGA, _SEGNET_SIZE, _FULL_SIZE = (480, 640), (360, 480), (720, 960)
_CORPUS = "3,433 images"
_CLASS_ACCURACY = "the table's accuracy of {} is left out: it is almost certainly the mean over classes"

# Order of the classes in the table of the FC-DenseNet paper.
_ORDER = ("building", "tree", "sky", "car", "sign", "road", "pedestrian", "fence", "pole", "pavement", "bicyclist")


def _row(system, mean_iou, accuracy, pretraining, size, source, *, params=None, trained_on=None, per_class=(), note=""):
    """A published row from percentages, as papers print them."""
    iou = None
    if per_class:
        by_name = {name: round(value / 100, 4) for name, value in zip(_ORDER, per_class)}
        iou = {name: by_name[name] for name in DRIVING_CLASSES}
    return Row(
        system,
        round(mean_iou / 100, 4),
        None if accuracy is None else round(accuracy / 100, 4),
        pretraining,
        size,
        trained_on,
        source,
        parameters=None if params is None else params * 1e6,
        note=note,
        iou=iou,
    )


_CAMVID = (
    _row("SegNet-Basic", 47.7, 82.7, "none", _SEGNET_SIZE, _SEGNET, params=1.4, trained_on="train"),
    _row("SegNet-Basic, ChainerCV", 47.16, 82.66, "none", _SEGNET_SIZE, "github.com/chainer/chainercv, pull request 161",
         params=1.4),
    _row("SegNet (2015)", 46.4, None, "ImageNet", _SEGNET_SIZE, _TIRAMISU, params=29.5, trained_on="train",
         note=_CLASS_ACCURACY.format(62.5),
         per_class=(68.7, 52.0, 87.0, 58.5, 13.4, 86.2, 25.3, 17.9, 16.0, 60.5, 24.8)),
    _row("SegNet", 60.1, 90.4, "ImageNet", _SEGNET_SIZE, _SEGNET, params=29.5, trained_on=_CORPUS),
    _row("Bayesian SegNet", 63.1, 86.9, "ImageNet", _SEGNET_SIZE, _TIRAMISU, params=29.5),
    _row("DeconvNet", 48.9, 85.9, "ImageNet", None, _TIRAMISU, params=252),
    _row("DeconvNet, SegNet's benchmark", 59.77, 89.58, "ImageNet", _SEGNET_SIZE, _SEGNET, trained_on=_CORPUS),
    _row("ReSeg", 58.8, 88.7, "ImageNet", None, _TIRAMISU, params=32.3),
    _row("FCN-8", 57.0, 88.0, "ImageNet", _SEGNET_SIZE, _TIRAMISU, params=134.5, trained_on="train",
         note="trained by Jégou et al.",
         per_class=(77.8, 71.0, 88.7, 76.1, 32.7, 91.2, 41.7, 24.4, 19.9, 72.7, 31.0)),
    _row("FCN, fixed up-sampling", 49.83, 83.27, "ImageNet", _SEGNET_SIZE, _SEGNET, trained_on=_CORPUS),
    _row("FCN, learnt up-sampling", 51.96, 83.14, "ImageNet", _SEGNET_SIZE, _SEGNET, trained_on=_CORPUS),
    _row("DeepLab-LargeFOV", 61.6, None, "ImageNet", _VGA, _TIRAMISU, params=37.3, trained_on="train",
         per_class=(81.5, 74.6, 89.0, 82.2, 42.3, 92.2, 48.4, 27.2, 14.3, 75.4, 50.1)),
    _row("DeepLab-LargeFOV, SegNet's benchmark", 53.88, 88.20, "ImageNet", _SEGNET_SIZE, _SEGNET, trained_on=_CORPUS,
         note="labels at 45×60"),
    _row("DeepLab-LargeFOV + CRF, SegNet's benchmark", 54.74, 89.71, "ImageNet", _SEGNET_SIZE, _SEGNET,
         trained_on=_CORPUS, note="labels at 45×60"),
    _row("Dilation8", 65.3, None, "ImageNet", _VGA, _TIRAMISU, params=140.8, trained_on="train",
         note=_CLASS_ACCURACY.format("79.0"),
         per_class=(82.6, 76.2, 89.0, 84.0, 46.9, 92.2, 56.3, 35.8, 23.4, 75.3, 55.5)),
    _row("Dilation8 + FSO", 66.1, 88.3, "ImageNet", _VGA, _TIRAMISU, params=140.8, trained_on="train",
         per_class=(84.0, 77.2, 91.3, 85.6, 49.9, 92.5, 59.1, 37.6, 16.9, 76.0, 57.2)),
    _row("U-shaped baseline of FC-DenseNet", 55.2, 86.8, "none", _SEGNET_SIZE, _TIRAMISU, params=20, trained_on="train",
         note="the paper's “classic upsampling”",
         per_class=(73.5, 72.2, 92.4, 66.2, 26.9, 90.0, 37.7, 22.7, 30.8, 69.6, 25.1)),
    _row("FC-DenseNet56", 58.9, 88.9, "none", _SEGNET_SIZE, _TIRAMISU, params=1.5, trained_on="train",
         per_class=(77.6, 72.0, 92.4, 73.2, 31.8, 92.8, 37.9, 26.2, 32.6, 79.9, 31.1)),
    _row("FC-DenseNet67", 65.8, 90.8, "none", _SEGNET_SIZE, _TIRAMISU, params=3.5, trained_on="train",
         per_class=(80.2, 75.4, 93.0, 78.2, 40.9, 94.7, 58.4, 30.7, 38.4, 81.9, 52.1)),
    _row("FC-DenseNet103", 66.9, 91.5, "none", _SEGNET_SIZE, _TIRAMISU, params=9.4, trained_on="train",
         per_class=(83.0, 77.3, 93.0, 77.3, 43.9, 94.5, 59.6, 37.1, 37.8, 82.2, 50.5)),
    _row("ENet, PyTorch port", 52.1, None, "none", _SEGNET_SIZE, "github.com/davidtvs/PyTorch-ENet",
         note="51 to 53 over its versions"),
    _row("FC-HarDNet68", 62.9, 90.2, "none", _SEGNET_SIZE, _HARDNET),
    _row("FC-HarDNet76", 65.8, 91.2, "none", _SEGNET_SIZE, _HARDNET),
    _row("FC-HarDNet84", 67.7, 91.1, "none", _SEGNET_SIZE, _HARDNET),
    _row("DABNet", 66.72, None, "none", None, "DABNet's repository, README", trained_on="train + val"),
    _row("AGLNet", 69.4, None, None, None, "AGLNet's abstract"),
    _row("DDRNet-23-slim", 74.4, None, "ImageNet", None, "DDRNet's paper"),
    _row("PIDNet-S", 80.1, None, "Cityscapes", _FULL_SIZE, "PIDNet's repository, README", trained_on="train + val",
         note="eleven base colours only, the rest is ignored"),
    _row("PIDNet-M", 82.0, None, "Cityscapes", _FULL_SIZE, "PIDNet's repository, README", trained_on="train + val",
         note="eleven base colours only, the rest is ignored"),
    _row("RegSeg", 80.9, None, None, None, "RegSeg's abstract", note="not pre-trained on ImageNet"),
)  # fmt: skip


def published(dataset: str = "camvid") -> list[Row]:
    """Scores from the literature, the best first; only CamVid has any. Each was read in the source that it names."""
    return _best_first(_CAMVID) if dataset == "camvid" else []


# ---------------------------------------------------------------- our own scores


class BadResult(ValueError):
    """A file in ``results/`` that cannot be used; the message names it and says what is wrong."""


def committed(dataset: str = "camvid", folder: str | os.PathLike | None = None) -> list[Row]:
    """Our own runs on a data set, the best first, from ``DATASET-*.json`` in ``folder`` (default: ``results/``).

    An empty or missing folder gives an empty list. Files that are no result of ``segbook train`` (the benchmarks leave
    theirs in the same folder) are passed over by their name. Raises :class:`BadResult` for a damaged file.
    """
    folder = RESULTS if folder is None else Path(folder)
    return _best_first(_as_row(path, read(path)) for path in sorted(folder.glob(f"{dataset}-*.json")))


def read(path: str | os.PathLike) -> dict:
    """The record of one run as a dictionary. Raises :class:`BadResult` if the file is damaged or is something else."""
    path = Path(path)
    remedy = "train the net again, or delete the file"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadResult(f"{path} is damaged, it is not JSON ({error}); {remedy}") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else type(record).__name__
        raise BadResult(f"{path} is no result of `segbook train`: its format is {found!r}, not {FORMAT!r}; {remedy}")
    for name, valid, wanted in _FIELDS:
        if name not in record:
            raise BadResult(f"{path} is damaged: {name!r} is missing; {remedy}")
        if not valid(record[name]):
            raise BadResult(f"{path} is damaged: {name!r} must be {wanted}, not {record[name]!r}; {remedy}")
    return record


def _share(value) -> bool:
    """A number from 0 to 1."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _positive(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _text(value) -> bool:
    return isinstance(value, str) and value != ""


def _scores(value) -> bool:
    return isinstance(value, dict) and all(score is None or _share(score) for score in value.values())


# What the leaderboard needs of a record: name, test, and how to say what was expected. The file holds more than that.
_FIELDS = (
    ("model", _text, "a name"),
    ("dataset", _text, "a name"),
    ("split", _text, "a name"),
    ("mean_iou", _share, "a number from 0 to 1"),
    ("pixel_accuracy", _share, "a number from 0 to 1"),
    ("iou", _scores, "a number from 0 to 1, or null, for each class"),
    ("size", lambda v: isinstance(v, list) and len(v) == 2 and all(map(_positive, v)), "[height, width]"),
    ("width", _positive, "a number above 0"),
    ("parameters", _positive, "a number above 0"),
    ("steps", _positive, "a number above 0"),
    ("seconds", lambda v: _positive(v) or v == 0, "a number of at least 0"),
    ("overrides", lambda v: isinstance(v, list) and all(map(_text, v)), "a list of texts"),
)


def _as_row(path: Path, record: dict) -> Row:
    return Row(
        system=record["model"],
        mean_iou=record["mean_iou"],
        pixel_accuracy=record["pixel_accuracy"],
        pretraining="none",
        size=tuple(record["size"]),
        trained_on="train",
        source=path.name,
        split=record["split"],
        parameters=record["parameters"],
        note="; ".join(record["overrides"]),
        iou=record["iou"],
        ours=True,
        record=record,
    )


# ---------------------------------------------------------------- the table


def _best_first(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row.mean_iou)


def leaderboard(dataset: str = "camvid", folder: str | os.PathLike | None = None) -> list[Row]:
    """Our rows and the published ones together, the best first."""
    return _best_first([*committed(dataset, folder), *published(dataset)])


HEADER = ("", "system", "mIoU", "accuracy", "M weights", "pre-training", "size", "trained on", "split", "source")


def cells(row: Row) -> tuple[str, ...]:
    """A row as texts under ``HEADER``, ours marked with an arrow; "?" where the source does not say."""

    def known(value, text) -> str:
        return "?" if value is None else text(value)

    return (
        "→" if row.ours else "",
        row.system,
        f"{row.mean_iou:.3f}",
        known(row.pixel_accuracy, lambda share: f"{share:.3f}"),
        known(row.parameters, lambda count: f"{count / 1e6:.1f}"),
        known(row.pretraining, str),
        known(row.size, lambda size: f"{size[0]}×{size[1]}"),
        known(row.trained_on, str),
        row.split,
        row.source,
    )


def text(dataset: str = "camvid", folder: str | os.PathLike | None = None) -> str:
    """The whole leaderboard as plain text: the table, the notes on its rows, and the reading rules."""
    rows = leaderboard(dataset, folder)
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    lines = [HEADER]
    for row in rows:
        *others, source = cells(row)
        lines.append((*others, source + (f" [{notes.index(row.note) + 1}]" if row.note else "")))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    result = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    result.insert(1, "-" * max(map(len, result)))
    result += [f"[{number}] {note}" for number, note in enumerate(notes, 1)]
    if not any(row.ours for row in rows):
        where = RESULTS if folder is None else Path(folder)
        result += ["", f"No run of ours in {where}. This makes one:"]
        result += [f"  python -m segbook train --model unet --dataset {dataset} --profile full"]
    if any(not row.ours for row in rows):
        result += ["", "A difference between two rows means something where these agree:"]
        result += [f"{number}. {rule}" for number, rule in enumerate(READING_RULES, 1)]
    return "\n".join(result)
