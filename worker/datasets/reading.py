"""What all layouts have in common: what is gathered, the text of lists, and the paths in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from worker.errors import DatasetError

if TYPE_CHECKING:
    from worker.datasets.dataset import Item
    from worker.datasets.findings import Finding

__all__ = ["MAX_LINE", "Contents", "Root", "in_order", "leads_out", "numbered_lines", "text_lines"]

MAX_LIST_BYTES = 2**30
"""Of a list: ten times that of a million images with long names."""

MAX_LINE = 2**16
"""Characters of a line of a list."""


@dataclass(slots=True)
class Contents:
    """What was read of a data set."""

    items: list[Item] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Root:
    """Where the paths of a list begin.

    Attributes:
        directory: of the list.
        within: whether paths that lead out of it are refused: those of an archive, which somebody
            else may have made. The user's own lists may name any file.
    """

    directory: Path
    within: bool = False

    def find(self, text: str, where: str) -> Path:
        """Find the file that a list names.

        Args:
            text: as the list has it; backslashes may separate folders.
            where: the list and its line, for the error.

        Returns:
            Its path; whether it exists is not known.

        Raises:
            DatasetError: it leads out of an archive.
        """
        if self.within and leads_out(text):
            raise DatasetError(f"{where} is refused: {text[:200]!r} leads out of the archive")
        path = self.directory / text
        if "\\" not in text or path.exists():
            return path
        return self.directory / text.replace("\\", "/")


def leads_out(text: str) -> bool:
    """Whether a path could lead out of the directory that it is relative to.

    Returns:
        True for absolute paths, those with a drive and those with `..`, of any system.
    """
    windows = PureWindowsPath(text)
    return bool(windows.anchor) or PurePosixPath(text).is_absolute() or ".." in windows.parts


def text_lines(path: Path, newline: str) -> Iterator[str]:
    """Read a list, however long it is, line by line.

    Args:
        newline: as for `open`: what ends a line.

    Yields:
        Each line, with what ends it.

    Raises:
        DatasetError: it is too large, or no text in UTF-8.
        OSError: it cannot be read.
    """
    if path.stat().st_size > MAX_LIST_BYTES:
        raise DatasetError(f"{path.name} has more than {MAX_LIST_BYTES >> 20} MiB: is it a list?")
    number = 1
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            while line := file.readline(MAX_LINE):
                if len(line) == MAX_LINE:
                    raise DatasetError(
                        f"{path.name}:{number} has more than {MAX_LINE} characters: is it a list?"
                    )
                yield line
                number += 1
    except UnicodeDecodeError as error:
        raise DatasetError(
            f"{path.name} is no text in UTF-8 (about line {number}): save it as UTF-8"
        ) from error


def numbered_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Read a list with an entry on each line.

    Yields:
        The number of each line, from 1, and its text; empty ones are left out.

    Raises:
        DatasetError: it is too large, or no text in UTF-8.
        OSError: it cannot be read.
    """
    # Signs that Unicode calls line breaks may be in names.
    for number, line in enumerate(text_lines(path, "\n"), start=1):
        if text := line.strip():
            yield number, text


def in_order(names: Iterable[str]) -> list[str]:
    """Sort the names of classes, which have no ids: by number if all are numbers, else as text.

    Returns:
        Each name once.
    """
    distinct = set(names)
    if all(name.isascii() and name.isdigit() and len(name) < 10 for name in distinct):
        return sorted(distinct, key=lambda name: (int(name), name))
    return sorted(distinct)
