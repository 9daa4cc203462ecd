"""The measured facts and the small computations behind the figures of chapter 04."""

import os
from pathlib import Path

import drawn
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.colors import to_hex

from segbook import data, plots
from segbook.course.ch04_semantic_segmentation import figures as labeling
from segbook.data import street as generator
from segbook.data.classes import DRIVING_CLASSES, DRIVING_PALETTE

CAMVID = Path(os.environ.get("SEGBOOK_DATA", "no such folder")) / "camvid" / "trainannot"


@pytest.mark.skipif(not CAMVID.is_dir(), reason="SEGBOOK_DATA holds no camvid/ with train")
def test_the_stored_pixel_counts_of_camvid_are_those_of_its_label_maps():
    from segbook.data.files import files_by_stem, read_label_values

    labels = [read_label_values(path) for path in files_by_stem(CAMVID).values()]
    assert len(labels) == labeling.CAMVID_TRAIN_IMAGES
    counts = np.stack([np.bincount(label.ravel(), minlength=12) for label in labels])
    assert tuple(counts.sum(0)) == labeling.CAMVID_TRAIN_PIXELS
    assert tuple((counts > 0).sum(0)) == labeling.CAMVID_TRAIN_PRESENT


def test_the_stored_pixel_counts_of_camvid_fill_its_images():
    assert sum(labeling.CAMVID_TRAIN_PIXELS) == 367 * 360 * 480


def test_closest_finds_equal_colors_and_a_red_and_green_that_look_alike():
    palette = np.array([(250, 250, 250), (0, 0, 0), (10, 20, 200), (250, 250, 250)], np.uint8)
    distance, pair = labeling.closest(palette, labeling.VISION["full colour vision"])
    assert (distance, pair) == (0, (0, 3))
    palette = np.array([(0, 0, 255), (200, 60, 40), (110, 110, 30)], np.uint8)
    near, pair = labeling.closest(palette, labeling.VISION["protanopia"])
    assert pair == (1, 2) and near < labeling.closest(palette, labeling.VISION["full colour vision"])[0]


def test_strangers_are_labels_that_no_neighbor_has():
    before = torch.tensor([[3, 3, 5, 5]])
    after = torch.tensor([[3, 3, 3, 3, 4, 4, 5, 5]])
    assert labeling.strangers(after, before).tolist() == [[False] * 4 + [True] * 2 + [False] * 2]


@pytest.mark.parametrize("size", [(24, 32), (33, 50), (96, 128)])
def test_the_nearest_pixel_is_never_a_stranger(size):
    before = torch.randint(0, 11, (24, 32), generator=torch.Generator().manual_seed(0))
    after = F.interpolate(before[None, None].float(), size=size, mode="nearest-exact")[0, 0].long()
    assert not labeling.strangers(after, before).any()
    if size != (24, 32):
        averaged = F.interpolate(before[None, None].float(), size=size, mode="bilinear")[0, 0].round().long()
        assert labeling.strangers(averaged, before).any()


@pytest.fixture(scope="module")
def street():
    return data.load("street", "val", size=(48, 64), count=1)


def explored(street, way, **changes):
    values = {"mirror": False, "zoom": 1.0, "brightness": 0.0, "saturation": 0.0, "sample": 0, **changes}
    return labeling._explored(*street[0], street, *values.values(), way)


@pytest.mark.parametrize("zoom", [0.6, 1.0, 3.0])
@pytest.mark.parametrize("mirror", [False, True])
def test_the_explorer_moves_the_mask_with_the_image(street, zoom, mirror):
    right, averaged, left = labeling.MASK_WAYS
    _, truth, labels = explored(street, right, zoom=zoom, mirror=mirror)
    assert torch.equal(labels, truth)
    _, _, labels = explored(street, averaged, zoom=zoom, mirror=mirror)
    assert torch.equal(labels, truth) == (zoom == 1.0)
    assert labels.max() <= street.ignore_index
    _, _, labels = explored(street, left, zoom=zoom, mirror=mirror)
    assert torch.equal(labels, street[0][1]) and torch.equal(labels, truth) == (zoom == 1.0 and not mirror)


def test_brightness_leaves_the_labels_alone(street):
    image, truth, labels = explored(street, labeling.MASK_WAYS[2], brightness=0.8, sample=1)
    assert torch.equal(labels, truth) and not torch.equal(image, street[0][0])


