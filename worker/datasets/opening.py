"""Opens a data set in whichever layout it is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from worker.datasets.archive import is_archive, unpack
from worker.datasets.dataset import Dataset, split_named
from worker.datasets.findings import Finding, Kind
from worker.datasets.folders import (
    count_images,
    is_file,
    is_folder,
    is_hidden,
    read_class_folders,
    read_split_folders,
)
from worker.datasets.lists import has_lists, read_lists
from worker.datasets.reading import Contents, Root
from worker.datasets.table import is_table, read_table
from worker.errors import DatasetError
from worker.model.labels import objection_to
from worker.runtime.scratch import scratch_directory

__all__ = ["LAYOUTS", "open_dataset"]

LAYOUTS = """\
    DIR/CLASS/*                     a folder of images for each class
    DIR/{train,val,test}/CLASS/*    the same, split
    DIR/label.txt, DIR/train.txt    PaddleX's lists: '0 name of the class', 'images/a photo.jpg 0'
    FILE.csv                        with the columns path,label or path,label,split
    FILE.zip                        any of these, packed"""
"""The layouts that are accepted, for messages."""

MOST_SHOWN = 5
"""Findings that an error names."""

MOST_WRAPPED = 3
"""Folders around a data set, as an archive often has one."""


@contextmanager
def open_dataset(data: str | Path, *, strict: bool = True) -> Iterator[Dataset]:
    """Open a data set for as long as the block runs; nothing of the user's is ever written.

    Args:
        data: a directory or file in one of `LAYOUTS`. A ZIP file is unpacked where temporary files
            are kept, and removed again.
        strict: whether a data set whose layout is wrong somewhere is refused; else its `findings`
            say where, and `items` has the rest.

    Yields:
        The data set; its images have not been opened.

    Raises:
        DatasetError: there is none, or it cannot be used; the message says what to change.
    """
    if data == "":
        # A path without a name would be the current directory.
        raise DatasetError("the data set has no name: give a directory, or a file")
    source, path = str(data), Path(data).expanduser()
    with ExitStack() as stack:
        dataset = _open(source, path, stack)
        if not dataset.items and not any(each.kind.wrong for each in dataset.findings):
            raise DatasetError(
                f"{source} holds no labelled image{_own_images(path)}; a data set is\n{LAYOUTS}"
            )
        if strict:
            _refuse_wrong(dataset)
        yield dataset


def _own_images(path: Path) -> str:
    """What follows where nothing is labelled: the folder of one class was given, most likely."""
    count = count_images(path) if path.is_dir() else 0
    if not count:
        return ""
    lie = "1 image lies" if count == 1 else f"{count} images lie"
    parent = path.absolute().parent
    return f", but {lie} in it directly: if it is the folder of a class, give its parent, {parent}"


def _open(source: str, path: Path, stack: ExitStack) -> Dataset:
    try:
        layout, contents = _read(path, stack)
    except DatasetError as error:
        raise DatasetError(f"the data set {source} cannot be used: {error}") from error
    except (OSError, ValueError) as error:
        # ValueError: of names that no file can have.
        why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        raise DatasetError(f"the data set {source} cannot be used: {why}") from error
    findings = (*contents.findings, *_bad_labels(contents.labels))
    return Dataset(source, layout, tuple(contents.items), tuple(contents.labels), findings)


def _bad_labels(labels: Iterable[str]) -> Iterator[Finding]:
    """Names of classes that no model could answer with."""
    for label in labels:
        if (objection := objection_to(label)) is not None:
            yield Finding(Kind.BAD_LABEL, label, f"the class's name {objection}: rename the class")


def _read(path: Path, stack: ExitStack) -> tuple[str, Contents]:
    """Recognise the layout, and read it."""
    if path.is_dir():
        return _read_directory(Root(path))
    if not path.exists():
        raise DatasetError("it does not exist")
    if is_archive(path):
        directory = stack.enter_context(scratch_directory())
        unpack(path, directory)
        layout, contents = _read_directory(Root(directory, within=True))
        return f"ZIP file of {layout}", contents
    if path.is_file() and is_table(path):
        return "CSV file", read_table(Root(path.parent), path.name)
    raise DatasetError(_not_known(path))


def _not_known(path: Path) -> str:
    if path.suffix.lower() == ".csv":
        return (
            f"{path.name} is to begin with the line 'path,label' or 'path,label,split', which "
            "names its columns, in UTF-8"
        )
    if path.suffix.lower() == ".txt":
        return "name the directory that the list is in, which has label.txt as well"
    return f"it is neither a directory nor a .csv or .zip file; a data set is\n{LAYOUTS}"


def _read_directory(root: Root) -> tuple[str, Contents]:
    for _ in range(MOST_WRAPPED):
        if (inner := _wrapped(root.directory)) is None:
            break
        root = Root(inner, root.within)
    directory = root.directory
    if has_lists(directory):
        return "PaddleX's lists", read_lists(root)
    folders, files = _folders(directory), _csv_files(directory)
    tables = [name for name in files if is_table(directory / name)]
    if len(tables) > 1:
        raise DatasetError(
            f"it has several lists of images: name one of {', '.join(tables)}, or make one of "
            "them, with a column split"
        )
    if tables or (files and not folders):
        return "CSV file", read_table(root, (tables or files)[0])
    if _are_splits(directory, folders):
        return "split class folders", read_split_folders(directory)
    return "class folders", read_class_folders(directory)


def _wrapped(directory: Path) -> Path | None:
    """The only folder in a directory, if that is a data set rather than a class of one."""
    folders = _folders(directory)
    if len(folders) != 1 or split_named(folders[0]):
        return None
    if has_lists(directory) or _csv_files(directory):
        return None
    inner = directory / folders[0]
    is_data = has_lists(inner) or any(is_table(inner / name) for name in _csv_files(inner))
    return inner if is_data or _folders(inner) else None


def _are_splits(directory: Path, folders: Sequence[str]) -> bool:
    """Whether folders are splits: a class of trains is called so as well, but has no folders."""
    splits = [name for name in folders if split_named(name)]
    if len(splits) == len(folders):
        return bool(splits)
    return any(_folders(directory / name) for name in splits)


def _folders(directory: Path) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries if is_folder(entry) and not is_hidden(entry.name)]


def _csv_files(directory: Path) -> list[str]:
    with os.scandir(directory) as entries:
        return sorted(
            entry.name
            for entry in entries
            if entry.name.lower().endswith(".csv") and is_file(entry) and not is_hidden(entry.name)
        )


def _refuse_wrong(dataset: Dataset) -> None:
    wrong = [finding for finding in dataset.findings if finding.kind.wrong]
    if wrong:
        shown = "\n".join(f"    {finding}" for finding in wrong[:MOST_SHOWN])
        more = f"\n    and {len(wrong) - MOST_SHOWN} more" if len(wrong) > MOST_SHOWN else ""
        raise DatasetError(
            f"the data set {dataset.source} has to be corrected first:\n{shown}{more}\n"
            "`classify-worker dataset check` lists all that is wrong with it"
        )
