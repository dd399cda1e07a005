"""Opens a data set in whichever layout it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from worker.datasets.dataset import Dataset, split_named
from worker.datasets.folders import is_hidden, read_class_folders, read_split_folders
from worker.errors import DatasetError

__all__ = ["LAYOUTS", "open_dataset"]

LAYOUTS = """\
    DIR/CLASS/*                     a folder for each class
    DIR/{train,val,test}/CLASS/*    the same, split"""
"""The layouts that are accepted, for messages."""

MOST_SHOWN = 5
"""Findings that an error names."""


@contextmanager
def open_dataset(data: str | Path, *, strict: bool = True) -> Iterator[Dataset]:
    """Open a data set for as long as the block runs; nothing of the user's is ever written.

    Args:
        data: a directory in one of `LAYOUTS`.
        strict: whether a data set whose layout is wrong somewhere is refused; else its `findings`
            say where, and `items` has the rest.

    Yields:
        The data set; its images have not been opened.

    Raises:
        DatasetError: there is none, or it cannot be used; the message says what to change.
    """
    dataset = _read(str(data), Path(data).expanduser())
    if strict:
        _refuse_wrong(dataset)
    yield dataset


def _read(source: str, path: Path) -> Dataset:
    try:
        if not path.is_dir():
            what = "is no directory" if path.exists() else "does not exist"
            raise DatasetError(f"the data set {source} {what}; a data set is\n{LAYOUTS}")
        dataset = _read_directory(source, path)
    except OSError as error:
        raise DatasetError(
            f"the data set {source} cannot be read: {error.filename}: {error.strerror}"
        ) from error
    if not dataset.items:
        raise DatasetError(
            f"the data set {source} holds no labelled image; a data set is\n{LAYOUTS}"
        )
    return dataset


def _read_directory(source: str, directory: Path) -> Dataset:
    if any(map(split_named, _folders(directory))):
        layout, contents = "split class folders", read_split_folders(directory)
    else:
        layout, contents = "class folders", read_class_folders(directory)
    return Dataset(
        source, layout, tuple(contents.items), tuple(contents.labels), tuple(contents.findings)
    )


def _folders(directory: Path) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.name for entry in entries if entry.is_dir() and not is_hidden(entry.name)]


def _refuse_wrong(dataset: Dataset) -> None:
    wrong = [finding for finding in dataset.findings if finding.kind.wrong]
    if not wrong:
        return
    shown = "\n".join(f"    {finding}" for finding in wrong[:MOST_SHOWN])
    more = f"\n    and {len(wrong) - MOST_SHOWN} more" if len(wrong) > MOST_SHOWN else ""
    raise DatasetError(
        f"the data set {dataset.source} is refused:\n{shown}{more}\n"
        "`classify-worker dataset check` lists all that is wrong with it"
    )
