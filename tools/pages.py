"""Make the pages of docs/ that are made from other files: GLOSSARY, NOTES, BENCHMARKS, the table of INSTRUCTORS.

    python tools/pages.py                 write all pages again
    python tools/pages.py times RUNS      store the measured times of the executed copies in RUNS, then write the pages

``python -m segbook run`` writes such copies. A test checks that the pages are those that the chapters give now.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import glossary
import notes_map

from segbook.course import times
from segbook.course.chapters import written
from segbook.data.files import write_text

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
BEGIN, END = "<!-- times: made by tools/pages.py -->", "<!-- end of times -->"

GLOSSARY = """# Glossary

Every term that a chapter explains, with its Chinese name and the chapters that work with it. Made by `tools/pages.py` from
the tables at the end of the chapters.

{table}
"""

NOTES = """# From the study notes to the course

The course follows a set of Chinese study notes, 笔记 | 深入理解深度学习语义分割. `N…` numbers their sections. For each of
their claims this table says where you run it, and what the course says instead where the notes are imprecise. Made by
`tools/pages.py`.

{table}
"""


BENCHMARKS = """# How fast

Our code beside well-kept libraries that do the same: in one process, in turns, medians. `make bench` measures it. Results
are compared before the clock runs. A ratio is their time over ours: above 1, ours is faster. A goal is the least ratio,
or the most seconds or gigabytes, that we set ourselves. Made by `tools/pages.py` from `results/bench-*.json`.

*smp* is segmentation-models-pytorch, *C++* the CRF of its authors (package pydensecrf2), *MAC* one multiplication with its
addition. Where a peer's net is another one ("per MAC" in the list below the table), its time is scaled to as many MACs as
ours needs; the profiles show what was measured. A row of the CRF names weight / σ of place / σ of colour of the appearance
kernel + weight / σ of place of the smoothness kernel.

A goal that was missed stays in the table, with the place where the time goes by PyTorch's profiler. What these profiles say:

- **1×1 convolution without oneDNN.** On one thread and below 16 images PyTorch runs 1×1 convolutions through another
  routine, which likes the usual layout better than ours, channels last (all channels of a pixel side by side in memory).
  DeepLab v3+ pays for it; on all cores, hardly.
- **FCN-8s against another net.** No peer has FCN-8s. Against torchvision's FCN, on ResNet-50, we compare by the
  multiplication, and our four times as many weights count: the gradient of fc6 alone is 400 MB, laid out anew at every
  step (copies). FCN-8s built from torchvision's VGG-16 has the same weights as ours, and there nearly every row reaches
  its goal.
- **U-Net** has no equal among the peers either: compared by the multiplication, with a net of 18 million weights.
- **An epoch.** Both sides train the same net, and that is most of the time; reading and augmenting are a small part even of
  the documented loop. In narrow nets batch norm is slower channels last, convolution faster; the sum is in our favour.
