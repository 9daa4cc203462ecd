"""Run chapters of the course from the command line: ``python -m segbook run``.

Each chapter runs in a process of its own, through papermill. The executed copy, an HTML page and a record of time and
outcome are written to the output folder under temporary names and renamed; ``index.html`` there shows them all. The
committed notebooks are never changed by this (``tools/notebooks.py refresh`` is what does that).
"""

import base64
import contextlib
import html
import io
import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from segbook._bars import progress
from segbook.course.kernels import thread_variables
from segbook.data.files import write_text
from segbook.devices import default_device

#: Seconds a chapter gets to stop its kernel after Ctrl-C before it is killed.
PATIENCE = 10
#: Memory that is set aside for one chapter, in bytes: the largest take about two gigabytes.
MEMORY = 2.5e9
#: Folder of MathJax beside the pages, and the one font that it brings.
MATHJAX = "mathjax"
MATHJAX_FONTS = """<script type="text/x-mathjax-config">
MathJax.Hub.Config({"HTML-CSS": {availableFonts: [], webFont: "STIX-Web", preferredFont: null}});
</script>"""
ANSI = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Record:
    """How one chapter went. ``cell`` and ``error`` are the source and the traceback of the cell that failed."""

    file: str
    title: str
    status: str  # "passed" or "failed"
    seconds: float = 0.0
    cells: int = 0
    count: int | None = None
    cell: str = ""
    error: str = ""
    thumbnail: str = ""  # base64 PNG


@dataclass(frozen=True)
class Job:
    """What a chapter's process is told, as JSON."""

    notebook: str
    title: str
    out: str
    parameters: dict


# --- in the chapter's process -----------------------------------------------------------------------------------------


def execute(job: Job, started=lambda: None, finished=lambda: None) -> Record:
    """Run one notebook and write its executed copy, its page and its record into ``job.out``.

    ``started`` and ``finished`` are called around every code cell. A failing cell ends the notebook and is what the
    record tells; the copy up to this cell is written all the same.
    """
    import nbformat
    import papermill
    from papermill.engines import papermill_engines
    from papermill.execute import prepare_notebook_metadata
    from papermill.iorw import load_notebook_node
    from papermill.parameterize import parameterize_notebook

    from segbook.course.kernels import CourseKernelManager

    path, out = Path(job.notebook), Path(job.out)
    current = {"source": ""}

    def cell_starts(cell, cell_index):
        if cell.cell_type == "code":
            current["source"] = cell.source
            started()

    begin = time.perf_counter()
    notebook = load_notebook_node(str(path))
    notebook.metadata.setdefault("kernelspec", {"name": "python3", "display_name": "Python 3", "language": "python"})
    offered = papermill.inspect_notebook(notebook)
    parameters = {name: value for name, value in job.parameters.items() if name in offered}
    if parameters:
        notebook = parameterize_notebook(notebook, parameters, kernel_name="python3", language="python")
    notebook = prepare_notebook_metadata(notebook, path.name, path.name)
    record = Record(path.stem, job.title, "passed", cells=sum(cell.cell_type == "code" for cell in notebook.cells))
    try:
        # Not papermill.execute_notebook: it counts the errors that cells tagged raises-exception are meant to raise.
        notebook = papermill_engines.execute_notebook_with_engine(
            None,
            notebook,
            kernel_name="python3",
            progress_bar=False,
            kernel_manager_class=CourseKernelManager,
            shutdown_kernel="immediate",
            resources={"metadata": {"path": str(path.resolve().parent)}},
            on_cell_start=cell_starts,
            on_cell_executed=lambda cell, cell_index, execute_reply: finished(),
        )
    except Exception as error:  # the kernel died or did not start: there is no traceback of a cell
        record = replace(record, status="failed", cell=current["source"], error=f"{type(error).__name__}: {error}")
    else:
        failed = next((c for c in notebook.cells if c.metadata.get("papermill", {}).get("exception")), None)
        if failed is not None:
            errors = [output for output in failed.outputs if output.output_type == "error"]
            trace = "\n".join(errors[-1].traceback) if errors else "the kernel gave no traceback"
            record = replace(record, status="failed", count=failed.execution_count, cell=failed.source, error=trace)
    record.seconds = time.perf_counter() - begin
    without_widgets(notebook)
    record.thumbnail = thumbnail(notebook)
    write_text(out / path.name, nbformat.writes(notebook))
    write_text(out / f"{path.stem}.html", page(notebook, path.stem))
    write_text(out / f"{path.stem}.json", json.dumps(asdict(record)))
    return record


