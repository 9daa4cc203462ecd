"""The drawings of chapter 11 show the taps, cells and scores that they are handed."""

import drawn
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from segbook import data, plots
from segbook.course.ch11_deeplab_v3 import figures


class TestTaps:
    def test_numbers_stand_on_the_tint_of_their_number(self):
        maps = {f"rate {rate}": figures.valid_taps(4, 5, rate) for rate in (1, 2, 4)}
        fig = figures.tap_counts(maps)
        assert drawn.titles(fig) == list(maps)
        tints = {}
        for ax, counts in zip(fig.axes, maps.values()):
            assert [int(t) for t in drawn.words(ax)] == counts.flatten().tolist()
            assert len(ax.patches) == counts.size
            for patch in ax.patches:
                cell = int(patch.get_y() + 0.5), int(patch.get_x() + 0.5)
                tints.setdefault(int(counts[cell]), set()).add(to_hex(patch.get_facecolor()))
        assert len(tints) > 3 and all(len(colors) == 1 for colors in tints.values())
        assert len(set.union(*tints.values())) == len(tints)

    def test_shares_over_the_rate(self):
        shares = {9: torch.tensor([0.8, 0.4, 0.0]), 4: torch.tensor([0.1, 0.3, 0.2]), 1: torch.tensor([0, 0.1, 0.8])}
        fig = figures.taps_by_rate([1, 2, 4], shares, 5)
        ax = fig.axes[0]
        for line, values in zip(ax.lines, shares.values()):
            np.testing.assert_allclose(line.get_ydata(), 100 * values)
            assert list(line.get_xdata()) == [1, 2, 4]
        assert len({line.get_linestyle() + drawn.color(line) for line in ax.lines}) == 3
        assert "5 × 5 cells" in ax.get_xlabel() and ax.get_ylabel() and ax.get_xlim() == (1, 4)

    @pytest.mark.parametrize("place", figures.PLACES)
    @pytest.mark.parametrize(("rate", "height", "width"), [(1, 7, 9), (3, 7, 9), (12, 5, 8)])
    def test_the_live_figure_follows_its_controls(self, rate, height, width, place):
        fig = figures.kernel_on_map(rate, height, width, place)
        map_, curve = fig.axes
        counts = figures.valid_taps(height, width, rate)
        assert (drawn.pixels(map_) == counts).all()
        taps = [(line.get_xdata()[0], line.get_ydata()[0], line.get_marker()) for line in map_.lines]
        assert len(taps) == 9
        for x, y, marker in taps:
            assert marker == ("o" if 0 <= x < width and 0 <= y < height else "X")
            assert map_.get_xlim()[0] < x < map_.get_xlim()[1] and map_.get_ylim()[1] < y < map_.get_ylim()[0]
        middle = taps[4]
        assert sum(marker == "o" for *_, marker in taps) == counts[middle[1], middle[0]]
        assert f"At {place} {counts[middle[1], middle[0]]} of its 9" in figures.kernel_in_words(
            rate, height, width, place
        )
        rates, shares = drawn.curve(curve.lines[0])
        assert rates[0] == 1
        np.testing.assert_allclose(shares[rate - 1], 100 * counts.mean() / 9, atol=1e-5)
        np.testing.assert_allclose(drawn.curve(curve.lines[2]), [[rate], [shares[rate - 1]]], atol=1e-5)
        np.testing.assert_allclose(shares[-1], 100 / 9, atol=1e-5)  # at last a 1×1 convolution
        assert list(drawn.key(fig)) == [*map(str, np.unique(counts)), "valid", "outside"]
        assert f"{height} × {width} cells, and one kernel of rate {rate}" in fig.texts[0].get_text()
        assert drawn.inside(fig)

    def test_the_legend_has_the_colors_of_the_map(self):
        fig = figures.kernel_on_map(2, 7, 9)
        image = fig.axes[0].images[0]
        for name, color in drawn.key(fig).items():
            if name.isdigit():
                assert to_hex(image.cmap(image.norm(int(name)))).upper() == color


