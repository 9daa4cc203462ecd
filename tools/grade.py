"""Run the exercise checks over a folder of students' notebooks and write one CSV.

    python tools/grade.py HANDED_IN grades.csv [--chapter 07] [--timeout 60]

HANDED_IN holds notebooks under their course names, or with something added (07_segnet.ipynb, 07_segnet_li.ipynb), in any
sub-folders. The student is the notebook's folder, or what was added to its name. For each exercise the set-up cells and the
check come from the course's own notebook, so that a changed check changes nothing; from the student's comes only the
answer. One row an exercise: student, chapter, exercise, result, message, seconds. Results: passed, wrong, missing (the
dots are still there), error (the answer cell itself stopped), timeout, and unreadable for a whole notebook.

The answers are programs, and this runs them: as any program of somebody else's, run it in a container or an account that
may lose nothing.
"""

import argparse
import csv
import re
import sys
import time
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from segbook.course.chapters import Chapter, find, written
from segbook.course.editions import STUB
from segbook.course.kernels import CourseKernelManager, merged_environment, pinned_environment, scratch_folder
from segbook.data.files import atomic_path

SETUP_SECONDS = 300  # for the course's own cells, which import PyTorch
CALL = re.compile(r"\bcheck\.(chapter_\d\d)\.(\w+)\(")


@dataclass(frozen=True)
class Row:
    student: str
    chapter: str
    exercise: str
    result: str
    message: str = ""
    seconds: float = 0.0


def tags(cell) -> set[str]:
    return set(cell.metadata.get("tags", []))


def code_cells(notebook) -> list:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def checks_of(chapter: Chapter) -> tuple[list[str], dict[str, str]]:
    """The course's set-up cells, and its check cells by exercise name, in order."""
    cells = code_cells(nbformat.read(chapter.path, as_version=4))
    setup = [cell.source for cell in cells if tags(cell) & {"parameters", "setup"}]
    checks = {CALL.search(cell.source)[2]: cell.source for cell in cells if "check" in tags(cell)}
    return setup, checks


def answers_of(notebook, names) -> dict[str, list[str]]:
    """The student's answer cells by exercise: those tagged ``solution`` before its check, else the cell before it."""
    answers, before, last = {}, [], None
    for cell in code_cells(notebook):
        call = CALL.search(cell.source)
        if call and call[2] in names:
            answers[call[2]] = before or ([last] if last else [])
            before = []
        elif "solution" in tags(cell):
            before.append(cell.source)
        last = cell.source
    return answers


def which(path: Path) -> tuple[Chapter, str] | None:
    """Chapter and student of a file, or None if its name is none of the course's."""
    for chapter in written():
        if path.stem.startswith(chapter.file):
            added = path.stem.removeprefix(chapter.file).strip("_- .")
            return chapter, added or path.parent.name
    return None


def result_of(cell, name: str) -> tuple[str, str]:
    """What a check cell's outputs say."""
    for output in cell.outputs:
        if output.output_type == "error":
            message = re.sub(r"\x1b\[[0-9;]*m", "", output.evalue).strip()
            said = re.split(r"\n\s*Hint 1 of", message)[0].splitlines()  # the first line only names the exercise
            return ("missing" if "Nothing here yet" in message else "wrong"), " ".join(
                " ".join(said[1:] or said).split()
            )
    text = "".join(output.get("text", "") for output in cell.outputs)
    return ("passed", "") if f", {name}: correct." in text else ("error", "the check printed nothing")


