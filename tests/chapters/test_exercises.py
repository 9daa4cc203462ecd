"""Every exercise of every notebook: the solution passes, nothing fails at its check, and wrong answers are told why.

A notebook's exercise is one or more cells tagged ``solution`` followed by a cell tagged ``check``. The cells tagged
``parameters`` and ``setup`` run first, nothing else: an exercise must not depend on the rest of its chapter.
``tests/chapters/chNN_name/wrong_answers.py`` lists plausible wrong answers, at least two an exercise:

    WRONG = {"iou": [("return tp / (tp + fp)", r"expected .* got"), …]}

each the code that stands in place of the solution and a pattern that the learner's message must match.
"""

import contextlib
import functools
import importlib.util
import io
import os
import re
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

from segbook.course import check
from segbook.course.editions import strip_solution

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))
REGION = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?^[ \t]*### END SOLUTION[^\n]*$", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"\bcheck\.(chapter_\d\d)\.(\w+)\(")


@dataclass(frozen=True)
class Case:
    """One exercise as the notebook has it."""

    notebook: Path
    chapter: str
    name: str
    setup: tuple[str, ...]
    solution: tuple[str, ...]
    check: str

    def __str__(self):
        return f"{self.chapter}-{self.name}"


def read(path: Path) -> tuple[list[Case], list[str]]:
    """The exercises of a notebook, and what is wrong with the way they are laid out."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    tagged = [(set(cell.metadata.get("tags", [])), cell.source) for cell in cells]
    setup = tuple(source for tags, source in tagged if tags & {"parameters", "setup"})
    cases, problems, pending = [], [], []
    for tags, source in tagged:
        if "solution" in tags:
            pending.append(source)
        if "check" not in tags:
            continue
        calls = CALL.findall(source)
        if len(calls) != 1:
            problems.append(f"a check cell must call one check, this one calls {len(calls)}: {source!r}")
        elif not pending:
            problems.append(f"the check of {calls[0][1]} has no solution cell before it")
        else:
            cases.append(Case(path, *calls[0], setup, tuple(pending), source))
        pending = []
    problems += [f"no check cell follows this solution: {source!r}" for source in pending]
    return cases, problems


def wrong_answers(chapter: str) -> dict[str, list]:
    """``WRONG`` of its ``wrong_answers.py``; empty where there is no such file."""
    folders = list((ROOT / "tests" / "chapters").glob(f"ch{chapter[-2:]}_*"))
    path = folders[0] / "wrong_answers.py" if folders else Path("missing")
    if not path.exists():
        return {}
    spec = importlib.util.spec_from_file_location(f"wrong_answers_{chapter}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.WRONG


@contextlib.contextmanager
def inside(folder: Path):
    """Run as a notebook does: in its folder, without a screen, and without its prints on ours."""
    before = Path.cwd()
    os.chdir(folder)
    import matplotlib

    matplotlib.use("Agg")
    try:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            yield printed
    finally:
        os.chdir(before)


@functools.cache
def prepared(folder: Path, setup: tuple[str, ...]) -> dict:
    """The names that a notebook's set-up cells leave behind."""
    names = {"__name__": "__main__"}
    with inside(folder):
        for source in setup:
            exec(compile(source, "<set-up cell>", "exec"), names)
    return names


def attempt(case: Case, sources) -> tuple[str, check.Incorrect | None]:
    """Run the exercise's cells and its check: what the check printed, and the ``Incorrect`` it raised, if any.

    An exception before the check goes through: no version of an exercise may fail there.
    """
    names = dict(prepared(case.notebook.parent, case.setup))
    with inside(case.notebook.parent) as printed:
        for source in sources:
            exec(compile(source, "<answer cell>", "exec"), names)
        printed.truncate(0), printed.seek(0)
        try:
            exec(compile(case.check, "<check cell>", "exec"), names)
        except check.Incorrect as error:
            return printed.getvalue(), error
    return printed.getvalue(), None


def exercise_of(case: Case) -> check.Exercise:
    return getattr(getattr(check, case.chapter), case.name)


def verify_solution(case: Case) -> None:
    printed, error = attempt(case, case.solution)
    assert error is None, f"the solution is refused:\n{error}"
    chapter = case.chapter.replace("_", " ")
    assert printed == f"✓ {chapter}, {case.name}: correct.\n", f"the check printed {printed!r}"


