"""The ledger: every row is computed, a wrong value would be noticed, and docs/LEDGER.md shows the current table."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from segbook import models
from segbook.course import chapters, ledger

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("readme_tool", ROOT / "tools" / "readme.py")
readme = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(readme)


@pytest.fixture(scope="module")
def computed():
    return {(row.fact.system, row.fact.what): row for row in ledger.rows()}


@pytest.mark.parametrize("fact", ledger.FACTS, ids=lambda fact: f"{fact.system}: {fact.what}")
class TestEveryFact:
    def test_it_is_equal_or_departs_as_the_ledger_says(self, fact, computed):
        row = computed[fact.system, fact.what]
        expected = "departs" if fact.departs else "equal"
        assert row.verdict == expected, f"paper {fact.paper}, ours {row.ours}, known departure {fact.known}"

    def test_another_value_would_be_noticed(self, fact, computed):
        row = computed[fact.system, fact.what]
        assert replace(row, ours=changed(row.ours)).verdict == "wrong"

    def test_a_departure_that_is_none_any_more_would_be_noticed(self, fact, computed):
        if fact.departs:
            assert ledger.Row(fact, fact.paper).verdict == "wrong"

    def test_it_names_its_source(self, fact, computed):
        assert len(fact.source) > 10 and len(fact.what) < 70


def changed(value):
    """A value that is a little off: the smallest change the ledger must see."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, tuple):
        return (*value[:-1], changed(value[-1]))
    if isinstance(value, int):
        return value + 1
    return value * 1.04 + 0.001 if isinstance(value, float) else value + "?"


def test_no_fact_stands_twice(computed):
    assert len(computed) == len(ledger.FACTS)


def test_every_net_of_the_course_is_in_it():
    assert {"FCN", "SegNet", "U-Net", "DeepLab v1", "DeepLab v2", "DeepLab v3", "DeepLab v3+"} < set(ledger.SYSTEMS)


def test_some_systems_only():
    assert {row.fact.system for row in ledger.rows(["U-Net", "CRF"])} == {"U-Net", "CRF"}
    with pytest.raises(ValueError, match="no system 'V-Net'; it has: FCN"):
        ledger.rows(["V-Net"])


def test_a_departure_needs_reason_and_value():
    with pytest.raises(ValueError, match="X, y: a departure needs both"):
        ledger.Fact("X", "y", 1, "nowhere", lambda: 2, departs="because")
    with pytest.raises(ValueError, match="a departure needs both"):
        ledger.Fact("X", "y", 1, "nowhere", lambda: 2, known=2)


@pytest.mark.parametrize(
    ("ours", "paper", "options", "same"),
    [
        (134.346, 134, {"digits": 0}, True),
        (133.4, 134, {"digits": 0}, False),
        ((20.505, 65.14), (20.5, 65.1), {"digits": 1}, True),
        ((1, 2), (1, 2, 3), {}, False),
        ((1, 2), 3, {}, False),
        (1, True, {}, False),
        ("3×3", "1×1", {}, False),
        (54.04, 54.17, {"tolerance": 0.005}, True),
        (53.0, 54.17, {"tolerance": 0.005}, False),
    ],
)
def test_what_counts_as_equal(ours, paper, options, same):
    assert ledger.matches(ours, paper, **options) is same


def test_values_as_the_table_prints_them():
    assert ledger.shown(20_495_179) == "20,495,179"
    assert ledger.shown((134.346, 20.5), 1, "M") == "134.3, 20.5 M"
    assert [ledger.shown(value) for value in (True, False, "3×3", 0.5)] == ["yes", "no", "3×3", "0.5"]


def test_offsets_that_do_not_follow_from_the_layers_are_refused(monkeypatch):
    monkeypatch.setattr(models.fcn, "CROP_POOL4", 6)
    with pytest.raises(ValueError, match=r"fcn8s crops at \[6, 9, 31\], its layers say \[5, 9, 31\]"):
        ledger.fcn_offsets("fcn8s")


def test_the_table_has_a_line_for_each_fact(computed):
    lines = ledger.markdown(list(computed.values())).splitlines()
    assert lines[0].startswith(f"{len(ledger.FACTS)} facts: ")
    assert len(lines) == 4 + len(ledger.FACTS)
    assert all(line.count("|") == len(ledger.HEADER) + 1 for line in lines[2:])


def test_the_table_in_the_readme_is_current(computed):
    text = (ROOT / "docs" / "LEDGER.md").read_text(encoding="utf-8")
    assert readme.ledger_page(list(computed.values())) == text, "run: python tools/readme.py ledger"


@pytest.mark.parametrize("echo", ledger.ECHOES, ids=lambda echo: f"{echo.chapter}: {echo.what}")
def test_quoted_tables_stand_in_their_chapter(echo):
    chapter = next(c for c in chapters.CHAPTERS if c.number == echo.chapter)
    source = "".join("".join(cell["source"]) for cell in json.loads(chapter.path.read_text(encoding="utf-8"))["cells"])
    missing = [number for number in echo.numbers if number not in source]
    assert missing == [], f"{chapter.file} does not print {missing} of {echo.source}"
