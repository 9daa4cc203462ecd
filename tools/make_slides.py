"""Make slides of the chapters from the stored outputs, for a lesson: ``make slides``.

    python tools/make_slides.py OUT [CHAPTER …]

Nothing is executed. A heading begins a slide, a figure has one of its own, code is shown where it is short; exercises and
set-up cells are left out. The slides are nbconvert's (reveal.js): arrow keys turn them, ``s`` opens the speaker's view.
reveal.js and require.js are fetched once with npm and laid beside the slides, so that they need no network in class.
Where npm is missing, the pages load both from the web, and this program says so.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter
from nbconvert.preprocessors import TagRemovePreprocessor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # segbook itself is not installed here

from segbook.course import alt_texts  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
PACKAGES = {"reveal": "reveal.js@4.6.1", "require": "requirejs@2.3.8"}
MAX_CODE_LINES = 14
#: Sections that belong to the learner's desk, not to the screen.
LEFT_OUT = re.compile(r"^## +(Exercises|What is in the paper|A GPU|Glossary)", re.MULTILINE)
HEAD = """<script type="text/x-mathjax-config">
MathJax.Hub.Config({"HTML-CSS": {availableFonts: [], webFont: "STIX-Web", preferredFont: null}});
</script>
<style>
.reveal { font-size: 28px; }
.reveal h1, .reveal h2, .reveal h3 { text-transform: none; }
.reveal .slides { text-align: left; }
.reveal img { max-height: 430px; width: auto; }
.reveal pre { font-size: 18px; width: 100%; box-shadow: none; }
.reveal table { font-size: 20px; }
.jp-InputPrompt, .jp-OutputPrompt, .jp-InputArea-prompt, .jp-OutputArea-prompt { display: none; }
</style>"""


def split_at_headings(cell) -> list:
    """A text cell as one cell for each heading, so that each begins a slide."""
    parts = [part for part in re.split(r"(?m)^(?=#{1,3} )", cell.source) if part.strip()]
    return [nbformat.v4.new_markdown_cell(part.strip()) for part in parts]


def has_image(cell) -> bool:
    return any("image/png" in output.get("data", {}) for output in cell.outputs)


def prepare(notebook):
    """The chapter with slide metadata: which cell begins a slide, which goes on, which is skipped."""
    cells, skipping = [], False
    for cell in notebook.cells:
        for part in split_at_headings(cell) if cell.cell_type == "markdown" else [cell]:
            if part.cell_type == "markdown":
                level = len(re.match(r"#*", part.source)[0])
                if level in (1, 2):
                    skipping = bool(LEFT_OUT.match(part.source))
                # A text stands over the figure or the code that follows it.
                kind = {1: "slide", 2: "slide"}.get(level, "subslide")
                if level == 1:
                    part.source = re.sub(r"(?m)^\[.*(previous|course map).*$", "", part.source)
            else:
                short = part.source.count("\n") < MAX_CODE_LINES
                kind = "subslide" if cells and cells[-1].cell_type == "code" else "-"
                tags = set(part.metadata.get("tags", []))
                if tags & {"parameters", "setup", "solution", "check", "solution-only"}:
                    kind = "skip"
                elif has_image(part) or not short:
                    tags.add("remove-input")
                part.metadata["tags"] = sorted(tags)
            part.metadata["slideshow"] = {"slide_type": "skip" if skipping else kind}
            cells.append(part)
    notebook.cells = cells
    return notebook


def vendor(out: Path) -> dict[str, str] | None:
    """Lay reveal.js, require.js and MathJax into ``out/vendor``; None when npm or MathJax is not to be had."""
    mathjax = find_spec("jupyter_server_mathjax")
    npm = shutil.which("npm")
    if mathjax is None or npm is None:
        return None
    folder = out / "vendor"
    folder.mkdir(parents=True, exist_ok=True)
    for name, package in PACKAGES.items():
        if (folder / name).exists():
            continue
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            packed = subprocess.run([npm, "pack", "--silent", package], cwd=temporary, capture_output=True, text=True)
            if packed.returncode:
                return None
            with tarfile.open(Path(temporary) / packed.stdout.split()[-1]) as archive:
                archive.extractall(temporary, filter="data")
            (Path(temporary) / "package").rename(folder / name)
    for theme in (folder / "reveal" / "dist" / "theme").glob("*.css"):
        # Fonts from the web: the machine's own will do.
        theme.write_text(
            re.sub(r"@import url\(['\"]?https?:[^;]*;", "", theme.read_text(encoding="utf-8")), encoding="utf-8"
        )
    if not (folder / "mathjax").exists():
        shutil.copytree(Path(mathjax.origin).parent / "static", folder / "mathjax")
    return {
        "reveal_url_prefix": "vendor/reveal",
        "require_js_url": "vendor/require/require.js",
        "mathjax_url": "vendor/mathjax/MathJax.js?config=TeX-AMS-MML_HTMLorMML-full,Safe",
    }


def slides(path: Path, urls: dict[str, str]) -> str:
    exporter = SlidesExporter(reveal_theme="simple", reveal_scroll=True, reveal_number="c/t", **urls)
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    remover = TagRemovePreprocessor(enabled=True, remove_input_tags={"remove-input"})
    exporter.register_preprocessor(remover, enabled=True)
    notebook = prepare(nbformat.read(path, as_version=4))
    body = alt_texts.in_page(exporter.from_notebook_node(notebook)[0], notebook)
    # jQuery and mermaid are loaded from the web and used by nothing here.
    body = re.sub(r'<script src="[^"]*jquery[^"]*"></script>', "", body)
    body = re.sub(
        r'<script type="module">(?:(?!</script>).)*mermaid(?:(?!</script>).)*</script>', "", body, flags=re.DOTALL
    )
    return body.replace("</head>", HEAD + "\n</head>", 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for the slides")
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help="numbers such as 07 (default: all)")
    options = parser.parse_args()
    wanted = {f"{int(chapter):02d}" if chapter.isdigit() else chapter[:2] for chapter in options.chapters}
    paths = [p for p in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")) if not wanted or p.name[:2] in wanted]
    if not paths or len(paths) < len(wanted):
        print(f"slides: there is no chapter {' or '.join(sorted(wanted))} in {NOTEBOOKS}", file=sys.stderr)
        return 2
    urls = vendor(options.out)
    if urls is None:
        print("slides: npm or jupyter_server_mathjax is missing: these slides need a network to show", file=sys.stderr)
    options.out.mkdir(parents=True, exist_ok=True)
    for path in paths:
        target = options.out / f"{path.stem}.slides.html"
        partial = target.with_suffix(".partial")
        partial.write_text(slides(path, urls or {}), encoding="utf-8")
        partial.replace(target)
        print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
