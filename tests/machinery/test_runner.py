"""``segbook run``: executed copies, an index, failing chapters, Ctrl-C."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import nbformat
import pytest
import tiny

from segbook.course import runner
from segbook.course.chapters import Chapter

pytestmark = pytest.mark.slow  # processes of their own


class Tiny(Chapter):
    """A chapter whose notebook lies elsewhere."""

    @property
    def path(self):
        return self.folder / f"{self.file}.ipynb"


def chapter(folder, file, *cells):
    tiny.save(tiny.notebook(*cells), folder / f"{file}.ipynb")
    result = Tiny(int(file[:2]), file, file[3:].title() + " & more", "", "", "", "")
    object.__setattr__(result, "folder", folder)
    return result


PARAMETERS = ('PROFILE = "quick"\nSEED = 0', ["parameters"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two chapters run at the same time into a folder with a space and braces in its name; the second fails."""
    folder = tmp_path_factory.mktemp("chapters {0}")
    chapters = [
        chapter(
            folder, "01_good", PARAMETERS, "import os\nprint(PROFILE, SEED, os.getcwd())", tiny.FIGURE,
            ("1 / 0", ["raises-exception"]), "print('after')",
        ),
        chapter(folder, "02_bad", PARAMETERS, "x = 1", "raise ValueError('<b>no</b> good')", "print('never')"),
    ]  # fmt: skip
    before = {c.file: c.path.read_bytes() for c in chapters}
    records = runner.run(chapters, folder / "out", profile="full", seed=7, jobs=2)
    return folder, {r.file: r for r in records}, before


def test_copies_are_run_with_the_parameters_and_sources_stay(finished):
    folder, records, before = finished
    assert records["01_good"].status == "passed"
    copy = nbformat.read(folder / "out" / "01_good.ipynb", as_version=4)
    printed = "".join(o.text for c in copy.cells for o in c.get("outputs", []) if o.output_type == "stream")
    assert printed == f"full 7 {folder}\nafter\n"
    assert all((folder / f"{file}.ipynb").read_bytes() == content for file, content in before.items())


def test_failing_chapter_shows_its_cell_and_its_error(finished):
    _, records, _ = finished
    assert records["02_bad"].status == "failed"
    text = runner.describe(records["02_bad"], color=False)
    assert re.search(r"FAILED  02_bad, cell \[\d+\]\n    raise ValueError\('<b>no</b> good'\)\n", text)
    assert text.endswith("ValueError: <b>no</b> good")


def test_copy_of_a_failing_chapter_ends_at_the_failing_cell(finished):
    folder, _, _ = finished
    copy = nbformat.read(folder / "out" / "02_bad.ipynb", as_version=4)
    assert any(o.output_type == "error" for o in copy.cells[-2].outputs) and not copy.cells[-1].outputs


def test_index_needs_nothing_else_and_links_what_exists(finished):
    folder, _, _ = finished
    out = folder / "out"
    index = (out / "index.html").read_text(encoding="utf-8")
    assert "http" not in index and "<script" not in index
    links = set(re.findall(r'href="([^"]+)"', index))
    assert links == {"01_good.html", "01_good.ipynb", "02_bad.html", "02_bad.ipynb"}
    assert all((out / link).is_file() for link in links)
    assert index.count("data:image/png;base64,") == 1 and "1 failed" in index
    assert "<b>no</b>" not in index and "&lt;b&gt;no&lt;/b&gt;" in index and "Good &amp; more" in index


def test_nothing_half_written_is_left(finished):
    folder, _, _ = finished
    names = {p.name for p in (folder / "out").iterdir()}
    assert names == {f"{f}.{kind}" for f in ("01_good", "02_bad") for kind in ("ipynb", "html", "json")} | {
        "index.html", "mathjax"
    }  # fmt: skip
    page = (folder / "out" / "01_good.html").read_text(encoding="utf-8")
    (script,) = re.findall(r'src="(mathjax/[^?"]+)', page)
    assert (folder / "out" / script).is_file(), "formulas need no network"


def test_index_keeps_chapters_of_earlier_runs(tmp_path):
    for file, status in (("01_a", "passed"), ("02_b", "failed")):
        record = runner.Record(file, "Title", status, seconds=61.0)
        (tmp_path / f"{file}.json").write_text(json.dumps(vars(record)))
    (tmp_path / "99_foreign.json").write_text("[]")
    index = runner.write_index(tmp_path).read_text(encoding="utf-8")
    assert "2 chapters, 1 failed, 2 min 2 s" in index and "foreign" not in index


def test_jobs_below_one_are_refused(tmp_path):
    with pytest.raises(ValueError, match="jobs must be at least 1"):
        runner.run([], tmp_path, jobs=0)


@pytest.mark.parametrize(
    "cores, gigabytes, jobs",
    [(1, 64, 1), (4, 64, 4), (8, 8, 3), (2, 1, 1)],
    ids=["one core", "cores", "memory", "little"],
)
def test_as_many_chapters_run_as_there_are_cores_and_memory(cores, gigabytes, jobs, monkeypatch):
    monkeypatch.setattr(runner, "cores", lambda: cores)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=gigabytes * 1e9))
    assert runner.affordable_jobs() == jobs


NAMES = ("SEGBOOK_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@pytest.mark.parametrize("asked, seen", [(None, "1"), ("2", "2")])
def test_a_chapter_has_one_thread_unless_another_number_is_asked_for(asked, seen, tmp_path, monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    if asked:
        monkeypatch.setenv("SEGBOOK_THREADS", asked)
    monkeypatch.setattr(runner, "affordable_jobs", lambda: 1)
    printed = f"import os\nprint(*[os.environ.get(name) for name in {NAMES}])"
    (record,) = runner.run([chapter(tmp_path, "01_threads", PARAMETERS, printed)], tmp_path / "out")
    assert record.status == "passed"
    copy = nbformat.read(tmp_path / "out" / "01_threads.ipynb", as_version=4)
    assert copy.cells[-1].outputs[0].text.split() == [seen] * 4


def test_chapters_do_not_share_a_gpu(monkeypatch):
    monkeypatch.setattr(runner, "cores", lambda: 8)
    monkeypatch.setattr(runner, "default_device", lambda: SimpleNamespace(type="cuda"))
    assert runner.affordable_jobs() == 1


def test_interrupt_stops_the_kernel_and_leaves_nothing_half_written(tmp_path):
    mark = tmp_path / "kernel.pid"
    write_pid = f"import os, pathlib, time\npathlib.Path({str(mark)!r}).write_text(str(os.getpid()))"
    chapter(tmp_path, "01_slow", f"{write_pid}\ntime.sleep(600)")
    script = (
        "import pathlib, types; from segbook.course import runner; p = pathlib.Path('01_slow.ipynb').resolve();"
        "runner.run([types.SimpleNamespace(path=p, file=p.stem, title='Slow')], 'out')"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    try:
        wait_until(lambda: mark.exists() and mark.read_text(), 120)
        kernel = int(mark.read_text())
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode != 0 and b"KeyboardInterrupt" in errors
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mathjax"]
    wait_until(lambda: not alive(kernel), 60)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:  # a zombie that nobody has waited for yet has ended
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return os.path.isdir("/proc/self") is False


def wait_until(condition, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)
