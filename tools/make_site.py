"""Build the course as a static, searchable web site from the stored outputs: ``make site``.

    python tools/make_site.py OUT

No notebook is executed and nothing is fetched: formulas are set by a MathJax that lies in the site, search runs in the
browser, and the pages work from a folder (file://) as well as from a server. Needs the packages of the extra `site`.
"""

import argparse
import re
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import nbformat

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # segbook itself is not installed here

from segbook.course import alt_texts  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
#: Pages beside the chapters, in the order of the menu; a page that does not exist is left out.
PAGES = (
    *("docs/GLOSSARY.md", "docs/NOTES.md", "docs/PROJECT.md", "docs/BENCHMARKS.md", "docs/INSTRUCTORS.md"),
    *("docs/LEDGER.md", "docs/FULL_TRAINING.md", "docs/ENVIRONMENT.md"),
    *("CONTRIBUTING.md", "CHANGELOG.md"),
)
NAMES = tuple(Path(page).name for page in PAGES)
LIVE_NOTE = "*On this page the figure stands still. Open the notebook in JupyterLab to move its controls.*"

CONF = """
project = "segbook"
author = "the segbook authors"
html_title = "segbook: semantic segmentation, hands on"
extensions = ["myst_nb"]
html_theme = "sphinx_book_theme"
html_theme_options = {"show_toc_level": 2, "home_page_in_toc": True, "use_download_button": False}
html_static_path = ["_static"]
html_css_files = ["segbook.css"]
mathjax_path = "mathjax/MathJax.js?config=TeX-AMS-MML_HTMLorMML-full,Safe"
mathjax2_config = {
    "tex2jax": {"inlineMath": [["\\\\(", "\\\\)"]], "processClass": "math|mathjax_process", "ignoreClass": "tex2jax_ignore"},
    "messageStyle": "none",
    "HTML-CSS": {"availableFonts": [], "webFont": "STIX-Web", "imageFont": None, "preferredFont": None, "scale": 90},
}
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
nb_execution_mode = "off"
nb_render_markdown_format = "myst"
myst_update_mathjax = False
nb_code_prompt_show = "Show the solution"
nb_code_prompt_hide = "Hide the solution"
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header"]
exclude_patterns = []
myst_heading_slug_func = "make_site.anchor"
"""

# Figures are as wide as the text at most; wide tables get a scroll bar of their own instead of widening the page on a phone.
CSS = """
.cell_output img { max-width: 100%; height: auto; }
.bd-article table { display: block; max-width: 100%; overflow-x: auto; }
.cell_output pre { overflow-x: auto; }
details { margin: 0 0 1em; padding: .4em .8em; border: 1px solid var(--pst-color-border); border-radius: .3em; }
details > summary { cursor: pointer; font-weight: 600; }
"""


def anchor(heading: str) -> str:
    """The anchor of a heading as JupyterLab makes it, so that one link works in both places."""
    return heading.strip().replace(" ", "-")


class SiteError(Exception):
    """The site cannot be built; the message says what is missing or wrong."""


def chapters() -> list[Path]:
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def page(path: Path):
    """A chapter as the site shows it: solutions folded, and a word under each figure that moves in JupyterLab only."""
    notebook = nbformat.read(path, as_version=4)
    cells = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("](../docs/", "](../")
        cell.metadata["tags"] = ["hide-input"] if {"solution", "solution-only"} & set(tags) else []
        cells.append(cell)
        if cell.cell_type == "code" and re.search(r"\bsb\.LiveFigure\(", cell.source):
            cells.append(nbformat.v4.new_markdown_cell(LIVE_NOTE))
    notebook.cells = cells
    return notebook


def readme(text: str) -> str:
    """README, or a page, as the site has it: pages side by side, chapters below them, other files only named."""
    text = re.sub(r"\]\((?:docs/|\.\./)+", "](", text)
    text = text.replace("](notebooks/", "](chapters/").replace("](data/sample/readme.png", "](_static/readme.png")
    # Sphinx compares anchors as they are, not as addresses write them.
    text = re.sub(r"\]\((chapters/[^)\s]*%[^)\s]*)\)", lambda link: f"](<{unquote(link[1])}>)", text)
    # A link to a file that is no page of the site is only a name.
    return re.sub(
        r"\[([^\]]+)\]\((?!<?chapters/|https?:|#|_static/|(?:" + "|".join(NAMES) + r")\b)[^)]+\)", r"\1", text
    )


def write_source(folder: Path) -> None:
    """What Sphinx reads: the first page, the chapters, the further pages, the style and MathJax."""
    mathjax = find_spec("jupyter_server_mathjax")
    if mathjax is None:
        raise SiteError("the packages of the extra `site` are missing: run `make site`")
    static, target = folder / "_static", folder / "chapters"
    static.mkdir(parents=True)
    target.mkdir()
    (static / "segbook.css").write_text(CSS, encoding="utf-8")
    shutil.copytree(Path(mathjax.origin).parent / "static", static / "mathjax")
    shutil.copy(ROOT / "data" / "sample" / "readme.png", static)
    (folder / "conf.py").write_text(CONF, encoding="utf-8")
    for path in chapters():
        nbformat.write(page(path), target / path.name)
    pages = [page for page in PAGES if (ROOT / page).exists()]
    for page_file in pages:
        text = (ROOT / page_file).read_text(encoding="utf-8")
        (folder / Path(page_file).name).write_text(readme(text), encoding="utf-8")
    entries = "\n".join(f"chapters/{path.stem}" for path in chapters())
    more = "\n".join(Path(name).stem for name in pages)
    menu = f"\n\n```{{toctree}}\n:hidden:\n:caption: Chapters\n\n{entries}\n```\n"
    menu += f"\n```{{toctree}}\n:hidden:\n:caption: More\n\n{more}\n```\n" if pages else ""
    (folder / "index.md").write_text(readme((ROOT / "README.md").read_text(encoding="utf-8")) + menu, encoding="utf-8")


def build(out: Path) -> list[str]:
    """Build the site into ``out``, which is replaced at the end only; returns Sphinx's warnings."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    if not chapters():
        raise SiteError(f"there is no chapter in {NOTEBOOKS}")
    if out.exists() and not (out / "searchindex.js").exists() and (not out.is_dir() or any(out.iterdir())):
        raise SiteError(f"{out} is there and is no site built before; choose another folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=".site-") as temporary:
        source, html, warnings = Path(temporary) / "source", Path(temporary) / "html", Path(temporary) / "warnings.txt"
        write_source(source)
        with open(warnings, "w", encoding="utf-8") as log, docutils_namespace():
            app = Sphinx(source, source, html, Path(temporary) / "doctrees", "html", status=None, warning=log)
            app.build(force_all=True)
        if app.statuscode:
            raise SiteError(warnings.read_text(encoding="utf-8"))
        for path in chapters():
            built = html / "chapters" / f"{path.stem}.html"
            words = alt_texts.of_notebook(nbformat.read(path, as_version=4))
            built.write_text(alt_texts.in_site_page(built.read_text(encoding="utf-8"), words), encoding="utf-8")
        if out.exists():
            shutil.rmtree(out)
        html.rename(out)
        return [line for line in warnings.read_text(encoding="utf-8").splitlines() if line.strip()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder for the site; a site built there before is replaced"
    )
    out = parser.parse_args().out.resolve()
    try:
        warnings = build(out)
    except SiteError as error:
        print(f"site: {error}", file=sys.stderr)
        return 1
    print(*warnings, sep="\n", file=sys.stderr)
    print(f"{len(chapters())} chapters; open {out / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