class TestCells:
    def test_what_is_never_looked_at_stays_white(self):
        counts = np.zeros((5, 5))
        counts[::2, ::2] = [1, 2, 1]
        fig = figures.footprints({"(1, 1, 1)": torch.from_numpy(counts), "(1, 2, 1)": counts[::-1] + 1}, label="ways")
        some, every = (np.ma.filled(ax.images[0].get_array().astype(float), 0) for ax in fig.axes)
        assert (some == counts).all() and (every == counts[::-1] + 1).all()
        assert np.ma.count_masked(fig.axes[0].images[0].get_array()) == (counts == 0).sum()
        assert all(drawn.curve(ax.lines[0]) == ([2], [2]) for ax in fig.axes)

    def test_arrows_lead_where_the_resize_puts_a_cell(self):
        rows = {"aligned": ([0, 16, 32], [0, 16, 32]), "not aligned": ([0, 16], [7.5, 23.5])}
        fig = figures.cell_places(33, rows)
        ax = fig.axes[0]
        assert drawn.ticks(ax.yaxis) == list(rows) and ax.get_xlabel() == "pixel"
        arrows = [(text.xyann, text.xy) for text in ax.texts]
        assert arrows == [((0, 1), (7.5, 1)), ((16, 1), (23.5, 1))]  # none where both are the same
        dots = [drawn.curve(line) for line in ax.lines if line.get_marker() == "o"]
        strokes = [drawn.curve(line) for line in ax.lines if line.get_marker() == "|"]
        assert dots == [([0, 16, 32], [0, 0, 0]), ([0, 16], [1, 1])]
        assert strokes == [([0, 16, 32], [0, 0, 0]), ([7.5, 23.5], [1, 1])]


class TestMeasured:
    def test_a_panel_a_measure_and_the_paper(self):
        panels = {
            "ours: mIoU, %": {"16": [40, 42], "8": [44, 48], "8, rates of 16": [30, 31]},
            "ours: boundary F1, %": {"16": [50, 52], "8": [60, 61], "8, rates of 16": [45, 47]},
        }
        fig = figures.study(panels, {"16": 77.21, "8": 78.51})
        assert drawn.titles(fig) == [*panels, "paper: mIoU, %"]
        for ax, runs in zip(fig.axes, panels.values()):
            lines = [drawn.curve(line) for line in ax.lines]
            for place, values in enumerate(runs.values()):
                assert lines[2 * place] == (values, [place, place])
                assert lines[2 * place + 1] == ([np.mean(values)], [place])
            low, high = ax.get_xlim()
            assert all(low < v < high for values in runs.values() for v in values)
        paper = fig.axes[2]
        assert [drawn.curve(line) for line in paper.lines] == [([77.21], [0]), ([78.51], [1])]
        assert [w.strip() for w in drawn.words(paper)] == ["77.21", "78.51", "not measured"]
        assert paper.texts[2].get_position()[1] == 2
        assert drawn.ticks(fig.axes[0].yaxis) == ["16", "8", "8, rates of 16"]
        assert fig.axes[0].get_ylim() == (2.5, -0.5) and list(drawn.key(fig)) == ["one seed", "mean"]

    def test_the_best_shift_of_each_net_is_ringed(self):
        scores = {"16": [50, 48, 45, 40], "8": [46, 49, 52, 50]}
        fig = figures.sliding(range(4), scores)
        ax = fig.axes[0]
        curves, rings = ax.lines[::2], ax.lines[1::2]
        assert [drawn.curve(line) for line in curves] == [([0, 1, 2, 3], values) for values in scores.values()]
        assert [drawn.curve(line) for line in rings] == [([0], [50]), ([2], [52])]

    def test_the_photograph_names_the_classes_that_occur(self):
        image = torch.randint(0, 256, (3, 8, 12), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        one, other = torch.zeros(8, 12, dtype=torch.int64), torch.full((8, 12), 4)
        other[4:] = 7
        palette, names = data.DRIVING_PALETTE, data.DRIVING_CLASSES
        fig = figures.photograph(image, {"torchvision": one, "ours": other}, palette, names)
        shown = (image.permute(1, 2, 0).numpy(), plots.paint(one, palette), plots.paint(other, palette))
        assert all((drawn.pixels(ax) == cell).all() for ax, cell in zip(fig.axes, shown))
        assert drawn.key(fig) == {names[k]: to_hex(palette[k] / 255).upper() for k in (0, 4, 7)}
