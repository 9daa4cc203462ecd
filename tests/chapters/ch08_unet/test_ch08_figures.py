"""The drawings of chapter 08 show the sizes, tiles, cells and scores that they are handed."""

import drawn
import numpy as np
import pytest
import torch

from segbook import layers, models
from segbook.course.ch08_unet import figures
from segbook.data.cells import PALETTE

IMAGE = torch.randint(0, 256, (1, 12, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
GRAY = np.repeat(IMAGE[0].numpy()[..., None], 3, axis=2)
CELLS = np.zeros((12, 16), dtype=int)
CELLS[1:5, 1:6], CELLS[6:11, 8:14] = 1, 2


def bars(ax):
    """The bars of the U as (left, height), without the cropped skips."""
    return [(p.get_x(), p.get_height()) for p in ax.patches if p.get_alpha() is None]


class TestCells:
    def test_neighbors_in_number_get_different_colors_on_black(self):
        painted = figures.number_cells(np.arange(9)[None])[0]
        assert painted[0].tolist() == [0, 0, 0] and painted.dtype == np.uint8
        assert len({tuple(c) for c in painted[1:8].tolist()}) == 7
        assert painted[1].tolist() == painted[8].tolist()
        assert painted[1:].any(1).all()  # no cell is painted like the background

    def test_tiles_show_each_image_under_its_title(self):
        fig = figures.tiles([IMAGE, figures.number_cells(CELLS), GRAY], ["image", "truth", "again"])
        for ax, expected in zip(fig.axes, (GRAY, figures.number_cells(CELLS), GRAY)):
            assert (drawn.pixels(ax) == expected).all() and not len(ax.get_xticks())

    def test_places_without_a_image_stay_empty(self):
        fig = figures.tiles([IMAGE] * 4, list("abcd"), columns=3)
        assert [len(ax.images) for ax in fig.axes] == [1, 1, 1, 1, 0, 0]
        assert not any(ax.axison for ax in fig.axes[4:])

    def test_border_weights_are_drawn_as_they_are(self):
        weights = np.linspace(0, 9, CELLS.size).reshape(CELLS.shape)
        fig = figures.border_weights(IMAGE, CELLS, weights)
        assert (drawn.pixels(fig.axes[0]) == GRAY).all()
        assert (drawn.pixels(fig.axes[1]) == figures.number_cells(CELLS)).all()
        assert (drawn.pixels(fig.axes[2]) == weights).all()
        assert fig.axes[2].images[0].get_clim() == (0, 9) and fig.axes[2].images[0].colorbar is not None

    def test_merged_puts_each_nets_cells_below_its_name(self):
        one, joined = [CELLS, CELLS.T[:12].repeat(2, 1)[:, :16]], [(CELLS > 0).astype(int), CELLS * 0]
        fig = figures.merged([IMAGE, IMAGE], [CELLS, CELLS], [one, joined], ["with weights", "without"])
        grid = np.reshape(fig.axes, (2, 4))
        for row in range(2):
            assert (drawn.pixels(grid[row][1]) == figures.number_cells(CELLS)).all()
            assert (drawn.pixels(grid[row][2]) == figures.number_cells(one[row])).all()
            assert (drawn.pixels(grid[row][3]) == figures.number_cells(joined[row])).all()


class TestSizes:
    def test_the_walk_of_the_paper(self):
        path = figures.walk(572)
        assert path["down"] == [(570, 568), (282, 280), (138, 136), (66, 64), (30, 28)]
        assert path["up"] == [(56, 54, 52), (104, 102, 100), (200, 198, 196), (392, 390, 388)]
        assert path["crop"] == [4, 16, 40, 88] and path["broken"] is None

    @pytest.mark.parametrize("levels", [1, 2, 3, 4])
    def test_the_walk_breaks_where_the_net_refuses(self, levels):
        net = models.build("unet", 2, width=1 / 16, padding="valid", levels=levels)
        for size in range(1, 260):
            path = figures.walk(size, levels)
            assert (path["broken"] is None) == net.fits(size)
            if path["broken"] is None:
                assert size - path["up"][-1][-1] == 2 * net.margin

    @pytest.mark.parametrize(
        ("size", "words"),
        [
            (3, "nothing is left at level 1"),
            (571, "567 at level 1 is odd"),
            (156, "nothing is left on the way up at level 4"),
        ],
    )
    def test_the_walk_says_what_does_not_fit(self, size, words):
        assert words in figures.walk(size)["broken"]
        fig = figures.u_shape(size)
        assert words in drawn.title(fig.axes[0]) and drawn.color(drawn.heading(fig.axes[0])) == figures.LOST

    @pytest.mark.parametrize(("size", "out", "lost"), [(572, 388, 92), (252, 68, 92)])
    def test_the_u_names_every_size_and_crop(self, size, out, lost):
        ax = figures.u_shape(size).axes[0]
        path = figures.walk(size)
        assert drawn.title(ax) == f"input {size} → output {out}: {lost} pixels lost on each side"
        numbers = [size, *np.ravel(path["down"]), *np.ravel(path["up"])]
        found = drawn.words(ax)
        assert sorted(int(t) for t in found if t.isdigit()) == sorted(numbers)
        assert [t for t in found if "crop" in t] == [f"crop {n} a side" for n in path["crop"]]
        # To scale: the bars are as tall as the maps are large.
        np.testing.assert_allclose(sorted(h for _, h in bars(ax)), sorted(n / size for n in numbers))
        assert {figures.DOWN, figures.UP} < set(drawn.key(ax).values())
        arrows = [t for t in ax.texts if not t.get_text()]
        assert len(arrows) == 4 and all(t.xy[0] > t.xyann[0] for t in arrows)  # from the way down to the way up

    def test_a_broken_u_ends_where_it_breaks(self):
        ax = figures.u_shape(574).axes[0]  # 281 cells at level 2: cannot be pooled
        assert "odd" in drawn.title(ax)
        assert len(bars(ax)) == 1 + 2 * len(figures.walk(574)["down"]) < 11
        assert not any("crop" in t for t in drawn.words(ax))

    def test_the_crop_keeps_what_center_crop_keeps(self):
        large, small = torch.arange(36).view(6, 6), torch.arange(16).view(4, 4)
        fig = figures.crop_and_join(large, small)
        left, right = fig.axes
        assert [int(t) for t in drawn.words(left)] == list(range(36))
        assert [int(t) for t in drawn.words(right)] == list(range(16))
        marked = [(int(p.get_y() + 0.5), int(p.get_x() + 0.5)) for p in left.patches]
        kept = layers.center_crop(large[None, None], (4, 4)).flatten().tolist()
        assert sorted(large[r, c].item() for r, c in marked) == kept
        assert not right.patches and "crop" in drawn.title(left)


class TestTiles:
    @pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 1), (2, 1)])
    def test_the_answer_lies_in_the_middle_of_what_is_read(self, row, column):
        padded = np.zeros((3, 60, 72), dtype=np.uint8)
        ax = figures.mirrored_tile(padded, margin=8, tile=24, step=8, row=row, column=column).axes[0]
        frames = [(*p.get_xy(), p.get_width(), p.get_height()) for p in ax.patches]
        assert dict(zip(drawn.words(ax), frames)) == {
            "the image itself": (7.5, 7.5, 56, 44),
            "what the net reads": (8 * column - 0.5, 8 * row - 0.5, 24, 24),
            "what it answers": (8 * column + 7.5, 8 * row + 7.5, 8, 8),
        }
        colors = [p.get_edgecolor() for p in ax.patches]
        assert [t.get_bbox_patch().get_facecolor() for t in ax.texts] == colors  # each label in that of its frame

    def test_differences_share_one_scale(self):
        maps = [np.zeros((4, 6)), np.full((4, 6), 1e-3), np.full((4, 6), 0.5)]
        fig = figures.differences(maps, ["none", "few", "all"])
        np.testing.assert_allclose([drawn.pixels(ax)[0, 0] for ax in fig.axes[:3]], [1e-5, 1e-3, 0.5])
        assert {ax.images[0].get_clim() for ax in fig.axes[:3]} == {(1e-5, 0.5)}

    def test_tiles_without_any_seam_can_be_drawn(self):
        fig = figures.differences([np.zeros((4, 6)), np.full((4, 6), 1e-7)], ["one", "other"])
        low, high = fig.axes[0].images[0].get_clim()
        assert 0 < low < high
        fig.draw_without_rendering()


