"""The list of classes of a folder: one a line, in the forms that people and annotation tools write.

Every line has the same form, one of these:

- ``NAME``: the lines stand for the numbers 0, 1, 2, … in order;
- ``NUMBER NAME``, such as ``255 foreground``: space, comma, colon, semicolon, equals sign or tab may stand between;
- ``RED GREEN BLUE NAME``, or the colour behind the name (``NAME,RED,GREEN,BLUE``), or CVAT's ``NAME:RED,GREEN,BLUE::``.

Blank lines and lines that start with ``#`` are skipped, and so is a heading (``id name``) over lines with numbers. A name
in quotes may hold anything. ``void``, ``ignore`` and LabelMe's ``__ignore__``, in any case, mark pixels to ignore; LabelMe's
``_background_`` is ``background``. What fits no form is refused with its line: a line taken for something else would
shift every class behind it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from segbook.data.files import BadData, printable

VOID_WORDS = {"void", "ignore", "ignored", "__ignore__", "_ignore_"}
BACKGROUND_WORDS = {"background", "_background_", "__background__"}
_HEADING = {
    *("id", "ids", "name", "names", "class", "classes", "label", "labels", "category", "categories", "index", "value"),
    *("number", "pixel", "red", "green", "blue", "r", "g", "b", "color", "colour", "rgb", "class_name", "class_id"),
}
#: In a list of bare names, these alone in the first line are taken for a heading that somebody forgot.
_LONE_HEADING = {"id", "name", "names", "class", "classes", "label", "labels", "category", "class_name"}

_APART = r"[\s,:;=]+"
_FORMS = {
    "colors": (
        rf"(?P<r>[0-9]+){_APART}(?P<g>[0-9]+){_APART}(?P<b>[0-9]+){_APART}(?P<name>\S.*)",
        r"(?P<name>\S.*?)\s*:\s*(?P<r>[0-9]+)\s*,\s*(?P<g>[0-9]+)\s*,\s*(?P<b>[0-9]+)\s*:[^:]*:[^:]*",
        rf"(?P<name>\S.*?){_APART}(?P<r>[0-9]+){_APART}(?P<g>[0-9]+){_APART}(?P<b>[0-9]+)",
    ),
    "numbers": (rf"(?P<number>[0-9]+){_APART}(?P<name>\S.*)",),
}


@dataclass(frozen=True)
class ClassList:
    """``kind``: "names", "numbers" or "colors"; ``entries``: (number, or (red, green, blue), or None; name), in order."""

    path: Path
    kind: str
    entries: list[tuple[int | tuple[int, int, int] | None, str]]

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.entries]


def read_class_list(path: Path) -> ClassList:
    """Read a list of classes. Raises ``BadData`` with the line that does not fit."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is not UTF-8 text ({error}); save it as UTF-8") from error
    lines = [line for line in lines if line and not line.startswith("#")]
    for kind, patterns in _FORMS.items():
        for pattern in patterns:
            matches = [re.fullmatch(pattern, line) for line in lines]
            if len(lines) > 1 and not matches[0] and _is_heading(lines[0]):
                matches = matches[1:]
            if matches and all(matches):
                return ClassList(path, kind, [(_key(path, kind, m), _name(path, m[0], m["name"])) for m in matches])
            if sum(map(bool, matches)) >= max(len(matches) / 2, 1):  # fewer: names such as `2 wheeler`
                wrong = next(line for line, match in zip(lines[-len(matches) :], matches) if not match)
                raise _refused(
                    path, wrong, f"the others have {'a colour' if kind == 'colors' else 'a number'} and a name"
                )
    return ClassList(path, "names", [(None, name) for name in _bare_names(path, lines)])


def _is_heading(line: str) -> bool:
    return set(filter(None, re.split(r"[\s,:;=/()\"']+", line.lower()))) <= _HEADING


def _key(path: Path, kind: str, match: re.Match):
    if kind == "numbers":
        number = int(match["number"])
        if number > 255:
            raise BadData(f"{path}: a label map holds numbers from 0 to 255; got {number}")
        return number
    return tuple(int(match[channel]) for channel in "rgb")


def _name(path: Path, line: str, text: str) -> str:
    """The name as it stands, out of its quotes, and the same word for void and background however they are written."""
    quoted = re.fullmatch(r"\"([^\"]+)\"|'([^']+)'", text)
    name = (quoted[1] or quoted[2]).strip() if quoted else text
    if not quoted and (re.search(r"[#\"{}\[\]]", name) or re.search(r"[,;:=]", name)):
        raise _refused(path, line, "a name with such signs stands in quotes")
    if name.lower() in VOID_WORDS:
        return "void"
    return "background" if name.lower() in BACKGROUND_WORDS - {"background"} else name


def _bare_names(path: Path, lines: list[str]) -> list[str]:
    if lines and lines[0].lower() in _LONE_HEADING:
        raise _refused(path, lines[0], "remove a heading, or begin it with #; put a class of this name in quotes")
    names = []
    for line in lines:
        if re.match(r"[-*]\s", line):
            raise _refused(path, line, "a line is a name, without a dash")
        if re.fullmatch(r"[-+]?[0-9]+", line):
            raise _refused(path, line, "a number without a name")
        names.append(_name(path, line, line))
    numbered = [re.fullmatch(rf"(?:.*\D)??{_APART}([0-9]+)", line) for line in lines]
    # `class 0`, `class 1` … in order mean the same either way; `road 1` before `field 0` does not.
    if lines and all(numbered) and [int(match[1]) for match in numbered] != list(range(len(lines))):
        raise _refused(path, lines[0], "is that its number? Write it first, as in `1 road`, or the name in quotes")
    # LabelMe's own list begins with __ignore__, which stands for no number: the classes count from 0 behind it.
    if len(lines) > 1 and lines[0].lower() == "__ignore__" and lines[1].lower() == "_background_":
        names = [*names[1:], names[0]]
    return names


def _refused(path: Path, line: str, why: str) -> BadData:
    return BadData(f"{path}: the line `{printable(line)}` does not fit: {why}")
