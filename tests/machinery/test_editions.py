"""Student, solution and clean editions from one source."""

import nbformat
import pytest
import tiny

from segbook.course import editions

FUNCTION = (
    "def double(x):\n    ### BEGIN SOLUTION\n    y = x + x\n    return y\n    ### END SOLUTION\n\nprint(double(2))"
)


@pytest.fixture
def source():
    notebook = tiny.notebook(
        "x = 1",
        (FUNCTION, ["solution"]),
        ("sb.check.chapter_00.double(double)", ["check"]),
        ("# why this works", ["solution-only"]),
    )
    for number, cell in enumerate(notebook.cells[1:], start=1):
        cell.execution_count = number
        cell.outputs = [nbformat.v4.new_output("stream", text="4\n")]
    return notebook


def test_student_edition_has_stubs_and_no_answers(source):
    student = editions.convert(source, "student")
    assert [cell.source for cell in student.cells[1:]] == [
        "x = 1",
        "def double(x):\n    ...  # your code here\n\nprint(double(2))",
        "sb.check.chapter_00.double(double)",
    ]
    assert student.cells[1].outputs and not student.cells[2].outputs and not student.cells[3].outputs
    assert student.cells[2].execution_count is None


def test_every_region_of_a_cell_becomes_a_stub_at_its_indentation():
    region = "{0}### BEGIN SOLUTION\n{0}a = 1\n{0}### END SOLUTION\n"
    text = "a = ...\n" + region.format("") + "if a:\n" + region.format("    ") + "print(a)"
    stubbed = "a = ...\n...  # your code here\nif a:\n    ...  # your code here\nprint(a)"
    assert editions.strip_solution(text) == stubbed


def test_stub_is_valid_python(source):
    compile(editions.convert(source, "student").cells[2].source, "cell", "exec")


def test_clean_edition_has_solutions_and_no_outputs(source):
    clean = editions.convert(source, "clean")
    assert clean.cells[2].source == FUNCTION and len(clean.cells) == 5
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in clean.cells)


def test_solution_edition_is_the_source_and_the_source_is_not_changed(source):
    before = nbformat.writes(source)
    for edition in editions.EDITIONS:
        editions.convert(source, edition)
    assert nbformat.writes(source) == before
    assert editions.convert(source, "solution") == source


@pytest.mark.parametrize(
    "text",
    [
        "### BEGIN SOLUTION\nx = 1",
        "x = 1\n### END SOLUTION",
        "### END SOLUTION\n### BEGIN SOLUTION",
        "### BEGIN SOLUTION\n### BEGIN SOLUTION\n### END SOLUTION",
        "## BEGIN SOLUTION\nx = 1\n### END SOLUTION",
        "x = 1  ### BEGIN SOLUTION\n### END SOLUTION",
    ],
)
def test_markers_that_do_not_match_are_refused_by_notebook_and_cell(text, source, tmp_path):
    good = tiny.save(source, tmp_path / "01_good.ipynb")
    bad = tiny.save(tiny.notebook("x = 1", (text, ["solution"])), tmp_path / "02_bad.ipynb")
    with pytest.raises(ValueError, match=r"02_bad\.ipynb: cell 2: .*solution marker"):
        editions.write_editions([good, bad], tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_markers_in_untagged_cells_are_refused():
    with pytest.raises(ValueError, match="not tagged solution"):
        editions.convert(tiny.notebook("### BEGIN SOLUTION\nx = 1\n### END SOLUTION"), "student")


def test_editions_are_written_whole_and_not_over_others(source, tmp_path):
    path, out = tiny.save(source, tmp_path / "01_a.ipynb"), tmp_path / "out"
    folders = editions.write_editions([path], out)
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.ipynb")) == [
        "clean/01_a.ipynb", "solution/01_a.ipynb", "student/01_a.ipynb",
    ]  # fmt: skip
    assert sorted(p.name for p in out.iterdir()) == ["clean", "solution", "student"]
    nbformat.validate(nbformat.read(folders["student"] / "01_a.ipynb", as_version=4))
    with pytest.raises(FileExistsError, match="--overwrite"):
        editions.write_editions([path], out)
    (folders["clean"] / "old.ipynb").write_text("{}")
    editions.write_editions([path], out, overwrite=True)
    assert not (folders["clean"] / "old.ipynb").exists()
