"""Showing figures, tables and sources; colours of labels and errors; every drawing function on hard input."""

import base64
import io
import re
import subprocess
import sys
import types
from pathlib import Path

import drawn
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image
from traitlets.config import Config

import segbook as sb
from segbook import plots, showing
from segbook.data.classes import DRIVING_CLASSES, DRIVING_PALETTE

SANITIZE = Path(__file__).resolve().parents[1] / "nbval_sanitize.cfg"


@pytest.fixture(autouse=True)
def course_style():
    with matplotlib.rc_context():
        matplotlib.use("Agg")
        plots.style()
        yield
    plt.close("all")


@pytest.fixture
def notebook():
    """Displays go where a notebook's would; returns what was displayed by a call."""
    shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))

    def displayed(function, *args, **kwargs):
        with capture_output() as captured:
            function(*args, **kwargs)
        assert captured.stdout == "" and len(captured.outputs) == 1
        return captured.outputs[0]

    yield displayed
    shell.clear_instance()


def line():
    fig = plots.figure(4, 2)
    fig.subplots().plot([0, 1, 2], [1, 0, 2])
    return fig


def pixels(png: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(png)).convert("RGB"))


def rendered(fig) -> np.ndarray:
    """The pixels of a figure; it must hold ink, on paper that is exactly white."""
    image = pixels(showing.png(fig))
    assert (image[-1] == 255).all() and image.std() > 1
    return image


# ----------------------------------------------------------------------------------------------------- showing


def test_show_displays_once_with_alt_text_and_closes(notebook):
    fig, ax = plt.subplots(figsize=(4, 2))
    ax.plot([0, 1])
    output = notebook(sb.show, fig, alt="A line that\n   rises")
    assert output.data["text/plain"] == "<Figure: A line that rises>"
    assert output.metadata == {"image/png": {"alt": "A line that rises"}}
    assert pixels(base64.b64decode(output.data["image/png"])).shape == (200, 400, 3)  # 100 dpi
    assert plt.get_fignums() == []


def test_show_prints_its_text_under_plain_python(capsys):
    sb.show(line(), alt="A line")
    assert capsys.readouterr().out == "<Figure: A line>\n"


@pytest.mark.parametrize("alt", ["", "   ", None, 3])
def test_show_refuses_an_empty_alt(alt):
    with pytest.raises(ValueError, match="alt must say"):
        sb.show(line(), alt=alt)


def test_show_refuses_what_is_no_figure():
    with pytest.raises(TypeError, match="Figure, got Axes"):
        sb.show(line().axes[0], alt="Axes")


def test_a_small_figure_keeps_flat_colors_exactly_and_text_crisp():
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    noise = np.kron(noise, np.ones((3, 3, 1), dtype=np.uint8))

    def draw():
        fig = plots.figure(6, 3)
        photo, labels = fig.subplots(1, 2)
        plots.image(photo, noise, "a photograph of noise")
        plots.label_map(labels, np.arange(12).reshape(3, 4), title="labels")
        return fig

    exact, small = pixels(showing.png(draw(), small=False)).astype(int), pixels(showing.png(draw())).astype(int)
    assert len(np.unique(exact.reshape(-1, 3), axis=0)) > 4000
    for color in [(255, 255, 255), *DRIVING_PALETTE.tolist()]:
        where = (exact == color).all(-1)
        assert where.sum() > 400 and (small[where] == color).all()
    title = np.s_[:22, :]  # letters stand on white, above everything else
    assert np.abs(exact - small)[title].max() <= 12
    assert np.abs(exact.mean((0, 1)) - small.mean((0, 1))).max() < 1
    assert len(showing.png(draw())) < 0.8 * len(showing.png(draw(), small=False))


def test_a_figure_of_few_colors_stays_as_it_is():
    fig = [plots.figure(3, 2) for _ in range(2)]
    for f in fig:
        f.add_artist(matplotlib.patches.Rectangle((0.1, 0.1), 0.5, 0.5, color="#123456"))
    assert np.array_equal(pixels(showing.png(fig[0])), pixels(showing.png(fig[1], small=False)))


