"""The regression tests of the notebooks find what they are there to find.

One notebook is refreshed, spoilt in every way that matters, and handed to ``pytest --nbval`` with the course's own conftest
and configuration, in a process of its own.
"""

import copy
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import figure_regression
import nbformat
import numpy as np
import pytest
import tiny
from PIL import Image, ImageDraw

from segbook.course.editions import convert
from segbook.course.kernels import pinned_environment

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import notebooks as tool  # noqa: E402

pytestmark = pytest.mark.slow  # processes of their own

EXERCISE = "answer = ...\n### BEGIN SOLUTION\nanswer = 42\n### END SOLUTION"
CHECK = 'if answer != 42:\n    raise AssertionError("Incorrect: what is six times seven?")\nprint("correct")'
CELLS = (
    ('PROFILE = "quick"', ["parameters"]),
    'print("shape [3, 96, 128]")',
    tiny.FIGURE,
    (EXERCISE, ["solution"]),
    (CHECK, ["check"]),
    'import time\nprint(f"trained to mIoU \\u2248{time.time() % 1:.3f} in \\u2248{time.time() % 100:.1f} s")\nobject()',
)
OUTPUT, FIGURE, CHECKED = 1, 2, 4  # numbers of the code cells


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    for file in ("conftest.py", "pyproject.toml", "tests/nbval_sanitize.cfg"):
        (folder / file).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / file, folder / file)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))  # the copied files import from there
    command = [sys.executable, "-m", "pytest", "--nbval", "--color=no", "-p", "no:cacheprovider", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, timeout=300)


def failures(result: subprocess.CompletedProcess, name: str) -> list[int]:
    """Numbers of the failed code cells of a notebook."""
    return [int(n) for n in re.findall(rf"^FAILED notebooks/{name}\.ipynb::Cell (\d+)", result.stdout, re.MULTILINE)]


@pytest.fixture(scope="module")
def refreshed(tmp_path_factory):
    path = tiny.save(tiny.notebook(*CELLS), tmp_path_factory.mktemp("refresh") / "good.ipynb")
    tool.refresh(path)
    return nbformat.read(path, as_version=4)


@pytest.fixture(scope="module")
def result(refreshed, tmp_path_factory):
    """One run over the good notebook and every spoilt copy."""
    folder = tmp_path_factory.mktemp("spoilt")

    def spoilt(name: str, spoil) -> None:
        changed = copy.deepcopy(refreshed)
        code = [cell for cell in changed.cells if cell.cell_type == "code"]
        changed = spoil(changed, code) or changed
        tiny.save(changed, folder / "notebooks" / f"{name}.ipynb")

    def wrong_output(notebook, code):
        code[OUTPUT].outputs[0].text = "shape [3, 96, 129]\n"

    def stale(notebook, code):
        code[OUTPUT].source = 'print("shape [3, 48, 64]")'

    def figure_not_stored(notebook, code):
        del code[FIGURE].outputs[0].data["image/png"]

    def figure_not_drawn(notebook, code):
        code[FIGURE].source = code[FIGURE].source.replace('"image/png": png, ', "")

    def blank_figure(notebook, code):
        code[FIGURE].source = code[FIGURE].source.replace("ImageDraw.Draw(image).ellipse", "(lambda *a, **k: 0)")

    def other_figure(notebook, code):
        code[FIGURE].source = code[FIGURE].source.replace("(40, 20, 160, 100)", "(2, 2, 70, 118)")

    spoilt("good", lambda notebook, code: None)
    for change in (wrong_output, stale, figure_not_stored, figure_not_drawn, blank_figure, other_figure):
        spoilt(change.__name__, change)
    spoilt("unsolved", lambda notebook, code: convert(notebook, "student"))
    return run_pytest(folder)


def test_good_notebook_passes_though_scores_times_and_addresses_change(result):
    assert failures(result, "good") == [], result.stdout[-3000:]


@pytest.mark.parametrize("name", ["wrong_output", "stale"])
def test_wrong_text_fails(result, name):
    assert failures(result, name) == [OUTPUT]


@pytest.mark.parametrize("name", ["figure_not_stored", "figure_not_drawn", "blank_figure", "other_figure"])
def test_wrong_figure_fails(result, name):
    assert failures(result, name) == [FIGURE]


def test_figure_failures_say_what_differs(result):
    assert "the cell draws 0 figure(s), 1 are stored" in result.stdout
    assert "the cell draws 1 figure(s), 0 are stored" in result.stdout
    assert re.search(r"figure 1: 0\.0% of its pixels are drawn", result.stdout)
    assert re.search(r"figure 1: it looks different: coarse distance", result.stdout)


