"""Every figure of a page made from a notebook is described in words."""

import base64
import hashlib
import re
from pathlib import Path

import nbformat
import pytest

from segbook.course import alt_texts, runner

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("[0-9][0-9]_*.ipynb"))
PNG = base64.b64encode(b"any bytes").decode()


@pytest.mark.parametrize("path", [NOTEBOOKS[0], NOTEBOOKS[5]], ids=lambda path: path.stem)
def test_no_image_of_a_page_is_without_words(path):
    notebook = nbformat.read(path, as_version=4)
    page = runner.page(notebook, path.stem)
    words = re.findall(r'<img[^>]*?\balt="([^"]*)"', page)
    assert len(words) >= len(alt_texts.of_notebook(notebook)) > 3
    assert all(text and not text.startswith("No description") and not text.endswith(".png") for text in words)


def test_words_belong_to_their_image_and_are_escaped():
    output = nbformat.v4.new_output("display_data", {"image/png": PNG}, metadata={"image/png": {"alt": 'a "b" <c>'}})
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])])
    other = base64.b64encode(b"other").decode()
    image = '<img alt="No description has been provided for this image" class="" src="data:image/png;base64,{}"/>'
    page = alt_texts.in_page(image.format(other) + image.format(PNG), notebook)
    first, second = re.findall(r'alt="([^"]*)"', page)
    assert first.startswith("No description") and second == "a &quot;b&quot; &lt;c&gt;"


def test_a_site_names_images_by_their_hash():
    digest = hashlib.sha256(b"any bytes").hexdigest()
    page = f'<img alt="../_images/{digest}.png" src="../_images/{digest}.png"/><img alt="../_images/x.png"/>'
    assert alt_texts.in_site_page(page, {digest: "a cat"}).startswith('<img alt="a cat" src="../_images/')
    assert 'alt="../_images/x.png"' in alt_texts.in_site_page(page, {digest: "a cat"})
