"""Live figures: sliders and menus that redraw an image, without `interact` and without `Output` widgets.

Those two cannot be followed by the notebook regression test. A ``LiveFigure`` is an ordinary box of controls over an
image, so it is live in JupyterLab, a still image where there is no kernel, and a stable line of text for the test.
"""

import base64
import html
from collections.abc import Callable

import ipywidgets

from segbook import showing

_CONTROL_WIDTH = "26em"
_UNSEEN = "position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)"  # for screen readers


class LiveFigure(ipywidgets.VBox):
    """Controls above an image that is drawn anew whenever one of them moves; the last expression of a cell.

    ``draw(**values)`` gets one keyword a control and returns a matplotlib figure (closed after rendering).
    ``alt``: what the figure shows, as text or as a function of the same values that returns text.
    ``play``: the name of an integer control that gets a play button beside it, to run an animation (``True`` means the
    first integer control); ``interval`` is the time between two steps in milliseconds.
    ``controls``: any ipywidgets widget with a value, or in short: ``(1, 24)`` or ``(1, 24, 2)`` integers, a slider;
    ``(0.0, 1.0, 0.1)`` with a float, a float slider; a list of choices, or a dict of name → value, a menu; a bool, a
    check box; a text, a text field. A slider starts at its minimum, a menu at its first choice; to start elsewhere
    hand over the widget itself.

    The values are in ``live.values``, the widgets in ``live.controls``, the image's bytes in ``live.png``.
    Raises at construction whatever ``draw`` raises, ``TypeError`` when it returns no figure or a control is not
    understood, and ``ValueError`` for an empty alt. Later an error in ``draw`` is shown under the controls, and the
    last good image stays.

    >>> sb.LiveFigure(lambda rate: draw_atrous(rate), alt="Where an atrous kernel looks", rate=(1, 24))
    """

    def __init__(self, draw: Callable, *, alt, play: bool | str = False, interval: int = 400, **controls):
        if not callable(draw):
            raise TypeError(f"draw must be a function that returns a figure, got {type(draw).__name__}")
        if not controls:
            raise TypeError("a live figure needs at least one control, for example rate=(1, 24)")
        self._draw, self._alt = draw, alt
        self._controls = {name: _control(name, control) for name, control in controls.items()}
        self._image = ipywidgets.Image(
            format="png", layout=ipywidgets.Layout(max_width="100%", align_self="flex-start")
        )
        self._message, self._spoken = (
            ipywidgets.HTML(),
            ipywidgets.HTML(layout=ipywidgets.Layout(height="0", margin="0")),
        )
        self._redraw()

        row = ipywidgets.HBox(
            [self._with_play(name, play, interval) for name in self._controls],
            layout=ipywidgets.Layout(flex_flow="row wrap", grid_gap="0 1.5em"),
        )
        # Hidden overflow: the unseen text below the image would bring a scroll bar that catches the mouse wheel.
        layout = ipywidgets.Layout(overflow="hidden", width="100%")
        super().__init__([row, self._message, self._image, self._spoken], layout=layout)
        for control in self._controls.values():
            control.observe(self._on_change, names="value")

    @property
    def controls(self) -> dict:
        """The widgets by name."""
        return dict(self._controls)

    @property
    def values(self) -> dict:
        """What the controls say now."""
        return {name: control.value for name, control in self._controls.items()}

    @property
    def png(self) -> bytes:
        """The image that is shown now."""
        return self._image.value

    @property
    def alt(self) -> str:
        """The alternative text of the image that is shown now."""
        return self._text

    def _redraw(self) -> None:
        values = self.values
        text = showing.alt_text(self._alt(**values) if callable(self._alt) else self._alt)
        self._image.value = showing.png(self._draw(**values), small=False)
        self._text = text
        # An Image widget has no alternative text (and breaks with a tooltip), so the words stand beside it, unseen.
        self._spoken.value = f'<div role="status" style="{_UNSEEN}">{html.escape(text)}</div>'

    def _on_change(self, _change) -> None:
        try:
            self._redraw()
            self._message.value = ""
        except Exception as error:
            # An exception in a callback is lost in a log that nobody reads: say it where the learner looks.
            setting = ", ".join(f"{name} = {value!r}" for name, value in self.values.items())
            text = f"{type(error).__name__}: {error}"
            self._message.value = (
                f'<div role="alert" style="border-left:4px solid #D55E00;padding:2px 8px">'
                f"This setting ({html.escape(setting)}) cannot be drawn.<br><code>{html.escape(text)}</code></div>"
            )

    def _with_play(self, name: str, play: bool | str, interval: int):
        control = self._controls[name]
        integers = [n for n, c in self._controls.items() if isinstance(c, ipywidgets.IntSlider)]
        if play and (not integers or (play is not True and play not in integers)):
            raise TypeError(f"play needs an integer slider; integer sliders here: {integers or 'none'}")
        if not play or name != (integers[0] if play is True else play):
            return control
        button = ipywidgets.Play(
            value=control.value, min=control.min, max=control.max, step=control.step, interval=interval
        )
        # Linked in the kernel, so that the image follows when it is ready and the slider never runs ahead of it.
        ipywidgets.link((button, "value"), (control, "value"))
        return ipywidgets.HBox([button, control])

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs) or {}
        bundle = {kind: value for kind, value in bundle.items() if kind != "text/html"}
        bundle["text/plain"] = f"<Live figure: {self.alt}>"
        bundle["image/png"] = base64.b64encode(showing.smaller(self.png)).decode()
        return bundle, {"image/png": {"alt": self.alt}}


def _control(name: str, given) -> ipywidgets.Widget:
    """A widget from its short form, with a label that reads as words."""
    label = name.replace("_", " ")
    common = {
        "description": label,
        "style": {"description_width": "initial"},
        "layout": ipywidgets.Layout(width=_CONTROL_WIDTH),
    }
    if isinstance(given, ipywidgets.Widget):
        if not hasattr(given, "value"):
            raise TypeError(f"the control {name!r} is a {type(given).__name__}, which has no value")
        if not given.description:
            given.description = label
        given.style.description_width = "initial"
        if given.layout.width is None and isinstance(given, ipywidgets.IntSlider | ipywidgets.FloatSlider):
            given.layout.width = _CONTROL_WIDTH  # all sliders of a figure are of one width
        return given
    if isinstance(given, bool):
        return ipywidgets.Checkbox(value=given, indent=False, **{**common, "layout": ipywidgets.Layout(width="auto")})
    if isinstance(given, str):
        return ipywidgets.Text(value=given, continuous_update=False, **common)
    if isinstance(given, list | dict) and given:
        return ipywidgets.Dropdown(options=given, **common)
    if isinstance(given, tuple) and len(given) in (2, 3) and all(isinstance(n, int | float) for n in given):
        low, high = given[:2]
        if low >= high:
            raise TypeError(f"the control {name!r} runs from {low} to {high}; the first must be the smaller")
        if all(isinstance(n, int) for n in given):
            step = given[2] if len(given) == 3 else 1
            return ipywidgets.IntSlider(value=low, min=low, max=high, step=step, **common)
        step = given[2] if len(given) == 3 else (high - low) / 20
        digits = max(0, min(4, len(f"{step:.4f}".rstrip("0").partition(".")[2])))
        return ipywidgets.FloatSlider(value=low, min=low, max=high, step=step, readout_format=f".{digits}f", **common)
    raise TypeError(
        f"the control {name!r} is {given!r}; use (min, max), (min, max, step), a list, a dict, a bool, a text or a widget"
    )
