"""Make what README.md shows from the project itself: the course map, and the picture of scenes with their predictions.

``python tools/readme.py map`` rewrites the course map between its markers; ``python tools/readme.py picture`` trains the net
of chapter 00 and draws data/sample/readme.png.
"""

import argparse
import re
import sys
from pathlib import Path

from segbook.course import course_map

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BEGIN, END = "<!-- course map: made by tools/readme.py -->", "<!-- end of course map -->"


def with_map(text: str) -> str:
    """README's text with the current course map between the markers. Raises ValueError when they are missing."""
    new, count = re.subn(
        re.escape(BEGIN) + r".*?" + re.escape(END),
        lambda _: f"{BEGIN}\n{course_map.markdown('notebooks/')}\n{END}",
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"README.md must hold the markers {BEGIN!r} and {END!r} once")
    return new


def draw_picture(target: Path) -> None:
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
    temporary = target.with_suffix(".partial")
    temporary.write_bytes(sb.plots.png(fig))
    temporary.replace(target)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["map", "picture"])
    if parser.parse_args().what == "map":
        README.write_text(with_map(README.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        draw_picture(ROOT / "data" / "sample" / "readme.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