def without_widgets(notebook) -> None:
    """Take live views out of a notebook: without their kernel they show an error where the image beside them would do."""
    from segbook.course.kernels import WIDGET_TYPES

    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for kind in WIDGET_TYPES:
                output.get("data", {}).pop(kind, None)


def page(notebook, stem: str) -> str:
    """The notebook as one HTML page, its links to other chapters pointing to their pages.

    Formulas are set by the MathJax that :func:`lay_mathjax` puts beside the page, so that it needs no network.
    """
    from nbconvert import HTMLExporter

    from segbook.course import alt_texts

    exporter = HTMLExporter(mathjax_url=f"{MATHJAX}/MathJax.js?config=TeX-AMS-MML_HTMLorMML-full,Safe")
    body, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": stem}})
    body = alt_texts.in_page(body.replace("<head>", f"<head>{MATHJAX_FONTS}", 1), notebook)
    return re.sub(r'href="(\d\d_\w+)\.ipynb', r'href="\1.html', body)


def lay_mathjax(out: Path) -> None:
    """Copy MathJax, as the package jupyter_server_mathjax brings it, into the folder of the pages."""
    from importlib.util import find_spec

    target, found = out / MATHJAX, find_spec("jupyter_server_mathjax")
    if target.exists() or found is None:
        return
    partial = out / f".{MATHJAX}.{os.getpid()}.partial"
    shutil.copytree(Path(found.origin).parent / "static", partial)
    partial.rename(target)


