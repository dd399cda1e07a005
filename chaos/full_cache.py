"""A cache directory that cannot be written: a full file system where one can be mounted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["full_cache"]

_SIZE = "64k"


@contextmanager
def full_cache(directory: Path) -> Iterator[tuple[Path, str]]:
    """Make a directory in which nothing can be written.

    Mounting takes rights that containers seldom have. Without them the directory is a file instead:
    writing fails then too, with "not a directory" instead of "no space left".

    Args:
        directory: where to make it.

    Yields:
        Its path, and in words what it is.
    """
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_SIZE}", "classify-chaos", str(directory)]
    if os.geteuid() == 0 and _succeeds(mount):
        try:
            _fill(directory / "filler")
            yield directory, "a full file system"
        finally:
            _succeeds(["umount", "--lazy", str(directory)])
    else:
        file = directory / "no-directory"
        file.touch()
        yield file, "a file in the directory's place, since nothing can be mounted here"


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return