def test_outlines_lie_between_different_labels():
    mask = np.array([[1, 1, 2, 2]])
    drawn = labeling.outlined(np.zeros((1, 4, 3), np.uint8), mask)
    assert drawn.shape == (2, 8, 3)
    assert np.flatnonzero(drawn[0].any(1)).tolist() == [4]


def test_figures_can_be_drawn_at_the_ends_of_their_controls(street):
    values = {"mirror": True, "brightness": 0.8, "saturation": 1.0, "sample": 20}
    for way in labeling.MASK_WAYS:
        for zoom in (0.6, 3.0):
            fig = labeling.explorer(*street[0], street, zoom=zoom, way=way, **values)
            assert len(fig.axes) == 3
            assert "%" in labeling.explorer_words(*street[0], street, zoom=zoom, way=way, **values)


def test_things_keep_the_colors_of_their_class_in_the_panoptic_image():
    scene = generator.scene(0, "train", 4, (96, 128))
    numbers = [n for n in scene.instance_classes if (scene.instances == n).sum() > 40]
    stuff = DRIVING_PALETTE[scene.mask]
    painted = labeling._things(scene, numbers, stuff)
    assert (painted[scene.instances == 0] == stuff[scene.instances == 0]).all(-1).mean() > 0.9
    first = next(iter(numbers))
    inside = painted[scene.instances == first]
    own = (inside == DRIVING_PALETTE[scene.instance_classes[first]]).all(-1)
    assert own.mean() > 0.3  # the rest is the white rim


PAINT = [to_hex(color / 255).upper() for color in DRIVING_PALETTE]
NAMES = [*DRIVING_CLASSES, "void"]


def present(*masks) -> dict[str, str]:
    """What the legend must say of label maps: the classes that occur, in their colours."""
    labels = np.unique(np.concatenate([np.asarray(mask).ravel() for mask in masks]))
    return {NAMES[label]: PAINT[label] for label in labels}


def test_one_scene_answers_five_tasks():
    scene = generator.scene(0, "train", 4, (48, 64))
    numbers = [n for n in scene.instance_classes if (scene.instances == n).sum() > 20][:3]
    assert len(numbers) > 1, "the scene has too few things"
    boxes = {}
    for n in numbers:
        rows, columns = np.nonzero(scene.instances == n)
        boxes[n] = int(columns.min()), int(rows.min()), int(columns.max()), int(rows.max())
    fig = labeling.tasks(scene, boxes)
    photo, words, detection, semantic, instance, panoptic = fig.axes
    assert (drawn.pixels(photo) == scene.image).all() and (drawn.pixels(detection) == scene.image).all()
    # The list names what is in the image, each class beside its colour.
    assert dict(zip(drawn.words(words), map(drawn.color, words.patches))) == {
        name: color for name, color in present(scene.mask).items() if name != "void"
    }
    # Two rectangles a box, a white rim and the class's colour, around all pixels of the thing.
    assert len(detection.patches) == 2 * len(numbers)
    for n, rim, box in zip(numbers, detection.patches[::2], detection.patches[1::2]):
        left, top, right, bottom = boxes[n]
        assert rim.get_bbox().extents.tolist() == box.get_bbox().extents.tolist()
        assert box.get_bbox().extents.tolist() == [left - 0.5, top - 0.5, right + 0.5, bottom + 0.5]
        assert to_hex(rim.get_edgecolor()) == "#ffffff"
        assert to_hex(box.get_edgecolor()).upper() == PAINT[scene.instance_classes[n]]
    assert (drawn.pixels(semantic) == DRIVING_PALETTE[scene.mask]).all()
    assert drawn.key(fig) == present(scene.mask)
    # On paper: a colour a thing, no stuff; both together: stuff in its colours.
    paper = drawn.pixels(instance, -1)
    found = [{tuple(c) for c in paper[scene.instances == n].tolist()} - {(255, 255, 255)} for n in numbers]
    assert all(len(colors) == 1 for colors in found) and len(set.union(*found)) == len(numbers)
    blank = paper[~np.isin(scene.instances, numbers)]
    assert set(map(tuple, blank.tolist())) <= {(246, 246, 246), (255, 255, 255)}
    assert (drawn.pixels(panoptic) == labeling._things(scene, numbers, DRIVING_PALETTE[scene.mask])).all()


