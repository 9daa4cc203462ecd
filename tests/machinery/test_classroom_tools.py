"""Tools for teachers: grading, slides, the site's pages, the folder for a room without a network."""

import csv
import importlib.util
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
from packaging.specifiers import SpecifierSet

from segbook.course.editions import convert

pytestmark = pytest.mark.slow  # processes of their own

ROOT = Path(__file__).resolve().parents[2]


def tool(name: str):
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


grade, offline, make_site, make_slides = (tool(name) for name in ("grade", "offline", "make_site", "make_slides"))
METRICS = ROOT / "notebooks" / "05_metrics.ipynb"


def read(path: Path):
    return nbformat.read(path, as_version=4)


# --- grading ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def grades(tmp_path_factory):
    """Three students: all solved, a bit of everything, and a file that is no notebook."""
    folder = tmp_path_factory.mktemp("handed-in")
    for name in ("li", "wang"):
        (folder / name).mkdir()
    (folder / "li" / "05_metrics.ipynb").write_text(METRICS.read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "wang" / "05_metrics.ipynb").write_text("{broken", encoding="utf-8")
    student = convert(read(METRICS), "student")
    cells = [cell for cell in student.cells if "solution" in cell.metadata.get("tags", [])]
    stub = "...  # your code here"
    cells[0].source = cells[0].source.replace(stub, "return 0.5")
    cells[1].source = "raise ValueError('oops')"
    cells[2].source = "while True: pass"
    for cell in student.cells:
        if "check" in cell.metadata.get("tags", []):
            cell.source += "  # a changed check changes nothing"
    nbformat.write(student, folder / "05_metrics_王.ipynb")
    nbformat.write(nbformat.v4.new_notebook(), folder / "notes.ipynb")
    out = folder / "grades.csv"
    assert grade.main([str(folder), str(out), "--timeout", "4"]) == 0
    with open(out, encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_a_solved_notebook_passes_everywhere(grades):
    results = [row["result"] for row in grades if row["student"] == "li"]
    assert len(results) >= 4 and set(results) == {"passed"}


def test_each_answer_is_judged_by_itself(grades):
    rows = [row for row in grades if row["student"] == "王"]
    assert [row["result"] for row in rows[:4]] == ["wrong", "error", "timeout", "missing"]
    assert "expected" in rows[0]["message"] and rows[1]["message"] == "ValueError: oops"


def test_a_broken_file_is_a_row(grades):
    (row,) = (row for row in grades if row["student"] == "wang")
    assert row["result"] == "unreadable" and "05_metrics.ipynb" in row["message"]


def test_foreign_notebooks_are_left_out(grades):
    assert not [row for row in grades if "notes" in row["student"]]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["nowhere", "x.csv"], "no folder nowhere"),
        ([".", "x.csv", "--chapter", "77"], "no chapter '77'"),
        ([".", "x.csv", "--timeout", "0"], "--timeout must be at least 1"),
        ([".", "gone/x.csv"], "gone/x.csv cannot be written"),
        ([".", "."], ". cannot be written"),
    ],
)
def test_grading_says_what_is_wrong(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        grade.main(arguments)
    assert stop.value.code == 2 and said in capsys.readouterr().err.replace("\\", "/")
    assert list(tmp_path.iterdir()) == []


# --- slides and site ------------------------------------------------------------------------------------------------


def test_slides_leave_out_setup_and_exercises():
    cells = make_slides.prepare(read(METRICS)).cells
    kinds = {cell.metadata["slideshow"]["slide_type"] for cell in cells}
    assert kinds == {"slide", "subslide", "-", "skip"}
    for cell in cells:
        if set(cell.metadata.get("tags", [])) & {"setup", "solution", "check"}:
            assert cell.metadata["slideshow"]["slide_type"] == "skip"
    titles = [c.source.split("\n")[0] for c in cells if c.metadata["slideshow"]["slide_type"] == "slide"]
    assert titles[0].startswith("# 05") and not any("Exercises" in title for title in titles) and len(titles) > 5


def test_slides_of_a_chapter_are_made(tmp_path):
    page = make_slides.slides(METRICS, {"reveal_url_prefix": "vendor/reveal"})
    assert "vendor/reveal/dist/reveal.js" in page and "jquery" not in page.split("</head>")[0].lower()


def test_the_site_folds_solutions_and_tells_of_live_figures():
    cells = make_site.page(METRICS).cells
    folded = [cell for cell in cells if cell.metadata.get("tags") == ["hide-input"]]
    assert folded and all("### BEGIN SOLUTION" in cell.source for cell in folded)
    assert make_site.LIVE_NOTE in [cell.source for cell in cells]


def test_links_of_the_readme_fit_the_site():
    text = "[a](notebooks/05_metrics.ipynb) [b](LICENSE) [c](https://x.org) ![d](data/sample/readme.png) [e](#top)"
    assert make_site.readme(text) == (
        "[a](chapters/05_metrics.ipynb) b [c](https://x.org) ![d](_static/readme.png) [e](#top)"
    )
    pages = "[a](docs/NOTES.md) [b](../notebooks/05_metrics.ipynb) [c](../CONTRIBUTING.md) [d](../LICENSE)"
    assert make_site.readme(pages) == "[a](NOTES.md) [b](chapters/05_metrics.ipynb) [c](CONTRIBUTING.md) d"
    assert make_site.readme("[a](notebooks/x.ipynb#Why%3F)") == "[a](<chapters/x.ipynb#Why?>)"


def test_a_folder_with_other_things_is_not_replaced(tmp_path):
    pytest.importorskip("sphinx", reason="the site has an environment of its own")
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(make_site.SiteError, match="no site built before"):
        make_site.build(tmp_path)


# --- offline ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_download(monkeypatch):
    asked = []

    def download(wheels, platform, version):
        wheels.mkdir()
        asked.append((platform, version))

    monkeypatch.setattr(offline, "download", download)
    return asked


def is_a_clone() -> bool:
    return subprocess.run(["git", "-C", str(ROOT), "rev-parse"], capture_output=True).returncode == 0


@pytest.mark.skipif(not is_a_clone(), reason="this copy of the course is no git repository")
def test_the_offline_folder_is_complete(no_download, tmp_path):
    data = tmp_path / "real"
    (data / "camvid").mkdir(parents=True)
    offline.make(tmp_path / "out", "win_amd64", "3.12", data)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"README.txt", "course", "data", "install.bat", "install.sh", "wheels"}
    assert (tmp_path / "out" / "course" / "notebooks" / METRICS.name).exists()
    assert no_download == [("win_amd64", "3.12")]
    script = (tmp_path / "out" / "install.sh").read_text(encoding="utf-8")
    assert "--no-index" in script and "python3.12" in script and "@" not in script.replace("$@", "")
    assert subprocess.run(["bash", "-n", str(tmp_path / "out" / "install.sh")]).returncode == 0


