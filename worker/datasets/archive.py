"""Unpacks a data set from a ZIP file that may have been made to do harm."""

from __future__ import annotations

import io
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from worker.datasets.folders import is_hidden
from worker.datasets.reading import leads_out
from worker.errors import DatasetError

__all__ = ["is_archive", "unpack"]

SUFFIX = ".zip"

MAX_MEMBERS = 2_000_000
"""ImageNet has 1.3 million images."""

MAX_TABLE_BYTES = 2**28
"""Of the archive's own table of its members, which is read as a whole: 128 bytes for each."""

MAX_DEPTH = 32
"""Folders within folders."""

MAX_RATIO = 200
"""How many times its own size an archive may unpack to: images are compressed already."""

SMALL = 2**30
"""Bytes that any archive may unpack to, whatever its own size."""

LEFT_FREE = 2**30
"""Bytes of the disk that are left to others."""

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others take as much memory as the archive says."""

_ENCRYPTED = 0x1
_UNIX = 3


def is_archive(path: Path) -> bool:
    """Whether a file is a ZIP file, by its name.

    Returns:
        True for `.zip`.
    """
    return path.suffix.lower() == SUFFIX


def unpack(archive: Path, target: Path) -> None:
    """Write the files of a ZIP file into the existing directory `target`.

    Hidden files are left where they are. An archive with anything but files and directories, with a
    path that leads out of it, or that unpacks to more than there is room for, is refused as a
    whole, before anything is written.

    Raises:
        DatasetError: the archive is damaged or refused.
        OSError: it cannot be read, or the disk is full or cannot be written.
    """
    name = archive.name
    try:
        with _BoundedFile(archive) as file, zipfile.ZipFile(file) as opened:
            _check_sizes(opened, archive, target)
            for member, path in list(_files(opened, name)):
                _write(opened, member, target / path, name)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        ValueError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        # ValueError and those after it: of what zipfile finds in fields that are nonsense.
        raise DatasetError(f"{name} is damaged or no ZIP file: {error}") from error


class _BoundedFile(io.BufferedReader):
    """A file of which zipfile reads no more at once than is good for the memory."""

    def __init__(self, path: Path) -> None:
        super().__init__(io.FileIO(path))
        self._size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self._size - self.tell() if size is None or size < 0 else size
        if wanted > MAX_TABLE_BYTES:
            raise DatasetError(
                f"{Path(str(self.name)).name} is refused: its table of members has more than "
                f"{MAX_TABLE_BYTES >> 20} MiB"
            )
        return super().read(size)


def _check_sizes(opened: zipfile.ZipFile, archive: Path, target: Path) -> None:
    name, members = archive.name, opened.infolist()
    if len(members) > MAX_MEMBERS:
        raise DatasetError(f"{name} is refused: it has more than {MAX_MEMBERS} members")
    total = sum(member.file_size for member in members)
    if total > max(SMALL, archive.stat().st_size * MAX_RATIO):
        raise DatasetError(
            f"{name} is refused: it unpacks to more than {MAX_RATIO} times its size, which images "
            "do not; unpack it yourself, and name the directory"
        )
    free = shutil.disk_usage(target).free - LEFT_FREE
    if total > free:
        raise DatasetError(
            f"{name} unpacks to {total >> 20} MiB, but {target.parent} has room for "
            f"{max(0, free) >> 20}: set TMPDIR to a larger place, or unpack it yourself and name "
            "the directory"
        )


def _files(opened: zipfile.ZipFile, name: str) -> Iterator[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """The files to write; all members are checked."""
    seen: set[PurePosixPath] = set()
    for member in opened.infolist():
        problem = _problem(member)
        path = PurePosixPath(member.filename)
        if problem is None and path in seen:
            problem = "is there twice"
        if problem is not None:
            raise DatasetError(f"{name} is refused: {member.filename[:200]!r} {problem}")
        seen.add(path)
        if not member.is_dir() and not any(map(is_hidden, path.parts)):
            yield member, path


def _problem(member: zipfile.ZipInfo) -> str | None:
    path = PurePosixPath(member.filename)
    mode = stat.S_IFMT(member.external_attr >> 16) if member.create_system == _UNIX else 0
    problem = None
    if mode == stat.S_IFLNK:
        problem = "is a link"
    elif mode not in (0, stat.S_IFREG, stat.S_IFDIR):
        problem = "is neither a plain file nor a directory"
    elif leads_out(member.filename) or "\\" in member.filename or not path.parts:
        problem = "has a path that leads out of the archive"
    elif len(path.parts) > MAX_DEPTH:
        problem = f"is more than {MAX_DEPTH} folders deep"
    elif member.flag_bits & _ENCRYPTED:
        problem = "is encrypted: pack the images without a password"
    elif member.compress_type not in METHODS:
        problem = "is compressed in an unusual way: pack the images with the usual one (deflate)"
    return problem


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, name: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # No more comes out than the member's size says, and it has to fit its checksum.
        with opened.open(member) as content, path.open("xb") as file:
            shutil.copyfileobj(content, file)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise DatasetError(
            f"{name} is refused: {member.filename[:200]!r} is a file and a folder"
        ) from error