def test_the_same_figure_gives_the_same_bytes():
    assert showing.png(line()) == showing.png(line())


def test_figures_do_not_pile_up():
    showing.png(line())
    showing.png(plt.figure())
    assert plt.get_fignums() == []


@pytest.mark.parametrize("count", [1, 3])
def test_a_row_of_axes_is_an_array_for_one_panel_too(count):
    fig = plots.figure()
    axes = plots.row_of_axes(fig, count, sharey=True)
    assert axes.shape == (count,) and list(axes) == fig.axes


def test_show_source_displays_the_source_and_compares_the_name(notebook):
    output = notebook(sb.show_source, showing.measured)
    assert output.data["text/plain"] == "<Source: segbook.showing.measured>"
    markdown = output.data["text/markdown"]
    assert markdown.startswith("*segbook/showing.py*\n") and "\ndef measured(" in markdown
    assert markdown.splitlines()[1].startswith("```") and "/work" not in markdown and str(sys.prefix) not in markdown


def test_show_source_of_methods_and_packages(notebook):
    output = notebook(sb.show_source, sb.LiveFigure._redraw)
    assert output.data["text/markdown"].splitlines()[2].startswith("def _redraw(")  # not indented
    assert output.data["text/plain"] == "<Source: segbook.widgets.LiveFigure._redraw>"
    assert notebook(sb.show_source, sb.data.load).data["text/markdown"].startswith("*segbook/data/__init__.py*")


def fenced():
    """Source that itself holds ``` a fence."""


def test_show_source_survives_a_fence_in_the_source(notebook):
    lines = notebook(sb.show_source, fenced).data["text/markdown"].splitlines()
    assert lines[1].startswith("````python") and lines[-1] == "````"


@pytest.mark.parametrize("thing", [3, len, torch.nn.ReLU()])
def test_show_source_refuses_what_has_no_source(thing):
    with pytest.raises(TypeError, match="hand over a class or a function"):
        sb.show_source(thing)


def test_measured():
    assert sb.measured(0.4712) == "≈0.47"
    assert sb.measured(12.31, 1, "s") == "≈12.3 s"
    assert sb.measured(torch.tensor(45.67), 0, "%") == "≈46%"
    assert sb.measured(12345.6, 0) == "≈12,346"
    assert sb.measured(float("nan")) == sb.measured(None) == "–"


# ------------------------------------------------------------------------------------------------------ tables


def test_table_as_text(capsys):
    rows = [["sky", "≈0.50", 12000, 1.5], ["road & kerb", "≈0.25", 7, None]]
    sb.show_table(rows, ["class", "IoU", "pixels", "x"], caption="Two classes", best={"IoU": max, "pixels": min})
    assert capsys.readouterr().out.splitlines() == [
        "Two classes",
        "class               IoU  pixels     x",
        "-----------  ----------  ------  ----",
        "sky          ≈    0.50*  12,000  1.50",
        "road & kerb  ≈     0.25      7*     –",
        "* best of its column",
    ]


def test_table_as_html(notebook):
    rows = [{"class": "<sky>", "IoU": sb.measured(0.5)}, {"class": "road", "IoU": sb.measured(0.25)}]
    page = notebook(sb.show_table, rows, best={"IoU": max}, caption="IoU & more").data["text/html"]
    assert '<td style="text-align:left">&lt;sky&gt;</td><td style="text-align:right"><b>≈0.50</b></td>' in page
    assert page.count("<b>") == 1 and "IoU &amp; more" in page


def test_table_text_has_one_shape_whatever_was_measured(capsys):
    shapes = set()
    for value in (9.87, 10.12, 1234.5):
        sb.show_table([["a", sb.measured(value)], ["b", 3]], ["name", "seconds"])
        shapes.add(tuple(len(line) for line in capsys.readouterr().out.splitlines()))
    assert len(shapes) == 1