def test_an_offline_folder_that_is_there_stays(no_download, tmp_path):
    with pytest.raises(offline.OfflineError, match="there already"):
        offline.make(tmp_path, None, "3.12", None)
    with pytest.raises(offline.OfflineError, match="no data folder"):
        offline.make(tmp_path / "out", None, "3.12", tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not is_a_clone(), reason="this copy of the course is no git repository")
def test_a_failed_download_leaves_nothing(monkeypatch, tmp_path):
    def refuse(*_):
        raise offline.OfflineError("pip could not download everything")

    monkeypatch.setattr(offline, "download", refuse)
    with pytest.raises(offline.OfflineError):
        offline.make(tmp_path / "out", None, "3.12", None)
    assert list(tmp_path.iterdir()) == []


# --- an image for a JupyterHub ----------------------------------------------------------------------------------------


def test_the_image_gets_a_python_that_the_course_supports_and_the_package():
    allowed = SpecifierSet(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"])
    language, version = (ROOT / ".binder" / "runtime.txt").read_text().strip().split("-")
    assert language == "python" and version in allowed
    assert os.access(ROOT / ".binder" / "postBuild", os.X_OK) and (
        ROOT / ".binder" / "postBuild"
    ).read_text().startswith("#!/bin/sh\n")
    install = (ROOT / ".binder" / "postBuild").read_text().splitlines()[-2].split()
    assert install[:2] == ["pip", "install"] and "--no-deps" in install and install[-1] == "."


def test_lab_settings_keep_what_is_there(tmp_path):
    import lab_settings

    place = tmp_path / "lab" / "settings" / "overrides.json"
    lab_settings.merge(place)
    place.write_text(json.dumps({"other": {"a": 1}, **json.loads(place.read_text())}))
    lab_settings.merge(place)
    assert json.loads(place.read_text()) == {"other": {"a": 1}, **lab_settings.SETTINGS}
    place.write_text("[1")
    with pytest.raises(SystemExit, match="overrides.json is not a file of JupyterLab settings"):
        lab_settings.merge(place)
