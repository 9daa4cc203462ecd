"""How a notebook shows things: figures with a text that describes them, tables, source code, measured numbers."""

import base64
import html
import inspect
import io
import math
import re
import sys
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from segbook.plots import DPI


def png(fig: Figure, small: bool = True) -> bytes:
    """Render ``fig`` at 100 dpi to PNG bytes and close it.

    ``small=True`` maps the image to a palette of 256 colours, which halves the size of a notebook: the flat
    colours (paper, lines, class colours, text) are kept exactly and photographs are dithered. ``small=False`` is
    faster and is what live figures use.
    """
    if not isinstance(fig, Figure):
        raise TypeError(f"expected a matplotlib Figure, got {type(fig).__name__}; return `fig`, not its axes")
    try:
        # Drawing on a canvas of our own takes half the time of fig.savefig, which draws once more for the layout.
        fig.set_dpi(DPI)
        canvas = FigureCanvasAgg(fig)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3]
    finally:
        close(fig)
    if small:
        return _palette_png(pixels)
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(out, format="png", compress_level=1)
    return out.getvalue()


def smaller(image: bytes) -> bytes:
    """PNG bytes → PNG bytes with a palette of 256 colours, as ``png`` makes them."""
    return _palette_png(np.array(Image.open(io.BytesIO(image)).convert("RGB")))


def close(fig: Figure) -> None:
    """Close ``fig``, and do so without importing pyplot when nobody else has."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(fig)


def _palette_png(pixels: np.ndarray) -> bytes:
    out = io.BytesIO()
    _to_palette(pixels).save(out, format="png", optimize=True)
    return out.getvalue()


def _to_palette(pixels: np.ndarray) -> Image.Image:
    """uint8 [H, W, 3] → a palette image. Exact when there are at most 256 colours."""
    image = Image.fromarray(pixels)
    codes = (pixels.astype(np.uint32) << np.array([16, 8, 0], dtype=np.uint32)).sum(-1, dtype=np.uint32)
    colors, counts = np.unique(codes, return_counts=True)
    few = len(colors) <= 256
    if few:
        palette = colors
    else:
        # Frequent colours are drawn things and stay exact; greys keep text crisp; the rest serves the photographs.
        flat = colors[np.argsort(-counts, kind="stable")][:48]
        grays = np.arange(0, 256, 17, dtype=np.uint32) * 0x010101
        fixed = np.unique(np.concatenate([flat, grays]))
        rest = Image.fromarray(pixels[~np.isin(codes, flat)][None])
        rest = rest.quantize(256 - len(fixed), method=Image.Quantize.MEDIANCUT, kmeans=1)
        entries = np.array(rest.getpalette()[: 3 * (256 - len(fixed))], dtype=np.uint32).reshape(-1, 3)
        entries = (entries << np.array([16, 8, 0], dtype=np.uint32)).sum(-1, dtype=np.uint32)
        palette = np.concatenate([fixed, entries])[:256]
    table = Image.new("P", (1, 1))
    table.putpalette([int(code) >> shift & 255 for code in palette for shift in (16, 8, 0)])
    if few:
        indexed = Image.fromarray(np.searchsorted(palette, codes).astype(np.uint8))
        indexed.putpalette(table.getpalette())
        return indexed
    indexed = image.quantize(palette=table, dither=Image.Dither.FLOYDSTEINBERG)
    # Pillow looks colours up on a coarse grid, which turns white into nearly white: put the fixed ones right.
    order = np.argsort(palette, kind="stable")
    place = np.searchsorted(palette, codes, sorter=order).clip(max=len(palette) - 1)
    known = palette[order][place] == codes
    index = np.where(known, order[place], np.asarray(indexed)).astype(np.uint8)
    exact = Image.fromarray(index)
    exact.putpalette(table.getpalette())
    return exact


def alt_text(alt: str) -> str:
    """``alt`` on one line; ``ValueError`` when it says nothing."""
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError("alt must say in words what the figure shows and what to notice; it was empty")
    return " ".join(alt.split())


def _display(data: dict, metadata: dict | None = None) -> None:
    """Hand a bundle to the notebook; under plain Python print its text, Markdown before the short form of it."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = display = None
    if display is None or get_ipython() is None:
        print(data.get("text/markdown", data["text/plain"]))
    else:
        display(data, metadata=metadata or {}, raw=True)


def show(fig: Figure, alt: str) -> None:
    """Display ``fig`` once, with alternative text, and close it; the last statement of a cell.

    ``alt`` says what the figure shows and what to notice: screen readers read it, and it is the text that the
    regression test of the notebook compares. Under plain Python the text is printed.
    Raises ``ValueError`` for an empty alt and ``TypeError`` for anything but a matplotlib figure.
    """
    alt = alt_text(alt)
    image = base64.b64encode(png(fig)).decode()
    _display({"image/png": image, "text/plain": f"<Figure: {alt}>"}, {"image/png": {"alt": alt}})


def show_source(thing) -> None:
    """Display the source of a class, function or method as it runs, with the file that holds it.

    The text that regression tests compare is the name alone, so that an edit of a comment breaks no notebook.
    Raises ``TypeError`` for an object that has no Python source (an instance, a built-in).
    """
    try:
        source = inspect.cleandoc("\n" + inspect.getsource(thing)).strip()
    except (TypeError, OSError) as error:
        name = getattr(thing, "__name__", type(thing).__name__)
        raise TypeError(
            f"there is no Python source to show for {name!r}: hand over a class or a function, not an instance"
        ) from error
    module = inspect.getmodule(thing)
    name = getattr(module, "__name__", "__main__")
    if name == "__main__":
        where = "this notebook"
    else:
        path = name.replace(".", "/")
        where = f"{path}/__init__.py" if Path(module.__file__).stem == "__init__" else f"{path}.py"
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", source)), default=0))
    shown = f"*{where}*\n{fence}python\n{source}\n{fence}"
    _display({"text/markdown": shown, "text/plain": f"<Source: {name}.{thing.__qualname__}>"})


