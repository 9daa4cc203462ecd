"""How long the chapters run: measured from executed copies, stored in results/course-times.json, shown in the maps.

``python -m segbook run`` writes executed copies in which papermill noted the seconds of every cell. ``measure`` adds them
up by section; ``tools/pages.py times`` stores the result, and the course map and INSTRUCTORS.md are made from that file.
"""

import json
import math
import os
import platform
import re
from pathlib import Path

from segbook.course.chapters import ROOT, Chapter

STORED = ROOT / "results" / "course-times.json"


def measure(folder: Path) -> dict:
    """Seconds by chapter and section (the ``##`` headings) of the executed copies in ``folder``.

    Raises FileNotFoundError when there is none, and ValueError for a copy that did not run to its end.
    """
    import nbformat

    copies = sorted(Path(folder).glob("[0-9][0-9]_*.ipynb"))
    if not copies:
        raise FileNotFoundError(f"{folder} holds no executed chapter; run: python -m segbook run")
    chapters = {}
    for path in copies:
        sections, heading = {}, "set-up"
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                for found in re.findall(r"^## +(.+?)\s*$", cell.source, re.MULTILINE):
                    heading = found
                continue
            noted = cell.metadata.get("papermill", {})
            if cell.cell_type == "code" and (noted.get("exception") or noted.get("duration") is None):
                raise ValueError(f"{path} did not run to its end")
            sections[heading] = sections.get(heading, 0.0) + noted["duration"]
        sections = {name: round(seconds, 1) for name, seconds in sections.items()}
        chapters[path.stem] = {"seconds": round(sum(sections.values()), 1), "sections": sections}
    return {"machine": f"{os.cpu_count()} cores, {platform.machine()}", "chapters": chapters}


def load(path: Path = STORED) -> dict:
    """The stored measurement; an empty one where there is no file. Raises ValueError naming a file that is damaged."""
    if not path.exists():
        return {"machine": "", "chapters": {}}
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        return {"machine": stored["machine"], "chapters": dict(stored["chapters"])}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: measure again with tools/pages.py times") from error


def minutes(chapter: Chapter, stored: dict | None = None) -> int | None:
    """Whole minutes that a chapter runs, rounded up; None where it was not measured."""
    measured = (load() if stored is None else stored)["chapters"].get(chapter.file)
    return None if measured is None else max(1, math.ceil(measured["seconds"] / 60))
