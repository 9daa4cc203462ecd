"""How the benchmarks measure and report; the measurements themselves are `make bench`."""

import sys
from itertools import count
from pathlib import Path

import pytest


@pytest.fixture
def measure(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "benchmarks"))
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
