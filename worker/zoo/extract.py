"""Takes a model's files out of an archive that may have been made to do harm."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path, PurePosixPath

from worker.errors import ModelError
from worker.model import CONFIG_FILE, PARAMS_FILE
from worker.model.locate import PROGRAM_FILES
from worker.zoo.archive_headers import BoundedTarInfo, RefusedHeaderError

__all__ = ["extract_model"]

WANTED = frozenset({*PROGRAM_FILES, PARAMS_FILE, CONFIG_FILE})
MAX_MEMBERS = 100
"""Official archives have four: a directory and three files."""


def extract_model(archive: Path, target: Path, max_bytes: int) -> None:
    """Write the files of an inference model into the existing directory `target`.

    The archive has a directory at most, with the files in it. Its paths are checked but never used:
    a file is written under its own known name, all else is left where it is. An archive with
    anything but files and directories is refused as a whole.

    Args:
        max_bytes: most bytes that all its members may unpack to.

    Raises:
        ModelError: the archive is damaged, or is none that a model comes in.
        OSError: the disk is full or cannot be written.
    """
    try:
        # Not compressed, as published: the archive's size bounds what comes out.
        with tarfile.open(archive, "r:", tarinfo=BoundedTarInfo) as tar:
            _extract(tar, archive.name, target, max_bytes)
    except (tarfile.TarError, ValueError) as error:
        # ValueError: of numbers and texts within pax records.
        raise ModelError(f"{archive.name} is damaged or no tar archive: {error}") from error
    except RefusedHeaderError as error:
        raise ModelError(f"{archive.name} is refused: it has {error}") from error


def _extract(tar: tarfile.TarFile, name: str, target: Path, max_bytes: int) -> None:
    total = 0
    for count, member in enumerate(tar, start=1):
        total += member.size
        if count > MAX_MEMBERS:
            raise ModelError(f"{name} is refused: more than {MAX_MEMBERS} members")
        if total > max_bytes:
            raise ModelError(
                f"{name} is refused: it unpacks to more than zoo.max_bytes ({max_bytes})"
            )
        problem = _problem(member)
        if problem is not None:
            raise ModelError(f"{name} is refused: {member.name[:200]!r} {problem}")
        path = PurePosixPath(member.name)
        if member.isfile() and path.name in WANTED:
            _write(tar, member, target / path.name, name)


def _problem(member: tarfile.TarInfo) -> str | None:
    path = PurePosixPath(member.name)
    if member.size < 0:
        return "has a negative size"
    if member.issym() or member.islnk():
        return "is a link"
    if not (member.isfile() or member.isdir()) or member.issparse():
        return "is neither a plain file nor a directory"
    if path.is_absolute() or ".." in path.parts or "\\" in member.name or ":" in member.name:
        return "has a path that leads out of the archive"
    if member.isfile() and len(path.parts) > 2:
        return "is deeper than a model's files are"
    return None


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, name: str) -> None:
    content = tar.extractfile(member)
    assert content is not None
    try:
        with content, path.open("xb") as file:
            shutil.copyfileobj(content, file)
    except FileExistsError as error:
        raise ModelError(f"{name} is refused: it has two files {path.name}") from error
    if path.stat().st_size != member.size:
        raise ModelError(f"{name} ends within {path.name}: pull it again")
