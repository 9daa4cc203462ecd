"""``tools/lane.py``: whose turn it is, and what fails the lane."""

import os
import subprocess
from datetime import date

import lane
import pytest
import robust

from segbook.course import chapters


def test_every_chapter_has_its_turn():
    assert {number for pair in lane.PAIRS for number in pair} == {chapter.number for chapter in chapters.CHAPTERS}
    turns = {lane.choose(number) for number in range(len(lane.PAIRS) * len(lane.SEEDS))}
    assert len(turns) == len(lane.PAIRS) * len(lane.SEEDS) and 0 not in lane.SEEDS, "seed 0 is the main lane's"


def test_the_turn_follows_the_commit_and_without_history_the_date(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert lane.turn(tmp_path) == date.today().toordinal()
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, env={**os.environ, **identity})
    first = lane.turn(tmp_path)
    assert first > 2**100
    subprocess.run(
        ["git", "commit", "-q", "--allow-empty", "-m", "second"],
        cwd=tmp_path,
        check=True,
        env={**os.environ, **identity},
    )
    assert lane.turn(tmp_path) != first


def test_without_git_the_date_decides(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert lane.turn(tmp_path) == date.today().toordinal()


@pytest.mark.parametrize("status, code", [("passed", 0), ("failed", 1)])
def test_only_a_notebook_that_does_not_come_to_its_end_fails_the_lane(status, code, monkeypatch, capsys):
    claims = [{"text": "it holds", "held": False, "numbers": "", "margin": None}]
    seen = []

    def run_once(notebook, setting, out):
        seen.append(setting)
        return robust.Run(setting, status, 1.0, "" if status == "passed" else "ValueError: no", claims)

    monkeypatch.setattr(robust, "run_once", run_once)
    assert lane.main() == code
    assert len(seen) == 2 and all(setting.threads == 2 and setting.seed > 0 for setting in seen)
    assert "FAILED with" in capsys.readouterr().out
