"""Make what README.md shows from the project itself: the course map, and the image of scenes and predictions.

``python tools/readme.py map`` rewrites the table between its markers, ``… ledger`` the page docs/LEDGER.md; ``… image``
trains the net of chapter 00 and draws data/sample/readme.png.
"""

import argparse
import re
import sys
from pathlib import Path

from segbook.course import course_map, ledger
from segbook.data.files import atomic_open, write_text

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"


def with_table(text: str, name: str, table: str) -> str:
    """README's text with ``table`` between the markers of this name. Raises ValueError when they are missing."""
    begin, end = f"<!-- {name}: made by tools/readme.py -->", f"<!-- end of {name} -->"
    new, count = re.subn(
        re.escape(begin) + r".*?" + re.escape(end), lambda _: f"{begin}\n{table}\n{end}", text, flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"README.md must hold the markers {begin!r} and {end!r} once")
    return new


def with_map(text: str) -> str:
    """README's text with the current course map."""
    return with_table(text, "course map", course_map.markdown("notebooks/"))


LEDGER = """# The papers' numbers, and ours

Every fact of a paper that the package implements: the paper's value, its source, and ours as the code computes it. A test
computes every line. Where we depart, the line says why. Made by `python tools/readme.py ledger`.

{table}
"""


def ledger_page(rows=None) -> str:
    """The page with the current ledger; ``rows`` are those of ``ledger.rows()``, computed here when not given."""
    return LEDGER.format(table=ledger.markdown(rows))


def draw_image(target: Path) -> None:
    """Three Street scenes with truth, prediction and errors, after the training of chapter 00."""
    import segbook as sb

    run = sb.setup()
    sb.plots.style()
    train, test = run.load("train"), run.load("test")
    model, recipe = run.model("fcn8s", train.num_classes), run.recipe("fcn8s", steps=900)
    sb.fit(model, train, None, recipe, checkpoint=run.checkpoint("readme", recipe))
    images, masks = test.tensors()
    some = [1, 7, 4]
    fig = sb.plots.segmentation_grid(images[some], masks[some], sb.predict(model, images[some]), dataset=test)
    with atomic_open(target) as file:
        file.write(sb.showing.png(fig))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["map", "ledger", "image"])
    what = parser.parse_args().what
    if what == "image":
        draw_image(ROOT / "data" / "sample" / "readme.png")
    elif what == "map":
        write_text(README, with_map(README.read_text(encoding="utf-8")))
    else:
        write_text(ROOT / "docs" / "LEDGER.md", ledger_page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
