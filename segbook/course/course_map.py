"""The course map: the table of chapters in notebook 00 and in README.md, made from one list."""

from segbook.course import times
from segbook.course.chapters import CHAPTERS


def markdown(folder: str = "") -> str:
    """The course map as a Markdown table; ``folder`` stands before the notebooks' names in the links.

    A chapter whose notebook is not written yet stands without a link. Minutes: to run on two CPU cores, as measured,
    and to work through.
    """
    stored = times.load()
    lines = [
        "| chapter | question | min to run | min to work | paper | notes | 中文 |",
        "|---|---|--:|--:|---|---|---|",
    ]
    for chapter in CHAPTERS:
        title = f"{chapter.number:02d} · {chapter.title}"
        if chapter.path.exists():
            title = f"[{title}]({folder}{chapter.file}.ipynb)"
        else:
            title += " (in preparation)"
        run = times.minutes(chapter, stored)
        run = "–" if run is None else str(run)
        cells = (title, chapter.question, run, str(chapter.work), chapter.paper, chapter.notes, chapter.chinese)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def course_map() -> None:
    """Show the course map in a notebook, each written chapter as a link."""
    from IPython.display import Markdown, display

    display(Markdown(markdown()))
