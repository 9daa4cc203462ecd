"""The committed notebooks keep the rules of the course (``python tools/notebooks.py check``)."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import notebooks as tool  # noqa: E402

PATHS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def test_there_are_notebooks():
    assert PATHS, "notebooks/ is empty"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_notebook_keeps_the_rules(path):
    broken = tool.problems(path)
    assert not broken, "\n".join([path.name, *broken])


def test_every_notebook_is_a_chapter():
    from segbook.course.chapters import CHAPTERS

    strangers = {path.stem for path in PATHS} - {chapter.file for chapter in CHAPTERS}
    assert not strangers, f"not in segbook/course/chapters.py: {sorted(strangers)}"