def test_rings_mark_the_closest_pair_for_each_kind_of_eye():
    palettes = {"SegNet": labeling.SEGNET_PALETTE, "course": DRIVING_PALETTE}
    fig = labeling.color_vision(palettes)
    assert drawn.titles(fig) == list(palettes)
    for ax, palette in zip(fig.axes, palettes.values()):
        strips = drawn.pixels(ax)
        np.testing.assert_allclose(strips[0], palette / 255, atol=0.002)  # full colour vision changes nothing
        assert np.abs(strips[1:] - palette / 255).max(axis=(1, 2)).min() > 0.1
        for row, vision in enumerate(labeling.VISION.values()):
            ringed = {int(line.get_xdata()[0]) for line in ax.lines if line.get_ydata()[0] == row}
            assert ringed == set(labeling.closest(palette, vision)[1])
        assert drawn.ticks(ax.yaxis) == list(labeling.VISION)
    assert drawn.ticks(fig.axes[-1].xaxis) == NAMES


def test_the_void_map_counts_images():
    masks = torch.zeros(4, 3, 5, dtype=torch.long)
    masks[1:, 2], masks[2, 0, 0] = 11, 11
    left, right, bar = labeling.void_map(masks, 11, example=2).axes
    assert (drawn.pixels(left) == DRIVING_PALETTE[masks[2]]).all()
    assert (drawn.pixels(right) == [[25, 0, 0, 0, 0], [0] * 5, [75] * 5]).all()


def test_shares_are_bars_in_the_colors_of_their_classes():
    columns = {"ours": [20.0, 30.5, 0.25] + [5.0] * 8, "CamVid": torch.linspace(0.5, 40, 11)}
    fig = labeling.shares(columns)
    assert drawn.titles(fig) == list(columns)
    for ax, values in zip(fig.axes, columns.values()):
        bars = ax.containers[0].patches
        assert [bar.get_width() for bar in bars] == pytest.approx(np.asarray(values).tolist())
        assert [drawn.color(bar) for bar in bars] == PAINT[:11]
        assert drawn.words(ax) == [f"{value:.1f} %" for value in np.asarray(values, dtype=float)]
        assert list(ax.lines[0].get_xdata()) == pytest.approx([100 / 11] * 2)
        assert ax.get_ylim()[0] > ax.get_ylim()[1]  # sky on top
    assert drawn.ticks(fig.axes[0].yaxis) == list(DRIVING_CLASSES)


def test_a_image_its_label_map_and_both(street):
    photo, mask = street[0]
    fig = labeling.views(photo, mask, street)
    left, middle, right = map(drawn.pixels, fig.axes)
    assert (left == photo.permute(1, 2, 0).numpy()).all() and (middle == DRIVING_PALETTE[mask]).all()
    assert (right == plots.overlay(photo, mask)).all()
    assert drawn.key(fig) == present(mask)


def test_pairs_stand_in_columns(street):
    photo, mask = street[0]
    flipped = photo.flip(2), mask.flip(1)
    fig = labeling.pairs((photo, flipped[0]), (mask, flipped[1]), ["original", "mirrored"], street)
    upper, lower = np.reshape(fig.axes, (2, 2))
    for column, (image, labels) in enumerate([(photo, mask), flipped]):
        assert (drawn.pixels(upper[column]) == image.permute(1, 2, 0).numpy()).all()
        assert (drawn.pixels(lower[column]) == DRIVING_PALETTE[labels]).all()
    assert drawn.key(fig) == present(mask)


def test_labels_from_nowhere_are_orange(street):
    before = street[0][1]
    nearest, averaged = (
        F.interpolate(before[None, None].float(), size=(96, 128), mode=mode)[0, 0].round().long()
        for mode in ("nearest-exact", "bilinear")
    )
    fig = labeling.resized(nearest, averaged, before, street)
    assert (drawn.pixels(fig.axes[0]) == DRIVING_PALETTE[nearest]).all()
    assert (drawn.pixels(fig.axes[1]) == DRIVING_PALETTE[averaged]).all()
    invented = labeling.strangers(averaged, before)
    assert invented.any() and ((drawn.pixels(fig.axes[2]) == plots.WRONG).all(-1) == invented).all()
    assert drawn.key(fig) == present(nearest, averaged)


