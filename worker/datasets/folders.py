"""Class folders: `DIR/CLASS/*`, and `DIR/{train,val,test}/CLASS/*`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from worker.datasets.dataset import Item, Split, split_named
from worker.datasets.findings import Finding, Kind
from worker.datasets.reading import Contents, in_order
from worker.image_formats import IMAGE_SUFFIXES, ImageFormat

__all__ = [
    "count_images",
    "is_file",
    "is_folder",
    "is_hidden",
    "read_class_folders",
    "read_split_folders",
]

MAGIC_BYTES = 32
"""First bytes of a file by which its format is recognised."""

_LEFT_BY_SYSTEMS = frozenset({"thumbs.db", "desktop.ini", "__macosx", "$recycle.bin"})


def count_images(directory: Path) -> int:
    """Count the images that are in a directory itself.

    Returns:
        How many files are taken for images.

    Raises:
        OSError: the directory cannot be read.
    """
    return sum(_is_image(entry) for entry in _listed(directory) if not is_folder(entry))


def read_class_folders(directory: Path) -> Contents:
    """Read `DIR/CLASS/*`: each folder is a class, and the images in it are of that class.

    Returns:
        The images, sorted by name.

    Raises:
        OSError: a folder cannot be read.
    """
    contents = Contents()
    _read_classes(directory, "", None, contents)
    contents.labels = in_order(contents.labels)
    return contents


def read_split_folders(directory: Path) -> Contents:
    """Read `DIR/{train,val,test}/CLASS/*`.

    Returns:
        The images, split by split and sorted by name; the classes of all splits.

    Raises:
        OSError: a folder cannot be read.
    """
    contents = Contents()
    for entry in _listed(directory):
        split = split_named(entry.name)
        if split is not None and is_folder(entry):
            _read_classes(Path(entry.path), f"{entry.name}/", split, contents)
        else:
            message = "is not read: it is in none of train, val and test"
            contents.findings.append(Finding(Kind.NOT_READ, entry.name, message))
    contents.labels = in_order(contents.labels)
    return contents


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that people do not see: nothing is said about it.

    Returns:
        True for `.DS_Store`, `Thumbs.db` and the like.
    """
    return name.startswith(".") or name.lower() in _LEFT_BY_SYSTEMS


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a directory, or a link to one.

    Returns:
        False also for a link that leads nowhere, or in a circle.
    """
    try:
        return entry.is_dir()
    except OSError:
        return False


def is_file(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a plain file, or a link to one.

    Returns:
        False also for a link that leads nowhere, or in a circle.
    """
    try:
        return entry.is_file()
    except OSError:
        return False


def _read_classes(directory: Path, prefix: str, split: Split | None, contents: Contents) -> None:
    for entry in _listed(directory):
        if is_folder(entry):
            contents.labels.append(entry.name)
            _read_class(entry, prefix, split, contents)
        else:
            message = "is not read: it is in no class's folder"
            contents.findings.append(Finding(Kind.NOT_READ, f"{prefix}{entry.name}", message))


def _read_class(
    folder: os.DirEntry[str], prefix: str, split: Split | None, contents: Contents
) -> None:
    for entry in _listed(Path(folder.path)):
        name = f"{prefix}{folder.name}/{entry.name}"
        if is_folder(entry):
            if next(_listed(Path(entry.path)), None) is None:
                continue
            finding = Finding(
                Kind.NESTED,
                f"{name}/",
                f"is a folder within the class {folder.name!r}: move its images into the class's "
                "own folder, or make it a class of its own",
            )
            contents.findings.append(finding)
        elif _is_image(entry):
            contents.items.append(Item(Path(entry.path), name, folder.name, split))
        else:
            message = "is not read: it is no plain file"
            if is_file(entry):
                message = "is not read: it is not called like an image, and is none that is known"
            contents.findings.append(Finding(Kind.NOT_READ, name, message))


def _listed(directory: Path) -> Iterator[os.DirEntry[str]]:
    """What a directory holds, sorted by name, but for hidden entries."""
    with os.scandir(directory) as entries:
        yield from sorted(
            (entry for entry in entries if not is_hidden(entry.name)), key=lambda entry: entry.name
        )


def _is_image(entry: os.DirEntry[str]) -> bool:
    """Whether it is taken for an image: by its suffix, or by its first bytes where that says none.

    A broken link that is called like an image is one: decoding it says what is wrong. A pipe is
    none, since reading it could block forever.
    """
    if Path(entry.name).suffix.lower() in IMAGE_SUFFIXES:
        return is_file(entry) or entry.is_symlink()
    return is_file(entry) and _begins_like_an_image(Path(entry.path))


def _begins_like_an_image(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            beginning = file.read(MAGIC_BYTES)
    except OSError:
        return False
    return any(each.magic.match(beginning) for each in ImageFormat)
