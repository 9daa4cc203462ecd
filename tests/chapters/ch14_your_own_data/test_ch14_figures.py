"""The drawings of chapter 14 show the images, polygons, splits and errors that they are handed."""

import drawn
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from segbook import metrics, plots
from segbook.course.ch14_your_own_data import figures

IMAGES = torch.randint(0, 256, (4, 3, 12, 18), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
FLAT = IMAGES.permute(0, 2, 3, 1).numpy()


class Dataset:
    classes, ignore_index = ("field", "wood", "house"), 255
    palette = np.array([(183, 220, 171), (73, 146, 112), (200, 20, 10), (0, 0, 0)], dtype=np.uint8)


class TestPairs:
    def test_every_image_stands_over_its_mask(self):
        rows = [(f"site{n:02d}", FLAT[n % 4], FLAT[(n + 1) % 4]) for n in range(7)]
        rows[3] = ("lost", FLAT[3], None)
        fig = figures.pairs(rows)
        grid = np.reshape(fig.axes, (4, 6))
        for n, (title, image, mask) in enumerate(rows):
            line, column = divmod(n, 6)
            above, below = grid[2 * line][column], grid[2 * line + 1][column]
            assert drawn.title(above) == title and (drawn.pixels(above) == image).all()
            if mask is None:
                assert drawn.words(below) == ["no file"] and not below.images
            else:
                assert (drawn.pixels(below) == mask).all() and not below.texts
        assert not any(ax.images for ax in grid[2:, 1:].flat) and not any(ax.axison for ax in grid.flat)

    def test_colors_of_no_class_are_crossed_out(self):
        names = {(255, 0, 0): "house", (0, 255, 0): "field"}
        small = np.array([[(255, 0, 0), (0, 255, 0)]], dtype=np.uint8)
        nearest, mixed = small.repeat(2, 1), small.repeat(2, 1)
        mixed[0, 1], mixed[0, 2] = (191, 64, 0), (64, 191, 0)
        fig = figures.mixing(small, nearest, mixed, names)
        assert all((drawn.pixels(ax) == each).all() for ax, each in zip(fig.axes, (small, nearest, mixed)))
        crosses = [[text.get_position() for text in ax.texts] for ax in fig.axes]
        assert crosses == [[], [], [(1, 0), (2, 0)]]
        key = drawn.key(fig)
        assert list(key) == ["house", "field", "no class"] and (key["house"], key["field"]) == ("#FF0000", "#00FF00")

    def test_polygons_are_numbered_in_the_color_of_their_class(self):
        labels = torch.zeros(12, 18, dtype=torch.int64)
        labels[2:6, 2:8] = 2
        labels[6:, 9:] = 255
        shapes = [
            ("house", "polygon", [(2, 2), (8, 2), (8, 6), (2, 6)]),
            ("wood", "polygon", [(9, 6), (30, 6), (30, 30)]),
        ]
        fig = figures.polygons(IMAGES[0], shapes, labels, Dataset)
        left, right = fig.axes
        assert drawn.words(left) == ["1", "2"] and drawn.titles(fig) == ["image and polygons", "label map"]
        for outline, text, (name, _, points) in zip(left.patches[1::2], left.texts, shapes):
            np.testing.assert_allclose(outline.get_xy()[:-1], points)
            color = drawn.class_colors(name, dataset=Dataset)[name]
            assert to_hex(outline.get_edgecolor()).upper() == color == drawn.color(text.get_bbox_patch())
            x, y = text.get_position()
            assert 0 < x < 18 and 0 < y < 12  # on the image, even where the polygon leaves it
        assert left.get_xlim() == (-0.5, 17.5) and left.get_ylim() == (11.5, -0.5)
        assert (drawn.pixels(right) == plots.paint(labels, Dataset.palette, 255)).all()
        assert list(drawn.key(fig))[:2] == ["field", "house"] and "wood" not in drawn.key(fig)


class TestSplits:
    def test_a_column_a_site_a_row_a_frame(self):
        names = [f"site{s:02d}_{f}" for s in (3, 5, 7) for f in range(2)]
        ways = {
            "by site": {"train": names[:4], "test": names[4:]},
            "shuffled": {"train": names[::2], "val": names[1::2]},
        }
        fig = figures.splits(ways)
        assert drawn.titles(fig) == list(ways)
        for ax, parts in zip(fig.axes, ways.values()):
            found = {(int(p.get_x()), int(p.get_y())): drawn.color(p) for p in ax.patches}
            wanted = {}
            for part, members in parts.items():
                for name in members:
                    site, frame = int(name[4:6]), int(name[7:])
                    wanted[(3, 5, 7).index(site), frame] = figures.PARTS[part]
            assert found == wanted and len(ax.patches) == len(names)
            assert drawn.ticks(ax.xaxis) == ["03", "07"] and drawn.ticks(ax.yaxis) == ["0", "1"]
        assert drawn.key(fig) == figures.PARTS


class TestErrors:
    def test_the_matrix_and_its_largest_confusions(self):
        truth = torch.tensor([[0] * 8 + [1] * 4])
        labels = torch.tensor([[0] * 6 + [1, 2] + [1, 1, 1, 0]])
        truth[0, -1] = 2
        confusion = metrics.ConfusionMatrix(3).update(labels, truth)
        found = [("field", "wood", 1 / 3), ("house", "field", 1 / 6)]
        fig = figures.confusion_pairs(found, confusion, Dataset.classes)
        left, right = fig.axes
        shares = confusion.counts / confusion.counts.sum(1, keepdim=True)
        np.testing.assert_allclose(drawn.pixels(left), shares, rtol=1e-6)
        assert drawn.words(left) == [f"{100 * share:.0f}" for share in shares.flatten()]
        assert drawn.ticks(left.xaxis) == drawn.ticks(left.yaxis) == list(Dataset.classes)
        dark = [to_hex(text.get_color()) == "#ffffff" for text in left.texts]
        assert dark == (shares > 0.5).flatten().tolist()  # white letters on the dark cells
        np.testing.assert_allclose([bar.get_width() for bar in right.patches], [100 / 3, 100 / 6])
        assert drawn.ticks(right.yaxis) == ["field → wood", "house → field"] and drawn.words(right) == ["33", "17"]
        low, high = right.get_ylim()
        assert low > high and right.get_xlim()[1] > 100 / 3  # the largest on top

    def test_shares_near_a_border(self):
        ax = figures.boundary_share([1, 2, 5], [0.5, 0.7, 0.9], [0.2, 0.3, 0.6]).axes[0]
        assert [drawn.curve(line) for line in ax.lines] == [([1, 2, 5], [50, 70, 90]), ([1, 2, 5], [20, 30, 60])]
        assert drawn.ticks(ax.xaxis) == ["1", "2", "5"] or list(ax.get_xticks()) == [1, 2, 5]
        assert ax.get_xlabel() and ax.get_ylabel() and ax.get_ylim()[1] > 100

    def test_the_worst_come_first_with_their_names(self):
        masks = torch.arange(4)[:, None, None].expand(4, 12, 18) % 3
        fig = figures.worst(
            IMAGES, masks, masks.roll(1, 0), [0.5, 0.2, 0.9, 0.4], list("abcd"), dataset=Dataset, count=2
        )
        grid = np.reshape(fig.axes, (2, 4))
        for axes, n in zip(grid, (1, 3)):
            assert (drawn.pixels(axes[0]) == FLAT[n]).all()
            assert (drawn.pixels(axes[1]) == plots.paint(masks[n], Dataset.palette, 255)).all()
            assert (drawn.pixels(axes[2]) == plots.paint(masks.roll(1, 0)[n], Dataset.palette, 255)).all()

    def test_areas_lie_on_the_diagonal_when_the_count_is_right(self):
        truth, counted = np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([[0.9, 0.1], [0.3, 0.7]])
        fig = figures.areas(truth, counted, ["field", "wood"])
        for k, ax in enumerate(fig.axes):
            diagonal, dots = ax.lines
            assert np.array_equal(*diagonal.get_data()) and ax.get_xlabel() == "true share, %"
            np.testing.assert_allclose(dots.get_data(), [100 * truth[:, k], 100 * counted[:, k]])
            assert ax.get_xlim() == ax.get_ylim() and ax.get_xlim()[1] > max(np.ravel(dots.get_data()))

    def test_new_sites_score_lower_line_by_line(self):
        fig = figures.too_good([(0, 0.8, 0.6), (1, 0.75, 0.7)], twin=("known", "new"))
        ax = fig.axes[0]
        assert [drawn.curve(line) for line in ax.lines] == [([0, 1], [0.8, 0.6]), ([0, 1], [0.75, 0.7])]
        assert drawn.key(ax) == {"seed 0": plots.CYCLE[0], "seed 1": plots.CYCLE[1]}
        assert drawn.ticks(ax.xaxis) == ["known", "new"] and ax.get_ylabel() == "mIoU" and ax.get_ylim() == (0, 1)


class TestObjects:
    @pytest.fixture
    def finder(self):
        """A house that is found, one that is missed, and a false alarm; nothing at all in the second image."""
        masks, probability = torch.zeros(2, 12, 18, dtype=torch.int64), torch.zeros(2, 12, 18)
        masks[0, 1:4, 1:5] = masks[0, 7:10, 1:5] = 2
        probability[0, 1:4, 1:4], probability[0, 7:9, 12:14] = 0.9, 0.6
        return figures.Objects(IMAGES[:2], masks, probability, 2, ["site00_0", "site00_1"])

    @pytest.mark.parametrize(
        ("threshold", "smallest", "alarm", "scores"),
        [(0.5, 1, True, ["50", "50"]), (0.7, 1, False, ["100", "50"]), (0.5, 5, False, ["100", "50"])],
    )
    def test_the_verdict_paints_what_the_controls_decide(self, finder, threshold, smallest, alarm, scores):
        fig = finder.draw(threshold, smallest, 0)
        image, probability, verdict = (drawn.pixels(ax) for ax in fig.axes[:3])
        assert (image == FLAT[0]).all() and (probability == finder.probability[0]).all()
        assert (verdict[1:4, 1:4] == figures.FOUND).all() and (verdict[7:10, 1:5] == figures.MISSED).all()
        assert (verdict[7:9, 12:14] == figures.FALSE_ALARM).all() == alarm
        others = np.ones((12, 18), dtype=bool)
        others[1:4, 1:4] = others[7:10, 1:5] = others[7:9, 12:14] = False
        gray = verdict[others]
        assert (gray == gray[:, :1]).all()  # the rest is the pale image
        bars = fig.axes[3]
        assert drawn.words(bars) == scores and drawn.ticks(bars.xaxis) == ["precision", "recall"]
        assert [f"{bar.get_height():.0f}" for bar in bars.patches] == scores
        key = drawn.key(fig)
        for name, painted in (
            ("right", figures.FOUND),
            ("false alarm", figures.FALSE_ALARM),
            ("missed", figures.MISSED),
        ):
            assert key[name] == to_hex(np.array(painted) / 255).upper()

    def test_nothing_kept_has_no_precision_but_a_figure(self, finder):
        fig = finder.draw(0.95, 1, 1)
        assert drawn.words(fig.axes[3]) == ["0", "0"] and drawn.title(fig.axes[0]) == "site00_1"
        assert "≈0 objects" in finder.words(0.95, 1, 1)