def measured(value: float, digits: int = 2, unit: str = "") -> str:
    """A number that comes from training or timing, with the sign that says it differs a little between machines.

    ``measured(0.4712)`` → ``'≈0.47'``, ``measured(12.31, 1, "s")`` → ``'≈12.3 s'``. ``digits`` counts decimals.
    A missing value (``None`` or nan) gives ``'–'``. The regression test lets the digits after ≈ differ, so what
    the text relies on is said with ``sb.claim``.
    """
    if value is None or math.isnan(value):
        return "–"
    text = f"≈{float(value):,.{digits}f}"
    return f"{text}{unit}" if unit in ("", "%", "×") else f"{text} {unit}"


_NUMBER = re.compile(r"^[≈~<>≤≥]?\s*[-+−]?\d[\d,]*\.?\d*(e[-+]?\d+)?\s*(%|×|[a-zA-Zµ]{1,5}|[a-zA-Z]+/[a-zA-Z]+)?$")


def _number(text: str) -> float | None:
    """The value of a table cell's text, or None where it is not a number."""
    if not _NUMBER.match(text):
        return None
    return float(re.search(r"[-+]?\d[\d,]*\.?\d*(e[-+]?\d+)?", text.replace("−", "-"))[0].replace(",", ""))


def _cell(value, digits: int) -> str:
    if value is None or (isinstance(value, float | np.floating) and math.isnan(value)):
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return f"{value:,.{digits}f}"
    return str(value)


def show_table(rows, columns=None, *, caption: str = "", best: dict | None = None, digits: int = 2) -> None:
    """Display a small table: HTML in a notebook, aligned text elsewhere.

    ``rows``: sequences in the order of ``columns``, or dicts keyed by them (then ``columns`` may be left out).
    Whole numbers get thousands separators, floats ``digits`` decimals, None and nan a dash; strings stay as they are,
    so numbers from training come as ``measured(x)``. Columns of numbers are right-aligned.
    ``best={"IoU": max, "seconds": min}`` prints the best value of a column in bold. The winner then belongs to the
    output that the regression test compares: use it where the order is certain.
    Raises ``ValueError`` for rows that do not fit the columns.
    """
    rows = list(rows)
    if columns is None:
        if not rows or not isinstance(rows[0], dict):
            raise ValueError("name the columns: show_table(rows, columns)")
        columns = list(rows[0])
    columns = [str(column) for column in columns]
    table = []
    for number, row in enumerate(rows):
        if isinstance(row, dict):
            unknown = [key for key in row if str(key) not in columns]
            if unknown:
                raise ValueError(f"row {number} has the keys {unknown}, which are not among the columns {columns}")
            row = [row.get(column) for column in columns]
        row = list(row)
        if len(row) != len(columns):
            raise ValueError(f"row {number} has {len(row)} cells for {len(columns)} columns")
        table.append([_cell(value, digits) for value in row])

    numeric = []
    for column in range(len(columns)):
        filled = [row[column] for row in table if row[column] not in ("–", "")]
        numeric.append(bool(filled) and all(_number(text) is not None for text in filled))
    bold = set()
    for name, choose in (best or {}).items():
        if name not in columns:
            raise ValueError(f"best names the column {name!r}; the columns are {columns}")
        column = columns.index(name)
        values = {i: _number(row[column]) for i, row in enumerate(table) if _number(row[column]) is not None}
        if values:
            bold |= {(i, column) for i, value in values.items() if value == choose(values.values())}

    _display({"text/html": _html(table, columns, numeric, bold, caption),
              "text/plain": _text(table, columns, numeric, bold, caption)})  # fmt: skip


def _html(table, columns, numeric, bold, caption) -> str:
    def cells(texts, tag, row=None):
        out = []
        for column, text in enumerate(texts):
            text = html.escape(text)
            text = f"<b>{text}</b>" if (row, column) in bold else text
            out.append(f'<{tag} style="text-align:{"right" if numeric[column] else "left"}">{text}</{tag}>')
        return "<tr>" + "".join(out) + "</tr>"

    lines = ["<table>"]
    if caption:
        lines.append(f'<caption style="text-align:left">{html.escape(caption)}</caption>')
    lines += ["<thead>", cells(columns, "th"), "</thead>", "<tbody>"]
    lines += [cells(row, "td", number) for number, row in enumerate(table)]
    return "\n".join([*lines, "</tbody>", "</table>"])


def _text(table, columns, numeric, bold, caption) -> str:
    def padded(text, width, right):
        # Spaces go between ≈ and the digits, where the regression test overlooks them: 9.8 and 10.1 line up alike.
        if text.startswith("≈") and right:
            return "≈" + text[1:].rjust(width - 1)
        return text.rjust(width) if right else text.ljust(width)

    marked = [[t + "*" * ((i, j) in bold) for j, t in enumerate(row)] for i, row in enumerate(table)]
    widths = []
    for column, name in enumerate(columns):
        texts = [row[column] for row in marked]
        widths.append(max([len(name), *(max(len(t), 10) if t.startswith("≈") else len(t) for t in texts)]))
    lines = [caption] if caption else []
    lines.append("  ".join(padded(*part) for part in zip(columns, widths, numeric)).rstrip())
    lines.append("  ".join("-" * width for width in widths))
    lines += ["  ".join(padded(*part) for part in zip(row, widths, numeric)).rstrip() for row in marked]
    if bold:
        lines.append("* best of its column")
    return "\n".join(lines)
