"""How the benchmarks measure and report; the measurements themselves are `make bench`."""

import re
import sys
from itertools import count
from pathlib import Path

import pytest
import torch


@pytest.fixture
def measure(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    import measure

    yield measure
    sys.modules.pop("measure")


def test_both_sides_take_turns_and_the_first_turn_warms_up(measure):
    calls, clock = [], count()
    row = measure.compare(
        "work", "peer", lambda: calls.append("a"), lambda: calls.append("b"), runs=3, clock=lambda: next(clock), goal=2
    )
    assert calls == ["a", "b"] * 4
    assert (row.ours, row.theirs, row.ratio, row.spread) == (1, 1, 1, 0)
    assert row.reached is False and row.record()["reached"] is False


def test_goals(measure):
    assert measure.Row("w", "p", 1.0, 2.5, goal=2).reached and not measure.Row("w", "p", 1.0, 1.5, goal=2).reached
    assert measure.Row("w", "", 0.1, goal=0.15).reached and not measure.Row("w", "", 0.2, goal=0.15).reached
    assert measure.Row("w", "", 0.1).reached is None


def test_the_table_has_a_line_for_each_row(measure):
    rows = [measure.Row("fast", "peer", 1.0, 2.5, goal=2), measure.Row("alone", "", 0.2, goal=0.15)]
    lines = measure.table(rows).splitlines()
    assert len(lines) == 3 and "2.50" in lines[1] and "ok" in lines[1] and "MISSED" in lines[2]


def test_the_file_is_named_after_the_processor(measure):
    assert measure.file_name().startswith("bench-") and measure.file_name().endswith(".json")
    assert " " not in measure.file_name()


def test_a_row_that_missed_its_goal_says_where_its_time_goes(measure, capsys):
    layer = torch.nn.Conv2d(16, 64, 3)
    image = torch.randn(1, 16, 96, 96)
    missed = measure.explain(measure.Row("w", "p", 1.0, 1.0, goal=2), lambda: layer(image), lambda: image.clone())
    ours, theirs = missed.profile.split("; ")
    assert re.fullmatch(r"ours [0-9.e-]+ s: convolution \d+ %.*", ours)
    assert theirs.startswith("theirs ") and "copies" in theirs and "convolution" not in theirs
    shares = [int(share) for share in re.findall(r"(\d+) %", ours)]
    assert shares[0] > 50 and 97 <= sum(shares) <= 103
    assert missed.profile in capsys.readouterr().out and missed.record()["profile"] == missed.profile


@pytest.mark.parametrize("goal", [None, 0.5])
def test_a_row_that_reached_its_goal_is_not_profiled(measure, goal):
    assert measure.explain(measure.Row("w", "p", 1.0, 1.0, goal=goal), lambda: 1 / 0).profile == ""