- **The CRF on two threads.** The lattices are built with sorting and look-ups that use one thread. The smoothness lattice
  depends only on the size of the image, and is kept for the next one of that size: those rows are the ones to expect.
{machines}
"""

#: What the topics of `make bench` are called on the page, in its order.
TOPICS = {
    "nets": "Whole nets",
    "epoch": "One epoch with reading and augmentation",
    "confusion": "Confusion matrix and mean IoU",
    "crf": "Fully connected CRF",
    "drawing": "Work without a peer",
    "chapters": "The course itself",
}


def ratio(row: dict) -> str:
    """The ratio with two digits, or with three where two would look like the goal that it missed."""
    missed = row["goal"] is not None and not row["reached"]
    return f"{row['ratio']:.3f}" if missed and round(row["ratio"], 2) >= row["goal"] else f"{row['ratio']:.2f}"


def bench_tables(stored: dict) -> str:
    """One machine's results as Markdown: a table for each topic, and the profiles of the goals that were missed."""
    parts = [f"\n## {stored['machine']}, PyTorch {stored['torch']}"]
    for topic, title in TOPICS.items():
        if not stored.get(topic):
            continue
        lines = ["| work | peer | ours | theirs | ratio | goal | |", "|---|---|---|---|---|---|---|"]
        for row in stored[topic]:
            alone = row["theirs"] is None
            lines.append(
                f"| {row['work']} | {row['peer'] or '–'} | {row['ours']:.3g} {row['unit']} | "
                + ("– | – | " if alone else f"{row['theirs']:.3g} {row['unit']} | {ratio(row)} | ")
                + ("– | " if row["goal"] is None else f"{'≤' if alone else '≥'} {row['goal']:g} | ")
                + {None: "", True: "met", False: "**missed**"}[row["reached"]]
                + " |"
            )
        profiles = [f"- {row['work']}: {row['profile']}." for row in stored[topic] if row.get("profile")]
        checks = sorted(
            {f"- {row['peer'] or row['work']}: {row['checked']}." for row in stored[topic] if row["checked"]}
        )
        parts += [f"### {title}", "\n".join(lines)]
        if checks:
            parts.append("Compared or alike:\n\n" + "\n".join(checks))
        if profiles:
            parts.append("Where the time goes in the rows that missed their goal:\n\n" + "\n".join(profiles))
    return "\n\n".join(parts)


def time_table() -> str:
    """Chapters with their measured minutes, and the sections that compute longest."""
    stored = times.load()
    lines = ["| chapter | runs (seconds) | work (minutes) | sections that compute longest |", "|---|---|---|---|"]
    for chapter in written():
        measured = stored["chapters"].get(chapter.file)
        if measured is None:
            seconds, longest = "–", ""
        else:
            seconds = f"{measured['seconds']:.0f}"
            order = sorted(measured["sections"].items(), key=lambda item: -item[1])
            longest = "; ".join(f"{name}: {value:.0f} s" for name, value in order[:3] if value >= 2)
        lines.append(f"| {chapter.number:02d} · {chapter.title} | {seconds} | {chapter.work} | {longest} |")
    where = f"Measured on {stored['machine']}." if stored["machine"] else "Not measured yet."
    return where + "\n\n" + "\n".join(lines)


def with_times(text: str) -> str:
    """INSTRUCTORS.md with the current table between its markers. Raises ValueError when they are missing."""
    new, count = re.subn(
        re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: f"{BEGIN}\n{time_table()}\n{END}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"INSTRUCTORS.md must hold the markers {BEGIN!r} and {END!r} once")
    return new


def pages() -> dict[Path, str]:
    """Every page that is made, with its text as it should be now."""
    made = {
        DOCS / "GLOSSARY.md": GLOSSARY.format(table=glossary.markdown("../notebooks/")),
        DOCS / "NOTES.md": NOTES.format(table=notes_map.markdown("../notebooks/")),
    }
    measured = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob("results/bench-*.json"))]
    if measured:
        made[DOCS / "BENCHMARKS.md"] = BENCHMARKS.format(machines="\n".join(map(bench_tables, measured)))
    instructors = DOCS / "INSTRUCTORS.md"
    if instructors.exists():
        made[instructors] = with_times(instructors.read_text(encoding="utf-8"))
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["times"], help="store measured times first")
    parser.add_argument("runs", nargs="?", type=Path, help="folder of executed copies, such as runs/quick-street")
    options = parser.parse_args()
    if (options.what is None) != (options.runs is None):
        parser.error("name the folder of executed copies: tools/pages.py times runs/quick-street")
    try:
        if options.runs:
            times.STORED.parent.mkdir(exist_ok=True)
            write_text(times.STORED, json.dumps(times.measure(options.runs), indent=1, ensure_ascii=False) + "\n")
        for path, text in pages().items():
            write_text(path, text)
            print(path.relative_to(ROOT))
    except (OSError, ValueError) as error:
        print(f"pages: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