def verify_unsolved(case: Case) -> None:
    student = [strip_solution(source) for source in case.solution]
    assert student != list(case.solution), "the solution cell has no region between the solution markers"
    _, error = attempt(case, student)
    assert error is not None, "the check accepts the student's empty cell"


def with_answer(sources, code) -> list[str]:
    """The solution cells with other code in the marked region; a tuple of codes where there are several regions."""
    codes = [code] if isinstance(code, str) else list(code)
    regions = sum(len(REGION.findall(source)) for source in sources)
    assert regions == len(codes), f"{regions} solution regions, but {len(codes)} pieces of code for them"
    return [REGION.sub(lambda m: textwrap.indent(textwrap.dedent(codes.pop(0)), m[1]), source) for source in sources]


def verify_wrong(case: Case, code, pattern: str) -> None:
    exercise = exercise_of(case)
    assert len(exercise.hints) >= 2, "an exercise needs at least two hints"
    exercise.tries = 0
    for tries in range(1, len(exercise.hints) + 1):
        _, error = attempt(case, with_answer(case.solution, code))
        assert error is not None, f"the check accepts this wrong answer:\n{code}"
        message = str(error)
        assert "Nothing here yet" not in message, f"taken for an empty answer:\n{code}"
        assert re.search(pattern, message), f"no match for {pattern!r} in the message:\n{message}"
        shown = [hint for hint in exercise.hints if hint in message]
        assert shown == list(exercise.hints[:tries]), f"after {tries} failed tries the hints are {shown}"
    exercise.tries = 0


def verify_complete(cases: list[Case], wrong: dict[str, list], exercises: list[str]) -> None:
    """Each check belongs to one notebook cell and has at least two wrong answers, and nothing else is listed."""
    used = [case.name for case in cases]
    assert sorted(used) == sorted(exercises), f"checks {sorted(exercises)}, used in the notebooks: {sorted(used)}"
    few = [name for name in used if len(wrong.get(name, ())) < 2]
    assert not few, f"fewer than two wrong answers in wrong_answers.py for: {few}"
    unknown = sorted(set(wrong) - set(used))
    assert not unknown, f"wrong answers for exercises that do not exist: {unknown}"


# ------------------------------------------------------------------------------------------------- the notebooks

READ = {path: read(path) for path in NOTEBOOKS}
CASES = [case for cases, _ in READ.values() for case in cases]
ATTEMPTS = [
    pytest.param(case, code, pattern, id=f"{case}-{number}")
    for case in CASES
    for number, (code, pattern) in enumerate(wrong_answers(case.chapter).get(case.name, ()), start=1)
]
CHAPTERS = sorted({f"chapter_{path.name[:2]}" for path in NOTEBOOKS} | set(check.chapters() if NOTEBOOKS else ()))


if NOTEBOOKS:

    @pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
    def test_exercises_are_laid_out_right(path):
        assert READ[path][1] == []

    @pytest.mark.parametrize("chapter", CHAPTERS)
    def test_every_check_is_used_and_has_wrong_answers(chapter):
        exercises = [exercise.name for exercise in getattr(check, chapter)] if chapter in check.chapters() else []
        verify_complete([case for case in CASES if case.chapter == chapter], wrong_answers(chapter), exercises)


if CASES:

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_solution_passes(case):
        verify_solution(case)

    @pytest.mark.parametrize("case", CASES, ids=str)
    def test_unsolved_exercise_fails_at_its_check(case):
        verify_unsolved(case)

    @pytest.mark.parametrize(("case", "code", "pattern"), ATTEMPTS)
    def test_wrong_answer_is_told_why(case, code, pattern):
        verify_wrong(case, code, pattern)


# -------------------------------------------------------------------------------------- the machinery above itself