class TestElastic:
    @staticmethod
    def draw(field, bent=IMAGE):
        return figures.elastic(IMAGE, bent, (CELLS > 0).astype(int), field, PALETTE, every=4)

    def test_the_arrows_are_the_shifts(self):
        field = torch.zeros(2, 12, 16)
        field[0], field[1] = 2, -3  # two down, three to the left
        fig = self.draw(field, bent=255 - IMAGE)
        arrows = fig.axes[0].texts
        assert len(arrows) == 9
        for arrow in arrows:
            np.testing.assert_allclose(np.subtract(arrow.xy, arrow.xyann), (-3, 2))
        assert {arrow.xyann for arrow in arrows} == {(x, y) for x in (0, 8, 15) for y in (0, 6, 11)}
        assert (drawn.pixels(fig.axes[1]) == 255 - GRAY).all()
        assert (drawn.pixels(fig.axes[2]) == PALETTE[(CELLS > 0).astype(int)]).all()

    def test_the_lines_follow_the_sheet(self):
        field = torch.zeros(2, 12, 16)
        field[1] = 1  # every pixel comes from one further right: the lines move one to the left
        vertical = self.draw(field).axes[1].collections[1]
        places = [path.vertices[:, 0].mean() for path in vertical.get_paths() if len(path.vertices)]
        np.testing.assert_allclose(places, [3, 7, 11])


