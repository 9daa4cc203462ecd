"""The drawings of chapter 12 show the windows, sizes and scores that they are handed."""

import drawn
import numpy as np
import pytest
import torch
from drawn import Driving as Dataset
from drawn import class_colors, painted
from matplotlib.colors import to_hex

from segbook import data, metrics, models
from segbook.course.ch12_deeplab_v3plus import figures

NAMES = data.DRIVING_CLASSES
IMAGES = torch.randint(0, 256, (2, 3, 24, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
#: Sky over road; a pole in front.
MASKS = torch.zeros(2, 24, 32, dtype=torch.int64)
MASKS[:, 12:] = 3
MASKS[0, 4:20, 10:12] = 2
BLURRED = torch.where(MASKS == 2, 0, MASKS)


class TestZoom:
    @pytest.mark.parametrize(("window", "present"), [((2, 4, 14), "sky pole road"), ((0, 20, 10), "sky")])
    def test_the_window_is_marked_and_enlarged(self, window, present):
        top, left, side = window
        cut = (slice(top, top + side), slice(left, left + side))
        fig = figures.edge_zoom(IMAGES[0], MASKS[0], {"v3": BLURRED[0], "v3+": MASKS[0]}, window, Dataset)
        scene, enlarged, *maps = fig.axes
        for frame in scene.patches:
            assert (*frame.get_xy(), frame.get_width(), frame.get_height()) == (left - 0.5, top - 0.5, side, side)
        assert (drawn.pixels(enlarged) == IMAGES[0].permute(1, 2, 0).numpy()[cut]).all()
        for ax, labels in zip(maps, (MASKS[0], BLURRED[0], MASKS[0])):
            assert (drawn.pixels(ax) == painted(labels[cut])).all()
        assert drawn.key(fig) == class_colors(*present.split())
        assert drawn.inside(fig)

    def test_the_line_is_the_border_of_the_truth_on_every_map(self):
        fig = figures.edge_zoom(IMAGES[0], MASKS[0], {"v3": BLURRED[0]}, (2, 4, 14), Dataset)
        truth = MASKS[0, 2:16, 4:18]
        for ax in fig.axes[2:]:
            segments = ax.collections[1].get_segments()
            assert len(segments) == (truth.diff(dim=0) != 0).sum() + (truth.diff(dim=1) != 0).sum() > 0
            for (x0, y0), (x1, y1) in segments:
                upright = x0 == x1
                one = truth[int(y0 + 0.5 * upright), int(x0 + 0.5 * (not upright))]
                row, column = int((y0 + y1) / 2 + 0.5), int((x0 + x1) / 2 + 0.5)
                assert one != truth[row, column]

    def test_the_explorer_follows_its_controls(self):
        explorer = figures.EdgeExplorer(IMAGES, MASKS, {"v3": BLURRED, "v3+": MASKS}, Dataset)
        for scene, decoder, across, down, side in [
            (0, True, 11, 10, 16),
            (0, False, 11, 10, 16),
            (1, True, 31, 23, 20),
        ]:
            fig = explorer.draw(scene, decoder, across, down, side)
            top, left, side = figures.window_at((24, 32), across, down, side)
            cut = (scene, slice(top, top + side), slice(left, left + side))
            assert drawn.title(fig.axes[3]) == ("decoder on: v3+" if decoder else "decoder off: v3")
            assert (drawn.pixels(fig.axes[3]) == painted((MASKS if decoder else BLURRED)[cut])).all()
            truth, labels = MASKS[cut], (MASKS if decoder else BLURRED)[cut]
            right = 100 * (truth == labels)[metrics.boundary(truth)].float().mean()
            assert f"≈{right:.0f}% right" in explorer.words(scene, decoder, across, down, side)


class TestCost:
    @pytest.mark.parametrize("by_clock", [[0.8, 2.0, 6.0], [2.0, 9.5, 30.0]])
    def test_the_clock_is_never_cut_off(self, by_clock):
        ax = figures.cost_and_time([16, 64, 256], [5.8, 7.9, 8.7], by_clock).axes[0]
        assert drawn.curve(ax.lines[0]) == ([16, 64, 256], [5.8, 7.9, 8.7])
        assert drawn.curve(ax.lines[1]) == ([16, 64, 256], by_clock)
        assert ax.get_ylim()[0] == 0 and ax.get_ylim()[1] > max(by_clock)
        assert set(ax.lines[2].get_ydata()) == {9} and "9 = 3 · 3" in ax.lines[2].get_label()
        assert drawn.ticks(ax.xaxis) == ["16", "64", "256"] and ax.get_xlabel() and ax.get_ylabel()


class TestNets:
    def test_the_flow_shows_every_stage_and_every_change(self):
        fig = figures.xception_flow()
        said = drawn.words(fig.axes[0])
        for name, layers, mark, shape, _ in figures.FLOW:
            (box,) = [text for text in said if text.startswith(f"{name}:")]
            assert layers in box and (mark == "2") == ("stride 2 in the third" in box)
            assert (mark == "3") == ("ReLU after depthwise" in box)
            assert shape in said
        assert said.count("2") == 3 + 1 and said.count("1") == said.count("3") == 1 + 1  # at its place and in the list
        assert any("16 times" in text for text in said)
        orange = [p for p in fig.axes[0].patches if to_hex(p.get_edgecolor()).upper() == figures.CHANGE]
        assert len(orange) == 5  # three entry blocks, the middle flow, the last exit block
        assert drawn.inside(fig)

    def test_the_decoder_has_the_sizes_of_the_net(self):
        fig = figures.decoder_flow()
        said = " ".join(drawn.words(fig.axes[0])).replace("\n", " ")
        with torch.device("meta"):
            net = models.build("deeplab_v3plus", 21).eval()
            image = torch.zeros(1, 3, 513, 513)
            low_level, features = net.encode(image)
            deep = net.backbone(image)[-1]
            reduced = net.decoder.reduce(low_level)
        for channels, side, *_ in (deep.shape[1:], low_level.shape[1:], reduced.shape[1:], features.shape[1:]):
            assert f"{channels} × {side}²" in said
        assert f"{low_level.shape[1]} → {reduced.shape[1]}" in said
        joined = features.shape[1] + reduced.shape[1]
        assert f"{features.shape[1]} + {reduced.shape[1]} = {joined}" in said
        assert drawn.inside(fig)


class TestScores:
    def test_the_ablation_stands_beside_the_papers(self):
        ours, paper = {8: [40.0, 42.0], 48: [45.0, 47.0], 64: [44.0]}, {8: 77.61, 48: 78.21, 64: 77.94}
        fig = figures.ablation([8, 48, 64], ours, paper, "low-level channels")
        left, right = fig.axes
        *seeds, mean = left.lines
        assert [drawn.curve(line)[1] for line in seeds] == list(ours.values())
        assert drawn.curve(seeds[2])[0] == [2]  # a single seed stands at its place
        assert drawn.curve(mean)[1] == [41, 46, 44] and drawn.curve(right.lines[0])[1] == list(paper.values())
        for ax, title in ((left, "ours"), (right, "paper")):
            assert drawn.ticks(ax.xaxis) == ["8", "48", "64"] and drawn.title(ax).startswith(title)

    def test_several_runs_are_a_mean_with_its_span(self):
        curves = {"FCN-8s": np.array([[0.1, 0.2]]), "v3": np.array([[0.2, 0.3], [0.24, 0.34], [0.22, 0.32]])}
        curves["v3+"] = np.array([[0.3, 0.4], [0.34, 0.48]])
        fig = figures.trimap_curves([1, 2], curves)
        left, right = fig.axes
        assert [drawn.curve(line)[1] for line in left.lines] == [[10, 20], [22, 32], [32, 44]]
        assert [drawn.curve(line)[1] for line in right.lines] == [[-12, -12], [0, 0], [10, 12]]
        assert len(left.collections) == len(right.collections) == 2  # FCN-8s ran once
        span = left.collections[1].get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose([span.min(), span.max()], [30, 48])
        assert drawn.key(fig) == figures.NETS and left.lines[0].get_linestyle() == ":"

    def test_arrows_lead_from_each_net_to_the_same_with_decoder(self):
        rows = [
            ("ResNet-101", 16, "v3", 77.2, 81.0), ("ResNet-101", 16, "v3+", 78.9, 101.3),
            ("Xception-65", 16, "v3", 79.2, 68.0), ("Xception-65", 16, "v3+", 79.9, 89.8),
            ("Xception-65", 16, "v3+ separable", 79.8, 54.2), ("Xception-65", 8, "v3", 79.6, 240.9),
        ]  # fmt: skip
        fig = figures.family(rows)
        ax = fig.axes[0]
        assert [tuple(v[0] for v in drawn.curve(line)) for line in ax.lines] == [(r[4], r[3]) for r in rows]
        low, high = ax.get_ylim()
        assert all(low < r[3] < high and ax.get_xlim()[0] < r[4] < ax.get_xlim()[1] for r in rows)
        key = drawn.key(fig)
        assert [drawn.color(line) for line in ax.lines] == [key[net] for net, *_ in rows]
        shapes = dict(zip(list(key)[2:], [handle.get_marker() for handle in fig.legends[0].legend_handles[2:]]))
        assert [line.get_marker() for line in ax.lines] == [shapes[kind] for _, _, kind, *_ in rows]
        arrows = [(t.xyann, t.xy) for t in ax.texts if not t.get_text()]
        at = [(r[4], r[3]) for r in rows]
        assert arrows == [(at[0], at[1]), (at[2], at[3]), (at[3], at[4])]
        assert drawn.words(ax) == ["stride 16", "stride 16", "stride 8"]

    def test_changed_labels_are_counted_by_place(self):
        changed, band = torch.zeros(2, 32, 48, dtype=torch.bool), torch.zeros(2, 32, 48, dtype=torch.bool)
        band[:, :, ::2] = True
        changed[0, :16, :16:2] = True  # half of the band of the first block, in one of two images
        changed[:, 16:, 32::2] = True  # all of it in the last
        ax = figures.where_labels_change(changed, band).axes[0]
        np.testing.assert_allclose(drawn.pixels(ax), [[50, 0, 0], [0, 0, 100]], atol=1e-4)
        assert tuple(ax.images[0].get_extent()) == (0, 48, 32, 0)
