"""Editions of the course from the one committed source: student, solution and clean.

- **student**: each region between ``### BEGIN SOLUTION`` and ``### END SOLUTION`` is replaced by ``...  # your code here``,
  cells tagged ``solution-only`` are gone, and exercise and check cells have no outputs;
- **solution**: the notebooks as they are committed;
- **clean**: the notebooks with their solutions and without any output, for live teaching.
"""

import copy
import os
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from nbformat import NotebookNode

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
STUB = "...  # your code here"
EDITIONS = ("student", "solution", "clean")


def marker_problems(notebook: NotebookNode) -> list[str]:
    """Return what is wrong with a notebook's solution markers, one line each with the cell's index from 0."""
    problems = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        lines = [line.strip() for line in cell.source.splitlines()]
        marks = [line for line in lines if line in (BEGIN, END)]
        alike = [line for line in lines if re.search(r"#\s*(?:BEGIN|END)[ _-]*SOLUTIONS?\b", line, re.IGNORECASE)]
        tagged = "solution" in cell.metadata.get("tags", [])
        if alike != marks:
            problems.append(f"cell {index}: a solution marker is misspelt or shares its line with code")
        elif marks != [BEGIN, END] * (len(marks) // 2):
            problems.append(f"cell {index}: solution markers are not balanced ({BEGIN} … {END})")
        elif marks and not tagged:
            problems.append(f"cell {index}: has solution markers and is not tagged solution")
        elif tagged and not marks:
            problems.append(f"cell {index}: is tagged solution and has no {BEGIN} … {END}")
    return problems


def strip_solution(source: str) -> str:
    """Replace each marked region of a cell's source by the stub, at the indentation of its first marker.

    Raises ValueError when the markers are not balanced.
    """
    lines, hidden = [], False
    for line in source.splitlines():
        if line.strip() in (BEGIN, END):
            if hidden == (line.strip() == BEGIN):
                raise ValueError(f"solution markers are not balanced ({BEGIN} … {END})")
            hidden = not hidden
            if hidden:
                lines.append(line[: len(line) - len(line.lstrip())] + STUB)
        elif not hidden:
            lines.append(line)
    if hidden:
        raise ValueError(f"solution markers are not balanced ({BEGIN} … {END})")
    return "\n".join(lines)


def convert(notebook: NotebookNode, edition: str) -> NotebookNode:
    """Return a copy of a notebook as the ``edition`` wants it.

    Raises ValueError for an unknown edition and for solution markers that are not balanced, naming the cell.
    """
    from nbconvert.preprocessors import ClearOutputPreprocessor, TagRemovePreprocessor

    if edition not in EDITIONS:
        raise ValueError(f"there is no edition {edition!r}; choose one of: {', '.join(EDITIONS)}")
    problems = marker_problems(notebook)
    if problems:
        raise ValueError("; ".join(problems))
    notebook = copy.deepcopy(notebook)
    if edition == "clean":
        notebook, _ = ClearOutputPreprocessor().preprocess(notebook, {})
    elif edition == "student":
        notebook, _ = TagRemovePreprocessor(remove_cell_tags={"solution-only"}).preprocess(notebook, {})
        for cell in notebook.cells:
            tags = set(cell.metadata.get("tags", []))
            if "solution" in tags:
                cell.source = strip_solution(cell.source)
            if cell.cell_type == "code" and tags & {"solution", "check"}:
                cell.outputs, cell.execution_count = [], None
    return notebook


def write_editions(paths: Iterable[Path], out: str | os.PathLike, overwrite: bool = False) -> dict[str, Path]:
    """Write all editions of the notebooks to ``out/student``, ``out/solution`` and ``out/clean``; return their folders.

    Everything is made in a temporary folder first and renamed at the end, so that a refused notebook leaves nothing
    behind. Raises FileExistsError when one of the folders is there already and ``overwrite`` is not set, and ValueError,
    naming notebook and cell, for a notebook that cannot be read or whose solution markers are not balanced.
    """
    import nbformat

    out = Path(out)
    targets = {edition: out / edition for edition in EDITIONS}
    for target in targets.values():
        if target.exists() and not overwrite:
            raise FileExistsError(f"{target} exists already; choose another folder, or pass --overwrite")
    paths = list(paths)
    if not paths:
        raise FileNotFoundError("there is no notebook to make editions of")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".editions-") as temporary:
        for path in paths:
            try:
                notebook = nbformat.read(path, as_version=4)
            except Exception as error:  # nbformat raises whatever the JSON parser or the schema raised
                raise ValueError(f"{path} is not a readable notebook: {error}") from error
            for edition in EDITIONS:
                folder = Path(temporary) / edition
                folder.mkdir(exist_ok=True)
                try:
                    text = nbformat.writes(convert(notebook, edition))
                except ValueError as error:
                    raise ValueError(f"{path.name}: {error}") from error
                (folder / path.name).write_text(text.rstrip("\n") + "\n", encoding="utf-8")
        for edition, target in targets.items():
            if target.exists():
                shutil.rmtree(target)
            os.replace(Path(temporary) / edition, target)
    return targets