def grade(path: Path, chapter: Chapter, student: str, timeout: int) -> list[Row]:
    """One row for each exercise of the chapter. A new kernel, in an empty folder for checkpoints."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat raises whatever the JSON parser or the schema raised
        return [Row(student, chapter.file, "", "unreadable", f"{path.name}: {str(error).splitlines()[0]}")]
    setup, checks = checks_of(chapter)
    answers = answers_of(notebook, checks)
    rows = []
    cells = [nbformat.v4.new_code_cell(source) for source in setup]
    run = nbformat.v4.new_notebook(cells=list(cells))
    with scratch_folder() as scratch:
        manager = CourseKernelManager()
        client = NotebookClient(run, timeout=SETUP_SECONDS, km=manager, allow_errors=True, interrupt_on_timeout=True)
        client.resources = {"metadata": {"path": str(chapter.path.parent)}}
        environment = merged_environment(pinned_environment(scratch))
        with client.setup_kernel(env=environment, cwd=str(chapter.path.parent)):
            for index, cell in enumerate(run.cells):
                client.execute_cell(cell, index)
                if any(output.output_type == "error" for output in cell.outputs):
                    return [Row(student, chapter.file, "", "error", "the course's set-up cells did not run")]
            client.timeout = timeout
            for name, check in checks.items():
                started = time.perf_counter()
                result, message = attempt(client, answers.get(name), check, name)
                rows.append(Row(student, chapter.file, name, result, message, round(time.perf_counter() - started, 1)))
    return rows


def attempt(client, sources: list[str] | None, check: str, name: str) -> tuple[str, str]:
    if sources is None:
        return "missing", "the check of this exercise is not in the notebook"
    if any(STUB in source for source in sources):
        return "missing", "the dots are still there"
    for source in [*sources, check]:
        cell = nbformat.v4.new_code_cell(source)
        client.nb.cells.append(cell)
        try:
            client.execute_cell(cell, len(client.nb.cells) - 1)
        except (CellTimeoutError, DeadKernelError) as error:
            return "error", f"the kernel is lost: {type(error).__name__}"
        failed = [output for output in cell.outputs if output.output_type == "error"]
        if failed and failed[0].ename == "KeyboardInterrupt":
            return "timeout", f"longer than {client.timeout} s"
        if failed and source is not check:
            return "error", f"{failed[0].ename}: {failed[0].evalue}".splitlines()[0]
    return result_of(cell, name)


def collect(folder: Path, only: Chapter | None) -> list[tuple[Path, Chapter, str]]:
    found = []
    for path in sorted(folder.rglob("*.ipynb")):
        known = which(path)
        if ".ipynb_checkpoints" in path.parts:
            continue
        if known is None:
            print(f"grade: {path} has no name of a chapter and is left out", file=sys.stderr)
        elif only is None or known[0] == only:
            found.append((path, *known))
    return found


def write(rows: list[Row], out: Path) -> None:
    with atomic_path(out) as partial, open(partial, "x", newline="", encoding="utf-8-sig") as file:
        # The mark at the beginning of utf-8-sig lets spreadsheets read names in Chinese.
        writer = csv.writer(file)
        writer.writerow([field.name for field in fields(Row)])
        writer.writerows(astuple(row) for row in rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="HANDED_IN", help="folder of notebooks, one folder a student")
    parser.add_argument("out", type=Path, metavar="CSV", help="table to write: a row for every exercise")
    parser.add_argument("--chapter", help="grade this chapter only")
    parser.add_argument("--timeout", type=int, default=60, help="seconds a cell may take (default: 60)")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"there is no folder {options.folder}")
    if options.timeout < 1:
        parser.error(f"--timeout must be at least 1 second, got {options.timeout}")
    if options.out.is_dir() or not options.out.absolute().parent.is_dir():  # said now, not after an hour of grading
        parser.error(f"{options.out} cannot be written: name a file in a folder that is there")
    try:
        only = find(options.chapter) if options.chapter else None
    except ValueError as error:
        parser.error(str(error))
    work = collect(options.folder, only)
    if not work:
        parser.error(f"{options.folder} holds no notebook of the course")
    rows = []
    for path, chapter, student in work:
        graded = grade(path, chapter, student, options.timeout)
        passed = sum(row.result == "passed" for row in graded)
        print(f"{student:24} {chapter.file:24} {passed} of {len(graded)}", flush=True)
        rows += graded
    write(rows, options.out)
    print(f"{len(rows)} rows in {options.out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
