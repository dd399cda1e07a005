"""Directories for as long as they are needed, whatever way the process ends.

One that a killed process left behind is removed by the next process that makes one: it is known by
the lock that nobody holds any more.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["remove_all", "scratch_directory"]

PREFIX = "classify-worker-scratch-"

_held: set[Path] = set()
"""Those of this process."""


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """Make an empty directory where temporary files are kept (`TMPDIR`), for the block alone.

    Yields:
        The directory.

    Raises:
        OSError: it cannot be made.
    """
    parent = Path(tempfile.gettempdir())
    _remove_abandoned(parent)
    path, lock = _make(parent)
    _held.add(path)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        _held.discard(path)
        os.close(lock)


def remove_all() -> None:
    """Remove those of this process now, since it ends without leaving its blocks."""
    for path in list(_held):
        shutil.rmtree(path, ignore_errors=True)


def _make(parent: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        # Before it is locked, another process may take it for abandoned, and remove it.
        with suppress(FileNotFoundError, BlockingIOError):
            lock = _lock(path)
            if path.is_dir():
                return path, lock
            os.close(lock)


def _lock(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _remove_abandoned(parent: Path) -> None:
    for path in parent.glob(f"{PREFIX}*"):
        # Held by another process, of another user, or removed meanwhile.
        with suppress(OSError):
            if path.lstat().st_uid != os.getuid():
                continue
            lock = _lock(path)
            try:
                shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)
