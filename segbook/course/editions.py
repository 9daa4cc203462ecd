"""Editions of the course from the one committed source: student, solution and clean.

- **student**: each region between ``### BEGIN SOLUTION`` and ``### END SOLUTION`` is replaced by ``...  # your code here``,
  cells tagged ``solution-only`` are gone, and exercise and check cells have no outputs;
- **solution**: the notebooks as they are committed;
- **clean**: the notebooks with their solutions and without any output, for live teaching.
"""

import re
from pathlib import Path

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
STUB = "...  # your code here"
EDITIONS = ("student", "solution", "clean")
#: Where the committed notebooks lie.
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def marker_problems(notebook) -> list[str]:
    """Return what is wrong with a notebook's solution markers, one line each with the cell's index from 0."""
    problems = []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        marks = [line.strip() for line in cell.source.splitlines() if line.strip() in (BEGIN, END)]
        tagged = "solution" in cell.metadata.get("tags", [])
        if len(marks) % 2 or marks != [BEGIN, END] * (len(marks) // 2):
            problems.append(f"cell {index}: solution markers are not balanced ({BEGIN} … {END})")
        elif marks and not tagged:
            problems.append(f"cell {index}: has solution markers and is not tagged solution")
        elif tagged and not marks:
            problems.append(f"cell {index}: is tagged solution and has no {BEGIN} … {END}")
        if re.search(r"#+\s*(?:BEGIN|END)\s+SOLUTIONS?\b", cell.source, re.I) and not marks:
            problems.append(f"cell {index}: a solution marker is misspelt or shares its line with code")
    return problems


def without_solution(source: str) -> str:
    """Replace each marked region of a cell's source by the stub, at the indentation of its first marker."""
    lines, hidden = [], False
    for line in source.splitlines():
        if line.strip() == BEGIN:
            hidden = True
            lines.append(line[: len(line) - len(line.lstrip())] + STUB)
        elif line.strip() == END:
            hidden = False
        elif not hidden:
            lines.append(line)
    return "\n".join(lines)


def convert(notebook, edition: str):
    """Return a copy of a notebook as the ``edition`` wants it. Raises ValueError for unbalanced solution markers."""
    from nbconvert.preprocessors import ClearOutputPreprocessor, TagRemovePreprocessor

    if edition not in EDITIONS:
        raise ValueError(f"no edition is called {edition!r}; there are {', '.join(EDITIONS)}")
    problems = marker_problems(notebook)
    if problems:
        raise ValueError("; ".join(problems))
    notebook = notebook.copy() if edition == "solution" else _deep_copy(notebook)
    if edition == "clean":
        notebook, _ = ClearOutputPreprocessor()(notebook, {})
    elif edition == "student":
        notebook, _ = TagRemovePreprocessor(remove_cell_tags={"solution-only"}, enabled=True)(notebook, {})
        for cell in notebook.cells:
            tags = set(cell.metadata.get("tags", []))
            if "solution" in tags:
                cell.source = without_solution(cell.source)
            if cell.cell_type == "code" and tags & {"solution", "check"}:
                cell.outputs, cell.execution_count = [], None
    return notebook


def _deep_copy(notebook):
    import copy

    return copy.deepcopy(notebook)
