"""The glossary: every term that a chapter's closing table explains, in one list with links back to the chapters."""

import re
from dataclasses import dataclass
from pathlib import Path

from segbook.course.chapters import Chapter, written

# The closing table of a chapter: three columns, the second in Chinese.
TABLE = re.compile(r"^\| *English *\| *中文 *\|[^\n]*\|\n\|[-|: ]+\|\n((?:\|.*\|[ \t]*\n?)+)", re.MULTILINE)


@dataclass(frozen=True)
class Term:
    """One term as one chapter explains it."""

    english: str
    chinese: str
    sentence: str
    chapter: Chapter


def heading_anchor(heading: str) -> str:
    """The anchor that JupyterLab gives a heading: capitals kept, spaces turned to hyphens, no marks of Markdown."""
    return re.sub(r"[*`]", "", heading).strip().replace(" ", "-")


def prose(path: Path) -> list[str]:
    """The Markdown cells of a notebook."""
    import nbformat

    return [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]


def terms(chapter: Chapter) -> list[Term]:
    """The terms of a chapter's closing table. Raises ValueError when it has none, or a row without three columns."""
    for text in prose(chapter.path):
        if table := TABLE.search(text):
            break
    else:
        raise ValueError(f"{chapter.file}: there is no table headed | English | 中文 | in one sentence |")
    found = []
    for line in table[1].strip().splitlines():
        # A bar inside a formula is written \|.
        columns = [column.strip() for column in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if len(columns) != 3 or not all(columns):
            raise ValueError(f"{chapter.file}: a glossary row needs three columns: {line}")
        found.append(Term(*columns, chapter))
    return found


def markdown(folder: str = "notebooks/") -> str:
    """All terms in alphabetical order as a Markdown table; ``folder`` stands before the notebooks' names in the links.

    A term of several chapters has one row: the first chapter's words, and a link to each.
    """
    rows: dict[str, list[Term]] = {}
    for chapter in written():
        for term in terms(chapter):
            rows.setdefault(plain(term.english), []).append(term)
    lines = ["| English | 中文 | in one sentence | chapter |", "|---|---|---|---|"]
    for _, meetings in sorted(rows.items()):
        first = meetings[0]
        links = dict.fromkeys(f"[{t.chapter.number:02d}]({folder}{t.chapter.file}.ipynb)" for t in meetings)
        chinese = " / ".join(dict.fromkeys(t.chinese for t in meetings))
        lines.append(f"| {first.english} | {chinese} | {first.sentence} | {', '.join(links)} |")
    return "\n".join(lines)


def plain(term: str) -> str:
    """A term for sorting and for finding it again: no capitals, no marks of Markdown, formulas left out."""
    return re.sub(r"[*`$\\{}()]", "", term).lower().strip()