def thumbnail(notebook, width: int = 480) -> str:
    """The notebook's most colourful figure, scaled to ``width`` pixels, as a base64 PNG; "" without any figure."""
    import numpy as np
    from PIL import Image

    def decode(encoded: str):
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGB"))

    def colorfulness(image) -> float:
        small = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BOX), dtype=np.float64)
        return float((small.max(axis=2) - small.min(axis=2)).mean())

    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    found = [decode(data["image/png"]) for data in outputs if "image/png" in data]
    if not found:
        return ""
    best = Image.fromarray(max(found, key=colorfulness))
    best.thumbnail((width, width), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    best.quantize(128).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _child() -> int:
    """Entry of a chapter's process: a job as JSON on stdin, one line of JSON on stdout for every cell, then the record."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    job = Job(**json.load(sys.stdin))
    channel, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not get between the events

    def say(event: dict) -> None:
        print(json.dumps(event), file=channel, flush=True)

    try:
        record = execute(job, finished=lambda: say({"event": "cell"}))
    except KeyboardInterrupt:
        return 130
    say({"event": "done", "record": asdict(record)})
    return 0


# --- in the command's process -----------------------------------------------------------------------------------------


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def affordable_jobs() -> int:
    """How many chapters can run at a time: one for each core, as far as the free memory goes, at least one.

    On a GPU it is one: several would have to share its memory.
    """
    import psutil

    if default_device().type != "cpu":
        return 1
    return max(1, min(cores(), int(psutil.virtual_memory().available // MEMORY)))


def run(
    chapters: Sequence,
    out: str | os.PathLike,
    *,
    profile: str | None = None,
    dataset: str | None = None,
    seed: int | None = None,
    jobs: int | None = None,
) -> list[Record]:
    """Run chapters, at most ``jobs`` at a time, and return their records in the order in which they ended.

    Without ``jobs`` it is as many as :func:`affordable_jobs` says. On a processor each chapter has one thread, so that it
    computes what the stored outputs were made with; ``SEGBOOK_THREADS`` in the environment asks for another number.

    ``chapters`` have ``path``, ``file`` and ``title``. ``profile``, ``dataset`` and ``seed`` take the place of what the
    notebooks say. A chapter that fails is reported with its cell and its error, and the others go on. On Ctrl-C
    the kernels are stopped, unfinished chapters leave nothing behind, and KeyboardInterrupt is raised.
    """
    import nbformat

    if jobs is None:
        jobs = affordable_jobs()
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1, got {jobs}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    lay_mathjax(out)
    chosen = {"PROFILE": profile, "DATASET": dataset, "SEED": seed}
    parameters = {name: value for name, value in chosen.items() if value is not None}
    environment = dict(os.environ, SEGBOOK_PROGRESS="0")
    if profile:
        environment["SEGBOOK_PROFILE"] = profile
    if dataset:
        environment["SEGBOOK_DATASET"] = dataset
    threads = 1 if default_device().type == "cpu" else max(1, cores() // jobs)
    environment = {**thread_variables(os.environ.get("SEGBOOK_THREADS") or threads), **environment}

    cells = {c.file: sum(x.cell_type == "code" for x in nbformat.read(c.path, as_version=4).cells) for c in chapters}
    waiting, running, records = list(chapters), {}, []
    events: queue.Queue = queue.Queue()
    with progress(total=sum(cells.values()), description=f"0/{len(chapters)} chapters", unit="cell") as bar:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    chapter = waiting.pop(0)
                    job = Job(str(chapter.path), chapter.title, str(out), parameters)
                    running[chapter.file] = _Process(job, chapter.file, environment, events)
                file, event = events.get()
                if event["event"] == "cell":
                    if running[file].cells < cells[file]:  # an injected parameters cell is not counted
                        running[file].cells += 1
                        bar.update()
                    continue
                process = running.pop(file)
                record = Record(**event["record"])
                records.append(record)
                bar.update(cells[file] - process.cells)
                bar.set_description(f"{len(records)}/{len(chapters)} chapters")
                bar.write(describe(record), file=sys.stderr if record.status == "failed" else sys.stdout)
        finally:
            for process in running.values():
                process.stop()
            for process in running.values():
                process.wait()
            write_index(out)
    return records


class _Process:
    """A running chapter: its process, and the thread that passes its events on."""

    def __init__(self, job: Job, file: str, environment: dict, events: queue.Queue):
        self.job, self.file, self.events, self.cells = job, file, events, 0
        self.stopping = False
        self.log = tempfile.TemporaryFile()
        # In a session of its own, so that Ctrl-C reaches this process first, which then stops the chapters in order.
        self.process = subprocess.Popen(
            [sys.executable, "-m", "segbook.course.runner"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
            text=True,
            start_new_session=True,
        )
        with contextlib.suppress(BrokenPipeError):  # then it died at once, which `listen` reports
            self.process.stdin.write(json.dumps(asdict(job)))
            self.process.stdin.close()
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self) -> None:
        done, stopped = False, (130, -signal.SIGTERM, -signal.SIGKILL)
        for line in self.process.stdout:
            event = json.loads(line)
            done |= event["event"] == "done"
            self.events.put((self.file, event))
        code = self.process.wait()
        if not done and not (self.stopping and code in stopped):
            self.log.seek(0)
            tail = self.log.read().decode(errors="replace")[-2000:]
            lost = Record(self.file, self.job.title, "failed", error=f"its process ended with code {code}\n{tail}")
            write_text(Path(self.job.out) / f"{self.file}.json", json.dumps(asdict(lost)))
            self.events.put((self.file, {"event": "done", "record": asdict(lost)}))
        self.log.close()

    def stop(self) -> None:
        self.stopping = True
        if self.process.poll() is None:
            self.process.terminate()

    def wait(self) -> None:
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()  # its kernel notices within a second and ends itself
            self.process.wait()
        self.thread.join(PATIENCE)


def describe(record: Record, color: bool | None = None) -> str:
    """One line for a chapter that passed; the failing cell and its error for one that did not."""
    if record.status == "passed":
        return f"passed  {record.file}  {record.seconds:.0f} s"
    where = f", cell [{record.count}]" if record.count else ""
    source = "\n".join(f"    {line}" for line in record.cell.splitlines())
    color = sys.stderr.isatty() if color is None else color
    error = record.error if color else ANSI.sub("", record.error)
    return "\n".join(part for part in (f"FAILED  {record.file}{where}", source, error) if part)


# --- the index --------------------------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf7; --card: #fff; --ink: #23262b; --soft: #6b7280; --line: #e4e1da;
        --good: #1d7a4c; --bad: #b3261e; --link: #1f5fae; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181c; --card: #1f2227; --ink: #e6e6e3; --soft: #9aa1ab; --line: #33373e;
          --good: #6fce9b; --bad: #ff8a80; --link: #8ab8f5; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 2.5rem clamp(1rem, 4vw, 4rem); background: var(--paper); color: var(--ink);
       font: 16px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
header { max-width: 76rem; margin: 0 auto 2rem; }
h1 { margin: 0 0 .25rem; font-size: 1.7rem; letter-spacing: -.01em; }
header p { margin: 0; color: var(--soft); }
main { max-width: 76rem; margin: 0 auto; display: grid; gap: 1.25rem;
       grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); align-items: start; }
article { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; overflow: hidden; }
article.failed { border-color: var(--bad); grid-column: 1 / -1; }
.figure { display: block; height: 11rem; background: #fff; border-bottom: 1px solid var(--line); }
.figure img { width: 100%; height: 100%; object-fit: contain; display: block; }
.text { padding: .9rem 1.1rem 1.1rem; }
h2 { margin: 0; font-size: 1.05rem; }
.text p { margin: .35rem 0 0; color: var(--soft); font-size: .9rem; font-variant-numeric: tabular-nums; }
.passed .status { color: var(--good); } .failed .status { color: var(--bad); font-weight: 600; }
a { color: var(--link); text-decoration: none; } a:hover, a:focus-visible { text-decoration: underline; }
pre { overflow-x: auto; margin: .7rem 0 0; padding: .8rem; border-radius: .4rem; background: var(--paper);
      border: 1px solid var(--line); font: 13px/1.45 ui-monospace, Menlo, Consolas, monospace; }
"""


def write_index(out: Path) -> Path | None:
    """Write ``out/index.html`` from the records in ``out``: one file that needs nothing from the network."""
    records = []
    for path in sorted(out.glob("[0-9]*.json")):
        with contextlib.suppress(ValueError, TypeError):  # a foreign JSON file is not a chapter
            records.append(Record(**json.loads(path.read_text(encoding="utf-8"))))
    if not records:
        return None
    failed = sum(record.status != "passed" for record in records)
    minutes, seconds = divmod(round(sum(record.seconds for record in records)), 60)
    outcome = f"{failed} failed" if failed else "all passed"
    number = f"{len(records)} chapter{'s' if len(records) > 1 else ''}"
    index = out / "index.html"
    write_text(
        index,
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>segbook: {html.escape(out.name)}'
        f"</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>The course, run: {html.escape(out.name)}</h1>\n"
        f"<p>{number}, {outcome}, {minutes} min {seconds} s of computing</p>\n</header>\n<main>\n"
        + "\n".join(map(_card, records))
        + "\n</main>\n</body>\n</html>\n",
    )
    return index


def _card(record: Record) -> str:
    file, title = html.escape(record.file, quote=True), html.escape(record.title)
    lines = [f'<article class="{html.escape(record.status)}">']
    if record.thumbnail:
        lines.append(
            f'<a class="figure" href="{file}.html"><img alt="A figure of the chapter {title}" '
            f'src="data:image/png;base64,{html.escape(record.thumbnail)}"></a>'
        )
    written = f'<a href="{file}.html">page</a> · <a href="{file}.ipynb">notebook</a>'
    lines += [
        '<div class="text">',
        f'<h2><a href="{file}.html">{html.escape(record.file[:2])} · {title}</a></h2>',
        f'<p><span class="status">{html.escape(record.status)}</span> · {record.seconds:.0f} s · '
        f"{record.cells} cell{'s' if record.cells != 1 else ''} · {written}</p>",
    ]
    if record.status != "passed":
        lines.append(f"<pre>{html.escape(record.cell)}</pre><pre>{html.escape(ANSI.sub('', record.error))}</pre>")
    return "\n".join([*lines, "</div>", "</article>"])


if __name__ == "__main__":
    sys.exit(_child())