def test_table_refuses_rows_that_do_not_fit():
    with pytest.raises(ValueError, match="row 1 has 1 cells for 2 columns"):
        sb.show_table([[1, 2], [3]], ["a", "b"])
    with pytest.raises(ValueError, match=r"row 0 has the keys \['c'\]"):
        sb.show_table([{"a": 1, "c": 2}], ["a", "b"])
    with pytest.raises(ValueError, match="name the columns"):
        sb.show_table([[1, 2]])
    with pytest.raises(ValueError, match="best names the column 'mIoU'"):
        sb.show_table([[1, 2]], ["a", "b"], best={"mIoU": max})


# ----------------------------------------------------------------------------------------- images and labels


def test_image_takes_what_people_have():
    want = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    chw = torch.from_numpy(want).permute(2, 0, 1)
    for given in (want, chw, chw.float() / 255, want / 255, want.astype(np.int64)):
        assert np.array_equal(plots.to_uint8(given), want)
    assert plots.to_uint8(np.zeros((4, 5))).shape == plots.to_uint8(torch.zeros(1, 4, 5)).shape == (4, 5, 3)


@pytest.mark.parametrize("bad", [np.zeros((2, 3, 4, 5)), np.zeros((7, 4, 5)), np.zeros(4)])
def test_image_refuses_other_shapes(bad):
    with pytest.raises(ValueError, match="an image has the shape"):
        plots.to_uint8(bad)


def test_image_refuses_normalized_images():
    with pytest.raises(ValueError, match="before it is normalised"):
        plots.to_uint8(torch.linspace(-2, 2, 48).view(3, 4, 4))


def test_paint():
    mask = torch.tensor([[0, 3], [10, 11]])
    assert np.array_equal(plots.paint(mask), DRIVING_PALETTE[mask.numpy()])
    assert np.array_equal(plots.paint([[255, 1]], ignore_index=255)[0], DRIVING_PALETTE[[11, 1]])
    assert np.array_equal(
        plots.paint(np.array([[255, 1]], dtype=np.uint8), ignore_index=255)[0], DRIVING_PALETTE[[11, 1]]
    )
    with pytest.raises(ValueError, match=r"labels \[12, 255\] have no colour"):
        plots.paint([[12, 255, 3]])
    with pytest.raises(ValueError, match=r"\[-1\]"):
        plots.paint([[-1]])
    with pytest.raises(ValueError, match=r"shape \[H, W\]"):
        plots.paint(np.zeros((1, 2, 2)))


def test_overlay():
    photo = np.full((2, 2, 3), (30, 60, 90), dtype=np.uint8)
    mask = np.array([[0, 3], [11, 11]])
    out = plots.overlay(photo, mask, alpha=0.5)
    assert np.array_equal(out[0, 0], np.round(0.5 * DRIVING_PALETTE[0] + 0.5 * 60).astype(np.uint8))
    assert (out[1] == (30, 60, 90)).all()  # void shows the image
    assert np.array_equal(plots.overlay(photo, mask, alpha=1.0)[0], DRIVING_PALETTE[[0, 3]])
    with pytest.raises(ValueError, match="label map"):
        plots.overlay(photo, np.zeros((3, 2)))


def test_error_map():
    mask = torch.tensor([[0, 1, 11], [2, 2, 11]])
    prediction = torch.tensor([[0, 2, 3], [2, 0, 11]])
    out = plots.error_map(prediction, mask, ignore_index=11)
    wrong = (out == plots.WRONG).all(-1)
    assert wrong.tolist() == [[False, True, False], [False, True, False]]
    assert (out[:, 2] == 255).all() and (out[0, 0] != 255).all()
    assert (plots.error_map(prediction, mask)[0, 2] == plots.WRONG).all()  # nothing is void unless one says so
    with pytest.raises(ValueError, match="prediction is"):
        plots.error_map(prediction[:, :2], mask)


