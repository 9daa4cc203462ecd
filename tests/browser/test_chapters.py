"""Every chapter as a learner meets it in JupyterLab: images before running, live figures that move, exercises that answer.

    make test-browser                                              all chapters; trained nets are taken from runs/ if there
    SEGBOOK_BROWSER_CHAPTERS="03 05" pytest tests/browser          some of them

``SEGBOOK_SCREENSHOTS=folder`` keeps an image of each step to look at.
"""

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import driver

pytestmark = pytest.mark.skipif(driver.missing() is not None, reason=str(driver.missing()))

ROOT = Path(__file__).resolve().parents[2]
WANTED = os.environ.get("SEGBOOK_BROWSER_CHAPTERS", "").split()
CHAPTERS = [p for p in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")) if not WANTED or p.name[:2] in WANTED]
REGION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION[^\n]*$", re.MULTILINE | re.DOTALL)
ERROR_BOXES = ("Error displaying widget", "model not found", "Javascript Error")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab on a copy of the notebooks, as a fresh clone has them: nothing is trusted, nothing was run."""
    folder, private = tmp_path_factory.mktemp("clone"), tmp_path_factory.mktemp("private")
    for path in CHAPTERS:
        shutil.copy(path, folder)
    with driver.jupyter_lab(folder, private) as server, driver.browser_page() as page:
        yield server, page


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem, scope="module")
def chapter(request, lab):
    server, page = lab
    cells = nbformat.read(request.param, as_version=4).cells
    notebook = driver.Notebook(page, server, request.param.name)
    notebook.cells, notebook.name = cells, request.param.stem
    yield notebook
    notebook.command("kernelmenu:shutdown")


def keep(notebook, step: str) -> None:
    if folder := os.environ.get("SEGBOOK_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        notebook.screenshot(Path(folder) / f"{notebook.name}-{step}.png")


def stored_images(cells) -> int:
    return sum("image/png" in out.get("data", {}) for c in cells if c.cell_type == "code" for out in c.outputs)


def live_cells(cells) -> list[int]:
    return [i for i, c in enumerate(cells) if c.cell_type == "code" and "sb.LiveFigure(" in c.source]


def test_a_fresh_clone_shows_its_images_and_no_error_boxes(chapter):
    shown = chapter.page.locator(".jp-OutputArea-output img")
    shown.first.wait_for(timeout=30_000)
    sizes = shown.evaluate_all("images => images.map(image => image.naturalWidth)")
    assert len(sizes) == stored_images(chapter.cells) and min(sizes) > 0
    text = chapter.page.locator(".jp-Notebook").inner_text()
    assert not [box for box in ERROR_BOXES if box in text]
    keep(chapter, "fresh")


def test_its_live_figures_move(chapter):
    live = live_cells(chapter.cells)
    assert live, "the chapter has no live figure"
    chapter.clear()
    chapter.run(max(live) + 1)
    figures = chapter.page.locator(".jp-OutputArea-output:has(img.widget-image)")
    figures.nth(len(live) - 1).wait_for(timeout=30_000)
    assert figures.count() == len(live)
    for number in range(len(live)):
        figures.nth(number).scroll_into_view_if_needed()
        before = chapter.image(number)
        assert move_something(chapter, figures.nth(number), number, before), f"live figure {number} stands still"
        keep(chapter, f"live{number}")


def move_something(notebook, figure, number: int, before: bytes) -> bool:
    """Move one control after the other, by keyboard as far as there is a handle, until the image changes."""
    handles = figure.locator(".noUi-handle")
    for i in range(handles.count()):
        for key in ("ArrowRight", "ArrowLeft"):
            handles.nth(i).focus()
            for _ in range(2):
                notebook.page.keyboard.press(key)
            if changed(notebook, number, before):
                return True
    for i in range(figure.locator("select").count()):
        menu = figure.locator("select").nth(i)
        for option in range(menu.locator("option").count()):
            menu.select_option(index=option)
            if changed(notebook, number, before):
                return True
    for i in range(figure.locator("input[type=checkbox]").count()):
        figure.locator("input[type=checkbox]").nth(i).click()
        if changed(notebook, number, before):
            return True
    return False


def changed(notebook, number: int, before: bytes) -> bool:
    try:
        notebook.wait_for_change(before, number, seconds=6)
    except AssertionError:
        return False
    return True


def exercises(notebook) -> list[tuple[int, int, str]]:
    """(solution cell, check cell, name) of the exercises that have one solution cell."""
    found, before = [], []
    for i, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags", [])
        if "solution" in tags:
            before.append(i)
        elif "check" in tags:
            if len(before) == 1:
                found.append((before[0], i, re.search(r"check\.chapter_\d\d\.(\w+)\(", cell.source)[1]))
            before = []
    return found


def wrong_answers(chapter: str) -> dict:
    (path,) = (ROOT / "tests" / "chapters").glob(f"ch{chapter}_*/wrong_answers.py")
    spec = importlib.util.spec_from_file_location(f"browser_wrong_{chapter}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.WRONG


def answer(notebook, solution: int, check: int, source: str) -> str:
    """Put ``source`` into the solution cell, run it and its check, and return what the check shows."""
    cell = "jupyterapp.shell.currentWidget.content.widgets[{}]"
    notebook.page.evaluate(f"text => {cell.format(solution)}.model.sharedModel.setSource(text)", source)
    for index in (solution, check):
        notebook.page.evaluate(f"jupyterapp.shell.currentWidget.content.activeCellIndex = {index}")
        notebook.command("notebook:run-cell")
    shown = notebook.page.locator(".jp-Notebook .jp-Cell").nth(check)
    shown.scroll_into_view_if_needed()
    return shown.locator(".jp-Cell-outputWrapper").inner_text()


def test_an_exercise_answered_wrong_and_right(chapter):
    solution, check, name = exercises(chapter)[0]
    first = next(i for i, c in enumerate(chapter.cells) if "setup" in c.metadata.get("tags", []))
    if not any(chapter.counts()):
        chapter.run(first + 1)
    right = chapter.cells[solution].source
    wrong, pattern = wrong_answers(chapter.name[:2])[name][0]
    if not REGION.search(right):
        pytest.skip("this exercise's answer is not between markers")
    indented = REGION.sub(lambda m: "\n".join(m[1] + line for line in wrong.splitlines()), right)
    said = answer(chapter, solution, check, indented)
    keep(chapter, "wrong")
    assert "Hint 1 of" in said and re.search(pattern, " ".join(said.split()) + said), said
    assert "Traceback" not in said
    said = answer(chapter, solution, check, right)
    keep(chapter, "right")
    assert f"{name}: correct." in said


def test_the_student_edition_runs_to_its_first_exercise(lab, tmp_path):
    """Everything before the first exercise runs; its check then says that nothing is there yet, and nothing else fails."""
    from segbook.course.editions import convert

    source = next((path for path in CHAPTERS if path.name.startswith("05")), CHAPTERS[0])
    student = convert(nbformat.read(source, as_version=4), "student")
    (tmp_path / "private").mkdir()
    (tmp_path / "student").mkdir()
    nbformat.write(student, tmp_path / "student" / source.name)
    check = next(i for i, cell in enumerate(student.cells) if "check" in cell.metadata.get("tags", []))
    page = lab[1].context.browser.new_page()  # one browser for all: Playwright allows no second one
    with driver.jupyter_lab(tmp_path / "student", tmp_path / "private") as server:
        notebook = driver.Notebook(page, server, source.name)
        notebook.run(check)  # raises when a cell fails
        page.evaluate(f"jupyterapp.shell.currentWidget.content.activeCellIndex = {check}")
        notebook.command("notebook:run-cell")
        assert [message for message in notebook.errors() if "Nothing here yet" in message] == notebook.errors() != []
    page.close()
