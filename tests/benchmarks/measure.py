"""How the benchmarks measure: both sides take turns in one process, medians of several runs, the spread beside them."""

import os
import re
import statistics
import time
from dataclasses import asdict, dataclass

import torch

from segbook.course.full_run import processor


@dataclass
class Row:
    """One line of the table. ``ours`` and ``theirs`` are medians in seconds; ``spread`` is (max - min) / median of ours.

    ``peer`` and ``theirs`` are empty for work that nobody else does. ``goal`` is the ratio theirs / ours to reach, or
    with no peer the most seconds it may take. ``checked`` says what was compared before the clock ran.
    """

    work: str
    peer: str
    ours: float
    theirs: float | None = None
    goal: float | None = None
    spread: float = 0.0
    checked: str = ""
    unit: str = "s"
    #: Where a row that missed its goal spends its time, by :func:`shares`.
    profile: str = ""

    @property
    def ratio(self) -> float | None:
        return None if self.theirs is None else self.theirs / self.ours

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        return self.ours <= self.goal if self.theirs is None else self.ratio >= self.goal

    def record(self) -> dict:
        return {**asdict(self), "ratio": self.ratio, "reached": self.reached}


def alternate(functions: dict, runs: int, clock=time.process_time, before=None) -> dict[str, list[float]]:
    """Seconds of each function: all take turns, the first turn warms up. ``before`` is called ahead of every turn."""
    seconds = {name: [] for name in functions}
    for turn in range(runs + 1):
        if before is not None:
            before()
        for name, function in functions.items():
            start = clock()
            function()
            if turn > 0:
                seconds[name].append(clock() - start)
    return seconds


def compare(
    work, peer, ours, theirs, *, runs, goal=None, checked="", clock=time.process_time, before=None, times=1
) -> Row:
    """The row of two functions that do the same; ``times`` is how often they do it in a call."""
    measured = alternate({"ours": ours, "theirs": theirs}, runs, clock, before)
    a, b = (statistics.median(values) / times for values in measured.values())
    return Row(work, peer, a, b, goal, spread(measured["ours"]), checked)


def alone(work, function, *, runs, goal=None, clock=time.process_time, times=1, checked="") -> Row:
    """The row of work that has no peer."""
    (values,) = alternate({"ours": function}, runs, clock).values()
    return Row(work, "", statistics.median(values) / times, None, goal, spread(values), checked)


#: What an operation of PyTorch is counted as; the first name that fits.
KINDS = {
    "_slow_conv": "1×1 convolution without oneDNN",
    "convolution": "convolution",
    "batch_norm": "batch norm",
    "copy_": "copies",
    "adam": "optimiser",
    "Optimizer": "optimiser",
    "embedding_bag": "splat, blur, slice",
    "sort": "sorting",
    "pool": "pooling",
    "softmax": "softmax",
    "upsample": "up-sampling",
    "DataLoader": "reading and augmenting",
}


def shares(function, at_least=0.03) -> str:
    """Where a call spends its time, by the profiler of PyTorch: "2.1 s: convolution 62 %, copies 31 %, others 7 %"."""
    with torch.profiler.profile() as profiler:
        function()
    seconds = {}
    for event in profiler.key_averages():
        kind = next((kind for part, kind in KINDS.items() if part in event.key), "others")
        seconds[kind] = seconds.get(kind, 0) + event.self_cpu_time_total / 1e6
    total = sum(seconds.values())
    small = {kind for kind, value in seconds.items() if value < at_least * total and kind != "others"}
    seconds["others"] = seconds.get("others", 0) + sum(seconds.pop(kind) for kind in small)
    listed = sorted(seconds, key=lambda kind: (kind == "others", -seconds[kind]))
    return f"{number(total)} s: " + ", ".join(f"{kind} {100 * seconds[kind] / total:.0f} %" for kind in listed)


def explain(row: Row, ours, theirs=None) -> Row:
    """The row, with both profiles where it missed its goal; they go to the file, not to the table."""
    if row.reached is False:
        row.profile = f"ours {shares(ours)}" + (f"; theirs {shares(theirs)}" if theirs else "")
        print(f"{row.work} against {row.peer} missed its goal. {row.profile}", flush=True)
    return row


def spread(values) -> float:
    return (max(values) - min(values)) / statistics.median(values)


def machine() -> str:
    """Processor and number of cores (and GPU), no name of the computer."""
    names = [processor(), f"{os.cpu_count()} cores"]
    return ", ".join(names + ([torch.cuda.get_device_name(0)] if torch.cuda.is_available() else []))


def file_name() -> str:
    """bench-<machine>.json"""
    text = f"{processor()} {os.cpu_count()} cores"
    text += f" {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else ""
    return f"bench-{re.sub('[^a-z0-9]+', '-', text.lower()).strip('-')}.json"


def table(rows: list[Row]) -> str:
    """Columns: work, peer, ours, theirs, ratio, goal, spread, what was checked."""
    lines = [("work", "peer", "ours", "theirs", "ratio", "goal", "", "spread", "checked")]
    for row in rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        goal = "-" if row.goal is None else f"{'≥' if row.theirs is not None else '≤'} {row.goal:g}"
        mark = {None: "", True: "ok", False: "MISSED"}[row.reached]
        theirs = "-" if row.theirs is None else number(row.theirs)
        spread_shown = f"{100 * row.spread:.0f} %"
        lines.append(
            (row.work, row.peer or "-", number(row.ours), theirs, ratio, goal, mark, spread_shown, row.checked)
        )
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
