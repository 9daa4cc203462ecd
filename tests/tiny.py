"""Tiny notebooks for the tests of the machinery; importable by the test modules beside it."""

from pathlib import Path

import nbformat

FIGURE = """\
import base64, io
from IPython.display import display
from PIL import Image, ImageDraw
image = Image.new("RGB", (200, 120), "white")
ImageDraw.Draw(image).ellipse((40, 20, 160, 100), fill=(30, 60, 160), outline="black", width=5)
buffer = io.BytesIO()
image.save(buffer, "PNG")
png = base64.b64encode(buffer.getvalue()).decode()
display({"image/png": png, "text/plain": "<Figure: a blue ellipse>"}, raw=True)"""


def notebook(*cells) -> nbformat.NotebookNode:
    """A notebook of code cells: each a source, or a pair (source, list of tags)."""
    result = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Tiny")])
    for cell in cells:
        source, tags = cell if isinstance(cell, tuple) else (cell, [])
        result.cells.append(nbformat.v4.new_code_cell(source, metadata={"tags": tags} if tags else {}))
    return result


def save(notebook: nbformat.NotebookNode, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path
