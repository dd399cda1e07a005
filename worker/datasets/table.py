"""A CSV file with the columns `path`, `label` and, if it says what images are for, `split`."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.datasets.dataset import Item, Split, split_named
from worker.datasets.findings import Finding, Kind
from worker.datasets.reading import MAX_LINE, Contents, Root, in_order, text_lines
from worker.errors import DatasetError

__all__ = ["is_table", "read_table"]

DELIMITERS = ",;\t"
"""Spreadsheets write semicolons in many countries."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where the columns are.

    Attributes:
        split: None where there is no such column.
        count: of the header.
        delimiter: between them.
    """

    path: int
    label: int
    split: int | None
    count: int
    delimiter: str


def is_table(path: Path) -> bool:
    """Whether a file is a table of images, by its first line.

    Returns:
        False for any other CSV file.

    Raises:
        OSError: it cannot be read.
    """
    return _find_columns(path) is not None


def read_table(root: Root, file: str) -> Contents:
    """Read the images, row by row.

    Returns:
        The images; their classes, sorted.

    Raises:
        DatasetError: it lacks the first line, or is no text; a path leads out of an archive.
        OSError: it cannot be read.
    """
    path = root.directory / file
    columns = _find_columns(path)
    if columns is None:
        raise DatasetError(
            f"{path.name} is to begin with the line 'path,label' or 'path,label,split', which "
            "names its columns"
        )
    contents = Contents()
    for line, row in _rows(path, file, columns.delimiter):
        found = _read_row(root, f"{file}:{line}", row, columns)
        if isinstance(found, Item):
            contents.items.append(found)
        else:
            contents.findings.append(Finding.of_line(Kind.BAD_LINE, file, line, found))
    contents.labels = in_order(item.label for item in contents.items)
    return contents


def _read_row(root: Root, where: str, row: Sequence[str], columns: _Columns) -> Item | str:
    """The image of a row, or what is wrong with it."""
    if len(row) != columns.count:
        remedy = f"put a value that has a {columns.delimiter!r} between double quotes"
        few = "leave a value empty rather than out"
        return (
            f"has values for {len(row)} of {columns.count} columns: "
            f"{few if len(row) < columns.count else remedy}"
        )
    name, label = row[columns.path].strip(), row[columns.label].strip()
    if not name or not label:
        return f"has no {'label' if name else 'path'}"
    split: Split | None = None
    if columns.split is not None and (said := row[columns.split].strip()):
        split = split_named(said)
        if split is None:
            return f"has the split {said[:40]!r}: write train, val or test, or nothing"
    return Item(root.find(name, where), name, label, split)


def _find_columns(path: Path) -> _Columns | None:
    with path.open("rb") as file:
        # What is no UTF-8 is told when it is read.
        first = file.readline(MAX_LINE).decode("utf-8-sig", "replace").strip()
    for delimiter in DELIMITERS:
        names = [name.strip(' "').lower() for name in first.split(delimiter)]
        if {"path", "label"} <= set(names):
            split = names.index("split") if "split" in names else None
            return _Columns(names.index("path"), names.index("label"), split, len(names), delimiter)
    return None


def _rows(path: Path, file: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """The rows below the first one that are not empty, each with the line on which it begins."""
    reader = csv.reader(text_lines(path, ""), delimiter=delimiter, strict=True)
    begun, header = 1, True
    try:
        for row in reader:
            if any(map(str.strip, row)):
                if not header:
                    yield begun, row
                header = False
            begun = reader.line_num + 1
    except csv.Error as error:
        # Where the row begins: a quote that is never closed is noticed at the end of the file.
        raise DatasetError(
            f"{file}:{begun} is damaged, or this is no CSV file: {error}; look for a double quote "
            "that is not closed there, or write it twice inside of a value"
        ) from error
