"""Live figures: controls, redrawing, errors, and what a notebook stores of them."""

import base64
import io

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import segbook as sb
from segbook import plots, showing


def draw(rate=1, **others):
    """A figure of `rate` bars of pixels, so that the image tells the value."""
    fig = plots.figure(2, 1)
    fig.subplots().bar(range(rate), 1)
    return fig


def image(png: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(png)).convert("RGB"))


def test_moving_a_control_redraws():
    seen = []

    def watched(**values):
        seen.append(values)
        return draw(values["rate"])

    live = sb.LiveFigure(watched, alt="Bars", rate=(1, 9), color=["red", "blue"])
    before = live.png
    live.controls["rate"].value = 4
    live.controls["color"].value = "blue"
    assert seen == [
        {"rate": 1, "color": "red"},
        {"rate": 4, "color": "red"},
        {"rate": 4, "color": "blue"},
    ]
    assert live.values == seen[-1]
    assert not np.array_equal(image(before), image(live.png))
    assert np.array_equal(image(live.png), image(showing.png(draw(4), small=False)))


def test_figures_of_pyplot_are_closed():
    live = sb.LiveFigure(lambda rate: plt.figure(figsize=(2, 1)), alt="Empty", rate=(1, 9))
    live.controls["rate"].value = 5
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("given", "kind", "start"),
    [
        ((1, 24), ipywidgets.IntSlider, 1),
        ((2, 24, 2), ipywidgets.IntSlider, 2),
        ((0.0, 1.0), ipywidgets.FloatSlider, 0.0),
        ((0, 1, 0.25), ipywidgets.FloatSlider, 0.0),
        (["a", "b"], ipywidgets.Dropdown, "a"),
        ({"none": 0, "all": 3}, ipywidgets.Dropdown, 0),
        (True, ipywidgets.Checkbox, True),
        ("road", ipywidgets.Text, "road"),
        (ipywidgets.IntSlider(value=7, min=1, max=9), ipywidgets.IntSlider, 7),
    ],
)
def test_short_forms_of_controls(given, kind, start):
    live = sb.LiveFigure(lambda dilation_rate: draw(), alt="Bars", dilation_rate=given)
    control = live.controls["dilation_rate"]
    assert type(control) is kind and control.value == start
    assert control.description == "dilation rate"


def test_float_readout_shows_the_step():
    live = sb.LiveFigure(lambda **v: draw(), alt="Bars", a=(0.0, 1.0, 0.25), b=(0.0, 1.0), c=(0.0, 5.0, 0.5))
    assert [control.readout_format for control in live.controls.values()] == [".2f", ".2f", ".1f"]


@pytest.mark.parametrize("given", [(9, 1), (1, 2, 3, 4), [], 5, None, ("a", "b"), ipywidgets.VBox()])
def test_controls_that_make_no_sense_are_refused_by_name(given):
    with pytest.raises(TypeError, match="'rate'"):
        sb.LiveFigure(draw, alt="Bars", rate=given)


def test_alt_is_required_and_may_follow_the_values():
    with pytest.raises(TypeError, match="alt"):
        sb.LiveFigure(draw, rate=(1, 9))
    with pytest.raises(ValueError, match="alt must say"):
        sb.LiveFigure(draw, alt=" ", rate=(1, 9))
    live = sb.LiveFigure(draw, alt=lambda rate: f"{rate} bars", rate=(1, 9))
    assert live.alt == "1 bars"
    live.controls["rate"].value = 3
    assert live.alt == "3 bars" and live._repr_mimebundle_()[0]["text/plain"] == "<Live figure: 3 bars>"


def test_a_live_figure_needs_a_function_and_a_control():
    with pytest.raises(TypeError, match="must be a function"):
        sb.LiveFigure(draw(), alt="Bars", rate=(1, 9))
    with pytest.raises(TypeError, match="at least one control"):
        sb.LiveFigure(draw, alt="Bars")
    with pytest.raises(TypeError, match="Figure, got Axes"):
        sb.LiveFigure(lambda rate: draw().axes[0], alt="Bars", rate=(1, 9))


def test_an_error_is_raised_at_construction_and_shown_later():
    def fragile(rate):
        if rate > 5:
            raise ValueError("no <room> for it")
        return draw(rate)

    with pytest.raises(ValueError, match="no <room>"):
        sb.LiveFigure(fragile, alt="Bars", rate=(6, 9))
    live = sb.LiveFigure(fragile, alt="Bars", rate=(1, 9))
    good = live.png
    live.controls["rate"].value = 7
    message = live.children[1].value
    assert "ValueError: no &lt;room&gt; for it" in message and "rate = 7" in message
    assert live.png == good
    live.controls["rate"].value = 2
    assert live.children[1].value == "" and live.png != good


def test_returning_to_the_last_good_setting_clears_the_message():
    live = sb.LiveFigure(lambda rate: draw(1 // (rate - 2) ** 2 + 1), alt="Bars", rate=(1, 9))
    live.controls["rate"].value = 2
    assert "ZeroDivisionError" in live.children[1].value
    live.controls["rate"].value = 1
    assert live.children[1].value == ""


def test_what_a_notebook_stores():
    live = sb.LiveFigure(draw, alt="Bars that\ngrow", rate=(1, 9))
    data, metadata = live._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    assert data["text/plain"] == "<Live figure: Bars that grow>"
    assert metadata == {"image/png": {"alt": "Bars that grow"}}
    stored = base64.b64decode(data["image/png"])
    assert image(stored).shape == image(live.png).shape and len(stored) <= len(live.png)


def test_play_moves_the_slider():
    live = sb.LiveFigure(draw, alt="Bars", play=True, style=["a"], rate=(1, 9))
    button = live.children[0].children[1].children[0]
    assert isinstance(button, ipywidgets.Play) and (button.min, button.max) == (1, 9)
    before = live.png
    button.value = 4
    assert live.values["rate"] == 4 and live.png != before
    live.controls["rate"].value = 2
    assert button.value == 2
    with pytest.raises(TypeError, match="integer slider"):
        sb.LiveFigure(lambda rate: draw(), alt="Bars", play=True, rate=(0.0, 1.0))
    with pytest.raises(TypeError, match=r"integer sliders here: \['rate'\]"):
        sb.LiveFigure(draw, alt="Bars", play="step", rate=(1, 9))


def test_the_image_on_the_page_is_the_widgets_own():
    live = sb.LiveFigure(draw, alt="Bars", rate=(1, 9))
    shown = [child for child in live.children if isinstance(child, ipywidgets.Image)]
    assert len(shown) == 1 and bytes(shown[0].value) == live.png