def test_legend_names_only_the_classes_that_occur():
    fig = plots.figure()
    shown = plots.legend(fig, present=[np.array([[0, 3]]), np.array([[8, 255]])])
    assert [text.get_text() for text in shown.get_texts()] == ["sky", "road", "car", "void"]
    assert len(plots.legend(plots.figure().subplots()).get_texts()) == 11


def scenes(count=3, size=(24, 32)):
    rng = np.random.default_rng(1)
    images = torch.from_numpy(rng.integers(0, 256, (count, 3, *size), dtype=np.uint8))
    masks = torch.from_numpy(rng.integers(0, 12, (count, *size), dtype=np.uint8))
    return images, masks, masks.clone().clamp(max=10)


def titles(fig) -> list[str]:
    return [ax.get_title(loc="left") for ax in fig.axes if ax.get_title(loc="left")]


def test_segmentation_grid():
    images, masks, predictions = scenes()
    assert titles(plots.segmentation_grid(images, masks, dataset=drawn.Driving)) == ["image", "truth"]
    fig = plots.segmentation_grid(images, masks, predictions, dataset=drawn.Driving)
    assert titles(fig) == ["image", "truth", "prediction", "wrong pixels"] and len(fig.axes) == 12
    assert np.array_equal(fig.axes[1].images[0].get_array(), DRIVING_PALETTE[masks[0].numpy()])
    rendered(fig)
    two = {"FCN": predictions, "U-Net": masks}
    assert titles(plots.segmentation_grid(images, masks, two, dataset=drawn.Driving, errors=False))[2:] == [
        "FCN",
        "U-Net",
    ]
    with pytest.raises(ValueError, match="3 images, but 2 label maps in 'prediction'"):
        plots.segmentation_grid(images, masks, predictions[:2], dataset=drawn.Driving)
    with pytest.raises(ValueError, match="no image"):
        plots.segmentation_grid(images[:0], masks[:0], dataset=drawn.Driving)


def test_worst_images_are_the_worst():
    images, masks, predictions = scenes(4)
    scores = torch.tensor([0.5, float("nan"), 0.1, 0.9])
    fig = plots.worst_images(images, masks, predictions, scores, dataset=drawn.Driving, count=2)
    assert [ax.get_ylabel().split("\n")[0] for ax in fig.axes if ax.get_ylabel()] == ["no. 2", "no. 0"]
    with pytest.raises(ValueError, match="4 images, but 2 scores"):
        plots.worst_images(images, masks, predictions, scores[:2], dataset=drawn.Driving)


def history(steps=100, validation=()):
    return types.SimpleNamespace(
        steps=steps,
        loss=[1 / (1 + s / 10) for s in range(steps)],
        learning_rate=[0.01] * steps,
        validation=list(validation),
    )


def test_training_curve():
    assert titles(plots.training_curve(history())) == ["training loss", "learning rate"]
    fig = plots.training_curve({"a": history(validation=[(50, 0.2), (100, 0.4)]), "b": history()})
    assert titles(fig) == ["training loss", "validation mIoU", "learning rate"]
    assert [text.get_text() for text in fig.axes[0].get_legend().get_texts()] == ["a", "b"]
    rendered(fig)
    rendered(plots.training_curve(history(steps=1)))  # a run that has only begun
    short = plots.training_curve({"a": history(steps=2), "b": history(steps=1)})
    assert [text.get_text() for text in short.axes[0].get_legend().get_texts()] == ["a", "b"]


def test_confusion_matrix():
    counts = torch.tensor([[3, 1], [0, 0]])
    fig = plots.confusion_matrix(types.SimpleNamespace(counts=counts), ["cat", "dog"])
    assert [text.get_text() for text in fig.axes[0].texts] == ["75", "25", "–", "–"]
    fig = plots.confusion_matrix(np.array([[1234567, 99960], [0, 40]]), ["cat", "dog"], normalize=False)
    assert [text.get_text() for text in fig.axes[0].texts] == ["1.2M", "100k", "0", "40"]
    rendered(fig)
    with pytest.raises(ValueError, match=r"3 classes need counts of shape \[3, 3\]"):
        plots.confusion_matrix(counts, ["a", "b", "c"])