def test_unsolved_exercise_fails_at_its_check(result):
    assert failures(result, "unsolved") == [CHECKED]
    assert "what is six times seven?" in result.stdout


def test_run_ends_non_zero_and_counts_cells(result):
    assert result.returncode == 1
    assert f"{8 * len(CELLS)} of {8 * len(CELLS)} cells executed" in result.stdout


def test_cells_are_counted_across_processes(refreshed, tmp_path):
    for name in ("one", "two"):
        tiny.save(refreshed, tmp_path / "notebooks" / f"{name}.ipynb")
    result = run_pytest(tmp_path, "--require-cells", "-n", "2", "--dist", "loadscope")
    assert result.returncode == 0, result.stdout
    assert f"{2 * len(CELLS)} of {2 * len(CELLS)} cells executed, 2 figures compared" in result.stdout


def test_run_in_which_every_cell_is_skipped_fails(tmp_path):
    tiny.save(tiny.notebook(("1", ["nbval-skip"])), tmp_path / "notebooks" / "skipped.ipynb")
    result = run_pytest(tmp_path)
    assert result.returncode == 1
    assert "no notebook cell was executed" in result.stdout


def test_run_without_notebooks_fails_when_cells_are_required(tmp_path):
    (tmp_path / "notebooks").mkdir()
    assert run_pytest(tmp_path, "--require-cells").returncode == 1


# --- tools/notebooks.py -----------------------------------------------------------------------------------------------


def test_second_refresh_changes_nothing(tmp_path):
    # No address in it: an address is no output to store, which `check` says.
    path = tiny.save(tiny.notebook(*CELLS[:-1], 'print("took \\u22481.23 s")'), tmp_path / "nb.ipynb")
    tool.refresh(path)
    first = path.read_bytes()
    tool.refresh(path)
    assert path.read_bytes() == first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["nb.ipynb"]


def test_refresh_runs_in_the_pinned_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("SEGBOOK_PROFILE", "full")
    monkeypatch.setenv("SEGBOOK_DATASET", "camvid")
    names = sorted(pinned_environment("x"))
    source = (
        f"import os\nprint([os.environ.get(n) for n in {names}], os.listdir(os.environ['SEGBOOK_RUNS']), os.getcwd())"
    )
    path = tiny.save(tiny.notebook(source), tmp_path / "nb.ipynb")
    tool.refresh(path)
    text = nbformat.read(path, as_version=4).cells[1].outputs[0].text
    assert "'quick'" in text and "full" not in text and "camvid" not in text and "[]" in text
    assert text.strip().endswith(str(tmp_path))


