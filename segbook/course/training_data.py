"""What a run of ``segbook train`` learns from and is scored on; images of one's own in windows, at their own scale."""

import sys
from dataclasses import dataclass
from pathlib import Path

import segbook
from segbook import parallel
from segbook.course.session import Run
from segbook.data.dataset import SegmentationDataset
from segbook.data.files import BadData, Stretch, first_few
from segbook.data.windows import windows
from segbook.evaluation import Evaluation
from segbook.tiling import evaluate_tiled


@dataclass(frozen=True)
class TrainingData:
    """``training`` and ``validation`` are of one size; ``scored``: split → what the scores are taken on at the end.

    ``tile``: of a folder of one's own, the (height, width) of the windows that its images are cut into for training and
    labelled in at the end; None for the course's data sets, whose images are brought to one size as a whole. ``images``:
    how many of them there are for training. ``stretch`` of images with more than 8 bits.
    """

    training: SegmentationDataset
    validation: SegmentationDataset
    scored: dict[str, SegmentationDataset]
    images: int
    tile: tuple[int, int] | None = None
    stretch: Stretch | None = None

    @property
    def card(self) -> dict:
        """What a model's card says of it."""
        stretch = [self.stretch.low, self.stretch.high] if self.stretch else None
        return {"view": "window" if self.tile else "whole", "stretch": stretch}

    def read(self, all_of_it: bool) -> None:
        """Read the pixels now, so that a damaged file is found before the training and not after it."""
        self.training.tensors()
        if all_of_it:
            self.validation.tensors()
            for dataset in self.scored.values():
                dataset.check() if self.tile else dataset.tensors()

    def evaluate(self, split: str, model, device) -> Evaluation:
        """Scores on a split: in tiles and at the images' own resolution, or on images of one size."""
        if self.tile:
            return evaluate_tiled(model, self.scored[split], self.tile, device=device)
        return segbook.evaluate(model, self.scored[split], device=device)


def open_training_data(session: Run, size: tuple[int, int] | None = None, root: Path | None = None) -> TrainingData:
    """Open the parts of the run's data set. ``size`` (height, width) instead of the profile's; ``root`` of a folder.

    Raises ``DataNotFound`` and ``BadData`` as ``segbook.data.load`` does, and ``BadData`` where there is nothing to learn.
    """
    if session.dataset == "folder":
        return _own(root, size or session.profile.size_for("folder"))
    chosen = {"size": size} if size else {}
    training, validation = session.load("train", **chosen), session.load("val", **chosen)
    scored = {"val": validation}
    if session.eval_split == "test":
        scored["test"] = session.load("test", **chosen)
    return TrainingData(training, validation, scored, len(training))


def _own(root: Path | None, tile: tuple[int, int]) -> TrainingData:
    whole, held_back = (segbook.data.load("folder", split, root=root) for split in ("train", "val"))
    scored = {"val": held_back}
    try:
        scored["test"] = segbook.data.load("folder", "test", root=root)
    except BadData:
        raise
    except ValueError:  # a folder need not have this part
        pass
    (training, every), (validation, _) = windows(whole, tile), windows(held_back, tile, step=1)
    if parallel.team().leads:
        for note in whole.source.notes:
            print(note)
        cut = f"{every:,}" if len(training) == every else f"{len(training):,} of {every:,}"
        print(
            f"{len(whole)} images for training, in {cut} windows of {tile[0]}x{tile[1]} pixels; {len(held_back)} for val"
        )
        _warn(training, validation)
    return TrainingData(training, validation, scored, len(whole), tile, whole.source.stretch)


def _warn(training: SegmentationDataset, validation: SegmentationDataset) -> None:
    """Say on stderr what the scores will not show."""
    counts, held = training.class_counts().tolist(), validation.class_counts().tolist()
    if sum(count > 0 for count in counts) < 2:
        raise BadData("the training images hold pixels of one class or none: nothing can be learnt from them")
    if missing := [name for name, count in zip(training.classes, counts) if count == 0]:
        print(f"segbook: warning: no training pixel is {first_few(missing)}; the net cannot learn it", file=sys.stderr)
    if sum(count > 0 for count in held) < 2:
        print(
            "segbook: warning: the val images hold pixels of one class or none; their scores say little",
            file=sys.stderr,
        )
