"""PaddleX's layout: `label.txt` has the classes, `train.txt`, `val.txt` and `test.txt` the images.

A line of `label.txt` is `0 name of the class`; one of the others `images/a photo.jpg 0`.
"""

from __future__ import annotations

import re
from pathlib import Path

from worker.datasets.dataset import SPLITS, Item, Split
from worker.datasets.findings import Finding, Kind
from worker.datasets.reading import Contents, Root, numbered_lines
from worker.errors import DatasetError

__all__ = ["has_lists", "read_lists"]

LABELS = "label.txt"

LISTS: dict[str, Split] = {f"{each}.txt": each for each in SPLITS}

MOST_MISSING = 10
"""Missing ids that are named."""

_ID = re.compile(r"[0-9]{1,9}")


def has_lists(directory: Path) -> bool:
    """Whether a directory is in this layout.

    Returns:
        True if one of its files is there; the others may be missing.
    """
    return any((directory / name).is_file() for name in (LABELS, *LISTS))


def read_lists(root: Root) -> Contents:
    """Read the classes, and the images line by line.

    Returns:
        The images of all lists; the classes in the order of their ids.

    Raises:
        DatasetError: a file that is needed is missing, or is no text; a path leads out of an
            archive.
        OSError: a file cannot be read.
    """
    directory = root.directory
    lists = {name: split for name, split in LISTS.items() if (directory / name).is_file()}
    if not (directory / LABELS).is_file():
        raise DatasetError(
            f"there is {' and '.join(lists)}, but no {LABELS}: write one with a line for each "
            "class, such as '0 name of the class'"
        )
    if not lists:
        raise DatasetError(
            f"there is {LABELS}, but none of {', '.join(LISTS)}: write one with a line for each "
            "image, such as 'images/a photo.jpg 0'"
        )
    contents = Contents()
    names = _read_labels(directory / LABELS, contents)
    for file, split in lists.items():
        _read_list(root, file, split, names, contents)
    return contents


def _read_labels(path: Path, contents: Contents) -> dict[int, str]:
    """The names of the classes by their ids, in that order."""
    names: dict[int, str] = {}
    taken: set[str] = set()

    def note(kind: Kind, line: int, message: str) -> None:
        contents.findings.append(Finding.of_line(kind, LABELS, line, message))

    for number, line in numbered_lines(path):
        class_id, name = [*line.split(None, 1), ""][:2]
        if not _ID.fullmatch(class_id) or not name:
            note(Kind.BAD_LINE, number, f"{line[:80]!r} is not as '0 name of the class'")
        elif int(class_id) in names:
            owner = names[int(class_id)]
            note(Kind.REPEATED_LABEL, number, f"the id {class_id} is that of {owner!r} already")
        elif name in taken:
            note(Kind.REPEATED_LABEL, number, f"the class {name!r} has an id already")
        else:
            names[int(class_id)] = name
            taken.add(name)
    missing = _missing(names)
    if missing:
        message = (
            f"the ids are to run from 0 to {len(names) - 1} without a gap, for {len(names)} "
            f"classes: {missing} missing"
        )
        contents.findings.append(Finding(Kind.ID_GAP, LABELS, message))
    contents.labels = [names[each] for each in sorted(names)]
    return names


def _missing(names: dict[int, str]) -> str:
    """Which ids are missing, for a sentence; empty if none is."""
    missing: list[int] = []
    expected = 0
    for each in sorted(names):
        # The gap may be of millions.
        missing += range(expected, min(each, expected + MOST_MISSING + 1))
        expected = each + 1
    if not missing:
        return ""
    shown = ", ".join(map(str, missing[:MOST_MISSING]))
    more = " and more" if len(missing) > MOST_MISSING else ""
    return f"{shown}{more} {'is' if len(missing) == 1 else 'are'}"


def _read_list(
    root: Root, file: str, split: Split, names: dict[int, str], contents: Contents
) -> None:
    def note(kind: Kind, line: int, message: str) -> None:
        contents.findings.append(Finding.of_line(kind, file, line, message))

    for number, line in numbered_lines(root.directory / file):
        # At the last space: names of files have some as well.
        name, class_id = ["", *line.rsplit(None, 1)][-2:]
        if not name or not _ID.fullmatch(class_id):
            note(
                Kind.BAD_LINE,
                number,
                f"{line[-80:]!r} is not as 'images/a photo.jpg 0': it does not end in a space and "
                f"an id of {LABELS}",
            )
        elif int(class_id) not in names:
            note(
                Kind.UNKNOWN_ID,
                number,
                f"{name!r} has the class id {class_id}, which is not in {LABELS}: correct it, or "
                "add the class there",
            )
        else:
            path = root.find(name, f"{file}:{number}")
            contents.items.append(Item(path, name, names[int(class_id)], split))