def test_the_explorers_title_counts_the_wrong_labels(street):
    for zoom in (1.0, 2.0):
        values = {"mirror": False, "zoom": zoom, "brightness": 0.0, "saturation": 0.0, "sample": 0}
        fig = labeling.explorer(*street[0], street, way=labeling.MASK_WAYS[2], **values)
        image, right, labels = explored(street, labeling.MASK_WAYS[2], zoom=zoom)
        wrong = (right != labels).numpy()
        assert wrong.any() == (zoom == 2.0)
        share, title = f"{100 * wrong.mean():.1f} %", drawn.title(fig.axes[2])
        assert title.startswith("wrong labels") and title.endswith(f": {share}")
        assert ((drawn.pixels(fig.axes[2]) == plots.WRONG).all(-1) == wrong).all()
        assert (drawn.pixels(fig.axes[0]) == image.permute(1, 2, 0).numpy()).all()
        assert (drawn.pixels(fig.axes[1]) == DRIVING_PALETTE[labels]).all()
        assert share in labeling.explorer_words(*street[0], street, way=labeling.MASK_WAYS[2], **values)


def test_moved_borders_have_the_outlines_in_the_images(street):
    photo, mask = street[0]
    fig = labeling.moved_borders([photo, photo], [mask, mask.roll(3, 1)], ["image 0", "moved"])
    for ax, labels in zip(fig.axes, (mask, mask.roll(3, 1))):
        assert (drawn.pixels(ax) == labeling.outlined(photo, labels)).all()


def test_the_ring_lies_on_the_best_move():
    values = np.zeros((5, 5))
    values[4, 1] = 2.0  # two down, one to the left
    fig = labeling.contrast_maps({"broken": values, "repaired": torch.eye(5) * torch.tensor([1, 1, 3, 1, 1])}, reach=2)
    broken, repaired = fig.axes[:2]
    assert [drawn.curve(ax.lines[0]) for ax in (broken, repaired)] == [([-1], [2]), ([0], [0])]
    assert (drawn.pixels(broken) == values).all() and broken.images[0].get_extent() == [-2.5, 2.5, 2.5, -2.5]


def test_named_classes_are_drawn_strong_and_their_names_do_not_overlap():
    table = {0: [1.0] * 11, 2: [0.9 - 0.01 * k for k in range(11)], 8: [0.5 - 0.01 * k for k in range(11)]}
    named = ("road", "car", "pole")
    ax = labeling.lost_to_shift(table, named=named).axes[0]
    for label, name in enumerate(DRIVING_CLASSES):
        curve = ([0, 2, 8], [round(values[label], 6) for values in table.values()])
        colors = [drawn.color(line) for line in ax.lines if drawn.curve(line) == curve]
        assert colors == ([plots.INK, PAINT[label]] if name in named else [plots.PALE])
    heights = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert set(heights) == set(named)
    assert heights["pole"] > heights["road"] > heights["car"]  # in the order in which the curves end
    assert min(np.diff(sorted(heights.values()))) >= 0.0749
    assert ax.get_xticks().tolist() == [0, 2, 8] and "pixels" in ax.get_xlabel() and "IoU" in ax.get_ylabel()


def test_the_location_prior_stands_beside_how_often_classes_occur(street):
    prior = torch.tensor([[0] * 4, [1] * 4, [3] * 4])
    frequency = {"sky": torch.tensor([[0.5] * 4, [0.1] * 4, [0.0] * 4]), "road": np.full((3, 4), 0.25)}
    fig = labeling.location(prior, frequency, street)
    maps, bars = fig.axes[:3], fig.axes[3:]
    assert (drawn.pixels(maps[0]) == DRIVING_PALETTE[prior]).all()
    for ax, values in zip(maps[1:], frequency.values()):
        np.testing.assert_allclose(drawn.pixels(ax), 100 * np.asarray(values), rtol=1e-6)
        assert ax.images[0].get_clim()[0] == 0
    assert drawn.key(bars[0]) == present(prior)


def test_images_of_a_data_set_have_their_names_and_labels():
    dataset = data.load("street", "val", size=(32, 48), count=3)
    fig = labeling.real_images(dataset, (2, 0))
    assert drawn.titles(fig) == [dataset.names()[2], dataset.names()[0]]
    for ax, index in zip(fig.axes, (2, 0)):
        assert (drawn.pixels(ax) == plots.overlay(*dataset[index])).all()
    assert drawn.key(fig) == dict(zip(DRIVING_CLASSES, PAINT))
