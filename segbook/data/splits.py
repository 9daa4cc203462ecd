"""Dividing images into train, val and test, so that what belongs together stays together.

Frames of one flight, slices of one patient, photographs of one plant: near-duplicates of a training image must not
judge the net. Images are kept together by the beginning of their names (``group_of``), or by any rule handed over.
"""

import csv
import hashlib
import io
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from segbook.data.files import BadData, first_few, write_text

SHARES = {"train": 0.7, "val": 0.15, "test": 0.15}


def group_of(name: str) -> str:
    """The name without a number at its end that ``_`` or ``-`` sets apart: ``site07_2`` belongs to ``site07``."""
    match = re.fullmatch(r"(.+)[_-][0-9]+", name)
    return match[1] if match else name


def split_groups(
    names: Iterable[str], shares: dict[str, float] | None = None, seed: int = 0, group: Callable[[str], str] = group_of
) -> dict[str, list[str]]:
    """Divide ``names`` into parts such as train, val and test; a group is never cut. Returns the names by part.

    ``shares``: part → share of the images, 0.7, 0.15 and 0.15 by default. The order of the groups comes from a
    checksum of ``seed`` and group, so that it is the same on every machine and does not depend on the order of the
    names; each group goes to the part that lacks most. Raises ValueError when there are fewer groups than parts.
    """
    shares = dict(SHARES if shares is None else shares)
    if not shares or min(shares.values()) <= 0:
        raise ValueError(f"shares must be positive numbers by part, not {shares}")
    members: dict[str, list[str]] = {}
    for name in sorted(names):
        members.setdefault(group(name), []).append(name)
    if len(members) < len(shares):
        raise ValueError(
            f"{sum(map(len, members.values()))} images form {len(members)} groups ({first_few(members)}), too few for "
            f"{', '.join(shares)}: say with group= what belongs together"
        )
    order = sorted(members, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).hexdigest())
    total, whole = sum(map(len, members.values())), sum(shares.values())
    chosen: dict[str, list[str]] = {part: [] for part in shares}
    for number, name in enumerate(order):
        held = {part: sum(len(members[g]) for g in groups) for part, groups in chosen.items()}
        empty = [part for part in shares if not chosen[part]]
        # So many groups are left as parts are empty: each of these gets one.
        candidates = empty if len(order) - number <= len(empty) else shares
        part = max(candidates, key=lambda part: shares[part] / whole * total - held[part])
        chosen[part].append(name)
    return {part: sorted(name for g in groups for name in members[g]) for part, groups in chosen.items()}


def write_splits(path: Path, parts: dict[str, list[str]]) -> None:
    """Write ``splits.csv``: a line ``name,split`` for every image."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", "split"])
    writer.writerows([name, part] for part, names in parts.items() for name in names)
    write_text(Path(path), text.getvalue())


def read_splits(path: Path) -> dict[str, list[str]]:
    """Read ``splits.csv``. Raises ``BadData`` for a file of another form and for a name in two lines."""
    try:
        rows = [
            [cell.strip() for cell in row]
            for row in csv.reader(path.read_text(encoding="utf-8-sig").splitlines())
            if row
        ]
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadData(f"{path} is not a text file of lines `name,split`") from error
    if not rows or rows[0] != ["name", "split"] or any(len(row) != 2 or not all(row) for row in rows):
        raise BadData(f"{path}: the first line is `name,split`, and every other one a name and its split")
    seen: dict[str, str] = {}
    for name, part in rows[1:]:
        if name in seen:
            raise BadData(f"{path}: {name} stands there twice ({seen[name]}, {part})")
        seen[name] = part
    return {part: [name for name in seen if seen[name] == part] for part in dict.fromkeys(seen.values())}


def shared_groups(parts: dict[str, list[str]], group: Callable[[str], str] = group_of) -> dict[str, list[str]]:
    """Groups that occur in more than one part, with these parts: a leak. Names without a group are their own."""
    where: dict[str, list[str]] = {}
    for part, names in parts.items():
        for name in dict.fromkeys(map(group, names)):
            where.setdefault(name, []).append(part)
    return {name: found for name, found in where.items() if len(found) > 1}