CHECKS = """
from segbook.course.check import exercise, expect_close

@exercise("double a number", hints=["Twice as much.", "Multiply by 2."])
def double(answer):
    expect_close(answer(3), 6, "twice 3")
"""
SOLUTION = """def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION
"""
CHECK = "sb.check.chapter_99.double(double)"


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Build a notebook with one exercise; returns a function (solution, check, checks) -> path."""

    def build(solution=SOLUTION, check_cell=CHECK, checks=CHECKS):
        name = "segbook.course.ch99_tiny.checks"
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader=None))
        exec(compile(checks, "chapter_99.py", "exec"), module.__dict__)
        monkeypatch.setitem(sys.modules, name, module)
        folders = {**check._folders(), "99": "segbook.course.ch99_tiny"}
        monkeypatch.setattr(check, "_folders", lambda: folders)
        check._chapter.cache_clear()
        cell = nbformat.v4.new_code_cell
        cells = [
            cell("import segbook as sb", metadata={"tags": ["setup"]}),
            cell("raise SystemError('a long training')"),
        ]
        if solution is not None:
            cells.append(cell(solution, metadata={"tags": ["solution"]}))
        cells.append(cell(check_cell, metadata={"tags": ["check"]}))
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "99_tiny.ipynb")
        return tmp_path / "99_tiny.ipynb"

    yield build
    check._chapter.cache_clear()


def only_case(path: Path) -> Case:
    cases, problems = read(path)
    assert problems == [] and len(cases) == 1
    return cases[0]


def test_a_good_exercise_is_accepted(tiny):
    case = only_case(tiny())
    verify_solution(case)
    verify_unsolved(case)
    verify_wrong(case, "return x * x", "expected 6, got 9")
    verify_wrong(case, "return x / 0", "ZeroDivisionError")
    verify_complete([case], {"double": [("a", "b"), ("c", "d")]}, ["double"])


def test_a_wrong_solution_is_noticed(tiny):
    with pytest.raises(AssertionError, match="the solution is refused"):
        verify_solution(only_case(tiny(SOLUTION.replace("2 * x", "3 * x"))))


def test_a_check_that_prints_more_is_noticed(tiny):
    checks = CHECKS + "    print('by the way')\n"
    with pytest.raises(AssertionError, match="by the way"):
        verify_solution(only_case(tiny(checks=checks)))


def test_an_unsolved_cell_that_fails_before_its_check_is_noticed(tiny):
    early = "### BEGIN SOLUTION\ndouble = lambda x: 2 * x\n### END SOLUTION\ndouble(3)"
    case = only_case(tiny(early))
    verify_solution(case)
    with pytest.raises(NameError):
        verify_unsolved(case)


def test_a_check_that_accepts_nothing_is_noticed(tiny):
    blind = CHECKS.replace('expect_close(answer(3), 6, "twice 3")', "answer")
    with pytest.raises(AssertionError, match="accepts the student's empty cell"):
        verify_unsolved(only_case(tiny(checks=blind)))


def test_a_cell_without_markers_is_noticed(tiny):
    with pytest.raises(AssertionError, match="no region"):
        verify_unsolved(only_case(tiny("def double(x):\n    return 2 * x")))


@pytest.mark.parametrize(
    ("code", "pattern", "told"),
    [
        ("return x + x", "expected", "accepts this wrong answer"),
        ("return x + 4", "twice as many", "no match"),
        ("pass", "expected", "taken for an empty answer"),
        (("return 1", "return 2"), "expected", "1 solution regions, but 2"),
    ],
)
def test_a_wrong_answer_that_proves_nothing_is_noticed(tiny, code, pattern, told):
    with pytest.raises(AssertionError, match=told):
        verify_wrong(only_case(tiny()), code, pattern)


def test_missing_wrong_answers_and_unused_checks_are_noticed(tiny):
    case = only_case(tiny())
    two = [("a", "b"), ("c", "d")]
    with pytest.raises(AssertionError, match="fewer than two wrong answers"):
        verify_complete([case], {"double": two[:1]}, ["double"])
    with pytest.raises(AssertionError, match="fewer than two wrong answers"):
        verify_complete([case], {}, ["double"])
    with pytest.raises(AssertionError, match="used in the notebooks"):
        verify_complete([case], {"double": two}, ["double", "halve"])
    with pytest.raises(AssertionError, match="used in the notebooks"):
        verify_complete([case, case], {"double": two}, ["double"])
    with pytest.raises(AssertionError, match="do not exist"):
        verify_complete([case], {"double": two, "halve": two}, ["double"])


def test_layout_problems_are_noticed(tiny):
    assert read(tiny(solution=None))[1] == ["the check of double has no solution cell before it"]
    assert "calls 0" in read(tiny(check_cell="double(3)"))[1][0]
    assert "calls 2" in read(tiny(check_cell=f"{CHECK}\n{CHECK}"))[1][0]


def test_unbalanced_markers_are_refused():
    for source in ("### BEGIN SOLUTION\nx = 1", "x = 1\n### END SOLUTION", SOLUTION + "### BEGIN SOLUTION"):
        with pytest.raises(ValueError):
            strip_solution(source)