def test_failing_notebook_is_left_as_it_was_and_its_cell_shown(tmp_path):
    path = tiny.save(tiny.notebook("x = 1", "x / 0"), tmp_path / "nb.ipynb")
    before = path.read_bytes()
    with pytest.raises(tool.RefreshError, match=r"(?s)cell 2 failed.*x / 0.*ZeroDivisionError"):
        tool.refresh(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_only_times_within_a_factor_of_two_keep_their_stored_digits():
    def printed(*texts):
        cells = [nbformat.v4.new_code_cell(f"f({n})", execution_count=n) for n in range(len(texts))]
        for cell, text in zip(cells, texts):
            cell.outputs = [nbformat.v4.new_output("stream", text=text)]
        return tool.normalize(nbformat.v4.new_notebook(cells=cells))

    def kept(old, new):
        cells = tool.keep_stored_times(printed(*old.split("|")), printed(*new.split("|"))).cells
        return "|".join(cell.outputs[0].text for cell in cells)

    assert kept("≈1.2 s\n", "≈1.9 s\n") == "≈1.2 s\n"
    assert kept("≈1.2 s\n", "≈5.0 s\n") == "≈5.0 s\n"
    assert kept("mIoU ≈0.50 in ≈1.2 s\n", "mIoU ≈0.51 in ≈1.3 s\n") == "mIoU ≈0.51 in ≈1.3 s\n"
    # A table and what is drawn from it are of one run.
    assert kept("≈1.2 s|drawn", "≈1.9 s|drawn") == "≈1.2 s|drawn"
    assert kept("≈1.2 s|drawn", "≈1.9 s|drawn otherwise") == "≈1.9 s|drawn otherwise"
    assert kept("≈1.2 s", "≈1.9 s|more") == "≈1.9 s|more"


def test_normalize_merges_streams_drops_widgets_and_is_stable():
    output, view = nbformat.v4.new_output, "application/vnd.jupyter.widget-view+json"
    cell = nbformat.v4.new_code_cell("f()", execution_count=17, metadata={"collapsed": True, "tags": ["check"]})
    cell.outputs = [
        output("stream", text="a"),
        output("stream", text="b"),
        output("execute_result", data={view: {"model_id": "1"}, "text/plain": "x"}, execution_count=17),
    ]
    notebook = nbformat.v4.new_notebook(cells=[cell, nbformat.from_dict(cell | {"id": "other"})])
    notebook.metadata.widgets = {"state": {}}
    once = tool.normalize(notebook)
    assert once.cells[1].execution_count == 2 and once.cells[1].outputs[1].execution_count == 2
    assert once.cells[0].outputs[0].text == "ab" and set(once.cells[0].outputs[1].data) == {"text/plain"}
    assert once.cells[0].metadata == {"tags": ["check"]} and set(once.metadata) == {"kernelspec", "language_info"}
    assert once.cells[0].id != once.cells[1].id
    assert nbformat.writes(tool.normalize(once)) == nbformat.writes(once)


def broken_notebook(*cells, prose="# Title"):
    """A notebook as if executed, with the parts that every notebook must have."""
    result = tiny.notebook(
        ('PROFILE = "quick"', ["parameters"]), ("run = sb.setup(PROFILE)", ["setup"]), "sb.LiveFigure(draw)", *cells
    )
    result.cells[0].source = prose
    for number, cell in enumerate((c for c in result.cells if c.cell_type == "code"), start=1):
        cell.execution_count = number
    return result


def complaints(notebook, tmp_path) -> str:
    return "\n".join(tool.problems(tiny.save(notebook, tmp_path / "00_tiny.ipynb")))


@pytest.mark.parametrize(
    "source, complaint",
    [
        ("assert x == 1", "asserts without a message"),
        ("for x in y:\n    assert x, 'why'\nsb.show(fig, alt='A line.')", "before its figure is shown"),
        ("sb.claim('it holds', x)\nsb.show(fig, alt='A line.')", "before its figure is shown"),
        ("assert x, 'why'\nsb.LiveFigure(draw)", "before its figure is shown"),
        ("sb.show(fig, alt='A line.')\nassert x, 'why'\nsb.claim('it holds', x)", None),
        ("def f(x):\n    assert x\nsb.show(f(1), alt='A line.')", None),
    ],
)
def test_check_wants_a_message_and_the_figure_first(source, complaint, tmp_path):
    told = complaints(broken_notebook(source), tmp_path)
    assert complaint in told if complaint else "assert" not in told
    told = complaints(broken_notebook((source, ["solution"]), ("sb.check.f(f)", ["check"])), tmp_path)
    assert "assert" not in told, told


def test_check_accepts_a_notebook_in_order(tmp_path):
    path = tmp_path / "00_tiny.ipynb"
    tool.write(tool.normalize(broken_notebook()), path)
    assert tool.problems(path) == []


@pytest.mark.parametrize(
    ("cell", "complaint"),
    [
        ("\n".join(["x = 1"] * 31), "31 lines, at most 30"),
        ("!pip install torch", "pip or the network"),
        ("plt.show()", "use sb.show"),
        ("f(1);", "semicolon"),
        ("# NBVAL_IGNORE_OUTPUT\n1", "nbval comment"),
        ("", "is empty"),
        (("1", ["nbval-skip"]), "unknown tag: nbval-skip"),
        (("1", ["nbval-ignore-output"]), "tagged nbval-ignore-output, at most 10%"),
        (("1", ["raises-exception"]), "raised nothing"),
        (("x = 1\n### BEGIN SOLUTION", ["solution"]), "not balanced"),
        (("### BEGIN SOLUTION\n### END SOLUTION", ["solution"]), "no check follows"),
    ],
)
def test_check_finds_what_is_wrong_with_a_cell(cell, complaint, tmp_path):
    assert complaint in complaints(broken_notebook(cell), tmp_path)


@pytest.mark.parametrize(
    ("output", "complaint"),
    [
        (dict(output_type="error", ename="ValueError", evalue="bad", traceback=[]), "stores an error: ValueError"),
        (dict(output_type="stream", name="stderr", text="UserWarning: old"), "stores text on stderr"),
        (dict(output_type="stream", name="stdout", text="saved /home/me/x.pt"), "a path of one machine: /home/me/x.pt"),
        (dict(output_type="stream", name="stdout", text="<object at 0x7f617c1c7f40>"), "memory address"),
        (dict(output_type="display_data", data={"image/png": "AAAA"}, metadata={}), "without a text that describes it"),
    ],
)
def test_check_finds_what_is_wrong_with_an_output(output, complaint, tmp_path):
    notebook = broken_notebook("1")
    notebook.cells[-1].outputs = [nbformat.from_dict(output)]
    assert complaint in complaints(notebook, tmp_path)


@pytest.mark.parametrize(
    ("prose", "complaint"),
    [
        ("Title", "does not begin with a card"),
        ("# Title\n[next](01_gone.ipynb)", "links to 01_gone.ipynb, which does not exist"),
        ("# Title\n[up](#nowhere)", "links to #nowhere"),
        ("# Title\n## Course map\n[up](#course-map)", "links to #course-map"),
        ("# Title\n![](../README.md)", "image without alt text"),
        ("# Title\n" + "word " * 3001, "words of prose, at most 3000"),
    ],
)
def test_check_finds_what_is_wrong_with_prose(prose, complaint, tmp_path):
    assert complaint in complaints(broken_notebook(prose=prose), tmp_path)


def test_check_wants_every_cell_executed_in_order(tmp_path):
    notebook = broken_notebook("1", "2")
    notebook.cells[-1].execution_count = None
    notebook.cells[-2].execution_count = 9
    text = complaints(notebook, tmp_path)
    assert "was not executed" in text and "execution count 9, expected 4" in text


def test_check_command_ends_non_zero(tmp_path, capsys):
    path = tiny.save(broken_notebook("!ls"), tmp_path / "00_tiny.ipynb")
    assert tool.main(["check", str(path)]) == 1
    assert "shell command" in capsys.readouterr().err


# --- the figure comparison --------------------------------------------------------------------------------------------


def drawing(box=(40, 20, 160, 100), size=(200, 120)) -> np.ndarray:
    image = Image.new("RGB", size, "white")
    ImageDraw.Draw(image).ellipse(box, fill=(30, 60, 160))
    return np.asarray(image)


def label_maps(seed: int, changed: float) -> np.ndarray:
    """Blocks of random colour, of which a share is painted anew: predictions of nets that agree on the rest."""
    rng = np.random.default_rng(seed)
    cells = rng.integers(0, 255, (16, 24, 3), dtype=np.uint8)
    other = np.random.default_rng(99).integers(0, 255, cells.shape, dtype=np.uint8)
    cells = np.where(np.random.default_rng(7).random((16, 24, 1)) < changed, other, cells)
    return cells.repeat(10, axis=0).repeat(10, axis=1)


def test_equal_and_nearly_equal_figures_pass():
    assert figure_regression.difference(drawing(), drawing()) is None
    assert figure_regression.difference(drawing(), drawing((41, 20, 161, 101))) is None
    assert figure_regression.difference(label_maps(0, 0.0), label_maps(0, 0.05)) is None


def test_more_may_change_in_figures_from_training():
    before, after = label_maps(0, 0.0), label_maps(0, 0.25)
    assert "looks different" in figure_regression.difference(before, after)
    assert figure_regression.difference(before, after, from_training=True) is None


def test_images_that_training_chooses_may_be_others_but_not_missing():
    one, other, blank = label_maps(0, 0.0), label_maps(7, 0.0), np.full_like(label_maps(0, 0.0), 255)
    assert figure_regression.difference(one, other) is not None
    assert figure_regression.difference(one, other, chosen=True) is None
    assert "drawn" in figure_regression.difference(one, blank, chosen=True)
    assert "size" in figure_regression.difference(one, other[: len(other) // 2], chosen=True)


@pytest.mark.parametrize("from_training", [False, True])
def test_blank_swapped_and_resized_figures_fail(from_training):
    blank = np.full((120, 200, 3), 255, np.uint8)
    for stored, new in (
        (drawing(), blank),
        (blank, drawing()),
        (label_maps(0, 0.0), label_maps(1, 0.0)),
        (drawing(), drawing((2, 2, 70, 118))),
        (drawing(), drawing(size=(200, 160))),
    ):
        assert figure_regression.difference(stored, new, from_training) is not None


def test_another_number_of_threads_can_be_asked_for(monkeypatch):
    monkeypatch.delenv("SEGBOOK_TEST_THREADS", raising=False)
    assert pinned_environment("x")["OMP_NUM_THREADS"] == pinned_environment("x")["SEGBOOK_THREADS"] == "1"
    monkeypatch.setenv("SEGBOOK_TEST_THREADS", "2")
    assert pinned_environment("x")["OMP_NUM_THREADS"] == pinned_environment("x")["SEGBOOK_THREADS"] == "2"
    monkeypatch.setenv("SEGBOOK_TEST_THREADS", "many")
    with pytest.raises(ValueError, match="SEGBOOK_TEST_THREADS must be a whole number"):
        pinned_environment("x")
