"""COCO's annotations as label maps: images/, masks/ and classes.txt, which the ``folder`` data set reads."""

import json
import shutil
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from segbook._bars import progress
from segbook.data.files import BadData, DataNotFound, atomic_open, write_text
from segbook.data.layouts import PARTS


def import_coco(folder: Path, out: Path) -> int:
    """Write what the COCO files below ``folder`` say to ``out`` and return the number of images.

    Polygons, run lengths and crowds are filled by pycocotools; larger things first, so that small ones stay visible. What
    nothing covers is ``background``. A JSON in a folder called train, valid or test gives that part in ``splits.csv``.
    Raises ``DataNotFound`` and ``BadData``, and ``FileExistsError`` when ``out`` is not empty.
    """
    from pycocotools import mask as runs

    if not folder.is_dir():
        raise DataNotFound(f"there is no folder {folder}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"{out} is not empty; choose another folder")
    sheets = [(path, sheet) for path in sorted(folder.rglob("*.json")) if (sheet := _coco(path))]
    if not sheets:
        raise DataNotFound(f"{folder} holds no COCO file: a JSON with images, annotations and categories")
    names: dict[str, int] = {}
    rows, taken = [], set()
    for path, sheet in sheets:
        try:
            number = {c["id"]: names.setdefault(c["name"], len(names) + 1) for c in sheet["categories"]}
            shapes: dict = {}
            for shape in sheet["annotations"]:
                shapes.setdefault(shape["image_id"], []).append(shape)
            for about in progress(sheet["images"], description=path.name, disable=len(sheet["images"]) <= 100):
                source = _image(path, folder, about["file_name"])
                height, width = int(about["height"]), int(about["width"])
                with Image.open(source) as image:
                    if image.size != (width, height):
                        raise BadData(f"{source} is {image.height}x{image.width}, {path.name} says {height}x{width}")
                labels = np.zeros((height, width), np.uint8)
                filled = []
                for shape in shapes.get(about["id"], []):
                    drawn = shape["segmentation"]
                    if isinstance(drawn, list):
                        drawn = runs.merge(runs.frPyObjects(drawn, height, width)) if drawn else None
                    elif isinstance(drawn["counts"], list):
                        drawn = runs.frPyObjects(drawn, height, width)
                    if drawn is not None:
                        filled.append((number[shape["category_id"]], runs.decode(drawn).astype(bool)))
                for index, inside in sorted(filled, key=lambda one: -int(one[1].sum())):
                    labels[inside] = index
                if source.stem in taken:
                    raise BadData(f"{source}: two images are called {source.stem}; rename one")
                taken.add(source.stem)
                (out / "images").mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, out / "images" / source.name)
                with atomic_open(out / "masks" / f"{source.stem}.png") as file:
                    Image.fromarray(labels).save(file, "PNG")
                rows.append((source.stem, PARTS.get(path.parent.name.lower(), "")))
        except (KeyError, TypeError, IndexError) as error:
            raise BadData(f"{path}: is no COCO file as it should be ({type(error).__name__}: {error})") from error
    used = [name for name in names if not name.lower().startswith("background")]
    if len(used) < len(names) or len(names) > 254:
        raise BadData(f"{folder}: {len(names)} categories; up to 254 are written, none called background")
    write_text(out / "classes.txt", "\n".join(["background", *(f'"{name}"' for name in names)]) + "\n")
    if all(part for _, part in rows) and len({part for _, part in rows}) > 1:
        write_text(out / "splits.csv", "\n".join(["name,split", *(f'"{name}",{part}' for name, part in rows)]) + "\n")
    return len(rows)


def _coco(path: Path) -> dict | None:
    try:
        sheet = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return None
    fits = isinstance(sheet, dict) and all(
        isinstance(sheet.get(k), list) for k in ("images", "annotations", "categories")
    )
    return sheet if fits else None


def _image(sheet: Path, folder: Path, name: str) -> Path:
    """The image of a COCO file: beside it, in images/ or anywhere below the folder; never outside."""
    name = PurePosixPath(str(name)).name
    for place in (sheet.parent, folder / "images", folder):
        if (place / name).is_file():
            return place / name
    found = sorted(path for path in folder.rglob("*") if path.name == name)
    if not found:
        raise BadData(f"{sheet}: its image {name} is not below {folder}")
    return found[0]
