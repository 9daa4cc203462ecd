"""The words that describe a figure, put where a screen reader finds them.

``sb.show`` and live figures store them beside the image, as notebooks provide for. What turns notebooks into pages leaves
them behind; here they are put back into the pages.
"""

import base64
import hashlib
import html
import re

_UNDESCRIBED = re.compile(
    r'<img alt="No description has been provided for this image"([^>]*?)src="data:image/png;base64,([^"]+)"'
)
_FILE_NAME = re.compile(r'alt="[^"]*?([0-9a-f]{64})\.png"')


def of_notebook(notebook) -> dict[str, str]:
    """SHA-256 of each stored PNG -> the text that describes it."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            encoded = output.get("data", {}).get("image/png")
            words = output.get("metadata", {}).get("image/png", {}).get("alt")
            if encoded and words:
                found[_digest(encoded)] = words
    return found


def in_page(page: str, notebook) -> str:
    """A page of nbconvert (HTML or slides) of this notebook, its figures described."""
    words = of_notebook(notebook)

    def described(match: re.Match) -> str:
        text = words.get(_digest(match[2]))
        if text is None:
            return match[0]
        return f'<img alt="{html.escape(text)}"{match[1]}src="data:image/png;base64,{match[2]}"'

    return _UNDESCRIBED.sub(described, page)


def in_site_page(page: str, words: dict[str, str]) -> str:
    """A page of Sphinx, where an image without words is called by its file, which myst-nb names by its SHA-256."""
    return _FILE_NAME.sub(
        lambda match: f'alt="{html.escape(words[match[1]])}"' if match[1] in words else match[0], page
    )


def _digest(encoded: str) -> str:
    return hashlib.sha256(base64.b64decode(encoded)).hexdigest()