def test_per_class_bars():
    fig = plots.per_class_bars(torch.tensor([0.5, float("nan"), 0.25]), ["a", "b", "c"])
    assert [text.get_text() for text in fig.axes[0].texts] == ["0.50", "0.25", "does not occur"]
    fig = plots.per_class_bars({"one": [0.5, 0.1], "two": [float("nan")] * 2}, ["a", "b"])
    assert [bar.get_width() for bar in fig.axes[0].patches] == [0.5, 0.1, 0, 0]
    rendered(fig)
    with pytest.raises(ValueError, match="2 classes, but 3 scores of 'one'"):
        plots.per_class_bars({"one": [1, 2, 3]}, ["a", "b"])


def test_number_grid():
    ax = plots.figure(3, 3).subplots()
    plots.number_grid(ax, [[1.5, None], [float("nan"), -2.0]], highlight=np.array([[True, False], [False, True]]))
    assert [text.get_text() for text in ax.texts] == ["1.5", "", "", "−2"]
    assert [patch.get_xy() for patch in ax.patches] == [(-0.5, -0.5), (0.5, 0.5)]
    assert min(text.get_fontsize() for text in ax.texts) >= 9
    rendered(ax.figure)
    ax = plots.figure(3, 3).subplots()
    plots.number_grid(ax, torch.tensor([[1, 20], [300, -4]]), highlight={"red": [(0, 1)], "blue": [(1, 1)]}, shade=True)
    assert [text.get_text() for text in ax.texts] == ["1", "20", "300", "−4"] and len(ax.patches) == 2
    plots.number_grid(plots.figure().subplots(), np.zeros((2, 2)), shade=True)
    with pytest.raises(ValueError, match="rows and columns"):
        plots.number_grid(ax, [1, 2, 3])


def test_feature_maps():
    fig = plots.feature_maps(torch.randn(20, 6, 8, requires_grad=True), count=10, columns=4)
    assert titles(fig) == [f"channel {i}" for i in range(10)]
    rendered(fig)
    with pytest.raises(ValueError, match=r"\[C, H, W\]"):
        plots.feature_maps(torch.zeros(1, 3, 4, 4))


def test_every_letter_is_at_least_nine_points():
    images, masks, predictions = scenes()
    grid = plots.figure(2, 2).subplots()
    plots.number_grid(grid, np.arange(100).reshape(10, 10) * 1000)
    figures = [
        plots.segmentation_grid(images, masks, predictions, dataset=drawn.Driving, names=["a", "b", "c"]),
        plots.training_curve({"a": history(validation=[(1, 0.1)])}),
        plots.confusion_matrix(np.eye(11), DRIVING_CLASSES),
        plots.per_class_bars(np.linspace(0, 1, 11), DRIVING_CLASSES),
        plots.feature_maps(torch.randn(16, 4, 4)),
        grid.figure,
    ]
    for fig in figures:
        sizes = [text.get_fontsize() for text in fig.findobj(matplotlib.text.Text) if text.get_text()]
        assert sizes and min(sizes) >= 9


def test_importing_segbook_loads_no_figures():
    code = "import sys, segbook as sb; sb.models.names(); print('matplotlib' in sys.modules, 'IPython' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_an_edited_comment_in_shown_source_breaks_no_notebook():
    """The sanitizer of the notebooks' comparison leaves no letter of the source, and leaves other Markdown alone."""
    pairs = re.findall(r"^regex: (.*)\nreplace: (.*)$", SANITIZE.read_text(encoding="utf-8"), re.MULTILINE)

    def cleaned(text):
        for pattern, replacement in pairs:
            text = re.sub(pattern, replacement, text)
        return text

    shown = "*segbook/layers.py*\n```python\ndef f():\n    return 1  # {}\n```"
    assert cleaned(shown.format("why")) == cleaned(shown.format("why not"))
    assert cleaned("*a line*\n`code` one") != cleaned("*a line*\n`code` two")
