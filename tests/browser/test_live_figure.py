"""A live figure in a real JupyterLab: the image follows the controls, by mouse, keyboard and play button.

Run with ``pytest tests/browser``. Screenshots go where ``--basetemp`` says.
"""

import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import driver

pytestmark = pytest.mark.skipif(driver.missing() is not None, reason=str(driver.missing()))

SETUP = """
import segbook as sb
import numpy as np
sb.plots.style()
drawn = []
"""
FIGURE = """
def draw(rate, smooth, kind):
    drawn.append(rate)
    if rate == 13:
        raise ValueError("thirteen is not to be drawn")
    fig = sb.plots.figure(7, 3)
    ax = fig.subplots()
    x = np.linspace(0, 6, 300)
    ax.plot(x, np.sin(rate * x) * (np.exp(-x / 3) if smooth else 1), label=kind)
    ax.set(title=f"{kind}, rate {rate}", xlabel="x", ylim=(-1.1, 1.1))
    return fig

sb.LiveFigure(draw, alt=lambda rate, **_: f"A sine of rate {rate}", play=True, interval=300,
              rate=(1, 24), smooth=False, kind=["sine", "wave"])
"""
EXERCISE = """
from segbook.course.check import Incorrect
raise Incorrect("chapter 05, iou: not yet.\\n  the ratio: expected 3, got 4.")
"""


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    folder, private = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("private")
    cells = [
        nbformat.v4.new_markdown_cell("# A live figure"),
        *(nbformat.v4.new_code_cell(c.strip()) for c in (SETUP, FIGURE)),
    ]
    cells += [nbformat.v4.new_code_cell("print('drawn', len(drawn))"), nbformat.v4.new_code_cell(EXERCISE.strip())]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), folder / "live.ipynb")
    with driver.jupyter_lab(folder, private) as server, driver.browser_page() as page:
        notebook = driver.Notebook(page, server, "live.ipynb")
        notebook.clear()
        notebook.run(3)
        page.wait_for_selector("img.widget-image")
        notebook.folder = private
        yield notebook


def test_only_the_first_cells_ran(opened):
    assert opened.counts() == [1, 2, None, None]
    assert len(opened.images()) == 1


def test_typing_a_number_redraws(opened):
    before = opened.image()
    opened.set_slider("rate", 6)
    assert opened.wait_for_change(before) != before
    opened.screenshot(opened.folder / "typed.png")


def test_arrow_keys_redraw(opened):
    opened.set_slider("rate", 3)
    opened.page.wait_for_timeout(1500)
    before = opened.image()
    opened.press("rate", "ArrowRight", times=2)
    opened.wait_for_change(before)
    assert opened.slider("rate").locator(".widget-readout").inner_text() == "5"


def test_dragging_ends_at_the_last_value(opened):
    opened.set_slider("rate", 1)
    opened.page.wait_for_timeout(1500)
    before = opened.image()
    opened.drag("rate", 0.0, 1.0)
    opened.wait_for_change(before)
    assert opened.slider("rate").locator(".widget-readout").inner_text() == "24"
    dragged = opened.image()
    opened.set_slider("rate", 2)
    other = opened.wait_for_change(dragged)
    opened.set_slider("rate", 24)
    assert opened.wait_for_change(other) == dragged


def test_menu_and_check_box_redraw(opened):
    before = opened.image()
    opened.page.get_by_label("kind").select_option("wave")
    after = opened.wait_for_change(before)
    opened.page.get_by_label("smooth").check()
    opened.wait_for_change(after)


def test_an_error_is_shown_and_goes_away(opened):
    opened.set_slider("rate", 13)
    alert = opened.page.get_by_role("alert").filter(has_text="thirteen is not to be drawn")
    alert.wait_for(timeout=10_000)
    assert "rate = 13" in alert.inner_text()
    opened.screenshot(opened.folder / "error.png")
    opened.set_slider("rate", 4)
    alert.wait_for(state="detached", timeout=10_000)


def test_play_runs_through_the_values(opened):
    opened.set_slider("rate", 20)
    opened.page.wait_for_timeout(1500)
    before = opened.image()
    opened.page.locator(".widget-play button").first.click()
    opened.wait_for_change(before, seconds=30)
    opened.page.wait_for_timeout(3000)
    assert opened.slider("rate").locator(".widget-readout").inner_text() == "24"


def test_a_failed_check_shows_its_message_alone(opened):
    opened.page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex = 4")
    opened.command("notebook:run-cell")
    assert opened.errors() == ["Incorrect: chapter 05, iou: not yet.\n  the ratio: expected 3, got 4."]
    shown = opened.page.locator(".jp-Notebook .jp-CodeCell").last.locator(".jp-OutputArea").inner_text()
    assert "expected 3, got 4" in shown and "Traceback" not in shown and "raise" not in shown
    opened.screenshot(opened.folder / "check.png")


def test_it_has_no_scroll_bar_of_its_own(opened):
    box = opened.page.locator(".widget-vbox", has=opened.page.locator("img.widget-image")).first
    assert box.evaluate(
        "box => box.scrollHeight - box.clientHeight <= 0 || getComputedStyle(box).overflowY === 'hidden'"
    )


def test_saved_and_opened_again_it_shows_its_last_image(opened):
    """What a learner sees the next morning: no kernel has run, and the figure is there. Last: it reloads the page."""
    opened.set_slider("rate", 7)
    opened.page.wait_for_timeout(2000)
    shown = opened.image()
    opened.command("docmanager:save")
    opened.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown().then(() => null)")
    address = opened.page.url.split("/lab")[0]
    opened.page.goto(f"{address}/lab/tree/live.ipynb?reset")
    opened.page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=90_000)
    opened.page.wait_for_selector("img.widget-image", timeout=60_000)
    assert opened.page.get_by_text("Error displaying widget").count() == 0
    assert opened.image() == shown
    opened.screenshot(opened.folder / "reopened.png")