class TestSkips:
    @pytest.mark.parametrize("on", [set(), {4}, {1, 3}, {1, 2, 3, 4}])
    def test_the_sketch_shows_which_skips_are_on(self, on):
        fig = figures.skips(IMAGE, CELLS, CELLS * 0, on, 0.4249)
        sketch = fig.axes[3]
        assert drawn.titles(fig) == ["image", "true cells", "answer", "mIoU here 0.42"]
        assert drawn.words(sketch) == [f"level {n}" + ("" if n in on else ": off") for n in (1, 2, 3, 4)]
        lit = {n for n, line in enumerate(sketch.lines[:4], start=1) if drawn.color(line) == figures.DOWN}
        assert lit == on
        assert (drawn.pixels(fig.axes[1]) == figures.number_cells(CELLS)).all() and not drawn.pixels(fig.axes[2]).any()

    def test_the_staircase_has_a_dot_a_seed_and_their_mean(self):
        trained = {"1 2": [0.8, 0.9, 0.7], "2": [0.6, 0.5, 0.7], "none": [0.2, 0.3, 0.4]}
        ax = figures.staircase(trained, {"1 2": 0.8, "2": 0.4, "none": 0.1}).axes[0]
        *dots, mean, switched = ax.lines
        assert [drawn.curve(line) for line in dots] == [([i] * 3, list(v)) for i, v in enumerate(trained.values())]
        assert drawn.curve(mean) == ([0, 1, 2], [0.8, 0.6, 0.3]) and drawn.curve(switched)[1] == [0.8, 0.4, 0.1]
        assert drawn.key(ax) == {"trained without them": figures.DOWN, "switched off after training": figures.LOST}
        assert drawn.ticks(ax.xaxis) == list(trained) and ax.get_ylabel() == "mIoU" and ax.get_ylim() == (0, 1)
