"""The made pages of docs/ and the time tables: current, complete, and without dead links."""

import importlib.util
import json
import re
from pathlib import Path
from urllib.parse import unquote

import glossary
import nbformat
import notes_map
import pytest

from segbook.course import course_map, times
from segbook.course.chapters import CHAPTERS, find, written

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
_spec = importlib.util.spec_from_file_location("pages_tool", ROOT / "tools" / "pages.py")
pages = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(pages)


def anchors(path: Path) -> set[str]:
    headings = re.findall(r"^#+\s+(.+?)\s*$", "\n".join(glossary.prose(path)), re.MULTILINE)
    return {glossary.heading_anchor(heading) for heading in headings}


def test_the_made_pages_are_current():
    for path, text in pages.pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is old; run: python tools/pages.py"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page):
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8")):
        if target.startswith(("http://", "https://", "#")):
            continue
        file, _, anchor = unquote(target).partition("#")
        path = (ROOT / page).parent / file
        if not path.exists() or (anchor and path.suffix == ".ipynb" and anchor not in anchors(path)):
            dead.append(target)
    assert dead == []


def test_every_section_of_the_notes_has_a_place_in_a_written_chapter():
    sections = {"N1", "N2", "N2a", "N2b", "N3", "N4", "N5", "N6", "N7", "N8", "N9", "N10", "N11"}
    assert {claim.section for claim in notes_map.CLAIMS} == sections
    for claim in notes_map.CLAIMS:
        for number, _ in claim.places:
            find(number)
    of_chapters = {section for chapter in CHAPTERS for section in re.findall(r"N\d+\w?", chapter.notes)}
    assert sections <= of_chapters | {"N6", "N7", "N8", "N9", "N10"}


def test_every_chapter_has_terms_and_each_is_in_the_glossary():
    table = glossary.markdown()
    for chapter in written():
        found = glossary.terms(chapter)
        assert len(found) >= 4, chapter.file
        assert f"(notebooks/{chapter.file}.ipynb)" in table


def test_a_chapter_without_a_table_is_named(tmp_path, monkeypatch):
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Nothing")]), tmp_path / "x.ipynb")
    monkeypatch.setattr(glossary, "prose", lambda path: ["# Nothing"])
    with pytest.raises(ValueError, match="there is no table"):
        glossary.terms(CHAPTERS[0])
    monkeypatch.setattr(glossary, "prose", lambda path: ["| English | 中文 | x |\n|---|---|---|\n| one | 一 |\n"])
    with pytest.raises(ValueError, match="three columns"):
        glossary.terms(CHAPTERS[0])


# --- times ------------------------------------------------------------------------------------------------------------


def executed(path: Path, durations, exception=None) -> None:
    cells = [nbformat.v4.new_code_cell("1"), nbformat.v4.new_markdown_cell("## First\ntext")]
    cells += [
        nbformat.v4.new_code_cell("2"),
        nbformat.v4.new_markdown_cell("### deeper"),
        nbformat.v4.new_code_cell("3"),
    ]
    for cell, duration in zip([c for c in cells if c.cell_type == "code"], durations):
        cell.metadata["papermill"] = {"duration": duration, "exception": exception}
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def test_times_are_added_up_by_section(tmp_path):
    executed(tmp_path / "05_metrics.ipynb", [1.0, 20.0, 50.5])
    measured = times.measure(tmp_path)
    assert measured["chapters"] == {"05_metrics": {"seconds": 71.5, "sections": {"set-up": 1.0, "First": 70.5}}}
    assert times.minutes(find(5), measured) == 2 and times.minutes(find(4), measured) is None
    stored = tmp_path / "times.json"
    stored.write_text(json.dumps(measured))
    assert times.load(stored) == measured


def test_unfinished_or_missing_copies_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="segbook run"):
        times.measure(tmp_path)
    executed(tmp_path / "05_metrics.ipynb", [1.0, None, 2.0])
    with pytest.raises(ValueError, match="did not run to its end"):
        times.measure(tmp_path)
    (tmp_path / "times.json").write_text("[]")
    with pytest.raises(ValueError, match="is damaged"):
        times.load(tmp_path / "times.json")


def test_benchmarks_show_what_was_missed_and_why():
    row = {"work": "w", "peer": "p", "ours": 2.0, "theirs": 1.0, "ratio": 0.5, "goal": 1.0, "reached": False}
    row |= {"unit": "s", "checked": "same weights", "profile": "ours 2 s: copies 70 %"}
    alone = row | {"work": "redraw", "peer": "", "theirs": None, "ratio": None, "goal": 0.15, "profile": ""}
    text = pages.bench_tables({"machine": "M", "torch": "9", "nets": [row], "chapters": [alone | {"reached": True}]})
    assert "| w | p | 2 s | 1 s | 0.50 | ≥ 1 | **missed** |" in text
    assert "| redraw | – | 2 s | – | – | ≤ 0.15 | met |" in text
    assert "- w: ours 2 s: copies 70 %." in text and "- p: same weights." in text
    assert "- redraw: same weights." in text
    near = pages.bench_tables({"machine": "M", "torch": "9", "nets": [row | {"ratio": 0.9974}]})
    assert "| 0.997 | ≥ 1 | **missed** |" in near, "1.00 would look like the goal"
    assert text.index("Whole nets") < text.index("The course itself") and "CRF" not in text


def test_the_map_shows_minutes():
    assert "| min to run | min to work |" in course_map.markdown()
