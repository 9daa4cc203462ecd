"""What the course costs: every chapter run once as ``pytest --nbval -n 2`` runs it, two at a time with one thread each.

Reported: wall time, CPU time and peak memory of the kernel (limit 3 GB), the slowest median of a live figure's redraw
(limit 150 ms) when its controls are moved afterwards, and the wall time of the whole course (limit 15 minutes).
"""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
from measure import Row
from nbclient import NotebookClient

from segbook.course.kernels import CourseKernelManager, merged_environment, pinned_environment, scratch_folder

SIDE_BY_SIDE = 2
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"

REMEMBER = """
import segbook.widgets as _widgets
_made, _begin = [], _widgets.LiveFigure.__init__
def _remember(self, *arguments, **controls):
    _begin(self, *arguments, **controls)
    _made.append(self)
_widgets.LiveFigure.__init__ = _remember
"""

MOVE = """
import json as _json, resource as _resource, statistics as _statistics, time as _time
_redraws = []
_memory = _resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss / 1024
_cpu = _time.process_time()
for _figure in _made:
    _seconds = []
    for _control in _figure.controls.values():
        if hasattr(_control, "options"):
            _trait, _values = "index", range(min(4, len(_control.options)))
        elif hasattr(_control, "min"):
            _middle = _control.min + (_control.max - _control.min) / 2
            _trait, _values = "value", (_control.min, type(_control.value)(_middle), _control.max)
        elif isinstance(_control.value, bool):
            _trait, _values = "value", (not _control.value, _control.value)
        else:
            continue
        for _value in [*_values, getattr(_control, _trait)]:
            if _value != getattr(_control, _trait):
                _start = _time.perf_counter()
                setattr(_control, _trait, _value)
                _seconds.append(_time.perf_counter() - _start)
    _redraws.append(_statistics.median(_seconds) if _seconds else 0.0)
print("BENCH " + _json.dumps({"memory": _memory, "cpu": _cpu, "redraws": _redraws}))
"""


def run_chapter(path: Path) -> dict:
    """Seconds of wall and CPU time, peak memory in MB, and the median redraw of each live figure."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(REMEMBER))
    notebook.cells.append(nbformat.v4.new_code_cell(MOVE))
    client = NotebookClient(
        notebook, timeout=1200, kernel_name="python3", kernel_manager_class=CourseKernelManager,
        resources={"metadata": {"path": str(path.parent)}}, ipython_hist_file=":memory:",
    )  # fmt: skip
    start = time.perf_counter()
    with scratch_folder() as scratch:
        client.execute(env=merged_environment(pinned_environment(scratch)))
    wall = time.perf_counter() - start
    text = "".join(output.get("text", "") for output in notebook.cells[-1].outputs)
    return {"wall": wall} | json.loads(text.split("BENCH ", 1)[1])


def run(options) -> list:
    """``--only 06`` measures one chapter."""
    paths = [path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")) if options.only in path.stem]
    start = time.perf_counter()
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        found = list(pool.map(run_chapter, paths))
    wall = time.perf_counter() - start
    rows = []
    for path, measured in zip(paths, found):
        rows.append(Row(f"{path.stem}, wall time", "", measured["wall"]))
        rows.append(Row(f"{path.stem}, CPU time", "", measured["cpu"]))
        rows.append(Row(f"{path.stem}, peak memory", "", measured["memory"] / 1024, goal=3, unit="GB"))
        if measured["redraws"]:
            work = f"{path.stem}, redraw of the slowest of {len(measured['redraws'])} live figures"
            rows.append(Row(work, "", max(measured["redraws"]), goal=0.15))
    if not options.only:
        rows.append(Row("whole course, wall time", "", wall, goal=15 * 60))
    return rows
